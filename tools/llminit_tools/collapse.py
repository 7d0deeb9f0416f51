"""Does a wider table recommend better, and does it use its width? Train at several widths and from several starts.

    tools/study collapse DATA.h5 --out FOLDER [OPTION...]
    tools/study collapse data.h5 --out run/study --widths 32,64,128,256 --set epochs=30

This is the study of LightGCN in arXiv 2503.01814 (section on embedding collapse), on your own data. The table has a
row for each model, start and width: the test metrics at the best epoch, and the effective ranks of the tables that
scores are made of (users, items), which stay behind the width where tables collapse. Starts are those of
tools/study compare: noise (False), the vectors' dimensions of largest variance (var), their principal components
(pca), all of them (full). `full` is one point, at the vectors' own width D. At that width `var` is the same and is
left out. Starts that take d of D dimensions end there.

The cells are trained as by tools/study compare, and all of its options but --starts and --baseline work here too:
--models, --seeds, --settings, --set, --metrics (the first one is drawn), --split, --ranks, --threads, --launch,
--part, --table-only, --format, --build. The same command continues after any interruption, and refuses a folder of
other settings or data.

FOLDER has the cells and tables of a comparison, and study.txt, study.md, study.tsv. If gnuplot is installed it also
has quality.svg and used.svg, the metric and the items' effective rank / width over the width, and both as text,
quality.txt and used.txt. The table and the texts go to stdout, progress to stderr.

Exit status: that of tools/study compare.
"""
from __future__ import annotations

import dataclasses
import statistics
from typing import Any, Callable, Iterator, Optional, Sequence

from . import compare, compare_table, options as opt, plot, run, table
from .compare_table import Cell, Row
from .program import FORMAT, Failure, say
from .table import number

SIDES = ("user", "item")
NOISE = "False"  # the one start that needs no vectors and takes any width


@dataclasses.dataclass(frozen=True)
class Point:
    start: str
    width: int


# ---- What to train ---------------------------------------------------------------------------------------------------


class Options(compare.Options):
    widths: list[int]


def widths(text: str) -> list[int]:
    return sorted(map(opt.positive, opt.words(text)))


def parse(name: str, arguments: Sequence[str]) -> Options:
    parser = opt.Parser(name, "DATA.h5 --out FOLDER [OPTION...]", __doc__)
    add = parser.add_argument
    add("--widths", metavar="N,...", type=widths, default=[32, 64, 128, 256, 512], help="default: 32,64,128,256,512")
    add("--starts", metavar="S,...", type=compare.variants, default=["False", "full", "var", "pca"],
        help="default: False,full,var,pca")
    compare.add_options(parser, with_starts=False)
    options = parser.parse_args(arguments, Options())
    given = [*options.set, *(own for word in [*options.models, *options.starts] for own in word.split(":")[1:])]
    if any(setting.startswith("embedding_size=") for setting in given):
        raise Failure("embedding_size is set by --widths")
    compare.complete(options)
    return options


def points_of(starts: Sequence[str], all_widths: Sequence[int], vectors: int) -> dict[str, Point]:
    """{start of tools/study compare: point}. `vectors`: the width of the vectors, 0 if there are none."""
    points = {}
    is_full = any(start.split(":")[0] == "full" for start in starts)
    for start in starts:
        name = start.split(":")[0]
        chosen = [width for width in all_widths if name == NOISE or width <= vectors]
        if name == "full":
            chosen = [vectors]
        elif name == "var" and is_full:
            chosen = [width for width in chosen if width < vectors]
        points.update({f"{start}:embedding_size={width}": Point(start, width) for width in chosen})
    return points


def vectors_of(options: Options) -> int:
    """The width of the dataset's vectors. Failure if a start needs vectors and there are none."""
    attributes = options.program.ask_json("info", options.data)["attributes"]
    if attributes["kind"] != "dataset":
        raise Failure(f"{options.data} is a {attributes['kind']}, not a dataset", FORMAT)
    needs = [start for start in options.starts if start.split(":")[0] != NOISE]
    if needs and not attributes["embedding_dim"]:
        raise Failure(f"{options.data} has no language-model vectors, which {needs[0]} starts from")
    return attributes["embedding_dim"]


def require_spectra(cells: Sequence[Cell]) -> None:
    for cell in cells:
        if cell.settings and cell.settings["collapse_every"] == "0":
            raise Failure("collapse_every is 0: without spectra in log.jsonl there is no effective rank")


# ---- Results ---------------------------------------------------------------------------------------------------------


def ranks_of(cell: Cell, best_epoch: Optional[int]) -> dict[str, float]:
    """{side: effective rank of the table that scores are made of, at the best epoch}"""
    tables = [
        event["tables"]
        for event in run.read_log(cell.folder)
        if event["event"] == "spectrum" and event["epoch"] == best_epoch
    ][-1]
    return {side: tables.get(f"{side}_final", tables[f"{side}_embedding"])["effective_rank"] for side in SIDES}


@dataclasses.dataclass
class Line:
    """A row of the study's table."""

    row: Row
    point: Point
    ranks: dict[str, Optional[float]]  # {side: mean effective rank over the seeds}

    def used(self) -> Optional[float]:
        """The items' effective rank as a fraction of the width."""
        rank = self.ranks["item"]
        return None if rank is None else rank / self.point.width


