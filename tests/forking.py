"""Run the real command in a real process: a fork that has its imports already, and starts in milliseconds.

A new process of the command spends two seconds on imports, which only tests/cli/test_start_up.py tests. So a server
imports once and forks a child for each request. The child continues as `python -W error -m MODULE ARGUMENTS` does, in
the folder and the environment of the request. All test processes share one server.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import platform
import resource
import runpy
import select
import signal
import socket
import string
import subprocess
import sys
import tempfile
import time
import traceback
import weakref
from pathlib import Path
from typing import Any

import huge_pages

_IMPORTED = """
    exp.cli.main exp.best exp.calibrate exp.diff exp.evaluate exp.explain exp.export exp.importance exp.ls exp.mv
    exp.new exp.predict exp.refit exp.report exp.rm exp.run exp.status exp.tag exp.verify exp.cli.new_project
    exp.data.synthetic exp.models.mlp exp.models.realmlp exp.models.tabm exp.reports.comparison
    exp.reports.comparison_figures exp.reports.figures exp.reports.jackknife exp.reports.metric_cost
    exp.reports.model_card exp.reports.permutation_importance exp.reports.plain_script exp.reports.run_report
    exp.reports.scatter exp.reports.script_files exp.reports.step_tables exp.reports.sweep_report
    exp.reports.sweep_summary exp.reports.update_formula exp.results.rebuilt exp.results.trained_ensemble
    exp.sweeps.executors.in_process exp.sweeps.executors.worker_pool exp.sweeps.launcher exp.sweeps.progress
    exp.sweeps.search exp.sweeps.yaml_params exp.training.average_outputs exp.training.explained_step
    hydra_plugins.exp_plugins hydra._internal.logging_config contourpy encodings.ascii jinja2.environment
    jinja2.filters jinja2.loaders matplotlib.backends.backend_agg optuna pandas
    PIL.BmpImagePlugin PIL.GifImagePlugin PIL.JpegImagePlugin PIL.PpmImagePlugin rich.live sklearn.datasets sympy
    torch.utils.serialization.config torch.utils.tensorboard
""".split()
# Overrides of each kind, whose signs the parser of Hydra learns to read: it keeps what it has learned.
_OVERRIDES = (
    string.ascii_lowercase + "_=" + string.ascii_uppercase,
    "a.b=0.123456789",
    "seed=0,1,2,3",
    "seed=range(0,3)",
    "model.hidden=[64,8]",
    "a={b:1.5,c:-2e-7}",
    "optimizer.lr=1e-3,.5",
    "hydra.run.dir=outputs/a-b_1",
    "dataset.path='my rows.csv'",
    'dataset.target="x y"',
    "dataset/x@y=z",
    "+a=true,false,null",
    "~b",
    "++c=${d.e}",
)
_SECONDS = 120
# Where the server listens, for the test processes that inherit it.
_VARIABLE = "EXP_TESTS_SERVER"


class Process:
    """A forked command, with the methods of subprocess.Popen that the tests use."""

    def __init__(
        self, module: str, words: list[str], folder: Path, environment: dict[str, str], largest_file: int | None = None
    ) -> None:
        start_server()
        self._command = [module, *words]
        self._folder = tempfile.TemporaryDirectory()
        output = [f"{self._folder.name}/{name}" for name in ("out", "err")]
        request = {
            "module": module,
            "words": words,
            "folder": str(folder),
            "environment": environment,
            "output": output,
            "largest_file": largest_file,
        }
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(os.environ[_VARIABLE])
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        self.pid = int(_line(self._connection))
        self.returncode: int | None = None
        self._output: list[str] = []

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            return self.wait()
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = int(_line(self._connection))
            self._connection.close()
            self._output = [Path(self._folder.name, name).read_text() for name in ("out", "err")]
            self._folder.cleanup()
        return self.returncode

    def communicate(self) -> tuple[str, str]:
        """Return what the process printed on stdout and on stderr, once it has ended."""
        self.wait()
        out, err = self._output
        return out, err

    def completed(self) -> subprocess.CompletedProcess[str]:
        out, err = self.communicate()
        return subprocess.CompletedProcess(self._command, self.wait(), out, err)

    def send_signal(self, which: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, which)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def begin(module: str, *words: str, folder: Path, **environment: str) -> Process:
    """Start `python -W error -m MODULE ARGUMENTS` in that folder; it is killed after two minutes."""
    return Process(module, [*words], folder, {**os.environ, **environment})


def run(module: str, words: list[str], folder: Path, allow: str = "") -> subprocess.CompletedProcess[str]:
    """Run `python -W error -m MODULE ARGUMENTS` in that folder, with `allow` as its EXP_ALLOW."""
    return begin(module, *words, folder=folder, EXP_ALLOW=allow).completed()


def start_server() -> None:
    """Start the server, unless this process has or inherits one. It ends with the process that started it."""
    if _VARIABLE in os.environ:
        return
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    address = os.environ[_VARIABLE] = f"{folder.name}/server"
    server = subprocess.Popen(
        [sys.executable, "-W", "error", __file__, address], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    while not os.path.exists(address):
        assert server.poll() is None, "the server of tests/forking.py ended"
        time.sleep(0.01)
    atexit.register(server.wait)
    atexit.register(lambda: server.stdin.close())  # type: ignore[union-attr]


def _line(connection: socket.socket) -> bytes:
    """Return what is sent up to the end of the line, and leave what follows."""
    line = b""
    while not line.endswith(b"\n"):
        if not (byte := connection.recv(1)):
            raise EOFError("tests/forking.py ended")
        line += byte
    return line


def _serve(address: str) -> dict[str, Any]:
    """Fork for every request; send its client the process ID and, later, the exit code. Return in the child."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(f"{address}.new")
        listener.listen(64)
        os.rename(f"{address}.new", address)
        groups = _import_all()
        clients: dict[int, socket.socket] = {}
        woken, wake = (stack.enter_context(end) for end in socket.socketpair())
        wake.setblocking(False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno())
        while True:
            ready, _, _ = select.select([listener, woken, sys.stdin], [], [])
            if sys.stdin in ready:
                sys.exit(0)
            if woken in ready:
                woken.recv(4096)
                _report_ended(clients)
            if listener in ready:
                client, _ = listener.accept()
                with client.makefile() as sent:
                    request = json.loads(sent.readline())
                _compose(tuple(word for word in request["words"] if word.partition("=")[0] in groups))
                if (process := os.fork()) == 0:
                    signal.set_wakeup_fd(-1)
                    for one in (client, *clients.values()):
                        one.close()
                    return request
                clients[process] = client
                client.sendall(f"{process}\n".encode())


