"""Which artifact a figure of a submission or an ablation was computed from, and which node of the run made that.

A node is known by the digest of what it gave, which run.json has; where the run was of something else since, or is not
there, the artifact is named without one. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.report.paper_sources import Artifact, Place

__all__ = ["ABLATION", "SUBMISSION", "origins"]

Document = Mapping[str, Any]

SUBMISSION, ABLATION = "submission.json", "ablation.json"
_SIDES = ("baseline", "optimized")
_TIMED = ("benchmark", "machine", "measurement")  # parts of a submission that a measurement gave


def origins(
    documents: Mapping[str, Document], digests: Mapping[str, str], record: Document | None
) -> Callable[[Place], Artifact]:
    """Return a function from a place in the documents to the artifact behind it.

    `digests` are those of the documents' files, `record` is the content of run.json, if there is one.
    """
    made = _made_by(record)
    submission, ablation = documents[SUBMISSION], documents.get(ABLATION)

    def named(name: str, digest: str) -> Artifact:
        return Artifact(name, digest, *made.get(digest, ("", "")))

    def of(place: Place) -> Artifact:
        file, *rest = place
        if file == ABLATION and ablation is not None:
            found = _of_contribution(ablation, tuple(rest))
        else:
            found = _of_submission(submission, ablation, tuple(rest))
        return named(*found) if found else _file(str(file), digests, record)

    return of


def _made_by(record: Document | None) -> dict[str, tuple[str, str]]:
    """Return digest -> label and key of the first node that gave it."""
    made: dict[str, tuple[str, str]] = {}
    for node in record["nodes"] if record else ():
        outputs, key = node.get("outputs"), node.get("key")
        for digest in outputs.values() if isinstance(outputs, dict) else ():
            if isinstance(digest, str) and isinstance(key, str):
                made.setdefault(digest, (node["label"], key))
    return made


def _file(name: str, digests: Mapping[str, str], record: Document | None) -> Artifact:
    """Return a published file as an artifact; a submission is stamped after its node made it: its digest differs."""
    stage = "submit" if name == SUBMISSION else "ablation"
    nodes = [node for node in (record["nodes"] if record else ()) if node.get("stage") == stage]
    known = [node for node in nodes if isinstance(node.get("key"), str)]
    return Artifact(name, digests[name], *((known[-1]["label"], known[-1]["key"]) if known else ("", "")))


def _of_submission(submission: Document, ablation: Document | None, place: Place) -> tuple[str, str] | None:
    provenance = submission["provenance"]
    head, second = place[0], place[1] if len(place) > 1 else ""
    if head in _TIMED or (head, second) == ("comparisons", "speed"):
        return "raw samples", provenance["samples"]
    if head in ("accuracy", "size") and second in _SIDES:
        kind = "predictions" if head == "accuracy" else "weights"
        return f"{kind} of the {second} model", provenance[kind][second]
    if head == "comparisons":
        kind = "predictions" if second == "accuracy" else "weights"
        return f"{kind} of the optimized model", provenance[kind]["optimized"]
    if (head, second) == ("provenance", "data"):
        return "dataset", provenance["data"]["digest"]
    if head == "effects" and isinstance(second, int):
        return _of_step(submission, ablation, second)
    if (head, second) == ("selection", "points") and len(place) > 3 and place[3:4] not in (("speedup",), ("verdict",)):
        point = submission["selection"]["points"][place[2]]
        return f"weights of point {point['label'] or point['index']}", point["weights"]
    return None


def _of_step(submission: Document, ablation: Document | None, number: int) -> tuple[str, str] | None:
    """Return the model that a step made: the last one is submitted, an ablation knows those before it."""
    step = submission["effects"][number]["id"]
    if number == len(submission["effects"]) - 1:
        return "weights of the optimized model", submission["provenance"]["weights"]["optimized"]
    found = ablation["steps"][number]["in_order"] if ablation else None
    return (f"weights after {step}", found["after"]["weights"]) if found else None


def _of_contribution(ablation: Document, place: Place) -> tuple[str, str] | None:
    if place[0] == "steps" and len(place) > 3:
        step, aspect = ablation["steps"][place[1]], str(place[2])
        found, words = step[aspect], f"{step['id']} {aspect.replace('_', ' ')}"
    elif place[0] == "whole" and len(place) > 1:
        found, words, place = ablation["whole"], "all steps", ("", "", *place)
    else:
        return None
    if place[3] == "speed":
        return f"raw samples of {words}", found["speed"]["samples"]
    kind = "weights" if place[3] == "size" or "stored_bytes" in place or "macs" in place else "predictions"
    return f"{kind} of {words}", found["after"][kind]
