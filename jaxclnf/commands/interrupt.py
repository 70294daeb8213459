"""Ctrl-C: one sentence, at once, and exit status 130, whatever the program is doing.

Python handles Ctrl-C when its main thread is next in Python code, which may be many seconds away (XLA
compiles) or never (an import that swallows every exception). So another thread listens as well: it prints the
sentence at once, gives the main thread a moment to leave things in order, and then ends the process.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from jaxclnf.whole_files import remove_under_way

STATUS = 130
GRACE = 2.0
"""Seconds the main thread has to close its files after Ctrl-C; a second Ctrl-C ends them."""


class Interrupted(BaseException):
    """Raised after Ctrl-C, when the sentence has been printed."""


class _Course:
    """The state that the listening thread needs."""

    sentence = "stopped"
    in_order = True  # nothing has to be closed: the process may end at once
    pressed = said = False
    grace = GRACE
    saying = threading.Lock()


def on_interrupt(sentence: str, grace: float = GRACE) -> None:
    """Have Ctrl-C print this from now on and raise `Interrupted`, with ``grace`` seconds left to tidy up."""
    _Course.sentence, _Course.in_order, _Course.grace = sentence, False, grace


@contextmanager
def listening() -> Iterator[None]:
    """Listen for Ctrl-C within a context; it has no effect in threads other than the main one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Course.sentence, _Course.in_order, _Course.grace = "stopped", True, GRACE
    _Course.pressed = _Course.said = False
    woken, wake = socket.socketpair()  # no pipe: Windows waits for sockets alone
    wake.setblocking(False)
    before = signal.signal(signal.SIGINT, _raise)
    old_wake = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(woken,), daemon=True)
    listener.start()
    old_hook, sys.unraisablehook = sys.unraisablehook, _unless_interrupted(sys.unraisablehook)
    try:
        yield
    finally:
        sys.unraisablehook = old_hook
        signal.set_wakeup_fd(old_wake)
        signal.signal(signal.SIGINT, before)
        wake.close()  # the listener ends
        listener.join()
        woken.close()


def pressed() -> bool:
    """Tell whether Ctrl-C was pressed, whatever became of `Interrupted` since."""
    return _Course.pressed


def ignored_outside() -> None:
    """Ignore Ctrl-C before the program begins and after its work is done, when nothing listens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def leave() -> None:
    """End the process now, with no file half written, not waiting for threads that may compute for long."""
    _say()
    remove_under_way()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(STATUS)


def _unless_interrupted(hook: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Keep quiet about an `Interrupted` that Python drops, as in finalisers; the listener ends the run."""

    def heard(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, Interrupted):
            hook(unraisable)

    return heard


def _raise(*_: object) -> None:
    _Course.pressed = True
    raise Interrupted


def _listen(woken: socket.socket) -> None:
    until: float | None = None
    while True:
        signals = _received(woken, until)
        if signals is None:
            leave()
        if not signals:
            return
        for _ in range(signals.count(signal.SIGINT)):
            if until is not None or _Course.in_order:
                leave()
            _say()
            until = time.monotonic() + _Course.grace


def _received(woken: socket.socket, until: float | None) -> bytes | None:
    """Wait for signals until a moment; None if none came, empty if nobody listens any longer."""
    left = None if until is None else until - time.monotonic()
    if left is not None and left <= 0:
        return None
    woken.settimeout(left)
    with suppress(TimeoutError):
        return woken.recv(64)
    return None


def _say() -> None:
    # Whoever comes second waits: a process that ended before the sentence is written would keep it to itself.
    with _Course.saying:
        if not _Course.said:
            with suppress(OSError):  # nobody reads it, or its disk is full
                os.write(2, f"jaxclnf: {_Course.sentence}\n".encode(errors="backslashreplace"))
            _Course.said = True
