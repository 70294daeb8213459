"""What C computes is what XLA's programs compute, on every set of instructions that this machine has."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import assert_close, synthetic_config, synthetic_face, synthetic_model

from jaxclnf import native
from jaxclnf.fitting.fit import fit_batch
from jaxclnf.fitting.map_frames import MapFrame
from jaxclnf.fitting.responses import _natively, _sampled_blockwise, image_responses
from jaxclnf.ops.gauss_newton import gauss_newton_step
from jaxclnf.ops.shape import shape_2d
from jaxclnf.types import Model, PatchExperts

BY_HAND = os.environ.get("JAXCLNF_NATIVE") == "0"
AVAILABLE = native.available()  # which tells XLA of it
needs_library = pytest.mark.skipif(BY_HAND, reason="JAXCLNF_NATIVE=0 leaves the native library out")


@pytest.mark.releases
def test_installing_has_built_the_library() -> None:
    assert AVAILABLE != BY_HAND


@contextmanager
def set_in_library(name: str, number: int) -> Iterator[None]:
    """Have one of the library's variables, which are there for tests, another value."""
    variable = ctypes.c_int.in_dll(ctypes.CDLL(str(native.LIBRARY)), name)
    before, variable.value = variable.value, number
    try:
        yield
    finally:
        variable.value = before


@pytest.fixture(params=[4, 8, 16])
def lanes(request):
    """Vectors of at most so many floats; where the processor has no longer ones, the longest it has."""
    with set_in_library("jaxclnf_most_lanes", request.param):
        yield request.param


class Sizes(NamedTuple):
    support: int
    window: int
    neurons: int = 3
    smoothed: bool = True

    @property
    def n_terms(self) -> int:
        """Of the sums that lead to a pixel: a window's correlation, the neurons', the smoothing's."""
        return self.support**2 + self.neurons + self.smoothed * self.window**2


SIZES = [
    Sizes(11, 11, 7),
    Sizes(11, 9, 7),
    Sizes(11, 7, 7, smoothed=False),
    Sizes(11, 17, 8),
    Sizes(5, 15, 9, smoothed=False),
    Sizes(3, 3, 1),
    Sizes(7, 1, 2),
    Sizes(2, 5, 17),
    Sizes(1, 6, 4),
]
VIEWS, POINTS, FACES = 3, 4, 21
QUANTILES = (0.5, 0.9, 0.99, 1)
ROUNDING = 2.0**-24
"""The most by which float32 rounds, relative."""


def experts_of(sizes: Sizes, seed: int = 0) -> PatchExperts:
    """Random experts; some neurons count for nothing, one has no weights, some landmarks are out of sight."""
    rng = np.random.default_rng(seed)
    area = sizes.window**2
    weights = rng.normal(size=(VIEWS, POINTS, sizes.neurons, sizes.support, sizes.support))
    alpha = rng.uniform(0.2, 2, weights.shape[:3])
    weights[0, 1, 0], alpha[1, 2, 0], alpha[2, 3] = 0, 1e-5, 0
    matrices = rng.normal(size=(5, area, area)) / sizes.window
    arrays = {
        "patch_scale": np.array(0.25),
        "view_centres": rng.normal(size=(VIEWS, 3)),
        "weights": weights,
        "norm_weights": rng.uniform(-20, 20, alpha.shape),
        "bias": rng.uniform(-8, 8, alpha.shape),
        "alpha": alpha,
        "betas": np.zeros((VIEWS, POINTS, 0)),
        "patch_confidence": np.ones((VIEWS, POINTS)),
    }
    sigma = {sizes.window: jnp.asarray(matrices + matrices.swapaxes(1, 2))} if sizes.smoothed else {}
    visibility = np.ones((VIEWS, POINTS), bool)
    visibility[1, 0] = False
    return PatchExperts(
        **{name: jnp.asarray(array) for name, array in arrays.items()},
        visibility=jnp.asarray(visibility),
        edges={},
        sigma=sigma,
        sigma_index=jnp.asarray(rng.integers(0, 5, (VIEWS, POINTS)), jnp.int32),
    )


def faces_on(height: int, width: int, n: int = FACES, seed: int = 1) -> MapFrame:
    """Faces of all views and sizes, some of them across the border or beyond it."""
    rng = np.random.default_rng(seed)
    angle, size = rng.uniform(-1, 1, n), rng.uniform(0.3, 3, n)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1).reshape(n, 2, 2)
    base = rng.uniform(-0.3, 1.3, (n, POINTS, 2)) * [width, height]
    shapes = (n, 2, 2), (n, POINTS)
    return MapFrame(
        base=jnp.asarray(base),
        ref_from_img=jnp.zeros(shapes[0]),
        img_from_ref=jnp.asarray(turn * size[:, None, None]),
        view=jnp.asarray(rng.integers(0, VIEWS, n), jnp.int32),
        visible=jnp.zeros(shapes[1], bool),
        confidence=jnp.zeros(shapes[1]),
    )


