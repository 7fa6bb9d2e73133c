""".github/comment.py against a server on this machine that answers as GitHub's interface does."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.pull_request import LONGEST, MARKER
from tests.project import ROOT

PERSON = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")


def load() -> Any:
    spec = importlib.util.spec_from_file_location("workflow_comment", ROOT / ".github/comment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


comment = load()


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *PERSON, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class GitHub:
    """What the server knows, and what it was told."""

    def __init__(self, head: str) -> None:
        self.head = head
        self.files = {"number": b"7\n", "comment.md": f"{MARKER}\n\nfine\n".encode()}
        self.raw: bytes | None = None
        self.pull: dict[str, Any] = {
            "state": "open",
            "head": {"sha": head},
            "base": {"ref": "main", "repo": {"full_name": "org/cup"}},
        }
        self.comments: list[dict[str, Any]] = []
        self.written: list[tuple[str, str, str]] = []
        self.tokens: dict[str, str | None] = {}
        self.port = 0

    def archive(self) -> bytes:
        if self.raw is not None:
            return self.raw
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.files.items():
                archive.writestr(name, content)
        return data.getvalue()

    def get(self, path: str) -> Any:
        """Return what is asked for: bytes, a document, or None if there is no such thing."""
        below = path.removeprefix("/repos/org/cup/")
        if below.startswith("actions/runs/5/artifacts"):
            return {"artifacts": [{"id": 9, "size_in_bytes": len(self.archive())}]}
        if below.startswith("issues/7/comments"):
            return self.comments
        return {"pulls/7": self.pull, "/storage": self.archive()}.get(below)


def handler_for(github: GitHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            github.tokens[self.path] = self.headers.get("Authorization")
            if self.path.endswith("/zip"):
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{github.port}/storage")
                self.end_headers()
                return
            found = github.get(self.path)
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(found if isinstance(found, bytes) else json.dumps(found).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
            github.written.append((self.command, self.path.removeprefix("/repos/org/cup/"), body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        do_PATCH = do_POST  # noqa: N815 - the server's name for it

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    """A server, and a clone with the commit of pull request 7, which hands in a submission."""
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    monkeypatch.chdir(tmp_path)
    known = GitHub(branch(tmp_path, "submissions/ada/first/submission.json"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(known))
    known.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield known
    server.shutdown()
    server.server_close()


def branch(folder: Path, *names: str) -> str:
    """Return a new commit that adds these files, without checking it out."""
    git(folder, "checkout", "-q", "--detach", "main")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
        git(folder, "add", name)
    git(folder, "commit", "-q", "--allow-empty", "-m", "work")
    head = git(folder, "rev-parse", "HEAD")
    git(folder, "checkout", "-q", "main")
    return head


def write(github: GitHub) -> str:
    environment = {
        "GITHUB_API_URL": f"http://127.0.0.1:{github.port}",
        "GITHUB_REPOSITORY": "org/cup",
        "TOKEN": "secret",
        "RUN": "5",
        "HEAD": github.head,
        "BRANCH": "main",
    }
    said: str = comment.main(environment)
    return said


def test_it_writes_what_the_check_found(github: GitHub) -> None:
    """Once for a pull request."""
    assert write(github) == "commented on pull request 7"
    assert github.written == [("POST", "issues/7/comments", f"{MARKER}\n\nfine\n")]


def test_it_writes_its_own_comment_anew(github: GitHub) -> None:
    """And touches nobody else's, even one that looks like it."""
    github.comments = [
        {"id": 1, "user": {"login": "eve"}, "body": f"{MARKER} me"},
        {"id": 2, "user": {"login": comment.BOT}, "body": "something else"},
        {"id": 3, "user": {"login": comment.BOT}, "body": f"{MARKER}\nold"},
    ]
    assert write(github) == "wrote the comment of pull request 7 anew"
    assert [(method, path) for method, path, _ in github.written] == [("PATCH", "issues/comments/3")]


def test_the_token_stays_with_the_interface(github: GitHub) -> None:
    """Where the archive lies gets none."""
    write(github)
    assert github.tokens["/storage"] is None
    assert github.tokens["/repos/org/cup/pulls/7"] == "Bearer secret"


@pytest.mark.parametrize(
    "names", [(".github/workflows/submission-check.yml",), ("submissions/a/x", "pipeline/x.py"), ()]
)
def test_a_check_that_may_have_been_changed_is_not_believed(github: GitHub, names: tuple[str, ...]) -> None:
    """Its words are not shown."""
    github.head = github.pull["head"]["sha"] = branch(Path.cwd(), *names)
    write(github)
    assert [body for *_, body in github.written] == [comment.OUTSIDE]


@pytest.mark.parametrize("text", [b"", b"hello", b"\xff\xfe", f"{MARKER}\n{'x' * 70_000}".encode(), b"x" * 10_000_000])
def test_what_is_no_comment_is_not_shown(github: GitHub, text: bytes) -> None:
    """It says that there is no answer instead; a bomb is not unpacked."""
    github.files["comment.md"] = text
    write(github)
    assert [body for *_, body in github.written] == [comment.NO_ANSWER]


def test_a_crash_of_the_check_is_said(github: GitHub) -> None:
    """Then it hands on the number alone."""
    del github.files["comment.md"]
    write(github)
    assert [body for *_, body in github.written] == [comment.NO_ANSWER]


@pytest.mark.parametrize("number", [b"", b"8", b"7; rm -rf /", b"../7", b"-7", "７".encode(), b"77777777777"])
def test_the_pull_request_is_the_one_that_was_checked(github: GitHub, number: bytes) -> None:
    """Any other number is refused, and nothing is written."""
    github.files["number"] = number
    with pytest.raises(comment.GiveUpError):
        write(github)
    assert github.written == []


@pytest.mark.parametrize(
    "change",
    [
        {"head": {"sha": "f" * 40}},
        {"state": "closed"},
        {"base": {"ref": "other", "repo": {"full_name": "org/cup"}}},
        {"base": {"ref": "main", "repo": {"full_name": "eve/cup"}}},
    ],
)
def test_a_pull_request_that_moved_on_is_left_alone(github: GitHub, change: dict[str, Any]) -> None:
    """A newer check comments, or nobody has to."""
    github.pull.update(change)
    with pytest.raises(comment.GiveUpError):
        write(github)
    assert github.written == []


@pytest.mark.parametrize("raw", [b"", b"PK", b"x" * (2**20 + 1)])
def test_a_damaged_artifact_is_refused(github: GitHub, raw: bytes) -> None:
    """With a reason."""
    github.raw = raw
    with pytest.raises(comment.GiveUpError, match="artifact"):
        write(github)


def test_an_archive_writes_no_file(github: GitHub) -> None:
    """Only two names are looked at, and they are read into memory."""
    github.files["../../evil"] = b"x"
    before = set(Path.cwd().parent.iterdir())
    write(github)
    assert set(Path.cwd().parent.iterdir()) == before


def test_it_knows_the_comments_that_the_tool_writes() -> None:
    """By their first line and their length."""
    assert comment.MARKER == MARKER
    assert comment.MOST_COMMENT > LONGEST
