"""wavetank: train trading policies, storm them, promote what the evidence supports, run it behind risk gates."""

__version__ = "0.1.0"
