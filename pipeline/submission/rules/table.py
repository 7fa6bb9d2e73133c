"""The rules by their ids: what each asks for, why, and what to do. A table, no logic."""

from __future__ import annotations

__all__ = ["RULES"]

_AGAIN = "Run the experiment again and submit the files as they were written."

# R01x the evidence itself, R02x speed, R03x accuracy and size, R04x limits and choice, R05x origin
RULES: dict[str, str] = {
    "R010": (
        "The file of evidence is the one that the submission names: same size, same SHA-256. Another file proves "
        f"nothing about these figures. {_AGAIN}"
    ),
    "R011": (
        "The evidence holds the samples, answers and conditions that figures are computed from, in their form: whole "
        "positive numbers, arms of the same length, a record for each comparison, and nothing else. " + _AGAIN
    ),
    "R012": (
        "No two series of samples are the same, and none stands still: real measurements never repeat each other. "
        "Copied samples make a figure look surer than it is. " + _AGAIN
    ),
    "R013": (
        "Samples are long enough for the clock: half of each arm's last at least 100 times its resolution, a tenth of "
        "what the protocol asks for, and no thread ran longer than the wall clock says. Shorter times are those of "
        "the clock, not of the model."
    ),
    "R014": (
        "The digests of samples and predictions in `provenance` are those of the arrays in the evidence, stored as a "
        "run stores them. " + _AGAIN
    ),
    "R015": (
        "Each process was warmed up for two windows at least, and took no longer than it ran: its samples sum to at "
        "most the time between its first and its last look at the machine. " + _AGAIN
    ),
    "R020": (
        "Location, spread and interval of each arm's times are those of its undisturbed samples. They are computed "
        "again from the evidence with the functions that a run uses; write what the samples say."
    ),
    "R021": (
        "Percentiles and their intervals are those of the single queries, and each has as many as MLPerf's early "
        "stopping asks for: 11 for p50, 64 for p90, 662 for p99, 6,636 for p99.9. With fewer it is null with a reason."
    ),
    "R022": "Throughput and its interval are those of the undisturbed samples: samples of a query over its mean time.",
    "R023": (
        "The speed-up and the control are the ratios of paired samples with their intervals: median of log ratios, by "
        "copy and process, hull of Student's t and bootstrap, widened where identical code differed."
    ),
    "R024": (
        "The verdict on the speed, whether it is noisy, the counts of pairs, drops, processes and loops, and the "
        "warnings follow from the samples and the conditions under which they were taken."
    ),
    "R025": "The rates of a server, their intervals and the queries over the limit are those of the trials.",
    "R026": (
        "The figures in the course's format (`baseline`, `optimized`, `improvements`) are those of the comparison, the "
        "accuracy and the size, in its units: milliseconds and MiB."
    ),
    "R027": "`comparisons.speed` repeats the first comparison of the benchmark, with the verdict among all points.",
    "R028": (
        "What was measured is what the embedded experiment asks for: scenario, batch size, threads, processes, "
        "threshold, budget, and the seed of the submitted point, which also draws the bootstrap."
    ),
    "R029": (
        "In the scenario generate times to first token, tokens per second and ratios are those of the samples, and the "
        "counts of equal tokens those of the texts in the evidence."
    ),
    "R030": (
        "Every accuracy is correct over evaluated with Wilson's interval, and the counts are those of the predictions "
        "and labels in the evidence."
    ),
    "R031": (
        "The comparison of accuracies is McNemar's test and Bonett and Price's interval on the same items: both models "
        "were asked the same labels."
    ),
    "R032": "Sizes agree with each other: ratio, verdict, bits per weight, and the bytes before and after each step.",
    "R033": (
        "Each step's account adds up: its layers sum to its totals, and a step begins with what the step before left. "
        "The first begins with the baseline, the last ends with the optimized model."
    ),
    "R034": "A technique is listed if its step changed something, in the order of the steps.",
    "R035": (
        "The accuracy after each step is a number of right answers with Wilson's interval, the change leads from one "
        "step to the next, and the last step's is that of the optimized model."
    ),
    "R036": "Each step has an id of its own, and what learned something is the baseline (`train`) or one of the steps.",
    "R037": (
        "Perplexities are e to the mean loss of the tokens in the evidence, with the interval of batch means; bits per "
        "byte, the ratio of both models and how far they agree follow from the same losses and answers. Data that are "
        "a text have them; no loss is above log V where the likeliest of V tokens is right, nor below log 2 where not."
    ),
    "R040": (
        "`constraints` has every limit of the embedded experiment, decided on the test split at the bound of the "
        "figure's interval."
    ),
    "R041": (
        "The chosen point in `selection` has the figures of the submission, its limits read on validation; of every "
        "point the accuracies are right answers over the items of the split, with Wilson's interval."
    ),
    "R042": "A point is chosen on the validation split. The test split plays no part, or its accuracy is a lucky one.",
    "R043": (
        "The chosen point is the one that the rule chooses among the points listed, and the rule is the one that the "
        "experiment's goals ask for."
    ),
    "R050": (
        "The digest of the embedded experiment is that of its document, wherever it is written, and its name is the "
        "one in it. `python -m pipeline run` computes it from the resolved document."
    ),
    "R051": "The chosen point's weights are those of the submission, and files of two sizes have two digests.",
    "R052": (
        "Training, validation and test data are different, their digests too, and as many items were evaluated as a "
        "split has, with labels among the dataset's classes."
    ),
    "R053": ("The submission's moment is that of its measurement, and none lies in the future by more than a day."),
    "R054": "The submitted seed is one of the experiment's, was tried, and is that of the chosen point.",
    "R055": "Versions and platform are those of the machine that is described.",
    "R057": "Every warning of the benchmark and of the steps is repeated in `warnings`: none is left out.",
    "R058": (
        "The competition whose rules `provenance` names is the one that the embedded experiment is made for. That its "
        "rules have changed since is said by `validate --competition`, and breaks nothing."
    ),
    "R059": (
        "Models, data sets and passes that are no part of this installation are somebody's own: "
        "`provenance.custom_code` names the code that brought them, with its files' digests, and a warning says so."
    ),
}
