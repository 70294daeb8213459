"""Commands and programs in fenced blocks of the pages are run as they stand, with the model that ships."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import matplotlib.cbook
import numpy as np
import pytest
from command_line import runner
from PIL import Image
from shared_data import shared

from jaxclnf.media.detection import detect_faces
from jaxclnf.media.images import read_photo, to_grey
from jaxclnf.media.video_encoder import VideoFile
from jaxclnf.output.tables import NO_FACE
from jaxclnf.sweeps.spec import read_spec
from jaxclnf.types import STATUS_WORDS, Status

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
BRING = ("datasets.md", "on-a-cluster.md", "sweep-settings.md")  # of data and machines to be brought along
RUN = [ROOT / "README.md", *(page for page in PAGES if page.name not in BRING)]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """What the pages speak of: photos, their boxes, a video."""
    grace = read_photo(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    (tmp_path / "photos").mkdir()
    for name, photo in (("grace.jpg", grace), ("mirrored.jpg", grace[:, ::-1])):
        Image.fromarray(photo).save(tmp_path / "photos" / name)
    (tmp_path / "photo.jpg").symlink_to("photos/grace.jpg")
    boxes = {p.name: detect_faces(to_grey(read_photo(p))).boxes[0] for p in (tmp_path / "photos").iterdir()}
    rows = [f"{name},{','.join(map(str, box))}" for name, box in boxes.items()]
    (tmp_path / "boxes.csv").write_text("\n".join(["file,x,y,w,h", *rows]))
    film = VideoFile(tmp_path / "video.mp4", 25)
    for shift in range(6):
        film.add(np.roll(grace, 2 * shift, axis=1))
    film.finish()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENFACE_MODELS_DIR", str(tmp_path / "installed"))
    monkeypatch.delenv("JAXCLNF_MODEL", raising=False)
    return tmp_path


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_every_command_and_program_of_a_page_runs(page: Path, folder: Path, monkeypatch, capfd) -> None:
    run = runner(monkeypatch, capfd)
    if "openface/model" in page.read_text(encoding="utf-8"):
        (folder / "openface").symlink_to(shared("openface"))
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            program, *arguments = shlex.split(line)
            assert program == "jaxclnf"
            outcome = run(*arguments)
            assert outcome.status == 0, (line, outcome.err)
    names = {"__name__": page.stem}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)


def test_every_page_is_linked_and_every_link_leads_somewhere() -> None:
    linked = set()
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)
            linked.add((page.parent / target).resolve())
    assert set(PAGES) <= linked


def test_the_page_of_the_table_names_every_status() -> None:
    page = (ROOT / "docs/read-the-table.md").read_text(encoding="utf-8")
    for status in Status:
        assert f"| `{STATUS_WORDS[status]}` | `{status.name}` |" in page
    assert f"| `{NO_FACE}` | |" in page


def test_the_sweep_of_its_page_can_be_read(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "docs/sweep-settings.md", "toml")
    (tmp_path / "sweep.toml").write_text(block, encoding="utf-8")
    spec = read_spec(tmp_path / "sweep.toml")
    assert len(spec.settings) == 100 and spec.faces == 200 and spec.base == "model"
