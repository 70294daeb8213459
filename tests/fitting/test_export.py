"""Programs for platforms that this machine may not have: what is lowered asks for no device."""

from __future__ import annotations

import os
import re

import jax
import numpy as np
import pytest
from engine import box_of, synthetic_config, synthetic_face, synthetic_model
from jax import export

from jaxclnf import FaceParams, FitConfig, fit_batch, fit_from, native
from jaxclnf.fitting.fit import fit

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
NATIVE = {native.RESPONSE_MAPS, native.SOLVE}
BY_HAND = os.environ.get("JAXCLNF_NATIVE") == "0"
MODEL = synthetic_model(np.float32)


def shapes(n: int):
    return jax.ShapeDtypeStruct((n, 160, 200), np.uint8), jax.ShapeDtypeStruct((n, 4), np.float32)


def calls(text: str) -> set[str]:
    """What a program calls outside itself."""
    return set(re.findall(r"custom_call @(\w+)", text))


def fitted(images, boxes):
    result = fit_batch(MODEL, images, boxes, synthetic_config(between_views=(1,)))
    return result.landmarks, result.status


@pytest.mark.parametrize("n", [1, 9])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_fits_are_exported_for_every_platform(platform: str, n: int) -> None:
    exported = export.export(
        jax.jit(fitted),
        platforms=[platform],
        disabled_checks=native.export_checks() if platform == "cpu" else (),
    )(*shapes(n))
    assert exported.platforms == (platform,)
    assert [a.shape for a in exported.out_avals] == [(n, 12, 2), (n,)]
    on_cpu = platform == "cpu" and not BY_HAND
    assert (calls(exported.mlir_module()) & NATIVE == NATIVE) == on_cpu


@pytest.mark.parametrize("platform", PLATFORMS)
def test_fits_are_lowered_for_every_platform(platform: str) -> None:
    """The whole calls, with the model and its settings as arguments."""
    images, boxes = shapes(9)
    image, box = jax.ShapeDtypeStruct(images.shape[1:], images.dtype), jax.ShapeDtypeStruct((4,), np.float32)
    _, params = synthetic_face(1, np.float32)
    params = FaceParams(params.scale, params.rotation, params.translation, params.shape)
    for function, arguments in (
        (fit_batch, (MODEL, images, boxes, synthetic_config())),
        (fit, (MODEL, image, box, synthetic_config())),
        (fit_from, (MODEL, image, params, FitConfig.openface().tracking())),
    ):
        lowered = function.trace(*arguments).lower(lowering_platforms=(platform,)).as_text()
        assert calls(lowered).isdisjoint(NATIVE) == (platform != "cpu" or BY_HAND)


@pytest.mark.releases
def test_a_stored_program_for_several_platforms_fits_as_the_function_does() -> None:
    pairs = [synthetic_face(seed, np.float32) for seed in range(3)]
    images = np.stack([image for image, _ in pairs]).astype(np.uint8)
    boxes = np.stack([box_of(MODEL, params) for _, params in pairs]).astype(np.float32)
    program = export.export(
        jax.jit(fitted), platforms=["cpu", "cuda", "tpu"], disabled_checks=native.export_checks()
    )(*shapes(3))
    again = export.deserialize(program.serialize())
    for found, expected in zip(again.call(images, boxes), fitted(images, boxes), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-3)
