"""OpenFace's own models: every array as its own program reads it, and models as PyTrees."""

from __future__ import annotations

import re
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from shared_data import golden, shared

from jaxclnf.models.openface import convert_openface
from jaxclnf.models.openface.ccnf_files import read_experts
from jaxclnf.models.openface.pdm_files import read_pdm
from jaxclnf.types import Model, PatchExperts

MAIN = "main_clnf_general.txt"
NAMES = {"main68": None, "inner": "inner", "left_eye_28": "left_eye_28", "right_eye_28": "right_eye_28"}
EVERY_MODEL = [
    MAIN,
    "main_clnf_wild.txt",
    "clnf_general.txt",
    "clnf_wild.txt",
    "model_inner/main_clnf_inner.txt",
    "model_eye/main_clnf_synth_left.txt",
    "model_eye/clnf_right_synth.txt",
]

FLOAT32 = 1e-7
"""Relative: a float64 of a file rounded to float32."""
SIGMA = 1e-6
"""Of the largest entry: OpenFace inverts in float32."""


@pytest.fixture(scope="module")
def general() -> Model:
    return convert_openface(shared("openface", "model", MAIN))


def _named(model: Model, name: str) -> Model:
    return model if NAMES[name] is None else next(p.model for p in model.parts if p.name == name)


def _golden_experts(name: str) -> dict[tuple[int, int, int], dict[str, np.ndarray]]:
    """Single experts in the goldens, by scale, view and landmark."""
    experts: dict[tuple[int, int, int], dict[str, np.ndarray]] = {}
    for key, value in golden("response_golden", f"experts/{name}/").items():
        place, field = key.split("/")
        scale, view, point = map(int, re.findall(r"\d+", place))
        experts.setdefault((scale, view, point), {})[field] = value
    return experts


@pytest.mark.parametrize("name", NAMES)
def test_pdm_is_openfaces(general: Model, name: str) -> None:
    pdm, arrays = _named(general, name).pdm, golden("pdm_golden", f"{name}/")
    n, modes = pdm.n_points, pdm.n_modes
    np.testing.assert_allclose(pdm.mean.T.ravel(), arrays["mean_shape"], FLOAT32)
    basis = np.swapaxes(pdm.basis, 0, 1).reshape(3 * n, modes)
    np.testing.assert_allclose(basis, arrays["princ_comp"], FLOAT32)
    np.testing.assert_allclose(pdm.eigenvalues, arrays["eigen_values"], FLOAT32)


@pytest.mark.parametrize("name", NAMES)
def test_tables_are_openfaces(general: Model, name: str) -> None:
    model, tables = _named(general, name), golden("response_golden", f"tables/{name}/")
    np.testing.assert_allclose([e.patch_scale for e in model.experts], tables["patch_scaling"], FLOAT32)
    for i, experts in enumerate(model.experts):
        np.testing.assert_allclose(experts.view_centres, tables[f"centers_rad_scale{i}"], FLOAT32)
        np.testing.assert_array_equal(experts.visibility, tables[f"visibility_scale{i}"] != 0)
        np.testing.assert_allclose(experts.patch_confidence, tables[f"patch_confidence_scale{i}"], FLOAT32)
        stored = {k.removeprefix("sigma_component_ws") for k in tables if k.startswith("sigma_component")}
        assert stored == {f"{w}_{k}" for w, edges in experts.edges.items() for k in range(len(edges))}
        for window, edges in experts.edges.items():
            for k, component in enumerate(edges):
                np.testing.assert_array_equal(component, tables[f"sigma_component_ws{window}_{k}"])


@pytest.mark.parametrize("name", ["main68", "inner", "left_eye_28"])
def test_experts_are_openfaces(general: Model, name: str) -> None:
    for (scale, *where), arrays in _golden_experts(name).items():
        experts = jax.tree.map(
            lambda a, i=tuple(where): a[i], _per_landmark(_named(general, name).experts[scale])
        )
        n = len(arrays["alpha"])
        assert experts["weights"].shape[1:] == (arrays["height"], arrays["width"])
        for k in range(n):
            np.testing.assert_array_equal(experts["weights"][k], arrays[f"neuron{k}_weights"])
        for field in ("alpha", "bias", "norm_weights"):
            np.testing.assert_allclose(experts[field][:n], arrays[field], FLOAT32)
        np.testing.assert_allclose(experts["betas"], arrays["betas"], FLOAT32)
        np.testing.assert_allclose(experts["patch_confidence"], arrays["patch_confidence"], FLOAT32)
        assert not experts["alpha"][n:].any()


