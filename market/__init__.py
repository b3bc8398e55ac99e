"""The words and the arithmetic of trading: bars, orders, costs, ledger, limits, and a bar-level venue."""
