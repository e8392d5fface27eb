"""A sweep with submitit's local executor: processes that die, are preempted, or are stopped."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import SimpleNamespace

import forking
import pytest
from conftest import config_of

from exp.config.compose import compose_config
from exp.config.run_spec import RunSpec
from exp.errors import ConfigError
from exp.results import summary
from exp.results.compare_runs import find_differences
from exp.results.heartbeat import describe_process
from exp.sweeps.executors import cluster_jobs
from exp.sweeps.executors.cluster import Cluster
from exp.sweeps.launcher import make_executor
from exp.sweeps.task import Outcome, Task

LOCAL = "hydra/launcher=submitit_local"
LONG = "dataset=moons batching=full epochs=12000 figures=false log_every=1000 eval_every=1000 save_every=200".split()
MODEL = """import os
import signal

from torch import nn


class Dying(nn.Linear):
    def __init__(self, in_features, out_features, die):
        if die:
            os.kill(os.getpid(), signal.SIGKILL)
        super().__init__(in_features, out_features)
"""


def start(folder: Path, *arguments: str, **environment: str) -> forking.Process:
    return forking.begin("exp", "-m", *arguments, folder=folder, **environment)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def process_of(job: Path) -> int:
    """Return the process ID of the submitit job that runs this run."""
    for _ in range(1000):
        for pid in Path("/proc").glob("[0-9]*"):
            try:
                files = {os.readlink(one) for one in (pid / "fd").iterdir()}
                line = (pid / "cmdline").read_bytes()
            except OSError:
                continue
            if b"submitit.core._submit" in line and any(name.startswith(str(job)) for name in files):
                return int(pid.name)
        time.sleep(0.01)
    raise AssertionError("the job never ran")


def wait_until_saved(job: Path) -> None:
    for _ in range(3000):
        if (job / "checkpoints/last.pt").exists():
            return
        time.sleep(0.01)
    raise AssertionError("the job never saved")


@pytest.mark.slow
def test_a_killed_job_does_not_affect_the_others(tmp_path: Path):
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/mortal.py").write_text(MODEL)
    (tmp_path / "conf/model/dying.yaml").write_text("_target_: mortal.Dying\ndie: false\n")
    line = ["--config-dir", "conf", "model=dying", "dataset=moons", "epochs=1", "figures=false", "model.die=false,true"]
    process = start(tmp_path, *line, LOCAL, "hydra.sweep.dir=sweep", EXP_ALLOW="mortal")
    stdout, stderr = process.communicate()
    assert process.returncode == 1, stderr
    assert [(row["model.die"], row["status"]) for row in table(tmp_path / "sweep")] == [
        ("False", "finished"),
        ("True", "failed"),
    ]
    assert stdout.count("ended without a result: ") == 1


@pytest.mark.slow
def test_at_most_max_queued_jobs_are_in_the_queue(tmp_path: Path):
    line = "dataset=xor epochs=1 figures=false seed=1,2,3 hydra.launcher.max_queued=1 hydra.sweep.dir=sweep".split()
    process = start(tmp_path, *line, LOCAL)
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    began = [summary.read(tmp_path / f"sweep/{name}")["process"]["pid"] for name in range(3)]
    ended = [(tmp_path / f"sweep/{name}/summary.json").stat().st_mtime for name in range(3)]
    queued = sorted(path.stat().st_mtime for path in (tmp_path / "sweep/.submitit").glob("*/*_submitted.pkl"))
    assert len(set(began)) == len(queued) == 3
    assert all(end <= begin for end, begin in zip(ended, queued[1:], strict=False))  # one after the other


@pytest.mark.slow
def test_a_preempted_job_is_queued_again_and_resumes(tmp_path: Path):
    """With submitit, a cluster sends SIGUSR2 before it preempts a job."""
    process = start(tmp_path, *LONG, "seed=1,2", LOCAL, "hydra.sweep.dir=sweep")
    wait_until_saved(tmp_path / "sweep/0")
    os.kill(process_of(tmp_path / "sweep/0"), signal.SIGUSR2)
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert "resumed   after step" in (tmp_path / "sweep/0/exp.log").read_text()
    uninterrupted = start(tmp_path, *LONG, "seed=1,2", "hydra.sweep.dir=ours")
    uninterrupted.communicate()
    assert table(tmp_path / "sweep") == table(tmp_path / "ours")
    for job in "01":
        kinds = {kind for kind, _ in find_differences(tmp_path / "sweep" / job, tmp_path / "ours" / job)}
        assert not {"metrics", "parameters", "status"} & kinds


@pytest.mark.slow
def test_a_stopped_cluster_sweep_is_resumed_on_this_machine(tmp_path: Path):
    process = start(tmp_path, *LONG, "seed=1,2", LOCAL, "hydra.sweep.dir=sweep")
    wait_until_saved(tmp_path / "sweep/0")
    wait_until_saved(tmp_path / "sweep/1")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    assert process.returncode == 130, stderr
    resume = "to resume: python -m exp -m sweep.resume=sweep hydra/launcher=submitit_local"
    assert f"interrupted and saved; {resume}\n" in stdout
    again = start(tmp_path, *LONG, "seed=1,2", "sweep.resume=sweep")
    again.communicate()
    assert again.returncode == 0
    assert [row["status"] for row in table(tmp_path / "sweep")] == ["finished"] * 2
    assert "resumed   after step" in (tmp_path / "sweep/0/exp.log").read_text()
    assert json.loads((tmp_path / "sweep/1/summary.json").read_text())["steps"] == 12000


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def status_of(job: Path) -> str:
    return summary.read(job).get("status", "")


@pytest.mark.slow
def test_the_jobs_of_a_killed_cluster_sweep_are_collected_not_started_twice(tmp_path: Path):
    long = [word.replace("12000", "40000") for word in LONG]
    process = start(tmp_path, *long, "seed=1,2", LOCAL, "hydra.sweep.dir=sweep")
    jobs = [tmp_path / "sweep" / name for name in "01"]
    for job in jobs:
        wait_until_saved(job)
    before = [summary.read(job)["process"] for job in jobs]
    process.kill()
    process.communicate()
    again = start(tmp_path, *long, "seed=1,2", LOCAL, "sweep.resume=sweep")
    _, stderr = again.communicate()
    assert again.returncode == 0, stderr
    assert [row["status"] for row in table(tmp_path / "sweep")] == ["finished"] * 2
    assert [summary.read(job)["process"] for job in jobs] == before
    assert not any("resumed" in (job / "exp.log").read_text() for job in jobs)


SBATCH = r"""#!/bin/bash
# Runs a job, or each job of an array, in a session of its own, with its state in a file of $SLURM_FAKE.
last=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p' "$1")
export SLURM_JOB_ID=$(( $(ls "$SLURM_FAKE" | wc -l) + 100 ))
export SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_JOB_NODELIST=here
for task in $(seq 0 "${last:-0}"); do
  state="$SLURM_FAKE/$SLURM_JOB_ID${last:+_$task}"
  [ -n "$last" ] && export SLURM_ARRAY_JOB_ID=$SLURM_JOB_ID SLURM_ARRAY_TASK_ID=$task
  echo RUNNING > "$state"
  (setsid bash "$1" && echo COMPLETED > "$state" || echo FAILED > "$state") < /dev/null > /dev/null 2>&1 &
