"""Fits faces in a separate process and prints the time and memory that it took.

    python -m jaxclnf.bench.fit_process FOLDER SETTINGS N

``FOLDER`` holds model.npz and faces.npz as `jaxclnf.bench.startup` writes them. Prints JSON.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import jax
import numpy as np

from jaxclnf.bench.cases import timed_configs
from jaxclnf.fitting.fit import fit, fit_batch
from jaxclnf.models.storage import load_model


def main(folder: Path, name: str, n: int) -> None:
    imported = time.process_time()
    model = load_model(folder / "model.npz")
    loaded = time.process_time()
    with np.load(folder / "faces.npz") as faces:
        images, boxes = faces["images"], faces["boxes"]
    some = np.arange(n) % len(images)
    images, boxes, config = images[some], boxes[some], timed_configs(model)[name]
    result = fit(model, images[0], boxes[0], config) if n == 1 else fit_batch(model, images, boxes, config)
    jax.block_until_ready(result.landmarks)
    cpu_s = {"import": imported, "load": loaded - imported, "fit": time.process_time() - loaded}
    print(json.dumps({"cpu_s": cpu_s, "peak_bytes": peak_bytes(), "settings": name}))


def peak_bytes() -> int | None:
    """Read the peak memory of this process; None on systems other than Linux, which do not tell it."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return 1024 * int(found[1]) if found else None


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
