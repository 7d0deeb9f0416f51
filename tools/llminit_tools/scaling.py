"""Time training on several numbers of ranks and grids, and print the table that compares them.

    tools/study scaling --out FOLDER --strong DATA.h5 [OPTION...]
    tools/study scaling --out run/scaling --strong shop.h5 --ranks 1,2,4 --grids auto,blocks

Strong scaling: the same data on each number of ranks. Weak scaling: data that grow with the ranks, one --weak
DATA.h5 for each number; the batch grows too, so that an epoch has the same number of steps. Each number of ranks is
run with each of --grids: auto (the program's own choice), blocks (RANKSx1), slices (1xRANKS), all (each
ROWSxCOLUMNS), or grids such as 2x4, which apply to their own number of ranks. A grid is left out if it was named
already, or if it cuts the dimensions into more slices than they have segments of 16. auto is always run.

A row has the median of all epochs but the first; the speed-up of samples a second over the first row of its kind;
the efficiency, which is the speed-up over the ratio of cores (a thread each); the fraction of the steps' time that is
spent in MPI calls; the bytes that a rank sends in a step, counted and predicted; and the largest memory of a rank,
with libraries.

--simulate: more ranks than this machine has, up to 1024. The program's own training loop runs under SimGrid's SMPI,
all ranks on one core, as on a cluster of 32-core nodes in a fat tree of 100 Gb/s (tools/simulate/README.md). 4x32
are four ranks of 32 threads, a node each; 4 are four ranks of one thread, on one node. The time of a rank's own
computing is measured on one core. The table has the median of --simulate-steps steps. Rows are marked
"simulated"; simulate 1,2,4 as well to compare them with measured rows. It simulates strong scaling of --strong, and
weak scaling of one --simulate-weak DATA.h5 for each number. The simulation counts messages on the links that they
cross; with --follow N,... SimGrid also follows each message, in rows marked "followed", to check the counting, up
to about 64 ranks. All data and all ranks' buffers must fit into this machine's memory.

The same command continues after any interruption: it keeps finished runs and resumes an unfinished one from its
last checkpoint. It refuses folders of other settings or data. FOLDER/scaling.txt, .md and .tsv are rewritten
whenever a run ends; with gnuplot there are plots of speed-up, efficiency and communication as .svg, .png and .txt.
The table goes to stdout, progress to stderr.

--launch replaces "mpirun -n {ranks}": {ranks} stands for the number of ranks, {nodes} for the number of nodes of
--per-node ranks, {per_node} for the ranks on each of them. The environment then stays as it is.

Exit status: 0 done; 1 a run failed (the others were timed); 2 usage, or a folder of other settings; 75 stopped by a
signal, the same command continues.
"""
from __future__ import annotations

import argparse
import json
import math
import pathlib
import re
from typing import Iterator, Optional, Sequence

from . import options as opt, plot, program, run, scaling_table, simulate
from .compare_table import is_closed
from .program import FAILED, STOPPED, Failure, Word, say
from .scaling_table import Cell

RESERVED = {"epochs": "--epochs", "eval_step": "the study, which does not evaluate", "grid": "--grids"}
SEGMENT = 16  # dimensions in the thinnest slice


# ---- Options ---------------------------------------------------------------------------------------------------------


class Options(simulate.Options):
    strong: Optional[pathlib.Path]
    weak: list[pathlib.Path]
    ranks: list[int]
    grids: list[str]
    simulate: list[tuple[int, int]]
    simulate_weak: list[pathlib.Path]
    follow: list[tuple[int, int]]
    epochs: int
    per_node: Optional[int]


def grid_list(text: str) -> list[str]:
    words = text.split(",")
    for word in words:
        if not re.fullmatch(r"auto|blocks|slices|all|[1-9]\d*x[1-9]\d*", word):
            raise argparse.ArgumentTypeError(f"{word!r} is not auto, blocks, slices, all, or ROWSxCOLUMNS")
    return words


def add_options(parser: opt.Parser) -> None:
    add = parser.add_argument
    path = pathlib.Path
    add("--strong", metavar="DATA.h5", type=path, help="the data of strong scaling")
    add("--weak", metavar="DATA.h5", type=path, action="append", default=[], help="one for each of --ranks")
    add("--ranks", metavar="N,...", type=opt.ascending, default=[1, 2, 4], help="ascending; default: 1,2,4")
    add("--grids", metavar="G,...", type=grid_list, default=["auto"],
        help="auto, blocks, slices, all, RxC; default: auto")
    add("--simulate", metavar="N[xTHREADS],...", type=simulate.ranks_and_threads, default=[],
        help="ranks to simulate, of --strong or --simulate-weak; x32: each of them a node")
    add("--simulate-weak", metavar="DATA.h5", type=path, action="append", default=[],
        help="one for each of --simulate")
    add("--simulate-steps", metavar="N", type=opt.positive, default=3, help="steps of a simulation; default: 3")
    add("--follow", metavar="N[xTHREADS],...", type=simulate.ranks_and_threads, default=[],
        help="ranks to simulate message by message, of --strong")
    add("--epochs", metavar="N", type=opt.positive, default=3, help="of each run, without evaluation; default: 3")
    add("--per-node", metavar="N", type=opt.positive, help="ranks on a node, for {nodes} of --launch; default: all")
    opt.add_training(parser, RESERVED, threads="1", launch="mpirun -n {ranks}")


