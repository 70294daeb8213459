"""Every iteration of OpenFace's traced fits, stacked so that one batch holds all of a map size."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from engine import as_params, as_points, openface_model
from shared_data import golden

from jaxclnf.fitting.map_frames import MapFrame
from jaxclnf.fitting.nurlms import StageSettings
from jaxclnf.types import PDM

GROUPS = [("main68", 11), ("main68", 9), ("main68", 7), ("inner", 9)]
GROUPS += [(f"{side}_eye_28", window) for side in ("left", "right") for window in (3, 5)]
"""Model and window of the traces that are alike."""


class Traces(NamedTuple):
    """Iterations of one model and window; leading axis of everything but the PDM: iterations."""

    pdm: PDM
    arrays: dict[str, np.ndarray]  # those of the goldens' iterations
    rigid: np.ndarray  # whether it is a rigid iteration
    maps: Any
    face: MapFrame
    settings: StageSettings
    last: np.ndarray  # whether it is the last one of its stage, after which there are likelihoods

    def params(self, suffix: str, dtype):
        return as_params(self.arrays[f"global{suffix}"], self.arrays[f"local{suffix}"], dtype)


class Stage(NamedTuple):
    """The rigid or non-rigid part of one traced scale."""

    model: str
    scale: int
    rigid: bool
    arrays: dict[str, np.ndarray]  # of the scale
    name: str  # "rigid" or "nonrigid"


@cache
def stages() -> tuple[Stage, ...]:
    """Every part of every scale of the traced fits."""
    scales: dict[str, dict[str, np.ndarray]] = {}
    for key, value in golden("fit_trace_golden").items():
        place, _, field = key.rpartition("/")
        scales.setdefault(place, {})[field] = value
    found = []
    for place, arrays in scales.items():
        if "params" not in arrays:
            continue
        part = re.search(r"parts/(\w+)/", place)
        for name in ("rigid", "nonrigid"):
            scale = int(place[-1])
            found.append(Stage(part[1] if part else "main68", scale, name == "rigid", arrays, name))
    return tuple(found)


def n_iterations(stage: Stage) -> int:
    return sum(key.startswith(f"{stage.name}_iter") and key.endswith("_hessian") for key in stage.arrays)


def window_of(stage: Stage) -> int:
    return stage.arrays["responses"].shape[-1]


def traces(model: str, window: int, dtype) -> Traces:
    """The iterations of a model on maps of ``window`` pixels."""
    rows = [
        (stage, iteration)
        for stage in stages()
        if stage.model == model and window_of(stage) == window
        for iteration in range(n_iterations(stage))
    ]
    names = ["global", "local", "shape2d", "dxs", "dys", "ms_ref", "ms_img", "global_preclamp"]
    names += ["local_preclamp", "global_post", "local_post"]
    arrays = {
        name: np.stack([stage.arrays[f"{stage.name}_iter{i}_{name}"] for stage, i in rows]) for name in names
    }
    size = 6 + arrays["local"].shape[1]
    for name, shape in {"hessian": (size, size), "rhs": (size,), "update": (size,)}.items():
        # A rigid iteration has six parameters; the others' places hold zeros.
        each = [stage.arrays[f"{stage.name}_iter{i}_{name}"] for stage, i in rows]
        arrays[name] = np.stack(
            [np.pad(a, [(0, n - k) for n, k in zip(shape, a.shape, strict=True)]) for a in each]
        )
    arrays["weights"] = np.stack([stage.arrays[f"{stage.name}_weights_diag"] for stage, _ in rows])
    for name in ("lhoods", "loglhood"):
        arrays[name] = np.stack([stage.arrays[f"{stage.name}_{name}"].ravel() for stage, _ in rows])
    return Traces(
        pdm=openface_model(dtype, model).pdm,
        arrays=arrays,
        rigid=np.array([stage.rigid for stage, _ in rows]),
        maps=jnp.asarray(np.stack([stage.arrays["responses"] for stage, _ in rows]), dtype),
        face=stack([frame_of(stage, dtype) for stage, _ in rows]),
        settings=stack([settings_of(stage, dtype) for stage, _ in rows]),
        last=np.array([iteration == n_iterations(stage) - 1 for stage, iteration in rows]),
    )


def frame_of(stage: Stage, dtype) -> MapFrame:
    """The frame of a traced scale; the base is where its first iteration starts."""
    arrays = stage.arrays
    view = int(arrays["view"][0])
    experts = openface_model(dtype, stage.model).experts[stage.scale]
    return MapFrame(
        base=jnp.asarray(as_points(arrays["rigid_iter0_shape2d"]), dtype),
        ref_from_img=jnp.asarray(arrays["sim_img_to_ref"], dtype),
        img_from_ref=jnp.asarray(arrays["sim_ref_to_img"], dtype),
        view=jnp.int32(view),
        visible=jnp.asarray(np.asarray(experts.visibility)[view]),
        confidence=jnp.asarray(np.asarray(experts.patch_confidence)[view]),
    )


def settings_of(stage: Stage, dtype) -> StageSettings:
    reg_factor, sigma, weight_factor = (jnp.asarray(v, dtype) for v in stage.arrays["params"][:3])
    one = jnp.ones((), dtype)
    return StageSettings(reg_factor, sigma, weight_factor, jnp.asarray(0.01, dtype), one)


def stack(trees):
    """Trees of alike arrays as one tree with a leading axis."""
    return type(trees[0])(*(jnp.asarray(np.stack(leaves)) for leaves in zip(*trees, strict=True)))
