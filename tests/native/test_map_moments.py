"""What C sees by a network is what XLA sees: every set of instructions, images of all sizes, both ways."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_native import lanes, needs_library  # noqa: F401

from jaxclnf import native
from jaxclnf.fitting.map_moments import _blocks, _layers, _natively, _one_by_one, image_moments
from jaxclnf.training.conv.network_recipe import ConvRecipe
from jaxclnf.training.conv.normalisation import folded
from jaxclnf.training.conv.training_state import begin

N_POINTS = 5
RECIPES = {
    "wide": ConvRecipe(side=64, stem=16, channels=(32, 48, 96), blocks=(1, 0, 2)),
    "narrow": ConvRecipe(side=24, stem=16, channels=(16, 80), blocks=(0, 1)),
}
by_c = jax.jit(_natively, static_argnames=("side", "n_ways"))
by_xla = jax.jit(_one_by_one, static_argnames=("side", "n_ways"))


@cache
def network(name: str):
    """A network of random numbers, drawn by NumPy: JAX would compile a program for every shape."""

    def shapes():
        state = begin(RECIPES[name], N_POINTS)
        return folded(state.kept, state.statistics)

    rng = np.random.default_rng(0)

    def drawn(a) -> np.ndarray:
        deviation = np.sqrt(2 / np.prod(a.shape[:-1])) if len(a.shape) == 4 else 0.1
        return (deviation * rng.normal(size=a.shape)).astype(np.float32)

    net = jax.tree.map(drawn, jax.eval_shape(shapes))
    # So that the maps have peaks, as those of a trained network have.
    return replace(net, head=replace(net.head, kernel=2 * net.head.kernel))


def looks(height: int, width: int, n: int = 6, seed: int = 0):
    """Two images and places on and beside them, at sizes from a fourth of a pixel to twenty."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-10, [width + 10, height + 10], (2, n, 2)).astype(np.float32)
    size, angle = np.exp2(rng.uniform(-2, 4.4, (2, n))), rng.uniform(0, 7, (2, n))
    cos, sin = size * np.cos(angle), size * np.sin(angle)
    ways = np.stack([cos, -sin, sin, cos], -1).reshape(2, n, 2, 2).astype(np.float32)
    return jnp.asarray(centres), jnp.asarray(ways)


