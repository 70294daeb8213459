"""The command line's beginning and end. The sub-commands are registered in `jaxclnf.commands.app`."""

from __future__ import annotations

import os
import sys
import warnings

from jaxclnf.commands import garbage, interrupt, streams


def program() -> None:
    """Run the command line as a process; Ctrl-C after its work is done does not change its exit status.

    That is 1 if something could not be printed.
    """
    interrupt.ignored_outside()
    streams.never_fail()
    garbage.put_off()
    try:
        main()
    except SystemExit as end:
        sys.exit(end.code or streams.lost())


def main() -> None:
    """Run the command line; a user's mistake ends in a sentence and status 1, Ctrl-C in status 130."""
    with interrupt.listening():
        try:
            _run()
        except BaseException as error:
            if interrupt.pressed():  # whatever extensions make of it: Ray a SystemError
                interrupt.leave()
            said = _sentence(error)
            if said is None:
                raise
            sys.exit(f"jaxclnf: {said}")


def _sentence(error: BaseException) -> str | None:
    """Say what a user did wrong, or what is wrong with the machine; None for a fault of the program."""
    if isinstance(error, ValueError):
        return str(error)
    if isinstance(error, OSError) and error.strerror is None:
        return str(error)  # of a library, in its own words
    if isinstance(error, OSError):
        return f"{error.filename or _without_place()}: {error.strerror}"
    return _without_platform() if isinstance(error, Exception) else None


def _without_place() -> str:
    try:
        os.getcwd()
    except OSError:
        return "the present folder"
    return "a file"


def _without_platform() -> str | None:
    """Say that JAX does not begin on the platform that the user's variable names; None if it does."""
    named = os.environ.get("JAX_PLATFORMS")
    if not named or "jax" not in sys.modules:
        return None
    try:
        sys.modules["jax"].devices()
    except Exception:
        return f"JAX_PLATFORMS={named}: JAX cannot begin there; unset it, or install what JAX needs for it"
    return None


def _run() -> None:
    """Import the commands, which takes a second, and run the one that is asked for."""
    for argument in sys.argv[1:]:
        # Else the present folder would be searched, or written to.
        name, sign, value = argument.partition("=")
        if not argument or (name.startswith("--") and sign and not value):
            raise ValueError(f"{argument!r} is empty; did a variable of the shell hold nothing?")
    # Decoders' remarks on odd files would come in lines of code beside our sentences.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # So would OpenCV's own, of a camera that is not there or of a damaged TIFF.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    from jaxclnf.commands.app import app

    for stream in (sys.stdout, sys.stderr):  # file names may hold bytes that are not text
        stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    app()
