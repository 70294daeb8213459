from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from shared_data import golden, shared

from jaxclnf.media import images
from jaxclnf.media.images import read_first, read_photo, to_grey
from jaxclnf.media.tiff_pages import page_places, page_tags

RAMP = np.linspace(0, 255, 40 * 30 * 3).reshape(40, 30, 3).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize(
    "name", ["plain.png", "with space.png", 'it\'s "quoted".png', "žluťoučký 顔.png", "a\nb.png"]
)
def test_any_file_name(tmp_path: Path, name: str) -> None:
    np.testing.assert_array_equal(read_photo(save(tmp_path / name, RAMP)), RAMP)


def test_grey_and_sixteen_bits_become_three_channels(tmp_path: Path) -> None:
    grey = RAMP[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=2)
    sixteen = grey.astype(np.uint16) * 257
    for name, pixels in (("8.png", grey), ("16.png", sixteen), ("16.tif", sixteen), ("16.pgm", sixteen)):
        np.testing.assert_array_equal(read_photo(save(tmp_path / name, pixels)), expected, err_msg=name)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("scan.tif", {}, True),
        ("scan.gif", {}, True),
        ("scan.png", {}, True),
        ("small_copy.tif", {"tiffinfo": {254: 1}}, False),
        ("phone.mpo", {}, False),  # its others are previews
    ],
)
def test_files_with_further_pictures_are_known(tmp_path: Path, name: str, options, expected: bool) -> None:
    first, second = Image.fromarray(RAMP), Image.fromarray(RAMP[::-1])
    second.encoderinfo = options
    first.save(tmp_path / name, save_all=True, append_images=[second])
    found = read_first(tmp_path / name)
    assert found.has_more is expected
    assert np.abs(found.rgb.astype(int) - RAMP).mean() < 10
    assert not read_first(save(tmp_path / f"alone{Path(name).suffix}", RAMP)).has_more


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    rgba = np.dstack([RAMP, np.full(RAMP.shape[:2], 255, np.uint8)])
    rgba[:10, :, 3] = 0
    photo = read_photo(save(tmp_path / "alpha.png", rgba))
    assert (photo[:10] == 255).all()
    np.testing.assert_array_equal(photo[10:], RAMP[10:])


@pytest.mark.releases
@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "16.tif", "float.tif", "deep.tif"])
def test_exif_turns_the_photo_upright(tmp_path: Path, suffix: str) -> None:
    """Also where Pillow or, of deep colours, OpenCV has turned it already (TIFF)."""
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its left side
    path, expected = tmp_path / f"turned.{suffix}", np.rot90(RAMP, -1)
    if suffix == "16.tif":
        save(path, RAMP[..., 0].astype(np.uint16) * 257, exif=exif)
        expected = np.repeat(expected[..., :1], 3, axis=2)
    elif suffix in ("float.tif", "deep.tif"):
        dtype, factor = (np.float32, 1) if suffix == "float.tif" else (np.uint16, 257)
        cv2.imwrite(str(path), RAMP[..., ::-1].astype(dtype) * dtype(factor))
        write_orientation(path, 6)
    else:
        save(path, RAMP, exif=exif, lossless=True)
    # OpenCV 4 writes floating-point TIFFs with logarithms of few bits.
    assert np.abs(read_photo(path).astype(int) - expected).max() <= 10


def write_orientation(path: Path, orientation: int) -> None:
    """Add the tag to a little-endian TIFF: its list of tags is written once more at the file's end."""
    data = bytearray(path.read_bytes())
    (at,) = struct.unpack_from("<I", data, 4)
    (n,) = struct.unpack_from("<H", data, at)
    tags = [bytes(data[at + 2 + 12 * i :][:12]) for i in range(n)]
    tags.append(struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0))
    struct.pack_into("<I", data, 4, len(data))
    data += struct.pack("<H", n + 1) + b"".join(sorted(tags, key=lambda t: t[:2][::-1])) + bytes(4)
    path.write_bytes(data)


def test_one_pixel(tmp_path: Path) -> None:
    assert read_photo(save(tmp_path / "1x1.png", RAMP[:1, :1])).shape == (1, 1, 3)


