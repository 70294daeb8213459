"""Downloads from a server, in which each attempt goes on where the one before broke off.

Downloads use requests alone: pooch cannot continue one that broke off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Thread
from typing import Any

from jaxclnf.models.fetch import open_part, size_on_disk
from jaxclnf.models.manifest import Fetch, Progress, RemoteFile

_ATTEMPTS = 3  # each goes on where the one before broke off
_CHUNK = 2**14  # bytes, which must come within twice the timeout; fewer are lost when a download breaks off
_MOST_OF_UNKNOWN = 2**16  # bytes of a file whose size is not known
_AHEAD = 64  # chunks that may wait to be written


def from_server(base_url: str, timeout: float = 30) -> Fetch:
    """Download files.

    A server that is silent for ``timeout`` seconds, or takes twice as long to begin or to send 16 kB, is
    tried again, a few times.
    """

    def fetch(file: RemoteFile, path: Path, progress: Progress) -> None:
        url = file.url or f"{base_url.rstrip('/')}/{file.path}"
        if file.size is None or size_on_disk(path) > file.size:
            path.unlink(missing_ok=True)
        progress(size_on_disk(path))
        problem = None
        for _ in range(_ATTEMPTS):
            problem = _download(url, path, file.size, timeout, progress)
            if problem is None:
                return
        raise ValueError(f"{url}: {problem}; run the command again to go on from there")

    return fetch


class _Again(Exception):
    """A failure after which another attempt may help."""


def _download(url: str, path: Path, size: int | None, timeout: float, progress: Progress) -> str | None:
    """Download the missing rest of a file; returns why it failed if another attempt may help."""
    had, most = size_on_disk(path), _MOST_OF_UNKNOWN if size is None else size
    if had == size:
        return None
    pieces = _in_time(_answer(url, had, timeout), timeout)
    try:
        start = next(pieces)
        progress(start - had)
        had = start
        with open_part(path, "ab" if had else "wb") as file:
            for piece in pieces:
                had += len(piece)
                if had > most:
                    raise ValueError(f"{url}: sends more than the expected {most} bytes")
                file.write(piece)
                progress(len(piece) if size else 0)
    except _Again as error:
        return str(error)
    return None if size in (None, had) else f"ended after {had} of {size} bytes"


def headers_of(url: str, timeout: float) -> Mapping[str, str]:
    """Ask what a server says of a file; raises ValueError where it does not answer, or takes too long."""
    try:
        return next(_in_time(_headers(url, timeout), timeout))
    except _Again as error:
        raise ValueError(f"{url}: {error}") from None


def received(url: str, timeout: float) -> Iterator[bytes]:
    """Yield the bytes of a file, as they come; raises ValueError where they do not, or take too long."""
    pieces = _in_time(_answer(url, 0, timeout), timeout)
    try:
        next(pieces)
        yield from pieces
    except _Again as error:
        raise ValueError(f"{url}: {error}") from None


def _in_time(pieces: Iterator, timeout: float) -> Iterator:
    """Yield what a server sends, no piece of which may take twice the ``timeout``; raises `_Again`.

    Another thread waits for them, since a server that sends a byte now and then lets no read time out.
    """
    queue: Queue = Queue(_AHEAD)
    Thread(target=_receive, args=(pieces, timeout, queue), daemon=True).start()
    while True:
        try:
            piece = queue.get(timeout=2 * timeout)
        except Empty:
            raise _Again(f"the server sent less than {_CHUNK} bytes in {2 * timeout:g} s") from None
        if piece is None:
            return
        if isinstance(piece, Exception):
            raise piece
        yield piece


def _receive(pieces: Iterator, timeout: float, queue: Queue) -> None:
    """Put pieces into a queue, then None or an error; ends when nobody listens."""
    end: Exception | None = None
    try:
        for piece in pieces:
            queue.put(piece, timeout=timeout)
    except Full:
        return
    except Exception as error:  # it is raised where it can be handled
        end = error
    with suppress(Full):
        queue.put(end, timeout=timeout)


def _answer(url: str, had: int, timeout: float) -> Iterator[int | bytes]:
    """Yield the place in the file at which a server's answer begins, then its bytes."""
    with _asked(url, timeout, had) as answer:
        yield had if answer.status_code == 206 else 0
        yield from answer.iter_content(_CHUNK)


def _headers(url: str, timeout: float) -> Iterator[Mapping[str, str]]:
    with _asked(url, timeout) as answer:
        yield answer.headers


@contextmanager
def _asked(url: str, timeout: float, had: int = 0) -> Iterator[Any]:
    """Ask for a file, or its rest; raises ValueError, or `_Again` where another attempt may help."""
    import requests
    from requests import exceptions

    # Without identity the server might count the range in compressed bytes.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={had}-"} if had else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
            said = f"the server answers {answer.status_code} {answer.reason}"
            if answer.status_code >= 500:
                raise _Again(said)
            if answer.status_code not in (200, 206):
                raise ValueError(f"{url}: {said}")
            yield answer
    except (exceptions.MissingSchema, exceptions.InvalidSchema, exceptions.InvalidURL):
        raise ValueError(
            f"{url}: not an address of a file, expected one such as https://server/path"
        ) from None
    except requests.RequestException as error:
        reason = f"no connection, or it broke off or was silent for {timeout:g} s ({type(error).__name__})"
        raise _Again(reason) from None
