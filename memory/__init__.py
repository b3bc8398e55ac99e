"""The past: what followed the most similar earlier moments, point-in-time by construction."""
