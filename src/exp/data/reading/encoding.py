"""The encoding of a text file."""

import codecs

from exp.data.reading.source import Source
from exp.errors import ConfigError, DataError

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
    if _is_valid(source, "utf-8"):
        return "utf-8", ()
    encoding = "cp1252" if _is_valid(source, "cp1252") else "latin-1"
    note = f"the file is not utf-8 text: read as {encoding}; to read it otherwise: dataset.encoding=..."
    return encoding, (note,)


def _is_valid(source: Source, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with source.open() as stream:
        try:
            while block := stream.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True
