"""Problems of different parts of a file are listed together: what is wrong in one part does not hide another."""

from __future__ import annotations

from pipeline.config.check import check
from pipeline.config.load import loads
from pipeline.core.errors import Problem


def problems(text: str) -> list[Problem]:
    return check(loads(text, "x.yaml"))


def places(text: str) -> list[str]:
    return [problem.yaml_path for problem in problems(text)]


def experiment(data: str = "{name: digits}", model: str = "{arch: mlp}", prune: str = "{}", rest: str = "") -> str:
    return f"name: x\ndata: {data}\nmodel: {model}\noptimize:\n  - prune: {prune}\n{rest}"


def test_an_unknown_dataset_does_not_hide_a_misspelt_argument_of_the_model() -> None:
    """Names of arguments are known whatever the data is."""
    text = experiment("{name: digit}", "{arch: mlp, args: {hiden: [64]}}")
    assert places(text) == ["data.name", "model.args.hiden"]


def test_an_unknown_dataset_does_not_hide_a_wrong_type_of_the_models_argument() -> None:
    """Nor values, as far as they do not depend on the samples."""
    text = experiment("{name: digit}", "{arch: cnn, args: {depth: 2, width: 0.5, dropout: 3}}")
    assert places(text) == ["data.name", "model.args.width", "model.args.dropout"]


def test_an_unknown_dataset_does_not_hide_a_target_that_matches_nothing() -> None:
    """Layers have the same names for other samples."""
    text = experiment("{name: digit}", "{arch: cnn}", '{targets: ["fcc*"]}')
    assert places(text) == ["data.name", "optimize[0].prune.targets[0]"]


def test_a_broken_data_section_does_not_hide_the_model_and_its_layers() -> None:
    """Neither a missing one, nor an empty one, nor one of the wrong kind."""
    whole = experiment("DATA", "{arch: mlp, args: {hidden: [8]}}", '{targets: ["conv*"]}')
    for data in ("data:", "data: 3", "data: {nme: digits}", "dat: {name: digits}", "data: {name: [digits]}"):
        assert "optimize[0].prune.targets[0]" in places(whole.replace("data: DATA", data)), data


def test_what_depends_on_unknown_samples_is_not_complained_about() -> None:
    """Five halvings are too many for 8 x 8 images, and the dataset may have larger ones."""
    deep = "{arch: cnn, args: {depth: 5, width: 2}}"
    assert places(experiment("{name: digits}", deep)) == ["model.args.depth"]
    assert places(experiment("{name: digit}", deep)) == ["data.name"]


def test_every_argument_that_is_wrong_is_named() -> None:
    """Models and datasets stop at the first; the check goes on without it."""
    text = experiment(
        "{name: synthetic, args: {size: big, noise: -1, chanels: 1}}",
        "{arch: mlp, args: {dropout: 2, hidden: sixty, activation: rely}}",
    )
    assert set(places(text)) == {
        *("data.args.size", "data.args.noise", "data.args.chanels"),
        *("model.args.dropout", "model.args.hidden", "model.args.activation"),
    }


def test_a_wrong_item_of_an_argument_is_pointed_at() -> None:
    """The caret stands under the item, not under its list."""
    (problem,) = problems(
        "name: x\ndata: {name: digits}\nmodel:\n  arch: mlp\n  args:\n    hidden:\n      - 64\n"
        "      - big\noptimize:\n  - quantize: {}\n"
    )
    assert (problem.path, problem.yaml_path, problem.width) == ("x.yaml:8:9", "model.args.hidden[1]", 3)


def test_a_missing_key_hides_nothing_else() -> None:
    """Without a name, the layers are still looked at."""
    assert places(experiment(prune='{targets: ["conv*"]}').replace("name: x\n", "")) == [
        "name",
        "optimize[0].prune.targets[0]",
    ]


