"""Run an experiment; what is already stored is taken, and only what changed is computed.

The result table goes to stdout, progress and messages to stderr. The files are written to runs/<experiment>/.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import columns, has_colour, safe
from pipeline.cli.experiment import add_experiment_arguments, open_experiment, open_store
from pipeline.cli.limits import add_limit_arguments, limits_of
from pipeline.cli.progress import Progress
from pipeline.cli.subset import add_subset_arguments, asked_of
from pipeline.core.errors import EnvironmentProblem, PipelineError, StageFailed, Stopped, UserError
from pipeline.core.event import Outcome
from pipeline.core.experiment import Experiment
from pipeline.core.keys import digest_value
from pipeline.execute.environment import CodeDigests
from pipeline.execute.failures import in_words
from pipeline.execute.interrupt import stoppable
from pipeline.run import ABLATION_FILE, FRAMEWORKS_FILE, RunResult, run_experiment
from pipeline.store.local import LocalStore
from pipeline.store.objects import CorruptObject
from tinytorch.errors import DataFileError
from tinytorch.kernels import native

__all__ = ["configure", "run", "verdicts"]

# report format -> the packages it needs, and the extra that brings them
_NEEDS = {"html": (("jinja2", "altair", "vl_convert"), "report")}
_RESULTS = ("submission.json", "evidence.safetensors", ABLATION_FILE, FRAMEWORKS_FILE, "report.html", "report.md")
_MOST_FAILURES = 10  # that are listed; run.json has them all


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_experiment_arguments(parser)
    add_subset_arguments(parser)
    parser.add_argument("--out", metavar="DIR", help="where result files are written (default: runs/<experiment>)")
    add_limit_arguments(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("--dry-run", action="store_true", help="say what would run, and why, and run nothing")


def run(args: argparse.Namespace) -> Answer:
    """Run the experiment and answer with its result table."""
    limits = limits_of(args)
    store = open_store(args)
    experiment = open_experiment(args, store)
    if args.dry_run:
        from pipeline.cli.plan import answer

        return answer(experiment, store, asked_of(args), slots=limits.workers)
    folder = Path(args.out or Path("runs", experiment.name))
    _make_writable(folder)
    lacking = [kind for kind in experiment.outputs.report if not _can_render(kind)]
    # A result must not depend on how many cores the machine has; numpy reads this when it is first imported.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = _command(args)
    wanted = _without(experiment, lacking)
    try:
        with Progress(sys.stderr, quiet=args.quiet) as progress, stoppable(progress.announce_stop) as stop:
            result = run_experiment(
                wanted, store, folder, progress, command=command, asked=asked_of(args), limits=limits, stop=stop
            )
    finally:
        with contextlib.suppress(OSError):  # it is not empty if anything ran
            folder.rmdir()
    if stop.requested and result.count(Outcome.SKIPPED):
        kept = _number(result.count(Outcome.RAN), "node")
        raise Stopped(f"stopped; {kept} finished are kept; run again to go on")
    if result.failures and result.submission is result.frameworks is None:
        raise _failure(result, folder)
    if not result.is_partial:
        _remove_others(folder, result.files)
    found = _answer(result, store, lacking)
    return _with_failure(found, _failure(result, folder)) if result.failures else found


def verdicts(submission: Mapping[str, Any] | None, lacking: Sequence[str] = ()) -> Iterator[tuple[int, str]]:
    """Yield what a result means for the exit code as (exit code, message); the first that is not 0 counts.

    A goal that is surely missed comes before noise, which another run may end. `lacking` names the report formats that
    cannot be rendered here.
    """
    goals = [goal["status"] for goal in submission["constraints"]] if submission else []
    if missed := goals.count("not_met"):
        yield 3, f"{missed} of {_number(len(goals), 'goal')} not met (exit code 3)"
    if submission and submission["measurement"]["noisy"]:
        yield 5, "too noisy to claim anything about speed (exit code 5): try again with --fresh on a quieter machine"
    if undecided := goals.count("inconclusive"):
        yield 0, f"{undecided} of {_number(len(goals), 'goal')} inconclusive: neither shown to be met nor to be missed"
    if name := submission and submission["experiment"]["document"].get("competition"):
        yield 0, f"`pipeline validate` with submission.json says how it stands in the competition {name}"
    for kind in lacking:
        packages, extra = _NEEDS[kind]
        package = next((name for name in packages if importlib.util.find_spec(name) is None), packages[0])
        yield 6, f'report.{kind} is not written, for want of {package}: pip install "tinytorch-pipeline[{extra}]"'


def _make_writable(folder: Path) -> None:
    """Make the folder for the results, before hours are spent on what cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(None, "it cannot be written to")
    except OSError as error:
        raise EnvironmentProblem(
            f"results cannot be written to {folder}: {error.strerror}", hint="choose another folder with --out"
        ) from error


