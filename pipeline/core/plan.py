"""The plan: which nodes an experiment consists of, how they feed each other, and which are one and the same.

Pure: nothing is executed, read or looked up here. A node's id is structural (stage, spec, ids of what feeds it), so two
sweep points that share a prefix share its nodes. Whether a node has to run is decided later, from content
(`pipeline.execute.decide`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from pipeline.core.experiment import BenchmarkSpec, DataSpec, Experiment, ModelSpec, Run, Step, as_json
from pipeline.core.keys import digest_value
from pipeline.core.specs import given, of_training, run_spec, submit_spec, timing
from pipeline.core.stage import StageInfo
from pipeline.core.titles import step_title

__all__ = [
    "Catalog",
    "Draft",
    "Node",
    "Plan",
    "Ref",
    "RunNodes",
    "TIMED_METRICS",
    "is_search",
    "make_plan",
    "plan_baseline",
    "plan_benchmark",
    "plan_evaluation",
    "plan_step",
]


_NOTHING: Mapping[str, Any] = {}


class Ref(NamedTuple):
    """An output of another node."""

    node: str
    role: str


class Node(NamedTuple):
    """One unit of work.

    `id` is its plan id, `title` what a person reads, `code_roots` the modules whose code it runs with all they import,
    `writers` those that turn its outputs into bytes, and its inputs back into values (each by itself: what it could
    write besides does not matter).
    `outputs` maps the roles that it gives, of those its stage declares, to codecs. `local` is handed to the stage
    beside the spec but is part of no id and no key: where a dataset lies on this machine.
    """

    id: str
    stage: str
    title: str
    spec: Mapping[str, Any]
    inputs: Mapping[str, Ref]
    code_roots: tuple[str, ...]
    local: Mapping[str, Any] = _NOTHING
    outputs: Mapping[str, str] = _NOTHING
    writers: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Return stage and title, as messages and `why` name the node."""
        return f"{self.stage} {self.title}".strip()


class RunNodes(NamedTuple):
    """The ids of one sweep point's nodes."""

    run: Run
    data: str
    train: str
    profile: str
    steps: tuple[str, ...]
    evaluate_baseline: str
    evaluate_optimized: str
    benchmark: str
    loadgen: str | None = None
    peers: str | None = None
    evaluate_steps: tuple[str, ...] = ()  # of the models between two steps, each after its step


class _PlanFields(NamedTuple):
    nodes: tuple[Node, ...]
    runs: tuple[RunNodes, ...]
    submit: str
    report: str
    judges: tuple[str, ...] = ()
    ablation: str | None = None
    frameworks: str | None = None


class Plan(_PlanFields):
    """All nodes of an experiment in an order in which every node comes after what feeds it.

    `judges` has for each point of a search, in order, the node that reads its goals on the validation split;
    `ablation` is the node that says what each step contributes (`pipeline.core.ablation`), where that was asked for.
    `frameworks` is the node that gathers a comparison of frameworks, which has no runs and no `submit` ("").
    """

    def node(self, node_id: str) -> Node:
        """Return the node with this plan id; raises KeyError."""
        return self._by_id[node_id]

    @cached_property
    def _by_id(self) -> dict[str, Node]:
        return {node.id: node for node in self.nodes}


class Catalog(NamedTuple):
    """What the planner asks of the world: the tables, and the digests of the files a dataset is read from.

    `codec_modules` names what writes and reads a codec, itself first: a stage that is given a model runs any layers.
    `package_version` finds the version of an optional module, which an extra of ours brings; raises EnvironmentProblem.
    `custom` says whose the modules are that are not ours, and which of them submissions run; `file_digest` reads files.
    `task` says what networks learn from a data set, "" where it is the usual, and the modules that do it.
    """

    stages: Mapping[str, StageInfo]
    model_module: Callable[[str], str]
    dataset_module: Callable[[str], str]
    resolve_step: Callable[[str, Mapping[str, Any]], tuple[str, Mapping[str, Any]]]
    pass_module: Callable[[str], str]
    pass_needs: Callable[[str, Mapping[str, Any]], frozenset[str]]
    data_files: Callable[[DataSpec], Mapping[str, str]]
    codec_modules: Callable[[str], tuple[str, ...]]
    package_version: Callable[[str, str], str]
    custom: Callable[[Collection[str]], tuple[Mapping[str, Any], tuple[str, ...]]] = lambda modules: ({}, ())
    task: Callable[[str, Collection[str]], tuple[str, tuple[str, ...]]] = lambda dataset, aspects: ("", ())
    file_digest: Callable[[str], str] = lambda path: ""


