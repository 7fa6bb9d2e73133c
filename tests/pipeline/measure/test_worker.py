"""Worker processes: what they import, where they run, and how they end."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.measure import launch, loadgen_worker, machine, worker
from pipeline.measure.job import ARMS, Job, Phases
from pipeline.measure.launch import THREAD_VARIABLES, WorkerFailed, environment, run_worker
from pipeline.measure.quantities import QUANTITIES
from pipeline.measure.worker import KINDS
from tinytorch.kernels import native
from tinytorch.models import mlp
from tinytorch.serialization import save

PATIENCE_S = 600.0  # with a job of about a second
PHASES = Phases(warmup_s=0.02, service_s=0.05, latency_s=0.01)


@pytest.fixture
def folder(tmp_path):
    """A folder with a small model and some queries."""
    save(mlp.build((1, 4, 4), 3, np.random.default_rng(0), hidden=[8]), tmp_path / "model.safetensors")
    np.save(tmp_path / "queries.npy", np.random.default_rng(1).standard_normal((8, 2, 1, 4, 4)).astype(np.float32))
    return tmp_path


def job(folder, **changes):
    fields = {
        "kind": "compare",
        "models": dict.fromkeys(ARMS, str(folder / "model.safetensors")),
        "inputs": str(folder / "queries.npy"),
        "result": str(folder / "result.json"),
        "threads": 1,
        "seed": 5,
        "phases": PHASES,
    }
    return Job(**{**fields, **changes})


def test_a_job_survives_its_file(tmp_path):
    """What is written is what is read, with the types it had."""
    written = job(tmp_path, cores=(0, 1), first="optimized")
    written.write(tmp_path / "job.json")
    assert Job.read(tmp_path / "job.json") == written


PARENTS = {"arm", "circumstances", "launch", "queries", "quiet", "sampling", "serving", "setting", "summary", "timed"}


# what only jobs of a kind have
OPTIONS = {
    "server": {"limit_ns": 1e9, "needed": [7, 11, 15], "seconds": 0.05, "most_s": 0.1, "rate_per_s": 1000.0},
}


def loaded(imports):
    """Return the names in sys.modules of a process that starts as workers do and imports these modules."""
    code = f"import {imports}; import json, sys; print(json.dumps([n for n in sys.modules if n != '__main__']))"
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, env=environment(1, 0), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def assert_clean():
    """Assert of module names that they are of the packages that are timed, and of this project the worker's own.

    What may be there is named, and what those packages and the interpreter load themselves is looked up, so that any
    new import has to be thought about.
    """
    allowed = {name.partition(".")[0] for name in loaded("numpy.random, safetensors.numpy, threadpoolctl")}
    allowed |= {"pipeline", "tinytorch", *sys.stdlib_module_names}

    def check(names):
        assert {name.partition(".")[0] for name in names} <= allowed
        ours = {name for name in names if name.startswith("pipeline.") and name != "pipeline.measure"}
        assert all(name.startswith("pipeline.measure.") for name in ours)
        assert not ours & {f"pipeline.measure.{name}" for name in PARENTS}

    forbidden = {"filelock", "jinja2", "jsonschema", "pytest", "rich", "scipy", "torch", "yaml"}
    assert not forbidden & allowed
    return check


def test_a_worker_starts_clean(assert_clean):
    """When its module is imported, before any job, no yaml, jsonschema, rich, scipy or more of ours is there."""
    assert_clean(loaded("pipeline.measure.worker"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_ends_clean(folder, assert_clean, kind):
    """After a job of any kind nothing was imported that the process did not start with."""
    models = dict.fromkeys(ARMS[:1] if kind in ("memory", "profile") else ARMS, str(folder / "model.safetensors"))
    done = run_worker(job(folder, kind=kind, models=models, options=OPTIONS.get(kind, {})), PATIENCE_S)
    conditions = done["conditions"]
    assert_clean([*conditions["packages"], *conditions["modules"]])
    assert {"numpy", "pipeline", "tinytorch"} <= set(conditions["packages"])


def test_quantities_are_figures_or_reasons(folder):
    """On any machine each arm has every quantity, or says why not."""
    cores = (max(os.sched_getaffinity(0)),) if hasattr(os, "sched_getaffinity") else None
    found = run_worker(job(folder, kind="quantities", cores=cores), PATIENCE_S)["arms"]
    assert found.keys() == set(ARMS)
    for arm in found.values():
        missing = {name for name, figure in arm["quantities"].items() if figure is None}
        assert arm["quantities"].keys() == QUANTITIES.keys()
        assert missing == arm["quantity_reasons"].keys()


def test_comparison_returns_every_sample(folder):
    """A worker gives, for each row and arm, order, wall and CPU time, and says what it ran under."""
    cores = (max(os.sched_getaffinity(0)),) if hasattr(os, "sched_getaffinity") else None
    result = run_worker(job(folder, cores=cores), PATIENCE_S)
    rows = len(result["wall_ns"])
    assert rows >= 6
    assert np.array(result["wall_ns"]).shape == np.array(result["cpu_ns"]).shape == (rows, 3)
    assert all(count > 0 for count in result["checked"])
    conditions = result["conditions"]
    assert (conditions["threads"], conditions["hash_seed"]) == (1, "5")
    assert conditions["pinned"] == (list(cores) if cores else None)
    assert conditions["numpy"] == np.__version__


@pytest.mark.skipif(sys.platform != "linux", reason="processes are bound to cores on Linux only")
def test_a_worker_says_what_others_did_meanwhile(folder):
    """Of the cores it was bound to; of none, it cannot know, and says so."""
    bound, unbound = (
        run_worker(job(folder, cores=cores), PATIENCE_S)["conditions"]["gauges"]
        for cores in ((max(os.sched_getaffinity(0)),), None)
    )
    assert bound["elapsed_s"] > 0
    assert 0 <= bound["others"] <= 1
    assert (unbound["others"], unbound["missing"]["others"]) == (None, "the process was not bound to cores")


def test_calls_have_at_most_the_batch_size(folder):
    """Queries of two samples in calls of one give the same rows and checked answers, and memory and speed of calls."""
    found = run_worker(job(folder, batch_size=1), PATIENCE_S)
    assert min(found["checked"]) > 0
    assert run_worker(job(folder, kind="memory", models={"baseline": str(folder / "model.safetensors")}), PATIENCE_S)
    probed = run_worker(job(folder, kind="probe", batch_size=4), PATIENCE_S)
    assert probed["call_ns"].keys() == set(ARMS)
    assert min(probed["call_ns"].values()) > 0


def test_a_server_is_served_and_its_calls_are_timed(folder):
    """The result has what a comparison has, and of each arm the latencies at its rate."""
    found = run_worker(job(folder, kind="server", batch_size=2, options=OPTIONS["server"]), PATIENCE_S)
    assert found["wall_ns"]
    assert found["server"]["arms"].keys() == set(ARMS)
    for arm in found["server"]["arms"].values():
        assert arm["rate_per_s"] == 1000.0
        assert len(arm["latency_ns"]) == arm["trials"] * found["server"]["queries"]


def test_a_core_that_was_taken_away_is_not_fatal(folder):
    """Between choosing a core and binding to it the allowed set may change: the process runs unbound and says so."""
    result = run_worker(job(folder, cores=(1000,)), PATIENCE_S)
    assert result["conditions"]["pinned"] is None
    assert result["wall_ns"]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are bound to cores on Linux only")
def test_a_thread_that_ends_while_it_is_bound_is_no_problem(monkeypatch):
    """It was listed, and is gone; the others are bound, and where they are is said."""
    bound = []

    def bind(thread, cores):
        if thread == 2:
            raise ProcessLookupError(3, "No such process")
        bound.append((thread, cores))

    monkeypatch.setattr(worker.os, "listdir", lambda path: ["1", "2", "3"])
    monkeypatch.setattr(worker.os, "sched_setaffinity", bind)
    monkeypatch.setattr(worker.os, "sched_getaffinity", lambda thread: {5} if thread != 2 else bind(thread, ()))
    assert worker._pin((5,)) == [5]
    assert bound == [(1, (5,)), (3, (5,))]
    assert loadgen_worker._move_threads(frozenset([1]), (5,)) == [5]
    assert bound[2:] == [(3, (5,))]


def test_the_named_arm_goes_first(folder):
    """The process's first call is that of the arm the job names, and only its time is reported as cold."""
    result = run_worker(job(folder, first="optimized"), PATIENCE_S)
    assert result["first"] == "optimized"
    assert result["cold_ns"] > 0


