"""Batches over several devices; the test's process sees one, so another one is made that sees eight."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
from engine import quick_config, synthetic_model

from jaxclnf import fit_batch, fit_on_cores


def test_eight_devices_find_what_one_does() -> None:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])  # where the tests' own models are made
    script = Path(__file__).with_name("on_eight_devices.py")
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["devices"] == 8
    assert told["shards"] == [2] * 8
    assert told["sharded"] < 1e-3 and told["streamed"] < 1e-3
    assert told["status"] == [0] * 11
    assert "multiple of 8 devices" in told["error"]
    assert told["explicit"] < 1e-3 and told["explicit_shards"] == [2] * 8
    what_to_do = "use jaxclnf.fit_sharded, or jax.make_mesh(..., axis_types="
    assert [what_to_do in error for error in told["explicit_errors"]] == [True] * 3, told["explicit_errors"]


def test_parts_of_a_batch_side_by_side_find_what_the_whole_does() -> None:
    """Many at a time: two programs of JAX that call LAPACK at a time can wait for each other for ever."""
    model, config, rng = synthetic_model(np.float32), quick_config(), np.random.default_rng(0)
    images = rng.integers(0, 256, (13, 96, 96)).astype(np.uint8)
    boxes = np.tile(np.array([20, 20, 50, 50], np.float32), (13, 1)) + rng.uniform(-3, 3, (13, 4)).astype(
        np.float32
    )
    whole = jax.device_get(fit_batch(model, images, boxes, config))
    for n_parts in (5, 20):
        parts = fit_on_cores(model, list(images), list(boxes), config, n_parts)
        assert parts.landmarks.shape == whole.landmarks.shape
        np.testing.assert_allclose(parts.landmarks, whole.landmarks, atol=0.02)
        np.testing.assert_array_equal(parts.status, whole.status)
    assert len(fit_on_cores(model, images[:0], boxes[:0], config).landmarks) == 0