def pixels_of(height: int, width: int, dtype) -> np.ndarray:
    coarse = np.random.default_rng(1).integers(0, 256, (2, -(-height // 4), -(-width // 4)))
    return coarse.repeat(4, 1).repeat(4, 2)[:, :height, :width].astype(dtype)


@cache
def moments_by_xla(name: str, height: int, width: int) -> np.ndarray:
    """Of `pixels_of` an image as float32: grey levels are whole, and the same in any type."""
    images = pixels_of(height, width, np.float32)
    return np.asarray(by_xla(network(name), images, *looks(height, width), side=RECIPES[name].side, n_ways=2))


@needs_library
@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("height, width", [(130, 201), (64, 65), (1, 40), (3, 1)])
def test_moments_are_those_of_xla(name: str, dtype, height: int, width: int, lanes: int) -> None:  # noqa: F811
    net, images = network(name), pixels_of(height, width, dtype)
    found = np.asarray(by_c(net, images, *looks(height, width), side=RECIPES[name].side, n_ways=2))
    assert found.dtype == np.float32 and found.shape == (2, 6, 2, N_POINTS, 5)
    scale = np.array([1, 1, *[RECIPES[name].side / 4] * 3])
    np.testing.assert_allclose(found / scale, moments_by_xla(name, height, width) / scale, atol=2e-3)


@needs_library
def test_a_look_at_no_place_spoils_no_other() -> None:
    net, images = network("narrow"), pixels_of(60, 70, np.uint8)
    centres, ways = looks(60, 70)
    sizes = {"side": 24, "n_ways": 1}
    expected = np.array(by_c(net, images, centres, ways, **sizes))
    found = by_c(net, images, centres.at[0, 1, 0].set(jnp.nan), ways.at[1, 2].set(jnp.inf), **sizes)
    expected[0, 1] = expected[1, 2] = np.nan
    np.testing.assert_array_equal(found, expected)


@needs_library
def test_calls_at_the_same_time_see_as_each_alone() -> None:
    """Each is shared among the threads that others leave idle."""
    net, images = network("wide"), pixels_of(60, 70, np.uint8)
    sets = [looks(60, 70, 1 + n % 4, n) for n in range(12)]

    def see(centres, ways) -> np.ndarray:
        return np.asarray(by_c(net, images, centres, ways, side=RECIPES["wide"].side, n_ways=2))

    alone = [see(*each) for each in sets]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(5):
            for found, expected in zip(pool.map(see, *zip(*sets, strict=True)), alone, strict=True):
                np.testing.assert_array_equal(found, expected)


@needs_library
def test_more_axes_are_more_looks() -> None:
    net, images = network("narrow"), jnp.asarray(pixels_of(60, 70, np.uint8))
    centres, ways = looks(60, 70)
    see = partial(image_moments, side=24, n_ways=1)
    expected = np.asarray(see(net, images, centres, ways))
    at_same = jax.vmap(see, (None, None, 0, 0))(
        net, images, jnp.stack([centres, centres + 1]), ways[None].repeat(2, 0)
    )
    np.testing.assert_allclose(at_same[0], expected, atol=1e-4)
    each = jax.vmap(see, (None, 0, 0, 0))(net, images[:, None], centres[:, None], ways[:, None])
    np.testing.assert_allclose(each[:, 0], expected, atol=1e-4)


@needs_library
def test_networks_that_c_has_no_form_for_go_to_xla() -> None:
    net = network("narrow")
    kernels, blocks = [layer.kernel.shape for layer in _layers(net)], _blocks(net)
    assert native.can_see((60, 70), kernels, blocks, 24)
    assert not native.can_see((60, 70), kernels, blocks, 20)
    assert not native.can_see((2, 2**24 + 1), kernels, blocks, 24)
    assert not native.can_see((60, 70), [(6, 6, 1, 12), *kernels[1:]], blocks, 24)
    assert not native.can_see((60, 70), [(5, 5, 1, 16), *kernels[1:]], blocks, 24)
    assert not native.can_see((60, 70), [*kernels[:-1], (1, 1, 16, 4100)], blocks, 24)
    many = [kernels[0], kernels[1], *[(3, 3, 16, 16)] * 34, *kernels[2:]]
    assert native.can_see((60, 70), many[:2] + many[4:], [16, *blocks[1:]], 24)
    assert not native.can_see((60, 70), many, [17, *blocks[1:]], 24)


def refused(change) -> str:
    """What C says of a call that ``change`` has spoilt: it is given, and returns, the arrays by name."""
    net, images = network("narrow"), pixels_of(60, 70, np.uint8)
    centres, ways = looks(60, 70)
    arrays = {"images": images, "centre": np.asarray(centres.reshape(-1, 2))}
    arrays |= {
        "img_from_ref": np.asarray(ways.reshape(-1, 2, 2)),
        "form": np.array([24, *_blocks(net)], np.int32),
    }
    for i, layer in enumerate(_layers(net)):
        arrays |= {f"kernel_{i}": np.asarray(layer.kernel), f"bias_{i}": np.asarray(layer.bias)}
    shape = jax.ShapeDtypeStruct((12, 1, N_POINTS, 5), np.float32)
    call = jax.jit(lambda arrays: jax.ffi.ffi_call(native.MOMENTS, shape)(*arrays))
    with jax.enable_x64(True), pytest.raises(Exception, match="expected") as raised:
        jax.block_until_ready(call(list((arrays | change(arrays)).values())))
    return str(raised.value)


@needs_library
def test_c_refuses_networks_that_do_not_fit_together() -> None:
    assert "images" in refused(lambda a: {"images": a["images"].astype(np.int16)})
    assert "centre" in refused(lambda a: {"centre": a["centre"].astype(np.float64)})
    assert "each image" in refused(lambda a: {"images": a["images"].repeat(4, 0)[:5]})
    assert "halved" in refused(lambda a: {"form": np.array([20, *a["form"][1:]], np.int32)})
    assert "blocks" in refused(lambda a: {"form": np.array([24, -1, *a["form"][2:]], np.int32)})
    assert "bias" in refused(lambda a: {"form": np.array([24, 1, *a["form"][2:]], np.int32)})
    assert "16" in refused(lambda a: {"kernel_0": a["kernel_0"][..., :8], "bias_0": a["bias_0"][:8]})
    assert "biases" in refused(lambda a: {"kernel_2": a["kernel_2"][:, :, :8]})
    assert "float32" in refused(lambda a: {"bias_1": a["bias_1"].astype(np.float64)})
