"""Options that several sub-commands have."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import typer


class Preset(StrEnum):
    """Names of presets: see `jaxclnf.config.presets` and, for networks, `jaxclnf.models.network_presets`."""

    default = "default"
    best = "best"
    fast = "fast"
    openface = "openface"
    openface_wild = "openface-wild"
    openface2 = "openface2"


OPENFACES = (Preset.openface, Preset.openface_wild, Preset.openface2)


class Format(StrEnum):
    """Formats of tables, as in `jaxclnf.output.formats`."""

    csv = "csv"
    parquet = "parquet"
    jsonl = "jsonl"


FormatOption = Annotated[Format | None, typer.Option(help="Format of the table; else csv.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        envvar="JAXCLNF_MODEL",
        help="A converted .npz, OpenFace's main_clnf_*.txt or an installed model's name; "
        "by default the model that ships.",
    ),
]
PresetOption = Annotated[Preset, typer.Option(help="Settings that belong together.")]
MultiViewOption = Annotated[
    bool, typer.Option("--multi-view", help="Try OpenFace's five start rotations on each face.")
]
PartsOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Parts of the face to fit after the whole: inner, or with OpenFace's presets "
        "inner,left_eye_28,right_eye_28; 'none' for no parts.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change a setting by name: windows=11,9,7, iterations=10, sigma.0=1.5; see docs/settings.md.",
    ),
]
GazeOption = Annotated[
    bool, typer.Option("--gaze", help="Fit the eyes too: gaze and eye landmarks, with OpenFace's models.")
]
CertaintyOption = Annotated[
    bool,
    typer.Option(
        "--certainty",
        help="Add columns for each landmark: covariance and 90 % radius in pixels, and visibility.",
    ),
]
OpenFaceOption = Annotated[
    Literal["2.2", "2.1"] | None,
    typer.Option(
        "--openface-columns",
        help="Also write tables in openface/, a file each, exactly as this release of OpenFace does.",
    ),
]
ValidatorOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="OpenFace 2's validator_cnn_68.txt, or openface2 for the installed one, judges fits.",
    ),
]
CameraOption = Annotated[
    str | None,
    typer.Option(
        "--camera",
        metavar="FX,FY,CX,CY",
        help="The camera's focal lengths and centre in pixels; by default guessed from the photo's size.",
    ),
]
DetectorOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Face detector: libface, hog (dlib's, which OpenFace uses), yunet or retinaface; "
        "by default hog with OpenFace's presets, else libface.",
    ),
]
