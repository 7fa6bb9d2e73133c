"""Which changes a pull request may make, by names, modes and sizes alone."""

from __future__ import annotations

import random

import pytest

from pipeline.core.errors import UserError
from pipeline.submission.pull_request.changes import Proposal, owners_in, propose
from pipeline.submission.pull_request.objects import ABSENT, Blob, Change

OWN = "submissions/ada/first"


def proposal(
    *paths: str,
    mode: str = "100644",
    before: str = ABSENT,
    size: int = 1000,
    base: tuple[str, ...] = (),
    owners: dict[str, tuple[str, ...]] | None = None,
    author: str | None = "Ada",
) -> Proposal:
    """What comes of adding files of one mode and size at these paths."""
    head = {path: Blob(path, mode, f"{i:040}", size) for i, path in enumerate(paths)} if mode != ABSENT else {}
    changes = [Change(path, before, mode) for path in paths]
    return propose("submissions", changes, head, base, owners or {}, author)


def codes(found: Proposal) -> list[str]:
    return [problem.code for problem in found.problems]


def test_a_new_submission_with_evidence_may_be_handed_in() -> None:
    """It is one team's, and the evidence belongs to it."""
    found = proposal(f"{OWN}/submission.json", f"{OWN}/evidence.safetensors", "submissions/ada/README.md")
    assert (found.team, found.problems) == ("ada", ())
    assert [(entry.team, entry.submission.path) for entry in found.entries] == [("ada", f"{OWN}/submission.json")]
    assert found.entries[0].evidence is not None


def test_a_single_file_is_a_submission_without_evidence() -> None:
    """It bears the team's name."""
    found = proposal("submissions/ada.json")
    assert (found.team, found.problems, found.entries[0].evidence) == ("ada", (), None)


@pytest.mark.parametrize(
    "path",
    [
        ".github/workflows/submission-check.yml",
        "competitions/quick_cup.schema.json",
        "submissions/OWNERS",
        "submissions/README.md",
        "submissions.json",
        "pipeline/cli/main.py",
    ],
)
def test_nothing_else_may_change(path: str) -> None:
    """Above all not what decides."""
    assert "E530" in codes(proposal(f"{OWN}/submission.json", path))


def test_no_change_is_no_submission() -> None:
    """There is nothing to check."""
    assert codes(proposal()) == ["E530"]


@pytest.mark.parametrize("mode", ["120000", "160000", "100755", "000001"])
def test_only_plain_files_are_handed_in(mode: str) -> None:
    """No link, submodule or program, and such a file is not looked at."""
    found = proposal(f"{OWN}/submission.json", mode=mode)
    assert codes(found) == ["E532"]
    assert found.entries == ()


@pytest.mark.parametrize(
    "path",
    [
        f"{OWN}/model.pkl",
        f"{OWN}/report.html",
        f"{OWN}/b/c/d/submission.json",
        "submissions/ada/fir st/submission.json",
        "submissions/ada/.hidden/submission.json",
        "submissions/ada/\u202e/submission.json",
        "submissions/ada/x\udcff/submission.json",
        f"submissions/ada/{'x' * 65}/submission.json",
    ],
)
def test_names_are_those_of_a_submission(path: str) -> None:
    """Plain ones, not too deep, and only of files that somebody looks at."""
    assert codes(proposal(path)) == ["E532"]


@pytest.mark.parametrize("team", ["-x", "..", ".git", "a b", "ä", "x" * 65, "@ada", "<b>"])
def test_a_team_has_a_plain_name(team: str) -> None:
    """Any other folder is no team's."""
    assert "E530" in codes(proposal(f"submissions/{team}/submission.json"))


def test_files_are_bounded() -> None:
    """By what would be read of them."""
    assert codes(proposal(f"{OWN}/submission.json", size=2**24 + 1)) == ["E532"]


def test_too_much_at_once_is_refused() -> None:
    """Too many files are not even listed; each submission costs a computation."""
    assert codes(proposal(*(f"submissions/ada/{i}/submission.json" for i in range(11)))) == ["E532"]
    assert len(proposal(*(f"submissions/ada/{i}/submission.json" for i in range(5000))).problems) == 1


