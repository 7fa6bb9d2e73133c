"""A small sweep that really ran, and a cheater who has all that a run has and writes whatever he likes."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.build import build
from pipeline.config.load import loads
from pipeline.core.event import Event
from pipeline.core.keys import digest_bytes
from pipeline.core.plan import Node
from pipeline.core.stage import InputArtifact, Inputs
from pipeline.execute.estimate import Estimator
from pipeline.execute.interrupt import Stop
from pipeline.execute.limits import UNLIMITED
from pipeline.measure.summary import raw_arrays
from pipeline.run import RunResult, run_experiment
from pipeline.stages import evaluate, optimize, submit, train
from pipeline.store.codecs import codec_named
from pipeline.store.local import LocalStore
from pipeline.submission.evidence import FILE, SIDES, Evidence, unpacked
from pipeline.submission.rules.recompute import comparisons_of
from pipeline.submission.rules.restore import processes_of, question_of
from pipeline.submission.verification import Check
from pipeline.submission.verify_compare import Case, Rebuilt
from pipeline.submission.verify_environment import Here, Other, other_environment
from pipeline.submission.verify_experiment import embedded_experiment
from pipeline.submission.verify_files import files_beside
from pipeline.submission.verify_judge import agrees, all_checks, is_exact
from pipeline.submission.write import dump_submission
from pipeline.verify import Scope, rebuild

_TIMES = ("wall_ns", "cpu_ns", "tail_ns")  # the ends of the names of samples
EXPERIMENT = """
name: small
data: {name: digits}
model: {arch: mlp, args: {hidden: [64]}, train: {epochs: 3}}
vars: {bits: 8}
optimize:
  - prune: {sparsity: 0.5}
  - finetune: {epochs: 1}
  - quantize: {bits: "${bits}"}
sweep: {grid: {bits: [8, 4]}}
benchmark: {processes: 2, target_ci: 0.5, budget_s: 1, wait_s: 0}
goals:
  - {metric: accuracy, max_drop: 0.5}
  - {minimize: size_bytes}
