"""`pipeline store`: what it counts, removes and finds, as text and as a document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import main
from pipeline.store.local import LocalStore
from pipeline.store.shared import cache_folder
from tests.pipeline.store.stored import digest_of, make, names, write_run

ROOT = Path(".pipeline")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIPELINE_STORE", raising=False)
    monkeypatch.setenv("COLUMNS", "100")


def document(capsys: pytest.CaptureFixture[str], *arguments: str, expect: int = 0) -> Any:
    assert main(["store", *arguments, "--json"]) == expect
    return json.loads(capsys.readouterr().out)


def text(capsys: pytest.CaptureFixture[str], *arguments: str, expect: int = 0) -> str:
    assert main(["store", *arguments]) == expect
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_du_counts_results_by_stage_and_what_runs_name(capsys: pytest.CaptureFixture[str]) -> None:
    """An object of two results is counted once, with what a run names."""
    write_run(Path("runs/x"), make(ROOT, "train", {"out": b"1" * 5_000}))
    make(ROOT, "report", {"out": b"1" * 5_000, "more": b"2" * 1_000}, days_ago=60)
    found = document(capsys, "du")
    rows = {row["stage"]: row for row in found["stages"]}
    records = sum(path.stat().st_size for path in ROOT.glob("actions/*/*.json"))
    assert rows["total"]["size_bytes"] == found["size_bytes"] == 6_000 + records
    assert rows["train"]["named_bytes"] == rows["train"]["size_bytes"] > 5_000
    assert rows["report"]["named_bytes"] == 0
    assert rows["report"]["size_bytes"] < 2_000
    assert found["runs"] == [str(Path("runs/x").resolve())]
    assert len(found["garbage"]["removed_results"]) == 1
    shown = text(capsys, "du")
    assert "`pipeline store gc` would remove 1 result" in shown


def test_du_names_objects_that_belong_to_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A process was killed between writing them and committing."""
    make(ROOT, "train", {"out": b"1"})
    store = LocalStore(ROOT)
    store.write(b"lost" * 1_000)
    store.close()
    rows = {row["stage"]: row for row in document(capsys, "du")["stages"]}
    assert rows["(of no result)"] == {"stage": "(of no result)", "results": 0, "size_bytes": 4_000, "named_bytes": 0}


def test_the_copies_of_a_shared_store_are_looked_after_by_its_url(capsys: pytest.CaptureFixture[str]) -> None:
    """What is still to be sent stays, however old; the default store says what they take."""
    url = "memory://shared"
    root = cache_folder(url, ROOT)
    record = make(root, "unsent", {"out": b"1" * 5_000}, days_ago=60)
    make(root, "sent", {"out": b"2" * 5_000}, days_ago=60)
    (root / "outbox").mkdir()
    (root / "outbox" / record.key).touch()
    assert document(capsys, "prune", "--max-size", "0", "--store", url)["named_by_runs"] == 0
    assert names(root) == {"unsent"}
    LocalStore(ROOT).close()
    assert document(capsys, "du")["rest"]["copies of shared stores"] > 5_000


def test_an_empty_store_can_be_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    """Every action answers."""
    LocalStore(ROOT).close()
    assert document(capsys, "du")["results"] == 0
    assert document(capsys, "gc")["removed_bytes"] == 0
    assert document(capsys, "prune", "--max-size", "0")["removed_bytes"] == 0
    assert document(capsys, "verify")["objects"] == 0
    assert "total" in text(capsys, "du")


