"""Run a submission again and say whether it is reproduced: same data, weights, answers and sizes, the same speed-up.

Its experiment is run in a folder that is removed afterwards, with the models, steps and data sets of this installation;
nothing of the submission is executed, and no path in it is followed. Exit codes: 4 something differs or could not be
decided, 5 too noisy to say anything of the speed.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.answer import Answer
from pipeline.cli.console import columns, safe
from pipeline.cli.limits import duration, size
from pipeline.cli.runs import find_submission
from pipeline.cli.use_argument import add_use_argument
from pipeline.core.errors import EnvironmentProblem, PipelineError, Stopped, SubmissionInvalid, TooNoisy, UserError

if TYPE_CHECKING:
    from pipeline.submission.competition.terms import Competition
    from pipeline.submission.verification import Check
    from pipeline.submission.verify_compare import Case
    from pipeline.submission.verify_environment import Here, Other
    from pipeline.submission.verify_record import Subject

__all__ = ["configure", "run"]

_EFFECTS = {"bits": "may change bits", "speed": "may change the speed", "nothing": "changes no figure"}
_SIGNS = {"same": "same", "within": "agrees", "differs": "DIFFERS", "inconclusive": "unclear", "skipped": "skipped"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("submission", metavar="SUBMISSION", help="its file, or the name or folder of a run")
    parser.add_argument(
        "--record", metavar="FILE", help="write what was found as a record, for `leaderboard --verified`"
    )
    parser.add_argument("--competition", metavar="NAME|FILE", help="its competition (default: the one it is made for)")
    parser.add_argument(
        "--root",
        metavar="NAME=PATH",
        action="append",
        default=[],
        help="the folder, or text file, that a data set is read from here",
    )
    parser.add_argument(
        "--point-only", action="store_true", help="build only the submitted point, not all of the sweep"
    )
    parser.add_argument("--no-measure", action="store_true", help="build the models, and do not time them")
    add_use_argument(parser)
    limits = parser.add_argument_group("limits", "a stranger's experiment may take no more")
    limits.add_argument("--timeout", metavar="TIME", type=duration, default=3600.0, help="all of it (default: 1h)")
    limits.add_argument("--memory-limit", metavar="SIZE", type=size, default=4 * 2**30, help="a process (default: 4G)")
    limits.add_argument("--room", metavar="SIZE", type=size, default=8 * 2**30, help="results on disk (default: 8G)")
    limits.add_argument("--workers", metavar="N", type=int, default=1, choices=range(1, 257), help="builds at once")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def run(args: argparse.Namespace) -> Answer:
    """Answer with every check; the exit code is that of the outcome."""
    path = find_submission(args.submission)
    started = time.monotonic()
    if args.record:
        _refuse_record(Path(args.record), path)
    subject = _read(path)
    try:
        subject = _trusted(subject, path)
    except SubmissionInvalid as error:
        _write_invalid(args.record, subject, error, started)
        raise
    competition = _competition(args.competition, path)
    from pipeline.verify import time_limit

    try:
        with time_limit(args.timeout):
            record, checks = _verified(args, subject, path, competition, started)
    except KeyboardInterrupt:
        raise Stopped("interrupted; what was built is removed, and there is no record") from None
    lines = [*_lines(path, record, checks)]
    if args.record:
        _write(Path(args.record), record)
        lines.append(f"record     {args.record}")
    code, message = _ending(record)
    return Answer(safe("\n".join(lines)), record, code, message)


def _read(path: Path) -> Subject:
    """Return what is to be verified, read once; raises UserError if it cannot be read."""
    from pipeline.submission.read import read_bytes
    from pipeline.submission.verify_files import refuse_link
    from pipeline.submission.verify_record import Subject

    refuse_link(path)
    return Subject(read_bytes(path), {}, None)


def _trusted(subject: Subject, path: Path) -> Subject:
    """Return the submission with what it says, recomputed as far as there is evidence; raises if it is not valid."""
    from pipeline.submission.evidence import FILE
    from pipeline.submission.measured import UNMEASURED, is_measured
    from pipeline.submission.read import parse_submission
    from pipeline.submission.trust import trust_in
    from pipeline.submission.validate import check_submission
    from pipeline.submission.verify_files import refuse_link
    from pipeline.submission.verify_record import Subject

    try:
        document = parse_submission(subject.data)
    except SubmissionInvalid as error:
        hint = "verify takes the submission.json that a run wrote, or the name of the run"
        raise SubmissionInvalid(f"{path}: {error.message}", code=error.code, hint=hint) from None
    check_submission(document, str(path))
    if not is_measured(document):
        raise UserError(
            f"{path}: {UNMEASURED}, and does not say how to run it again",
            hint="submit what `pipeline run` writes: version 2 embeds the experiment",
        )
    refuse_link(path.parent / FILE)
    return Subject(subject.data, document, trust_in(document, path))


def _competition(name: str | None, path: Path) -> Competition | None:
    from pipeline.submission.competition.named import made_for
    from pipeline.submission.competition.terms import find_competition

    name = name or made_for(path)
    return find_competition(name) if name else None


def _verified(
    args: argparse.Namespace, subject: Subject, path: Path, competition: Competition | None, started: float
) -> tuple[dict[str, Any], Sequence[Check]]:
    """Run it again, and return the record with the checks that it holds."""
    from pipeline.own.record import check_same_code
    from pipeline.own.use import installed_only_if_told
    from pipeline.submission.verify_compare import Case
    from pipeline.submission.verify_environment import other_environment
    from pipeline.submission.verify_experiment import embedded_experiment
    from pipeline.submission.verify_files import files_beside
    from pipeline.submission.verify_judge import all_checks, is_exact

    document = subject.document
    check_same_code(document["provenance"].get("custom_code", ()))
    installed_only_if_told()
    experiment = embedded_experiment(document, _roots(args.root))
    beside = files_beside(path.parent)
    rebuilt, here = _rebuilt(args, document, experiment)
    others = [other for other in other_environment(document, here) if rebuilt.measured or other.affects != "speed"]
    case = Case(document, rebuilt, _stated_answers(document, path), is_exact(others))
    checks = all_checks(case, experiment, others, beside, competition, only_submitted=args.point_only)
    return _record(args, subject, case, checks, here, others, competition, started), checks


def _rebuilt(args: argparse.Namespace, document: Mapping[str, Any], experiment: Any) -> tuple[Any, Here]:
    from pipeline.cli.progress import Progress
    from pipeline.execute.interrupt import Stop
    from pipeline.execute.limits import Limits
    from pipeline.submission.verify_judge import agrees
    from pipeline.verify import Scope, rebuild, scratch_folder, stated_variables

    scope = Scope(
        document["selection"]["chosen"],
        lambda measured: agrees(document, measured),
        only_submitted=args.point_only,
        is_measured=not args.no_measure,
        room_bytes=args.room,
    )
    limits = Limits("processes", args.workers, timeout_s=args.timeout, memory_limit_bytes=args.memory_limit)
    stated = document["provenance"].get("environment", {})
    with (
        stated_variables(stated),
        scratch_folder() as folder,
        Progress(sys.stderr, quiet=args.quiet) as progress,
    ):
        return rebuild(experiment, scope, folder / "store", limits, progress, Stop())


def _stated_answers(document: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Return the answers in the evidence, which was found to be of its form."""
    from pipeline.submission.evidence import FILE, read_evidence, unpacked

    data = read_evidence(path.parent / FILE) if "evidence" in document else None
    return unpacked(data).predictions if data else {}


