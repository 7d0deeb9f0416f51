"""Train models from several starts on one dataset and print the table that compares them.

    tools/study compare DATA.h5 --out FOLDER [OPTION...]
    tools/study compare data.h5 --out run/compare --models LightGCN,BPR --starts False,var --seeds 2020,2021

Every model is trained from every start with every seed, one after the other. Each such cell has a folder, FOLDER/
MODEL-START-SEED, with all that `llminit train` writes, and its log in output.txt. The table has a row for each
model and start: mean and sample standard deviation over the seeds of the metrics at the best epoch; the gain of the
mean over the baseline's in percent (over the seeds that both have); the best epoch; and what it costs: the seconds of
training, the CPU seconds of the whole command, with all evaluations, over all ranks and threads, and the memory of the
largest rank in MiB. A star marks a model's best value of each metric. Where the dataset marks cold items, the metrics
are of warm and cold items together. Columns for warm and for cold items alone follow, of the first NDCG of --metrics or
else the first metric, and the shares of warm and of cold targets in the lists of all, at its cutoff.

A model and a start are values of the settings `model` and `emb_selection`. Settings of their own may follow after
colons: LightGCN:n_layers=3, var:emb_gain=3, False:init=normal:init_std=0.1. Settings are applied in this order, and
the last one counts: --settings, --set, the model's, the start's, the seed. EASE, L3AE, ItemKNN, Pop, ChebyCF and
GF-CF, which are closed forms, have one cell and one row each, without start, seed and epochs. `topk` is extended to the
cutoffs of --metrics. Seeds are those of training (start, batches, negatives); the split of users' interactions was
drawn by `llminit prepare --set seed=...`.

The same command continues after any interruption: it keeps finished cells, resumes an unfinished one from its last
checkpoint, and tries failed ones again. It refuses cells of other settings or data, and a second compare in the
same folder. Ctrl-C, SIGTERM and SIGUSR1 stop the current training with a checkpoint (a second one: at once).

Several calls may share the work: with --part K/N, each of N calls trains every N-th cell, beginning with the K-th,
at the same time as the others or not, and prints the table of the cells that are finished when it ends.
--table-only trains nothing and prints that table. --launch replaces mpirun -n, as in "srun --mpi=pmix"; the
environment then stays as it is.

--bootstrap adds a second table, differences.txt: for each model and start, the difference of each metric from the
baseline, its 95% interval and p value, by a paired bootstrap of 1000 resamples over users, always with the same draws.
Values of a user are means over the seeds that both have; a closed form is compared with the baseline of the first
model that has one, over all of its seeds. It evaluates each finished cell once, into
FOLDER/MODEL-START-SEED/users-SPLIT.tsv.

FOLDER/table.txt, table.md, table.tsv, and cells.tsv with a line for each cell, are rewritten whenever a cell ends.
The .tsv files have all digits. The table goes to stdout, progress to stderr.

Exit status: 0 done; 1 a cell failed (the others were trained); 2 usage, or a folder of other settings; 75 stopped
by a signal, the same command continues; others are llminit's.
"""
from __future__ import annotations

import argparse
import collections
import contextlib
import fcntl
import os
import pathlib
import re
import statistics
from typing import Callable, Iterator, Optional, Sequence

from . import bootstrap, compare_table, options as opt, program, run
from .compare_table import Cell, Result, Row, is_closed
from .program import FAILED, STOPPED, Failure, Word, say

METRICS = ("Recall", "NDCG", "MRR", "Hit", "Precision", "MAP")
RESERVED = {"model": "--models", "emb_selection": "--starts", "seed": "--seeds", "topk": "--metrics"}


# ---- Options ---------------------------------------------------------------------------------------------------------


class Options(opt.Training):
    data: pathlib.Path
    models: list[str]
    starts: list[str]
    seeds: list[int]
    baseline: str
    metrics: list[str]
    split: str
    ranks: int
    part: tuple[int, int]
    table_only: bool
    bootstrap: bool = False

    def is_shared(self) -> bool:
        """Does this call train a part of the cells?"""
        return self.table_only or self.part != (1, 1)


def metric_list(text: str) -> list[str]:
    """Metrics as the table names them: Recall@10."""
    spelling = {name.lower(): name for name in METRICS}
    pattern = re.compile(rf"({'|'.join(spelling)})@([1-9]\d*)", re.IGNORECASE)
    found = []
    for word in opt.words(text):
        match = pattern.fullmatch(word)
        if not match:
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(METRICS)} at numbers, as NDCG@10")
        found.append(f"{spelling[match[1].lower()]}@{match[2]}")
    return found


def part(text: str) -> tuple[int, int]:
    """(K, N) of K/N"""
    match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if not match or int(match[1]) > int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not K/N with K from 1 to N")
    return int(match[1]), int(match[2])


