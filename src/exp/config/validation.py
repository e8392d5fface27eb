"""Validate a config: the first key that is missing, unknown or not valid is an error that says what to type.

It does not import torch, which would delay every error message by a second.
"""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from exp.config.allowlist import READ_BY_EXP, origin, refuse_not_allowed, refuse_target
from exp.config.by_target import list_values
from exp.config.constraints import CONSTRAINTS, example, suggest_override, violation
from exp.config.cross_validation import check_fold, check_stratify
from exp.config.former_names import with_new_names
from exp.config.hydra_messages import UNKNOWN_INTERPOLATION
from exp.config.limits import Number
from exp.config.metric_names import chosen_metrics
from exp.config.nearest_names import nearest
from exp.config.overrides import escape_values
from exp.config.own_metrics import refuse_metric
from exp.config.schema import CONF, Config, default_option, flatten
from exp.config.user_code import refuse_syntax_error
from exp.errors import ConfigError, as_yaml


def validate(cfg: DictConfig) -> Config:
    """Return the composed config, typed. ConfigError names the first key that is missing, unknown or not valid."""
    return resolve_and_validate(cfg)[0]


def resolve_and_validate(cfg: DictConfig, accepted: set[str] | None = None) -> tuple[Config, dict[str, Any]]:
    """Return the composed config, typed and as it is resolved; the two share what is in them. Errors as in `validate`.

    `accepted` has the groups that are known to be valid, which many jobs share; others are added.
    """
    try:
        content = cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=True))
        missing = sorted(OmegaConf.missing_keys(cfg)) if "'???'" in str(content) else []
    except OmegaConfBaseException as error:
        raise _unresolved(error, cfg) from error
    # Without a group or its target nothing else can be checked. Other missing values come last, to hide no other error.
    if blocking := [key for key in missing if "." not in key or key.endswith("._target_")]:
        raise _needed(blocking[0], "needs a value")
    _refuse_unknown_keys(content, Config, "")
    for group in ("dataset", "model", "optimizer", "loss"):
        if not content[group] or content[group].get("_target_") is None:
            raise ConfigError(
                f"{group} has no _target_", f"{group}=OPTION, one of those that python -m exp --help lists", key=group
            )
    refuse_not_allowed(content)
    for group in READ_BY_EXP:
        key = f"{group} {content[group]}"
        if content[group].get("_target_") is not None and key not in (accepted or ()):
            refuse_target(group, content[group])
            refuse_syntax_error(f"{group}._target_", content[group]["_target_"])
            if accepted is not None:
                accepted.add(key)
    for key, (limit, _) in CONSTRAINTS.items():
        node, name = _find_node(content, key), key.rpartition(".")[2]
        if node is None or key in missing:
            continue
        if not all(limit.accepts(one) for one in list_values(node[name])):
            raise violation(key, node[name])
        if isinstance(limit, Number) and not limit.whole:
            node[name] = _with_floats(node[name])
    if missing:
        raise _needed(missing[0], "needs a value")
    config = _to_object(content, Config)
    check_stratify(config)
    check_fold(config)
    _check_engine(config)
    _check_own_loss(config.loss)
    refuse_metric("metric", config.metric, needs_direction=True)
    for name in chosen_metrics(config.metrics, config.metric):
        refuse_metric("metrics", name)
    return config, content


def _to_object(content: Mapping[str, Any], schema: type) -> Any:
    """Return the object that `OmegaConf.to_object` makes, of values that OmegaConf has converted to their types."""
    types = {field.name: field.type for field in fields(schema)}
    return schema(
        **{
            key: _to_object(content[key], kind) if isinstance(kind, type) and is_dataclass(kind) else content[key]
            for key, kind in types.items()
        }
    )


def _check_engine(config: Config) -> None:
    """Raise ConfigError if two keys choose what makes the steps."""
    if config.compile and config.engine in ("replay", "compiled"):
        raise ConfigError(
            f"engine={config.engine} compile=true: both say how the steps are made, by exp and by torch.compile",
            f"engine={config.engine} compile=false, or engine=auto compile=true",
            key="compile",
            override="compile=false",
        )


