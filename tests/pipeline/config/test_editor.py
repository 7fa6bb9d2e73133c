"""Editors complete, explain and check an experiment file: asked of yaml-language-server itself, which most of them run.

It is taken from the PATH, or installed by npm into a temporary folder; without either these tests are skipped.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.schemas import read_schema
from tests.project import ROOT

SMOKE = (ROOT / "experiments/smoke.yaml").read_text()
MOST_SECONDS = 300
NAME = "yaml-language-server"


class Server:
    """A language server on its standard streams, as an editor talks to it (Language Server Protocol 3.17)."""

    def __init__(self, program: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [program, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._alarm = threading.Timer(MOST_SECONDS, self._process.kill)  # a server that hangs ends its stream then
        self._alarm.start()
        self._asked = self._opened = 0
        self._told: list[dict[str, Any]] = []
        self._folder = folder
        self.ask("initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": {}})
        self._send({"method": "initialized", "params": {}})

    def close(self) -> None:
        self._alarm.cancel()
        self._process.kill()
        self._process.communicate()

    def open(self, text: str) -> dict[str, str]:
        """Open a document beside the examples; return what names it in questions."""
        self._opened += 1
        uri = (self._folder / f"experiments/open_{self._opened}.yaml").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return {"uri": uri}

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        """Ask a question and return the answer."""
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": params})
        while True:
            message = self._next()
            if message.get("id") == self._asked and "method" not in message:
                return message["result"]
            self._told.append(message)

    def problems(self, document: dict[str, str]) -> list[str]:
        """Wait for what the server finds wrong in a document."""
        while True:
            for message in self._told:
                if (
                    message.get("method", "").endswith("publishDiagnostics")
                    and message["params"]["uri"] == document["uri"]
                ):
                    return [problem["message"] for problem in message["params"]["diagnostics"]]
            self._told.append(self._next())

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        self._process.stdin.flush()

    def _next(self) -> dict[str, Any]:
        """Return the next message, after answering a question of the server's own: nothing is configured."""
        stream, length = self._process.stdout, 0
        assert stream is not None
        while line := stream.readline().strip():
            if line.lower().startswith(b"content-length"):
                length = int(line.split(b":")[1])
        assert length, "the server has ended"
        message: dict[str, Any] = json.loads(stream.read(length))
        if "method" in message and "id" in message:
            items = message["params"].get("items", []) if message.get("params") else []
            self._send({"id": message["id"], "result": [{} for _ in items] if items else None})
        return message


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    program = shutil.which(NAME)
    if program is None:
        if shutil.which("npm") is None:
            pytest.skip(f"neither {NAME} nor npm is installed")
        folder = tmp_path_factory.mktemp("npm")
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(["npm", "install", *options, f"{NAME}@1"], capture_output=True, timeout=120, check=False)
        program = str(folder / "node_modules/.bin" / NAME)
        if not Path(program).exists():
            pytest.skip(f"npm cannot install {NAME} here")
    made = Server(program, ROOT)
    yield made
    made.close()


def place(text: str, word: str) -> dict[str, int]:
    """Return the position inside of the first occurrence of a word that no comment holds."""
    for number, line in enumerate(text.splitlines()):
        if word in line.partition("#")[0]:
            return {"line": number, "character": line.index(word) + 1}
    raise AssertionError(word)


def completed(server: Server, text: str, line: int, character: int) -> set[str]:
    where = {"textDocument": server.open(text), "position": {"line": line, "character": character}}
    return {item["label"] for item in server.ask("textDocument/completion", where)["items"]}


def test_null_comes_first_where_a_text_may_be_null() -> None:
    """The server (1.25.0) takes the default for a text where that is the first type, and fails on null: no key is
    offered from there on.
    """
    assert '["string", "null"]' not in (ROOT / "schemas/experiment.v1.schema.json").read_text()


def test_keys_are_completed(server: Server) -> None:
    """On an empty line an editor offers every key that the file has not."""
    text = SMOKE + "\n"
    known = {"name", "description", "data", "model", "optimize", "benchmark"}
    assert (
        completed(server, text, len(text.splitlines()), 0) == read_schema("experiment.v1")["properties"].keys() - known
    )


def test_keys_of_a_step_are_completed(server: Server) -> None:
    """Inside of a mapping those of that mapping."""
    text = SMOKE.replace("  target_ci: 0.5\n", "  \n")
    assert {"target_ci", "scenario", "peers"} <= completed(server, text, place(SMOKE, "target_ci")["line"], 2)


def test_values_are_completed(server: Server) -> None:
    """Where only some words are possible these are offered."""
    text = SMOKE + "  scenario: \n"
    found = completed(server, text, len(text.splitlines()) - 1, len("  scenario: "))
    assert {"single_stream", "multi_stream", "offline", "server"} <= found


def test_a_key_is_explained(server: Server) -> None:
    """Pointing at a key shows what the schema says of it."""
    where = {"textDocument": server.open(SMOKE), "position": place(SMOKE, "sparsity")}
    assert "The share of weights to remove" in server.ask("textDocument/hover", where)["contents"]["value"]


def test_a_mistake_is_marked(server: Server) -> None:
    """An unknown key is a problem while the file is written; the example has none."""
    assert server.problems(server.open(SMOKE)) == []
    (problem,) = server.problems(server.open(SMOKE.replace("sparsity", "sparsty")))
    assert "sparsty" in problem
