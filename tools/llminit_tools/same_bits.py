"""Ranks, grid, threads, a kill and a resume must not change a bit of a model: train in many ways and compare.

    tools/study same-bits [DATA.h5] [--epochs N] [--build FOLDER] [--set NAME=VALUE]...

LightGCN of 2 and 3 layers, BPR, SGL and SGCL are trained on several grids, on 1 and 2 threads, and once killed in
the second epoch and resumed on another grid. Tables, moments, losses and metrics are compared with those of one
rank. iALS and the closed forms EASE, L3AE, ItemKNN and ChebyCF are compared on the same grids and threads. A line
for each run says what differs.

Without DATA.h5: Debian's package dependencies, from tests/data. Needs h5diff (Debian: hdf5-tools).

Exit status: 0 all runs have the same bits; 1 one differs, or failed; 2 usage.
"""
from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Iterator, Optional, Sequence

from . import options as opt, program, run
from .program import FAILED, ROOT, Failure, Program, Word

DEBIAN = ROOT / "tests/data/debian-packages/debian-packages"
KILLED_GRID, RESUMED_GRID = "2x2", "3x1"
POLL = 0.02  # seconds
EVENTS = {"epoch": "loss", "valid": "metrics", "test": "metrics", "spectrum": "tables"}  # {event: what is compared}
# Each rank writes its process id to a file, then becomes the program.
LEAVE_PID = 'echo $$ >"$0.pid.$OMPI_COMM_WORLD_RANK"; exec "$@"'


@dataclasses.dataclass(frozen=True)
class Model:
    name: str
    layers: int
    arrays: tuple[str, ...]  # of latest.h5

    def __str__(self) -> str:
        return f"{self.name} {self.layers}" if self.layers else self.name


@dataclasses.dataclass(frozen=True)
class Way:
    grid: str
    threads: int = 1

    def ranks(self) -> int:
        rows, columns = map(int, self.grid.split("x"))
        return rows * columns


def with_checksums(*arrays: str) -> tuple[str, ...]:
    """Checksums are of the bytes; for h5diff alone -0 equals 0."""
    return (*(f"/{name}" for name in arrays), *(f"/checksums/{name}" for name in arrays))


TABLES = with_checksums("user_embedding", "item_embedding", "optimizer")
SIMILARITY = with_checksums("item_similarity")
TRAINED = [Model("LightGCN", 2, TABLES), Model("LightGCN", 3, TABLES), Model("BPR", 0, TABLES), Model("SGL", 2, TABLES),
           Model("SGCL", 2, TABLES)]
FACTORS = with_checksums("user_embedding", "item_embedding")
# a sweep, and what has no epochs: done before it could be killed
TOO_SHORT = [Model("iALS", 0, FACTORS), Model("EASE", 0, SIMILARITY), Model("L3AE", 0, SIMILARITY),
             Model("ItemKNN", 0, SIMILARITY), Model("ChebyCF", 0, FACTORS)]
WAYS = [Way("1x1"), Way("1x1", 2), Way("1x2"), Way("2x1"), Way("2x1", 2), Way("3x1"), Way("2x2"), Way("1x4"),
        Way("4x1")]


class Options(argparse.Namespace):
    data: Optional[pathlib.Path]
    epochs: int
    set: list[str]
    build: pathlib.Path
    program: Program
    work: pathlib.Path


def parse(name: str, arguments: Sequence[str]) -> Options:
    parser = opt.Parser(name, "[DATA.h5] [OPTION...]", __doc__)
    parser.add_argument("data", metavar="DATA.h5", type=pathlib.Path, nargs="?", help="default: packages of Debian")
    parser.add_argument("--epochs", metavar="N", type=opt.positive, default=3, help="of each run; default: 3")
    opt.add_set(parser, opt.setting_but({"model": "this command", "n_layers": "this command", "grid": "this command"}))
    opt.add_build(parser)
    options = parser.parse_args(arguments, Options())
    env = {**program.environment(1), "OMP_WAIT_POLICY": "passive"}
    options.program = Program(program.find(options.build), env)
    opt.require_files([options.data])
    if not shutil.which("h5diff"):
        raise Failure("h5diff is not installed (Debian: hdf5-tools)", FAILED)
    return options


