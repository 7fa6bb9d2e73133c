"""What verification makes of ratios, of other machines, of other bits and of experiments that nobody should run."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import SubmissionInvalid, UserError
from pipeline.core.stage import Inputs
from pipeline.store.codecs import arrays
from pipeline.submission.candidate import Candidate
from pipeline.submission.competition.terms import Competition, competition_from, find_competition
from pipeline.submission.gather import gather
from pipeline.submission.language import language_section
from pipeline.submission.verify_compare import Case, Rebuilt, compare_models
from pipeline.submission.verify_environment import Here, Other, other_environment
from pipeline.submission.verify_experiment import embedded_experiment, unlike_listed
from pipeline.submission.verify_files import difference_of, files_beside
from pipeline.submission.verify_judge import elsewhere, is_exact, limits_check
from pipeline.submission.verify_speed import agreement, first_token_check, latency_check, speed_check
from pipeline.submission.verify_table import CHECKS, TOLERANCES
from pipeline.submission.verify_texts import tokens_check
from tests.pipeline.verify.conftest import Forger

Document = dict[str, Any]


def comparison(estimate: float, low: float, high: float, *, noisy: bool = False, median: float = 1000.0) -> Document:
    return {
        "speedup": {"estimate": estimate, "interval": [low, high]},
        "noisy": noisy,
        "scenario": "single_stream",
        "batch_size": 1,
        "threads": 1,
        "arms": {arm: {"median_ns": median} for arm in ("baseline", "optimized")},
    }


STATED = comparison(10.0, 9.0, 11.0)


@pytest.mark.parametrize(
    ("here", "outcome"),
    [
        (comparison(10.1, 9.9, 10.3), "within"),
        (comparison(12.5, 12.0, 13.0), "within"),  # faster than stated is no forgery
        (comparison(8.0, 7.8, 8.2), "differs"),
        (comparison(8.0, 7.0, 9.5), "inconclusive"),
        (comparison(5.0, 1.0, 30.0, noisy=True), "inconclusive"),
    ],
)
def test_a_ratio_is_judged_by_where_the_measured_one_lies(here: Document, outcome: str) -> None:
    """Within or above the stated interval agrees; all below it differs; what reaches into it decides nothing."""
    assert agreement(STATED, here).outcome == outcome


def test_a_wide_interval_excuses_no_estimate() -> None:
    """A stated 10x in an interval from 1x on is not confirmed by 2x."""
    wide = comparison(10.0, 1.0, 30.0)
    assert agreement(wide, comparison(2.0, 1.9, 2.1)).outcome == "differs"
    assert agreement(wide, comparison(6.0, 4.0, 9.0)).outcome == "inconclusive"


def test_a_submission_that_claims_nothing_is_not_confirmed() -> None:
    """Stated noise stays inconclusive, however quiet it is here."""
    assert agreement(comparison(10.0, 9.0, 11.0, noisy=True), STATED).outcome == "inconclusive"


def test_only_a_difference_that_is_found_twice_counts() -> None:
    """One measurement that agrees is enough to accuse nobody."""
    low, fine = comparison(8.0, 7.8, 8.2), comparison(10.0, 9.9, 10.1)
    assert speed_check(0, STATED, [low, low], "").outcome == "differs"
    assert speed_check(0, STATED, [low, fine], "").outcome == "inconclusive"
    assert speed_check(0, STATED, [comparison(8, 7, 9.5), fine], "").outcome == "within"


def test_elsewhere_another_ratio_is_no_difference() -> None:
    """On another processor the same models have another ratio, and times do not compare."""
    low = comparison(8.0, 7.8, 8.2, median=9000.0)
    check = speed_check(0, STATED, [low, low], "processor is another one here")
    assert (check.outcome, "processor is another one here" in check.message) == ("inconclusive", True)
    assert latency_check(0, STATED, [low], "processor is another one here").outcome == "skipped"
    assert latency_check(0, STATED, [low], "").outcome == "differs"


def here_like(document: Document, **changes: Any) -> Here:
    provenance = document["provenance"]
    facts = Here(document["machine"], provenance["versions"], provenance["code"], provenance["environment"])
    return dataclasses.replace(facts, **changes)


def test_nothing_is_another_where_all_facts_are_the_same(forger: Forger) -> None:
    """Then everything has to be the same to the last bit."""
    assert other_environment(forger.honest, here_like(forger.honest)) == []


def test_what_training_depends_on_is_taken_from_the_run_not_from_the_benchmark(forger: Forger) -> None:
    """Another BLAS in training may change bits; another one while timing only the speed."""
    trained = here_like(forger.honest, environment={**forger.honest["provenance"]["environment"], "blas": "other"})
    timed = here_like(forger.honest, machine={**forger.honest["machine"], "blas": ["other 1.0"]})
    assert [(each.what, each.affects) for each in other_environment(forger.honest, trained)] == [
        ("BLAS of training", "bits")
    ]
    found = other_environment(forger.honest, timed)
    assert [(each.what, each.affects) for each in found] == [("BLAS", "speed")]
    assert is_exact(found)
    assert elsewhere(found) == "BLAS is another one here"


def test_a_submission_without_environment_is_judged_by_its_machine(forger: Forger) -> None:
    """An earlier one states only the machine that timed."""
    document = copy.deepcopy(forger.honest)
    del document["provenance"]["environment"]
    here = here_like(forger.honest, machine={**document["machine"], "flags": ["avx2"]})
    (found,) = other_environment(document, here)
    assert (found.what, found.expected, found.affects) == ("instruction sets", "none of them", "bits")


def test_steps_that_read_measured_times_need_not_repeat(forger: Forger) -> None:
    """A budget of time is kept by other layers where layers take other times."""
    assert not is_exact(other_environment(forger.honest, here_like(forger.honest, is_timed=True)))


@pytest.fixture
def case(forger: Forger) -> Case:
    """The honest submission beside itself."""
    i = forger.chosen
    gathered: Candidate = gather_chosen(forger)
    answers = {side: forger[f"predictions.{side}.{i}"] for side in ("baseline", "optimized")}
    return Case(forger.honest, Rebuilt({i: gathered}, {}, answers, {}), answers)


def gather_chosen(forger: Forger) -> Candidate:
    run = next(run for run in forger.spec["runs"] if run["index"] == forger.chosen)
    return gather(run, Inputs(forger.artifacts))


def with_other_answers(case: Case, count: int, *, exact: bool) -> Case:
    """The case with other weights here, and so many other answers on the test split."""
    chosen = case.chosen
    model = dataclasses.replace(chosen.optimized, weights_digest="0" * 64, predictions_digest="1" * 64)
    answers = {side: {name: array.copy() for name, array in found.items()} for side, found in case.answers.items()}
    test = answers["optimized"]["test"]
    test[:count] = (test[:count] + 1) % 10
    rebuilt = dataclasses.replace(case.rebuilt, points={chosen.index: dataclasses.replace(chosen, optimized=model)})
    return dataclasses.replace(case, rebuilt=dataclasses.replace(rebuilt, answers=answers), is_exact=exact)


@pytest.mark.parametrize(
    ("count", "exact", "outcome"), [(3, True, "differs"), (3, False, "within"), (20, False, "differs")]
)
def test_other_answers_are_tolerated_elsewhere_only_and_in_small_number(
    case: Case, count: int, exact: bool, outcome: str
) -> None:
    """98 % of the answers have to be the same, also where training rounds otherwise."""
    assert 3 / 359 < 1 - TOLERANCES["answers_equal"] < 20 / 359
    checks = {check.what: check for check in compare_models(with_other_answers(case, count, exact=exact))}
    assert checks["answers, optimized"].outcome == outcome
    assert checks["answers, baseline"].outcome == "same"
    assert f"{count} of 359 answers" in checks["answers, optimized"].message


def test_losses_alone_are_no_other_answers(case: Case) -> None:
    """Elsewhere losses differ in their last digits, of which answers know nothing; here not one may."""
    for exact, outcome in ((False, "within"), (True, "differs")):
        checks = {check.what: check for check in compare_models(with_other_answers(case, 0, exact=exact))}
        assert checks["answers, optimized"].outcome == outcome


def of_texts(worse: float) -> Document:
    """Return what two language models say whose losses are around 2 nats, and `worse` more."""
    rng = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {}
    for split in ("validation", "test"):
        losses = rng.normal(2.0 + worse, 0.1, (20, 10)).astype(np.float32)
        found |= {split: np.zeros(200, np.int64), f"{split}_labels": np.zeros(200, np.int64)}
        found |= {f"{split}_losses": losses, f"{split}_bytes": np.full(20, 30)}
    section = language_section({"baseline": found, "optimized": found})
    assert section is not None
    return section


@pytest.mark.parametrize(
    ("worse", "exact", "outcome"),
    [(0.0, True, "same"), (0.01, False, "within"), (0.01, True, "differs"), (0.05, False, "differs")],
)
def test_perplexities_are_those_of_the_models_that_were_built(
    case: Case, worse: float, exact: bool, outcome: str
) -> None:
    """Elsewhere 2 % are tolerated; answers alone would not tell."""
    chosen = dataclasses.replace(case.chosen, language=of_texts(worse))
    rebuilt = dataclasses.replace(case.rebuilt, points={chosen.index: chosen})
    document = {**case.document, "language": of_texts(0.0)}
    found = dataclasses.replace(case, document=document, rebuilt=rebuilt, is_exact=exact)
    assert {check.outcome for check in compare_models(found) if check.what.startswith("perplexity")} == {outcome}


@pytest.mark.parametrize("is_stated", [True, False])
def test_perplexities_of_what_is_no_text(case: Case, is_stated: bool) -> None:
    """Differ, as do those that are not stated."""
    chosen = dataclasses.replace(case.chosen, language=None if is_stated else of_texts(0.0))
    document = {**case.document, **({"language": of_texts(0.0)} if is_stated else {})}
    rebuilt = dataclasses.replace(case.rebuilt, points={chosen.index: chosen})
    checks = compare_models(dataclasses.replace(case, document=document, rebuilt=rebuilt, is_exact=False))
    assert [check.outcome for check in checks if check.what == "perplexity"] == ["differs"]


def told_of_training(case: Case, stated: list[Document]) -> str:
    """Return what is made of trainings that are told like this, beside those of the run."""
    honest = dict(case.document)
    rebuilt = dataclasses.replace(case.rebuilt, submission=honest)
    checks = compare_models(dataclasses.replace(case, document={**honest, "training": stated}, rebuilt=rebuilt))
    return next(check.outcome for check in checks if check.id == "V035")


def test_what_was_seen_inside_a_training_has_to_be_the_same(case: Case) -> None:
    """A look that was embellished differs; that nobody looked, as in earlier versions, is no difference."""
    honest = case.document["training"]
    assert told_of_training(case, honest) == "same"
    embellished = copy.deepcopy(honest)
    embellished[0]["inspection"]["points"][-1]["loss"] = 0.001
    assert told_of_training(case, embellished) == "differs"
    unseen = [{key: value for key, value in record.items() if key != "inspection"} for record in honest]
    assert told_of_training(case, unseen) == "same"


def changed(document: Document, change: Document) -> Document:
    experiment = document["experiment"]
    return {**document, "experiment": {**experiment, "document": {**experiment["document"], **change}}}


def test_the_embedded_experiment_has_the_points_that_are_listed(forger: Forger) -> None:
    """Building the embedded document again gives the very points of the run."""
    experiment = embedded_experiment(forger.honest, {})
    assert [run.label for run in experiment.runs] == ["bits=8", "bits=4"]
    assert list(unlike_listed(forger.honest, experiment)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sweep": {"grid": {"bits": [8, 4], "model.train.lr": [i / 1e6 for i in range(1, 4000)]}}}, "points"),
        ({"model": {"arch": "os.system"}}, "no architecture"),
        ({"optimize": [{"run": {"code": "import os"}}]}, "unknown key"),
        ({"data": {"name": "digits", "args": {"file": "/etc/passwd"}}}, "file"),
    ],
)
def test_an_experiment_that_could_do_harm_is_not_run(forger: Forger, change: Document, message: str) -> None:
    """It is refused before anything is built, with every problem."""
    with pytest.raises(SubmissionInvalid) as error:
        embedded_experiment(changed(forger.honest, change), {})
    assert error.value.problems
    assert message in " ".join(problem.message for problem in error.value.problems)


def test_data_are_read_only_from_folders_that_were_named(forger: Forger, tmp_path: Path) -> None:
    """The folder in the submission is never looked at."""
    document = changed(forger.honest, {"data": {"name": "mnist", "root": "/secret", "args": {}}})
    with pytest.raises(UserError, match="the data set mnist is read from a folder"):
        embedded_experiment(document, {})
    experiment = embedded_experiment(document, {"mnist": tmp_path})
    assert {run.data.root for run in experiment.runs} == {str(tmp_path)}


def test_a_changed_value_of_a_file_is_found() -> None:
    """The tensor, the place and both values are named; what has the same bits is the same."""
    weights = np.arange(6, dtype=np.float32).reshape(2, 3)
    other = weights.copy()
    other[1, 2] = np.nan
    encode = arrays.encode
    expected = {"a.weight": weights, "a.bias": np.array([np.nan, -0.0], np.float32)}
    told = difference_of(encode({**expected, "a.weight": other}), encode(expected))
    assert told == "a.weight[1, 2] is nan, expected 5.0"
    assert "header" in difference_of(encode(expected), encode(expected))
    assert "a.weight is float32[6], expected float32[2, 3]" in difference_of(
        encode({**expected, "a.weight": weights.reshape(-1)}), encode(expected)
    )
    assert "no safetensors file" in difference_of(b"nothing", encode(expected))


def test_a_model_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """It could lead out of the folder."""
    (tmp_path / "optimized.safetensors").symlink_to("/etc/passwd")
    with pytest.raises(SubmissionInvalid, match="is a link"):
        files_beside(tmp_path)


def test_every_check_is_explained() -> None:
    """An id stands for a sentence that says what is compared."""
    assert all(text.endswith(".") and len(text) > 40 for text in CHECKS.values())
    assert sorted(CHECKS) == list(CHECKS)


@pytest.fixture
def competition(forger: Forger) -> Competition:
    """tiny_digits for the small network, with a limit on the accuracy that it keeps."""
    schema = copy.deepcopy(dict(find_competition("tiny_digits").schema))
    terms, document = schema["x-competition"], forger.honest["experiment"]["document"]
    terms["baseline"]["experiment"] = {key: document[key] for key in ("data", "model")}
    terms["protocol"] |= {"least_processes": 2, "least_pairs": 1}
    least = forger.honest["accuracy"]["optimized"]["test"]["interval"][0] - 0.01
    limit: Document = {"minimum": least}
    for part in ("accuracy", "test", "optimized", "accuracy"):
        limit = {"properties": {part: limit}}
    return competition_from({**schema, "properties": limit["properties"]}, "x.json")


@pytest.mark.parametrize(
    ("accuracy", "noisy", "outcome"), [(1.0, False, "within"), (0.5, False, "differs"), (0.5, True, "inconclusive")]
)
def test_a_limit_that_is_kept_by_its_statement_only_is_not_kept(
    case: Case, competition: Competition, accuracy: float, noisy: bool, outcome: str
) -> None:
    """What was rebuilt and measured here is held against the competition's limits, too."""
    own = copy.deepcopy(dict(case.document))
    record = own["accuracy"]["optimized"]["test"]
    record["accuracy"] *= accuracy
    record["interval"] = [bound * accuracy for bound in record["interval"]]
    measured = [[{**own["benchmark"]["comparisons"][0], "noisy": noisy}]]
    rebuilt = dataclasses.replace(case.rebuilt, submission=own, measured=measured)
    check = limits_check(dataclasses.replace(case, rebuilt=rebuilt), competition, "")
    assert check.outcome == outcome
    assert ("accuracy.optimized.test.accuracy" in check.message) == (outcome != "within")


