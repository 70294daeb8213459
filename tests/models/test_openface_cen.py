"""OpenFace 2's files of convolutional experts: read, and their response maps equal to its program's."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import as_params, openface_model
from openface_files import write_cen_model
from shared_data import golden, shared

from jaxclnf.fitting.map_frames import map_frame
from jaxclnf.fitting.responses import image_responses
from jaxclnf.models.openface import convert_openface
from jaxclnf.models.openface.cen_files import read_cen_experts

FOLDER = ("golden", "cen_synth", "patch_experts")
FILES = tuple(f"cen_patches_{scale}_of.dat" for scale in ("0.25", "0.35", "0.50", "1.00"))


def test_response_maps_of_every_view() -> None:
    """On sample 1, at the coarsest scale, with the views' own and mirrored experts."""
    experts = jax.tree.map(jnp.asarray, read_cen_experts([shared(*FOLDER, FILES[0])], 68)[0])
    pdm = openface_model(np.float32).pdm
    image = jnp.asarray(golden("images_gray")["sample1"])[None]
    for view in (0, 4, 6):
        arrays = golden("cen_golden", f"responses/scale0_view{view}/")
        params = as_params(arrays["params_global"], arrays["params_local"].ravel(), np.float32)
        face = map_frame(pdm, experts, params)
        assert face.view == view
        faces = jax.tree.map(lambda a: a[None, None], face)
        found = image_responses(experts, image, faces, 11, True)[0, 0]
        off = np.abs(np.asarray(found) - arrays["responses"])
        assert np.quantile(off, 0.99) < 2e-4
        np.testing.assert_array_equal(face.visible, arrays["visibility"] != 0)


@pytest.mark.parametrize("keep", [0, 5, 12, 200, 3_000, 100_000, 460_879])
def test_a_file_that_breaks_off_is_refused_in_a_sentence(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "cen.dat"
    path.write_bytes(shared(*FOLDER, FILES[0]).read_bytes()[:keep])
    with pytest.raises(ValueError, match="cen.dat"):
        read_cen_experts([path], 68)


def test_weights_are_copied_once(tmp_path: Path) -> None:
    main = write_cen_model(tmp_path, 68, ((60, 20),) * 2)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    tracemalloc.start()
    model = convert_openface(main)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(model.experts) == 2
    assert size < peak + 2**20 < 1.2 * size + 2**21


LOAD_AND_FIT = """
import resource, sys, time
import numpy as np
import jaxclnf
start = time.perf_counter()
model = jaxclnf.convert_openface(sys.argv[1])
print(f"loaded in {time.perf_counter() - start:.2f} s", end=", ")
print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB", end=", ")
image = np.random.default_rng(0).integers(0, 255, (300, 300), np.uint8)
result = jaxclnf.fit(model, image, np.array([50, 50, 200, 200], np.float32))
print(f"status {int(result.status)}, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB")
"""


@pytest.mark.skipif("JAXCLNF_LARGE_FILES" not in os.environ, reason="needs JAXCLNF_LARGE_FILES=1: 430 MB")
def test_files_of_openfaces_size(tmp_path: Path) -> None:
    """Random weights in files of 60 and 154 MB load in 5 seconds and 1 GB, and fit; prints the figures."""
    pdm = shared("openface", "model", "pdms", "In-the-wild_aligned_PDM_68.txt").read_text()
    main = write_cen_model(tmp_path, 68, ((500, 180),) * 2 + ((1000, 260),) * 2)
    (tmp_path / "pdm.txt").write_text(pdm)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    done = subprocess.run([sys.executable, "-c", LOAD_AND_FIT, main], capture_output=True, text=True)
    print(f"{size / 1e6:.0f} MB {done.stdout}")
    assert done.returncode == 0, done.stderr
    seconds, gigabytes = (float(part.split()[-2]) for part in done.stdout.split(", ")[:2])
    assert size > 4e8
    assert seconds < 5
    assert gigabytes < 1
    assert "status 0" in done.stdout or "status 1" in done.stdout
