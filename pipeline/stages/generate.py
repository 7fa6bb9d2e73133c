"""The generate stage: time how two language models continue texts, for every batch size and thread count.

It gives what the benchmark stage gives, and is apart from it so that code of language models is in no key of others. It
prepares files and prompts; how something is timed is in pipeline/measure, what the samples say in pipeline/stats.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.core.stage import Inputs
from pipeline.measure.generate_run import collect_generate, read_parity, write_prompts
from pipeline.measure.generation import DEFAULTS, generate_arrays, generate_conditions, with_generate
from pipeline.measure.quiet import Patience
from pipeline.measure.sampling import Material
from pipeline.measure.setting import check_threads, measured_machine, timestamp
from pipeline.measure.summary import Question, comparison, measured_under, raw_arrays
from tinytorch.models.language_model import LanguageModel
from tinytorch.serialization import save

__all__ = ["execute"]

_PROTOCOL = "paired-clean/1"
_ARMS = ("baseline", "optimized")


class _Found(NamedTuple):
    """What one comparison came to: its record, raw samples by name, conditions, and what the processes returned."""

    record: dict[str, Any]
    samples: dict[str, NDArray[Any]]
    conditions: dict[str, Any]
    processes: tuple[Mapping[str, Any], ...]


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the benchmark record and every raw sample.

    Raises UserError for models that continue no texts and texts that do not fit them, EnvironmentProblem for more
    threads than cores, WorkerFailed if a worker process dies.
    """
    check_threads(spec["threads"])
    measured_at = timestamp()
    found: list[_Found] = []
    with tempfile.TemporaryDirectory(prefix="generate-") as name:
        folder = Path(name)
        material = Material(
            folder / "baseline.safetensors", folder / "optimized.safetensors", folder / "prompts.npy", folder
        )
        for index, question in enumerate(_questions(spec)):
            if not index:
                _check_room(question, inputs)
                save(inputs["baseline"], material.baseline)
                save(inputs["optimized"], material.optimized)
            found.append(_compared(index, question, inputs, material, Patience(spec["wait_s"], inputs.say)))
    first = found[0].processes[0]
    benchmark = {
        "protocol": _PROTOCOL,
        "measured_at": measured_at,
        "machine": measured_machine(first),
        "clock": first["clock"],
        "comparisons": [one.record for one in found],
        "conditions": [one.conditions for one in found],
    }
    return {"benchmark": benchmark, "samples": {name: array for one in found for name, array in one.samples.items()}}


def _compared(index: int, question: Question, inputs: Inputs, material: Material, patience: Patience) -> _Found:
    try:
        write_prompts(question, inputs["sample"]["ids"], material)
    except ValueError as error:
        raise UserError(f"{error}; lower benchmark.prompt_tokens or take a longer text") from error
    parity = read_parity(question, material)
    collected = collect_generate(question, material, parity, patience)
    runs, busy, waited_s = collected.processes, collected.busy, collected.waited_s
    record = comparison(question, runs, busy, collected.memory, collected.quantities, waited_s, parity["sessions"])
    return _Found(
        with_generate(record, question, runs, parity),
        raw_arrays(index, question, runs) | generate_arrays(index, runs, parity),
        {**measured_under(question, runs, busy, waited_s), "generate": generate_conditions(parity)},
        runs,
    )


def _check_room(question: Question, inputs: Inputs) -> None:
    """Raise UserError unless both models continue texts, and have positions for prompt and new tokens."""
    wanted = (question.prompt_tokens or 0) + (question.new_tokens or 0)
    for arm in _ARMS:
        model = inputs[arm]
        if not isinstance(model, LanguageModel):
            raise UserError(
                f"benchmark.scenario: generate continues texts, but the {arm} model is a {type(model).__name__}",
                hint="take data: {name: text} with model: {arch: gpt}, or another scenario",
            )
        if wanted > model.gpt.max_seq_len:
            raise UserError(
                f"benchmark asks for {question.prompt_tokens} prompt_tokens and {question.new_tokens} new_tokens, "
                f"together {wanted}, but the {arm} model has {model.gpt.max_seq_len} positions",
                hint="lower one of them, or train with a longer data.args.context",
            )


def _questions(spec: Mapping[str, Any]) -> list[Question]:
    """Return what is compared; the first batch size with the first thread count is the primary comparison."""
    texts = {name: spec.get(name, usual) for name, usual in DEFAULTS.items()}
    return [
        Question.of(
            spec,
            spec["scenario"],
            batch_size,
            threads,
            samples_per_query=batch_size * (texts["new_tokens"] - 1),
            **texts,
        )
        for batch_size in spec["batch_sizes"]
        for threads in spec["threads"]
    ]
