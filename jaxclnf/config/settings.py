"""The settings of a fit, each declared once: its meaning, its default, and the values it may have."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Float

from jaxclnf.config.fields import (
    ABOVE_ZERO,
    ANGLES,
    BOX,
    FLAG,
    MOST,
    NOT_NEGATIVE,
    ONE_OR_EACH,
    SHARE,
    Settings,
    one_of,
    settings,
    static_setting,
    traced_setting,
    whole_number,
    whole_or_none,
)

MAX_WINDOW = 101
"""Pixels; a stage takes memory and time by the square of its window."""


@settings
class Stage(Settings):
    """A stage of a fit: response maps on one scale, then rigid and as many non-rigid steps on them."""

    # side of the response maps, in reference pixels; None for a convolutional expert's, of the whole face
    window: int | None = static_setting(whole_or_none(1, MAX_WINDOW))
    # number of the model's scale; a stage on a scale that the model lacks is left out
    scale: int = static_setting(whole_number(0))
    # most rigid steps, and most non-rigid steps after them
    iterations: int = static_setting(whole_number(1), default=5)
    # whether a head between two views has the response maps of both, each by its nearness
    between_views: bool = static_setting(FLAG, default=False)
    # number of a face's tries, the likeliest so far, that enter the stage; None for all
    keep: int | None = static_setting(whole_or_none(1), default=None)
    # strength of the shape's prior in non-rigid steps
    reg_factor: Float[Any, ""] = traced_setting(NOT_NEGATIVE, default=1)
    # standard deviation of the mean-shift kernel, in reference pixels; a convolutional expert has none
    sigma: Float[Any, ""] = traced_setting(ABOVE_ZERO, default=1.5)
    # factor of the patch confidences as weights of the landmarks; 0 gives all the same weight
    weight_factor: Float[Any, ""] = traced_setting(NOT_NEGATIVE, default=1)
    # share of a landmark's shift that leads to where an earlier convolutional expert saw it
    anchor: Float[Any, ""] = traced_setting(SHARE, default=0)
    # share of what is left of a landmark's shift in the end that it follows off the shape
    freedom: Float[Any, ""] = traced_setting(SHARE, default=0)
    # whether a convolutional expert looks at the mirrored picture too
    mirrored: bool = static_setting(FLAG, default=False)
    # number of pictures, a little turned and sized, whose maps a convolutional expert averages
    looks: int = static_setting(whole_number(1, 16), default=1)


def degrees(*angles: tuple[float, float, float]) -> Any:
    """Convert Euler angles in degrees to start rotations."""
    return np.radians(np.array(angles, np.float32))


def _stages() -> tuple[Stage, ...]:
    return (
        Stage(window=11, scale=0, reg_factor=15, sigma=1.6),
        Stage(window=9, scale=1, reg_factor=10, sigma=1.4, keep=2),
        Stage(window=7, scale=2, reg_factor=5, sigma=1.25, keep=1),
        Stage(window=7, scale=2, reg_factor=0.75, sigma=1.15, keep=1, between_views=True),
    )


@settings
class FitFields(Settings):
    """The fields of `FitConfig`, which adds presets and what one does with settings."""

    # stages, in the order in which a face goes through them
    stages: tuple[Stage, ...] = field(default_factory=_stages)
    # mean-shift kernel: exact, or OpenFace's table ("grid") in steps of 0.1 pixel
    kernel: Literal["exact", "grid"] = static_setting(one_of("exact", "grid"), default="exact")
    # rotations to start from, Euler angles in radians; `temperature` says what becomes of their results
    start_rotations: Float[Any, "n_starts 3"] = traced_setting(
        ANGLES, default_factory=lambda: degrees((10, 0, 0), (10, 25, 0), (10, -25, 0))
    )
    # move of the whole shape, in pixels (2-norm), below which a stage of patch experts ends
    tolerance: Float[Any, ""] = traced_setting(NOT_NEGATIVE, default=0.01)
    # smallest face that is fitted, in pixels per model unit
    min_scale: Float[Any, ""] = traced_setting(NOT_NEGATIVE, default=0.25)
    # share of a scale's pixels per model unit that a face must have; the scale is skipped for smaller ones
    scale_margin: Float[Any, ""] = traced_setting(NOT_NEGATIVE, default=0.9)
    # weights of the landmarks in a step, beside their patch confidences; one for all, or one each
    landmark_weights: Float[Any, "*n_points"] = traced_setting(ONE_OR_EACH, default=1)
    # factors of the prior of the shape's modes, beside their variances; one for all, or one each
    mode_stiffness: Float[Any, "*n_modes"] = traced_setting(ONE_OR_EACH, default=1)
    # shift of boxes in their widths and heights, then logarithms of the factors of width and height
    box_correction: Float[Any, "4"] = traced_setting(BOX, default_factory=lambda: np.zeros(4, np.float32))
    # settings of the parts (inner face, eyes) to fit after the whole, by name; a model may lack some
    parts: dict[str, Self] = field(default_factory=dict)
    # weight of a part's likelihood in the choice among tries; the whole's counts 1
    vote: Float[Any, ""] = traced_setting(NOT_NEGATIVE, default=0)
    # whether landmarks are always those of the whole face's parameters, found by OpenFace's search; if not,
    # a part's landmarks stay where the part was fitted, and those with a `freedom` off the shape
    on_pdm: bool = static_setting(FLAG, default=False)
    # whether pixels are read as OpenFace 2 does (steps of 1/32, 0 beyond the border) and no scale is skipped
    as_openface2: bool = static_setting(FLAG, default=False)
    # largest turn of a head about each axis, radians
    turn_limit: Float[Any, ""] = traced_setting(NOT_NEGATIVE, default=np.pi / 2)
    # whether a part's landmarks take the place of the whole's
    merged: bool = static_setting(FLAG, default=True)
    # most pixels per model unit of a face cut out of a photo, which is reduced to them; 0 for no limit
    resolution: float = static_setting(NOT_NEGATIVE, default=1.25)
    # weight of the shape's prior in the choice among tries: 1 by its probability, 0 for none
    prior: Float[Any, ""] = traced_setting(NOT_NEGATIVE, default=0)
    # 0 keeps a face's likeliest try; above, its last tries are averaged, weighed by exp(score / temperature)
    temperature: float = static_setting(NOT_NEGATIVE, default=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        stages = self.stages if isinstance(self.stages, list | tuple) else ()
        if not stages or not all(isinstance(stage, Stage) for stage in stages):
            raise ValueError(f"stages = {self.stages!r:.200}, expected one Stage or more")
        if len(self.stages) > MOST:
            raise ValueError(f"{len(self.stages)} stages, expected at most {MOST}")
        object.__setattr__(self, "stages", tuple(self.stages))
        if not isinstance(self.parts, dict) or not all(isinstance(p, FitFields) for p in self.parts.values()):
            raise ValueError(
                f"parts = {self.parts!r:.200}, expected settings of parts by their names, or {{}}"
            )
        first, n_starts = self.stages[0].keep, len(self.start_rotations)
        if first is not None and first < n_starts:
            raise ValueError(
                f"keep = {first} of the first stage, expected None or at least the {n_starts} start "
                "rotations: before it no try is likelier than another"
            )

    @classmethod
    def part(cls, stages: tuple[Stage, ...], **changes: Any) -> Self:
        """Make settings of a part: it has one start, which the whole face gives, and no parts of its own."""
        return cls(stages=stages, start_rotations=degrees((0, 0, 0)), parts={}, **changes)

    def stages_on(self, n_scales: int) -> list[tuple[int, Stage]]:
        """List the stages on the scales that a model has, each with its number among all stages."""
        return [(i, stage) for i, stage in enumerate(self.stages) if stage.scale < n_scales]
