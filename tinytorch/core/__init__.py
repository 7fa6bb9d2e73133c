"""The course's modules: tensors, autograd, layers, losses, data loading, optimizers, training, convolution."""
