"""One process of the bench `framework`: builds a case, times its sides in turns, prints nanoseconds a call as JSON.

`python -m tests.bench.framework_process CASE SECONDS SEED`.
"""

from __future__ import annotations

import json
import sys

from tests.bench.framework_cases import CASES
from tests.bench.kernel_process import timed

if __name__ == "__main__":
    print(json.dumps(timed(CASES[sys.argv[1]](), float(sys.argv[2]), int(sys.argv[3]))))
