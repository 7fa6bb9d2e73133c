"""What reports say of how the models ran: kernels, threads, working set."""

from __future__ import annotations

from typing import Any

from pipeline.report.execution import execution, execution_rows
from pipeline.report.html import render as html
from pipeline.report.markdown import render as markdown
from pipeline.report.terminal import render as terminal


def comparison(submission: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = submission["benchmark"]["comparisons"][0]
    return found


def test_every_report_names_kernels_and_working_set(submission: dict[str, Any]) -> None:
    """With the instruction set, the threads, and the cache that the working set fits."""
    for text in (terminal(submission, width=100), markdown(submission), html(submission)):
        assert all(part in text for part in ("kernels", "linear_i8", "avx512vnni on 1 thread", "45.9 KiB", "(L1d)"))


def test_long_reports_list_every_layer_with_its_candidates(submission: dict[str, Any]) -> None:
    """What is fused into a layer, its kernel, and how long each candidate took."""
    first = execution(comparison(submission)).layers[0]
    assert first.texts == (
        "baseline",
        "fc1",
        "–",
        "flatten, relu1",
        "linear_f32",
        "295 KiB",
        "linear_f32 9.00 µs, numpy 14.0 µs",
    )
    assert "| baseline | fc1 | – | flatten, relu1 | linear\\_f32 | 295 KiB |" in markdown(submission)


def test_the_reference_is_named_with_its_reason(submission: dict[str, Any]) -> None:
    """Where no kernels are built, a report says why."""
    session = comparison(submission)["arms"]["optimized"]["session"]
    session |= {"instruction_set": "reference", "reference_reason": "no compiler was found", "fits": None}
    text = execution(comparison(submission)).sentences[1]
    assert text == "optimized: reference on 1 thread (no compiler was found); a call touches 45.9 KiB"
    for report in (terminal(submission, width=100), markdown(submission), html(submission)):
        assert "NumPy, the reference: no compiler was found" in report


def test_a_network_that_numpy_computes_has_no_instruction_set(submission: dict[str, Any]) -> None:
    """Native kernels are there, but none of its layers runs on them."""
    found = comparison(submission)
    for side in ("baseline", "optimized"):
        for layer in found["arms"][side]["session"]["layers"]:
            layer["computed_by"] = "numpy"
    kernels = execution_rows((found["arms"]["baseline"], found["arms"]["optimized"]))[0]
    assert (kernels.baseline.full, kernels.change.full) == ("numpy", "numpy on 1 thread")
    assert execution(found).sentences[0].startswith("baseline: numpy on 1 thread; ")


def test_a_submission_without_sessions_has_no_such_rows(submission: dict[str, Any]) -> None:
    """Older files stay readable."""
    arms = comparison(submission)["arms"]
    for side in ("baseline", "optimized"):
        del arms[side]["session"]
    assert execution_rows((arms["baseline"], arms["optimized"])) == []
    assert execution(comparison(submission)).layers == ()
    assert "How the models ran" not in markdown(submission)


def test_candidates_that_were_not_timed_are_named_only(submission: dict[str, Any]) -> None:
    """A time that is unknown is not made up."""
    session = comparison(submission)["arms"]["baseline"]["session"]
    session["layers"][0]["candidates_ns"] = {"linear_f32": None}
    assert execution(comparison(submission)).layers[0].candidates == "linear_f32"


def test_a_layer_that_gains_nothing_from_its_smaller_form_is_named(submission: dict[str, Any]) -> None:
    """It runs as it was before; the times say why."""
    layer = comparison(submission)["arms"]["optimized"]["session"]["layers"][2]
    layer |= {"computed_by": "linear_f32", "candidates_ns": {"linear_f32": 360.0, "linear_w8": 410.0, "numpy": 5000.0}}
    assert execution(comparison(submission)).sentences[2:] == (
        "optimized: fc_out gains no time from a smaller form and runs as linear_f32: 360 ns, linear_w8 410 ns",
    )
