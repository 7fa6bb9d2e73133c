"""The course's compression: magnitude and structured pruning, low-rank factors, distillation.

`magnitude_prune` sets weights to zero and leaves layers and bytes as they are; `structured_prune` removes units, so
that arrays shrink; `Compressor.compress_model` stores what is pruned sparse. Sizes reported are bytes that are held.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tinytorch.core.activations import Softmax
from tinytorch.core.function import Array
from tinytorch.core.layers import Linear
from tinytorch.core.losses import CrossEntropyLoss, log_softmax
from tinytorch.core.spatial import Conv2d
from tinytorch.core.tensor import Tensor
from tinytorch.models.network import Network
from tinytorch.passes import structured_prune as structured_pass
from tinytorch.perf.structure import held_bytes, parameters_of, slots
from tinytorch.runtime.sparse import SparseConv2d, SparseLinear

__all__ = [
    "Compressor",
    "KnowledgeDistillation",
    "low_rank_approximate",
    "magnitude_prune",
    "measure_sparsity",
    "structured_prune",
    "verify_pruning_works",
]


def measure_sparsity(model: Any) -> float:
    """Return the percentage (0 to 100) of zeros among the weights, the parameters with more than one axis."""
    weights = _weights(model)
    total = sum(w.size for w in weights)
    return 100.0 * sum(w.size - int(np.count_nonzero(w.data)) for w in weights) / total if total else 0.0


def magnitude_prune(model: Any, sparsity: float = 0.9) -> Any:
    """Set the `sparsity` share of all weights with the least magnitude to zero, in place, and return the model.

    One threshold for the whole model [Han et al., 2015]; exactly round(sparsity·n) weights go, biases stay. The arrays
    keep their size: Compressor.compress_model stores them sparse. Raises ValueError for a share outside [0, 1] and for
    a model with quantized weights.
    """
    _check_share("sparsity", sparsity)
    weights = _weights(model)
    if any(w.dtype != np.float32 for w in weights):
        raise ValueError(
            f"{type(model).__name__} has quantized weights, which cannot be pruned: call magnitude_prune first, then "
            "quantize_model."
        )
    if not weights:
        return model
    magnitudes = np.concatenate([np.abs(w.data).ravel() for w in weights])
    pruned = np.zeros(magnitudes.size, bool)
    pruned[np.argsort(magnitudes, kind="stable")[: round(sparsity * magnitudes.size)]] = True
    start = 0
    for weight in weights:
        weight.data[pruned[start : start + weight.size].reshape(weight.shape)] = 0.0
        start += weight.size
    return model


def structured_prune(model: Any, prune_ratio: float = 0.5, input_shape: tuple[int, ...] | None = None) -> Any:
    """Remove the `prune_ratio` share of least important units from every hidden layer, in place; return the model.

    Units are neurons and channels; this layer and the one that reads it really shrink, the outputs stay. The model's
    layers must run in the order they are defined in. `input_shape` is that of one sample, (C, H, W) for images; it may
    be left out if the first layer is a Linear. Raises ValueError if it is needed, if shapes do not fit each other, or
    for a ratio outside [0, 1), and NoEffectError if no unit can go.
    """
    _check_share("prune_ratio", prune_ratio)
    network = model if isinstance(model, Network) else _as_network(model, input_shape)
    smaller, _, _ = structured_pass.apply(network, structured_pass.Settings(sparsity=prune_ratio), {}, 0)
    for (_, layer), (_, pruned) in zip(network.named_layers(), smaller.named_layers(), strict=True):
        vars(layer).update(vars(pruned))  # whoever holds the layer sees it shrink
    return model


def low_rank_approximate(weight_matrix: Tensor | npt.ArrayLike, rank_ratio: float = 0.5) -> tuple[Array, Array, Array]:
    """Return (U (m, k), S (k,), V (k, n)) with W ≈ U·diag(S)·V, the best of rank k = max(1, ⌊ratio·min(m, n)⌋).

    [Eckart & Young, 1936] Raises ValueError unless W is a matrix and the ratio is in (0, 1].
    """
    matrix = np.asarray(weight_matrix.data if isinstance(weight_matrix, Tensor) else weight_matrix, np.float32)
    if matrix.ndim != 2 or not 0 < rank_ratio <= 1:
        raise ValueError(
            f"low_rank_approximate needs a matrix and a rank_ratio in (0, 1], but got shape {matrix.shape} and "
            f"{rank_ratio}."
        )
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    k = max(1, int(rank_ratio * min(matrix.shape)))
    return u[:, :k], s[:k], v[:k]


class KnowledgeDistillation:
    """Teach a student the softened outputs of a teacher [Hinton et al., 2015].

    The loss is alpha·T²·KL(teacher ‖ student at temperature T) + (1-alpha)·cross-entropy with the labels.
    """

    def __init__(self, teacher_model: Any, student_model: Any, temperature: float = 3.0, alpha: float = 0.7) -> None:
        if temperature <= 0:
            raise ValueError(f"The temperature must be positive, but is {temperature}.")
        _check_share("alpha", alpha)
        self.teacher_model, self.student_model = teacher_model, student_model
        self.temperature, self.alpha = temperature, alpha

    def distillation_loss(self, student_logits: Tensor, teacher_logits: Tensor, true_labels: Any) -> Tensor:
        """Return the loss as a 0-d tensor with a gradient for the student; logits (B, C), class ids (B,)."""
        if student_logits.shape != teacher_logits.shape:
            raise ValueError(
                f"Student and teacher must score the same classes, but their logits have shapes {student_logits.shape} "
                f"and {teacher_logits.shape}."
            )
        fixed = Tensor(teacher_logits.data / np.float32(self.temperature))
        wanted = Softmax().forward(fixed)
        gap = log_softmax(fixed) - log_softmax(student_logits / self.temperature)
        soft = (wanted * gap).sum() / student_logits.shape[0] * self.temperature**2
        return soft * self.alpha + CrossEntropyLoss()(student_logits, true_labels) * (1 - self.alpha)


class Compressor:
    """The course's static functions, with shares from 0 to 1."""

    @staticmethod
    def measure_sparsity(model: Any) -> float:
        """Return the share (0 to 1) of zeros among the weights."""
        return measure_sparsity(model) / 100.0

    @staticmethod
    def magnitude_prune(model: Any, sparsity: float = 0.9) -> Any:
        """Set weights to zero, in place."""
        return magnitude_prune(model, sparsity)

    @staticmethod
    def structured_prune(model: Any, prune_ratio: float = 0.5) -> Any:
        """Remove units, in place."""
        return structured_prune(model, prune_ratio)

    @staticmethod
    def compress_model(model: Any, compression_config: Mapping[str, float]) -> tuple[Any, dict[str, float]]:
        """Prune as told, store what is sparse so where that is smaller, and return the model with the figures.

        The config may have `structured_prune_ratio` and `magnitude_sparsity`, applied in this order; another key is a
        ValueError. `compression_ratio` is bytes held before over bytes held after.
        """
        unknown = set(compression_config) - {"structured_prune_ratio", "magnitude_sparsity"}
        if unknown:
            raise ValueError(
                f"compress_model knows structured_prune_ratio and magnitude_sparsity, not {sorted(unknown)}."
            )
        original_sparsity, original_bytes = Compressor.measure_sparsity(model), held_bytes(model)
        if compression_config.get("structured_prune_ratio"):
            structured_prune(model, compression_config["structured_prune_ratio"])
        if compression_config.get("magnitude_sparsity"):
            magnitude_prune(model, compression_config["magnitude_sparsity"])
            _store_sparse(model)
        return model, {
            "original_sparsity": original_sparsity,
            "final_sparsity": Compressor.measure_sparsity(model),
            "compression_ratio": original_bytes / held_bytes(model),
        }


