"""A sweep on a Ray cluster of three nodes, real processes on this machine, which die or are stopped."""

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import config_of

from exp.config.compose import compose_config
from exp.config.run_spec import RunSpec
from exp.errors import ConfigError
from exp.results.atomic import replacement
from exp.results.compare_runs import find_differences
from exp.sweeps.executors import ray_worker
from exp.sweeps.executors.ray_worker import RayWorker, read_files, write_files
from exp.sweeps.task import Assignment, Outcome, Task

needs_ray = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
LONG = (
    "device=cpu dataset=moons batching=full epochs=12000 figures=false log_every=1000 eval_every=1000 save_every=200"
).split()


RESUME = "python -m exp -m sweep.resume=ray hydra/launcher=ray"


NEEDED = "needs pip install 'exp[ray]'"


class Nodes:
    """The nodes of a cluster, by the order in which they were added. The first one is the head."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args=self._settings(num_gpus=2))
        self._nodes = [self._cluster.head_node, self.add(), self.add()]

    @staticmethod
    def _settings(**more: int) -> dict[str, Any]:
        return {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False, **more}

    @property
    def address(self) -> str:
        return f"hydra.launcher.address={self._cluster.address}"

    def add(self) -> Any:
        return self._cluster.add_node(**self._settings())

    def processes(self, number: int) -> list[psutil.Process]:
        """The raylet of a node and everything that it started."""
        (raylet,) = self._nodes[number].all_processes["raylet"]
        top = psutil.Process(raylet.process.pid)
        return [top, *top.children(recursive=True)]

    def kill_head(self) -> None:
        processes = [psutil.Process(one.process.pid) for kind in self._nodes[0].all_processes.values() for one in kind]
        for process in [*processes, *(child for one in processes for child in one.children(recursive=True))]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def replace(self, number: int) -> None:
        """Clean up after a node was killed, and add another one."""
        self._cluster.remove_node(self._nodes[number], allow_graceful=False)
        self._nodes[number] = self.add()

    def shutdown(self) -> None:
        everything: list[psutil.Process] = []
        for number in range(3):
            with suppress(KeyError, psutil.NoSuchProcess):  # a test that failed has killed it
                everything += self.processes(number)
        self._cluster.shutdown()
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture(scope="module")
def nodes() -> Generator[Nodes]:
    pytest.importorskip("ray", reason=NEEDED)
    cluster = Nodes()
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep in local workers, which no process left."""
    folder = tmp_path_factory.mktemp("local")
    run(folder, *LONG, "seed=1,2,3", "sweep.workers=2", "hydra.sweep.dir=sweep")
    return folder / "sweep"


_started: "list[subprocess.Popen[str]]" = []


@pytest.fixture(autouse=True)
def killed() -> Generator[None]:
    """Kill what a test that failed has left."""
    yield
    while _started:
        if (process := _started.pop()).poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def start(folder: Path, *words: str, **environment: str) -> "subprocess.Popen[str]":
    return popen(folder, [sys.executable, "-m", "exp", "-m", *words], **environment)


def popen(folder: Path, command: list[str], **environment: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment}, stdout=-1, stderr=-1, text=True, start_new_session=True
    )
    _started.append(process)
    return process


def run(folder: Path, *words: str, code: int = 0, **environment: str) -> str:
    process = start(folder, *words, **environment)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == code, stdout + stderr
    return stdout + stderr


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def assert_same(folder: Path, other: Path) -> None:
    """Assert that two sweeps have the same table, and their jobs the same bits and the same environment."""
    assert table(folder) == table(other)
    for row in table(folder):
        kinds = {kind for kind, _ in find_differences(folder / row["job"], other / row["job"])}
        assert not {"metrics", "parameters", "status"} & kinds
        one, two = (summary(path / row["job"])["environment"] for path in (folder, other))
        assert one == {**two, "commit": one["commit"]}  # which may gain a -dirty in between


def summary(job: Path) -> dict[str, Any]:
    return json.loads((job / "summary.json").read_text())


def wait_until_saved(*jobs: Path) -> None:
    for _ in range(6000):
        if all((job / "checkpoints/last.pt").exists() for job in jobs):
            return
        time.sleep(0.01)
    raise AssertionError("a job never saved")


