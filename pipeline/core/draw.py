"""Random values of axes: the k-th value of an axis depends on the seed, the axis and k alone.

So more samples add values and change none, a further axis changes no other, and every platform and Python version draws
the same. The generator is SHA-256 in counter mode: 64 bits of SHA-256("<seed>/<axis>/<k>") are a share u = bits / 2^64
of the range. Ranges are computed in decimal arithmetic, which is correctly rounded everywhere (the C library's `log` is
not), and rounded to a few digits, so that a person can read and repeat a value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal

from pipeline.core.experiment import JSON

__all__ = ["DISTRIBUTIONS", "could_be", "readable", "sampler"]

Sampler = Callable[[int], JSON]  # 64 random bits -> a value

_EXACT = Context(prec=28, rounding=ROUND_HALF_EVEN)  # a bound has 17 digits, a share 20
# Drawn values are rounded: sparsity=0.4271 and lr=0.001234 fit into labels, and a hundred of them still rarely repeat.
_FEWEST_STEPS = 5000
_READABLE = Context(prec=4, rounding=ROUND_HALF_EVEN)


def sampler(distribution: Mapping[str, JSON], seed: int, axis: str) -> Callable[[int], JSON]:
    """Return a function from a sample's number (from 0) to the value of an axis.

    `distribution` has one of the keys of DISTRIBUTIONS: {uniform: [low, high]} is rounded so that 5,000 values or more
    are possible, {log_uniform: [low, high]} to four significant digits, neither ever outside its bounds; {integers:
    [low, high]} has both bounds in it; {choice: [...]} takes each value alike.
    """
    ((name, values),) = distribution.items()
    value_of = DISTRIBUTIONS[name](values)
    return lambda number: value_of(_bits(f"{seed}/{axis}/{number}"))


def could_be(distribution: Mapping[str, JSON], value: JSON) -> bool:
    """Return whether a distribution may draw a value, rounding aside; true is not 1 here."""
    ((name, values),) = distribution.items()
    if name == "choice":
        return any(type(value) is type(item) and value == item for item in values)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and values[0] <= value <= values[1] and (name != "integers" or value == int(value))


def readable(distribution: Mapping[str, JSON], drawn: float) -> JSON:
    """Return the value for a number that somebody else has drawn from a distribution's range, rounded as ours are.

    Of {choice: [...]} the number is the place of the value, from 0.
    """
    ((name, values),) = distribution.items()
    return _READABLE_VALUES[name](values, drawn)


def _bits(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _uniform(values: Sequence[float]) -> Sampler:
    low, high = (Decimal(repr(value)) for value in values)
    span = _EXACT.subtract(high, low)
    return lambda bits: _stepped(values, _EXACT.fma(span, _share(bits), low))


def _stepped(values: Sequence[float], value: Decimal) -> float:
    """Return a value of a uniform range, rounded to a power of ten of which the range has 5,000 or more."""
    low, high = (Decimal(repr(bound)) for bound in values)
    step = _EXACT.divide(_EXACT.subtract(high, low), Decimal(_FEWEST_STEPS))
    rounded = _EXACT.quantize(value, Decimal((0, (1,), step.adjusted())))
    return float(min(max(rounded, low), high))


def _log_uniform(values: Sequence[float]) -> Sampler:
    low, high = (Decimal(repr(value)) for value in values)
    start = _EXACT.ln(low)
    span = _EXACT.subtract(_EXACT.ln(high), start)
    return lambda bits: _rounded(values, _EXACT.exp(_EXACT.fma(span, _share(bits), start)))


def _rounded(values: Sequence[float], value: Decimal) -> float:
    """Return a value of a logarithmic range, rounded to four significant digits."""
    low, high = (Decimal(repr(bound)) for bound in values)
    return float(min(max(_READABLE.plus(value), low), high))


def _integers(values: Sequence[int]) -> Sampler:
    low, high = map(int, values)
    return lambda bits: low + (bits * (high - low + 1) >> 64)


def _choice(values: Sequence[JSON]) -> Sampler:
    return lambda bits: values[bits * len(values) >> 64]


def _share(bits: int) -> Decimal:
    return _EXACT.divide(Decimal(bits), Decimal(2**64))


DISTRIBUTIONS: dict[str, Callable[[Sequence[JSON]], Sampler]] = {
    "uniform": _uniform,
    "log_uniform": _log_uniform,
    "integers": _integers,
    "choice": _choice,
}

_READABLE_VALUES: dict[str, Callable[[Sequence[JSON], float], JSON]] = {
    "uniform": lambda values, drawn: _stepped(values, Decimal(repr(drawn))),
    "log_uniform": lambda values, drawn: _rounded(values, Decimal(repr(drawn))),
    "integers": lambda values, drawn: int(drawn),
    "choice": lambda values, drawn: values[int(drawn)],
}