outputs: {report: []}
"""


class Silent:
    """Somebody who is told and says nothing."""

    def begin(self, nodes: Sequence[Node], estimator: Estimator, *, slots: int = 1, rests: bool = True) -> None:
        """Take note of nothing."""

    def __call__(self, event: Event) -> None:
        """Take note of nothing."""


class Forger:
    """Has the results of an honest run, changes some, and has the submission built from what there is then."""

    def __init__(self, result: RunResult, store: LocalStore) -> None:
        self.store = store
        self.plan = result.plan
        self.honest = dict(result.submission or {})
        self.spec = dict(self.plan.node(self.plan.submit).spec)
        self.chosen = self.honest["selection"]["chosen"]
        self.artifacts: dict[str, InputArtifact] = {}
        for role, ref in self.plan.node(self.plan.submit).inputs.items():
            record = result.nodes[ref.node].record
            assert record is not None
            artifact = record.outputs[ref.role]
            load = functools.partial(self._load, artifact.codec, artifact.digest)
            self.artifacts[role] = InputArtifact(artifact.digest, artifact.size, load)

    def _load(self, codec: str, digest: str) -> Any:
        return codec_named(codec).decode(self.store.read(digest))

    def __getitem__(self, role: str) -> Any:
        return self.artifacts[role].load()

    def put(self, role: str, value: Any, codec: str, size: int | None = None) -> None:
        """Replace a result, with its digest and size."""
        data = codec_named(codec).encode(value)
        self.artifacts[role] = InputArtifact(digest_bytes(data), size or len(data), lambda: value)

    def evaluate(self, side: str, index: int) -> None:
        """Evaluate a model that was changed."""
        model = self.artifacts[f"{side}.{index}"]
        data = self.data(index)
        found = evaluate.execute({}, Inputs({"model": model, **{key: data[key] for key in ("validation", "test")}}))
        self.put(f"metrics.{side}.{index}", found["metrics"], "json")
        self.put(f"predictions.{side}.{index}", found["predictions"], "arrays")

    def data(self, index: int) -> dict[str, InputArtifact]:
        """Return the splits and the task of a point."""
        nodes = next(nodes for nodes in self.plan.runs if nodes.run.index == index)
        record = next(iter(self.store.recent("data", float("inf"))))
        assert self.plan.node(nodes.data).stage == "data"
        return {
            role: InputArtifact(each.digest, each.size, functools.partial(self._load, each.codec, each.digest))
            for role, each in record.outputs.items()
        }

    def train_on(self, split: str) -> None:
        """Train and compress the submitted point's models on another split than that for training."""
        nodes = next(nodes for nodes in self.plan.runs if nodes.run.index == self.chosen)
        data = self.data(self.chosen)
        data["train"] = data[split]
        roles = {role: data[role] for role in ("train", "validation", "task")}
        model = train.execute(self.plan.node(nodes.train).spec, Inputs(roles))["model"]
        self.put(f"baseline.{self.chosen}", model, "model")
        for number, step in enumerate(nodes.steps):
            node = self.plan.node(step)
            given = {role: data[role] for role in node.inputs if role in data}
            encoded = InputArtifact("", 0, functools.partial(lambda value: value, model))
            found = optimize.execute(node.spec, Inputs({**given, "model": encoded}))
            model = found["model"]
            self.put(f"effect.{self.chosen}.{number}", found["effect"], "json")
        self.put(f"optimized.{self.chosen}", model, "model")
        for side in SIDES:
            self.evaluate(side, self.chosen)

    def measure_quietly(self) -> None:
        """Put samples of a made-up quiet machine in place of those measured: the optimized model takes half."""
        rng = np.random.default_rng(0)

        def change(name: str, array: np.ndarray) -> np.ndarray:
            if not name.endswith(_TIMES):
                return array
            scale = 300_000 if "optimized" in name else 600_000
            return (scale * np.exp(rng.normal(0, 0.002, len(array)))).astype(array.dtype)

        benchmark = json.loads(json.dumps(self[f"benchmark.{self.chosen}"]))
        for gauges in benchmark["conditions"][0]["gauges"]:
            gauges |= {"others": 0.0, "stolen": 0.0, "paused": 0.0, "pauses": 0}
        self.put(f"benchmark.{self.chosen}", benchmark, "json")
        self.measure(change)

    def comparisons(self) -> list[Mapping[str, Any]]:
        """Return what the benchmark of the submitted point says."""
        found: list[Mapping[str, Any]] = self[f"benchmark.{self.chosen}"]["comparisons"]
        return found

    def measure(self, change: Callable[[str, np.ndarray], np.ndarray]) -> None:
        """Change every series of samples, and compute the benchmark from them."""
        i = self.chosen
        samples = {name: change(name, array) for name, array in self[f"samples.{i}"].items()}
        benchmark = self[f"benchmark.{i}"]
        conditions = json.loads(json.dumps(benchmark["conditions"]))
        for gauges in conditions[0]["gauges"]:
            gauges["elapsed_s"] = 1e6  # long enough for whatever samples there are
        processes = processes_of(0, Evidence(samples, {}, conditions))
        samples = raw_arrays(0, question_of(conditions[0]), processes)  # which pairs are kept hangs on their times
        comparisons = comparisons_of({"benchmark": benchmark}, Evidence(samples, {}, conditions))
        self.put(f"samples.{i}", samples, "arrays")
        self.put(f"benchmark.{i}", {**benchmark, "comparisons": comparisons, "conditions": conditions}, "json")

    def submission(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return the submission and the evidence, every digest computed from what they hold."""
        found = submit.execute(self.spec, Inputs(self.artifacts))
        built, kept = found["submission"], ("code", "command", "environment")
        provenance = {**built["provenance"], **{key: self.honest["provenance"][key] for key in kept}}
        return {**built, "provenance": provenance}, found["evidence"]

    def write(self, folder: Path) -> Path:
        """Write the submission with its evidence; return its file."""
        folder.mkdir(parents=True, exist_ok=True)
        built, evidence = self.submission()
        (folder / FILE).write_bytes(codec_named("arrays").encode(evidence))
        path = folder / "submission.json"
        path.write_text(dump_submission(built))
        return path


def run_small(text: str, folder: Path) -> tuple[RunResult, LocalStore]:
    """Run an experiment in a store of its own."""
    store = LocalStore(folder / "store")
    experiment = build(loads(text))
    result = run_experiment(experiment, store, folder / "out", Silent(), command="run", limits=UNLIMITED)
    assert not result.failures
    return result, store


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResult, LocalStore]:
    """The small sweep, run once."""
    return run_small(EXPERIMENT, tmp_path_factory.mktemp("small"))


@pytest.fixture
def forger(ran: tuple[RunResult, LocalStore]) -> Forger:
    """A cheater with the results of the small sweep."""
    return Forger(*ran)


Verify = Callable[..., list[Check]]


@pytest.fixture(scope="session")
def known() -> dict[str, tuple[Rebuilt, Here]]:
    """What was rebuilt before, by the experiment."""
    return {}


@pytest.fixture
def verify(tmp_path: Path, known: dict[str, tuple[Rebuilt, Here]]) -> Verify:
    """Run a submission again in this process, and take comparisons for what was measured; return its checks."""

    def run(path: Path, here_measured: Sequence[Mapping[str, Any]] = (), only_submitted: bool = False) -> list[Check]:
        document = json.loads(path.read_text())
        experiment = embedded_experiment(document, {})
        scope = Scope(
            document["selection"]["chosen"],
            lambda found: agrees(document, found),
            only_submitted=only_submitted,
            is_measured=False,
        )
        same = json.dumps([document["experiment"]["document"], scope.chosen, only_submitted], sort_keys=True)
        if same not in known:  # what is rebuilt hangs on nothing else of a submission
            known[same] = rebuild(experiment, scope, tmp_path / "again", UNLIMITED, Silent(), Stop())
        rebuilt, here = known[same]
        rebuilt = dataclasses.replace(rebuilt, measured=[here_measured] * 2 if here_measured else [])
        here = dataclasses.replace(here, machine=document["machine"])  # as a benchmark on this machine would find it
        others: list[Other] = other_environment(document, here)
        answers: Mapping[str, Any] = {}
        if "evidence" in document:
            answers = unpacked((path.parent / FILE).read_bytes()).predictions
        case = Case(document, rebuilt, answers, is_exact(others))
        return all_checks(case, experiment, others, files_beside(path.parent), None, only_submitted=only_submitted)

    return run