class TestCluster:
    pytestmark = needs_ray

    def test_a_job_equals_that_of_a_local_sweep_and_a_failed_neighbour_changes_nothing(
        self, nodes: Nodes, tmp_path: Path
    ):
        """The step of the large model has torch's default number of threads, which Ray changes."""
        line = "device=cpu dataset=moons epochs=2 figures=false batching=full,minibatch model.hidden=[8],[400,400]"
        for name, more in {"ours": [], "ray": ["hydra/launcher=ray", nodes.address]}.items():
            printed = run(tmp_path, *line.split(), "optimizer.lr=.1,1e8", *more, f"hydra.sweep.dir={name}", code=1)
            assert "diverged  " in printed
        assert_same(tmp_path / "ray", tmp_path / "ours")
        threads = {summary(tmp_path / "ray" / row["job"])["environment"]["threads"] for row in table(tmp_path / "ray")}
        of_torch = [sys.executable, "-c", "import torch; print(torch.get_num_threads())"]  # by the CPUs that it may use
        assert threads == {1, int(subprocess.check_output(of_torch))}

    @pytest.mark.parametrize("victim", ["worker", "actor", "node"])
    def test_a_job_whose_worker_actor_or_node_dies_resumes_and_others_do_not_notice(
        self, nodes: Nodes, local: Path, tmp_path: Path, victim: str
    ):
        process = start(tmp_path, *LONG, "seed=1,2,3", "hydra/launcher=ray", nodes.address, "hydra.sweep.dir=ray")
        wait_until_saved(*(tmp_path / "ray" / job for job in "012"))
        raylet, *others = nodes.processes(2)
        workers = [one for one in others if "exp.sweeps.worker" in one.cmdline()]
        assert len(workers) == 1
        for one in {"worker": workers, "actor": [workers[0].parent()], "node": [raylet, *others]}[victim]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        stdout, stderr = process.communicate(timeout=120)
        if victim == "node":
            nodes.replace(2)
        assert process.returncode == 0, stderr
        assert len(re.findall(r"job [012]: its .*; it runs again, from its last checkpoint\n", stdout)) == 1
        logs = [(tmp_path / "ray" / job / "exp.log").read_text() for job in "012"]
        assert sorted(log.count("resumed   after step") for log in logs) == [0, 0, 1]
        assert_same(tmp_path / "ray", local)

    def test_a_stopped_sweep_has_saved_and_is_resumed_on_this_machine(self, nodes: Nodes, tmp_path: Path):
        process = start(tmp_path, *LONG, "seed=1,2", "hydra/launcher=ray", nodes.address, "hydra.sweep.dir=ray")
        wait_until_saved(tmp_path / "ray/0", tmp_path / "ray/1")
        os.killpg(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 130, stderr
        assert f"interrupted and saved; to resume: {RESUME} {nodes.address}\n" in stdout
        assert [summary(tmp_path / "ray" / job)["status"] for job in "01"] == ["interrupted"] * 2
        run(tmp_path, *LONG, "seed=1,2", "sweep.resume=ray")
        assert [row["status"] for row in table(tmp_path / "ray")] == ["finished"] * 2
        assert "resumed   after step" in (tmp_path / "ray/0/exp.log").read_text()

    def test_a_search_asks_tells_and_prunes(self, nodes: Nodes, tmp_path: Path):
        line = "device=cpu dataset=moons epochs=8 hydra/sweeper=optuna hydra.sweeper.n_trials=8".split()
        line += ["optimizer.lr=tag(log,interval(.001,1))"]
        for name, more in {"ours": [], "ray": ["hydra/launcher=ray", nodes.address]}.items():
            printed = run(tmp_path, *line, *more, f"hydra.sweep.dir={name}")
            assert "pruned after epoch" in printed
        assert table(tmp_path / "ray") == table(tmp_path / "ours")

    def test_each_job_has_a_gpu_or_a_part_of_one(self, nodes: Nodes, tmp_path: Path):
        """The head says that it has two GPUs."""
        model = (
            "import os\nimport time\nfrom pathlib import Path\nfrom torch import nn\n\n\nclass Seeing(nn.Linear):\n"
            "    def __init__(self, in_features, out_features):\n"
            "        with Path('seen').open('a') as file:\n"
            "            file.write(os.environ['CUDA_VISIBLE_DEVICES'] + '\\n')\n"
            "        time.sleep(2)\n"
            "        super().__init__(in_features, out_features)\n"
        )
        (tmp_path / "conf/model").mkdir(parents=True)
        (tmp_path / "conf/seeing.py").write_text(model)
        (tmp_path / "conf/model/seeing.yaml").write_text("_target_: seeing.Seeing\n")
        line = ["--config-dir", "conf", "model=seeing", "dataset=moons", "epochs=1", "figures=false", "seed=range(0,4)"]
        ray = ["hydra/launcher=ray", nodes.address, "hydra.launcher.cpus_per_job=0", "hydra.launcher.gpus_per_job=0.5"]
        run(tmp_path, *line, *ray, "hydra.sweep.dir=half", EXP_ALLOW="seeing")
        assert set((tmp_path / "seen").read_text().split("\n")) == {"0", "1", ""}
        (tmp_path / "seen").unlink()
        run(tmp_path, *line, *ray[:2], "device=cpu", "hydra.sweep.dir=none", EXP_ALLOW="seeing")
        assert (tmp_path / "seen").read_text() == "\n" * 4

    def test_nodes_that_do_not_share_the_folder_return_the_files_of_each_run(
        self, nodes: Nodes, local: Path, tmp_path: Path
    ):
        """The sweep runs in a file system that the nodes do not see. A worker dies once its checkpoint was copied."""
        hidden = tmp_path / "hidden"
        hidden.mkdir()
        mount = f"mount -t tmpfs none {hidden} && cd {hidden} && "
        if subprocess.run(["unshare", "-rm", "sh", "-c", f"{mount} true"], capture_output=True).returncode:
            pytest.skip("this machine does not let a process mount a file system")
        words = [*LONG, "seed=1,2,3", "hydra/launcher=ray", nodes.address, "hydra.launcher.copy_every=0.2"]
        sweep = f"{sys.executable} -m exp -m {shlex.join(words)} hydra.sweep.dir=sweep"
        script = f"{mount} ({sweep}; cp -r sweep {tmp_path}/ray)"
        process = popen(tmp_path, ["unshare", "-rm", "sh", "-c", script])
        seen = Path(f"/proc/{process.pid}/root/{hidden}")
        wait_until_saved(*(seen / "sweep" / job for job in "012"))
        workers = [one for one in nodes.processes(2) if "exp.sweeps.worker" in one.cmdline()]
        workers[0].kill()
        stdout, stderr = process.communicate(timeout=120)
        assert "3 of 3" in stdout or "loss/val" in stdout, stderr
        assert_same(tmp_path / "ray", local)
        logs = [(tmp_path / "ray" / job / "exp.log").read_text() for job in "012"]
        assert sorted(log.count("resumed   after step") for log in logs) == [0, 0, 1]
        assert list(hidden.iterdir()) == []

    def test_a_cluster_without_room_is_an_error_with_a_cure(self, nodes: Nodes, tmp_path: Path):
        line = ["device=cpu", "seed=1,2", "hydra/launcher=ray", "hydra.launcher.timeout=2", "hydra.sweep.dir=sweep"]
        printed = run(tmp_path, *line, nodes.address, "hydra.launcher.cpus_per_job=4", code=1)
        assert "no node of the Ray cluster was free for a job within 2 seconds (its nodes: 1 CPUs and " in printed
        assert "\n  try: fewer CPUs or GPUs per job" in printed
        assert list(tmp_path.iterdir()) == []

    def test_a_job_that_a_local_cluster_can_never_run_is_refused_at_once(self, tmp_path: Path):
        pytest.importorskip("ray", reason=NEEDED)
        line = ["dataset=xor", "seed=1,2", "hydra/launcher=ray", "hydra.launcher.cpus_per_job=999"]
        assert "0  " in run(tmp_path, *line, "sweep.dry_run=true")  # without Ray
        began = time.monotonic()
        printed = run(tmp_path, *line, code=1)
        assert time.monotonic() - began < 50  # hydra.launcher.timeout is 60
        assert "no node of the Ray cluster is large enough for a job (its nodes: " in printed
        assert list(tmp_path.iterdir()) == []

    def test_a_cluster_that_does_not_come_is_an_error_with_a_cure(self, tmp_path: Path):
        pytest.importorskip("ray", reason=NEEDED)
        line = ["seed=1,2", "hydra/launcher=ray", "hydra.launcher.timeout=1", "hydra.launcher.address=127.0.0.1:1"]
        printed = run(tmp_path, *line, code=1)
        assert "waiting for the Ray cluster at 127.0.0.1:1, at most 1 seconds\n" in printed
        assert "hydra.launcher.address=127.0.0.1:1: no Ray cluster within 1 seconds: " in printed
        assert "\n  try: ray start --head on the first machine; " in printed
        assert "Traceback" not in printed


class TestToken:
    """Ray's token, in a home of its own."""

    pytestmark = needs_ray

    def test_a_local_cluster_leaves_no_token(self, tmp_path: Path):
        pytest.importorskip("ray", reason=NEEDED)
        for mode in ({}, {"RAY_AUTH_MODE": "token"}):
            line = ["dataset=xor", "epochs=1", "figures=false", "seed=1,2", "hydra/launcher=ray"]
            run(tmp_path, *line, f"hydra.sweep.dir=with{len(mode)}", HOME=str(tmp_path), **mode)
            assert not (tmp_path / ".ray").exists()

    def test_a_token_that_is_missing_or_of_another_cluster_is_an_error_with_a_cure(self, nodes: Nodes, tmp_path: Path):
        line = ["dataset=xor", "seed=1,2", "hydra/launcher=ray"]
        printed = run(tmp_path, *line, nodes.address, code=1, HOME=str(tmp_path), RAY_AUTH_MODE="token")
        assert "Traceback" not in printed
        assert "the token of the Ray cluster is missing or wrong: Token authentication is enabled but no " in printed
        assert "\n  try: RAY_AUTH_MODE=token RAY_AUTH_TOKEN=TOKEN with what `ray get-auth-token` prints " in printed
        more = {"HOME": str(tmp_path), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}
        printed = run(tmp_path, *line, nodes.address, code=1, **more)
        assert "a worker could not be started: " in printed
        assert "\n  try: RAY_AUTH_MODE=disabled if the cluster has no token; else " in printed


@pytest.mark.parametrize("kind", ["sweep", "search"])
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_sweep_whose_head_dies_ends_with_what_was_saved(tmp_path: Path, kind: str):
    pytest.importorskip("ray", reason=NEEDED)
    nodes = Nodes()
    try:
        more = ["seed=1,2,3,4,5,6"]
        if kind == "search":
            more = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=9", "hydra.sweeper.storage=study.log"]
            more += ["optimizer.lr=interval(.001,.002)", "sweep.workers=3"]
        words = [word.replace("=12000", "=300000") for word in LONG]
        process = start(tmp_path, *words, *more, "hydra/launcher=ray", nodes.address, "hydra.sweep.dir=ray")
        wait_until_saved(*(tmp_path / "ray" / job for job in "012"))
        began = time.monotonic()
        nodes.kill_head()
        stdout, stderr = process.communicate(timeout=120)
    finally:
        nodes.shutdown()
    assert process.returncode == 1, stderr
    assert time.monotonic() - began < 55, stdout + stderr  # Ray ends the process after 60
    assert " has not answered for 20 seconds; what the jobs saved is kept; to resume: python -m exp -m " in stdout
    statuses = [row["status"] for row in table(tmp_path / "ray")]
    assert statuses.count("interrupted") == 2
    assert "folder    ray\n" in stdout
    (resume,) = re.findall("to resume: python -m exp (.*)", stdout)
    assert "hydra/launcher=ray" in resume


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("gpus_per_job=1.5", "hydra.launcher.gpus_per_job must be a number from 0 to 1, or a whole number, got 1.5"),
        ("cpus_per_job=-1", "hydra.launcher.cpus_per_job must be a number from 0 to 1, or a whole number, got -1"),
        ("cpus_per_job=0", "hydra.launcher.cpus_per_job must be > 0 for a job without GPUs, got 0"),
        ("max_retries=-1", "hydra.launcher.max_retries must be >= 0, got -1"),
        ("copy_every=0", "hydra.launcher.copy_every must be >= 0.1, got 0"),
        ("timeout=nan", "hydra.launcher.timeout must be >= 0, got nan"),
        ("gpus_per_job=inf", "hydra.launcher.gpus_per_job must be a number from 0 to 1, or a whole number, got inf"),
        ("cpus_per_job=nan", "hydra.launcher.cpus_per_job must be a number from 0 to 1, or a whole number, got nan"),
    ],
)
def test_an_invalid_setting_is_an_error(word: str, message: str):
    pytest.importorskip("ray", reason=NEEDED)
    from exp.sweeps.executors.ray_connection import read_settings

    with pytest.raises(ConfigError, match=f"^{re.escape(message)}\n"):
        read_settings(compose_config(["hydra/launcher=ray", f"hydra.launcher.{word}"], with_hydra=True))


