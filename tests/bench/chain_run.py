"""N independent chains of four trivial stages, through the planner, the scheduler, the oracle and a store as they are.

`python -m tests.bench.chain_run STORE CHAINS [CHANGE [EXECUTOR]]` brings the chains up to date, and prints as JSON how
many nodes ran and were cached, how long planning and the rest took, and the peak memory. CHANGE, if not 0, gives the
second stage of the first chain another parameter.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

from pipeline.core.event import Event
from pipeline.core.plan import Draft, Plan, Ref
from pipeline.core.stage import StageInfo
from pipeline.execute.catalog import make_catalog
from pipeline.execute.decide import Oracle
from pipeline.execute.limits import Limits
from pipeline.execute.scheduler import execute_plan
from pipeline.store.local import LocalStore

__all__ = ["CHAIN", "chains"]

CHAIN = ("profile", "optimize", "benchmark", "submit")
# The stage lies with the tests, whose code counts for no key. The modules of the scheduler stand for it: as many as a
# real stage has, and none that takes long to import.
_CODE = ("pipeline.execute.scheduler",)
_STAGES = {name: StageInfo(name, "tests.bench.chain_stage", 1, {"out": "text"}, "") for name in CHAIN}


def chains(oracle: Oracle, count: int, change: int = 0) -> Plan:
    """Return the plan; its nodes stand chain by chain. Their code is that of the scheduler."""
    draft = Draft(make_catalog(oracle.environment)._replace(stages=_STAGES))
    last = ""
    for number in range(count):
        for stage in CHAIN:
            spec = {"number": number + (change if number == 0 and stage == "optimize" else 0), "bits": 8, "rate": 0.5}
            inputs = {} if stage == CHAIN[0] else {"before": Ref(last, "out")}
            last = draft.add(stage, f"chain {number}", spec, inputs)
    return Plan(tuple(node._replace(code_roots=_CODE) for node in draft.nodes.values()), (), last, last)


def _peak_bytes() -> int:
    """Return the most memory that this process has had since it started; `ru_maxrss` counts its parent's, too."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main(arguments: list[str]) -> None:
    """Run the chains."""
    folder, count, change, executor = (*arguments, *("0", "inline")[len(arguments) - 2 :])
    started = time.perf_counter()
    store = LocalStore(Path(folder))
    oracle = Oracle(store, _STAGES)
    plan = chains(oracle, int(count), int(change))
    planned = time.perf_counter()
    ended: Counter[str] = Counter()

    def notice(event: Event) -> None:
        if event.outcome:
            ended[event.outcome.value] += 1

    execute_plan(plan, oracle, notice, Limits(executor=executor))
    store.close()
    times = {"plan_s": planned - started, "run_s": time.perf_counter() - planned}
    print(json.dumps({**ended, **times, "peak_bytes": _peak_bytes()}))


if __name__ == "__main__":
    main(sys.argv[1:])
