"""Standard streams that cost no results: closed ones, ones on a full disk, and ones that nobody reads."""

from __future__ import annotations

import io
import os
import sys
from typing import Any


class _Lossy(io.FileIO):
    """A stream's file; what cannot be written is lost, and that is remembered."""

    lost: OSError | None = None

    def write(self, data: Any) -> int | None:
        try:
            return super().write(data)
        except OSError as error:
            _Lossy.lost = error
            return memoryview(data).nbytes


def never_fail() -> None:
    """Open standard streams that are closed, so that no result's file is one, and let writes never fail."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115, the program's own
    if os.name != "nt":  # whose terminals take no bytes
        sys.stdout, sys.stderr = _text(1, sys.stdout), _text(2, sys.stderr)


def _text(number: int, before: Any) -> io.TextIOWrapper:
    file = io.BufferedWriter(_Lossy(number, "wb", closefd=False))
    by_line = number == 2 or getattr(before, "line_buffering", False)
    at_once = getattr(before, "write_through", False)
    encoding = getattr(before, "encoding", "utf-8")
    return io.TextIOWrapper(file, encoding, "backslashreplace", line_buffering=by_line, write_through=at_once)


def lost() -> int | str:
    """Give the exit status: 0, 1 if a reader of the output went away, or a sentence that says what failed."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    error = _Lossy.lost
    if error is None or isinstance(error, BrokenPipeError):
        return int(error is not None)
    return f"jaxclnf: not everything could be printed: {error.strerror}"
