"""All that is wrong with a command line, in one answer, before anything begins. Knows no torch."""

import copy
import re
import shlex
from argparse import Namespace
from collections.abc import Generator
from contextlib import contextmanager

import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from exp.config import check
from exp.errors import ConfigError, ExpError
from exp.mistakes import CommandLine, composed, explained, wrong_value

# A command line with more mistakes than this is better read anew.
_MOST = 20


def check_line(arguments: list[str]) -> None:
    """Raise what is wrong with the first job of this command line that cannot be composed, or has a wrong value."""
    typed = get_args_parser().parse_args(arguments)
    line = CommandLine(typed.overrides, typed.config_dir)
    choices = [_values(word) if typed.multirun else [word] for word in typed.overrides]
    base = [values[0] for values in choices]
    groups = line.groups()
    with _of_job(base, typed):
        whole = composed([*base, *line.search])
        check(whole)
    for position, values in enumerate(choices):
        for word in values[1:]:
            job = [*base[:position], word, *base[position + 1 :]]
            with _of_job(job, typed):
                key, _, value = word.partition("=")
                if key in groups:
                    check(composed([*job, *line.search]))
                else:  # as composing would, in a hundredth of the time
                    config = copy.deepcopy(whole)
                    try:
                        OmegaConf.update(config, key, yaml.safe_load(value))
                    except OmegaConfBaseException as error:
                        raise wrong_value(word, error) from error
                    check(config)


@contextmanager
def _of_job(job: list[str], typed: Namespace) -> Generator[None]:
    """Say of a mistake inside what it is, with this job's words, and of which of a sweep's jobs it is."""
    try:
        yield
    except Exception as error:
        mistake = explained(error, [*job, *(["--config-dir", typed.config_dir] if typed.config_dir else [])])
        told = f" (in the job {shlex.join(job)})" if typed.multirun and job != typed.overrides else ""
        raise ConfigError(mistake.problem + told, mistake.cure) from error


def report(error: Exception, arguments: list[str]) -> str:
    """All that is wrong with the command line, each mistake with what to type, and the line with all of them mended."""
    words, mended = list(arguments), True
    found = [explained(error, words)]
    while len(found) < _MOST:
        blamed = next((word for word in words if _is_blamed(word, found[-1])), None)
        if blamed is None:
            found[-1] = _with_place(found[-1], words)
            mended = False
            break
        better = _mended(blamed, found[-1])
        mended = mended and (better is not None or found[-1].cure.startswith("the same without"))
        place = words.index(blamed)
        words[place : place + 1] = [] if better is None else [better]
        try:
            check_line(words)
            break
        except Exception as another:
            found.append(explained(another, words))
            if str(found[-1]) == str(found[-2]):
                found.pop()
                mended = False
                break
    told = [str(one) for one in found]
    if len(found) > 1:
        told.insert(0, f"{len(found)} mistakes")
    if mended and (len(found) > 1 or len(words) > 1):
        told.append(f"all mended: python -m exp {shlex.join(words)}")
    return "\n".join(told)


def _values(word: str) -> list[str]:
    """Each value of a sweep, as an override of its own; the word itself if it is of one value."""
    override = OverridesParser.create().parse_override(word)
    if not override.is_sweep_override() or override.is_interval_sweep():
        return [word]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def _is_blamed(word: str, mistake: ExpError) -> bool:
    key = word.lstrip("+~").partition("=")[0].partition("@")[0]
    said = re.match(r"[+~]*([\w./]+)", mistake.problem)
    return not word.startswith("-") and said is not None and said[1] == key


def _mended(word: str, mistake: ExpError) -> str | None:
    """The word as it was meant; None if the cure is no single KEY=VALUE."""
    cure = re.match(r"'?([+~]*[\w./@]+)=(\[[^]]*\]|[^\s,']+)'?(?=$|[,;]| or )", mistake.cure)
    if cure is None:
        return None
    name, value = cure.groups()
    key, _, values = word.partition("=")
    parts = values.split(",")
    if len(parts) > 1 and not values.startswith(("[", "'", '"')) and name == key:  # one of a sweep's values
        bad = [part for part in parts if re.search(rf"(=|not ){re.escape(part)}(:|$| \()", mistake.problem)]
        return f"{key}={','.join(value if part in bad[:1] else part for part in parts)}" if bad else None
    return f"{name}={value}"


def _with_place(mistake: ExpError, words: list[str]) -> ExpError:
    """The mistake, with the file and line of the key where no word of the command line holds it."""
    typed = get_args_parser().parse_args(words)
    line = CommandLine(typed.overrides, typed.config_dir)
    said = re.match(r"([\w]+)\.([\w.]+)", mistake.problem)
    files = line.groups().get(said[1], {}) if said else {}
    chosen = line.override_of(said[1]).partition("=")[2] if said else ""
    for path in [files[chosen]] if chosen in files else []:
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if said is not None and re.match(rf"\s*{said[2].rpartition('.')[2]}\s*:", text):
                return ConfigError(f"{mistake.problem}\n  at: {path}:{number}: {text.strip()}", mistake.cure)
    return mistake
