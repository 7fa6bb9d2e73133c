"""Which earlier result explains a later one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from pipeline.core.keys import Difference, Preimage
from pipeline.execute.changes import explain, nearest
from pipeline.store.record import Record

WANTED = Preimage("evaluate", 1, {}, "c0de", {"model": "a1"}, {"kernels": "avx2"})


def records(*preimages: Preimage) -> list[Record]:
    return [cast(Record, SimpleNamespace(preimage=preimage)) for preimage in preimages]


def test_of_two_that_differ_in_one_thing_the_one_with_the_same_inputs_explains() -> None:
    """Other kernels evaluated this model anew, though another model was evaluated with these kernels since."""
    other_model = WANTED._replace(inputs={"model": "b2"})
    other_kernels = WANTED._replace(environment={"kernels": "portable"})
    known = records(other_model, other_kernels)
    for patient, chosen in ((True, known[1]), (False, known[0])):
        found = nearest(known, WANTED, patient=patient)
        assert found is not None
        assert found[0] is chosen


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        (("a", "b", "c", "d"), "code of a, b, c and 1 more changed"),
        ((), "other code is needed"),
        (None, "code changed"),
    ],
)
def test_code_that_another_architecture_needs_is_not_called_changed(
    modules: tuple[str, ...] | None, words: str
) -> None:
    """Only what both depend on, and read differently, changed."""
    changes = (Difference("params", "arch", "gpt", "mlp"), Difference("code", "code", "c0de", "c1de"))
    assert explain(changes, lambda before, after: modules) == f"arch gpt → mlp; {words}"
