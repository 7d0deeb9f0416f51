"""Tests of tools/llminit_tools. No MPI: the program is a script that answers and trains as llminit does."""
from __future__ import annotations

import pathlib
import stat
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent.parent / "tools"))


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
