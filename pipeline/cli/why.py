"""Explain what a node depends on, and why it ran or would run.

Of an experiment file: what its nodes' keys are made of now. Of a run (its name or folder) or of a key in the store:
what made it differ from the nearest result before it, and where that came from.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import columns
from pipeline.cli.experiment import add_experiment_arguments, open_experiment, open_store
from pipeline.cli.runs import find_run, is_run, read_record, run_names
from pipeline.core.errors import UserError
from pipeline.core.keys import Difference
from pipeline.execute.decide import Forecast, Oracle, forecast
from pipeline.execute.history import account, find_keys, named
from pipeline.report.text import printable, wrap
from pipeline.run import prepare
from pipeline.store.local import LocalStore
from pipeline.store.record import Record

__all__ = ["configure", "run"]

_TITLE = len("environment")
_MOST_WHOLE = 3  # nodes whose keys are shown whole: of a run they are hundreds of lines
_MOST_PARAMETERS = 40  # the submission depends on the whole experiment
_MOST_DIFFERENCES = 10
_LONGEST = 120
_KEY = re.compile("[0-9a-f]{6,64}")
_DIGITS = 64


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    about = "an experiment file, a run's name or folder, or the first digits of a key"
    add_experiment_arguments(parser, "FILE|RUN|KEY", about)
    parser.add_argument("node", metavar="NODE", nargs="?", default="", help="part of a node's name, as `plan` shows it")


def run(args: argparse.Namespace) -> Answer:
    """Answer with the key's components of every node whose name contains NODE, or of the one result under the key."""
    store = open_store(args)
    if not Path(args.file).is_file():
        if is_run(args.file):
            return _answer(_of_run(args.file, args.node, store))
        if _KEY.fullmatch(args.file):
            return _answer([_of_key(args.file, store)])
    if not Path(args.file).exists() and Path(args.file).suffix not in (".yaml", ".yml"):
        near = difflib.get_close_matches(args.file, run_names(), n=1)
        hint = f"did you mean the run '{near[0]}'?" if near else f"runs here: {', '.join(run_names()) or 'none'}"
        raise UserError(f"'{args.file}' is neither a file nor a run, nor the beginning of a key", hint=hint)
    plan, oracle = prepare(open_experiment(args, store), store)
    forecasts = [f for f in forecast(plan, oracle) if args.node in f.node.label]
    _check_found(args.node, forecasts, [node.label for node in plan.nodes])
    return _answer([_of_forecast(f, oracle) for f in forecasts])


def _answer(documents: list[dict[str, Any]]) -> Answer:
    is_whole = len(documents) <= _MOST_WHOLE
    texts = [_text(document, is_whole) for document in documents]
    if not is_whole:
        texts.append(f"{len(documents)} nodes; what the key of each is made of: name one of them, or --json")
    return Answer("\n\n".join(texts), {"nodes": documents})


def _check_found(name: str, found: object, labels: list[str]) -> None:
    """Raise UserError with the nearest names if no node was found."""
    if not found:
        near = difflib.get_close_matches(name, dict.fromkeys(labels), n=3, cutoff=0.1)
        raise UserError(f"no node's name contains '{name}'", hint=f"nodes like it: {', '.join(near)}")


def _of_forecast(forecast: Forecast, oracle: Oracle) -> dict[str, Any]:
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
        "changes": [_change(change) for change in decision.changes],
        "differences": _words(decision.changes, oracle.store),
        "outputs": {role: a.digest for role, a in decision.record.outputs.items()} if decision.record else None,
    }


def _of_run(name: str, part: str, store: LocalStore) -> list[dict[str, Any]]:
    """Return what is known of the nodes of a run whose names contain a text."""
    nodes = read_record(find_run(name) / "run.json")["nodes"]
    found = [node for node in nodes if part in node["label"]]
    _check_found(part, found, [node["label"] for node in nodes])
    producers = _producers(nodes)
    documents = []
    for node in found:
        document = {"node": node["label"], "status": node["outcome"], "reason": node["reason"]}
        document["error"] = node["error"] if isinstance(node.get("error"), str) else None
        record = store.peek(node["key"]) if isinstance(node.get("key"), str) else None
        documents.append(document | (_of_record(record, store, producers) if record else {}))
    return documents


def _of_key(beginning: str, store: LocalStore) -> dict[str, Any]:
    """Return what is known of the result whose key begins so; its inputs' origin, if a run here tells."""
    keys = (beginning,) if len(beginning) == _DIGITS else find_keys(store, beginning)
    if len(keys) > 1:
        raise UserError(f"{len(keys)} keys begin with {beginning}", hint=f"such as {' and '.join(keys[:2])}")
    record = store.peek(keys[0]) if keys else None
    if record is None:
        raise UserError(f"no result here has a key that begins with {beginning}", hint="`plan FILE --json` has keys")
    nodes = next((nodes for nodes in _runs() if any(node.get("key") == record.key for node in nodes)), [])
    stored = {"node": record.label, "status": "stored", "reason": ""}
    return stored | _of_record(record, store, _producers(nodes))


