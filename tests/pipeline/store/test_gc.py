"""Collecting garbage and making room: what goes, what stays, and what a running command is spared."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.keys import digest_bytes
from pipeline.store.census import take_census
from pipeline.store.gc import Removal, garbage, remove, surplus
from pipeline.store.in_use import alone
from pipeline.store.local import LocalStore
from pipeline.store.uses import UseNotes
from tests.pipeline.store.stored import DAY_S, age, digest_of, make, names, write_run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def collect(root: Path, *, keep_days: float = 30.0, is_alone: bool = True) -> Removal:
    census = take_census(root, (root.parent / "runs",))
    removal = garbage(census, census.taken_at - keep_days * DAY_S, is_alone=is_alone)
    remove(root, removal)
    return removal


def prune(root: Path, *, days: float = math.inf, most: float = math.inf, is_alone: bool = True) -> Removal:
    census = take_census(root, (root.parent / "runs",))
    removal = surplus(census, census.taken_at - days * DAY_S, most, is_alone=is_alone)
    remove(root, removal)
    return removal


def objects(root: Path) -> set[str]:
    return {path.parent.name + path.name for path in (root / "objects").glob("*/*")}


def test_what_nobody_names_and_nobody_used_lately_goes(root: Path) -> None:
    """With its objects; a younger result and one that a run folder names stay."""
    make(root, "old", {"out": b"1"}, days_ago=31)
    make(root, "young", {"out": b"2"}, days_ago=29)
    write_run(root.parent / "runs" / "x", make(root, "named", {"out": b"3"}, days_ago=400), days_ago=390)
    collect(root)
    assert names(root) == {"young", "named"}
    assert objects(root) == {digest_bytes(b"2"), digest_bytes(b"3")}


def test_an_object_of_two_results_stays_as_long_as_one_of_them(root: Path) -> None:
    """Equal bytes are stored once."""
    make(root, "old", {"out": b"same"}, days_ago=31)
    make(root, "young", {"out": b"same"})
    collect(root)
    assert names(root) == {"young"}


def test_what_a_kept_result_was_made_from_is_kept(root: Path) -> None:
    """However old: otherwise the next run would compute it again."""
    first = make(root, "data", {"out": b"1"}, days_ago=90)
    second = make(root, "train", {"out": b"2"}, {"x": digest_of(first)}, days_ago=60)
    make(root, "report", {"out": b"3"}, {"x": digest_of(second)}, days_ago=1)
    make(root, "other", {"out": b"4"}, days_ago=60)
    collect(root)
    assert names(root) == {"data", "train", "report"}


def test_earlier_sessions_of_a_measurement_stay_with_it(root: Path) -> None:
    """They are results like the last one."""
    record = make(root, "benchmark", {"out": b"second session"})
    store = LocalStore(root)
    former = store.put(b"first session", "text")
    store.commit(record._replace(earlier=({"out": former},)))
    store.close()
    collect(root)
    assert former.digest in objects(root)


def test_a_digest_that_a_submission_names_is_kept_without_its_record(root: Path) -> None:
    """`export` reads weights by their digest."""
    record = make(root, "train", {"out": b"weights"}, days_ago=60)
    folder = root.parent / "runs" / "x"
    folder.mkdir(parents=True)
    (folder / "submission.json").write_text(f'{{"provenance": {{"weights": "{digest_of(record)}"}}}}')
    (folder / "run.json").write_text("{}")
    collect(root)
    assert objects(root) == {digest_of(record)}


def test_a_run_folder_anywhere_counts_if_a_run_noted_it(root: Path, tmp_path: Path) -> None:
    """`run --out` may write outside of runs/."""
    record = make(root, "train", {"out": b"1"}, days_ago=60)
    write_run(tmp_path / "elsewhere", record, days_ago=60)
    UseNotes(root, tmp_path / "elsewhere").flush()
    collect(root)
    assert names(root) == {"train"}


def test_a_noted_run_folder_that_is_gone_holds_nothing(root: Path, tmp_path: Path) -> None:
    """Whoever deletes a run folder no longer needs what it named."""
    make(root, "train", {"out": b"1"}, days_ago=60)
    UseNotes(root, tmp_path / "elsewhere").flush()
    collect(root)
    assert names(root) == set()


def test_what_a_run_found_lately_stays(root: Path, tmp_path: Path) -> None:
    """Also when the run folder by now names other results."""
    record = make(root, "train", {"out": b"1"}, days_ago=60)
    make(root, "other", {"out": b"2"}, days_ago=60)
    notes = UseNotes(root, tmp_path / "runs" / "x")
    notes.note(record.key)
    notes.flush()
    collect(root)
    assert names(root) == {"train"}


@pytest.mark.parametrize("put", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_a_run_folder_that_cannot_be_read_stops_everything(root: Path, put: Callable[[Path], None]) -> None:
    """What it needs is not known."""
    make(root, "train", {"out": b"1"}, days_ago=60)
    (root.parent / "runs" / "x").mkdir(parents=True)
    put(root.parent / "runs" / "x" / "run.json")
    with pytest.raises(EnvironmentProblem, match="what it needs is not known"):
        collect(root)
    assert names(root) == {"train"}


def test_an_unreadable_record_and_all_it_names_stays(root: Path) -> None:
    """It may be of a newer version of this program."""
    record = make(root, "train", {"out": b"1"}, days_ago=60)
    (file,) = (root / "actions").glob("*/*.json")
    file.write_text(f'{{"format": 9, "made": ["{digest_of(record)}"]}}')
    age(file, 60)
    collect(root, keep_days=0)
    assert file.exists()
    assert objects(root) == {digest_of(record)}


def test_beside_a_running_command_nothing_young_is_removed(root: Path) -> None:
    """It may be about to name an object that was written a moment ago; and nobody's lock is taken away."""
    make(root, "old", {"out": b"1"}, days_ago=2)
    make(root, "young", {"out": b"2"})
    store = LocalStore(root)
    orphan = store.write(b"not yet committed")
    store.close()
    (root / "locks" / f"{orphan}.lock").touch()
    (root / "tmp" / ".writing-0123").touch()
    collect(root, keep_days=0, is_alone=False)
    assert names(root) == {"young"}
    assert orphan in objects(root)
    assert len(os.listdir(root / "locks")) == 2
    assert os.listdir(root / "tmp") == [".writing-0123"]
    collect(root, keep_days=0)
    assert objects(root) == set()
    assert os.listdir(root / "locks") == ["in-use"]
    assert os.listdir(root / "tmp") == []


