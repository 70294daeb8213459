"""The settings of a fit as programs use them: their defaults, presets, names and descriptions together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, Self

from jaxclnf.config.described import description, from_description
from jaxclnf.config.fields import settings
from jaxclnf.config.presets import Presets
from jaxclnf.config.setting_names import changed
from jaxclnf.config.settings import Stage

_SMALL_WINDOWS = {1: 9, 2: 7, 3: 5}  # by scale


def _parts() -> dict[str, FitConfig]:
    stage = Stage(window=9, scale=0, reg_factor=0.5, sigma=1.5, weight_factor=2.5)
    return {"inner": FitConfig.part((stage,), scale_margin=0.5, vote=1)}


@settings
class FitConfig(Presets):
    """Settings of a fit: its stages, and what holds for all of them.

    Changing a static setting compiles anew; changing any other does not. The default is the best that
    experiments/20_settings found for OpenFace's general model at no more than three times the cost of
    OpenFace's own default. A fit without settings takes those of its model, which fit best
    where it has networks, as the one that ships; `jaxclnf.preset_settings` gives its presets, "best" and
    "fast".
    """

    # settings of the parts (inner face, eyes) to fit after the whole, by name; a model may lack some
    parts: dict[str, FitConfig] = field(default_factory=_parts)

    @classmethod
    def from_description(cls, told: dict[str, Any]) -> Self:
        """Read settings that `described` gave; raises ValueError for values that no setting can have."""
        return from_description(cls, told)

    def described(self) -> dict[str, Any]:
        """Describe the settings in JSON's types, for `from_description`."""
        return description(self)

    def changed(self, changes: Mapping[str, Any] | None = None, /, **more: Any) -> Self:
        """Change settings by name: ``config.changed({"sigma.2": 1.2}, iterations=10)``.

        The names are those of `jaxclnf.config.setting_names`. Raises ValueError for an unknown name and for
        a value that the setting cannot have.
        """
        return changed(self, {**changes, **more} if isinstance(changes, Mapping) else changes or more)

    def with_eyes(self) -> Self:
        """Add settings of the eyes' own models, which gaze needs.

        Unless settings already name the eyes (as OpenFace's may), the face's landmarks stay as they are.
        Faces on photos keep the pixels that the eyes' finer scale asks for.
        """
        resolution = max(self.resolution, 1.8) if self.resolution else 0.0
        return replace(self, parts=self.eyes() | self.parts, resolution=resolution)

    def tracking(self) -> Self:
        """Change the settings to go on from a face's last place: OpenFace's small window on each scale.

        Stages on the coarsest scale are left out, unless there are no others. A network needs the same look
        at a face wherever it was last: with one, all stages stay.
        """
        if any(stage.window is None for stage in self.stages):
            return self
        small = tuple(
            replace(stage, window=_SMALL_WINDOWS.get(stage.scale, stage.window)) for stage in self.stages
        )
        left_out = (0, 3) if self.as_openface2 else (0,)
        finer = tuple(stage for stage in small if stage.scale not in left_out) or small
        return replace(self, stages=(replace(finer[0], keep=None), *finer[1:]))
