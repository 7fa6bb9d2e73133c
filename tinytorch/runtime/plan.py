"""The plan of a session: a network as native operations and layers that run eagerly, in order. Data only.

Images lie with their channels last between operations. The input is brought there, and the output back, where an
operation needs it; before a linear layer that reads a whole image its columns are put in that order instead.
A slot holds one value at a time; a value that is no longer read gives its slot to another of the same size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from numpy.typing import NDArray

from tinytorch.models.network import Network
from tinytorch.runtime.fusion import Shape, Step, fuse_steps
from tinytorch.runtime.lowering import Body, Layout, kernels_of, lower, wanted_layout

__all__ = ["EAGER", "EagerPart", "NativePart", "Op", "Part", "Plan", "make_plan"]

Array: TypeAlias = NDArray[Any]

EAGER = "numpy"  # the name of the kernel that is the layers themselves


class Op(NamedTuple):
    """One operation as the native program takes it; slots 0 and 1 are the program's input and output."""

    kind: str
    slots: tuple[int, ...]
    dims: tuple[int, ...]
    scalars: tuple[float, ...]
    arrays: tuple[Array | None, ...]


@dataclass(frozen=True)
class NativePart:
    """Operations that run in one call. `steps` says of each which step it belongs to (None: it only moves an image).

    `slots` are bytes a sample. `layout` is how the output lies.
    """

    ops: tuple[Op, ...]
    slots: tuple[int, ...]
    steps: tuple[Step | None, ...]
    output_values: int
    layout: Layout


@dataclass(frozen=True)
class EagerPart:
    """Steps that run as the network's own layers; `before` and `after` are how input and output lie."""

    steps: tuple[Step, ...]
    before: Layout
    after: Layout


Part: TypeAlias = NativePart | EagerPart


@dataclass(frozen=True)
class Plan:
    """The steps of a network, by their names the kernels that can compute each and the chosen one, and the parts.

    Parts run one after the other.
    """

    steps: tuple[Step, ...]
    candidates: Mapping[str, tuple[str, ...]]
    chosen: Mapping[str, str]
    parts: tuple[Part, ...]


def make_plan(model: Network, available: Collection[str], choices: Mapping[str, str] | None = None) -> Plan:
    """Plan a network for the kernels that are available; `choices` names the kernel of some steps.

    The others get the first that can compute them. Raises ValueError for a name that no step has, or a kernel that
    cannot compute it.
    """
    steps = _steps(model, available)
    candidates = {step.name: _candidates(step, available) for step in steps}
    chosen = _chosen(candidates, choices or {})
    planner = _Planner(model)
    for step in steps:
        if chosen[step.name] == EAGER:
            planner.add_eager(step)
        else:
            planner.add(step, chosen[step.name])
    planner.finish()
    return Plan(tuple(steps), candidates, chosen, tuple(planner.parts))


def _candidates(step: Step, available: Collection[str]) -> tuple[str, ...]:
    """Return the kernels among which a step's is chosen; inside a residual block there is no way but the native."""
    found = tuple(kernel for kernel in kernels_of(step) if kernel in available)
    return found if step.block and found else (*found, EAGER)


def _steps(model: Network, available: Collection[str]) -> list[Step]:
    """Return the network's steps; a residual block with a layer that no available kernel computes is one step."""
    eager: set[str] = set()
    while True:
        steps = fuse_steps(model, eager)
        blocked = {step.block for step in steps if step.block and not set(kernels_of(step)) & set(available)}
        if not blocked:
            return steps
        eager |= blocked


def _chosen(candidates: Mapping[str, tuple[str, ...]], choices: Mapping[str, str]) -> dict[str, str]:
    chosen = {}
    for name, valid in candidates.items():
        chosen[name] = kernel = choices.get(name, valid[0])
        if kernel not in valid:
            raise ValueError(f"{name} can be computed by {', '.join(valid)}, not by {kernel!r}")
    if unknown := choices.keys() - chosen.keys():
        raise ValueError(f"there is no step {min(unknown)!r} (there are: {', '.join(chosen)})")
    return chosen


class _Value(NamedTuple):
    """A value of a native part: its number there, how a sample lies, and the bytes it takes."""

    number: int
    layout: Layout
    size: int


class _Bound(NamedTuple):
    """An operation of a step with the values that it reads and writes; `output` is the place of the one it writes."""

    body: Body
    values: tuple[_Value, ...]
    output: int
    step: Step | None

    @property
    def written(self) -> _Value:
        return self.values[self.output]


