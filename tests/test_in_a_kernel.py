"""exp inside a Jupyter kernel: what a notebook is sent while a run or a sweep is made, and a kernel's interrupt."""

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
    """What came of a cell: its texts on stdout and stderr, and the moments of each output that is replaced."""

    status: str = ""
    error: str = ""
    told: str = ""  # by the error
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
        """Execute the cell; `when_shown` is called once, at the first output that can be replaced."""
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
        done.status, done.error, done.told = reply["status"], reply.get("ename", ""), reply.get("evalue", "")
        return done


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    kernel = Kernel(tmp_path_factory.mktemp("notebook"))
    assert kernel.execute("from exp import load, sweep, train").status == "ok"
    yield kernel
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel(now=True)


def run_in(kernel: Kernel) -> Path:
    """The latest folder of a run there."""
    return max(kernel.folder.glob("outputs/*/*"))


def test_a_runs_words_stand_together_and_its_bar_moves_in_place_and_goes(kernel: Kernel):
    done = kernel.execute("result = train('experiment=xor_mse', epochs=40_000)")
    assert done.status == "ok"
    assert done.streams["stderr"] == ""
    assert "\x1b" not in done.streams["stdout"]  # a front end that knows no colours shows them as they are
    lines = done.streams["stdout"].splitlines()
    assert [line.split()[0] for line in lines[:7]] == "data model loss optimizer batching machine versions".split()
    assert lines[7].split() == ["loss", "accuracy", "rows"]  # once, and no line between
    (moments,) = done.shown.values()
    assert [moment for moment in moments if "step" in moment] == moments[:-1]
    assert len(set(moments)) > 3
    assert all("\n" not in moment for moment in moments)
    assert moments[-1] == ""


def test_the_log_has_words_alone_though_kernels_set_force_color(kernel: Kernel):
    assert kernel.execute("import os; os.environ['FORCE_COLOR']").others == [{"text/plain": "'1'"}]
    kernel.execute("train('dataset=moons', epochs=1, figures=False);")
    log = (run_in(kernel) / "exp.log").read_text()
    assert "loss  accuracy  rows" in log
    assert "\x1b" not in log


def test_an_interrupt_ends_a_run_that_can_be_gone_on_with(kernel: Kernel):
    line = "train('experiment=xor_mse', epochs=40_000)"
    done = kernel.execute(line, when_shown=lambda: kernel.manager.interrupt_kernel())
    assert (done.status, done.error) == ("error", "KeyboardInterrupt")
    assert "interrupted and saved; to resume: " in done.streams["stdout"]
    (moments,) = done.shown.values()
    assert moments[-1] == ""
    run = run_in(kernel)
    assert summary.read(run)["status"] == "interrupted"
    assert kernel.execute(f"train('resume={run}')").status == "ok"
    assert (summary.read(run)["status"], summary.read(run)["steps"]) == ("finished", 40_000)


@pytest.mark.slow
def test_a_sweeps_bar_moves_in_place_beside_a_running_loop(kernel: Kernel):
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
    assert [line.split()[0] for line in done.streams["stdout"].splitlines()] == "lr 0.1 0.01 folder look report".split()
    (moments,) = done.shown.values()
    assert "of 4 done, 0 failed" in moments[0]
    assert moments[-1] == ""


@pytest.mark.slow
def test_a_search_asks_for_no_widgets(kernel: Kernel):
    done = kernel.execute(
        "sweep('hydra/sweeper=optuna', 'dataset=moons', 'optimizer.lr=interval(0.01,0.1)', epochs=2,"
        " **{'hydra.sweeper.n_trials': 2})"
    )
    assert [line.split()[0] for line in done.streams["stdout"].splitlines()][:2] == ["trial", "trial"]
    assert done.streams["stderr"] == ""


def test_a_mistake_is_one_that_can_be_read(kernel: Kernel):
    done = kernel.execute("train('dataset=cancr')")
    assert done.error == "CommandError"
    assert "dataset=cancr: unknown dataset" in done.told
    assert "try: dataset=cancer" in done.told
    assert done.streams == {"stdout": "", "stderr": ""}
