"""Layers that execute compressed weights: quantized to int8 or int4, and sparse. Import them from their modules."""
