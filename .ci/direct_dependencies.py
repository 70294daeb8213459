"""Plugin of pytest for `.ci/versions`: prints direct dependencies' releases, fails if none uses one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires, version

import pytest
from packaging.requirements import Requirement

EXTRAS = ("", "train", "cluster", "yunet", "heic")


def direct() -> Iterator[str]:
    """List the packages that jaxclnf and its extras for users name, of this platform and Python."""
    for line in requires("jaxclnf") or ():
        wanted = Requirement(line)
        if wanted.name != "jaxclnf" and _counts(wanted):
            yield _known_as(wanted.name)


def _counts(wanted: Requirement) -> bool:
    return wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in EXTRAS)


def _known_as(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    imported = {name.partition(".")[0] for name in sys.modules}
    owners = packages_distributions()
    used = {_known_as(package) for name in imported for package in owners.get(name, ())}
    names = sorted(set(direct()))
    print("\n" + ", ".join(f"{name} {version(name)}" for name in names))
    if unused := [name for name in names if name not in used]:
        print(f"no test has used {', '.join(unused)}: mark one with `releases`")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
