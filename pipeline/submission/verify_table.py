"""The checks of a verification by their ids: what each compares, and what it means if it does not hold. A table."""

from __future__ import annotations

__all__ = ["CHECKS", "TOLERANCES"]

# V00x the submission itself, V02x what goes in, V03x what comes out, V04x the choice, V05x time, V06x a competition
CHECKS: dict[str, str] = {
    "V001": (
        "The submission keeps its schema and all rules. What breaks a rule is not run again: `pipeline validate` lists "
        "every problem, and `pipeline explain` knows each rule."
    ),
    "V002": (
        "The evidence lies beside the submission, so that its figures could be computed again before it was run again. "
        "Without it the speed-up is a claim that no samples support."
    ),
    "V020": (
        "The data are those of this installation: same items in training, validation and test. Other data make other "
        "figures. Where a data set is read from a folder or a text file, `--root NAME=PATH` says which."
    ),
    "V021": (
        "The points listed are all that the embedded experiment asks for, and each, built again, has the accuracy, "
        "size and weights that are stated. A point that was left out or made worse would make another one look chosen."
    ),
    "V030": (
        "The baseline and the optimized model, trained and compressed again with the same seeds, have the same bytes. "
        "Weights that no declared step leads to were changed by hand, trained otherwise, or on other data."
    ),
    "V031": (
        "Model files beside the submission hold the tensors of the rebuilt models; the first tensor that does not is "
        "named, with the place in it."
    ),
    "V032": "Both models give the same answers to the same items as stated, on the validation and the test split.",
    "V033": (
        "As many answers are right as stated, for both models and both splits; perplexities of language models are the "
        "stated ones."
    ),
    "V034": "The stored files have the stated sizes, and as many parameters, non-zeros and multiply-accumulates.",
    "V035": "Every step did to every layer what is stated.",
    "V036": (
        "Where texts are continued: with each kind of cache both models name as many of the uncached baseline's tokens "
        "as is stated."
    ),
    "V040": "Among the points as they were rebuilt, the rule chooses the submitted one, on the validation split.",
    "V050": (
        "The speed-up, measured again here, agrees with the stated one: it lies within the stated interval, widened by "
        "5 %, or above it. If all that is measured lies below that, twice, or the stated ratio is more than 1.5 times "
        "all of it, it differs. On another or a noisy machine, or where the intervals overlap only, it is "
        "inconclusive. Of texts the same holds for the first token."
    ),
    "V051": (
        "On the same processor the models take about the time that is stated, at the best of what was measured; for "
        "texts also to the first token, and with each kind of cache. Times "
        "that were scaled keep their ratio, and meet limits that they did not meet."
    ),
    "V052": "What other runtimes or MLPerf's LoadGen measured is not measured again.",
    "V060": "The competition's limits hold for what was rebuilt and measured here.",
}

# What may differ before it counts, used only where it says so; a record repeats them.
TOLERANCES: dict[str, float] = {
    "speedup_slack": 1.05,  # between sessions on one machine: layouts of memory, clock, chosen kernels
    "speedup_widest": 1.5,  # a stated ratio beyond this times all that is measured here is no matter of noise
    "latency_factor": 3.0,  # a shared machine's clock, and neighbours on the same core: up to 2 was seen
    "answers_equal": 0.98,  # the share of equal answers where processor, libraries or code are others
    "accuracy_points": 0.01,  # by which the share of right answers may then differ
    "perplexity_share": 0.02,  # by which a perplexity may then differ
    "size_share": 0.01,  # by which stored bytes may then differ: sparse storage depends on values
}
