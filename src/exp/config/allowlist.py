"""Which functions and classes a config may name, checked by name and source before anything is imported.

A config may come from someone else. config/instantiate.py checks the imported object again.
"""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from exp.config.former_names import rename_override
from exp.config.nearest_names import nearest
from exp.config.signatures import module_names, parameters, required_parameters
from exp.errors import ConfigError, as_yaml

# Packages of the user that a config may name too: comma-separated, in the environment and nowhere else.
VARIABLE = "EXP_ALLOW"

# The folders of their modules, for the workers of a sweep.
_FOLDERS = "EXP_MODULES"


# Read at import: hydra.job.env_set could set it later.
USER_PACKAGES = tuple(name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip())


# The packages of each group, and what a target in them must be.
_ALLOWED = {
    "dataset": (("exp.data.synthetic", "exp.data.files", "exp.data.images", "sklearn.datasets"), "dataset function"),
    "model": (("exp.models", "torch.nn"), "Module"),
    "loss": (("torch.nn",), "Module"),
    "optimizer": (("torch.optim",), "Optimizer"),
    "scheduler": (("exp.schedulers", "torch.optim.lr_scheduler"), "LRScheduler"),
    "tracker": (("exp.trackers",), "tracker"),
}


# Keys next to a target's arguments that exp itself reads, for every target.
READ_BY_EXP: dict[str, tuple[str, ...]] = {
    "dataset": ("split", "scaler", "encode", "stratify", "train_on_val", "scale_target", "seed", "storage"),
    "model": (),
    "optimizer": ("lr_factors", "decay_factors"),
    "scheduler": ("every",),
    "loss": ("output", "class_weights"),
    "tracker": (),
}


# The target of a module that came from Python as an object.
HELD_MODULE = "exp.models.held_module.HeldModule"

# Arguments that exp passes itself.
GIVEN: dict[str, tuple[str, ...]] = {
    "dataset": (),
    "model": ("in_features", "out_features"),
    "optimizer": ("params",),
    "scheduler": ("optimizer",),
    "loss": (),
    "tracker": (),
}


# Arguments that exp passes if the target has them.
GIVEN_IF_ACCEPTED: dict[str, tuple[str, ...]] = {
    "dataset": ("scratch",),
    "model": ("cardinalities", "columns", "output_meaning", "steps", "shape"),
}


def given(group: str) -> tuple[str, ...]:
    """Return the arguments of a group's targets that a config may not have, because exp passes them."""
    return (*GIVEN[group], *GIVEN_IF_ACCEPTED.get(group, ()))


def add_to_path(config_dir: str | None) -> None:
    """Make the user's modules in the current folder and in `config_dir` importable, in this process and its workers.

    Without EXP_ALLOW, which names these modules, nothing is changed. `config_dir` may be someone else's: it comes after
    all installed modules, so that it replaces none of them.
    """
    if not USER_PACKAGES:
        return
    if "" not in sys.path:
        sys.path.insert(0, "")  # as with `python -m exp`
    # Not PYTHONPATH, which comes before the installed modules.
    known = [name for name in os.environ.get(_FOLDERS, "").split(os.pathsep) if name]
    added = [] if config_dir is None else [str(Path(config_dir).absolute())]
    folders = list(dict.fromkeys([*added, *known]))  # the latest first
    before = [name for name in sys.path if name not in known]
    sys.path[:] = [*before, *(name for name in folders if name not in before)]
    os.environ[_FOLDERS] = os.pathsep.join(folders)


