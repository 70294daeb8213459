"""Machines of a Ray cluster as processes of this one, and what processes take of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

RAY = (sys.executable, "-c", "from ray.scripts.scripts import main; main()")
OBJECT_STORE = 200 * 2**20  # bytes
OPEN = os.environ | {"RAY_AUTH_MODE": "disabled"}
"""The environment of all that belongs to the cluster, which nobody else can reach."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Machines:
    """Machines started by ``ray start``, each a tree of processes. Use as a context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
        self.address = f"127.0.0.1:{_free_port()}"
        self.roots: list[subprocess.Popen] = []

    def __enter__(self) -> Machines:
        return self

    def __exit__(self, *_: object) -> None:
        for root in self.roots[::-1]:
            self.lose(root)
        self._folder.cleanup()

    def start(self, cpus: int) -> subprocess.Popen:
        """Another machine; the first one holds the cluster together."""
        port = self.address.rpartition(":")[2]
        role = [f"--address={self.address}"]
        if not self.roots:
            role = [
                "--head",
                f"--port={port}",
                "--include-dashboard=false",
                f"--temp-dir={self._folder.name}",
            ]
        options = [f"--num-cpus={cpus}", f"--object-store-memory={OBJECT_STORE}", "--disable-usage-stats"]
        command = [*RAY, "start", "--block", *role, *options]
        root = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=OPEN)
        self.roots.append(root)
        return root

    def wait(self, n: int) -> None:
        """Until so many machines have joined."""
        until = time.monotonic() + 120
        while time.monotonic() < until:
            done = subprocess.run(
                [*RAY, "status", f"--address={self.address}"], capture_output=True, text=True, env=OPEN
            )
            if done.stdout.count("node_") >= n:
                return
            time.sleep(1)
        raise TimeoutError(f"{n} machines have not joined in two minutes")

    def lose(self, root: subprocess.Popen) -> None:
        """End a machine without a word."""
        for pid in [root.pid, *descendants(root.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        root.wait()
        if root in self.roots:
            self.roots.remove(root)


def descendants(root: int) -> list[int]:
    """The processes below one, by /proc."""
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children[int(fields[1])].append(int(stat.parent.name))
    found, waiting = [], [root]
    while waiting:
        below = children[waiting.pop()]
        found += below
        waiting += below
    return found


class Use:
    """What trees of processes have taken so far: processor seconds, and memory now."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}
        self.memory: dict[int, int] = {}  # bytes, by process
        self.names: dict[int, str] = {}

    @property
    def seconds(self) -> float:
        """Processor seconds of all processes seen."""
        return sum(self._seconds.values())

    def look(self, roots: list[int]) -> None:
        self.memory.clear()
        for pid in (pid for root in roots for pid in [root, *descendants(root)]):
            try:
                stat = Path(f"/proc/{pid}/stat").read_text()
            except OSError:
                continue
            name, _, rest = stat.partition("(")[2].rpartition(")")
            fields = rest.split()
            self._seconds[pid] = (int(fields[11]) + int(fields[12])) / _TICKS
            self.memory[pid] = int(fields[21]) * _PAGE
            self.names[pid] = name


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
