"""All that is wrong with a command line, in one answer, before anything begins. Knows no torch."""

import difflib
import re
import shlex
from argparse import Namespace
from collections.abc import Generator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from hydra.types import RunMode

from exp.cli.explain import CommandLine, explain
from exp.config.compose import compose_config
from exp.config.constraints import CONSTRAINTS
from exp.config.schema import CONF, validate
from exp.config.untrusted import refuse_hydra_settings
from exp.errors import ConfigError, ExpError, nearest
from exp.sweeps.jobs import JobComposer, compose_jobs

# A command line with more mistakes than this is better read anew.
_MAX_PROBLEMS = 20


def move_flags_first(arguments: list[str]) -> list[str]:
    """The same words with -m and the like before the others: argparse does not take them in between."""
    takes_value = {
        name: action.nargs is None
        for action in get_args_parser()._actions  # pyright: ignore[reportPrivateUsage]
        for name in action.option_strings
    }
    flags: list[str] = []
    rest: list[str] = []
    for word, before in zip(arguments, ["", *arguments], strict=False):
        (flags if word in takes_value or word.startswith("--") or takes_value.get(before) else rest).append(word)
    if {"-m", "--multirun"} & set(flags) and (shown := {"-c", "--cfg"} & set(flags)):
        place = flags.index(shown.pop())  # Hydra shows one config; of a sweep, the jobs are what one wants to see
        return [*flags[:place], *flags[place + 2 :], *rest, "sweep.dry_run=true"]
    return [*flags, *rest]


def check_flags(arguments: list[str]) -> ConfigError | None:
    """What is wrong where keys are given as other programs take them: --epochs=5, --epochs 5, epochs = 5."""
    known = [name for action in get_args_parser()._actions for name in action.option_strings]  # pyright: ignore[reportPrivateUsage]
    for word, behind in pairwise([*arguments, ""]):
        name, equals, value = word.lstrip("-").partition("=")
        if word == "=" or (behind.startswith("=") and not equals):
            return ConfigError("there are spaces around =", "KEY=VALUE in one word, as epochs=5")
        if re.match(r"--?[a-zA-Z]", word) and word.partition("=")[0] not in known:
            if flag := difflib.get_close_matches(word, known, 1, 0.7):
                return ConfigError(f"{word}: there is no such flag", flag[0])
            meant = value or ("VALUE" if "=" in behind else behind)
            key = nearest(name, CONSTRAINTS) or name.replace("-", "_")
            return ConfigError(f"{word}: keys stand without dashes", f"{key}={meant or 'VALUE'}")
    return None


def check_untrusted(arguments: list[str]) -> None:
    """ConfigError if YAMLs of --config-dir speak for Hydra. A sweep's jobs are asked when they are composed."""
    typed = get_args_parser().parse_args(arguments)
    if typed.config_dir is not None and Path(typed.config_dir).is_dir():
        words = [word for word in typed.overrides if not (typed.multirun and _is_sweep(word))]
        with _in_words_of(words, typed):
            refuse_hydra_settings(words, typed.overrides, [typed.config_dir])


def check_line(arguments: list[str]) -> None:
    """Raise what is wrong with the first job of this command line that cannot be composed, or has a wrong value."""
    typed = get_args_parser().parse_args(arguments)
    line = CommandLine(typed.overrides, typed.config_dir)
    with _in_words_of(typed.overrides, typed):
        if not typed.multirun:
            validate(compose_config([*typed.overrides, *line.search]))
            return
        with initialize_config_dir(str(CONF), version_base="1.3"):
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            master = hydra.compose_config("config", [*typed.overrides, *line.search], run_mode=RunMode.MULTIRUN)
            parser = OverridesParser.create(hydra.config_loader)
            parsed = [_first_of(one, parser) for one in parser.parse_overrides(typed.overrides)]
            (jobs,) = BasicSweeper.split_arguments(parsed, None)
            compose_jobs(jobs, 0, JobComposer(hydra.config_loader, master))


