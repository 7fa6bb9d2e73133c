"""What makes two computations the same: content digests, plan ids and action keys, and how two keys differ.

This is the only place that decides what invalidates the cache. Leaves out where keys are stored (`pipeline.store`)
and how source code is found (`pipeline.core.code`). Standard library only.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = [
    "Difference",
    "FORMAT",
    "KeyFrame",
    "Preimage",
    "action_key",
    "canonical",
    "differences",
    "digest_bytes",
    "digest_value",
    "family_key",
]

FORMAT = 1  # raise it when the meaning of a key or the layout of an artifact changes: every older result is then stale


class Preimage(NamedTuple):
    """Everything an action key is made of.

    `params` holds only what the stage reads (its spec); `inputs` maps role to *content* digest, so that an upstream
    step that is run again and produces the same bytes changes nothing here (early cutoff); `environment` names what
    else can change the bytes of a result (Python, numpy, BLAS, CPU instructions) and, for a stage that measures, the
    machine. Paths, mtimes, the layout of the YAML file, worker counts and timeouts are never part of it.
    """

    stage: str
    version: int
    params: Mapping[str, Any]
    code: str
    inputs: Mapping[str, str]
    environment: Mapping[str, str]

    @property
    def topic(self) -> str:
        """Return the stage, with the pass where there is one: results of one topic can explain each other."""
        return f"{self.stage} {self.params['pass']}" if "pass" in self.params else self.stage

    def to_json(self) -> dict[str, Any]:
        """Return the components as JSON values, to be stored beside the result."""
        return {
            "stage": self.stage,
            "version": self.version,
            "params": dict(self.params),
            "code": self.code,
            "inputs": dict(self.inputs),
            "environment": dict(self.environment),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Preimage:
        """Rebuild a pre-image from what `to_json` gave."""
        return cls(data["stage"], data["version"], data["params"], data["code"], data["inputs"], data["environment"])


class Difference(NamedTuple):
    """One component in which two pre-images differ: `component` is params, code, inputs, environment or version.

    What is absent is None, and so is a null: where both are None, the name itself came or went.
    """

    component: str
    name: str
    before: Any
    after: Any


def digest_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data` in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def digest_value(value: Any) -> str:
    """Return the SHA-256 of a JSON-like value's canonical form."""
    return digest_bytes(canonical(value))


def canonical(value: Any) -> bytes:
    """Encode a JSON-like value so that different values never share an encoding.

    Every item carries its type and its length, so `1`, `1.0`, `"1"` and `True` differ and no two lists can be cut
    differently into the same bytes. Mappings are ordered by key. Raises TypeError for any other type, NaN included
    as a float (its bits are encoded).
    """
    encode = _ENCODERS.get(type(value))
    return encode(value) if encode else _general(value)


def _general(value: Any) -> bytes:
    """Encode a value whose type is not one of the exact ones below."""
    for kind in (Mapping, bool, int, float, str, bytes, list, tuple):
        if isinstance(value, kind):
            return _ENCODERS[dict if kind is Mapping else kind](value)
    raise TypeError(f"{type(value).__name__} cannot enter a key: {value!r}")


def _text(value: str) -> bytes:
    body = value.encode("utf-8", "surrogatepass")
    return b"s%d:%b" % (len(body), body)


def _number(value: int) -> bytes:
    body = b"%d" % value
    return b"i%d:%b" % (len(body), body)


def _items(value: Sequence[Any]) -> bytes:
    body = b"".join(map(canonical, value))
    return b"l%d:%b" % (len(body), body)


def _mapping(value: Mapping[str, Any]) -> bytes:
    parts: list[bytes] = []
    try:
        for name in sorted(value):
            item = value[name]
            encode = _ENCODERS.get(type(item))  # as `canonical` does, which would be called for every parameter
            parts += (_name(name), encode(item) if encode else _general(item))
    except (AttributeError, TypeError):
        if all(isinstance(name, str) for name in value):
            raise
        raise TypeError("a mapping that enters a key has string keys only") from None
    body = b"".join(parts)
    return b"m%d:%b" % (len(body), body)


