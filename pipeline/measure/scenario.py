"""MLPerf's inference scenarios: what a query is, which figure is asked for, how long a process looks. A table.

Names and meanings are those of the MLCommons inference rules ("Scenarios"): single_stream and multi_stream send the
next query when the last is answered, offline has everything at once, server sends single samples at random times.
generate is not among them: a language model continues texts.
Standard library only: reports read this, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pipeline.measure.job import Phases

__all__ = ["SCENARIOS", "Scenario", "pass_samples", "phases_of", "samples_per_query"]

_PASS_NS = 5_000_000  # long beside the switch of arms, and short enough that arms take turns a dozen times a process
_POOL_BYTES = 16 * 1024**2  # of all queries together, as `draw_queries` has it
_POOL_QUERIES = 4
_P99_QUERIES = 800  # 662 by early stopping (pipeline.stats.percentile), and some for processes that the budget cuts
_OTHERWISE_S = 1.5  # of a process, besides single queries
_PHASES = Phases()


@dataclass(frozen=True)
class Scenario:
    """One line of SCENARIOS.

    `samples_per_query` is None where it is chosen from the speed of the models. `headline` is the percentile of latency
    that the scenario asks for, "throughput", "decode" (tokens after the first by second), or "rate". `no_percentiles`
    says why there are none, "" where there are.
    """

    name: str
    summary: str
    samples_per_query: int | None
    headline: str
    phases: Phases = _PHASES
    no_percentiles: str = ""

    @property
    def is_in_passes(self) -> bool:
        """Whether a query is a pass over as many samples as are worth a measurement."""
        return self.headline == "throughput"


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("single_stream", "one query after the other", None, "p90"),
        Scenario("multi_stream", "queries of 8 samples, one after the other", 8, "p99"),
        Scenario(
            "offline",
            "all samples are there at once",
            None,
            "throughput",
            no_percentiles="offline: all samples are there at once, so that no query has a latency of its own",
        ),
        Scenario("server", "queries arrive at random times", 1, "rate", Phases(0.25, 0.25, 0.0)),
        Scenario("generate", "prompts are continued by new tokens", None, "decode"),
    )
}


def phases_of(name: str, processes: int, budget_s: float) -> Phases:
    """Return how long a process looks: longer where p99 is asked for, which needs 662 queries of all processes."""
    scenario = SCENARIOS[name]
    if scenario.headline != "p99":
        return scenario.phases
    spare_s = budget_s / processes - _OTHERWISE_S
    return replace(
        scenario.phases, latency_s=min(max(spare_s, 0.3), 2.0), tail_least=math.ceil(_P99_QUERIES / processes)
    )


def samples_per_query(name: str, batch_size: int) -> int:
    """Return how many samples a query has; in a scenario that chooses, the samples of one call."""
    return SCENARIOS[name].samples_per_query or batch_size


def pass_samples(batch_size: int, call_ns: float, sample_bytes: int) -> int:
    """Return the samples of one pass of offline: a power of two times the batch size, about 5 ms of work or one call.

    `call_ns` is the time of a call of the slowest arm. Several passes together must fit into the pool of queries.
    """
    calls = min(int(_PASS_NS / max(call_ns, 1.0)), _POOL_BYTES // (_POOL_QUERIES * batch_size * sample_bytes))
    return batch_size << (max(calls, 1).bit_length() - 1)
