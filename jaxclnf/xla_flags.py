"""A part of XLA that gives wrong numbers, turned off before it is used.

XLA leaves some matrix products on CPUs to YNNPACK. With jaxlib 0.11.2 and 0.12.0 their results depend on
what the process computed before: after fits by a model with networks, landmark likelihoods of OpenFace 2's
models were up to 40 % off, and one face of four was found 22 pixels elsewhere. With 0.10.2 they were right.
"""

from __future__ import annotations

import os

from jaxlib.version import __version_info__ as JAXLIB

FLAG = "xla_cpu_experimental_ynn_fusion_type"
FIRST = (0, 11)
"""The first jaxlib whose YNNPACK is turned off; older ones that do not know the flag would end."""


def without_ynnpack() -> None:
    """Keep XLA from YNNPACK, unless XLA_FLAGS already says what to do with it.

    XLA reads its flags when it computes for the first time; later it is too late.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if FLAG not in flags and JAXLIB >= FIRST:
        os.environ["XLA_FLAGS"] = f"{flags} --{FLAG}=".strip()
