"""Draw the training curves of runs: loss and valid metric by epoch, beside a table with a line for each run.

    tools/study curves RUN... [--out CURVES.svg|CURVES.png|CURVES.txt|-] [OPTION...]
    tools/study curves run/noise run/var --out curves.svg --epochs curves.tsv

RUN is a folder of `llminit train`, also while it trains. The curves are drawn with characters on stdout, or into --out.
The table goes to stdout. The metric is valid_metric, by which early stop goes; --metric takes another.
A run without a valid part has a loss alone, a closed form (EASE, L3AE, ...) a metric alone.

Exit status: 0 done; 1 no gnuplot, or it failed (the table is complete); 2 usage; 3 no run, or nothing to draw; 4 I/O.
"""
from __future__ import annotations

import argparse
import dataclasses
import pathlib
from typing import Any, Optional, Sequence

from . import options as opt, plot, program, run, table
from .program import FORMAT, IO, USAGE, Failure
from .spectrum import names_of


class Options(argparse.Namespace):
    runs: list[pathlib.Path]
    out: str
    metric: Optional[str]
    epochs: Optional[pathlib.Path]
    format: str
    title: str


@dataclasses.dataclass
class Curves:
    """What the log of a run says by epoch."""

    name: str
    loss: dict[int, float]
    metric: dict[int, float]
    best: Optional[int]  # epoch of the best valid metric that early stop goes by
    seconds: float  # of all epochs


def parse(name: str, arguments: Sequence[str]) -> Options:
    parser = opt.Parser(name, "RUN... [--out CURVES.svg|CURVES.png|CURVES.txt|-] [OPTION...]", __doc__)
    add = parser.add_argument
    add("runs", metavar="RUN", type=pathlib.Path, nargs="+", help="folders of runs, with log.jsonl and settings.yaml")
    add("--out", metavar="CURVES", default="-", help="the picture or text; default: -, text on stdout")
    add("--metric", metavar="NAME", help="as Recall@20; default: valid_metric of the runs")
    add("--epochs", metavar="FILE.tsv", type=pathlib.Path, help="also write a line for each epoch of each run")
    add("--format", choices=opt.FORMATS, default="txt", help="of the table on stdout; default: txt")
    add("--title", default="Training", help="of the plot")
    return parser.parse_args(arguments, Options())


def metric_of(folder: pathlib.Path) -> str:
    """The valid_metric of a run."""
    try:
        settings = program.read_settings((folder / "settings.yaml").read_text(encoding="utf-8", errors="replace"))
        return str(settings["valid_metric"])
    except OSError as error:
        raise Failure(f"{folder}/settings.yaml: cannot open: {error.strerror}: is {folder} a run?", IO) from None
    except (KeyError, TypeError):
        raise Failure(f"{folder}/settings.yaml: has no valid_metric: --metric says which to draw", FORMAT) from None


def common_metric(folders: Sequence[pathlib.Path]) -> str:
    names = [metric_of(folder) for folder in folders]
    for folder, name in zip(folders, names):
        if name.lower() != names[0].lower():
            raise Failure(f"valid_metric is {names[0]} in {folders[0]}, but {name} in {folder}: "
                          "--metric says which to draw", USAGE)
    return names[0]


def value_of(event: dict[str, Any], metric: str, folder: pathlib.Path) -> float:
    found = event["metrics"].get(metric.lower())
    if found is None:
        raise Failure(f"{folder}/log.jsonl: no {metric}; it has {', '.join(event['metrics'])}", USAGE)
    return float(found)


def read_curves(folder: pathlib.Path, name: str, metric: str) -> Curves:
    if not (folder / "log.jsonl").is_file():
        raise Failure(f"{folder}: no log.jsonl in it: is it a run?", IO)
    curves = Curves(name, {}, {}, None, 0)
    for event in run.read_log(folder):
        if event["event"] == "epoch":
            curves.loss[event["epoch"]] = event["loss"]
            curves.seconds += event["seconds"]
        elif event["event"] == "solve":
            curves.seconds += event["seconds"]
        elif event["event"] == "valid":
            curves.metric[event["epoch"]] = value_of(event, metric, folder)
            curves.best = event["epoch"] if event["best"] else curves.best
    if not curves.loss and not curves.metric:
        raise Failure(f"{folder}/log.jsonl: no epoch is in it yet", FORMAT)
    return curves


def line_of(curves: Curves) -> list[str]:
    """Of the table: how a run went."""
    losses, values = list(curves.loss.values()), list(curves.metric.values())
    n_epochs = max([*curves.loss, *curves.metric])
    first, last = (f"{losses[k]:.4g}" if losses else "-" for k in (0, -1))
    best = curves.metric[curves.best] if curves.best is not None else None
    return [curves.name, str(n_epochs), first, last, table.number(values[-1] if values else None, 4),
            "-" if curves.best is None else str(curves.best), table.number(best, 4), table.number(curves.seconds, 1)]


def table_of(runs: Sequence[Curves], metric: str) -> list[table.Line]:
    header = ["run", "epochs", "first loss", "last loss", f"last {metric}", "best epoch", f"{metric} there", "seconds"]
    return [header, *map(line_of, runs)]


def epochs_of(runs: Sequence[Curves], metric: str) -> list[list[Any]]:
    """A line for each epoch of each run; what it does not have is empty."""
    lines: list[list[Any]] = [["run", "epoch", "loss", metric]]
    for curves in runs:
        lines += [[curves.name, epoch, curves.loss.get(epoch), curves.metric.get(epoch)]
                  for epoch in sorted({*curves.loss, *curves.metric})]
    return lines


def panels_of(runs: Sequence[Curves], metric: str, title: str) -> list[plot.Panel]:
    """Loss and metric, as far as the runs have them."""
    kinds = (("loss", {curves.name: curves.loss for curves in runs}),
             (f"valid {metric}", {curves.name: curves.metric for curves in runs}))
    panels = []
    for what, values in kinds:
        series = [plot.Series(name, sorted(points.items())) for name, points in values.items() if points]
        if series:
            panels.append(plot.Panel(series, plot.Axes(f"{title}: {what}", "epoch", what)))
    return panels


def main(name: str, arguments: Sequence[str]) -> int:
    options = parse(name, arguments)
    plot.suffix_of(options.out)
    names = names_of(options.runs) if len(options.runs) > 1 else {options.runs[0]: options.runs[0].resolve().name}
    metric = options.metric or common_metric(options.runs)
    runs = [read_curves(folder, names[folder], metric) for folder in options.runs]
    lines = table_of(runs, metric)
    shown = {"txt": table.text, "md": table.markdown}.get(options.format)
    print(shown(lines, table.right_from(1, lines)) if shown else table.tsv(lines), end="", flush=True)
    if options.epochs:
        run.write_file(options.epochs, table.tsv(epochs_of(runs, metric)))
    plot.plot_panels(panels_of(runs, metric, options.title), options.out)
    return 0
