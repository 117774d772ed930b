"""Arms of an experiment: planned, run as independent units, and compared."""
