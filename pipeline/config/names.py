"""Names that only tinytorch knows: datasets, architectures, their arguments, and the layers a step's globs mean.

A model is built (untrained) to ask it for its layers; where the dataset is not known, with stand-ins for its samples.
This is the one file of the configuration that needs NumPy; it is imported by the checker alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from pipeline.config.finding import Finding, clipped, nearest
from pipeline.config.paths import Path
from pipeline.core.experiment import JSON
from pipeline.own.use import find_installed
from tinytorch.data import DATASETS, OF_ONE_FILE, load_dataset_module
from tinytorch.errors import ModelFileError
from tinytorch.models import MODELS, STORED, load_model_module
from tinytorch.passes import KINDS, STEPS, kinds, load_pass, needs, resolve
from tinytorch.passes.targets import covers, match
from tinytorch.weights import load_weights, stored_network

__all__ = [
    "Layers",
    "STAND_INS",
    "Samples",
    "data_findings",
    "data_samples",
    "layers_after",
    "model_layers",
    "step_findings",
]

_OWN = "; --use FILE.py adds your own"
_CLASSES = 10  # for datasets whose classes only their files tell; layer names do not depend on it


class Samples(NamedTuple):
    """What a model has to know of its data: the shape (C, H, W) of a sample and the number of classes."""

    shape: tuple[int, ...]
    classes: int


# For a dataset that is not known: what is wrong with a model for all of these is wrong whatever the dataset.
STAND_INS = (Samples((1, 8, 8), _CLASSES), Samples((3, 32, 32), _CLASSES))


class Layers(NamedTuple):
    """The layers of a model in execution order: name -> type name."""

    kinds: Mapping[str, str]

    def of(self, kinds: Sequence[str]) -> list[str]:
        """Return the names of the layers of these types."""
        return [name for name, kind in self.kinds.items() if kind in kinds]


def data_findings(data: Mapping[str, JSON]) -> Iterator[Finding]:
    """Yield what is wrong with the dataset's name, arguments and root; `data` has its defaults filled."""
    name, args = data["name"], data["args"]
    if name not in DATASETS and not find_installed("data", name):
        message = f'there is no dataset "{clipped(name)}"{nearest(name, DATASETS)}'
        yield Finding("E131", ("data", "name"), message, f"datasets: {', '.join(sorted(DATASETS))}{_OWN}")
        return
    module = load_dataset_module(name)
    yield from _unknown_args(f"dataset {name}", module, args, ("data", "args"))
    yield from _made("E131", module.shape, _known_args(module, args), ("data", "args"))[1]
    if data.get("root") is None and _needs_root(name):
        message = f"{name} needs a root: the folder with its files"
        yield Finding("E131", ("data",), message, f"for example {{name: {name}, root: data/{name}}}", at_key=True)
    if data.get("root") is not None and not _needs_root(name):
        message = f"{name} reads no files, so a root means nothing to it"
        if name in OF_ONE_FILE:
            message = f"{name} is read from a single file, and has no root"
        yield Finding("E131", ("data", "root"), message, f"path: {data['root']}" if name in OF_ONE_FILE else "")


def data_samples(data: Mapping[str, JSON]) -> Sequence[Samples]:
    """Return what the samples of a (valid) dataset look like, or may where only its files tell."""
    module = load_dataset_module(data["name"])
    shape = module.shape(**data["args"])
    return STAND_INS if shape is None else [Samples(shape, module.classes_count(**data["args"]) or _CLASSES)]


def model_layers(samples: Sequence[Samples], model: Mapping[str, JSON]) -> tuple[Layers | None, list[Finding]]:
    """Return the layers of a model, or None and what is wrong with the model.

    Of several kinds of samples that it may get, it has to fit one, and only what all of them show is wrong with it.
    """
    arch, args = model["arch"], model["args"]
    if arch == STORED:
        return _stored_layers(samples, model)
    if arch not in MODELS and not find_installed("models", arch):
        message = f'there is no architecture "{clipped(arch)}"{nearest(arch, MODELS)}'
        return None, [
            Finding("E132", ("model", "arch"), message, f"architectures: {', '.join(sorted((*MODELS, STORED)))}{_OWN}")
        ]
    module, path = load_model_module(arch), ("model", "args")
    unknown = list(_unknown_args(f"architecture {arch}", module, args, path))
    known = _known_args(module, args)
    tries = []
    for shape, classes in samples:

        def build(*, shape: tuple[int, ...] = shape, classes: int = classes, **given: JSON) -> Any:
            return module.build(shape, classes, np.random.default_rng(0), **given)

        tries.append(_made("E132", build, known, path))
    wrong = [finding for finding in tries[0][1] if all(finding in findings for _, findings in tries)]
    network = next((network for network, findings in tries if not findings), None)
    if unknown or wrong or network is None:
        return None, unknown + wrong
    wrong = list(_weights_findings(network, model.get("weights"))) if len(samples) == 1 else []
    return Layers({name: type(layer).__name__ for name, layer in network.named_layers()}), wrong


