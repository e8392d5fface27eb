"""`exp cache`: list and remove the prepared datasets of dataset.storage=mapped."""

import sys

from exp.cli.commands import run_command
from exp.data.mapped.cache import cache_folder, clear, list_entries
from exp.errors import ConfigError, pluralize

_ACTIONS = ("list", "clear")


def cache(action: str = "list", /, yes: bool = False) -> None:
    """List or remove the prepared datasets of dataset.storage=mapped.

        python -m exp cache

    They are listed with their sizes. They are in the folder that the environment variable EXP_CACHE names, or else in
    ~/.cache/exp. A run that needs a removed dataset prepares it again.

    Args:
        action: list, or clear to remove all.
        yes: Remove them without asking.
    """
    if action not in _ACTIONS:
        raise ConfigError(f"unknown action '{action}' (available: {', '.join(_ACTIONS)})", "exp cache list")
    entries = list_entries()
    total = f"{pluralize(len(entries), 'dataset')}, {sum(entry.size for entry in entries) / 1e6:,.0f} MB"
    if action == "list":
        for entry in entries:
            print(f"{entry.size / 1e6:>10,.0f} MB  {entry.label}")
        print(f"{cache_folder()}: {total}")
        return
    if not yes and entries:
        if not sys.stdin.isatty():
            raise ConfigError(f"cache clear would remove {total} in {cache_folder()}", "exp cache clear yes=true")
        print(f"remove {total} in {cache_folder()}? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return
    print(clear())


if __name__ == "__main__":
    run_command(cache, sys.argv[1:])