def test_times_are_compared_with_the_best_that_was_measured() -> None:
    """A neighbour on the core makes both models slower for a while, and no submission a forgery."""
    slow, quick = comparison(10.0, 9.9, 10.1, median=9000.0), comparison(10.0, 9.9, 10.1, median=1100.0)
    noisy = comparison(10.0, 1.0, 99.0, median=9000.0, noisy=True)
    assert latency_check(0, STATED, [slow, quick], "").outcome == "within"
    assert latency_check(0, STATED, [noisy, noisy], "").outcome == "inconclusive"


def test_rates_of_a_server_are_compared_with_the_highest_found() -> None:
    """A rate that was made up has no times to give it away."""

    def served(rate: float | None) -> Document:
        arms = {arm: {"rate_per_s": rate} for arm in ("baseline", "optimized")}
        return {**comparison(10.0, 9.9, 10.1), "server": {"arms": arms}}

    assert latency_check(0, served(9000.0), [served(1000.0), served(None)], "").outcome == "differs"
    assert latency_check(0, served(1100.0), [served(1000.0)], "").outcome == "within"
    assert latency_check(0, served(None), [served(1000.0)], "").outcome == "within"


def continuing(first: float = 2.0, *, first_ns: float = 100.0, token_ns: float = 10.0, equal: int = 90) -> Document:
    """A comparison of models that continue texts, which is STATED in all but this."""
    parity = {"tokens": 100, "equal_tokens": equal, "equal_choices": equal}
    names = ("baseline-none", "optimized-int8")
    return {
        **STATED,
        "generate": {
            "ttft_speedup": {"estimate": first, "interval": [0.99 * first, 1.01 * first]},
            "arms": {arm: {"ttft_ns": first_ns} for arm in ("baseline", "optimized", "control")},
            "variants": {name: {"tpot_ns": token_ns, "parity": parity} for name in names},
        },
    }


