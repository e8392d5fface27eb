"""Installed from a checkout or from a wheel, and the command that installs what is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exp import errors
from exp.data.read_table import read_frame
from exp.errors import ConfigError, install_command

CHECKOUT = Path(__file__).parents[1]


def test_the_install_command_fits_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.chdir(CHECKOUT)
    assert install_command("search") == "pip install -c constraints.txt -e '.[search]'"
    monkeypatch.chdir(tmp_path)
    assert install_command("search") == f"pip install -c {CHECKOUT}/constraints.txt -e '{CHECKOUT}[search]'"


def test_the_install_command_names_the_running_python_unless_its_pip_is_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(Path(sys.executable).parents[1])
    assert install_command("search").startswith(f"bin/{Path(sys.executable).name} -m pip install -c ")


def test_outside_a_checkout_the_install_command_is_for_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "lib/site-packages/exp/errors.py"))
    assert install_command("search") == "pip install 'exp[search]'"


def test_a_missing_parquet_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "houses.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"houses\.parquet: it needs pyarrow.*\n.*pip install.*\[parquet\]"):
        read_frame(str(tmp_path / "houses.parquet"))


@pytest.mark.slow
def test_a_wheel_runs_the_first_line_of_the_readme_outside_the_checkout(tmp_path: Path):
    """In a new environment that sees the packages of this one, but not the checkout."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(tmp_path), str(CHECKOUT)], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    (wheel,) = tmp_path.glob("exp-*.whl")
    python = tmp_path / "env/bin/python"
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", str(wheel)], check=True)
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (site / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))

    empty = tmp_path / "empty"
    empty.mkdir()
    bare = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def exp(*typed: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [str(python), "-m", "exp", *typed]
        return subprocess.run(command, cwd=empty, capture_output=True, text=True, env=bare | more)

    done = exp("dataset=cancer", "model=mlp", "optimizer.lr=0.02")
    assert done.returncode == 0, done.stderr
    assert "700 steps, evaluations included, in " in done.stdout

    (tmp_path / "without").mkdir()
    (tmp_path / "without/optuna.py").write_text("raise ModuleNotFoundError('no module', name='optuna')\n")
    stderr = exp("-m", "hydra/sweeper=optuna", "seed=1,2", PYTHONPATH=str(tmp_path / "without")).stderr
    assert "it needs optuna, which is not installed" in stderr
    assert "pip install 'exp[search]'" in stderr
