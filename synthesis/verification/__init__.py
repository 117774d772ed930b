"""Verifiers: accept or refuse every draft, with a reason."""
