"""What a run made, in the forms that other tools read: training data, adapter, cards, and a map of the failures."""
