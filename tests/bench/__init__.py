"""Benchmarks of this project itself: `python -m tests.bench NAME [--quick] [--json]`. pytest never runs them."""
