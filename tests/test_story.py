"""The whole story of a competition, as its page tells it: announced, entered, cheated at, and ranked with a tie."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.stats.accuracy import accuracy_record
from tests.project import Project, copy_project

PERSON = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")
CUP = "competitions/digits_cup.schema.json"
MODEL = {"arch": "mlp", "args": {"hidden": [64]}, "train": {"epochs": 10}}
EXPERIMENT = """
name: {name}
competition: digits_cup
data: {{name: digits}}
model: {{arch: mlp, args: {{hidden: [64]}}, train: {{epochs: 10}}}}
optimize: {steps}
benchmark: {{processes: 2, target_ci: 0.5, budget_s: 1, wait_s: 1}}
outputs: {{report: [md]}}
"""
STEPS = {
    "half": "[{prune: {sparsity: 0.5}}, {finetune: {epochs: 2}}]",
    "bits": "[{quantize: {bits: 8}}]",
}


@pytest.fixture
def repository(tmp_path: Path) -> Project:
    """What an organiser begins with: a checkout, under git."""
    project = copy_project(tmp_path)
    git(project, "init", "-q", "-b", "main")
    return project


def git(project: Project, *arguments: str) -> None:
    subprocess.run(["git", *PERSON, *arguments], cwd=project.folder, check=True, capture_output=True)


def commit(project: Project, message: str) -> None:
    git(project, "add", "competitions", "submissions")
    git(project, "commit", "-q", "-m", message)


def announce(project: Project) -> None:
    """An organiser writes a competition, checks it, and commits it with the list of teams."""
    project.run("competition", "new", "digits_cup")
    file = project.folder / CUP
    competition = json.loads(file.read_text())
    limits = {
        "accuracy": {"optimized": {"test": {"accuracy": {"minimum": 0.85}}}},
        "size": {"optimized": {"stored_bytes": {"maximum": 12_000}}},
    }
    competition |= {"title": "Digits cup", "properties": schema_of(limits)["properties"]}
    terms = competition["x-competition"]
    terms["baseline"]["experiment"]["model"] = MODEL
    terms["protocol"] |= {"least_processes": 2, "least_pairs": 10}
    terms["ranking"] = {
        "primary": {"path": "accuracy.optimized.test.accuracy", "best": "highest"},
        "ties": "overlapping_intervals",
        "then": [{"path": "comparisons.size.ratio", "best": "highest"}],
    }
    file.write_text(json.dumps(competition, indent=2))
    assert "digits_cup: valid competition" in project.run("competition", "check", "digits_cup").stdout
    (project.folder / "submissions").mkdir()
    (project.folder / "submissions/OWNERS").write_text("# team  accounts\nbyte-club @grace @edsger\n")
    commit(project, "Announce the digits cup")


def schema_of(limits: dict[str, Any]) -> dict[str, Any]:
    """Return limits by their place as JSON Schema has them."""
    if any(key in limits for key in ("minimum", "maximum")):
        return limits
    return {"properties": {key: schema_of(value) for key, value in limits.items()}}


def run_and_enter(project: Project, name: str, folder: str, author: str) -> Any:
    """A participant runs an experiment, hands its submission in on a branch, and asks how it stands."""
    (project.folder / f"{name}.yaml").write_text(EXPERIMENT.format(name=name, steps=STEPS[name]))
    project.run("run", f"{name}.yaml")
    assert "recomputed" in project.run("validate", f"runs/{name}/submission.json").stdout
    git(project, "checkout", "-q", "-b", author, "main")
    hand_in(project, name, folder)
    commit(project, f"Enter the digits cup with {name}")
    return project.json("check-pr", "--base", "main", "--author", author)


def hand_in(project: Project, name: str, folder: str) -> Path:
    target = project.folder / folder
    target.mkdir(parents=True)
    for file in ("submission.json", "evidence.safetensors"):
        shutil.copy(project.folder / "runs" / name / file, target / file)
    return target


def merge(project: Project, branch: str) -> None:
    git(project, "checkout", "-q", "main")
    git(project, "merge", "-q", branch)


def tampered(file: Path) -> None:
    """Answer 15 more of the test's images rightly, and make every figure that follows agree with it."""
    document = json.loads(file.read_text(encoding="utf-8"))
    test = document["accuracy"]["optimized"]["test"]
    better = accuracy_record(test["correct"] + 15, test["evaluated"])
    document["accuracy"]["optimized"]["test"] = better
    document["optimized"]["metrics"]["accuracy"] = better["accuracy"]
    gained = better["accuracy"] - document["accuracy"]["baseline"]["test"]["accuracy"]
    document["improvements"]["accuracy_delta"] = document["comparisons"]["accuracy"]["delta"] = gained
    chosen = document["selection"]["points"][document["selection"]["chosen"]]
    chosen["accuracy"]["test"] |= {key: better[key] for key in ("accuracy", "interval")}
    document["student_name"] = "Eve"
    file.write_text(json.dumps(document), encoding="utf-8")


def test_a_competition_from_its_announcement_to_its_leaderboard(repository: Project) -> None:
    """Two teams enter and share the first rank; a copy with a better figure is refused, and its rule is named."""
    announce(repository)

    ada = run_and_enter(repository, "half", "submissions/ada/half", "ada")
    assert (ada["outcome"], ada["submissions"][0]["trust"]) == ("accepted", "recomputed")
    assert ada["submissions"][0]["place"]["rank"] == 1
    merge(repository, "ada")

    grace = run_and_enter(repository, "bits", "submissions/byte-club/8bits", "grace")
    place = grace["submissions"][0]["place"]
    assert (grace["outcome"], place["rank"], place["is_shared"], place["teams"]) == ("accepted", 1, True, 2)
    merge(repository, "grace")

    git(repository, "checkout", "-q", "-b", "eve")
    tampered(hand_in(repository, "bits", "submissions/eve/mine") / "submission.json")
    commit(repository, "Win")
    refused = repository.json("check-pr", "--base", "main", "--author", "eve", expect=4)
    codes = {problem["code"] for problem in refused["submissions"][0]["problems"]}
    assert refused["outcome"] == "refused"
    assert {"R030", "E534"} <= codes  # its answers do not say so, and its evidence is another team's
    assert "accuracy.optimized.test.correct" in refused["comment"]
    git(repository, "checkout", "-q", "main")

    board = repository.json("leaderboard", "submissions", "--competition", "digits_cup", "--out", "board")
    ranks = [(row["rank"], row["shared"], row["team"]) for row in board["submissions"]]
    assert sorted(ranks) == [(1, True, "ada"), (1, True, "byte-club")]
    files = {path.name: path.read_bytes() for path in (repository.folder / "board").iterdir()}
    assert files.keys() == {"LEADERBOARD.md", "leaderboard.html", "leaderboard.json", "leaderboard.csv"}
    assert b"| 1=" in files["LEADERBOARD.md"]
    repository.run("leaderboard", "submissions", "--competition", "digits_cup", "--out", "again", "--afresh")
    assert {path.name: path.read_bytes() for path in (repository.folder / "again").iterdir()} == files
