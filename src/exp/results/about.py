"""What a person said of a run or sweep: its name= and notes=, and its tags. Nothing that is computed depends on them.

They are in `about` of summary.json; the tags of a sweep are in `about` of sweep.json. Its jobs have its name and notes.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from exp.errors import ConfigError
from exp.results import summary, sweep_json
from exp.results.run_folder import SUMMARY, SWEEP_MANIFEST, is_sweep

# A filter separates values by commas, and a shell words by spaces.
_TAG = re.compile(r"[^\W_-][\w.-]*")


def with_words(content: Mapping[str, Any], name: str | None, notes: str | None) -> dict[str, Any]:
    """Return `about` of a run that begins or is resumed: with its name= and notes=, and the tags in `content`.

    A name or notes that `exp tag` wrote since are kept, unless the resumed run is given others.
    """
    before, given = _read_about(content), {"name": name, "notes": notes}
    replaced = {key: value for key, value in before.get("replaced", {}).items() if value == given[key]}
    words = {**given, **{key: before.get(key) for key in replaced}, "tags": list(read_tags(content))}
    return {"about": {**words, "replaced": replaced} if replaced else words}


def read_word(content: Mapping[str, Any], key: str, given: str | None) -> str | None:
    """Return the name or notes in the content of a summary.json or sweep.json, else `given`."""
    value: object = _read_about(content).get(key, given)
    return value if isinstance(value, str) and value else None


def read_tags(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the tags in the content of a summary.json or sweep.json, without what is no text."""
    tags: object = _read_about(content).get("tags")
    return tuple(tag for tag in cast("list[object]", tags) if isinstance(tag, str)) if isinstance(tags, list) else ()


def _read_about(content: Mapping[str, Any]) -> dict[str, Any]:
    about: object = content.get("about")
    return cast("dict[str, Any]", about) if isinstance(about, dict) else {}


def check_tag(tag: str) -> None:
    """Raise ConfigError unless `tag` is one word."""
    if _TAG.fullmatch(tag) is None:
        meant = re.sub(r"[^\w.-]+", "-", tag).strip("-_.") or "paper"
        raise ConfigError(f"'{tag}' is no tag: a word of letters, digits, . _ and -, that begins with one", meant)


def write_about(
    folder: Path, added: Sequence[str], removed: Sequence[str], words: Mapping[str, tuple[str | None, str | None]]
) -> tuple[str, ...]:
    """Add and remove tags of the run or sweep in `folder`, which must not run; return those that it has then.

    Args:
        words: A new name or notes, None for none, and those of the config, by "name" and "notes".

    Raises:
        ConfigError: Its file is missing or damaged, or it does not have a tag that is to be removed.
    """
    path = folder / (SWEEP_MANIFEST if is_sweep(folder) else SUMMARY)
    try:
        read: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        read = None
    if not isinstance(read, dict):
        raise ConfigError(f"{path} is missing or damaged, so there is no place for a tag", "a run that began")
    content = cast("dict[str, Any]", read)
    before = read_tags(content)
    if unknown := [tag for tag in removed if tag not in before]:
        has = f"it has {', '.join(before)}" if before else "it has none"
        raise ConfigError(f"{folder} has no tag {', '.join(unknown)}: {has}", "one of its tags")
    tags = [tag for tag in dict.fromkeys([*before, *added]) if tag not in removed]
    about = _read_about(content)
    replaced = {**about.get("replaced", {}), **{key: given for key, (_, given) in words.items()}}
    content["about"] = {**about, **{key: value for key, (value, _) in words.items()}, "tags": tags}
    content["about"] |= {"replaced": replaced} if replaced else {}
    times = folder.stat()  # the newest folder is that of the latest run
    (sweep_json if is_sweep(folder) else summary).write(folder, content)
    os.utime(folder, ns=(times.st_atime_ns, times.st_mtime_ns))
    return tuple(tags)
