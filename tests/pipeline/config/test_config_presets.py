"""Presets: one word for how much time is spent on precision."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.config.build import build
from pipeline.config.dump import dump
from pipeline.config.load import loads
from pipeline.config.schema import PRESETS, fill, node_at, root
from pipeline.core.experiment import BenchmarkSpec, Experiment

SMALL = {"name": "x", "data": {"name": "digits"}, "model": {"arch": "mlp"}, "optimize": [{"quantize": {"bits": 8}}]}
GOVERNED = ("processes", "target_ci", "budget_s", "wait_s")


def experiment(set_: tuple[str, ...] = (), **parts: Any) -> Experiment:
    return build(loads(dump({**SMALL, **parts}), "x.yaml"), set_)


def timing(benchmark: BenchmarkSpec) -> tuple[float, ...]:
    return tuple(getattr(benchmark, key) for key in GOVERNED)


def section() -> Any:
    return node_at(("benchmark",))


def test_the_table_has_a_row_for_each_preset() -> None:
    """And every row gives valid values to keys that exist; the standard is what the keys' own defaults say."""
    table, properties = section()[PRESETS], section()["properties"]
    assert list(table) == properties["preset"]["enum"]
    assert table[properties["preset"]["default"]] == {}
    for row in table.values():
        for key, value in row.items():
            Draft202012Validator({**properties[key], "$defs": root()["$defs"]}).validate(value)


def test_every_row_says_the_same_keys() -> None:
    """Those that the description names."""
    rows = [row for row in section()[PRESETS].values() if row]
    assert {tuple(row) for row in rows} == {GOVERNED}
    assert all(key in section()["properties"]["preset"]["description"] for key in GOVERNED)


@pytest.mark.parametrize("preset", ["quick", "standard", "publish"])
def test_the_description_has_the_tables_numbers(preset: str) -> None:
    """Editors show it, so it must not lag behind."""
    found = fill({"preset": preset}, ("benchmark",))
    expected = f"{preset}: {found['budget_s']:g} s for ±{100 * found['target_ci']:g} %."
    assert expected in section()["properties"]["preset"]["description"]


def test_without_a_preset_nothing_is_different() -> None:
    """The standard is the default."""
    assert experiment().runs == experiment(benchmark={"preset": "standard"}).runs
    assert experiment().runs[0].benchmark == BenchmarkSpec()


def test_more_time_buys_more_precision() -> None:
    """From quick to publish every number grows, and the target gets narrower."""
    presets = [experiment(benchmark={"preset": name}).runs[0].benchmark for name in ("quick", "standard", "publish")]
    for key in ("processes", "budget_s", "wait_s"):
        values = [getattr(preset, key) for preset in presets]
        assert values == sorted(set(values))
    assert [preset.target_ci for preset in presets] == [0.05, 0.01, 0.005]


def test_what_the_file_says_wins() -> None:
    """A preset gives defaults only."""
    quick = experiment(benchmark={"preset": "quick"}).runs[0].benchmark
    mixed = experiment(benchmark={"preset": "quick", "processes": 9}).runs[0].benchmark
    assert timing(mixed) == (9, *timing(quick)[1:])


def test_the_command_line_can_choose_another() -> None:
    """What the file says of single keys still wins."""
    chosen = experiment(("benchmark.preset=publish",), benchmark={"budget_s": 7})
    assert timing(chosen.runs[0].benchmark) == (12, 0.005, 7.0, 120.0)
    assert chosen.document["benchmark"]["preset"] == "publish"


@pytest.mark.parametrize(
    "parts",
    [
        {"sweep": {"grid": {"benchmark.preset": ["quick", "publish"]}}},
        {
            "vars": {"much": "quick"},
            "benchmark": {"preset": "${much}"},
            "sweep": {"grid": {"much": ["quick", "publish"]}},
        },
        {"sweep": {"grid": {"benchmark": [{"preset": "quick"}, {"preset": "publish"}]}}},
    ],
)
def test_a_sweep_over_presets_gives_each_point_its_own(parts: dict[str, Any]) -> None:
    """And the document that a submission embeds describes the same points."""
    found = experiment(**parts)
    assert [timing(run.benchmark)[0] for run in found.runs] == [3, 12]
    again = build(loads(dump(found.document), "again.yaml"))
    assert again.runs == found.runs
    assert again.source.digest == found.source.digest


def test_the_document_spells_a_fixed_preset_out() -> None:
    """A reader of a submission need not know the table."""
    found = experiment(benchmark={"preset": "quick"})
    assert {key: found.document["benchmark"][key] for key in GOVERNED} == section()[PRESETS]["quick"]
    assert build(loads(dump(found.document), "again.yaml")).runs == found.runs
