"""The page of a run with many faces or photos, as a browser shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser import probed

from jaxclnf.output.growing_table import Table
from jaxclnf.output.report import report_videos
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
