"""What Python's users call again and again is compiled at the first call alone, and keeps no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import synthetic_face, synthetic_model
from openface_files import write_validator

from jaxclnf import certain_radius, gaze, head_pose, landmarks, load_validator, validate
from jaxclnf.fitting.face_params import params_from_landmarks, params_near
from jaxclnf.fitting.gaze import OPENFACE, OPENFACE2
from jaxclnf.fitting.headpose import axes_image, landmarks_camera, weak_head_pose
from jaxclnf.types import EYES, Camera, FaceParams, FitResult, Part, PartFit

MODEL, CAMERA = synthetic_model(np.float32), Camera.default(200, 160)
WITH_EYES = replace(MODEL, parts=tuple(Part(name, (), (), MODEL) for name in EYES))
IMAGE, FACE = synthetic_face(0, np.float32)
FACES = jax.tree.map(lambda a: jnp.stack([a, a]), FACE)
POINTS = landmarks(MODEL, FACE)
COVARIANCES = np.broadcast_to(np.diag([4, 1]).astype(np.float32), (12, 2, 2))


def fitted(params: FaceParams) -> FitResult:
    """A fit with eyes of which only the parameters are known."""

    def known(cls, **others):
        nothing = {f.name: params.scale for f in fields(cls) if f.name not in ("params", "parts")}
        return cls(params=params, **nothing, **others)

    return known(FitResult, parts={name: known(PartFit) for name in EYES})


@contextmanager
def compiled() -> Iterator[list[str]]:
    """Note what XLA compiles."""
    found: list[str] = []

    def note(event: str, _: float, **__: object) -> None:
        if "backend_compile" in event:
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(note)


CALLS = {
    "pose": partial(head_pose, MODEL, FACE, CAMERA),
    "poses": partial(head_pose, MODEL, FACES, CAMERA),
    "gaze": partial(gaze, WITH_EYES, fitted(FACE), CAMERA, OPENFACE),
    "gazes": partial(gaze, WITH_EYES, fitted(FACES), CAMERA, OPENFACE2),
    "radii": partial(certain_radius, COVARIANCES),
    "landmarks": partial(landmarks, MODEL, FACES),
    "in camera": partial(landmarks_camera, MODEL.pdm, FACE, CAMERA),
    "axes": lambda: axes_image(weak_head_pose(FACE, CAMERA), CAMERA),
    "params": partial(params_from_landmarks, MODEL.pdm, POINTS),
    "params near": partial(params_near, MODEL.pdm, POINTS, FACE.rotation),
}


@pytest.mark.parametrize("call", list(CALLS.values()), ids=list(CALLS))
def test_a_second_call_compiles_nothing(call: Callable[[], object]) -> None:
    first = call()
    with compiled() as found:
        second = call()
    assert not found
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_second_face_is_validated_by_the_same_program(tmp_path: Path) -> None:
    judge = load_validator(write_validator(tmp_path / "validator.txt"))
    points = np.random.default_rng(0).uniform(20, 150, (68, 2)).astype(np.float32)
    for _ in range(2):
        with compiled() as found:
            validate(judge, IMAGE, points, np.zeros(3, np.float32))
    assert not found
