"""Why a step cannot be compiled."""


class Uncompilable(Exception):  # noqa: N818  # not an error: the step is replayed instead
    """A step that cannot be compiled; the text says why."""
