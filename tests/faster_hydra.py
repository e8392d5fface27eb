"""Let Hydra compose a config in a fraction of its time, with the same result, in the processes of the tests.

tests/config/test_every_yaml.py compares the results with those of Hydra itself.
"""

import copy
import functools
import pickle
from collections.abc import Hashable
from typing import Any

import omegaconf._utils
import omegaconf.base
import omegaconf.omegaconf
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig, ListConfig, Node, ValueNode

from exp.config.schema import CONF
from exp.sweeps.hydra_files import _Dumper

_pickled: dict[Hashable, bytes] = {}


def speed_up() -> None:
    """Read each YAML file of exp and of Hydra once per process, merge the same files once, and copy configs faster."""
    for place, name, ours, _ in CHANGES:
        setattr(place, name, ours)


def _load_once(self, config_path):
    """Return a copy of what the file holds, because Hydra modifies it. The files of a user are read each time."""
    source = self._find_object_source(config_path, ObjectType.CONFIG)
    if not _is_own(source, config_path):
        return load_config(self, config_path)
    key = (source.path, config_path)
    if key not in _pickled:
        _pickled[key] = pickle.dumps(load_config(self, config_path))
    return pickle.loads(_pickled[key])


def _merge_once(self, defaults, repo):
    """Return a copy of the merged files, if all of them are exp's and Hydra's own."""
    paths = [default.config_path for default in defaults]
    if not all(_is_own(repo.delegate._find_object_source(path, ObjectType.CONFIG), path) for path in paths):
        return merge(self, defaults, repo)
    key = tuple((default.config_path, default.package, default.is_self, default.primary) for default in defaults)
    if key not in _pickled:
        _pickled[key] = pickle.dumps(merge(self, defaults, repo))
    return pickle.loads(_pickled[key])


def _is_own(source, config_path) -> bool:
    """Return whether nothing changes the file while the tests run."""
    return source is not None and (
        source.path in (str(CONF), "hydra.conf") or source.scheme() == "structured" or config_path == "hydra/config"
    )


def _create_needed_map(overrides, defaults, self_added):
    """Return the choices that an interpolation in the defaults list can name, or None if there is no interpolation."""
    if any(default.is_interpolation() for default in defaults):
        return create_interpolation_map(overrides, defaults, self_added)
    return None


def _copy_config(node: Node, memo: dict[int, Any]) -> Node:
    """Copy as OmegaConf does, which makes each node by its constructor: a tree whose root keeps its parent."""
    return _copied(node, node.__dict__["_parent"], memo)


def _copied(node: Node, parent: Node | None, memo: dict[int, Any]) -> Node:
    kind, mine = type(node), node.__dict__
    if kind not in _KINDS:
        new = copy.deepcopy(node, memo)
        new.__dict__["_parent"] = parent
        return new
    new = object.__new__(kind)
    state = new.__dict__
    state.update(mine)
    metadata = object.__new__(type(mine["_metadata"]))
    metadata.__dict__.update(mine["_metadata"].__dict__)
    metadata.flags = _copied_dict(metadata.flags)
    state["_metadata"], state["_parent"], state["_flags_cache"] = metadata, parent, None
    if "_content" not in mine:  # a value
        return new
    metadata.resolver_cache = copy.deepcopy(metadata.resolver_cache, memo)
    state["_flags_cache"] = _copied_dict(mine["_flags_cache"])
    content = mine["_content"]
    if isinstance(content, dict):
        state["_content"] = {key: _copied(value, new, memo) for key, value in content.items()}
    elif isinstance(content, list):
        state["_content"] = [_copied(value, new, memo) for value in content]
    return new


def _copied_dict(flags: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if flags is None else {**flags}


_KINDS = {DictConfig, ListConfig, *ValueNode.__subclasses__()}
_parse_once = functools.cache(omegaconf.base.parse)
# What is changed: where, its name, ours, and what it was.
CHANGES: list[tuple[Any, str, Any, Any]] = [
    (place, name, ours, getattr(place, name, None))
    for place, name, ours in (
        (ConfigRepository, "load_config", _load_once),
        (ConfigLoaderImpl, "_compose_config_from_defaults_list", _merge_once),
        (defaults_list, "_create_interpolation_map", _create_needed_map),
        (ConfigStore, "__deepcopy__", lambda store, _: store),  # each composition would copy it; none changes it
        (omegaconf.omegaconf, "get_omega_conf_dumper", lambda: _Dumper),  # in C
        (omegaconf.base, "parse", _parse_once),
        (omegaconf._utils, "parse", _parse_once),
        *((kind, "__deepcopy__", _copy_config) for kind in _KINDS),
    )
]
load_config, merge, create_interpolation_map = (change[3] for change in CHANGES[:3])
