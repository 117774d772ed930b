"""What is remembered: records, ids, the run folder, embeddings, indexes and clusters."""
