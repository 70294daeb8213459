"""The state of a followed face as one vector, whose numbers change continuously from frame to frame."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, TypeVar

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxclnf.models.calibration import probability
from jaxclnf.ops.shape import shape_2d
from jaxclnf.tracking.tracks import Tracked
from jaxclnf.types import PDM, FaceParams, FitResult, Model, PartFit

Found = TypeVar("Found", FitResult, PartFit)
Vector = Float[np.ndarray, " n"]
Angles = Float[np.ndarray | Array, "3"]

USUAL_VARIANCE = 4.1
"""Variance of a landmark in a clear photo, by the networks, in squared model units."""

_SUREST = 1e-3  # least distance of a confidence from 0 and 1

_of_params = jax.jit(shape_2d)


class Course:
    """The shape models by which faces and their parts are turned into vectors."""

    def __init__(self, model: Model) -> None:
        self.pdm = model.pdm
        self.parts = {part.name: part.model.pdm for part in model.parts}


class _Said(NamedTuple):
    """The numbers of a vector."""

    params: FaceParams
    off: Float[np.ndarray, "n_points 2"]  # landmarks from those that the parameters stand for, pixels
    parts: dict[str, tuple[FaceParams, Float[np.ndarray, "n_part_points 2"]]]
    sure: Float[np.ndarray, ""]  # logarithm of the odds


def said_of(course: Course, found: Tracked, near: Vector | None) -> Vector:
    """Turn a face into a vector, with the Euler angles nearest to those of the vector ``near``."""
    said = _said(course, found)
    if near is not None:
        known = _unflat(said, near)
        parts = {name: (_turned_near(p, known.parts[name][0]), off) for name, (p, off) in said.parts.items()}
        said = said._replace(params=_turned_near(said.params, known.params), parts=parts)
    return _flat(said)


def are_features(course: Course, found: Tracked) -> Bool[np.ndarray, " n"]:
    """Tell which numbers of a face's vector say what its features do, not where the head is."""
    said = _said(course, found)
    parts = {name: (_of_shape(params), np.ones_like(off)) for name, (params, off) in said.parts.items()}
    marked = _Said(_of_shape(said.params), np.ones_like(said.off), parts, np.zeros_like(said.sure))
    return _flat(marked).astype(bool)


def _of_shape(params: FaceParams) -> FaceParams:
    return replace(jax.tree.map(np.zeros_like, params), shape=np.ones_like(params.shape))


def replaced(course: Course, found: Tracked, vector: Vector) -> Tracked:
    """Replace a face's pose, landmarks, parts and confidence by those of a vector."""
    said = _unflat(_said(course, found), vector)
    result = found.result
    parts = {name: _with(course.parts[name], part, *said.parts[name]) for name, part in result.parts.items()}
    result = replace(_with(course.pdm, result, said.params, said.off), parts=parts)
    return found._replace(result=result, confidence=float(probability(said.sure)))


def variance_of(found: Tracked) -> float:
    """Estimate a landmark's variance in squared model units, by its networks or else by a usual value."""
    if found.result.covariance is None:
        return USUAL_VARIANCE
    both = np.trace(np.asarray(found.result.covariance), axis1=-2, axis2=-1).mean() / 2
    return float(both / np.asarray(found.result.params.scale) ** 2)


def _said(course: Course, found: Tracked) -> _Said:
    result = found.result
    parts = {
        name: (_numbers(part.params), _off(course.parts[name], part)) for name, part in result.parts.items()
    }
    sure = np.clip(found.confidence, _SUREST, 1 - _SUREST)
    return _Said(_numbers(result.params), _off(course.pdm, result), parts, np.log(sure / (1 - sure)))


def _numbers(params: FaceParams) -> FaceParams:
    return jax.tree.map(lambda a: np.asarray(a, np.float64), params)


def _off(pdm: PDM, found: FitResult | PartFit) -> Float[np.ndarray, "n_points 2"]:
    return np.asarray(found.landmarks, np.float64) - np.asarray(_of_params(pdm, found.params))


def _with(pdm: PDM, found: Found, params: FaceParams, off: np.ndarray) -> Found:
    """Replace a fit's parameters, and its landmarks by those that follow from them."""
    params = replace(params, rotation=principal(params.rotation))
    dtype = np.asarray(found.landmarks).dtype
    landmarks = _landmarks(pdm, params, off).astype(dtype)
    return replace(found, params=jax.tree.map(lambda a: np.asarray(a, dtype), params), landmarks=landmarks)


def _landmarks(pdm: PDM, params: FaceParams, off: np.ndarray) -> Float[np.ndarray, "n_points 2"]:
    dtype = pdm.mean.dtype
    return np.asarray(_of_params(pdm, jax.tree.map(lambda a: np.asarray(a, dtype), params))) + off


def _flat(said: _Said) -> Vector:
    return np.concatenate([np.ravel(a) for a in jax.tree.leaves(said)])


def _unflat(like: _Said, vector: Vector) -> _Said:
    """Split a vector into arrays of the shapes in ``like``."""
    leaves, kind = jax.tree.flatten(like)
    pieces = np.split(vector, np.cumsum([np.size(a) for a in leaves])[:-1])
    return jax.tree.unflatten(kind, [p.reshape(np.shape(a)) for p, a in zip(pieces, leaves, strict=True)])


def _turned_near(params: FaceParams, other: FaceParams) -> FaceParams:
    return replace(params, rotation=nearest_angles(params.rotation, other.rotation))


def nearest_angles(rotation: Angles, to: Angles) -> Angles:
    """Find the Euler angles of the same rotation (R = Rx Ry Rz) that are nearest to others."""
    ways = [to + _short_way(way - to) for way in (rotation, _other_way(rotation))]
    return min(ways, key=lambda way: float(np.abs(way - to).sum()))


def principal(rotation: Angles) -> Angles:
    """Find the Euler angles of the same rotation with y in [-pi/2, pi/2] and the others in [-pi, pi]."""
    angles = _short_way(rotation)
    return angles if abs(angles[1]) <= np.pi / 2 else _short_way(_other_way(angles))


def _short_way(angles: Angles) -> Angles:
    """Bring angles to [-pi, pi]."""
    return angles - 2 * np.pi * np.round(angles / (2 * np.pi))


def _other_way(rotation: Angles) -> Angles:
    """Find the second triple of Euler angles of a rotation."""
    return np.array([rotation[0] + np.pi, np.pi - rotation[1], rotation[2] + np.pi])
