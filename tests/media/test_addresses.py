"""Addresses of object stores belong to runs on a cluster; runs here say so, and make no folder ``s3:``."""

from pathlib import Path

import pytest

from jaxclnf.media.addresses import check_no_address
from jaxclnf.media.inputs import find_photos
from jaxclnf.output.run_folder import OutputFolder


@pytest.mark.parametrize("place", ["s3://bucket/run", Path("s3://bucket/run"), "https://host/a?b=[c]"])
def test_addresses_are_refused_as_they_were_written(place: str | Path) -> None:
    with pytest.raises(ValueError, match=r"^(s3://bucket/run|https://host/a\?b=\[c\]) is an address"):
        check_no_address(place, "read")


@pytest.mark.parametrize("place", ["run", "c:/run", "a:b", "/s3:/run", "file:///run", Path("."), Path()])
def test_paths_are_not(place: str | Path) -> None:
    check_no_address(place, "read")


def test_a_folder_that_is_called_so_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s3:").mkdir()
    check_no_address(Path("s3:/run"), "write to")


def test_results_are_not_written_to_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="s3://bucket/run is an address"):
        OutputFolder(Path("s3://bucket/run"))
    assert list(tmp_path.iterdir()) == []


def test_photos_at_one_are_named_and_others_found(tmp_path: Path) -> None:
    (tmp_path / "a b.jpg").touch()
    found = find_photos(["s3://bucket/a.jpg", f"file://{tmp_path}/a%20b.jpg"])
    assert found.paths == [tmp_path / "a b.jpg"]
    (failure,) = found.failures
    assert failure.reason.startswith("s3://bucket/a.jpg is an address")
