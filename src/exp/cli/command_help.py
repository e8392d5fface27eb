"""The help of a command: its usage, what it does, its arguments, and the fields of its JSON object."""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from inspect import Parameter

from exp.cli.answer import Answer
from exp.cli.columns import column_row, paragraph, screen_width
from exp.cli.command_correction import ANY_NUMBER, FLAGS, VALUE_FLAGS, example_words, parameters_of
from exp.cli.json_fields import fields_of
from exp.data.input_files import DATA_PATHS
from exp.errors import as_yaml

# Of every command that returns an `Answer`.
_JSON_CLAUSE = "Print one JSON object instead, also for an error."
_OBJECT = "The object of --json has format, command and exit_code, as every one (exp --help json), and:"


def usage_of(key: str, parameter: Parameter) -> str:
    """Return how an argument is written: RUN, [ACTION], FOLDER..., --json or split=."""
    if parameter.kind is Parameter.VAR_POSITIONAL:
        what = key.upper().removesuffix("S")
        return f"[{what}...]" if key in ANY_NUMBER else f"{what}..."
    if parameter.kind is Parameter.POSITIONAL_ONLY:
        return key.upper() if parameter.default is Parameter.empty else f"[{key.upper()}]"
    if f"--{key}" in VALUE_FLAGS:
        return f"--{key} {VALUE_FLAGS[f'--{key}']}"
    return f"--{key}" if f"--{key}" in FLAGS else f"{key}="


def help_of(command: Callable[..., Answer | None]) -> str:
    """Return the help: usage, what the command does, its arguments, and the fields of its object."""
    parameters = parameters_of(command)
    examples = {word.partition("=")[0]: word for word in example_words(command)}
    words = [
        usage_of(key, parameter)
        if parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL)
        else f"[{usage_of(key, parameter)}]"
        if f"--{key}" in (*FLAGS, *VALUE_FLAGS)
        else examples.get(key, f"{key}=FOLDER")
        if parameter.default is Parameter.empty
        else f"[{key}={as_yaml(parameter.default) if parameter.default is not None else 'VALUE'}]"
        for key, parameter in parameters.items()
        if key not in DATA_PATHS[1:]  # the clause of the first one has them
    ]
    text, _, _ = (inspect.getdoc(command) or "").partition("\nArgs:")
    text = re.sub(r"\n+ *python -m exp .*\n?", "\n", text).strip()
    lines = [line for part in text.split("\n\n") for line in ("", *paragraph(" ".join(part.split())))]
    usage = f"usage: python -m exp {command.__name__} {' '.join(words)}"
    return "\n".join(
        [
            textwrap.fill(usage, screen_width(), subsequent_indent=" " * 11, break_on_hyphens=False),
            *lines,
            "",
            *(line for key, clause in argument_clauses(command).items() for line in _argument(key, clause)),
            "",
            *paragraph(_OBJECT),
            *fields_of(command.__name__),
        ]
    )


def _argument(key: str, clause: str) -> Iterator[str]:
    return column_row(f"--{key}" if f"--{key}" in (*FLAGS, *VALUE_FLAGS) else key, 12, clause)


def argument_clauses(command: Callable[..., Answer | None]) -> dict[str, str]:
    """Return what the docstring's `Args:` says of each argument, and what --json does where a command has it."""
    _, _, section = (inspect.getdoc(command) or "").partition("\nArgs:\n")
    section = section.partition("\n\n")[0]
    found = {key: " ".join(text.split()) for key, text in re.findall(r"^ +([\w.]+): (.+(?:\n {6,}.+)*)", section, re.M)}
    return found | ({"json": _JSON_CLAUSE} if "json" in parameters_of(command) else {})
