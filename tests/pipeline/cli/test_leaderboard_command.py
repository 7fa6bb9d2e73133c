"""`pipeline leaderboard` and `competition rank` at the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline import leaderboard
from pipeline.cli.main import main
from tests.processes import wait_until_gone
from tests.project import ROOT
from tests.submission_variants import Variant, cup, made_up_template, vary, write

FILES = ("LEADERBOARD.md", "leaderboard.csv", "leaderboard.html", "leaderboard.json")


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the competition `cup`, and five teams' submissions: one of them tampered, two tied."""
    folder = tmp_path_factory.mktemp("cup")
    document, evidence = made_up_template()
    (folder / "competitions").mkdir()
    (folder / "competitions/cup.schema.json").write_text(json.dumps(cup(document)))
    for number, (team, slower) in enumerate([("ada", 1.0), ("grace", 1.0), ("alan", 1.4), ("alan", 1.2)]):
        variant = Variant(number, slower, measured_at=f"2026-11-2{number}T12:00:00Z")
        write(folder / "submissions" / team / str(number), vary(document, evidence, variant))
    data, samples = vary(document, evidence, Variant(9))
    write(folder / "submissions/mallory", (data.replace(b'"correct": 347', b'"correct": 360', 1), samples))
    (folder / "submissions/edsger.json").write_bytes(vary(document, evidence, Variant(10))[0])
    return folder


