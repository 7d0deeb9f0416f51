"""The program llminit: where it is, in what environment it runs, what it answers, and what went wrong if it failed."""
from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import Any, Sequence, Union

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
IS_INSTALLED = (ROOT / "bin").exists()  # by cmake --install: then a link to the folder of programs
BUILD = ROOT / ("bin" if IS_INSTALLED else "build")
FAILED, USAGE, FORMAT, IO, STOPPED = 1, 2, 3, 4, 75  # exit statuses, of the program and of these tools

Word = Union[str, pathlib.Path]  # of a command line


class Failure(Exception):
    """An error to report in one line, and the exit status."""

    def __init__(self, message: str, status: int = USAGE):
        super().__init__(message)
        self.status = status


def say(*words: object) -> None:
    """A line of progress on stderr, with the name of the command as it was called."""
    called = pathlib.Path(sys.argv[0]).name
    name = sys.argv[1] if called in ("study", "llminit-study") and len(sys.argv) > 1 else called
    print(f"{name}:", *words, file=sys.stderr, flush=True)


def mpi_settings() -> dict[str, str]:
    """Environment variables of tools/mpi.env, for ranks that share this machine."""
    lines = (ROOT / "tools/mpi.env").read_text(encoding="ascii").splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]", line))


def environment(threads: Union[int, str, None] = None, on_this_machine: bool = True) -> dict[str, str]:
    """The caller's environment, with `threads` if given; on this machine also tools/mpi.env, whose variables do not
    replace the caller's."""
    values = mpi_settings() if on_this_machine else {}
    values.update(os.environ)
    values.pop("LLMINIT_PROGRESS", None)  # no progress bar in a file
    if threads is not None:
        values["OMP_NUM_THREADS"] = str(threads)
    return values


def error_in(text: str) -> str:
    """The line of a program's stderr in which llminit, or else mpirun, reports an error; "" if neither does."""
    found = re.findall(r"^llminit: error: (.*)$", text, re.M) or re.findall(r"^mpirun noticed .*$", text, re.M)
    return found[-1].strip() if found else ""


def error_of_run(status: int, output: pathlib.Path) -> str:
    """The error of a program that ended with `status` and wrote its log to `output`."""
    return error_in(output.read_text(encoding="utf-8", errors="replace")) or f"exit status {status}: see {output}"


def read_settings(text: str) -> dict[str, Any]:
    """{name: text or list of texts} of YAML as the program writes it. A last line that was cut off is ignored."""
    return yaml.load(text[: text.rfind("\n") + 1], Loader=yaml.BaseLoader) or {}


def run_alone(command: Sequence[Word], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program of one rank without mpirun, which would take three times as long.

    Such a program must have Open MPI's session folder for itself, so each call gets its own. Ctrl-C does not reach it.
    """
    with tempfile.TemporaryDirectory() as sessions:
        alone = {"OMPI_MCA_ess_singleton_isolated": "1", "OMPI_MCA_orte_tmpdir_base": sessions}
        return subprocess.run(
            command,
            env={**env, **alone},
            capture_output=True,
            text=True,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )


def answer_of(command: Sequence[Word], env: dict[str, str]) -> str:
    """What a program of one rank prints on stdout. Failure with its error and its exit status."""
    done = run_alone(command, env)
    if done.returncode != 0:
        what = " ".join(map(str, [pathlib.Path(command[0]).name, *command[1:2]]))
        raise Failure(error_in(done.stderr) or f"{what} ended with {done.returncode}", done.returncode)
    return done.stdout


@dataclasses.dataclass(frozen=True)
class Program:
    """llminit of a build folder, and the environment in which it runs."""

    path: pathlib.Path
    env: dict[str, str]

    def ask(self, *arguments: Word) -> str:
        return answer_of([self.path, *arguments, "--quiet"], self.env)

    def ask_json(self, *arguments: Word) -> Any:
        return json.loads(self.ask(*arguments, "--json"))

    def settings(self, arguments: Sequence[Word]) -> dict[str, Any]:
        """The settings that train would use with these arguments (a file, --set)."""
        return read_settings(self.ask("settings", "--yaml", *arguments))

    def machine_settings(self) -> set[str]:
        """Names of the settings that never change a result."""
        groups = self.ask_json("settings")
        return {row["name"] for rows in groups.values() for row in rows if row["machine"]}

    def digest(self, data: pathlib.Path) -> str:
        return self.ask_json("info", data)["digest"]


def find(build: pathlib.Path, name: str = "llminit") -> pathlib.Path:
    program = build.resolve() / name
    if not program.exists():
        raise Failure(f"{program} does not exist: build it, or give --build")
    return program
