"""Explain what a node's key is made of, and why the node ran or would run."""

from __future__ import annotations

import argparse
import difflib
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.experiment import add_experiment_arguments, open_experiment, open_store
from pipeline.core.errors import UserError
from pipeline.execute.decide import Forecast, Oracle, forecast
from pipeline.run import prepare

__all__ = ["configure", "run"]


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
    lines = [f"{document['node']}: {document['status']}" + (f", {document['reason']}" if document["reason"] else "")]
    if "key" not in document:
        return lines[0]
    lines.append(f"  key          {document['key'][:16]}…, made of:")
    lines += [f"  parameter    {name} = {_short(value)}" for name, value in sorted(document["params"].items())]
    lines += [f"  input        {role} {digest[:16]}…" for role, digest in sorted(document["inputs"].items())]
    lines.append(f"  code         {document['code'][:16]}…, {len(document['modules'])} modules from {_roots(document)}")
    lines += [f"  environment  {name} {value}" for name, value in sorted(document["environment"].items())]
    outputs = document["outputs"] or {}
    lines += [f"  output       {role} {digest[:16]}…" for role, digest in sorted(outputs.items())]
    return "\n".join(lines)


def _short(value: Any, longest: int = 100) -> str:
    text = str(value)
    return text if len(text) <= longest else f"{text[:longest]}…"


def _roots(document: dict[str, Any]) -> str:
    return ", ".join(name for name in document["modules"] if ".stages." in name or ".passes." in name)
