"""Find every problem of a command line before anything begins. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException

from exp.cli.command_line import CommandLine, FileMistakesError
from exp.cli.default_values import with_default
from exp.cli.explain import explain
from exp.cli.resume import with_saved
from exp.cli.resume_changes import kept_words
from exp.config.compose import compose_config, sweep_loader
from exp.config.experiment_yaml import place
from exp.config.overrides import is_sweep, override_key, without_escapes
from exp.config.untrusted import refuse_hydra_settings
from exp.config.validation import validate
from exp.config.yaml_comments import line_of
from exp.errors import ConfigError, ExpError, display_path
from exp.results.run_folder import LAST_CHECKPOINT
from exp.sweeps.jobs import InvalidJob, JobComposer, compose_jobs

# Further problems are not collected.
_MAX_PROBLEMS = 20


@dataclass(frozen=True)
class Diagnosis:
    """The problems of a command line, and the corrected line if every problem has an override that solves it."""

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
    """A wrong command or a failed run, with all its problems. Fix, key and override are those of the first."""

    def __init__(self, diagnosis: Diagnosis, folder: Path | None = None) -> None:
        first = diagnosis.problems[0]
        super().__init__(first.problem, first.fix, key=first.key, override=first.override)
        self.args = (diagnosis, folder)
        self.problems = diagnosis.problems
        self.corrected = diagnosis.corrected
        self.folder = folder
        log = f"\n  log: {display_path(folder)}/exp.log" if folder is not None else ""
        self.printed = f"{diagnosis}{log}"

    def __str__(self) -> str:
        return self.printed


def check_untrusted(line: CommandLine) -> None:
    """Raise ConfigError if a YAML file in --config-dir changes Hydra's settings.

    The jobs of a sweep are checked when they are composed.
    """
    if line.config_dir is not None and Path(line.config_dir).is_dir():
        words = [word for word in line.overrides if not (line.multirun and is_sweep(word))]
        try:
            refuse_hydra_settings(words, list(line.overrides), [line.config_dir])
        except Exception as error:
            raise explain(error, line.with_overrides(words)) from error


def check_line(line: CommandLine) -> None:
    """Compose and validate the run, or the jobs of the sweep. Raises the first error."""
    line = with_saved(line)
    if not line.multirun:
        validate(compose_config(line.overrides, line.search))
        return
    with sweep_loader(line.overrides, line.search) as (loader, master):
        parser = OverridesParser.create(loader)
        parsed = [_with_first_value(one, parser) for one in parser.parse_overrides(list(line.overrides))]
        (jobs,) = BasicSweeper.split_arguments(parsed, None)
        compose_jobs([[without_escapes(word) for word in words] for words in jobs], 0, JobComposer(loader, master))


def diagnose(error: Exception, line: CommandLine) -> Diagnosis:
    """Collect every problem of a command line, by correcting one at a time and composing it again."""
    if isinstance(error, FileMistakesError):
        return _diagnose_file(error)
    problems = [with_default(explain(error, with_saved(line)), line)]
    found: list[ExpError] = []  # as they were explained
    all_corrected = True
    written = line
    while len(problems) < _MAX_PROBLEMS:
        found.append(problems[-1])
        override = line.override_of(problems[-1].key)
        if override is None:
            problems[-1] = _with_place(problems[-1], line)
            added = _correct_file(found[-1], is_in_file=problems[-1] is not found[-1])
            if not added or line.multirun:
                return Diagnosis(_with_lines(problems, written))
            corrected, all_corrected = added, False
            line = line.with_overrides([*line.overrides, *added])
        else:
            corrected = _corrected(override, problems[-1], error)
            all_corrected = all_corrected and corrected is not None
            line = _replace(line, override, corrected or [])
        try:
            check_line(line)
            break
        except Exception as another:
            error, problem = another, with_default(explain(another, with_saved(line)), line)
        is_removed = corrected is None and problem.key == problems[-1].key  # and so it is missed
        if is_removed or _is_not_solved(problem, found, line):
            return Diagnosis(_with_lines(problems, written))
        problems.append(problem)
    return Diagnosis(_with_lines(problems, written), line if all_corrected else None)


def _is_not_solved(problem: ExpError, found: list[ExpError], line: CommandLine) -> bool:
    """Return whether corrections have not removed a problem, although a key may be wrong, and then its value."""
    before = [one.key for one in found].count(problem.key)
    is_same = problem.problem in [one.problem for one in found]
    return is_same or (not line.multirun and before > 1) or f"~{problem.key}" in line.overrides


def _diagnose_file(error: FileMistakesError) -> Diagnosis:
    """Return the mistakes of an experiment's file, and the problems of what it was meant to say."""
    try:
        check_line(error.line)
    except Exception as another:
        return Diagnosis([*error.mistakes, *diagnose(another, error.line).problems])
    return Diagnosis(list(error.mistakes))


