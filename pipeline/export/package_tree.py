"""The files of a deployment folder: networks, the plan of the session, samples with their outputs, an example.

model.onnx           the submitted network for onnxruntime, with the integers of tinytorch: the same outputs
model_fast.onnx      where the network rounds its inputs: with calibrated scales, which runtimes are faster with
model.safetensors    the stored network, byte by byte the one that was evaluated and timed
session.json         the kernel of each layer that was timed, for `InferenceSession(choices=...)`
images.npy, outputs.npy    test images as inputs, and what the stored network answers
example.py           runs model.onnx on them
package.json         shapes, classes, how pixels become inputs, checks, and the SHA-256 of each file
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.export.onnx_model import INPUT, is_quantized, write_onnx
from pipeline.export.stored import calibration, stored, stored_bytes, stored_split
from pipeline.export.target import Exported, Source
from pipeline.measure.job import choices_of
from pipeline.measure.peer_outputs import compare_outputs
from tinytorch.data.split import Split
from tinytorch.models.network import Network
from tinytorch.runtime.session import InferenceSession

__all__ = ["Check", "Packaged", "write_manifest", "write_networks"]

Array: TypeAlias = NDArray[Any]

EXACT, FAST, STORED = "model.onnx", "model_fast.onnx", "model.safetensors"
MANIFEST = "package.json"
_SHOWN = 16  # images in the package: enough to see that it works
_MOST_CHECKED, _MOST_VALUES = 10_000, 2**26  # images that are compared, and their values: a data set may have millions
# The largest difference of outputs, as a share of the largest: the median, and any. Integers are the same, so what is
# left is the order of float32 sums (measured on the digits: 0 to 9e-8), and where such a sum lies between two integers,
# once in a while the other one (measured: up to 0.011, at 4 or 8 bits, for a resnet; no answer was another).
_SAME, _MOST_OFF = 1e-5, 0.02

_EXAMPLE = '''\
"""Run the packaged model: pip install numpy onnxruntime, then python example.py."""
from pathlib import Path
import numpy as np
import onnxruntime

folder = Path(__file__).parent
session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
outputs = session.run(None, {"input": np.load(folder / "images.npy")})[0]
off = np.abs(outputs - np.load(folder / "outputs.npy")).max()
print(f"classes {outputs.argmax(axis=1).tolist()}; off by {off:.1e}")
'''


@dataclass(frozen=True)
class Check:
    """What onnxruntime answers to the test images beside what the network does; None with a reason if unknown."""

    file: str
    is_exact: bool
    samples: int
    max_abs_difference: float | None
    top1_agreement: float | None
    correct: int | None
    is_same: bool | None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the check as a JSON object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @property
    def text(self) -> str:
        """The check in words."""
        if self.reason is not None:
            return f"not checked: {self.reason}"
        kept = "the same outputs" if self.is_exact else "like outputs, rounded by other scales,"
        found = kept if self.is_same else "other outputs"
        return (
            f"{found} in onnxruntime: off by at most {self.max_abs_difference:.2g}, "
            f"{self.top1_agreement:.1%} of {self.samples} answers agree, {self.correct} are right"
        )


@dataclass(frozen=True)
class Packaged:
    """What was written: files by their name with a meaning, checks, and how inputs are made."""

    files: Mapping[str, str]
    checks: tuple[Check, ...]
    inputs: Mapping[str, Any]

    def exported(self, out: Path) -> Exported:
        """Return the answer of the export."""
        width = max(map(len, self.files))
        lines = [f"{out / name!s:<{len(str(out)) + 1 + width}}  {meaning}" for name, meaning in self.files.items()]
        problem = next((f"{check.file}: {check.text}" for check in self.checks if check.is_same is False), "")
        checks = [f"{check.file}: {check.text}" for check in self.checks]
        document = {"files": dict(self.files), "checks": [check.to_json() for check in self.checks]}
        return Exported("\n".join([*lines, "", *checks]), document, problem)


def write_networks(source: Source, out: Path) -> Packaged:
    """Write everything but the card and the manifest; raises as `stored` and `write_onnx`."""
    digest = source.submission["provenance"]["weights"]["optimized"]
    model, test = stored(source, digest, "model"), stored_split(source, "test")
    (out / STORED).write_bytes(stored_bytes(source, digest))
    write_onnx(model, out / EXACT, is_exact=True)
    files = {EXACT: "the network for onnxruntime, with the same outputs"}
    if is_quantized(model) and _rounds_inputs(model):
        write_onnx(model, out / FAST, calibration(source))
        files[FAST] = "the same with calibrated scales: faster, other roundings"
    images = test.images(slice(0, min(_MOST_CHECKED, max(1, _MOST_VALUES // math.prod(test.shape)))))
    outputs = InferenceSession(model, batch=min(len(images), 64) or 1).run(images)
    checks = tuple(_check(out / name, images, outputs, test.labels, name == EXACT) for name in files)
    np.save(out / "images.npy", images[:_SHOWN], allow_pickle=False)
    np.save(out / "outputs.npy", outputs[:_SHOWN], allow_pickle=False)
    (out / "example.py").write_text(_EXAMPLE, encoding="utf-8")
    (out / "session.json").write_text(_json(_session(source.submission)), encoding="utf-8")
    files |= {
        STORED: "the network as it was evaluated and timed, for tinytorch",
        "session.json": "the kernel of each layer that was timed",
        "images.npy": f"{len(images[:_SHOWN])} test images as inputs",
        "outputs.npy": "what the network answers",
        "example.py": "runs model.onnx on them",
        "README.md": "the model's card",
        MANIFEST: "shapes, classes, checks, digests",
    }
    return Packaged(files, checks, _inputs(test, source.submission))


def write_manifest(source: Source, packaged: Packaged, out: Path) -> None:
    """Write package.json, which names every other file with its SHA-256."""
    provenance = source.submission["provenance"]
    files = sorted(path for path in out.rglob("*") if path.is_file())
    document = {
        "format": 1,
        "name": source.submission["experiment"]["name"],
        "inputs": packaged.inputs,
        "checks": [check.to_json() for check in packaged.checks],
        "experiment": provenance["experiment"],
        "weights": provenance["weights"]["optimized"],
        "files": {
            path.relative_to(out).as_posix(): {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "bytes": path.stat().st_size,
            }
            for path in files
        },
    }
    (out / MANIFEST).write_text(_json(document), encoding="utf-8")


def _rounds_inputs(model: Network) -> bool:
    schemes = (layer.scheme for _, layer in model.named_layers() if hasattr(layer, "scheme"))
    return any(scheme.activations != "none" for scheme in schemes)


def _check(path: Path, images: Array, expected: Array, labels: Array, is_exact: bool) -> Check:
    """Compare onnxruntime's outputs with ours."""
    try:
        import onnxruntime
    except ImportError:
        return Check(path.name, is_exact, len(images), None, None, None, None, "onnxruntime is not installed")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found = np.concatenate([session.run(None, {INPUT: images[at : at + 64]})[0] for at in range(0, len(images), 64)])
    compared = compare_outputs(found, expected, "fp32" if is_exact else "int8")
    is_same = bool(compared["same"])
    if is_exact and len(found):
        off = np.abs(found - expected) / max(compared["largest_output"], np.finfo(np.float32).tiny)
        is_same = bool(np.median(off) <= _SAME and off.max() <= _MOST_OFF)
    correct = int((found.argmax(axis=1) == labels[: len(found)]).sum())
    return Check(
        path.name,
        is_exact,
        len(images),
        compared["max_abs_difference"],
        compared["top1_agreement"],
        correct,
        is_same,
    )


def _session(submission: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan that was timed, with what it was timed on."""
    comparison = submission["benchmark"]["comparisons"][0]
    session = comparison["arms"]["optimized"].get("session")
    measured = {"cpu": submission["machine"]["cpu"], "median_ns": comparison["arms"]["optimized"]["median_ns"]}
    if session is None:
        return {"choices": {}, "reason": "the submission has no record of a session", "measured": measured}
    return {"choices": choices_of(session), **session, "measured": measured}


def _inputs(test: Split, submission: Mapping[str, Any]) -> dict[str, Any]:
    """Return how pixels become inputs: (pixel / scale - mean) / std."""
    return {
        "name": INPUT,
        "shape": ["batch", *test.shape],
        "type": "float32",
        "scale": test.scale,
        "mean": list(test.mean),
        "std": list(test.std),
        "classes": submission["provenance"]["data"]["classes"],
    }


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True) + "\n"
