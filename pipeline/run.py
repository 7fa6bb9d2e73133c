"""An experiment from its plan to the files a person reads: plan, execute, publish.

Leaves out reading the experiment (`pipeline.config`), deciding and executing (`pipeline.execute`) and printing
(`pipeline.cli`).
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from pipeline.core.errors import EnvironmentProblem, trace
from pipeline.core.event import Event, Outcome
from pipeline.core.experiment import Experiment
from pipeline.core.frameworks_plan import plan_frameworks
from pipeline.core.keys import digest_value
from pipeline.core.plan import Node, Plan, RunNodes, is_search, make_plan
from pipeline.core.subset import EVERYTHING, Asked, check_stages, choose
from pipeline.execute.ablate import ablated, foreseen
from pipeline.execute.catalog import make_catalog
from pipeline.execute.decide import Oracle
from pipeline.execute.estimate import Estimator
from pipeline.execute.failures import failed_points
from pipeline.execute.interrupt import Stop
from pipeline.execute.journal import EVENTS_FILE, Journal
from pipeline.execute.limits import UNLIMITED, Limits
from pipeline.execute.scheduler import NodeResult
from pipeline.execute.session import Session
from pipeline.stages import STAGES
from pipeline.store.local import LocalStore
from pipeline.store.objects import CorruptObject, write_atomically
from pipeline.store.record import Record
from pipeline.store.uses import UseNotes
from pipeline.submission.competition.named import rules_named
from pipeline.submission.stamp import stamp
from pipeline.submission.write import dump_submission

__all__ = ["ABLATION_FILE", "FRAMEWORKS_FILE", "RunResult", "Watcher", "prepare", "run_experiment"]

ABLATION_FILE = "ablation.json"
FRAMEWORKS_FILE = "frameworks.json"


class Watcher(Protocol):
    """Is told of a run while it goes on: what it has before it, then every event."""

    def begin(self, nodes: Sequence[Node], estimator: Estimator, *, slots: int = 1, rests: bool = True) -> None:
        """Take note of nodes to come, `slots` at a time; `rests` where showing something disturbs a measurement."""

    def __call__(self, event: Event) -> None:
        """Take note of an event."""


class RunResult(NamedTuple):
    """What a run came to: node results in plan order, the submission if there is one, and the files written.

    `damaged` names the files of the store that were set aside meanwhile: what they held was computed again; `ablation`
    is what each step contributes, where that was asked for; `frameworks` is a comparison of frameworks.
    """

    plan: Plan
    nodes: dict[str, NodeResult]
    submission: dict[str, Any] | None
    files: dict[str, Path]
    damaged: frozenset[str] = frozenset()
    ablation: dict[str, Any] | None = None
    frameworks: dict[str, Any] | None = None

    @property
    def is_partial(self) -> bool:
        """Return whether only a part of the plan was asked for."""
        return len(self.nodes) < len(self.plan.nodes)

    def count(self, outcome: Outcome) -> int:
        """Return how many nodes ended like this."""
        return sum(result.outcome is outcome for result in self.nodes.values())

    @property
    def failures(self) -> tuple[NodeResult, ...]:
        """Return the nodes that failed, in plan order."""
        return tuple(result for result in self.nodes.values() if result.outcome is Outcome.FAILED)


def prepare(experiment: Experiment, store: LocalStore, *, fresh: bool = False) -> tuple[Plan, Oracle]:
    """Lay out the plan and bind it to the store; nothing is executed.

    A search has the points that are known, and the ablation is there if it is known which point will be submitted.
    """
    oracle = Oracle(store, STAGES, fresh=fresh)
    return _with_ablation(_lay_out(experiment, oracle), oracle).plan, oracle


class _Layout(NamedTuple):
    """An experiment with its points, their plan, what the submission says of a search, and whether that is over."""

    experiment: Experiment
    plan: Plan
    account: Mapping[str, Any]
    is_complete: bool


def _lay_out(experiment: Experiment, oracle: Oracle) -> _Layout:
    catalog = make_catalog(oracle.environment)
    if experiment.frameworks:
        return _Layout(experiment, plan_frameworks(experiment, experiment.frameworks, catalog), {}, True)
    if not is_search(experiment):
        return _Layout(experiment, make_plan(experiment, catalog), {}, True)
    known, account, is_complete = _search().known_points(experiment, oracle)
    return _Layout(known, make_plan(known, catalog, account), account, is_complete)


def run_experiment(
    experiment: Experiment,
    store: LocalStore,
    folder: Path,
    watch: Watcher,
    *,
    command: str,
    asked: Asked = EVERYTHING,
    limits: Limits = UNLIMITED,
    stop: Stop | None = None,
) -> RunResult:
    """Bring the experiment, or what is asked of it, up to date and write its results and events to `folder`.

    What a stage raises is in the result; `command` is what repeats this run, as the submission states it. After `stop`
    was requested, what did not start is skipped. Raises UserError where something is asked for that the plan has not.
    """
    started, stop = time.time(), stop or Stop()
    uses, set_aside = UseNotes(store.root, folder), store.quarantined()
    oracle = Oracle(store, STAGES, fresh=asked.fresh)
    layout = _lay_out(experiment, oracle)
    if asked.until or asked.only:
        layout = _with_ablation(layout, oracle)
    plan = layout.plan
    if plan.runs:
        check_stages(plan, asked.force - {"ablation"} if experiment.ablate else asked.force)
    limits = limits._replace(force=asked.force, wanted=choose(plan, asked.until, asked.only))
    is_searching = limits.wanted is None and not layout.is_complete
    later = {plan.submit, plan.report} if is_searching else set()  # they follow when all points are known
    if experiment.ablate and limits.wanted is None:
        later.add(plan.report)  # it shows the ablation of the point that is chosen
    nodes = [
        node for node in plan.nodes if (limits.wanted is None or node.id in limits.wanted) and node.id not in later
    ]
    watch.begin(nodes, Estimator(store, oracle.stages), slots=limits.workers, rests=limits.scheduler is None)
    head = {"experiment": experiment.name, "command": command, "asked": asked.to_json(), "nodes": len(nodes)}
    with Journal(folder / EVENTS_FILE, head) as journal:

        def begin(more: Sequence[Node], gone: int = 0) -> None:
            journal.add_nodes(len(more) - gone)
            watch.begin(more, Estimator(store, oracle.stages), slots=limits.workers, rests=limits.scheduler is None)

        def emit(event: Event) -> None:
            journal(event)
            uses(event)
            watch(event)

        with Session(oracle, emit, limits, stop) as session:
            if is_searching:
                layout = _searched(experiment, plan, session, begin)
            plan = _executed(layout, session)
            if experiment.ablate and limits.wanted is None and layout.is_complete:
                plan = ablated(plan, session, begin)
            submission, contents = _gathered(experiment, plan, session, command)
        files = _publish(contents, folder)
        record = _record(experiment, asked, session.results, started)
        _write(folder / "run.json", record, durable=False)  # the next run writes it again
        uses.flush()
        journal.is_stopped = stop.requested
    damaged = store.quarantined() - set_aside
    ablation, frameworks = (
        json.loads(contents[kind][1]) if kind in contents else None for kind in ("ablation", "frameworks")
    )
    return RunResult(plan, session.results, submission, files, damaged, ablation, frameworks)


def _searched(
    experiment: Experiment, known: Plan, session: Session, begin: Callable[[Sequence[Node]], None]
) -> _Layout:
    """Search for points; `begin` is told of nodes that the known plan does not have."""
    begun = {node.id for node in known.nodes} - {known.submit, known.report}

    def begin_new(nodes: Sequence[Node]) -> None:
        new = [node for node in nodes if node.id not in begun]
        begun.update(node.id for node in new)
        begin(new)

    whole, account, is_complete = _search().searched(experiment, session, begin_new)
    plan = make_plan(whole, make_catalog(session.oracle.environment), account)
    if is_complete:
        begin_new([node for node in plan.nodes if node.id != plan.report or not experiment.ablate])
    return _Layout(whole, plan, account, is_complete)


def _with_ablation(layout: _Layout, oracle: Oracle) -> _Layout:
    """Return the layout with the ablation that the experiment asks for, where it is known of which point."""
    if not (layout.experiment.ablate and layout.is_complete and layout.plan.runs):
        return layout
    return layout._replace(plan=foreseen(layout.plan, oracle))


def _search() -> ModuleType:
    """Import what searches, which few experiments need."""
    return importlib.import_module("pipeline.search.points")


def _executed(layout: _Layout, session: Session) -> Plan:
    """Execute the plan, and if some points fail the plan without them; return the plan of the submission.

    Nothing is executed after a search that was stopped.
    """
    experiment, plan, account, is_complete = layout
    if session.limits.wanted is None and not is_complete:
        return plan
    with session.replaceable((plan.submit, plan.report)) as drop:
        session.execute(plan, session.limits.wanted or _until_ablation(experiment, plan))
        if session.limits.wanted is not None or session.limits.fail_fast or session.stop.requested:
            return plan
        failed = failed_points(plan, session.results)
        if not failed or len(failed) == len(plan.runs):
            return plan
        drop()
    lost = {point["index"] for point in failed}
    rest = experiment._replace(runs=tuple(run for run in experiment.runs if run.index not in lost))
    smaller = make_plan(rest, make_catalog(session.oracle.environment), {**account, "failed": list(failed)})
    session.execute(smaller, _until_ablation(experiment, smaller))
    return smaller


def _until_ablation(experiment: Experiment, plan: Plan) -> frozenset[str] | None:
    """Return the nodes that come before an ablation, which the report waits for; None, for all, where none is made."""
    return frozenset(node.id for node in plan.nodes if node.id != plan.report) if experiment.ablate else None


def _gathered(
    experiment: Experiment, plan: Plan, session: Session, command: str
) -> tuple[dict[str, Any] | None, dict[str, tuple[str, bytes]]]:
    """Return the submission and what is to be published; what turns out to be damaged is made again."""
    damaged: set[str] = set()
    store = session.oracle.store
    while True:
        try:
            submission = _submission(plan, session.results, store, command)
            wanted = submission if experiment.outputs.submission != "none" else None
            return submission, _contents(plan, session.results, store, wanted)
        except CorruptObject as error:  # found only now, because nothing that ran has read it
            if error.digest in damaged:
                raise
            damaged.add(error.digest)
            session.execute(plan, session.limits.wanted)


def _submission(plan: Plan, results: dict[str, NodeResult], store: LocalStore, command: str) -> dict[str, Any] | None:
    """Return the submission with what belongs to this run: measured now or reused, the code behind it, the command."""
    record = _record_of(plan.submit, results)
    if record is None:
        return None
    document = json.loads(store.read(record.outputs["submission"].digest))
    chosen = next(nodes for nodes in plan.runs if nodes.run.index == document["selection"]["chosen"])
    reused = results[chosen.benchmark].outcome is Outcome.CACHED
    built_with = _environment(chosen, results)
    return stamp(
        document,
        reused=reused,
        code=_code(results),
        command=command,
        environment=built_with,
        competition=rules_named(document["experiment"]["document"]),
    )


def _record_of(node: str, results: Mapping[str, NodeResult]) -> Record | None:
    """Return a node's record; None if it has none, or was not asked for."""
    return results[node].record if node in results else None


