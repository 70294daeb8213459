"""A run of ``jaxclnf train``: what its parts have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jaxclnf.data.datasets import Faces
    from jaxclnf.training.checkpoint import Checkpoint
    from jaxclnf.training.conv.network_recipe import ConvRecipe
    from jaxclnf.training.patch_recipe import Recipe


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
        """Open the checkpoint of a part of the run that is not a network."""
        from jaxclnf.training.checkpoint import Checkpoint

        return Checkpoint(self.checkpoint_file(part), self.identity)
