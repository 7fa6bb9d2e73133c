"""Steps that change which layers there are: what later steps may name, and where there is nothing to change."""

from __future__ import annotations

import pytest

from pipeline.config.check import check
from pipeline.config.load import loads

TEXT = """
name: x
data: {name: digits}
model: {arch: ARCH}
optimize: [STEPS]
"""
LOW_RANK = "{low_rank: {targets: [fc1], keep: 0.5}}"


def messages(steps: str, arch: str = "mlp") -> list[str]:
    return [problem.message for problem in check(loads(TEXT.replace("ARCH", arch).replace("STEPS", steps), "x.yaml"))]


@pytest.mark.parametrize("glob", ["fc1", "fc1.inputs", "fc1.*", "*outputs"])
def test_a_layer_that_may_become_two_can_be_named_as_one_or_two(glob: str) -> None:
    """Its own name stands for both, whichever come out."""
    assert messages(f"{LOW_RANK}, {{quantize: {{targets: ['{glob}']}}}}") == []


def test_before_that_and_elsewhere_its_parts_are_unknown() -> None:
    """A step before it, or about a layer that stays one, cannot name them."""
    quantize = "{quantize: {targets: [fc1.inputs]}}"
    assert messages(f"{quantize}, {LOW_RANK}") != []
    assert messages(f"{LOW_RANK}, {{quantize: {{targets: [fc2.inputs]}}}}") != []


def test_a_block_s_name_stands_for_its_layers() -> None:
    """Of a residual network as well."""
    assert messages("{quantize: {except: [block1]}}", "resnet") == []
    assert messages("{fuse: {targets: ['block*']}}", "resnet") == []


def test_to_fold_norms_of_a_network_without_any_is_found() -> None:
    """Unless the file says that it may be so, as in a sweep over architectures."""
    (message,) = messages("{fuse: {}}")
    assert "matches only layers this step does not work on (flatten, fc1, relu1, ...)" in message
    assert messages("{fuse: {allow_no_effect: true}}") == []


def test_a_step_that_is_left_no_layer_is_found() -> None:
    """Where its exceptions are everything that it could work on."""
    (message,) = messages("{prune: {method: block, except: ['*']}}")
    assert message == "this leaves prune no layer to work on"
    assert messages("{prune: {method: block, except: ['*'], allow_no_effect: true}}") == []


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ("target: {size_bytes: 900}, values: [0.5, 8]", "must be a sparsity, above 0 and below 1, not 8"),
        ("target: {size_bytes: 900}, use: quantize, values: [0.5]", "must be 8 or 4 bits, not 0.5"),
        ("target: {speedup: 2}, method: magnitude", "single weights that are removed are still multiplied, so "),
    ],
)
def test_a_budget_that_its_settings_contradict_is_found(budget: str, expected: str) -> None:
    """Before anything is trained for it."""
    (message,) = messages(f"{{budget: {{{budget}}}}}")
    assert message.startswith(expected)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (
            "{prune: {method: block}}, {low_rank: {}}",
            "low_rank works on fc1, fc_out, which an earlier prune has pruned",
        ),
        ("{prune: {method: magnitude}}, {low_rank: {targets: [fc1]}}", "low_rank works on fc1, which an earlier prune"),
        ("{prune: {method: magnitude, sparsity: 0}}, {low_rank: {}}", None),
        ("{prune: {}}, {low_rank: {}}", None),
        ("{prune: {method: magnitude}}, {prune: {method: block}}", None),
        ("{budget: {target: {size_bytes: 900}, use: quantize}}, {finetune: {}}", "finetune comes after quantize"),
    ],
)
def test_a_step_that_comes_too_late_is_found(steps: str, expected: str | None) -> None:
    """Two layers cannot take the place of one whose weights are sparse; integers cannot be trained."""
    found = messages(steps)
    assert len(found) == (expected is not None)
    assert all(message.startswith(str(expected)) for message in found)


def test_blocks_of_convolutions_are_found() -> None:
    """A ramp changes nothing about which layers its method is for."""
    for ramp in ("none", "cubic"):
        (message,) = messages(f"{{prune: {{method: block, ramp: {ramp}, targets: [conv1]}}}}", "cnn")
        assert '"conv1" matches only layers this step does not work on' in message


def test_keys_of_a_ramp_mean_nothing_without_one() -> None:
    """They are errors, as other keys without effect."""
    (message,) = messages("{prune: {steps: 3}}")
    assert message == "steps has no effect here: it is for ramp: cubic or linear"
