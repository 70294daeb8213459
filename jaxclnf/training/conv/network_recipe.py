"""The settings of a convolutional expert's training: the network's size, the disturbances, the steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from jaxclnf.models.stored_networks import MAX_SIDE
from jaxclnf.types import PDM, ConvExperts

SAME_SCALE = 1e-3
"""Share by which the scales of two pictures differ at most, if they are the same but for rounding."""


@dataclass(frozen=True)
class ConvRecipe:
    """Settings of a convolutional expert's training; the defaults make that of the model that ships."""

    side: int = 128  # pixels of the picture
    reach: float = 1.5  # side of the picture in longer sides of the mean face's box
    stem: int = 16  # channels at half the picture's sides
    channels: tuple[int, ...] = (32, 64, 96, 128)  # of the levels below, each half the sides
    blocks: tuple[int, ...] = (1, 2, 2, 2)  # residual blocks of each level on the way down
    steps: int = 24_900
    batch: int = 128
    rate: float = 1.5e-3
    decay: float = 2e-3  # of the weights, a step and rate
    average: float = 0.999  # of the weights that are kept, a step
    from_box: float = 0.6  # share of pictures taken from the box; the others lie about the true points
    stretch: float = 0.0  # deviation of the logarithm of how much wider than high a face is made
    warped: int = 0  # copies of each photo, warped and seen by other cameras
    turned: int = 0  # copies of each photo with the head turned to a side
    clean: float = 0.0  # share of pictures that stay as the photo has them
    target_width: float = 2.5  # of the response asked for, pixels of the picture
    distance_weight: float = 0.25  # of the wing loss of the maps' means, beside their cross-entropy
    teacher_weight: float = 0.5  # of a teacher's maps in the target, where there is one
    seed: int = 0

    def __post_init__(self) -> None:
        halves = 2 ** (len(self.channels) + 1)
        if len(self.channels) != len(self.blocks) or len(self.channels) < 2 or self.side % halves:
            raise ValueError(
                f"channels {self.channels} and blocks {self.blocks}: expected as many of both, at least two, "
                f"and a side that can be halved {len(self.channels) + 1} times, not {self.side}"
            )
        if self.side > MAX_SIDE:  # of what a model's file may have
            raise ValueError(f"side={self.side}: expected a picture of at most {MAX_SIDE} pixels a side")
        if min(self.steps, self.batch, self.stem, *self.channels) < 1 or min(self.blocks) < 0:
            raise ValueError("steps, batch, stem and channels must be at least 1, and blocks at least 0")
        if not all(0 < value < np.inf for value in (self.reach, self.rate, self.target_width)):
            raise ValueError("reach, rate and target_width must be finite and above 0")
        copies = self.warped, self.turned, self.seed
        if not all(
            0 <= value < np.inf for value in (self.decay, self.stretch, self.distance_weight, *copies)
        ):
            raise ValueError(
                "decay, stretch, distance_weight, warped, turned and the seed must be finite and at least 0"
            )
        shares = self.average, self.from_box, self.clean, self.teacher_weight
        if not all(0 <= value <= 1 for value in shares) or self.average == 1:
            raise ValueError(
                "from_box, clean and teacher_weight must be from 0 to 1, average from 0 to below 1"
            )

    def patch_scale(self, pdm: PDM) -> float:
        """Compute the picture's pixels per model unit: the mean face's box takes its share of the side."""
        return self.side / (self.reach * float(np.ptp(np.asarray(pdm.mean)[:, :2], axis=0).max()))

    def makes(self, experts: ConvExperts, pdm: PDM) -> bool:
        """Tell whether networks of this recipe have the network's size, and see as much of a face."""
        network = experts.network
        sizes = [(level.enter.bias.size, len(level.blocks)) for level in network.down]
        of_recipe = list(zip(self.channels, self.blocks, strict=True))
        if (network.stem.bias.size, sizes, experts.side) != (self.stem, of_recipe, self.side):
            return False
        return abs(float(experts.patch_scale) / self.patch_scale(pdm) - 1) < SAME_SCALE


def run_of(run: str, recipes: Mapping[str, ConvRecipe], name: str) -> str:
    """Describe a network's part of a run, and the network that teaches it, by which checkpoints are known."""
    first = next(iter(recipes))
    teacher = "" if name == first else f" taught by {first} {recipes[first]}"
    return f"{run} {name} {recipes[name]}{teacher}"


RECIPES = {
    "large": ConvRecipe(stem=32, channels=(64, 112, 160, 192), steps=34_400, decay=5e-3, seed=1),
    "conv": ConvRecipe(),
    "fast": ConvRecipe(channels=(16, 32, 64, 96), blocks=(1, 1, 2, 2), steps=27_100, seed=2),
}
"""Networks by name, in the order in which they learn: the first that is asked for teaches the others."""
