"""A small golden of our own: the stages of one fit by the model that ships, on a photo in the public domain.

With it a clone without OpenFace's goldens compares numbers. ``python tests/small_golden.py`` makes it anew,
in float64 and without C. That is due only when the model that ships or the meaning of a fit changes.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxclnf.config import FitConfig
from jaxclnf.fitting.box_starts import corrected_boxes
from jaxclnf.fitting.face_params import params_from_box
from jaxclnf.fitting.fit import fit
from jaxclnf.fitting.map_frames import map_frame
from jaxclnf.fitting.network_sight import certainty_weights, look
from jaxclnf.fitting.nurlms import Anchors, StageSettings, approach, iterate, off_shape, positions_in_maps
from jaxclnf.fitting.responses import image_responses
from jaxclnf.models.storage import load_model
from jaxclnf.ops.mean_shift import mean_shift
from jaxclnf.ops.shape import shape_2d
from jaxclnf.types import FaceParams, Model

GOLDEN = Path(__file__).with_suffix(".npz")
Arrays = dict[str, Any]


def start(model: Model, config: FitConfig, given: Arrays) -> Arrays:
    """The mean face in the box."""
    box = corrected_boxes(given["box"][None], config.box_correction[None])[0]
    return _flat("start", params_from_box(model.pdm, box, config.start_rotations[0]))


def see(model: Model, config: FitConfig, given: Arrays) -> Arrays:
    """What the convolutional expert sees about the start: means and covariances of its maps."""
    stage, params = config.stages[0], _batch(_params("start", given))
    sight = look(model.pdm, model.experts[stage.scale], given["image"][None], params, stage.mirrored)
    return {"seen": sight.landmarks_img[0, 0], "covariance": sight.covariance[0, 0]}


def draw_near(model: Model, config: FitConfig, given: Arrays) -> Arrays:
    """The parameters after steps towards what was seen."""
    stage = config.stages[0]
    towards = model.pdm, given["seen"], certainty_weights(given["covariance"], stage.weight_factor)
    rest = _settings(config, 0), stage.iterations
    rigid = approach(*towards, _params("start", given), *rest, rigid=True)
    return _flat("near", approach(*towards, rigid, *rest, rigid=False))


def respond(model: Model, config: FitConfig, given: Arrays) -> Arrays:
    """The patch experts' response maps there."""
    experts = model.experts[config.stages[1].scale]
    faces = _batch(map_frame(model.pdm, experts, _params("near", given)))
    return {"maps": image_responses(experts, given["image"][None], faces, config.stages[1].window)[0, 0]}


def shift(model: Model, config: FitConfig, given: Arrays) -> Arrays:
    """The first mean shifts on the maps, in reference pixels."""
    stage, params = config.stages[1], _params("near", given)
    face = map_frame(model.pdm, model.experts[stage.scale], params)
    positions = positions_in_maps(face, shape_2d(model.pdm, params), stage.window)
    return {"shifts": mean_shift(given["maps"], positions, stage.sigma, config.kernel)}


def move(model: Model, config: FitConfig, given: Arrays) -> Arrays:
    """The parameters after the iterations on the maps, and the landmarks, which lie off their shape."""
    stage, params = config.stages[1], _params("near", given)
    face = map_frame(model.pdm, model.experts[stage.scale], params)
    rest = _settings(config, 1), stage.iterations, config.kernel
    anchors = Anchors(given["seen"], stage.anchor)
    rigid = iterate(model.pdm, face, given["maps"], params, *rest, rigid=True, anchors=anchors).params
    found = iterate(model.pdm, face, given["maps"], rigid, *rest, rigid=False, anchors=anchors)
    shape = shape_2d(model.pdm, found.params)
    seen = config.stages[0].freedom * (given["seen"] - shape_2d(model.pdm, params))
    shifted = off_shape(face, found.positions + found.shifts, shape, stage.window, stage.freedom)
    return _flat("moved", found.params) | {"landmarks": shape + seen + shifted}


STAGES = (start, see, draw_near, respond, shift, move)
"""Each computes arrays from those of the golden that stages before it made."""


def read_golden() -> dict[str, np.ndarray]:
    """The golden's arrays; "settings" and "model" (`digest`) are texts."""
    with np.load(GOLDEN) as file:
        return dict(file)


def digest(model: Model) -> str:
    """What tells the numbers of a model's PDM and experts from others."""
    leaves = jax.tree.leaves((model.pdm, model.experts))
    return hashlib.sha256(b"".join(np.asarray(leaf, np.float32).tobytes() for leaf in leaves)).hexdigest()


def _settings(config: FitConfig, i: int) -> StageSettings:
    stage = config.stages[i]
    return StageSettings(stage.reg_factor, stage.sigma, stage.weight_factor, config.tolerance)


def _params(name: str, given: Arrays) -> FaceParams:
    return FaceParams(*(given[f"{name}/{field}"] for field in ("scale", "rotation", "translation", "shape")))


def _flat(name: str, params: FaceParams) -> Arrays:
    return {f"{name}/{field}": value for field, value in vars(params).items()}


def _batch(tree: Any) -> Any:
    """One try on one image."""
    return jax.tree.map(lambda a: a[None, None], tree)


def make() -> dict[str, np.ndarray]:
    """Compute the golden on the US Navy's photo of Grace Hopper, which comes with matplotlib."""
    from matplotlib.cbook import get_sample_data

    from jaxclnf.media.images import read_photo, to_grey

    model = load_model()
    told = {"settings": json.dumps(model.settings.described()), "model": digest(model)}
    model = model.astype(jnp.float64)
    config = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), model.settings)
    grey = to_grey(read_photo(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    given: Arrays = {"image": grey[90:330, 135:395], "box": jnp.array([45.0, 83, 176, 162])}
    for stage in STAGES:
        given |= stage(model, config, given)
    whole = fit(model, given["image"], given["box"], config)
    np.testing.assert_allclose(
        whole.landmarks, given["landmarks"], atol=1e-6
    )  # the stages are those of a fit
    return {name: np.asarray(value) for name, value in (given | told).items()}


if __name__ == "__main__":
    os.environ["JAXCLNF_NATIVE"] = "0"
    jax.config.update("jax_enable_x64", True)
    np.savez_compressed(GOLDEN, **make())
