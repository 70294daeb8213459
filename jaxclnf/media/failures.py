"""Sources that a run could not use, each named with a reason."""

from __future__ import annotations

from typing import NamedTuple


class Failure(NamedTuple):
    """A source that a run could not use, and the reason in one sentence."""

    source: str
    reason: str


def failed(source: str, error: BaseException) -> Failure:
    """Make the failure of a source from an unforeseen error, or from one of the system, as of a full disk."""
    if isinstance(error, OSError) and error.strerror:
        return Failure(source, f"{source} could not be worked on: {error.strerror}")
    said = " ".join(str(error).split())[:200]
    return Failure(
        source, f"{source} could not be worked on: {type(error).__name__}{': ' * bool(said)}{said}"
    )


def unusable(source: str, error: ValueError | OSError) -> Failure:
    """Make the failure of a source that cannot be used: of a closed folder, or as the error says."""
    said = f"{source} cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
    return Failure(source, said)
