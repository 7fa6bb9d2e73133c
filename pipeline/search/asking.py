"""What a search asks for next, remembered: what was asked after the same results is not asked again.

So a search that has been made before needs no optuna, and takes the same way as long as its results are the same. What
an answer depends on is in the name it is remembered under: the space, the strategy, the seed, everything told so far,
the version of the sampler and the code that calls it. The number of trials is not, so that more of them go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.keys import digest_value
from pipeline.core.search import SearchSpec
from pipeline.execute.environment import CodeDigests
from pipeline.search.explore import Drawn, Told
from pipeline.search.study import Diverged, Study
from pipeline.store.local import LocalStore

__all__ = ["Asking", "sampler_name"]

_FACTS = "asked"  # the kind of fact that the store remembers


def sampler_name() -> str:
    """Return what draws points, with its version; raises EnvironmentProblem if it is not installed."""
    try:
        return f"optuna {version('optuna')}"
    except PackageNotFoundError as error:
        raise EnvironmentProblem(
            "a search needs optuna, which is not installed", hint='pip install "tinytorch-pipeline[search]"'
        ) from error


class Asking:
    """Answers for one search; `objectives` is the number of figures that it makes small.

    With `only_known` nothing new is asked for.
    """

    def __init__(self, spec: SearchSpec, objectives: int, store: LocalStore, *, only_known: bool = False) -> None:
        self._spec = spec
        self._store = store
        self._only_known = only_known
        self._distrusts = False  # memory, since asking again has given something else
        self._objectives = objectives
        self._name = _identity(spec, objectives, store)
        self._told = 0
        self._past = self._name  # the digest of all that was told
        self._study: Study | None = None

    def __call__(self, told: Sequence[Told], count: int) -> Sequence[Drawn] | None:
        """Return what to try next, None if that is not known; raises Diverged once what is remembered proves wrong."""
        if len(told) < self._told:  # from the beginning
            self._told, self._past = 0, self._name
        new = [[dict(drawn), score.to_json() if score else None] for drawn, score in told[self._told :]]
        self._told, self._past = len(told), digest_value([self._past, new]) if new else self._past
        name = digest_value([self._past, count])
        known: Sequence[Drawn] | None = None if self._distrusts else self._store.recall(_FACTS, name)
        if known is not None or self._only_known:
            return known
        try:
            drawn = self._ask(told, count)
        except Diverged:
            self._distrusts = True
            raise
        self._store.remember(_FACTS, {name: [dict(each) for each in drawn]})
        return drawn

    def _ask(self, told: Sequence[Told], count: int) -> list[Drawn]:
        with self._store.writing():
            if self._study is None:
                path = self._store.root / "search" / f"{self._name[:32]}.journal"
                self._study = Study(self._spec, self._objectives, path)
            return self._study.ask(told, count)


def _identity(spec: SearchSpec, objectives: int, store: LocalStore) -> str:
    """Return the digest of what the first answer depends on."""
    parts: dict[str, Any] = {
        "strategy": spec.strategy,
        "seed": spec.seed,
        "batch": None if spec.resource else spec.batch,
        "axes": {name: dict(distribution) for name, distribution in spec.axes.items()},
        "objectives": objectives,
        "versions": [sampler_name(), version("numpy")],
        "code": CodeDigests(store).module_digest("pipeline.search.study"),
    }
    return digest_value(parts)
