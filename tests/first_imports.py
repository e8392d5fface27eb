"""Import each command's module first in a process of its own: a fork that has torch and Hydra, and nothing of exp.

The processes of tests/forking.py have every command already, so an import that works only after another one does not
fail there.
"""

import importlib
import os
import sys
import traceback


def main(modules: list[str]) -> int:
    """Return how many of the modules cannot be imported first; print why."""
    for name in ("torch", "hydra", "omegaconf"):
        importlib.import_module(name)
    assert not any(name.partition(".")[0] == "exp" for name in sys.modules)
    processes: list[int] = []
    for module in modules:
        if (process := os.fork()) == 0:
            try:
                importlib.import_module(module)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        processes.append(process)
    return sum(os.waitpid(process, 0)[1] != 0 for process in processes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
