"""The desk: market and account to observation, action to orders, reward; and the environments around it."""