def correct(error: ExpError, line: CommandLine) -> Diagnosis:
    """Return the diagnosis of the only error of a command that began, with the corrected line if it is known."""
    typed = line.override_of(error.key)
    corrected = _corrected(typed, error, error) if typed is not None and error.override else None
    replaced = _replace(line, typed, corrected) if typed is not None and corrected else None
    if replaced is not None and line.resumed is not None and kept_words(corrected or ()) != corrected:
        has_begun = (line.resumed / LAST_CHECKPOINT).exists()  # otherwise a new run may have its folder
        replaced = None if has_begun else replaced.take("resume")[1]
    return Diagnosis(_with_lines([error], line), replaced)


def _replace(line: CommandLine, override: str, corrected: list[str]) -> CommandLine:
    """Replace one override by the corrected ones, and remove others of the same keys."""
    place, keys = line.overrides.index(override), {override_key(word) for word in corrected}
    before, after = line.overrides[:place], line.overrides[place + 1 :]
    kept = [[word for word in words if override_key(word) not in keys] for words in (before, after)]
    return line.with_overrides([*kept[0], *corrected, *kept[1]])


def _with_first_value(override: Override, parser: OverridesParser) -> Override:
    """Return the override with the first value of its interval; any other override unchanged."""
    value = override.value()
    if isinstance(value, IntervalSweep):
        return parser.parse_override(f"{override.get_key_element()}={value.start}")
    return override


def _corrected(word: str, problem: ExpError, error: Exception) -> list[str] | None:
    """Return the overrides that replace `word`: an empty list to remove it, None if they are unknown.

    Of the values of a sweep, only that of the failing job is replaced.
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
    """Return the values of a sweep as they were typed; the single value of another override."""
    try:
        override = OverridesParser.create().parse_override(word)
        swept = override.is_sweep_override() and override.is_choice_sweep()
        return [_plain(text) for text in override.sweep_string_iterator()] if swept else [word.partition("=")[2]]
    except HydraException:
        return [word.partition("=")[2]]


def _plain(value: str) -> str:
    return without_escapes(f"key={value}").partition("=")[2]


def _with_lines(problems: list[ExpError], line: CommandLine) -> list[ExpError]:
    """Add the line of the experiment's file to those problems whose key it gives."""
    if line.file is None:
        return problems
    found: list[ExpError] = []
    for one in problems:
        number = line.file.line_of(line.override_of(one.key))
        if number is not None:
            what = f"{one.problem}{place(line.file.path, number)}"
            one = ConfigError(what, one.fix, key=one.key, override=one.override)
        found.append(one)
    return found


def _with_place(problem: ExpError, line: CommandLine) -> ExpError:
    """Add the file and line of the key, if a file of the user sets it and the command line does not.

    A key that is wrong can be corrected in that line only.
    """
    for path in line.find_chosen_files():
        if problem.key is not None and (number := line_of(path, problem.key)) is not None:
            text = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()[number - 1]
            where = f"{problem.problem}\n  at: {path}:{number}: {text.strip()}"
            fix = problem.fix
            if problem.override == "":
                fix = "remove that line"
            elif isinstance(problem.override, str) and override_key(problem.override) != problem.key:
                key, _, value = problem.override.partition("=")
                fix = f"{key.rpartition('.')[2].lstrip('+')}: {value} in that line"
            return ConfigError(where, fix, key=problem.key, override=problem.override)
    return problem


def _correct_file(problem: ExpError, is_in_file: bool) -> list[str]:
    """Return the overrides that correct a key of a file, to check the rest of the line; none if they are not known."""
    if not isinstance(problem.override, str):
        return []
    added = [problem.override] if problem.override else []
    return [f"~{problem.key}", *added] if is_in_file and override_key(problem.override) != problem.key else added
