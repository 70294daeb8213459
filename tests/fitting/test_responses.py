from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import (
    PARTS,
    as_params,
    as_points,
    assert_close,
    openface_model,
    padded,
    synthetic_face,
    synthetic_model,
)
from shared_data import golden

from jaxclnf.fitting.map_frames import map_frame, nearest_view, second_view
from jaxclnf.fitting.responses import image_responses, responses_between_views
from jaxclnf.fitting.view_blocks import batch_responses
from jaxclnf.fitting.view_maps import view_responses
from jaxclnf.ops import ccnf
from jaxclnf.ops.sample import sample_patches

SIMILARITY = 2e-6
"""Relative; float32 rounds a shape of hundreds of pixels before it is centred."""
GREY = {np.float64: 0.02, np.float32: 0.05}
"""Grey levels; OpenFace places samples by a float32 matrix, on edges of 100 levels a pixel."""
MAPS = 1e-3
"""Of the largest entry. Where the border makes windows flat, OpenFace correlates its rounding of them and we
give 0; smoothing spreads this over up to one pixel in twenty."""


def cases() -> dict[tuple[str, int, int], list[str]]:
    """The goldens' response cases by model, scale and window."""
    found: dict[tuple[str, int, int], list[str]] = {}
    arrays = golden("response_golden")
    for key in arrays:
        place, _, field = key.rpartition("/")
        if field == "responses":
            part = re.search(r"part_(\w+)_scale", place)
            scale, window = (int(arrays[f"{place}/{name}"]) for name in ("scale_index", "window_size"))
            found.setdefault((part[1] if part else "main68", scale, window), []).append(place)
    return found


@pytest.mark.parametrize("name", PARTS)
def test_every_response_map_is_openfaces(name: str, dtype) -> None:
    """Views, windows and scales, zero and other shapes, faces partly beyond the border, parts."""
    images, arrays = golden("images_gray"), golden("response_golden")
    # Beyond a photo its border goes on, so that all of one size share their programs.
    images = dict(zip(images, padded(list(images.values()), "edge"), strict=True))
    chosen = {key: places for key, places in cases().items() if key[0] == name}
    assert sum(map(len, chosen.values())) == {"main68": 55, "inner": 4}.get(name, 8)
    for (_, scale, window), places in chosen.items():
        model = openface_model(dtype, name)
        run = jax.jit(partial(maps_of, window=window))
        for place in places:
            of = {k: arrays[f"{place}/{k}"] for k in ("params_global", "params_local", "landmarks", "view")}
            image = jnp.asarray(next(images[k] for k in images if k.startswith(place.split("/")[0])))
            params = as_params(of["params_global"], of["params_local"], dtype)
            face, patches, alone, maps = run(model.pdm, model.experts[scale], image, params)
            assert int(face.view) == of["view"]
            assert_close(face.base, as_points(of["landmarks"]), 1e-6)
            assert_close(face.ref_from_img, arrays[f"{place}/sim_img_to_ref"], SIMILARITY)
            assert_close(face.img_from_ref, arrays[f"{place}/sim_ref_to_img"], SIMILARITY)
            seen = np.asarray(face.visible)
            aoi, expected = arrays[f"{place}/aoi"], arrays[f"{place}/responses"]
            np.testing.assert_allclose(patches[seen], aoi[seen], atol=GREY[dtype])
            for found in (np.asarray(alone), np.asarray(maps)):
                assert not found[~seen].any() and not expected[~seen].any()
                gaps = np.abs(found - expected) / expected.max()
                assert np.quantile(gaps, 0.95 if "border" in place else 1) < MAPS


def maps_of(pdm, experts, image, params, window):
    """From patches, and as fits get them."""
    face = map_frame(pdm, experts, params)
    patches = sample_patches(image, face.base, face.img_from_ref, window + experts.support[0] - 1)
    one_try = jax.tree.map(lambda a: a[None, None], face)
    in_fits = image_responses(experts, image[None], one_try, window)[0, 0]
    return face, patches, view_responses(experts, face.view, patches[None])[0], in_fits


def patches_and_views(n: int, window: int, dtype, seed: int = 0):
    rng = np.random.default_rng(seed)
    patches = rng.uniform(0, 255, (n, 12, window + 6, window + 6))
    return jnp.asarray(patches, dtype), jnp.asarray(rng.integers(0, 3, n), jnp.int32)


one_view = jax.jit(jax.vmap(lambda experts, v, p: view_responses(experts, v, p[None])[0], (None, 0, 0)))
many = jax.jit(batch_responses)