def photos(n: int, height: int, width: int, dtype, seed: int = 2) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(0, 255, (n, height, width))
    return np.round(values).astype(dtype)


def in_float32(tree):
    return jax.tree.map(lambda a: a.astype(jnp.float32) if a.dtype == jnp.float64 else a, tree)


natively = jax.jit(_natively, static_argnums=3)
by_xla = jax.jit(_sampled_blockwise, static_argnums=3)


@cache
def maps_by_xla(sizes: Sizes, height: int, width: int, n_images: int, dtype) -> np.ndarray:
    """Maps of `faces_on` `photos` whose grey levels, which are whole, are float32: the same for all types."""
    with jax.enable_x64(True):
        images = jnp.asarray(photos(n_images, height, width, np.float32))
        experts, faces = experts_of(sizes), faces_on(height, width)
        if dtype == np.float32:
            experts, faces = in_float32((experts, faces))
        return np.asarray(by_xla(experts, images, faces, sizes.window))


@needs_library
@pytest.mark.parametrize("pixels", [np.uint8, np.float32, np.int16])
@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: "-".join(map(str, s)))
def test_maps_are_those_of_xla(sizes: Sizes, pixels, lanes: int) -> None:
    """As near to XLA's in float64 as its own in float32; nearly flat windows leave both few digits.

    In the worst pixel of all it is the order of summation that tells how few. XLA chooses it by the processor
    and its release, C by its vectors' length: either may be lucky. In any order a sum of n terms is within
    n * `ROUNDING` of its absolute terms' sum, so that two may be as far apart there without a mistake.
    """
    exact, single = (maps_by_xla(sizes, 60, 80, 3, dtype) for dtype in (np.float64, np.float32))
    experts, faces = in_float32((experts_of(sizes), faces_on(60, 80)))
    found = np.asarray(natively(experts, jnp.asarray(photos(3, 60, 80, pixels)), faces, sizes.window))
    assert (exact.dtype, single.dtype, found.dtype) == (np.float64, np.float32, np.float32)
    gaps, singles = (np.quantile(np.abs(maps - exact), QUANTILES) / exact.max() for maps in (found, single))
    lucky = np.array([1e-6, 1e-6, 1e-6, sizes.n_terms * ROUNDING])
    assert gaps[0] < 1e-6 and (gaps < 3 * singles + np.maximum(lucky, 1e-6)).all()
    hidden = ~np.asarray(experts.visibility)[np.asarray(faces.view)]
    assert hidden.any() and not found[hidden].any()


@needs_library
@pytest.mark.parametrize("height, width", [(1, 1), (1, 3), (1, 40), (40, 1), (2, 2), (2, 3), (3, 2)])
@pytest.mark.parametrize("pixels", [np.uint8, np.float32])
def test_the_smallest_images(height: int, width: int, pixels, lanes: int) -> None:
    """No look-up leaves an image whose rows, columns or bytes are fewer than what is read at once."""
    sizes = Sizes(5, 5)
    experts, faces = in_float32((experts_of(sizes), faces_on(height, width)))
    images = jnp.asarray(photos(FACES, height, width, pixels))
    found = np.asarray(natively(experts, images, faces, sizes.window))
    expected = maps_by_xla(sizes, height, width, FACES, np.float32)
    # Where a window is flat but for rounding, both give 0 or neither means anything.
    assert np.quantile(np.abs(found - expected), 0.95) < 1e-4 * np.abs(expected).max()


@needs_library
def test_what_is_no_number_stays_where_it_is(lanes: int) -> None:
    sizes = Sizes(5, 7)
    experts, faces = in_float32((experts_of(sizes), faces_on(60, 80)))
    images = photos(FACES, 60, 80, np.float32)
    sound = np.asarray(natively(experts, jnp.asarray(images), faces, sizes.window))
    images[4] = np.nan
    nowhere = faces._replace(base=faces.base.at[6].set(jnp.nan))
    found = np.asarray(natively(experts, jnp.asarray(images), nowhere, sizes.window))
    others = np.delete(np.arange(FACES), [4, 6])
    np.testing.assert_array_equal(found[others], sound[others])
    seen = np.asarray(experts.visibility)[int(faces.view[4])]
    assert np.isnan(found[4][seen]).all()
    # As with XLA, a place that is no number is read as the first pixel's.
    assert np.isfinite(found[6]).all()


