"""Tables that a run on other photos would replace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jaxclnf.output.earlier_tables import check_shares, has_rows
from jaxclnf.output.growing_table import Table


def written(path: Path, *sources: str) -> Path:
    """Write a table with two rows of each source."""
    table = Table.afresh(path, ["face", "source", "status"])
    for source in sources:
        table.add([[str(face), source, "ok"] for face in (0, 1)])
    table.finish()
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_a_table_is_of_the_same_photos_wherever_they_are_named_from(
    tmp_path: Path, monkeypatch, suffix
) -> None:
    table = written(tmp_path / f"landmarks.{suffix}", "day 1/a.jpg", "./=b.jpg")
    monkeypatch.chdir(tmp_path)
    for same in ("day 1/a.jpg", "=b.jpg", tmp_path / "day 1/a.jpg"):
        check_shares(table, "source", [Path("other.jpg"), Path(same)])
    (tmp_path / "day 1").mkdir()
    monkeypatch.chdir(tmp_path / "day 1")
    check_shares(table, "source", [Path("a.jpg")], str(tmp_path))
    with pytest.raises(ValueError, match=re.escape(f"{table} holds 2 other photos and would be lost")):
        check_shares(table, "source", [Path("=b.jpg")], str(tmp_path))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_tables_without_rows_may_be_replaced(tmp_path: Path, suffix) -> None:
    table = written(tmp_path / f"landmarks.{suffix}")
    check_shares(table, "source", [Path("a.jpg")])
    check_shares(tmp_path / f"none.{suffix}", "source", [Path("a.jpg")])
    assert not has_rows(table, "source") and has_rows(written(tmp_path / f"one.{suffix}", "a"), "source")
