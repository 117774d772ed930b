"""Teachers: they answer requests for practice problems."""
