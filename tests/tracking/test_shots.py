"""Cuts are noticed in any light, and fast pans and sudden light are none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from shared_data import shared

from jaxclnf.media.images import read_photo, to_grey
from jaxclnf.tracking.shots import is_cut, sketch

WIDTH, HEIGHT, EYES = 640, 480, 180.0


@pytest.fixture(scope="module")
def portraits() -> list[tuple[np.ndarray, np.ndarray]]:
    """Grey photos of one person each, and the landmarks."""
    folder = shared("photos", "helen_train")
    table = np.load(folder / "points.npz")
    names, points = table["names"][:16], table["points"][:16]
    return [(to_grey(read_photo(folder / name)), own) for name, own in zip(names, points, strict=True)]


def close_up(
    portrait: tuple[np.ndarray, np.ndarray], moved: float = 0.0, light: float = 1.0, zoom: float = 1.0
) -> np.ndarray:
    """Film a face so near that its eyes are 180 pixels apart, ``moved`` to the right by pixels."""
    grey, points = portrait
    scale = zoom * EYES / float(np.linalg.norm(points[36] - points[45]))
    x, y = points.mean(axis=0)
    to = np.array([[scale, 0, WIDTH / 2 - scale * x + moved], [0, scale, HEIGHT / 2 - scale * y]])
    frame = light * cv2.warpAffine(grey, to, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    noise = np.random.default_rng(int(moved) % 97).normal(0, 2, frame.shape)
    return sketch(np.clip(frame + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("light", [1.0, 0.3, 0.15])
def test_a_cut_between_two_people_is_noticed_in_any_light(portraits, light: float) -> None:
    shots = [close_up(portrait, light=light) for portrait in portraits]
    noticed = [is_cut(a, b) for i, a in enumerate(shots) for b in shots[:i]]
    assert np.mean(noticed) >= 0.98


@pytest.mark.parametrize("light", [1.0, 0.3])
@pytest.mark.parametrize("speed", [0.3, 0.4])
def test_a_fast_pan_of_a_close_up_is_no_cut(portraits, speed: float, light: float) -> None:
    """``speed`` in eye distances a frame."""
    for portrait in portraits:
        frames = [close_up(portrait, speed * EYES * i, light) for i in range(-2, 3)]
        assert not any(is_cut(a, b) for a, b in zip(frames, frames[1:], strict=False))


@pytest.mark.parametrize("zoom", [0.77, 0.86, 1.16])
def test_a_fast_zoom_is_no_cut(portraits, zoom: float) -> None:
    assert not any(is_cut(close_up(portrait), close_up(portrait, zoom=zoom)) for portrait in portraits)


@pytest.mark.parametrize("lights", [(0.2, 1.0), (1.0, 0.1)])
def test_light_that_is_switched_is_no_cut(portraits, lights: tuple[float, float]) -> None:
    for portrait in portraits:
        assert not is_cut(*(close_up(portrait, light=light) for light in lights))


def test_frames_that_show_nothing_are_of_one_shot() -> None:
    rng = np.random.default_rng(0)
    dark = [sketch(rng.integers(0, 4, (HEIGHT, WIDTH)).astype(np.uint8)) for _ in range(2)]
    white = np.full_like(dark[0], 255)
    scene = sketch(np.kron(rng.integers(0, 256, (6, 8)), np.ones((80, 80))).astype(np.uint8))
    assert not is_cut(*dark) and not is_cut(dark[0], np.zeros_like(white)) and not is_cut(white, dark[0])
    assert is_cut(dark[0], scene) and is_cut(scene, white)