def _record(
    args: argparse.Namespace,
    subject: Subject,
    case: Case,
    checks: Sequence[Check],
    here: Here,
    others: Sequence[Other],
    competition: Competition | None,
    started: float,
) -> dict[str, Any]:
    from pipeline.measure.setting import timestamp
    from pipeline.submission.verify_record import make_record, with_speed

    points, measured = case.document["selection"]["points"], case.rebuilt.measured
    scope = {
        "points": "submitted" if args.point_only else "all",
        "rebuilt": len(case.rebuilt.points),
        "listed": len(points),
        "measured": bool(measured),
    }
    here_status = next((check.expected for check in checks if check.id == "V060"), None)
    status = {"name": competition.name, "rules": competition.digest, "status": here_status} if competition else None
    ended = timestamp(), time.monotonic() - started
    record = make_record(subject, checks, here, others, scope, status, ended)
    if not measured:
        return record
    return with_speed(record, case.document["benchmark"]["comparisons"][0], measured[-1][0])


def _roots(given: Sequence[str]) -> dict[str, Path]:
    roots = {}
    for text in given:
        name, sign, folder = text.partition("=")
        if not sign or not name or not Path(folder).exists():
            raise UserError(
                f"--root takes NAME=PATH, a data set and a folder or text file that is there, not {text[:80]!r}"
            )
        roots[name] = Path(folder).absolute()
    return roots


