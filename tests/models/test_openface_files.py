"""The reader against written files: all arrays come back, damage of any kind is refused in one sentence."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from openface_files import random_pdm, random_scale, scale_bytes, text_matrix, write_model
from shared_data import shared

from jaxclnf.models.openface import convert_openface
from jaxclnf.models.openface.ccnf_files import read_experts
from jaxclnf.models.openface.pdm_files import read_pdm

EYE = "left_ccnf_patches_1.00_synth_lid_.txt"


@pytest.fixture
def main(tmp_path: Path) -> Path:
    return write_model(tmp_path / "a model")


def _scale_file(main: Path) -> Path:
    return main.parent / "ccnf whole 0.txt"


def test_pdm_comes_back(main: Path) -> None:
    pdm, (mean, modes, eigenvalues) = read_pdm(main.parent / "pdm_whole.txt"), random_pdm(7, 6, 2)
    for point, axis in np.ndindex(6, 3):
        assert pdm.mean[point, axis] == mean[axis * 6 + point, 0]
        np.testing.assert_array_equal(pdm.basis[point, axis], modes[axis * 6 + point])
    np.testing.assert_array_equal(pdm.eigenvalues, eigenvalues[0])


def test_experts_come_back(main: Path) -> None:
    scale, (experts,) = random_scale(0, 6), read_experts([_scale_file(main)])
    assert experts.patch_scale == scale.patch_scale
    assert experts.support == (5, 3)
    np.testing.assert_allclose(np.rad2deg(experts.view_centres), scale.centres)
    np.testing.assert_array_equal(experts.visibility, scale.visibility)
    assert list(experts.edges) == list(experts.sigma) == [3, 5]
    for (view, point), expert in zip(np.ndindex(2, 6), scale.experts, strict=True):
        n = 0 if expert is None else len(expert.alpha)
        assert not experts.alpha[view, point, n:].any()
        if expert is not None:
            np.testing.assert_array_equal(experts.weights[view, point, :n], expert.weights)
            for name in ("norm_weights", "bias", "alpha"):
                np.testing.assert_array_equal(getattr(experts, name)[view, point, :n], getattr(expert, name))
            np.testing.assert_array_equal(experts.betas[view, point], expert.betas)
            assert experts.patch_confidence[view, point] == expert.confidence


def test_model_and_part_come_back(main: Path) -> None:
    model = convert_openface(main)
    assert [float(e.patch_scale) for e in model.experts] == [0.25, 0.5]
    (part,) = model.parts
    assert (part.name, part.main_points, part.part_points) == ("nose", (1, 2), (0, 1))
    assert part.model.experts[0].sigma == {} and part.model.experts[0].betas.shape == (2, 3, 0)
    assert model.provenance.name == "main" and "OpenFace" in model.provenance.licence
    alone = convert_openface(main.parent / "clnf_whole.txt")
    np.testing.assert_array_equal(alone.experts[1].weights, model.experts[1].weights)


def test_edges_are_the_last_scales(main: Path) -> None:
    scale = random_scale(1, 6)
    scale.edges = {3: 2 * scale.edges[3]}
    (main.parent / "ccnf whole 1.txt").write_bytes(scale_bytes(scale))
    for experts in convert_openface(main).experts:
        assert list(experts.sigma) == [3]
        np.testing.assert_array_equal(experts.edges[3], scale.edges[3])


def _patched(content: bytes, at: int, value: bytes) -> bytes:
    return content[:at] + value + content[at + len(value) :]


INT = struct.Struct("<i").pack
# Offsets in the first scale's file: scale 0, views 8, a centre's header 12, the first visibility's 84.
DAMAGES = {
    "truncated": (lambda c: c[:-1], "bytes are left|but .* are left"),
    "cut to nothing": (lambda c: b"", "but 0 are left"),
    "padded": (lambda c: c + b"\0", "1 bytes too many"),
    "text": (lambda c: b"PDM pdms/pdm.txt\n" * 9, "patch scale is"),
    "patch scale not a number": (lambda c: _patched(c, 0, struct.pack("<d", np.nan)), "patch scale is nan"),
    "no views": (lambda c: _patched(c, 8, INT(0)), "number of views is 0"),
    "2^31 - 1 views": (lambda c: _patched(c, 8, INT(2**31 - 1)), "expected 3 x 1|but .* are left"),
    "centre of 4 rows": (lambda c: _patched(c, 12, INT(4)), "view centre is 4 x 1, expected 3 x 1"),
    "type code 7": (lambda c: _patched(c, 20, INT(7)), "type code 7"),
    "absurd visibility": (lambda c: _patched(c, 84, INT(2**31 - 1)), "would take 2147483647 times 4 bytes"),
    "negative visibility": (lambda c: _patched(c, 84, INT(-6)), "visibility is -6 x 1"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused(main: Path, damage: str) -> None:
    break_it, sentence = DAMAGES[damage]
    path = _scale_file(main)
    path.write_bytes(break_it(path.read_bytes()))
    with pytest.raises(ValueError, match=sentence) as caught:
        convert_openface(main)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def _last_expert(content: bytes) -> int:
    """Where the last expert of the first scale's file starts: code, width, height, neurons, ..."""
    return content.rindex(struct.pack("<4i", 5, 3, 5, 3))


