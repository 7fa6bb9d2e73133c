"""Sessions as they are timed: what a record says of them, which kernels they have, whose answers they must give."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.measure.job import Job, choices_of
from pipeline.measure.launch import WorkerFailed, run_worker
from pipeline.measure.model import AnswersDiffer, check_answers, open_session
from pipeline.measure.planned import fitting_cache, session_record
from pipeline.measure.sampling import Material
from tinytorch.models import mlp
from tinytorch.models.network import Network
from tinytorch.passes.quantize import Settings, apply
from tinytorch.runtime.session import InferenceSession
from tinytorch.serialization import save

PATIENCE_S = 600.0  # with a job of about a second
CACHES = {"L1d": 32_768, "L1i": 65_536, "L2": 1 << 20, "L3": 32 << 20}


def model(**settings: object) -> Network:
    net = mlp.build((1, 4, 4), 3, np.random.default_rng(0), hidden=[8]).eval()
    return apply(net, Settings.from_params(settings), {}, 0)[0].eval() if settings else net


def queries(count: int = 6) -> list[np.ndarray]:
    draw = np.random.default_rng(1)
    return [draw.standard_normal((2, 1, 4, 4), np.float32) for _ in range(count)]


def job(folder: Path, kind: str = "plan", **changes: object) -> Job:
    save(model(activations="none"), folder / "model.safetensors")
    np.save(folder / "queries.npy", np.stack(queries()))
    fields = {
        "kind": kind,
        "models": dict.fromkeys(("baseline", "optimized"), str(folder / "model.safetensors")),
        "inputs": str(folder / "queries.npy"),
        "result": str(folder / "result.json"),
        "threads": 1,
        "seed": 0,
    }
    return Job(**{**fields, **changes})


@pytest.mark.parametrize(("size", "name"), [(0, "L1d"), (32_768, "L1d"), (32_769, "L2"), (1 << 30, "memory")])
def test_a_working_set_fits_the_smallest_cache_that_holds_it(size: int, name: str) -> None:
    """A cache of instructions holds no data."""
    assert fitting_cache(size, CACHES) == name


def test_without_known_caches_nothing_is_said_to_fit() -> None:
    """It is null, not a guess."""
    assert fitting_cache(1, None) is None


def test_a_record_says_what_another_session_needs() -> None:
    """Its kernels by layer are the choices for the same network."""
    session = InferenceSession(model(), batch=2)
    record = json.loads(json.dumps(session_record(session)))
    assert choices_of(record) == session.choices
    assert (record["batch_size"], record["threads"]) == (2, 1)
    assert [layer["names"] for layer in record["layers"]] == [["flatten", "fc1", "relu1"], ["fc_out"]]


def test_one_process_plans_for_all_arms(tmp_path: Path) -> None:
    """Each arm's record has every candidate with its time, where kernels are built."""
    found = run_worker(job(tmp_path), PATIENCE_S)["sessions"]
    assert found.keys() == {"baseline", "optimized"}
    for layer in (layer for record in found.values() for layer in record["layers"]):
        assert layer["computed_by"] in layer["candidates_ns"]


def test_an_arm_runs_with_the_kernels_of_its_job(tmp_path: Path) -> None:
    """What the job names is what is timed; a kernel that cannot compute a layer ends the worker."""
    planned = job(tmp_path, choices={"baseline": {"fc1": "numpy"}})
    session = open_session(model(), planned, "baseline", queries())
    assert session.choices["fc1"] == "numpy"
    with pytest.raises(WorkerFailed, match="fc1 can be computed by"):
        run_worker(job(tmp_path, kind="probe", choices={"baseline": {"fc1": "conv2d_f32"}}), PATIENCE_S)


def test_the_control_has_the_kernels_of_the_baseline() -> None:
    """It is a second copy of the same code."""
    record = {"layers": [{"name": "fc1", "computed_by": "linear_f32"}]}
    path = Path("unused")
    material = Material(path, path, path, path, {"baseline": record})
    assert material.choices("control") == material.choices("baseline") == {"fc1": "linear_f32"}
    assert material.choices("optimized") == {}


@pytest.mark.parametrize("settings", [{}, {"bits": 8}, {"bits": 4, "activations": "none"}])
def test_answers_of_other_kernels_are_the_models(settings: dict[str, object]) -> None:
    """Sums in another order pass, in a network that rounds them, too."""
    net = model(**settings)
    eager = InferenceSession(net, 2, choices=dict.fromkeys(("fc1", "fc_out"), "numpy"))
    check_answers("arm", net, queries(), {n: eager.run(query) for n, query in enumerate(queries())})


@pytest.mark.parametrize("settings", [{}, {"bits": 8}])
def test_answers_of_another_model_are_found(settings: dict[str, object]) -> None:
    """One that differs in a single bias, by a tenth of the largest output."""
    net = model(**settings)
    answers = {n: InferenceSession(net, 2).run(query) for n, query in enumerate(queries())}
    largest = max(np.abs(answer).max() for answer in answers.values())
    with pytest.raises(AnswersDiffer, match="arm: the timed output for query 0"):
        check_answers("arm", net, queries(), {n: answer + largest / 10 for n, answer in answers.items()})


def test_an_arm_that_answered_nothing_has_nothing_to_check() -> None:
    """A server whose arm met no limit kept no call."""
    check_answers("arm", model(), [], {})