def _report_ended(clients: dict[int, socket.socket]) -> None:
    while clients:
        process, status = os.waitpid(-1, os.WNOHANG)
        if process == 0:
            return
        with clients.pop(process) as client, contextlib.suppress(OSError):  # the client may have ended
            client.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _import_all() -> set[str]:
    """Import what the commands do, fill caches, and return the groups of the config."""
    for name in _IMPORTED:
        importlib.import_module(name)
    _fill_caches()
    for finalizer in weakref.finalize._registry:
        finalizer.atexit = False  # else each child would remove torch's libraries one by one, for 20 milliseconds
    gc.freeze()  # else the first garbage collection in each child would copy all objects, by writing to them
    huge_pages.use()
    from exp.config.schema import CONF

    return {path.name for path in CONF.iterdir() if path.is_dir()} | {"hydra/launcher", "hydra/sweeper"}


def _fill_caches() -> None:
    """Fill the caches of the parsers, of Hydra's files and of Python, which each child would fill again."""
    import faster_hydra
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from exp.config.schema import CONF
    from exp.config.untrusted import refuse_hydra_settings
    from exp.config.validation import validate
    from exp.reports.render import environment

    faster_hydra.speed_up()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for path in CONF.rglob("*.yaml"):
            GlobalHydra.instance().config_loader().repository.load_config(str(path.relative_to(CONF)))
        validate(compose("config", ["dataset=xor"]))
    refuse_hydra_settings(["dataset=xor"], [], [])
    for word in _OVERRIDES:
        OverridesParser.create().parse_override(word)
    for name in environment().list_templates():
        environment().get_template(name)
    platform.processor()


@functools.cache
def _compose(options: tuple[str, ...]) -> None:
    """Compose the options of a request before the fork, so that the children of later requests have them too."""
    from exp.config.compose import compose_config

    with contextlib.suppress(Exception):  # the child will have the error
        compose_config(options, with_hydra=True)


def _become(request: dict[str, Any]) -> None:
    """Set this child up as a new process of the request."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.alarm(_SECONDS)
    for descriptor, path in zip((1, 2), request["output"], strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if (most := request["largest_file"]) is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        sys.dont_write_bytecode = True  # Python 3.11 would leave modules cut short in the environment, for good
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for name in ("exp.config.allowlist", "exp.cli.main"):  # read the environment when they are imported
        importlib.reload(sys.modules[name])


def _run(module: str, words: list[str], folder: str) -> int:
    """Run the module and return its exit code."""
    sys.argv = [module, *words]
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [folder, *(place for place in own if place and place not in sys.path)]
    sys.modules.pop("exp.__main__" if module == "exp" else module, None)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    request = _serve(sys.argv[1])
    _become(request)
    code = _run(request["module"], request["words"], request["folder"])
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # tearing down all modules would take half a second
