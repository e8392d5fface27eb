"""Rows that come from Python. The config of a run names them by a fingerprint, in the place of a file's path."""

from typing import Any
from weakref import WeakValueDictionary

from exp.config.python_names import PREFIX, called_in_python, kind_of
from exp.errors import DataError

# How the rows of each kind become a file of the same rows, for commands that find no object of Python.
_SAVED = {
    "DataFrame": ('df.to_csv("rows.csv", index=False)', "rows.csv"),
    "arrays": ('numpy.savez("rows.npz", x=x, y=y)', "rows.npz"),
}
_ARTICLES = {"DataFrame": "a DataFrame"}


class MissingRowsError(DataError):
    """Rows that came from Python, and are not in this process.

    Attributes:
        given: What Python passed to `train`: df, or (x, y).
        save: How Python writes them to `file`, from which a command reads the same rows.
    """

    def __init__(self, path: str, key: str) -> None:
        kind = kind_of(path)
        self.save, self.file = _SAVED.get(kind, _SAVED["arrays"])
        self.given = called_in_python(path)
        what = f"{key}={path}: these rows came from Python, as {_ARTICLES.get(kind, kind)}, and are in no file"
        super().__init__(what, f"train({self.given}, ...) in Python", key=key)


class HeldRows:
    """A table or arrays of the caller's, which runs find by `path` as long as someone refers to this object.

    Args:
        content: A DataFrame, or arrays by name: x, y, and perhaps feature_names and target_names.
        kind: DataFrame or arrays.
        fingerprint: That of the content.
    """

    def __init__(self, content: Any, kind: str, fingerprint: str) -> None:
        self.content, self.kind = content, kind
        self.path = f"{PREFIX}{kind}:{fingerprint[:16]}"


_held: WeakValueDictionary[str, HeldRows] = WeakValueDictionary()


def hold(content: Any, kind: str, fingerprint: str) -> HeldRows:
    """Return what makes the rows available to runs; the earlier one of equal rows, if it is still in use."""
    rows = HeldRows(content, kind, fingerprint)
    return _held.setdefault(rows.path, rows)


def find_held(path: str, key: str, kind: str | None = None) -> Any:
    """Return the content that `path` stands for.

    Raises:
        MissingRowsError: It is not in this process.
        DataError: It is not of that `kind`.
    """
    rows = _held.get(path)
    if rows is None:
        raise MissingRowsError(path, key)
    if kind not in (None, rows.kind):
        what = (
            f"{key}={path}: the dataset of this run is of the kind {kind}, and these rows are of the kind {rows.kind}"
        )
        raise DataError(what, "train(df, ...)" if kind == "DataFrame" else "train((x, y), ...)", key=key)
    return rows.content
