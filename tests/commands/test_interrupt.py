"""Ctrl-C at any moment: one sentence, at once, status 130, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import write_faces, write_model
from video_files import write_video

# Puts the program into a state and says so; what follows is where Ctrl-C finds it.
IN_IMPORT = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "jaxclnf.commands.app":
            print("ready", flush=True)
            for _ in range(200):
                try:
                    time.sleep(0.1)
                except BaseException:
                    pass  # as some extensions do while they are imported
sys.meta_path.insert(0, Slow())
sys.argv = ["jaxclnf", "--help"]
from jaxclnf.cli import main
main()
"""
IN_LONG_C = """
import ctypes
from jaxclnf.commands import app, interrupt
from jaxclnf import cli
def compile_for_long():
    interrupt.on_interrupt("stopped; nothing is lost")
    print("ready", flush=True)
    ctypes.CDLL(None).poll(None, 0, 20000), ctypes.CDLL(None).poll(None, 0, 20000)
app.app = compile_for_long
cli.main()
"""

IN_WRITING = """
import ctypes, sys
from pathlib import Path
from jaxclnf.commands import app, interrupt
from jaxclnf import cli, whole_files
def write_for_long():
    if sys.argv[2:]:
        interrupt.on_interrupt("stopped")
    with whole_files.written_whole(Path(sys.argv[1]), ".jaxclnf-*.npz.unfinished") as part:
        part.write_text("half of it")
        print("ready", flush=True)
        ctypes.CDLL(None).poll(None, 0, 20000)
app.app = write_for_long
cli.main()
"""


IN_EXTENSION = """
import time
from jaxclnf.commands import app, interrupt
from jaxclnf import cli
def wait():
    interrupt.on_interrupt("stopped; nothing is lost")
    print("ready", flush=True)
    try:
        time.sleep(20)
    except BaseException:
        raise SystemError("returned a result with an exception set")  # as Ray's do
app.app = wait
cli.main()
"""


def interrupted(code: str, twice: bool = False, *arguments: object) -> tuple[int, str, float]:
    """Exit status, standard error, and seconds from Ctrl-C to the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    if twice:
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    return process.returncode, err, time.monotonic() - begun


def test_during_imports_that_swallow_it() -> None:
    status, err, seconds = interrupted(IN_IMPORT)
    assert (status, err) == (130, "jaxclnf: stopped\n")
    assert seconds < 2


def test_what_extensions_make_of_it_is_not_shown() -> None:
    status, err, _ = interrupted(IN_EXTENSION)
    assert (status, err) == (130, "jaxclnf: stopped; nothing is lost\n")


def test_the_end_waits_until_the_sentence_is_written() -> None:
    """The main thread is quick to leave, while the listener has only begun to write."""
    late = (
        "import os, time\nwrite = os.write\n"
        "def slowly(fd, text):\n    time.sleep(0.3)\n    return write(fd, text)\nos.write = slowly\n"
    )
    status, err, _ = interrupted(late + IN_EXTENSION.replace("raise", "time.sleep(0.1); raise"))
    assert (status, err) == (130, "jaxclnf: stopped; nothing is lost\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_a_sentence_that_cannot_be_written_changes_no_status() -> None:
    code = f"import os\nos.dup2(os.open('/dev/full', os.O_WRONLY), 2)\n{IN_EXTENSION}"
    assert interrupted(code)[0] == 130


@pytest.mark.parametrize("twice", [False, True])
def test_while_the_main_thread_is_in_c(twice: bool) -> None:
    status, err, seconds = interrupted(IN_LONG_C, twice)
    assert (status, err) == (130, "jaxclnf: stopped; nothing is lost\n")
    assert seconds < (2 if twice else 5)


@pytest.mark.parametrize("tidies_up", [False, True])
def test_nothing_half_written_stays(tmp_path: Path, tidies_up: bool) -> None:
    """Also where the process ends at once, or before its main thread comes back to tidy up."""
    status, err, _ = interrupted(IN_WRITING, False, tmp_path / "model.npz", *["tidies up"] * tidies_up)
    assert (status, err) == (130, "jaxclnf: stopped\n")
    assert not list(tmp_path.iterdir())


def test_a_merge_that_is_stopped_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    import polars as pl

    target = tmp_path / "all.csv"
    pl.DataFrame({"source": ["a", "b"]}).write_parquet(tmp_path / "part-000000.parquet")
    target.write_text("source\nbefore\n")
    code = (
        "import time; from jaxclnf.cluster import merge; from jaxclnf import cli\n"
        "def write(rows, path, suffix):\n"
        "    path.write_text('half of it'); print('ready', flush=True); time.sleep(20)\n"
        "merge.write_rows = write; cli.main()"
    )
    status, err, seconds = interrupted(code, False, "merge", tmp_path, target)
    assert (status, err) == (130, f"jaxclnf: stopped; {target} was not written\n")
    assert seconds < 2 and target.read_text() == "source\nbefore\n"
    assert sorted(os.listdir(tmp_path)) == ["all.csv", "part-000000.parquet"]


def test_where_python_drops_exceptions_nothing_is_said_of_it() -> None:
    """Ctrl-C while a finaliser runs: the listener says the sentence and ends the process."""
    code = (
        "import os, signal, time\nfrom jaxclnf.commands import interrupt\n"
        "class Dropped:\n"
        "    def __del__(self):\n        os.kill(os.getpid(), signal.SIGINT); time.sleep(0.2)\n"
        "with interrupt.listening():\n    interrupt.on_interrupt('stopped')\n"
        "    Dropped()\n    time.sleep(30)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "jaxclnf: stopped\n")


def test_while_the_process_ends_its_status_stays() -> None:
    """Ctrl-C between the end of the work and that of the process."""
    code = (
        "import atexit, os, signal, time; from jaxclnf import cli; cli.main = lambda: None;"
        "atexit.register(lambda: (os.kill(os.getpid(), signal.SIGINT), time.sleep(0.2))); cli.program()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["fit", "track"])
def test_at_any_moment_inputs_and_rows_stay_whole(tmp_path: Path, command: str) -> None:
    write_model(tmp_path)
    write_faces(tmp_path / "photos", [f"{i}.png" for i in range(40)])
    write_video(tmp_path / "clip.mp4", n_frames=300)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    source = ["photos", "--boxes", "photos/boxes.csv"] if command == "fit" else ["clip.mp4"]
    arguments = [sys.executable, "-m", "jaxclnf", command, *source, "--model", "model.npz", "--out", "."]
    arguments += ["--set", "windows=7,5", "--set", "start_rotations=0,0,0", "--no-report"]
    for seconds in (0.2, 2.0, 6.0):
        process = subprocess.Popen(
            arguments, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        if seconds > 1:
            assert process.returncode in (0, 130), err
            assert "Traceback" not in err and err.count("\n") <= 1
        arguments += ["--resume"] * (command == "fit" and "--resume" not in arguments)
    assert {path: path.read_bytes() for path in before} == before
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]
