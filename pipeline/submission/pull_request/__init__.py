"""A pull request that hands in submissions: what it changes, whether it may, and how what it brings stands."""
