from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from jaxclnf.cli import main
from jaxclnf.commands.options import Format, Preset
from jaxclnf.models.preset_settings import PRESETS
from jaxclnf.output.formats import FORMATS

SECONDS = 10
"""Five times what the import may take on two idle cores, for machines that are neither."""


def test_the_import_is_quick_and_leaves_the_host_side_alone() -> None:
    """`experiments/03_first_call` prints the exact times, also of the first fit."""
    code = (
        "import sys, time; start = time.perf_counter(); import jaxclnf; print(time.perf_counter() - start)\n"
        "assert not {'matplotlib', 'dlib', 'typer', 'polars'} & set(sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(out.stdout) < SECONDS


def test_words_of_options_are_those_that_the_rooms_know() -> None:
    """The command line names presets and formats itself, so that `--help` imports neither JAX nor polars."""
    assert {f".{word.value}" for word in Format} == set(FORMATS)
    assert {word.value for word in Preset} == set(PRESETS)


STREAMS = """
import os, sys
from jaxclnf.commands import streams
streams.never_fail()
with open(sys.argv[1], "wb") as result:
    print("lost"), print("lost", file=sys.stderr), os.write(1, b"lost"), os.write(2, b"lost")
assert sys.stdin.read() == ""
sys.exit(streams.lost())
"""


def test_a_closed_stream_costs_nothing_and_nothing_is_printed_into_a_result(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STREAMS, str(tmp_path / "result")]
    shell = subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *command])
    assert shell.returncode == 0 and (tmp_path / "result").read_bytes() == b""


def test_a_stream_that_takes_nothing_ends_no_run() -> None:
    """Its reader has gone, which is usual, or its disk is full, which is said."""
    show = shlex.join([sys.executable, "-m", "jaxclnf", "fit", "--help"])
    outcome = subprocess.run(["bash", "-c", f"{show} >/dev/full"], capture_output=True, text=True)
    assert outcome.returncode == 1
    assert outcome.stderr == "jaxclnf: not everything could be printed: No space left on device\n"
    script = f"{{ {show}; echo $? >&2; }} | true"
    outcome = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert outcome.stderr == "1\n"


def test_where_jax_does_not_begin_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise AssertionError

    monkeypatch.setattr("jaxclnf.cli._run", fail)
    monkeypatch.setattr("jax.devices", fail)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    with pytest.raises(AssertionError):
        main()
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(SystemExit, match="jaxclnf: JAX_PLATFORMS=cuda: JAX cannot begin there"):
        main()


def test_a_present_folder_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setattr("jaxclnf.cli._run", os.getcwd)
    with pytest.raises(SystemExit, match="jaxclnf: the present folder: No such file or directory"):
        main()


def test_errors_of_libraries_keep_their_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ConnectionError("the server said no")

    monkeypatch.setattr("jaxclnf.cli._run", fail)
    with pytest.raises(SystemExit, match="^jaxclnf: the server said no$"):
        main()
