"""The algebra of sweeps: products, exclusions, inclusions, labels."""

from __future__ import annotations

import pytest

from pipeline.core.sweep import (
    canonical,
    count,
    expand,
    grid_factor,
    label,
    random_factor,
    short_names,
    unmatched,
    zip_factor,
)


def test_the_last_factor_varies_fastest() -> None:
    """Points come in the order of nested loops."""
    points = expand([grid_factor("a", [1, 2]), grid_factor("b", "xy")])
    assert points == ({"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"})


def test_no_sweep_is_one_point() -> None:
    """The empty product has one member: the base."""
    assert expand([]) == ({},)
    assert expand([], base={"a": 1}) == ({"a": 1},)


def test_an_exclusion_takes_all_points_with_its_values() -> None:
    """Axes an entry does not name are free."""
    points = expand([grid_factor("a", [1, 2]), grid_factor("b", [1, 2])], exclude=[{"a": 1}])
    assert points == ({"a": 2, "b": 1}, {"a": 2, "b": 2})


def test_an_inclusion_is_completed_from_the_base_and_comes_last() -> None:
    """It is not subject to exclusions, and a point that exists already is not repeated."""
    points = expand([grid_factor("a", [1])], [{"a": 1}], [{"a": 3}, {"a": 1}, {"a": 3.0}], base={"a": 0, "b": 5})
    assert points == ({"a": 3, "b": 5}, {"a": 1, "b": 5})


def test_inclusions_alone_are_the_only_points() -> None:
    """Without factors nothing is added to them."""
    assert expand([], include=[{"a": 1}], base={"a": 0}) == ({"a": 1},)
    assert count([], (), [{"a": 1}], {"a": 0}) == 1


def test_equal_values_are_one_value() -> None:
    """0 and 0.0 are the same point; true and 1, and "1" and 1, are not."""
    assert grid_factor("a", [0, 0.0, 1, True, "1", [1.0], [1]]) == (
        {"a": 0},
        {"a": 1},
        {"a": True},
        {"a": "1"},
        {"a": [1]},
    )
    assert canonical({"a": [2.0, 0.5]}) == {"a": [2, 0.5]}
    assert unmatched([({"a": 1},)], [{"a": True}, {"a": 1.0}]) == [0]


def test_a_factor_may_set_several_axes_together() -> None:
    """Zipped values are a factor of partial points."""
    together = ({"a": 1, "b": 10}, {"a": 2, "b": 20})
    assert expand([together, grid_factor("c", [0])]) == ({"a": 1, "b": 10, "c": 0}, {"a": 2, "b": 20, "c": 0})


def test_labels_are_short() -> None:
    """An axis is called by its shortest ending that no other one shares."""
    names = short_names(["model.train.lr", "optimize[1].finetune.lr", "bits", "optimize[0].prune.sparsity"])
    assert list(names.values()) == ["train.lr", "finetune.lr", "bits", "sparsity"]
    point = {"bits": 8, "optimize[0].prune.sparsity": 0.5, "hidden": [8, 4], "arch": "mlp"}
    shown = {"optimize[0].prune.sparsity": "sparsity", "bits": "bits", "hidden": "hidden", "arch": "arch"}
    assert label(point, shown) == "sparsity=0.5 bits=8 hidden=[8,4] arch=mlp"
    assert label(point, {"bits": "bits"}, seed=3) == "seed=3 bits=8"
    assert label({}, {}) == ""


def test_many_exclusions_are_looked_up() -> None:
    """Not compared with every point one by one, which would take minutes here."""
    factors = [grid_factor("a", range(300)), grid_factor("b", range(300))]
    exclude = [{"a": value} for value in range(299)] + [{"b": value} for value in range(299)] + [{"a": -1}]
    assert expand(factors, exclude) == ({"a": 299, "b": 299},)
    assert unmatched(factors, exclude) == [len(exclude) - 1]


def test_zipped_axes_advance_together() -> None:
    """Rows are taken once, however their numbers are written."""
    assert zip_factor({"a": [1, 2, 1.0], "b": ["x", "y", "x"]}) == ({"a": 1, "b": "x"}, {"a": 2, "b": "y"})
    with pytest.raises(ValueError, match="zip"):
        zip_factor({"a": [1, 2], "b": [1]})


def test_more_samples_keep_the_first_ones() -> None:
    """And a further axis changes no other."""
    axes = {"lr": ("model.train.lr", {"log_uniform": [1e-4, 1e-2]}), "s": ("vars.s", {"uniform": [0, 1]})}
    twenty = random_factor(axes, 20, seed=3)
    assert random_factor(axes, 50, seed=3)[:20] == twenty
    alone = random_factor({"lr": axes["lr"]}, 20, seed=3)
    assert [point["lr"] for point in alone] == [point["lr"] for point in twenty]
    assert random_factor(axes, 20, seed=4) != twenty


def test_repeated_samples_are_one() -> None:
    """Of two choices there are four points, not a hundred."""
    axes = {name: (name, {"choice": [1, 2]}) for name in "ab"}
    assert len(random_factor(axes, 100, seed=0)) == 4


def test_labels_tell_all_values_apart() -> None:
    """A text that reads like a number, a word of JSON or two words is quoted."""
    values = [1, "1", True, "true", None, "null", [1], "[1]", "", "a b", "a", "a=b", 0.5, "0.5", "x\n", {"a": 1}]
    labels = [label({"v": value}, {"v": "v"}) for value in values]
    assert len(set(labels)) == len(values)
    assert {'v="1"', "v=1", "v=a", 'v="a b"', 'v=""', "v=null"} <= set(labels)
