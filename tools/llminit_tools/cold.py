"""How well are new items recommended? Hide items from training, and measure them among all others.

    tools/study cold --inter FILE --item FILE --embedding FILE --out FOLDER [OPTION...]
    tools/study cold --inter a.inter --item a.item --embedding a.npy --out run/cold --models LightGCN,EASE --controls

For each of --split-seeds, `llminit prepare --set cold_share=S` hides a share of the items from training, one half for
valid and one for test. Each model is trained from each start, as by tools/study compare, and its best epoch is
evaluated on the test part under each map of --maps. The seed of a split is that of the training too. Three tables come
of it, with Recall and NDCG at 10 and 20:

    all    candidates are warm items and the cold items of the part: the main one. Beside it the shares of the warm
           and of the cold targets that are in the lists of ten, and the parameter and gain that the map chose
    warm   candidates and targets are warm items
    cold   candidates and targets are cold items

A row is a model, a start and a map. A map is a value of the setting `cold_map`; settings of its own may follow after
colons: nearest:cold_neighbors=10. `none` leaves cold items as the model has them (LLMInit's start vectors; in L3AE what
its formula gives, which is solved apart), `zero` gives them no score. A row has means and standard deviations over the
splits, and the gain over the row of the same model and start under the map of --baseline. A fourth table has what the
calibration chose in each split, and what it found with gain 1; auto:calibrate_share=0 is the map with gain 1.

--controls also trains all on random vectors of the same norms, with the same splits.
--bootstrap adds differences.txt: the difference of each row from its baseline in the metrics of all items, its 95%
interval and p value, by a paired bootstrap of 1000 resamples over users. A user's value is the mean over the splits in
which he has a target.
--sparse 1,2,3,5,all also trains on splits without cold items in which only the first 1, 2, ... train items of each
user are left, and adds the table sparse.txt. With --cold-share 0 that is all.

--models, --starts, --settings, --set, --ranks, --threads, --launch, --table-only, --format and --build are those of
tools/study compare. --set also takes the settings of llminit prepare. The same command continues after any
interruption: what is prepared, trained or evaluated is kept. More maps and seeds may be asked for later; other settings
or files are refused.

FOLDER has cold.txt, cold.md, cold.tsv, calibration.tsv, cold.svg (the calibration and the sparse users as curves, or
--plot FILE), and a folder for each dataset with data.h5 and the cells and tables of a comparison. The tables go to
stdout, progress to stderr.

Exit status: that of tools/study compare.
"""
from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import math
import os
import pathlib
import re
from typing import Iterator, Optional, Sequence

from . import bootstrap, cold_data, cold_table, compare, compare_table, options as opt, plot, run
from .cold_table import RANDOM, TEXT, Row
from .compare_table import Cell
from .program import STOPPED, Failure, Word, say

SPARSE, RANDOM_VECTORS = "sparse", "random.npy"
AUTO, NONE = "auto", "none"  # the map that models are trained with, and that of cold items as the model has them
RESERVED = {
    "model": "--models", "emb_selection": "--starts", "seed": "--split-seeds", "topk": "the tables: 10 and 20",
    "cold_map": "--maps", "cold_share": "--cold-share", "max_train_items": "--sparse",
}


# ---- Options ---------------------------------------------------------------------------------------------------------


class Options(compare.Options):
    """Those of all comparisons; a Split has its own copy."""

    inter: pathlib.Path
    item: pathlib.Path
    embedding: pathlib.Path
    cold_share: float
    split_seeds: list[int]
    maps: list[str]
    sparse: list[str]
    controls: bool
    plot: Optional[str]
    prepare_set: list[str]  # settings of prepare; `set` has those of train


def share(text: str) -> float:
    """A fraction of the items, or 0."""
    if not re.fullmatch(r"0(\.\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 and below 1, as 0.2")
    return float(text)


def counts(text: str) -> list[str]:
    """Numbers of train items, ascending; the last may be `all`."""
    head, comma, last = text.rpartition(",")
    if last != "all":
        return list(map(str, opt.ascending(text)))
    return [*map(str, opt.ascending(head) if comma else ()), last]


