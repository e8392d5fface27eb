"""The keys that a command line gives: each once, and no suggestion for one word replaces another."""

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from exp.config.constraints import CONSTRAINTS, violation
from exp.config.overrides import override_key, reads_as, shell_line
from exp.config.schema import flatten
from exp.errors import ConfigError, ExpError, as_yaml

if TYPE_CHECKING:
    from exp.cli.command_line import CommandLine

_PARAMS = "hydra.sweeper.params"


def check_repeated(arguments: Sequence[str]) -> None:
    """Raise ConfigError if a key is given twice: Hydra takes the last one."""
    found = next(_repeated(arguments), None)
    if found is not None:
        before, place, key = found
        what = f"{arguments[before]} {arguments[place]}: {key} is given twice"
        raise ConfigError(what, shell_line(without_repeated(arguments)))


def without_repeated(arguments: Sequence[str]) -> list[str]:
    """Return the arguments, of each key only the last word that gives it."""
    words = list(arguments)
    while (found := next(_repeated(words), None)) is not None:
        before, place, _ = found
        if not words[before].startswith("+") and not words[place].startswith("++"):
            words[place] = words[place].removeprefix("+")  # of a key that is there, which + does not accept
        del words[before]
    return words


def check_sweeper_params(arguments: Sequence[str]) -> None:
    """Raise ConfigError for hydra.sweeper.params on the command line, where the keys themselves have several values."""
    for place, word in enumerate(arguments):
        key, equals, value = word.partition("=")
        if not equals or not override_key(key).startswith(_PARAMS):
            continue
        inside, read = override_key(key).removeprefix(_PARAMS).lstrip("."), reads_as(value)
        values = flatten(cast("dict[str, Any]", read)) if isinstance(read, dict) and not inside else {}
        words = [f"{inside}={value}"] if inside else [f"{name}={as_yaml(one)}" for name, one in values.items()]
        raise ConfigError(
            f"{word}: {_PARAMS} is for YAML files; on the command line the keys have the values",
            shell_line([*arguments[:place], *(words or ["KEY=VALUE,VALUE"]), *arguments[place + 1 :]]),
        )


def keep_typed(problem: ExpError, line: "CommandLine", is_ours: bool) -> ExpError:
    """Return the problem with a suggestion that replaces no other word of the line.

    Args:
        is_ours: Whether exp raised the error. Then a suggestion may concern another key on purpose: only one that is
            the same value under another name is replaced.
    """
    faulty = line.override_of(problem.key)
    if faulty is None or not problem.override:
        return problem
    value = faulty.partition("=")[2]
    words = [problem.override] if isinstance(problem.override, str) else list(problem.override)
    others = {override_key(word): word for word in line.overrides if word != faulty}
    taken = [
        word for word in words if override_key(word) in others and (not is_ours or word.partition("=")[2] == value)
    ]
    if not taken:
        return problem
    kept = tuple(word for word in words if word not in taken)
    if kept and kept != (faulty,):
        return ConfigError(problem.problem, shlex.join(kept), key=problem.key, override=kept)
    other = others[override_key(taken[0])]
    fix = f"remove {faulty}, or {problem.fix}" if kept else f"remove {faulty}, because {other} is given"
    return ConfigError(problem.problem, fix, key=problem.key, override="")


def refuse_plus(key: str, typed: str | None, is_multirun: bool) -> ConfigError:
    """Return the error for a `key` that is there and was given with +, also if its value is wrong: one for one word."""
    override = (typed or f"{key}=VALUE").lstrip("+")
    what, value = f"+{key}: the key exists, and + only adds new keys", reads_as(override.partition("=")[2])
    if is_multirun or key not in CONSTRAINTS or CONSTRAINTS[key][0].accepts(value):
        return ConfigError(what, override, key=key, override=override)
    wrong = violation(key, value)
    return ConfigError(f"{what}; {wrong.problem}", wrong.fix, key=key, override=wrong.override)


def _repeated(arguments: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Yield the places of two words that give the same key, and the key."""
    places: dict[str, int] = {}
    for place, word in enumerate(arguments):
        if "=" not in word or word.startswith("-") or override_key(word) in ("resume", "sweep.resume"):
            continue
        for key in _keys(word):
            if key in places:
                yield places[key], place, key
            places[key] = place


def _keys(word: str) -> list[str]:
    """Return the key of an override, and those in a mapping that is its value."""
    key, value = override_key(word), word.partition("=")[2]
    read = reads_as(value) if value.lstrip().startswith("{") else None
    inside = flatten(cast("dict[str, Any]", read), f"{key}.") if isinstance(read, dict) else {}
    return [key, *inside]
