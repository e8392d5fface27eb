"""Which settings differ between the runs of a list, and only those: not what follows from another that is shown."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from exp.config.former_names import normalize
from exp.config.schema import has_effect
from exp.results.listed import Listed

# Settings that are not listed as a difference, because they have columns of their own.
_IN_COLUMNS = ("dataset", "model")


def settings_of(one: Listed) -> dict[str, Any]:
    """Return the option of each group and the value of each key."""
    return {**one.config, **one.choices}


def shown_settings(one: Listed) -> dict[str, Any]:
    """Return the settings without those that a sweep is averaged over: the fold of its first job is not its own."""
    return {key: value for key, value in settings_of(one).items() if key not in one.repeated}


def find_differing(lines: Sequence[Listed]) -> list[str]:
    """Return the groups and keys in which the runs differ, those first that the command lines set.

    A value that comes with an option, such as the momentum of optimizer=sgd, says no more than the option. So a key
    counts if a command line set it, or if it differs between runs with the same options. Those whose settings are not
    known, such as a sweep without a job that began, differ in none.
    """
    lines = [one for one in lines if one.config and one.choices] or lines
    typed = Counter(key for one in lines for key in one.typed)
    settings = [normalize(shown_settings(one)) | dict(one.choices) for one in lines]
    groups = dict.fromkeys(key for one in lines for key in one.choices)
    parts = _group(settings, groups)
    starts = _group(settings, ("dataset", "experiment"))
    found: list[str] = []
    for key in dict.fromkeys(key for one in settings for key in one):
        if key in _IN_COLUMNS or not has_effect(key) or key.endswith("_target_") or not _differs(settings, key):
            continue
        among = starts if key in groups else parts
        if key in typed or any(_differs(part, key) for part in among):
            found.append(key)
    return sorted(found, key=lambda key: (key not in typed, key not in groups))


def short_names(keys: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return what each key is called in a table: its last part, if no other of the `known` names has the same."""
    known = set(known)
    last = Counter(name.rpartition(".")[2] for name in known)
    return {key: short if last[short := key.rpartition(".")[2]] == 1 else key for key in keys}


def _differs(settings: Sequence[Mapping[str, Any]], key: str) -> bool:
    first = settings[0].get(key)
    return any(one.get(key) != first for one in settings)


def _group(settings: Sequence[dict[str, Any]], keys: Iterable[str]) -> list[list[dict[str, Any]]]:
    """Return the settings that have equal values of `keys` together."""
    keys, parts = tuple(keys), dict[tuple[str, ...], list[dict[str, Any]]]()
    for one in settings:
        parts.setdefault(tuple(str(one.get(key)) for key in keys), []).append(one)
    return list(parts.values())