@needs_library
def test_maps_are_the_same_whoever_makes_them() -> None:
    """Landmarks are shared among the threads that other calls leave idle."""
    sizes = SIZES[0]
    experts, images = in_float32(experts_of(sizes)), jnp.asarray(photos(1, 60, 70, np.uint8))
    sets = [in_float32(faces_on(60, 70, 1 + 5 * (n % 4), n)) for n in range(8)]

    def maps(faces: MapFrame) -> np.ndarray:
        return np.asarray(natively(experts, images, faces, sizes.window))

    alone = [maps(each) for each in sets]  # too few to be shared
    with set_in_library("jaxclnf_enough_maps", 8), ThreadPoolExecutor(4) as pool:
        for calls in (map, pool.map) * 3:  # one after the other, which leaves threads idle; at the same time
            for found, expected in zip(calls(maps, sets), alone, strict=True):
                np.testing.assert_array_equal(found, expected)


@needs_library
def test_no_faces_have_no_maps() -> None:
    experts, faces = in_float32((experts_of(Sizes(5, 5)), faces_on(9, 9, n=0)))
    assert natively(experts, jnp.zeros((0, 9, 9), jnp.uint8), faces, 5).shape == (0, POINTS, 5, 5)


@pytest.mark.releases
@needs_library
@pytest.mark.parametrize("k", [1, 2, 6, 15, 16, 31, 40, 61])
def test_systems_are_solved(k: int, lanes: int) -> None:
    rng = np.random.default_rng(k)
    factors = rng.normal(size=(2, 5, k, 2 * k))
    hessians, sides = factors @ factors.swapaxes(-1, -2), rng.normal(size=(2, 5, k))
    found = jax.jit(native.solve)(hessians.astype(np.float32), sides.astype(np.float32))
    assert_close(found, np.linalg.solve(hessians, sides[..., None])[..., 0], 1e-4)


@needs_library
@pytest.mark.parametrize("k", [1, 6, 40, 61])
def test_a_system_of_no_numbers_spoils_no_other(k: int, lanes: int) -> None:
    rng = np.random.default_rng(k)
    factors = rng.normal(size=(6, k, 2 * k))
    hessians, sides = (factors @ factors.swapaxes(-1, -2)).astype(np.float32), np.ones((6, k), np.float32)
    sound = np.asarray(jax.jit(native.solve)(hessians, sides))
    hessians[1], sides[3] = np.nan, np.inf
    found = np.asarray(jax.jit(native.solve)(hessians, sides))
    np.testing.assert_array_equal(found[[0, 2, 4, 5]], sound[[0, 2, 4, 5]])