def test_the_first_token_has_a_speed_up_of_its_own() -> None:
    """A ratio that was made up is found though all tokens after the first agree; other scenarios have none."""
    check = first_token_check(0, continuing(4.0), [continuing(), continuing()], "")
    assert check is not None
    assert (check.id, check.outcome) == ("V050", "differs")
    assert check.path == "benchmark.comparisons[0].generate.ttft_speedup"
    assert first_token_check(0, STATED, [STATED], "") is None
    elsewhere_check = first_token_check(0, continuing(4.0), [continuing()], "processor is another one here")
    assert elsewhere_check is not None
    assert elsewhere_check.outcome == "inconclusive"


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"first_ns": 20.0}, "baseline's first token (20.0 ns stated, 100 ns here)"),
        ({"token_ns": 2.0}, "optimized-int8"),
    ],
)
def test_times_of_texts_that_were_scaled_are_found(stated: dict[str, float], told: str) -> None:
    """Those to the first token, and of each kind of cache; a variant that was not timed here says nothing."""
    check = latency_check(0, continuing(**stated), [continuing()], "")
    assert check.outcome == "differs"
    assert told in check.message
    untimed = continuing()
    for variant in untimed["generate"]["variants"].values():
        variant["tpot_ns"] = None
    assert latency_check(0, continuing(token_ns=2.0), [untimed], "").outcome == "within"
    assert latency_check(0, continuing(), [continuing()], "").outcome == "within"


@pytest.mark.parametrize(
    ("equal", "exact", "outcome"),
    [(90, True, "same"), (91, True, "differs"), (91, False, "within"), (95, False, "inconclusive")],
)
def test_tokens_are_counted(equal: int, exact: bool, outcome: str) -> None:
    """Exactly where nothing is another; elsewhere a few choices may be others, and more decide nothing."""
    check = tokens_check(0, continuing(equal=equal), continuing(), is_exact=exact)
    assert check is not None
    assert (check.id, check.outcome) == ("V036", outcome)
    assert tokens_check(0, STATED, STATED, is_exact=True) is None


def test_other_code_that_times_texts_makes_no_difference_a_forgery() -> None:
    """As that which times single queries."""
    assert elsewhere([Other("code of generate", "a", "b", "speed")]) == "code of generate is another one here"
