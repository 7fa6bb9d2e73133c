"""What of an experiment goes together: data of a task, and architectures, settings of training, steps and measurements.

Images and texts are read, trained on and compressed by different code (tinytorch.tasks); what only one of the two can
do is found here, before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.config.finding import Finding
from pipeline.config.schema import step_names
from pipeline.core.experiment import JSON
from tinytorch.data import OF_ONE_FILE
from tinytorch.passes import needs, resolve
from tinytorch.tasks import CLASSIFICATION, IMAGE_MODELS, LANGUAGE, TEXT_MODELS, TEXT_PASSES, task_of

__all__ = ["task_findings"]

# Settings of training that only one of the tasks has, with what leaves them as they are.
_TRAINING: dict[str, dict[str, JSON]] = {
    CLASSIFICATION: {"augment": None, "workers": 1},
    LANGUAGE: {"accumulation": None, "warmup": None},
}
_WHAT = {CLASSIFICATION: "images", LANGUAGE: "texts"}
_SCHEDULES = ("constant", "cosine")  # of texts
_OF_TEXTS = ("perplexity",)


def task_findings(
    data: Mapping[str, JSON],
    model: Mapping[str, JSON],
    steps: Sequence[tuple[int, Mapping[str, JSON]]],
    benchmark: Mapping[str, JSON],
    goals: Sequence[JSON],
) -> Iterator[Finding]:
    """Yield what does not go with the data, in one point of an experiment; all values have their defaults filled.

    `steps` are the settings of the steps that take place, with their index.
    """
    task = task_of(data["name"])
    yield from _file(data)
    yield from _architecture(model["arch"], data["name"], task)
    yield from _training(model["train"], task)
    if task == LANGUAGE:
        for index, step in steps:
            yield from _step(index, step)
        yield from _benchmark(benchmark)
    else:
        yield from _goals(goals)
        if benchmark.get("scenario") == "generate":
            message = "generate continues texts, but the data are images"
            yield Finding("E119", ("benchmark", "scenario"), message, "take data: {name: text}, model: {arch: gpt}")


def _file(data: Mapping[str, JSON]) -> Iterator[Finding]:
    name = data["name"]
    if data.get("path") is not None and name not in OF_ONE_FILE:
        yield Finding("E131", ("data", "path"), f"{name} is no single file, so a path means nothing to it", at_key=True)
    if data.get("path") is not None and data.get("root") is not None and name in OF_ONE_FILE:
        yield Finding("E131", ("data", "root"), f"{name} is the file of path: and has no root", at_key=True)


def _architecture(arch: str, dataset: str, task: str) -> Iterator[Finding]:
    """Ours are for one task each; one of the user's own, or in a file, may be for any."""
    if arch in (IMAGE_MODELS if task == LANGUAGE else TEXT_MODELS):
        other = CLASSIFICATION if task == LANGUAGE else LANGUAGE
        fitting = TEXT_MODELS if task == LANGUAGE else IMAGE_MODELS
        message = f"{arch} reads {_WHAT[other]}, but data: {dataset} is {_WHAT[task]}"
        hint = f"architectures for {_WHAT[task]}: {', '.join(sorted(fitting))}"
        yield Finding("E132", ("model", "arch"), message, hint)


def _training(train: Mapping[str, JSON], task: str) -> Iterator[Finding]:
    for other, settings in _TRAINING.items():
        for key, usual in settings.items():
            if other != task and train.get(key, usual) != usual:
                message = f"{key} has no effect here: it is for {_WHAT[other]}"
                yield Finding("E119", ("model", "train", key), message, at_key=True)
    schedule = train["schedule"]
    if task == LANGUAGE and schedule not in _SCHEDULES:
        message = f"schedule: {schedule} is for images; of texts it is {' or '.join(_SCHEDULES)}"
        yield Finding("E114", ("model", "train", "schedule"), message, "warmup: 50 lets the rate rise before it falls")


def _step(index: int, step: Mapping[str, JSON]) -> Iterator[Finding]:
    """Passes that train, or look at accuracy, know images only; those that change weights know any layers."""
    use = next(name for name in step_names() if name in step)
    if use == "custom":
        return
    name = resolve(use, step[use])[0]
    if name == "budget" and step[use]["target"].get("speedup") is not None:
        message = "a language model is timed as a whole, so that no layer's time is known"
        yield Finding("E137", ("optimize", index, use), message, "target: {size_bytes: N}", at_key=True)
    if name in TEXT_PASSES:
        return
    why = "trains on images" if needs(name) >= {"train", "validation"} else "does not know the layers of texts"
    message = f"{name} {why}, and cannot be applied to a language model"
    hint = f"passes for texts: {', '.join(sorted(TEXT_PASSES))}"
    yield Finding("E137", ("optimize", index, use), message, hint, at_key=True)


def _benchmark(benchmark: Mapping[str, JSON]) -> Iterator[Finding]:
    for key, usual in (("harness", "own"), ("peers", [])):
        if benchmark.get(key, usual) not in (usual, tuple(usual)):
            yield Finding("E119", ("benchmark", key), f"{key} is for networks of images, not for texts", at_key=True)


def _goals(goals: Sequence[JSON]) -> Iterator[Finding]:
    for index, goal in enumerate(goals):
        for key in ("metric", "minimize"):
            if isinstance(goal, Mapping) and goal.get(key) in _OF_TEXTS:
                message = f"{goal[key]} is a metric of texts, but the data are images"
                yield Finding("E118", ("goals", index, key), message, "for example data: {name: text}")
