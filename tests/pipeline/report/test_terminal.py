"""The result as plain text: golden at two widths, within the width, coloured only on request, safe to print."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.markdown import render as markdown
from pipeline.report.terminal import render
from pipeline.report.text import Cell, Table, cells_of

GOLDEN = Path(__file__).parent / "golden"
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("width", [60, 100])
def test_the_text_is_the_golden_one(submission: dict[str, Any], width: int) -> None:
    """A change of layout shows in review; UPDATE_GOLDEN=1 writes it anew."""
    path = GOLDEN / f"terminal_{width}.txt"
    text = render(submission, width=width) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [40, 47, 60, 72, 80, 100, 120, 300])
def test_no_line_is_wider_than_the_terminal(submission: dict[str, Any], width: int) -> None:
    """And none is longer than a reader can follow."""
    lines = render(submission, width=width).splitlines()
    assert max(map(cells_of, lines)) <= min(width, 120)


def test_colour_is_decoration_only(submission: dict[str, Any]) -> None:
    """Without the codes the text is the same; without `colour` there are none."""
    plain = render(submission, colour=False)
    coloured = render(submission, colour=True)
    assert "\x1b" not in plain
    assert coloured != plain
    assert ANSI.sub("", coloured) == plain


def test_a_missing_figure_is_a_dash_with_its_reason(submission: dict[str, Any]) -> None:
    """Never a number, never a blank."""
    text = render(submission)
    assert re.search(r"latency, p99 +– +–\n", text)
    assert "– latency, p99: needs 662 samples, has 500" in text


def test_percentiles_may_come_without_intervals(submission: dict[str, Any]) -> None:
    """The schema does not ask for them."""
    for arm in submission["benchmark"]["comparisons"][0]["arms"].values():
        del arm["percentile_intervals"]
    assert "latency, p90" in render(submission)


def test_a_reused_measurement_says_so(submission: dict[str, Any]) -> None:
    """With when it was made."""
    submission["measurement"]["status"] = "reused"
    assert "measured 2026-01-31T12:00:00Z" in render(submission, width=120)
    assert "reused" in render(submission)


def test_a_simulated_effect_says_so(submission: dict[str, Any]) -> None:
    """At the step, at the point and at the verdict."""
    submission["effects"][0]["simulated"] = True
    submission["selection"]["points"][2]["simulated"] = True
    text = render(submission, width=120)
    assert "simulated: no speed gained" in text
    assert "faster, simulated" in text
    assert "a simulated step gains no speed" in text


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("faster", "the whole interval is above 1.020x"),
        ("slower", "the whole interval is below 0.980x"),
        ("equivalent", "where a difference does not matter"),
        ("inconclusive", "neither beyond"),
        ("noisy", "nothing may be claimed"),
    ],
)
def test_every_verdict_is_explained(submission: dict[str, Any], verdict: str, words: str) -> None:
    """In plain words."""
    submission["comparisons"]["speed"] |= {"verdict": verdict, "adjusted_p_value": None}
    assert words in render(submission, width=120).replace("\n          ", " ")


def test_a_claim_lost_to_the_correction_is_explained(submission: dict[str, Any]) -> None:
    """With the number of comparisons, the p-value and what would decide it."""
    submission["comparisons"]["speed"] |= {"verdict": "inconclusive", "adjusted_p_value": 0.21, "compared": 12}
    text = " ".join(render(submission).split())
    assert "12 comparisons were made, of which some look so by chance: Holm's correction makes it p = 0.21" in text
    assert "benchmark.processes" in text


def test_a_missed_goal_is_told_with_its_reason(submission: dict[str, Any]) -> None:
    """A goal that is met needs no explanation."""
    submission["constraints"][1] |= {"status": "not_met", "reason": "nothing of the interval is fast enough"}
    text = render(submission)
    assert "goal not met: speed-up of at least 1.50x; measured 1.92x [1.90, 1.94]\n  nothing of the interval" in text
    assert "goal met: accuracy drops by at most 3.00 points" in text


def test_a_single_point_has_no_sweep_table(submission: dict[str, Any]) -> None:
    """There was nothing to choose."""
    submission["selection"]["points"] = submission["selection"]["points"][2:3]
    submission["selection"]["tried"] = 1
    text = render(submission)
    assert "chosen" not in text
    assert "speed-up  " not in text


def test_a_long_sweep_is_cut_and_keeps_the_chosen_point(submission: dict[str, Any]) -> None:
    """The report has the rest."""
    points = submission["selection"]["points"]
    many = [{**copy.deepcopy(points[0]), "index": i, "label": f"point {i}"} for i in range(300)]
    submission["selection"] |= {"points": many, "chosen": 299}
    text = render(submission)
    assert "* point 299" in text
    assert "260 more" in text
    assert len(text.splitlines()) < 120


def test_of_many_points_those_worth_a_look_are_shown(submission: dict[str, Any]) -> None:
    """The chosen one first, then the front; what another point beats is in the report."""
    points = submission["selection"]["points"]
    many = [
        {**copy.deepcopy(points[0]), "index": i, "label": f"point {i}", "stored_bytes": 1000 + (i != 7)}
        for i in range(300)
    ]
    submission["selection"] |= {"points": many, "chosen": 299}
    text = render(submission)
    assert "* point 299" in text
    assert "+ point 7 " in text
    assert "298 more" in text


def test_what_steps_and_training_did_to_the_accuracy_is_told(submission: dict[str, Any]) -> None:
    """Where it was kept."""
    for effect in submission["effects"]:
        record = {
            "accuracy": 0.5,
            "interval": [0.4, 0.6],
            "change": -0.4,
            "change_interval": [-0.5, -0.3],
            "p_value": 0,
        }
        effect["accuracy"] = {"validation": record, "test": record}
    epochs = [{"epoch": i, "train_loss": 2 / i, "validation_accuracy": 1 - 1 / (i + 1), "lr": 0.1} for i in (1, 2)]
    submission["training"] = [{"id": "train", "epochs": epochs}]
    text = render(submission)
    assert "50.0 % (-40.00 points)" in text
    assert "training: train 2 epochs, loss 2 to 1, accuracy 50.0 % to 66.7 %" in text


def test_the_time_of_the_optimized_models_layers_is_told(submission: dict[str, Any]) -> None:
    """Beside that of the baseline's."""
    layers = submission["benchmark"]["comparisons"][0]["arms"]["optimized"]["session"]["layers"]
    for i, layer in enumerate(layers):
        layer["time_ns"] = 10.0 if i else 30.0
    share = 30 / (30 + 10 * (len(layers) - 1))
    assert f"the optimized model's time goes to {layers[0]['name']} {100 * share:.1f} %" in render(submission)


