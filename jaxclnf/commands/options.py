"""Options that several sub-commands have."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer


def check_finite(value: float | None) -> float | None:
    """Refuse infinity and what is no number, which pass every least and largest value."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


class Preset(StrEnum):
    """Names of presets, as in `jaxclnf.models.preset_settings`."""

    default = "default"
    best = "best"
    fast = "fast"
    openface = "openface"
    openface_wild = "openface-wild"
    openface2 = "openface2"


FIT, RESULTS, CLUSTER = "The fit", "Results", "On a cluster"
"""Titles of the panels of options in a command's help; each is as wide as its own names need."""

OPENFACES = (Preset.openface, Preset.openface_wild, Preset.openface2)


class Format(StrEnum):
    """Formats of tables, as in `jaxclnf.output.formats`."""

    csv = "csv"
    parquet = "parquet"
    jsonl = "jsonl"


DatasetsArgument = Annotated[
    list[Path], typer.Argument(help="Folders with photos and points.npz or .pts files.")
]
LandmarksOption = Annotated[
    str | None,
    typer.Option(help="The dataset's landmarks that the model has: 36+39,42+45,30,48-54 (+ averages)."),
]
ModelFileOption = Annotated[Path, typer.Option("--out", "-o", help="The model to write, a .npz.")]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        metavar="NAME", rich_help_panel=RESULTS, help="Format of the table: csv, parquet or jsonl; else csv."
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        envvar="JAXCLNF_MODEL",
        metavar="FILE",
        help="A converted .npz, OpenFace's main_clnf_*.txt or an installed model's name; "
        "by default the model that ships.",
    ),
]
PRESETS = ", ".join(list(Preset)[:-1]) + f" or {Preset.openface2}"
PresetOption = Annotated[
    Preset,
    typer.Option(metavar="NAME", rich_help_panel=FIT, help=f"Settings that belong together: {PRESETS}."),
]
MultiViewOption = Annotated[
    bool,
    typer.Option(
        "--multi-view",
        rich_help_panel=FIT,
        help="Try more start rotations: OpenFace's five, or OpenFace 2's eleven with its settings.",
    ),
]
PartsOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        rich_help_panel=FIT,
        help="Parts of the face to fit after the whole, with commas: inner; with OpenFace's "
        "presets left_eye_28 and right_eye_28, too; 'none' for no parts.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        rich_help_panel=FIT,
        help="Change a setting by name: windows=11,9,7, iterations=10, sigma.0=1.5; see docs/settings.md.",
    ),
]
GazeOption = Annotated[
    bool,
    typer.Option(
        "--gaze",
        rich_help_panel=FIT,
        help="Fit the eyes too: gaze and eye landmarks, with OpenFace's models.",
    ),
]
CertaintyOption = Annotated[
    bool,
    typer.Option(
        "--certainty",
        rich_help_panel=RESULTS,
        help="Add columns for each landmark: covariance and 90 % radius in pixels, and visibility.",
    ),
]
OpenFaceOption = Annotated[
    Literal["2.2", "2.1"] | None,
    typer.Option(
        "--openface-columns",
        rich_help_panel=RESULTS,
        help="Also write tables in openface/, a file each, exactly as this release of OpenFace does.",
    ),
]
ValidatorOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=FIT,
        help="OpenFace 2's validator judges fits: its .txt file, or openface2 for the installed one.",
    ),
]
CameraOption = Annotated[
    str | None,
    typer.Option(
        "--camera",
        metavar="FX,FY,CX,CY",
        rich_help_panel=FIT,
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
ReportOption = Annotated[
    bool | None, typer.Option(rich_help_panel=RESULTS, help="Write report.html; not on a cluster.")
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        rich_help_panel=CLUSTER,
        help="Work on a Ray cluster: local (started here), auto, or HOST:PORT; see on-a-cluster.md in docs.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=1, rich_help_panel=CLUSTER, help="Largest number of workers on the cluster; else one a processor."
    ),
]
ShardOption = Annotated[
    int | None,
    typer.Option(
        min=1, rich_help_panel=CLUSTER, help="Photos that a worker takes at a time, on a cluster; else 200."
    ),
]
GpusOption = Annotated[
    float | None,
    typer.Option(
        "--gpus",
        min=0,
        callback=check_finite,
        rich_help_panel=CLUSTER,
        help="GPUs of each worker that fits, on a cluster: 1, 0.25, ...",
    ),
]
ReadersOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        rich_help_panel=CLUSTER,
        help="Workers on a cluster that only read photos and find faces for the others.",
    ),
]
