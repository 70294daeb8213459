"""Commands that are run and watched: how they end, what they say, and what they take of the machine."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple

from machines import OPEN, Machines, Use

LOOK_EVERY = 0.5  # seconds

During = Callable[[int, Use], bool]
"""What is called while a command runs, with its process's number and what is taken; until it returns True."""


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    said: str
    seconds: float
    use: Use


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "jaxclnf", *map(str, arguments)]


def watched(
    arguments: list[object],
    machines: Machines | None = None,
    during: During = lambda pid, use: True,
    look_every: float = LOOK_EVERY,
) -> Ended:
    """Run a command to its end, and look at it and at the cluster's machines now and then."""
    use, begun, over = Use(pids(machines)), time.monotonic(), False
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command(*arguments), stdout=said, stderr=said, env=OPEN)
        while process.poll() is None:
            use.look([process.pid, *pids(machines)])
            over = over or during(process.pid, use)
            time.sleep(look_every)
        said.seek(0)
        return Ended(process.returncode, said.read(), time.monotonic() - begun, use)


def pids(machines: Machines | None) -> list[int]:
    """The processes from which a cluster's others come."""
    return [root.pid for root in machines.roots] if machines else []
