"""Array-level code: plain NumPy arrays in and out, no Tensor, no layers."""