def test_memory_of_a_fresh_process(folder):
    """The peak of a process with one model is more than the model and says how it was read."""
    result = run_worker(job(folder, kind="memory", models={"baseline": str(folder / "model.safetensors")}), PATIENCE_S)
    assert result["peak_rss_bytes"] > 1_000_000
    assert result["how"]


def test_threads_are_set_before_numpy_and_checked(folder, monkeypatch):
    """The parent's variables do not count, and libraries with other threads than asked for end the worker."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    assert {environment(2, 0)[name] for name in THREAD_VARIABLES} == {"2"}
    assert run_worker(job(folder, kind="memory", models={"a": str(folder / "model.safetensors")}), PATIENCE_S)
    (folder / "result.json").unlink()
    job(folder, threads=7).write(folder / "job.json")
    command = [sys.executable, "-P", "-m", "pipeline.measure.worker", str(folder / "job.json")]
    done = subprocess.run(command, env=environment(1, 0), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("ThreadsDisagree: asked for 7 threads, found ")
    assert not (folder / "result.json").exists()


@pytest.mark.skipif(not native.openmp(), reason="native kernels with threads are not built")
@pytest.mark.skipif(machine.facts()["cores"]["allowed"] < 2, reason="BLAS takes no more threads than there are cores")
def test_the_kernels_have_the_threads_of_the_job(folder):
    """OpenMP, which they bring into the process, is set like BLAS."""
    result = run_worker(job(folder, threads=2), PATIENCE_S)
    assert result["conditions"]["threads"] == 2


def test_environment_leaves_tuning_behind(monkeypatch):
    """Only what an interpreter needs is passed on; the hash seed is that of the job."""
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    passed = environment(1, 2**32 + 9)
    assert not {"OPENBLAS_CORETYPE", "PYTHONWARNINGS"} & passed.keys()
    assert passed["PYTHONHASHSEED"] == "9"
    assert passed["PATH"] == os.environ["PATH"]


def test_site_packages_are_not_named_before_others(monkeypatch):
    """An installed package is found where it is; naming its folder could change which numpy is imported."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    root = str(Path(launch.__file__).parents[2])
    monkeypatch.setattr(launch.site, "getsitepackages", lambda: ["/elsewhere"])
    assert environment(1, 0)["PYTHONPATH"] == root
    monkeypatch.setattr(launch.site, "getsitepackages", lambda: ["/elsewhere", root])
    assert "PYTHONPATH" not in environment(1, 0)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "/mine"]))
    monkeypatch.setenv("PYTHONUSERBASE", "/base")
    assert (environment(1, 0)["PYTHONPATH"], environment(1, 0)["PYTHONUSERBASE"]) == ("/mine", "/base")


