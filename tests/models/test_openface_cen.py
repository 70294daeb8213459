"""OpenFace 2's files of convolutional experts: read, and their response maps equal to its program's."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import as_params, openface_model
from shared_data import golden, shared

from jaxclnf.fitting.responses import frame, image_responses
from jaxclnf.models.openface.cen import read_cen_experts

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
        face = frame(pdm, experts, params)
        assert face.view == view
        faces = jax.tree.map(lambda a: a[None, None], face)
        found = image_responses(experts, image, faces, 11, True)[0, 0]
        off = np.abs(np.asarray(found) - arrays["responses"])
        assert np.quantile(off, 0.99) < 2e-3
        np.testing.assert_array_equal(face.visible, arrays["visibility"] != 0)


@pytest.mark.parametrize("keep", [0, 5, 12, 200, 3_000, 100_000, 460_879])
def test_a_file_that_breaks_off_is_refused_in_a_sentence(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "cen.dat"
    path.write_bytes(shared(*FOLDER, FILES[0]).read_bytes()[:keep])
    with pytest.raises(ValueError, match="cen.dat"):
        read_cen_experts([path], 68)