done
echo "Submitted batch job $SLURM_JOB_ID"
"""
SRUN = """#!/bin/bash
while [[ "$1" == -* ]]; do [[ "$1" == --output || "$1" == --error ]] && shift; shift; done
exec "$@"
"""
SACCT = """#!/bin/bash
echo "JobID|State|NodeList"
for path in "$SLURM_FAKE"/*; do echo "$(basename "$path")|$(cat "$path")|here"; done
"""


@pytest.mark.slow
def test_a_slurm_sweep_is_detached_killed_and_collected(tmp_path: Path):
    """With a scheduler of shell scripts, which answers as Slurm does."""
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT, "scancel": "#!/bin/bash\n"}.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (tmp_path / "states").mkdir()
    slurm = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "SLURM_FAKE": str(tmp_path / "states")}
    line = [*(word.replace("12000", "40000") for word in LONG), "seed=1,2", "hydra/launcher=submitit_slurm"]
    detached = start(tmp_path, *line, "hydra.sweep.dir=sweep", "sweep.detach=true", **slurm)
    stdout, stderr = detached.communicate()
    assert detached.returncode == 0, stdout + stderr
    jobs = [tmp_path / "sweep" / name for name in "01"]
    for job in jobs:
        wait_until_saved(job)
    before = [summary.read(job)["process"] for job in jobs]
    os.kill(json.loads((tmp_path / "sweep/sweep.json").read_text())["process"]["pid"], signal.SIGKILL)
    again = start(tmp_path, *line, "sweep.resume=sweep", **slurm)
    _, stderr = again.communicate()
    assert again.returncode == 0, stderr
    assert [row["status"] for row in table(tmp_path / "sweep")] == ["finished"] * 2
    assert [summary.read(job)["process"] for job in jobs] == before
    assert len(list((tmp_path / "states").iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hydra/launcher=submitit_slurm"], "hydra/launcher=submitit_slurm: "),
        pytest.param(
            [LOCAL, "sweep.on_error=stop"], "sweep.on_error=stop: not supported on a cluster", marks=pytest.mark.slow
        ),
        pytest.param([LOCAL, "epochs=1,0"], "epochs must be an integer >= 1, or auto, got 0", marks=pytest.mark.slow),
    ],
)
def test_an_invalid_setting_is_an_error_before_the_first_job(tmp_path: Path, words: list[str], message: str):
    process = start(tmp_path, "seed=1,2", *words)
    _, stderr = process.communicate()
    assert process.returncode == 1
    assert message in stderr
    assert "Traceback" not in stderr
    assert not list(tmp_path.rglob("metrics.csv"))


@pytest.fixture
def fast_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the jobs often; a cluster that closes waits for the next look."""
    monkeypatch.setattr("exp.sweeps.executors.cluster._POLL_SECONDS", 0.01)


@pytest.fixture
def cluster(tmp_path: Path):
    settings = {"cluster": "local", "submitit_folder": str(tmp_path / "%j"), "max_num_timeout": 3}
    with Cluster(settings, 1) as cluster:
        yield cluster


def task_in(folder: Path) -> Task:
    return Task(RunSpec(config_of("dataset=xor", "epochs=1"), folder, "", {}, []), {"version": 1}, {})


@pytest.mark.usefixtures("fast_polls")
def test_a_cluster_that_cannot_be_reached_is_the_outcome_of_each_job(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def unreachable(*_: object) -> list[object]:
        raise OSError("sbatch: no route to host")

    monkeypatch.setattr(cluster._executor, "map_array", unreachable)
    for _ in range(2):
        outcome = cluster.submit(task_in(tmp_path)).result(timeout=10)
        assert outcome.error == "the job could not be submitted: sbatch: no route to host"


@pytest.mark.usefixtures("fast_polls")
def test_a_job_that_is_submitted_during_an_interrupt_is_cancelled(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    is_submitting, is_interrupted, is_cancelled = threading.Event(), threading.Event(), threading.Event()

    def cancel(check: bool) -> None:
        is_cancelled.set()

    def submit(*_: object) -> list[object]:
        is_submitting.set()
        assert is_interrupted.wait(10)
        paths = SimpleNamespace(result_pickle=tmp_path / "none")
        return [SimpleNamespace(cancel=cancel, done=is_cancelled.is_set, paths=paths, job_id="1")]

    monkeypatch.setattr(cluster._executor, "map_array", submit)
    future = cluster.submit(task_in(tmp_path))
    assert is_submitting.wait(10)
    cluster.interrupt()
    is_interrupted.set()
    assert future.result(timeout=10).interrupted


def test_a_cluster_that_does_not_have_a_setting_is_an_error(tmp_path: Path):
    settings = {"cluster": "debug", "submitit_folder": str(tmp_path), "max_num_timeout": 3}
    with pytest.raises(ConfigError, match="unexpected keyword argument 'max_num_timeout'"):
        Cluster(settings, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("argument", "package"), [(LOCAL, "submitit"), ("hydra/sweeper=optuna", "optuna")])
def test_a_missing_package_is_named(tmp_path: Path, argument: str, package: str):
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('no module', name='{package}')\n")
    # A new process, because a fork would have imported the package already.
    command = [sys.executable, "-m", "exp", "-m", "seed=1,2", argument]
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{argument}: it needs {package}, which is not installed\n  try: " in done.stderr
    assert "pip install -c " in done.stderr


def test_only_a_job_of_this_machine_is_signalled(tmp_path: Path):
    (tmp_path / "summary.json").touch()  # the heartbeat
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        here = describe_process(process.pid)
        elsewhere = cluster_jobs._Orphan({**here, "boot_id": "of another machine"}, tmp_path)
        assert elsewhere.poll() is None
        elsewhere.send_signal(signal.SIGKILL)
        assert process.poll() is None
        assert elsewhere.poll() == 0
        orphan = cluster_jobs._Orphan(here, tmp_path)
        assert orphan.poll() is None
        orphan.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        assert orphan.poll() == 0
        cluster_jobs._Orphan({**here, "pid": os.getpid()}, tmp_path).send_signal(
            signal.SIGKILL
        )  # the id of another one


@pytest.mark.slow
def test_the_limit_of_an_array_holds_for_all_arrays_of_a_sweep(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    arrays: list[list[threading.Event]] = []

    def submit(_: object, tasks: Collection[Task]) -> list[object]:
        ends = [threading.Event() for _ in tasks]
        arrays.append(ends)
        paths = SimpleNamespace(result_pickle=tmp_path)
        return [SimpleNamespace(done=end.is_set, paths=paths, job_id="1", result=Outcome) for end in ends]

    def end(count: int) -> None:
        running = [job for jobs in arrays for job in jobs if not job.is_set()]
        for job in running[:count]:
            job.set()

    monkeypatch.setattr(cluster._executor, "map_array", submit)
    monkeypatch.setattr(cluster, "_max_running", 2)
    first = []
    for _ in range(5):
        first.append(cluster.submit(task_in(tmp_path)))
        time.sleep(0.15)  # longer than a poll, all together
    wait_for(lambda: len(arrays) == 1)
    assert len(arrays[0]) == 5  # the scheduler runs 2 of them at a time
    others = [cluster.submit(task_in(tmp_path)) for _ in range(3)]
    end(3)
    for future in first[:3]:
        future.result(timeout=10)
    time.sleep(1.2)
    assert len(arrays) == 1  # its last two may run
    end(1)
    wait_for(lambda: len(arrays) == 2)
    assert len(arrays[1]) == 1
    end(2)
    wait_for(lambda: len(arrays) == 3)
    assert len(arrays[2]) == 2
    end(2)
    for future in others:
        assert future.result(timeout=10).error is None


@pytest.mark.usefixtures("fast_polls")
@pytest.mark.parametrize(
    ("words", "workers"),
    [
        ([], 5),
        (["hydra.launcher.max_queued=3"], 3),
        (["sweep.workers=2"], 2),
        (["++sweep.workers=1"], 1),
        (["sweep.workers=auto"], 5),
        (["sweep.workers=0"], 1),
    ],
)
def test_workers_that_are_typed_limit_the_jobs_in_the_queue(words: list[str], workers: int, tmp_path: Path):
    config = compose_config([LOCAL, f"hydra.sweep.dir={tmp_path}", *words], with_hydra=True)
    with make_executor(config, 5) as executor:
        assert executor.workers == workers
