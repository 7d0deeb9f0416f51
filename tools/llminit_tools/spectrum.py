"""Draw the singular values of tables, one line a table, with their effective ranks.

    tools/study spectrum FILE.h5|FILE.json... --out PLOT.svg|PLOT.png|PLOT.txt|- [OPTION...]
    tools/study spectrum run/noise/best.h5 run/pca/best.h5 --data data.h5 --table item_final --out plot.svg

FILE.h5 is a dataset or a checkpoint, as for `llminit spectrum`; FILE.json is the output of `llminit spectrum
--json`. Without --table all of their tables are drawn. The k-th largest value stands at k, on a logarithmic scale;
values of 0 are left out, and those below 1e-8 of the largest are rounding errors. --out - draws with characters on
stdout, as PLOT.txt has it. Plots need gnuplot (Debian: gnuplot-nox).

Exit status: 0 done; 1 no gnuplot, or it failed; 2 usage; others are llminit's.
"""
from __future__ import annotations

import argparse
import json
import pathlib
from typing import Any, Optional, Sequence

from . import options as opt, plot, program
from .program import FORMAT, IO, Failure, Program, Word


class Options(argparse.Namespace):
    files: list[pathlib.Path]
    out: str
    data: Optional[pathlib.Path]
    table: Optional[list[str]]
    normalised: bool
    logx: bool
    title: str
    build: pathlib.Path


def parse(name: str, arguments: Sequence[str]) -> Options:
    parser = opt.Parser(name, "FILE.h5|FILE.json... --out PLOT.svg|PLOT.png|PLOT.txt|- [OPTION...]", __doc__)
    add = parser.add_argument
    add("files", metavar="FILE", type=pathlib.Path, nargs="+", help="datasets, checkpoints, output of spectrum --json")
    add("--out", metavar="PLOT", required=True, help="the picture or text; -: text on stdout")
    add("--data", metavar="DATA.h5", type=pathlib.Path,
        help="the dataset of the checkpoints, for final tables; may be one of FILE")
    add("--table", metavar="NAME", action="append", help="draw this table; may be repeated; default: all tables")
    add("--normalised", action="store_true", help="divide the values of each table by its largest")
    add("--logx", action="store_true", help="a logarithmic scale for k too")
    add("--title", default="Singular values", help="of the plot")
    opt.add_build(parser)
    return parser.parse_args(arguments, Options())


def is_same_file(one: pathlib.Path, other: pathlib.Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def ask(options: Options, path: pathlib.Path) -> str:
    """The output of llminit spectrum for a dataset or checkpoint."""
    data: list[Word] = ["--data", options.data] if options.data and not is_same_file(options.data, path) else []
    llminit = Program(program.find(options.build), program.environment())
    return llminit.ask("spectrum", path, *data, "--json")


def read_tables(options: Options, path: pathlib.Path) -> list[dict[str, Any]]:
    """The tables of a file, as llminit spectrum prints them, as far as --table names them."""
    try:
        text = path.read_text(encoding="utf-8") if path.suffix == ".json" else ask(options, path)
        tables = json.loads(text)["tables"]
        for table in tables:
            table["singular_values"][0], table["effective_rank"], table["dims"], table["table"]
    except OSError as error:
        raise Failure(f"{path}: cannot open: {error.strerror}", IO) from None
    except (ValueError, KeyError, IndexError, TypeError):
        raise Failure(f"{path}: is not the output of llminit spectrum --json", FORMAT) from None
    return [table for table in tables if not options.table or table["table"] in options.table]


def names_of(paths: Sequence[pathlib.Path]) -> dict[pathlib.Path, str]:
    """A name for each path: without the first and last parts that all paths share."""
    parts = {path: list(path.parts) for path in paths}
    for end in (0, -1):
        while len(parts) > 1 and min(map(len, parts.values())) > 1 and len({some[end] for some in parts.values()}) == 1:
            for some in parts.values():
                del some[end]
    return {path: "/".join(some) for path, some in parts.items()}


def series_of(name: str, table: dict[str, Any], normalised: bool) -> plot.Series:
    values = table["singular_values"]
    scale = values[0] if normalised and values[0] > 0 else 1
    label = f"{name} {table['table']}: effective rank {table['effective_rank']:.1f} of {table['dims']}"
    return plot.Series(label, [(k, value / scale) for k, value in enumerate(values, 1)], "lines")


def main(name: str, arguments: Sequence[str]) -> int:
    options = parse(name, arguments)
    plot.suffix_of(options.out)
    names = names_of(options.files)
    series = [
        series_of(names[path], table, options.normalised)
        for path in options.files
        for table in read_tables(options, path)
    ]
    if not series:
        raise Failure(f"no table {' or '.join(options.table or ['at all'])} in {', '.join(map(str, options.files))}")
    ylabel = "value / largest" if options.normalised else "value"
    plot.plot(series, plot.Axes(options.title, "k", ylabel, logx=options.logx, logy=True), options.out)
    return 0
