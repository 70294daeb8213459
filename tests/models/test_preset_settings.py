"""Which settings a preset is for which model, and how runs with them are called."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine import synthetic_config, synthetic_model
from openface_files import write_cen_model

from jaxclnf import load_model, preset_settings
from jaxclnf.commands.eval import _run_name
from jaxclnf.config import FitConfig
from jaxclnf.models.network_presets import settings_for
from jaxclnf.models.openface import convert_openface
from jaxclnf.sweeps.spec import Spec, check_settings
from jaxclnf.types import Model, Provenance


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Model]:
    """The model that ships, one of patch experts alone, one as if OpenFace's, and one of CEN experts."""
    own = replace(synthetic_model(np.float32), settings=synthetic_config())
    theirs = replace(own, provenance=Provenance(source="converted from OpenFace's main_clnf_general.txt"))
    cen = convert_openface(write_cen_model(tmp_path_factory.mktemp("cen")))
    return {"shipped": load_model(), "own": own, "openface": theirs, "cen": cen}


def test_best_and_fast_are_what_the_model_has(models) -> None:
    shipped = models["shipped"]
    for name in ("best", "fast"):
        assert preset_settings(shipped, name) == settings_for(shipped, name) != shipped.settings
    assert preset_settings(models["own"], "best") == models["own"].settings
    assert preset_settings(models["openface"], "best") == FitConfig.best()
    for model, name in (("own", "fast"), ("cen", "fast"), ("cen", "best"), ("own", "bset")):
        with pytest.raises(ValueError, match=f"preset '?{name}'?"):
            preset_settings(models[model], name)


@pytest.mark.parametrize(
    ("model", "preset", "starts"),
    [
        ("shipped", "default", 5),
        ("shipped", "best", 5),
        ("shipped", "fast", 5),
        ("own", "best, as default", 5),
        ("openface", "best", 15),
        ("openface", "openface-wild", 5),
        ("openface", "openface2", 11),
        ("cen", "default", 11),
        ("cen", "openface, as openface2", 11),
    ],
)
def test_every_preset_tries_more_starts_and_runs_are_called_what_they_are(
    models, model, preset, starts
) -> None:
    asked = preset.split(",")[0]
    once, often = (preset_settings(models[model], asked, several) for several in (False, True))
    assert len(often.start_rotations) == starts
    assert once == replace(often, start_rotations=once.start_rotations)
    assert _run_name(models[model], asked, often, True) == f"{preset}, {starts} starts"
    assert _run_name(models[model], asked, once, False) == preset


@pytest.mark.parametrize("base", ["model", "default", "best", "fast", "openface"])
def test_a_sweep_starts_from_the_models_preset(models, base) -> None:
    shipped, preset = models["shipped"], "default" if base == "model" else base
    config = preset_settings(shipped, preset)
    last = len(config.stages) - 1
    assert Spec((), (), base=base).base_config(shipped) == config
    check_settings(Spec((), ({f"sigma.{last}": 1},), base=base), shipped)
    with pytest.raises(ValueError, match=f"the number of one of {last + 1} stages"):
        check_settings(Spec((), ({f"sigma.{last + 1}": 1},), base=base), shipped)
