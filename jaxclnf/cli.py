"""The command line: where it begins and ends. The sub-commands are registered in `jaxclnf.commands.app`."""

from __future__ import annotations

import os
import sys

from jaxclnf.commands import garbage, interrupt


def program() -> None:
    """Be a process of its own: Ctrl-C while it ends, its work done, does not spoil its exit status."""
    interrupt.ignored_outside()
    garbage.put_off()
    main()


def main() -> None:
    """Run the command line; a user's mistake ends in one sentence and exit status 1, Ctrl-C in status 130."""
    with interrupt.listening():
        try:
            _run()
        except interrupt.Interrupted:
            interrupt.leave()
        except (ValueError, OSError) as error:
            sys.exit(f"jaxclnf: {error}")


def _run() -> None:
    """Import the commands, which takes a second, and run the one that is asked for."""
    # What is wrong with a camera is said in our sentence.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    from jaxclnf.commands.app import app

    for stream in (sys.stdout, sys.stderr):  # file names may hold bytes that are no text
        stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    app()
