"""What `--use` takes in, and what it says of files that offer something else."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.own.source import own_files, sources
from pipeline.own.use import find_installed, forget, installed_only_if_told, use
from pipeline.submission.custom_metrics import custom_metrics
from tests.pipeline.own.conftest import MODEL, Write
from tinytorch.data import DATASETS, load_dataset_module
from tinytorch.data.split import Dataset
from tinytorch.errors import NoEffectError
from tinytorch.models import MODELS, load_model_module
from tinytorch.models.network import Network
from tinytorch.passes import PASSES, load_pass, needs, resolve

SPLITS = ("validation", "validation_labels", "test", "test_labels")
PASS = """
import numpy as np

def clip(model, *, limit=0.1):
    for _, layer in model.named_layers():
        for array in layer.state().values():
            np.clip(array, -limit, limit, out=array)
    return model

def learned(model, train, rng, *, epochs=1):
    return model

PASSES = {"clip": clip, "learned": learned}
"""
DATA = """
import numpy as np
from tinytorch.data.split import Dataset, Split

def stripes(*, samples=20):
    split = Split(np.zeros((samples, 1, 4, 4), np.float32), np.arange(samples) % 2)
    return Dataset("stripes", ("a", "b"), split, split, split)

def lines(root, *, skip=0):
    raise RuntimeError("not read here")