def _runs() -> Iterator[list[Mapping[str, Any]]]:
    """Yield the nodes of every run here whose record can be read: a damaged one tells nothing of this key."""
    for name in run_names():
        with contextlib.suppress(UserError):
            yield read_record(find_run(name) / "run.json")["nodes"]


def _producers(nodes: list[Mapping[str, Any]]) -> dict[str, str]:
    """Return digest of an output -> key of the first result that has it: a step without effect hands its input on."""
    return {
        digest: node["key"]
        for node in reversed(nodes)
        if isinstance(node.get("key"), str) and isinstance(node.get("outputs"), dict)
        for digest in node["outputs"].values()
        if isinstance(digest, str)
    }


def _of_record(record: Record, store: LocalStore, producers: Mapping[str, str]) -> dict[str, Any]:
    found, preimage = account(store, record), record.preimage
    modules = store.recall("closure", preimage.code)
    return {
        "key": record.key,
        "finished_at": record.finished_at,
        "seconds": record.seconds,
        "sessions": 1 + len(record.earlier),
        "nearest": found.before and {"key": found.before.key, "finished_at": found.before.finished_at},
        "changes": [_change(change) for change in found.changes],
        "differences": _words(found.changes, store),
        "because": _causes(found.changes, store, producers),
        "params": dict(preimage.params),
        "inputs": dict(preimage.inputs),
        "code": preimage.code,
        "modules": modules if isinstance(modules, dict) else {},
        "environment": dict(preimage.environment),
        "outputs": {role: artifact.digest for role, artifact in record.outputs.items()},
    }


def _causes(
    changes: tuple[Difference, ...], store: LocalStore, producers: Mapping[str, str]
) -> list[dict[str, str | None]]:
    """Follow a first difference that is an input to what made it, and on to the one that is not: the origin."""
    found: list[dict[str, str | None]] = []
    seen: set[str] = set()
    while changes and changes[0].component == "inputs":
        key = producers.get(str(changes[0].after))
        record = store.peek(key) if key and key not in seen else None
        if record is None:
            break
        seen.add(record.key)
        changes = account(store, record).changes
        words = _words(changes[:1], store)
        found.append({"node": record.label, "key": record.key, "difference": words[0] if words else None})
    return found


def _change(change: Difference) -> dict[str, Any]:
    return {"component": change.component, "name": change.name, "before": change.before, "after": change.after}


def _words(changes: tuple[Difference, ...], store: LocalStore) -> list[str]:
    return list(dict.fromkeys(words for change in changes for words in named(change, store)))


def _text(document: dict[str, Any], is_whole: bool) -> str:
    head = f"{document['node']}: {document['status']}" + (f", {document['reason']}" if document["reason"] else "")
    lines = wrap(printable(head), columns(), "", "  ")
    for title, text in (*_story(document), *(_facts(document) if is_whole and "key" in document else ())):
        lines += wrap(printable(text), columns(), f"  {title:<{_TITLE}}  ", " " * (_TITLE + 4))
    return "\n".join(lines)


def _story(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield how a stored result came about, the first difference first, or why there is none."""
    if error := document.get("error"):
        yield "error", error.strip().splitlines()[-1]
    if "finished_at" not in document:
        if "error" in document and not document["error"]:
            yield "", "its result is not in the store any more"
        return
    differences, nearest = document["differences"], document["nearest"]
    if differences:
        yield "first", differences[0]
        for cause in document["because"]:
            yield "because", f"{cause['node']}: {cause['difference'] or 'nothing like it was there before'}"
        for words in differences[1:_MOST_DIFFERENCES]:
            yield "also", words
        if (more := len(differences) - _MOST_DIFFERENCES) > 0:
            yield "", f"{more} more differences: --json lists them"
    if nearest:
        yield (
            "compared",
            f"with the nearest result before it, of {_at(nearest['finished_at'])}, {_short(nearest['key'])}",
        )
    else:
        yield "first", "nothing of its kind was there before it"
    sessions = f", measured {document['sessions']} times" if document["sessions"] > 1 else ""
    yield "computed", f"{_at(document['finished_at'])} in {document['seconds']:.1f} s{sessions}"


def _at(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OSError, OverflowError, ValueError):  # no time that a calendar has: somebody has edited the record
        return "an unknown time"


def _facts(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a key is made of, and what came out, as (what it is, its name and value)."""
    yield "key", f"{_short(document['key'])}, made of:"
    parameters = list(_flat(document["params"])) if document["params"] else []
    for name, text in parameters[:_MOST_PARAMETERS]:
        yield "parameter", f"{name} = {text if len(text) <= _LONGEST else f'{text[:_LONGEST]}…'}"
    if (more := len(parameters) - _MOST_PARAMETERS) > 0:
        yield "", f"{more} more parameters: --json lists them"
    for role, digest in sorted(document["inputs"].items()):
        yield "input", f"{role} {_short(digest)}"
    stages = ", ".join(name for name in document["modules"] if ".stages." in name)
    known = f", {len(document['modules'])} modules: {stages} and all it depends on" if stages else ""
    yield "code", f"{_short(document['code'])}{known}"
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
