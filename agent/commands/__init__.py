"""Commands of the command line, imported when called."""
