"""The report as a page: self-contained, well-formed, escaped, with charts inside their frames."""

from __future__ import annotations

import base64
import copy
import hashlib
import html
import json
import re
import sys
from html.parser import HTMLParser
from typing import Any

import pytest
import yaml

from pipeline.core.errors import EnvironmentProblem
from pipeline.report.charts import CHARTS
from pipeline.report.html import render
from pipeline.report.palette import PALETTES
from pipeline.submission.build import document_digest

VOID = {"meta", "line", "rect", "circle", "img", "br"}


class Page(HTMLParser):
    """Collects tags and attributes, and checks that what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.data: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.data.append(data)


def test_the_page_is_well_formed_and_needs_nothing_else(submission: dict[str, Any]) -> None:
    """Nothing is fetched, links lead into the page, and no attribute holds a script."""
    page = Page(render(submission))
    assert not {"link", "img", "iframe", "object", "base", "form"} & set(page.tags)
    assert not {"src", "srcset", "action", "data"} & {name for name, _ in page.attributes}
    links = [value or "" for name, value in page.attributes if name == "href"]
    ids = {value for name, value in page.attributes if name == "id"}
    assert links
    assert {link.removeprefix("#") for link in links} <= ids
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_the_page_allows_its_own_scripts_only(submission: dict[str, Any]) -> None:
    """By their digests: what is injected does not run, and nothing is evaluated."""
    text = render(submission)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digests = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    (policy,) = re.findall(r'Content-Security-Policy" content="(.*?)"', text)
    policy = html.unescape(policy)
    assert set(re.findall(r"'sha256-(.*?)'", policy)) == digests
    assert len(digests) == 2
    assert policy.startswith("default-src 'none'")
    assert "script-src 'unsafe" not in policy


def chart_data(text: str) -> dict[str, Any]:
    (found,) = re.findall(r'id="chart-data">(.*?)</script>', text, re.DOTALL)
    document: dict[str, Any] = json.loads(found)
    return document


def test_every_chart_has_room_a_name_and_data(submission: dict[str, Any]) -> None:
    """A specification for each, and words for those who do not see it."""
    text = render(submission)
    data = chart_data(text)
    boxes = set(re.findall(r'data-chart="(\w+)"', text))
    assert boxes == set(data["specs"]) <= set(CHARTS)
    assert {"by_size", "by_speed", "processes", "step_size", "sparsity", "bits", "sweep"} <= boxes
    assert len(data["tables"]["points"]["rows"]) == 5
    for name in boxes:
        assert f'data-chart="{name}" role="img" aria-label="' in text


def test_no_text_of_a_submission_is_in_a_specification(hostile: dict[str, Any]) -> None:
    """Vega evaluates expressions in specifications; names of strangers are data."""
    assert "alert" not in json.dumps(chart_data(render(hostile))["specs"])


def test_hostile_text_adds_no_tag_and_no_attribute(submission: dict[str, Any], hostile: dict[str, Any]) -> None:
    """The page has the same tags and attributes as with harmless text."""
    harmless, attacked = Page(render(submission)), Page(render(hostile))
    assert attacked.tags == harmless.tags
    assert [name for name, _ in attacked.attributes] == [name for name, _ in harmless.attributes]
    assert any("<script>alert(1)</script>" in text for text in attacked.data)
    assert render(hostile).count("</script>") == render(submission).count("</script>")
    assert "\x1b" not in render(hostile)


def test_what_the_text_reports_say_is_on_the_page(submission: dict[str, Any]) -> None:
    """Verdicts, intervals, goals, points, steps, layers, provenance."""
    text = " ".join("".join(Page(render(submission)).data).split())
    for part in (
        "1.92x [1.90, 1.94]",
        "no significant change",
        "accuracy drops by at most 3.00 points",
        "sparsity=0.9 bits=4",
        "structured_prune",
        "fc_out",
        "– latency, p99: needs 662 samples, has 500",
        submission["provenance"]["weights"]["optimized"],
    ):
        assert part in text


def test_the_experiment_on_the_page_is_the_one_that_was_run(submission: dict[str, Any]) -> None:
    """What is copied and run again has the same digest."""
    document = submission["experiment"]["document"]
    document["description"] = 'hash # colon: "quoted" <b> & \\ 1e3 yes'
    (shown,) = re.findall(r"<summary>the experiment.*?<pre>(.*?)</pre>", render(submission), re.DOTALL)
    found = yaml.safe_load(html.unescape(shown))
    assert document_digest(found) == document_digest(document)


def test_light_and_dark_are_both_styled(submission: dict[str, Any]) -> None:
    """Every colour of one scheme exists in the other, on the page and in the charts."""
    schemes = re.findall(r":root[^ ]* \{(.*?)\}", render(submission), re.DOTALL)
    names = [found for scheme in schemes if (found := set(re.findall(r"(--[\w-]+):", scheme)))]
    assert len(names) == 3
    assert names[0] == names[1] == names[2]
    assert PALETTES["light"].keys() == PALETTES["dark"].keys()


def test_five_hundred_points_stay_small(submission: dict[str, Any]) -> None:
    """Below 1.5 MB, all of them in the table and in the charts."""
    point = submission["selection"]["points"][0]
    many = [
        {**copy.deepcopy(point), "index": i, "label": f"sparsity={i / 500} bits={i % 31}", "stored_bytes": 10_000 + i}
        for i in range(500)
    ]
    submission["selection"] |= {"points": many, "chosen": 499}
    text = render(submission)
    assert len(text.encode()) < 1_500_000
    assert text.count("<tr data-point=") == 500
    assert len(chart_data(text)["tables"]["points"]["rows"]) == 501


@pytest.mark.parametrize("library", ["altair", "vl_convert"])
def test_without_a_chart_library_the_message_names_the_installation(
    submission: dict[str, Any], monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    """As without jinja2."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(EnvironmentProblem, match=library) as caught:
        render(submission)
    assert "[report]" in caught.value.hint


def test_without_jinja2_the_message_names_the_installation(
    submission: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that can be pasted."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(EnvironmentProblem, match="jinja2") as caught:
        render(submission)
    assert "pip install" in caught.value.hint
    assert "[report]" in caught.value.hint


def test_the_courses_format_is_rendered(course: dict[str, Any]) -> None:
    """Without charts, marked as unverified."""
    page = Page(render(course))
    assert "script" not in page.tags
    assert "unverified" in "".join(page.data)
