"""What the planner knows of a stage before it runs, and what a stage gets when it does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["InputArtifact", "Inputs", "StageInfo"]


class StageInfo(NamedTuple):
    """A line of the STAGES table.

    `module` has `execute(spec, inputs) -> {role: value}`; `version` is raised when the stage's meaning changes in a
    way its code does not show; `outputs` maps role to codec (see `pipeline.store.codecs`); a stage that `measures` runs
    alone on its machine, and the machine is part of its key. `task` names the tables of tinytorch.tasks that the stage
    looks its data's task up in.
    """

    name: str
    module: str
    version: int
    outputs: Mapping[str, str]
    summary: str
    measures: bool = False
    task: tuple[str, ...] = ()


class InputArtifact(NamedTuple):
    """One input of a stage: content digest, size in bytes, and a function that decodes it."""

    digest: str
    size: int
    load: Callable[[], Any]


def _tell_nobody(text: str) -> None:
    """Receive what a stage says where nobody listens."""


class Inputs(Mapping[str, Any]):
    """The inputs of one execution: `inputs["model"]` decodes on first use, `inputs.digest("model")` does not.

    `say` tells the person who waits one line, while the stage works: why it takes longer than expected. What a result
    depends on belongs into the result. `scratch` is a folder of this very computation, in which a stage may keep how
    far it came, for the case that it is killed; it is made when it is needed, and removed with the result in the store.
    `threads` is how many cores it may use, where its result is the same with any number.
    """

    def __init__(
        self,
        artifacts: Mapping[str, InputArtifact],
        say: Callable[[str], None] = _tell_nobody,
        scratch: Path | None = None,
        threads: int = 1,
    ) -> None:
        self.say = say
        self.scratch = scratch
        self.threads = threads
        self._artifacts = dict(artifacts)
        self._values: dict[str, Any] = {}

    @classmethod
    def of(cls, **values: Any) -> Inputs:
        """Make inputs from plain values, as tests do; digests are empty strings and sizes zero."""
        return cls({role: InputArtifact("", 0, functools.partial(_same, value)) for role, value in values.items()})

    def __getitem__(self, role: str) -> Any:
        if role not in self._values:
            self._values[role] = self._artifacts[role].load()
        return self._values[role]

    def __contains__(self, role: object) -> bool:
        """Tell whether there is such an input, without decoding it."""
        return role in self._artifacts

    def __iter__(self) -> Iterator[str]:
        return iter(self._artifacts)

    def __len__(self) -> int:
        return len(self._artifacts)

    def digest(self, role: str) -> str:
        """Return the SHA-256 of the stored artifact, in hex."""
        return self._artifacts[role].digest

    def size(self, role: str) -> int:
        """Return the size of the stored artifact in bytes."""
        return self._artifacts[role].size


def _same(value: Any) -> Any:
    return value
