"""``jaxclnf models``: OpenFace's models, installed with consent to their licence, and detectors."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaxclnf.commands.registration import add_command

if TYPE_CHECKING:
    from jaxclnf.models.manifest import Fetch

models = typer.Typer(
    help="Install OpenFace's models or the face detector YuNet; list the models.", no_args_is_help=True
)


class What(StrEnum):
    """Things to install."""

    openface = "openface"
    cen = "cen"
    yunet = "yunet"


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
    $OPENFACE_MODELS_DIR; a broken download goes on where it ended.
    """
    from rich.progress import DownloadColumn, Progress, TimeRemainingColumn

    from jaxclnf.models.install import install, licence_text
    from jaxclnf.models.manifest import read_cen_manifest, read_manifest

    if what is What.yunet:
        _install_yunet(source)
        return
    manifest = read_cen_manifest() if what is What.cen else read_manifest()
    manifest = manifest.from_one_place() if base_url else manifest
    fetch = _fetch(source, base_url or manifest.base_url)
    typer.echo(licence_text(manifest, fetch))
    if not accept_license and not typer.confirm("Do you accept this licence?"):
        raise ValueError("OpenFace's licence was not accepted, so its models were not installed")
    columns = (*Progress.get_default_columns()[:2], DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("OpenFace's models", total=manifest.size)
        paths = install(manifest, fetch, lambda n: bar.advance(task, n))
    for name, path in paths.items():
        typer.echo(f"{name}  {path}")


def _fetch(source: Path | None, url: str) -> Fetch:
    """Take files from a folder, or without one from a server."""
    from jaxclnf.models.download import from_server
    from jaxclnf.models.fetch import from_folder

    return from_server(url) if source is None else from_folder(source)


def _install_yunet(source: Path | None) -> None:
    from jaxclnf.models.detector_weights import YUNET_URL, install_yunet

    path, licence = install_yunet(_fetch(source, YUNET_URL))
    typer.echo(f"{licence}\nyunet  {path}")


def list_models() -> None:
    """List the models that are installed, with their names for --model."""
    from jaxclnf.models.install import installed
    from jaxclnf.models.manifest import read_cen_manifest, read_manifest
    from jaxclnf.models.storage import packaged

    manifests = {"": read_manifest(), " cen": read_cen_manifest()}
    try:
        typer.echo(f"(default)  {packaged('model.npz')}")
    except ValueError:
        typer.echo("(default)  none ships with this version")
    for what, manifest in manifests.items():
        there = installed(manifest)
        for name in manifest.models:
            typer.echo(f"{name}  {there.get(name, f'not installed: jaxclnf models install{what}')}")


add_command(models, install_command, "install")
add_command(models, list_models, "list")
