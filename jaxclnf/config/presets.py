"""Settings that belong together, by name. A new preset is a function here and a word in ``PRESETS``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jaxclnf.config.settings import FitConfig, Stage, degrees

# Heads on photos nod a little; few are turned further than these starts lead to.
_MORE_YAWS = ((0, 15, 0), (0, -15, 0), (20, -35, 0), (20, 35, 0), (0, 50, 0), (0, -50, 0))
_NODS_AND_ROLLS = ((-10, 0, 0), (25, 0, 0), (10, 0, 20), (10, 0, -20), (5, 0, 35), (5, 0, -35))

# OpenFace adapts its settings to a scale by L = log2(patch_scale / 0.25) of its four usual scales.
_OPENFACE_LEVELS = np.log2(np.array([0.25, 0.35, 0.5, 1.0]) / 0.25)
_OPENFACE_STARTS = np.pi / 6 * np.array([[0, 0, 0], [0, 1, 0], [0, -1, 0], [1, 0, 0], [-1, 0, 0.0]])
_OPENFACE2_LEVELS = np.minimum(_OPENFACE_LEVELS, 1)  # the fourth scale counts as the third
_OPENFACE2_STARTS = np.array(
    [
        *[(0, yaw, 0) for yaw in (0, -0.5236, 0.5236, -0.96, 0.96)],
        *[(0, 0, roll) for roll in (0.5236, -0.5236)],
        *[(0, yaw, 0) for yaw in (-1.57, 1.57)],
        *[(0, -1.22, 0.698), (0, 1.22, -0.698)],
    ],
    np.float32,
)
_SMALL_WINDOWS = {1: 9, 2: 7, 3: 5}  # by scale


def best() -> FitConfig:
    """Give the settings found most accurate with OpenFace's general model, whatever they cost.

    Fifteen starts go to the end on maps between views, each with the inner face fitted on its finer
    scale, on small faces too; their landmarks are averaged by how likely maps, inner face and shape
    make them.
    """
    inner = (
        Stage(window=9, scale=0, reg_factor=2.5, sigma=1.75, weight_factor=2.5, between_views=True),
        Stage(window=9, scale=0, reg_factor=0.5, sigma=1.5, weight_factor=2.5, between_views=True),
    )
    usual = FitConfig().start_rotations
    return FitConfig(
        stages=(
            Stage(window=13, scale=0, reg_factor=15, sigma=1.6),
            Stage(window=11, scale=1, reg_factor=10, sigma=1.4, between_views=True),
            Stage(window=9, scale=1, reg_factor=10, sigma=1.4, between_views=True),
            Stage(window=9, scale=2, reg_factor=5, sigma=1.25, between_views=True),
            Stage(window=7, scale=2, reg_factor=0.75, sigma=1.15, between_views=True),
        ),
        start_rotations=np.concatenate([usual, degrees(*_MORE_YAWS, *_NODS_AND_ROLLS)]),
        box_correction=np.array([0, 0, 0.1, 0.1], np.float32),
        parts={"inner": FitConfig.part(inner, scale_margin=0.5, vote=1)},
        prior=2,
        temperature=0.08,
    )


def openface(multi_view: bool = False, parts: Sequence[str] = ()) -> FitConfig:
    """Give OpenFace's default settings; ``multi_view`` tries its five start rotations.

    Its programs fit the part "inner" too, and where they look for gaze "left_eye_28", "right_eye_28".
    """
    return FitConfig(
        stages=_openface_stages((11, 9, 7, 5), reg=25.0, sigma=1.5, weight=0.0, iterations=5),
        kernel="grid",
        start_rotations=_OPENFACE_STARTS[: 5 if multi_view else 1].astype(np.float32),
        parts={name: _openface_part(name) for name in parts},
        on_pdm=True,
        resolution=0.0,
    )


def openface_wild(multi_view: bool = False, parts: Sequence[str] = ()) -> FitConfig:
    """Give OpenFace's settings for photos in the wild (its ``-wild`` flag); more as for `openface`."""
    stages = _openface_stages((15, 13, 11, 9), reg=35.0, sigma=1.25, weight=2.5, iterations=10)
    return replace(openface(multi_view, parts), stages=stages)