def _code(results: dict[str, NodeResult]) -> dict[str, str]:
    """Return stage -> digest of the code of all its nodes."""
    stages: dict[str, set[str]] = {}
    for result in results.values():
        if result.record:
            stages.setdefault(result.node.stage, set()).add(result.record.preimage.code)
    return {stage: digest_value(sorted(codes)) for stage, codes in sorted(stages.items())}


def _environment(chosen: RunNodes, results: Mapping[str, NodeResult]) -> dict[str, str]:
    """Return what the bits of a point's weights and answers depend on besides code and inputs, by name."""
    nodes = (chosen.train, *chosen.steps, chosen.evaluate_baseline, chosen.evaluate_optimized)
    records = [record for node in nodes if (record := results[node].record)]
    return {name: fact for record in records for name, fact in record.preimage.environment.items()}


def _contents(
    plan: Plan, results: dict[str, NodeResult], store: LocalStore, submission: dict[str, Any] | None
) -> dict[str, tuple[str, bytes]]:
    """Return what is for people: kind -> file name and bytes, of the submission with its evidence and the reports."""
    contents = {}
    if submission and (built := _record_of(plan.submit, results)):
        contents["submission"] = ("submission.json", dump_submission(submission).encode())
        if "evidence" in submission:
            contents["evidence"] = (submission["evidence"]["file"], store.read(built.outputs["evidence"].digest))
    if report := _record_of(plan.report, results):
        wanted = plan.node(plan.report).spec["formats"]
        contents |= {kind: (f"report.{kind}", store.read(report.outputs[kind].digest)) for kind in wanted}
    if plan.ablation and (ablation := _record_of(plan.ablation, results)):
        contents["ablation"] = (ABLATION_FILE, store.read(ablation.outputs["ablation"].digest))
    if plan.frameworks and (gathered := _record_of(plan.frameworks, results)):
        contents["frameworks"] = (FRAMEWORKS_FILE, store.read(gathered.outputs["frameworks"].digest))
    return contents


