"""The research loop: train, evaluate, walk forward, storm, sweep, promote, report."""