def test_a_broken_per_layer_is_one_problem() -> None:
    """Also beside a setting that may have no effect."""
    text = experiment(prune="{}\n  - quantize: {calibration_samples: 10, per_layer: 8}")
    assert places(text) == ["optimize[1].quantize.per_layer"]


def test_a_misspelt_key_is_not_missing_as_well() -> None:
    """One slip is one problem, whichever key it is."""
    whole = experiment()
    for wrong in ("nme: x", "dat: {name: digits}", "modell: {arch: mlp}", "optimise:"):
        right = {"nme": "name", "dat": "data", "modell": "model", "optimise": "optimize"}[wrong.partition(":")[0]]
        assert places(whole.replace(f"{right}:", f"{wrong.partition(':')[0]}:", 1)) == [wrong.partition(":")[0]]
    assert places(experiment("{nme: digits}")) == ["data.nme"]
    assert places(experiment(model="{arhc: mlp}")) == ["model.arhc"]


def test_a_misspelt_key_is_named_whatever_its_value_is() -> None:
    """A value that cannot be read hides neither the key nor what is below it."""
    for value in ("!tag x", ".inf", "{arch: mlp, 7: 1}"):
        text = experiment(model=value).replace("model:", "modell:")
        assert [problem.code for problem in problems(text) if problem.yaml_path == "modell"].count("E111") == 1


def test_a_misspelt_key_beside_the_right_one_is_one_problem() -> None:
    """And another that is missing still is."""
    assert places(experiment("{name: digits, nme: x}")) == ["data.nme"]
    assert places(experiment(model="{train: {}, agrs: {}}")) == ["model.arch", "model.agrs"]


def test_a_misspelt_root_is_one_problem() -> None:
    """That the right key is missing then is no second one."""
    assert places(experiment("{name: mnist, rot: data/mnist}")) == ["data.rot"]


def test_every_value_of_an_axis_is_checked_even_if_the_first_is_wrong() -> None:
    """Two misspelt datasets are two problems."""
    text = experiment(rest="sweep: {grid: {data.name: [digit, digits, digots]}}\n")
    assert [problem.path for problem in problems(text)] == ["x.yaml:6:28", "x.yaml:6:43"]


def test_a_word_where_a_section_belongs_is_answered_with_the_section() -> None:
    """`model: mlp` is a good guess."""
    assert [problem.hint for problem in problems(experiment("digits", "mlp"))] == [
        "write data: {name: digits}",
        "write model: {arch: mlp}",
    ]


def test_a_section_with_a_required_key_has_no_defaults_to_take() -> None:
    """The hint is an example that is valid."""
    (problem,) = problems(experiment(""))
    assert problem.hint == "for example {name: digits}"


def test_a_merge_key_is_explained() -> None:
    """YAML 1.2 has none."""
    (problem,) = problems(experiment(model="{arch: mlp, train: {<<: {epochs: 1}}}"))
    assert problem.hint.startswith("YAML 1.2 merges no mappings")


def test_an_impossible_name_of_a_variable_is_one_problem() -> None:
    """Nobody is told to use a name that cannot be used."""
    assert places(experiment(rest="vars: {größe: 1}\n")) == ['vars["größe"]']


def test_messages_are_short_and_on_one_line() -> None:
    """Whatever a file holds where a word belongs."""
    long = "a" * 900  # YAML allows keys of 1024 characters
    for text in (
        experiment(f"{{name: {long}}}"),
        experiment(model=f"{{arch: {long}}}"),
        experiment(model=f"{{arch: mlp, args: {{hidden: {long}, {long}: 1}}}}"),
        experiment(prune=f"{{sparsity: {long}, {long}: 1, method: {long}}}"),
        experiment(rest=f"{long}: 1\nvars: {{{long}: 1}}\n"),
        experiment(prune='{sparsity: "a\\nb\\tc"}'),
    ):
        found = problems(text)
        assert found
        assert all(len(problem.message) < 700 and problem.message.isprintable() for problem in found)
        assert all(len(problem.hint) < 700 for problem in found)
