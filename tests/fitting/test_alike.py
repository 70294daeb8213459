"""Calls that ask for the same computation share a program, whatever the model is called."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import synthetic_config, synthetic_model

from jaxclnf.cache import Kept, cache_folder
from jaxclnf.fitting.alike import alike
from jaxclnf.types import Calibration, Model, Provenance

traces: list[int] = []
IMAGE, BOX = np.zeros((40, 50), np.uint8), np.array([10, 10, 20, 20], np.float32)


@pytest.fixture
def model() -> Model:
    return replace(synthetic_model(np.float32), settings=synthetic_config())


@pytest.fixture(params=["kept", "off"])
def kept(request: pytest.FixtureRequest, tmp_path, monkeypatch) -> Kept:
    monkeypatch.setenv(cache_folder.VARIABLE, "off" if request.param == "off" else str(tmp_path / "cache"))
    traces.clear()

    def computed(model: Model, image: Any, box: Any, config: Any = None):
        """Compute something of the model, its settings, the image and the box."""
        traces.append(1)
        return model.pdm.mean.sum() + config.tolerance + box.sum() + image.astype(box.dtype).sum()

    return Kept(computed, alike=alike)


def test_names_settings_and_lists_share_a_program(kept: Kept, model: Model) -> None:
    named = replace(model, provenance=Provenance("fold-1", learned=frozenset({b"a"})))
    other = replace(named, settings=replace(model.settings, stages=model.settings.stages[:1]))
    slopes = Calibration(jnp.zeros((2, 3)), jnp.zeros(2))
    expected = kept(model, IMAGE, BOX)
    same = (
        (named, IMAGE, BOX, model.settings),
        (other, IMAGE, BOX, model.settings),
        (replace(model, calibration=slopes), IMAGE, BOX, None),
        (model, IMAGE, BOX.tolist()),
        (model, IMAGE, BOX.astype(int)),
        (model, IMAGE, [np.float64(number) for number in BOX]),
    )
    for arguments in same:
        assert kept(*arguments) == expected
    assert kept(box=BOX, image=IMAGE, model=named) == expected
    assert len(traces) == 1
    moved = replace(model, pdm=replace(model.pdm, mean=model.pdm.mean + 1))
    assert kept(moved, IMAGE, BOX) == expected + model.pdm.mean.size
    tolerant = replace(model, settings=replace(model.settings, tolerance=np.float32(0.5)))
    assert kept(tolerant, IMAGE, BOX) != expected
    assert len(traces) == 1
    kept(model, IMAGE.astype(np.float32), BOX)
    assert len(traces) == 2


def test_derivatives_reach_the_settings_of_the_model(kept: Kept, model: Model) -> None:
    slope = jax.grad(
        lambda t: kept(replace(model, settings=replace(model.settings, tolerance=t)), IMAGE, BOX)
    )
    assert slope(jnp.float32(0.1)) == 1
    many = jax.vmap(kept, (None, None, 0))(model, IMAGE, np.stack([BOX, BOX]))
    assert many.shape == (2,) and many[0] == kept(model, IMAGE, BOX)


def test_what_is_known_of_a_model_goes_with_it(kept: Kept, model: Model) -> None:
    given = replace(model)
    kept(given, IMAGE, BOX)
    used = weakref.ref(alike(given, IMAGE, BOX)[0])
    assert used() is alike(given, IMAGE, BOX)[0]
    del given
    gc.collect()
    assert used() is None


def test_lists_of_images_are_stacked_and_others_stay() -> None:
    model = synthetic_model(np.float32)
    _, images, boxes, _ = alike(model, [IMAGE, IMAGE], [BOX, BOX])
    assert images.shape == (2, 40, 50) and boxes.shape == (2, 4)
    for unlike in ([IMAGE, IMAGE[1:]], [IMAGE, IMAGE.astype(np.float32)], [], [IMAGE.tolist()]):
        assert alike(model, unlike, BOX)[1] is unlike
    for unlike in ([BOX, BOX[1:]], ["x", 1, 2, 3], "box", [jnp.ones(4)], BOX.astype(complex)):
        assert alike(model, IMAGE, unlike)[2] is unlike