def _lines(path: Path, record: Mapping[str, Any], checks: Sequence[Check]) -> Iterator[str]:
    """Yield the text of the answer: what was run, each check, what is another here, the outcome."""
    from pipeline.own.source import sources
    from pipeline.report.text import wrap

    scope = record["scope"]
    built = f"{scope['rebuilt']} of {scope['listed']} points built again"
    timed = "the submitted one timed" if scope["measured"] else "nothing timed"
    yield f"{path}: {built}, {timed}, {record['seconds']:.1f} s"
    if own := [source.name for source in sources()]:
        yield f"with code that is no part of this installation: {', '.join(own)}"
    yield ""
    rows = _rows(checks)
    width = max(len(name) for _, _, name, _ in rows)
    for outcome, identifier, name, message in rows:
        head = f"{_SIGNS[outcome]:<7}  {identifier}  {name:<{width}}  "
        yield from wrap(f"{head}{message}", columns(), "", " " * len(head))
    if record["environment"]:
        yield ""
        yield from _environment(record["environment"])
    yield ""
    yield f"{record['outcome']}{_meaning(record)}"


def _rows(checks: Sequence[Check]) -> list[tuple[str, str, str, str]]:
    """Return (outcome, id, name, message) of each line: checks of one kind that ended alike share one."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for check in checks:
        name, _, part = check.what.partition(", ")
        alone = sum(other.what.partition(", ")[0] == name for other in checks) == 1
        text = check.message if alone or not part else f"{part}: {check.message}"
        groups.setdefault((check.outcome, check.id, name), []).append(text)
    return [(*group, "; ".join(texts)) for group, texts in groups.items()]


def _environment(others: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    from pipeline.report.text import wrap

    yield "here is another"
    for other in others:
        text = f"  {other['what']}: {other['expected']}, stated {other['found']} ({_EFFECTS[other['affects']]})"
        yield from wrap(text, columns(), "", "    ")


def _meaning(record: Mapping[str, Any]) -> str:
    if record["outcome"] == "reproduced":
        is_exact = all(one["affects"] != "bits" for one in record["environment"])
        exact = "to the last bit" if is_exact else "within the tolerances"
        return f": its models and answers came out again {exact}, and its speed-up agrees"
    wrong = [check for check in record["checks"] if check["outcome"] == record["outcome"]]
    if record["outcome"] == "differs":
        kinds = dict.fromkeys((check["id"], check["what"].partition(", ")[0]) for check in wrong)
        return f": {', '.join(f'{what} ({identifier})' for identifier, what in kinds)}"
    return ": nothing differs, and not all could be decided"


def _ending(record: Mapping[str, Any]) -> tuple[int, str]:
    """Return the exit code and what is said of it on stderr."""
    outcome, speed = record["outcome"], record["speed"]
    if outcome == "reproduced":
        return 0, ""
    if outcome == "differs":
        codes = " ".join(dict.fromkeys(one["id"] for one in record["checks"] if one["outcome"] == "differs"))
        return SubmissionInvalid.exit_code, f"not reproduced (exit code 4); more: pipeline explain {codes}"
    if speed and speed["noisy"]:
        return TooNoisy.exit_code, "too noisy to say anything of the speed (exit code 5): verify on a quieter machine"
    return SubmissionInvalid.exit_code, "neither reproduced nor shown to differ (exit code 4)"


def _refuse_record(record: Path, submission: Path) -> None:
    """Raise UserError for a record that would be written over a submission, or among those of a folder of them."""
    if record.suffix != ".json":
        raise UserError(f"--record writes a .json file, not {record}")
    if record.is_symlink() or record.absolute().parent == submission.absolute().parent:
        raise UserError(
            f"{record} lies beside the submission, where whoever submits could have written it, too",
            hint="name a file in a folder of your own, which `leaderboard --verified` then reads",
        )


def _write_invalid(file: str | None, subject: Subject, error: PipelineError, started: float) -> None:
    if not file:
        return
    from pipeline.measure import machine
    from pipeline.measure.setting import timestamp
    from pipeline.submission.verify_environment import Here
    from pipeline.submission.verify_record import invalid_record

    first = error.problems[0] if error.problems else None
    reason = f"{first.code} {first.yaml_path}: {first.message}" if first else error.message
    ended = timestamp(), time.monotonic() - started
    with contextlib.suppress(EnvironmentProblem):  # that it is invalid is what has to be said
        _write(Path(file), invalid_record(subject, reason, Here(machine.facts(), {}, {}, {}), ended))


def _write(path: Path, record: Mapping[str, Any]) -> None:
    from pipeline.store.objects import write_atomically
    from pipeline.submission.verify_record import dump_record

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, dump_record(record).encode())
    except OSError as error:
        raise EnvironmentProblem(f"{path} cannot be written: {error.strerror}", hint="name another file") from error