def verify_pruning_works(model: Any, target_sparsity: float = 0.8) -> dict[str, Any]:
    """Return the share of zero weights, the counts, and in `verified` whether the share is at least the target."""
    weights = _weights(model)
    total = sum(w.size for w in weights)
    zeros = total - sum(int(np.count_nonzero(w.data)) for w in weights)
    sparsity = zeros / total if total else 0.0
    # round(): magnitude_prune removes a whole number of weights
    return {
        "sparsity": sparsity,
        "target_sparsity": target_sparsity,
        "zero_params": zeros,
        "total_params": total,
        "verified": zeros >= round(target_sparsity * total),
    }


def _as_network(model: Any, input_shape: tuple[int, ...] | None) -> Network:
    """Return the layers of `model`, in order of definition, as a network around the same layers."""
    layers = {f"layer{i}": slot.get() for i, slot in enumerate(slots(model))}
    if not layers:
        raise ValueError(f"structured_prune found no layers inside {type(model).__name__}.")
    first = layers["layer0"]
    if input_shape is None and isinstance(first, Linear):
        input_shape = (first.in_features,)
    if input_shape is None:
        raise ValueError(
            f"structured_prune cannot tell the input's shape from a first layer {type(first).__name__}: "
            "pass input_shape, such as (channels, height, width)."
        )
    return Network(layers, input_shape)


def _store_sparse(model: Any) -> None:
    for slot in slots(model):
        layer = slot.get()
        if isinstance(layer, Linear):
            sparse: SparseLinear | SparseConv2d = SparseLinear(layer, layer.weight.data != 0)
        elif isinstance(layer, Conv2d):
            sparse = SparseConv2d(layer, layer.weight.data != 0)
        else:
            continue
        if held_bytes(sparse) < held_bytes(layer):
            slot.put(sparse)


def _weights(model: Any) -> list[Tensor]:
    return [p for p in parameters_of(model) if p.ndim > 1]


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is a share from 0 to 1, but got {value}. Write 90 % as 0.9.")
