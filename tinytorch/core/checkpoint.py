"""Checkpoint files: named arrays and JSON facts in one .npz without any pickle, written so that a kill leaves no half.

Also the states of the random generators that training draws from, without which no resumption is exact.
"""

from __future__ import annotations

import json
import os
import tokenize
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.core.function import Array
from tinytorch.core.layer import walk
from tinytorch.core.layers import Dropout
from tinytorch.core.optimizers import SGD, Adam, Optimizer

__all__ = [
    "random_states",
    "read_checkpoint",
    "restore_arrays",
    "restore_random_states",
    "running_statistics",
    "training_arrays",
    "write_checkpoint",
]

FACTS = "facts"

# What zipfile and NumPy raise for a file with a wrong byte: of its headers, too.
_DAMAGE = (
    EOFError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
)


def write_checkpoint(path: str | Path, facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write the file so that `path` holds either what was there before or all of this, whenever the process ends."""
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    try:
        with unfinished.open("wb") as file:
            np.savez(file, **{FACTS: text}, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return facts and arrays; raises ValueError for a file that `write_checkpoint` did not write."""
    try:
        with np.load(Path(path), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except _DAMAGE as error:
        found = f"found no .npz file of arrays ({error})"
        raise ValueError(f"{path}: {found}, expected a checkpoint written by save_checkpoint().") from error
    if FACTS not in arrays:
        raise ValueError(f"{path}: found no training facts, expected a checkpoint written by save_checkpoint().")
    try:
        facts = json.loads(arrays.pop(FACTS).tobytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: found facts that are no JSON ({error}), expected a checkpoint.") from error
    if not isinstance(facts, dict):
        raise ValueError(f"{path}: found facts that are no JSON object, expected a checkpoint.")
    return facts, arrays


def random_states(model: Any, rng: np.random.Generator | None = None) -> dict[str, Any]:
    """Return as JSON where NumPy's global generator stands, `rng`, and those that the model's Dropouts have."""
    return {
        "global": _plain(np.random.get_state(legacy=False)),
        "rng": None if rng is None else _plain(rng.bit_generator.state),
        "dropout": [None if layer.rng is None else _plain(layer.rng.bit_generator.state) for layer in _dropouts(model)],
    }


def restore_random_states(states: Mapping[str, Any], model: Any, rng: np.random.Generator | None = None) -> None:
    """Set the generators to what `random_states` returned; raises ValueError where the model has others."""
    dropouts = _dropouts(model)
    kinds = [layer.rng is None for layer in dropouts]
    if not isinstance(states, Mapping) or not {"dropout", "global", "rng"} <= states.keys():
        raise ValueError("The checkpoint's states of random generators are not there: global, rng and dropout.")
    if [state is None for state in states["dropout"]] != kinds or (rng is None) != (states["rng"] is None):
        raise ValueError(
            f"The checkpoint has generators for {len(states['dropout'])} Dropouts, the model {len(dropouts)}, or one "
            "side draws from a generator where the other draws from NumPy's global state."
        )
    try:
        np.random.set_state(states["global"])
        if rng is not None:
            rng.bit_generator.state = states["rng"]
        for layer, state in zip(dropouts, states["dropout"], strict=True):
            if layer.rng is not None:
                layer.rng.bit_generator.state = state
    except (IndexError, KeyError, OverflowError, TypeError, ValueError) as error:  # what a made-up state leads to
        raise ValueError(
            f"The checkpoint's states of random generators are none that NumPy knows: {error!r}."
        ) from error


def training_arrays(model: Any, optimizer: Optimizer) -> dict[str, Array | None]:
    """Name everything that training changes; None for optimizer buffers not yet in use."""
    named: dict[str, Array | None] = {f"parameter.{i}": p.data for i, p in enumerate(model.parameters())}
    named |= {f"running.{i}.{name}": a for i, name, a in running_statistics(model)}
    for kind, buffers in _optimizer_buffers(optimizer).items():
        named |= {f"{kind}.{i}": b for i, b in enumerate(buffers)}
    return named


def restore_arrays(path: str | Path, stored: Mapping[str, Array], model: Any, optimizer: Optimizer) -> None:
    """Set what `training_arrays` names to `stored`; raises ValueError, before any change, for other arrays."""
    own = training_arrays(model, optimizer)
    shapes = {name: p.shape for name, p in zip(own, model.parameters(), strict=False)}
    found = {name: a.shape for name, a in stored.items() if name.startswith("parameter.")}
    if found != shapes:
        raise ValueError(f"{path}: found parameters of shapes {found}, expected {shapes}.")
    if unknown := set(stored) - set(own):
        raise ValueError(f"{path}: found {sorted(unknown)}, which this model and optimizer do not have.")
    shapes |= {name: a.shape for name, a in own.items() if a is not None}
    shapes |= {f"{kind}.{i}": p.shape for kind in _optimizer_buffers(optimizer) for i, p in enumerate(optimizer.params)}
    for name, shape in shapes.items():
        if name not in stored and own[name] is not None and not name.startswith(tuple(_optimizer_buffers(optimizer))):
            raise ValueError(f"{path}: found no {name}, expected float32 of shape {shape}.")
        if name in stored and (stored[name].shape != shape or stored[name].dtype != np.float32):
            found_there = f"{stored[name].dtype} of shape {stored[name].shape}"
            raise ValueError(f"{path}: found {name} as {found_there}, expected float32 of shape {shape}.")
    for i, p in enumerate(model.parameters()):
        p.data[...] = stored[f"parameter.{i}"]  # in place: convolution weights keep their memory layout
    for i, name, array in running_statistics(model):
        array[...] = stored[f"running.{i}.{name}"]
    for kind, buffers in _optimizer_buffers(optimizer).items():
        buffers[:] = [_laid_out_as(p.data, stored.get(f"{kind}.{i}")) for i, p in enumerate(optimizer.params)]


def _laid_out_as(parameter: Array, values: Array | None) -> Array | None:
    """Return the values in the memory order of a parameter, so that updates are as quick as before."""
    if values is None:
        return None
    buffer = np.empty_like(parameter)
    buffer[...] = values
    return buffer


def running_statistics(model: Any) -> list[tuple[int, str, Array]]:
    """List the arrays that layers hold beside their parameters, not what a state is made of anew (of sparse ones)."""
    found = []
    for i, layer in enumerate(walk(model)):
        trained = {id(p.data) for p in layer.parameters()}
        others = {name: array for name, array in layer.state().items() if id(array) not in trained}
        again = layer.state() if others else {}
        found += [(i, name, array) for name, array in others.items() if np.may_share_memory(array, again[name])]
    return found


def _optimizer_buffers(optimizer: Optimizer) -> dict[str, list[Array | None]]:
    if isinstance(optimizer, Adam):
        return {"m": optimizer.m_buffers, "v": optimizer.v_buffers}
    return {"momentum": optimizer.momentum_buffers} if isinstance(optimizer, SGD) else {}


def _dropouts(model: Any) -> list[Dropout]:
    return [layer for layer in walk(model) if isinstance(layer, Dropout)]


def _plain(state: Any) -> Any:
    """Return a generator's state with lists for arrays and plain numbers for NumPy's."""
    if isinstance(state, Mapping):
        return {name: _plain(value) for name, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray | np.generic) else state
