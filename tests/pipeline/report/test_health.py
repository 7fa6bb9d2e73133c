"""A training seen from inside, in the reports: what hinders it is told, what does not is left to the tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.report import html, markdown, terminal
from pipeline.report.charts import drawable
from pipeline.report.health import health_of, health_rows
from pipeline.report.material import make_material
from pipeline.submission.validate import check_submission
from tests.pipeline.report.conftest import HOSTILE

LAYERS = [
    {"name": "fc1", "kind": "Linear", "units": 16},
    {"name": "relu1", "kind": "ReLU", "units": 16},
    {"name": "fc_out", "kind": "Linear", "units": 10},
]
PARAMETERS = [
    {"name": "fc1.weight", "size": 1024},
    {"name": "fc1.bias", "size": 16},
    {"name": "fc_out.weight", "size": 160},
]


def look(epoch: int, loss: float, dead: int = 0, gradient: float | None = 1.0) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "lr": 1e-3,
        "loss": loss,
        "mean": [0.0, 0.4, 0.1],
        "std": [1.0, 0.5, 0.6],
        "zeros": [0.0, 0.5, 0.0],
        "dead": [None, dead, None],
        "saturated": [None, None, None],
        "gradient": [gradient, 0.2, 0.4],
        "weight": [3.9, 0.1, 3.2],
    }


def inspected(
    submission: dict[str, Any], *looks: dict[str, Any], losses: tuple[float, ...] = (1.0, 0.5)
) -> dict[str, Any]:
    """Put a training with these looks into the submission, which stays valid."""
    epochs = [
        {"epoch": i, "train_loss": loss, "validation_accuracy": 0.9, "lr": 1e-3} for i, loss in enumerate(losses, 1)
    ]
    facts = {"items": 128, "optimizer": "adam", "lr": 1e-3, "momentum": 0.9, "layers": LAYERS, "parameters": PARAMETERS}
    seen = {**facts, "points": list(looks), "rate_test": None}
    submission["training"] = [{"id": "train", "epochs": epochs, "inspection": seen}]
    check_submission(submission, "a submission with an inspection")
    return submission


def test_a_healthy_training_is_told_in_the_report_only(submission: dict[str, Any]) -> None:
    """The terminal has nothing to say of it."""
    inspected(submission, look(0, 2.3), look(1, 1.0), look(2, 0.5, dead=1))
    (health,) = health_of(submission)
    assert health.obstacles == ()
    assert health.looked.startswith(
        "128 training items, the same each time, before the training and after epochs 1, 2:"
    )
    assert health.activity[1] == ("relu1", "ReLU", "0.4", "0.5", "0 → 1 of 16", "–")
    assert "Nothing was found that hinders learning." in markdown.render(submission)
    assert "train: " not in terminal.render(submission)


def test_obstacles_are_told_everywhere(submission: dict[str, Any]) -> None:
    """What it is, since when, and what to do."""
    inspected(submission, look(0, 2.3), look(1, 2.3, dead=12), look(2, 2.3, dead=12), losses=(2.3, 2.3))
    found = [obstacle.what for obstacle in health_of(submission)[0].obstacles]
    assert found == ["nothing learned", "dead units"]
    for text in (markdown.render(submission).replace("\\_", "_"), " ".join(terminal.render(submission, 120).split())):
        assert "12 of 16 units give 0 for the whole batch" in text
        assert "since epoch 1 at the latest" in text
        assert "use GELU instead of ReLU" in text


def test_an_unfinished_training_is_a_note(submission: dict[str, Any]) -> None:
    """In the report, not in the terminal: short trainings are often meant."""
    inspected(submission, look(0, 2.3), look(1, 2.1), look(2, 1.9), losses=(2.1, 1.9))
    assert [obstacle.what for obstacle in health_of(submission)[0].obstacles] == ["unfinished"]
    assert "unfinished" in markdown.render(submission)
    assert "unfinished" not in terminal.render(submission)


def test_gradients_and_idle_units_are_drawn(submission: dict[str, Any]) -> None:
    """Weights only, as root mean squares; layers with units that can be dead."""
    inspected(submission, look(0, 2.3, gradient=None), look(2, 0.5, dead=8))
    rows = health_rows(submission)
    gradients = [(row["layer"], row["after"], row["value"]) for row in rows if row["what"] == "gradient"]
    assert gradients == [
        ("fc_out", "start", pytest.approx(0.4 / 160**0.5, rel=1e-3)),
        ("fc1", "epoch 2", pytest.approx(1 / 32, rel=1e-3)),
        ("fc_out", "epoch 2", pytest.approx(0.4 / 160**0.5, rel=1e-3)),
    ]
    assert [(row["after"], row["short"]) for row in rows if row["what"] == "idle"] == [
        ("start", "0%"),
        ("epoch 2", "50%"),
    ]
    assert {"gradients", "idle"} <= drawable(make_material(submission, None)).keys()


def test_what_is_not_finite_is_said_to_be(submission: dict[str, Any]) -> None:
    """null in the submission."""
    broken = look(2, 1.0) | {"loss": None, "mean": [None, None, None], "gradient": [None, None, None]}
    inspected(submission, look(0, 2.3), broken)
    (health,) = health_of(submission)
    assert "not finite" in {obstacle.what for obstacle in health.obstacles}
    assert "loss 2.3 → not finite" in health.looked


def test_made_up_columns_harm_nothing(submission: dict[str, Any]) -> None:
    """Too short, far too large, negative, and names that attack."""
    pytest.importorskip("altair")
    pytest.importorskip("jinja2")
    wild = look(2, 1e300) | {
        "mean": [1e308],
        "gradient": [1e308, -1e308, 1e308],
        "weight": [0, -5, 1e-300],
        "dead": [99, 9**18],
    }
    inspected(submission, look(0, 1e-300), wild)
    facts = submission["training"][0]["inspection"]
    facts["layers"] = [{**layer, "name": HOSTILE} for layer in LAYERS]
    facts["parameters"] = [{**parameter, "name": HOSTILE} for parameter in PARAMETERS]
    check_submission(submission, "a hostile one")
    page = html.render(submission)
    assert "<img src=x" not in page
    assert "\x1b" not in terminal.render(submission) + markdown.render(submission) + page
    json.dumps(health_rows(submission), allow_nan=False)


def test_the_page_has_charts_and_tables(submission: dict[str, Any]) -> None:
    """A part of its own below the training."""
    pytest.importorskip("altair")
    pytest.importorskip("jinja2")
    page = html.render(inspected(submission, look(0, 2.3), look(1, 1.0), look(2, 0.5, dead=9)))
    assert 'id="health"' in page
    assert 'data-chart="gradients"' in page
    assert 'data-chart="idle"' in page
    assert "dead units" in page
