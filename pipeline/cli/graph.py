"""A plan drawn as a graph: as a tree of text, as a Mermaid flowchart, or in Graphviz's DOT."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.graph import edges, parents
from pipeline.core.plan import Plan
from pipeline.report.text import printable

__all__ = ["Drawn", "FORMS", "draw", "graph"]


@dataclass(frozen=True)
class Drawn:
    """A plan as nodes (number from 1, label, status), edges between numbers, and each node's parent in a tree."""

    nodes: tuple[tuple[int, str, str], ...]
    edges: tuple[tuple[int, int], ...]
    parents: Mapping[int, int | None]
    feeding: Mapping[int, int]


def graph(plan: Plan, statuses: Mapping[str, str]) -> Drawn:
    """Return the nodes that have a status, and the edges between them that do not follow from others."""
    shown = [node for node in plan.nodes if node.id in statuses]
    number = {node.id: place for place, node in enumerate(shown, start=1)}
    among: Collection[str] = number.keys()
    above = parents(plan, among)
    return Drawn(
        tuple((number[node.id], printable(node.label), statuses[node.id]) for node in shown),
        tuple((number[feeds], number[fed]) for feeds, fed in edges(plan, among)),
        {number[fed]: None if feeds is None else number[feeds] for fed, feeds in above.items()},
        {number[node.id]: len({ref.node for ref in node.inputs.values()}) for node in shown},
    )


def draw(drawn: Drawn, form: str) -> str:
    """Return the graph in one of FORMS."""
    return "\n".join(FORMS[form](drawn))


def _text(drawn: Drawn) -> list[str]:
    children: dict[int | None, list[int]] = {}
    for fed, feeds in drawn.parents.items():
        children.setdefault(feeds, []).append(fed)
    facts = {number: (label, status) for number, label, status in drawn.nodes}
    lines: list[str] = []
    # A stack instead of recursion: a recipe may have many steps. Last in, first out, so children go on it reversed.
    waiting = [(root, "", "") for root in reversed(children.get(None, []))]
    while waiting:
        number, lead, below = waiting.pop()
        label, status = facts[number]
        gathers = f", from {drawn.feeding[number]} nodes" if not lead and drawn.feeding[number] else ""
        lines.append(f"{lead}{label}  ({status}{gathers})")
        inner = children.get(number, [])
        ends = [("├─ ", "│  ")] * (len(inner) - 1) + [("└─ ", "   ")] * bool(inner)
        waiting += reversed(
            [(child, below + fork, below + rail) for child, (fork, rail) in zip(inner, ends, strict=True)]
        )
    return lines


_COLOURS = {"cached": "#eceef0", "run": "#fbf0da", "may run": "#ffffff"}


def _mermaid(drawn: Drawn) -> list[str]:
    return [
        "flowchart LR",
        *(f'  n{number}["{_entities(label)}"]:::{_word(status)}' for number, label, status in drawn.nodes),
        *(f"  n{feeds} --> n{fed}" for feeds, fed in drawn.edges),
        *(f"  classDef {_word(status)} fill:{colour},stroke:#5d666f,color:#1d2125" for status, colour in _used(drawn)),
    ]


def _dot(drawn: Drawn) -> list[str]:
    colours = dict(_used(drawn))
    return [
        "digraph plan {",
        "  rankdir=LR;",
        '  node [shape=box, style="rounded,filled", fontname="sans-serif"];',
        *(
            f'  n{number} [label="{_escaped(label)}", tooltip="{status}", fillcolor="{colours[status]}"];'
            for number, label, status in drawn.nodes
        ),
        *(f"  n{feeds} -> n{fed};" for feeds, fed in drawn.edges),
        "}",
    ]


def _used(drawn: Drawn) -> Sequence[tuple[str, str]]:
    used = {status for _, _, status in drawn.nodes}
    return [(status, colour) for status, colour in _COLOURS.items() if status in used]


def _word(status: str) -> str:
    return status.replace(" ", "_")


def _entities(text: str) -> str:
    """Return a text for a quoted Mermaid label: what could end or format it is written as a character's number."""
    return "".join(char if char.isalnum() or char in " =._-:,/" else f"#{ord(char)};" for char in text)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


FORMS: dict[str, Callable[[Drawn], list[str]]] = {"text": _text, "mermaid": _mermaid, "dot": _dot}
