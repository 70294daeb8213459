"""How long a fresh process takes to import the package and to fit its first face: see README.md."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["JAXCLNF_CACHE_DIR"] = "off"  # no programs that earlier processes kept
start = time.perf_counter()
import jaxclnf  # noqa: E402

fit, FitConfig = jaxclnf.fit, jaxclnf.FitConfig  # names are loaded when they are first asked for
imported = time.perf_counter() - start

import jax  # noqa: E402
import numpy as np  # noqa: E402

MODEL = Path(__file__).resolve().parents[3] / "shared" / "openface" / "model" / "main_clnf_general.txt"


def main() -> None:
    if not MODEL.exists():
        sys.exit("needs ../shared (OpenFace's model)")
    model = jaxclnf.convert_openface(MODEL)
    image = np.random.default_rng(0).uniform(0, 255, (480, 640)).astype(np.float32)
    box = np.array([220, 140, 200, 200], np.float32)
    with tempfile.TemporaryDirectory() as empty:
        jax.config.update("jax_compilation_cache_dir", empty)
        times = [_seconds(model, image, box) for _ in range(2)]
    print(f"import jaxclnf.fit {imported:6.2f} s   (at most 2)")
    print(f"first fit          {times[0]:6.2f} s   (at most 20)")
    print(f"second fit         {times[1]:6.3f} s")


def _seconds(model, image, box) -> float:
    start = time.perf_counter()
    jax.block_until_ready(fit(model, image, box, FitConfig()))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
