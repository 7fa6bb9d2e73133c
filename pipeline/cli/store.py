"""Look after the store: what takes how much room, what nobody needs any more, whether everything is sound.

  du      what takes how much room, by stage, and what of it the runs in runs/ name
  gc      remove what no run folder names and nobody used lately
  prune   make room: remove what was not used for longest, even if a run folder names it
  verify  read everything again and set aside what is damaged

Whatever is removed or set aside is computed again when a run needs it. A run may be going on meanwhile.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import safe
from pipeline.cli.experiment import add_store_argument, store_folder
from pipeline.cli.tables import table
from pipeline.core.errors import EnvironmentProblem, UserError
from pipeline.store.census import Census, Result, take_census
from pipeline.store.gc import Removal, garbage, remove, surplus
from pipeline.store.in_use import alone
from pipeline.store.verify import Findings, verify_store
from pipeline.submission.quantities import quantity

__all__ = ["configure", "run"]

_DAY_S = 86_400.0
_KEEP_DAYS = 30.0
_ENVIRONMENT = 6
_AGE = re.compile(r"(\d+(?:\.\d*)?)([hdw]?)", re.ASCII)
_AGES_S = {"h": 3_600.0, "": _DAY_S, "d": _DAY_S, "w": 7 * _DAY_S}
_SIZE = re.compile(r"(\d+(?:\.\d*)?)\s*([KMGT]?)(?:i?B)?", re.ASCII | re.IGNORECASE)
_SIZES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands and their arguments."""
    actions = parser.add_subparsers(dest="action", metavar="du|gc|prune|verify", required=True)
    du = actions.add_parser("du", help="what takes how much room")
    gc = actions.add_parser("gc", help="remove what no run folder names and nobody used lately")
    gc.add_argument(
        "--keep-days",
        metavar="N",
        type=float,
        default=_KEEP_DAYS,
        help="keep what was made or used in the last N days (default: %(default)g)",
    )
    prune = actions.add_parser("prune", help="make room: least recently used results first, even if a run names them")
    prune.add_argument("--older-than", metavar="AGE", help="remove what was not used for 12h, 30d, 8w (30 is 30d)")
    prune.add_argument("--max-size", metavar="SIZE", help="leave at most 500M, 20G, 1.5T (powers of 1024) of results")
    verify = actions.add_parser("verify", help="read everything again and set aside what is damaged")
    for action in (gc, prune):
        action.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    for action in (du, gc, prune):
        action.add_argument(
            "--runs",
            metavar="DIR",
            action="append",
            default=[],
            help="another folder of run folders, beside runs/ and those that the store has notes of",
        )
    for action in (du, gc, prune, verify):
        add_store_argument(action)
        action.add_argument("--json", action="store_true", help="print one JSON document instead of text")


def run(args: argparse.Namespace) -> Answer:
    """Answer with what was found, or what was removed."""
    return _ACTIONS[args.action](args, _store(args))


def _store(args: argparse.Namespace) -> Path:
    """Return the store's folder; for a URL that of the copies on this machine: a shared store looks after itself."""
    root = store_folder(args)
    if not (root / "CACHEDIR.TAG").is_file() or not (root / "objects").is_dir():
        raise UserError(f"there is no store at {root}", hint="`--store DIR` or $PIPELINE_STORE names another folder")
    return root


def _census(args: argparse.Namespace, root: Path) -> Census:
    parents = (Path("runs"), *map(Path, args.runs))
    for parent in parents[1:]:
        if not parent.is_dir():
            raise UserError(f"--runs {parent}: there is no such folder")
    return take_census(root, parents)


def _du(args: argparse.Namespace, root: Path) -> Answer:
    census = _census(args, root)
    rows = _stage_rows(census)
    rest = {kind: sum(file.size_bytes for file in files) for kind, files in census.rest.items() if files}
    if (index := root / "index.sqlite3").is_file():
        rest["index"] = index.stat().st_size
    if copies := sum(path.lstat().st_size for path in (root / "remote").rglob("*") if path.is_file()):
        rest["copies of shared stores"] = copies  # `--store URL` looks into one
    waste = garbage(census, census.taken_at - _KEEP_DAYS * _DAY_S, is_alone=True)
    document = {
        "store": str(root),
        "size_bytes": census.size_bytes,
        "results": len(census.results),
        "stages": rows,
        "rest": rest,
        "runs": [str(folder.path) for folder in census.folders if folder.written_at is not None],
        "unreadable_records": list(census.unreadable),
        "garbage": _removal_json(waste),
    }
    shown = [(r["stage"], f"{r['results']:,}", _bytes(r["size_bytes"]), _bytes(r["named_bytes"])) for r in rows]
    lines = [table(("stage", "results", "size", "of it named by runs"), shown), ""]
    lines += [f"besides: {', '.join(f'{kind} {_bytes(size)}' for kind, size in rest.items())}"] if rest else []
    lines += [f"{_number(len(census.unreadable), 'record')} cannot be read: `pipeline store verify`"] * bool(
        census.unreadable
    )
    lines += [f"`pipeline store gc` would remove {_removed(waste)}"]
    return Answer("\n".join(lines), document)


def _stage_rows(census: Census) -> list[dict[str, Any]]:
    """Return a row for each stage, one for objects that belong to no result, and the sum; an object counts once."""
    counted: set[str] = set()
    rows: dict[str, list[int]] = {}
    # What runs name first: an object that another result has, too, is not to be had by removing that one.
    for result in sorted(census.results.values(), key=lambda r: (not r.is_named, r.key)):
        size = result.record.size_bytes
        for digest in result.outputs & census.objects.keys() - counted:
            size += census.objects[digest].size_bytes
        counted |= result.outputs
        row = rows.setdefault(result.stage, [0, 0, 0])
        row[:] = row[0] + 1, row[1] + size, row[2] + size * result.is_named
    if loose := census.objects.keys() - counted:
        rows["(of no result)"] = [0, sum(census.objects[digest].size_bytes for digest in loose), 0]
    ordered = sorted(rows.items(), key=lambda row: -row[1][1])
    ordered.append(("total", [sum(column) for column in zip(*rows.values(), strict=True)] or [0, 0, 0]))
    names = ("results", "size_bytes", "named_bytes")
    return [{"stage": stage, **dict(zip(names, row, strict=True))} for stage, row in ordered]


