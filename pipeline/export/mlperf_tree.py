"""The documents of an MLPerf results tree: system description, measurements, accuracy, configuration, instructions.

Pure: facts in, texts out. The layout is what MLPerf's submission checker reads from round v6.0 on (mlcommons/inference,
tools/submission/submission_structure.md and submission_checker/constants.py), for the open division. What is not known
is said to be unknown; nothing is made up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import StageFailed

__all__ = [
    "ACCURACY_LOG_BYTES",
    "LEAST_DURATION_S",
    "accuracy_text",
    "measurements_json",
    "predictions",
    "readme",
    "shortened",
    "system_json",
    "user_conf",
]

LEAST_DURATION_S = 600  # of a performance run, in MLPerf's rules
ACCURACY_LOG_BYTES = 10 * 1024  # the checker takes no larger one; the rest is vouched for by its hash
_SHOWN = 4096  # bytes of either end of a shortened accuracy log
_UNKNOWN = "unknown: to be filled in by the submitter"
_NONE = "N/A"
_MOST_RESPONSE_BYTES = 1 << 20

# Fields that the checker asks for: what nothing here can find out, and what a machine without accelerator lacks.
_TO_FILL_IN = (
    "cooling",
    "host_memory_configuration",
    "host_network_card_count",
    "host_networking",
    "host_networking_topology",
    "host_processor_frequency",
    "host_processor_interconnect",
    "host_processors_per_node",
    "host_storage_capacity",
    "host_storage_type",
    "system_type_detail",
)
_ACCELERATOR = (
    "accelerator_frequency",
    "accelerator_host_interconnect",
    "accelerator_interconnect",
    "accelerator_interconnect_topology",
    "accelerator_memory_capacity",
    "accelerator_memory_configuration",
    "accelerator_model_name",
    "accelerator_on-chip_memories",
)


def system_json(machine: Mapping[str, Any], submission: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the system description; `names` has submitter, system and status. Unknown facts are said to be unknown."""
    versions = submission["provenance"]["versions"]
    caches = ", ".join(f"{name} {size // 1024} KiB" for name, size in (machine["caches"] or {}).items())
    memory = machine["memory_bytes"]
    quirks = [f"container: {machine['container']}", f"virtual machine: {machine['virtual']}"]
    return {
        **dict.fromkeys(_TO_FILL_IN, _UNKNOWN),
        **dict.fromkeys(_ACCELERATOR, _NONE),
        "accelerators_per_node": "0",
        "division": "open",
        "framework": f"tinytorch {versions['package']}",
        "host_memory_capacity": f"{memory / 2**30:.1f} GiB" if memory else _UNKNOWN,
        "host_processor_caches": caches or _UNKNOWN,
        "host_processor_core_count": str(machine["cores"]["online"] or _UNKNOWN),
        "host_processor_model_name": machine["cpu"] or _UNKNOWN,
        "hw_notes": f"{machine['cores']['allowed']} cores allowed; {', '.join(quirks)}",
        "number_of_nodes": "1",
        "operating_system": f"{machine['system']} {machine['kernel']}",
        "other_software_stack": f"Python {versions['python']}, NumPy {versions['numpy']}, {versions['kernels']}",
        "status": names["status"],
        "submitter": names["submitter"],
        "sw_notes": "",
        "system_name": names["system"],
        "system_type": "edge",
    }


_TRAINING = ("distill", "finetune", "gradual_prune", "qat")


