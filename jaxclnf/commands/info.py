"""``jaxclnf info``: what a report of a mistake should say of an installation."""

from __future__ import annotations

import typer


def info() -> None:
    """Say which versions, devices, native code, model and folders are in use: for reports of mistakes."""
    for name, value in facts().items():
        typer.echo(f"{name:<12}{value}")


def facts() -> dict[str, str]:
    """What there is to say, by name."""
    import os
    import platform
    from importlib.metadata import version

    import jax
    import numpy as np
    from platformdirs import user_cache_path

    import jaxclnf
    from jaxclnf import native
    from jaxclnf.models.storage import packaged

    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return {
        "jaxclnf": jaxclnf.__version__,
        "python": python,
        "jax": f"{jax.__version__}, jaxlib {version('jaxlib')}, numpy {np.__version__}",
        "devices": ", ".join(map(str, jax.devices())),
        "native code": f"no: {native.missing()}" if native.missing() else "yes",
        "model": os.environ.get("JAXCLNF_MODEL") or str(packaged("model.npz")),
        "cache": os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(user_cache_path("jaxclnf") / "compiled"),
    }
