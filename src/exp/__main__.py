"""The command `exp`, and `python -m exp`."""

import sys


def main() -> None:
    """Run the command. Ctrl-C while it is imported, which takes half a second, ends it as Ctrl-C later does."""
    try:
        from exp.sweeps.executors.first_process import start_first

        start_first(sys.argv[1:])
        from exp.cli.main import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
