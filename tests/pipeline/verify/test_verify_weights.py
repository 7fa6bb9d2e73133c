"""Files of weights that a submission names: never followed, looked for only where whoever verifies says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import SubmissionInvalid, UserError
from pipeline.submission.verify_experiment import embedded_experiment
from tinytorch.models import load_model_module
from tinytorch.weights import save_weights


def submission(weights: Any, **more: Any) -> dict[str, Any]:
    model = {"arch": "mlp", "args": {"hidden": [4]}, "weights": weights}
    document = {"name": "x", "data": {"name": "digits"}, "model": model, "optimize": [{"quantize": {"bits": 8}}]}
    return {"experiment": {"document": {**document, **more}}}


def test_the_folder_in_the_submission_is_not_looked_at(tmp_path: Path) -> None:
    """Its name is looked for in the folder that was named."""
    network = load_model_module("mlp").build((1, 8, 8), 10, np.random.default_rng(0), hidden=[4])
    save_weights(network, tmp_path / "net.safetensors")
    document = submission({"file": "/elsewhere/net.safetensors"})
    with pytest.raises(UserError, match=r"weights of 'net.safetensors', and which folder of yours") as raised:
        embedded_experiment(document, {})
    assert "--root weights=DIR" in raised.value.hint
    (run,) = embedded_experiment(document, {"weights": tmp_path}).runs
    assert run.model.weights is not None
    assert run.model.weights.file == str(tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    "document",
    [
        submission({"file": "${w}"}, vars={"w": "/etc/passwd"}),
        submission("${w}", vars={"w": "/etc/passwd"}),
        submission(None, sweep={"grid": {"model.weights.file": ["/etc/passwd"]}}),
        submission(None, sweep={"include": [{"model.weights": {"file": "/etc/passwd"}}]}),
        submission(None, model="${m}"),
    ],
)
def test_a_file_that_is_not_written_out_is_refused(document: dict[str, Any], tmp_path: Path) -> None:
    """Nothing that is put together from variables or a sweep leads to a file."""
    with pytest.raises(SubmissionInvalid, match="a submission chooses no files"):
        embedded_experiment(document, {"weights": tmp_path})
