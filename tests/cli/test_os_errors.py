"""Files and folders that the system refuses: one line, with what to type, and no traceback."""

import errno
import os
from pathlib import Path

import pytest

from exp.api import train
from exp.cli.commands import run_command
from exp.cli.os_errors import explain_os_error
from exp.errors import ExpError


def refusal(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)


@pytest.mark.parametrize(
    ("code", "path", "given", "message"),
    [
        (
            errno.EACCES,
            "a run/x",
            {"run": "a run"},
            "run=a run: permission denied: a run/x\n  try: chmod -R u+rwX 'a run'",
        ),
        (errno.EACCES, "r/report.tmp", {"run": "r"}, "run=r: permission denied: r/report.tmp\n  try: chmod -R u+rwX r"),
        (
            errno.EROFS,
            "r/report.tmp",
            {"run": "r"},
            "run=r: read-only file system: r/report.tmp\n  try: permission to write in r, or a copy: cp -r r COPY, and "
            "run=COPY",
        ),
        (errno.EROFS, "r/x", {"runs": "r"}, "runs=r: read-only file system: r/x\n  try: permission to write in r"),
        (
            errno.EROFS,
            "r/x",
            {"resume": "r"},
            "resume=r: read-only file system: r/x\n  try: permission to write in r, or",
        ),
        (
            errno.EROFS,
            "o",
            {"hydra.run.dir": "o"},
            "hydra.run.dir=o: read-only file system\n  try: hydra.run.dir=ANOTHER",
        ),
        (
            errno.EACCES,
            "p.csv",
            {"run": "r", "out": "p.csv"},
            "out=p.csv: permission denied\n  try: out=ANOTHER_FOLDER/p.csv",
        ),
        (errno.EACCES, "p.tmp", {"out": "p.csv"}, "out=p.csv: permission denied: p.tmp\n  try: out="),
        (
            errno.EACCES,
            "outputs",
            {"hydra.run.dir": "r"},
            "outputs: permission denied\n  try: hydra.run.dir=ANOTHER_FOLDER",
        ),
        (
            errno.ENOSPC,
            "p.csv",
            {"out": "p.csv"},
            "out=p.csv: no space left on device\n  try: free some space on the disk",
        ),
        (errno.ENAMETOOLONG, "d.csv", {"data": "d.csv"}, "data=d.csv: file name too long\n  try: hydra.run.dir="),
    ],
)
def test_a_refusal_names_the_key_and_what_to_type(code: int, path: str, given: dict[str, str], message: str):
    assert str(explain_os_error(refusal(code, path), given, "hydra.run.dir")).startswith(message)


def test_a_command_ends_with_the_refusal():
    def report(run: str) -> None:
        """Refuse.

        python -m exp report run=FOLDER
        """
        raise refusal(errno.EACCES, f"{run}/report.html")

    with pytest.raises(SystemExit, match=r"exp report: run=r: permission denied: r/report\.html"):
        run_command(report, ["run=r"])


def test_permissions_of_a_folder_of_another_user_are_not_changed_by_chmod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    error = explain_os_error(refusal(errno.EACCES, f"{tmp_path}/x"), {"run": str(tmp_path)}, "run")
    assert error.fix == f"permission to write in {tmp_path}, or a copy: cp -r {tmp_path} COPY, and run=COPY"
    monkeypatch.setattr(os, "access", lambda *_: False)
    data = explain_os_error(refusal(errno.EACCES, str(tmp_path)), {"data": str(tmp_path)}, "run")
    assert data.fix == f"permission to read {tmp_path}"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no file that behaves like one on a full disk")
def test_a_full_disk_is_one_error_and_one_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Without Hydra's line on the overrides, and without a traceback for each line of the log."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    for name in ("exp.log", "metrics.csv"):
        (tmp_path / "run" / name).symlink_to("/dev/full")
    with pytest.raises(ExpError) as found:
        train("dataset=xor", "epochs=2", "figures=false", "hydra.run.dir=run")
    assert found.value.fix == "free some space on the disk"
    error = capsys.readouterr().err
    assert error == f"note: lines of {tmp_path}/run/exp.log are lost: no space left on device\n"
