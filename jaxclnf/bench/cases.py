"""The fits and stages that are timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from jaxclnf.batch.devices import fit_on_cores
from jaxclnf.bench.counted_work import patch_experts
from jaxclnf.bench.timing import Case
from jaxclnf.config import FitConfig
from jaxclnf.fitting.face_params import params_from_box
from jaxclnf.fitting.fit import fit, fit_batch, fit_from
from jaxclnf.fitting.map_frames import map_frame
from jaxclnf.fitting.responses import image_responses
from jaxclnf.fitting.suited_settings import windows_on_networks
from jaxclnf.fitting.view_maps import view_responses
from jaxclnf.ops.ccnf import smooth
from jaxclnf.ops.gauss_newton import gauss_newton_step, normal_equations
from jaxclnf.ops.mean_shift import mean_shift
from jaxclnf.ops.sample import sample_patches
from jaxclnf.types import PDM, FaceParams, Model, PatchExperts

IN_A_ROW = 16
"""Number of faces that a call of the one-by-one case fits, one after the other."""

COMPARED = 64
"""Size of the batch that is timed twice: spread over the cores, and as one program."""

FIRST_WINDOW = 11
"""Side of the maps of OpenFace's first stage."""

Images = Num[np.ndarray, "n height width"]
Boxes = Float[np.ndarray, "n 4"]

OPENFACE, WILD, OURS = "OpenFace's default", "5 starts, -wild", "our default"
CONFIGS = {OPENFACE: FitConfig.openface(), WILD: FitConfig.openface_wild(True), OURS: FitConfig()}
OWN = "the model's own settings"
SHIPPED = {"default": "the model that ships", "fast": "the model that ships, fast"}
"""The presets of the model that ships that are timed, and their names in the tables."""


def timed_configs(model: Model) -> dict[str, FitConfig]:
    """Give those of `CONFIGS` that suit a model, by name; if none does, the settings that it carries.

    Networks ignore windows for patch experts: fits would be timed that are not what the settings are named.
    """
    suited = {name: config for name, config in CONFIGS.items() if not windows_on_networks(model, config)}
    return suited or {OWN: model.settings}


def fit_cases(
    model: Model,
    images: Images,
    boxes: Boxes,
    name: str,
    batches: Sequence[int],
    from_host: bool = True,
    config: FitConfig | None = None,
) -> list[Case]:
    """Make cases of one face (batch 1) and of batches; images start on the host or already on the device.

    ``config`` has the settings called ``name``, by default those of `CONFIGS`. Batches on a CPU are divided
    among its cores; those of `COMPARED` faces are timed as one program too.
    """
    config = jax.device_put(CONFIGS[name] if config is None else config)
    on_cores = from_host and jax.local_devices()[0].platform == "cpu"
    group = name if from_host else f"{name}, images on the device"
    cases = []
    for n in batches:
        some = _repeated(images, max(n, IN_A_ROW)), _repeated(boxes, max(n, IN_A_ROW))
        some = some if from_host else jax.device_put(some)
        if n == 1:
            run = partial(
                _one_by_one, lambda image, box: fit(model, image, box, config), list(zip(*some, strict=True))
            )
            cases.append(Case("one face", run, 1, group, times=IN_A_ROW))
            continue
        some = some[0][:n], some[1][:n]
        fitted = fit_on_cores if on_cores else fit_batch
        cases.append(Case(f"batch of {n}", partial(fitted, model, *some, config), n, group))
        if on_cores and n == COMPARED:
            cases.append(Case(f"{n} in one program", partial(fit_batch, model, *some, config), n, group))
    return cases


def tracking_case(model: Model, images: Images, boxes: Boxes) -> Case:
    """Make the case of a face followed into the next picture, with windows 9 and 7."""
    config = FitConfig.openface().changed(windows=(0, 9, 7, 0))
    start = jax.device_get(fit(model, images[0], boxes[0], FitConfig.openface())).params
    faces = [(images[0], start)] * IN_A_ROW
    run = partial(_one_by_one, lambda image, start: fit_from(model, image, start, config), faces)
    return Case("tracking step", run, 1, "tracking", times=IN_A_ROW)


