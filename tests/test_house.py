"""Who may import whom: a module imports only from lines above its own, and each library has its door."""

import ast
from pathlib import Path

import pytest

import exp

ROOT = Path(exp.__file__).parent

# From the ground up. A name with a dot and a star stands for every module of that package.
HOUSE = [
    ["errors", "cadence", "nearest", "page", "record", "screen", "signatures", "uncompiled", "unrecorded", "signals"],
    ["models.*"],
    ["allowlist", "limits", "seeding", "measures", "claim"],
    ["config", "events", "progress"],
    ["strangers", "sweeps.table"],
    ["sweeps.seeds"],
    ["sweeps.answer"],
    ["sweeps.scatter"],
    ["sweeps.notes"],
    ["sweeps.jobs"],
    ["data.makers", "data.columns", "devices", "environment", "resuming"],
    ["mistakes", "data.split", "data.table", "sweeps.report"],
    ["diagnosis"],
    ["data.reading"],
    ["data.frames"],
    ["data.files", "data.new_rows"],
    ["data.preparing", "data.batches", "objectives", "checkpoint"],
    ["step", "recording", "updates"],
    ["bindings"],
    ["playing"],
    ["captured", "shelf"],
    ["learner", "recorded"],
    ["scores"],
    ["intervals", "worst"],
    ["loop", "preflight", "figures", "event_file", "sinks.sink"],
    ["sweeps.curves"],
    ["sweeps.pictures"],
    ["sweeps.comparison"],
    ["sinks.table"],
    ["sinks.*"],
    ["targets"],
    ["build"],
    ["description", "trained", "words"],
    ["run_page"],
    ["report"],
    ["run"],
    ["sweeps.task"],
    ["sweeps.worker"],
    ["sweeps.pool"],
    ["sweeps.manifest"],
    ["sweeps.progress"],
    ["sweeps.cluster"],
    ["sweeps.sweep"],
    ["sweeps.launch", "sweeps.search", "hooks"],
    ["written"],
    ["script"],
    ["predict", "evaluate", "export", "diff"],
    ["verify"],
    ["__main__"],
    ["api"],
]

# The only places that name a library, wherever it is imported in them.
HYDRA = {"config", "strangers", "mistakes", "diagnosis", "resuming", "hooks", "__main__"}
HYDRA |= {"sweeps.jobs", "sweeps.notes", "sweeps.launch", "sweeps.sweep", "sweeps.search"}
DOORS = {
    "hydra": HYDRA,
    "omegaconf": HYDRA,
    "sklearn": {"data.preparing"},
    "pandas": {"data.reading"},
    "tensorboard": {"event_file", "sinks.tensorboard"},
    "matplotlib": {"figures", "sweeps.pictures"},
    "optuna": {"sweeps.search"},
    "submitit": {"sweeps.cluster"},
    "rich": {"screen", "sinks.console", "sweeps.answer", "sweeps.progress"},
    "IPython": {"screen"},
}

# What a mistake in the command line needs: answering it must not wait for torch.
QUICK = [
    "errors",
    "cadence",
    "nearest",
    "record",
    "signatures",
    "allowlist",
    "limits",
    "strangers",
    "sweeps.notes",
    "sweeps.task",
    "sweeps.pool",
    "sweeps.jobs",
    "sweeps.seeds",
    "hooks",
    "config",
    "mistakes",
    "resuming",
    "diagnosis",
    "sweeps.table",
    "__main__",
]

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in ROOT.rglob("*.py")
    if path.name != "__init__.py"
}


def imports(module: str, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(MODULES[module].read_text())
    found: set[str] = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            ours = {name for name in names if name.removeprefix("exp.") in MODULES}
            found |= ours or {node.module}
    return found


def floor(module: str) -> int:
    package = module.rpartition(".")[0] + ".*"
    exact = [level for level, names in enumerate(HOUSE) if module in names]
    return (exact or [level for level, names in enumerate(HOUSE) if package in names])[0]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_downwards(module: str):
    for name in imports(module):
        if name.startswith("exp."):
            assert floor(name.removeprefix("exp.")) < floor(module), f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_each_library_has_its_door(module: str):
    named = {name.partition(".")[0] for name in imports(module)}
    assert {library for library in named if library in DOORS and module not in DOORS[library]} == set()


@pytest.mark.parametrize("module", QUICK)
def test_a_mistake_is_answered_without_torch(module: str):
    loaded = imports(module, top_level_only=True)
    assert {name.partition(".")[0] for name in loaded} & {"torch", "sklearn", "tensorboard", "numpy"} == set()
    assert {name.removeprefix("exp.") for name in loaded if name.startswith("exp.")} <= set(QUICK)


def test_files_stay_small():
    assert {name: lines for name, path in MODULES.items() if (lines := len(path.read_text().splitlines())) > 250} == {}


def test_models_know_nothing_of_exp():
    assert all(
        not name.startswith("exp") for module in MODULES if module.startswith("models.") for name in imports(module)
    )
