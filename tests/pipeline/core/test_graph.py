"""The edges and the tree that a plan is drawn with."""

from __future__ import annotations

from pipeline.core.graph import edges, parents
from pipeline.core.plan import Node, Plan, Ref


def node(name: str, *inputs: str) -> Node:
    return Node(name, "stage", name, {}, {f"x{i}": Ref(one, "out") for i, one in enumerate(inputs)}, ())


DIAMOND = Plan((node("a"), node("b", "a"), node("c", "a"), node("d", "a", "b", "c"), node("e", "a", "d")), (), "d", "e")


def test_an_edge_that_follows_from_others_is_left_out() -> None:
    """Data feeds everything; only its first edges say something."""
    assert edges(DIAMOND, "abcde") == (("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e"))


def test_only_nodes_that_are_asked_for_have_edges() -> None:
    """A part of a plan is a graph of its own."""
    assert edges(DIAMOND, "ab") == (("a", "b"),)


def test_in_a_tree_a_node_hangs_below_the_last_that_feeds_it() -> None:
    """Every node once, roots below nothing."""
    assert parents(DIAMOND, "abcde") == {"a": None, "b": "a", "c": "a", "d": "c", "e": "d"}
