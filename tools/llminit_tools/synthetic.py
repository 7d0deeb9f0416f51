"""Make a synthetic dataset for scaling studies: 2 million users, 2 million items, 15 million interactions.

    tools/study synthetic OUT.h5 [-n RANKS] [--reorder] [--build FOLDER] [--set NAME=VALUE]...

The vectors have 64 numbers, in 1000 clusters. `llminit synthesize --help` lists the settings. With --reorder what was
made is prepared again with `reorder: bisect`: users and items that interact then have near numbers, as in blocks of a
grid they should. Such a file has no vectors and no valid part; its interactions are in test. That takes h5dump.

Exit status: llminit's.
"""
from __future__ import annotations

import array
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any, Sequence

from . import options as opt, program
from .program import Failure, Word

SIZE = ["n_users=2000000", "n_items=2000000", "n_interactions=15000000", "n_clusters=1000"]


def numbers(data: pathlib.Path, name: str, folder: pathlib.Path) -> array.array[int]:
    """An array of 64-bit integers of a file of HDF5."""
    out = folder / "numbers"
    done = subprocess.run(["h5dump", "-d", name, "-b", "NATIVE", "-o", out, data], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failure(f"h5dump cannot read {name} of {data}: {done.stderr.strip()}", program.IO)
    found = array.array("q")
    found.frombytes(out.read_bytes())
    return found


def write_lists(data: pathlib.Path, parts: Sequence[str], path: pathlib.Path) -> None:
    """The interactions of parts of a dataset, a line for each user who has any: his number and those of the items."""
    lists = [(numbers(data, f"/{part}/user_ptr", path.parent), numbers(data, f"/{part}/item", path.parent))
             for part in parts]
    with open(path, "w", encoding="ascii") as file:
        for user in range(len(lists[0][0]) - 1):
            items = [str(item) for start, index in lists for item in index[start[user]:start[user + 1]]]
            if items:
                file.write(f"{user} {' '.join(items)}\n")


def made(options: Any, llminit: pathlib.Path, out: pathlib.Path) -> list[Word]:
    """The command that makes the dataset."""
    return ["mpirun", "-n", str(options.n), llminit, "synthesize", "--out", out, *opt.as_sets([*SIZE, *options.set])]


def make_reordered(options: Any, llminit: pathlib.Path, env: dict[str, str]) -> int:
    with tempfile.TemporaryDirectory(dir=options.out.resolve().parent) as name:
        folder = pathlib.Path(name)
        train, test, data = folder / "train.txt", folder / "test.txt", folder / "data.h5"
        status = subprocess.run(made(options, llminit, data), env=env).returncode
        if status != 0:
            return status
        write_lists(data, ["train"], train)
        write_lists(data, ["valid", "test"], test)
        data.unlink()
        return subprocess.run(
            ["mpirun", "-n", str(options.n), llminit, "prepare", "--train", train, "--test", test, "--out", options.out,
             "--set", "reorder=bisect"], env=env).returncode


def main(name: str, arguments: Sequence[str]) -> int:
    parser = opt.Parser(name, "OUT.h5 [OPTION...]", __doc__)
    parser.add_argument("out", metavar="OUT.h5", type=pathlib.Path, help="the dataset")
    parser.add_argument("-n", metavar="RANKS", type=opt.positive, default=len(os.sched_getaffinity(0)),
                        help="default: the cores")
    parser.add_argument("--reorder", action="store_true", help="number users and items by reorder: bisect")
    opt.add_set(parser, opt.setting_but({}))
    opt.add_build(parser)
    options = parser.parse_args(arguments)
    llminit = program.find(options.build)
    env = program.environment()
    if sys.stderr.isatty():
        env["LLMINIT_PROGRESS"] = "bar"  # mpirun hides the terminal from the program
    if options.reorder:
        return make_reordered(options, llminit, env)
    os.execvpe("mpirun", list(map(str, made(options, llminit, options.out))), env)