def without_own_keys(group: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node of the config without the keys that exp reads itself: its target and the arguments of that."""
    return {key: value for key, value in node.items() if key not in READ_BY_EXP[group]}


def origin(target: object) -> str:
    """Return the owner of the function or class with that dotted name: "torch", "sklearn", "exp" or "user"."""
    if target == HELD_MODULE:
        return "user"
    root = str(target).partition(".")[0]
    return root if root in ("torch", "sklearn", "exp") else "user"


def packages(group: str) -> tuple[str, ...]:
    return (*_ALLOWED[group][0], *USER_PACKAGES)


# The modules in which classes of objects that came from Python are. They are no targets.
_given_modules: set[str] = set()


def add_given_module(module: str) -> None:
    """Take errors in this module for errors of the user's code."""
    if origin(module) == "user":
        _given_modules.add(module)


def is_users(module: str) -> bool:
    """Return whether the module is the user's: of EXP_ALLOW, or of an object that came from Python."""
    return is_inside(f"{module}.") or module in _given_modules


def is_inside(name: str, group: str | None = None) -> bool:
    """Return whether `name` is inside a package of the group or of EXP_ALLOW; without a group, of EXP_ALLOW."""
    return any(name.startswith(f"{package}.") for package in (packages(group) if group else USER_PACKAGES))


def is_private(name: str) -> bool:
    """Return whether the name or a module of it begins with an underscore."""
    return re.search(r"(^|\.)_", name) is not None


def other_names(target: str) -> list[str] | None:
    """Return the names in the module of `target` if by its source it has no such name; otherwise None."""
    module, _, name = target.rpartition(".")
    known = module_names(module)
    return None if known is None or name in known or "__getattr__" in known else known


def nearest_public(target: str, known: list[str]) -> str | None:
    """Return which of the public names in `known` is nearest to that of `target`."""
    return nearest(target.rpartition(".")[2], [other for other in known if not other.startswith("_")])


def _may_be_allowed(target: str) -> bool:
    """Return whether a name is in a package that can be the user's."""
    root = target.partition(".")[0]
    return "." in target and origin(target) == "user" and root not in (*sys.stdlib_module_names, "numpy", "scipy")


def fix_not_allowed(target: str, another: str, of_library: str) -> str:
    """Return the fix for a target that is not allowed: to allow it if it is the user's, otherwise `of_library`."""
    return f"{another}, or if you trust it {_with_packages([target])}" if _may_be_allowed(target) else of_library


def _with_packages(targets: Iterable[str]) -> str:
    roots = dict.fromkeys((*USER_PACKAGES, *(target.partition(".")[0] for target in targets)))
    return f"{VARIABLE}={','.join(roots)} python -m exp ..."


def refuse_not_allowed(content: Mapping[str, Any]) -> None:
    """Raise one ConfigError if the targets of several groups are the user's, and not allowed."""
    named: dict[str, object] = {f"{group}._target_": (content[group] or {}).get("_target_") for group in READ_BY_EXP}
    found = {
        key: target
        for key, target in named.items()
        if isinstance(target, str) and _may_be_allowed(target) and not is_inside(target, key.partition(".")[0])
    }
    if len(found) > 1:
        listed = " ".join(f"{key}={target}" for key, target in found.items())
        what = f"{listed}: not allowed, because a config may name classes and functions of exp, torch and scikit-learn"
        raise ConfigError(what, f"other options, or if you trust them {_with_packages(found.values())}")


def not_allowed(group: str, target: object) -> ConfigError:
    """Return the error for a target that a config may not name."""
    return ConfigError(
        f"{group}._target_={as_yaml(target)} is not allowed: a config may name a {_ALLOWED[group][1]} from "
        + ", ".join(packages(group)),
        fix_not_allowed(str(target), f"another {group}", f"another {group}"),
        key=f"{group}._target_",
    )


def refuse_name(group: str, target: object) -> None:
    """Raise ConfigError if `target` is not the name of something in an allowed package."""
    # Names with an underscore are private, and what a private module imports is not its own.
    if not isinstance(target, str) or is_private(target) or not is_inside(target, group):
        raise not_allowed(group, target)


def refuse_target(group: str, node: dict[str, Any]) -> None:
    """Raise ConfigError, with the key, if the target of `node` is not allowed or does not have an argument."""
    target = node["_target_"]
    if (group, target) == ("loss", "auto"):  # the data decide
        refuse_arguments(group, node, ["label_smoothing"])
        return
    refuse_name(group, target)
    if (known := other_names(target)) is not None:
        raise no_such_target(group, target, known)
    free = parameters(target)
    if free is not None:
        refuse_arguments(group, node, [parameter for parameter in free if parameter not in given(group)])
    if origin(target) == "user":
        _refuse_missing(group, node)


def _refuse_missing(group: str, node: dict[str, Any]) -> None:
    """Raise ConfigError, with the key, if the target of `node` needs an argument that it does not have."""
    for name in required_parameters(node["_target_"]):
        if name not in node and name not in given(group):
            what = f"{group}: {node['_target_']} needs a value of its argument '{name}'"
            fix = f"+{group}.{name}=VALUE, or a line {name}: VALUE in its YAML file"
            raise ConfigError(what, fix, key=f"{group}.{name}")


def refuse_arguments(group: str, node: dict[str, Any], free: list[str]) -> None:
    """Raise ConfigError, with the key, if `node` has a key that is neither exp's nor one of the arguments `free`."""
    for key, value in node.items():
        if key != "_target_" and key not in (*READ_BY_EXP[group], *free):
            near = nearest(key, [*free, *READ_BY_EXP[group]])
            override = rename_override(f"{group}.{key}", as_yaml(value))
            plus = "" if near in node else "+"
            override = override or (f"{plus}{group}.{near}={as_yaml(value)}" if near else None if free else "")
            raise ConfigError(
                f"{group}.{key}: {node['_target_']} has no argument '{key}'",
                override or f"~{group}.{key}, which leaves it out" + (f", or one of {', '.join(free)}" if free else ""),
                key=f"{group}.{key}",
                override=override,
            )


def no_such_target(group: str, target: str, known: list[str]) -> ConfigError:
    """Return the error for a name that is not among the names `known` of its module."""
    module, near = target.rpartition(".")[0], nearest_public(target, known)
    return ConfigError(
        f"{group}._target_={target} does not exist",
        f"{group}._target_={module}.{near}" if near else f"{group}._target_= and a name in {module}",
        key=f"{group}._target_",
        override=f"{group}._target_={module}.{near}" if near else None,
    )
