"""See through an image classifier and harden it, in one closed loop."""

__version__ = "0.1.0"
