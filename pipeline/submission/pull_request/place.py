"""Where a submission that is handed in would stand among those of the base: their files, laid out, and its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pipeline.submission.pull_request.changes import is_submission_name
from pipeline.submission.pull_request.check import Request
from pipeline.submission.pull_request.objects import Blob, blobs_under, read_blobs

__all__ = ["MOST_BYTES", "Ranked", "lay_out", "place_in"]

MOST_BYTES = 2**31  # of all submissions of the base: they are written to a temporary folder
_SHOWN = 3


class Ranked(NamedTuple):
    """The place of a submission on a leaderboard: `rank` is None where it has none, `state` and `why` say why.

    `likeness` says what it has in common with submissions of other teams.
    """

    rank: int | None
    is_shared: bool
    teams: int
    state: str
    why: tuple[str, ...]
    likeness: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {**self._asdict(), "why": list(self.why), "likeness": list(self.likeness)}

    @property
    def text(self) -> str:
        """The place in a few words of ours."""
        if self.rank is None:
            return self.state.replace("_", " ")
        return f"{self.rank} of {self.teams}{', shared' if self.is_shared else ''}"


def lay_out(request: Request, folder: Path) -> str:
    """Write the base's submissions below a folder, where names are plain; return why that is not done, or ""."""
    blobs = blobs_under(request.repository, request.commits.base, request.folder).values()
    wanted = [blob for blob in blobs if _is_wanted(request.folder, blob)]
    total = sum(blob.size_bytes for blob in wanted)
    if total > MOST_BYTES:
        return f"the base has {total:,} bytes of submissions, at most {MOST_BYTES:,} are ranked here"
    for blob, data in read_blobs(request.repository, wanted):
        path = folder / blob.path.removeprefix(f"{request.folder}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return ""


def place_in(board: Mapping[str, Any], path: str) -> Ranked:
    """Return the place of the submission at a path of a leaderboard. Raises StopIteration if it is not there."""
    row = next(each for each in board["submissions"] if each["path"] == path)
    why = [f"{reason['rule']}  {reason['path']}  {reason['message']}" for reason in row["reasons"]]
    ranked = sum(each["rank"] is not None for each in board["submissions"])
    likeness = [f"{flag['path']} of {flag['team']}: {flag['text']}" for flag in row["flags"]]
    return Ranked(row["rank"], row["shared"], ranked, row["state"], tuple(why[:_SHOWN]), tuple(likeness[:_SHOWN]))


def _is_wanted(folder: str, blob: Blob) -> bool:
    below = blob.path.removeprefix(f"{folder}/")
    is_file = blob.mode.startswith("100")
    return is_file and is_submission_name(below) and PurePosixPath(below).name != "README.md"