def add_options(parser: opt.Parser) -> None:
    add, variants = parser.add_argument, opt.variants_but(RESERVED)
    for name, what in (("inter", "interactions"), ("item", "items"), ("embedding", "the items' vectors")):
        add(f"--{name}", metavar="FILE", type=pathlib.Path, required=True, help=f"{what}, as for llminit prepare")
    add("--models", metavar="M,...", type=compare.models_but(RESERVED), default=["LightGCN"], help="default: LightGCN")
    add("--starts", metavar="S,...", type=variants, default=["False", "var"], help="default: False,var")
    add("--maps", metavar="MAP,...", type=variants, default=[NONE, "zero", AUTO, "auto:calibrate_share=0"],
        help="default: none,zero,auto,auto:calibrate_share=0")
    add("--baseline", metavar="MAP", help="what gains refer to; default: none if it is in --maps, else the first")
    add("--cold-share", metavar="S", type=share, default=0.2, help="the share of cold items; default: 0.2")
    add("--split-seeds", metavar="N,...", type=opt.seeds, default=[1, 2, 3], help="default: 1,2,3")
    add("--controls", action="store_true", help="also random vectors of the same norms; --embedding must be .npy")
    add("--sparse", metavar="N,...", type=counts, default=[], help="also users with so few train items, as 1,2,3,5,all")
    add("--bootstrap", action="store_true", help="differences from the baseline, with intervals and p values")
    add("--plot", metavar="FILE", help="the curves, as .svg, .png, .txt or - for stdout; default: FOLDER/cold.svg")
    add("--ranks", metavar="N", type=opt.positive, default=1, help="processes of a training; default: 1")
    add("--table-only", action="store_true", help="prepare, train and evaluate nothing")
    opt.add_training(parser, RESERVED, threads="cores / ranks", launch="mpirun -n RANKS")


