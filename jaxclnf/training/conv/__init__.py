"""Training of convolutional experts."""
