"""``jaxclnf models``: OpenFace's models, installed with consent to their licence, and detectors."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

models = typer.Typer(help="OpenFace's models: install them, see what is there.", no_args_is_help=True)


class What(StrEnum):
    """There is to install."""

    openface = "openface"
    cen = "cen"
    yunet = "yunet"


@models.command("install")
def install_command(
    what: Annotated[
        What, typer.Argument(help="OpenFace's models, its CEN experts too, or the face detector YuNet.")
    ] = What.openface,
    accept_license: Annotated[
        bool,
        typer.Option(
            "--accept-license",
            envvar="OPENFACE_MODELS_ACCEPT_LICENSE",
            help="Accept OpenFace's licence without being asked.",
        ),
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="A folder with OpenFace or its model files, in place of the network."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(envvar="OPENFACE_MODELS_URL", help="A mirror of OpenFace's repository."),
    ] = None,
) -> None:
    """Fetch OpenFace's models (27 MB), check and convert them; or the face detector YuNet (230 kB, MIT).

    cen adds the model that OpenFace 2 fits by default (430 MB), openface-ceclm. OpenFace's models are for
    non-commercial research only. They are kept in the user's data folder or in
    $OPENFACE_MODELS_DIR; what a broken download left is used by the next.
    """
    from rich.progress import DownloadColumn, Progress, TimeRemainingColumn

    from jaxclnf.models import install as installer

    if what is What.yunet:
        _install_yunet(source)
        return
    manifest = installer.read_cen_manifest() if what is What.cen else installer.read_manifest()
    manifest = manifest.from_one_place() if base_url else manifest
    if source is None:
        fetch = installer.from_server(base_url or manifest.base_url)
    else:
        fetch = installer.from_folder(source)
    typer.echo(installer.licence_text(manifest, fetch))
    if not accept_license and not typer.confirm("Do you accept this licence?"):
        raise ValueError("OpenFace's licence was not accepted, so its models were not installed")
    columns = (*Progress.get_default_columns()[:2], DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("OpenFace's models", total=manifest.size)
        paths = installer.install(manifest, fetch, lambda n: bar.advance(task, n))
    for name, path in paths.items():
        typer.echo(f"{name}  {path}")


def _install_yunet(source: Path | None) -> None:
    from jaxclnf.models import install as installer
    from jaxclnf.models.detectors import YUNET_URL, install_yunet

    fetch = installer.from_server(YUNET_URL) if source is None else installer.from_folder(source)
    path, licence = install_yunet(fetch)
    typer.echo(f"{licence}\nyunet  {path}")


@models.command("list")
def list_models() -> None:
    """Tell which models are there, and their names for --model."""
    from jaxclnf.models import install as installer
    from jaxclnf.models.storage import packaged

    manifests = {"": installer.read_manifest(), " cen": installer.read_cen_manifest()}
    try:
        typer.echo(f"(default)  {packaged('model.npz')}")
    except ValueError:
        typer.echo("(default)  none ships with this version")
    for what, manifest in manifests.items():
        there = installer.installed(manifest)
        for name in manifest.models:
            typer.echo(f"{name}  {there.get(name, f'not installed: jaxclnf models install{what}')}")
