"""The plan as a graph to look at: the edges that matter, and the parent that each node hangs below in a tree. Pure."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.core.plan import Plan

__all__ = ["edges", "parents"]


def edges(plan: Plan, among: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs (feeds, fed) of node ids, both of `among`, without those that follow from others.

    Data feeds nearly everything; where it also feeds what feeds a node, the shorter edge says nothing.
    """
    number = {node.id: place for place, node in enumerate(plan.nodes)}
    above: dict[str, int] = {}  # node id -> the set of its ancestors as bits, by their number
    found = []
    for node in plan.nodes:
        inputs = {ref.node for ref in node.inputs.values()}
        implied = 0
        for one in inputs:
            implied |= above[one]
        above[node.id] = implied | sum(1 << number[one] for one in inputs)
        if node.id in among:
            direct = [one for one in inputs if one in among and not implied >> number[one] & 1]
            found += [(one, node.id) for one in sorted(direct, key=number.__getitem__)]
    return tuple(found)


def parents(plan: Plan, among: Collection[str]) -> dict[str, str | None]:
    """Return for each node of `among` the one that it hangs below in a tree: the last of those that feed it.

    None for a root, and for a node that gathers several points: it hangs below none of them.
    """
    feeding: dict[str, list[str]] = {node.id: [] for node in plan.nodes if node.id in among}
    for feeds, fed in edges(plan, among):
        feeding[fed].append(feeds)
    gathering = {plan.submit} if len(plan.runs) > 1 else set()
    return {fed: feeds[-1] if feeds and fed not in gathering else None for fed, feeds in feeding.items()}
