"""Files of networks that cannot be read, and the package that reads them, where it is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import runner, write_model
from PIL import Image

from jaxclnf.media.detection.onnx_network import read_network
from jaxclnf.models.detector_weights import YUNET


def test_yunet_without_onnx_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    weights = tmp_path / "detectors" / "yunet" / YUNET.path
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"never read")
    monkeypatch.setenv("JAXCLNF_DETECTORS_DIR", str(tmp_path / "detectors"))
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "a.png")
    arguments = tmp_path / "a.png", "--detector", "yunet", "--model", write_model(tmp_path)
    refused = runner(monkeypatch, capfd)("fit", *arguments, "--out", tmp_path / "out")
    assert refused.status == 1
    assert "the detector yunet needs the package onnx" in refused.err
    assert 'pip install "jaxclnf[yunet]"' in refused.err


@pytest.mark.parametrize("damage", ["no output", "short weights", "no graph of steps"])
def test_a_damaged_network_is_named(tmp_path: Path, damage: str) -> None:
    onnx = pytest.importorskip("onnx")
    outputs = [] if damage == "no output" else ["b"]
    weight = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[3], raw_data=bytes(12))
    if damage == "short weights":
        weight.raw_data = bytes(4)
    node = onnx.helper.make_node("Relu", ["input"], outputs)
    path = tmp_path / "network.onnx"
    path.write_bytes(
        onnx.ModelProto(graph=onnx.GraphProto(node=[node], initializer=[weight])).SerializeToString()
    )
    if damage == "no graph of steps":
        path.write_bytes(b"no network")
    with pytest.raises(ValueError, match="is not an ONNX file: .*; install the detector anew"):
        read_network(path)
