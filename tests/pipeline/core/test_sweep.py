"""The algebra of sweeps: products, exclusions, inclusions, labels."""

from __future__ import annotations

from pipeline.core.sweep import canonical, count, expand, grid_factor, label, short_names, unmatched


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
