"""The file of evidence: what it holds comes back, and whatever else a file holds is refused with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import SubmissionInvalid, UserError
from pipeline.store.codecs import arrays as codec
from pipeline.submission import evidence
from pipeline.submission.evidence import SIDES, Evidence, packed, predictions_in, read_evidence, unpacked

LABELS = np.arange(3, dtype=np.int64)
EVIDENCE = Evidence(
    {"0.order.0": np.arange(6, dtype=np.int8)},
    {side: {"test": LABELS, "test_labels": LABELS} for side in evidence.SIDES},
    [{"loops": [3], "busy_before": [None], "waited_s": 0.1}],
)


def test_what_is_packed_comes_back() -> None:
    """Arrays with their types, conditions with their numbers."""
    found = unpacked(codec.encode(packed(EVIDENCE)))
    assert found.conditions == EVIDENCE.conditions
    np.testing.assert_array_equal(found.samples["0.order.0"], EVIDENCE.samples["0.order.0"], strict=True)
    np.testing.assert_array_equal(found.predictions["optimized"]["test"], LABELS, strict=True)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is no file of evidence"),
        (b"\x00" * 64, "is no file of evidence"),
        (codec.encode({"samples.0.order.0": LABELS}), "is no file of evidence"),
        (codec.encode({"conditions": np.frombuffer(b"[" * 100_000, np.uint8)}), "is no file of evidence"),
        (codec.encode({"conditions": np.frombuffer(b"{}", np.uint8)}), "has no list of conditions"),
        (codec.encode({"conditions": np.frombuffer(b"[]", np.uint8), "x": LABELS}), "has an array 'x'"),
    ],
)
def test_other_bytes_are_refused(data: bytes, reason: str) -> None:
    """Whatever is wrong is said; nothing else is raised."""
    with pytest.raises(ValueError, match=reason):
        unpacked(data)


def test_only_a_bounded_regular_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None where there is no file, an error for a folder and for what is too large."""
    path = tmp_path / evidence.FILE
    assert read_evidence(path) is None
    path.write_bytes(b"12345")
    assert read_evidence(path) == b"12345"
    with pytest.raises(UserError, match="not a regular file"):
        read_evidence(tmp_path)
    monkeypatch.setattr(evidence, "MAX_BYTES", 4)
    with pytest.raises(SubmissionInvalid, match="is larger than"):
        read_evidence(path)


def test_predictions_can_be_read_alone() -> None:
    """They are those that `unpacked` finds, of every type of whole numbers."""
    found: dict[str, dict[str, np.ndarray]] = {side: {} for side in SIDES}
    for i, dtype in enumerate(("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")):
        found[SIDES[i % 2]][f"split{i}"] = np.arange(5 + i, dtype=dtype)
    data = codec.encode(packed(Evidence({"0.baseline.0.wall_ns": np.arange(3)}, found, [{}])))
    alone, whole = predictions_in(data), unpacked(data).predictions
    for side in SIDES:
        assert alone[side].keys() == whole[side].keys()
        for name, array in whole[side].items():
            assert alone[side][name].dtype == array.dtype
            assert np.array_equal(alone[side][name], array)
