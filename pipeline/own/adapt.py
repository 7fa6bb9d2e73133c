"""A user's function as what the tables of tinytorch have: a module with ARGS and build, load or apply.

What a function takes by keyword only are its arguments in an experiment file, each with a default that JSON can hold;
what it takes by position says what it needs. What it returns is checked, and what it raises is told with its line.
"""

from __future__ import annotations

import functools
import inspect
import json
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np

from pipeline.core.errors import UserError
from tinytorch.arguments import Argument, with_defaults
from tinytorch.data.split import Dataset, Split
from tinytorch.errors import NoEffectError
from tinytorch.models.network import Network
from tinytorch.passes.effect import Effect, measure_effect
from tinytorch.serialization import LAYERS, clone, dumps

__all__ = ["ADAPTERS", "adapted"]

_MOST_FILES = 1_000_000
Function = Callable[..., Any]


def adapted(kind: str, name: str, function: Any, where: str) -> ModuleType:
    """Return what a table's entry offers, of a function or of an object that offers it already; raises UserError."""
    adapt, offers, _ = ADAPTERS[kind]
    if not callable(function) or isinstance(function, type):
        lacking = [part for part in offers if not hasattr(function, part)]
        if lacking:
            raise UserError(
                f"{where}: {name} is neither a function nor has it {', '.join(lacking)}",
                hint=f"give a function {_wanted(kind)}, or a module or class with {', '.join(offers)}",
            )
        return _module(name, function.__doc__, {part: getattr(function, part) for part in offers})
    return _module(name, function.__doc__, adapt(name, _Call(kind, name, function, where)))


class _Call:
    """A user's function, its signature checked; calling it names the line of whatever it raises unexpectedly."""

    def __init__(self, kind: str, name: str, function: Function, where: str) -> None:
        self.name, self.where, self._function = name, where, function
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: {name} is no function whose parameters can be read: {error}") from error
        self.needs = tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
        self.args: dict[str, Any] = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        required, optional = _TAKES[kind]
        is_right = self.needs[: len(required)] == required and set(self.needs[len(required) :]) <= set(optional)
        if not is_right or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
            raise UserError(
                f"{where}: {name}{inspect.signature(function)} does not take what a function of {kind} takes",
                hint=f"expected {_wanted(kind)}",
            )
        for argument, default in self.args.items():
            if default is inspect.Parameter.empty or not _is_json(default):
                found = "no default" if default is inspect.Parameter.empty else f"the default {default!r}"
                raise UserError(
                    f"{where}: argument {argument} of {name} has {found}",
                    hint="every argument of an experiment file has a default: a number, text, list, mapping or None",
                )

    def chosen(self, args: Mapping[str, Argument]) -> dict[str, Argument]:
        """Return the arguments over their defaults; raises ValueError for one that there is not."""
        return with_defaults(self.name, self.args, args)

    def __call__(self, *given: Any, **args: Any) -> Any:
        try:
            return self._function(*given, **args)
        except (MemoryError, ValueError):  # an argument out of range is told where it is written
            raise
        except Exception as error:  # whatever else a user's code raises is told with its line
            raise UserError(
                f"{self.where}: {self.name} failed: {type(error).__name__}: {error}", hint=_line(error, self.where)
            ) from error

    def refuse(self, found: Any, expected: str) -> UserError:
        """Return the error for a result of another kind."""
        return UserError(f"{self.where}: {self.name} returned {found}, expected {expected}")


def _model(name: str, call: _Call) -> dict[str, Any]:
    def build(input_shape: tuple[int, ...], classes: int, rng: np.random.Generator, **args: Argument) -> Network:
        network = call(tuple(input_shape), classes, rng, **call.chosen(args))
        if not isinstance(network, Network):
            raise call.refuse(f"a {type(network).__name__}", "a tinytorch.models.network.Network")
        _check_stored(call, network)
        if network.input_shape != tuple(input_shape):
            raise call.refuse(f"a network for samples {network.input_shape}", f"one for {tuple(input_shape)}")
        if network.output_shape(network.input_shape) != (classes,):
            gives = network.output_shape(network.input_shape)
            raise call.refuse(f"a network that gives {gives}", f"one that gives a number for each class, ({classes},)")
        return network

    return {"ARGS": call.args, "build": build}


def _check_stored(call: _Call, network: Network) -> None:
    for name, layer in network.named_layers():
        if LAYERS.get(type(layer).__name__) is not type(layer):
            raise call.refuse(
                f"a network whose layer {name} is a {type(layer).__name__}",
                f"layers that are stored and timed as they are: {', '.join(LAYERS)}",
            )


