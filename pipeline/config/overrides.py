"""`--set path=value` and `--sweep path=a,b`: changes to a document, and the YAML that makes them last.

A changed document is a document: its new values know that they are written on the command line, and everything after
this (variables, schema, names) treats them like the file's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.config.compose import compose
from pipeline.config.document import Document, Mark, Position
from pipeline.config.dump import dump
from pipeline.config.finding import nearest
from pipeline.config.paths import Path, PathError, get_or_none, replaced
from pipeline.config.schema import keys_at
from pipeline.config.template import axis_path, target_path
from pipeline.config.variables import mentions
from pipeline.core.errors import ConfigError, Problem
from pipeline.core.experiment import JSON
from pipeline.core.sweep import canonical

__all__ = ["override", "permanent_yaml"]


def override(document: Document, set_: Sequence[str] = (), sweep: Sequence[str] = ()) -> Document:
    """Return the document with overrides applied, `set_` before `sweep`, each in order.

    What is set stays so: a variable that loses its last use is taken out, and so is an axis of the sweep that varies
    that variable or the value.
    An axis given anew is one of the grid and replaces the file's; entries of `exclude` with a value it no longer has go
    with it.
    An override that cannot be applied becomes one of the document's problems.
    """
    if not isinstance(document.data, dict):
        return document
    for option, arguments, change in (("--set", set_, _set), ("--sweep", sweep, _add_axis)):
        for argument in arguments:
            name, equals, text = argument.partition("=")
            if not equals or not name.strip():
                example = "optimize.prune.sparsity=0.7" if option == "--set" else "bits=8,4"
                document = _with_problem(document, f"{option} {argument}", f"write path=value, such as {example}")
                continue
            try:
                document = change(document, name.strip(), text, f"{option} {argument}")
            except PathError as error:
                document = _with_problem(document, f"{option} {argument}", str(error))
            except ConfigError as error:  # the value is no YAML
                document = replace(document, problems=(*document.problems, *error.problems))
    return document


def permanent_yaml(document: Document, set_: Sequence[str] = (), sweep: Sequence[str] = ()) -> str:
    """Return the YAML of the top-level sections that overrides change, as they would stand in the file; "" if none."""
    before, after = document.data, override(document, set_, sweep).data
    changed = [key for key in after if key not in before or before[key] != after[key]]
    known = keys_at(())
    changed.sort(key=lambda key: known.index(key) if key in known else len(known))
    return dump({key: after[key] for key in changed}) if changed else ""


def _set(document: Document, name: str, text: str, origin: str) -> Document:
    path = target_path(document.data, name)
    if path[0] not in keys_at(()):
        known = [*_variables(document.data), *keys_at(())]
        raise PathError(f'"{name}" is neither one of vars nor a path of the file{nearest(name, known)}')
    value = compose(text, document.path, origin=origin, shift=len(origin) - len(text))
    used_before = {variable for _, variable in mentions(document.data)}
    changed = _with_value(document, path, value, _key_mark(origin, name))
    if path[0] in ("sweep", "seeds"):
        return changed
    given_out = _resource(document.data)
    if given_out and path[: len(given_out)] == given_out[: len(path)]:
        raise PathError("the search gives this out as its resource; change sweep.search instead")
    unused = used_before - {variable for _, variable in mentions(changed.data)}
    changed = _pinned(changed, path, unused)
    variables = changed.data.get("vars")
    if unused and isinstance(variables, dict):
        kept = {key: item for key, item in variables.items() if key not in unused}
        changed = replace(changed, data={**changed.data, "vars": kept})
    return changed


def _add_axis(document: Document, name: str, text: str, origin: str) -> Document:
    path = axis_path(document.data, name)
    value = compose(f"[{text}]", document.path, origin=origin, shift=len(origin) - len(text) - 1)
    same = [key for key in _axis_names(document.data) if _axis_path_or_none(document.data, key) == path]
    key = same[0] if same else name
    changed = _with_value(_out_of_product(document, same), ("sweep", "grid", key), value, _key_mark(origin, name))
    values = [canonical(item) for item in value.data]
    exclude = [
        (index, entry if all(canonical(entry[name]) in values for name in same if name in entry) else {})
        for index, entry in _entries(changed.data, "exclude")
    ]
    return _with_entries(changed, exclude, _entries(changed.data, "include"))


def _with_value(document: Document, path: Path, value: Document, key: Mark) -> Document:
    """Return the document with another value at a path, and that value's own positions below it."""
    data = replaced(document.data, path, value.data)
    positions = {where: at for where, at in document.positions.items() if where[: len(path)] != path}
    positions.update({path + where: at for where, at in value.positions.items()})
    at = value.positions.get(())
    positions[path] = Position(key, at.value if at is not None else key)
    return replace(document, data=data, positions=positions, problems=(*document.problems, *value.problems))


