"""What is installed, from a checkout and from a wheel, and what one is told to install besides."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exp import errors
from exp.data.read_table import read_frame
from exp.errors import ConfigError, install_command

CHECKOUT = Path(__file__).parents[1]


def test_the_advice_is_for_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.chdir(CHECKOUT)
    assert install_command("search") == "pip install -c constraints.txt -e '.[search]'"
    monkeypatch.chdir(tmp_path)
    assert install_command("search") == f"pip install -c {CHECKOUT}/constraints.txt -e '{CHECKOUT}[search]'"


def test_the_advice_names_the_python_that_runs_unless_its_pip_is_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(Path(sys.executable).parents[1])
    assert install_command("search").startswith(f"bin/{Path(sys.executable).name} -m pip install -c ")


def test_outside_a_checkout_the_advice_is_for_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "lib/site-packages/exp/errors.py"))
    assert install_command("search") == "pip install 'exp[search]'"


def test_parquet_is_an_extra_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
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
    told = exp("-m", "hydra/sweeper=optuna", "seed=1,2", PYTHONPATH=str(tmp_path / "without")).stderr
    assert "it needs optuna, which is not installed" in told
    assert "pip install 'exp[search]'" in told
