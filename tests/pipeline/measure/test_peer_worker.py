"""The process in which peers are timed: outputs are compared, arms take turns, threads are those asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.export.onnx_model import write_onnx
from pipeline.measure import peer_torch, peer_worker
from pipeline.measure.job import Job, Phases
from pipeline.measure.launch import WorkerFailed, run_worker
from pipeline.measure.peer_runtimes import RUNTIMES
from pipeline.measure.peer_torch import to_torch, torch_call
from pipeline.stages import benchmark
from pipeline.stages.peers import PROTOCOL
from tinytorch.models import cnn
from tinytorch.passes.quantize import Settings, apply
from tinytorch.serialization import save

for package in ("onnx", "onnxruntime", "openvino", "torch"):
    pytest.importorskip(package)

SHAPE = (1, 8, 8)
PHASES = Phases(0.02, 0.02, 0.0)


def peer(runtime: str, network: str, precision: str) -> dict[str, str]:
    return {"runtime": runtime, "network": network, "precision": precision}


PEERS = {
    "onnxruntime": peer("onnxruntime", "optimized", "int8"),
    "openvino": peer("openvino", "optimized", "int8"),
    "torch baseline": peer("torch", "baseline", "fp32"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network, quantized and not, in every form that is read, and queries."""
    folder, rng = tmp_path_factory.mktemp("peers"), np.random.default_rng(0)
    images = rng.random((40, *SHAPE), dtype=np.float32)
    baseline = cnn.build(SHAPE, 10, rng, width=4).eval()
    optimized = apply(baseline, Settings.from_params({"bits": 8}), {}, 0)[0].eval()
    for name, model in (("baseline", baseline), ("optimized", optimized)):
        save(model, folder / f"{name}.safetensors")
        write_onnx(model, folder / f"{name}.onnx", images)
    np.save(folder / "queries.npy", images[:, None])
    return folder


def run(files: Path, kind: str, peers: dict[str, Any], limit_s: float = 500, **models: str) -> dict[str, Any]:
    paths = {name: str(files / f"{name}.safetensors") for name in ("baseline", "optimized")}
    paths |= {f"{name}.onnx": str(files / f"{name}.onnx") for name in ("baseline", "optimized")}
    job = Job(
        kind=kind,
        models=paths | models,
        inputs=str(files / "queries.npy"),
        result=str(files / f"{kind}.json"),
        threads=1,
        seed=3,
        phases=PHASES,
        options={"peers": peers, "copies": 2, "limit_s": limit_s},
    )
    return run_worker(job, 600, peer_worker)


def test_outputs_are_compared(files: Path) -> None:
    """On all queries, by arm; these peers compute the same."""
    outputs = run(files, "check", PEERS)["outputs"]
    assert outputs.keys() == PEERS.keys()
    assert {found["samples"] for found in outputs.values()} == {40}
    assert all(found["same"] for found in outputs.values())


def test_torch_gets_images_with_channels_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """As its convolutions are fastest; the answers are ours."""
    torch: Any = pytest.importorskip("torch")
    network = cnn.build(SHAPE, 10, np.random.default_rng(0), width=4).eval()
    query = np.random.default_rng(1).random((5, *SHAPE), dtype=np.float32)
    seen: list[bool] = []

    def watched(layer: Any) -> Any:
        module = to_torch(layer)
        for conv in (one for one in module.modules() if isinstance(one, torch.nn.Conv2d)):
            conv.register_forward_pre_hook(
                lambda _, given: seen.append(given[0].is_contiguous(memory_format=torch.channels_last))
            )
        return module

    monkeypatch.setattr(peer_torch, "to_torch", watched)
    with torch.inference_mode():
        found = torch_call(network)(query)
    assert len(seen) > 1
    assert all(seen)
    np.testing.assert_allclose(found, network.predict(query), atol=1e-5)


def test_another_network_is_noticed(files: Path) -> None:
    """A peer that runs something else is not the same, whatever it is called."""
    wrong = {"onnxruntime": peer("onnxruntime", "baseline", "fp32")}
    found = run(files, "check", wrong, **{"baseline.onnx": str(files / "optimized.onnx")})["outputs"]
    assert not found["onnxruntime"]["same"]


def test_ours_and_peers_take_turns(files: Path) -> None:
    """Every arm stands in every row, ours first, with as many copies."""
    result = run(files, "time", PEERS)
    assert result["arms"] == ["optimized", "control", "baseline", *PEERS]
    assert result["copies"] == 2
    assert {tuple(sorted(order)) for order in result["order"]} == {tuple(range(6))}
    assert np.array(result["wall_ns"]).shape == (len(result["order"]), 6)
    assert {"numpy", "onnxruntime", "openvino", "torch"} <= set(result["conditions"]["packages"])
    assert not {"yaml", "jsonschema", "rich", "scipy"} & set(result["conditions"]["packages"])


def test_only_the_runtimes_that_are_asked_for_are_imported(files: Path) -> None:
    """The others could disturb."""
    result = run(files, "check", {"onnxruntime": PEERS["onnxruntime"]})
    assert not {"openvino", "torch"} & set(result["conditions"]["packages"])


def test_a_runtime_that_cannot_read_the_file_ends_the_job(files: Path) -> None:
    """With its own words."""
    (files / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(WorkerFailed, match="exit code 1"):
        run(files, "check", {"onnxruntime": PEERS["onnxruntime"]}, **{"optimized.onnx": str(files / "broken.onnx")})


def test_a_process_that_hangs_says_where(files: Path) -> None:
    """It ends itself after the time that it is given."""
    with pytest.raises(WorkerFailed, match="in _check"):
        run(files, "check", PEERS, limit_s=0.05)


def test_every_runtime_says_how_it_is_called() -> None:
    """The record repeats it; threads are part of it."""
    assert all("benchmark.threads" in runtime.called for runtime in RUNTIMES.values())


def test_the_protocol_is_the_benchmarks() -> None:
    """It is one protocol, with more arms."""
    assert PROTOCOL == benchmark.PROTOCOL
