"""What streams of many faces ask for: bounded memory, and few programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest
from engine import synthetic_config, synthetic_model

from jaxclnf.batch import face_batches as batch_sizes
from jaxclnf.batch import many_faces
from jaxclnf.types import FaceParams, FitResult

N = 2000


def test_a_long_stream_reads_a_bounded_number_of_faces_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one face in a hundred of another size, which waits for others like it."""
    model = synthetic_model(np.float32)
    monkeypatch.setattr(many_faces, "fit_beside_others", _nothing_found)
    read = 0

    def crops() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        nonlocal read
        small, large = np.zeros((32, 32), np.uint8), np.zeros((600, 600), np.uint8)
        for i in range(N):
            read += 1
            image = large if i % 100 == 7 else small
            yield image, np.array([8, 8, len(image) / 2, len(image) / 2])

    ahead, given = 0, 0
    for _ in many_faces.fit_stream(model, crops(), synthetic_config()):
        given += 1
        ahead = max(ahead, read - given)
    assert given == read == N
    largest = batch_sizes.CPU_LIMITS.sizes[-1]
    assert ahead <= (4 + many_faces.in_flight(jax.local_devices()) + 2) * largest < N / 3


def test_many_sizes_go_through_a_handful_of_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of which a program is compiled for."""
    shapes = set()

    def seen(model, images: np.ndarray, boxes: np.ndarray, config) -> FitResult:
        shapes.add((images.shape, images.dtype))
        return _nothing_found(model, images, boxes, config)

    monkeypatch.setattr(many_faces, "fit_beside_others", seen)
    sizes = np.random.default_rng(0).integers(150, 500, (12, 2))
    images = [np.full(size, 128, np.uint8) for size in sizes]
    boxes = [np.array([20, 20, *(size[::-1] * 0.6)]) for size in sizes]
    found = many_faces.fit_faces(synthetic_model(np.float32), images, boxes, synthetic_config())
    assert found.landmarks.shape == (12, 12, 2)
    assert 1 < len(shapes) <= 4


def _nothing_found(model, images: np.ndarray, boxes: np.ndarray, config) -> FitResult:
    def zeros(*shape: int, dtype: type = np.float32) -> Any:
        return np.zeros((len(boxes), *shape), dtype)

    return FitResult(
        landmarks=zeros(12, 2),
        params=FaceParams(zeros(), zeros(3), zeros(2), zeros(4)),
        log_likelihood=zeros(),
        landmark_likelihoods=zeros(12),
        view=zeros(dtype=np.int32),
        iterations=zeros(2, 2, dtype=np.int32),
        converged=zeros(dtype=bool),
        status=zeros(dtype=np.int32),
    )
