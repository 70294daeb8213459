"""The specification of a sweep: a TOML file of settings to vary, turned into a list of settings.

    model = "main_clnf_general.txt"       # left out: that of $JAXCLNF_MODEL, or the one that ships
    datasets = ["lfpw_train", "helen_train"]
    held_back = 0.1                       # only faces that the model did not learn from; if it does not say
                                          # which, this share, as `jaxclnf train` holds it back; left out: any
    faces = 200                           # drawn by the seed; left out: all
    seed = 0
    search = "grid"                       # or random, halving
    count = 100                           # settings that random and halving draw
    base = "model"                        # what is not varied: the model's own settings, or a preset's:
                                          # default, best, fast, openface, openface-wild, openface2

    [vary]
    windows = [[11, 9, 7], [15, 11, 9]]   # static: compiled anew for each
    reg_factor = [10, 20, 40]             # of every stage
    "parts.inner.vote" = [0, 1]           # of a part
    "sigma.2" = { low = 0.8, high = 2.0 } # of stage 2; a range is for random and halving
    start_rotations = [[[0, 0, 0]], [[0, 0, 0], [0, 30, 0], [0, -30, 0]]]   # degrees

Paths are relative to the specification's folder.
"""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from jaxclnf.config import FitConfig, from_plain, is_static
from jaxclnf.config import setting as value_of
from jaxclnf.fitting.suited_settings import check_config, unread_settings
from jaxclnf.media.text_files import read_text
from jaxclnf.models.preset_settings import PRESETS, preset_settings
from jaxclnf.regular_files import no_file
from jaxclnf.types import Model

BASES = ("model", *PRESETS)
MOST_SETTINGS = 10_000
"""Limit of a sweep's settings, beyond which it would never end."""

_LARGEST = 1e30  # end of a range: float32 holds it, and the range's width

Setting = dict[str, Any]
"""Values by the names of a specification's ``[vary]``, fit for JSON."""


def _known_base(base: str) -> str:
    if base not in BASES:
        raise ValueError(f"expected one of {', '.join(BASES)}")
    return base


