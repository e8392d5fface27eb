"""The token of a Ray cluster: one of its own for a cluster that exp starts, and what to do where one is missing."""

import importlib
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_MODE, _TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"

HOW_TO_GIVE = "RAY_AUTH_TOKEN=TOKEN with what `ray get-auth-token` prints on the first machine"
HOW_TO_DISABLE = "RAY_AUTH_MODE=disabled if the cluster has no token"


def use_own_token() -> Callable[[], None]:
    """Give a cluster that this process starts a token in the environment, and return a function that restores it.

    Without one, Ray writes ~/.ray/auth_token, and each cluster that is started later takes that.
    """
    before = remember_mode()
    if os.environ.get(_MODE) == "disabled":
        return before
    given = os.environ.get(_TOKEN)
    os.environ[_TOKEN] = secrets.token_hex(32)
    _reset()

    def restore() -> None:
        _set(_TOKEN, given)
        before()

    return restore


def remember_mode() -> Callable[[], None]:
    """Return a function that restores RAY_AUTH_MODE, which ray.init() sets for the whole process."""
    mode = os.environ.get(_MODE)

    def restore() -> None:
        _set(_MODE, mode)
        _reset()

    return restore


def has_token_mode() -> bool:
    """Return whether this process uses a token, which ray.init() also sets if ~/.ray/auth_token exists."""
    return os.environ.get(_MODE) == "token"


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _reset() -> None:
    """Make Ray read the environment again, which it does once for each process."""
    with suppress(ImportError, AttributeError):  # Ray before 2.52 has no tokens
        raylet: Any = importlib.import_module("ray._raylet")
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()