@pytest.mark.parametrize(
    ("at", "value", "sentence"),
    [
        (0, INT(4), "code of a CCNF expert is 4"),
        (4, INT(-1), "size of a neuron is -1"),
        (4, INT(2**30), "size of a neuron is 1073741824"),
        (4, INT(0), "5 x 0 weights"),
        (12, INT(2**31 - 1), "would take 2147483647 times"),
        (12, INT(-1), "number of neurons is -1"),
        (16, INT(3), "tag of a neuron"),
        (20, INT(3), "kind of a neuron"),
        (24, struct.pack("<d", np.inf), "norm_weights hold inf"),
        (40, struct.pack("<d", 1e200), "alpha hold 1e\\+200"),
        (48, INT(4), "matrix of a neuron"),
    ],
)
def test_damaged_expert_is_refused(main: Path, at: int, value: bytes, sentence: str) -> None:
    path = _scale_file(main)
    content = path.read_bytes()
    path.write_bytes(_patched(content, _last_expert(content) + at, value))
    with pytest.raises(ValueError, match=sentence):
        convert_openface(main)


def test_absurd_counts_take_no_memory(main: Path) -> None:
    path = _scale_file(main)
    content = path.read_bytes()
    tracemalloc.start()
    for at in (8, 84, _last_expert(content) + 12):
        path.write_bytes(_patched(content, at, INT(2**31 - 1)))
        with pytest.raises(ValueError):
            read_experts([path])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * len(content) + 1e6


