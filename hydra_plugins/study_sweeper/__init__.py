"""A Hydra sweeper whose jobs are the trials of one resumable, pruning Optuna study."""
