"""What a submission states beside what came of building it again: data, weights, answers, accuracy, size, steps.

Where processor, libraries and code are those that are stated, everything has to be the same to the last bit. Elsewhere
training ends with other weights, and the answers, the accuracy and the size are judged by the tolerances.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.submission.candidate import Candidate, ModelResult
from pipeline.submission.custom_metrics import custom_metrics
from pipeline.submission.evidence import SIDES
from pipeline.submission.rules.agree import disagreements, shown
from pipeline.submission.verification import Check
from pipeline.submission.verify_table import TOLERANCES

__all__ = ["Case", "Rebuilt", "SPLITS", "UNASKED", "compare_models", "missing_point"]

UNASKED = "it was not asked for"  # why there is no measurement, where nobody wanted one
SPLITS = ("validation", "test")
_SIZES = ("stored_bytes", "parameters", "nonzero_parameters", "macs", "weight_bytes", "bits_per_weight")

_UNSEEN = {True: "none, but losses of tokens", False: "none, but their form"}  # by whether these are texts
_SAME_PERPLEXITY = 1e-9  # of the same losses, summed elsewhere

Answers = Mapping[str, Mapping[str, NDArray[Any]]]


@dataclass(frozen=True)
class Rebuilt:
    """What came of running a submission again.

    `points` has the results of each point by its index, `errors` why others have none. Of the submitted point there are
    the answers and the files of both models, the comparisons of each measurement (`unmeasured` says why there is
    none), and the submission that is made of it alone, where it was measured.
    """

    points: Mapping[int, Candidate]
    errors: Mapping[int, str]
    answers: Answers
    files: Mapping[str, bytes]
    measured: Sequence[Sequence[Mapping[str, Any]]] = ()
    unmeasured: str = ""
    submission: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Case:
    """A valid submission with what was rebuilt of it, the answers in its evidence, and how closely they are compared.

    `is_exact` where nothing is another here that may change bits.
    """

    document: Mapping[str, Any]
    rebuilt: Rebuilt
    answers: Answers = field(default_factory=dict)
    is_exact: bool = True

    @property
    def chosen(self) -> Candidate:
        """The submitted point as it was rebuilt."""
        return self.rebuilt.points[self.document["selection"]["chosen"]]


def missing_point(case: Case) -> Check | None:
    """Return the check that the submitted point could be built at all, if it could not."""
    chosen = case.document["selection"]["chosen"]
    if chosen in case.rebuilt.points:
        return None
    reason = case.rebuilt.errors.get(chosen, "the experiment has no such point")
    message = f"the submitted point could not be built from the embedded experiment: {reason}"
    return Check("V030", "weights", "differs", "experiment.document", "a submission of it", "no result", message)


def compare_models(case: Case) -> Iterator[Check]:
    """Yield the checks of the submitted point, in the order of their ids; `missing_point` found nothing."""
    yield _data(case)
    yield from _weights(case)
    yield from _predictions(case)
    yield from _accuracy(case)
    yield from _perplexity(case)
    yield from _custom_metrics(case)
    yield from _size(case)
    yield _steps(case)


def _data(case: Case) -> Check:
    stated, info = case.document["provenance"]["data"], case.chosen.info
    expected = {
        "name": info["name"],
        "digest": info["digest"],
        "classes": len(info["classes"]),
        "counts": info["counts"],
        "roles": dict(case.chosen.data),
    }
    wrong = list(disagreements(stated, expected, ("provenance", "data")))
    items = " + ".join(str(info["counts"][role]) for role in ("train", *SPLITS))
    return _exactly("V020", "data", wrong, "provenance.data", stated["digest"], f"{info['name']}: {items} items")


def _weights(case: Case) -> Iterator[Check]:
    stated = case.document["provenance"]["weights"]
    tensors = case.document["provenance"].get("tensors", {})
    for side, model in _models(case):
        path, found, expected = f"provenance.weights.{side}", stated[side], model.weights_digest
        name = f"weights, {side}"
        if found == expected:
            size = f"{model.stored_bytes:,} bytes"
            yield Check("V030", name, "same", path, found, expected, f"the rebuilt file has the same {size}")
            continue
        where = _tensors(tensors.get(side), model.metrics.get("tensors", {}))
        if not case.is_exact:
            yield Check("V030", name, "within", path, found, expected, f"other bytes ({where}): the answers decide")
        else:
            message = f"found {found[:16]}…, expected {expected[:16]}…, which training and all steps lead to: {where}"
            yield Check("V030", name, "differs", path, found, expected, message)


def _tensors(stated: Mapping[str, str] | None, rebuilt: Mapping[str, str]) -> str:
    """Return which tensors are others, by the digests that are stated."""
    if not stated:
        return "which tensors is not known, for the submission has no digests of them"
    if lost := sorted(rebuilt.keys() - stated.keys()):
        return f"no tensor {lost[0]!r}"
    if added := sorted(stated.keys() - rebuilt.keys()):
        return f"a tensor {added[0][:80]!r} that the rebuilt model does not have"
    others = [name for name in sorted(rebuilt) if stated[name] != rebuilt[name]]
    if not others:
        return "no tensor is another by its digest, so that these are not the digests of the stated file"
    names = ", ".join(others[:4]) + (f" and {len(others) - 4} more" if len(others) > 4 else "")
    return f"{len(others)} of {len(rebuilt)} tensors {'is' if len(others) == 1 else 'are'} different: {names}"


def _predictions(case: Case) -> Iterator[Check]:
    for side, model in _models(case):
        path, found = f"provenance.predictions.{side}", case.document["provenance"]["predictions"][side]
        name, expected = f"answers, {side}", model.predictions_digest
        counts = {split: len(case.rebuilt.answers[side][split]) for split in SPLITS}
        if found == expected:
            message = f"the same {sum(counts.values()):,} answers ({' + '.join(map(str, counts.values()))} items)"
            yield Check("V032", name, "same", path, found, expected, message)
            continue
        others = _other_answers(case, side)
        is_known = side in case.answers
        told = "; ".join(f"{split}: {text}" for split, (_, text) in others.items())
        told = told or (_UNSEEN["language" in case.document] if is_known else "there is no evidence to see where")
        least = TOLERANCES["answers_equal"]
        near = is_known and all(1 - share >= least for share, _ in others.values())
        if case.is_exact:
            yield Check("V032", name, "differs", path, found, expected, f"other answers: {told}")
        elif near:
            message = f"at least {least:.0%} of the answers are the same (others: {told})"
            yield Check("V032", name, "within", path, found, expected, message)
        else:
            message = f"fewer than {least:.0%} of the answers are the same, also for another machine: {told}"
            yield Check("V032", name, "differs", path, found, expected, message)


def _other_answers(case: Case, side: str) -> dict[str, tuple[float, str]]:
    """Return split -> share of answers, or of labels, that differ from the evidence, and where."""
    if side not in case.answers:
        return {}
    found = {}
    for split in SPLITS:
        for what, key in (("answers", split), ("labels", f"{split}_labels")):
            stated, rebuilt = case.answers[side].get(key), case.rebuilt.answers[side][key]
            if stated is None or stated.shape != rebuilt.shape:
                return {split: (1.0, f"{0 if stated is None else len(stated)} {what} instead of {len(rebuilt)}")}
            others = np.flatnonzero(stated != rebuilt)
            if len(others):
                first = int(others[0])
                text = (
                    f"{len(others)} of {len(rebuilt)} {what}, first item {first}: {stated[first]} for {rebuilt[first]}"
                )
                found[split] = (len(others) / len(rebuilt), text)
                break
    return found


def _accuracy(case: Case) -> Iterator[Check]:
    for side, model in _models(case):
        for split in SPLITS:
            stated, rebuilt = case.document["accuracy"][side][split], model.accuracy(split)
            path = f"accuracy.{side}.{split}.correct"
            found, expected = (f"{one['correct']} of {one['evaluated']}" for one in (stated, rebuilt))
            name = f"accuracy, {side}, {split}"
            if found == expected:
                message = f"{expected} right, {rebuilt['accuracy']:.2%}"
                yield Check("V033", name, "same", path, found, expected, message)
                continue
            gap = abs(stated["accuracy"] - rebuilt["accuracy"])
            is_near = not case.is_exact and gap <= TOLERANCES["accuracy_points"]
            message = f"found {found} right, expected {expected}: {100 * gap:.2f} points"
            yield Check("V033", name, "within" if is_near else "differs", path, found, expected, message)


def _perplexity(case: Case) -> Iterator[Check]:
    """Compare what the losses of all tokens come to, which the answers do not tell."""
    stated, rebuilt = case.document.get("language"), case.chosen.language
    if stated is None and rebuilt is None:
        return
    if stated is None or rebuilt is None:
        found, expected = ("none" if section is None else "those of texts" for section in (stated, rebuilt))
        message = f"found {found}, expected {expected}"
        yield Check("V033", "perplexity", "differs", "language", found, expected, message)
        return
    for side, split in itertools.product(SIDES, SPLITS):
        claimed, here = (section[side][split]["perplexity"] for section in (stated, rebuilt))
        apart = abs(math.log(claimed / here))
        is_near = not case.is_exact and apart <= TOLERANCES["perplexity_share"]
        outcome = "same" if apart < _SAME_PERPLEXITY else "within" if is_near else "differs"
        path, name = f"language.{side}.{split}.perplexity", f"perplexity, {side}, {split}"
        found, expected = f"{claimed:.6g}", f"{here:.6g}"
        message = expected if outcome == "same" else f"found {found}, expected {expected}: {apart:.2%} apart"
        yield Check("V033", name, outcome, path, found, expected, message)


def _custom_metrics(case: Case) -> Iterator[Check]:
    """Compare the metrics of the user's own, which code that was told of computes again."""
    stated = case.document.get("custom_metrics", {})
    rebuilt = custom_metrics(stated, case.rebuilt.answers) if stated and case.rebuilt.answers else {}
    for name, sides in rebuilt.items():
        wrong = list(disagreements(stated[name], sides, ("custom_metrics", name)))
        found, told = stated[name]["optimized"]["test"], f"{sides['optimized']['test']:.4g}, optimized, test"
        yield _exactly("V033", f"metrics, {name}", wrong, f"custom_metrics.{name}", found, told)


