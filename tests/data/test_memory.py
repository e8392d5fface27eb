"""How much memory there is: files of control groups as the kernel writes them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from exp.data import memory

GIB = 2**30

Write = Callable[[str, str, dict[str, str]], None]

# version: the line of /proc/self/cgroup, the folder of the group, and its files besides memory.stat
FIRST = (
    "4:memory:/job",
    "memory/job",
    {"memory.limit_in_bytes": f"{3 * GIB}\n", "memory.usage_in_bytes": f"{3 * GIB}\n"},
)
SECOND = ("0::/job", "job", {"memory.max": f"{3 * GIB}\n", "memory.current": f"{3 * GIB}\n"})


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that writes the files of the group of this process."""

    def write(line: str, folder: str, files: dict[str, str]) -> None:
        monkeypatch.setattr(memory, "_GROUPS", tmp_path / "cgroup")
        roots = {
            "": (str(tmp_path), memory._ROOTS[""][1]),
            "memory": (f"{tmp_path}/memory", memory._ROOTS["memory"][1]),
        }
        monkeypatch.setattr(memory, "_ROOTS", roots)
        monkeypatch.setattr(memory, "_read_meminfo", lambda: 64 * GIB)
        monkeypatch.setattr(memory, "_list_process_limits", list[int])
        (tmp_path / "cgroup").write_text(f"9:name=systemd:/\n{line}\n")
        (tmp_path / folder).mkdir(parents=True)
        for name, content in files.items():
            (tmp_path / folder / name).write_text(content)

    return write


@pytest.mark.parametrize(
    ("version", "stat"),
    [
        # Of the first version, lines without total_ leave out the groups below.
        (FIRST, f"cache 4096\ninactive_file 4096\nactive_file 0\ntotal_cache {3 * GIB}\ntotal_rss 0\n"),
        (SECOND, f"anon 4096\nfile {3 * GIB}\n"),
    ],
)
def test_pages_of_files_are_available(group: Write, version: tuple[str, str, dict[str, str]], stat: str):
    """Those read once are inactive, and those read twice are active: the system gives up both."""
    line, folder, files = version
    total = "total_" if version is FIRST else ""
    stat += f"{total}inactive_anon 0\n{total}active_anon 0\n{total}inactive_file {GIB}\n{total}active_file {2 * GIB}\n"
    group(line, folder, {**files, "memory.stat": stat})
    assert memory.available_memory() == 3 * GIB


@pytest.mark.parametrize("version", [FIRST, SECOND])
def test_what_is_no_file_is_used(group: Write, version: tuple[str, str, dict[str, str]]):
    line, folder, files = version
    total = "total_" if version is FIRST else ""
    stat = f"{total}active_anon {2 * GIB}\n{total}shmem {GIB}\n{total}inactive_file 4096\n{total}active_file 0\n"
    group(line, folder, {**files, "memory.stat": stat})
    assert memory.available_memory() == 4096


def test_a_group_without_a_limit_limits_nothing(group: Write):
    line, folder, files = SECOND
    group(line, folder, {**files, "memory.max": "max\n", "memory.stat": "inactive_file 0\n"})
    assert memory.available_memory() == 64 * GIB
