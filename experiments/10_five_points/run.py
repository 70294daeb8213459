"""A model of one's own markup: five points made of the 68, learned and fitted; see README.md."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

FACES = Path(__file__).resolve().parents[3] / "shared" / "faces"
EYES = ["+".join(map(str, range(first, first + 6))) for first in (36, 42)]
GROUPS = ",".join([*EYES, "30,48,54"])
"""The middles of the eyes, the tip of the nose, the corners of the mouth."""
SMALL = ("neurons=12", "steps=300,100", "batch=16")


def main() -> None:
    if not FACES.exists():
        sys.exit("needs ../shared (annotated faces)")
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "five-points.npz")
        settings = [part for setting in SMALL for part in ("--set", setting)]
        data = [FACES / "lfpw_train", FACES / "helen_train"]
        _jaxclnf("train", *data, "--landmarks", GROUPS, "--out", model, *settings)
        _jaxclnf("eval", FACES / "lfpw_test", "--landmarks", GROUPS, "--model", model, "--out", folder)


def _jaxclnf(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "jaxclnf", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
