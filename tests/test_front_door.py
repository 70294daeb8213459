"""What `import jaxclnf` gives, and that it fits arrays with jax, jaxlib, numpy and jaxtyping alone."""

from __future__ import annotations

import subprocess
import sys

import jaxclnf

BARE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
import numpy as np
import jaxclnf
image = np.random.default_rng(0).uniform(0, 255, (160, 160)).astype(np.float32)
config = jaxclnf.FitConfig().changed(windows=(7,), start_rotations=np.zeros((1, 3), np.float32))
result = jaxclnf.fit(jaxclnf.load_model(), image, np.array([30, 30, 100, 100], np.float32), config)
print(result.landmarks.shape)
"""
OTHERS = ("threadpoolctl", "cv2", "dlib", "PIL", "matplotlib", "typer", "rich", "polars", "jinja2", "av")
OTHERS += ("platformdirs", "requests", "scipy", "optax")


def test_arrays_are_fitted_without_the_other_packages() -> None:
    code = BARE.replace("{blocked}", repr(OTHERS))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(68, 2)"


def test_every_public_name_is_there() -> None:
    assert [name for name in jaxclnf.__all__ if not hasattr(jaxclnf, name)] == []
    assert callable(jaxclnf.fit) and jaxclnf.__version__.count(".") == 2
