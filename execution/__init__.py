"""The trading loop: a thin paper/live runner that journals before it acts and fails closed."""
