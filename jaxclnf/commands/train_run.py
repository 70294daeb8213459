"""A run of ``jaxclnf train``: what its parts have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jaxclnf.data.datasets import Faces
    from jaxclnf.training.checkpoint import Checkpoint
    from jaxclnf.training.conv.network_recipe import ConvRecipe
    from jaxclnf.training.patch_recipe import Recipe

PATCHES = "patches"
"""The part of a run in which patch experts learn further."""


class TrainRun(NamedTuple):
    """What a run learns from and by which recipes, its model's file, and what its checkpoints know it by."""

    learned: Faces
    held_back: Faces
    recipe: Recipe
    networks: dict[str, ConvRecipe]
    out: Path
    identity: str

    def checkpoint_file(self, part: str = "") -> Path:
        """Name the file in which a part of the run, a network or the patch experts, is gone on with."""
        from jaxclnf.training.checkpoint import checkpoint_of

        return checkpoint_of(self.out, part)

    def checkpoint(self, part: str = "") -> Checkpoint:
        """Open the checkpoint of a part of the run.

        It is known by all that the part depends on: patch experts learn further from where networks end.
        """
        from jaxclnf.training.checkpoint import Checkpoint
        from jaxclnf.training.conv.network_recipe import run_of

        own = self.identity
        if part in self.networks:
            own = run_of(self.identity, self.networks, part)
        elif part == PATCHES and self.networks:
            own = f"{self.identity} after {self.networks}"
        return Checkpoint(self.checkpoint_file(part), own)
