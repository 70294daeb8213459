"""``jaxclnf train``: your own model from annotated faces."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxclnf.commands import common

if TYPE_CHECKING:
    from jaxclnf.data.datasets import Faces
    from jaxclnf.training.conv.recipe import ConvRecipe
    from jaxclnf.training.recipe import Recipe
    from jaxclnf.types import PDM, Calibration, Model


def train_command(
    datasets: Annotated[list[Path], typer.Argument(help="Folders with photos and points.npz or .pts files.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model to write, a .npz.")],
    landmarks: Annotated[
        str | None,
        typer.Option(help="The dataset's landmarks to learn: 36+39,42+45,30,48,54 (+ averages)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same model on the same machine.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of Recipe: neurons=16, steps=500,200, ...; of networks: conv.steps=2000, ...",
        ),
    ] = None,
    experts: Annotated[
        str,
        typer.Option(
            help="What to learn, with commas: ccnf (patch experts), conv (a network for the whole face), "
            "large and fast (networks for the presets best and fast). Networks take hours without a GPU."
        ),
    ] = "ccnf",
    name: Annotated[str, typer.Option(help="The model's name, kept in its file.")] = "",
    licence: Annotated[str, typer.Option(help="The terms of its use, kept in its file.")] = "",
) -> None:
    """Learn a PDM and experts from annotated faces; a stopped run goes on where it was.

    Until a run is done its state is beside the model, in MODEL.checkpoint.npz.
    """
    import numpy as np

    from jaxclnf.data.datasets import read_faces
    from jaxclnf.data.markup import parse_groups
    from jaxclnf.models.storage import save_model
    from jaxclnf.training.conv.spread import with_learned_spread
    from jaxclnf.training.conv.train import checkpoints
    from jaxclnf.types import Provenance

    networks = _networks(experts, [text for text in set_ or [] if "." in text.partition("=")[0]], seed)
    recipe = _recipe([text for text in set_ or [] if "." not in text.partition("=")[0]], seed)
    common.check_writable("--out", out, datasets)
    faces = read_faces(datasets)
    typer.echo(faces.summary())
    if landmarks:
        faces = faces.regroup(parse_groups(landmarks))
    learned, held_back = faces.split(recipe.held_back, recipe.seed)
    checkpoint = out.with_suffix(".checkpoint.npz")
    model = _learn(faces, learned, held_back, recipe, checkpoint)
    if networks:
        model = _with_networks(model, learned, networks, out, _identity(faces, recipe))
        model = with_learned_spread(model, held_back) if len(held_back) else model
    source = "jaxclnf train " + " ".join(path.name for path in datasets)
    terms = licence or "after the terms of the training data"
    provenance = Provenance(name or out.stem, source, terms, frozenset(learned.digests))
    model = replace(model, provenance=provenance, calibration=_calibration(model, held_back))
    save_model(model, out, np.float16)
    for path in (checkpoint, *checkpoints(out, networks)):
        path.unlink(missing_ok=True)
    typer.echo(
        f"{out}: {out.stat().st_size / 1e6:.1f} MB, experts of {len(model.experts)} scales and networks"
    )


def _networks(experts: str, settings: list[str], seed: int) -> dict[str, ConvRecipe]:
    """Make the recipes of the networks that are asked for, with the teaching one first."""
    from jaxclnf.training.conv.recipe import RECIPES

    names = [name.strip() for name in experts.split(",")]
    if unknown := [name for name in names if name not in ("ccnf", *RECIPES)]:
        raise ValueError(f"--experts {experts}: {unknown[0]!r} is none of ccnf, {', '.join(RECIPES)}")
    if "ccnf" not in names:
        raise ValueError(f"--experts {experts}: expected ccnf among them, which refine what networks find")
    chosen = {n: replace(r, seed=seed + r.seed) for n, r in RECIPES.items() if n in names}
    for setting in settings:
        (network, _, name), text = setting.partition("=")[0].partition("."), setting.partition("=")[2]
        if network not in chosen or name not in (f.name for f in fields(chosen[network])):
            raise ValueError(
                f"--set {setting}: expected a network of --experts, a dot and one of its settings"
            )
        value = _parse(setting, text, getattr(chosen[network], name))
        chosen[network] = replace(chosen[network], **{name: value})
    return chosen


def _with_networks(
    model: Model, learned: Faces, recipes: dict[str, ConvRecipe], out: Path, run: str
) -> Model:
    """Combine the finest patch experts with the networks, and the settings for both."""
    from jaxclnf.models.presets import settings_for
    from jaxclnf.training.conv.train import train_networks

    with common.progress("steps") as bar:
        lines = {name: bar.add_task(name, total=recipe.steps) for name, recipe in recipes.items()}

        def report(progress) -> None:
            text = f"{progress.name}: loss {progress.loss:.3f}, {progress.distance:.2f} pixels"
            bar.update(lines[progress.name], completed=progress.step, description=text)

        networks = train_networks(learned, model.pdm, recipes, out, run, report)
    model = replace(model, experts=(model.experts[-1], *networks))
    return replace(model, settings=settings_for(model, "default"))


def _calibration(model: Model, held_back: Faces) -> Calibration | None:
    """Calibrate the model on faces that it was not trained on; None if there are too few."""
    from jaxclnf.training.calibrate import fit_calibration

    try:
        if not len(held_back):
            raise ValueError("no faces were held back")
        calibration = fit_calibration(model, held_back)
    except ValueError as error:
        typer.echo(f"How sure its fits are stays unknown: {error}.")
        return None
    typer.echo(f"How sure its fits are was learned on {len(held_back)} faces held back.")
    return calibration


def _learn(faces: Faces, learned: Faces, held_back: Faces, recipe: Recipe, path: Path) -> Model:
    """Learn a model, without name and calibration, from the run's checkpoint on."""
    from jaxclnf.training.checkpoint import Checkpoint
    from jaxclnf.training.learn import Task, train
    from jaxclnf.training.photos import gather

    checkpoint = Checkpoint(path, _identity(faces, recipe))
    with common.progress("steps") as bar:
        pdm = _learn_pdm(learned, bar)
        tests = gather(held_back, pdm, with_mirrored=False) if len(held_back) else None
        task = Task(recipe, pdm, faces.mirror, gather(learned, pdm), tests)
        line = bar.add_task("experts", total=recipe.n_steps)

        def report(progress) -> None:
            losses = f"cross-entropy {progress.cross_entropy:.3f}"
            if progress.error:
                losses += f", error {progress.error:.2f}"
            text = f"round {progress.round + 1}, scale {progress.scale:g}: {losses}"
            bar.update(line, completed=progress.step, description=text)

        note = partial(bar.console.print, soft_wrap=True, highlight=False)
        model = train(task, checkpoint, report, note)
    return model