def parse(name: str, arguments: Sequence[str]) -> Options:
    parser = opt.Parser(name, "--inter FILE --item FILE --embedding FILE --out FOLDER [OPTION...]", __doc__)
    add_options(parser)
    options = parser.parse_args(arguments, Options())
    options.baseline = options.baseline or (NONE if NONE in options.maps else options.maps[0])
    if options.baseline not in options.maps:
        raise Failure(f"--baseline {options.baseline} is not one of --maps")
    if not options.cold_share and (options.controls or options.bootstrap or not options.sparse):
        raise Failure("--cold-share 0 leaves --sparse alone, which has neither --controls nor --bootstrap")
    options.plot = options.plot or str(options.out / "cold.svg")
    plot.suffix_of(options.plot)
    options.part, options.split, options.metrics = (1, 1), "test", list(cold_table.METRICS)
    opt.require_files([options.inter, options.item, options.embedding, options.settings])
    opt.complete_training(options, max(1, len(os.sched_getaffinity(0)) // options.ranks))
    options.prepare_set, options.set = cold_data.share_out(options.program, options.set)
    options.program.settings([*options.settings_file(), *opt.as_sets(options.set)])  # refuses what it does not know
    return options


# ---- Datasets and their cells ----------------------------------------------------------------------------------------


@dataclasses.dataclass
class Split:
    """A dataset, and the comparison on it."""

    kind: str  # TEXT, RANDOM or SPARSE
    seed: int
    n_items: str  # train items of each user; "all": as they are
    options: Options
    cells: list[Cell] = dataclasses.field(default_factory=list)

    def cell_of(self, model: str, start: str) -> Cell:
        return next(cell for cell in self.cells if (cell.model, cell.start) == (model, start))


def solved_apart(model: str, map_: str) -> Optional[str]:
    """The model whose cells are those under the map, where the map is a part of what is solved: L3AE without one."""
    return f"{model}:cold_map={NONE}" if model.split(":")[0] == "L3AE" and map_.split(":")[0] == NONE else None


def split_of(options: Options, kind: str, seed: int, n_items: str = "all") -> Split:
    own = copy.copy(options)
    suffix = {TEXT: "", RANDOM: "-random", SPARSE: f"-first-{n_items}"}[kind]
    own.out = options.out / f"split-{seed}{suffix}"
    own.data, own.seeds, own.baseline = own.out / "data.h5", [seed], options.starts[0]
    if kind == TEXT:
        apart = [solved_apart(model, map_) for model in options.models for map_ in options.maps]
        own.models = [*options.models, *(model for model in apart if model)]
    split = Split(kind, seed, n_items, own)
    split.cells = compare.plan(own)
    return split


def splits_of(options: Options) -> list[Split]:
    """In the order in which they are trained."""
    kinds = [TEXT, RANDOM] if options.controls else [TEXT] if options.cold_share else []
    splits = [split_of(options, kind, seed) for kind in kinds for seed in options.split_seeds]
    return splits + [split_of(options, SPARSE, seed, n) for seed in options.split_seeds for n in options.sparse]


def arguments_of(options: Options, split: Split) -> list[Word]:
    """Of llminit prepare."""
    embedding = options.out / RANDOM_VECTORS if split.kind == RANDOM else options.embedding
    settings = [*options.prepare_set, f"seed={split.seed}"]
    if split.kind != SPARSE:
        settings.append(f"cold_share={options.cold_share:g}")
    elif split.n_items != "all":
        settings.append(f"max_train_items={split.n_items}")
    return ["--inter", options.inter, "--item", options.item, "--embedding", embedding, *opt.as_sets(settings)]


def take_stock(options: Options, splits: Sequence[Split]) -> None:
    """Read what is in the folder already. Failure if it comes of other files or settings."""
    for split in splits:
        if split.options.data.exists():
            cold_data.require_same(split.options.data, arguments_of(options, split))
            compare.take_stock(split.options, split.cells)


def train(options: Options, split: Split, stop: run.Stop, lock: int) -> None:
    """Prepare the dataset and train its cells, as far as that is not done."""
    say(f"{split.options.out.name}: {len(split.cells)} cells")
    if not split.options.data.exists():
        cold_data.prepare(options.program, split.options.data, arguments_of(options, split))
        compare.take_stock(split.options, split.cells)
    compare.train_all(split.options, split.cells, stop, lock)


# ---- Evaluation ------------------------------------------------------------------------------------------------------


def map_sets(map_: str) -> list[str]:
    name, *own = map_.split(":")
    return [f"cold_map={name}", *own]


def files_of(cell: Cell, map_: str) -> tuple[pathlib.Path, pathlib.Path]:
    """What evaluate prints, and what it writes of each user."""
    name = re.sub(r"[^\w.,=+-]", "_", map_.replace(":", ","))
    return cell.folder / f"{name}.json", cell.folder / f"users-{name}.tsv"


def evaluate(options: Options, split: Split, cell: Cell, map_: str, stop: run.Stop) -> Cell:
    """The cell as it is measured under the map: evaluated, unless it was since it was trained."""
    found = Cell(cell.model, cell.start, cell.seed, cell.folder, cell.settings, cell.error)
    if not cell.result:
        return found
    answer, users = files_of(cell, map_)
    best = cell.folder / "best.h5"
    if not answer.exists() or answer.stat().st_mtime < best.stat().st_mtime:
        if options.table_only or stop.count:
            return found
        say(f"{split.options.out.name}/{cell.folder.name}: evaluates under {map_}")
        is_own = map_ == AUTO or "cold_map=none" in cell.model.split(":")
        sets = [] if is_own else opt.as_sets(map_sets(map_))
        run.write_file(answer, options.program.ask(
            "evaluate", best, "--data", split.options.data, "--split", "test", "--json", "--per-user", users, *sets))
    text = json.loads(answer.read_text(encoding="utf-8"))
    found.result = cold_table.measured(text, cell.result)
    return found


def rows_of(options: Options, splits: Sequence[Split], stop: run.Stop) -> list[tuple[Row, Row]]:
    """Each row with its baseline; evaluates what was not."""
    rows: list[tuple[Row, Row]] = []
    for model, start in compare_table.row_names(options.models, options.starts):
        of_vectors = [*((map_, TEXT) for map_ in options.maps), *([(AUTO, RANDOM)] if options.controls else [])]
        own = [Row(model, start, map=map_, vectors=vectors) for map_, vectors in of_vectors]
        for row in own:
            for split in splits:
                if split.kind == row.vectors:
                    cell = split.cell_of(solved_apart(model, row.map) or model, start)
                    row.cells.append(evaluate(options, split, cell, row.map, stop))
        base = next(row for row in own if row.map == options.baseline)
        rows += [(row, base) for row in own]
    return rows


# ---- Results ---------------------------------------------------------------------------------------------------------


def users_of(row: Row, seeds: Sequence[int]) -> dict[str, dict[str, float]]:
    """{metric: {user: mean over the splits that have the user}}"""
    files = [bootstrap.read_users(files_of(cell, row.map)[1]) for cell in row.cells if cell.seed in seeds]
    means = {}
    for metric in cold_table.METRICS:
        values: dict[str, list[float]] = {}
        for users in files:
            for user, value in zip(users.ids, users.values[metric.lower()]):
                values.setdefault(user, []).append(value)
        means[metric] = {user: math.fsum(of_user) / len(of_user) for user, of_user in values.items()}
    return means


def difference_lines(pairs: cold_table.Pairs) -> Iterator[bootstrap.Line]:
    for row, base in pairs:
        both = sorted(row.done().keys() & base.done().keys())
        if row is base or not both:
            continue
        mine, other = users_of(row, both), users_of(base, both)
        ids = list(mine[cold_table.METRICS[0]])
        if set(ids) != set(other[cold_table.METRICS[0]]) or len(ids) < 2:
            raise Failure(f"{' '.join(row.name())} ranks for other users than its baseline, or for less than two")
        found = bootstrap.differences([([mine[metric][user] for user in ids], [other[metric][user] for user in ids])
                                       for metric in cold_table.METRICS])
        for metric, one in zip(cold_table.METRICS, found):
            yield bootstrap.Line(row.name(), [base.map], metric, len(ids), one)


def sparse_of(options: Options, splits: Sequence[Split]) -> cold_table.Sparse:
    sparse: cold_table.Sparse = {}
    for n in options.sparse:
        same = [split for split in splits if split.kind == SPARSE and split.n_items == n]
        sparse[n] = [compare_table.Row(model, start, [split.cell_of(model, start) for split in same])
                     for model, start in compare_table.row_names(options.models, options.starts)]
    return sparse


def write(options: Options, tables: dict[str, str]) -> str:
    """Write tables; returns the first one in --format."""
    for name, text in tables.items():
        run.write_file(options.out / name, text)
    return next(text for name, text in tables.items() if name.endswith(f".{options.format}"))


def write_tables(options: Options, splits: Sequence[Split], stop: run.Stop) -> tuple[cold_table.Pairs, list[str]]:
    """Write the tables of all that is trained, which is evaluated before; gives the rows, and the texts for stdout."""
    pairs = rows_of(options, splits, stop) if options.cold_share else []
    texts = [write(options, cold_table.all_tables(pairs))] if pairs else []
    if options.sparse:
        texts.append(write(options, cold_table.sparse_tables(sparse_of(options, splits), "NDCG@10")))
    return pairs, texts


def report(options: Options, splits: Sequence[Split], stop: run.Stop) -> None:
    """Write and print all tables, and draw the curves."""
    pairs, texts = write_tables(options, splits, stop)
    if options.bootstrap and not stop.count:
        say("resamples users")
        lines = list(difference_lines(pairs))
        texts.append(write(options, bootstrap.all_tables(lines, ("model", "start", "map"))))
    print("\n".join(texts), end="", flush=True)
    sparse = cold_table.sparse_panel(sparse_of(options, splits), "NDCG@10")
    draw(options, [cold_table.calibration_panel(pairs), sparse])


def draw(options: Options, panels: Sequence[Optional[plot.Panel]]) -> None:
    """The curves that there are. Where they cannot be drawn, a line says why."""
    found = [panel for panel in panels if panel]
    try:
        if found and options.plot:
            plot.plot_panels(found, options.plot)
    except plot.PlotError as error:
        say(f"no plots: {error}")


def main(name: str, arguments: Sequence[str]) -> int:
    options = parse(name, arguments)
    stop = run.Stop()
    with compare.alone(options) as lock:
        splits = splits_of(options)
        take_stock(options, splits)
        if options.controls and not options.table_only:
            cold_data.write_random(options.embedding, options.out / RANDOM_VECTORS)
        for split in splits:
            if not (options.table_only or stop.count):
                train(options, split, stop, lock)
                write_tables(options, splits, stop)
        report(options, splits, stop)
        status = compare.exit_status(options, [cell for split in splits for cell in split.cells])
        return status or (STOPPED if stop.count else 0)
