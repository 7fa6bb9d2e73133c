"""The report in real Chromium: drawn without request or error, sorted, brushed, zoomed, in both schemes, on a phone."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser import SCHEMES, Opened, browser, opened

pytest.importorskip("altair")
pytest.importorskip("vl_convert")

from pipeline.report.html import render
from pipeline.report.palette import PALETTES

SAMPLE = Path(__file__).parent / "pipeline/report/submission.json"
ABLATION = SAMPLE.with_name("ablation.json")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for all tests."""
    with browser() as started:
        yield started


def samples() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    scales = {"baseline": 40_000, "control": 40_100, "optimized": 21_000}
    return {
        f"0.{arm}.{process}.tail_ns": (scale * rng.lognormal(0, 0.08, 400)).astype(np.int64)
        for arm, scale in scales.items()
        for process in range(3)
    }


def whole() -> dict[str, Any]:
    """The sample with everything that a run of today states besides."""
    document: dict[str, Any] = json.loads(SAMPLE.read_text(encoding="utf-8"))
    for k, effect in enumerate(document["effects"]):
        record = {"accuracy": 0.97 - 0.2 * (k == 0), "interval": [0.7, 0.98], "change": -0.01, "p_value": 0.5}
        effect["accuracy"] = {split: {**record, "change_interval": [-0.02, 0.01]} for split in ("validation", "test")}
    epochs = [
        {"epoch": i + 1, "train_loss": 2 / (i + 1), "validation_accuracy": 1 - 0.5 / (i + 1), "lr": 0.01}
        for i in range(12)
    ]
    document["training"] = [{"id": "train", "epochs": epochs}, {"id": "finetune", "epochs": epochs[:5]}]
    for arm in ("baseline", "optimized"):
        for i, layer in enumerate(document["benchmark"]["comparisons"][0]["arms"][arm]["session"]["layers"]):
            layer["time_ns"] = 1000.0 * (i + 1) * (3 if arm == "baseline" else 1)
    return document


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the sample."""
    path = tmp_path_factory.mktemp("browser") / "report.html"
    path.write_text(render(whole(), samples(), ablation=json.loads(ABLATION.read_text())), encoding="utf-8")
    return path


def drawn(found: Opened) -> Opened:
    found.page.wait_for_selector("html[data-drawn]")
    return found


@pytest.mark.parametrize("screen", SCHEMES)
def test_all_charts_are_drawn_without_a_word_or_a_request(chromium: Any, report: Path, screen: str) -> None:
    """In the colours of the scheme, and never wider than the screen."""
    with opened(chromium, report, screen) as found:
        page = drawn(found).page
        assert found.messages == []
        assert found.requests == []
        boxes = page.locator("[data-chart]")
        assert boxes.count() == 16
        for box in boxes.all():
            assert box.locator("svg .mark-symbol path, svg .mark-rect path, svg .mark-line path").count() > 0
        assert page.evaluate("document.documentElement.scrollWidth") == SCHEMES[screen][0]
        back = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, back[4:-1].split(","))) > 600) == (screen != "dark")
        colour = PALETTES["dark" if screen == "dark" else "light"]["@optimized"]
        assert page.locator(f"[data-chart=by_size] svg .mark-symbol path[stroke='{colour}']").count() == 3
        assert len(found.shoot(f"report-{screen}")) > 10_000


def test_a_column_is_sorted_by_its_figures_both_ways(chromium: Any, report: Path) -> None:
    """By number, not by text; the header says how. With the keyboard as with the mouse."""
    with opened(chromium, report) as found:
        page = drawn(found).page
        button = page.get_by_role("button", name="size", exact=True)
        button.focus()
        page.keyboard.press("Enter")
        head = page.locator("th", has=button)
        assert head.get_attribute("aria-sort") == "ascending"
        places = [int(row.get_attribute("data-point")) for row in page.locator("tr[data-point]").all()]
        points = whole()["selection"]["points"]
        assert [points[place]["stored_bytes"] for place in places] == sorted(p["stored_bytes"] for p in points)
        button.click()
        assert head.get_attribute("aria-sort") == "descending"
        again = [int(row.get_attribute("data-point")) for row in page.locator("tr[data-point]").all()]
        assert again == places[::-1]


def drag(page: Any, name: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag over a chart between two places, in shares of its drawing."""
    box = page.locator(f"[data-chart={name}] svg .background").first.bounding_box()
    page.mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=5)
    page.mouse.up()


def extents(page: Any, places: set[int]) -> tuple[float, float]:
    """Return the width of the drawing, and how far apart the marks of these points are in it."""
    found: list[float] = page.evaluate(
        """places => {
          const marks = Array.from(document.querySelectorAll("[data-chart=by_size] svg .mark-symbol path"));
          const at = places.map(place => marks[place].getBoundingClientRect().x);
          return [document.querySelector("[data-chart=by_size] svg").clientWidth, Math.max(...at) - Math.min(...at)];
        }""",
        sorted(places),
    )
    return found[0], found[1]


def faded(page: Any) -> set[int]:
    return {int(row.get_attribute("data-point")) for row in page.locator("tr[data-point].out").all()}


def wait_for_picked(page: Any, text: str) -> None:
    """Wait until the status says this: a brush that is drawn picks points on its way, and the page follows later."""
    page.wait_for_function("text => document.getElementById('picked').textContent === text", arg=text)