def _remove_others(folder: Path, written: Mapping[str, Path]) -> None:
    """Remove results of earlier runs that this one was not asked for: they would be taken for its own."""
    for name in _RESULTS:
        if folder / name not in written.values():
            with contextlib.suppress(OSError):
                (folder / name).unlink(missing_ok=True)


def _can_render(kind: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in _NEEDS.get(kind, ((), ""))[0])


def _without(experiment: Experiment, formats: list[str]) -> Experiment:
    """Return the experiment without some report formats, so that the others are still written."""
    if not formats:
        return experiment
    wanted = tuple(kind for kind in experiment.outputs.report if kind not in formats)
    return experiment._replace(outputs=experiment.outputs._replace(report=wanted))


def _command(args: argparse.Namespace) -> str:
    """Return the command that repeats this run, without the paths of this machine."""
    file = args.file if not os.path.isabs(args.file) else os.path.basename(args.file)
    given = ("--set", args.set), ("--sweep", args.sweep), ("--use", [os.path.basename(one) for one in args.use])
    overrides = [word for flag, values in given for value in values for word in (flag, value)]
    return shlex.join(["python", "-m", "pipeline", "run", file, *overrides])


def _answer(result: RunResult, store: LocalStore, lacking: list[str]) -> Answer:
    submission = result.submission
    lines = [_count_line(result)]
    points: list[dict[str, Any]] = []
    if submission is not None:
        lines += ["", _rendered(submission, store)]
        if result.ablation is not None:
            lines += ["", _contributions(result.ablation)]
    elif result.frameworks is not None:
        lines += ["", _compared(result.frameworks)]
    elif result.is_partial:
        lines.append("a part was asked for: there is no submission of it")
        points, table = _points(result, store)
        lines += ["", table] if points else []
    if result.files:
        lines += ["", *(f"{name:<11} {safe(str(path))}" for name, path in result.files.items())]
    found = [*verdicts(submission, lacking), *_noise(result.frameworks)]
    exit_code = next((code for code, _ in found if code), 0)
    messages = [*(message for _, message in found), *_damage(result, store), *_stale_kernels()]
    document = {
        "nodes": {outcome.value: result.count(outcome) for outcome in Outcome},
        "points": points,
        "submission": submission,
        "ablation": result.ablation,
        "frameworks": result.frameworks,
        "files": {name: str(path) for name, path in result.files.items()},
        "messages": messages,
        "exit_code": exit_code,
    }
    return Answer("\n".join(lines), document, exit_code, "\n".join(messages))


def _stale_kernels() -> Iterator[str]:
    """Say that the kernels which run, and stand in keys, are not those of the C source that is here."""
    if native.has_newer_source():
        from tinytorch.kernels.build_native import REBUILD, is_stale

        if is_stale(native.build_facts()[0]):
            yield f"warning: the C source of the kernels has changed since they were built; to build them: {REBUILD}"


def _points(result: RunResult, store: LocalStore) -> tuple[list[dict[str, Any]], str]:
    """Return what is known of the points, where there is no submission that says it, and the same as a table."""
    from pipeline.cli.points import point_figures, points_table

    try:
        points = point_figures(result.plan, result.nodes, store)
    except CorruptObject as error:
        raise EnvironmentProblem(f"a stored result is damaged: {error}", hint="run again: it is made again") from error
    return points, points_table(points, columns(), colour=has_colour())