def test_what_cannot_be_read_is_named_in_one_sentence(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "letter.jpg").write_text("x")
    whole = save(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 255, (99, 99, 3), np.uint8))
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:9000])
    cases = {
        "nowhere.jpg": "does not exist",
        "": "is not a file",
        "empty.jpg": "is empty",
        "text.jpg": "is not a picture",
        "letter.jpg": "is not a picture",
        "cut.png": "cannot be read",
    }
    for name, sentence in cases.items():
        with pytest.raises(ValueError, match=sentence) as error:
            read_photo(tmp_path / name)
        assert str(tmp_path / name) in str(error.value)
        assert "\n" not in str(error.value)
    monkeypatch.setattr(images, "MAX_PIXELS", 3000)
    with pytest.raises(ValueError, match="has 70 x 70 pixels, more than 3,000; shrink it"):
        read_photo(save(tmp_path / "large.png", np.zeros((70, 70), np.uint8)))


@pytest.mark.parametrize(
    ("kind", "compression", "sentence"),
    [("tiff", "tiff_lzw", "cut short: the list of its pictures"), ("webp", None, "lacks its last .* bytes")],
)
def test_pictures_that_are_cut_short_are_told_as_such(tmp_path: Path, kind, compression, sentence) -> None:
    whole = tmp_path / f"whole.{kind}"
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(noise).save(whole, compression=compression)
    part = tmp_path / f"part.{kind}"
    for kept in (0.01, 0.5, 0.99):
        part.write_bytes(whole.read_bytes()[: max(12, int(kept * whole.stat().st_size))])
        with pytest.raises(ValueError, match=f"part.{kind} cannot be read: the file (is )?{sentence}"):
            read_photo(part)


def test_broken_bytes_raise_nothing_but_value_errors(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for suffix in ("jpg", "png", "gif", "tif", "bmp", "webp"):
        data = np.frombuffer(save(tmp_path / f"whole.{suffix}", RAMP).read_bytes(), np.uint8)
        for _ in range(40):
            broken = data.copy()
            broken[rng.integers(0, len(data), 5)] = rng.integers(0, 256, 5)
            (tmp_path / "broken").write_bytes(broken.tobytes()[: rng.integers(1, len(data) + 1)])
            try:
                assert read_photo(tmp_path / "broken").shape[2] == 3
            except ValueError as error:
                assert str(error)


def test_grey_photos_equal_opencv_s() -> None:
    for name, grey in golden("images_gray").items():
        photo = read_photo(shared("samples", f"{name}.jpg"))
        np.testing.assert_array_equal(to_grey(photo), grey)


PORTRAIT = np.clip(np.hypot(*np.mgrid[-60:60, -50:50]) * 3.3, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("10-bit.tif", PORTRAIT.astype(np.uint16) * 4),
        ("12-bit.png", PORTRAIT.astype(np.uint16) * 16),
        ("thermal.tif", 7000 + 8 * PORTRAIT.astype(np.uint16)),
        ("int32.tif", PORTRAIT.astype(np.int32) * 100_000 - 5_000_000),
        ("float.tif", PORTRAIT.astype(np.float32) / 255),
        ("kelvin.tif", 273 + PORTRAIT.astype(np.float32) / 10),
    ],
)
def test_deep_pictures_are_stretched_to_the_range_they_use(
    tmp_path: Path, name: str, pixels: np.ndarray
) -> None:
    photo = read_photo(save(tmp_path / name, pixels)).astype(int)
    assert np.abs(photo - PORTRAIT[..., None]).max() <= 8  # a thousandth at either end is clipped