@dataclass
class _Planner:
    """Turns steps into parts. `values` are those of the part under way, by their number in the network."""

    model: Network
    parts: list[Part] = field(default_factory=list)
    bound: list[_Bound] = field(default_factory=list)
    values: dict[int, _Value] = field(default_factory=dict)
    made: int = 0
    last: int = 0

    def __post_init__(self) -> None:
        self._start(0, self.model.input_shape, None)

    def add(self, step: Step, kernel: str) -> None:
        """Add a step that `kernel` computes."""
        inputs = self._inputs(step, kernel)
        is_image = len(step.after) == 3 and (wanted_layout(step, kernel) == "image" or inputs[0].layout is not None)
        layout = _image_layout(step.after) if is_image else None
        if kernel in _SHAPELESS:
            layout = inputs[0].layout
        output = self._value(math.prod(step.after), layout)
        read = 2 if kernel == "add" else 1  # an addend stands after the output
        values = (*inputs[:read], output, *inputs[read:])
        self.bound.append(_Bound(lower(step, kernel, inputs[0].layout), values, read, step))
        self.values[step.output] = output
        self.last = step.output

    def add_eager(self, step: Step) -> None:
        """Add a step that runs as its layers; it reads the only value that there is at this point."""
        (source,) = step.inputs
        layout = self.values[source].layout
        self._close(source)
        after = _image_layout(step.after)
        last = self.parts[-1] if self.parts else None
        if isinstance(last, EagerPart):
            self.parts[-1] = EagerPart((*last.steps, step), last.before, after)
        else:
            self.parts.append(EagerPart((step,), layout, after))
        self._start(step.output, step.after, after)

    def finish(self) -> None:
        """End the last part. Its output stays as it lies: an image with its channels last is seen as its shape says."""
        last = self.parts[-1] if self.parts else None
        if not self.bound and isinstance(last, EagerPart):
            self.parts[-1] = replace(last, after=None)
        else:
            self._close(self.last)

    def _inputs(self, step: Step, kernel: str) -> tuple[_Value, ...]:
        wanted = wanted_layout(step, kernel)
        if wanted == "image":
            for number, shape in zip(step.reads, (step.before, step.after), strict=False):  # what is added last
                self.values[number] = self._as_image(self.values[number], shape)
        elif wanted == "plain" or len({self.values[number].layout for number in step.reads}) > 1:
            for number in step.reads:
                self.values[number] = self._plain(self.values[number])
        return tuple(self.values[number] for number in step.reads)

    def _as_image(self, value: _Value, shape: Shape) -> _Value:
        layout = _image_layout(shape)
        if layout is None or value.layout is not None:
            return value
        return self._moved("nchw_to_nhwc", value, layout, layout)

    def _plain(self, value: _Value) -> _Value:
        return value if value.layout is None else self._moved("nhwc_to_nchw", value, value.layout, None)

    def _moved(self, kind: str, value: _Value, image: tuple[int, int, int], layout: Layout) -> _Value:
        moved = self._value(value.size // 4, layout)
        self.bound.append(_Bound(Body(kind, image), (value, moved), 1, None))
        return moved

    def _value(self, count: int, layout: Layout) -> _Value:
        self.made += 1
        return _Value(self.made - 1, layout, 4 * count)

    def _start(self, number: int, shape: Shape, layout: Layout) -> None:
        """Begin a part that reads the network's value `number`."""
        self.bound, self.values, self.made, self.last = [], {}, 0, number
        self.values[number] = self._value(math.prod(shape), layout)

    def _close(self, number: int) -> None:
        """End the part under way, if it does anything; its output is the network's value `number`."""
        if not self.bound:
            return
        output = self.values[number]
        bound = _without_floats(self.bound)
        slots, places = _places(bound, output.number)
        ops = tuple(Op(one.body.kind, tuple(places[v.number] for v in one.values), *one.body[1:]) for one in bound)
        self.parts.append(NativePart(ops, slots, tuple(one.step for one in bound), output.size // 4, output.layout))


_SHAPELESS = ("add", "unary")  # every number by itself: the output lies as the input does


def _image_layout(shape: Shape) -> Layout:
    """Return the layout of an image with its channels last, None where that is the order it has anyway."""
    if len(shape) != 3 or shape[0] == 1 or shape[1] * shape[2] == 1:
        return None
    return shape[0], shape[1], shape[2]


def _without_floats(bound: list[_Bound]) -> list[_Bound]:
    """Let an int8 layer write the integers that the next one reads, where nothing else does and its scale is fixed.

    Both round the same float32 numbers, so nothing changes but the bytes in between.
    """
    found = list(bound)
    for number, (one, after) in enumerate(itertools.pairwise(bound)):
        value = one.written
        is_chain = one.body.kind == after.body.kind == "linear_i8" and value == after.values[0]
        if not is_chain or after.body.arrays[3] is None or sum(value in other.values for other in bound) != 2:
            continue
        integers = value._replace(size=value.size // 4)
        one, after = found[number], found[number + 1]
        arrays = (*one.body.arrays[:4], after.body.arrays[3])
        body = one.body._replace(dims=(*one.body.dims[:5], 1, one.body.dims[6]), arrays=arrays)
        found[number] = one._replace(body=body, values=(one.values[0], integers))
        body = after.body._replace(dims=(*after.body.dims[:4], 1, *after.body.dims[5:]))
        found[number + 1] = after._replace(body=body, values=(integers, after.values[1]))
    return found


def _places(bound: list[_Bound], output: int) -> tuple[tuple[int, ...], dict[int, int]]:
    """Return the bytes of each slot, and the slot of each value: 0 the input's, 1 the output's.

    What an operation writes never lies where it reads.
    """
    last_use = {value.number: number for number, one in enumerate(bound) for value in one.values}
    sizes = {value.number: value.size for one in bound for value in one.values}
    places, slots = {0: 0, output: 1}, [sizes[0], sizes[output]]
    free: dict[int, list[int]] = {}
    for number, one in enumerate(bound):
        written = one.written
        if written.number not in places:
            vacant = free.setdefault(written.size, [])
            places[written.number] = vacant.pop() if vacant else len(slots)
            if places[written.number] == len(slots):
                slots.append(written.size)
        for value in {value.number for value in one.values}:
            if last_use[value] == number and places[value] > 1:
                free.setdefault(sizes[value], []).append(places[value])
    return tuple(slots), places
