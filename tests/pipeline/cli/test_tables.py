"""Tables and the text of `plan`: rows that fit, columns that align, and like nodes in one row."""

from __future__ import annotations

import pytest

from pipeline.cli.tables import ranges, table
from tests.project import Project

HEADER = ("status", "node", "why")
ROWS = [
    ("run", "train mlp seed=0", "epochs 20 → 30"),
    ("run", "optimize prune structured sparsity=0.5", "hidden [16] → [512, 512]; label_smoothing 0.0 → 0.1"),
    ("cached", "data 日本", ""),
]


def cells(line: str) -> int:
    return sum(2 if "\u4e00" <= char <= "\u9fff" else 1 for char in line)


def test_a_wide_terminal_gets_one_line_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns begin below their headers."""
    monkeypatch.setenv("COLUMNS", "140")
    header, _, *rows = table(HEADER, ROWS).splitlines()
    assert len(rows) == 3
    assert [line.index(row[1]) for line, row in zip(rows, ROWS, strict=True)] == [header.index("node")] * 3
    assert rows[0].index("epochs") == rows[1].index("hidden") == header.index("why")


def test_the_last_column_wraps_at_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its other lines begin below the first; no other column is ever broken."""
    monkeypatch.setenv("COLUMNS", "95")
    lines = table(HEADER, ROWS).splitlines()
    assert max(map(cells, lines)) <= 95
    assert any(line.startswith(" " * lines[0].index("why")) for line in lines)
    assert all(any(row[1] in line for line in lines) for row in ROWS)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_without_room_the_last_column_stands_below_its_row(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every word is there, in order, and nothing is wider than the terminal."""
    monkeypatch.setenv("COLUMNS", str(width))
    lines = table(HEADER, ROWS).splitlines()
    assert max(map(cells, lines)) <= width
    words = " ".join(lines).split()
    assert words == " ".join(" ".join(row) for row in (HEADER, *ROWS)).split()


def test_a_hostile_cell_does_not_reach_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the layout is."""
    for width in ("40", "140"):
        monkeypatch.setenv("COLUMNS", width)
        assert not set("\x1b\r\x07") & set(table(HEADER, [("a\x1b[2J", "b\rc", "d\x07 " * 20)]))


def test_numbers_in_a_row_are_a_range() -> None:
    """A node may serve hundreds of points."""
    assert ranges([1, 2, 3, 5, 7, 8]) == "1-3,5,7-8"
    assert ranges([]) == ""


SWEEP = ("--sweep", "optimize.prune.sparsity=0.25,0.5", "--sweep", "optimize.quantize.bits=8,4")


def test_nodes_that_differ_in_their_point_only_are_one_row_of_the_plan(project: Project) -> None:
    """A sweep of hundreds of points stays readable; the document still has every node."""
    shown = project.run("plan", "experiments/smoke.yaml", *SWEEP).stdout
    rows = [line for line in shown.splitlines() if "  evaluate" in line or "  benchmark" in line]
    assert [line.split()[1:3] for line in rows if "2x" in line or "4x" in line or "3x" in line]
    assert "evaluate sparsity" not in shown
    nodes = project.json("plan", "experiments/smoke.yaml", *SWEEP)["nodes"]
    assert sum(node["node"].startswith("evaluate sparsity") for node in nodes) == 4


def test_layers_that_a_step_sets_alike_are_one_row_of_the_plan(project: Project) -> None:
    """The document has every layer."""
    shown = project.run("plan", "experiments/smoke.yaml").stdout
    assert "fc1, fc_out: bits 8" in shown
    layers = project.json("plan", "experiments/smoke.yaml")["layers"]
    assert [row["layer"] for row in layers if row["step"].startswith("quantize")] == ["fc1", "fc_out"]


def test_settings_of_a_layer_that_differ_between_points_are_all_listed(project: Project) -> None:
    """Steps of the same name in different points may treat a layer differently."""
    sweep = ("--sweep", "optimize.quantize.per_layer={},{fc1: {bits: 4}}")
    layers = project.json("plan", "experiments/smoke.yaml", *sweep)["layers"]
    settings = [row["setting"] for row in layers if row["step"].startswith("quantize") and row["layer"] == "fc1"]
    assert len(settings) == 2


def test_a_long_list_of_points_is_cut(project: Project) -> None:
    """The head says how many there are."""
    sweep = "optimize.prune.sparsity=" + ",".join(f"0.{i}" for i in range(20, 70))
    shown = project.run("plan", "experiments/smoke.yaml", "--sweep", sweep).stdout
    assert "smoke: 50 points" in shown
    assert "10 more points: --json lists them" in shown
    assert "the settings at 10 more points are not listed" in shown


def test_plan_says_how_many_points_were_repeated(project: Project) -> None:
    """A file may ask for a point twice; it is run once."""
    sweep = ("--sweep", "optimize.prune.sparsity=0.25,0.50,0.5")
    assert "smoke: 2 points (1 repetition left out)" in project.run("plan", "experiments/smoke.yaml", *sweep).stdout
    assert project.json("plan", "experiments/smoke.yaml", *sweep)["repetitions"] == 1


def test_plan_refuses_an_explosion_with_the_sum(project: Project) -> None:
    """Before a point is made; a run says the same."""
    sweep = ["--sweep", "optimize.prune.sparsity=" + ",".join(f"0.{i}" for i in range(20, 70))]
    sweep += ["--sweep", "model.train.epochs=" + ",".join(map(str, range(1, 31)))]
    for command in ("plan", "run"):
        (problem,) = project.json(command, "experiments/smoke.yaml", *sweep, expect=2)["error"]["problems"]
        assert problem["message"] == (
            "30 model.train.epochs x 50 optimize.prune.sparsity = 1,500 points: more than max_points: 1,000"
        )


def test_points_that_differ_in_training_only_have_the_same_settings(project: Project) -> None:
    """A network is built once for all of them, and none is left out."""
    seeds = f"seeds=[{', '.join(map(str, range(50)))}]"
    assert project.json("plan", "experiments/smoke.yaml", "--set", seeds)["layers_left_out"] == 0


def test_plan_says_how_precisely_each_comparison_is_timed(project: Project) -> None:
    """What preset and file come to; points that ask for something else have a line of their own."""
    smoke = "experiments/smoke.yaml"
    publish = ("--set", "benchmark={preset: publish, batch_sizes: [1, 8]}")
    assert (
        "2 comparisons: 12 processes or more for ±0.5 %, 120 s each; a busy machine is waited for, up to 120 s each"
        in (project.run("plan", smoke, *publish).stdout)
    )
    found = project.json("plan", smoke, "--sweep", "benchmark.processes=2,3", "--set", "benchmark.wait_s=0")["timing"]
    assert [(row["comparisons"], row["processes"], row["wait_s"]) for row in found] == [(1, 2, 0), (1, 3, 0)]
