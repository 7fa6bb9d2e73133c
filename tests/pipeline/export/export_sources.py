"""Sources of exports for tests: a real submission of four points, in a folder, with a store that has nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.export.target import Source
from pipeline.store.local import LocalStore

SAMPLE = Path(__file__).parents[1] / "report" / "submission.json"


def sample_source(folder: Path, **changes: Any) -> Source:
    """Return the sample submission with these of its top-level keys replaced, written to the folder."""
    submission = {**json.loads(SAMPLE.read_text()), **changes}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "submission.json").write_text(json.dumps(submission))
    return Source(submission, LocalStore(folder / "store"), folder)