def _per_landmark(experts: PatchExperts) -> dict[str, jax.Array]:
    names = ("weights", "alpha", "bias", "norm_weights", "betas", "patch_confidence")
    return {name: getattr(experts, name) for name in names}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigma_is_openfaces(general: Model, dtype: type) -> None:
    """Windows without edge terms have no matrix: there Sigma is the identity over twice the alpha sum."""
    with jax.enable_x64(dtype == np.float64):
        model = general if dtype == np.float32 else convert_openface(shared("openface", "model", MAIN), dtype)
        compared = 0
        for name in ("main68", "inner", "left_eye_28"):
            for (scale, *where), arrays in _golden_experts(name).items():
                experts, where = _named(model, name).experts[scale], tuple(where)
                for key in [k for k in arrays if k.startswith("Sigma_ws")]:
                    window = int(key.removeprefix("Sigma_ws"))
                    if window in experts.sigma:
                        sigma = experts.sigma[window][experts.sigma_index[where]]
                        assert sigma.dtype == dtype
                    else:
                        sigma = np.eye(window**2) / (2 * np.asarray(experts.alpha[where]).sum())
                    expected = arrays[key].reshape(window**2, window**2)
                    np.testing.assert_allclose(sigma, expected, 0, SIGMA * expected.max())
                    compared += 1
    assert compared >= 20


@pytest.mark.parametrize("name", EVERY_MODEL)
def test_every_model_is_read(name: str) -> None:
    model = convert_openface(shared("openface", "model", name))
    chex.assert_tree_all_finite(model)
    for part in (model, *(part.model for part in model.parts)):
        for experts in part.experts:
            _assert_shapes(experts, part.pdm.n_points)
    if name == "main_clnf_wild.txt":
        assert [e.weights.shape[0] for e in model.experts] == [3, 3, 3, 3]


def _assert_shapes(experts: PatchExperts, n_points: int) -> None:
    views, _, neurons, h, w = experts.weights.shape
    assert (h, w) == (11, 11) and set(experts.sigma) == set(experts.edges)
    chex.assert_shape([experts.alpha, experts.bias, experts.norm_weights], (views, n_points, neurons))
    chex.assert_shape([experts.visibility, experts.sigma_index, experts.patch_confidence], (views, n_points))
    for window, sigma in experts.sigma.items():
        assert sigma.shape[1:] == (window**2, window**2)
        assert experts.sigma_index.max() == len(sigma) - 1


def test_multi_pie_experts_are_read_without_a_text_file_of_their_own(tmp_path: Path) -> None:
    """OpenFace ships these experts and their PDM, but no file that names them together."""
    scales = [
        shared("openface", "model", "patch_experts", f"ccnf_patches_{s}_multi_pie.txt") for s in (0.25, 0.5)
    ]
    pdm = shared("openface", "model", "pdms", "Multi-PIE_aligned_PDM_68.txt")
    text = tmp_path / "clnf_multi_pie.txt"
    text.write_text("\n".join([f"PDM {pdm}", *(f"PatchesCCNF {scale}" for scale in scales)]))
    model = convert_openface(text)
    assert [float(e.patch_scale) for e in model.experts] == [0.25, 0.5]
    assert (model.pdm.n_points, model.pdm.n_modes) == (68, read_pdm(pdm).n_modes)
    for experts, alone in zip(model.experts, read_experts(scales, dtype=np.float32), strict=True):
        _assert_shapes(experts, 68)
        np.testing.assert_array_equal(experts.weights, alone.weights)


def test_mirrored_landmarks_share_their_matrices(general: Model) -> None:
    """Half as many matrices as visible landmarks, but for those on the midline and in the frontal view."""
    experts = general.experts[0]
    assert np.asarray(experts.visibility).sum() == 410
    assert {window: len(sigma) for window, sigma in experts.sigma.items()} == dict.fromkeys(
        (7, 9, 11, 15), 210
    )


def test_model_is_a_pytree(general: Model) -> None:
    leaves, structure = jax.tree.flatten(general)
    chex.assert_trees_all_equal(jax.tree.unflatten(structure, leaves), general)
    doubled = jax.tree.map(lambda leaf: leaf * 2 if leaf.dtype == np.float32 else leaf, general)
    np.testing.assert_array_equal(doubled.pdm.mean, 2 * general.pdm.mean)
    assert doubled.parts[0].main_points == general.parts[0].main_points
    moved = jax.device_put(general, jax.devices()[0])
    chex.assert_trees_all_equal(moved, general)


def test_model_goes_through_jit_and_vmap(general: Model) -> None:
    part = general.parts[1].model
    total = jax.jit(lambda model: model.pdm.mean.sum() + model.experts[0].alpha.sum())
    np.testing.assert_allclose(total(part), part.pdm.mean.sum() + part.experts[0].alpha.sum(), 1e-6)
    both = jax.tree.map(lambda left, right: np.stack([left, right]), part.pdm, general.parts[2].model.pdm)
    np.testing.assert_allclose(
        jax.vmap(lambda pdm: pdm.mean.sum(0))(both)[0], part.pdm.mean.sum(0), atol=1e-4
    )  # sums of numbers up to 10 in float32


def test_float64_is_refused_without_x64() -> None:
    path = shared("openface", "model", "model_eye", "clnf_left_synth.txt")
    with pytest.raises(ValueError, match="jax_enable_x64"):
        convert_openface(path, np.float64)