def test_works_from_any_folder(folder, monkeypatch):
    """Modules in the folder where the pipeline was started do not shadow those of the worker."""
    (folder / "numpy.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(folder)
    assert run_worker(job(folder, kind="memory", models={"a": "model.safetensors"}), PATIENCE_S)["peak_rss_bytes"]


def test_a_bad_model_ends_with_its_error(folder):
    """What the worker can foresee reaches the parent as one line."""
    (folder / "model.safetensors").write_bytes(b"not a model")
    with pytest.raises(WorkerFailed, match=r"ended with exit code 1:\n  ModelFileError: "):
        run_worker(job(folder), PATIENCE_S)


def test_a_worker_killed_while_timing_is_a_clear_error(folder, monkeypatch):
    """A process that a signal ends during its service phase is named with the signal, and nothing is read from it."""
    (folder / "sitecustomize.py").write_text("import signal; signal.setitimer(signal.ITIMER_REAL, 0.8)")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    with pytest.raises(WorkerFailed, match="was killed by SIGALRM") as caught:
        run_worker(job(folder, phases=Phases(warmup_s=0.02, service_s=30.0)), PATIENCE_S)
    assert caught.value.exit_code == 1
    assert not (folder / "result.json").exists()


def test_a_worker_that_takes_too_long_is_stopped_and_reaped(folder):
    """After the time limit the process is gone: no zombie is left to wait for."""
    with pytest.raises(WorkerFailed, match="took more than"):
        run_worker(job(folder, phases=Phases(service_s=30.0)), timeout_s=0.3)
    with contextlib.suppress(ChildProcessError):  # raised if there are no children at all
        assert os.waitpid(-1, os.WNOHANG) == (0, 0)
