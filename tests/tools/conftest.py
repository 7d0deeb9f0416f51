"""Tests of tools/llminit_tools. No MPI: the program is a script that answers and trains as llminit does."""
from __future__ import annotations

import csv
import pathlib
import stat
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent.parent / "tools"))

from llminit_tools import main  # noqa: E402 # found by the path above


@pytest.fixture
def build(tmp_path: pathlib.Path) -> pathlib.Path:
    """A build folder with the fake program."""
    folder = tmp_path / "build"
    folder.mkdir()
    program = folder / "llminit"
    program.write_text(f"#!{sys.executable}\n" + (HERE / "fake_llminit.py").read_text(encoding="utf-8"))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    """A dataset; the fake program takes its text for its digest."""
    path = tmp_path / "data.h5"
    path.write_text("0123456789abcdef")
    return path


@pytest.fixture
def trainings(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """A function that lists the folders of all trainings so far."""
    log = tmp_path / "trainings"
    monkeypatch.setenv("FAKE_LOG", str(log))
    monkeypatch.setattr("signal.signal", lambda *_: None)  # signals are pytest's
    return lambda: log.read_text().split() if log.exists() else []


@pytest.fixture
def study(tmp_path: pathlib.Path, build: pathlib.Path, trainings):
    """Runs a command on the fake program, without mpirun; gives its exit status."""
    out = tmp_path / "out"

    def call(command: str, *arguments: object) -> int:
        fixed = ["--out", out, "--build", build, "--launch", "env"]
        return main.main(["tools/study", command, *map(str, [*arguments, *fixed])])

    return call


def rows(path: pathlib.Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))
