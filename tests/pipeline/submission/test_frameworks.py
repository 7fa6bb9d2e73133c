"""A comparison of frameworks as a document: valid as built, and what does not follow from the rest is found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.submission.frameworks import build_frameworks, frameworks_problems
from pipeline.submission.measured import is_frameworks
from tests.compared import document, row


@pytest.fixture(scope="module")
def built() -> dict[str, Any]:
    """One piece of work faster, one slower, one alike, one without a peer, one noisy; read back from JSON."""
    rows = row(2.0), row(0.5), row(1.0), row(None), row(2.0, control=1.2)
    found: dict[str, Any] = json.loads(json.dumps(document(*rows)))
    return found


def test_it_follows_its_schema_and_itself(built: dict[str, Any]) -> None:
    """Verdicts are said of tinytorch."""
    assert is_frameworks(built)
    assert frameworks_problems(built, "x.json") == []
    assert [one["verdict"] for one in built["rows"]] == ["faster", "slower", "equivalent", None, "noisy"]
    assert built["counts"] == {"faster": 1, "slower": 1, "equivalent": 1, "not_compared": 1, "noisy": 1}


def test_claims_are_corrected_for_their_number(built: dict[str, Any]) -> None:
    """Only claims have a p-value, and more of them make each weaker."""
    values = [one["adjusted_p_value"] for one in built["rows"]]
    assert [value is not None for value in values] == [True, True, False, False, False]
    alone = document(row(2.0))["rows"][0]["adjusted_p_value"]
    many = document(*[row(2.0)] * 20)["rows"][0]["adjusted_p_value"]
    assert many == pytest.approx(20 * alone)


def test_what_claims_nothing_counts_among_what_was_compared() -> None:
    """Of twenty that were looked at one claim is as weak as among twenty claims; what was not compared counts not."""
    alone = document(row(2.0))["rows"][0]["adjusted_p_value"]
    among = document(row(2.0), *[row(1.0)] * 19, row(None))["rows"][0]["adjusted_p_value"]
    assert among == pytest.approx(20 * alone)


def test_limits_are_the_best_that_any_row_measured() -> None:
    """A row whose first process was disturbed is held against what the others found."""
    disturbed = row(2.0)
    slow = {**disturbed["balance"], "peak_gflops": 1.0, "gbps_by_working_set": [{"bytes": 2**20, "gbps": 1.0}]}
    rows = document({**disturbed, "balance": slow}, row(2.0))["rows"]
    assert rows[0]["limits"] == rows[1]["limits"]
    assert rows[0]["limits"]["gbps"] == 100.0
    assert rows[0]["balance"]["peak_gflops"] == 1.0
    assert rows[0]["frameworks"]["tinytorch"]["bound"] == "overhead"


def test_the_same_rows_give_the_same_bytes() -> None:
    """Nothing of when or where it is gathered is in it."""
    assert json.dumps(document(row(2.0))) == json.dumps(document(row(2.0)))


def _other_name(found: dict[str, Any]) -> None:
    found["rows"][0]["verdikt"] = 1


def _other_estimate(found: dict[str, Any]) -> None:
    found["rows"][0]["ratio"]["estimate"] = 2.01


def _narrower(found: dict[str, Any]) -> None:
    found["rows"][0]["ratio"]["interval"] = [2.5, 2.6]


def _other_verdict(found: dict[str, Any]) -> None:
    found["rows"][1]["verdict"] = "faster"


def _hidden_noise(found: dict[str, Any]) -> None:
    found["rows"][4]["noisy"] = False


def _other_counts(found: dict[str, Any]) -> None:
    found["counts"]["faster"] = 2


def _no_peer(found: dict[str, Any]) -> None:
    del found["rows"][0]["frameworks"]["torch"]


def _surer(found: dict[str, Any]) -> None:
    found["rows"][0]["adjusted_p_value"] = 1e-9


def _quiet_control(found: dict[str, Any]) -> None:
    found["rows"][4] |= {"noisy": False, "verdict": "faster"}


def _other_control(found: dict[str, Any]) -> None:
    found["rows"][4]["control"]["estimate"] = 1.0


def _nearer_to_the_limit(found: dict[str, Any]) -> None:
    found["rows"][0]["frameworks"]["tinytorch"]["share_of_limit"] = 0.99


def _slower_machine(found: dict[str, Any]) -> None:
    found["rows"][1]["limits"]["gbps"] = 1.0


def _other_answers(found: dict[str, Any]) -> None:
    found["rows"][0]["outputs"]["max_abs_difference"] = 0.5


def _no_answers(found: dict[str, Any]) -> None:
    found["rows"][0]["outputs"] = None


def _no_size(found: dict[str, Any]) -> None:
    found["rows"][0] |= {"op": "train_mlp", "args": {"batch_size": "x"}}


def _no_reason(found: dict[str, Any]) -> None:
    found["rows"][3]["reason"] = None


def _integers(found: dict[str, Any]) -> None:
    found["rows"][0]["precision"] = "int8"


def _integers_of_nothing(found: dict[str, Any]) -> None:
    found["rows"][0]["precision"], found["rows"][0]["args"]["bits"] = "int8", 8


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (_other_name, "rows[0]"),
        (_other_estimate, "rows[0].ratio.estimate"),
        (_narrower, "rows[0].ratio.interval"),
        (_other_verdict, "rows[1].verdict"),
        (_hidden_noise, "rows[4].noisy"),
        (_other_counts, "counts"),
        (_no_peer, "rows[0].ratio"),
        (_surer, "rows[0].adjusted_p_value"),
        (_quiet_control, "rows[4].noisy"),
        (_other_control, "rows[4].control.estimate"),
        (_nearer_to_the_limit, "rows[0].frameworks.tinytorch.share_of_limit"),
        (_slower_machine, "rows[1].limits.gbps"),
        (_other_answers, "rows[0].frameworks.torch"),
        (_no_answers, "rows[0].frameworks.torch"),
        (_no_reason, "rows[3].reason"),
        (_no_size, "rows[0].args.batch_size"),
        (_integers, "rows[0].precision"),
        (_integers_of_nothing, "rows[0].balance.peak_int8_gops"),
    ],
)
def test_a_changed_figure_is_found(built: dict[str, Any], change: Callable[[dict[str, Any]], None], place: str) -> None:
    """The schema finds names and types, the rest what does not follow."""
    found = copy.deepcopy(built)
    change(found)
    problems = frameworks_problems(found, "x.json")
    assert problems[0].yaml_path.startswith(place)


def test_what_was_asked_for_stands_in_it() -> None:
    """Case by case, in order."""
    head = {"cases": [{"op": "linear", "args": {"inputs": 8}}], "titles": ["t"]}
    assert document(row(), **head)["rows"][0]["args"] == {"inputs": 8}
    with pytest.raises(ValueError, match="zip"):
        build_frameworks({**head, "threshold": 0.02, "name": "x", "description": ""}, [row(), row()])
