"""`exp new` writes a project whose own test passes, and replaces nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import forking
import pytest

from exp.cli.new_project import package_name
from exp.errors import ConfigError


def test_a_new_project_trains_by_the_command_of_its_readme(tmp_path: Path):
    done = forking.run("exp", ["new", "my-churn", "--json"], tmp_path)
    made = json.loads(done.stdout)
    assert made["package"] == "my_churn"
    folder = tmp_path / "my-churn"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == set(made["files"])
    train, _ = (line for line in (folder / "README.md").read_text().splitlines() if line.startswith("EXP_ALLOW="))
    assert made["train"] == f"cd my-churn && {train}"
    ran = forking.run("exp", [*train.split()[4:], "epochs=1", "figures=false"], folder, allow="my_churn")
    assert "my_churn.metrics.worst_recall" in ran.stdout, ran.stderr


@pytest.mark.slow
def test_a_new_project_passes_its_own_test(tmp_path: Path):
    made = json.loads(forking.run("exp", ["new", "churn", "--json"], tmp_path).stdout)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    tested = subprocess.run(
        [sys.executable, "-W", "error", *made["test"].split()[4:], "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "churn",
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "3 passed" in tested.stdout, tested.stdout + tested.stderr


@pytest.mark.parametrize(
    ("folder", "package"),
    [("churn", "churn"), ("a/My Project.v2", "my_project_v2"), ("1st", "my_1st"), ("tests", "my_tests")],
)
def test_the_package_is_called_after_the_folder(folder: str, package: str):
    assert package_name(Path(folder)) == package


def test_a_name_that_python_has_already_is_refused(tmp_path: Path):
    for name in ("torch", "json", "exp", "class", "numpy"):
        with pytest.raises(ConfigError, match=f"Python has a module {name} already") as caught:
            package_name(tmp_path / name)
        assert caught.value.fix == f"python -m exp new {tmp_path}/my_{name}"


def test_a_folder_with_files_and_a_file_are_refused(tmp_path: Path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used/notes.txt").write_text("mine")
    done = forking.run("exp", ["new", "used"], tmp_path)
    assert (
        done.stderr
        == "exp new: used is not empty, and nothing in it is replaced\n  try: python -m exp new used/project\n"
    )
    done = forking.run("exp", ["new", "used/notes.txt"], tmp_path)
    assert done.stderr == "exp new: used/notes.txt is a file\n  try: python -m exp new used/notes.txt_project\n"
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["notes.txt"]
    assert forking.run("exp", ["new"], tmp_path).returncode == 1