def start(
    options: Options, folder: pathlib.Path, model: Model, way: Way, more: Sequence[Word]
) -> subprocess.Popen[bytes]:
    """A training that writes its output to FOLDER.output and the process id of each rank to FOLDER.pid.RANK."""
    sets = [f"model={model.name}", f"n_layers={model.layers}", f"grid={way.grid}", f"epochs={options.epochs}",
            "embedding_size=64", "emb_selection=var", "ideal_dim=64", *options.set]
    with open(f"{folder}.output", "wb") as output:
        return subprocess.Popen(
            ["mpirun", "-n", str(way.ranks()), "bash", "-c", LEAVE_PID, folder, options.program.path, "train",
             "--data", str(options.data), "--out", folder, "--quiet", *opt.as_sets(sets), *more],
            env={**options.program.env, "OMP_NUM_THREADS": str(way.threads)}, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT,
        )


def train(options: Options, folder: pathlib.Path, model: Model, way: Way, more: Sequence[Word] = ()) -> None:
    status = start(options, folder, model, way, more).wait()
    if status != 0:
        error = program.error_of_run(status, pathlib.Path(f"{folder}.output"))
        raise Failure(f"{model} on {way.grid}, {way.threads} threads: {error}", FAILED)


def kill_in_epoch_2(options: Options, folder: pathlib.Path, model: Model, way: Way) -> None:
    """Train until there is a checkpoint and the first epoch is done; then kill rank 1."""
    training = start(options, folder, model, way, opt.as_sets(["checkpoint_interval=0.05"]))
    while training.poll() is None:
        if (folder / "latest.h5").exists() and any(event["event"] == "epoch" for event in run.read_log(folder)):
            break
        time.sleep(POLL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(pathlib.Path(f"{folder}.pid.1").read_text()), signal.SIGKILL)
    if training.wait() == 0:
        raise Failure(f"{model} on {way.grid} ended before it could be killed: train longer (--epochs)", FAILED)


def history(folder: pathlib.Path) -> set[str]:
    """Losses, metrics and spectra by epoch, without their times. A resumed run may log an epoch again."""
    return {
        f"{event['event']} {event['epoch']} {event[EVENTS[event['event']]]}"
        for event in run.read_log(folder)
        if event["event"] in EVENTS
    }


def difference(folder: pathlib.Path, reference: pathlib.Path, arrays: Sequence[str]) -> str:
    """Names the first thing that differs; "" if nothing does."""
    for array in arrays:
        done = subprocess.run(["h5diff", reference / "latest.h5", folder / "latest.h5", array], capture_output=True)
        if done.returncode != 0 or done.stdout or done.stderr:
            return f"{array} differs"
    return "" if history(folder) == history(reference) else "losses, metrics or spectra differ"


def runs_of(options: Options, model: Model, reference: pathlib.Path) -> Iterator[tuple[str, pathlib.Path]]:
    """(what was done, folder) of all runs that are compared with the reference, trained one by one."""
    for way in WAYS[1:]:
        folder = pathlib.Path(f"{reference}.{way.grid}.{way.threads}")
        train(options, folder, model, way)
        yield f"grid {way.grid}, threads {way.threads}", folder
    if model in TRAINED:
        folder = pathlib.Path(f"{reference}.killed")
        kill_in_epoch_2(options, folder, model, Way(KILLED_GRID))
        train(options, folder, model, Way(RESUMED_GRID), ["--resume", "auto"])
        yield f"killed on {KILLED_GRID}, resumed on {RESUMED_GRID}", folder


def report(model: Model, what: str, found: str) -> None:
    print(f"{str(model):<12} {what:<32} {found}", flush=True)


def compare(options: Options) -> tuple[int, int]:
    """(runs, runs that differ)"""
    n = n_different = 0
    for model in [*TRAINED, *TOO_SHORT]:
        reference = options.work / str(model).replace(" ", "-")
        train(options, reference, model, WAYS[0])
        report(model, f"grid {WAYS[0].grid}, threads {WAYS[0].threads}", "(the others are compared with this)")
        n += 1
        for what, folder in runs_of(options, model, reference):
            found = difference(folder, reference, model.arrays)
            report(model, what, found or "same bits")
            n += 1
            n_different += bool(found)
            shutil.rmtree(folder)
    return n, n_different


def main(name: str, arguments: Sequence[str]) -> int:
    options = parse(name, arguments)
    with tempfile.TemporaryDirectory() as work:
        options.work = pathlib.Path(work)
        if not options.data:
            options.data = options.work / "data.h5"
            options.program.ask("prepare", "--inter", f"{DEBIAN}.inter", "--item", f"{DEBIAN}.item",
                                "--embedding", f"{DEBIAN}.emb.npy", "--out", options.data)
        n, n_different = compare(options)
    if n_different:
        raise Failure(f"{n_different} of {n} runs differ", FAILED)
    print(f"all {n} runs have the same bits")
    return 0