@pytest.mark.releases
def test_deep_colours_are_stretched_too(tmp_path: Path) -> None:
    colours = np.stack([PORTRAIT, PORTRAIT[::-1], PORTRAIT.T[:100].repeat(2, 0)[:120, :100] // 2], axis=2)
    for name, deep in (
        ("10.png", colours.astype(np.uint16) * 4),
        ("10.tif", colours.astype(np.uint16) * 4),
        ("16.png", colours.astype(np.uint16) * 257),
        ("float.tiff", colours.astype(np.float32) / 255),
    ):
        assert cv2.imwrite(str(tmp_path / name), deep[..., ::-1])
        assert np.abs(read_photo(tmp_path / name).astype(int) - colours).max() <= 8, name


def write_pages(path: Path, dtype: type, n_pages: int) -> Path:
    pages = [np.roll(RAMP, i, 2).astype(dtype) for i in range(n_pages)]
    assert cv2.imwritemulti(str(path), pages)
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_deep_tiffs_tell_whether_they_have_further_pages(tmp_path: Path, dtype: type) -> None:
    """Also where Pillow does not know their colours; a smaller copy of the first page is none."""
    path = write_pages(tmp_path / "a.tif", dtype, 2)
    assert read_first(path).has_more
    data = path.read_bytes()
    first, second = page_places(data)
    assert page_tags(data, second)[256] == RAMP.shape[1]
    kind = data.index(struct.pack("<HHI", 254, 4, 1), second) + 8
    path.write_bytes(data[:kind] + b"\1" + data[kind + 1 :])
    assert not read_first(path).has_more
    assert not read_first(write_pages(path, dtype, 1)).has_more
    path.write_bytes(data[: first + 2])
    with pytest.raises(ValueError, match="cut short: the list of its pictures is missing"):
        read_photo(path)


def test_values_that_are_not_finite_are_black(tmp_path: Path) -> None:
    pixels = PORTRAIT.astype(np.float32)
    pixels[:5] = np.nan
    photo = read_photo(save(tmp_path / "a.tif", pixels))
    assert (photo[:5] == 0).all()
    assert np.abs(photo[5:].astype(int) - PORTRAIT[5:, :, None]).max() <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_exif(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", RAMP, exif=exif)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_photo(path), expected)


@pytest.mark.releases
@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.avif", "a.webp", "a.heic"])
def test_formats_of_phones(tmp_path: Path, name: str) -> None:
    kind = {"jfif": "JPEG", "jpe": "JPEG", "heic": "HEIF"}.get(name[2:])
    if kind == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif", reason="needs pillow-heif")
        heif = pillow_heif.from_pillow(Image.fromarray(RAMP))
        heif.save(tmp_path / name, quality=95)
    else:
        save(tmp_path / name, RAMP, format=kind, quality=95)
    assert Path(name).suffix in images.SUFFIXES
    assert np.abs(read_photo(tmp_path / name).astype(int) - RAMP).mean() < 4


@pytest.mark.parametrize(("brand", "n_pictures"), [(b"mif1", 1), (b"msf1", 2)])
def test_avif_is_known_by_any_of_its_brands(tmp_path: Path, brand: bytes, n_pictures: int) -> None:
    """Whether pillow-heif, to which other files of these brands go, is installed or not."""
    more = [Image.fromarray(RAMP[::-1])] * (n_pictures - 1)
    path = save(tmp_path / "a.avif", RAMP, quality=95, save_all=True, append_images=more)
    data = path.read_bytes()
    path.write_bytes(data[:8] + brand + data[12:])
    found = read_first(path)
    assert found.has_more is (n_pictures > 1)
    assert np.abs(found.rgb.astype(int) - RAMP).mean() < 4


def test_no_program_is_started_for_a_picture(tmp_path: Path) -> None:
    """Pillow hands EPS to Ghostscript, whatever the file is called."""
    Image.fromarray(RAMP).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(ValueError, match="is not a picture in a format that can be read"):
        read_photo(tmp_path / "a.png")


def test_large_photos_are_read_in_bounded_memory(tmp_path: Path) -> None:
    """108 million pixels, as phones have: at most 8 bytes a pixel."""
    Image.new("RGB", (9000, 12000), (200, 100, 50)).save(tmp_path / "a.png", compress_level=1)
    code = (
        "import resource, sys; from jaxclnf.media.images import read_photo;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "assert read_photo(sys.argv[1])[-1, -1].tolist() == [200, 100, 50];"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.png")], capture_output=True, check=True
    )
    assert int(out.stdout) * 1024 < 8.5 * 9000 * 12000
