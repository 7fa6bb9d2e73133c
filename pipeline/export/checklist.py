"""The target checklist: questions on reproducibility, answered from a run, as Markdown and JSON.

What only its author knows is left open, to be filled in; the questions are in `checklist_questions`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from pipeline.export.target import Exported, Source

__all__ = ["configure", "export", "markdown"]

_MARKS = {"yes": "[x]", "partly": "[~]", "no": "[ ]", "author": "[?]"}
_MEANS = {"yes": "yes", "partly": "partly", "no": "no", "author": "only the author knows"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the target's arguments: none beside the run and the folder."""


def export(source: Source, out: Path, args: argparse.Namespace) -> Exported:
    """Write checklist.md and checklist.json to the empty folder `out`."""
    from pipeline.export.checklist_questions import answers

    answered = answers(source)
    document = {
        "experiment": source.submission["experiment"]["name"],
        "submission": source.digest,
        "answers": [answer.to_json() for answer in answered],
    }
    (out / "checklist.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "checklist.md").write_text(markdown(source, answered), encoding="utf-8")
    counts = {word: sum(answer.status == word for answer in answered) for word in _MARKS}
    said = ", ".join(f"{count} {_MEANS[word]}" for word, count in counts.items() if count)
    text = f"{out / 'checklist.md'}\n{out / 'checklist.json'}\n\n{len(answered)} questions: {said}"
    return Exported(text, {"counts": counts, **document})


def markdown(source: Source, answered: Sequence[Any]) -> str:
    """Return the checklist as Markdown, ending with a line break."""
    return "\n".join(_lines(source, answered)) + "\n"


def _lines(source: Source, answered: Sequence[Any]) -> Iterator[str]:
    from pipeline.export.markdown_text import code, escaped

    yield f"# Reproducibility checklist: {escaped(source.submission['experiment']['name'])}"
    yield ""
    yield (
        "The questions follow the Machine Learning Reproducibility Checklist, version 2.0 [Pineau et al., 2021], and "
        "ask some more about measurements. Answers are read from `submission.json`, its places stand behind each; its "
        f"SHA-256 is {code(source.digest)}."
    )
    yield ""
    yield "[x] yes, [~] partly, [ ] no, [?] only the author knows: to be filled in."
    for topic, of_topic in groupby(answered, key=lambda answer: answer.topic):
        yield f"\n## {topic}"
        for answer in of_topic:
            where = f" ({', '.join(map(code, answer.places))})" if answer.places else ""
            yield f"\n- {_MARKS[answer.status]} **{answer.question}**  "
            yield f"  {escaped(answer.text)}{where}"
