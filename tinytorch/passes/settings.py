"""What the settings of all passes share: reading them from a file's parameters, checking them, writing them back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from tinytorch.arguments import with_defaults
from tinytorch.errors import TinyTorchError

__all__ = ["check_targets", "from_params", "to_params"]

S = TypeVar("S")


def from_params(cls: Callable[..., S], what: str, params: Mapping[str, Any]) -> S:
    """Build the frozen dataclass `cls`, the settings of the pass `what`, from parameters under their names in a file.

    Lists become tuples and "except" the field `except_`. Raises TinyTorchError for an unknown name, with the nearest,
    and for a value out of range.
    """
    defaults = {item.name: None for item in fields(cls)}  # type: ignore[arg-type]
    given = {"except_" if name == "except" else name: _frozen(value) for name, value in params.items()}
    try:
        return cls(**{name: given[name] for name in with_defaults("this step", defaults, given) if name in given})
    except ValueError as error:
        raise TinyTorchError(f"{what}: {error}") from error


def to_params(settings: Any) -> dict[str, Any]:
    """Return settings as JSON values under the names a file uses; the inverse of `from_params`."""
    plain = {item.name.rstrip("_"): getattr(settings, item.name) for item in fields(settings)}
    return {name: _thawed(value) for name, value in plain.items()}


def check_targets(settings: Any, checks: Mapping[str, Callable[[Any], object]]) -> None:
    """Check targets, except_ and per_layer; `checks` has a function for each setting that a layer may override.

    Raises ValueError for globs that are not texts, an unknown override or one that its check refuses.
    """
    for name in ("targets", "except_"):
        globs = getattr(settings, name)
        if isinstance(globs, str) or not all(isinstance(glob, str) and glob for glob in globs):
            raise ValueError(f"{name.rstrip('_')} must be a list of layer names or globs, not {globs!r}")
    if not isinstance(settings.per_layer, Mapping):
        raise ValueError(f"per_layer must map layer names or globs to settings, not {settings.per_layer!r}")
    for glob, overrides in settings.per_layer.items():
        if not isinstance(overrides, Mapping):
            raise ValueError(f"per_layer[{glob!r}] must be a mapping of settings, not {overrides!r}")
        with_defaults(f"per_layer[{glob!r}]", dict.fromkeys(checks), overrides)
        for name, value in overrides.items():
            if value is not None:
                checks[name](value)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _thawed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _thawed(item) for key, item in value.items()}
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
