"""Pruning, low rank and distillation as the course calls them, with sizes that are those of the arrays."""

import numpy as np
import pytest

from tinytorch.core.activations import ReLU
from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.spatial import BatchNorm2d, Conv2d, Flatten, MaxPool2d
from tinytorch.core.tensor import Tensor
from tinytorch.olympics import SimpleMLP
from tinytorch.perf.compression import (
    Compressor,
    KnowledgeDistillation,
    low_rank_approximate,
    magnitude_prune,
    measure_sparsity,
    structured_prune,
    verify_pruning_works,
)
from tinytorch.perf.quantization import quantize_model
from tinytorch.perf.structure import held_bytes


def test_magnitude_pruning_takes_the_smallest_of_all_weights():
    """One threshold over the model; exactly the share asked for goes, biases stay, bytes stay."""
    model = Sequential(Linear(10, 10), Linear(10, 5))
    model.layers[0].bias.data[:] = 1e-9
    before = np.concatenate([layer.weight.data.ravel() for layer in model.layers])
    size, array = held_bytes(model), model.layers[0].weight.data
    assert magnitude_prune(model, sparsity=0.8) is model
    after = np.concatenate([layer.weight.data.ravel() for layer in model.layers])
    assert (after == 0).sum() == 120
    assert np.abs(before[after == 0]).max() <= np.abs(before[after != 0]).min()
    assert model.layers[0].bias.data.all()
    assert measure_sparsity(model) == pytest.approx(80.0)
    assert held_bytes(model) == size
    assert model.layers[0].weight.data is array


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_pruning_nothing_or_everything(share):
    """Zero strength changes nothing, full strength leaves zeros."""
    model = Linear(6, 6)
    before = model.weight.data.copy()
    magnitude_prune(model, share)
    np.testing.assert_array_equal(model.weight.data, before * (1 - share))
    assert measure_sparsity(model) == 100 * share


def test_quantized_weights_are_not_pruned():
    """Zeros among the integers would be reported, but a prepared layer would not compute with them."""
    model = quantize_model(SimpleMLP())
    with pytest.raises(ValueError, match="quantized weights, which cannot be pruned"):
        magnitude_prune(model, 0.5)


def test_what_is_stored_sparse_can_be_quantized():
    """Compress, then quantize: integers where weights were kept, zeros still unstored, nearly the same outputs."""
    rng = np.random.default_rng(0)
    model = Sequential(Conv2d(1, 16, 3, rng=rng), ReLU(), Flatten(), Linear(16 * 36, 10, rng=rng))
    x = Tensor(rng.normal(size=(4, 1, 8, 8)))
    dense = held_bytes(model)
    Compressor.compress_model(model, {"magnitude_sparsity": 0.9})
    pruned, exact = held_bytes(model), model.forward(x).data
    quantize_model(model, bits=8)
    assert [type(model.layers[i]).__name__ for i in (0, 3)] == ["QuantizedConv2d", "QuantizedLinear"]
    assert measure_sparsity(model) >= 89
    assert held_bytes(model) < pruned / 1.5 < dense / 3
    assert np.abs(model.forward(x).data - exact).max() / np.abs(exact).max() < 0.05


@pytest.mark.parametrize("prune", [magnitude_prune, structured_prune])
def test_shares_are_not_percentages(prune):
    """90 is refused with a hint."""
    with pytest.raises(ValueError, match=r"Write 90 % as 0\.9"):
        prune(SimpleMLP(), 90)


def test_structured_pruning_really_shrinks():
    """Half the neurons go; weights, next layer and bytes shrink, for whoever holds the layers."""
    model = SimpleMLP(10, 20, 3)
    fc1, before = model.fc1, held_bytes(model)
    assert structured_prune(model, prune_ratio=0.5) is model
    assert (model.fc1.weight.shape, model.fc1.bias.shape, model.fc2.weight.shape) == ((10, 10), (10,), (10, 3))
    assert model.fc1 is fc1
    assert held_bytes(model) == (10 * 10 + 10 + 10 * 3 + 3) * 4 < before
    assert model.forward(Tensor(np.ones((2, 10)))).shape == (2, 3)
    assert model.count_parameters() == 143


def test_structured_pruning_keeps_the_strongest_units():
    """Neurons whose weights are zero go first, so that the outputs stay."""
    model = SimpleMLP(4, 6, 2)
    model.fc1.weight.data[:, [0, 2, 5]] = 0.0
    x = Tensor(np.random.default_rng(0).normal(size=(5, 4)))
    expected = model.forward(x).data
    structured_prune(model, 0.5)
    np.testing.assert_allclose(model.forward(x).data, expected, rtol=1e-5, atol=1e-6)


def test_structured_pruning_of_channels():
    """A convolution's channels go through batch norm, pooling and flatten; the input's shape must be told."""
    model = Sequential(Conv2d(1, 4, 3), BatchNorm2d(4), ReLU(), MaxPool2d(2), Flatten(), Linear(36, 2))
    with pytest.raises(ValueError, match="input_shape"):
        structured_prune(model, 0.5)
    structured_prune(model, 0.5, input_shape=(1, 8, 8))
    assert model.layers[0].weight.shape == (2, 1, 3, 3)
    assert model.layers[1].gamma.shape == (2,)
    assert model(Tensor(np.ones((1, 1, 8, 8)))).shape == (1, 2)