def check(options: Options) -> None:
    """Failure if the options do not fit together."""
    if not options.strong and not options.weak and not options.simulate_weak:
        raise Failure("expected --strong, --weak or --simulate-weak (--help says more)")
    if options.follow and not options.strong:
        raise Failure("--follow: expected --strong DATA.h5")
    if options.simulate or options.follow:
        simulate.programs(options.build)
    if options.simulate and not options.strong and not options.simulate_weak:
        raise Failure("--simulate: expected --strong DATA.h5, or one --simulate-weak for each number")
    if options.simulate_weak and len(options.simulate_weak) != len(options.simulate):
        raise Failure(f"{len(options.simulate_weak)} --simulate-weak for {len(options.simulate)} numbers of --simulate")
    if options.weak and len(options.weak) != len(options.ranks):
        raise Failure(f"{len(options.weak)} --weak for {len(options.ranks)} numbers of --ranks")
    opt.require_files([options.strong, *options.weak, *options.simulate_weak, options.settings])


def parse(name: str, arguments: Sequence[str]) -> Options:
    parser = opt.Parser(name, "--out FOLDER --strong DATA.h5 [OPTION...]", __doc__)
    add_options(parser)
    options = parser.parse_args(arguments, Options())
    check(options)
    opt.complete_training(options, 1)
    return options


# ---- Cells -----------------------------------------------------------------------------------------------------------


def grids_named(way: str, ranks: int) -> list[tuple[str, str]]:
    """[(way, grid)] of one word of --grids."""
    if way in ("auto", "blocks", "slices"):
        return [(way, {"auto": "auto", "blocks": f"{ranks}x1", "slices": f"1x{ranks}"}[way])]
    if way == "all":
        return [(f"{c} slices", f"{ranks // c}x{c}") for c in range(1, ranks + 1) if ranks % c == 0]
    return [(way, way)]


def grids_of(ways: Sequence[str], ranks: int, segments: int) -> list[tuple[str, str]]:
    """[(way, grid)] of a number of ranks, each grid once."""
    if ranks == 1:
        return [(ways[0], "auto")]
    found: dict[str, str] = {}
    for way in ways:
        for name, grid in grids_named(way, ranks):
            rows, columns = (ranks, 1) if grid == "auto" else map(int, grid.split("x"))
            if rows * columns == ranks and columns <= segments:
                found.setdefault(grid, name)
    return [(way, grid) for grid, way in found.items()]


def trained(options: Options, batch: int, segments: int) -> Iterator[Cell]:
    kinds = {"strong": [options.strong] * len(options.ranks) if options.strong else [], "weak": options.weak}
    for kind, files in kinds.items():
        for ranks, data in zip(options.ranks, files):
            assert data
            size = batch * ranks // options.ranks[0] if kind == "weak" else batch
            for way, grid in grids_of(options.grids, ranks, segments):
                name = f"{kind}-{ranks}" + ("" if grid == "auto" else f"-{grid}")
                yield Cell(kind, data, ranks, way, grid, size, options.out / name)


def simulations(options: Options) -> Iterator[tuple[str, str, tuple[int, int], pathlib.Path]]:
    """(kind, network, (ranks, threads), data) of all."""
    if options.strong:
        for size in options.simulate:
            yield "strong simulated", "counted", size, options.strong
        for size in options.follow:
            yield "strong followed", "simgrid", size, options.strong
    for size, data in zip(options.simulate, options.simulate_weak):
        yield "weak simulated", "counted", size, data


def simulated(options: Options, batch: int, segments: int) -> Iterator[Cell]:
    for kind, network, (ranks, threads), data in simulations(options):
        size = batch
        if kind.startswith("weak"):
            size = batch * ranks * threads // math.prod(options.simulate[0])
        for way, grid in grids_of(options.grids, ranks, segments):
            grid = simulate.best_grid(options, data, ranks, threads, size) if grid == "auto" else grid
            name = f"{kind.replace(' ', '-')}-{ranks}-{grid}" + (f"-{threads}" if threads > 1 else "")
            yield Cell(kind, data, ranks, way, grid, size, options.out / name, threads, network)


