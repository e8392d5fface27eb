"""`exp schema`, and what the server behind editors makes of its schemas: yaml-language-server from npm, for real."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forking
import pytest
from yaml_server import YamlServer, install, run_server


def write_schemas(folder: Path, *words: str) -> str:
    done = forking.run("exp", ["schema", "schemas", *words], folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_schemas_are_written_and_the_editors_settings_printed(tmp_path: Path):
    printed = write_schemas(tmp_path)
    names = {path.name for path in (tmp_path / "schemas").iterdir()}
    groups = ("dataset", "model", "optimizer", "scheduler", "loss", "batching", "device", "tracker")
    assert names == {f"{name}.json" for name in ("config", *groups)}
    settings = json.loads(printed[printed.index("{") : printed.rindex("}") + 1])
    assert settings["yaml.schemas"]["schemas/optimizer.json"] == ["optimizer/*.yaml"]
    found = json.loads(write_schemas(tmp_path, "--json"))  # over those of before
    assert found["files"] == settings["yaml.schemas"]
    assert (found["command"], found["folder"]) == ("schema", "schemas")


def test_a_file_in_the_place_of_the_folder_is_kept(tmp_path: Path):
    (tmp_path / "schemas").write_text("mine")
    done = forking.run("exp", ["schema", "schemas"], tmp_path)
    assert (done.returncode, done.stderr) == (
        1,
        "exp schema: schemas is a file\n  try: python -m exp schema schemas-schemas\n",
    )
    assert (tmp_path / "schemas").read_text() == "mine"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[YamlServer]:
    root = tmp_path_factory.mktemp("editor")
    program = install(tmp_path_factory.mktemp("npm"))
    if program is None:
        pytest.skip("npm cannot install yaml-language-server here")
    files: dict[str, Any] = json.loads(write_schemas(root, "--json"))["files"]
    settings = {"validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False}, "schemas": files}
    with run_server(program, root, settings) as server:
        yield server


ADAM, MLP = "_target_: torch.optim.Adam\n", "_target_: exp.models.mlp.MLP\n"
MISTAKES = [
    ("optimizer/a.yaml", f"{ADAM}lrr: 0.1\n", (1, "Property lrr is not allowed.")),
    ("optimizer/b.yaml", f"{ADAM}momentum: 0.9\n", (1, "Property momentum is not allowed.")),
    ("optimizer/c.yaml", f"{ADAM}lr: -1\n", (1, "Value is below the exclusive minimum of 0.")),
    ("optimizer/d.yaml", f"{ADAM}betas: [0.9]\n", (1, "Array has too few items. Expected 2 or more.")),
    (
        "model/e.yaml",
        f"{MLP}activation: rellu\n",
        (1, 'Value is not accepted. Valid values: "relu", "tanh", "sigmoid"'),
    ),
    ("model/f.yaml", f"{MLP}dropout: 1.5\n", (1, "Value is above the exclusive maximum of 1.")),
    (
        "dataset/g.yaml",
        "# @package _global_\ndataset:\n  split: [1]\n",
        (2, "Array has too few items. Expected 3 or more."),
    ),
    ("experiment/h.yaml", "# @package _global_\nepochs: 0\n", (1, "Value is below the minimum of 1.")),
    ("experiment/i.yaml", "early_stopping:\n  patiense: 3\n", (1, "Property patiense is not allowed.")),
    (
        "config.yaml",
        "engine: fast\n",
        (0, 'Value is not accepted. Valid values: "auto", "eager", "replay", "compiled"'),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "text", "problem"), MISTAKES, ids=[name for name, _, _ in MISTAKES])
def test_an_editor_underlines_a_mistake(server: YamlServer, name: str, text: str, problem: tuple[int, str]):
    ((line, message),) = server.problems(f"conf/{name}", text)
    assert (line, message[: len(problem[1])]) == problem


@pytest.mark.slow
def test_an_editor_accepts_what_exp_accepts_and_offers_options(server: YamlServer):
    assert server.problems("conf/model/own.yaml", "_target_: mine.Net\nanything: 3\n") == []
    assert (
        server.problems("conf/experiment/own.yaml", "model:\n  hidden: [8, 8]\nlog_every: 100\nseed: ${my.seed}\n")
        == []
    )
    assert set(server.completions("conf/model/one.yaml", f"{MLP}norm: ")) == {"null", "batch", "layer"}
    assert {"hidden", "norm", "dropout"} <= set(server.completions("conf/model/two.yaml", MLP))
    offered = server.completions("conf/experiment/three.yaml", "defaults:\n  - override /optimizer: ")
    assert {"sgd", "adam", "adamw"} <= set(offered)
    assert "number of passes over the training rows" in server.hover("conf/experiment/four.yaml", "epochs: 20\n")
