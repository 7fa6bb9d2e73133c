"""Wrong shapes: the error names the layer, what it got and what it needs, whichever layer or operation it is."""

import re

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.core.losses import log_softmax
from tinytorch.core.spatial import BatchNorm2d
from tinytorch.core.tensor import Tensor
from tinytorch.perf.compression import KnowledgeDistillation
from tinytorch.perf.quantization import QuantizedLinear


def zeros(*shape):
    """Return a tensor of zeros."""
    return Tensor(np.zeros(shape))


# what is named -> (a call with wrong shapes, the shapes and sizes that its error has to hold)
LAYERS = {
    "Linear(4, 5)": (lambda: tt.Linear(4, 5)(zeros(3, 6)), ["(3, 6)", "(4, 5)"]),
    "Conv2d": (lambda: tt.Conv2d(3, 4, 3)(zeros(2, 1, 8, 8)), ["(1, 8, 8)", "(4, 3, 3, 3)"]),
    "Conv2d needs": (lambda: tt.Conv2d(3, 4, 3)(zeros(3, 8, 8)), ["(3, 8, 8)", "4-D"]),
    "Conv2d: a window": (lambda: tt.Conv2d(3, 4, 5)(zeros(2, 3, 3, 3)), ["(5, 5)", "(3, 3)"]),
    "MaxPool2d": (lambda: tt.MaxPool2d(2)(zeros(3, 8)), ["(3, 8)", "4-D"]),
    "MaxPool2d: a window": (lambda: tt.MaxPool2d(4)(zeros(1, 1, 2, 2)), ["(4, 4)", "(2, 2)"]),
    "AvgPool2d": (lambda: tt.AvgPool2d(2)(zeros(3, 8)), ["(3, 8)", "4-D"]),
    "BatchNorm2d(3)": (lambda: BatchNorm2d(3)(zeros(2, 4, 5, 5)), ["(2, 4, 5, 5)", "(batch, 3, height, width)"]),
    "LayerNorm(4)": (lambda: tt.LayerNorm(4)(zeros(2, 3)), ["(2, 3)", "(4,)"]),
    "PositionalEncoding(8, 4)": (lambda: tt.PositionalEncoding(8, 4)(zeros(2, 3, 5)), ["(2, 3, 5)", "positions, 4"]),
    "EmbeddingLayer": (lambda: tt.EmbeddingLayer(8, 4)(zeros(2, 3, 3)), ["(2, 3, 3)", "(batch, T)"]),
    "MultiHeadAttention(8, 2)": (lambda: tt.MultiHeadAttention(8, 2)(zeros(2, 3, 9)), ["(2, 3, 9)", "positions, 8"]),
    "attention mask": (
        lambda: tt.MultiHeadAttention(8, 2).forward(zeros(2, 3, 8), zeros(1, 4, 4)),
        ["(1, 4, 4)", "(2, 2, 3, 3)"],
    ),
    "Attention": (
        lambda: tt.scaled_dot_product_attention(zeros(2, 3, 4), zeros(2, 3, 5), zeros(2, 3, 4)),
        ["(2, 3, 4)", "(2, 3, 5)"],
    ),
    "Linear(8, 32)": (lambda: tt.MLP(8)(zeros(2, 9)), ["(2, 9)", "(8, 32)"]),
    "LayerNorm(8)": (lambda: tt.TransformerBlock(8, 2)(zeros(2, 3, 9)), ["(2, 3, 9)", "(8,)"]),
    "GPT": (lambda: tt.GPT(5, 8, 1, 2, 8)(zeros(3)), ["(3,)", "(batch, T)"]),
    "max_seq_len": (lambda: tt.GPT(5, 8, 1, 2, 8)(zeros(1, 9)), ["9 tokens", "8 positions"]),
    "2: Linear(6, 2)": (
        lambda: tt.Sequential(tt.Linear(4, 5), tt.ReLU(), tt.Linear(6, 2))(zeros(3, 4)),
        ["(3, 5)", "(6, 2)"],
    ),
    "CrossEntropyLoss": (lambda: tt.CrossEntropyLoss()(zeros(3, 4), Tensor([0, 1])), ["(3, 4)", "(2,)"]),
    "MSELoss": (lambda: tt.MSELoss()(zeros(3, 4), zeros(3, 5)), ["(3, 4)", "(3, 5)"]),
    "BinaryCrossEntropyLoss": (lambda: tt.BinaryCrossEntropyLoss()(zeros(3), zeros(4)), ["(3,)", "(4,)"]),
    "cache": (
        lambda: tt.KVCache(1, 4, 1, 2, 4).update(0, zeros(1, 2, 1, 5), zeros(1, 2, 1, 5)),
        ["(1, 2, 1, 5)", "(1, 2, T, 4)"],
    ),
    "Linear": (lambda: QuantizedLinear(tt.Linear(4, 5)).forward(zeros(3, 6)), ["(3, 6)", "4"]),
    "Student and teacher": (
        lambda: KnowledgeDistillation(None, None).distillation_loss(zeros(3, 4), zeros(3, 5), [0, 1, 2]),
        ["(3, 4)", "(3, 5)"],
    ),
}
OPERATIONS = {
    "+": (lambda: zeros(3, 4) + zeros(5), ["(3, 4)", "(5,)", "axis -1 is 4 on the left and 5"]),
    "-": (lambda: zeros(2, 3, 1) - zeros(2, 4), ["(2, 3, 1)", "(2, 4)", "axis -2 is 3"]),
    "*": (lambda: zeros(3, 4) * zeros(5), ["(3, 4)", "(5,)"]),
    "/": (lambda: zeros(3, 4) / Tensor(np.ones(5)), ["(3, 4)", "(5,)"]),
    "@": (lambda: zeros(3, 4) @ zeros(5, 6), ["(3, 4)", "(5, 6)", "4 ≠ 5"]),
    "reshape": (lambda: zeros(3, 4).reshape(5, 2), ["(3, 4)", "(5, 2)", "12", "10"]),
    "transpose": (lambda: zeros(3, 4).transpose(0, 5), ["(3, 4)", "axis 5", "-2 to 1"]),
    "masked_fill": (lambda: zeros(3, 4).masked_fill(np.ones((2, 2), bool), 0), ["(2, 2)", "(3, 4)"]),
    "sum(axis=7)": (lambda: zeros(3, 4).sum(axis=7), ["(3, 4)", "-2 to 1"]),
    "mean(axis=-3)": (lambda: zeros(3, 4).mean(axis=-3), ["(3, 4)", "-2 to 1"]),
    "max(axis=2)": (lambda: zeros(3, 4).max(axis=2), ["(3, 4)"]),
    "Softmax": (lambda: tt.Softmax().forward(zeros(3), dim=4), ["(3,)", "axis 4", "-1 to 0"]),
    "log_softmax": (lambda: log_softmax(zeros(3, 2), dim=-3), ["(3, 2)", "axis -3"]),
    "stacked": (lambda: Tensor([zeros(2), zeros(2), zeros(3)]), ["number 2", "(3,)", "(2,)"]),
    "backward": (lambda: (Tensor([1.0, 2.0], requires_grad=True) * 2).backward(np.ones(3)), ["(3,)", "(2,)"]),
}


@pytest.mark.parametrize("name", [*LAYERS, *OPERATIONS])
def test_both_shapes_and_the_layer_are_named(name):
    """One sentence has to be enough to find the mistake."""
    call, wanted = (LAYERS | OPERATIONS)[name]
    with pytest.raises(ValueError, match=re.escape(name)) as caught:
        call()
    assert type(caught.value) is ValueError
    assert all(text in str(caught.value) for text in wanted)


def test_a_single_number_has_no_axes():
    """So there is no valid one to name."""
    with pytest.raises(ValueError, match="a single number has none"):
        Tensor(1.0).sum(axis=1)


def test_a_sequential_takes_layers():
    """It says which of its arguments is none."""
    with pytest.raises(TypeError, match=r"number 1 is a int without forward\(\)"):
        tt.Sequential(tt.Linear(4, 5), 3)