def test_brushing_a_chart_picks_points_everywhere(chromium: Any, report: Path) -> None:
    """Rows outside fade, the other charts follow, and the status says how many are left."""
    with opened(chromium, report) as found:
        page = drawn(found).page
        page.locator("[data-chart=by_size]").scroll_into_view_if_needed()
        drag(page, "by_size", (0.02, 0.02), (0.42, 0.98))
        smallest = {i for i, point in enumerate(whole()["selection"]["points"]) if point["stored_bytes"] < 60_000}
        assert smallest
        wait_for_picked(page, f"{len(smallest)} of 4 points picked")
        assert faded(page) == set(range(4)) - smallest
        dim = "[data-chart=by_speed] svg .mark-symbol path[opacity='0.12']"  # the baseline, too, which is none to pick
        page.wait_for_function(
            "([dim, count]) => document.querySelectorAll(dim).length === count", arg=[dim, 5 - len(smallest)]
        )
        before = extents(page, smallest)
        page.evaluate("document.querySelector('[data-chart=by_size] svg').id = 'before'")
        page.get_by_role("button", name="zoom to picked").click()
        page.locator("[data-chart=by_size] svg:not(#before) .role-axis-label text").first.wait_for()
        after = extents(page, smallest)
        assert after[0] == before[0]
        assert after[1] > 1.5 * before[1]
        page.get_by_role("button", name="show all").click()
        wait_for_picked(page, "")
        assert faded(page) == set()
        assert found.messages == []


def test_a_point_is_picked_with_the_keyboard_alone(chromium: Any, report: Path) -> None:
    """Its name is a button that says whether it is pressed."""
    with opened(chromium, report) as found:
        page = drawn(found).page
        button = page.locator("button[data-pick='1']")
        button.focus()
        page.keyboard.press("Space")
        assert button.get_attribute("aria-pressed") == "true"
        assert faded(page) == {0, 2, 3}


def test_lines_of_the_sweep_are_picked_on_an_axis(chromium: Any, report: Path) -> None:
    """Those that cross the brushed part of it."""
    with opened(chromium, report) as found:
        page = drawn(found).page
        page.locator("[data-chart=sweep]").scroll_into_view_if_needed()
        drag(page, "sweep", (0.005, 0.02), (0.995, 0.98))
        wait_for_picked(page, "4 of 4 points picked")


def test_hovering_a_row_marks_its_point(chromium: Any, report: Path) -> None:
    """The mark grows in both charts."""
    with opened(chromium, report) as found:
        page = drawn(found).page
        marks = [page.locator(f"[data-chart={name}] svg .mark-symbol").first for name in ("by_size", "by_speed")]
        before = [mark.inner_html() for mark in marks]
        page.locator("tr[data-point='0'] td").first.hover()
        page.wait_for_function(  # charts follow with the next frame
            """before => ["by_size", "by_speed"].every((name, i) =>
              document.querySelector(`[data-chart=${name}] svg .mark-symbol`).innerHTML !== before[i])""",
            arg=before,
        )


def test_the_scheme_can_be_chosen_and_is_drawn_anew(chromium: Any, report: Path) -> None:
    """Whatever the system's is."""
    with opened(chromium, report) as found:
        page = drawn(found).page
        page.get_by_role("button", name="light or dark").click()
        colour = PALETTES["dark"]["@optimized"]
        page.locator(f"[data-chart=by_size] svg .mark-symbol path[stroke='{colour}']").first.wait_for()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        assert found.messages == []


def test_a_hostile_submission_runs_nothing(chromium: Any, tmp_path: Path) -> None:
    """Its texts are shown as they are, in tables and charts."""
    from tests.pipeline.report.conftest import make_hostile

    path = tmp_path / "hostile.html"
    path.write_text(render(make_hostile(whole()), samples()), encoding="utf-8")
    with opened(chromium, path) as found:
        dialogs: list[Any] = []
        found.page.on("dialog", lambda dialog: (dialogs.append(dialog), dialog.dismiss()))
        page = drawn(found).page
        page.locator("tr[data-point='0'] td").first.hover()
        page.locator("[data-chart=by_size] svg .mark-symbol path").first.hover()
        page.wait_for_timeout(300)
        assert dialogs == []
        assert [message for message in found.messages if "error" in message] == []
        assert found.requests == []


def test_five_hundred_points_are_drawn_and_brushed(chromium: Any, tmp_path: Path) -> None:
    """All of them, and a brush still answers."""
    document = whole()
    point = document["selection"]["points"][0]
    document["selection"] |= {
        "points": [
            {
                **copy.deepcopy(point),
                "index": i,
                "label": f"sparsity={i / 500} bits={2 + i % 7}",
                "point": {"sparsity": i / 500, "bits": 2 + i % 7},
                "stored_bytes": 400_000 - 700 * i,
            }
            for i in range(500)
        ],
        "chosen": 400,
    }
    path = tmp_path / "many.html"
    path.write_text(render(document, samples()), encoding="utf-8")
    with opened(chromium, path) as found:
        page = drawn(found).page
        assert page.locator("[data-chart=by_size] svg .mark-symbol path").count() == 501
        page.locator("[data-chart=by_size]").scroll_into_view_if_needed()
        drag(page, "by_size", (0.3, 0.02), (0.98, 0.98))
        page.wait_for_function(
            "[0, 500].every(count => document.querySelectorAll('tr[data-point].out').length !== count)"
        )
        assert found.messages == []
        found.shoot("report-500")


def test_without_scripts_every_figure_is_in_the_tables(chromium: Any, report: Path) -> None:
    """A page that is only read, as by a mail program."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.resolve().as_uri())
    assert page.locator("tr[data-point]").count() == 4
    assert page.locator("noscript").count() == 1
    assert page.locator("button.needs-script").first.is_hidden()
    context.close()
