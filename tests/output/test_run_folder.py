from __future__ import annotations

import os
from pathlib import Path

import pytest

from jaxclnf.media.earlier_results import is_result
from jaxclnf.output.run_folder import OutputFolder, source_key


def stems(folder: Path, *sources: Path, endings: tuple[str, ...] = (".csv", ".mp4")) -> list[str]:
    with OutputFolder(folder) as out:
        out.protect(sources)
        names = [out.stem(str(source), source.stem, endings) for source in sources]
        out.save()
    return names


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_every_source_has_its_own_names(tmp_path: Path) -> None:
    sources = [
        touch(tmp_path / name) for name in ("clip.avi", "clip-2.mp4", "clip.mp4", "d/clip.mp4", "CLIP.mov")
    ]
    names = stems(tmp_path / "out", *sources)
    assert names == ["clip", "clip-2", "clip-3", "clip-4", "CLIP-5"]
    assert stems(tmp_path / "out", *reversed(sources)) == names[::-1]


def test_a_pattern_of_another_folder_is_another_source(tmp_path: Path, monkeypatch) -> None:
    names = []
    for day, pattern in (("1", "*.png"), ("2", "*.png"), ("1", "*.png"), ("2", tmp_path / "1/day/*.png")):
        touch(tmp_path / day / "day/f0.png")
        monkeypatch.chdir(tmp_path / day / "day")
        with OutputFolder(tmp_path / "out") as out:
            names.append(out.stem(str(pattern), "day", [".csv"]))
            out.save()
    assert names == ["day", "day-2", "day", "day"]
    for elsewhere in ("0", "-", "rtsp://camera/*", "s3://bucket/*.png"):
        assert source_key(elsewhere) == elsewhere


def test_many_sources_of_one_name_are_numbered_in_time(tmp_path: Path, monkeypatch) -> None:
    tried = []
    is_free = OutputFolder._is_free
    monkeypatch.setattr(OutputFolder, "_is_free", lambda *asked: tried.append(asked) or is_free(*asked))
    sources = [tmp_path / f"{i}/{name}.jpg" for i in range(100) for name in ("face", "Face", "x" * 300)]
    names = stems(tmp_path / "out", *sources, endings=(".png",))
    assert names[3:5] == ["face-3", "Face-4"] and names[-3] == "face-199"
    assert len({name.casefold() for name in names}) == 300
    assert len(tried) < 2 * 300


def test_inputs_keep_their_names_also_through_links(tmp_path: Path) -> None:
    clip = touch(tmp_path / "clip.mp4")
    (tmp_path / "here").symlink_to(tmp_path)
    (tmp_path / "other.mp4").symlink_to(clip)
    assert stems(tmp_path / "here", clip) == ["clip-2"]
    assert stems(tmp_path, tmp_path / "other.mp4") == ["other-2"]
    os.link(clip, touch(tmp_path / "out" / "x").with_name("clip.mp4"))
    assert stems(tmp_path / "out", clip) == ["clip-2"]


def test_a_stranger_s_file_is_not_written_over(tmp_path: Path) -> None:
    source = touch(tmp_path / "a.avi")
    touch(tmp_path / "out/a.mp4")
    touch(tmp_path / "out/report.html")
    assert stems(tmp_path / "out", source) == ["a-2"]
    with (
        OutputFolder(tmp_path / "out") as out,
        pytest.raises(ValueError, match="report.html is from no earlier run"),
    ):
        out.claim("report.html")


@pytest.mark.parametrize("name", ["a.unfinished.mp4", "A.unfinished.csv", "a.csv", "a.mp4"])
def test_a_stranger_s_file_stays_also_where_a_run_that_ended_had_one(tmp_path: Path, name: str) -> None:
    """Unfinished files of a run become its results, or stay for the next run, which may take them."""
    source, endings = touch(tmp_path / "a.avi"), (".csv", ".mp4", ".unfinished.csv", ".unfinished.mp4")
    foreign = touch(tmp_path / "out" / name)
    taken = "a-2" if name[0] == "a" else "a"  # capitals are other names here
    assert stems(tmp_path / "out", source, endings=endings) == [taken]
    foreign.unlink()
    with OutputFolder(tmp_path / "out2") as out:  # ends with an unfinished film, and one that became whole
        assert out.stem(str(source), "a", endings) == "a"
        out.save()
        touch(tmp_path / "out2/a.mp4"), touch(tmp_path / "out2/a.unfinished.csv")
    assert stems(tmp_path / "out2", source, endings=endings) == ["a"]
    touch(tmp_path / "out2/a.unfinished.mp4")
    assert stems(tmp_path / "out2", source, endings=endings) == ["a-2"]


