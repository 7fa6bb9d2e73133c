"""The study of a search in optuna: what is asked for next, given what was told. The only module that imports optuna.

Every trial has a sampler of its own, seeded by the search's seed and the trial's number, so that a trial depends on
what was told before it and on nothing else. The journal (optuna's own format, one JSON object a line) holds trials that
were asked for and told (of halving, which learns nothing, those that were drawn). It is a copy: what the store holds
decides, and a journal that is damaged, or disagrees, is set aside and written again by asking again.
"""

from __future__ import annotations

import fcntl
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.experiment import JSON
from pipeline.core.search import Score, SearchSpec, seed_of
from pipeline.search.explore import Drawn, Told

if TYPE_CHECKING:
    import optuna

__all__ = ["Diverged", "Study"]

_NAME = "search"
_STARTUP = 10  # of tpe: points drawn at random before it begins to learn, optuna's default


class Diverged(Exception):
    """Asking again gave other points than are remembered: something else has changed, or the store is damaged."""


class Study:
    """A study in a journal file; `objectives` is the number of figures that a score has to make small."""

    def __init__(self, spec: SearchSpec, objectives: int, path: Path) -> None:
        self._spec = spec
        self._objectives = objectives
        self._path = path
        self._optuna = _import_optuna()
        self._study: optuna.Study | None = None

    def ask(self, told: Sequence[Told], count: int) -> list[Drawn]:
        """Return the draws of `count` more trials than were told; raises Diverged if the told ones are not its own.

        What was asked before is answered from the journal.
        """
        with self._locked():
            trials = self._in_step(told, count)
            if trials is None:  # no journal, a damaged one, or one that tells another story
                self._set_aside()
                for end in range(0, len(told), count):
                    self._ask_more(end + count)
                    self._tell(told[: end + count])
                trials = self._in_step(told, count)
            if trials is None:
                raise Diverged
            self._ask_more(len(told) + count)
            return [_drawn(trial) for trial in self._trials()[len(told) : len(told) + count]]

    def _in_step(self, told: Sequence[Told], count: int) -> list[optuna.trial.FrozenTrial] | None:
        """Tell the journal what it lacks; return its trials, None if they are not those of this search so far."""
        try:
            trials = self._trials()
        except (ValueError, KeyError, TypeError, AssertionError):  # what a damaged journal makes optuna raise
            return None
        if len(trials) < len(told) or any(trial.params.keys() != self._spec.axes.keys() for trial in trials):
            return None
        for trial, (drawn, score) in zip(trials, told, strict=False):
            if _drawn(trial) != drawn or (trial.state.is_finished() and not self._agrees(trial, score)):
                return None
        ahead = [trial.state.is_finished() for trial in trials[len(told) :]]
        if any(ahead) and len(ahead) < count:
            return None  # what would be asked for now could learn from trials that come later
        self._tell(told)
        return trials

    def _agrees(self, trial: optuna.trial.FrozenTrial, score: Score | None) -> bool:
        if score is None:
            return bool(trial.state.name == "FAIL")
        limits = [trial.constraints[name] for name in sorted(trial.constraints)]
        return bool(trial.values == self._values(score) and limits == list(score.excess))

    def _values(self, score: Score) -> list[float]:
        return [float(wish) for wish in score.wishes[: self._objectives]]

    def _ask_more(self, number: int) -> None:
        """Ask until there are so many trials."""
        study, distributions = self._opened(), self._distributions()
        for next_number in range(len(self._trials()), number):
            study.sampler = self._sampler(seed_of(self._spec.seed, next_number))
            study.ask(fixed_distributions=distributions)

    def _tell(self, told: Sequence[Told]) -> None:
        """Tell the trials that are still open."""
        study = self._opened()
        study.sampler = self._sampler(0)
        for trial, (_, score) in zip(self._trials(), told, strict=False):
            if trial.state.is_finished():
                continue
            if score is None:
                study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)
                continue
            live = self._optuna.trial.Trial(study, trial._trial_id)
            for place, excess in enumerate(score.excess):
                live.set_constraint(f"{place:03}", excess)
            study.tell(trial.number, self._values(score))

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        trials: list[optuna.trial.FrozenTrial] = self._opened().get_trials(deepcopy=False)
        return trials

    def _distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        makers: dict[str, Callable[[list[JSON]], optuna.distributions.BaseDistribution]] = {
            "uniform": lambda ends: self._optuna.distributions.FloatDistribution(*map(float, ends)),
            "log_uniform": lambda ends: self._optuna.distributions.FloatDistribution(*map(float, ends), log=True),
            "integers": lambda ends: self._optuna.distributions.IntDistribution(*map(int, ends)),
            # by place: a choice may be a list, and 1 and true are two choices
            "choice": lambda items: self._optuna.distributions.CategoricalDistribution(tuple(range(len(items)))),
        }
        axes = self._spec.axes.items()
        return {name: makers[kind](values) for name, each in axes for kind, values in each.items()}

    def _sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        samplers = self._optuna.samplers
        makers: Mapping[str, Callable[[], optuna.samplers.BaseSampler]] = {
            "halving": lambda: samplers.RandomSampler(seed=seed),
            "nsga2": lambda: samplers.NSGAIISampler(population_size=max(2, self._spec.batch), seed=seed),
            "tpe": lambda: samplers.TPESampler(n_startup_trials=_STARTUP, constant_liar=True, seed=seed),
        }
        return makers[self._spec.strategy]()

    def _opened(self) -> optuna.Study:
        """Return the study in the journal, made if there is none."""
        if self._study is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._study = self._optuna.create_study(
                study_name=_NAME,
                storage=self._optuna.storages.JournalStorage(_journal(self._optuna, self._path)),
                directions=["minimize"] * self._objectives,
                load_if_exists=True,
            )
        return self._study

    def _set_aside(self) -> None:
        self._study = None
        if self._path.exists():
            os.replace(self._path, self._path.with_suffix(".damaged"))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the journal against other processes, by a lock that dies with this one; mend what one that died left."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path.with_suffix(".lock"), "w") as lock, warnings.catch_warnings():
            warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _cut_last_line(self._path):
                self._study = None
            yield


def _drawn(trial: optuna.trial.FrozenTrial) -> dict[str, JSON]:
    """Return what was drawn, as JSON gives it back."""
    found: dict[str, JSON] = json.loads(json.dumps(trial.params))
    return found


def _cut_last_line(path: Path) -> bool:
    """Remove a last line without an end, which a process left that was killed; return whether there was one."""
    if not path.exists():
        return False
    data = path.read_bytes()
    if not data or data.endswith(b"\n"):
        return False
    with open(path, "r+b") as file:
        file.truncate(data.rfind(b"\n") + 1)
    return True


def _journal(optuna: Any, path: Path) -> Any:
    """Return optuna's journal in a file, without its locks and flushes.

    Its locks outlive a process that is killed, ours does not; and the file is a copy, which a power cut may cost.
    """

    class Journal(optuna.storages.journal.JournalFileBackend):  # type: ignore[misc]
        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            text = "".join(f"{json.dumps(log, separators=(',', ':'))}\n" for log in logs)
            with open(path, "ab", buffering=0) as file:
                file.write(text.encode())

    return Journal(str(path))


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise EnvironmentProblem(
            "a search needs optuna, which is not installed", hint='pip install "tinytorch-pipeline[search]"'
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
