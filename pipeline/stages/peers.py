"""The peers stage: the same networks in other runtimes, timed against ours in turns within fresh processes.

Only the primary comparison's batch size and thread count. It writes the networks for the runtimes, has their outputs
compared before anything is timed, and gathers the record; how a runtime is called is in pipeline/measure.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.stage import Inputs
from pipeline.export.onnx_model import is_quantized, write_onnx
from pipeline.measure import peer_worker
from pipeline.measure.job import Job, Phases, choices_of
from pipeline.measure.launch import run_worker
from pipeline.measure.model import copies_that_fit
from pipeline.measure.peer_record import Peer, Seen, is_answered, record
from pipeline.measure.peer_runtimes import RUNTIMES
from pipeline.measure.peer_summary import raw_samples
from pipeline.measure.queries import draw_queries
from pipeline.measure.quiet import Patience, Place, idlest
from pipeline.measure.sampling import repeat
from pipeline.measure.setting import check_threads, measured_machine, timestamp
from pipeline.measure.summary import Question
from tinytorch.data.split import Split
from tinytorch.models.network import Network
from tinytorch.serialization import dumps, save

__all__ = ["PROTOCOL", "execute"]

PROTOCOL = "paired-clean/1"

_CALIBRATION = 256  # training images; as many as the quantize step takes unless told otherwise
_MOST_COPIES = 4  # of each arm: there are up to nine arms, and a runtime takes a moment to load a network
_PHASES = Phases(warmup_s=0.5, service_s=1.0, latency_s=0.0)  # nine arms take three times as long as three
_NETWORKS = ("optimized", "baseline")


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the record of all peers and every raw sample.

    Raises UserError for a layer without an ONNX form, EnvironmentProblem for more threads than cores or a package that
    is not there, WorkerFailed if a worker process dies.
    """
    check_threads([spec["threads"]])
    measured_at = timestamp()
    models = {network: inputs[network] for network in _NETWORKS}
    peers = _peers(spec["peers"], models)
    question = Question.of(spec, "single_stream", spec["batch_size"], spec["threads"])
    patience = Patience(spec["wait_s"], inputs.say)
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        session = _Session(question, Path(name), peers)
        session.write(models, Split.from_arrays(inputs["calibration"]), Split.from_arrays(inputs["sample"]))
        session = replace(session, ours=session.plan())
        outputs = session.check()
        timed = [peer for peer in peers if outputs.get(peer.arm, {}).get("same")]
        processes, busy = repeat(
            question,
            lambda number, place: session.time(timed, number, place),
            lambda found: is_answered(question, found, timed),
            patience,
        )
        sizes = {name: path.stat().st_size for name, path in session.files.items()}
    seen = Seen(processes, busy, patience.waited_s, outputs, sizes)
    found = {
        "protocol": PROTOCOL,
        "measured_at": measured_at,
        "machine": measured_machine(processes[0]),
        "calibration_samples": _CALIBRATION,
        "sessions": session.ours,
        **record(question, spec["peers"], peers, seen),
    }
    return {"peers": found, "samples": raw_samples(processes)}


def _peers(asked: Mapping[str, Any], models: Mapping[str, Network]) -> tuple[Peer, ...]:
    """Return every network in every runtime; the baseline only where it is not the optimized network itself."""
    differ = dumps(models["baseline"]) != dumps(models["optimized"])
    precision = {network: "int8" if is_quantized(model) else "fp32" for network, model in models.items()}
    return tuple(
        Peer(runtime, network, precision[network])
        for runtime in asked
        for network in (_NETWORKS if differ else _NETWORKS[:1])
    )


@dataclass(frozen=True)
class _Session:
    """The files of one execution, and the jobs that are done with them; `ours` are the records of our sessions."""

    question: Question
    folder: Path
    peers: tuple[Peer, ...]
    ours: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, Path]:
        """What jobs read: our file of both networks, and that of every runtime that reads another one."""
        found = {network: self.folder / f"{network}.safetensors" for network in _NETWORKS}
        for peer in self.peers:
            if peer.reason is None and (suffix := RUNTIMES[peer.runtime].reads) != "safetensors":
                found[f"{peer.network}.{suffix}"] = self.folder / f"{peer.network}.{suffix}"
        return found

    def write(self, models: Mapping[str, Network], calibration: Split, sample: Split) -> None:
        """Write the networks in every form that is read, and the queries."""
        for name, path in self.files.items():
            network, _, suffix = name.partition(".")
            if suffix:
                order = np.random.default_rng(self.question.seed).permutation(len(calibration))[:_CALIBRATION]
                write_onnx(models[network], path, calibration.images(np.sort(order)))
            else:
                save(models[network], path)
        queries = draw_queries(sample, self.question.batch_size, self.question.seed)
        np.save(self.folder / "queries.npy", queries, allow_pickle=False)

    def plan(self) -> dict[str, Any]:
        """Return the records of the sessions in which our networks will run, their kernels chosen by measuring."""
        files = {network: self.files[network] for network in _NETWORKS}
        job = replace(self._job("plan", 0, idlest(self.question.threads)), models=_texts(files))
        found: dict[str, Any] = run_worker(job, self._limit_s)["sessions"]
        return found

    def check(self) -> dict[str, dict[str, Any]]:
        """Return by arm how the outputs of a peer compare with ours."""
        run = [peer for peer in self.peers if peer.reason is None]
        found: dict[str, dict[str, Any]] = self._run("check", run, 0, idlest(self.question.threads), 1)["outputs"]
        return found

    def time(self, timed: Sequence[Peer], number: int, place: Place | None) -> Mapping[str, Any]:
        """Return what process number `number` read of these peers and ours."""
        copies = min(_MOST_COPIES, copies_that_fit(str(path) for path in self.files.values()))
        return self._run("time", timed, number, place, copies)

    def _run(
        self, kind: str, peers: Sequence[Peer], number: int, place: Place | None, copies: int
    ) -> Mapping[str, Any]:
        described = {
            peer.arm: {"runtime": peer.runtime, "network": peer.network, "precision": peer.precision} for peer in peers
        }
        options = {"peers": described, "copies": copies, "limit_s": self._limit_s}
        job = replace(self._job(kind, number, place), options=options)
        return run_worker(job, self._limit_s + 10, peer_worker)

    @property
    def _limit_s(self) -> float:
        return 120 + 5 * self.question.budget_s  # generous: it only ends what hangs

    def _job(self, kind: str, number: int, place: Place | None) -> Job:
        return Job(
            kind=kind,
            models=_texts(self.files),
            inputs=str(self.folder / "queries.npy"),
            result=str(self.folder / f"{kind}-{number}.json"),
            threads=self.question.threads,
            seed=self.question.seed * 1_000 + number,
            cores=place.cores if place else None,
            choices={network: choices_of(record) for network, record in self.ours.items()},
            phases=_PHASES,
        )


def _texts(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: str(path) for name, path in files.items()}
