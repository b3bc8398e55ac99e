"""The Hydra tree: names classes by path, imports nothing of the house."""
