"""The doors: one file a verb, each parses its input and calls one function."""
