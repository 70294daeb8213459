"""The key of a stored program beside its arguments: versions, sources, processor, JAX's settings."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import time
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any
from uuid import uuid4

import jax
import numpy as np

from jaxclnf import native
from jaxclnf.cores import n_here

_PACKAGE = Path(__file__).resolve().parents[1]
_CODE = (".py", ".so")
_TELLING = re.compile(r"^(?:model name|flags|Features|CPU part)\s*:.*$", re.MULTILINE)
_IMPORTED = time.time()
_HEAD = 8192  # bytes of /proc/cpuinfo, enough to describe the first processor


def machine_key() -> str:
    """Describe versions, device and settings in a text that is equal wherever a stored program can run."""
    client = jax.devices()[0].client
    versions = platform.python_version(), jax.__version__, metadata.version("jaxlib"), np.__version__
    device = client.platform, client.platform_version, processor(), os.environ.get("XLA_FLAGS")
    return repr((versions, device, sources(), native.available(), _settings()))


@cache
def sources() -> str:
    """Compute a digest of the package's code; if that has changed under this process, one of its own.

    What an upgrade or an editor has written meanwhile is not what runs here: nobody may find its programs.
    """
    digest, changed = hashlib.sha256(), False
    for path in sorted(path for path in _PACKAGE.rglob("*") if path.suffix in _CODE):
        content, written = path.read_bytes(), path.stat()
        changed |= max(written.st_mtime, written.st_ctime) > _IMPORTED
        digest.update(f"{path.relative_to(_PACKAGE)} {len(content)}\n".encode())
        digest.update(content)
    if changed:
        digest.update(uuid4().bytes)
    return digest.hexdigest()


@cache
def processor() -> str:
    """Describe the processors that this process may use: their kind, instructions and number."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            told = _TELLING.findall(file.read(_HEAD))
    except OSError:
        told = []
    return f"{platform.machine()} {platform.processor()} {n_here()} {sorted(set(told))}"


def _settings() -> dict[str, Any]:
    """JAX's settings as they hold in this thread, without those of its own cache."""
    config: Any = jax.config
    values = sorted(config.values.items())
    return {name: getattr(config, name, value) for name, value in values if "cache" not in name}
