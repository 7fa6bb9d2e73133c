"""What each error code means and what to do about it, for `pipeline explain CODE`. A table, no logic."""

from __future__ import annotations

__all__ = ["EXPLANATIONS"]

# E1xx an experiment file, E2xx other input, E3xx a stage, E4xx a goal, E5xx a submission, E6xx noise, E7xx the
# environment, E9xx a bug of ours: the hundreds follow the branches of pipeline.core.errors. E130 is an interruption.
EXPLANATIONS: dict[str, str] = {
    "E100": "An experiment file has several problems. Each is listed with its own code; explain those.",
    "E101": (
        "An experiment file cannot be read as text. It does not exist, is a folder, cannot be opened, is empty, or is "
        "not UTF-8 text. `pipeline init` writes a commented file to start from."
    ),
    "E102": (
        "A key is given twice in one mapping. YAML readers usually take the last one silently, so that editing the "
        "first has no effect; here it is an error. Remove one of the two."
    ),
    "E103": (
        "A file is too large, nested too deeply, or grows too much when its aliases are expanded. An experiment file "
        "has at most 1 MiB, 40 levels and 50,000 values with aliases expanded; a few lines of nested aliases can stand "
        "for billions of values."
    ),
    "E104": (
        "The text is not YAML. The message says which bracket, quote or line the reader stumbled over; the mistake is "
        "there or just before. Frequent causes: a tab in the indentation, a missing space after a colon, a bracket "
        "that is not closed, and ${name} without quotes inside { }."
    ),
    "E105": (
        "A value or key cannot be part of an experiment. Numbers must be finite and whole numbers at most 2^53; keys "
        "must be words. Text that only looks like a number belongs in quotes."
    ),
    "E106": (
        "A YAML tag (!name) is used. Tags can make a YAML reader construct any object; an experiment file holds plain "
        "values only. Remove the tag."
    ),
    "E107": "An alias (*name) stands inside the value of its own anchor (&name). That value would contain itself.",
    "E108": (
        "The file holds no experiment, but a list, a single value, a submission or a competition. An experiment is "
        "a mapping with name, data, model, optimize."
    ),
    "E110": (
        "A --set or --sweep argument cannot be applied. --set takes path=value, such as optimize.prune.sparsity=0.7 or "
        "optimize[0].prune.sparsity=0.7; --sweep takes path=a,b,c. A path may also be the name of one of vars."
    ),
    "E111": (
        "A key is not known at this place. Unknown keys are never ignored, since a misspelt one would change nothing "
        "silently. The message names the nearest valid key; `pipeline schema print experiment.v1` has all of them."
    ),
    "E112": "A key is missing that has no default. An experiment needs name, data, model and optimize.",
    "E113": (
        "A value is of the wrong kind, such as a text where a number belongs. The reader follows YAML 1.2: 1e-3 is a "
        "number, only true and false are booleans, and no, on and 12:30 are texts."
    ),
    "E114": "A number is out of its range. The message has the range and what the number means.",
    "E115": "A value is not one of the valid words, or a name has characters it cannot have.",
    "E116": "A list, mapping or text is empty, too long, or has the same entry twice.",
    "E117": (
        "A step of `optimize` is not one mapping with one step's name. Write `- prune: {sparsity: 0.5}`, and two steps "
        "as two items of the list."
    ),
    "E118": (
        "A goal has none of the valid forms. They are {metric: NAME, at_least: X}, {metric: NAME, at_most: X}, "
        "{metric: accuracy, max_drop: X}, {metric: perplexity, max_increase: X}, {minimize: NAME} and "
        "{maximize: NAME}. Of several of the last two, the first decides, then the next. Perplexity is for texts."
    ),
    "E119": (
        "A setting has no effect because another setting beside it rules it out, such as momentum with the "
        "optimizer adam, or latency_limit_ms in a scenario other than server. Remove it, or change the other one."
    ),
    "E120": (
        "The condition of a step (`when`) leads nowhere or never holds. It names one of `vars` or the dotted path of a "
        "setting with a value, a list of values, or {not: ...}: `when: {bits: [8, 4]}`. At other points the step is "
        "left out, as if it were not in the file."
    ),
    "E121": 'A reference "${name}" names no variable. Variables are declared under `vars`.',
    "E122": (
        'A reference "${name}" is not a whole value. A variable replaces a value and keeps its type; it is not put '
        "into a text, and the values below `vars` and `sweep` cannot refer to others."
    ),
    "E123": ('A variable is never used, or is called like a section of the file. Use it as "${name}", or remove it.'),
    "E124": (
        "An axis of the sweep leads nowhere, or another one varies the same. An axis is one of `vars` or the dotted "
        "path of a setting of data, model, optimize or benchmark; `exclude` can only name axes that the sweep varies."
    ),
    "E125": (
        "A sweep has more points than `sweep.max_points`. The number is the product of the lengths of all axes (lists "
        "of zip, and samples of random axes, count once), less what is excluded, plus what is included, times the "
        "number of seeds; the message has the sum. Raise max_points if you mean it."
    ),
    "E126": (
        "An entry of `sweep.exclude` excludes nothing, or all entries together exclude every point. The message names "
        "the value that no point has and the nearest one. A value that a random axis could draw is no error."
    ),
    "E127": "Two steps have the same id. Ids name steps in results and must differ.",
    "E128": (
        "The scenario server has no latency_limit_ms. Queries arrive at random times, and the highest rate is searched "
        "for at which 99 % of them are answered within the limit, waiting included; without a limit there is no such "
        "rate. Add benchmark.latency_limit_ms."
    ),
    "E129": (
        "An axis of `sweep.zip` or `sweep.random` cannot be expanded. The lists of zip have one length, since they "
        "advance together. A random axis has exactly one of uniform, log_uniform, integers and choice; its bounds are "
        "[low, high]."
    ),
    "E130": "The command was interrupted. What was finished is kept; the next run goes on from there.",
    "E131": "The dataset's name, root or arguments are wrong. `pipeline list data` shows the datasets and theirs.",
    "E132": "The model's name or arguments are wrong. `pipeline list models` shows the models and theirs.",
    "E133": (
        "A glob of targets, except or per_layer matches no layer the step works on. A step that silently does nothing "
        "is worse than an error; the message lists the layers."
    ),
    "E134": "Steps are in an order that cannot work. Weights that are integers already cannot be pruned or trained.",
    "E135": (
        "A search (`sweep.search`) contradicts itself or the rest of the sweep. It chooses all points itself, so that "
        "grid, zip, random, include and exclude cannot stand beside it; halving needs a resource with min below max."
    ),
    "E136": (
        "The step `custom` names a pass that nobody brought. Passes of your own come from a file's table PASSES, told "
        "of by `--use FILE.py`, or from an installed package's entry points."
    ),
    "E137": (
        "A step does not know the kind of network that the data asks for: passes that train, or that remove whole "
        "units, know networks for images. The hint lists the passes for texts."
    ),
    "E200": "An argument or another input is wrong. The message says which, and the hint what to do.",
    "E201": "The command line is wrong. `pipeline --help` lists the commands, `pipeline COMMAND --help` its options.",
    "E300": "A stage could not do its work. The message names the stage; the run's record has the whole traceback.",
    "E310": "A process that measures died, refused its job or took too long. Nothing it measured is used.",
    "E312": (
        "A log of MLPerf's LoadGen is missing, too large, not what LoadGen writes, or its two logs disagree. Nothing "
        "of that run is used."
    ),
    "E313": (
        "The process that computed a node ended by itself: it crashed, or something killed it, often the system for "
        "want of memory. A node is given three processes; then it is to blame. Fewer --workers leave more memory."
    ),
    "E314": "A node took longer than --timeout allows and was stopped. Nothing of it is kept.",
    "E315": "A node needed more memory than --memory-limit allows. Nothing of it is kept.",
    "E400": "The experiment ran and one of its goals is not met. The report shows by how much.",
    "E500": "A submission breaks its schema or a rule, or computing it again gave another result.",
    "E501": "A submission file cannot be read: it is missing, too large, or not JSON with one object.",
    "E502": "A submission does not follow its schema. The message says where, and what belongs there.",
    "E503": "A submission claims a schema version that does not exist: version 1 has no such key, version 2 says 2.",
    "E504": (
        "A comparison of frameworks (frameworks.json) holds a figure that does not follow from its others: an estimate "
        "is the median of its processes, a verdict follows from interval, noise and the number of comparisons, what "
        "bounds the work from the work, its time and the limits of the machine."
    ),
    "E510": (
        "A competition cannot be read, or does not follow schemas/competition.v1.schema.json. Its limits are plain "
        "JSON Schema, of which only the keywords named there are allowed, so that every limit can be decided. "
        "`pipeline competition new NAME` writes one to start from."
    ),
    "E511": (
        "A competition makes a demand that could not be decided, or that some submissions would slip through: a limit "
        "on what is not in a submission, may be absent or null, or was measured without an interval; or a ranking by "
        "raw durations, which do not compare across machines."
    ),
    "E520": (
        "A record of a verification cannot be read, does not follow schemas/verification.v1.schema.json, or says that "
        "something is reproduced which one of its own checks contradicts. `pipeline verify SUBMISSION --record FILE` "
        "writes records; a folder of them has no other .json files."
    ),
    "E521": (
        "The experiment that a submission embeds could not be run: it is no valid experiment, has more points than a "
        "submission can list, names a file, or a point that its search never draws. A run embeds it as it was read."
    ),
    "E530": (
        "A pull request changes a file that no submission has: outside the folder of submissions, or in it, but in no "
        "team's folder. Competitions, the list of teams and the tool are the organiser's; put other work in a pull "
        "request of its own."
    ),
    "E531": (
        "A pull request hands in for a team that its author does not belong to, or for several. A team's folder is "
        "called like the account, or submissions/OWNERS has a line such as `team-a @ada @grace`, as the base has it."
    ),
    "E532": (
        "A pull request brings what is no plain file of a submission: a link, a submodule, a program, another name "
        "than submission.json, evidence.safetensors or README.md, too deep a folder, or too much at once."
    ),
    "E533": (
        "A pull request changes or removes what was handed in before. That stays as it is: attempts are counted by "
        "what lies there, and a verification names the bytes of a file. Hand in a new submission beside it."
    ),
    "E534": "A submission, or its evidence, has the very bytes of one that was handed in before.",
    "E535": "A submission is one too many of its team, or came before the competition opened or after it closed.",
    "E600": "The machine is too restless to compare anything. Close other programs, or allow more time with budget_s.",
    "E700": "Something outside the experiment is missing, full or not permitted. The message says how to repair it.",
    "E701": (
        "The store cannot be written: its disk is full or read-only, or it does not belong to you. Nothing more is "
        "started then, since no result could be kept; what was finished before is. `pipeline store du` says what takes "
        "room, `gc` and `prune` make some, and --store DIR names another folder."
    ),
    "E900": "A bug of ours. Please report it with the message and the traceback.",
}
