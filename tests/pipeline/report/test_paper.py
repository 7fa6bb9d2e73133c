"""The written report: every number leads to its source, whatever the run holds; texts stay texts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from pipeline.core.errors import EnvironmentProblem
from pipeline.report import paper_pdf
from pipeline.report.ablation import render
from pipeline.report.paper import PICTURES, Picture, paper
from pipeline.report.paper_sources import pointer
from pipeline.submission.validate import schema_problems

HERE = Path(__file__).parent
DIGESTS = {"submission.json": "a" * 64, "ablation.json": "b" * 64}
LINK = re.compile(r"(?<!\\)\[((?:\\.|[^\]\\])*)\]\(#([as]\d+)\)")


@pytest.fixture
def ablation() -> dict[str, Any]:
    """The ablation of three steps, as a run wrote it."""
    document: dict[str, Any] = json.loads((HERE / "ablation.json").read_text())
    return document


def written(submission: dict[str, Any], ablation: Any = None, record: Any = None, pictures: Any = ()) -> str:
    return paper(submission, ablation, record, DIGESTS, "recomputed", pictures)


def body(text: str) -> str:
    """Return what comes before the sources."""
    return text.partition("## Where every number comes from")[0]


def sources(text: str) -> list[tuple[str, str, str]]:
    """Return the number of each source, its figure and its place, as the list has them."""
    found = re.findall(r'^\| <a id="(s\d+)"></a>\d+ \| (.*?) \| `([^`]*)` \|', text, re.MULTILINE)
    return [(number, figure, place) for number, figure, place in found]


def test_the_sections_are_those_of_a_technical_report(submission: dict[str, Any]) -> None:
    """From the problem to how to repeat it."""
    assert re.findall(r"^## (.*)$", written(submission), re.MULTILINE) == [
        "Summary",
        "Problem",
        "Method",
        "Results: baseline against optimized",
        "The journey, step by step",
        "Trade-offs",
        "Limits of these results",
        "Machine",
        "How to reproduce",
        "Where every number comes from",
    ]


def test_every_number_is_a_link(submission: dict[str, Any], ablation: dict[str, Any]) -> None:
    """Outside of links, code, headings and list numbers there is no number that is not part of a name."""
    text = re.sub(r"```.*?```", "", body(written(submission, ablation)), flags=re.DOTALL)
    text = LINK.sub("", text)
    text = re.sub(r"`[^`]*`|^#.*$|^\d+\. |^> .*$", "", text, flags=re.MULTILINE)
    names = ("SHA-256", "p50", "p90", "p99.9", "p99", "paired-clean/1")
    for name in names:
        text = text.replace(name, "")
    assert re.findall(r".{0,30}\d.{0,20}", text) == []


def test_every_link_has_its_source_and_every_source_is_cited(
    submission: dict[str, Any], ablation: dict[str, Any]
) -> None:
    """No link leads nowhere; nothing is listed that is not used."""
    text = written(submission, ablation)
    targets = set(re.findall(r'<a id="([as]\d+)"></a>', text))
    assert {target for _, target in LINK.findall(text)} == targets


def test_every_place_has_the_figure(submission: dict[str, Any], ablation: dict[str, Any]) -> None:
    """A place is found in the document that it names, and the link's text is the source's."""
    text = written(submission, ablation)
    documents = {"submission.json": submission, "ablation.json": ablation}
    cited = {target: words for words, target in LINK.findall(body(text))}
    for number, figure, place in sources(text):
        file, keys = re.findall(r"(\S+\.json) (\S+)$", place)[0]
        value: Any = documents[file]
        for key in keys.split("/")[1:]:
            value = value[int(key)] if isinstance(value, list) else value[key.replace("~1", "/").replace("~0", "~")]
        assert cited[number] == figure
        if type(value) is int and figure.isdecimal():
            assert figure == str(value)


def test_keys_of_the_run_are_named_where_their_digests_are_known(submission: dict[str, Any]) -> None:
    """The node that gave the samples stands beside them; a run of something else names none."""
    samples = submission["provenance"]["samples"]
    node = {"label": "benchmark x", "stage": "benchmark", "key": "c" * 64, "outputs": {"samples": samples}}
    assert f"| raw samples | `{samples}` | benchmark x | `{'c' * 64}` |" in written(submission, None, {"nodes": [node]})
    node["outputs"] = {"samples": "d" * 64}
    assert f"| raw samples | `{samples}` |  |  |" in written(submission, None, {"nodes": [node]})


def test_contributions_are_told_where_they_were_measured(submission: dict[str, Any], ablation: dict[str, Any]) -> None:
    """Without an ablation the report says how to make one."""
    assert "`pipeline ablate FILE` does" in written(submission)
    text = written(submission, ablation)
    assert "Accuracy needs finetune: [" in text
    assert "`pipeline ablate FILE`" not in text


def test_what_the_schema_allows_is_written(submission: dict[str, Any], ablation: dict[str, Any]) -> None:
    """A file that somebody changed may lack any figure, and reasons."""
    ablation["steps"][0] |= {"alone": None, "left_out": None, "reasons": {}}
    for aspect in ("alone", "in_order", "left_out"):
        ablation["steps"][1][aspect] |= {"speed": None, "speed_reason": None}
    assert schema_problems("ablation.v1", ablation, "x", "E502") == []
    assert "| finetune | [1.000x](#" in written(submission, ablation)
    assert "finetune" in render(ablation)


def test_nothing_is_claimed_of_a_noisy_comparison(submission: dict[str, Any]) -> None:
    """The summary has no speed-up then, and the limits say why."""
    submission["comparisons"]["speed"] |= {"verdict": "noisy", "noisy": True}
    text = written(submission)
    assert "**Nothing may be claimed about its speed**" in text
    assert "**The speed is noisy**" in text


def test_hostile_text_stays_text(hostile: dict[str, Any]) -> None:
    """As HTML, no element and no link comes from the submission."""
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(written(hostile))
    assert set(re.findall(r'href="([^"]*)"', html)) == {f"#{target}" for _, target in LINK.findall(written(hostile))}
    assert "<img" not in html
    assert "<script" not in html
    assert len(re.findall(r"<h\d", html)) == 11


def test_tables_are_regular(hostile: dict[str, Any], ablation: dict[str, Any]) -> None:
    """Every row of a table has as many cells as its header."""
    for block in written(hostile, ablation).split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) <= 1


def test_the_same_run_gives_the_same_bytes(submission: dict[str, Any], ablation: dict[str, Any]) -> None:
    """A report has no clock of its own."""
    assert written(submission, ablation) == written(submission, ablation)


def test_pictures_belong_to_sections_that_there_are(submission: dict[str, Any]) -> None:
    """None is lost because a section got another name."""
    assert set(PICTURES.values()) <= set(re.findall(r"^## (.*)$", written(submission), re.MULTILINE))


def test_a_pointer_escapes_what_has_a_meaning_in_it() -> None:
    """RFC 6901: ~ and / inside of a key."""
    assert pointer(("a/b", 0, "~")) == "/a~1b/0/~0"


def test_pictures_end_their_sections_and_travel_inside_of_a_page(submission: dict[str, Any]) -> None:
    """Markdown names the files; a page, which is printed, holds them."""
    text = written(submission, pictures=[Picture("Trade-offs", "size & speed", "figures/by_size.svg")])
    assert "![size &amp; speed](figures/by_size.svg)\n\n## Limits" in text
    html = paper_pdf.page(text, "x", {"figures/by_size.svg": b"<svg/>"})
    assert 'src="data:image/svg+xml;base64,PHN2Zy8+"' in html
    assert "figures/" not in html


def test_a_page_loads_nothing(submission: dict[str, Any]) -> None:
    """It allows no script and no request, and keeps the anchors of the sources."""
    html = paper_pdf.page(written(submission), "x", {})
    assert "default-src 'none'" in html
    assert '<a id="s1"></a>' in html
    assert not re.search(r"(src|href)=\"(?!#|data:)", html)


@pytest.mark.skipif(paper_pdf.find_converter() is None, reason="no browser and no weasyprint is installed")
def test_a_pdf_is_made_where_a_converter_is() -> None:
    """By what is installed; the same report gives the same bytes, whenever it is made."""
    made = [paper_pdf.make_pdf("# x\n", "x", {}, "2026-01-31T12:00:00Z") for _ in range(2)]
    assert made[0].startswith(b"%PDF-")
    assert made[0] == made[1]


def test_without_a_converter_the_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error of the environment, with what would help."""
    monkeypatch.setattr(paper_pdf, "find_converter", lambda: None)
    with pytest.raises(EnvironmentProblem) as caught:
        paper_pdf.make_pdf("# x\n", "x", {}, "")
    assert "chromium" in caught.value.hint
