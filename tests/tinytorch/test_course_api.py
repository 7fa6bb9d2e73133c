"""The course's interface, complete: import paths, names, parameters in their order with their defaults, constants."""

import inspect
from importlib import import_module

import numpy as np
import pytest

import tinytorch
from tinytorch.core.tensor import Tensor

# module -> names; a name with parameters as the course writes them, "self" left out
INTERFACE = {
    "tinytorch.core.tensor": [
        "Tensor(data, requires_grad=False)",
        "BYTES_PER_FLOAT32",
        "KB_TO_BYTES",
        "MB_TO_BYTES",
        "Tensor.numpy()",
        "Tensor.memory_footprint()",
        "Tensor.numel()",
        "Tensor.contiguous()",
        "Tensor.masked_fill(mask, value)",
        "Tensor.transpose(dim0=None, dim1=None)",
        "Tensor.sum(axis=None, keepdims=False)",
        "Tensor.mean(axis=None, keepdims=False)",
        "Tensor.max(axis=None, keepdims=False)",
        "Tensor.backward(gradient=None, retain_graph=False)",
        "Tensor.zero_grad()",
    ],
    "tinytorch.core.autograd": [
        *("Function", "AddBackward", "MulBackward", "SubBackward", "DivBackward", "MatmulBackward"),
        "TransposeBackward(tensor, dim0, dim1)",
        "PermuteBackward(tensor, axes)",
        "SliceBackward(tensor, key)",
        "ReshapeBackward(tensor, original_shape)",
        "SumBackward(tensor, axis, keepdims)",
        *("ReLUBackward", "SigmoidBackward", "TanhBackward", "SoftmaxBackward", "GELUBackward", "MSEBackward"),
        *("BCEBackward", "CrossEntropyBackward", "EmbeddingBackward", "Conv2dBackward", "MaxPool2dBackward"),
        *("enable_autograd(quiet=False)", "no_grad()", "is_grad_enabled()"),
    ],
    "tinytorch.core.activations": [
        "Sigmoid()",
        "ReLU()",
        "Tanh()",
        "GELU()",
        "Softmax.forward(x, dim=-1)",
        "TOLERANCE",
    ],
    "tinytorch.core.layers": [
        "Layer",
        "Linear(in_features, out_features, bias=True)",
        "Dense",
        "Dropout(p=0.5)",
        "Dropout.forward(x, training)",
        "Sequential.forward(x, training)",
    ],
    "tinytorch.core.losses": [
        *("log_softmax(x, dim=-1)", "MSELoss()", "CrossEntropyLoss()", "BinaryCrossEntropyLoss()"),
    ],
    "tinytorch.core.dataloader": [
        *("Dataset", "TensorDataset", "DataLoader(dataset, batch_size, shuffle=False)", "Compose(transforms)"),
        *("RandomHorizontalFlip(p=0.5)", "RandomCrop(size, padding=4)"),
    ],
    "tinytorch.core.optimizers": [
        "Optimizer(params)",
        "SGD(params, lr=0.01, momentum=0.0, weight_decay=0.0)",
        *("SGD.has_momentum()", "SGD.get_momentum_state()", "SGD.set_momentum_state(state)"),
        "Adam(params, lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)",
        "AdamW(params, lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01)",
    ],
    "tinytorch.core.training": [
        "CosineSchedule(max_lr=0.1, min_lr=0.01, total_epochs=100)",
        "CosineSchedule.get_lr(epoch)",
        "clip_grad_norm(params, max_norm=1.0)",
        "Trainer(model, optimizer, loss_fn, scheduler=None, grad_clip_norm=None)",
        "Trainer.train_epoch(dataloader, accumulation_steps=1)",
        *("Trainer.evaluate(dataloader)", "Trainer.save_checkpoint(path)", "Trainer.load_checkpoint(path)"),
    ],
    "tinytorch.core.spatial": [
        "Conv2d(in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True)",
        "MaxPool2d(kernel_size, stride=None, padding=0)",
        "AvgPool2d(kernel_size, stride=None, padding=0)",
        "BatchNorm2d(num_features, eps=1e-05, momentum=0.1)",
        "SimpleCNN(num_classes=10)",
    ],
    "tinytorch.core.tokenization": [
        *("Tokenizer", "CharTokenizer(vocab=None)", "CharTokenizer.build_vocab(corpus)", "CharTokenizer.encode(text)"),
        *("CharTokenizer.decode(tokens)", "BPETokenizer(vocab_size=1000)", "BPETokenizer.encode(text)"),
        *("BPETokenizer.train(corpus, vocab_size=None)", "BPETokenizer.decode(tokens)"),
        "create_tokenizer(strategy='char', vocab_size=1000, corpus=None)",
        "tokenize_dataset(texts, tokenizer, max_length=None)",
        "analyze_tokenization(texts, tokenizer)",
    ],
    "tinytorch.core.embeddings": [
        *("Embedding(vocab_size, embed_dim)", "PositionalEncoding(max_seq_len, embed_dim)"),
        "create_sinusoidal_embeddings(max_seq_len, embed_dim)",
        "EmbeddingLayer(vocab_size, embed_dim, max_seq_len=512, pos_encoding='learned', scale_embeddings=False)",
        "EmbeddingLayer.forward(tokens, start_pos=0)",
    ],
    "tinytorch.core.attention": [
        "scaled_dot_product_attention(Q, K, V, mask=None)",
        "MultiHeadAttention(embed_dim, num_heads)",
        "MultiHeadAttention.forward(x, mask=None)",
    ],
    "tinytorch.core.transformers": [
        "create_causal_mask(seq_len)",
        "LayerNorm(normalized_shape, eps=1e-05)",
        "MLP(embed_dim, hidden_dim=None, dropout_prob=0.1)",
        "TransformerBlock(embed_dim, num_heads, mlp_ratio=4, ff_dim=None, dropout_prob=0.1)",
        "TransformerBlock.forward(x, mask=None)",
        "GPT(vocab_size, embed_dim, num_layers, num_heads, max_seq_len=1024)",
        "GPT.forward(tokens, start_pos=0)",
        "GPT.generate(prompt_tokens, max_new_tokens=50, temperature=1.0)",
        "TinyGPT",
    ],
    "tinytorch.perf.profiling": [
        "Profiler.count_parameters(model)",
        "Profiler.count_flops(model, input_shape)",
        "Profiler.measure_memory(model, input_shape)",
        "Profiler.measure_latency(model, input_tensor, warmup=10, iterations=100)",
        *("Profiler.profile_layer(layer, input_shape)", "Profiler.profile_forward_pass(model, input_tensor)"),
        "Profiler.profile_backward_pass(model, input_tensor)",
        "quick_profile(model, input_tensor, profiler=None)",
        "analyze_weight_distribution(model, percentiles)",
    ],
    "tinytorch.perf.quantization": [
        *("quantize_int8(tensor)", "dequantize_int8(q_tensor, scale, zero_point)", "QuantizedLinear(linear_layer)"),
        *("QuantizedLinear.calibrate(sample_inputs)", "QuantizedLinear.forward(x)", "QuantizedLinear.memory_usage()"),
        *("quantize_model(model, calibration_data=None)", "Quantizer.quantize_tensor", "Quantizer.dequantize_tensor"),
        *("Quantizer.quantize_model", "Quantizer.compare_models"),
        "verify_quantization_works(original_model, quantized_model)",
    ],
    "tinytorch.perf.compression": [
        *(
            "measure_sparsity(model)",
            "magnitude_prune(model, sparsity=0.9)",
            "structured_prune(model, prune_ratio=0.5)",
        ),
        "low_rank_approximate(weight_matrix, rank_ratio=0.5)",
        "KnowledgeDistillation(teacher_model, student_model, temperature=3.0, alpha=0.7)",
        "KnowledgeDistillation.distillation_loss(student_logits, teacher_logits, true_labels)",
        *("Compressor.measure_sparsity", "Compressor.magnitude_prune", "Compressor.structured_prune"),
        *("Compressor.compress_model", "verify_pruning_works"),
    ],
    "tinytorch.perf.acceleration": [
        *("vectorized_matmul(a, b)", "fused_gelu(x)", "tiled_matmul(a, b, tile_size=64)"),
    ],
    "tinytorch.perf.memoization": [
        "KVCache(batch_size, max_seq_len, num_layers, num_heads, head_dim)",
        *("KVCache.update(layer_idx, key, value)", "KVCache.get(layer_idx)", "KVCache.advance()", "KVCache.reset()"),
        *("KVCache.get_memory_usage()", "KVCache.generation()", "enable_kv_cache(model)", "disable_kv_cache(model)"),
        "CachedAttention(attention, cache, layer_idx)",
    ],
    "tinytorch.perf.benchmarking": [
        *("OlympicEvent", "precise_timer()", "Benchmark.run_accuracy_benchmark()", "Benchmark.compare_models(metric)"),
        "BenchmarkResult(metric_name, values, metadata)",
        "Benchmark(models, datasets, warmup_runs=5, measurement_runs=10)",
        "Benchmark.run_latency_benchmark(input_shape=(1, 28, 28))",
        "Benchmark.run_memory_benchmark(input_shape)",
        "BenchmarkSuite(models, datasets, output_dir)",
        *("BenchmarkSuite.run_full_benchmark()", "BenchmarkSuite.plot_results()", "BenchmarkSuite.generate_report()"),
        *("BenchmarkSuite.plot_pareto_frontier()", "MLPerf(random_seed=42)", "MLPerf.run_all_benchmarks"),
        "MLPerf.run_standard_benchmark(model, benchmark_name, num_runs=100)",
        *("MLPerf.generate_compliance_report", "analyze_optimization_techniques"),
    ],
    "tinytorch.olympics": [
        *("SimpleMLP(input_size=10, hidden_size=20, output_size=3)", "BenchmarkReport(model_name)"),
        "BenchmarkReport.benchmark_model(model, X_test, y_test, num_runs=100)",
        "generate_submission(baseline_report, optimized_report=None, student_name=None, techniques_applied=None)",
        "save_submission(submission, filepath='submission.json')",
        *("validate_submission_schema(submission)", "qualifies_event(metrics, event)"),
    ],
    "tinytorch.capstone": [
        "SimpleMLP",
        "BenchmarkReport",
        "generate_submission",
        "save_submission",
        "validate_submission_schema",
    ],
}
TOP_LEVEL = [
    *("Tensor", "Sigmoid", "ReLU", "Tanh", "GELU", "Softmax", "Layer", "Linear", "Dropout", "Sequential"),
    *("MSELoss", "CrossEntropyLoss", "BinaryCrossEntropyLoss", "Dataset", "TensorDataset", "DataLoader"),
    *("RandomHorizontalFlip", "RandomCrop", "Compose", "SGD", "Adam", "AdamW", "Trainer", "CosineSchedule"),
    *("clip_grad_norm", "Conv2d", "MaxPool2d", "AvgPool2d", "Tokenizer", "CharTokenizer", "BPETokenizer"),
    *("Embedding", "PositionalEncoding", "EmbeddingLayer", "MultiHeadAttention", "scaled_dot_product_attention"),
    *("LayerNorm", "MLP", "TransformerBlock", "GPT", "TinyGPT", "create_causal_mask", "Profiler"),
    *("quick_profile", "Quantizer", "quantize_int8", "dequantize_int8", "magnitude_prune", "structured_prune"),
    *("low_rank_approximate", "Compressor", "vectorized_matmul", "fused_gelu", "tiled_matmul", "KVCache"),
    *("enable_kv_cache", "disable_kv_cache", "__version__", "olympics", "capstone"),
]
ENTRIES = [(module, entry) for module, entries in INTERFACE.items() for entry in entries]


