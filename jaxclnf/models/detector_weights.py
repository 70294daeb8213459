"""Weights of face detectors that no package ships, fetched from their publishers."""

from __future__ import annotations

import os
from pathlib import Path

from jaxclnf.models.fetch import obtain
from jaxclnf.models.manifest import Fetch, Progress, RemoteFile

YUNET_URL = "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet"
YUNET = RemoteFile(
    "face_detection_yunet_2023mar.onnx",
    232589,
    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
)
YUNET_LICENCE = RemoteFile(
    "LICENSE", 1085, "c83b8120c50ccbd4c4f96edf53141bdd566ebb8f8e9227e415326aa1b1aba958"
)


def detectors_folder() -> Path:
    """Give the folder of the detectors: in the user's data folder, or $JAXCLNF_DETECTORS_DIR."""
    import platformdirs

    chosen = os.environ.get("JAXCLNF_DETECTORS_DIR", "").strip()
    return (
        Path(chosen).expanduser() if chosen else platformdirs.user_data_path("jaxclnf", False) / "detectors"
    )


def install_yunet(fetch: Fetch, progress: Progress = lambda n: None) -> tuple[Path, str]:
    """Fetch YuNet's file, unless it is there; returns its path and its licence's text.

    Raises ValueError or OSError if it cannot be fetched or is not the expected file.
    """
    licence = obtain(detectors_folder() / "yunet", YUNET_LICENCE, fetch, progress)
    return obtain(detectors_folder() / "yunet", YUNET, fetch, progress), licence.read_text(encoding="utf-8")


def yunet_file() -> Path:
    """Find YuNet's file; raises ValueError if it is not installed."""
    path = detectors_folder() / "yunet" / YUNET.path
    if not path.is_file():
        raise ValueError(
            f"YuNet is not installed ({path} is missing): pip install jaxclnf[yunet]; "
            "jaxclnf models install yunet"
        )
    return path
