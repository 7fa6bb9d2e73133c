"""Studies with the real optuna: the same points for the same past, whatever happened to the process or the journal."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("optuna", minversion="5.0")

from pipeline.core.search import Score, SearchSpec
from pipeline.search.explore import Drawn, Told
from pipeline.search.study import Diverged, Study

AXES = {
    "sparsity": {"uniform": [0.1, 0.9]},
    "lr": {"log_uniform": [1e-4, 1e-1]},
    "epochs": {"integers": [1, 9]},
    "bits": {"choice": [8, 4, [2, 2]]},
}
TPE = SearchSpec("tpe", 24, 3, 4, AXES, None)
NSGA2 = SearchSpec("nsga2", 24, 3, 6, AXES, None)
SPECS = [pytest.param(TPE, id="tpe"), pytest.param(NSGA2, id="nsga2")]


def score(drawn: Drawn) -> Score | None:
    """Sparsity near 0.7 and few epochs are good, the last choice fails, a learning rate above 0.01 breaks a limit."""
    if drawn["bits"] == 2:
        return None
    wishes = ((drawn["sparsity"] - 0.7) ** 2, float(drawn["epochs"]))
    return Score(int(drawn["lr"] > 0.01), 0, wishes, (0.0, 0.0), (drawn["lr"] - 0.01,))


def search(spec: SearchSpec, path: Path, trials: int, told: Sequence[Told] = ()) -> list[Told]:
    """Go on until so many trials are told, each round in a study of its own, as after an interruption."""
    past = list(told)
    while len(past) < trials:
        drawn = Study(spec, 2 if spec.strategy == "nsga2" else 1, path).ask(past, spec.batch)
        past += [(each, score(each)) for each in drawn]
    return past


@pytest.mark.parametrize("spec", SPECS)
def test_the_same_past_asks_for_the_same_points(spec: SearchSpec, tmp_path: Path) -> None:
    """In one study or in many, and another seed asks for others."""
    study = Study(spec, 2 if spec.strategy == "nsga2" else 1, tmp_path / "one")
    past: list[Told] = []
    while len(past) < 24:
        past += [(each, score(each)) for each in study.ask(past, spec.batch)]
    assert search(spec, tmp_path / "many", 24) == past
    assert search(replace(spec, seed=4), tmp_path / "other", 4)[0] != past[0]


def test_draws_are_within_their_ranges(tmp_path: Path) -> None:
    """Choices are drawn by their place."""
    for drawn, _ in search(TPE, tmp_path / "x", 24):
        assert 0.1 <= drawn["sparsity"] <= 0.9
        assert 1e-4 <= drawn["lr"] <= 1e-1
        assert drawn["epochs"] in range(1, 10)
        assert drawn["bits"] in range(3)


def test_tpe_learns(tmp_path: Path) -> None:
    """What comes after the random beginning is nearer to what is wished for and allowed."""
    past = search(replace(TPE, trials=60), tmp_path / "x", 60)
    early, late = past[:20], past[40:]

    def good(trials: list[Told]) -> int:
        return sum(one is not None and one.violated == 0 and one.wishes[0] < 0.02 for _, one in trials)

    assert good(late) > good(early)


def test_nsga2_breeds_from_generation_to_generation(tmp_path: Path) -> None:
    """Points of a later generation take values from those before them."""
    past = search(NSGA2, tmp_path / "x", 24)
    first = {drawn["sparsity"] for drawn, _ in past[:12]}
    assert any(drawn["sparsity"] in first for drawn, _ in past[12:])


def test_halving_draws_at_random(tmp_path: Path) -> None:
    """More trials keep the first ones."""
    spec = SearchSpec("halving", 9, 3, 9, AXES, None)
    drawn = Study(spec, 1, tmp_path / "x").ask((), 9)
    assert len({json.dumps(each) for each in drawn}) == 9
    assert Study(spec, 1, tmp_path / "y").ask((), 5) == drawn[:5]
    assert Study(spec, 1, tmp_path / "x").ask((), 12)[:9] == drawn


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _break(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:20], b"{broken\n", *lines[21:]]))


def _lose_a_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:10], *lines[11:]]))


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("damage", [Path.unlink, _cut, _break, _lose_a_line])
def test_a_damaged_journal_is_written_again(spec: SearchSpec, damage: Callable[[Path], None], tmp_path: Path) -> None:
    """A process may be killed while it writes; the points stay the same."""
    whole = search(spec, tmp_path / "whole", 24)
    past = search(spec, tmp_path / "x", 12)
    damage(tmp_path / "x")
    assert search(spec, tmp_path / "x", 24, past) == whole
    assert all(json.loads(line) for line in (tmp_path / "x").read_bytes().splitlines())


def test_every_moment_of_a_kill_is_mended(tmp_path: Path) -> None:
    """The journal may end after any of its lines."""
    whole = search(TPE, tmp_path / "whole", 20)
    lines = (tmp_path / "whole").read_bytes().splitlines(keepends=True)
    for number in range(1, len(lines), 11):
        path = tmp_path / f"{number}"
        path.write_bytes(b"".join(lines[:number]))
        assert search(TPE, path, 20, whole[:16]) == whole


def test_other_results_lead_elsewhere(tmp_path: Path) -> None:
    """After an edit the same points may come to something else; the journal of before does not decide."""
    drawn = [each for each, _ in search(TPE, tmp_path / "x", 12)]
    past = [(each, Score(0, 0, (each["sparsity"],), (0.0, 0.0), ())) for each in drawn]
    changed = [(each, Score(0, 0, (-each["sparsity"],), (0.0, 0.0), ())) for each in drawn]
    after = Study(TPE, 1, tmp_path / "x").ask(changed, 4)
    assert after == Study(TPE, 1, tmp_path / "y").ask(changed, 4)
    assert after != Study(TPE, 1, tmp_path / "z").ask(past, 4)


def test_points_that_were_never_drawn_are_not_gone_on_from(tmp_path: Path) -> None:
    """Another version of something has drawn them."""
    past = search(TPE, tmp_path / "x", 8)
    foreign = [({**past[0][0], "sparsity": 0.123}, past[0][1]), *past[1:]]
    with pytest.raises(Diverged):
        Study(TPE, 1, tmp_path / "x").ask(foreign, 4)


def test_a_study_that_is_ahead_answers_from_its_journal(tmp_path: Path) -> None:
    """Another process has gone on; what it was asked is asked here, too."""
    whole = search(TPE, tmp_path / "x", 20)
    assert Study(TPE, 1, tmp_path / "x").ask(whole[:8], 4) == [drawn for drawn, _ in whole[8:12]]
