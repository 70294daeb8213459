"""The page of a run with many faces or photos, as a browser shows it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import probed

from jaxclnf.output.growing_table import Table
from jaxclnf.output.report import report_photos, report_videos
from jaxclnf.output.tables import VIDEO, columns


def film_of(n_faces: int, folder: Path) -> Path:
    """Write the page of a film, in each of whose frames two faces are seen, or one alone."""
    names = columns(5, 3, VIDEO)
    table = Table.afresh(folder / "film.csv", names)
    n_frames = max(40, n_faces)
    for frame in range(n_frames):
        turn = frame * n_faces // n_frames
        for face in {turn, (turn + 1) % n_faces}:
            known = {"frame": frame, "face_id": face, "timestamp": frame / 10, "success": 1}
            known |= {"source": "film.mp4", "status": "ok", "confidence": 0.9}
            table.add([[str(known.get(name, np.sin(frame))) for name in names]])
    table.finish()
    report_videos(folder / "report.html", {table.path: folder / "film.mp4"}, [])
    return folder / "report.html"


@pytest.mark.parametrize("n_faces", [1, 8, 40, 200])
def test_in_a_browser_a_film_s_faces_fit_and_each_can_be_seen_alone(n_faces: int, tmp_path: Path) -> None:
    seen = probed(
        film_of(n_faces, tmp_path),
        """const all = (what, where = document) => [...where.querySelectorAll(what)];
        const [plot] = all(".plot"), faces = all(".legend button");
        seen.faces = faces.length; seen.top = plot.getBoundingClientRect().top;
        seen.wide = document.documentElement.scrollWidth - innerWidth;
        all(".all").forEach(button => button.click()); faces.slice(-1).forEach(face => face.click());
        const drawn = all("[id^=line-]", plot).filter(line => line.getBoundingClientRect().width);
        seen.drawn = drawn.map(line => line.id).filter(id => id.endsWith("confidence"));""",
    )
    assert seen["faces"] == (n_faces if n_faces > 1 else 0)
    assert seen["top"] < 400 and seen["wide"] <= 0
    shown = {1: [0], 8: range(7)}.get(n_faces, [n_faces - 1])
    assert seen["drawn"] == [f"line-{i}-confidence" for i in shown]


def test_in_a_browser_each_of_2000_photos_is_found_and_opens(tmp_path: Path) -> None:
    names = columns(5, 3)
    table = Table.afresh(tmp_path / "landmarks.csv", names)
    png = cv2.imencode(".png", np.full((20, 30, 3), 90, np.uint8))[1].tobytes()
    pictures = {}
    for i in range(2000):
        drawn = tmp_path / f"photo #{i}.png"
        drawn.write_bytes(png)
        pictures[str(drawn)] = drawn
        known = {"face": "0", "confidence": str(i / 2000), "source": str(drawn), "status": "ok"}
        table.add([[known.get(name, "1.5") for name in names]])
    table.finish()
    report_photos(tmp_path / "report.html", table.path, pictures, [])
    seen = probed(
        tmp_path / "report.html",
        """const cards = [...document.querySelectorAll(".card")], filter = document.getElementById("filter");
        seen.cards = cards.length; seen.pictures = document.querySelectorAll(".card img").length;
        seen.links = document.querySelectorAll(".card img:not([src^=data])").length;
        filter.value = "#1999."; filter.dispatchEvent(new Event("input"));
        const [found] = cards.filter(card => card.offsetParent); seen.found = found.textContent;
        await found.querySelector("img").decode(); seen.width = found.querySelector("img").naturalWidth;
        const full = document.querySelector("dialog img");
        const loaded = new Promise(done => full.addEventListener("load", done));
        found.click(); await loaded;
        seen.drawn = document.getElementById("drawn").textContent;
        seen.original = document.getElementById("original").href;""",
    )
    assert seen["cards"] == seen["pictures"] == 2000 and seen["links"] == 1000
    assert "photo #1999.png" in seen["found"] and seen["width"] == 30
    assert seen["drawn"] == "as drawn, 30 × 20 pixels"
    assert seen["original"] == (tmp_path / "photo #1999.png").as_uri()
