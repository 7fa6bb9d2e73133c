"""Questions on reproducibility with what a run says to each: the table QUESTIONS. Pure.

After the Machine Learning Reproducibility Checklist 2.0 (Pineau et al. 2021, "Improving Reproducibility in Machine
Learning Research", JMLR 22, appendix), in our words, with some of our own about timings. An answer is "yes" only where
the submission holds what is asked for; what nobody wrote down is "author", never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from pipeline.core.errors import PipelineError
from pipeline.core.keys import digest_bytes
from pipeline.export.target import Source
from pipeline.submission.evidence import FILE, read_evidence
from pipeline.submission.quantities import quantity

__all__ = ["Answer", "QUESTIONS", "answers"]

Document: TypeAlias = Mapping[str, Any]
Found: TypeAlias = tuple[str, str, tuple[str, ...]]  # status, text, places in the submission (JSON pointers)

_ENERGY = "/benchmark/comparisons/0/arms/optimized/quantities/energy_j"


@dataclass(frozen=True)
class Answer:
    """A question with its answer: `status` is yes, partly, no or author; places are JSON pointers (RFC 6901)."""

    topic: str
    question: str
    status: str
    text: str
    places: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the answer as a JSON object."""
        return {
            "topic": self.topic,
            "question": self.question,
            "status": self.status,
            "answer": self.text,
            "places": list(self.places),
        }


def answers(source: Source) -> tuple[Answer, ...]:
    """Return every question with its answer, by topic; a yes whose places the submission lacks becomes a no."""
    return tuple(
        _held(Answer(topic, question, *ask(source)), source.submission)
        for topic, questions in QUESTIONS.items()
        for question, ask in questions.items()
    )


def _held(answer: Answer, submission: Document) -> Answer:
    places = tuple(place for place in answer.places if _exists(submission, place))
    if answer.places and not places:
        return replace(answer, status="no", text="the submission does not say", places=())
    return replace(answer, places=places)


def _exists(document: Any, pointer: str) -> bool:
    for part in pointer.split("/")[1:]:
        if isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        elif isinstance(document, Mapping) and part in document:
            document = document[part]
        else:
            return False
    return True


def _description(source: Source) -> Found:
    steps = source.submission["optimized"].get("techniques_applied", [])
    model = source.submission["baseline"]["model_name"]
    text = f"the model ({model}) and {len(steps)} steps ({', '.join(steps)}) with every setting"
    return "yes", text, ("/experiment/document/model", "/experiment/document/optimize")


def _assumptions(source: Source) -> Found:
    return "author", "which assumptions the method makes, and where they do not hold", ()


def _complexity(source: Source) -> Found:
    size = source.submission["size"]["optimized"]
    text = (
        f"{size['parameters']:,} parameters, {size['macs']:,} multiply-accumulates a sample, "
        f"{quantity(size['stored_bytes'], 'B')} stored; measured times"
    )
    return "yes", text, ("/size/optimized", "/benchmark/comparisons/0/arms/optimized/median_ns")


def _statistics(source: Source) -> Found:
    data = source.submission["provenance"]["data"]
    return "yes", f"{_counts(data)} images of {data['classes']} classes", ("/provenance/data/counts",)


def _splits(source: Source) -> Found:
    text = "training, validation and test images, each by the SHA-256 of its content"
    return "yes", text, ("/provenance/data/roles", "/experiment/document/data")


def _preprocessing(source: Source) -> Found:
    text = "how pixels become inputs is stored with the splits; whether images were left out before, the author knows"
    return "partly", text, ("/provenance/data/digest",)


def _download(source: Source) -> Found:
    name = source.submission["provenance"]["data"]["name"]
    if name == "digits":
        return "yes", "the data come with the package", ("/provenance/data/name",)
    if name == "synthetic":
        return "yes", "the data are computed from a seed", ("/provenance/data/name", "/experiment/document/data")
    return (
        "author",
        f"where the files of {name} are from; their digest tells whether one has the same",
        ("/provenance/data/digest",),
    )


def _dependencies(source: Source) -> Found:
    versions = source.submission["provenance"]["versions"]
    return "yes", ", ".join(f"{name} {version}" for name, version in versions.items()), ("/provenance/versions",)


def _code(source: Source) -> Found:
    text = "the code of each stage, with all that it imports, by digest; the command runs training and evaluation"
    return "yes", text, ("/provenance/code", "/provenance/command")


def _weights(source: Source) -> Found:
    text = "the networks are named by SHA-256; `pipeline export package` puts the submitted one in a folder to publish"
    return "partly", text, ("/provenance/weights",)


def _results(source: Source) -> Found:
    return "yes", source.submission["provenance"]["command"], ("/provenance/command", "/experiment/digest")


def _hyperparameters(source: Source) -> Found:
    selection = source.submission["selection"]
    text = f"{selection['tried']} point(s) tried, chosen {selection['rule']}"
    return "yes", text, ("/experiment/document/sweep", "/selection/rule", "/selection/points")


def _selection(source: Source) -> Found:
    split = source.submission["selection"]["split"]
    text = f"the point was chosen on the {split} split, the figures are of the test split"
    return "yes" if split == "validation" else "no", text, ("/selection/split",)