@needs_library
def test_a_batch_of_steps_and_its_derivative() -> None:
    """`gauss_newton_step` takes the native way under vmap alone; a derivative goes through it too."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(9, 10, 30)).astype(np.float32)
    hessians, sides = factors @ factors.swapaxes(-1, -2), rng.normal(size=(9, 10)).astype(np.float32)
    steps = jax.jit(jax.vmap(gauss_newton_step))
    assert native.SOLVE in steps.lower(hessians, sides).as_text()
    one_by_one = np.stack([jax.jit(gauss_newton_step)(*pair) for pair in zip(hessians, sides, strict=True)])
    assert_close(steps(hessians, sides), one_by_one, 1e-5)
    slope = jax.grad(lambda scale: steps(scale * hessians, jnp.asarray(sides)).sum())(jnp.float32(1))
    assert_close(slope, -np.sum(one_by_one), 1e-4)


def test_float64_and_derivatives_are_xlas() -> None:
    """No native call where its precision would not do, nor where it has no derivative."""
    experts, faces = experts_of(Sizes(5, 5)), faces_on(60, 80)
    images = jnp.asarray(photos(FACES, 60, 80, np.float32))
    of_tries = jax.tree.map(lambda a: a[:, None], faces)
    maps = partial(image_responses, window=5)
    assert (native.RESPONSE_MAPS in jax.jit(maps).lower(experts, images, of_tries).as_text()) != BY_HAND

    @jax.jit
    def slope(base):
        return jax.jvp(lambda base: maps(experts, images, of_tries._replace(base=base)).sum(), *[[base]] * 2)

    assert np.isfinite(slope(of_tries.base)[1])
    with jax.enable_x64(True):
        wide = jax.tree.map(
            lambda a: a.astype(jnp.float64) if a.dtype == jnp.float32 else a, (experts, of_tries)
        )
        assert native.RESPONSE_MAPS not in jax.jit(maps).lower(wide[0], images, wide[1]).as_text()


PLACES = (Path(__file__).parents[1], Path(__file__).parent)
"""Where this module and what it imports are found by another process."""


@needs_library
def test_a_fit_without_the_library_is_the_same(tmp_path: Path) -> None:
    saved = tmp_path / "landmarks.npy"
    code = f"import numpy, test_native; numpy.save({str(saved)!r}, test_native.fitted_landmarks())"
    environment = os.environ | {"JAXCLNF_NATIVE": "0", "PYTHONPATH": os.pathsep.join(map(str, PLACES))}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    np.testing.assert_allclose(fitted_landmarks(), np.load(saved), atol=1e-3)


def fitted_landmarks(model: Model | None = None) -> np.ndarray:
    model = model or synthetic_model(np.float32)
    images, params = zip(*(synthetic_face(seed, np.float32) for seed in range(9)), strict=True)
    points = np.stack([shape_2d(model.pdm, face) for face in params])
    boxes = np.concatenate([points.min(1), np.ptp(points, axis=1)], axis=1).astype(np.float32)
    return np.asarray(fit_batch(model, np.stack(images), boxes, synthetic_config()).landmarks)


def refused(change) -> str:
    """What C says of a call that ``change`` has spoilt: it is given, and returns, the arrays by name."""
    sizes = Sizes(5, 5)
    experts, faces = in_float32((experts_of(sizes), faces_on(60, 80)))
    names = "visibility", "weights", "norm_weights", "bias", "alpha", "sigma_index"
    arrays = {"images": photos(FACES, 60, 80, np.uint8)}
    arrays |= {name: np.asarray(getattr(faces, name)) for name in ("base", "img_from_ref", "view")}
    arrays |= {name: np.array(getattr(experts, name)) for name in names}
    arrays["sigma"] = np.asarray(experts.sigma[sizes.window])
    shape = jax.ShapeDtypeStruct((FACES, POINTS, sizes.window, sizes.window), np.float32)
    call = jax.jit(lambda arrays: jax.ffi.ffi_call(native.RESPONSE_MAPS, shape)(*arrays))
    with jax.enable_x64(True), pytest.raises(Exception, match="expected") as raised:
        jax.block_until_ready(call(list((arrays | change(arrays)).values())))
    return str(raised.value)


@needs_library
def test_c_refuses_arrays_of_other_types_sizes_and_indices() -> None:
    assert "alpha" in refused(lambda a: {"alpha": a["alpha"].astype(np.float64)})
    assert "sigma_index" in refused(lambda a: {"sigma_index": a["sigma_index"].astype(np.int64)})
    assert "images" in refused(lambda a: {"images": a["images"].astype(np.int16)})
    assert "bias" in refused(lambda a: {"bias": a["bias"][:, :, :2]})
    assert "base" in refused(lambda a: {"base": a["base"][..., None]})
    assert "sigma" in refused(lambda a: {"sigma": a["sigma"][:, :20, :20]})
    assert "view" in refused(lambda a: {"view": a["view"] + VIEWS})
    assert "sigma_index" in refused(lambda a: {"sigma_index": a["sigma_index"] - 5})
    assert "each image" in refused(lambda a: {"images": a["images"][:2]})


@pytest.mark.parametrize("field, dtype", [("alpha", np.float64), ("sigma_index", np.int64)])
def test_models_of_mixed_types_fit_as_those_of_one(field: str, dtype) -> None:
    """Nothing is taken for what it is not, neither numbers of other lengths nor indices."""
    expected = fitted_landmarks()
    with jax.enable_x64(True):
        model = synthetic_model(np.float32)
        wide = [replace(e, **{field: np.asarray(getattr(e, field), dtype)}) for e in model.experts]
        assert not native.serves(model.experts[0].weights, jnp.asarray(getattr(wide[0], field)))
        np.testing.assert_allclose(fitted_landmarks(replace(model, experts=tuple(wide))), expected, atol=1e-3)


def test_images_too_large_to_count_through_go_to_xla() -> None:
    shapes = (2, 2**24 + 1), (2**16, 2**15), (0, 9), (2**15, 2**15), (2, 2**24)
    assert [native.can_map(shape, (11, 11), 11) for shape in shapes] == [False] * 3 + [True] * 2
