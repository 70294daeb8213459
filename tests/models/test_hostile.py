"""Files of strangers: whatever is in them ends in a model or in one sentence, and takes little memory.

`JAXCLNF_FUZZ_FILES=N .venv/bin/pytest tests/models/test_hostile.py` tries N mutated files of each kind.
"""

from __future__ import annotations

import io
import json
import os
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openface_files import (
    matrix,
    random_scale,
    scale_bytes,
    write_cen_model,
    write_model,
    write_validator,
)

from jaxclnf.models.memory_budget import BASE
from jaxclnf.models.npz import checksum
from jaxclnf.models.openface import convert_openface
from jaxclnf.models.openface.validator_files import load_validator
from jaxclnf.models.storage import load_model, save_model
from jaxclnf.training.checkpoint import Checkpoint

N_FILES = int(os.environ.get("JAXCLNF_FUZZ_FILES", "60"))
STRANGE = (
    0, -1, 1, 2**31, 10**400, 2e9, 1e308, -0.5, float("inf"), float("-inf"), float("nan"),
    None, True, "", "x" * 1000, "1", [], [[]], {}, {"a": []}, [1e9], [-1, 4001], ["a"], {"0": 1},
)  # fmt: skip
SHAPES = ((), (0,), (1,), (3,), (0, 3), (2, 3), (1, 0, 3), (2, 5, 3), (0, 150, 150), (1, 2, 3, 4, 5))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_model(convert_openface(write_model(tmp_path)), tmp_path / "model.npz")
    return tmp_path / "model.npz"


def survives(open_file: Callable[[], Any], size: int) -> bool:
    """Whether a file was opened; fails the test for anything but one sentence and much memory."""
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            open_file()
    except ValueError as error:
        text = str(error)
        assert text and "\n" not in text and len(text) < 700, text
        return False
    else:
        return True
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1.5 * (BASE + 64 * size), f"{peak} bytes for a file of {size}"