variants = opt.variants_but(RESERVED)


def models_but(reserved: dict[str, str]) -> Callable[[str], list[str]]:
    """The type of --models: a closed form has no start, so that its emb_selection is its own."""
    trained = opt.variants_but(reserved)
    closed = opt.variants_but({name: by for name, by in reserved.items() if name != "emb_selection"})

    def models(text: str) -> list[str]:
        for word in opt.words(text):
            (closed if is_closed(word) else trained)(word)
        return opt.words(text)

    return models


def add_options(parser: opt.Parser, with_starts: bool = True) -> None:
    """All options; the study of widths has --starts of its own."""
    add = parser.add_argument
    add("data", metavar="DATA.h5", type=pathlib.Path, help="the dataset, from llminit prepare")
    add("--models", metavar="M,...", type=models_but(RESERVED), default=["LightGCN"], help="default: LightGCN")
    if with_starts:
        add("--starts", metavar="S,...", type=variants, default=["False", "var"], help="default: False,var")
        add("--baseline", metavar="START", help="the start that gains refer to; default: the first of --starts")
        add("--bootstrap", action="store_true", help="differences from the baseline, with intervals and p values")
    add("--seeds", metavar="N,...", type=opt.seeds, default=[2020], help="default: 2020")
    add("--metrics", metavar="M@K,...", type=metric_list, default=["Recall@10", "Recall@20", "NDCG@10", "NDCG@20"],
        help="default: Recall@10,Recall@20,NDCG@10,NDCG@20")
    add("--split", choices=("test", "valid"), default="test", help="the part that metrics are of; default: test")
    add("--ranks", metavar="N", type=opt.positive, default=1, help="processes of a training; default: 1")
    add("--part", metavar="K/N", type=part, default=(1, 1), help="train every N-th cell, beginning with the K-th")
    add("--table-only", action="store_true", help="train nothing")
    opt.add_training(parser, RESERVED, threads="cores / ranks", launch="mpirun -n RANKS")


