"""What the command line says of clusters before any work is done."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from command_line import runner


@pytest.fixture
def run(monkeypatch, capfd, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capfd)


def test_without_ray_one_sentence_names_the_extra(run, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    outcome = run("fit", "photos", "--cluster", "local")
    assert outcome.status == 1
    assert outcome.err == (
        "jaxclnf: --cluster needs the package ray, which is not installed: pip install 'jaxclnf[cluster]'\n"
    )


def test_crops_are_not_made_on_a_cluster(run) -> None:
    outcome = run("fit", "photos", "--cluster", "local", "--crops", 112)
    assert outcome.status == 1 and outcome.err.startswith("jaxclnf: --crops has no effect on a cluster")
