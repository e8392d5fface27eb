"""Lines of a log that cannot be written, as on a full disk: a note at the end, instead of a traceback for each."""

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress


@contextmanager
def note_lost_lines() -> Generator[None]:
    """Print a note for each log of the root logger whose lines were lost inside the context."""
    handlers = logging.getLogger().handlers[:]
    for handler in handlers:
        tell_no_traceback(handler)
    try:
        yield
    finally:
        for handler in handlers:
            vars(handler).pop("handleError", None)
            try:
                handler.flush()  # what could not be written before is tried once more
            except OSError as error:
                tell_lost(handler, error)
                with suppress(OSError):  # drops these lines, so that nobody who closes the handler has the error again
                    handler.close()


def tell_no_traceback(handler: logging.Handler) -> None:
    """Print no traceback for a line that the handler cannot write."""
    handler.handleError = _ignore_full_disk


def tell_lost(handler: logging.Handler, error: OSError) -> None:
    """Print the note."""
    name = getattr(handler, "baseFilename", handler)
    print(f"note: lines of {name} are lost: {str(error.strerror or error).lower()}", file=sys.stderr)


def _ignore_full_disk(record: logging.LogRecord) -> None:
    if not isinstance(sys.exc_info()[1], OSError):
        logging.Handler().handleError(record)