def make_plan(experiment: Experiment, catalog: Catalog, account: Mapping[str, Any] | None = None) -> Plan:
    """Lay out data → train → profile → optimize… → evaluate → benchmark for every point, then submit and report.

    A search has a judge for each point, too. `account` is what the submission says of points that are not in the plan:
    those that failed (`failed`), and how points were searched for (`search`).
    """
    draft = Draft(catalog)
    runs = tuple(_plan_run(draft, run) for run in experiment.runs)
    judges = _plan_judges(draft, experiment, runs) if is_search(experiment) else ()
    submit = _plan_submit(draft, experiment, runs, account or {})
    formats = experiment.outputs.report
    results = {role: Ref(submit, role) for role in ("submission", "evidence")}
    report = draft.add("report", "", {"formats": list(formats)}, results, outputs=formats)
    return Plan(tuple(draft.nodes.values()), runs, submit, report, judges)


class Draft:
    """Nodes in the order they were asked for; asking twice for the same one gives the same id."""

    def __init__(self, catalog: Catalog, nodes: Sequence[Node] = ()) -> None:
        self.catalog = catalog
        self.nodes: dict[str, Node] = {node.id: node for node in nodes}
        self._codecs: dict[_Wanted, tuple[dict[str, str], tuple[str, ...]]] = {}
        self._roots: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._datasets: dict[str, str] = {}

    def add(
        self,
        stage: str,
        title: str,
        spec: Mapping[str, Any],
        inputs: Mapping[str, Ref],
        code: tuple[str, ...] = (),
        local: Mapping[str, Any] | None = None,
        outputs: tuple[str, ...] | None = None,
    ) -> str:
        """Add a node unless it is there; return its id. `outputs` are the roles it gives, by default all."""
        info = self.catalog.stages[stage]
        spec, code = self._for_task(info, spec, inputs, code)
        wiring = {role: [ref.node, ref.role] for role, ref in inputs.items()}
        node_id = digest_value([stage, info.version, spec, wiring])
        if node_id not in self.nodes:
            read = frozenset([self.nodes[ref.node].outputs[ref.role] for ref in inputs.values()])
            codecs, writers = self._written(info, outputs, read)
            roots = info.module, *code
            roots = self._roots.setdefault(roots, roots)
            self.nodes[node_id] = Node(node_id, stage, title, spec, inputs, roots, local or _NOTHING, codecs, writers)
        return node_id

    def _for_task(
        self, info: StageInfo, spec: Mapping[str, Any], inputs: Mapping[str, Ref], code: tuple[str, ...]
    ) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """Return spec and code with what they need for the task of the data that all began with."""
        datasets = (self._dataset(ref.node) for ref in inputs.values()) if info.task else ()
        dataset = next((name for name in datasets if name), "")
        task, modules = self.catalog.task(dataset, info.task) if dataset else ("", ())
        return ({**spec, "task": task} if task else spec), (*code, *modules)

    def _dataset(self, node_id: str) -> str:
        """Return the name of the data set that a node is or comes from, "" if there is none."""
        if node_id not in self._datasets:
            node = self.nodes[node_id]
            before = (self._dataset(ref.node) for ref in node.inputs.values())
            name = str(node.spec["name"]) if node.stage == "data" else next((found for found in before if found), "")
            self._datasets[node_id] = name
        return self._datasets[node_id]

    def _written(
        self, info: StageInfo, outputs: tuple[str, ...] | None, read: frozenset[str]
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return the codec of each output, and the modules of these codecs and of those that are read."""
        name = info.name, outputs, read
        if name not in self._codecs:
            codecs = {role: info.outputs[role] for role in (info.outputs if outputs is None else outputs)}
            modules = {module for codec in codecs.values() for module in self.catalog.codec_modules(codec)}
            modules |= {self.catalog.codec_modules(codec)[0] for codec in read}
            self._codecs[name] = codecs, tuple(sorted(modules))
        return self._codecs[name]


# A stage, the outputs that are wanted of it (None: all), and the codecs of its inputs.
_Wanted = tuple[str, tuple[str, ...] | None, frozenset[str]]


def plan_baseline(draft: Draft, run: Run) -> tuple[str, str]:
    """Add the data and the trained baseline of a point; return both ids."""
    data = _plan_data(draft, run.data)
    return data, _plan_train(draft, run.model, run.seed, data)


def _plan_run(draft: Draft, run: Run) -> RunNodes:
    data, train = plan_baseline(draft, run)
    test, baseline = Ref(data, "test"), Ref(train, "model")
    profile_spec = {"batch_size": run.benchmark.batch_sizes[0], "threads": run.benchmark.threads[0]}
    layers = draft.catalog.codec_modules("model")
    profile = draft.add("profile", "baseline", profile_spec, {"model": baseline, "sample": test}, layers)
    steps: list[str] = []
    optimized = baseline
    for step in run.steps:
        steps.append(plan_step(draft, step, run.seed, optimized, (data, train, profile)))
        optimized = Ref(steps[-1], "model")
    evaluate_baseline = plan_evaluation(draft, "baseline", baseline, data)
    evaluate_optimized = plan_evaluation(draft, run.label or "optimized", optimized, data)
    arms = {"baseline": baseline, "optimized": optimized, "sample": test}
    benchmark = plan_benchmark(draft, run.label or "optimized", run.benchmark, run.seed, arms)
    loadgen = _plan_loadgen(draft, run, arms, layers) if run.benchmark.harness == "loadgen" else None
    peers = _plan_peers(draft, run, arms | {"calibration": Ref(data, "train")}, layers) if run.benchmark.peers else None
    between = tuple(
        plan_evaluation(draft, f"after {step_title(step)}", Ref(node, "model"), data)
        for step, node in zip(run.steps[:-1], steps, strict=False)
    )
    evaluated = evaluate_baseline, evaluate_optimized
    return RunNodes(run, data, train, profile, tuple(steps), *evaluated, benchmark, loadgen, peers, between)


_LOADGEN_READS = ("scenario", "latency_limit_ms", "rate_per_s", "batch_sizes", "threads", "budget_s")


def _plan_loadgen(draft: Draft, run: Run, arms: Mapping[str, Ref], layers: tuple[str, ...]) -> str:
    version = draft.catalog.package_version("mlperf_loadgen", "mlperf")
    read = {name: value for name, value in given(run.benchmark).items() if name in _LOADGEN_READS}
    spec = {**read, "seed": run.seed, "mlperf_loadgen": version}
    return draft.add("loadgen", run.label or "optimized", spec, arms, layers)


# What a peer needs to be installed: itself, and what writes the file that it reads.
_PEER_MODULES = {"onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino"), "torch": ("torch",)}
_PEERS_READ = ("processes", "target_ci", "budget_s", "threshold")


def _plan_peers(draft: Draft, run: Run, inputs: Mapping[str, Ref], layers: tuple[str, ...]) -> str:
    find, benchmark = draft.catalog.package_version, as_json(run.benchmark)
    versions = {peer: {name: find(name, "peers") for name in _PEER_MODULES[peer]} for peer in run.benchmark.peers}
    primary = {"batch_size": run.benchmark.batch_sizes[0], "threads": run.benchmark.threads[0]}
    spec = {"peers": versions, **primary, **{name: benchmark[name] for name in _PEERS_READ}, "seed": run.seed}
    waiting = {"wait_s": run.benchmark.wait_s}
    return draft.add("peers", run.label or "optimized", spec, inputs, layers, local=waiting)


def _plan_data(draft: Draft, data: DataSpec) -> str:
    spec = {"name": data.name, "args": dict(data.args), "files": dict(draft.catalog.data_files(data))}
    module = draft.catalog.dataset_module(data.name)
    return draft.add("data", data.name, spec, {}, (module,), local={"root": data.root})


def _plan_train(draft: Draft, model: ModelSpec, seed: int, data: str) -> str:
    spec = {"arch": model.arch, "args": dict(model.args), "fit": of_training(model.train), "seed": seed}
    inputs = {role: Ref(data, role) for role in ("train", "validation", "task")}
    if weights := model.weights:
        spec["weights"] = {"layout": weights.layout, "digest": draft.catalog.file_digest(weights.file)}
    code = tuple(draft.catalog.model_module(name) for name in (model.arch, *(["stored"] if weights else [])))
    local = {"file": weights.file} if weights else None
    return draft.add("train", f"{model.arch} seed={seed}", spec, inputs, code, local)


_TEACHER, _PROFILE = "teacher", "profile"


def plan_step(draft: Draft, step: Step, seed: int, model: Ref, sources: tuple[str, str, str]) -> str:
    """Add a step that changes `model`; `sources` are the nodes of the data, the trained baseline and its profile."""
    data, train, profile = sources
    name, params = draft.catalog.resolve_step(step.use, step.params)
    needs = sorted(draft.catalog.pass_needs(name, params))
    spec = {"pass": name, "params": as_json(params) if step.use == "custom" else of_training(params), "seed": seed}
    at_hand = {"model": model, _TEACHER: Ref(train, "model"), _PROFILE: Ref(profile, "profile")}
    inputs = {role: at_hand.get(role) or Ref(data, role) for role in ("model", *needs)}
    code = (draft.catalog.pass_module(name), *draft.catalog.codec_modules("model"))
    return draft.add("optimize", step_title(step), spec, inputs, code)


def plan_evaluation(draft: Draft, title: str, model: Ref, data: str) -> str:
    """Add the evaluation of a model on the splits of the data."""
    splits = {"validation": Ref(data, "validation"), "test": Ref(data, "test")}
    return draft.add("evaluate", title, {}, {"model": model, **splits}, draft.catalog.codec_modules("model"))


def plan_benchmark(draft: Draft, title: str, benchmark: BenchmarkSpec, seed: int, arms: Mapping[str, Ref]) -> str:
    """Add the timing of the arms "baseline" and "optimized" against each other, on "sample"."""
    spec, waiting = timing(benchmark)
    layers = draft.catalog.codec_modules("model")
    stage = "generate" if benchmark.scenario == "generate" else "benchmark"
    return draft.add(stage, title, {**spec, "seed": seed}, arms, layers, local=waiting)


def is_search(experiment: Experiment) -> bool:
    """Return whether the experiment's points are searched for rather than listed."""
    return (experiment.document.get("sweep") or {}).get("search") is not None


def _plan_submit(draft: Draft, experiment: Experiment, runs: Sequence[RunNodes], account: Mapping[str, Any]) -> str:
    inputs: dict[str, Ref] = {}
    for nodes in runs:
        i = nodes.run.index
        inputs |= _results(nodes, i) | _measurements(nodes, i) | _journey(nodes, i)
    own, code = draft.catalog.custom({root for node in draft.nodes.values() for root in node.code_roots})
    return draft.add("submit", "", {**submit_spec(experiment), **own, **account}, inputs, code)


# The metrics of goals that are read from a benchmark.
TIMED_METRICS = frozenset({"latency_ms", "speedup", "throughput", "tokens_per_second", "ttft_ms"})


def _plan_judges(draft: Draft, experiment: Experiment, runs: Sequence[RunNodes]) -> tuple[str, ...]:
    """Add a judge for each point; its seeds are judged together, and without a benchmark where no goal needs one."""
    points: dict[str, list[RunNodes]] = {}
    for nodes in runs:
        points.setdefault(digest_value(as_json(nodes.run.point)), []).append(nodes)
    goals = [given(goal) for goal in experiment.goals]
    is_timed = any(value in TIMED_METRICS for goal in goals for value in goal.values())
    judges = []
    for members in points.values():
        spec = {"goals": goals, "runs": [run_spec(nodes.run, i, "") for i, nodes in enumerate(members)]}
        inputs: dict[str, Ref] = {}
        for i, nodes in enumerate(members):
            inputs |= _results(nodes, i)
            inputs |= _measurements(nodes, i) if is_timed else {}
        title = members[0].run.label if len(members) == 1 else f"{members[0].run.label} and its other seeds"
        judges.append(draft.add("judge", title, spec, inputs))
    return tuple(judges)


def _results(nodes: RunNodes, i: int) -> dict[str, Ref]:
    """Return what was computed for a point, by the roles that it has as the i-th one."""
    optimized = nodes.steps[-1] if nodes.steps else nodes.train
    return {
        f"baseline.{i}": Ref(nodes.train, "model"),
        f"optimized.{i}": Ref(optimized, "model"),
        f"metrics.baseline.{i}": Ref(nodes.evaluate_baseline, "metrics"),
        f"metrics.optimized.{i}": Ref(nodes.evaluate_optimized, "metrics"),
        f"predictions.baseline.{i}": Ref(nodes.evaluate_baseline, "predictions"),
        f"predictions.optimized.{i}": Ref(nodes.evaluate_optimized, "predictions"),
        **{f"data.{role}.{i}": Ref(nodes.data, role) for role in ("train", "validation", "test", "info")},
        **{f"effect.{i}.{k}": Ref(step, "effect") for k, step in enumerate(nodes.steps)},
    }


def _measurements(nodes: RunNodes, i: int) -> dict[str, Ref]:
    """Return what was measured at a point, by the roles that it has as the i-th one."""
    return {
        f"benchmark.{i}": Ref(nodes.benchmark, "benchmark"),
        f"samples.{i}": Ref(nodes.benchmark, "samples"),
        f"profile.{i}": Ref(nodes.profile, "profile"),
        **({f"loadgen.{i}": Ref(nodes.loadgen, "loadgen")} if nodes.loadgen else {}),
        **({f"peers.{i}": Ref(nodes.peers, "peers")} if nodes.peers else {}),
        **({f"peers.samples.{i}": Ref(nodes.peers, "samples")} if nodes.peers else {}),
    }


def _journey(nodes: RunNodes, i: int) -> dict[str, Ref]:
    """Return how the models of a point came to be: what was learned in training, and what each step's model answers."""
    return {
        f"history.{i}": Ref(nodes.train, "history"),
        **{f"history.{i}.{k}": Ref(step, "history") for k, step in enumerate(nodes.steps)},
        **{f"predictions.{i}.{k}": Ref(node, "predictions") for k, node in enumerate(nodes.evaluate_steps)},
    }
