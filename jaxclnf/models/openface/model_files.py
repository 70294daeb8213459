"""OpenFace's model files: texts that name each other and the binary files of patch experts.

``main_clnf_*.txt`` or ``main_ceclm_*.txt`` names a landmark detector and parts; ``clnf_*.txt`` or
``cen_*.txt`` names a PDM (matrices in text) and a binary file of patch experts, CCNF or CEN, for each scale.
The files are not trusted: every count is compared with the bytes that are left before memory is allocated,
and any fault raises a ValueError that names the file, what came and what was expected.

Source: OpenFace 2.2.0 `LandmarkDetectorModel.cpp`, `PDM.cpp`, `Patch_experts.cpp`, `CCNF_patch_expert.cpp`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from jax.typing import DTypeLike

from jaxclnf.config import FitConfig
from jaxclnf.models.known_calibrations import known_calibration
from jaxclnf.models.memory_budget import Budget
from jaxclnf.models.openface.ccnf_files import read_experts
from jaxclnf.models.openface.cen_files import read_cen_experts, read_early_termination
from jaxclnf.models.openface.pdm_files import read_pdm
from jaxclnf.models.openface.untrusted_files import read_openface_text
from jaxclnf.types import Model, Part, Provenance

LICENCE = (
    "OpenFace's licence: academic or non-profit organisation, non-commercial research use only; neither the "
    "model nor what is derived from it may be distributed. "
    "https://github.com/TadasBaltrusaitis/OpenFace/blob/master/OpenFace-license.txt"
)

_SOURCE = "converted from OpenFace's "
_DETECTOR, _PART, _PDM = "LandmarkDetector", "LandmarkDetector_part", "PDM"
_CCNF, _CEN, _EARLY = "PatchesCCNF", "PatchesCEN", "EarlyTermination"
_VALIDATOR = "DetectionValidator"
_UNREAD = ("Triangulations", "FaceDetConversion", _VALIDATOR)
_KEYWORDS = (_DETECTOR, _PART, _PDM, _CCNF, _CEN, _EARLY, *_UNREAD)
_MAX_LINES, _MAX_LENGTH = 16, 2000  # lines with one keyword (scales or parts), characters of a line


def is_openfaces(model: Model) -> bool:
    """Tell whether a model was converted from OpenFace's files."""
    return model.provenance.source.startswith(_SOURCE)


def convert_openface(path: str | Path, dtype: DTypeLike = np.float32) -> Model:
    """Read the model of an OpenFace ``main_*.txt`` or ``clnf_*.txt`` and all the files that it names.

    Arrays are JAX arrays of ``dtype``, float32 or (with jax_enable_x64) float64. Scales come in the file's
    order; the edge components are the last scale's, as in OpenFace; the smoothing matrices are computed in
    float64. Experts with fewer neurons than others are padded with neurons of alpha 0. The models that come
    with OpenFace are recognised, whatever their files are called, and given their calibration; those of CEN
    experts are given OpenFace 2's settings. The triangulation, detector conversion and validator that a file
    names are not read.

    Raises ValueError if a file is missing, damaged or of another kind, or if the files would take more memory
    than their sizes explain.
    """
    path, budget = Path(path), Budget(dtype=dtype)
    whole = _read_detector(path, dtype, budget)
    lines = _read_lines(path, budget)
    parts = [_read_part(path, text, whole, dtype, budget) for word, text in lines if word == _PART]
    model = replace(whole, parts=tuple(parts))
    return replace(model, calibration=known_calibration(model)).astype(dtype)


def named_validator(path: str | Path) -> Path | None:
    """Find the validator that an OpenFace ``main_*.txt`` names, if there is such a file."""
    path = Path(path)
    names = [rest for word, rest in _read_lines(path, Budget()) if word == _VALIDATOR]
    found = path.parent / names[-1] if names else path
    return found if names and found.is_file() else None


def _read_lines(path: Path, budget: Budget) -> list[tuple[str, str]]:
    """Read the lines of a model's text file as (keyword, rest)."""
    text = read_openface_text(path, budget).splitlines()
    if max(map(len, text), default=0) > _MAX_LENGTH:
        raise ValueError(f"{path}: a line of more than {_MAX_LENGTH} characters, expected names of files")
    words = [line.split(maxsplit=1) for line in text]
    lines = [(w[0], w[1].strip() if len(w) > 1 else "") for w in words if w and not w[0].startswith("#")]
    for word, rest in lines:
        if word not in _KEYWORDS:
            raise ValueError(f"{path}: {word[:40]!r} is not a keyword of a CLNF model, expected {_KEYWORDS}")
        if not rest:
            raise ValueError(f"{path}: {word} names no file")
    if any(sum(word == keyword for word, _ in lines) > _MAX_LINES for keyword in _KEYWORDS):
        raise ValueError(f"{path}: one keyword on more than {_MAX_LINES} lines")
    return lines


def _read_detector(path: Path, dtype: DTypeLike, budget: Budget) -> Model:
    """Read a model, without its parts, from a clnf file or the clnf file that a main file names."""
    lines, name = _read_lines(path, budget), path.name
    if any(word == _DETECTOR for word, _ in lines):
        path = path.parent / _only(path, lines, _DETECTOR)
        lines = _read_lines(path, budget)
    pdm = read_pdm(path.parent / _only(path, lines, _PDM), dtype, budget)
    provenance = Provenance(Path(name).stem, _SOURCE + name, LICENCE)
    paths = {word: [path.parent / rest for kind, rest in lines if kind == word] for word in _KEYWORDS}
    if not paths[_CEN]:
        if not paths[_CCNF]:
            raise ValueError(f"{path}: no line {_CCNF} and none {_CEN}, expected one a scale")
        return Model(pdm, read_experts(paths[_CCNF], pdm.n_points, dtype, budget), (), provenance)
    experts = read_cen_experts(paths[_CEN], pdm.n_points, dtype, budget)
    early = None
    if paths[_EARLY]:
        values = path.parent / _only(path, lines, _EARLY)
        early = read_early_termination(values, len(experts[0].visibility), dtype, budget)
    settings = FitConfig.openface2(cen=True)
    return Model(pdm, experts, (), provenance, settings, early_termination=early)


def _only(path: Path, lines: list[tuple[str, str]], keyword: str) -> str:
    values = [rest for word, rest in lines if word == keyword]
    if len(values) != 1:
        raise ValueError(f"{path}: {len(values)} lines {keyword}, expected 1")
    return values[0]


def _read_part(path: Path, text: str, whole: Model, dtype: DTypeLike, budget: Budget) -> Part:
    """Read the part of a line ``LandmarkDetector_part FILE NAME main part main part ...``."""
    file, name, *numbers = [*text.split(), ""] if len(text.split()) == 1 else text.split()
    if (
        not numbers
        or len(numbers) % 2
        or not all(n.isascii() and n.isdecimal() and len(n) < 6 for n in numbers)
    ):
        raise ValueError(f"{path}: {_PART} takes a file, a name and pairs of landmarks, not {text[:80]!r}")
    model = _read_detector(path.parent / file, dtype, budget)
    main, part = tuple(map(int, numbers[::2])), tuple(map(int, numbers[1::2]))
    for points, n_points in ((main, whole.pdm.n_points), (part, model.pdm.n_points)):
        if max(points) >= n_points or len(set(points)) < len(points):
            raise ValueError(
                f"{path}: part {name}: landmarks must differ and be below {n_points}, not {text[:80]!r}"
            )
    return Part(name, main, part, model)
