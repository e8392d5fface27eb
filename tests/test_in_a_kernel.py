"""exp in a Jupyter kernel: what a notebook receives during a run or a sweep, and an interrupted kernel."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient, KernelManager
from jupyter_client.manager import start_new_kernel

from exp.results import summary


@dataclass
class Executed:
    """The result of a cell: its stdout and stderr, and the successive contents of each output that is updated."""

    status: str = ""
    error: str = ""
    message: str = ""  # of the error
    streams: dict[str, str] = field(default_factory=lambda: {"stdout": "", "stderr": ""})
    shown: dict[str, list[str]] = field(default_factory=dict)
    others: list[dict[str, Any]] = field(default_factory=list)


class Kernel:
    def __init__(self, folder: Path) -> None:
        manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder))
        self.folder: Path = folder
        self.manager: KernelManager = manager
        self.client: BlockingKernelClient = client

    def execute(self, code: str, when_shown: Callable[[], object] | None = None) -> Executed:
        """Execute the cell; `when_shown` is called once, at the first output that can be updated."""
        done = Executed()

        def take(message: dict[str, Any]) -> None:
            kind, content = message["header"]["msg_type"], message["content"]
            if kind == "stream":
                done.streams[content["name"]] += content["text"]
            elif kind in ("display_data", "update_display_data"):
                which = content["transient"].get("display_id")
                assert (kind == "display_data") == (which not in done.shown)
                assert list(content["data"]) == ["text/plain"]
                done.shown.setdefault(which, []).append(content["data"]["text/plain"])
                if kind == "display_data" and when_shown is not None:
                    when_shown()
            elif kind == "execute_result":
                done.others.append(content["data"])

        reply = self.client.execute_interactive(code, timeout=100, output_hook=take)["content"]
        done.status, done.error, done.message = reply["status"], reply.get("ename", ""), reply.get("evalue", "")
        return done


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    kernel = Kernel(tmp_path_factory.mktemp("notebook"))
    assert kernel.execute("from exp import load, sweep, train").status == "ok"
    yield kernel
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel(now=True)


def run_in(kernel: Kernel) -> Path:
    """The folder of the latest run in the kernel."""
    return max(kernel.folder.glob("outputs/*/*"))


@pytest.mark.slow
def test_a_runs_progress_bar_is_updated_in_place_and_removed(kernel: Kernel):
    done = kernel.execute("result = train('experiment=xor_mse', epochs=40_000, figures=False)")
    assert done.status == "ok"
    assert done.streams["stderr"] == ""
    assert "\x1b" not in done.streams["stdout"]  # a front end without colours would show the codes
    lines = done.streams["stdout"].splitlines()
    assert [line.split()[0] for line in lines[:7]] == "data model loss optimizer batching machine versions".split()
    assert lines[7].split() == ["loss", "accuracy", "rows"]  # printed once, directly after the other lines
    (contents,) = done.shown.values()
    assert [one for one in contents if "step" in one] == contents[:-1]
    assert len(set(contents)) > 3
    assert all("\n" not in one for one in contents)
    assert contents[-1] == ""


@pytest.mark.slow
def test_the_log_has_no_colour_codes_although_kernels_set_force_color(kernel: Kernel):
    assert kernel.execute("import os; os.environ['FORCE_COLOR']").others == [{"text/plain": "'1'"}]
    kernel.execute("train('dataset=moons', epochs=1, figures=False);")
    log = (run_in(kernel) / "exp.log").read_text()
    assert "loss  accuracy  rows" in log
    assert "\x1b" not in log


@pytest.mark.slow
def test_an_interrupted_run_can_be_resumed(kernel: Kernel):
    line = "train('experiment=xor_mse', epochs=40_000)"
    done = kernel.execute(line, when_shown=lambda: kernel.manager.interrupt_kernel())
    assert (done.status, done.error) == ("error", "KeyboardInterrupt")
    assert "interrupted and saved; to resume: " in done.streams["stdout"]
    (contents,) = done.shown.values()
    assert contents[-1] == ""
    run = run_in(kernel)
    assert summary.read(run)["status"] == "interrupted"
    assert kernel.execute(f"train('resume={run}')").status == "ok"
    assert (summary.read(run)["status"], summary.read(run)["steps"]) == ("finished", 40_000)


@pytest.mark.slow
def test_a_sweeps_progress_bar_is_updated_in_place_in_a_running_event_loop(kernel: Kernel):
    code = """
import asyncio, sys
await asyncio.sleep(0)
before = sys.argv[:]
made = sweep("dataset=moons", "optimizer.lr=0.01,0.1", "seed=range(0,2)", "sweep.workers=2", epochs=100)
assert sys.argv == before
list(made.table["status"]), list(made.seeds["n"])
"""
    done = kernel.execute(code)
    assert done.others == [{"text/plain": f"({['finished'] * 4}, [2, 2])"}]
    assert done.streams["stderr"] == ""
    assert "\x1b" not in done.streams["stdout"]
    first = [line.split()[0] for line in done.streams["stdout"].splitlines()]
    assert first == "lr 0.1 0.01 best next folder look report".split()
    (contents,) = done.shown.values()
    assert "of 4 done, 0 failed" in contents[0]
    assert contents[-1] == ""


@pytest.mark.slow
def test_a_search_needs_no_widgets(kernel: Kernel):
    done = kernel.execute(
        "sweep('hydra/sweeper=optuna', 'dataset=moons', 'optimizer.lr=interval(0.01,0.1)', epochs=2,"
        " **{'hydra.sweeper.n_trials': 2})"
    )
    assert [line.split()[0] for line in done.streams["stdout"].splitlines()][:2] == ["trial", "trial"]
    assert done.streams["stderr"] == ""


@pytest.mark.slow
def test_an_error_has_a_readable_message(kernel: Kernel):
    done = kernel.execute("train('dataset=cancr')")
    assert done.error == "CommandError"
    assert "dataset=cancr: unknown dataset" in done.message
    assert "try: dataset=cancer" in done.message
    assert done.streams == {"stdout": "", "stderr": ""}