def _stored_layers(samples: Sequence[Samples], model: Mapping[str, JSON]) -> tuple[Layers | None, list[Finding]]:
    """Return the layers of a network that is in a file, or None and what is wrong with that."""
    weights = model.get("weights")
    if not weights:
        message = "arch: stored needs the file of a network"
        return None, [Finding("E132", ("model", "arch"), message, "weights: {file: net.safetensors}")]
    if model["args"]:
        return None, [Finding("E132", ("model", "args"), "a stored network takes no arguments", at_key=True)]
    findings: list[Finding] = []
    for shape, classes in samples:
        try:
            network = stored_network(weights["file"], shape, classes if len(samples) == 1 else None)
        except (ModelFileError, OSError) as error:
            findings.append(Finding("E132", ("model", "weights", "file"), clipped(_said(error), 300)))
        else:
            return Layers({name: type(layer).__name__ for name, layer in network.named_layers()}), []
    return None, findings[:1] if len(samples) == 1 else []


def _weights_findings(network: Any, weights: Mapping[str, JSON] | None) -> Iterator[Finding]:
    """Yield why a file of weights does not fit the network."""
    if weights:
        try:
            load_weights(network, weights["file"], layout=weights.get("layout", "tinytorch"))
        except (ModelFileError, OSError) as error:
            yield Finding("E132", ("model", "weights", "file"), clipped(_said(error), 300))


def _said(error: Exception) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)


def step_findings(index: int, step: Mapping[str, JSON], layers: Layers, done: dict[str, str]) -> Iterator[Finding]:
    """Yield what is wrong with a step's globs, and with its place among the steps.

    `done` says which layers earlier steps have made "integers", or sparse by the method "block" or "magnitude"; what
    the step itself does is added.
    """
    use = next(name for name in step if name not in ("id", "when"))
    params: Mapping[str, JSON] = step[use]
    path: Path = ("optimize", index, use)
    if use == "custom":
        yield from _custom_findings(params, path)
        return
    technique = resolve(use, params)[0]
    if "integers" in done.values() and needs(technique) >= {"train", "validation"}:
        message = f"{technique} comes after quantize, and integer weights cannot be trained"
        yield Finding("E134", path, message, at_key=True)
        return
    if "targets" not in params:
        return
    types = kinds(use, params)
    names = layers.of(types)
    if not names and params.get("allow_no_effect"):
        return
    unmatched = list(_unmatched_globs(params, names, layers, types, path))
    yield from unmatched
    if unmatched:
        return
    chosen = match(names, params["targets"], params["except"], params.get("per_layer", {}))
    if not chosen and not params.get("allow_no_effect"):
        yield Finding("E133", (*path, "except"), f"this leaves {use} no layer to work on", at_key=True)
        return
    yield from _out_of_order(path, technique, [(name, done[name]) for name in chosen if name in done])
    for name, own in chosen.items():
        if made := _made_into(use, {**params, **own}):
            done[name] = made


def _custom_findings(params: Mapping[str, JSON], path: Path) -> Iterator[Finding]:
    """Yield what is wrong with the name and the arguments of a pass of the user's own."""
    name, valid = params["name"], STEPS["custom"][2]
    if name not in valid and not find_installed("passes", name):
        message = f'there is no pass "{clipped(name)}" of your own{nearest(name, valid)}'
        hint = f"passes: {', '.join(sorted(valid)) or 'none'}{_OWN}"
        yield Finding("E136", (*path, "name"), message, hint)
        return
    yield from _unknown_args(f"pass {name}", load_pass(name), params["args"], (*path, "args"))


# What a layer was made -> the step that did it, and the passes that can work on it no more; None: none can.
_TOO_LATE: dict[str, tuple[str, frozenset[str] | None]] = {
    "integers": ("quantize", None),
    "block": ("prune", frozenset({"low_rank", "magnitude_prune"})),
    "magnitude": ("prune", frozenset({"low_rank"})),
}