def test_low_rank_factors_are_the_best_of_their_rank():
    """U·diag(S)·V; a matrix of rank 2 is met exactly, and the error is that of the singular values left out."""
    rng = np.random.default_rng(0)
    low = rng.normal(size=(8, 2)) @ rng.normal(size=(2, 6))
    u, s, v = low_rank_approximate(low, rank_ratio=0.34)
    assert (u.shape, s.shape, v.shape) == ((8, 2), (2,), (2, 6))
    np.testing.assert_allclose(u @ np.diag(s) @ v, low, rtol=1e-4, atol=1e-4)
    full = rng.normal(size=(8, 6))
    u, s, v = low_rank_approximate(Tensor(full), 0.5)
    left_out = np.linalg.svd(full, compute_uv=False)[3:]
    assert np.linalg.norm(full - u @ np.diag(s) @ v) == pytest.approx(np.linalg.norm(left_out), rel=1e-4)
    for ratio, matrix in ((0, full), (1.1, full), (0.5, full[0])):
        with pytest.raises(ValueError, match="matrix and a rank_ratio"):
            low_rank_approximate(matrix, ratio)


def test_distillation_loss_is_hintons():
    """alpha·T²·KL + (1-alpha)·cross-entropy, in float64, with a gradient for the student alone."""
    rng = np.random.default_rng(0)
    student, teacher, labels = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), np.array([0, 2, 1, 1])

    def log_p(logits):
        return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    p = np.exp(log_p(teacher / 3))
    soft = (p * (log_p(teacher / 3) - log_p(student / 3))).sum(axis=1).mean() * 9
    hard = -log_p(student)[np.arange(4), labels].mean()
    s, t = Tensor(student, requires_grad=True), Tensor(teacher, requires_grad=True)
    loss = KnowledgeDistillation(None, None, temperature=3.0, alpha=0.7).distillation_loss(s, t, labels)
    loss.backward()
    assert float(loss.data) == pytest.approx(0.7 * soft + 0.3 * hard, rel=1e-4)
    assert s.grad.shape == (4, 3)
    assert t.grad is None


def test_distillation_refuses_what_makes_no_sense():
    """A temperature of zero, an alpha above one, other classes."""
    for kwargs in ({"temperature": 0}, {"alpha": 1.5}):
        with pytest.raises(ValueError, match=r"temperature|alpha"):
            KnowledgeDistillation(None, None, **kwargs)
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 4\)"):
        KnowledgeDistillation(None, None).distillation_loss(Tensor(np.ones((2, 3))), Tensor(np.ones((2, 4))), [0, 1])


def test_compression_reports_bytes_that_are_held():
    """At 90 % sparse storage is smaller by what is stored, not by 10; outputs are those of the pruned model."""
    model, twin = SimpleMLP(64, 64, 10), SimpleMLP(64, 64, 10)
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        b.data = a.data.copy()
    before = held_bytes(model)
    result, figures = Compressor.compress_model(model, {"magnitude_sparsity": 0.9})
    magnitude_prune(twin, 0.9)
    assert figures["compression_ratio"] == before / held_bytes(result)
    assert 4 < figures["compression_ratio"] < 10
    assert (figures["original_sparsity"], round(figures["final_sparsity"], 2)) == (0.0, 0.9)
    x = Tensor(np.random.default_rng(0).normal(size=(3, 64)))
    np.testing.assert_array_equal(result.forward(x).data, twin.forward(x).data)


def test_compression_can_do_both():
    """Units first, then weights; unknown settings are named."""
    model, figures = Compressor.compress_model(SimpleMLP(), {"structured_prune_ratio": 0.5, "magnitude_sparsity": 0.5})
    assert model.fc1.weight.shape == (10, 10)
    assert figures["final_sparsity"] == pytest.approx(0.5, abs=0.01)
    with pytest.raises(ValueError, match="prune_all"):
        Compressor.compress_model(SimpleMLP(), {"prune_all": 1})


def test_the_static_functions_use_shares():
    """Compressor counts from 0 to 1 what measure_sparsity counts in percent."""
    model = Compressor.magnitude_prune(SimpleMLP(), 0.5)
    assert Compressor.measure_sparsity(model) == pytest.approx(measure_sparsity(model) / 100)
    assert Compressor.structured_prune(SimpleMLP(), 0.5).fc2.weight.shape == (10, 3)


def test_verification_counts_zeros():
    """Zeros, total, and whether the target is met."""
    facts = verify_pruning_works(magnitude_prune(SimpleMLP(), 0.8), target_sparsity=0.8)
    assert (facts["zero_params"], facts["total_params"], facts["verified"]) == (208, 260, True)
    assert verify_pruning_works(SimpleMLP(), 0.1)["verified"] is False