def test_a_dry_run_says_what_would_go_and_removes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The same numbers, then, without it, done."""
    make(ROOT, "train", {"out": b"1" * 2_000}, days_ago=60)
    shown = text(capsys, "gc", "--dry-run")
    assert "would remove 1 result" in shown
    assert "1 train" in shown
    assert names(ROOT) == {"train"}
    planned = document(capsys, "gc", "--dry-run")
    done = document(capsys, "gc")
    assert planned["removed_results"] == done["removed_results"]
    assert planned["removed_bytes"] == done["removed_bytes"] > 2_000
    assert names(ROOT) == set()


def test_gc_says_when_a_command_uses_the_store(capsys: pytest.CaptureFixture[str]) -> None:
    """And keeps what was made in the last day."""
    make(ROOT, "train", {"out": b"1"})
    store = LocalStore(ROOT)
    assert "a command is using this store" in text(capsys, "gc", "--keep-days", "0")
    store.close()
    assert names(ROOT) == {"train"}
    assert "removed 1 result" in text(capsys, "gc", "--keep-days", "0")


def test_other_folders_of_runs_can_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that no note tells of."""
    write_run(Path("old/x"), make(ROOT, "train", {"out": b"1"}, days_ago=60))
    assert len(document(capsys, "gc", "--dry-run")["removed_results"]) == 1
    assert len(document(capsys, "gc", "--dry-run", "--runs", "old")["removed_results"]) == 0


@pytest.mark.parametrize(("size", "left"), [("4K", {"c"}), ("0.011M", {"a", "b", "c"}), ("8 KiB", {"b", "c"})])
def test_prune_takes_sizes_as_people_write_them(capsys: pytest.CaptureFixture[str], size: str, left: set[str]) -> None:
    """Powers of 1024, with or without B or iB."""
    for days, name in ((3, "a"), (2, "b"), (1, "c")):
        make(ROOT, name, {"out": name.encode() * 3_000}, days_ago=days)
    document(capsys, "prune", "--max-size", size)
    assert names(ROOT) == left


@pytest.mark.parametrize(("age", "left"), [("3d", {"new"}), ("3", {"new"}), ("72h", {"new"}), ("1w", {"new", "old"})])
def test_prune_takes_ages_as_people_write_them(capsys: pytest.CaptureFixture[str], age: str, left: set[str]) -> None:
    """Hours, days (also without a letter) and weeks."""
    make(ROOT, "old", {"out": b"1"}, days_ago=5)
    make(ROOT, "new", {"out": b"2"}, days_ago=1)
    document(capsys, "prune", "--older-than", age)
    assert names(ROOT) == left


def test_prune_says_how_much_of_it_a_run_names(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever repeats that run pays for it."""
    write_run(Path("runs/x"), make(ROOT, "train", {"out": b"1"}, days_ago=9), days_ago=8)
    shown = text(capsys, "prune", "--older-than", "7d", "--dry-run")
    assert "1 of them is named by runs, and computed again by the next of these" in shown


def test_verify_names_damage_and_exits_with_6(capsys: pytest.CaptureFixture[str]) -> None:
    """Once: what was set aside is out of the way."""
    record = make(ROOT, "train", {"out": b"1"})
    path = ROOT / "objects" / digest_of(record)[:2] / digest_of(record)[2:]
    path.chmod(0o644)
    path.write_bytes(b"2")
    found = document(capsys, "verify", expect=6)
    assert found["damaged"] == [digest_of(record)]
    assert found["incomplete"] == [record.key]
    assert "1 result lacks an object" in text(capsys, "verify")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prune"], "--older-than AGE, --max-size SIZE or both"),
        (["prune", "--max-size", "much"], "--max-size much: expected something like 500M or 20G"),
        (["prune", "--older-than", "-3d"], "expected"),
        (["prune", "--older-than", "3y"], "--older-than 3y: expected something like 12h, 30d or 8w"),
        (["gc", "--keep-days", "-1"], "must be 0 or more"),
        (["gc", "--keep-days", "nan"], "must be 0 or more"),
        (["gc", "--runs", "nowhere"], "there is no such folder"),
        (["du", "--store", "nowhere"], "there is no store at nowhere"),
        ([], "required"),
        (["clean"], "invalid choice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_asked_for_wrongly_removes_nothing(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Exit code 2, and what was expected; no store is made by looking for one."""
    make(ROOT, "train", {"out": b"1"}, days_ago=99)
    assert message in text(capsys, *arguments, expect=2)
    assert names(ROOT) == {"train"}
    assert not Path("nowhere").exists()


def test_a_folder_that_is_no_store_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is removed from what only looks a little like one."""
    Path("objects/ab").mkdir(parents=True)
    assert "there is no store at ." in text(capsys, "gc", "--store", ".", expect=2)
