"""Searching for points: rounds of asking, evaluating and telling; what asks is optuna, an extra."""