def _data(name: str, call: _Call) -> dict[str, Any]:
    reads_files = "root" in call.needs

    def load(root: Path | None, seed: int, **args: Argument) -> Dataset:
        dataset = call(root, **call.chosen(args)) if reads_files else call(**call.chosen(args))
        if not isinstance(dataset, Dataset):
            raise call.refuse(f"a {type(dataset).__name__}", "a tinytorch.data.split.Dataset")
        return dataset

    @functools.cache
    def task(args: str) -> tuple[tuple[int, int, int], int]:
        dataset = load(None, 0, **json.loads(args))
        return dataset.train.shape, len(dataset.classes)

    def shape(**args: Argument) -> tuple[int, int, int] | None:
        return None if reads_files else task(json.dumps(args, sort_keys=True))[0]

    def classes_count(**args: Argument) -> int | None:
        return None if reads_files else task(json.dumps(args, sort_keys=True))[1]

    def files(root: Path | None, **args: Argument) -> list[Path]:
        if not reads_files:
            return []
        if root is None:
            raise ValueError(f"{name} reads files, and needs a root: the folder they are in")
        found = sorted(path for path in Path(root).rglob("*") if path.is_file())
        if not 0 < len(found) <= _MOST_FILES:
            raise ValueError(f"{root} has {len(found)} files, expected 1 to {_MOST_FILES:,}")
        return found

    return {"ARGS": call.args, "classes_count": classes_count, "files": files, "load": load, "shape": shape}


@dataclass(frozen=True)
class _Settings:
    """What the step `custom` says besides the pass's name."""

    args: Mapping[str, Argument]
    allow_no_effect: bool = False

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        return cls(params["args"], params["allow_no_effect"])


def _pass(name: str, call: _Call) -> dict[str, Any]:
    def apply(
        model: Network, settings: _Settings, data: Mapping[str, Split], seed: int
    ) -> tuple[Network, Effect, list[dict[str, Any]] | None]:
        args = call.chosen(settings.args)
        given = {"rng": np.random.default_rng(seed), **data}
        result = call(clone(model), *(given[need] for need in call.needs[1:]), **args)
        if not isinstance(result, Network):
            raise call.refuse(f"a {type(result).__name__}", "the changed network")
        _check_stored(call, result)
        shapes = [(one.input_shape, one.output_shape(one.input_shape)) for one in (model, result)]
        if shapes[0] != shapes[1]:
            raise call.refuse(f"a network from and to {shapes[1]}", f"one from and to {shapes[0]}")
        if dumps(result) == dumps(model) and not settings.allow_no_effect:
            raise NoEffectError(f"custom: {name} changed nothing")
        return _effect(name, args, model, clone(result))

    return {"ARGS": call.args, "NEEDS": frozenset(call.needs[1:]) - {"rng"}, "Settings": _Settings, "apply": apply}


def _effect(
    name: str, args: dict[str, Argument], model: Network, result: Network
) -> tuple[Network, Effect, list[dict[str, Any]] | None]:
    """Return the network with what changed: a layer whose arrays did is one that the pass worked on."""
    after = dict(result.named_layers())
    touched = {key: args for key, layer in model.named_layers() if key not in after or _differ(layer, after[key])}
    # Zeros that are multiplied like other weights gain nothing: that is what "simulated" means.
    is_simulated = result.nonzero_count() < model.nonzero_count() and result.macs() >= model.macs()
    return result, measure_effect(name, args, model, result, touched, simulated=is_simulated), None


def _differ(one: Any, other: Any) -> bool:
    old, new = one.state(), other.state()
    return (
        type(one) is not type(other)
        or old.keys() != new.keys()
        or any(not np.array_equal(old[key], new[key]) for key in old)
    )


def _metric(name: str, call: _Call) -> dict[str, Any]:
    def measure(predicted: np.ndarray, labels: np.ndarray) -> float:
        value = call(predicted, labels, **call.args)
        try:
            found = float(value)
        except (TypeError, ValueError) as error:
            raise call.refuse(repr(value)[:80], "a number") from error
        if not np.isfinite(found):
            raise call.refuse(str(found), "a finite number")
        return found

    return {"measure": measure}


# kind -> (adapter of a function, what an object offers instead of one, what a class or module has to have)
ADAPTERS: dict[str, tuple[Callable[[str, _Call], dict[str, Any]], tuple[str, ...], str]] = {
    "data": (_data, ("ARGS", "classes_count", "files", "load", "shape"), "(*, argument=default) or (root, *, …)"),
    "metrics": (_metric, ("measure",), "(predicted, labels)"),
    "models": (_model, ("ARGS", "build"), "(input_shape, classes, rng, *, argument=default, …)"),
    "passes": (
        _pass,
        ("ARGS", "NEEDS", "Settings", "apply"),
        "(model, *, argument=default, …), after model also train, validation and rng where it needs them",
    ),
}

# kind -> (what a function of it takes by position, what it may take after that)
_TAKES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "data": ((), ("root",)),
    "metrics": (("predicted", "labels"), ()),
    "models": (("input_shape", "classes", "rng"), ()),
    "passes": (("model",), ("train", "validation", "rng")),
}


def _wanted(kind: str) -> str:
    return ADAPTERS[kind][2]


def _module(name: str, doc: str | None, members: Mapping[str, Any]) -> ModuleType:
    module = ModuleType(name, inspect.cleandoc(doc or ""))
    for member, value in members.items():
        setattr(module, member, value)
    return module


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, tuple)


def _line(error: Exception, where: str) -> str:
    """Return the deepest line of the user's own file in a traceback, else the deepest of all."""
    frames: Iterable[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).name == where] or list(frames)
    return f"{own[-1].filename}:{own[-1].lineno}: {own[-1].line}" if own else ""
