from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import in_browser, probed

from jaxclnf.media.failures import Failure
from jaxclnf.media.video_encoder import VideoFile
from jaxclnf.output.draw import colour_of
from jaxclnf.output.growing_table import Table
from jaxclnf.output.report import report_photos, report_videos
from jaxclnf.output.report.page import breakable
from jaxclnf.output.report.short_names import short_names
from jaxclnf.output.tables import VIDEO, columns

PHOTOS = {"sure.jpg": 0.9, 'a <b> "q" & 顔.jpg': 0.2, "middling.jpg": 0.6}
FAILURES = [Failure("bad <i>.jpg", "bad <i>.jpg is empty")]


def write_photos(folder: Path) -> Path:
    names = columns(5, 3)
    table = Table.afresh(folder / "landmarks.csv", names)
    pictures = {}
    for i, (source, sure) in enumerate(PHOTOS.items()):
        known = {"face": "0", "confidence": str(sure), "source": source, "status": "ok"}
        table.add([[known.get(name, "1.5") for name in names]])
        pictures[source] = folder / f"{i}.png"
        cv2.imwrite(str(pictures[source]), np.full((300, 600, 3), 60 * i, np.uint8))
    table.finish()
    report_photos(folder / "report.html", table.path, pictures, FAILURES)
    return folder / "report.html"


def write_video(folder: Path) -> Path:
    names = columns(5, 3, VIDEO)
    table = Table.afresh(folder / "clip.csv", names)
    film = VideoFile(folder / "clip.mp4", 10)
    for frame in range(1, 41):
        known = {"frame": frame, "face_id": 0, "timestamp": frame / 10, "success": 1, "source": "clip.mp4"}
        known |= {"confidence": 0.3 if frame == 17 else 0.9, "status": "ok"}
        table.add([[str(known.get(name, np.sin(frame / 5))) for name in names]])
        film.add(np.full((48, 64, 3), 4 * frame, np.uint8))
    table.finish()
    film.finish()
    report_videos(folder / "report.html", {table.path: film.path}, [])
    return folder / "report.html"


@pytest.mark.releases
def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    for write in (write_photos, write_video):
        page = write(tmp_path).read_text(encoding="utf-8")
        own = re.sub(r'xmlns(:\w+)?="[^"]*"|<metadata>.*?</metadata>|<!DOCTYPE[^>]*>', "", page, flags=re.S)
        assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', own)
        assert "http" not in own


def test_names_are_text_not_markup(tmp_path: Path) -> None:
    page = write_photos(tmp_path).read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "bad &lt;i&gt;.jpg" in page
    assert page.count("data:image/jpeg;base64,") == 3


def test_a_run_without_pictures_or_tables_has_a_page(tmp_path: Path) -> None:
    report_videos(tmp_path / "report.html", {tmp_path / "none.csv": tmp_path / "none.mp4"}, FAILURES)
    assert "0 videos, 0 frames, 1 problem" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_in_a_browser_the_least_sure_come_first_and_buttons_sort(tmp_path: Path) -> None:
    page = write_photos(tmp_path)
    seen = probed(
        page,
        """const order = () => [...document.querySelectorAll(".card")].map(c => +c.dataset.confidence);
        const press = i => document.querySelectorAll("button")[i].click();
        seen.first = order(); press(1); seen.second = order(); press(2); seen.third = order();
        const filter = document.getElementById("filter");
        filter.value = "MIDD"; filter.dispatchEvent(new Event("input"));
        seen.shown = [...document.querySelectorAll(".card")].filter(c => c.offsetParent).length;
        seen.width = document.querySelector("img").naturalWidth;""",
    )
    assert seen["first"] == [0.2, 0.6, 0.9]
    assert seen["second"] == [0.9, 0.6, 0.2]
    assert seen["third"] == [0.9, 0.2, 0.6]
    assert seen["shown"] == 1
    assert seen["width"] == 240


def test_in_a_browser_the_page_of_a_video_shows_its_course(tmp_path: Path) -> None:
    page = write_video(tmp_path)
    in_browser(page, f"--screenshot={tmp_path / 'page.png'}", "--window-size=1000,1400")
    picture = cv2.imread(str(tmp_path / "page.png"))
    assert picture.shape[:2] == (1400, 1000)
    plots, strip = picture[150:700], picture[720:900]
    assert len(np.unique(plots.reshape(-1, 3), axis=0)) > 50
    assert len(np.unique(strip.reshape(-1, 3), axis=0)) > 20
    assert 'class="card bad"' in page.read_text(encoding="utf-8")


