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
JOIN_WITHIN = 600  # seconds
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

    def start_two(self) -> None:
        """Two machines of one processor each."""
        for n in (1, 2):
            self.start(1)
            self.wait(n)

    def wait(self, n: int) -> None:
        """Until so many machines have joined."""
        until = time.monotonic() + JOIN_WITHIN
        while time.monotonic() < until:
            done = subprocess.run(
                [*RAY, "status", f"--address={self.address}"], capture_output=True, text=True, env=OPEN
            )
            if done.stdout.count("node_") >= n:
                return
            time.sleep(1)
        raise TimeoutError(f"{n} machines have not joined in {JOIN_WITHIN} s")

    def lose(self, root: subprocess.Popen) -> None:
        """End a machine without a word."""
        for pid in trees([root.pid]):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        root.wait()
        if root in self.roots:
            self.roots.remove(root)


def trees(roots: list[int]) -> list[int]:
    """Processes and all below them, by /proc."""
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children[int(fields[1])].append(int(stat.parent.name))
    found, waiting = [], list(roots)
    while waiting:
        found.append(waiting.pop())
        waiting += children[found[-1]]
    return found


class Use:
    """What trees of processes take from now on: processor seconds, and memory at the last look."""

    def __init__(self, roots: list[int]) -> None:
        self._seconds: dict[int, float] = {}
        self._before: dict[int, float] = {}
        self.memory: dict[int, int] = {}  # bytes, by process
        self.names: dict[int, str] = {}
        self.look(roots)
        self._before = dict(self._seconds)

    @property
    def seconds(self) -> float:
        """Processor seconds of all processes seen, but for what they had taken before."""
        return sum(self.by_process().values())

    def by_process(self) -> dict[int, float]:
        """Processor seconds of each process."""
        return {pid: spent - self._before.get(pid, 0.0) for pid, spent in self._seconds.items()}

    def look(self, roots: list[int]) -> None:
        self.memory.clear()
        for pid in trees(roots):
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
