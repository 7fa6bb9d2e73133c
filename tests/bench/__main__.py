"""Run one benchmark, print its table, say which targets hold; exit with 0 only if all do."""

from __future__ import annotations

import argparse
import importlib
import json
import sys

from tests.bench.target import Target, render, table

BENCHES = {
    "aa": "identical models, on an idle and on a busy machine: the rate of false claims",
    "chains": "chains of four trivial stages, against doit, joblib, Snakemake, redun and DVC",
    "framework": "training and convolution against PyTorch, decoding against llama.cpp and CTranslate2, byte pairs",
    "kernels": "native kernels, against BLAS, onnxruntime, OpenVINO and PyTorch",
    "leaderboard": "10,000 submissions of 2,000 teams: time, memory, the same bytes",
    "power": "a model that is 5 % slower: how often that is found, and how fast",
    "quantization": "what 4 bits cost by method: accuracy, and error of the logits",
    "runners": "a run with nothing to do, against doit, Snakemake and DVC",
    "sweeps": "`plan` of a file with 100, 1,000 and 10,000 points",
    "startup": "start-up of --help, validate and a fully cached run, against importing five modules",
    "workers": "a sweep that only trains, with two workers against one",
}


def main() -> int:
    """Parse the arguments, run the benchmark, report."""
    listing = "\n".join(f"  {name:<12} {summary}" for name, summary in BENCHES.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", epilog=listing, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=sorted(BENCHES))
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--markdown", action="store_true", help="print a table in Markdown")
    args = parser.parse_args()
    bench = importlib.import_module(f"tests.bench.{args.name}")
    targets: list[Target] = bench.run(quick=args.quick)
    if args.json:
        print(json.dumps([target.to_json() for target in targets], indent=2))
    else:
        print(table(targets) if args.markdown else render(targets))
        if told := getattr(bench, "facts", None):
            print(f"\n{told()}")
    return 0 if all(target.holds for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
