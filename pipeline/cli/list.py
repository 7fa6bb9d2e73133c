"""List what an experiment file can name: models, data, passes or stages; and metrics of your own."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.tables import table
from pipeline.cli.use_argument import add_use_argument
from pipeline.stages import STAGES
from tinytorch.data import DATASETS, load_dataset_module
from tinytorch.models import MODELS, load_model_module
from tinytorch.own import own_entries
from tinytorch.passes import PASSES, RAMPED, STEPS, load_pass

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("kind", choices=sorted(_KINDS), help="what to list")
    add_use_argument(parser)


def run(args: argparse.Namespace) -> Answer:
    """Answer with one row an entry."""
    rows = _KINDS[args.kind]()
    columns = list(rows[0]) if rows else ["name", "what"]
    return Answer(table(columns, [[str(row[column]) for column in columns] for row in rows]), {args.kind: rows})


def _summary(module: ModuleType) -> str:
    return (module.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def _with_args(names: Mapping[str, str], load: Callable[[str], ModuleType]) -> list[dict[str, Any]]:
    rows = []
    for name in sorted(names):
        module = load(name)
        args = ", ".join(f"{key}={value}" for key, value in module.ARGS.items())
        rows.append({"name": name, "args": args, "what": _summary(module)})
    return rows


def _passes() -> list[dict[str, Any]]:
    steps = {name: step for step, (_, _, choices) in STEPS.items() for name, _ in choices.values()}
    steps |= {name: step for step, (_, _, name, _) in RAMPED.items()}
    return [{"name": name, "step": steps[name], "what": _summary(load_pass(name))} for name in sorted(PASSES)]


def _metrics() -> list[dict[str, Any]]:
    """Return the metrics of the user's own; what goals may name stands in the schema."""
    own = sorted((entry.name, entry.offers) for entry in own_entries() if entry.kind == "metrics")
    return [{"name": name, "what": _summary(module)} for name, module in own]


def _stages() -> list[dict[str, Any]]:
    return [
        {"name": info.name, "outputs": ", ".join(info.outputs), "measures": info.measures, "what": info.summary}
        for info in STAGES.values()
    ]


_KINDS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "data": lambda: _with_args(DATASETS, load_dataset_module),
    "metrics": _metrics,
    "models": lambda: _with_args(MODELS, load_model_module),
    "passes": _passes,
    "stages": _stages,
}
