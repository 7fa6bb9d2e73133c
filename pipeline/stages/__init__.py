"""The table of stages. Their modules are imported when a node of theirs runs, so that planning needs none of them."""

from __future__ import annotations

from pipeline.core.stage import StageInfo

__all__ = ["STAGES"]

STAGES: dict[str, StageInfo] = {
    info.name: info
    for info in (
        StageInfo(
            "data",
            "pipeline.stages.data",
            1,
            {"train": "arrays", "validation": "arrays", "test": "arrays", "task": "json", "info": "json"},
            "load a dataset and its fixed train/validation/test split",
        ),
        StageInfo(
            "train",
            "pipeline.stages.train",
            1,
            {"model": "model", "history": "json"},
            "train the fp32 baseline",
            task=("splits", "training"),
        ),
        StageInfo(
            "profile",
            "pipeline.stages.profile",
            1,
            {"profile": "json"},
            "per layer: parameters, MACs, bytes, time and what bounds it",
            measures=True,
            task=("splits",),
        ),
        StageInfo(
            "optimize",
            "pipeline.stages.optimize",
            1,
            {"model": "model", "effect": "json", "history": "json"},
            "apply one optimization step",
            task=("splits",),
        ),
        StageInfo(
            "evaluate",
            "pipeline.stages.evaluate",
            1,
            {"metrics": "json", "predictions": "arrays"},
            "accuracy, stored bytes, parameters and MACs of the stored model",
            task=("splits", "answers"),
        ),
        StageInfo(
            "benchmark",
            "pipeline.stages.benchmark",
            1,
            {"benchmark": "json", "samples": "arrays"},
            "time baseline against optimized, interleaved in fresh processes",
            measures=True,
            task=("splits",),
        ),
        StageInfo(
            "generate",
            "pipeline.stages.generate",
            1,
            {"benchmark": "json", "samples": "arrays"},
            "time how baseline and optimized language model continue texts, interleaved in fresh processes",
            measures=True,
        ),
        StageInfo(
            "loadgen",
            "pipeline.stages.loadgen",
            1,
            {"loadgen": "json", "logs": "json"},
            "let MLPerf's LoadGen measure both models, too",
            measures=True,
        ),
        StageInfo(
            "peers",
            "pipeline.stages.peers",
            1,
            {"peers": "json", "samples": "arrays"},
            "time the same networks in other runtimes, in turns with ours",
            measures=True,
        ),
        StageInfo(
            "sensitivity",
            "pipeline.stages.sensitivity",
            1,
            {"sensitivity": "json"},
            "change one layer at a time and see what it costs",
            task=("splits",),
        ),
        StageInfo(
            "judge",
            "pipeline.stages.judge",
            1,
            {"score": "json"},
            "read the goals of a point, for a search",
        ),
        StageInfo(
            "submit",
            "pipeline.stages.submit",
            1,
            {"submission": "json", "evidence": "arrays"},
            "choose a point and build the submission",
        ),
        StageInfo(
            "ablation",
            "pipeline.stages.ablation",
            1,
            {"ablation": "json"},
            "say what each step contributes alone, in order and left out",
        ),
        StageInfo(
            "framework",
            "pipeline.stages.framework",
            1,
            {"row": "json", "samples": "arrays"},
            "do a piece of work here and in PyTorch, in turns",
            measures=True,
        ),
        StageInfo(
            "frameworks",
            "pipeline.stages.frameworks",
            1,
            {"frameworks": "json"},
            "gather a comparison of frameworks",
        ),
        StageInfo("report", "pipeline.stages.report", 1, {"html": "text", "md": "text"}, "render the report"),
    )
}