@pytest.mark.parametrize(("before", "mode"), [("100644", "100644"), ("100644", ABSENT), (ABSENT, "100644")])
def test_what_was_handed_in_stays(before: str, mode: str) -> None:
    """Nothing merged is changed or removed, even where only the base's newest commit has it."""
    path = f"{OWN}/submission.json"
    assert codes(proposal(path, before=before, mode=mode, base=(path,)))[:1] == ["E533"]


def test_notes_may_change() -> None:
    """They count for nothing."""
    assert codes(proposal("submissions/ada/README.md", before="100644", base=("submissions/ada/README.md",))) == []


def test_evidence_is_not_brought_later() -> None:
    """It lies beside a submission that is handed in with it."""
    found = proposal(f"{OWN}/evidence.safetensors", base=(f"{OWN}/submission.json",))
    assert codes(found) == ["E532"]


def test_one_pull_request_is_one_teams() -> None:
    """Whoever the author is."""
    found = proposal(f"{OWN}/submission.json", "submissions/grace/first/submission.json", author=None)
    assert (codes(found), found.team) == (["E531"], None)


@pytest.mark.parametrize(
    ("author", "fine"), [("ada", True), ("ADA", True), ("eve", False), (None, True), ("grace", False)]
)
def test_an_unlisted_team_is_called_like_its_account(author: str | None, fine: bool) -> None:
    """Where the account is known."""
    assert codes(proposal(f"{OWN}/submission.json", author=author)) == ([] if fine else ["E531"])


@pytest.mark.parametrize(("author", "fine"), [("ada", False), ("Grace", True), ("edsger", True), ("eve", False)])
def test_a_listed_team_belongs_to_its_accounts(author: str, fine: bool) -> None:
    """Even if another account has the team's name."""
    owners = owners_in("ada @grace @Edsger # who left\n", "OWNERS")
    assert codes(proposal(f"{OWN}/submission.json", author=author, owners=owners)) == ([] if fine else ["E531"])


def test_teams_differ_by_more_than_capitals() -> None:
    """Else two could look like one."""
    found = proposal("submissions/Ada/first/submission.json", base=(f"{OWN}/submission.json",))
    assert codes(found) == ["E531"]


@pytest.mark.parametrize("text", ["ada", "ada ada", "a/b @ada", "ada @a\nADA @b", "@ada ada"])
def test_a_list_of_owners_is_read_strictly(text: str) -> None:
    """A mistake is the organiser's, and named with its line."""
    with pytest.raises(UserError, match=r"OWNERS:\d"):
        owners_in(text, "OWNERS")


def test_whatever_is_changed_ends_in_entries_or_problems() -> None:
    """Random paths and modes: nothing raises, and only plain files with plain names are ever read."""
    draw = random.Random(7)
    pieces = ["submissions", "ada", "Ada", "..", ".", "", "submission.json", "evidence.safetensors", "OWNERS", "a b"]
    pieces += ["x.json", "README.md", "\udc80", "\n", "submissions/ada", "é", "x" * 70, ".git", "grace"]
    modes = [ABSENT, "100644", "100755", "120000", "160000", "junk"]
    for _ in range(3000):
        paths = {"/".join(draw.choices(pieces, k=draw.randint(1, 6))) for _ in range(draw.randint(0, 6))}
        changes = [Change(path, draw.choice(modes), draw.choice(modes)) for path in sorted(paths)]
        head = {
            c.path: Blob(c.path, c.after, "0" * 40, draw.choice([0, 10, 2**30])) for c in changes if c.after != ABSENT
        }
        found = propose("submissions", changes, head, draw.sample(sorted(paths), len(paths) // 2), {}, "ada")
        wrong = {problem.path for problem in found.problems}
        for entry in found.entries:
            assert entry.submission.mode == "100644"
            parts = entry.submission.path.split("/")
            assert entry.submission.path in wrong or (
                parts[0] == "submissions" and not {"..", ".", "", "\n"} & set(parts)
            )
        assert found.problems or {c.path.split("/")[1].removesuffix(".json") for c in changes} == {"ada"}