def _one_by_one(fitted: Callable, faces: Sequence[tuple]) -> None:
    """Fit faces one after the other, as the yardstick does it."""
    for face in faces:
        jax.block_until_ready(fitted(*face))


def stage_cases(
    model: Model, images: Images, boxes: Boxes, n: int = 64, window: int | None = None
) -> list[Case]:
    """Make cases of each stage of a fit alone, with the first patch experts and faces in the frontal view.

    Sampling, neurons and smoothing are XLA's programs, which fits use where C does not do all three at once;
    smoothing is left out where the experts know none for the window, by default that of `usual_window`.
    """
    experts = patch_experts(model)
    window = usual_window(experts) if window is None else window
    size = window + experts.support[0] - 1
    some, view = jax.device_put(_repeated(images, n)), jnp.int32(0)
    neurons_only, smoothing = replace(experts, sigma={}), {}
    params = jax.jit(jax.vmap(lambda box: params_from_box(model.pdm, box, jnp.zeros(3, box.dtype))))(
        _repeated(boxes, n)
    )
    faces = jax.jit(jax.vmap(partial(map_frame, model.pdm, experts)))(params)
    sample, respond = jax.jit(jax.vmap(partial(sample_patches, size=size))), jax.jit(view_responses)
    smoothed, shift = jax.jit(jax.vmap(smooth, in_axes=(0, None))), jax.jit(jax.vmap(_shifted))
    solve = jax.jit(jax.vmap(partial(_solved, model.pdm)))
    patches = sample(some, faces.base, faces.img_from_ref)
    maps = respond(experts, view, patches)
    if window in experts.sigma:
        sigma = experts.sigma[window][experts.sigma_index[0]]
        smoothing = {"Sigma smoothing": partial(smoothed, maps, sigma)}
    positions = jnp.full((n, model.pdm.n_points, 2), window // 2, maps.dtype)
    one_try = jax.tree.map(lambda a: a[:, None], faces)
    all_maps = jax.jit(partial(image_responses, window=window))
    runs = {
        "response maps, as fits get them": partial(all_maps, experts, some, one_try),
        "sampling": partial(sample, some, faces.base, faces.img_from_ref),
        "neuron responses": partial(respond, neurons_only, view, patches),
        **smoothing,
        "one mean shift": partial(shift, maps, positions),
        "one solve": partial(solve, params, shift(maps, positions)),
    }
    return [Case(name, run, n, f"stages alone, window {window}, batch of {n}") for name, run in runs.items()]


def usual_window(experts: PatchExperts) -> int:
    """Choose a window to time patch experts with: OpenFace's first, else the largest that they smooth."""
    return FIRST_WINDOW if FIRST_WINDOW in experts.sigma else max(experts.sigma, default=FIRST_WINDOW)


def _shifted(
    maps: Float[Array, "n_points window window"], positions: Float[Array, "n_points 2"]
) -> Float[Array, "n_points 2"]:
    """Shift a face's landmarks once, with the settings that are usual on the coarsest scale."""
    return mean_shift(maps, positions, jnp.asarray(1.5, maps.dtype), "grid")


def _solved(pdm: PDM, params: FaceParams, shifts: Float[Array, "n_points 2"]) -> Float[Array, " n_params"]:
    """Find a face's step towards its shifts, with the usual prior."""
    weights, reg_factor = jnp.ones(len(shifts), shifts.dtype), jnp.asarray(25, shifts.dtype)
    return gauss_newton_step(*normal_equations(pdm, params, shifts, weights, reg_factor))


def _repeated(array: np.ndarray, n: int) -> np.ndarray:
    """Repeat the rows of an array up to ``n``."""
    return array[np.arange(n) % len(array)]
