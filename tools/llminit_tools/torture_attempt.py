"""One attempt of tools/torture: a command of llminit in a folder of its own, with one fault, and what is left of it.

The fault comes from tests/support/cf_faults.c, which the ranks preload, or is a bit that is flipped in a file.
"""
from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import subprocess
from typing import Optional, Sequence

from . import program
from .program import Failure, Word

HANG = 60  # seconds; an attempt takes about one
PARTS = 64  # of a file, in each of which a bit is flipped
ERRORS = ("EIO", "ENOSPC", "EINTR", "ENOMEM", "short", "kill")  # what cf_faults.c can do


@dataclasses.dataclass(frozen=True, order=True)
class Fault:
    """The `at`-th call of a kind does `what` on a rank. Written as SCENARIO/RANKS.RANK/CALL/WHAT/AT; WHAT ends with +
    if all later calls do so too.

    CALL may also be `flip` (a bit in part AT of the file WHAT) and `delay` (calls of MPI are held up; AT is the seed).
    """

    scenario: str
    ranks: int
    rank: int
    call: str
    what: str
    at: int

    def __str__(self) -> str:
        return f"{self.group()}/{self.at}"

    def group(self) -> str:
        return f"{self.scenario}/{self.ranks}.{self.rank}/{self.call}/{self.what}"

    def environment(self, folder: pathlib.Path) -> dict[str, str]:
        """Variables of cf_faults.c. `folder`: whose files count."""
        if self.call == "flip":
            return {}
        if self.call == "delay":
            return {"CF_FAULTS_SEED": str(self.at)}
        values = {"CF_FAULTS_FOLDER": str(folder), "CF_FAULTS_RANK": str(self.rank), "CF_FAULTS_CALL": self.call,
                  "CF_FAULTS_AT": str(self.at), "CF_FAULTS_WHAT": self.what.rstrip("+")}
        return {**values, "CF_FAULTS_LASTS": "1"} if self.what.endswith("+") else values


def read_fault(text: str) -> Fault:
    found = re.fullmatch(r"([\w-]+)/(\d+)\.(\d+)/(\w+)/([\w.]+\+?)/(\d+)", text)
    if not found:
        raise Failure(f"{text!r} is not a fault, as train/2.1/write/EIO/17")
    scenario, ranks, rank, call, what, at = found.groups()
    return Fault(scenario, int(ranks), int(rank), call, what, int(at))


def flip_bit(path: pathlib.Path, part: int, choice: random.Random) -> None:
    """Flip a bit in a part of a file, 1 to PARTS."""
    content = bytearray(path.read_bytes())
    first, end = len(content) * (part - 1) // PARTS, len(content) * part // PARTS
    content[choice.randrange(first, max(end, first + 1))] ^= 1 << choice.randrange(8)
    path.write_bytes(content)


# ---- Running ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Ran:
    """How a command ended."""

    status: Optional[int]  # None: it hung
    stderr: str
    stdout: bytes
    struck: list[str]  # where the fault struck: "CALL PATH"
    counts: list[dict[str, int]]  # of each rank: calls by kind
    exits: list[int]  # exit statuses of the ranks that came to their end

    def errors(self) -> list[str]:
        return re.findall(r"^llminit: error: .*$", self.stderr, re.M)


def end_session(leader: int) -> None:
    """Kill all processes of the session of a process; mpirun gives its ranks process groups of their own."""
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[3]) == leader:
                    os.kill(int(entry.name), signal.SIGKILL)


