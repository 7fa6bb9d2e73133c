"""The command line: one file per command, and this table of them. A command's module is imported when it is called."""

from __future__ import annotations

__all__ = ["COMMANDS"]

# name -> what it does, as `--help` says it; the module is pipeline.cli.<name> with _ for -:
# configure(parser), run(args) -> Answer
COMMANDS: dict[str, str] = {
    "run": "run an experiment: train, optimize, evaluate, benchmark, submit, report",
    "plan": "say what a run would do, and why, without doing it",
    "validate": "check experiment files and submissions",
    "verify": "run a submission again, and say whether it is reproduced",
    "migrate": "bring a submission of version 1 to the keys of version 2",
    "competition": "start, check and list competitions, and rank submissions",
    "leaderboard": "rank a competition's submissions, and write the leaderboard",
    "check-pr": "check a pull request that hands in submissions, and write its comment",
    "status": "say how far an experiment or a run is, and what is left to do",
    "why": "explain what a node depends on and why it ran or would run",
    "sensitivity": "say how much each layer minds being pruned or quantized",
    "ablate": "say what each step contributes, alone and left out",
    "paper": "write an earlier run up as a technical report",
    "show": "show the result of an earlier run",
    "report": "write the report of an earlier run as a page, a table or a picture",
    "compare": "compare two submissions, metric by metric",
    "gate": "hold a run against an earlier submission: slower, less accurate or larger?",
    "history": "say where accuracy, speed-up or size changed over many submissions",
    "store": "look after the store: du, gc, prune, verify",
    "export": "write an earlier run in the format of another tool",
    "convert": "make a network file of an ONNX model, for an experiment to begin with",
    "list": "list models, data, passes or stages",
    "init": "write a commented experiment file to start from",
    "doctor": "check this machine and installation",
    "schema": "print a schema, or the path of its file",
    "explain": "explain an error code",
    "completion": "print the completion of commands and options for a shell",
}
