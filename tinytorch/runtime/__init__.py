"""Layers with compressed weights, integer or sparse, and sessions that run networks natively; each in its module."""