@pytest.mark.parametrize("n", [1, 2, 5, 9, 33])
def test_blocks_of_views_give_each_face_what_it_gets_alone(n: int, dtype) -> None:
    experts = synthetic_model(dtype).experts[0]
    patches, views = patches_and_views(n, 7, dtype)
    expected = one_view(experts, views, patches)
    assert_close(many(experts, views, patches), expected, 1e-12 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("view", [0, 1, 2])
def test_blocks_of_one_view(view: int) -> None:
    experts = synthetic_model(np.float32).experts[0]
    patches, views = patches_and_views(33, 7, np.float32)
    views = jnp.full_like(views, view)
    assert_close(many(experts, views, patches), one_view(experts, views, patches), 1e-5)


def test_order_of_a_batch_does_not_matter() -> None:
    experts = synthetic_model(np.float32).experts[0]
    patches, views = patches_and_views(33, 7, np.float32)
    order = np.random.default_rng(1).permutation(33)
    maps = many(experts, views, patches)
    np.testing.assert_allclose(many(experts, views[order], patches[order]), maps[order], rtol=1e-4, atol=1e-5)


def test_one_bad_face_spoils_its_own_maps_only() -> None:
    experts = synthetic_model(np.float32).experts[0]
    patches, views = patches_and_views(33, 7, np.float32)
    maps, spoilt = many(experts, views, patches), many(experts, views, patches.at[5].set(jnp.nan))
    others = np.arange(33) != 5
    np.testing.assert_array_equal(spoilt[others], maps[others])
    assert np.isnan(spoilt[5]).any()


def test_the_experts_and_the_field_make_the_map(dtype) -> None:
    """Neurons, then the smoothing of the window's size; without edge terms, of the identity."""
    experts = synthetic_model(dtype).experts[1]
    for window, has_edges in ((7, True), (6, False)):
        patches, _ = patches_and_views(1, window, dtype)
        neurons = (a[1] for a in (experts.weights, experts.norm_weights, experts.bias, experts.alpha))
        sums = jax.jit(ccnf.neuron_responses)(patches[0], *neurons)
        if has_edges:
            expected = ccnf.smooth(sums, experts.sigma[window][experts.sigma_index[1]])
        else:
            expected = sums / (2 * experts.alpha[1].sum(-1))[:, None, None]
        expected = np.where(np.asarray(experts.visibility[1])[:, None, None], expected, 0)
        found = jax.jit(view_responses)(experts, jnp.int32(1), patches)[0]
        assert_close(found, expected, 1e-12 if dtype == np.float64 else 1e-5)
        assert not found[np.array([0, 4])].any()


def test_maps_peak_at_the_landmarks_of_a_face() -> None:
    model = synthetic_model(np.float32)
    image, params = synthetic_face(1, np.float32)
    *_, maps = jax.jit(partial(maps_of, window=7))(model.pdm, model.experts[1], jnp.asarray(image), params)
    peaks = np.stack(np.unravel_index(np.asarray(maps).reshape(12, -1).argmax(1), (7, 7)))
    assert np.abs(peaks - 3).max() <= 1


@pytest.mark.parametrize(
    "n_images, n_tries, dtype", [(3, 4, "float64"), (3, 4, "float32"), (12, 1, "float32")], indirect=["dtype"]
)
def test_maps_on_images_are_those_of_each_face(n_images: int, n_tries: int, dtype) -> None:
    model = synthetic_model(dtype)
    experts, rng = model.experts[1], np.random.default_rng(0)
    rigid = np.concatenate([np.ones((12, 1)), rng.normal(0, 0.5, (12, 3)), rng.uniform(50, 110, (12, 2))], 1)
    rigid[:, 2] = rng.permutation(np.linspace(-1, 1, 12))  # yaw: every view occurs
    params = as_params(rigid, rng.normal(0, 5, (12, 4)), dtype)
    params = jax.tree.map(lambda a: a.reshape(n_images, n_tries, *a.shape[1:]), params)
    images = jnp.asarray(np.stack([synthetic_face(seed, dtype)[0] for seed in range(n_images)]))
    faces = jax.jit(jax.vmap(jax.vmap(partial(map_frame, model.pdm, experts))))(params)
    assert len(np.unique(faces.view)) == 3
    found = jax.jit(image_responses, static_argnums=3)(experts, images, faces, 7)
    alone = jax.jit(partial(maps_of, window=7))
    for i, k in np.ndindex(n_images, n_tries):
        face = jax.tree.map(lambda a, i=i, k=k: a[i, k], params)
        expected = alone(model.pdm, experts, images[i], face)[2]
        assert_close(found[i, k], expected, 1e-9 if dtype == np.float64 else 5e-4)


def test_the_nearest_view_and_the_first_of_equals(dtype) -> None:
    experts = synthetic_model(dtype).experts[0]
    angles = [[0.0, 0, 0], [0, 0.38, 0], [0, 0.40, 0], [0.3, -0.5, 0], [0, -1.5, 1]]
    views = [int(nearest_view(experts.view_centres, jnp.asarray(a, dtype))) for a in angles]
    assert views == [0, 0, 1, 2, 2]
    halfway = experts.view_centres.at[1].set(experts.view_centres[2])
    tied = jax.tree.map(lambda a: a, experts)
    object.__setattr__(tied, "view_centres", halfway)
    assert int(nearest_view(tied.view_centres, halfway[2])) == 1


def angles(*yaws: float) -> jax.Array:
    return jnp.radians(jnp.array([[0.0, yaw, 0.0] for yaw in yaws], jnp.float32))


def test_the_second_views_share_grows_to_half_midway() -> None:
    experts = synthetic_model(np.float32).experts[0]  # yaws 0, 45, -45
    rotations = angles(0, 9, 22, 23, 45, 60, -9, -36)
    nearest = jax.vmap(nearest_view, (None, 0))(experts.view_centres, rotations)
    second, share = jax.vmap(second_view, (None, 0, 0))(experts, rotations, nearest)
    np.testing.assert_array_equal(nearest[1:], [0, 0, 1, 1, 1, 0, 2])
    np.testing.assert_array_equal(second[1:], [1, 1, 0, 0, 0, 2, 0])
    np.testing.assert_allclose(share, np.array([0, 9, 22, 22, 0, 0, 9, 9]) / 45, atol=1e-6)


def faces_at(model, *yaws: float):
    """A face turned so far, once on each of as many copies of one image."""
    image, params = synthetic_face(3, np.float32)
    rotations = angles(*yaws)
    faces = jax.vmap(lambda r: map_frame(model.pdm, model.experts[0], replace(params, rotation=r)))(rotations)
    images = jnp.broadcast_to(image, (len(yaws), *image.shape))
    return images, jax.tree.map(lambda a: a[:, None], faces), rotations[:, None]


def test_maps_of_many_models_are_those_of_each() -> None:
    model = synthetic_model(np.float32)
    images, faces, _ = faces_at(model, 30)
    several = [replace(model.experts[0], bias=model.experts[0].bias + shift) for shift in (0.0, 0.5)]
    maps = jax.jit(image_responses, static_argnums=3)
    together = jax.tree.map(lambda *a: jnp.stack(a), *several)
    found = jax.jit(jax.vmap(partial(image_responses, window=7), (0, None, None)))(together, images, faces)
    for own, experts in zip(found, several, strict=True):
        assert_close(own, maps(experts, images, faces, 7), 1e-5)


def test_maps_between_views_are_both_views_in_proportion() -> None:
    model = synthetic_model(np.float32)
    experts = model.experts[0]
    images, faces, rotations = faces_at(model, 0, 9, 30)
    found = responses_between_views(experts, images, faces, rotations, 7)
    of_front, of_side = (
        image_responses(experts, images, faces._replace(view=jnp.full((3, 1), v), visible=seen), 7)
        for v, seen in enumerate(jnp.broadcast_to(experts.visibility[:, None, None], (3, 3, 1, 12)))
        if v < 2
    )
    shares = jnp.array([0, 9 / 45, 30 / 45])[:, None, None, None, None]
    expected = (1 - shares) * of_front + shares * of_side
    side_sees, largest = np.asarray(experts.visibility[1]), float(jnp.abs(of_front).max())
    assert_close(found[:, :, side_sees], expected[:, :, side_sees], 1e-5)
    assert not np.allclose(found[1], of_front[1], atol=1e-3 * largest)
    # What the side view cannot see keeps the nearest view's maps: the front's, then none.
    assert_close(found[:2, :, ~side_sees], of_front[:2, :, ~side_sees], 1e-6)
    assert not found[2, :, ~side_sees].any()


def test_maps_do_not_jump_where_the_nearest_view_changes() -> None:
    model = synthetic_model(np.float32)
    images, faces, rotations = faces_at(model, 22.49, 22.51)
    seen = np.asarray(model.experts[0].visibility[:2].all(0))
    jump = lambda maps: float(jnp.abs(maps[0] - maps[1])[:, seen].max())  # noqa: E731
    nearest = image_responses(model.experts[0], images, faces, 7)
    between = responses_between_views(model.experts[0], images, faces, rotations, 7)
    assert jump(between) < 0.05 * jump(nearest)


def test_a_single_view_is_its_own_neighbour() -> None:
    model = synthetic_model(np.float32)
    images, faces, rotations = faces_at(model, 0, 0)
    of_views = ("view_centres", "visibility", "weights", "norm_weights", "bias", "alpha", "betas")
    of_views += ("patch_confidence", "sigma_index")
    first = {name: getattr(model.experts[0], name)[:1] for name in of_views}
    experts = replace(model.experts[0], **first)
    between = responses_between_views(experts, images, faces, rotations, 7)
    np.testing.assert_array_equal(between, image_responses(experts, images, faces, 7))
