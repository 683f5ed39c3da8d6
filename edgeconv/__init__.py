"""Take a 1-D convolutional network for sensor signals from training to the edge."""

__version__ = "0.1.0"
