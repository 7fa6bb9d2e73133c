"""Pictures of the gallery: `python -m tests.tools.gallery` runs what the page shows and draws it again.

The page `pipeline/docs/gallery.md` is written by hand. It names what it wants: `gallery/NAME-CHART.svg`, light, and
`gallery/NAME-CHART-dark.svg` are the chart CHART of the experiment NAME, and the block after `<!-- result: NAME -->`
holds its verdicts. `--project FOLDER` takes the runs from there, and runs only what is not there yet; names after it
draw these alone. A picture is the same bytes whenever the result is the same.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from pipeline.report.view import make_view
from tests.project import ROOT, Project, copy_project

__all__ = ["FOLDER", "LEFT_OUT", "PAGE", "Picture", "experiments", "pictures", "redrawn"]

PAGE = ROOT / "pipeline" / "docs" / "gallery.md"
FOLDER = PAGE.parent / "gallery"
# experiment -> why the page does not show it
LEFT_OUT = {
    "smoke": "its numbers mean nothing",
    "mnist": "needs files that are not shipped",
    "cifar10": "needs files that are not shipped",
    "gpt_kv_int8": "a language model, which has other charts",
    "vs_pytorch": "compares frameworks, and needs PyTorch",
}
_PICTURE = re.compile(r"gallery/((\w+)-(\w+?)(-dark)?\.svg)")
_RESULT = re.compile(r"(<!-- result: (\w+) -->\n```text\n).*?(^```$)", re.DOTALL | re.MULTILINE)


class Picture(NamedTuple):
    """A file of the gallery: which chart of which experiment it is, and whether it is light on dark."""

    file: str
    experiment: str
    chart: str
    is_dark: bool


def pictures(text: str) -> list[Picture]:
    """Return the pictures that a page shows, each once."""
    found = (Picture(match[1], match[2], match[3], bool(match[4])) for match in _PICTURE.finditer(text))
    return list(dict.fromkeys(found))


def experiments(text: str) -> list[str]:
    """Return the experiments whose results a page shows, in order."""
    return list(dict.fromkeys(found[2] for found in _RESULT.finditer(text)))


def _result(project: Project, name: str) -> str:
    """Return what a run came to: chosen point, verdicts and limits, a line each."""
    view = make_view(json.loads((project.folder / "runs" / name / "submission.json").read_text(encoding="utf-8")))
    lines = [view.subtitle]
    lines += [f"{verdict.subject:<9} {verdict.word}: {verdict.figure}" for verdict in view.verdicts]
    lines += [f"goal {limit.status}: {limit.wanted}; measured {limit.measured}" for limit in view.limits]
    return "".join(f"{line}\n" for line in lines)


def redrawn(project: Project, text: str, names: list[str], folder: Path = FOLDER) -> str:
    """Run what has not run, draw the pictures of these experiments, and return the page with their results."""
    for name in names:
        if not (project.folder / "runs" / name / "submission.json").is_file():
            sys.stderr.write(f"running {name}\n")
            project.run("run", f"experiments/{name}.yaml", "--quiet", expect=(0, 3, 5))
    folder.mkdir(exist_ok=True)
    for picture in pictures(text):
        if picture.experiment in names:
            form = ["--format", "svg", "--chart", picture.chart, *(["--dark"] if picture.is_dark else [])]
            project.run("report", picture.experiment, *form, "--out", str(folder / picture.file))
    return _RESULT.sub(lambda m: m[1] + _result(project, m[2]) + m[3] if m[2] in names else m[0], text)


def main() -> None:
    """Draw all of the page, or the experiments that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments (default: all that the page shows)")
    parser.add_argument("--project", type=Path, metavar="FOLDER", help="a checkout with runs (default: a fresh copy)")
    args = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as fresh:
        project = Project(args.project.resolve()) if args.project else copy_project(Path(fresh))
        PAGE.write_text(redrawn(project, text, args.names or experiments(text)), encoding="utf-8")


if __name__ == "__main__":
    main()