def _out_of_order(path: Path, technique: str, again: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    """Find a step that comes too late for layers of which earlier steps made something else."""
    for made, (before, refused) in _TOO_LATE.items():
        names = [name for name, what in again if what == made]
        if names and (refused is None or technique in refused):
            what = "made integers" if made == "integers" else f"pruned by method: {made}"
            message = f"{path[-1]} works on {', '.join(names[:3])}, which an earlier {before} has {what}"
            hint = f"move it before {before}, or leave these layers out with except"
            yield Finding("E134", path, message, hint, at_key=True)


def _made_into(use: str, settings: Mapping[str, JSON]) -> str | None:
    """Return what a step makes of a layer with these settings, as `step_findings` keeps it, if it matters later."""
    if settings.get("bits", 32) != 32 or (use == "budget" and settings["use"] == "quantize"):
        return "integers"
    if use == "prune" and settings["method"] != "structured" and settings["sparsity"]:
        return str(settings["method"])
    return None


def layers_after(step: Mapping[str, JSON], layers: Layers) -> Layers:
    """Return the layers that a later step may name: of a layer that may become two, all three."""
    params = step.get("low_rank")
    if params is None:
        return layers
    found: dict[str, str] = {}
    for name, kind in layers.kinds.items():
        found[name] = kind
        globs = (*params["targets"], *params["per_layer"])
        if kind in KINDS["low_rank"] and any(covers(glob, name) for glob in globs):
            found |= {f"{name}.inputs": kind, f"{name}.outputs": kind}
    return Layers(found)


def _unmatched_globs(
    params: Mapping[str, JSON], names: Sequence[str], layers: Layers, types: Sequence[str], path: Path
) -> Iterator[Finding]:
    """Yield each glob that matches none of `names`, which are the layers of the `types` that a step works on."""
    places = [((*path, key, index), glob) for key in ("targets", "except") for index, glob in enumerate(params[key])]
    places += [((*path, "per_layer", glob), glob) for glob in params.get("per_layer", {})]
    for place, glob in places:
        if any(covers(glob, name) for name in names):
            continue
        others = [name for name in layers.kinds if covers(glob, name)]
        if others:
            more = ", ..." if len(others) > 3 else ""
            message = f'"{glob}" matches only layers this step does not work on ({", ".join(others[:3])}{more})'
        else:
            message = f'"{glob}" matches no layer{nearest(glob, names)}'
        shown = [*names[:20], "..."] if len(names) > 20 else names
        hint = f"layers: {', '.join(shown)}" if names else f"it is for {', '.join(types)}, of which there is none"
        yield Finding("E133", place, message, hint, at_key="per_layer" in place)


def _known_args(module: ModuleType, args: Mapping[str, JSON]) -> dict[str, JSON]:
    return {name: value for name, value in args.items() if name in module.ARGS}


def _unknown_args(what: str, module: ModuleType, args: Mapping[str, JSON], path: Path) -> Iterator[Finding]:
    for name in args:
        if name not in module.ARGS:
            valid = f"arguments: {', '.join(module.ARGS)}" if module.ARGS else f"{what} takes no arguments"
            message = f'{what} has no argument "{clipped(name)}"{nearest(name, module.ARGS)}'
            yield Finding("E111", (*path, name), message, valid, at_key=True)


def _made(
    code: str, make: Callable[..., Any], args: Mapping[str, JSON], path: Path
) -> tuple[Any | None, list[Finding]]:
    """Return what `make` makes of arguments, and what it says is wrong with them, one after the other.

    An argument that is refused is left out of the next try, so that all of them are heard.
    """
    given = dict(args)
    findings: list[Finding] = []
    while True:
        try:
            return make(**given), findings
        except ValueError as error:
            name, finding = _argument_finding(code, clipped(str(error), 300), path, given)
            findings.append(finding)
            if name is None:
                return None, findings
            del given[name]
        except MemoryError:
            findings.append(Finding(code, path, "a model of this size does not fit into memory", at_key=True))
            return None, findings


def _argument_finding(code: str, message: str, path: Path, args: Mapping[str, JSON]) -> tuple[str | None, Finding]:
    """Return the argument that tinytorch's message begins with (None: no single one), and the finding at its place."""
    start = re.match(r"(\w+)(?:\[(\d+)\])?", message)
    if start is None or start[1] not in args:
        return None, Finding(code, path, message, at_key=True)
    item = () if start[2] is None else (int(start[2]),)
    return start[1], Finding(code, (*path, start[1], *item), message)


@cache
def _needs_root(dataset: str) -> bool:
    """Return whether a dataset cannot say which files it is made of without being told their folder."""
    try:
        load_dataset_module(dataset).files(None)
    except ValueError:
        return True
    return False