def test_edges_and_alphas_that_give_no_sigma_are_refused(main: Path) -> None:
    for change, sentence in (
        (lambda s: s.edges[3].__setitem__((0, 0, 1), -2), "not symmetric"),
        (lambda s: s.experts[0].betas.__setitem__(0, -100.0), "no positive definite matrix"),
        (lambda s: s.experts[0].alpha.__setitem__(slice(None), 0.0), "no neurons of alpha above 0"),
        (lambda s: s.experts.__setitem__(0, None), "no neurons of alpha above 0"),
        (lambda s: s.edges.update({7: s.edges[3]}), "expected 49 x 49"),
        (lambda s: s.edges.update({3: s.edges[3][:1]}), "more or fewer edge components"),
    ):
        scale = random_scale(0, 6)
        change(scale)
        _scale_file(main).write_bytes(scale_bytes(scale))
        with pytest.raises(ValueError, match=sentence):
            read_experts([_scale_file(main)])


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("main.txt", "LandmarkDetector main.txt", "0 lines PDM"),
        ("main.txt", "LandmarkDetector", "names no file"),
        ("main.txt", "LandmarkDetector gone.txt", "gone.txt does not exist"),
        ("main.txt", "LandmarkDetector .", "is not a file, but a folder"),
        ("main.txt", "PatchesABC abc.dat", "'PatchesABC' is not a keyword"),
        ("main.txt", "", "0 lines PDM"),
        ("main.txt", "PDM pdm_whole.txt", "no line PatchesCCNF"),
        ("main.txt", "PDM pdm_part.txt\nPatchesCCNF ccnf whole 0.txt", "6 landmarks, but the PDM has 3"),
        (
            "main.txt",
            "LandmarkDetector clnf_whole.txt\nLandmarkDetector_part clnf_part.txt",
            "pairs of landmarks",
        ),
        ("main.txt", "LandmarkDetector clnf_whole.txt\nLandmarkDetector_part clnf_part.txt a 1", "pairs of"),
        ("main.txt", "LandmarkDetector clnf_whole.txt\nLandmarkDetector_part clnf_part.txt a 6 0", "below 6"),
        ("main.txt", "LandmarkDetector clnf_whole.txt\nLandmarkDetector_part gone.txt a 1 0", "not exist"),
        ("main.txt", "PDM p\n" * 17, "more than 16 lines"),
        ("main.txt", "PDM " + "p" * 3000, "a line of more than 2000 characters"),
        ("main.txt", "PDM \udcff", "not text"),
        ("main.txt", "PDM \0", "zero bytes"),
        ("pdm_whole.txt", "", "matrices of shapes \\[\\]"),
        ("pdm_whole.txt", text_matrix(np.ones((18, 1))) * 3, "expected \\(3n, 1\\), \\(3n, m\\)"),
        ("pdm_whole.txt", "204 1 6 1 2 3", "204 x 1 numbers, but 3 are left"),
        ("pdm_whole.txt", "999999999 999999999 6 1", "999999999 x 999999999 numbers"),
        ("pdm_whole.txt", "1 1 6 one", "expected numbers"),
        ("pdm_whole.txt", "1 1 0 1", "type code 0"),
        ("pdm_whole.txt", "-1 -1 6 1", "rows, columns and a type code"),
    ],
)
def test_wrong_text_is_refused(main: Path, name: str, text: str, sentence: str) -> None:
    (main.parent / name).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=sentence):
        convert_openface(main)


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf])
def test_pdm_of_senseless_eigenvalues_is_refused(main: Path, value: float) -> None:
    mean, modes, eigenvalues = random_pdm(7, 6, 2)
    eigenvalues = eigenvalues * [1, value]
    (main.parent / "pdm_whole.txt").write_text("".join(map(text_matrix, (mean, modes, eigenvalues))))
    with pytest.raises(ValueError, match="eigenvalue"):
        convert_openface(main)


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """One random damage: an integer or some bytes overwritten, a stretch cut out or repeated, the end cut."""
    at, size = int(rng.integers(len(content))), int(rng.integers(1, 64))
    kind = rng.integers(5)
    if kind == 0:
        return _patched(content, at // 4 * 4, INT(int(rng.choice([-1, 0, 1, 7, 2**16, 2**31 - 1]))))
    if kind == 1:
        return _patched(content, at, rng.bytes(size))
    if kind == 2:
        return content[:at] + content[at + size :]
    if kind == 3:
        return content[:at] + content[at : at + size] * 2 + content[at + size :]
    return content[:at]


def _survives(path: Path, content: bytes, convert) -> bool:
    """Whether the mutated file is still read; anything but ValueError fails the test."""
    path.write_bytes(content)
    try:
        convert()
    except ValueError as error:
        assert 0 < len(str(error)) < 600 and "\n" not in str(error)
        return False
    return True


@pytest.mark.parametrize("name", ["main.txt", "clnf_whole.txt", "pdm_whole.txt", "ccnf whole 0.txt"])
def test_mutated_files_raise_value_error_alone(main: Path, name: str) -> None:
    rng, path = np.random.default_rng(len(name)), main.parent / name
    content = path.read_bytes()
    survivors = sum(_survives(path, mutate(content, rng), lambda: convert_openface(main)) for _ in range(60))
    assert survivors < 50


def test_mutated_real_experts_raise_value_error_alone(tmp_path: Path) -> None:
    content = shared("openface", "model", "model_eye", "patch_experts", EYE).read_bytes()
    rng, path = np.random.default_rng(0), tmp_path / EYE
    survivors = sum(_survives(path, mutate(content, rng), lambda: read_experts([path])) for _ in range(300))
    assert 0 < survivors < 200
