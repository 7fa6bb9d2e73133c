"""Tests of native kernels use them where they are built, also in a run of all tests on the reference."""

from __future__ import annotations

import os

import pytest

from tinytorch.kernels import native


@pytest.fixture(autouse=True)
def _native_where_built(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.environ.get(native.VARIABLE) == "reference":
        monkeypatch.delenv(native.VARIABLE)