def _size(case: Case) -> Iterator[Check]:
    for side, model in _models(case):
        stated = {key: case.document["size"][side][key] for key in _SIZES}
        rebuilt = {key: model.metrics[key] for key in _SIZES}
        path, name = f"size.{side}", f"size, {side}"
        wrong = list(disagreements(stated, rebuilt, ("size", side)))
        if wrong and not case.is_exact and _is_near(stated["stored_bytes"], model.stored_bytes):
            message = f"{stated['stored_bytes']:,} bytes stated, {model.stored_bytes:,} here; {_first(wrong)}"
            yield Check("V034", name, "within", path, stated["stored_bytes"], model.stored_bytes, message)
        else:
            told = f"{model.stored_bytes:,} bytes, {rebuilt['parameters']:,} parameters, {rebuilt['macs']:,} MACs"
            yield _exactly("V034", name, wrong, path, stated["stored_bytes"], told)


def _is_near(found: float, expected: float) -> bool:
    return abs(found - expected) <= TOLERANCES["size_share"] * expected


def _steps(case: Case) -> Check:
    """Check what every step did, in all that the step itself says of it."""
    own = case.rebuilt.submission
    stated, rebuilt = case.document["effects"], own["effects"] if own else case.chosen.effects
    wrong: list[tuple[tuple[str | int, ...], str]] = []
    if len(stated) != len(rebuilt):
        wrong = [(("effects",), f"found {len(stated)} steps, expected {len(rebuilt)}")]
    for i, (found, expected) in enumerate(zip(stated, rebuilt, strict=False)):
        shared = [key for key in expected if key in found]  # what an earlier version did not state is no difference
        one, other = ({key: effect[key] for key in shared} for effect in (found, expected))
        wrong += disagreements(one, other, ("effects", i))
    if own and "training" in own and "training" in case.document:
        wrong += disagreements(case.document["training"], _as_told(case.document, own), ("training",))
    names = ", ".join(effect["technique"] for effect in rebuilt) or "no steps"
    if wrong and not case.is_exact and len(stated) == len(rebuilt):
        message = f"{names}, with other figures here; {_first(wrong)}"
        return Check("V035", "steps", "within", "effects", len(stated), len(rebuilt), message)
    return _exactly("V035", "steps", wrong, "effects", len(stated), names)