def line_of(row: Row, point: Point) -> Line:
    done = [ranks_of(cell, cell.result.best_epoch) for cell in row.cells if cell.result]
    means = {side: statistics.mean(ranks[side] for ranks in done) if done else None for side in SIDES}
    return Line(row, point, means)


def shown(row: Row, metric: str) -> str:
    """Mean and deviation."""
    deviation = row.deviation(metric)
    return number(row.mean(metric), 4) + ("" if deviation is None else f" ±{deviation:.4f}")


def table_lines(metrics: Sequence[str], lines: Sequence[Line]) -> Iterator[list[str]]:
    """Header and rows, as texts."""
    yield ["model", "start", "width", "seeds", *metrics, "rank of users", "rank of items", "best epoch", "seconds"]
    for line in lines:
        row, point = line.row, line.point
        values = [shown(row, metric) for metric in metrics]
        ranks = [number(line.ranks[side], 1) for side in SIDES]
        last = [number(row.best_epoch(), 0), number(row.cost("seconds"), 1)]
        yield [row.model, point.start, str(point.width), row.progress(), *values, *ranks, *last]


def tsv_lines(metrics: Sequence[str], lines: Sequence[Line]) -> Iterator[list[Any]]:
    of_metrics = [metric + kind for metric in metrics for kind in ("", "_sd")]
    first = ["model", "start", "width", "seeds", "done", "failed"]
    yield [*first, *of_metrics, "user_rank", "item_rank", "best_epoch", "seconds"]
    for line in lines:
        row, point = line.row, line.point
        values = [value for metric in metrics for value in (row.mean(metric), row.deviation(metric))]
        counts = [len(row.cells), len(row.done()), row.n_failed()]
        ranks = [line.ranks[side] for side in SIDES]
        yield [row.model, point.start, point.width, *counts, *values, *ranks, row.best_epoch(), row.cost("seconds")]


def all_tables(metrics: Sequence[str], lines: Sequence[Line]) -> dict[str, str]:
    """{format: text}; columns of numbers begin with the third."""
    texts = list(table_lines(metrics, lines))
    right = table.right_from(2, texts)
    return {
        "txt": table.text(texts, right),
        "md": table.markdown(texts, right),
        "tsv": table.tsv(tsv_lines(metrics, lines)),
    }


def series_of(n_models: int, lines: Sequence[Line], value: Callable[[Line], Optional[float]]) -> list[plot.Series]:
    """A line of the plot for each model and start."""
    found: dict[str, plot.Series] = {}
    for line in lines:
        model = f"{line.row.model}, " if n_models > 1 else ""
        label = model + ("noise" if line.point.start == NOISE else line.point.start)
        found.setdefault(label, plot.Series(label, [])).points.append((line.point.width, value(line)))
    return sorted(found.values(), key=lambda one: -len(one.points))  # a single point is drawn over the lines


def draw(options: Options, lines: Sequence[Line]) -> str:
    """Write the plots; returns their texts. Where a plot cannot be drawn, a line says why."""
    metric = options.metrics[0]
    tics = sorted({line.point.width for line in lines})
    quality = plot.Axes(f"{metric} over width", "width", metric, logx=True, xtics=tics)
    used = plot.Axes("Fraction of the width that items use", "width", "effective rank / width", logx=True, xtics=tics)
    pictures: dict[str, tuple[Callable[[Line], Optional[float]], plot.Axes]] = {
        "quality": (lambda line: line.row.mean(metric), quality),
        "used": (Line.used, used),
    }
    texts = []
    try:
        for name, (value, axes) in pictures.items():
            series = series_of(len(options.models), lines, value)
            for suffix in (".svg", ".txt"):
                plot.plot(series, axes, options.out / (name + suffix))
            texts.append("\n" + (options.out / f"{name}.txt").read_text(encoding="utf-8"))
    except plot.PlotError as error:
        say(f"no plots: {error}")
    return "".join(texts)


def write_study(options: Options, cells: Sequence[Cell], points: dict[str, Point]) -> str:
    """Write all files of the study; returns the output for stdout."""
    with run.locked(options.out / "lock-of-tables"):
        rows = compare_table.rows_of(options.models, options.starts, options.baseline, cells)
        lines = [line_of(row, points[row.start]) for row, _ in rows]
        tables = all_tables(options.metrics, lines)
        for suffix, text in tables.items():
            run.write_file(options.out / f"study.{suffix}", text)
        return tables[options.format] + draw(options, lines)


def main(name: str, arguments: Sequence[str]) -> int:
    options = parse(name, arguments)
    stop = run.Stop()
    with compare.alone(options) as lock:
        points = points_of(options.starts, options.widths, vectors_of(options))
        if not points:
            raise Failure("no start takes one of --widths: starts from vectors end at the vectors' own width")
        options.starts = list(points)
        options.baseline = options.starts[0]
        cells = compare.plan(options)
        compare.take_stock(options, cells)
        require_spectra(cells)
        compare.train_all(options, cells, stop, lock)
        compare.write_tables(options, cells)
        print(write_study(options, cells, points), end="", flush=True)
        return compare.exit_status(options, cells)
