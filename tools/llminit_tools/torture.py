"""Try faults on llminit: everything must end well, or with the right exit status, one line, and nothing lost.

    tools/torture [--minutes N] [--seed S] [--only PATTERN]...

Each command runs on a small dataset, on one rank and on two, while on one rank the n-th call of a kind on its files
(open, read, write, sync, rename, ...) fails once or for ever, is cut short, or is the last one before a kill; while
memory runs out; while calls of MPI are held up; or after a bit was flipped in one of 64 parts of a file. What is
right then: tools/llminit_tools/torture_check.py. A failure leaves a folder in --out with run.sh, which tries that
one fault again, beside the files before and after.

Faults come in the order that --seed gives; those of one kind take turns with all other kinds. PATTERN chooses
faults, with * as in file names: 'train/*', '*/write/*', '*/2.1/*/EIO*'. A fault is written as
SCENARIO/RANKS.RANK/CALL/WHAT/N, as train/2.1/write/EIO/17; WHAT ends with + where all later calls fail too.

Exit status: 0 all were right; 1 one was wrong; 2 usage.
"""
from __future__ import annotations

import argparse
import collections
import concurrent.futures
import dataclasses
import fnmatch
import math
import os
import pathlib
import random
import shutil
import tempfile
import time
from typing import Iterator, Optional, Sequence

from . import options as opt, program, table
from .program import FAILED, Failure, say
from .torture_attempt import Fault, Runner, read_fault
from .torture_check import SCENARIOS, Base, Outcome, attempt, faults_of, make_base


class Options(argparse.Namespace):
    minutes: float
    seed: int
    only: list[str]
    reproduce: Optional[Fault]
    workers: int
    out: pathlib.Path
    build: pathlib.Path


def minutes(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1
    if not 0 < found < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes")
    return found


def parse(name: str, arguments: Sequence[str]) -> Options:
    parser = opt.Parser(name, "[OPTION...]", __doc__)
    add = parser.add_argument
    add("--minutes", metavar="N", type=minutes, default=math.inf,
        help="begin nothing after them; default: until all was tried")
    add("--seed", metavar="S", type=opt.positive, default=1, help="of the order; default: 1")
    add("--only", metavar="PATTERN", action="append", default=[], help="faults to try; may be repeated")
    add("--reproduce", metavar="FAULT", type=read_fault, help="try one fault, and keep its folder")
    add("--workers", metavar="N", type=opt.positive, default=os.cpu_count() or 1, help="at once; default: all cores")
    add("--out", metavar="FOLDER", type=pathlib.Path, default=pathlib.Path("run/torture"),
        help="of failures; default: run/torture")
    opt.add_build(parser)
    options = parser.parse_args(arguments, Options())
    if options.reproduce and options.reproduce.scenario not in SCENARIOS:
        raise Failure(f"{options.reproduce}: its scenario is not one of {', '.join(SCENARIOS)}")
    if not shutil.which("h5diff"):
        raise Failure("h5diff is not installed (Debian: hdf5-tools)", FAILED)
    return options


def make_runner(build: pathlib.Path) -> Runner:
    llminit, library = program.find(build), build.resolve() / "tests/libcf_faults.so"
    if not library.exists():
        raise Failure(f"{library} does not exist: ninja -C {build} cf_faults")
    return Runner(llminit, library, {**program.environment(1), "OMP_WAIT_POLICY": "passive"})


# ---- The order -------------------------------------------------------------------------------------------------------


def selected(patterns: Sequence[str], fault: Fault) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(str(fault), pattern) for pattern in patterns)


def in_turns(faults: Sequence[Fault], seed: int) -> Iterator[Fault]:
    """In each round one fault of each group (scenario, rank, call, what), in random order; in the end all of them."""
    order = random.Random(seed)
    groups = collections.defaultdict(list)
    for fault in faults:
        groups[fault.group()].append(fault)
    for group in groups.values():
        order.shuffle(group)
    while groups:
        names = list(groups)
        order.shuffle(names)
        for name in names:
            yield groups[name].pop()
            if not groups[name]:
                del groups[name]


# ---- The loop --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Count:
    tried: int = 0
    struck: int = 0
    right: int = 0
    wrong: int = 0
    hung: int = 0

    def add(self, outcome: Outcome) -> None:
        self.tried += 1
        self.struck += outcome.struck
        self.right += not outcome.wrong
        self.wrong += bool(outcome.wrong)
        self.hung += outcome.hung


def try_one(options: Options, base: Base, work: pathlib.Path, fault: Fault) -> Outcome:
    """Attempt a fault. If it went wrong, its folder is kept in --out."""
    scratch = work / str(fault).replace("/", "-")
    outcome = attempt(base, fault, scratch)
    if outcome.wrong or options.reproduce:
        (scratch / "why").write_text("\n".join([*outcome.wrong, "", outcome.stderr]))
        shutil.rmtree(scratch / "mpi", ignore_errors=True)
        kept = options.out / scratch.name
        shutil.rmtree(kept, ignore_errors=True)
        options.out.mkdir(parents=True, exist_ok=True)
        shutil.move(str(scratch), kept)
    else:
        shutil.rmtree(scratch)
    return outcome


def try_all(
    options: Options, base: Base, work: pathlib.Path, faults: Iterator[Fault], end: float
) -> dict[str, Count]:
    """Counts by "CALL WHAT". Each worker takes the next fault when it has done one, until the clock says `end`."""
    counts: dict[str, Count] = collections.defaultdict(Count)
    with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
        running = set()
        while True:
            while len(running) < options.workers and time.monotonic() < end:
                fault = next(faults, None)
                if fault is None:
                    break
                running.add(pool.submit(try_one, options, base, work, fault))
            if not running:
                return counts
            done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for outcome in (future.result() for future in done):
                counts[f"{outcome.fault.call} {outcome.fault.what}"].add(outcome)
                if outcome.wrong:
                    say(f"WRONG {outcome.fault}: {'; '.join(outcome.wrong)}")


def report(counts: dict[str, Count]) -> str:
    """A line for each kind of fault, and their sum."""
    total = Count()
    lines = [["call", "fault", "tried", "struck", "right", "wrong", "hung"]]
    for name, count in sorted(counts.items()):
        lines.append([*name.split(), *map(str, dataclasses.astuple(count))])
        total = Count(*map(sum, zip(dataclasses.astuple(total), dataclasses.astuple(count))))
    lines.append(["all", "", *map(str, dataclasses.astuple(total))])
    return table.text(lines, table.right_from(2, lines))


def main(name: str, arguments: Sequence[str]) -> int:
    options = parse(name, arguments)
    runner = make_runner(options.build)
    end = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(os.path.realpath(folder))
        used = [scenario for scenario in SCENARIOS if not options.reproduce or scenario == options.reproduce.scenario]
        say(f"undisturbed runs of {', '.join(used)}")
        base = make_base(work, runner, used)
        if options.reproduce:
            faults = [options.reproduce]
        else:
            faults = [fault for scenario in used for fault in faults_of(base, scenario, options.seed)
                      if selected(options.only, fault)]
        if not faults:
            raise Failure(f"no fault is like {' or '.join(options.only)}")
        say(f"{len(faults)} faults, seed {options.seed}")
        counts = try_all(options, base, work, in_turns(faults, options.seed), end)
    print(report(counts), end="")
    if any(count.wrong for count in counts.values()):
        say(f"what went wrong is in {options.out}: run.sh in each folder tries it again")
        return FAILED
    return 0
