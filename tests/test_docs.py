"""The pages under `pipeline/docs`: links lead somewhere, YAML is valid, commands print what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.project import ROOT, Project
from tests.tools.console import blocks, missing, run_page
from tests.tools.reference import FOLDER, pages

DOCS = ROOT / "pipeline" / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.parent != FOLDER)
# How long is measured does not change what is printed: tests measure less than whoever follows a page.
BRIEF = "{processes: 2, target_ci: 0.5, budget_s: 0.3, wait_s: 0}"
EXTRAS = {"cluster": "fsspec"}  # page -> what its commands need beside the package


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_reference_page_is_what_the_code_says(name: str) -> None:
    """It was written again after the last change: `python -m tests.tools.reference`."""
    assert (FOLDER / name).read_text() == pages()[name]


def test_no_other_reference_page_is_there() -> None:
    """A page that nothing writes any more is gone."""
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(pages())


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    """What a page links to in the project is there, down to the heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
        name, _, heading = target.partition("#")
        if "://" in name:
            continue
        file = (page.parent / name).resolve() if name else page
        assert file.is_file(), f"{page.name} links to {target}"
        assert not heading or heading in _headings(file), f"{page.name} links to {target}"


def _headings(page: Path) -> set[str]:
    """Return the headings of a page as links name them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_is_what_its_commands_print(page: Path, finished: Project, tmp_path: Path) -> None:
    """Whoever follows a page gets what it shows, but for the figures."""
    if page.stem in EXTRAS:
        pytest.importorskip(EXTRAS[page.stem])
    for shown in run_page(brief(page.read_text()), tmp_path, finished.folder):
        assert missing(shown) == [], f"{shown.command}\n" + "\n".join(shown.printed)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_yaml_of_a_page_is_valid(page: Path, finished: Project, tmp_path: Path) -> None:
    """What a reader copies passes `validate`; what the page itself runs from a file, it has run."""
    for language, file, content in blocks(page.read_text()):
        if language == "yaml" and not file:
            (tmp_path / "block.yaml").write_text(content)
            finished.run("validate", str(tmp_path / "block.yaml"))


def brief(text: str) -> str:
    """Return a page whose experiments are measured as little as can be."""
    return re.sub(r"(?<=benchmark: )\{(preset: quick|processes: [^}]*)\}", BRIEF, text)
