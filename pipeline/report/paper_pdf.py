"""A written report as PDF, by a browser or converter that is installed: none of them comes with this package.

Markdown becomes a page that loads nothing and runs no script, which is printed.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

from pipeline.core.errors import EnvironmentProblem

__all__ = ["CONVERTERS", "Converter", "find_converter", "make_pdf", "page"]

_TIMEOUT_S = 120
_ANCHOR = re.compile(r"&lt;a id=&quot;([as]\d{1,6})&quot;&gt;&lt;/a&gt;")  # the only markup that a report writes itself
_DATE = re.compile(rb"(/(?:Creation|Mod)Date \(D:)\d{14}")
_IMAGE = re.compile(r'<img src="([A-Za-z0-9_./-]+\.svg)"')
_STYLE = """
@page { size: A4; margin: 18mm 16mm; }
body { font: 10.5pt/1.45 "DejaVu Sans", system-ui, sans-serif; color: #1b1f23; }
h1 { font-size: 20pt; margin: 0 0 4mm; }
h2 { font-size: 13.5pt; margin: 8mm 0 2mm; border-bottom: 0.3mm solid #d5d9dd; }
a { color: inherit; text-decoration: none; border-bottom: 0.2mm dotted #4a6fa5; }
table { border-collapse: collapse; margin: 3mm 0; font-size: 8.8pt; width: 100%; }
th, td { border-bottom: 0.2mm solid #d5d9dd; padding: 1mm 1.5mm; text-align: left; vertical-align: top; }
tr, img { break-inside: avoid; } h2, th { break-after: avoid; } img { max-width: 100%; }
code { font-size: 85%; overflow-wrap: anywhere; } pre { background: #f4f6f8; padding: 3mm; white-space: pre-wrap; }
h2:last-of-type ~ table { font-size: 7pt; }
blockquote { margin: 2mm 0; padding-left: 4mm; border-left: 1mm solid #c3cad2; color: #444c54; }
"""


class Converter(NamedTuple):
    """A program that prints a page: its names, and the arguments for a page and the PDF to be written."""

    programs: tuple[str, ...]
    arguments: Callable[[Path, Path], Sequence[str]]


def _browser(source: Path, target: Path) -> Sequence[str]:
    own = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # it refuses to run as root with one
    flags = ["--headless", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={target.parent / 'profile'}"]
    alone = ["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"]  # it asks nobody anything
    return [*own, *flags, *alone, f"--print-to-pdf={target}", source.as_uri()]


CONVERTERS = (
    Converter(("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge"), _browser),
    Converter(("weasyprint",), lambda source, target: [str(source), str(target)]),
)


def find_converter() -> tuple[str, Converter] | None:
    """Return the path of the first converter that is installed, and how it is called; None if there is none."""
    found = ((shutil.which(name), converter) for converter in CONVERTERS for name in converter.programs)
    return next(((path, converter) for path, converter in found if path), None)


def make_pdf(markdown: str, title: str, pictures: Mapping[str, bytes], when: str) -> bytes:
    """Return the report as PDF; `pictures` are SVG documents by the names that the report has for them.

    The file is dated `when`, as 2026-01-31T12:00:00Z, so that the same report gives the same bytes. Raises
    EnvironmentProblem if no converter is installed, or it fails.
    """
    known = find_converter()
    if known is None:
        names = ", ".join(name for converter in CONVERTERS for name in converter.programs)
        raise EnvironmentProblem(
            "no program that makes a PDF is installed", hint=f"one of {names} is needed on the PATH"
        )
    program, converter = known
    with tempfile.TemporaryDirectory(prefix="paper-") as name:
        source, target = Path(name, "report.html"), Path(name, "report.pdf")
        source.write_text(page(markdown, title, pictures), encoding="utf-8")
        try:
            done = subprocess.run(
                [program, *converter.arguments(source, target)], capture_output=True, timeout=_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EnvironmentProblem(f"{program} made no PDF: {error}") from error
        if done.returncode or not target.is_file():
            told = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise EnvironmentProblem(f"{program} made no PDF (exit code {done.returncode}): {told[0]}")
        date = "".join(filter(str.isdecimal, when))[:14].encode()
        return _DATE.sub(rb"\g<1>" + date, target.read_bytes()) if len(date) == 14 else target.read_bytes()


def page(markdown: str, title: str, pictures: Mapping[str, bytes]) -> str:
    """Return the report as an HTML page that needs no other file."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    body = _ANCHOR.sub(r'<a id="\1"></a>', body)
    body = _IMAGE.sub(lambda match: f'<img src="{_inline(pictures.get(match[1], b""))}"', body)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
    head += f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'


def _inline(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