def test_an_old_object_that_is_written_again_counts_as_young(root: Path) -> None:
    """The record that names it anew comes after it."""
    record = make(root, "train", {"out": b"1"}, days_ago=60)
    store = LocalStore(root)
    store.write(b"1")
    store.close()
    collect(root, keep_days=0, is_alone=False)
    assert objects(root) == {digest_of(record)}


def test_what_was_written_since_the_census_stays(root: Path) -> None:
    """A record of the same name is not the one that was chosen."""
    make(root, "train", {"out": b"1"}, days_ago=60)
    (file,) = (root / "actions").glob("*/*.json")
    age(file, 60)
    census = take_census(root, ())
    removal = garbage(census, time.time(), is_alone=True)
    make(root, "train", {"out": b"1"})
    assert remove(root, removal) == 0
    assert names(root) == {"train"}


def test_one_is_alone_only_if_nobody_has_the_store_open(root: Path) -> None:
    """A command that has it open is found out, however it ends."""
    store = LocalStore(root)
    with alone(root) as is_alone:
        assert not is_alone
    store.close()
    with alone(root) as is_alone:
        assert is_alone


def test_whoever_opens_a_store_waits_for_one_who_tidies_up_alone(root: Path) -> None:
    """What is found then is there to stay."""
    make(root, "train", {"out": b"1"}, days_ago=60)
    opened: list[bool] = []
    opener = threading.Thread(target=lambda: opened.append(names(root) == set()))
    with alone(root) as is_alone:
        opener.start()
        opener.join(0.1)
        assert is_alone
        assert opener.is_alive()
        collect(root)
    opener.join()
    assert opened == [True]


def test_results_unused_for_long_are_pruned_even_if_a_run_names_them(root: Path) -> None:
    """The last run into its folder counts as use."""
    write_run(root.parent / "runs" / "a", make(root, "a", {"out": b"1"}, days_ago=90), days_ago=80)
    write_run(root.parent / "runs" / "b", make(root, "b", {"out": b"2"}, days_ago=90), days_ago=10)
    removal = prune(root, days=30)
    assert [result.stage for result in removal.results] == ["a"]
    assert names(root) == {"b"}


def test_pruning_to_a_size_takes_the_least_recently_used_first(root: Path) -> None:
    """And no more than it has to."""
    for days in (3, 1, 5, 2, 4):
        make(root, f"{days}", {"out": str(days).encode() * 10_000}, days_ago=days)
    prune(root, most=33_000)
    assert names(root) == {"1", "2", "3"}
    assert take_census(root, ()).size_bytes <= 33_000