def complete(options: Options) -> None:
    """Check the options together, and find the program."""
    cores = len(os.sched_getaffinity(0))
    opt.complete_training(options, max(1, cores // options.ranks))
    opt.require_files([options.data, options.settings])


def parse(name: str, arguments: Sequence[str]) -> Options:
    parser = opt.Parser(name, "DATA.h5 --out FOLDER [OPTION...]", __doc__)
    add_options(parser)
    options = parser.parse_args(arguments, Options())
    options.baseline = options.baseline or options.starts[0]
    if options.baseline not in options.starts:
        raise Failure(f"--baseline {options.baseline} is not one of --starts")
    complete(options)
    return options


# ---- Cells -----------------------------------------------------------------------------------------------------------


def file_name(text: str) -> str:
    """A model or start with settings of its own, without what a file's name should not have."""
    return re.sub(r"[^\w.,=+-]", "_", text.replace(":", ","))


def folder_name(model: str, start: str, seed: int) -> str:
    return file_name(model if is_closed(model) else f"{model}-{start}-{seed}")


def plan(options: Options) -> list[Cell]:
    """All cells, seed by seed, so that early tables have all rows."""
    cells = []
    for seed in options.seeds:
        for model, start in compare_table.row_names(options.models, options.starts):
            if not is_closed(model) or seed == options.seeds[0]:
                cells.append(Cell(model, start, seed, options.out / folder_name(model, start, seed)))
    folders = collections.Counter(cell.folder.name for cell in cells)
    name, count = folders.most_common(1)[0]
    if count > 1:
        raise Failure(f"{name} would be the folder of two cells: write one of them differently")
    return cells


def sets_of(options: Options, cell: Cell, topk: Optional[str] = None) -> list[Word]:
    """The --set of a cell, in order."""
    model, *of_model = cell.model.split(":")
    sets = [*options.set, f"model={model}", *of_model]
    if not is_closed(cell.model):
        start, *of_start = cell.start.split(":")
        sets += [f"emb_selection={start}", *of_start, f"seed={cell.seed}"]
    if topk:
        sets.append(f"topk={topk}")
    return opt.as_sets(sets)


def resolve(options: Options, cell: Cell) -> None:
    """Ask the program for a cell's settings. A cell whose settings it refuses has failed."""
    try:
        settings = options.program.settings([*options.settings_file(), *sets_of(options, cell)])
    except Failure as failure:
        cell.error = str(failure)
        return
    cutoffs = {int(metric.split("@")[1]) for metric in options.metrics}
    topk = [settings["topk"]] if isinstance(settings["topk"], str) else settings["topk"]
    settings["topk"] = [str(k) for k in sorted(cutoffs.union(map(int, topk)))]
    cell.settings = settings


def resolve_all(options: Options, cells: list[Cell]) -> None:
    """Settings of all cells; those of one row differ in their seeds alone."""
    known: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        first = known.setdefault((cell.model, cell.start), cell)
        if first is cell:
            resolve(options, cell)
        cell.error = first.error
        cell.settings = first.settings and {**first.settings}
        if cell.settings and not is_closed(cell.model):
            cell.settings["seed"] = str(cell.seed)


def read_result(options: Options, cell: Cell) -> None:
    """Take the result of a finished cell from its log."""
    events = run.read_log(cell.folder)
    if not run.is_finished(events):
        return
    found = [event for event in events if event["event"] == options.split and event["best"]]
    if not found:
        cell.error = f"{options.data} has no {options.split} part, or it was not evaluated"
        return
    metrics = {metric: found[-1]["metrics"][metric.lower()] for metric in options.metrics}
    metrics |= compare_table.cold_values(found[-1].get("cold"), options.metrics)
    epoch = None if is_closed(cell.model) else found[-1]["epoch"]
    cell.result = Result(metrics, epoch, events[-1]["seconds"], run.cpu_seconds_of(events), run.memory_of(events))
    cell.error = ""


def take_stock(options: Options, cells: list[Cell]) -> None:
    """Read what is in the folder already. Failure if a cell has other settings or data."""
    digest = options.program.digest(options.data)
    machine = options.program.machine_settings()
    resolve_all(options, cells)
    for cell in cells:
        if cell.settings:
            run.refuse_other_run(cell.folder, cell.settings, digest, machine)
            read_result(options, cell)


# ---- Training --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def alone(options: Options) -> Iterator[int]:
    """Hold the lock of the folder, or, beside calls with other parts, of this part; gives its descriptor."""
    k, n = options.part
    with run.locked(options.out / "lock", fcntl.LOCK_SH if options.is_shared() else fcntl.LOCK_EX) as lock:
        if options.table_only or not options.is_shared():
            yield lock
        else:
            with run.locked(options.out / f"lock-{k}-of-{n}") as lock_of_part:
                yield lock_of_part


def train_into(options: Options, folder: pathlib.Path, sets: list[Word], stop: run.Stop, lock: int) -> int:
    """Train in a folder, or resume what is there; the log goes to its output.txt. The exit status."""
    folder.mkdir(exist_ok=True)
    arguments = [*options.settings_file(), "--data", options.data, "--out", folder, "--resume", "auto", *sets]
    launch = options.launch or ["mpirun", "-n", str(options.ranks)]
    with open(folder / "output.txt", "wb") as file:
        return run.train(options.program, launch, arguments, file, stop, lock)


def train(options: Options, cell: Cell, stop: run.Stop, lock: int) -> None:
    """Train a cell, or resume it. Its result is in its log, or else cell.error says why not."""
    assert cell.settings
    sets = sets_of(options, cell, run.written(cell.settings["topk"]))
    status = train_into(options, cell.folder, sets, stop, lock)
    read_result(options, cell)
    if not (cell.result or cell.error or stop.count):
        cell.error = program.error_of_run(status, cell.folder / "output.txt")


def time_left(cells: list[Cell]) -> str:
    """In words: from finished cells, of the same model if there are any; "" if no cell is left."""
    known = collections.defaultdict(list)
    for cell in cells:
        if cell.result:
            known[cell.model].append(cell.result.seconds)
    of_all = [seconds for some in known.values() for seconds in some]
    waiting = [cell.model for cell in cells if cell.state == "waiting"]
    if not waiting or not known:
        return ""
    left = sum(statistics.mean(known.get(model, of_all)) for model in waiting)
    return f"; about {left:.0f} s left" if left < 120 else f"; about {left / 60:.0f} min left"


def report(cell: Cell, place: str, cells: list[Cell]) -> None:
    if not cell.result:
        say(f"{place} {cell.folder.name} failed: {cell.error}")
        return
    values = ", ".join(f"{name} {value:.4f}" for name, value in cell.result.metrics.items())
    epoch = "" if is_closed(cell.model) else f"best epoch {cell.result.best_epoch}, "
    say(f"{place} {cell.folder.name}: {values}; {epoch}{cell.result.seconds:.1f} s{time_left(cells)}")


def write_tables(options: Options, cells: list[Cell]) -> str:
    """Write all tables, with cells that other calls have finished; returns the one of --format."""
    with run.locked(options.out / "lock-of-tables"):
        for cell in cells:
            if options.is_shared() and cell.settings and not cell.result:
                read_result(options, cell)
        rows = compare_table.rows_of(options.models, options.starts, options.baseline, cells)
        tables = compare_table.all_tables(compare_table.columns_of(options.metrics, cells), rows, cells)
        for name, text in tables.items():
            run.write_file(options.out / name, text)
    return tables[f"table.{options.format}"]


# ---- Differences by users --------------------------------------------------------------------------------------------


def users_of(options: Options, cell: Cell) -> bootstrap.Users:
    """The metrics of each user of a finished cell, which is evaluated unless it was since it was trained."""
    path, best = cell.folder / f"users-{options.split}.tsv", cell.folder / "best.h5"
    if not path.exists() or path.stat().st_mtime < best.stat().st_mtime:
        options.program.ask("evaluate", best, "--data", options.data, "--split", options.split, "--per-user", path)
    return bootstrap.read_users(path)


def compared(rows: Sequence[tuple[Row, Row]]) -> Iterator[tuple[Row, Row]]:
    """Each row with the row it is compared with, where both have a finished cell."""
    first = next((base for row, base in rows if not is_closed(row.model)), None)
    for row, own in rows:
        base = first if is_closed(row.model) else own
        if base and base is not row and row.done() and base.done():
            yield row, base


def users_of_rows(options: Options, row: Row, base: Row) -> tuple[list[bootstrap.Users], list[bootstrap.Users]]:
    """Of the cells that are compared: those of the same seeds, or a closed form and all of the baseline."""
    both = row.done().keys() & base.done().keys()
    mine = [cell for cell in row.cells if cell.result and (is_closed(row.model) or cell.seed in both)]
    other = [cell for cell in base.cells if cell.result and (is_closed(row.model) or cell.seed in both)]
    return [users_of(options, cell) for cell in mine], [users_of(options, cell) for cell in other]


def difference_lines(options: Options, rows: Sequence[tuple[Row, Row]]) -> list[bootstrap.Line]:
    pairs, places, ids = [], [], None
    for row, base in compared(rows):
        mine, other = users_of_rows(options, row, base)
        for users in (*mine, *other):
            ids = ids or users.ids
            if users.ids != ids or len(ids) < 2:
                raise Failure(f"{options.data}: the runs of {row.model} and {base.model} rank for {len(ids)} and "
                              f"{len(users.ids)} users: a bootstrap needs the same, and two or more")
        for metric in options.metrics if mine and other else []:
            name = metric.lower()
            pairs.append((bootstrap.mean_users(mine, name), bootstrap.mean_users(other, name)))
            places.append(((row.model, row.start), (base.model, base.start), metric))
    found = bootstrap.differences(pairs)
    return [bootstrap.Line(*place, len(ids or ()), one) for place, one in zip(places, found)]


def write_differences(options: Options, cells: list[Cell]) -> str:
    """Write the tables of differences; returns the one of --format."""
    rows = compare_table.rows_of(options.models, options.starts, options.baseline, cells)
    say("evaluates by users, and resamples them")
    tables = bootstrap.all_tables(difference_lines(options, rows))
    with run.locked(options.out / "lock-of-tables"):
        for name, text in tables.items():
            run.write_file(options.out / name, text)
    return tables[f"differences.{options.format}"]


# ---- The command -----------------------------------------------------------------------------------------------------


def mine(options: Options, cells: list[Cell]) -> list[Cell]:
    """The cells that this call trains."""
    k, n = options.part
    return [] if options.table_only else cells[k - 1::n]


def train_all(options: Options, cells: list[Cell], stop: run.Stop, lock: int) -> None:
    to_train = mine(options, cells)
    for number, cell in enumerate(to_train, 1):
        if stop.count:
            break
        place = f"[{number}/{len(to_train)}]"
        if cell.state == "waiting":
            verb = "resumes" if (cell.folder / "latest.h5").exists() else "starts"
            say(f"{place} {cell.folder.name} {verb}: tail -f {cell.folder}/output.txt")
            train(options, cell, stop, lock)
            write_tables(options, cells)
        if cell.state != "waiting":
            report(cell, place, to_train)


def exit_status(options: Options, cells: list[Cell]) -> int:
    """Of this call; a line says what is not done."""
    to_train = mine(options, cells)
    states = collections.Counter(cell.state for cell in to_train)
    if states["waiting"]:
        say(f"stopped; {states['done']} of {len(to_train)} cells are done: the same command continues")
        return STOPPED
    if states["failed"]:
        say(f"{states['failed']} of {len(to_train)} cells failed")
        return FAILED
    return 0


def main(name: str, arguments: Sequence[str]) -> int:
    options = parse(name, arguments)
    stop = run.Stop()
    with alone(options) as lock:
        cells = plan(options)
        take_stock(options, cells)
        write_tables(options, cells)
        train_all(options, cells, stop, lock)
        print(write_tables(options, cells), end="", flush=True)
        if options.bootstrap and not stop.count:
            print("\n" + write_differences(options, cells), end="", flush=True)
        return exit_status(options, cells)