def openface2(
    multi_view: bool = False,
    parts: Sequence[str] = ("left_eye_28", "right_eye_28"),
    wild: bool = False,
    cen: bool = False,
) -> FitConfig:
    """Give OpenFace 2's settings; ``multi_view`` tries its eleven start rotations, ``wild`` is its ``-wild``.

    ``cen`` are those of its default model, main_ceclm_general, of whose starts one is good enough after the
    first stage or the best three go on; else those for CCNF experts. Its programs fit whatever parts a model
    has.
    """
    windows = (15, 13, 11, 11) if wild else (11, 9, 7, 5)
    sigma, reg = (1.25, 35.0) if wild else (1.5, 25.0)
    sigma, reg = (1.5 * sigma, 0.9 * reg) if cen else (sigma, reg)
    weight, iterations = (2.5, 10) if wild else (0.0, 5)
    settings = replace(
        openface(parts=parts),
        stages=_openface_stages(windows, reg, sigma, weight, iterations, _OPENFACE2_LEVELS),
        start_rotations=_OPENFACE2_STARTS if multi_view else _OPENFACE2_STARTS[:1],
    )
    if cen:
        first, second, *others = settings.stages
        settings = replace(settings, stages=(first, replace(second, keep=3), *others))
    own = {name: _as_openface2(part) for name, part in settings.parts.items()}
    return replace(_as_openface2(settings), parts=own)


def _as_openface2(config: FitConfig) -> FitConfig:
    """Settings as OpenFace 2 understands them, which does not limit a head's turn."""
    return replace(config, as_openface2=True, turn_limit=100)


def with_eyes(config: FitConfig) -> FitConfig:
    """Add settings of the eyes' own models.

    Unless settings already name the eyes (as OpenFace's may), the face's landmarks stay as they are. Faces on
    photos keep the pixels that the eyes' finer scale asks for.
    """
    eyes = {name: replace(_openface_part(name), merged=False) for name in ("left_eye_28", "right_eye_28")}
    resolution = max(config.resolution, 1.8) if config.resolution else 0.0
    return replace(config, parts=eyes | config.parts, resolution=resolution)


def tracking(config: FitConfig) -> FitConfig:
    """Change settings to go on from a face's last place: see `FitConfig.tracking`.

    A network needs the same look at a face wherever it was last: with one, all stages stay.
    """
    if any(stage.window is None for stage in config.stages):
        return config
    small = tuple(
        replace(stage, window=_SMALL_WINDOWS.get(stage.scale, stage.window)) for stage in config.stages
    )
    left_out = (0, 3) if config.as_openface2 else (0,)
    finer = tuple(stage for stage in small if stage.scale not in left_out) or small
    return replace(config, stages=(replace(finer[0], keep=None), *finer[1:]))


def _openface_stages(
    windows: Sequence[int],
    reg: float,
    sigma: float,
    weight: float,
    iterations: int,
    levels: np.ndarray = _OPENFACE_LEVELS,
) -> tuple[Stage, ...]:
    """Stages on every scale once, with maps of the nearest view."""
    return tuple(
        Stage(
            window=window,
            scale=scale,
            iterations=iterations,
            reg_factor=np.float32(reg - 15 * level if reg > 15 * level else 1e-3),
            sigma=np.float32(sigma + 0.25 * level),
            weight_factor=np.float32(weight * (1 + 2 * level)),
        )
        for scale, (window, level) in enumerate(zip(windows, levels, strict=True))
    )


def _openface_part(name: str) -> FitConfig:
    if name == "inner":
        stages = (Stage(window=9, scale=0, reg_factor=2.5, sigma=1.75, weight_factor=2.5),)
    else:
        eye = {"reg_factor": 0.5, "sigma": 1, "weight_factor": 0}
        stages = (Stage(window=3, scale=0, **eye), Stage(window=5, scale=1, **eye))
    return FitConfig.part(stages, kernel="grid", on_pdm=True, resolution=0.0)


PRESETS = {
    "default": FitConfig,
    "best": best,
    "openface": openface,
    "openface-wild": openface_wild,
    "openface2": openface2,
}