def measurements_json(submission: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was done to the weights, from the submission's own record of its steps."""
    bits = {layer["bits_after"] for effect in submission["effects"] for layer in effect["layers"]}
    named = {32: "fp32", 16: "fp16"}
    retrained = any(effect["technique"] in _TRAINING for effect in submission["effects"])
    return {
        "input_data_types": "fp32",
        "retraining": "yes: trained and fine-tuned by the experiment"
        if retrained
        else "yes: trained by the experiment",
        "starting_weights_filename": f"{submission['provenance']['weights']['optimized']}.safetensors",
        "weight_data_types": ", ".join(named.get(width, f"int{width}") for width in sorted(bits)) or "fp32",
        "weight_transformations": ", ".join(submission["optimized"]["techniques_applied"]) or "none",
    }


def user_conf(scenario: str, seconds: float, batch_size: int, least_ns: float, server: Mapping[str, float]) -> str:
    """Return LoadGen's user.conf; `least_ns` is the expected time of a query (of Offline: a call), `server` its target.

    LoadGen's own mlperf.conf, inside the package, has the percentiles and the seeds of the round.
    """
    lines = [f"*.{scenario}.min_duration = {round(seconds * 1000)}"]
    if scenario in ("SingleStream", "MultiStream"):
        lines.append(f"*.{scenario}.target_latency = {least_ns / 1e6:.6f}")
    elif scenario == "Offline":
        lines.append(f"*.Offline.target_qps = {batch_size * 1e9 / least_ns:.3f}")
    else:
        lines += [
            f"*.Server.target_qps = {server['rate_per_s']:.3f}",
            f"*.Server.target_latency = {server['latency_limit_ms']:g}",
        ]
    return "\n".join(lines) + "\n"


def predictions(log: bytes, count: int, dtype: str, shape: Sequence[int]) -> NDArray[np.int64]:
    """Return the class that each of `count` samples was given, from LoadGen's accuracy log.

    A response is the bytes of the model's output, of `dtype` and `shape` (classes,). Raises StageFailed if the log is
    not LoadGen's or a sample is missing.
    """
    if len(shape) != 1:
        raise StageFailed(f"accuracy needs one output a class, and the model's output has the shape {tuple(shape)}")
    found = np.full(count, -1, np.int64)
    size = np.dtype(dtype).itemsize * shape[0]
    if size > _MOST_RESPONSE_BYTES:
        raise StageFailed(f"an output of {size:,} bytes is too large for an accuracy log")
    try:
        for entry in json.loads(log):
            index, data = entry["qsl_idx"], bytes.fromhex(entry["data"])
            if not 0 <= index < count or len(data) != size:
                raise StageFailed("the accuracy log has a response that belongs to no sample")
            found[index] = int(np.frombuffer(data, dtype).argmax())
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise StageFailed(f"the accuracy log is not what LoadGen writes ({type(error).__name__})") from None
    if missing := int((found < 0).sum()):
        raise StageFailed(f"the accuracy log lacks {missing} of {count} samples")
    return found


def accuracy_text(correct: int, count: int, log: bytes) -> str:
    """Return accuracy.txt: the accuracy in percent, and the digest of the whole accuracy log."""
    digest = hashlib.sha256(log).hexdigest()
    return f"accuracy={100 * correct / count:.3f}%, good={correct}, total={count}\nhash={digest}\n"


def shortened(log: bytes) -> bytes:
    """Return both ends of an accuracy log that is larger than the checker takes, else the log."""
    return log if len(log) < ACCURACY_LOG_BYTES else log[:_SHOWN] + b"\n\n...\n\n" + log[-_SHOWN:]


def readme(facts: Mapping[str, Any], notes: Sequence[str]) -> str:
    """Return the instructions that lie beside the results: what this is, what to fill in, what cannot pass."""
    listed = "\n".join(f"- {note}" for note in notes) or "- nothing that this export knows of"
    fields = ", ".join(f"`{name}`" for name in _TO_FILL_IN)
    return f"""# {facts["model"]}: MLPerf results, open division

Written by `pipeline export mlperf` of tinytorch-pipeline {facts["version"]}, with LoadGen {facts["loadgen"]}.
Scenario {facts["scenario"]}, {facts["seconds"]:g} s, {facts["threads"]} thread(s), batch size {facts["batch_size"]}:
{facts["result"]}.
Accuracy {facts["accuracy"]} on the test split of {facts["data"]}.

The experiment is in `src/experiment.json`, the submission with our own comparison in `src/submission.json`. The whole
accuracy log is in `accuracy_logs/` beside `open/`: it stays with the submitter, `accuracy.txt` has its SHA-256.

## To be filled in by hand

In `systems/{facts["system"]}.json`: {fields}; and `status`, if the system is not "{facts["status"]}".
Neither the model nor the data set ({facts["data"]}) is MLPerf's: `model_mapping.json` says that the model stands for
`{facts["benchmark"]}`, and the checker cannot see what the data are. Say so where the results are published.

## What to know, and what the submission checker will not take as it is

{listed}

LoadGen's seeds are those of its package's round; for {facts["loadgen"].partition(" ")[0]} that is v6.1:

    python tools/submission/submission_checker/main.py --input THIS_FOLDER --version v6.1
"""
