"""The target huggingface: a folder to upload as a model repository of the Hub, its figures where the Hub reads them.

It is a package (`package_tree`) whose card begins with metadata: library, task, tags, and the model-index. The newer
`.eval_results/` names a benchmark by its dataset on the Hub, which only a person knows: it is written with --dataset.
Nothing is sent; `hf upload` does that.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import UserError
from pipeline.export.target import Exported, Source

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["configure", "eval_results", "export", "metadata"]

_DATASET = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_TASK = re.compile(r"[\w.-]{1,96}")
_TAG = re.compile(r"[^a-z0-9-]+")
_KIND = "image-classification"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the target's arguments."""
    parser.add_argument("--dataset", metavar="ORG/NAME", help="the data set's name on the Hub, for .eval_results")
    parser.add_argument("--task", metavar="ID", default="default", help="the task's id in it (default: default)")
    parser.add_argument("--license", metavar="ID", help="the licence of the weights, like mit; left out unless given")


def export(source: Source, out: Path, args: argparse.Namespace) -> Exported:
    """Fill the empty folder `out`; raises as `package`, and UserError for names that the Hub does not take."""
    import yaml

    from pipeline.export.model_card import card
    from pipeline.export.package_tree import write_manifest, write_networks

    if args.dataset is not None and not _DATASET.fullmatch(args.dataset):
        raise UserError(f"{args.dataset!r} is no data set of the Hub", hint="like --dataset ylecun/mnist")
    if not _TASK.fullmatch(args.task):
        raise UserError(f"{args.task!r} is no id of a task", hint="letters, digits, '.', '_' and '-'")
    submission = source.submission
    packaged = write_networks(source, out)
    head = yaml.safe_dump(metadata(submission, args.dataset, args.license), sort_keys=False, allow_unicode=True)
    (out / "README.md").write_text(f"---\n{head}---\n\n{card(submission, packaged)}", encoding="utf-8")
    if args.dataset is not None:
        folder = out / ".eval_results"
        folder.mkdir()
        text = yaml.safe_dump(eval_results(submission, args.dataset, args.task), sort_keys=False, allow_unicode=True)
        (folder / f"{_tag(args.dataset.split('/')[1])}.yaml").write_text(text, encoding="utf-8")
    write_manifest(source, packaged, out)
    written = packaged.exported(out)
    rest = (
        f"{out / '.eval_results'}  the accuracy, for {args.dataset}'s leaderboard"
        if args.dataset
        else "no .eval_results: which data set of the Hub this was evaluated on is only known with --dataset ORG/NAME"
    )
    document = {**written.document, "eval_results": bool(args.dataset)}
    return Exported(f"{written.text}\n{rest}\n\nhf upload ORG/NAME {out}", document, written.problem)


def metadata(submission: Mapping[str, Any], dataset: str | None = None, licence: str | None = None) -> dict[str, Any]:
    """Return the card's metadata, with the figures of the test split as a model-index.

    Its format: https://github.com/huggingface/hub-docs/blob/main/modelcard.md.
    """
    steps = submission["optimized"].get("techniques_applied", [])
    tags = dict.fromkeys(["tinytorch", "onnx", *(_tag(step) for step in steps)])
    found: dict[str, Any] = {} if licence is None else {"license": licence}
    found |= {"library_name": "tinytorch", "pipeline_tag": _KIND, "tags": [tag for tag in tags if tag]}
    if dataset is not None:
        found["datasets"] = [dataset]
    data = submission["provenance"]["data"]["name"]
    result = {
        "task": {"type": _KIND, "name": "Image classification"},
        "dataset": {"name": data, "type": dataset or data, "split": "test"},
        "metrics": _metrics(submission),
    }
    name = submission["experiment"]["name"]
    return {**found, "metrics": ["accuracy"], "model-index": [{"name": name, "results": [result]}]}


def eval_results(submission: Mapping[str, Any], dataset: str, task: str) -> list[dict[str, Any]]:
    """Return what `.eval_results/*.yaml` holds: https://github.com/huggingface/hub-docs/blob/main/eval_results.yaml."""
    rate = submission["accuracy"]["optimized"]["test"]
    low, high = rate["interval"]
    notes = (
        f"{rate['correct']} of {rate['evaluated']} test items, 95 % interval [{low:.4f}, {high:.4f}], "
        f"data {submission['provenance']['data']['digest']}, weights {submission['provenance']['weights']['optimized']}"
    )
    return [
        {
            "dataset": {"id": dataset, "task_id": task},
            "value": rate["accuracy"],
            "date": submission["measurement"]["measured_at"],
            "notes": notes,
        }
    ]


def _metrics(submission: Mapping[str, Any]) -> list[dict[str, Any]]:
    rate, speed = submission["accuracy"]["optimized"]["test"], submission["comparisons"]["speed"]
    arm = submission["benchmark"]["comparisons"][0]["arms"]["optimized"]
    cpu = submission["machine"]["cpu"]
    found = [
        ("accuracy", f"accuracy of {rate['evaluated']} test items", rate["accuracy"]),
        ("size_bytes", "stored size in bytes", submission["size"]["optimized"]["stored_bytes"]),
        ("latency_median_ns", f"median latency in ns, {speed['scenario']}, on {cpu}", arm["median_ns"]),
        ("speedup", "speed-up over the uncompressed network, in turns", speed["speedup"]["estimate"]),
    ]
    return [{"type": kind, "name": name, "value": value} for kind, name, value in found]


def _tag(text: str) -> str:
    return _TAG.sub("-", text.lower()).strip("-")[:64]
