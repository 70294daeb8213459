"""The settings of the training of patch experts: scales, sizes, number of steps, learning rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jaxclnf.config import FitConfig, Stage
from jaxclnf.models.sigma import MAX_WINDOW
from jaxclnf.models.stored_experts import MAX_SCALE, MAX_SUPPORT, MIN_SCALE


@dataclass(frozen=True)
class Recipe:
    """Settings of the training of the PDM and the patch experts; the defaults made those of the model that
    ships, but for the number of steps in which they learned further (its card).

    A round teaches the scales in turn, coarse to fine, each from where the fit on the scale before it
    ends. The first round learns response maps; later ones also the landmark error after the stage's
    own iterations, through which the gradient runs.
    """

    modes: int = 0  # of the PDM; 0: half as many as landmarks, and no more than faces to learn from
    scales: tuple[float, ...] = (0.25, 0.35, 0.5, 0.75)  # pixels per model unit
    windows: tuple[int, ...] = (13, 13, 11, 11)
    support: int = 11  # pixels a side
    neurons: int = 32
    yaws: tuple[float, ...] = (25.0,)  # degrees, of the views beside the frontal one, to one side
    edges: bool = True
    iterations: int = 5  # rigid, then as many of all parameters
    sigmas: tuple[float, ...] = (1.5, 1.5, 1.5, 1.5)  # of the mean-shift kernel, reference pixels
    reg_factors: tuple[float, ...] = (25.0, 20.0, 15.0, 10.0)
    start_yaws: tuple[float, ...] = (0.0, -30.0, 30.0)  # degrees, of a fit's start rotations
    steps: tuple[int, ...] = (1500, 700)  # of each round, a scale
    rates: tuple[float, ...] = (0.02, 0.006)  # learning rate at the start of each round
    batch: int = 32  # faces of a view in a step
    target_width: float = 1.0  # of the response asked for at the true position, reference pixels
    error_weight: float = 2.0  # of the landmark error (model units) beside the maps' cross-entropy
    warped: int = 3  # copies of each photo, where experts learn further from a network's ends ...
    further_steps: int = 5000  # ... in so many steps ...
    further_rate: float = 0.005  # ... at this learning rate at first
    held_back: float = 0.1  # share of the photos used to measure, not to learn
    seed: int = 0

    def __post_init__(self) -> None:
        stages = [len(v) for v in (self.scales, self.windows, self.sigmas, self.reg_factors)]
        if len(set(stages)) != 1 or not self.scales:
            raise ValueError(
                "scales, windows, sigmas and reg_factors must have one entry for each scale; "
                "got {}, {}, {} and {} entries".format(*stages)
            )
        if len(self.steps) != len(self.rates) or not self.steps:
            raise ValueError(
                "steps and rates must have one entry for each round; "
                f"got {len(self.steps)} and {len(self.rates)} entries"
            )
        if any(w % 2 == 0 or w < 3 for w in (*self.windows, self.support)):
            raise ValueError("windows and support must be odd numbers of pixels, at least 3")
        counts = self.neurons, self.batch, self.iterations, self.further_steps, *self.steps
        if min(counts) < 1 or 0.0 in self.yaws:
            raise ValueError("neurons, batch, iterations and steps must be at least 1, and yaws not 0")
        above_0 = *self.scales, *self.sigmas, *self.rates, self.target_width, self.further_rate
        if not all(0 < value < np.inf for value in above_0):
            raise ValueError(
                "scales, sigmas, rates, target_width and further_rate must be finite and above 0"
            )
        at_least_0 = *self.reg_factors, self.error_weight, self.warped, self.seed
        if not all(0 <= value < np.inf for value in at_least_0):
            raise ValueError("reg_factors, error_weight, warped and the seed must be finite and at least 0")
        if not np.isfinite([*self.yaws, *self.start_yaws]).all() or not self.start_yaws:
            raise ValueError("yaws and start_yaws must be finite, and there must be a start")
        if self.modes < 0:
            raise ValueError("modes must be at least 1, or 0 for as many as landmarks and faces allow")
        self._check_can_be_opened()

    def _check_can_be_opened(self) -> None:
        """Raise ValueError for sizes that the file of a model may not have, before hours of learning."""
        if self.edges and max(self.windows) > MAX_WINDOW:
            raise ValueError(
                f"windows={','.join(map(str, self.windows))}: with edge terms they are at most {MAX_WINDOW} "
                "pixels; choose smaller ones, or edges=false"
            )
        if self.support > MAX_SUPPORT:
            raise ValueError(f"support={self.support}: expected at most {MAX_SUPPORT} pixels")
        if not all(MIN_SCALE <= scale <= MAX_SCALE for scale in self.scales):
            raise ValueError(
                f"scales={','.join(f'{scale:g}' for scale in self.scales)}: expected {MIN_SCALE:g} to "
                f"{MAX_SCALE:g} pixels per model unit"
            )

    @property
    def n_steps(self) -> int:
        """Count the steps of the whole run."""
        return sum(self.steps) * len(self.scales)

    def fit_config(self) -> FitConfig:
        """The fit that the experts are trained for."""
        starts = np.zeros((len(self.start_yaws), 3), np.float32)
        starts[:, 1] = np.radians(self.start_yaws)
        columns = zip(self.windows, self.reg_factors, self.sigmas, strict=True)
        stages = [
            Stage(window, i, self.iterations, keep=1 if i else None, reg_factor=reg, sigma=sigma)
            for i, (window, reg, sigma) in enumerate(columns)
        ]
        return FitConfig(stages=tuple(stages), start_rotations=starts, parts={})