def rewritten(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> int:
    """Change a file's arrays and make its checksum right again; its size."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "checksum"}
    change(arrays)
    np.savez_compressed(path, **arrays, checksum=np.array(checksum(arrays)))  # type: ignore[arg-type]
    return path.stat().st_size


def places(tree: Any, path: tuple = ()) -> list[tuple]:
    """Where in a JSON document there is something."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path] + [place for key, value in items for place in places(value, (*path, key))]


def strange_header(arrays: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Put something strange somewhere into the header, or take something out of it."""
    header = json.loads(arrays["header"].tobytes())
    *path, last = (found := places(header)[1:])[rng.integers(len(found))]
    node = header
    for key in path:
        node = node[key]
    if rng.random() < 0.2:
        node.pop(last)
    else:
        node[last] = STRANGE[rng.integers(len(STRANGE))]
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)


def strange_array(arrays: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Give an array another shape, type or values, or take it out, or put it in another place."""
    name = sorted(arrays)[rng.integers(len(arrays))]
    array = arrays[name]
    kinds = ("<f4", "<f8", ">f4", "<i4", "?", "<U3", "<f2", "<u8")
    match rng.integers(6):
        case 0:
            arrays[name] = np.ones(SHAPES[rng.integers(len(SHAPES))], array.dtype)
        case 1:
            arrays[name] = array.astype(kinds[rng.integers(len(kinds))])
        case 2:
            values = np.array([0, -1, 1e30, 1e-30, 3.5, 1e4])
            arrays[name] = np.full(array.shape, values[rng.integers(6)]).astype(array.dtype)
        case 3:
            arrays.pop(name)
        case 4:
            arrays[("experts/9/", "", "parts/0/model/", "edges/")[rng.integers(4)] + name] = array
        case 5:
            arrays[name] = np.atleast_1d(array)[..., :0]


def flipped(content: bytes, rng: np.random.Generator, headers: bool = False) -> bytes:
    """Other bytes somewhere, now and then with an end cut off or doubled; ``headers``: near the beginning."""
    at, n = int(rng.integers(min(len(content), 400) if headers else len(content))), int(rng.integers(1, 9))
    content = content[:at] + rng.bytes(n) + content[at + n * int(rng.random() < 0.9) :]
    cut = int(rng.integers(len(content)))
    return content[:cut] if rng.random() < 0.1 else content


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # values on purpose out of a type's range
@pytest.mark.parametrize("strange", [strange_header, strange_array])
def test_strange_models_end_in_a_sentence(saved: Path, strange) -> None:
    whole, refused = saved.read_bytes(), 0
    for seed in range(N_FILES):
        saved.write_bytes(whole)
        size = rewritten(saved, lambda arrays, seed=seed: strange(arrays, np.random.default_rng(seed)))
        refused += not survives(lambda: load_model(saved), size)
    assert refused > N_FILES // 3


def test_flipped_bytes_of_a_model_end_in_a_sentence(saved: Path) -> None:
    """Stored and not deflated, so that the headers of arrays are hit too, and not their CRC alone."""
    with zipfile.ZipFile(saved) as file:
        members = {m.filename: file.read(m) for m in file.infolist()}
    refused = 0
    for seed in range(N_FILES):
        rng = np.random.default_rng(seed)
        name = sorted(members)[rng.integers(len(members))]
        with zipfile.ZipFile(saved, "w") as file:
            for other, content in members.items():
                start = content[:128] if other == name else b""
                file.writestr(other, flipped(start, rng) + content[len(start) :] if start else content)
        if seed % 2:
            saved.write_bytes(flipped(saved.read_bytes(), rng))
        refused += not survives(lambda: load_model(saved), saved.stat().st_size)
    assert refused > 0.9 * N_FILES  # what zip files do not check, as times, may change


def opened(path: Path) -> Any:
    return load_validator(path) if path.name == "validator.txt" else convert_openface(path)


@pytest.mark.parametrize(
    "write", [write_model, write_cen_model, lambda folder: write_validator(folder / "validator.txt")]
)
def test_flipped_bytes_of_openfaces_files_end_in_a_sentence(tmp_path: Path, write) -> None:
    main = write(tmp_path)
    assert opened(main)
    files = sorted(path for path in main.parent.rglob("*") if path.is_file())
    whole = {path: path.read_bytes() for path in files}
    size, refused = sum(map(len, whole.values())), 0
    for seed in range(N_FILES):
        rng = np.random.default_rng(seed)
        path = files[rng.integers(len(files))]
        path.write_bytes(flipped(whole[path], rng, headers=seed % 2 == 0))
        refused += not survives(lambda: opened(main), size)
        path.write_bytes(whole[path])
    assert refused > N_FILES // 6


@pytest.mark.parametrize("write", [write_cen_model, lambda folder: write_validator(folder / "validator.txt")])
def test_openfaces_files_that_break_off_are_refused(tmp_path: Path, write) -> None:
    main = write(tmp_path)
    path = main if main.name == "validator.txt" else main.with_name("cen_0.dat")
    whole = path.read_bytes()
    for keep in np.random.default_rng(0).integers(len(whole), size=N_FILES):
        path.write_bytes(whole[:keep])
        assert not survives(lambda: opened(main), len(whole))


def test_one_wide_cen_expert_does_not_pad_hundreds(tmp_path: Path) -> None:
    """Thousands of experts of two hidden units, and one of 20,000."""
    main = write_cen_model(tmp_path, n_points=2000, hidden=((2,),))
    path = main.with_name("cen_0.dat")
    whole = path.read_bytes()
    layer = struct.pack("<i", 2) + matrix(np.zeros((2, 1), "f4"))
    start = whole.index(layer)
    end = start + 2 * (4 + 12 + 12) + 4 * (2 + 2 * 122 + 1 + 2)  # of this expert's two layers
    wide = struct.pack("<i", 2) + matrix(np.zeros((20_000, 1), "f4")) + matrix(np.zeros((20_000, 122), "f4"))
    last = struct.pack("<i", 0) + matrix(np.zeros((1, 1), "f4")) + matrix(np.zeros((1, 20_000), "f4"))
    path.write_bytes(whole[:start] + wide + last + whole[end:])
    with pytest.raises(ValueError, match="a layer of [0-9]+ experts would take [0-9]+ bytes of memory"):
        convert_openface(main)


def test_flipped_bytes_of_a_checkpoint_end_in_a_sentence(tmp_path: Path) -> None:
    path, neurons = tmp_path / "c.npz", [np.arange(30.0).reshape(5, 6)]
    Checkpoint(path, "run").save(0, 1, neurons, [np.ones(3)], finished=False)
    whole = path.read_bytes()
    for seed in range(N_FILES):
        path.write_bytes(flipped(whole, np.random.default_rng(seed)))
        found: list[Any] = []
        if survives(lambda into=found: into.extend(Checkpoint(path, "run").begin(neurons)), len(whole)):
            np.testing.assert_array_equal(found, neurons)  # what zip files do not check, as times, may change


def _members(**arrays: np.ndarray) -> dict[str, bytes]:
    content = {}
    for name, array in arrays.items():
        file = io.BytesIO()
        np.save(file, array)
        content[f"{name.replace('__', '/')}.npy"] = file.getvalue()
    return content


def wide_windows_of_nothing(arrays: dict[str, np.ndarray]) -> None:
    for window in range(20, 151):
        arrays[f"experts/0/edges/{window}"] = np.zeros((0, window**2, window**2), np.float32)


def many_windows(arrays: dict[str, np.ndarray]) -> None:
    """Each of another landmark's matrices, of which there are many."""
    for window in range(1, 32, 2):
        edges = np.zeros((2, window**2, window**2), np.float32)
        arrays[f"experts/0/edges/{window}"] = edges
    arrays["experts/0/betas"] = np.random.default_rng(0).random(arrays["experts/0/betas"].shape, np.float32)


@pytest.mark.parametrize("change", [wide_windows_of_nothing, many_windows])
def test_small_models_take_little_memory(saved: Path, change) -> None:
    size = rewritten(saved, change)
    assert not survives(lambda: load_model(saved), size)


@pytest.mark.parametrize("claim", [2**20, 2**33, 2**62])
def test_an_array_is_as_long_as_its_header_says(saved: Path, claim: int) -> None:
    file = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (claim,)}
    np.lib.format.write_array_header_1_0(file, header)
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", file.getvalue() + bytes(2**20))
    assert not survives(lambda: load_model(saved), saved.stat().st_size)


def test_a_small_file_that_unpacks_to_much_is_refused(saved: Path) -> None:
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in _members(header=np.zeros(2**28, np.uint8)).items():
            archive.writestr(name, content)
    assert saved.stat().st_size < 3e5
    with pytest.raises(ValueError, match="its arrays would take .* bytes of memory"):
        load_model(saved)


def test_a_member_that_unpacks_to_more_than_it_says_is_refused(saved: Path) -> None:
    """A bomb whose entry claims a hundred bytes: only so many are unpacked."""
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", bytes(2**27))
    content = saved.read_bytes()
    saved.write_bytes(content.replace((2**27).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    assert not survives(lambda: load_model(saved), saved.stat().st_size)


def test_one_large_expert_does_not_pad_thousands(tmp_path: Path) -> None:
    """A scale of very many experts without neurons, each of which would be padded to the largest."""
    main = write_model(tmp_path)
    scale = random_scale(0, 6, neurons=2000, windows=())
    n_views = 5000
    visibility = np.zeros((n_views, 6), bool)
    visibility[0, 0] = True
    nobody = [None] * (n_views * 6 - 1)
    many = replace(
        scale, centres=np.zeros((n_views, 3)), visibility=visibility, experts=[scale.experts[0], *nobody]
    )
    (main.parent / "ccnf whole 0.txt").write_bytes(scale_bytes(many))
    with pytest.raises(ValueError, match="30000 experts of up to 2000 neurons would take .* bytes of memory"):
        convert_openface(main)