def _gc(args: argparse.Namespace, root: Path) -> Answer:
    if not args.keep_days >= 0:
        raise UserError(f"--keep-days must be 0 or more, not {args.keep_days:g}")
    with alone(root) as is_alone:
        census = _census(args, root)
        removal = garbage(census, census.taken_at - args.keep_days * _DAY_S, is_alone=is_alone)
        return _answer(args, root, census, removal, is_alone)


def _prune(args: argparse.Namespace, root: Path) -> Answer:
    if args.older_than is None and args.max_size is None:
        raise UserError("prune needs --older-than AGE, --max-size SIZE or both")
    age = _parsed(_AGE, _AGES_S, "--older-than", args.older_than, "12h, 30d or 8w")
    most = _parsed(_SIZE, _SIZES, "--max-size", args.max_size, "500M or 20G")
    with alone(root) as is_alone:
        census = _census(args, root)
        removal = surplus(census, time.time() - age, most, is_alone=is_alone)
        return _answer(args, root, census, removal, is_alone)


def _parsed(pattern: re.Pattern[str], units: dict[str, Any], option: str, text: str | None, example: str) -> float:
    """Return a number times its unit; infinity where nothing was asked for."""
    if text is None:
        return float("inf")
    if not (match := pattern.fullmatch(text.strip())):
        raise UserError(f"{option} {safe(text)}: expected something like {example}")
    return float(match[1]) * float(units[match[2].upper() if match[2].upper() in units else match[2]])


def _answer(args: argparse.Namespace, root: Path, census: Census, removal: Removal, is_alone: bool) -> Answer:
    """Remove what was chosen, unless that was only a question, and say what that is."""
    named = [result for result in removal.results if result.is_named]
    document: dict[str, Any] = {"dry_run": args.dry_run, "is_alone": is_alone, **_removal_json(removal)}
    document |= {"named_by_runs": len(named), "size_before_bytes": census.size_bytes}
    if args.dry_run:
        lines = [f"would remove {_removed(removal)}"]
        lines += [f"  {_listed(removal.results)}"] if removal.results else []
    else:
        document["removed_bytes"] = _removing(root, removal)
        lines = [f"removed {_removed(removal)}"]
    if named:
        lines.append(
            f"{_number(len(named), 'of them is', 'of them are')} named by runs, and computed again by the next of these"
        )
    if not is_alone:
        lines.append("a command is using this store: what was used or written in the last day stays, and so do locks")
    return Answer("\n".join(lines), document)


def _removing(root: Path, removal: Removal) -> int:
    try:
        return remove(root, removal)
    except OSError as error:
        raise EnvironmentProblem(
            f"{error.filename or root} cannot be removed: {error.strerror}",
            hint="what was removed until then is consistent; repeat the command when the store can be written",
        ) from error


def _verify(args: argparse.Namespace, root: Path) -> Answer:
    try:
        found = verify_store(root)
    except OSError as error:
        raise EnvironmentProblem(f"{error.filename or root} cannot be read: {error.strerror}") from error
    size = sum(found.objects.values())
    lines = [
        f"{_number(len(found.objects), 'object')} ({_bytes(size)}) and {_number(found.records, 'record')} are sound"
    ]
    if found.incomplete:
        lacking = _number(len(found.incomplete), "result lacks", "results lack")
        lines.append(f"{lacking} an object; a run that needs that computes it again")
    if found.foreign:
        lines.append(f"{_number(len(found.foreign), 'record')} of another version of this program")
    document = {
        "objects": len(found.objects),
        "size_bytes": size,
        "records": found.records,
        **{name: sorted(getattr(found, name)) for name in ("damaged", "stuck", "incomplete", "foreign")},
    }
    return Answer("\n".join(lines), document, _ENVIRONMENT if found.damaged else 0, _damage(found, root))


def _damage(found: Findings, root: Path) -> str:
    if not found.damaged:
        return ""
    moved = len(found.damaged) - len(found.stuck)
    parts = [f"{moved} moved to {safe(str(root / 'quarantine'))}"] * bool(moved)
    parts += [f"{len(found.stuck)} could not be moved there"] * bool(found.stuck)
    return f"{_number(len(found.damaged), 'damaged file')}: {', '.join(parts)}; what needs them is computed again"


def _removal_json(removal: Removal) -> dict[str, Any]:
    return {
        "removed_results": [result.key for result in removal.results],
        "removed_objects": len(removal.objects),
        "removed_bytes": removal.size_bytes,
    }


def _removed(removal: Removal) -> str:
    return f"{_number(len(removal.results), 'result')}, {_bytes(removal.size_bytes)}"


def _listed(results: Iterable[Result]) -> str:
    """Return how many results of which stage."""
    counts: dict[str, int] = {}
    for result in results:
        counts[result.stage] = counts.get(result.stage, 0) + 1
    return safe(", ".join(f"{count} {stage}" for stage, count in sorted(counts.items())))


def _bytes(size: float) -> str:
    return quantity(size, "B")


def _number(count: int, noun: str, plural: str = "") -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or f'{noun}s'}"


_ACTIONS = {"du": _du, "gc": _gc, "prune": _prune, "verify": _verify}