def _as_told(document: Mapping[str, Any], own: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return our trainings without what the document's do not tell: an earlier version did not look into them."""
    told = {record["id"]: record for record in document["training"]}
    return [
        {key: value for key, value in record.items() if key in told.get(record["id"], record)}
        for record in own["training"]
    ]


def _models(case: Case) -> Iterator[tuple[str, ModelResult]]:
    yield from zip(SIDES, (case.chosen.baseline, case.chosen.optimized), strict=True)


def _exactly(
    identifier: str, name: str, wrong: Sequence[tuple[tuple[str | int, ...], str]], path: str, found: Any, told: str
) -> Check:
    """Return a check that holds if nothing is wrong; `told` is what is the same then."""
    if not wrong:
        return Check(identifier, name, "same", path, found, found, told)
    place, message = wrong[0]
    value = message.partition("expected ")[2] or shown(None)
    return Check(identifier, name, "differs", _place(place), message, value, _first(wrong))


def _first(wrong: Sequence[tuple[tuple[str | int, ...], str]]) -> str:
    """Return the first of what differs, and how much more there is."""
    place, message = wrong[0]
    return f"{_place(place)}: {message}" + (f", and {len(wrong) - 1} more" if len(wrong) > 1 else "")


def _place(path: Sequence[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:80]}" for part in path)
    return text.removeprefix(".")