@contextmanager
def _in_words_of(words: list[str], typed: Namespace) -> Generator[None]:
    """Say of a mistake inside what it is, as one of these words."""
    try:
        yield
    except Exception as error:
        raise explain(error, [*words, *(["--config-dir", typed.config_dir] if typed.config_dir else [])]) from error


def diagnose(error: Exception, arguments: list[str]) -> str:
    """All that is wrong with the command line, each mistake with what to type, and the line with all of them mended."""
    words, mended = list(arguments), True
    found = [explain(error, words)]
    while len(found) < _MAX_PROBLEMS:
        blamed = next((word for word in words if _is_blamed(word, found[-1])), None)
        if blamed is None:
            found[-1] = _with_place(found[-1], words)
            mended = False
            break
        better = _corrected(blamed, found[-1])
        mended = mended and (better is not None or found[-1].fix.startswith("the same without"))
        place = words.index(blamed)
        words[place : place + 1] = [] if better is None else [better]
        try:
            check_line(words)
            break
        except Exception as another:
            found.append(explain(another, words))
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


def _first_of(override: Override, parser: OverridesParser) -> Override:
    """What a search may choose, as one that it did choose; all else as it is."""
    value = override.value()
    if isinstance(value, IntervalSweep):
        return parser.parse_override(f"{override.get_key_element()}={value.start}")
    return override


def _is_sweep(word: str) -> bool:
    return OverridesParser.create().parse_override(word).is_sweep_override()


def _is_blamed(word: str, mistake: ExpError) -> bool:
    key = word.lstrip("+~").partition("=")[0].partition("@")[0]
    said = re.match(r"[+~]*([\w./]+)", mistake.problem)
    return not word.startswith("-") and said is not None and said[1] == key


def _corrected(word: str, mistake: ExpError) -> str | None:
    """The word as it was meant; None if the cure is no single KEY=VALUE."""
    cure = re.match(r"'?([+~]*[\w./@]+)=(\[[^]]*\]|[^\s,'\[][^\s,']*)'?(?=$|[,;]| or )", mistake.fix)
    if cure is None:
        return None
    name, value = cure.groups()
    key, _, values = word.lstrip("+").partition("=")
    parts = _parts(word)
    if len(parts) > 1 and name == key:  # one of a sweep's values
        bad = [part for part in parts if re.search(rf"(=|not ){re.escape(part)}(:|$| \()", mistake.problem)]
        better = dict.fromkeys(value if part in bad[:1] else part for part in parts)
        return f"{key}={','.join(better)}" if bad else None
    if (
        name in ("dataset", "model", "optimizer", "loss", "batching", "device")
        and "=" in word
        and key.partition(".")[0] != name
    ):
        return f"{name}={value}" if value == values else None  # another value is no mended one
    return f"{name}={value}"


def _parts(word: str) -> list[str]:
    """Each value of a sweep as it was typed; the one that there is, otherwise."""
    try:
        override = OverridesParser.create().parse_override(word)
        swept = override.is_sweep_override() and override.is_choice_sweep()
        return list(override.sweep_string_iterator()) if swept else [word.partition("=")[2]]
    except HydraException:
        return [word.partition("=")[2]]


def _with_place(mistake: ExpError, words: list[str]) -> ExpError:
    """The mistake, with the file and line of the key where no word of the command line holds it."""
    typed = get_args_parser().parse_args(words)
    line = CommandLine(typed.overrides, typed.config_dir)
    said = re.match(r"([\w.]+)", mistake.problem)
    last = said[1].rpartition(".")[2] if said else ""
    for path in line.chosen_files():
        for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if last and re.match(rf"\s*{last}\s*:", text):
                return ConfigError(f"{mistake.problem}\n  at: {path}:{number}: {text.strip()}", mistake.fix)
    return mistake
