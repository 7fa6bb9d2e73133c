"""Malformed experiment files at the command line: where they are wrong, shown, for every command that reads one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.cli.main import main

HEAD = "name: x\ndata: {name: digits}\nmodel: {arch: mlp}\n"
STEPS = "optimize:\n  - prune: {sparsity: 0.5}\n"

# what is wrong -> the file, and lines that its messages hold: where, the line itself, the caret with the message
FILES: dict[str, tuple[str | bytes, list[str]]] = {
    "misspelt key": (
        HEAD + "optimize:\n  - prune: {sparcity: 0.5}\n",
        [
            "error: x.yaml:5:13  optimize[0].prune.sparcity",
            "    5 |   - prune: {sparcity: 0.5}",
            '      |             ^^^^^^^^ unknown key "sparcity"; did you mean "sparsity"?',
        ],
    ),
    "misspelt step": (
        HEAD + "optimize:\n  - prun: {sparsity: 0.5}\n",
        ['      |     ^^^^ unknown key "prun"; did you mean "prune"?'],
    ),
    "wrong type": (
        HEAD + "seeds: 3\n" + STEPS,
        ["error: x.yaml:4:8  seeds", "      |        ^ must be a list, not 3 (the random seeds)", "      = write [3]"],
    ),
    "number in quotes": (
        HEAD + 'optimize:\n  - prune: {sparsity: "0.5"}\n',
        ["error: x.yaml:5:23  optimize[0].prune.sparsity", "      = take the quotes away: 0.5"],
    ),
    "out of range": (
        HEAD + "optimize:\n  - prune: {sparsity: 1.5}\n",
        ["      |                       ^^^ must be at least 0 and below 1, not 1.5 (the share of weights to remo"],
    ),
    "out of range with CRLF": (
        (HEAD + "optimize:\n  - prune: {sparsity: 1.5}\n").replace("\n", "\r\n"),
        ["    5 |   - prune: {sparsity: 1.5}", "      |                       ^^^ must be at least 0"],
    ),
    "out of range after tabs": (
        HEAD + "seeds:\t[ 1,\t-1 ]\n" + STEPS,
        ["error: x.yaml:4:13  seeds[1]", "    4 | seeds:\t[ 1,\t-1 ]", "      |       \t    \t^^ must be at least 0"],
    ),
    "out of range after wide characters": (
        'name: x\nmodel: {"arch": mlp}\ndata: {name: digits, 日本: 1, root: ü}\n' + STEPS,
        [
            'error: x.yaml:3:22  data["日本"]',
            '      |                      ^^^^ unknown key "日本"',
        ],
    ),
    "out of range in a block": (
        HEAD + "optimize:\n  - prune:\n      sparsity:\n        1.5\n",
        ["error: x.yaml:7:9  optimize[0].prune.sparsity", "      |         ^^^ must be at least 0 and below 1"],
    ),
    "text over several lines": (
        HEAD + "optimize:\n  - prune:\n      sparsity: >-\n        a\n        b\n",
        [
            "error: x.yaml:6:17  optimize[0].prune.sparsity",
            '      |                 ^^ must be a number, not the text "a b"',
        ],
    ),
    "item of a block list": (
        "name: x\ndata: {name: digits}\nmodel:\n  arch: mlp\n  args:\n    hidden:\n    - 8\n    - -8\n" + STEPS,
        ["error: x.yaml:8:7  model.args.hidden[1]", "      |       ^^ hidden[1] must be an integer"],
    ),
    "value behind an alias": (
        "name: x\ndata: {name: digits}\nmodel: {arch: mlp, train: &t {lr: 99}}\noptimize: [finetune: *t]\n",
        ["error: x.yaml:3:35  model.train.lr", "error: x.yaml:3:35  optimize[0].finetune.lr"],
    ),
    "duplicate key": (
        HEAD + STEPS + "name: y\n",
        ["error: x.yaml:6:1  name", '      | ^^^^ the key "name" is given twice; the first is on line 1'],
    ),
    "unknown layer": (
        HEAD + 'optimize:\n  - prune: {targets: ["conv*"]}\n',
        [
            "error: x.yaml:5:23  optimize[0].prune.targets[0]",
            '      |                       ^^^^^^^ "conv*" matches no layer',
        ],
    ),
    "missing keys": (
        "name: x\nmodel: {arch: mlp}\n",
        ['      | ^^^^ the key "data" is missing (the dataset)', '      | ^^^^ the key "optimize" is missing'],
    ),
    "everything at once": (
        "nam: x\ndata: {name: digit}\nmodel: {arch: mlp, args: {hiden: [64]}}\n"
        "optimize: [quantize: {bits: 7}]\nseeds: []\n",
        [
            "error: x.yaml:1:1  nam",
            "error: x.yaml:2:14  data.name",
            "error: x.yaml:3:27  model.args.hiden",
            "error: x.yaml:4:29  optimize[0].quantize.bits",
            "error: x.yaml:5:8  seeds",
            "5 problems; more: pipeline explain E111 E131 E115 E116",
        ],
    ),
    "one long line": (
        '{description: "' + "word " * 300 + '", data: {name: digits}, model: {arch: mlp}, nme: x, '
        "optimize: [prune: {}], seeds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}",
        [
            "error: x.yaml:1:1561  nme",
            '    1 | ...rd word ", data: {name: digits}, model: {arch: mlp}, nme: x, optimize: [prune: {}], seeds: [0',
            '      |                                                         ^^^ unknown key "nme"; did you mean',
        ],
    ),
    "alias bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        ["error: x.yaml:5:4", "aliases expand this to more than 50,000 values"],
    ),
    "alias of itself": ("a: &a [*a]\n", ["error: x.yaml:1:8", "      |        ^^ *a stands inside the very value"]),
    "tag": (HEAD + "seeds: !!python/object:os.system [1]\n" + STEPS, ["error: x.yaml:4:8  seeds", "is not allowed"]),
    "tab": ("name: x\nmodel:\n\tarch: mlp\n", ["error: x.yaml:3:1", "      | ^ a tab cannot be used here"]),
    "open bracket": (
        HEAD + "optimize: [prune: {}\n",
        ["error: x.yaml:4:11", "      |           ^ this bracket is not closed"],
    ),
    "binary": (bytes(range(256)), ["error: x.yaml:1:1", "      this is a binary file, not an experiment file"]),
    "Latin-1": ("name: x\n# für\n".encode("latin-1"), ["error: x.yaml:2:4", "this is not UTF-8 text: byte 0xfc"]),
    "empty": ("", ["error: x.yaml:1:1", "      the file is empty; an experiment has name, data, model and optimize"]),
    "a list": ("- a\n", ["error: x.yaml:1:1", "not a list"]),
    "too large": ("# " + "x" * (1 << 20), ["error: x.yaml:1:1", "      the file is larger than 1 MiB"]),
}
COMMANDS = ("run", "plan", "validate")


def messages(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command says about x.yaml: `validate` as its result, the others as an error."""
    assert main([command, "x.yaml"]) == 2
    captured = capsys.readouterr()
    text, rest = (captured.out, captured.err) if command == "validate" else (captured.err, captured.out)
    assert rest == ""
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize("case", FILES)
def test_a_malformed_file_is_shown_where_it_is_wrong(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, the same text from every command, file, line, column and caret under the culprit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    content, expected = FILES[case]
    Path("x.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    texts = {messages(command, capsys) for command in COMMANDS}
    assert len(texts) == 1
    (text,) = texts
    for line in expected:
        assert line in text, text


def test_what_is_no_file_is_said_to_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing, a folder, a pipe, a link to itself."""
    monkeypatch.chdir(tmp_path)
    expected = {
        "there is no such file": lambda: None,
        "this is a folder, not an experiment file": lambda: Path("x.yaml").mkdir(),
        "this is not a regular file": lambda: (Path("x.yaml").rmdir(), os.mkfifo("x.yaml")),
        "the file cannot be read: Too many levels": lambda: (
            Path("x.yaml").unlink(),
            Path("x.yaml").symlink_to("x.yaml"),
        ),
    }
    for message, prepare in expected.items():
        prepare()
        for command in COMMANDS:
            assert f"error: x.yaml:1:1\n      {message}" in messages(command, capsys)