def _damage(result: RunResult, store: LocalStore) -> Iterator[str]:
    """Say that the store was damaged, and that the result is not."""
    if count := len(result.damaged):
        where = safe(str(store.root / "quarantine"))
        yield f"warning: {_number(count, 'damaged file')} of the store moved to {where}; computed again where needed"


def _with_failure(answer: Answer, error: PipelineError) -> Answer:
    """Return the answer of a run in which some points failed: the others' result, and the exit code of the failure."""
    told = "\n  ".join([f"error {error.code}: {error.message}", *error.hint.splitlines()])
    document = {**answer.document, "error": error.to_json(), "exit_code": error.exit_code}
    message = "\n".join([*([answer.message] if answer.message else []), told])
    return Answer(answer.text, document, error.exit_code, safe(message))


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _rendered(submission: dict[str, Any], store: LocalStore) -> str:
    """Return the result table; it is remembered, because rendering takes as long as finding that nothing is to do."""
    width, colour = columns(), has_colour()
    code = CodeDigests(store).module_digest("pipeline.report.terminal")
    name = digest_value([submission, width, colour, code])
    known = store.recall("rendered", name)
    if known is None:
        from pipeline.report.terminal import render

        known = render(submission, width=width, colour=colour)
        store.remember("rendered", {name: known})
    return str(known)


def _contributions(ablation: dict[str, Any]) -> str:
    """Return what each step contributes, as a table; rendering it takes few milliseconds."""
    from pipeline.report.ablation import render

    return render(ablation, width=columns(), colour=has_colour())


def _compared(frameworks: dict[str, Any]) -> str:
    """Return a comparison of frameworks as a table; rendering it takes few milliseconds."""
    from pipeline.report.frameworks_text import render_terminal

    return render_terminal(frameworks, width=columns(), colour=has_colour())


def _noise(frameworks: Mapping[str, Any] | None) -> Iterator[tuple[int, str]]:
    """Say that some comparisons of frameworks claim nothing, because identical code differed."""
    if frameworks and (noisy := sum(row["noisy"] for row in frameworks["rows"])):
        of = f"{noisy} of {_number(len(frameworks['rows']), 'comparison')}"
        yield 5, f"{of} too noisy to claim anything (exit code 5): try again with --fresh on a quieter machine"


def _count_line(result: RunResult) -> str:
    ran, cached = result.count(Outcome.RAN), result.count(Outcome.CACHED)
    total = f"{ran + cached} of {len(result.plan.nodes)}" if result.is_partial else str(ran + cached)
    failed = f", {len(result.failures)} failed" if result.failures else ""
    return f"{total} nodes: {ran} ran, {cached} cached{failed}"


def _failure(result: RunResult, folder: Path) -> PipelineError:
    """Return the error that stands for all failures: the first one's branch decides the exit code."""
    errors = [failed.error for failed in result.failures]
    lines = [f"{failed.node.label}: {in_words(failed.error)}" for failed in result.failures[:_MOST_FAILURES]]
    if (more := len(errors) - len(lines)) > 0:
        lines.append(f"{more} more")
    skipped = result.count(Outcome.SKIPPED)
    not_run = f"{_number(skipped, 'node')} did not run because of this; " if skipped else ""
    hint = f"{not_run}everything finished is kept. Details: {folder / 'run.json'}"
    message, first = "\n".join(lines), errors[0]
    if isinstance(first, PipelineError):
        own = f"{first.hint}\n" if first.hint else ""
        return type(first)(message, code=first.code, hint=f"{own}{hint}")
    if isinstance(first, ImportError | OSError | MemoryError):  # an extra, a full disk, a file without permission
        return EnvironmentProblem(message, hint=hint)
    if isinstance(first, DataFileError):
        return UserError(message, hint=hint)
    return StageFailed(message, hint=hint)
