"""Every stage of a fit against numbers that ship, in both precisions, also without OpenFace's goldens."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_golden import STAGES, digest, read_golden

from jaxclnf.config import FitConfig
from jaxclnf.fitting.fit import fit
from jaxclnf.models.storage import load_model

TOLERANCE = {
    "start/scale": 1e-6,
    "start/translation": 1e-4,
    "seen": 2e-3,  # pixels; a network's float32 sums
    "covariance": 1e-2,  # pixels squared
    "near/scale": 1e-5,
    "near/rotation": 1e-4,
    "near/translation": 1e-3,
    "near/shape": 1e-2,  # model units
    "maps": 1e-4,  # probabilities
    "shifts": 1e-3,
    "moved/scale": 1e-5,
    "moved/rotation": 1e-4,
    "moved/translation": 1e-3,
    "moved/shape": 1e-2,
    "landmarks": 1e-3,
}
"""Of float32, where sums run in other orders; float64 is held to a millionth of these."""


@pytest.fixture
def found(dtype):
    """All stages' arrays, and the golden that they are compared with."""
    golden = read_golden()
    model, settings = load_model(), json.loads(str(golden.pop("settings")))
    assert digest(model) == str(golden.pop("model")), "another model ships: python tests/small_golden.py"
    given = {k: v if k == "image" else jnp.asarray(v, dtype) for k, v in golden.items()}
    model, config = model.astype(dtype), FitConfig.from_description(settings)
    config = jax.tree.map(lambda a: jnp.asarray(a, dtype), config)

    @jax.jit
    def stages(model, config, given):
        return {k: v for stage in STAGES for k, v in stage(model, config, given).items()}

    return stages(model, config, given), golden


@pytest.mark.releases
def test_every_stage_of_a_fit_gives_the_golden_s_numbers(found, dtype):
    arrays, golden = found
    assert set(arrays) == set(golden) - {"image", "box"}
    share = 1 if dtype == np.float32 else 1e-6
    for name, array in arrays.items():
        tolerance = share * TOLERANCE.get(name, 1e-6)
        np.testing.assert_allclose(array, golden[name], rtol=0, atol=tolerance, err_msg=name)


def test_a_whole_fit_ends_where_the_golden_s_did():
    golden = read_golden()
    config = FitConfig.from_description(json.loads(str(golden["settings"])))
    result = fit(load_model(), golden["image"], golden["box"].astype(np.float32), config)
    np.testing.assert_allclose(result.landmarks, golden["landmarks"], atol=5e-3)
