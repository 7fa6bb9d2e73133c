"""Explain what a node's key is made of, and why the node ran or would run."""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Iterator
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import columns
from pipeline.cli.experiment import add_experiment_arguments, open_experiment, open_store
from pipeline.core.errors import UserError
from pipeline.execute.decide import Forecast, Oracle, forecast
from pipeline.report.text import printable, wrap
from pipeline.run import prepare

__all__ = ["configure", "run"]

_TITLE = len("environment")
_MOST_PARAMETERS = 40  # the submission depends on the whole experiment
_LONGEST = 120


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_experiment_arguments(parser)
    parser.add_argument("node", metavar="NODE", nargs="?", default="", help="part of a node's name, as `plan` shows it")


def run(args: argparse.Namespace) -> Answer:
    """Answer with the key's components of every node whose name contains NODE."""
    store = open_store(args)
    experiment = open_experiment(args, store)
    plan, oracle = prepare(experiment, store)
    forecasts = [f for f in forecast(plan, oracle) if args.node in f.node.label]
    if not forecasts:
        labels = [node.label for node in plan.nodes]
        near = difflib.get_close_matches(args.node, labels, n=3, cutoff=0.1)
        raise UserError(f"no node's name contains '{args.node}'", hint=f"nodes like it: {', '.join(near)}")
    documents = [_document(f, oracle) for f in forecasts]
    return Answer("\n\n".join(_text(document) for document in documents), {"nodes": documents})


def _document(forecast: Forecast, oracle: Oracle) -> dict[str, Any]:
    node, decision = forecast.node, forecast.decision
    document: dict[str, Any] = {"node": node.label, "status": forecast.status, "reason": forecast.reason}
    if decision is None:
        return document
    preimage = decision.preimage
    return document | {
        "key": decision.key,
        "params": dict(preimage.params),
        "inputs": dict(preimage.inputs),
        "code": preimage.code,
        "modules": oracle.environment.code.modules(node),
        "environment": dict(preimage.environment),
        "changes": [
            {"component": c.component, "name": c.name, "before": c.before, "after": c.after} for c in decision.changes
        ],
        "outputs": {role: a.digest for role, a in decision.record.outputs.items()} if decision.record else None,
    }


def _text(document: dict[str, Any]) -> str:
    head = f"{document['node']}: {document['status']}" + (f", {document['reason']}" if document["reason"] else "")
    lines = wrap(printable(head), columns(), "", "  ")
    for title, text in _facts(document) if "key" in document else ():
        lines += wrap(printable(text), columns(), f"  {title:<{_TITLE}}  ", " " * (_TITLE + 4))
    return "\n".join(lines)


def _facts(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a key is made of, and what came out, as (what it is, its name and value)."""
    yield "key", f"{_short(document['key'])}, made of:"
    parameters = list(_flat(document["params"]))
    for name, text in parameters[:_MOST_PARAMETERS]:
        yield "parameter", f"{name} = {text if len(text) <= _LONGEST else f'{text[:_LONGEST]}…'}"
    if (more := len(parameters) - _MOST_PARAMETERS) > 0:
        yield "", f"{more} more parameters: --json lists them"
    for role, digest in sorted(document["inputs"].items()):
        yield "input", f"{role} {_short(digest)}"
    stages = ", ".join(name for name in document["modules"] if ".stages." in name)
    yield "code", f"{_short(document['code'])}, {len(document['modules'])} modules: {stages} and all it depends on"
    for name, value in sorted(document["environment"].items()):
        yield "environment", f"{name} {value.replace(',', ', ')}"
    for role, digest in sorted((document["outputs"] or {}).items()):
        yield "output", f"{role} {_short(digest)}"


def _short(digest: str) -> str:
    return f"{digest[:16]}…"


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the parameters inside mappings by their dotted path, and as JSON."""
    if isinstance(value, dict) and value:
        for name, item in sorted(value.items()):
            yield from _flat(item, f"{path}.{name}" if path else name)
    else:
        yield path, json.dumps(value, ensure_ascii=False)