@pytest.fixture(autouse=True)
def here(handed_in: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command runs in that folder."""
    monkeypatch.chdir(handed_in)
    return handed_in


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, expect: int = 0) -> Any:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == expect
    return json.loads(capsys.readouterr().out)


RANK = ("competition", "rank", "cup", "submissions")
BOARD = ("leaderboard", "submissions", "--competition", "cup")


def test_teams_are_ranked_and_others_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A tie, a better attempt that counts, a tampered file with its rule, and one without evidence."""
    found = answer(capsys, *RANK)
    ranks = [(one["rank"], one["team"]) for one in found["submissions"] if one["rank"]]
    assert sorted(ranks) == [(1, "ada"), (1, "grace"), (3, "alan")]
    others = {one["path"]: (one["state"], one["reasons"][0]["rule"]) for one in found["submissions"] if not one["rank"]}
    assert others == {
        "alan/2/submission.json": ("passed_over", "ladder"),
        "edsger.json": ("inconclusive", "verification.level"),
        "mallory/submission.json": ("invalid", "R030"),
    }


def test_the_text_has_ranks_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    """For a person."""
    assert main([*RANK]) == 0
    shown = capsys.readouterr().out
    assert "Cup: 3 of 5 teams ranked, from 6 submissions" in shown
    assert "R030: accuracy.optimized.test.correct: found 360, expected 347" in " ".join(shown.split())


def test_the_files_are_the_same_each_time(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    """Byte by byte, remembered or not, by one process or two."""
    answer(capsys, *BOARD, "--out", "one")
    answer(capsys, *BOARD, "--out", "two", "--afresh")
    for name in FILES:
        assert (here / "one" / name).read_bytes() == (here / "two" / name).read_bytes()


def test_check_says_what_is_stale(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    """Exit code 3, and nothing is written."""
    answer(capsys, *BOARD, "--out", "checked")
    assert answer(capsys, *BOARD, "--out", "checked", "--check")["stale"] == []
    (here / "checked/LEADERBOARD.md").write_text("old")
    assert answer(capsys, *BOARD, "--out", "checked", "--check", expect=3)["stale"] == ["checked/LEADERBOARD.md"]
    assert (here / "checked/LEADERBOARD.md").read_text() == "old"


def test_what_was_checked_is_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    """By its bytes and by the rules: another competition asks again, and so does a changed file."""
    first = answer(capsys, *RANK, "--store", "s")
    again = answer(capsys, *RANK, "--store", "s")
    assert (first["checked"]["known"], again["checked"]["known"]) == (0, 6)
    assert again["submissions"] == first["submissions"]


def test_a_changed_file_and_changed_rules_are_checked_again(
    capsys: pytest.CaptureFixture[str], here: Path, tmp_path: Path
) -> None:
    """What is remembered is never taken for something else."""
    document, evidence = made_up_template()
    path = write(tmp_path / "all/ada", vary(document, evidence, Variant(1)))
    rank = ("competition", "rank", str(tmp_path / "cup.schema.json"), str(tmp_path / "all"), "--store", "s2")
    schema = cup(document)
    (tmp_path / "cup.schema.json").write_text(json.dumps(schema))
    assert answer(capsys, *rank)["submissions"][0]["state"] == "ranked"
    schema["properties"]["comparisons"] = {"properties": {"size": {"properties": {"ratio": {"minimum": 100}}}}}
    (tmp_path / "cup.schema.json").write_text(json.dumps(schema))
    assert answer(capsys, *rank)["submissions"][0]["state"] == "fail"
    path.write_bytes(path.read_bytes().replace(b'"correct": 347', b'"correct": 348', 1))
    assert answer(capsys, *rank)["submissions"][0]["state"] == "invalid"


def test_several_processes_find_what_one_finds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the number of submissions that makes them worth their start."""
    alone = answer(capsys, *RANK, "--afresh", "--workers", "1")
    monkeypatch.setattr(leaderboard, "_FEW", 1)
    monkeypatch.setattr(leaderboard, "_CHUNK", 2)
    assert answer(capsys, *RANK, "--afresh", "--workers", "2") == alone


def test_an_organisers_records_count(capsys: pytest.CaptureFixture[str], here: Path, tmp_path: Path) -> None:
    """But only from a folder that no participant fills."""
    found = answer(capsys, *RANK)["submissions"][0]
    assert found["trust"] == "recomputed"
    assert found["awaits_reproduction"]
    error = answer(capsys, *RANK, "--verified", "submissions/ada", expect=2)["error"]
    assert "lie in each other" in error["message"]
    assert answer(capsys, *RANK, "--verified", ".", expect=2)["error"]["code"] == "E200"
    assert answer(capsys, *RANK, "--verified", str(tmp_path))["submissions"][0] == found


@pytest.mark.parametrize("out", ["submissions", "submissions/ada", "submissions/../submissions"])
def test_nothing_is_written_among_the_submissions(capsys: pytest.CaptureFixture[str], out: str, here: Path) -> None:
    """It would be taken for a team's."""
    before = sorted(here.joinpath("submissions").rglob("*"))
    answer(capsys, *BOARD, "--out", out, expect=2)
    assert sorted(here.joinpath("submissions").rglob("*")) == before


def test_a_competition_that_cannot_be_decided_ranks_nobody(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    """Raw durations of different machines do not rank."""
    schema = json.loads((here / "competitions/cup.schema.json").read_text())
    schema["x-competition"]["ranking"]["primary"] = {
        "path": "benchmark.comparisons[0].arms.optimized.median_ns",
        "best": "lowest",
    }
    (here / "competitions/raw.schema.json").write_text(
        json.dumps({**schema, "$id": "urn:tinytorch-pipeline:competitions:raw"})
    )
    error = answer(capsys, "competition", "rank", "raw", "submissions", expect=2)["error"]
    assert "ratio to the common baseline" in error["problems"][0]["message"]


def test_a_missing_folder_is_the_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2."""
    assert (
        "nothing: cannot be read"
        in answer(capsys, "competition", "rank", "cup", "nothing", expect=2)["error"]["message"]
    )


def test_a_submission_that_ends_its_process_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are checked all the same; the culprit is found by checking alone."""
    monkeypatch.setattr(leaderboard, "_FEW", 1)
    monkeypatch.setattr(leaderboard, "_check_in_process", _killed_by_mallory)
    found = {one["team"]: one for one in answer(capsys, *RANK, "--afresh", "--workers", "2")["submissions"]}
    assert found["mallory"]["reasons"][0]["rule"] == "E700"
    assert found["ada"]["rank"] == 1


def test_a_process_may_end_before_all_is_handed_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is handed out to a pool that is broken by then is checked apart, too."""
    alone = answer(capsys, *RANK, "--afresh", "--workers", "1")
    submit = ProcessPoolExecutor.submit

    def submit_and_wait(pool: ProcessPoolExecutor, work: Any, found: Any) -> Future[Any]:
        future = submit(pool, work, found)
        future.exception()
        return future

    monkeypatch.setattr(leaderboard, "_FEW", 1)
    monkeypatch.setattr(leaderboard, "_CHUNK", 3)
    monkeypatch.setattr(leaderboard, "_check_in_process", _killed_by_ada)
    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit_and_wait)
    found = answer(capsys, *RANK, "--afresh", "--workers", "2")
    assert {one["team"]: one["state"] for one in found["submissions"] if one["team"] != "ada"} == {
        one["team"]: one["state"] for one in alone["submissions"] if one["team"] != "ada"
    }


def _killed_by_ada(found: Any) -> Any:
    return _killed_by("ada", found)


def _killed_by_mallory(found: Any) -> Any:
    return _killed_by("mallory", found)


def _killed_by(team: str, found: Any) -> Any:
    if any(one.team == team for one in found):
        os._exit(9)
    assert leaderboard._at_work is not None
    return [leaderboard._check(leaderboard._at_work, one) for one in found]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_end_with_the_one_that_started_them() -> None:
    """However that ended: nobody wants their answer any more."""
    code = "import os, time; from pipeline import leaderboard; pool = leaderboard._pool(None, 1)\n"
    code += "print(pool.submit(os.getpid).result(), flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT) as first:
        assert first.stdout is not None
        worker = int(first.stdout.readline())
        first.kill()
    wait_until_gone([worker])


def test_what_other_code_found_out_is_not_believed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what other libraries or another interpreter did."""
    assert answer(capsys, *RANK, "--store", "s3")["checked"]["known"] == 0
    monkeypatch.setattr(leaderboard, "version", lambda name: "9.9")
    assert answer(capsys, *RANK, "--store", "s3")["checked"]["known"] == 0
    monkeypatch.setattr(leaderboard, "_CODE", "pipeline.submission.trust")
    assert answer(capsys, *RANK, "--store", "s3")["checked"]["known"] == 0
    assert answer(capsys, *RANK, "--store", "s3")["checked"]["known"] == 6
