"""The help topics that are tasks, from topics.yaml, and the objects of --json."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypedDict

import yaml

from exp.cli.columns import paragraph, screen_width
from exp.cli.json_fields import ERROR, EVERY, TRAIN, fields_of

_FILE = Path(__file__).with_name("topics.yaml")
_JSON = "json"

# What else the topics are called.
_OTHER_NAMES = {
    "search": ("tune", "optuna", "interval"),
    "sweep": ("sweeps", "grid"),
    "folds": ("cv", "crossval", "kfold"),
    "detach": ("background", "nohup"),
    "table": ("csv", "data"),
    "folder": ("rename", "output", "outputs"),
    "dry_run": ("dryrun", "dry-run", "dry"),
}

_ABOUT_JSON = """With --json a command prints one object on stdout, and nothing else there.
exp COMMAND --help lists its fields. NAME[] is each item of a list; a part in capitals stands for any name:
metrics.SPLIT.METRIC is metrics.val.loss, for example."""

_EXIT_CODES = """Exit codes: 0 done; 1 an error, a failed run or job, or a difference (diff, verify);
2 status of what runs; 130 and 143 stopped by Ctrl-C or SIGTERM. A run or sweep that was stopped is described
as any other; another command that was stopped is an error."""


class Topic(TypedDict):
    """What there is to say of a task; `examples` are command lines and what they do, `see` other topics."""

    about: str
    examples: dict[str, str]
    see: str


@cache
def read_topics() -> dict[str, Topic]:
    """Return the topics of topics.yaml by name."""
    return yaml.safe_load(_FILE.read_text(encoding="utf-8"))


def topic_names() -> list[str]:
    """Return the names of all topics, as the help screen lists them."""
    return [*read_topics(), _JSON]


def meant_topic(word: str) -> str | None:
    """Return the topic that is called `word` elsewhere."""
    return next((topic for topic, names in _OTHER_NAMES.items() if word.lower() in names), None)


def explain_topic(name: str) -> Iterator[str]:
    """Yield the lines of a topic; none if there is no such one."""
    topic = read_topics().get(name)
    if name == _JSON:
        yield from _explain_json()
    elif topic is not None:
        yield from paragraph(topic["about"])
        for command, comment in topic["examples"].items():
            line = f"  {command}  # {comment}"
            yield from [line] if len(line) <= screen_width() else [f"  # {comment}", f"  {command}"]
        yield from paragraph(f"see: {', '.join(f'exp --help {other}' for other in topic['see'].split(', '))}")


def _explain_json() -> Iterator[str]:
    yield from paragraph(_ABOUT_JSON)
    for title, name in (
        ("Every object:", EVERY),
        ("An error:", ERROR),
        ("A training or sweep, exp --json KEY=VALUE ...; null where there is nothing to say:", TRAIN),
    ):
        yield from ("", title, *fields_of(name))
    yield from ("", *paragraph(_EXIT_CODES))