def _publish(contents: Mapping[str, tuple[str, bytes]], folder: Path) -> dict[str, Path]:
    """Write the files to `folder`; one that already holds the same bytes is left alone."""
    files = {}
    for kind, (name, data) in contents.items():
        files[kind] = path = folder / name
        if not path.is_file() or path.read_bytes() != data:
            _write(path, data)
    return files


def _write(path: Path, data: bytes, *, durable: bool = True) -> None:
    try:
        write_atomically(path, data, durable=durable)
    except OSError as error:
        raise EnvironmentProblem(
            f"{path} cannot be written: {error.strerror or error}",
            hint="choose another folder with --out, or make room; everything computed is kept",
        ) from error


def _record(experiment: Experiment, asked: Asked, results: dict[str, NodeResult], started: float) -> bytes:
    head = {
        "experiment": experiment.name,
        "source": experiment.source.digest,
        "asked": asked.to_json(),
        "started_at": started,
        "finished_at": time.time(),
    }
    nodes = ",\n  ".join(json.dumps(_node_json(result)) for result in results.values())  # a line each
    return f'{json.dumps(head)[:-1]},\n "nodes": [\n  {nodes}\n ]}}\n'.encode()


def _node_json(result: NodeResult) -> dict[str, Any]:
    record = result.record
    return {
        "id": result.node.id,
        "label": result.node.label,
        "stage": result.node.stage,
        "outcome": result.outcome.value,
        "reason": result.reason,
        "key": record.key if record else None,
        "seconds": record.seconds if record else None,
        "outputs": {role: artifact.digest for role, artifact in record.outputs.items()} if record else {},
        "error": trace(result.error) if result.error else None,
    }
