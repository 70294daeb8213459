"""Videos of every kind, made here by PyAV: when frames are shown, which way up, and where a file ends."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from jaxclnf.media.frame_pixels import as_shown
from jaxclnf.media.video_encoder import VideoFile
from jaxclnf.media.video_sources import open_video

UNEVEN = [0, 0.01, 0.05, 0.3, 0.31, 0.32, 1.0, 1.6, 2.5, 2.533]
SIZE = (64, 96)


def picture(i: int) -> np.ndarray:
    rgb = np.full((*SIZE, 3), 20 * (i % 12), np.uint8)
    rgb[:16, :24] = (250, 20, 20)  # top left is red
    return rgb


def write(
    path: Path,
    codec: str,
    times: list[float],
    pix_fmt: str = "yuv420p",
    turn: int = 0,
    ratio: Fraction | None = None,
    pictures: Sequence = (),
    rate: int = 30,
    movflags: str = "",
    **options,
) -> Path:
    """A video of ``pictures``, or of ours, shown at ``times``."""
    fine = 60000 if codec == "mpeg4" else 90000
    clock = Fraction(1, fine if rate == 30 else rate)
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as container:
        stream = container.add_stream(codec, rate=rate, options={k: str(v) for k, v in options.items()})
        stream.height, stream.width, stream.pix_fmt = *SIZE, pix_fmt
        stream.codec_context.time_base = clock
        if ratio:
            stream.codec_context.sample_aspect_ratio = ratio
        if turn:
            stream.set_display_rotation(turn)
        for i, time in enumerate(times):
            frame = pictures[i] if len(pictures) else picture(i)
            if isinstance(frame, np.ndarray):
                frame = av.VideoFrame.from_ndarray(frame, format="rgb24")
            frame.pts, frame.time_base = round(time / clock), clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def times(path: Path | str) -> list[float]:
    video = open_video(str(path))
    found = [frame.time for frame in video.frames]
    assert video.failures == []
    return found


@pytest.mark.releases
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "mpeg4", {}),
        ("b.mp4", "libx264", {"bf": 2, "crf": 20}),
        ("c.mkv", "libx264", {"bf": 3, "crf": 20}),
        ("d.mkv", "ffv1", {}),
        ("e.mov", "mjpeg", {}),
        ("f.ts", "libx264", {"bf": 2}),
    ],
)
def test_frames_have_the_times_of_the_file(tmp_path: Path, name: str, codec: str, options: dict) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    found = times(write(tmp_path / name, codec, UNEVEN, pix_fmt, **options))
    np.testing.assert_allclose(found, UNEVEN, atol=1e-3)


def test_pictures_that_wait_for_others_are_no_damage(tmp_path: Path) -> None:
    """An AVI has no times: those of packets are in the order of decoding."""
    even = [i / 25 for i in range(30)]
    found = times(write(tmp_path / "a.avi", "libx264", even, rate=25, bf=3))
    np.testing.assert_allclose(found, even, atol=1e-3)


@pytest.mark.parametrize("name", ["a.ts", "a.mpg"])
def test_times_of_joined_files_go_on(tmp_path: Path, name: str) -> None:
    """Every piece counts its own times from near zero; the second follows a picture after the first."""
    piece = write(tmp_path / name, "mpeg2video", [i / 25 for i in range(20)], rate=25)
    alone = times(piece)
    joined = tmp_path / f"joined{piece.suffix}"
    joined.write_bytes(piece.read_bytes() * 3)
    found = np.array(times(joined))
    assert len(found) >= 3 * len(alone) - 2
    assert np.diff(found).min() > 0.039 and np.diff(found).max() < 0.13


def test_frames_that_were_left_out_are_no_break(tmp_path: Path) -> None:
    """A header that promises 81 frames by its length and rate, of which 50 were recorded."""
    recorded = [i / 30 for i in range(81) if i % 8 not in (2, 5, 7)]
    found = times(write(tmp_path / "a.mkv", "libx264", recorded))
    np.testing.assert_allclose(found, recorded, atol=1e-3)


CODECS = {
    "a.mp4": "mpeg4",
    "a.mkv": "mpeg4",
    "a.avi": "mpeg4",
    "a.wmv": "wmv2",
    "a.flv": "flv",
    "a.ts": "mpeg2video",
    "a.mpg": "mpeg2video",
    "a.ivf": "libvpx",
    "a.mxf": "mpeg2video",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """Videos of 40 frames in every container."""
    folder = tmp_path_factory.mktemp("whole")
    even = [i / 25 for i in range(40)]
    return {
        name: write(
            folder / name, codec, even, rate=25, movflags="faststart" * (name == "a.mp4")
        ).read_bytes()
        for name, codec in CODECS.items()
    }


@pytest.mark.releases
@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("part", [1, 0.85, 0.5])
def test_a_file_that_was_cut_off_breaks_off(whole, tmp_path: Path, name: str, part: float) -> None:
    """MPEG-TS tells only where it ends inside a packet, here by one byte."""
    data = whole[name]
    n = int(len(data) * part)
    (tmp_path / name).write_bytes(data[: n - n % 188 + 1 if part < 1 and name == "a.ts" else n])
    video = open_video(str(tmp_path / name))
    n_frames = len(list(video.frames))
    reasons = [failure.reason for failure in video.failures]
    if part == 1:
        assert (n_frames, reasons) == (40, [])
    else:
        assert 1 <= n_frames < 40 or name == "a.wmv"  # whose last packet is filled up with nothing
        assert len(reasons) == 1 and f"breaks off after {n_frames} frame" in reasons[0]


def test_an_index_that_is_missing_behind_all_pictures_is_no_break(whole, tmp_path: Path) -> None:
    """And one that cannot be done without is named."""
    assert b"\x1c\x53\xbb\x6b" in whole["a.mkv"][-1000:]  # Matroska's cues
    (tmp_path / "a.mkv").write_bytes(whole["a.mkv"][:-10])
    assert len(times(tmp_path / "a.mkv")) == 40
    path = write(tmp_path / "a.mov", "mpeg4", [0, 0.1])
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match="a.mov cannot be read: the file lacks its last 300 bytes"):
        open_video(str(path))


@pytest.mark.parametrize(
    ("name", "codec", "shown", "sentence"),
    [
        ("a.mp4", "mpeg4", 12, "1 of 12 frames are decoded with errors"),
        ("a.mkv", "libx264", 12, "of 12 frames are decoded with errors"),
        ("a.mp4", "libx264", 11, "1 of 12 packets cannot be decoded"),  # from the packet's first byte
        ("a.mov", "png", 11, "1 of 12 packets cannot be decoded"),
    ],
)
def test_damage_inside_is_named_and_the_rest_is_read(
    tmp_path: Path, name: str, codec: str, shown: int, sentence: str
) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (*SIZE, 3), np.uint8) for _ in range(12)]
    path = write(
        tmp_path / name, codec, [i / 25 for i in range(12)], "rgb24" * (codec == "png") or "yuv420p",
        pictures=noise, rate=25, bf=0,
    )  # fmt: skip
    with av.open(str(path)) as container:
        packet = [bytes(p) for p in container.demux(video=0) if p.size][5]
    data = path.read_bytes()
    at = data.index(packet) + (0 if shown == 11 else 20)
    path.write_bytes(data[:at] + bytes(100) + data[at + 100 :])
    video = open_video(str(path))
    found = [frame.time for frame in video.frames]
    kept = [i / 25 for i in range(12) if shown == 12 or i != 5]
    np.testing.assert_allclose(found, kept, atol=1e-3)
    assert len(video.failures) == 1
    assert "is damaged" in video.failures[0].reason and sentence in video.failures[0].reason


@pytest.mark.parametrize("name", ["a.mkv", "a.webm"])
@pytest.mark.parametrize("at", [0, -1])
def test_a_length_beyond_any_file_is_damage(tmp_path: Path, name: str, at: int) -> None:
    """FFmpeg finds the next cluster by itself; what it loses in the first is all that is lacking."""
    codec = "mpeg4" if name == "a.mkv" else "libvpx"
    path = write(tmp_path / name, codec, [i / 2 for i in range(40)], rate=2)
    data = path.read_bytes()
    clusters = [found.end() for found in re.finditer(b"\x1f\x43\xb6\x75", data)]
    assert len(clusters) > 2
    length = clusters[at]
    path.write_bytes(data[:length] + b"\1\xff\xff\xff\xff\xff\xff\xf0" + data[length + 8 :])
    video = open_video(str(path))
    n_frames = len(list(video.frames))
    assert 20 < n_frames <= 40
    said = f"{path} is damaged: the length that one of its parts says is wrong"
    assert [failure.reason for failure in video.failures] == [said]


def test_a_film_that_is_gone_when_it_was_read_ends_as_ever(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", "mpeg4", [0, 0.1, 0.2])
    video = open_video(str(path))
    path.unlink()
    assert (len(list(video.frames)), video.failures) == (3, [])


@pytest.mark.parametrize("pix_fmt", ["gray16le", "gray12le", "gbrp16le"])
def test_deep_videos_are_stretched_to_the_range_that_is_used(tmp_path: Path, pix_fmt: str) -> None:
    """As a thermal camera writes them: 1,000 of 65,536 values."""
    ramp = np.tile(np.linspace(7000, 8000, SIZE[1]).astype(np.uint16), (SIZE[0], 1))
    picture = av.VideoFrame.from_ndarray(ramp, format="gray16le")
    path = write(tmp_path / "a.mkv", "ffv1", [0.0], pix_fmt, pictures=[picture])
    (frame,) = open_video(str(path)).frames
    assert np.abs(frame.rgb - np.linspace(0, 255, SIZE[1])[:, None]).max() <= 8  # 12 bits: 63 values


@pytest.mark.releases
@pytest.mark.parametrize(("turn", "quarters"), [(90, 1), (180, 2), (270, 3)])
def test_frames_stand_upright(tmp_path: Path, turn: int, quarters: int) -> None:
    (frame, *_) = open_video(str(write(tmp_path / "a.mp4", "libx264", [0, 0.1], turn=turn))).frames
    expected = np.rot90(picture(0), quarters)
    assert frame.rgb.shape == expected.shape
    assert np.abs(frame.rgb.astype(int) - expected).mean() < 6


@pytest.mark.releases
@pytest.mark.parametrize(
    ("name", "codec", "ratio", "turn", "size"),
    [
        ("a.mp4", "libx264", Fraction(4, 3), 0, (64, 128)),
        ("a.mp4", "libx264", Fraction(2, 1), 90, (192, 64)),
        ("a.avi", "mpeg4", Fraction(8, 9), 0, (72, 96)),
        ("a.mpg", "mpeg2video", Fraction(32, 27), 0, (64, 114)),
        ("a.avi", "mpeg4", Fraction(1, 4), 0, (256, 96)),
        ("a.avi", "mpeg4", Fraction(9, 2), 0, SIZE),  # nonsense
        ("a.avi", "mpeg4", Fraction(90, 91), 0, (65, 96)),
        ("a.avi", "mpeg4", Fraction(135, 136), 0, SIZE),  # rounded by who wrote it
    ],
)
def test_pixels_become_square(
    tmp_path: Path, name: str, codec: str, ratio: Fraction, turn: int, size: tuple[int, int]
) -> None:
    path = write(tmp_path / name, codec, [i / 25 for i in range(3)], rate=25, turn=turn, ratio=ratio)
    (frame, *_) = open_video(str(path)).frames
    assert frame.rgb.shape == (*size, 3)
    red = frame.rgb[..., 0] > 125  # a quarter of either side
    np.testing.assert_allclose(red.mean(), 1 / 16, rtol=0.1)
    assert red[: size[0] // 5, : size[1] // 5].all() or turn


def test_a_display_matrix_may_mirror() -> None:
    image = np.arange(6).reshape(2, 3, 1)
    one = 1 << 16
    mirrored = np.array([[-one, 0, 0], [0, one, 0], [0, 0, 1 << 30]], np.int32)
    np.testing.assert_array_equal(as_shown(image, mirrored), image[:, ::-1])


@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv420p10le", "gray", "bgr0", "bgra"])
def test_pixel_formats(tmp_path: Path, pix_fmt: str) -> None:
    frames = list(open_video(str(write(tmp_path / "a.mkv", "ffv1", [0, 0.1], pix_fmt))).frames)
    grey = frames[1].rgb[40:, 40:].astype(int)
    assert np.abs(grey - 20).max() <= 3


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animations_have_the_delays_of_the_file(tmp_path: Path, suffix: str) -> None:
    pictures = [Image.fromarray(picture(i)) for i in range(5)]
    delays = [40, 200, 500, 120, 80]
    path = tmp_path / f"a.{suffix}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=delays, loop=0)
    np.testing.assert_allclose(times(path), np.cumsum([0, *delays[:-1]]) / 1000, atol=1e-3)


@pytest.mark.parametrize(
    "name",
    ["clip:1.avi", "2024-01-01T12:30:00.avi", "a%03d.avi", "[x]*?.avi", "http:127.0.0.1:9.avi", "pipe:0.avi"],
)
def test_names_are_files(tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "plain.avi", "mpeg4", [0, 1 / 30, 2 / 30])
    os.rename("plain.avi", name)
    assert len(times(name)) == 3
    os.rename(name, os.fsencode("caf") + b"\xe9.avi")
    assert len(times(os.fsdecode(b"caf\xe9.avi"))) == 3


@pytest.mark.releases
def test_a_text_opens_no_other_files(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "other.avi", "mpeg4", [0, 0.1])
    for text in ("ffconcat version 1.0\nfile other.avi\n", "#EXTM3U\n#EXTINF:1,\nother.avi\n"):
        (tmp_path / "list.mp4").write_text(text)
        with pytest.raises(ValueError, match="list.mp4 is not a video that FFmpeg can read"):
            open_video("list.mp4")


def test_a_pipe_is_read(tmp_path: Path) -> None:
    data = write(tmp_path / "a.mkv", "ffv1", [0, 0.1, 0.25]).read_bytes()
    os.mkfifo(tmp_path / "pipe.mkv")
    writer = threading.Thread(target=(tmp_path / "pipe.mkv").write_bytes, args=(data,))
    writer.start()
    np.testing.assert_allclose(times(tmp_path / "pipe.mkv"), [0, 0.1, 0.25], atol=1e-3)
    writer.join()


@pytest.mark.parametrize("fps", [239.843, 0.5, 1000, 23.976, 7 / 3])
def test_films_of_odd_rates_are_written(tmp_path: Path, fps: float) -> None:
    film = VideoFile(tmp_path / "a.mp4", fps)
    for i in range(6):
        film.add(picture(i)[: 63 if i else 64, :95])  # odd sizes, too
    film.finish()
    with av.open(str(tmp_path / "a.mp4")) as container:  # as players see them
        shown = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(shown, np.arange(6) / fps, atol=1e-3)
