"""The command line, run within this process on an input; and the keys that the files it reads may have."""

from __future__ import annotations

import io
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.cli.main import main
from pipeline.schemas import read_schema
from tests.fuzz.failure import Failure

__all__ = ["command", "keys"]

_FINE = (0, 2, 3, 4, 5, 6)  # fine; input wrong; gate or limit not met; submission wrong; noisy; something missing
_FRAME = re.compile(r'File "([^"]+)", line \d+, in (\w+)')


def command(*arguments: str) -> int:
    """Return the exit code of a command; raises Failure if that stands for a bug or for too little memory."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    said = "".join(stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[attr-defined]
    if code not in _FINE or "not enough memory" in said or "Traceback" in said:
        frames = [f"{Path(file).name}:{name}" for file, name in _FRAME.findall(said)]
        named = re.findall(r"^\w*(?:Error|Exception|Warning)\b", said, re.MULTILINE)
        kind = f"exit code {code} {named[-1] if named else ''} in {frames[-1] if frames else arguments[0]}"
        raise Failure(kind, said[-2000:])
    if not said.strip():
        raise Failure(f"{arguments[0]} says nothing", "")
    return code


@cache
def keys(schema: str) -> tuple[str, ...]:
    """Return every key that a schema names."""
    found: set[str] = set()

    def collect(node: Any) -> None:
        if isinstance(node, dict):
            found.update(node.get("properties", {}))
        for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            collect(item)

    collect(read_schema(schema))
    return tuple(sorted(found))
