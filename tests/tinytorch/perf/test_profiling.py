"""The Profiler: exact counts, measured times, and the course's keys."""

from types import SimpleNamespace

import numpy as np
import pytest

from tinytorch.core.activations import ReLU
from tinytorch.core.layers import Flatten, Linear, Sequential
from tinytorch.core.spatial import Conv2d
from tinytorch.core.tensor import Tensor
from tinytorch.core.transformers import GPT
from tinytorch.perf import profiling, timing
from tinytorch.perf.profiling import Profiler, analyze_weight_distribution, quick_profile
from tinytorch.perf.timing import durations_ms, machine_balance, peak_bytes, precise_timer


@pytest.fixture
def model():
    """Return a small network of a convolution and a linear layer."""
    return Sequential(Conv2d(1, 2, 3), ReLU(), Flatten(), Linear(8, 5))


def test_counts_are_exact(model):
    """Parameters, and two operations for each multiplication of one sample, whatever the batch."""
    profiler = Profiler()
    assert profiler.count_parameters(model) == 2 * 9 + 2 + 8 * 5 + 5
    flops = 2 * (2 * 4 * 9 + 8 * 5)
    assert profiler.count_flops(model, (1, 1, 4, 4)) == profiler.count_flops(model, (32, 1, 4, 4)) == flops
    assert profiler.count_flops(Linear(128, 64), (1, 128)) == profiler.count_flops(Linear(128, 64), (128,)) == 16384


def test_a_transformer_is_profiled_like_any_model():
    """All products are counted, those of attention too; the keys of a profile are the usual ones."""
    gpt = GPT(20, 8, 2, 2, max_seq_len=16)
    assert Profiler().count_flops(gpt, (1, 5)) == 2 * gpt.macs((5,))
    profile = quick_profile(gpt, Tensor([[1, 2, 3, 4, 5]]))
    assert profile["parameters"] == sum(p.size for p in gpt.parameters())
    assert profile["flops"] == 2 * gpt.macs((5,))


def test_memory_follows_from_sizes(model):
    """Parameters and layer outputs in megabytes; the peak is at least the parameters."""
    memory = Profiler().measure_memory(model, (2, 1, 4, 4))
    assert memory["parameter_memory_mb"] == 65 * 4 / 2**20
    assert memory["activation_memory_mb"] == 2 * (8 + 8 + 8 + 5) * 4 / 2**20
    assert memory["peak_memory_mb"] > memory["parameter_memory_mb"]
    assert 0 < memory["memory_efficiency"] <= 1


def test_profiles_have_the_keys_of_the_course(model):
    """Layer, forward and backward profile, each figure a number and consistent with the others."""
    profiler, x = Profiler(), Tensor(np.ones((2, 1, 4, 4)))
    layer = profiler.profile_layer(Linear(8, 5), (1, 8))
    assert (layer["layer_type"], layer["parameters"], layer["flops"]) == ("Linear", 45, 80)
    forward = quick_profile(model, x)
    assert forward["bottleneck"] in ("memory", "compute")
    assert forward["is_memory_bound"] != forward["is_compute_bound"]
    assert forward["gflops_per_second"] == pytest.approx(forward["flops"] * 2 / forward["latency_ms"] / 1e6)
    backward = profiler.profile_backward_pass(model, x)
    assert backward["total_flops"] == 3 * forward["flops"]
    assert backward["gradient_memory_mb"] == 65 * 4 / 2**20
    assert backward["optimizer_memory_estimates"]["adam"] == 2 * 65 * 4 / 2**20


def test_profiling_leaves_gradients_as_they_were(model):
    """What backward() adds while measuring is taken away again."""
    model.parameters()[0].grad = np.ones((2, 1, 3, 3), np.float32)
    Profiler().profile_backward_pass(model, Tensor(np.ones((1, 1, 4, 4))), lambda out: out.mean())
    grads = [p.grad for p in model.parameters()]
    np.testing.assert_array_equal(grads[0], np.ones((2, 1, 3, 3)))
    assert grads[1:] == [None, None, None]


def test_latency_is_a_median_of_real_calls():
    """Warm-up calls are made and not counted."""
    calls = []

    class Counting:
        def forward(self, x):
            calls.append(x.shape)
            return x

    assert Profiler().measure_latency(Counting(), Tensor([1.0]), warmup=3, iterations=4) > 0
    assert len(calls) == 7


def test_the_profiler_times_its_block(monkeypatch):
    """As a context manager it leaves milliseconds, precise_timer seconds."""
    for module in (profiling, timing):
        clock = SimpleNamespace(perf_counter_ns=iter([1_000_000, 3_500_000]).__next__)
        monkeypatch.setattr(module, "time", clock)
    with Profiler() as profiler:
        pass
    with precise_timer() as timer:
        assert timer.elapsed == 0.0
    assert profiler.elapsed == 2.5
    assert timer.elapsed == 0.0025


def test_weight_distribution():
    """Statistics over weights, without biases; a model without weights is refused."""
    layer = Linear(2, 2)
    layer.weight.data = [[0.0, 1.0], [-2.0, 3.0]]
    stats = analyze_weight_distribution(layer, percentiles=(50,))
    assert (stats["total_weights"], stats["min"], stats["max"], stats["zero_fraction"]) == (4, -2.0, 3.0, 0.25)
    assert stats["percentiles"] == {50: 1.5}
    with pytest.raises(ValueError, match="no weight"):
        analyze_weight_distribution(ReLU())


def test_a_layer_that_does_not_know_its_cost_is_an_error():
    """No number is made up for it."""

    class Odd(Sequential):
        def forward(self, x):
            return x

        def macs(self, input_shape):
            raise NotImplementedError("Odd does not say")

    with pytest.raises(NotImplementedError, match="Odd"):
        Profiler().count_flops(Odd(), (1, 2))


def test_timing_tools():
    """Durations need a run; peaks see NumPy's allocations; the machine's balance is positive and measured once."""
    with pytest.raises(ValueError, match="At least one measured run"):
        durations_ms(list, 0, 0)
    assert len(durations_ms(list, 1, 3)) == 3
    assert 4_000_000 <= peak_bytes(lambda: np.ones(1_000_000, np.float32)) < 5_000_000
    assert machine_balance() is machine_balance()
    assert machine_balance().flops_per_byte > 0