def found(module, entry):
    """Return the object that an entry names."""
    value = import_module(module)
    for part in entry.partition("(")[0].split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize(("module", "entry"), ENTRIES)
def test_every_name_takes_what_the_course_gives_it(module, entry):
    """The parameters begin with the course's, in its order; where it has a default ours is the same; others are ours.

    What is ours beyond them has a default, so that the course's calls work.
    """
    value = found(module, entry)
    if "(" not in entry:
        return
    own = [p for p in inspect.signature(value).parameters.values() if p.name != "self"]
    wanted = ast_parameters(entry)
    for parameter, (name, default) in zip(own, wanted, strict=False):
        assert parameter.name == name
        if default is not None:
            assert parameter.default == eval(default)
    names = {parameter.name for parameter in own}
    assert {name for name, _ in wanted} <= names
    ours = [p for p in own if p.name not in dict(wanted)]
    assert all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in ours)


def ast_parameters(entry):
    """Return [(name, default text or None)] of "f(a, b=1)"."""
    template = inspect.signature(eval(f"lambda {entry.partition('(')[2].removesuffix(')')}: None"))
    return [(p.name, None if p.default is p.empty else repr(p.default)) for p in template.parameters.values()]


@pytest.mark.parametrize("name", TOP_LEVEL)
def test_the_package_has_every_name(name):
    """At the top level."""
    assert getattr(tinytorch, name) is not None


LAYERS = [
    lambda: tinytorch.Linear(4, 4),
    lambda: tinytorch.ReLU(),
    lambda: tinytorch.Softmax(),
    lambda: tinytorch.Dropout(0.1),
    lambda: tinytorch.LayerNorm(4),
    lambda: tinytorch.MLP(4),
    lambda: tinytorch.MultiHeadAttention(4, 2),
    lambda: tinytorch.TransformerBlock(4, 2),
    lambda: tinytorch.PositionalEncoding(8, 4),
]


@pytest.mark.parametrize("make", LAYERS)
def test_every_layer_can_be_called_and_lists_its_parameters(make):
    """forward, __call__ and parameters(), weight before bias; results are float32 tensors."""
    layer, x = make(), Tensor(np.ones((2, 3, 4)))
    layer.eval()
    np.testing.assert_array_equal(layer(x).data, layer.forward(x).data)
    assert layer(x).dtype == np.float32
    parameters = layer.parameters()
    assert isinstance(parameters, list)
    assert all(isinstance(p, Tensor) and p.requires_grad for p in parameters)
