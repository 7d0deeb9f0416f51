"""Make a synthetic dataset for scaling studies: 2 million users, 2 million items, 15 million interactions.

    tools/study synthetic OUT.h5 [-n RANKS] [--build FOLDER] [--set NAME=VALUE]...

The vectors have 64 numbers, in 1000 clusters. `llminit synthesize --help` lists the settings. Exit status:
llminit's.
"""
from __future__ import annotations

import os
import pathlib
import sys
from typing import Sequence

from . import options as opt, program

SIZE = ["n_users=2000000", "n_items=2000000", "n_interactions=15000000", "n_clusters=1000"]


def main(name: str, arguments: Sequence[str]) -> int:
    parser = opt.Parser(name, "OUT.h5 [OPTION...]", __doc__)
    parser.add_argument("out", metavar="OUT.h5", type=pathlib.Path, help="the dataset")
    parser.add_argument("-n", metavar="RANKS", type=opt.positive, default=len(os.sched_getaffinity(0)),
                        help="default: the cores")
    opt.add_set(parser, opt.setting_but({}))
    opt.add_build(parser)
    options = parser.parse_args(arguments)
    llminit = program.find(options.build)
    env = program.environment()
    if sys.stderr.isatty():
        env["LLMINIT_PROGRESS"] = "bar"  # mpirun hides the terminal from the program
    os.execvpe("mpirun", ["mpirun", "-n", str(options.n), str(llminit), "synthesize", "--out", str(options.out),
                          *map(str, opt.as_sets([*SIZE, *options.set]))], env)