def test_an_unprofiled_submission_without_steps_or_goals_is_shown(submission: dict[str, Any]) -> None:
    """Empty parts are left out."""
    submission |= {"profile": None, "effects": [], "constraints": [], "warnings": []}
    text = render(submission)
    assert "\n\n\n" not in text
    assert "goal" not in text


def test_hostile_text_cannot_drive_the_terminal(hostile: dict[str, Any]) -> None:
    """Control characters are replaced, and no line is made up."""
    text = render(hostile, width=80, colour=False)
    assert "\x1b" not in text
    assert not any(line.startswith("# h") for line in text.splitlines())


def test_wide_characters_keep_the_columns_straight(submission: dict[str, Any]) -> None:
    """A label in Chinese takes two cells a character."""
    submission["selection"]["points"][0]["label"] = "稀疏度"
    lines = [line for line in render(submission, width=100).splitlines() if line.endswith("faster")]
    ends = {cells_of(line) for line in lines}
    assert len(ends) == 1


def test_the_courses_format_is_shown_as_unverified(course: dict[str, Any]) -> None:
    """With or without an optimized model."""
    assert "unverified" in render(course)
    course["optimized"] = {**course["baseline"], "techniques_applied": ["pruning"]}
    course["improvements"] = {"speedup": 1.25, "compression_ratio": 2.0, "accuracy_delta": -0.02}
    text = render(course)
    assert re.search(r"accuracy +50.0 % +50.0 % +-2.00 points", text)


def test_printing_a_result_imports_nothing_heavy() -> None:
    """A run in which nothing has to be done prints this, too."""
    code = (
        "import sys, pipeline.report.terminal; "
        "print([m for m in ('numpy', 'scipy', 'jsonschema', 'rich', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_table_drops_its_optional_columns_before_it_becomes_blocks() -> None:
    """The least important column goes first."""
    table = Table(["a", "b", "c"], [[Cell("1" * 10), Cell("2" * 10), Cell("3" * 10)]], optional=(1,))
    assert len(table.lines(34, False)) == 2
    assert "2" not in "".join(table.lines(33, False))
    assert table.lines(21, False) == ["1" * 10, "  b  " + "2" * 10, "  c  " + "3" * 10]


def test_further_batch_sizes_have_rows_of_their_own(submission: dict[str, Any]) -> None:
    """What was measured beside the primary comparison is shown, not only paid for."""
    second = {**copy.deepcopy(submission["benchmark"]["comparisons"][0]), "batch_size": 32, "verdict": "slower"}
    submission["benchmark"]["comparisons"].append(second)
    text = render(submission)
    assert "batch size  threads" in text
    assert re.search(r"^ +32 .*slower$", text, re.MULTILINE)


def test_seeds_are_not_counted_as_points(submission: dict[str, Any]) -> None:
    """Three runs of one point under three seeds are one point."""
    points = submission["selection"]["points"][:3]
    submission["selection"]["points"] = [{**point, "point": {}, "seed": seed} for seed, point in enumerate(points)]
    submission["selection"]["tried"] = 3
    assert "1 point with 3 seeds" in render(submission)


def test_what_a_budget_gave_to_which_layer_is_shown(submission: dict[str, Any]) -> None:
    """The file names the budget only; layers that were left as they are go unnamed, in every report."""
    effect = submission["effects"][0]
    effect |= {"id": "budget", "use": "budget", "technique": "budget", "settings": {"target": {"size_bytes": 900}}}
    (layer,) = effect["layers"]
    given = ({"sparsity": 0.75, "loss_rise": 0.1}, {}, {"sparsity": 0.5})
    effect["layers"] = [{**layer, "name": name, "settings": own} for name, own in zip("abc", given, strict=True)]
    expected = "gave a sparsity 0.75, c sparsity 0.5"
    assert f"budget {expected}" in render(submission)
    assert expected in markdown(submission).replace("\\", "")