@dataclasses.dataclass(frozen=True)
class Runner:
    """llminit, and the library of faults that it preloads."""

    llminit: pathlib.Path
    library: pathlib.Path
    env: dict[str, str]

    def command(self, arguments: Sequence[Word], ranks: int, extra: dict[str, str]) -> list[Word]:
        """One rank goes without mpirun, which would take three times as long."""
        if ranks == 1:
            return ["env", *(f"{name}={value}" for name, value in extra.items()), self.llminit, *arguments]
        exported = [word for name, value in extra.items() for word in ("-x", f"{name}={value}")]
        return ["mpirun", "-n", str(ranks), *exported, self.llminit, *arguments]

    def extra(self, scratch: pathlib.Path, fault: Optional[Fault]) -> dict[str, str]:
        """Environment of the ranks alone. Without a fault calls are only counted."""
        folder = scratch / "work"
        faults = fault.environment(folder) if fault else {"CF_FAULTS_FOLDER": str(folder)}
        return {"LD_PRELOAD": str(self.library), "CF_FAULTS_REPORT": str(scratch / "report"), **faults}

    def environment(self, scratch: pathlib.Path, ranks: int) -> dict[str, str]:
        """Open MPI's own files are beside the folder of the attempt, which nobody else enters."""
        own = {"OMPI_MCA_orte_tmpdir_base": str(scratch / "mpi"), "OMPI_MCA_odls_base_sigkill_timeout": "0",
               "OMPI_MCA_btl_vader_backing_directory": str(scratch / "mpi")}
        return {**self.env, **own, **({"OMPI_MCA_ess_singleton_isolated": "1"} if ranks == 1 else {})}

    def run(self, scratch: pathlib.Path, arguments: Sequence[Word], ranks: int, fault: Optional[Fault]) -> Ran:
        """Run in scratch/work. Of one rank stdout is a file there, so that writing to it may fail too."""
        (scratch / "mpi").mkdir(exist_ok=True)
        for report in scratch.glob("report.*"):
            report.unlink()
        out = scratch / ("work/stdout" if ranks == 1 else "stdout")
        with open(out, "wb") as stdout, open(scratch / "stderr", "wb") as stderr:
            process = subprocess.Popen(
                self.command(arguments, ranks, self.extra(scratch, fault)), cwd=scratch / "work",
                env=self.environment(scratch, ranks), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                start_new_session=True,
            )
            try:
                status: Optional[int] = process.wait(HANG)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                end_session(process.pid)
                process.wait()
        text = (scratch / "stderr").read_text(encoding="utf-8", errors="replace")
        ran = Ran(status, text, out.read_bytes(), [], [], [])
        out.unlink()
        for rank in range(ranks):
            read_report(scratch / f"report.{rank}", ran)
        return ran

    def script(self, scratch: pathlib.Path, arguments: Sequence[Word], fault: Fault) -> str:
        """A shell script that runs the fault again, beside `before`, the folder as it was."""
        here = pathlib.Path("$here")
        env = {name: value for name, value in self.environment(here, fault.ranks).items()
               if self.env.get(name) != value or name in (*program.mpi_settings(), "OMP_NUM_THREADS")}
        words = self.command(arguments, fault.ranks, self.extra(here, fault))
        return "\n".join([
            "#!/bin/sh", f"# tools/torture --reproduce {fault}", 'here=$(mktemp -d); echo "in $here/work"',
            'cp -r -- "$(dirname -- "$0")/before" "$here/work" && mkdir "$here/mpi" && cd "$here/work" || exit 1',
            *(f"export {name}={quote(value)}" for name, value in env.items()),
            " ".join(map(quote, words)), 'echo "exit status $?"; cat "$here"/report.*', ""])


def quote(word: Word) -> str:
    """For the shell; $here stays a variable."""
    text = str(word)
    return '"' + text + '"' if "$here" in text else shlex.quote(text)


def read_report(path: pathlib.Path, ran: Ran) -> None:
    """What cf_faults.c reports of a rank; a rank that was killed reports no end."""
    counts = {}
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            what, _, rest = line.partition(" ")
            if what == "fault":
                ran.struck.append(rest)
            elif what == "count":
                counts[rest.split()[0]] = int(rest.split()[1])
            elif what == "exit":
                ran.exits.append(int(rest))
    ran.counts.append(counts)


# ---- Comparing -------------------------------------------------------------------------------------------------------


def same_hdf5(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Whether two files differ in nothing but the seconds that a training took."""
    done = subprocess.run(["h5diff", one, other], capture_output=True, text=True, check=False)
    differs = [line for line in done.stdout.splitlines() if not re.fullmatch(r"\d+ differences found|", line)]
    return not done.stderr and set(differs) <= {"attribute: <seconds of </>> and <seconds of </>>"}


def same_file(one: pathlib.Path, other: pathlib.Path) -> bool:
    return one.read_bytes() == other.read_bytes() or (one.suffix == ".h5" and same_hdf5(one, other))


def files_in(folder: pathlib.Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def empty_folders(folder: pathlib.Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_dir() and not any(path.iterdir())}


def copy_folder(source: pathlib.Path, target: pathlib.Path, names: Sequence[str]) -> None:
    """Files and folders of a folder; a name that ends with / is a new, empty one."""
    target.mkdir()
    for name in names:
        if name.endswith("/"):
            (target / name).mkdir(parents=True)
        elif (source / name).is_dir():
            shutil.copytree(source / name, target / name)
        else:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
