"""The loop: configuration, the nine steps of a round, persistence, and the command line."""