def test_in_a_browser_a_picture_opens_in_full_size_with_its_numbers(tmp_path: Path) -> None:
    seen = probed(
        write_photos(tmp_path),
        """document.querySelectorAll(".card")[0].click();
        await document.querySelector("dialog img").decode();
        seen.open = document.querySelector("dialog").open;
        seen.width = document.querySelector("dialog img").naturalWidth;
        seen.numbers = document.querySelector("dialog table").innerText;
        document.getElementById("next").click();
        seen.next = document.querySelector("dialog h2").textContent;""",
    )
    assert seen["open"] and seen["width"] == 600
    for number in ("20 %", "86°", "ok"):
        assert number in seen["numbers"]
    assert seen["next"] == "middling.jpg"


def test_in_a_browser_a_click_on_a_video_s_course_goes_to_its_frame(tmp_path: Path) -> None:
    seen = probed(
        write_video(tmp_path),
        """const plot = document.querySelector(".plot"), box = plot.getBoundingClientRect();
        const x = box.left + box.width * (SPAN[0] + 0.5 * (SPAN[1] - SPAN[0]));
        plot.dispatchEvent(new MouseEvent("click", {clientX: x, clientY: box.top + 20, bubbles: true}));
        seen.title = document.querySelector("dialog h2").textContent;
        seen.time = document.querySelector("video").currentTime;
        seen.cursor = document.querySelector(".cursor").hidden;
        seen.near = +document.querySelector(".here").dataset.time;
        seen.lines = document.querySelectorAll("[id^='line-0-']").length;""",
    )
    assert seen["title"] == "clip, 2.05 s" and abs(seen["time"] - 1.95) < 0.02  # from 0.1 to 4 s
    assert not seen["cursor"] and abs(seen["near"] - 2.05) < 0.4
    assert seen["lines"] == 5  # confidence, three angles, distance


def test_what_was_found_and_not_fitted_is_listed(tmp_path: Path) -> None:
    names = columns(5, 3)
    table = Table.afresh(tmp_path / "landmarks.csv", names)
    for folder, status in (("a", "face too small"), ("b", "no face"), ("c", "ok")):
        known = {"face": "0", "confidence": "0", "source": f"/far/{folder}/x.jpg", "status": status}
        table.add([[known.get(name, "nan") for name in names]])
    table.finish()
    report_photos(tmp_path / "report.html", table.path, {}, [])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Without landmarks (2)" in page and "2 faces on 3 photos" in page
    assert '<td title="/far/a/x.jpg">a/x.jpg</td><td>face 0: face too small</td>' in page
    assert '<td title="/far/b/x.jpg">b/x.jpg</td><td>no face</td>' in page


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/a/b/x.jpg", "/a/c/x.jpg", "/a/y.jpg"], ["b/x.jpg", "c/x.jpg", "y.jpg"]),
        (["/a/b/x.jpg", "/a/b/y.jpg"], ["x.jpg", "y.jpg"]),
        (["/a/b/x.jpg", "/a/c/y.jpg"], ["b/x.jpg", "c/y.jpg"]),
        (["/a/x.jpg", "x.jpg", ""], ["/a/x.jpg", "x.jpg", ""]),
        (["s3://b/one/x.jpg", "s3://b/two/x.jpg"], ["one/x.jpg", "two/x.jpg"]),
        ([], []),
    ],
)
def test_names_begin_below_the_folder_of_all(paths, names) -> None:
    assert list(short_names(paths).values()) == names


def test_photos_that_failed_are_named_beside_those_that_did_not(tmp_path: Path) -> None:
    names = columns(5, 3)
    table = Table.afresh(tmp_path / "landmarks.csv", names)
    known = {"face": "0", "confidence": "0.9", "source": "/far/person1/001.jpg", "status": "ok"}
    table.add([[known.get(name, "1") for name in names]])
    table.finish()
    bad = "/far/person2/001.jpg"
    report_photos(tmp_path / "report.html", table.path, {}, [Failure(bad, f"{bad} is empty")])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert ">person2/001.jpg</td><td>person2/001.jpg is empty</td>" in page
    assert 'data-name="person1/001.jpg"' in page


def test_colours_of_many_faces_differ() -> None:
    colours = [colour_of(i) for i in range(40)]
    assert len(set(colours)) == 40
    assert all(0 <= c <= 255 for colour in colours for c in colour)


def test_long_names_break_after_marks_and_stay_text() -> None:
    assert breakable("a<b/my_face.jpg") == "a&lt;b/<wbr>my_<wbr>face.<wbr>jpg"