def test_files_of_a_run_are_copied_with_what_was_removed(tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    (one / "checkpoints").mkdir(parents=True)
    (one / "checkpoints/last.pt").write_bytes(b"1")
    (one / "unfinished.tmp").write_bytes(b"2")
    two.mkdir()
    (two / "old").touch()
    write_files(two, read_files(one))
    assert [path.relative_to(two).as_posix() for path in sorted(two.rglob("*"))] == [
        "checkpoints",
        "checkpoints/last.pt",
    ]
    assert (two / "checkpoints/last.pt").read_bytes() == b"1"


def test_a_copy_that_is_cut_off_has_no_checkpoint_newer_than_its_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, text in ((one, "new"), (two, "old")):
        for name in ("checkpoints/last.pt", "metrics.csv", "summary.json"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    written: list[str] = []

    def replace_two(path: Path):
        if len(written) == 2:
            raise OSError("the disk is full")
        written.append(path.name)
        return replacement(path)

    monkeypatch.setattr(ray_worker, "replacement", replace_two)
    with pytest.raises(OSError, match="full"):
        write_files(two, read_files(one))
    assert sorted(written) == ["metrics.csv", "summary.json"]
    assert (two / "checkpoints/last.pt").read_text() == "old"


def test_files_of_an_earlier_run_are_not_copied_to_the_folder_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Process:
        def __init__(self, *_: object) -> None: ...

        def exchange(self, message: Assignment) -> Outcome:
            assert isinstance(message.task, Task)
            assert worker.read_files(Path("2")) is None
            (message.task.spec.folder / "summary.json").write_text(str(message.task.spec.config.seed))
            return Outcome()

        kill = interrupt = lambda _: None

    monkeypatch.setattr(ray_worker, "WorkerProcess", Process)
    monkeypatch.setattr(ray_worker, "_MAX_FILE_DELAY", 0)
    monkeypatch.chdir(tmp_path)
    worker = RayWorker({}, tmp_path, (tmp_path / "none", ""))
    task = Task(RunSpec(config_of("dataset=xor"), Path("1"), "", {}, []), {}, {})
    assert worker.read_files(Path("1")) is None
    assert worker.exchange(Assignment(task, is_prunable=False), b"").files == worker.read_files(Path("1"))
    assert worker.read_files(Path("2")) is None
    worker.close()


@pytest.mark.parametrize(("path", "is_there"), [("a.csv", True), ("*.csv", True), ("[a].csv", True), ("*.tsv", False)])
def test_data_files_of_a_pattern_are_on_a_node(path: str, is_there: bool, tmp_path: Path):
    (tmp_path / "a.csv").touch()
    config = config_of("dataset=xor")
    config.dataset["path"] = f"{tmp_path}/{path}"
    problem = ray_worker._describe_missing_file(Task(RunSpec(config, Path("1"), "", {}, []), {}, {}))
    assert (problem is None) == is_there
