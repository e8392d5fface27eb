"""The real command, in a real process of its own that has imported what it needs already: forked, in milliseconds.

A test that runs the command waits two seconds for imports, which only tests/cli/test_start_up.py is about.
`python tests/forking.py` imports once, and then is, for each line of JSON that it reads, the parent of a process that
goes on as `python -m MODULE WORDS` would, in the folder of the line, its output in files there named.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path

_IMPORTED = ("exp.cli.main", "exp.run", "exp.report", "exp.predict", "exp.evaluate", "exp.export", "sklearn.datasets")
_SECONDS = 120


@cache
def _server(allow: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", __file__]
    environment = {**os.environ, "EXP_ALLOW": allow}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def run(module: str, words: list[str], folder: Path, allow: str = "") -> subprocess.CompletedProcess[str]:
    """`python -W error -m MODULE WORDS` in that folder, where warnings are errors; killed after two minutes.

    `allow` is its EXP_ALLOW, which is read when exp is imported: each has a parent of its own.
    """
    with tempfile.TemporaryDirectory() as beside:
        out, err = Path(beside, "out"), Path(beside, "err")
        request = {"module": module, "words": words, "folder": str(folder), "out": str(out), "err": str(err)}
        server = _server(allow)
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps({**request, "environment": dict(os.environ)}) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess([module, *words], code, out.read_text(), err.read_text())


def _forked() -> dict[str, object]:
    """In each child, the request that it is for."""
    for line in sys.stdin:
        request = json.loads(line)
        process = os.fork()
        if process == 0:
            return request
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
    sys.exit(0)


def _finished(request: dict[str, object]) -> int:
    """The exit code of the module, run as the request says."""
    os.chdir(str(request["folder"]))
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[arg-type]
    for place, descriptor in (("out", 1), ("err", 2)):
        os.dup2(os.open(str(request[place]), os.O_WRONLY | os.O_CREAT), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    module = str(request["module"])
    sys.argv = [module, *request["words"]]  # type: ignore[misc]
    sys.path[0] = str(request["folder"])
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
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # else the first search for garbage in each child writes to, and so copies, all of it
    asked = _forked()
    signal.alarm(_SECONDS)
    code = _finished(asked)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # to take all modules down again, one by one, would take half a second
