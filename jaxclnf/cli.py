"""The command line's beginning and end. The sub-commands are registered in `jaxclnf.commands.app`."""

from __future__ import annotations

import os
import sys

from jaxclnf.commands import garbage, interrupt


def program() -> None:
    """Run the command line as a process; Ctrl-C after its work is done does not change its exit status."""
    interrupt.ignored_outside()
    garbage.put_off()
    main()


def main() -> None:
    """Run the command line; a user's mistake ends in a sentence and status 1, Ctrl-C in status 130."""
    with interrupt.listening():
        try:
            _run()
        except BaseException as error:
            if interrupt.pressed():  # whatever extensions make of it: Ray a SystemError
                interrupt.leave()
            if not isinstance(error, ValueError | OSError):
                raise
            sys.exit(f"jaxclnf: {_sentence(error)}")


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _run() -> None:
    """Import the commands, which takes a second, and run the one that is asked for."""
    for argument in sys.argv[1:]:
        # Else the present folder would be searched, or written to.
        name, sign, value = argument.partition("=")
        if not argument or (name.startswith("--") and sign and not value):
            raise ValueError(f"{argument!r} is empty; did a variable of the shell hold nothing?")
    # OpenCV's own messages about a camera would come beside our sentence.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    from jaxclnf.commands.app import app

    for stream in (sys.stdout, sys.stderr):  # file names may hold bytes that are not text
        stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    app()
