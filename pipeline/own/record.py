"""What a submission says of code that is neither ours nor in it: whose it is, its files' digests, what it brought."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pipeline.core.errors import UserError
from pipeline.own.source import own_digest, own_files, sources
from tinytorch.own import own_entries

__all__ = ["check_same_code", "custom_code"]

_TITLES = {"data": "data", "metrics": "metric", "models": "model", "passes": "pass"}


def custom_code(modules: Collection[str]) -> list[dict[str, Any]]:
    """Return a record for each file and package in use that has some of these modules; [] if none has."""
    found = []
    for source in sources():
        if source.module not in modules:
            continue
        brought = [f"{_TITLES[e.kind]} {e.name}" for e in own_entries() if e.module == source.module]
        version = {} if source.version is None else {"version": source.version}
        digests = {"digest": own_digest(source), "files": own_files(source)}
        found.append({"kind": source.kind, "name": source.name, **version, "brings": sorted(brought), **digests})
    return found


def check_same_code(stated: Sequence[Mapping[str, Any]]) -> None:
    """Raise UserError unless every piece of code that a submission states is in use here, with the same digest."""
    here = {(source.kind, source.name): source for source in sources()}
    for one in stated:
        source = here.get((one["kind"], one["name"]))
        told = one["name"] if one["kind"] == "package" else f"PATH/{one['name']}"
        if source is None:
            raise UserError(
                f"it was made with code that is not part of this installation: {one['name']}, which brings "
                f"{', '.join(one['brings'])}",
                hint=f"read that code first, then run it on your own account: --use {told}",
            )
        if own_digest(source) == one["digest"]:
            continue
        files, names = own_files(source), {*own_files(source), *one["files"]}
        other = sorted(name for name in names if files.get(name) != one["files"].get(name))
        raise UserError(
            f"--use {source.told} is other code than the submission was made with: {', '.join(other[:5])}",
            hint=f"found {own_digest(source)}, expected {one['digest']}",
        )