def _pinned(document: Document, path: Path, unused: set[str]) -> Document:
    """Return the document without the axes that an override at `path` has fixed or left without a use."""
    data = document.data
    pinned: dict[str, JSON] = {}  # axis name -> the value it is fixed to
    idle: set[str] = set()
    for name in _axis_names(data):
        where = _axis_path_or_none(data, name)
        if where is None:
            continue
        if where[: len(path)] == path:
            pinned[name] = get_or_none(data, where)
        elif path[: len(where)] == where:
            raise PathError(f"the sweep replaces all of {name}; change that axis instead")
        elif where[0] == "vars" and where[1] in unused:
            idle.add(name)
    if not pinned and not idle:
        return document
    exclude = [(index, _excluded(entry, pinned, idle)) for index, entry in _entries(data, "exclude")]
    include = [
        (index, {name: value for name, value in entry.items() if name not in {*pinned, *idle}})
        for index, entry in _entries(data, "include")
    ]
    return _with_entries(_out_of_product(document, [*pinned, *idle]), exclude, include)


def _excluded(entry: Mapping[str, JSON], pinned: Mapping[str, JSON], idle: set[str]) -> dict[str, JSON]:
    """Return what is left of an exclude entry once some axes are fixed; {} if it excludes nothing any more."""
    if idle & set(entry) or any(canonical(entry[name]) != canonical(pinned[name]) for name in entry if name in pinned):
        return {}
    return {name: value for name, value in entry.items() if name not in pinned}


def _out_of_product(document: Document, names: Sequence[str]) -> Document:
    """Return the document with some axes taken out of grid, zip and random; what is left of these goes on as before."""
    data, sweep = document.data, document.data.get("sweep")
    if not isinstance(sweep, dict) or not names:
        return document
    changed = dict(sweep)
    for key in ("grid", "zip"):
        if key in sweep:
            changed[key] = {name: values for name, values in _sweep_part(data, key, dict).items() if name not in names}
    for kind in ("random", "search"):
        if drawn := _drawn_axes(data, kind):
            axes = {name: how for name, how in drawn.items() if name not in names}
            changed[kind] = {**sweep[kind], "axes": axes}
            if not axes:
                del changed[kind]
    if not changed.get("zip", True):
        del changed["zip"]
    return replace(document, data={**data, "sweep": changed})


def _with_entries(
    document: Document,
    exclude: Sequence[tuple[int, dict[str, JSON]]],
    include: Sequence[tuple[int, dict[str, JSON]]],
) -> Document:
    """Return the document with other excludes and includes; each comes with its index, so that positions follow."""
    data, positions = document.data, dict(document.positions)
    data = {**data, "sweep": dict(data["sweep"])}
    for key, entries in (("exclude", exclude), ("include", include)):
        if key not in data["sweep"]:
            continue
        kept = [(index, entry) for index, entry in entries if entry]
        old = {
            where: positions.pop(where) for where in list(positions) if where[:2] == ("sweep", key) and len(where) > 2
        }
        for new_index, (old_index, _) in enumerate(kept):
            moved = {("sweep", key, new_index, *where[3:]): at for where, at in old.items() if where[2] == old_index}
            positions.update(moved)
        data["sweep"][key] = [entry for _, entry in kept]
        if not kept:
            del data["sweep"][key]
    return replace(document, data=data, positions=positions)


def _axis_names(data: Mapping[str, JSON]) -> list[str]:
    names = [*_sweep_part(data, "grid", dict), *_sweep_part(data, "zip", dict)]
    names += [*_drawn_axes(data, "random"), *_drawn_axes(data, "search")]
    for key in ("exclude", "include"):
        names += [name for _, entry in _entries(data, key) for name in entry if name not in names]
    return names


def _entries(data: Mapping[str, JSON], key: str) -> list[tuple[int, dict[str, JSON]]]:
    items = _sweep_part(data, key, list)
    return [(index, entry) for index, entry in enumerate(items) if isinstance(entry, dict)]


def _variables(data: Mapping[str, JSON]) -> list[str]:
    variables = data.get("vars")
    return list(variables) if isinstance(variables, dict) else []


def _sweep_part(data: Mapping[str, JSON], key: str, kind: type) -> Any:
    """Return a part of the sweep, empty if it is missing or (as the schema check will say) of another kind."""
    sweep = data.get("sweep")
    part = sweep.get(key) if isinstance(sweep, dict) else None
    return part if isinstance(part, kind) else kind()


def _resource(data: Mapping[str, JSON]) -> Path | None:
    """Return the path of what a search gives out from round to round, None where there is no such thing."""
    resource = _sweep_part(data, "search", dict).get("resource")
    name = resource.get("axis") if isinstance(resource, dict) else None
    return _axis_path_or_none(data, name) if isinstance(name, str) else None


def _drawn_axes(data: Mapping[str, JSON], kind: str) -> dict[str, JSON]:
    axes = _sweep_part(data, kind, dict).get("axes")
    return axes if isinstance(axes, dict) else {}


def _axis_path_or_none(data: Mapping[str, JSON], name: str) -> Path | None:
    try:
        return axis_path(data, name)
    except PathError:
        return None  # the check of the sweep reports it


def _key_mark(origin: str, name: str) -> Mark:
    return Mark(1, origin.index(name) + 1, len(name), origin)


def _with_problem(document: Document, origin: str, message: str) -> Document:
    start = origin.index(" ") + 2
    mark = Mark(1, start, max(len(origin) - start + 1, 1), origin)
    problem: Problem = document.problem("E110", (), message, at=mark)
    return replace(document, problems=(*document.problems, problem))
