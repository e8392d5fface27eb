"""The command `exp`, and `python -m exp`."""

import sys

from exp.sweeps.executors.first_process import start_first, stop_first


def main() -> None:
    """Run the command. Ctrl-C while it is imported, which takes half a second, ends it as Ctrl-C later does."""
    try:
        start_first(sys.argv[1:])
        from exp.cli.main import main as run
    except KeyboardInterrupt:
        stop_first()
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
