"""Find every problem of a command line before anything begins. Imports no torch."""

import re
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException

from exp.cli.command_line import CommandLine
from exp.cli.explain import explain
from exp.config.compose import compose_config, override_key, sweep_loader
from exp.config.schema import validate
from exp.config.untrusted import refuse_hydra_settings
from exp.errors import ConfigError, ExpError, display_path
from exp.sweeps.jobs import InvalidJob, JobComposer, compose_jobs

# A command line with more problems than this is better typed anew.
_MAX_PROBLEMS = 20


@dataclass(frozen=True)
class Diagnosis:
    """Every problem of a command line, and the line without them, where each has one override that solves it."""

    problems: list[ExpError]
    corrected: CommandLine | None = None

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems]
        if len(lines) > 1:
            lines.insert(0, f"{len(lines)} errors")
        if self.corrected is not None and (len(self.problems) > 1 or len(self.corrected.words) > 1):
            lines.append(f"corrected: {self.corrected}")
        return "\n".join(lines)


class CommandError(ExpError):
    """A command that is wrong, or a run that failed: every problem, and the first one's fix, key and override."""

    def __init__(self, diagnosis: Diagnosis, folder: Path | None = None) -> None:
        first = diagnosis.problems[0]
        super().__init__(first.problem, first.fix, key=first.key, override=first.override)
        self.args = (diagnosis, folder)
        self.problems = diagnosis.problems
        log = f"\n  log: {display_path(folder)}/exp.log" if folder is not None else ""
        self.printed = f"{diagnosis}{log}"

    def __str__(self) -> str:
        return self.printed


def check_untrusted(line: CommandLine) -> None:
    """ConfigError if YAMLs of --config-dir speak for Hydra. A sweep's jobs are checked when they are composed."""
    if line.config_dir is not None and Path(line.config_dir).is_dir():
        words = [word for word in line.overrides if not (line.multirun and _is_sweep(word))]
        try:
            refuse_hydra_settings(words, list(line.overrides), [line.config_dir])
        except Exception as error:
            raise explain(error, line.with_overrides(words)) from error


def check_line(line: CommandLine) -> None:
    """Raise what is wrong with the first job of this command line that cannot be composed, or has a wrong value."""
    if not line.multirun:
        validate(compose_config(line.overrides, line.search))
        return
    with sweep_loader(line.overrides, line.search) as (loader, master):
        parser = OverridesParser.create(loader)
        parsed = [_first_of(one, parser) for one in parser.parse_overrides(list(line.overrides))]
        (jobs,) = BasicSweeper.split_arguments(parsed, None)
        compose_jobs(jobs, 0, JobComposer(loader, master))


def diagnose(error: Exception, line: CommandLine) -> Diagnosis:
    """Collect every problem of a command line, by correcting one at a time and composing it again."""
    problems = [explain(error, line)]
    all_corrected = True
    while len(problems) < _MAX_PROBLEMS:
        override = line.override_of(problems[-1].key)
        if override is None:
            problems[-1] = _with_place(problems[-1], line)
            return Diagnosis(problems)
        corrected = _corrected(override, problems[-1], error)
        all_corrected = all_corrected and corrected is not None
        line = _replace(line, override, corrected or [])
        try:
            check_line(line)
            break
        except Exception as another:
            error, problem = another, explain(another, line)
        if str(problem) == str(problems[-1]):
            return Diagnosis(problems)
        problems.append(problem)
    return Diagnosis(problems, line if all_corrected else None)


def _replace(line: CommandLine, override: str, corrected: list[str]) -> CommandLine:
    """`line` with the corrected overrides in the place of one, and without others of their keys."""
    place, keys = line.overrides.index(override), {override_key(word) for word in corrected}
    before, after = line.overrides[:place], line.overrides[place + 1 :]
    kept = [[word for word in words if override_key(word) not in keys] for words in (before, after)]
    return line.with_overrides([*kept[0], *corrected, *kept[1]])


def _first_of(override: Override, parser: OverridesParser) -> Override:
    """What a search may choose, as one that it did choose; all else as it is."""
    value = override.value()
    if isinstance(value, IntervalSweep):
        return parser.parse_override(f"{override.get_key_element()}={value.start}")
    return override


def _is_sweep(word: str) -> bool:
    return OverridesParser.create().parse_override(word).is_sweep_override()


def _corrected(word: str, problem: ExpError, error: Exception) -> list[str] | None:
    """What replaces the override, nothing to remove it; None if that is not known.

    Of a sweep's values only that of the job at fault is replaced.
    """
    values = _sweep_values(word)
    if problem.override is None or isinstance(problem.override, tuple):
        return list(problem.override) if problem.override is not None else None
    if not problem.override or len(values) == 1:
        return [problem.override] if problem.override else []
    job = error.overrides if isinstance(error, InvalidJob) else ()
    faulty = next((text.partition("=")[2] for text in job if override_key(text) == problem.key), None)
    key, _, value = problem.override.partition("=")
    if faulty not in values:
        return None
    if key.lstrip("+") == override_key(word):
        return [f"{key}={','.join(dict.fromkeys(value if one == faulty else one for one in values))}"]
    return [f"{key}={','.join(values)}"] if value == faulty else None


def _sweep_values(word: str) -> list[str]:
    """Each value of a sweep as it was typed; the only one of another override."""
    try:
        override = OverridesParser.create().parse_override(word)
        swept = override.is_sweep_override() and override.is_choice_sweep()
        return list(override.sweep_string_iterator()) if swept else [word.partition("=")[2]]
    except HydraException:
        return [word.partition("=")[2]]


def _with_place(problem: ExpError, line: CommandLine) -> ExpError:
    """The problem, with the file and line of the key where no override on the command line sets it."""
    last = (problem.key or "").rpartition(".")[2]
    for path in line.chosen_files():
        for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if last and re.match(rf"\s*{last}\s*:", text):
                where = f"{problem.problem}\n  at: {path}:{number}: {text.strip()}"
                return ConfigError(where, problem.fix, key=problem.key, override=problem.override)
    return problem
