"""The course's optimization modules: profiling, quantization, compression, benchmarking.

They work on any model the course can write: a layer, a Sequential, or a class of one's own with layers in attributes.
"""
