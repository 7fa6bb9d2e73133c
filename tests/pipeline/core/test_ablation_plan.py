"""The plan of an ablation: which models are compared, which nodes are shared, and what is left out."""

from __future__ import annotations

from pipeline.config.build import build
from pipeline.config.load import loads
from pipeline.core.ablation import with_ablation
from pipeline.core.plan import Plan, make_plan
from tests.golden.plan_ids import _CATALOG

STEPS = ("{prune: {sparsity: 0.5}}", "{finetune: {epochs: 1}}", "{quantize: {bits: 8}}")


def planned(count: int, more: str = "") -> Plan:
    text = f"name: x\ndata: {{name: digits}}\nmodel: {{arch: mlp}}\noptimize: [{', '.join(STEPS[:count])}]\n{more}"
    return make_plan(build(loads(text, "x.yaml")), _CATALOG)


def ablated(plan: Plan, lost: dict[str, str] | None = None) -> Plan:
    return with_ablation(plan, 0, _CATALOG, lost or {})


def new(plan: Plan, stage: str) -> list[str]:
    """Return the titles of the nodes of a stage that the ablation of a plan adds."""
    known = {node.id for node in plan.nodes}
    return [node.title for node in ablated(plan).nodes if node.stage == stage and node.id not in known]


def test_each_of_three_steps_is_timed_alone_and_left_out() -> None:
    """Six comparisons are timed besides that of the whole recipe."""
    names = ("prune", "finetune", "quantize")
    wanted = [title for name in names for title in (f"{name} alone", f"without {name}")]
    assert new(planned(3), "benchmark") == wanted


def test_of_one_step_all_is_known_already() -> None:
    """Alone, in order and left out, a single step is the recipe: nothing is computed for it."""
    plan = planned(1)
    assert {node.stage for node in ablated(plan).nodes if node not in plan.nodes} == {"ablation", "report"}


def test_prefixes_of_the_recipe_are_not_made_again() -> None:
    """Four models are new: those of the later steps alone, and of all steps without the first and the second."""
    assert new(planned(3), "optimize") == ["finetune epochs=1", "quantize bits=8", "quantize bits=8", "quantize bits=8"]
    assert set(new(planned(3), "evaluate")) == {"finetune", "finetune + quantize", "prune + quantize", "quantize"}


def test_only_the_first_batch_size_and_thread_count_are_timed() -> None:
    """Verdicts are made there; the others would take their time for each step."""
    plan = planned(2, "benchmark: {batch_sizes: [1, 8], threads: [1, 2]}\n")
    known = {node.id for node in plan.nodes}
    specs = [node.spec for node in ablated(plan).nodes if node.stage == "benchmark" and node.id not in known]
    assert {(tuple(spec["batch_sizes"]), tuple(spec["threads"])) for spec in specs} == {((1,), (1,))}


def test_the_report_shows_the_ablation() -> None:
    """The plan has one report, the last node, which is fed by the ablation beside what fed it before."""
    plan = planned(2)
    whole = ablated(plan)
    (report,) = (node for node in whole.nodes if node.stage == "report")
    assert report.id == whole.report == whole.nodes[-1].id
    assert report.inputs == {**plan.node(plan.report).inputs, "ablation": report.inputs["ablation"]}
    assert report.inputs["ablation"].node == whole.ablation


def test_nodes_come_after_what_feeds_them() -> None:
    """An extended plan is in an order that can be executed, and holds each node once."""
    nodes = ablated(planned(3)).nodes
    seen: set[str] = set()
    for node in nodes:
        assert {ref.node for ref in node.inputs.values()} <= seen
        seen.add(node.id)
    assert len(seen) == len(nodes)


def test_what_needs_a_lost_step_is_left_out_with_the_reason() -> None:
    """A step that cannot be applied alone has no comparison there; the others keep theirs."""
    plan = planned(2)
    alone = next(node for node in ablated(plan).nodes if node.title == "finetune epochs=1" and node not in plan.nodes)
    whole = ablated(plan, {alone.id: "no layer"})
    spec = whole.node(whole.ablation or "").spec
    prune, finetune = spec["steps"]
    assert alone.id not in {node.id for node in whole.nodes}
    assert (finetune["alone"], finetune["reasons"]) == (None, {"alone": "no layer"})
    assert (prune["left_out"], prune["reasons"]) == (None, {"left_out": "no layer"})
    assert prune["alone"] is not None
    assert finetune["left_out"] is not None


def test_a_point_without_steps_has_no_ablation() -> None:
    """Where `when` leaves all steps out there is nothing to compare."""
    text = "name: x\ndata: {name: digits}\nmodel: {arch: mlp}\nvars: {b: 32}\n"
    text += "optimize: [{quantize: {bits: 8}, when: {b: 8}}]\nsweep: {grid: {b: [32, 8]}}\n"
    plan = make_plan(build(loads(text, "x.yaml")), _CATALOG)
    assert ablated(plan) == plan