DATASETS = {"lines": lines, "stripes": stripes}
"""


def network() -> Network:
    return load_model_module("mlp").build((1, 4, 4), 2, np.random.default_rng(0), hidden=[4])


def test_a_function_becomes_a_model(write: Write) -> None:
    """What it takes by keyword are the arguments, with their defaults; it is built like any other."""
    write()
    module = load_model_module("narrow")
    assert module.ARGS == {"width": 4}
    assert module.__doc__ == "One narrow layer."
    built = module.build((1, 8, 8), 3, np.random.default_rng(0), width=2)
    assert built.output_shape((1, 8, 8)) == (3,)
    assert MODELS["narrow"] == "own_code"


def test_nothing_is_left_when_it_is_forgotten(write: Write) -> None:
    """The tables are those of this installation again."""
    before = dict(MODELS), dict(DATASETS), dict(PASSES)
    write(MODEL + DATA + PASS)
    assert before != (MODELS, DATASETS, PASSES)
    forget()
    assert before == (MODELS, DATASETS, PASSES)
    assert sources() == ()


def test_a_function_becomes_a_data_set(write: Write) -> None:
    """One that takes no root is asked for its shape and classes; one that does is read from the files of its root."""
    path = Path(write(DATA))
    module = load_dataset_module("stripes")
    assert (module.shape(samples=6), module.classes_count(), module.files(None)) == ((1, 4, 4), 2, [])
    assert isinstance(module.load(None, 0, samples=6), Dataset)
    lines = load_dataset_module("lines")
    assert lines.files(path.parent) == [path]
    assert lines.shape() is None
    with pytest.raises(ValueError, match="needs a root"):
        lines.files(None)


def test_a_function_becomes_a_pass(write: Write) -> None:
    """It is given a copy of the network, and its effect is measured, not told."""
    write(PASS)
    assert resolve("custom", {"name": "clip", "args": {}, "allow_no_effect": False})[0] == "clip"
    assert (needs("clip"), needs("learned")) == (frozenset(), {"train"})
    technique, model = load_pass("clip"), network()
    settings = technique.Settings.from_params({"args": {"limit": 0.01}, "allow_no_effect": False})
    changed, effect, _ = technique.apply(model, settings, {}, 0)
    assert max(np.abs(array).max() for _, layer in changed.named_layers() for array in layer.state().values()) <= 0.01
    assert max(np.abs(array).max() for _, layer in model.named_layers() for array in layer.state().values()) > 0.01
    assert [layer.name for layer in effect.layers] == ["fc1", "fc_out"]
    with pytest.raises(NoEffectError, match="clip changed nothing"):
        technique.apply(changed, settings, {}, 0)


def test_a_metric_is_a_finite_number(write: Write) -> None:
    """Anything else is an error that names the function."""
    write("METRICS = {'one': lambda predicted, labels: 1, 'none': lambda predicted, labels: None}", "some.py")
    answers = {side: {split: np.zeros(3) for split in SPLITS} for side in ("baseline", "optimized")}
    assert custom_metrics(["one"], answers)["one"]["optimized"] == {"validation": 1.0, "test": 1.0}
    with pytest.raises(UserError, match=r"some.py: none returned None, expected a number"):
        custom_metrics(["none"], answers)
    with pytest.raises(UserError, match="no metric other of your own here"):
        custom_metrics(["other"], answers)


def test_modules_beside_the_file_belong_to_its_code(write: Write) -> None:
    """What it imports there, and what that imports, counts; what lies there besides does not."""
    write("import first\n" + MODEL, first="import second", second="X = 1", unused="Y = 2")
    assert list(own_files(sources()[0])) == ["first.py", "own_code.py", "second.py"]


def test_what_lies_beside_the_file_replaces_nothing_installed(write: Write) -> None:
    """A file called like a package is not imported instead of it, and does not count."""
    write(MODEL, numpy="raise RuntimeError", json="raise RuntimeError")
    assert list(own_files(sources()[0])) == ["own_code.py"]
    assert sys.modules["numpy"] is np


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("X = 1", "none of the tables DATASETS, METRICS, MODELS, PASSES"),
        ("MODELS = [1]", "no dict from names"),
        ("MODELS = {'a b': print}", "a name is letters"),
        ("MODELS = {'m': 3}", "neither a function nor has it ARGS, build"),
        ("def f(x):\n    pass\nMODELS = {'m': f}", r"m\(x\) does not take what a function of models takes"),
        ("def f(input_shape, classes, rng, *, a):\n    pass\nMODELS = {'m': f}", "argument a of m has no default"),
        (
            "def f(input_shape, classes, rng, *, a=print):\n    pass\nMODELS = {'m': f}",
            "argument a of m has the default",
        ),
        ("def f(input_shape, classes, rng, **rest):\n    pass\nMODELS = {'m': f}", "does not take"),
        ("def f(model, labels):\n    pass\nPASSES = {'m': f}", "does not take what a function of passes takes"),
        ("MODELS = {'mlp': print}", "there is an entry mlp of models already"),
        ("1 / 0", "failed: ZeroDivisionError: division by zero"),
        ("def (", "failed: SyntaxError"),
        ("METRICS = {'m': lambda predicted: 1}", r"m\(predicted\) does not take what a function of metrics takes"),
        ("raise SystemExit", "failed: SystemExit"),
    ],
)
def test_a_file_that_offers_something_else_is_an_error(write: Write, text: str, said: str) -> None:
    """It names the file, what was found and what is expected."""
    with pytest.raises(UserError, match=said):
        write(text)


def test_an_error_in_the_file_has_its_line(write: Write) -> None:
    """Also when it is raised later, in a function."""
    with pytest.raises(UserError) as raised:
        write("X = 1\n1 / 0")
    assert raised.value.hint.endswith("own_code.py:2: 1 / 0")
    write("def f(input_shape, classes, rng):\n    return 1 / 0\nMODELS = {'m': f}", "other.py")
    with pytest.raises(UserError) as raised:
        load_model_module("m").build((1, 2, 2), 2, np.random.default_rng(0))
    assert raised.value.hint.endswith("other.py:2: return 1 / 0")


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "returned a NoneType, expected a tinytorch.models.network.Network"),
        ("Network({'fc': Linear(4, 9, rng=rng)}, (4,))", r"for samples \(4,\), expected one for \(1, 2, 2\)"),
        ("Network({'f': Flatten(), 'fc': Linear(4, 9, rng=rng)}, input_shape)", r"that gives \(9,\), expected"),
        (
            "Network({'f': Flatten(), 'mine': Mine(4, 2, rng=rng)}, input_shape)",
            "layer mine is a Mine, expected layers",
        ),
    ],
)
def test_what_a_model_returns_is_checked(write: Write, returned: str, said: str) -> None:
    """A network of layers that can be stored and timed, from the samples to the classes."""
    head = "from tinytorch.core.layers import Flatten, Linear\nfrom tinytorch.models.network import Network\n"
    head += "class Mine(Linear):\n    pass\n"
    write(f"{head}def f(input_shape, classes, rng):\n    return {returned}\nMODELS = {{'m': f}}")
    with pytest.raises(UserError, match=said):
        load_model_module("m").build((1, 2, 2), 2, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("json.py", "there is another module json, of the standard library"),
        ("numpy.py", "there is another module numpy, of .*numpy/__init__.py"),
        ("my-code.py", "letters, digits and _"),
    ],
)
def test_a_file_called_like_another_module_is_refused(write: Write, name: str, said: str) -> None:
    """Which of the two an import means would depend on the place."""
    with pytest.raises(UserError, match=said):
        write(MODEL, name)


def test_a_file_that_is_not_there_names_a_similar_one(write: Write) -> None:
    """And what is no file is looked for among the installed packages."""
    path = write(taken_in=False)
    with pytest.raises(UserError) as raised:
        use([path.replace("own_code", "own_cod")])
    assert raised.value.hint == "did you mean own_code.py?"
    with pytest.raises(UserError, match="no package of this name is installed"):
        use(["no_such_package"])
    with pytest.raises(UserError, match="offers nothing to the pipeline"):
        use(["numpy"])


@pytest.fixture
def package(write: Write, tmp_path: Path) -> Path:
    """A package, installed as far as Python can tell, whose entry points bring a model and a pass."""
    site = tmp_path / "site"
    for folder in ("olive_nets/parts", "olive_nets-1.2.dist-info"):
        (site / folder).mkdir(parents=True)
    info = site / "olive_nets-1.2.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: olive-nets\nVersion: 1.2\n")
    points = "[tinytorch_pipeline.models]\nolive = olive_nets.parts:narrow\n"
    (info / "entry_points.txt").write_text(points + "[tinytorch_pipeline.passes]\nclip = olive_nets:clip\n")
    (site / "olive_nets" / "__init__.py").write_text(PASS)
    (site / "olive_nets" / "parts" / "__init__.py").write_text(MODEL)
    (site / "olive_nets" / "table.bin").write_bytes(b"\0\1")
    sys.path.append(str(site))
    return site


def test_an_installed_package_is_found_by_the_names_it_brings(package: Path) -> None:
    """Without being told of; all its files count, whatever they are."""
    assert find_installed("models", "olive")
    assert load_model_module("olive").ARGS == {"width": 4}
    assert {source.version for source in sources()} == {"1.2"}
    assert "olive_nets/table.bin" in own_files(sources()[0])
    assert not find_installed("models", "no_such_model")
    for name in [name for name in sys.modules if name.startswith("olive_nets")]:
        del sys.modules[name]


def test_what_is_verified_finds_no_package_by_a_name(package: Path) -> None:
    """It runs foreign code only if that is asked for."""
    installed_only_if_told()
    assert not find_installed("models", "olive")
    use(["olive-nets"])
    assert "olive" in MODELS
    for name in [name for name in sys.modules if name.startswith("olive_nets")]:
        del sys.modules[name]
