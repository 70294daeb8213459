"""Whole runs of the command line: their time, and their memory over their course."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from jaxclnf.bench.child_processes import TOOL, children_timed, last_words


@dataclass
class WholeRun:
    """A whole process: its inputs, its seconds, and its megabytes of memory every tenth of a second."""

    name: str
    unit: str
    n: int
    wall_s: float
    cpu_s: float
    memory_mb: list[float]
    start_s: float = 0.0

    @property
    def rate(self) -> float:
        """Photos or frames a second, without the start where it is known."""
        return self.n / (self.wall_s - self.start_s)

    def growth_mb(self) -> float:
        """Compute the growth of memory from the run's first half to its last tenth."""
        n = len(self.memory_mb)
        return max(self.memory_mb[-(n // 10) :]) - max(self.memory_mb[n // 3 : n // 2]) if n >= 10 else 0.0


def run_tool(name: str, unit: str, n: int, arguments: list[str], start_s: float = 0.0) -> WholeRun:
    """Run the command line, which is known to take so long to start; raises ValueError if it fails."""
    memory: list[float] = []
    with children_timed() as cost, _begun(arguments) as process:
        while process.poll() is None:
            memory.append(_memory_mb(process.pid))
            time.sleep(0.1)
        said = process.stderr.read() if process.stderr else ""
    if process.returncode:
        raise ValueError(f"a run of the command line failed: {last_words(said)}")
    return WholeRun(name, unit, n, cost.wall_s, cost.cpu_s, [mb for mb in memory if mb], start_s)


def _begun(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen([*TOOL, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _memory_mb(pid: int) -> float:
    """Read the memory of a process in megabytes; 0 on systems other than Linux, which do not tell it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0
