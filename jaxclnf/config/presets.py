"""Settings that belong together, by name.

A new preset is a method here, a name in `jaxclnf.models.preset_settings`, which says what the name stands for
with which model, and a word in the command line's ``Preset``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from jaxclnf.config.setting_names import part_names
from jaxclnf.config.settings import FitFields, Stage, degrees

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
EYES = ("left_eye_28", "right_eye_28")
"""Names of the parts that are eyes; the one on the left of the image comes first."""


class Presets(FitFields):
    """The settings of a fit with presets: class methods that make settings."""

    @classmethod
    def best(cls) -> Self:
        """Make the settings found most accurate with OpenFace's general model, whatever they cost.

        Fifteen starts go to the end on maps between views, each with the inner face fitted on its finer
        scale, on small faces too; their landmarks are averaged by how likely maps, inner face and shape
        make them.
        """
        inner = (
            Stage(window=9, scale=0, reg_factor=2.5, sigma=1.75, weight_factor=2.5, between_views=True),
            Stage(window=9, scale=0, reg_factor=0.5, sigma=1.5, weight_factor=2.5, between_views=True),
        )
        return cls(
            stages=(
                Stage(window=13, scale=0, reg_factor=15, sigma=1.6),
                Stage(window=11, scale=1, reg_factor=10, sigma=1.4, between_views=True),
                Stage(window=9, scale=1, reg_factor=10, sigma=1.4, between_views=True),
                Stage(window=9, scale=2, reg_factor=5, sigma=1.25, between_views=True),
                Stage(window=7, scale=2, reg_factor=0.75, sigma=1.15, between_views=True),
            ),
            start_rotations=np.concatenate([cls().start_rotations, degrees(*_MORE_YAWS, *_NODS_AND_ROLLS)]),
            box_correction=np.array([0, 0, 0.1, 0.1], np.float32),
            parts={"inner": cls.part(inner, scale_margin=0.5, vote=1)},
            prior=2,
            temperature=0.08,
        )

    @classmethod
    def openface(cls, multi_view: bool = False, parts: Sequence[str] = ()) -> Self:
        """Make OpenFace's default settings; ``multi_view`` tries its five start rotations.

        Its programs fit the part "inner" too, and where they look for gaze "left_eye_28", "right_eye_28".
        """
        return cls(
            stages=_openface_stages((11, 9, 7, 5), reg=25.0, sigma=1.5, weight=0.0, iterations=5),
            kernel="grid",
            start_rotations=_OPENFACE_STARTS[: 5 if multi_view else 1].astype(np.float32),
            parts={name: cls._openface_part(name) for name in part_names(parts)},
            on_pdm=True,
            resolution=0.0,
        )

    @classmethod
    def openface_wild(cls, multi_view: bool = False, parts: Sequence[str] = ()) -> Self:
        """Make OpenFace's settings for photos in the wild (its ``-wild`` flag): see `openface`."""
        stages = _openface_stages((15, 13, 11, 9), reg=35.0, sigma=1.25, weight=2.5, iterations=10)
        return replace(cls.openface(multi_view, parts), stages=stages)

    @classmethod
    def openface2(
        cls, multi_view: bool = False, parts: Sequence[str] = EYES, wild: bool = False, cen: bool = False
    ) -> Self:
        """Make OpenFace 2's settings; ``multi_view`` tries its eleven start rotations.

        ``wild`` stands for its ``-wild`` flag. ``cen`` gives the settings of its default model,
        main_ceclm_general: after the first stage either one start is good enough, or the best three go on.
        Without it they are those for CCNF experts. OpenFace 2's programs fit whatever parts a model has.
        """
        windows = (15, 13, 11, 11) if wild else (11, 9, 7, 5)
        sigma, reg = (1.25, 35.0) if wild else (1.5, 25.0)
        sigma, reg = (1.5 * sigma, 0.9 * reg) if cen else (sigma, reg)
        weight, iterations = (2.5, 10) if wild else (0.0, 5)
        stages = _openface_stages(windows, reg, sigma, weight, iterations, _OPENFACE2_LEVELS)
        if cen:
            stages = (stages[0], replace(stages[1], keep=3), *stages[2:])
        starts = _OPENFACE2_STARTS if multi_view else _OPENFACE2_STARTS[:1]
        settings = replace(cls.openface(parts=parts), stages=stages, start_rotations=starts)
        own = {name: _as_openface2(part) for name, part in settings.parts.items()}
        return replace(_as_openface2(settings), parts=own)

    @classmethod
    def eyes(cls) -> dict[str, Self]:
        """Make the settings of OpenFace's eye models, which leave the face's landmarks as they are."""
        return {name: replace(cls._openface_part(name), merged=False) for name in EYES}

    @classmethod
    def _openface_part(cls, name: str) -> Self:
        if name == "inner":
            stages = (Stage(window=9, scale=0, reg_factor=2.5, sigma=1.75, weight_factor=2.5),)
        else:
            eye = {"reg_factor": 0.5, "sigma": 1, "weight_factor": 0}
            stages = (Stage(window=3, scale=0, **eye), Stage(window=5, scale=1, **eye))
        return cls.part(stages, kernel="grid", on_pdm=True, resolution=0.0)


def _as_openface2(config: Any) -> Any:
    """Settings as OpenFace 2 understands them, which does not limit a head's turn."""
    return replace(config, as_openface2=True, turn_limit=100)


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
