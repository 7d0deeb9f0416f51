"""EASE and a wide PCA on several numbers of ranks: a JSON line for each, then their speed-ups.

    tools/bench/ease [--items N] [--dim D] [--block B] [--runs K] [--ranks "P..."]

A line has the seconds for the Gram matrix or covariance, and those for its inverse or eigenvectors. The last lines
say how many times as fast as on the first number of ranks each was, in all. Each rank has one thread. Builds
bench_ease first.
"""
from __future__ import annotations

import json
import pathlib
import subprocess
from typing import Any, Iterator, Sequence

from . import options as opt, program
from .program import FAILED, Failure


def total(line: dict[str, Any]) -> float:
    return line["gram_seconds"] + line["seconds"]


def speedups(lines: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A line for each but the first of its benchmark."""
    first: dict[str, dict[str, Any]] = {}
    for line in lines:
        base = first.setdefault(line["benchmark"], line)
        if base is not line:
            yield {"benchmark": line["benchmark"], "ranks": line["ranks"], "over_ranks": base["ranks"],
                   "speedup": round(total(base) / total(line), 2)}


def main(name: str, arguments: Sequence[str]) -> int:
    parser = opt.Parser(name, "[OPTION...]", __doc__)
    add = parser.add_argument
    add("--items", metavar="N", type=int, default=12101, help="of EASE; default: 12101")
    add("--dim", metavar="D", type=int, default=4096, help="of the PCA; 0: no PCA; default: 4096")
    add("--block", metavar="B", type=int, default=0, help="of ScaLAPACK; default: 0, the program's own")
    add("--runs", metavar="K", type=opt.positive, default=3, help="the median of K runs counts; default: 3")
    add("--ranks", metavar="P,...", type=opt.ascending, default=[1, 2], help="default: 1,2")
    opt.add_build(parser)
    options = parser.parse_args(arguments)
    built = subprocess.run(["ninja", "-C", options.build, "bench_ease"], capture_output=True, text=True)
    if built.returncode != 0:
        raise Failure(f"ninja -C {options.build} bench_ease failed:\n{built.stdout[-2000:]}", FAILED)
    bench = program.find(pathlib.Path(options.build) / "tools/bench", "bench_ease")
    lines = []
    for ranks in options.ranks:
        sizes = map(str, (options.items, options.dim, options.block, options.runs))
        done = subprocess.run(["mpirun", "-n", str(ranks), bench, *sizes], env=program.environment(1),
                              stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise Failure(f"bench_ease on {ranks} ranks ended with {done.returncode}", FAILED)
        print(done.stdout, end="", flush=True)
        lines += [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for line in speedups(lines):
        print(json.dumps(line))
    return 0