@dataclass(frozen=True, config=ConfigDict(strict=True))
class Spec:
    """A sweep: the settings to try, and the faces to try them on."""

    datasets: tuple[Path, ...]
    settings: tuple[Setting, ...]
    base: Annotated[str, AfterValidator(_known_base)] = "model"
    model: str | None = None
    faces: Annotated[int, Field(ge=1)] | None = None
    held_back: Annotated[float, Field(gt=0, lt=1)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    search: Literal["grid", "random", "halving"] = "grid"
    # number of settings that random and halving draw
    count: Annotated[int, Field(ge=1)] = 100
    # number of faces on which every setting of a halving search is tried
    first_faces: Annotated[int, Field(ge=1)] = 25
    # one in so many settings goes on, to so many times the faces
    factor: Annotated[int, Field(ge=2)] = 3

    def base_config(self, model: Model) -> FitConfig:
        """Give the settings that are varied; raises ValueError for a preset that the model does not have."""
        return model.settings if self.base == "model" else preset_settings(model, self.base)

    def rungs(self, n_faces: int) -> list[int]:
        """List the numbers of faces after which a halving search drops settings; the last is all of them."""
        rungs = [n_faces]
        if self.search == "halving":
            n = self.first_faces
            rungs = []
            while n < n_faces:
                rungs.append(n)
                n *= self.factor
            rungs.append(n_faces)
        return rungs


def read_spec(path: Path) -> Spec:
    """Read a specification; raises ValueError if it is wrong. `check_settings` tries it on a model."""
    if problem := no_file(path):
        raise ValueError(f"{path} {problem}; give a TOML file of settings to try")
    try:
        table = tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    try:
        vary, spec = table.pop("vary", None), _read_options(table, path.parent)
        if not spec.datasets or not vary or not isinstance(vary, dict):
            raise ValueError("a sweep needs datasets and a table [vary] of settings")
        settings = _draw(vary, spec)
    except ValidationError as error:
        raise ValueError(f"{path}: {_sentence(error)}") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
    return replace(spec, settings=tuple(settings))


def check_settings(spec: Spec, model: Model) -> None:
    """Raise ValueError if one of a sweep's settings has a name or value that the model's fits do not have."""
    base = spec.base_config(model)
    try:
        for setting in spec.settings:
            check_config(model, configure(base, setting))
    except (ValueError, TypeError) as error:
        raise ValueError(f"[vary]: {error}") from None


def unread_by_all(spec: Spec, model: Model) -> list[str]:
    """List what is varied though no fit of the sweep reads it."""
    base, names = spec.base_config(model), list(spec.settings[0])
    for setting in spec.settings:
        if not names:
            break
        names = unread_settings(model, configure(base, setting), names)
    return names


def _read_options(table: Mapping[str, Any], folder: Path) -> Spec:
    """Read everything but the settings to vary."""
    known = {f.name for f in fields(Spec)} - {"settings"}
    if unknown := next((name for name in table if name not in known), None):
        options = ", ".join(sorted({*known, "vary"}))
        raise ValueError(f"{unknown!r} is not an option of sweeps; options are {options}")
    datasets = table.get("datasets", [])
    if isinstance(datasets, list):
        datasets = tuple(folder / str(name) for name in datasets)
    spec = Spec(**{**table, "datasets": datasets, "settings": ()})
    if not spec.model:
        return replace(spec, model=None)
    local = folder / spec.model
    return replace(spec, model=str(local)) if local.exists() else spec


def _sentence(error: ValidationError) -> str:
    """Say what the first wrong option is, and what was expected."""
    first = error.errors()[0]
    expected = first["msg"].replace("Value error, ", "").replace("Input should be", "expected")
    return f"{first['loc'][0]} = {first['input']!r:.200}, {expected.replace('a valid tuple', 'a list')}"


def _draw(vary: Mapping[str, Any], spec: Spec) -> list[Setting]:
    """List every combination of values, or draw as many as the specification says by its seed."""
    count = spec.count
    if spec.search == "grid":
        if ranges := [name for name, values in vary.items() if not isinstance(values, list)]:
            raise ValueError(f"{ranges[0]} is not a list; a range is for search = 'random' or 'halving'")
        if empty := [name for name, values in vary.items() if not values]:
            raise ValueError(f"{empty[0]} = [], expected at least one value")
        vary = {name: [v for i, v in enumerate(each) if v not in each[:i]] for name, each in vary.items()}
        count = math.prod(map(len, vary.values()))
    if count > MOST_SETTINGS:
        raise ValueError(
            f"{count:,} settings, expected at most {MOST_SETTINGS:,}; search = 'random' draws some of them"
        )
    if spec.search == "grid":
        return [dict(zip(vary, row, strict=True)) for row in itertools.product(*vary.values())]
    rng = np.random.default_rng(spec.seed)
    drawn = [{name: _one(name, values, rng) for name, values in vary.items()} for _ in range(count)]
    return [s for i, s in enumerate(drawn) if s not in drawn[:i]]


def _one(name: str, values: Any, rng: np.random.Generator) -> Any:
    if isinstance(values, list) and values:
        return values[rng.integers(len(values))]
    low, high, by_ratio = _range(name, values)
    drawn = np.exp(rng.uniform(np.log(low), np.log(high))) if by_ratio else rng.uniform(low, high)
    rounded = round(float(drawn), _decimals(low if by_ratio else high - low))
    return min(max(rounded, float(low)), float(high))


def _decimals(finest: float) -> int:
    """Choose the decimals of values drawn from a range by its width, or by its low end if drawn by ratio.

    Six of them, unless that leaves a few values of the range, or of its low end: then as many as give six
    digits. A sweep goes on only if it draws what it drew when it began, so others keep six for those under
    way.
    """
    return 6 if finest == 0 or finest >= 1e-4 else 5 - math.floor(math.log10(finest))


def _range(name: str, values: Any) -> tuple[float, float, bool]:
    """Read a range's ends, and whether it is drawn from by the logarithm."""
    if not isinstance(values, dict) or not {"low", "high"} <= set(values) <= {"low", "high", "log"}:
        raise ValueError(f"{name} = {values!r:.200}, expected a list or {{ low = …, high = …, log = true }}")
    low, high, by_ratio = values["low"], values["high"], values.get("log", False)
    if not all(type(end) in (int, float) and abs(end) < _LARGEST for end in (low, high)) or low > high:
        raise ValueError(f"{name} = {values!r:.200}, expected low and high to be finite numbers in order")
    if not isinstance(by_ratio, bool):
        raise ValueError(f"{name} = {values!r:.200}, expected log to be true or false")
    if by_ratio and low <= 0:
        raise ValueError(f"{name} = {values!r:.200}, expected low above 0, of which there is a logarithm")
    return low, high, by_ratio


def configure(base: FitConfig, setting: Setting) -> FitConfig:
    """Change settings of a fit, ``base``; raises ValueError for a name or value that no setting has."""
    return base.changed({name: from_plain(name, value) for name, value in setting.items()})


def static_part(setting: Setting) -> Setting:
    """Select what needs a compiled program of its own: static values, and the sizes of the others."""
    return {
        name: value if is_static(name) else f"{len(value)} values"
        for name, value in setting.items()
        if is_static(name) or isinstance(value, list)
    }


def changed_values(config: FitConfig, setting: Setting) -> dict[str, np.ndarray]:
    """Collect the arrays that a setting changes, as `jaxclnf.fit_settings` takes them."""
    return {name: np.asarray(value_of(config, name)) for name in setting if not is_static(name)}