# The names of parameters are few, and each comes again with every node.
_name = functools.lru_cache(maxsize=4096)(_text)


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"n",
    bool: lambda value: b"t" if value else b"f",
    int: _number,
    float: lambda value: b"d" + struct.pack(">d", value),
    str: _text,
    bytes: lambda value: b"b%d:%b" % (len(value), value),
    list: _items,
    tuple: _items,
    dict: _mapping,
}


class KeyFrame:
    """What the keys of many computations share: stage, version, code and environment, encoded once.

    Gives the keys that `action_key` and `family_key` give, which take a whole pre-image.
    """

    def __init__(self, stage: str, version: int, code: str, environment: Mapping[str, str]) -> None:
        # The canonical form of a mapping with these names, in their order, around `inputs` and `params`.
        self._head = _pairs((("code", code), ("environment", environment), ("format", FORMAT))) + _name("inputs")
        self._tail = _pairs((("stage", stage), ("version", version)))

    def keys(self, params: Mapping[str, Any], inputs: Mapping[str, str]) -> tuple[str, str]:
        """Return the action key and the family key."""
        encoded = canonical(params)
        return self._key(encoded, inputs), self._key(encoded, dict.fromkeys(inputs, ""))

    def key(self, params: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
        """Return the action key."""
        return self._key(canonical(params), inputs)

    def _key(self, params: bytes, inputs: Mapping[str, str]) -> str:
        body = b"".join((self._head, _mapping(inputs), _name("params"), params, self._tail))
        return digest_bytes(b"m%d:%b" % (len(body), body))


def action_key(preimage: Preimage) -> str:
    """Return the key under which the result of this computation is cached."""
    return _frame(preimage).key(preimage.params, preimage.inputs)


def family_key(preimage: Preimage) -> str:
    """Return what computations share that differ in their inputs' content only (the roles of the inputs count)."""
    return _frame(preimage).key(preimage.params, dict.fromkeys(preimage.inputs, ""))


def _frame(preimage: Preimage) -> KeyFrame:
    made_of = preimage.stage, preimage.version, preimage.code
    try:
        return _shared_frame(*made_of, tuple(preimage.environment.items()))
    except (AttributeError, TypeError):  # a damaged record may have anything in their place
        return KeyFrame(*made_of, preimage.environment)


@functools.lru_cache(maxsize=64)
def _shared_frame(stage: str, version: int, code: str, environment: tuple[tuple[str, str], ...]) -> KeyFrame:
    return KeyFrame(stage, version, code, dict(environment))


def _pairs(pairs: Iterable[tuple[str, Any]]) -> bytes:
    return b"".join([part for name, value in pairs for part in (_name(name), canonical(value))])


def differences(before: Preimage, after: Preimage) -> tuple[Difference, ...]:
    """List the components in which two pre-images of the same stage differ, the most telling first."""
    found = []
    if before.version != after.version:
        found.append(Difference("version", "stage version", before.version, after.version))
    found += _flat_differences("params", before.params, after.params)
    if before.code != after.code:
        found.append(Difference("code", "code", before.code, after.code))
    found += _flat_differences("inputs", before.inputs, after.inputs)
    found += _flat_differences("environment", before.environment, after.environment)
    return tuple(found)


def _flat_differences(component: str, before: Any, after: Any, path: str = "") -> list[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found = []
        for key in sorted({*before, *after}):
            inner = f"{path}.{key}" if path else key
            if key in before and key in after:
                found += _flat_differences(component, before[key], after[key], inner)
            else:
                found.append(Difference(component, inner, before.get(key), after.get(key)))
        return found
    if isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [one for i, (b, a) in pairs for one in _flat_differences(component, b, a, f"{path}[{i}]")]
    return [] if canonical(before) == canonical(after) else [Difference(component, path, before, after)]