def _learn_pdm(faces: Faces, bar: Any) -> PDM:
    from jaxclnf.training.pdm import learn_pdm

    line = bar.add_task("point distribution model", total=None)

    def on_step(done: int, total: int) -> None:
        bar.update(line, completed=done, total=total)

    return learn_pdm(faces.points, mirror=faces.mirror, eye_distances=faces.eye_distances, on_step=on_step)


def _identity(faces: Faces, recipe: Recipe) -> str:
    """Describe a run by its settings and its faces, by which its checkpoint is recognised."""
    return f"{recipe} {hashlib.sha256(faces.points.tobytes()).hexdigest()}"


def _recipe(settings: list[str], seed: int) -> Recipe:
    from jaxclnf.training.recipe import Recipe

    recipe = Recipe(seed=seed)
    known = [f.name for f in fields(Recipe)]
    values = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in known:
            raise ValueError(f"--set {setting}: {name!r} is no setting; settings are {', '.join(known)}")
        values[name] = _parse(setting, text, getattr(recipe, name))
    return replace(recipe, **values)


def _parse(setting: str, text: str, old: Any) -> Any:
    """Parse a setting's value, of the type of its default."""
    try:
        if isinstance(old, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(old, tuple):
            return tuple(type(old[0])(part) for part in text.split(",") if part)
        return type(old)(text)
    except (ValueError, KeyError):
        raise ValueError(f"--set {setting}: expected a value like {old}") from None