def _check_own_loss(loss: Mapping[str, Any]) -> None:
    """Raise ConfigError if the loss is the user's, and does not say what the model's output means."""
    target = str(loss["_target_"])
    if "." in target and origin(target) == "user" and loss.get("output") is None:
        limit, _ = CONSTRAINTS["loss.output"]
        what = f"loss.output must be {limit}: what the model's output means to {target}"
        fix = "+loss.output=value, or another of these, or a line output: value in its YAML file"
        raise ConfigError(what, fix, key="loss.output")


def config_from_saved(content: Mapping[str, Any]) -> Config:
    """Return the config that a run's folder holds, typed. ConfigError as in `validate`."""
    content = with_new_names(content)
    try:
        cfg = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.create(escape_values(dict(content))))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {str(error).splitlines()[0]}", "the config of a run as it was") from error
    return validate(cast("DictConfig", cfg))


def _unresolved(error: OmegaConfBaseException, cfg: DictConfig) -> ConfigError:
    """Return the error for a value that cannot be resolved. If it refers to an unknown key, the fix has the nearest."""
    key, unknown = str(error.full_key), UNKNOWN_INTERPOLATION.search(str(error))
    values = flatten(cast("dict[str, Any]", OmegaConf.to_container(cfg)))
    keys = [name for name, value in values.items() if name != key and (name in CONSTRAINTS or _may_be(key, value))]
    near = nearest(unknown[1], keys) if unknown else None
    if near:
        fix, override = f"'{key}=${{{near}}}'", f"{key}=${{{near}}}"
    else:
        fix, override = example(key), suggest_override(key) if key in CONSTRAINTS else None
    return ConfigError(f"{key}: {str(error).splitlines()[0]}", fix, key=key, override=override)


def _may_be(key: str, value: Any) -> bool:
    """Return whether the limit of the key, if it has one, accepts the value."""
    return key not in CONSTRAINTS or CONSTRAINTS[key][0].accepts(value)


def _needed(key: str, what: str) -> ConfigError:
    """Return the error for a missing `key`. The fix is the default option, if it is a group."""
    if (chosen := default_option(key)) is not None:
        return ConfigError(f"{key} {what}", f"{key}={chosen}", key=key, override=f"{key}={chosen}")
    override = suggest_override(key) if key in CONSTRAINTS else None
    return ConfigError(f"{key} {what}", example(key), key=key, override=override)


def _find_node(content: dict[str, Any], key: str) -> dict[str, Any] | None:
    """Return the part of the config that has the last word of `key`; None if the config has no such key.

    Arguments count only if conf/ names their class: in another class the same name may mean something else.
    """
    node, above = cast("Any", content), content
    group, _, name = key.partition(".")
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return None
        above = cast("dict[str, Any]", node)
        target = above.get("_target_")
        if isinstance(target, str) and target not in _targets_in_conf() and name not in READ_BY_EXP.get(group, ()):
            return None
        node = above[part]
    return above


def _with_floats(value: Any) -> Any:
    """Return the value with floats for its integers: PyTorch refuses some, such as 0 in betas=[0,0.999]."""
    if isinstance(value, list):
        return [_with_floats(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _with_floats(item) for key, item in cast("dict[str, Any]", value).items()}
    return float(value) if isinstance(value, int) else value


@cache
def _targets_in_conf() -> frozenset[str]:
    texts = [path.read_text(encoding="utf-8") for path in CONF.rglob("*.yaml")]
    return frozenset(target for text in texts for target in re.findall(r"^ *_target_: (\S+)", text, re.MULTILINE))


def _refuse_unknown_keys(content: dict[str, Any], schema: type, prefix: str) -> None:
    """Refuse keys that + or ++ added where nothing reads them, and keys that ~ removed."""
    known = {field.name: field.type for field in fields(schema)}
    for key in known:
        if key not in content:
            raise _needed(f"{prefix}{key}", "is required and cannot be removed")
    for key, value in content.items():
        if key not in known:
            near = nearest(key, known)
            raise ConfigError(
                f"unknown key '{prefix}{key}' (available: {', '.join(known)}); + can only add arguments of a class",
                f"{prefix}{near}={as_yaml(value)}" if near else f"remove {prefix}{key}",
                key=f"{prefix}{key}",
                override=f"{prefix}{near}={as_yaml(value)}" if near else "",
            )
        if isinstance(inner := known[key], type) and is_dataclass(inner):
            _refuse_unknown_keys(value, inner, f"{prefix}{key}.")
