"""The code samples of the course's documents, word for word: they run, and give what the documents say.

The samples of the capstone and of Olympics are whole; those of single modules are the calls that the documents show.
"""

import json

import numpy as np
import pytest

BENCHMARKING = r"""
from tinytorch.capstone import SimpleMLP, BenchmarkReport, generate_submission, save_submission
from tinytorch.core.tensor import Tensor
import numpy as np

# Example 1: Basic benchmark workflow
np.random.seed(42)
X_test = Tensor(np.random.randn(100, 10))
y_test = np.random.randint(0, 3, 100)

model = SimpleMLP(input_size=10, hidden_size=20, output_size=3)
report = BenchmarkReport(model_name="simple_mlp")
metrics = report.benchmark_model(model, X_test, y_test, num_runs=50)

submission = generate_submission(report, student_name="Your Name")
save_submission(submission, "my_submission.json")

# Example 2: Optimization comparison workflow
baseline_model = SimpleMLP(input_size=10, hidden_size=20, output_size=3)
baseline_report = BenchmarkReport(model_name="baseline")
baseline_report.benchmark_model(baseline_model, X_test, y_test, num_runs=50)

# Apply optimizations (example: smaller model)
optimized_model = SimpleMLP(input_size=10, hidden_size=15, output_size=3)
optimized_report = BenchmarkReport(model_name="optimized")
optimized_report.benchmark_model(optimized_model, X_test, y_test, num_runs=50)

# Generate comparison submission
submission = generate_submission(
    baseline_report=baseline_report,
    optimized_report=optimized_report,
    student_name="Optimizer",
    techniques_applied=["architecture_search", "pruning"]
)

print(f"Speedup: {submission['improvements']['speedup']:.2f}x")
print(f"Compression: {submission['improvements']['compression_ratio']:.2f}x")
print(f"Accuracy Δ: {submission['improvements']['accuracy_delta']*100:+.1f}%")

save_submission(submission, "optimization_comparison.json")
"""

WORKFLOW = r"""
def run_optimization_workflow_example():
    '''
    Complete optimization workflow using Modules 14-19.

    Pipeline:
    1. Profile baseline (Module 14)
    2. Apply optimizations (Modules 15-18)
    3. Benchmark with rigor (Module 19)
    4. Generate submission (Module 20)

    This is the COMPLETE story of TinyTorch optimization!
    '''
    print("="*70)
    print("TINYTORCH OPTIMIZATION WORKFLOW")
    print("="*70)

    # Import optimization APIs
    from tinytorch.perf.profiling import Profiler, quick_profile
    from tinytorch.perf.compression import magnitude_prune
    from tinytorch.benchmarking import Benchmark, BenchmarkResult

    # Step 1: Profile baseline model (Module 14)
    print("\n[STEP 1] Profile Baseline - Module 14")
    baseline_model = SimpleMLP(input_size=10, hidden_size=20, output_size=3)

    profiler = Profiler()
    # Optional: Use Module 14's profiler for detailed analysis
    # profile_data = quick_profile(baseline_model, input_tensor)

    # Step 2: Benchmark baseline (Module 19)
    print("\n[STEP 2] Benchmark Baseline - Module 19")
    baseline_report = BenchmarkReport(model_name="baseline_mlp")
    baseline_report.benchmark_model(baseline_model, X_test, y_test, num_runs=50)

    # Step 3: Apply optimizations (Modules 15-18)
    print("\n[STEP 3] Apply Optimizations - Modules 15-18")
    print("  Available APIs:")
    print("    - Module 15: quantize_model(model, bits=8)")
    print("    - Module 16: magnitude_prune(model, sparsity=0.5)")
    print("    - Module 17: enable_kv_cache(model)  # For transformers")
    print("    - Module 18: Use accelerated ops")

    # Example: Apply pruning (students can add quantization, etc.)
    optimized_model = baseline_model  # Apply real optimizations here
    # optimized_model = magnitude_prune(baseline_model, sparsity=0.3)
    # optimized_model = quantize_model(optimized_model, bits=8)

    # Step 4: Benchmark optimized version (Module 19)
    print("\n[STEP 4] Benchmark Optimized - Module 19")
    optimized_report = BenchmarkReport(model_name="optimized_mlp")
    optimized_report.benchmark_model(optimized_model, X_test, y_test, num_runs=50)

    # Step 5: Generate submission (Module 20)
    print("\n[STEP 5] Generate Submission - Module 20")
    submission = generate_submission(
        baseline_report=baseline_report,
        optimized_report=optimized_report,
        student_name="TinyTorch Optimizer",
        techniques_applied=["pruning", "quantization"]
    )

    # Display improvements
    if 'improvements' in submission:
        imp = submission['improvements']
        print(f"\n   Results:")
        print(f"     Speedup: {imp['speedup']:.2f}x")
        print(f"     Compression: {imp['compression_ratio']:.2f}x")
        print(f"     Accuracy Δ: {imp['accuracy_delta']*100:+.1f}%")

    # Step 6: Save submission
    save_submission(submission, "optimization_submission.json")

    print("\n Complete optimization workflow demonstrated!")
    return submission
"""

