"""A page of the documentation as what it has one write, type and see; and all of that done.

`python tests/docs/reading.py PAGE` prints what its commands print.
"""

import math
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))
from making.pages import every_page  # the site's own sources lie beside the package, not in it

from exp.api import _undisturbed

_BLOCK = re.compile(r"^```(?:(\w+)|\s*\{\s*\.(\w+)[^}\n]*?)?([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# What no two runs have in common.
_OF_THE_MOMENT = [
    (re.compile(r"outputs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-\d+"), "FOLDER"),
    (re.compile(r"\bin [\d.,]+ s\b"), "in SECONDS"),
    (re.compile(r"^(machine|versions) .*$", re.MULTILINE), r"\1"),
]


@dataclass
class Block:
    """Lines to type, or a file to write where `title` names it; `printed` is what the page says comes of it."""

    language: str
    title: str
    text: str
    printed: list[str] = field(default_factory=list)

    @property
    def needs(self) -> str | None:
        """What the reader needs for it and a test has not, as the page says."""
        return self.title.removeprefix("needs ") if self.title.startswith("needs ") else None

    @property
    def exit_code(self) -> int:
        code = re.fullmatch(r"ends with exit code (\d+)", self.title)
        return int(code[1]) if code else 0

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.replace("\\\n", "").splitlines() if line and not line.startswith("#")]


def blocks(page: str) -> Iterator[Block]:
    """What the page has one type and write, in its order."""
    last: Block | None = None
    for match in _BLOCK.finditer(every_page()[page]):
        title = re.search(r'title="(.+?)"', match[0].partition("\n")[0])
        block = Block(match[1] or match[2] or "", title[1] if title else "", match[4])
        if block.language == "bash":
            last = block
            yield block
        elif block.language == "text" and last is not None:
            last.printed.append(block.text)
        elif block.title:
            yield block


def do(block: Block, folder: Path) -> str:
    """Write the block's file, or make its commands, in `folder`: what they printed. AssertionError if one fails."""
    if block.language != "bash":
        path = folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        return ""
    told = ""
    for line in block.lines:
        code, out, err = command(line, folder)
        assert code == block.exit_code, f"{line}\nended with exit code {code}:\n{out}{err}"
        told += out + (err if code else "")
    return told


def command(line: str, folder: Path) -> tuple[int, str, str]:
    """A line of the shell made: exit code, stdout, stderr. A line that is exp's alone is made in this process."""
    words = shlex.split(line)
    ours = words[:2] == ["python", "-m"] and re.fullmatch(r"exp(\.\w+)?", words[2]) is not None
    if not ours or set(line) & set("|<>;&$") or words[2] == "exp.verify":
        place = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        place.pop("PYTHONPATH", None)
        shell = ["bash", "-c", line]
        done = subprocess.run(shell, cwd=folder, env=place, capture_output=True, text=True, timeout=300)
        return done.returncode, done.stdout, done.stderr
    out, err, before, code = StringIO(), StringIO(), sys.argv, 0
    with chdir(folder), redirect_stdout(out), redirect_stderr(err), _undisturbed():
        sys.argv = words[2:]
        try:
            module = "exp.__main__" if words[2] == "exp" else words[2]
            spec = find_spec(module)
            assert spec is not None
            assert spec.origin is not None
            runpy.run_path(spec.origin, run_name="__main__")
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            err.write(stop.code if isinstance(stop.code, str) else "")
        finally:
            sys.argv = before
    return code, out.getvalue(), err.getvalue()


def differences(said: str, printed: str) -> str | None:
    """The first line that the page says and that did not come; a line ... stands for any number of them."""
    theirs = _settled(printed)
    at, anywhere = 0, False
    for line in _settled(said):
        if line == ["..."]:
            anywhere = True
            continue
        found = next((i for i in range(at, len(theirs)) if _same(line, theirs[i])), None)
        if found is None or (found != at and not anywhere):
            return f"{' '.join(line)}\nis not what was printed:\n{printed}"
        at, anywhere = found + 1, False
    return None if anywhere or at == len(theirs) else f"more was printed than the page says:\n{printed}"


def _settled(text: str) -> list[list[str]]:
    for pattern, stands_for in _OF_THE_MOMENT:
        text = pattern.sub(stands_for, text)
    return [words for line in text.splitlines() if (words := line.split())]


def _same(said: list[str], printed: list[str]) -> bool:
    return len(said) == len(printed) and all(map(_alike, said, printed))


def _alike(said: str, printed: str) -> bool:
    """The same word; another kind of processor may round the last digit of a number otherwise."""
    if said == printed:
        return True
    try:
        return math.isclose(float(said), float(printed), rel_tol=2e-3)
    except ValueError:
        return False


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for one in blocks(sys.argv[1]):
            if one.needs is None:
                print(f"$ {one.text if one.language == 'bash' else one.title}", flush=True)
                print(do(one, Path(folder)), flush=True)