def test_what_a_run_wrote_is_written_over_for_the_same_source(tmp_path: Path) -> None:
    source, other = touch(tmp_path / "a.avi"), touch(tmp_path / "b/a.avi")
    assert stems(tmp_path / "out", source) == ["a"]
    result = touch(tmp_path / "out/a.mp4")
    assert stems(tmp_path / "out", source, other) == ["a", "a-2"]
    assert is_result(result) and not is_result(source)


def test_a_run_that_is_killed_finds_its_folders_again(tmp_path: Path) -> None:
    for _ in range(2):
        with OutputFolder(tmp_path) as out:
            assert out.claim_folder("openface").name == "openface"


def test_only_files_of_runs_are_discarded(tmp_path: Path) -> None:
    source = touch(tmp_path / "a.avi")
    stems(tmp_path / "out", source)
    paths = [touch(tmp_path / f"out/{name}") for name in ("a.csv", "a.mp4", "b.csv", "deep/a.csv")]
    with OutputFolder(tmp_path / "out") as out:
        out.protect([tmp_path / "out/a.mp4"])
        out.discard(str(source), *paths)
    assert [path.exists() for path in paths] == [False, True, True, True]


def test_no_run_begins_in_another_s_folder(tmp_path: Path) -> None:
    with (
        OutputFolder(tmp_path / "out"),
        pytest.raises(ValueError, match="is the output folder of another run that has not ended"),
    ):
        OutputFolder(tmp_path / "out")
    with OutputFolder(tmp_path / "out"):
        pass


def test_what_a_killed_run_left_is_removed_and_no_planted_link_followed(tmp_path: Path) -> None:
    precious = touch(tmp_path / "precious")
    part = tmp_path / "out" / ".jaxclnf-0123456789ab.part"
    part.parent.mkdir()
    part.symlink_to(precious)
    with OutputFolder(tmp_path / "out"):
        assert os.listdir(tmp_path / "out") == []
    assert precious.exists()


def test_long_names_are_cut_between_letters(tmp_path: Path) -> None:
    source = touch(tmp_path / ("顔" * 83 + ".jpg"))  # 253 bytes
    other = touch(tmp_path / "d" / source.name)
    for name in stems(tmp_path / "out", source, other, endings=(".unfinished.json",)):
        assert len(os.fsencode(name + ".unfinished.json")) <= 255
        touch(tmp_path / "out" / (name + ".unfinished.json"))


DAMAGED = [
    *("[]", "null", "x", "\0", "[" * 10**5, '{"files": [], "done": {}}', '{"files": {"a": [1]}, "done": {}}'),
    '{"files": {}, "done": {"a": null}}',
]


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_file_called_like_the_list_is_not_taken_for_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "jaxclnf.json").write_text(text)
    with pytest.raises(ValueError, match="is not a list of a run's files"):
        OutputFolder(tmp_path)


def test_a_source_has_the_same_name_whatever_the_format_of_its_table(tmp_path: Path) -> None:
    """`.unfinished.csv` ends in `.csv`, too."""
    for format in ("parquet", "csv", "parquet", "jsonl"):
        with OutputFolder(tmp_path) as folder:
            assert (
                folder.stem("v.mp4", "v", [f".{format}", ".unfinished.csv", ".mp4", ".unfinished.mp4"]) == "v"
            )
            folder.save()


def test_nothing_waits_for_a_pipe_called_like_the_list(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "jaxclnf.json")
    with pytest.raises(ValueError, match="is not a list of a run's files"):
        OutputFolder(tmp_path)