def _runs(source: Source) -> Found:
    seeds = source.submission["provenance"]["seeds"]["tried"]
    processes = source.submission["comparisons"]["speed"]["processes"]
    text = f"{len(seeds)} seed(s) of training ({', '.join(map(str, seeds))}), {processes} processes of timing"
    status = "yes" if len(seeds) > 1 else "partly"
    rest = "" if len(seeds) > 1 else "; how much another seed would change is not known"
    return status, text + rest, ("/provenance/seeds", "/comparisons/speed/processes")


def _measures(source: Source) -> Found:
    comparisons = source.submission["comparisons"]
    text = f"accuracy: {comparisons['accuracy']['test']}; speed: {comparisons['speed']['speedup']['method']}"
    return "yes", text, ("/comparisons/accuracy/test", "/comparisons/speed/speedup/method", "/measurement/protocol")


def _variation(source: Source) -> Found:
    confidence = source.submission["comparisons"]["speed"]["speedup"]["confidence"]
    text = f"accuracy, times and speed-up have intervals of {confidence:.0%}"
    return "yes", text, ("/comparisons/accuracy/interval", "/comparisons/speed/speedup/interval")


def _runtime(source: Source) -> Found:
    seconds: list[Any] = [node.get("seconds") for node in source.nodes]
    known = [float(value) for value in seconds if type(value) in (int, float) and value >= 0]
    arm = source.submission["benchmark"]["comparisons"][0]["arms"]["optimized"]
    energy = arm.get("quantities", {}).get("energy_j")
    reason = arm.get("quantity_reasons", {}).get("energy_j", "not asked for")
    joule = f"energy is not known ({reason})" if energy is None else f"{quantity(energy, 'J')} a query"
    if not known:
        return "no", f"the run's record has no times; {joule}", ()
    text = f"{sum(known):.1f} s in {len(known)} nodes (run.json, in this run or an earlier one); {joule}"
    return "partly" if energy is None else "yes", text, (_ENERGY,) if "quantities" in arm else ()


def _machine(source: Source) -> Found:
    machine = source.submission["machine"]
    text = f"{machine['cpu']}, {machine['cores']['allowed']} cores, {machine['system']} {machine['kernel']}"
    return "yes", text, ("/machine",)


def _raw(source: Source) -> Found:
    evidence = source.submission.get("evidence")
    if evidence is None:
        return "no", "the submission names no evidence", ()
    text = f"every timed sample and every answer, {quantity(evidence['size_bytes'], 'B')}, named by SHA-256"
    if _digest_beside(source, evidence["file"]) != evidence["digest"]:
        return "partly", f"{text}; that file is not beside the submission", ("/evidence",)
    return "yes", text, ("/evidence",)


def _control(source: Source) -> Found:
    speed = source.submission["comparisons"]["speed"]
    low, high = speed["control"]["interval"]
    text = f"identical code against itself: {quantity(speed['control']['estimate'], 'ratio')} [{low:.3f}, {high:.3f}]"
    return "no" if speed["noisy"] else "yes", text, ("/comparisons/speed/control", "/comparisons/speed/noisy")


def _nothing_hidden(source: Source) -> Found:
    comparison = source.submission["benchmark"]["comparisons"][0]
    failed = len(source.submission["selection"].get("failed", []))
    warned = len(source.submission["warnings"])
    text = f"{comparison['dropped']} samples dropped, {failed} points failed, {warned} warnings"
    return "yes", text, ("/benchmark/comparisons/0/dropped", "/warnings")


def _ethics(source: Source) -> Found:
    return "author", "intended use, licence, and effects on people", ()


def _digest_beside(source: Source, name: str) -> str | None:
    """Return the SHA-256 of a file beside the submission, None if there is none that is evidence."""
    if source.folder is None or name != FILE:
        return None
    try:
        data = read_evidence(source.folder / name)
    except PipelineError:
        return None
    return None if data is None else digest_bytes(data)


def _counts(data: Document) -> str:
    pairs: Iterable[tuple[str, int]] = sorted(data["counts"].items())
    return ", ".join(f"{count:,} {split}" for split, count in pairs)


QUESTIONS: dict[str, dict[str, Callable[[Source], Found]]] = {
    "Model and method": {
        "Are the model and the method described?": _description,
        "Are assumptions explained?": _assumptions,
        "Is the cost in time and space analysed?": _complexity,
    },
    "Data": {
        "Are the data's statistics given?": _statistics,
        "Are the splits specified?": _splits,
        "Are exclusions and preprocessing explained?": _preprocessing,
        "Can the data be obtained?": _download,
    },
    "Code": {
        "Are dependencies specified?": _dependencies,
        "Is there code for training and evaluation?": _code,
        "Are trained models available?": _weights,
        "Is there a command that gives the results?": _results,
    },
    "Experiments": {
        "Are the settings that were tried, and how one was chosen, given?": _hyperparameters,
        "Was the test split kept out of the choice?": _selection,
        "Is the number of training and evaluation runs given?": _runs,
        "Are measures and statistics defined?": _measures,
        "Do results come with their variation?": _variation,
        "Are run time and energy given?": _runtime,
        "Is the machine described?": _machine,
    },
    "Measurements": {
        "Are the raw measurements published?": _raw,
        "Does the measurement find nothing where there is nothing?": _control,
        "Is it said what was dropped, and what failed?": _nothing_hidden,
    },
    "Use": {"Are intended use and limits to it stated?": _ethics},
}
