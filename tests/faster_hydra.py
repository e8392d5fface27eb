"""Let Hydra compose a config in a fraction of its time, with the same result, in the processes of the tests.

tests/config/test_every_yaml.py compares the results with those of Hydra itself.
"""

import functools
import pickle
from collections.abc import Hashable
from typing import Any

import faster_yaml
import hydra.version
import omegaconf._utils
import omegaconf.base
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core import default_element
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from exp.config.schema import CONF

# Files up to which most configs are merged from the same ones.
_BEFORE_OTHERS = ("schema", "config")
_pickled: dict[Hashable, bytes] = {}
_entries: dict[int, Any] = {}


def speed_up() -> None:
    """Read each YAML file of exp and of Hydra once per process, and merge the same files once."""
    for place, name, ours, _ in CHANGES:
        setattr(place, name, ours)


def _load_once(self, config_path):
    """Return a copy of what the file holds, because Hydra modifies it. The files of a user are read each time."""
    source = self._find_object_source(config_path, ObjectType.CONFIG)
    if not _is_own(source, config_path):
        return load_config(self, config_path)
    key = (source.path, config_path, _stored(config_path))
    if key not in _pickled:
        _pickled[key] = pickle.dumps(load_config(self, config_path))
    return pickle.loads(_pickled[key])


def _merge_once(self, defaults, repo):
    """Return a copy of the merged files; merge only the files behind the last one up to which it was done before."""
    key: tuple[Hashable, ...] = ()
    keys = [key]
    for default in defaults:
        path = default.config_path
        if not _is_own(repo.delegate._find_object_source(path, ObjectType.CONFIG), path):
            break
        key = (*key, (path, default.package, default.is_self, default.primary, _stored(path)))
        keys.append(key)
    own = len(keys) - 1
    if own == len(defaults) and (key, "whole") in _pickled:
        return pickle.loads(_pickled[key, "whole"])
    done = max((count for count in range(1, own + 1) if keys[count] in _pickled), default=0)
    config = pickle.loads(_pickled[keys[done]]) if done else OmegaConf.create()
    config._set_flag("no_deepcopy_set_nodes", None)  # pickled while it was set
    with flag_override(config, "no_deepcopy_set_nodes", True):
        for count, default in enumerate(defaults[done:], done + 1):
            loaded = self._load_single_config(default=default, repo=repo)
            try:
                config.merge_with(loaded.config)
            except OmegaConfBaseException:
                return merge(self, defaults, repo)  # which raises Hydra's own error
            if count == own or (count < own and default.config_path in _BEFORE_OTHERS):
                _pickled[keys[count]] = pickle.dumps(config)
    _strip_defaults(config)
    if own == len(defaults):
        _pickled[key, "whole"] = pickle.dumps(config)
    return config


def _strip_defaults(config: Any) -> None:
    """Remove the defaults lists as Hydra does."""
    if not isinstance(config, DictConfig) or config._is_missing() or config._is_none():
        return
    if config._get_flag("HYDRA_REMOVE_TOP_LEVEL_DEFAULTS"):
        with flag_override(config, ["readonly", "struct"], False):
            config._set_flag("HYDRA_REMOVE_TOP_LEVEL_DEFAULTS", None)
            config.pop("defaults", None)
    for _, value in config.items_ex(resolve=False):
        _strip_defaults(value)


def _stored(config_path: str) -> int | None:
    """Return which entry Hydra's ConfigStore has by that name, because a test may store another one."""
    entry: Any = ConfigStore.instance().repo
    for name in f"{config_path.removesuffix('.yaml')}.yaml".split("/"):
        entry = entry.get(name) if isinstance(entry, dict) else None
    if entry is None:
        return None
    _entries[id(entry)] = entry  # kept, so that no later entry has its identity
    return id(entry)


def _is_own(source, config_path) -> bool:
    """Return whether nothing changes the file while the tests run, or `_stored` tells its entries apart."""
    return source is not None and (
        source.path in (str(CONF), "hydra.conf") or source.scheme() == "structured" or config_path == "hydra/config"
    )


def _create_needed_map(overrides, defaults, self_added):
    """Return the choices that an interpolation in the defaults list can name, or None if there is no interpolation."""
    if any(default.is_interpolation() for default in defaults):
        return create_interpolation_map(overrides, defaults, self_added)
    return None


class _Text:
    """What the defaults list makes of a name, only to see whether it has an interpolation."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def _is_interpolation(self) -> bool:
        return isinstance(self._value, str) and "${" in self._value


_parse_once = functools.cache(omegaconf.base.parse)
# What is changed: where, its name, ours, and what it was.
CHANGES: list[tuple[Any, str, Any, Any]] = [
    (place, name, ours, getattr(place, name, None))
    for place, name, ours in (
        (ConfigRepository, "load_config", _load_once),
        (ConfigLoaderImpl, "_compose_config_from_defaults_list", _merge_once),
        (defaults_list, "_create_interpolation_map", _create_needed_map),
        (ConfigStore, "__deepcopy__", lambda store, _: store),  # each composition would copy it; none changes it
        (default_element, "AnyNode", _Text),
        (hydra.version, "_get_version", functools.cache(hydra.version._get_version)),
        (omegaconf.base, "parse", _parse_once),
        (omegaconf._utils, "parse", _parse_once),
        *faster_yaml.CHANGES,
    )
]
load_config, merge, create_interpolation_map = (change[3] for change in CHANGES[:3])
