"""Whether a signal can be what the model was trained on, from what its spec keeps of the training data."""
