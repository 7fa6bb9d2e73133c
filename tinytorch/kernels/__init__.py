"""Array-level code: NumPy, and native kernels that do the same. Arrays in and out, no Tensor, no layers."""
