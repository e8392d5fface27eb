"""`exp cache`: list and remove the prepared datasets of dataset.storage=mapped, and compiled steps."""

import sys

from exp.cli.answer import TextAnswer
from exp.cli.commands import run_command
from exp.data.mapped.cache import COMPILED, cache_folder, clear, format_size, list_entries, summarize
from exp.errors import ConfigError

_ACTIONS = ("list", "clear")


def cache(action: str = "list", /, yes: bool = False) -> TextAnswer:
    """List or remove prepared datasets (dataset.storage=mapped) and steps (engine=compiled).

        python -m exp cache

    They are listed with their sizes. They are in the folder that the environment variable EXP_CACHE names, or else in
    ~/.cache/exp. A run that needs a removed dataset prepares it again, and compiles its steps again.

    Args:
        action: list, or clear to remove all.
        yes: Remove them without asking.
    """
    if action not in _ACTIONS:
        raise ConfigError(f"unknown action '{action}' (available: {', '.join(_ACTIONS)})", "python -m exp cache list")
    entries = list_entries()
    total = summarize(entries)
    fields = {
        "folder": str(cache_folder()),
        "datasets": [{"dataset": entry.label, "bytes": entry.size} for entry in entries if entry.key != COMPILED],
        "compiled_bytes": sum(entry.size for entry in entries if entry.key == COMPILED),
        "cleared": False,
    }
    if action == "list":
        listed = (f"{format_size(entry.size):>13}  {entry.label}" for entry in entries)
        return TextAnswer(fields, [*listed, f"{cache_folder()}: {total}"])
    if not yes and entries:
        if not sys.stdin.isatty():
            raise ConfigError(
                f"cache clear would remove {total} in {cache_folder()}", "python -m exp cache clear --yes"
            )
        print(f"remove {total} in {cache_folder()}? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return TextAnswer(fields, ["nothing is removed"])
    return TextAnswer({**fields, "cleared": True}, [clear()])


if __name__ == "__main__":
    run_command(cache, sys.argv[1:])