def plan(options: Options) -> list[Cell]:
    """All cells, in the order of the table."""
    batch = int(options.resolved["train_batch_size"])
    segments = -(-int(options.resolved["embedding_size"]) // SEGMENT)
    cells = [*trained(options, batch, segments), *simulated(options, batch, segments)]
    if not cells:
        raise Failure("none of --grids fits any of --ranks")
    return cells


def sets_of(options: Options, cell: Cell) -> list[Word]:
    sets = ["checkpoint_interval=60", *options.set, f"epochs={options.epochs}", "eval_step=0", f"grid={cell.grid}"]
    return opt.as_sets([*sets, f"train_batch_size={cell.batch}"])


def read_result(cell: Cell) -> None:
    """Take the result of a finished cell from its log and its profile."""
    events = run.read_log(cell.folder)
    profile = cell.folder / "profile.json"
    if run.is_finished(events) and profile.exists():
        cell.result = scaling_table.result_of(json.loads(profile.read_text()), scaling_table.median_rate(events))
        cell.error = ""


def take_stock(options: Options, cells: list[Cell]) -> None:
    """Read what is in the folder already. Failure if a run has other settings or data."""
    machine = options.program.machine_settings()
    digests: dict[pathlib.Path, str] = {}
    for cell in cells:
        if cell.network:
            simulate.read_result(cell, options.resolved)
            continue
        if cell.data not in digests:
            digests[cell.data] = options.program.digest(cell.data)
        settings = options.program.settings([*options.settings_file(), *sets_of(options, cell)])
        run.refuse_other_run(cell.folder, settings, digests[cell.data], machine)
        read_result(cell)


# ---- Training --------------------------------------------------------------------------------------------------------


def launch(options: Options, ranks: int) -> list[str]:
    nodes = -(-ranks // (options.per_node or ranks))
    values: dict[str, int] = {"ranks": ranks, "nodes": nodes, "per_node": -(-ranks // nodes)}
    words = options.launch or ["mpirun", "-n", "{ranks}"]
    return [re.sub(r"\{(ranks|nodes|per_node)\}", lambda match: str(values[str(match[1])]), word) for word in words]


def train(options: Options, cell: Cell, stop: run.Stop, lock: int) -> None:
    """Train a cell, or resume it. Its models are deleted once it has been timed."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    output = cell.folder / "output.txt"
    arguments = [*options.settings_file(), "--data", cell.data, "--out", cell.folder, "--resume", "auto",
                 "--profile", cell.folder / "profile.json", *sets_of(options, cell)]
    with open(output, "ab") as file:
        status = run.train(options.program, launch(options, cell.ranks), arguments, file, stop, lock)
    read_result(cell)
    if cell.result and status != STOPPED:
        for name in ("latest.h5", "best.h5"):
            (cell.folder / name).unlink(missing_ok=True)
    elif not stop.count:
        cell.error = program.error_of_run(status, output)


def train_all(options: Options, cells: list[Cell], stop: run.Stop, lock: int) -> None:
    for number, cell in enumerate(cells, 1):
        if stop.count:
            break
        place = f"[{number}/{len(cells)}] {cell.folder.name}"
        if cell.result:
            say(f"{place}: was done before")
            continue
        say(f"{place} starts: tail -f {cell.folder}/output.txt")
        if cell.network:
            simulate.run(options, cell, stop)
            simulate.read_result(cell, options.resolved)
        else:
            train(options, cell, stop, lock)
        write_tables(options, cells)
        if cell.error:
            say(f"{place} failed: {cell.error}")
        elif cell.result:
            say(f"{place}: {cell.result['epoch_seconds']:.4g} s an epoch")


# ---- Tables and plots ------------------------------------------------------------------------------------------------


def write_tables(options: Options, cells: list[Cell]) -> str:
    """Write all tables; returns the one of --format."""
    tables = scaling_table.all_tables(cells)
    for name, text in tables.items():
        run.write_file(options.out / name, text)
    return tables[f"scaling.{options.format}"]


def write_plots(options: Options, cells: list[Cell]) -> None:
    try:
        for name, title, ylabel in scaling_table.PLOTS:
            series = scaling_table.series_of(cells, name)
            ranks = sorted({x for one in series for x, _ in one.points})
            axes = plot.Axes(title, "ranks", ylabel, logx=True, xtics=ranks)
            for suffix in (".svg", ".png", ".txt") if series else ():
                plot.plot(series, axes, options.out / f"{name}{suffix}")
    except plot.PlotError as error:
        say(f"no plots: {error}")


def study(options: Options, stop: run.Stop, lock: int) -> int:
    options.resolved = options.program.settings([*options.settings_file(), *opt.as_sets(options.set)])
    if is_closed(options.resolved["model"]):
        raise Failure(f"model: {options.resolved['model']} has no epochs to time")
    cells = plan(options)
    take_stock(options, cells)
    train_all(options, cells, stop, lock)
    print(write_tables(options, cells), end="", flush=True)
    write_plots(options, cells)
    if any(cell.state == "waiting" for cell in cells):
        say("stopped: the same command continues")
        return STOPPED
    return FAILED if any(cell.error for cell in cells) else 0


def main(name: str, arguments: Sequence[str]) -> int:
    options = parse(name, arguments)
    stop = run.Stop()
    with run.locked(options.out / "lock") as lock:
        return study(options, stop, lock)
