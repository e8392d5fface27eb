"""The encoding of a text file."""

import codecs

from exp.data.reading.source import Source
from exp.errors import ConfigError, DataError, pluralize

# Byte order marks; that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def find_encoding(source: Source, declared: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the encoding to read the text with, and notes.

    A byte order mark decides; then `declared`, unless it is None or utf-8; then UTF-8 if all bytes are valid, and
    cp1252 otherwise, with a note.

    Raises:
        ConfigError: `declared` is not an encoding.
        DataError: The file is not text.
    """
    try:
        name = codecs.lookup(declared or "utf-8").name
        "a".encode(name, "ignore")  # some codecs are no encodings of text
    except LookupError as error:
        raise ConfigError(f"dataset.encoding={declared}: {error}", "dataset.encoding=utf-8") from error
    with source.open() as stream:
        head = stream.read(4096)
    if marked := next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None):
        return marked, ()
    if name != "utf-8":
        return name, ()
    if head.count(0) > len(head) / 4:
        if not any(head[0::2]) or not any(head[1::2]):  # UTF-16 without a mark, of Latin letters
            return ("utf-16-be" if not any(head[0::2]) else "utf-16-le"), ()
        raise DataError(f"{source.where}: the file is not text", "a text file, or dataset.encoding=utf-16")
    nulls = _count_nulls(source, "utf-8")
    if nulls is not None:
        return "utf-8", _null_notes(nulls)
    nulls = _count_nulls(source, "cp1252")
    encoding = "latin-1" if nulls is None else "cp1252"
    note = f"the file is not utf-8 text: read as {encoding}; to read it otherwise: dataset.encoding=..."
    return encoding, (note, *_null_notes(nulls or 0))


def _null_notes(count: int) -> tuple[str, ...]:
    """Return a note on the null characters of a text, which are no part of the cells that are read."""
    return (f"the text has {pluralize(count, 'null character')} (\\0), read as if not there",) if count else ()


def _count_nulls(source: Source, encoding: str) -> int | None:
    """Return how many null characters a text has; None if it is not in this encoding."""
    decoder, count = codecs.getincrementaldecoder(encoding)(), 0
    with source.open() as stream:
        try:
            while block := stream.read(1 << 20):
                decoder.decode(block)
                count += block.count(0)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return None
    return count
