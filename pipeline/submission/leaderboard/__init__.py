"""A competition's leaderboard: submissions of many teams, found, checked, ranked, and compared with each other."""
