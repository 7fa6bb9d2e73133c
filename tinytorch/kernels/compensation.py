"""Round weights to integers such that the errors of an output's weights cancel on the inputs that were seen.

The inputs of a layer are in its Gram matrix X^T X alone. Weights are rounded one input after the other; what
rounding an input's weight changes in the outputs is made up for by the weights not yet rounded, as well as the inputs
allow (least squares). [Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", 2022, algorithm 1; a pruned weight is rounded to zero and made up for in the same way: Frantar and
Alistarh, "SparseGPT", 2023]
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.kernels.quantized import QMAX, group_slices, quantize_weights

__all__ = ["DAMPING", "compensated_weights"]

Array: TypeAlias = NDArray[Any]

DAMPING = 0.01  # of the mean of the diagonal, added to it: the paper's, so that unseen directions stay well conditioned
_BLOCK = 128  # inputs whose updates of all later ones are made together, as one product


def compensated_weights(
    weights: Array, gram: Array, bits: int, per_channel: bool, group: int | None, kept: Array | None = None
) -> tuple[Array, Array]:
    """Return weights (O, I, ...) as int8 with their scales, as `quantize_weights` and `quantize_groups` do.

    `gram` (K, K) is X^T X of the inputs of one output, K = I times the window; `kept` (O, K), if given, says which
    weights may differ from zero. The scale of a group comes from its weights as they are when its turn comes. (Scales
    fitted to the least squared error in place of the maximum were tried: next to no difference after compensation.)
    Raises ValueError for what is not finite.
    """
    outputs, inputs = weights.shape[:2]
    rows = weights.reshape(outputs, -1).astype(np.float64)
    window = rows.shape[1] // inputs
    if not np.isfinite(gram).all():
        raise ValueError("the inputs it was to be fitted to are not finite, or too large to be squared")
    factor = _inverse_factor(gram)
    integers = np.zeros(rows.shape, np.int8)
    scale = quantize_weights(weights, bits, per_channel)[1] if group is None else None
    scales = []
    for part in group_slices(inputs, group):
        columns = slice(part.start * window, part.stop * window)
        if group is not None:
            scales.append(quantize_weights(rows[:, columns].astype(np.float32), bits, True)[1])
        of_part = scales[-1] if scale is None else np.broadcast_to(scale, outputs)
        for start in range(columns.start, columns.stop, _BLOCK):
            block = slice(start, min(start + _BLOCK, columns.stop))
            _round_block(rows, integers, block, factor, (of_part, QMAX[bits]), kept)
    whole = np.stack(scales, axis=1) if scale is None else scale
    return integers.reshape(weights.shape), whole


def _inverse_factor(gram: Array) -> Array:
    """Return the upper triangular U with U^T U = (gram + damping)^-1; an unseen input makes up for nothing."""
    damped = gram.astype(np.float64)
    diagonal = np.einsum("ii->i", damped)  # a view
    diagonal += DAMPING * float(diagonal.mean()) or 1.0
    factor: Array = np.linalg.cholesky(np.linalg.inv(damped)).T
    return factor


def _round_block(
    rows: Array, integers: Array, block: slice, factor: Array, grid: tuple[Array, int], kept: Array | None
) -> None:
    """Round the columns `block` of `rows` into `integers`, and change the columns after them to make up for it."""
    scale, limit = grid
    errors = np.zeros((len(rows), block.stop - block.start))
    for column in range(block.start, block.stop):
        rounded = np.clip(np.rint(rows[:, column] / scale), -limit, limit)
        if kept is not None:
            rounded *= kept[:, column]
        integers[:, column] = rounded
        error = (rows[:, column] - rounded * scale) / factor[column, column]
        rows[:, column + 1 : block.stop] -= np.outer(error, factor[column, column + 1 : block.stop])
        errors[:, column - block.start] = error
    rows[:, block.stop :] -= errors @ factor[block, block.stop :]