def test_of_the_same_day_what_no_run_names_goes_first_then_what_is_quick(root: Path) -> None:
    """Two minutes of work are worth more room than two seconds."""
    now = time.time()
    (root.parent / "runs").mkdir()
    write_run(root.parent / "runs" / "x", make(root, "named", {"out": b"1" * 9_000}, seconds=1))
    make(root, "slow", {"out": b"2" * 9_000}, seconds=120)
    make(root, "quick", {"out": b"3" * 9_000}, seconds=2)
    census = take_census(root, (root.parent / "runs",))
    stages = [r.stage for r in surplus(census, 0, 10_000, is_alone=True).results]
    assert int(now // DAY_S) != int(time.time() // DAY_S) or stages == ["quick", "slow"]


def test_an_object_frees_room_only_with_its_last_result(root: Path) -> None:
    """What is shared is counted once."""
    make(root, "a", {"out": b"1" * 9_000}, days_ago=3)
    make(root, "b", {"out": b"1" * 9_000}, days_ago=2)
    make(root, "c", {"out": b"2" * 9_000}, days_ago=1)
    prune(root, most=12_000)
    assert names(root) == {"c"}


def test_pruning_beside_a_running_command_spares_what_was_used_today(root: Path) -> None:
    """The size that was asked for may then not be reached."""
    make(root, "old", {"out": b"1"}, days_ago=2)
    make(root, "young", {"out": b"2"})
    prune(root, most=0, is_alone=False)
    assert names(root) == {"young"}


def test_interrupted_at_any_step_no_record_promises_too_much(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records go before objects, and what is left over goes the next time."""
    for steps in range(6):
        for number in range(3):
            make(root, f"{number}", {"out": str(number).encode()}, days_ago=60)
        taken = iter(range(steps))
        unlink = os.unlink

        def stop(path: str, *, taken: object = taken, unlink: object = unlink) -> None:
            if next(taken, None) is None:  # type: ignore[call-overload]
                raise KeyboardInterrupt
            unlink(path)  # type: ignore[operator]

        with monkeypatch.context() as patch:
            patch.setattr("pipeline.store.gc.os.unlink", stop)
            with pytest.raises(KeyboardInterrupt):
                collect(root)
        store = LocalStore(root)
        records = [path.parent.name + path.stem for path in (root / "actions").glob("*/*.json")]
        assert all(store.get(key) for key in records)
        store.close()
    collect(root)
    assert objects(root) == set()


def test_the_journal_of_a_search_goes_when_nobody_wrote_it_for_long(root: Path) -> None:
    """It is a copy of what the results say; a running search keeps its own."""
    LocalStore(root).close()
    (root / "search").mkdir()
    for name, days in (("old", 31), ("young", 2), ("open", 0)):
        (root / "search" / f"{name}.journal").touch()
        age(root / "search" / f"{name}.journal", days)
    collect(root)
    assert sorted(os.listdir(root / "search")) == ["open.journal", "young.journal"]
    collect(root, keep_days=0, is_alone=False)
    assert os.listdir(root / "search") == ["open.journal"]


def test_what_is_removed_while_it_is_counted_is_passed_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A computation that ends takes its folder away; whoever counts has just seen it."""
    LocalStore(root).close()
    scandir = os.scandir

    @contextlib.contextmanager
    def scan_and_remove(folder: str | Path) -> Iterator[Iterator[os.DirEntry[str]]]:
        with scandir(folder) as entries:
            found = list(entries)
        if str(folder).rstrip("/").endswith(("unfinished", "actions")):
            for entry in found:
                shutil.rmtree(entry.path, ignore_errors=True)
        yield iter(found)

    for name in ("unfinished/0123/fit-0", f"actions/ab/{'0' * 62}.json"):
        (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    (root / "index.sqlite3").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scan_and_remove)
        assert take_census(root, ()).results == {}
        assert not (root / "unfinished/0123").exists()
        (root / "actions/ab").mkdir(exist_ok=True)
        LocalStore(root).close()
    assert not (root / "actions/ab").exists()


def test_notes_and_quarantine_last_as_long_as_results_do(root: Path, tmp_path: Path) -> None:
    """A note of a day that no longer counts is removed, the path of the run folder stays."""
    record = make(root, "train", {"out": b"1"})
    notes = UseNotes(root, tmp_path / "runs" / "x")
    notes.note(record.key)
    notes.flush()
    (day,) = (root / "uses").glob("*/*-*-*")
    (root / "quarantine").mkdir()
    (root / "quarantine" / "young").touch()
    (root / "quarantine" / "old").touch()
    age(root / "quarantine" / "old", 31)
    collect(root)
    assert day.exists()
    assert os.listdir(root / "quarantine") == ["young"]
    age(day, 32)
    collect(root)
    assert [path.name for path in (root / "uses").glob("*/*")] == ["folder"]
