from __future__ import annotations

import os
import pathlib
import stat
import subprocess
import sys

import pytest

from llminit_tools import main

ROOT = pathlib.Path(__file__).resolve().parents[2]


def is_script(path: pathlib.Path) -> bool:
    """Run by people: an executable, a batch script, or a Python file that is no module."""
    if path.is_dir() or "__pycache__" in path.parts:
        return False
    return path.suffix == ".sbatch" or path.parent.name == "bench" and path.suffix == ".py" or bool(
        path.stat().st_mode & stat.S_IXUSR)


SCRIPTS = sorted(path.relative_to(ROOT) for folder in ("tools", "slurm", ".ci") for path in (ROOT / folder).rglob("*")
                 if is_script(path))


def helped(command: list[str], tmp_path: pathlib.Path) -> str:
    """What a command says with --help, in an empty folder and home, with nothing on stderr."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*command, "--help"], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.iterdir())
    return done.stdout


def test_there_are_scripts_of_each_kind():
    names = {str(path) for path in SCRIPTS}
    assert {"tools/install", "tools/compare", "tools/curves", "tools/bench/epoch", "tools/bench/pytorch_epoch.py",
            "slurm/train.sbatch", ".ci/run"} <= names


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_each_script_says_what_it_does(script: pathlib.Path, tmp_path: pathlib.Path):
    interpreter = {".sbatch": ["bash"], ".py": [sys.executable]}.get(script.suffix, [])
    text = helped([*interpreter, str(ROOT / script)], tmp_path)
    assert str(script) in text or script.name in text  # the usage
    assert len(text.splitlines()) >= 3 and "shellcheck" not in text


@pytest.mark.parametrize("command", main.COMMANDS)
def test_each_command_of_study_says_what_it_does(command: str, tmp_path: pathlib.Path):
    text = helped([str(ROOT / "tools/study"), command], tmp_path)
    assert text.startswith(f"usage: tools/study {command} ") and "--help" in text