ATTENTION = r"""
from tinytorch.core.layers import Dense

class MultiHeadAttention:
    def __init__(self, d_model, num_heads):
        self.query = Dense(d_model, d_model)
        self.key = Dense(d_model, d_model)
        self.value = Dense(d_model, d_model)
        self.heads = num_heads

    def forward(self, x):
        B, T, E = x.shape
        q, k, v = (p(x).reshape(B, T, self.heads, E // self.heads).transpose(1, 2)
                   for p in (self.query, self.key, self.value))
        weights = Softmax()(q @ k.transpose(2, 3) * (1 / np.sqrt(E // self.heads)))
        return (weights @ v).transpose(1, 2).reshape(B, T, E)
"""

PROFILING = r"""
profiler = Profiler()
params = profiler.count_parameters(model)
flops = profiler.count_flops(model, (1, 10))
memory = profiler.measure_memory(model, (1, 10))
latency = profiler.measure_latency(model, X_test[:1], warmup=2, iterations=5)
profile = quick_profile(model, X_test[:1])
with profiler:
    model.forward(X_test)
"""

QUANTIZATION = r"""
q_tensor, scale, zero_point = quantize_int8(X_test)
restored = dequantize_int8(q_tensor, scale, zero_point)
info = Quantizer.quantize_model(model)
sizes = Quantizer.compare_models(model, info)
quantize_model(model, calibration_data=[X_test])
output = model.forward(X_test)
"""

COMPRESSION = r"""
sparsity_before = measure_sparsity(model)
magnitude_prune(model, sparsity=0.5)
sparsity = measure_sparsity(model)
U, S, V = low_rank_approximate(model.fc1.weight.data, rank_ratio=0.5)
kd = KnowledgeDistillation(teacher_model=model, student_model=SimpleMLP(), temperature=3.0, alpha=0.7)
loss = kd.distillation_loss(kd.student_model.forward(X_test), model.forward(X_test), y_test)
structured_prune(model, prune_ratio=0.5)
"""

KV_CACHE = r"""
tokenizer = CharTokenizer()
tokenizer.build_vocab(["hello world"])
gpt = GPT(vocab_size=tokenizer.vocab_size, embed_dim=16, num_layers=2, num_heads=2, max_seq_len=32)
prompt = Tensor([tokenizer.encode("hello")])
cache = enable_kv_cache(gpt)
text = gpt.generate(prompt, max_new_tokens=10, temperature=0.8)
usage = cache.get_memory_usage()
disable_kv_cache(gpt)
sentence = tokenizer.decode(text.data[0])
"""

IMPORTS = r"""
import numpy as np
from tinytorch import *
from tinytorch.olympics import SimpleMLP
from tinytorch.perf.compression import KnowledgeDistillation, measure_sparsity
from tinytorch.perf.quantization import quantize_model
"""


@pytest.fixture
def names(tmp_path, monkeypatch):
    """Return the names that the samples take for granted; they run in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    space = {}
    exec(IMPORTS, space)
    np.random.seed(42)
    space |= {"X_test": space["Tensor"](np.random.randn(100, 10)), "y_test": np.random.randint(0, 3, 100)}
    return space | {"model": space["SimpleMLP"](input_size=10, hidden_size=20, output_size=3)}


def test_benchmarking_and_comparing(names, tmp_path):
    """Two submissions are written; the smaller model is smaller by what it is."""
    exec(BENCHMARKING, names)
    assert json.loads((tmp_path / "my_submission.json").read_text())["student_name"] == "Your Name"
    improved = json.loads((tmp_path / "optimization_comparison.json").read_text())["improvements"]
    assert improved["compression_ratio"] == pytest.approx(283 / 213, rel=1e-3)


def test_the_whole_workflow(names, tmp_path):
    """Profile, benchmark, optimize, submit; a model against itself has lost nothing."""
    exec("from tinytorch.capstone import SimpleMLP, BenchmarkReport, generate_submission, save_submission", names)
    exec(WORKFLOW, names)
    submission = names["run_optimization_workflow_example"]()
    assert submission["improvements"]["accuracy_delta"] == 0
    assert (tmp_path / "optimization_submission.json").is_file()


def test_a_layer_of_ones_own(names):
    """Attention from Dense layers alone: it runs, and gradients reach its weights."""
    exec(ATTENTION, names)
    layer = names["MultiHeadAttention"](8, 2)
    layer.forward(names["Tensor"](np.ones((2, 3, 8)))).sum().backward()
    assert np.abs(layer.value.weight.grad).max() > 0


def test_profiling(names):
    """Counts, memory, time."""
    exec(PROFILING, names)
    assert (names["params"], names["flops"]) == (283, 520)
    assert min(names["latency"], names["profiler"].elapsed, names["memory"]["peak_memory_mb"]) > 0


def test_quantization(names):
    """Tensors, reports and a model in place."""
    exec(QUANTIZATION, names)
    assert np.abs(names["restored"].data - names["X_test"].data).max() <= names["scale"] / 2 * 1.001
    assert names["output"].shape == (100, 3)
    assert names["sizes"]["compression_ratio"] > 3


def test_compression(names):
    """Pruning of both kinds, low rank and distillation."""
    exec(COMPRESSION, names)
    assert (names["sparsity_before"], names["sparsity"]) == (0.0, pytest.approx(50.0))
    assert names["model"].fc1.weight.shape == (10, 10)
    assert np.isfinite(float(np.asarray(getattr(names["loss"], "data", names["loss"]))))


def test_kv_cache(names):
    """A text is continued from the cache."""
    exec(KV_CACHE, names)
    assert len(names["sentence"].replace("<UNK>", "?")) == 15
    assert names["usage"]["total_elements"] == 2 * 2 * 2 * 32 * 8
