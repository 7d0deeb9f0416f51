"""Make one HTML page of one or several runs: settings, curves, spectra, results, time, machine, how to do it again.

    tools/study report RUN... [--out REPORT.html|-] [OPTION...]
    tools/study report run/noise run/var --out report.html --data shop.h5

RUN is a folder of `llminit train`, also while it trains or after it failed. The others are compared with the first run.
The page is one file: it loads nothing and runs no script. It adapts to a phone, to a dark screen, and to paper.

Beside settings.yaml and log.jsonl it shows what else lies in a run's folder:

    output.txt   the log on stderr, as tools/compare and others keep it: warnings, environment, why a run failed
    *.json       the output of `llminit evaluate --groups --json`, of `llminit spectrum --json`

Exit status: 0 done; 2 usage; 3 a file is not as llminit writes it; 4 no run, or I/O.
"""
from __future__ import annotations

import argparse
import pathlib
import sys
from typing import Optional, Sequence

from . import options as opt, page, report_results as after, report_run, report_training as before, report_words, run
from .page import Section
from .program import USAGE, Failure, say
from .report_run import Run
from .spectrum import names_of


class Options(argparse.Namespace):
    runs: list[pathlib.Path]
    out: str
    title: str
    metrics: list[str]
    data: Optional[str]


def parse(name: str, arguments: Sequence[str]) -> Options:
    parser = opt.Parser(name, "RUN... [--out REPORT.html|-] [OPTION...]", __doc__)
    add = parser.add_argument
    add("runs", metavar="RUN", type=pathlib.Path, nargs="+", help="folders of runs")
    add("--out", metavar="FILE", default="report.html", help="the page; -: on stdout; default: report.html")
    add("--title", default="", help="of the page; default: the names of the runs")
    add("--metrics", metavar="NAME,...", type=opt.words, default=[],
        help="valid metrics to draw; default: valid_metric, with recall and NDCG of its length")
    add("--data", metavar="DATA.h5", help="how the commands name the dataset; default: DATA.h5")
    return parser.parse_args(arguments, Options())


def read_runs(folders: Sequence[pathlib.Path]) -> list[Run]:
    """The runs, each with a name that no other has."""
    resolved = [folder.resolve() for folder in folders]
    if len(set(resolved)) < len(resolved):
        raise Failure("a run is given twice", USAGE)
    names = names_of(resolved) if len(resolved) > 1 else {resolved[0]: resolved[0].name}
    return [report_run.read_run(folder, names[path]) for folder, path in zip(folders, resolved)]


def require_metrics(runs: Sequence[Run], names: Sequence[str]) -> None:
    known = report_words.metrics_of([values for one in runs for values in one.valid.values()])
    for name in names:
        if name.lower() not in known:
            has = f"they have {', '.join(known)}" if known else "no run has an evaluation of the valid part"
            raise Failure(f"--metrics: no run has a valid {name}; {has}", USAGE)


def report(name: str, runs: Sequence[Run], options: Options) -> str:
    """The page. `name` is that of the command."""
    sections = [Section("results", "Results", after.results(runs)),
                Section("settings", "Settings", before.settings(runs)),
                Section("curves", "Training", before.curves(runs, options.metrics)),
                Section("spectra", "Spectra", before.spectra(runs)),
                Section("costs", "Time, bytes and memory", after.costs(runs)),
                Section("machine", "Machine and build", after.machine(runs)),
                Section("again", "How to reproduce", after.again(runs, options.data))]
    title = options.title or ("Training report: " + (runs[0].name if len(runs) == 1 else f"{len(runs)} runs"))
    versions = {str(one.starts[-1].get("version", "unknown")) for one in runs if one.starts}
    foot = f"Made by {name} from the logs of llminit {', '.join(sorted(versions)) or 'unknown'}."
    return page.document(title, before.lead(runs), [one for one in sections if one.content], foot)


def main(name: str, arguments: Sequence[str]) -> int:
    options = parse(name, arguments)
    runs = read_runs(options.runs)
    require_metrics(runs, options.metrics)
    text = report(name, runs, options)
    if options.out == "-":
        sys.stdout.write(text)
    else:
        run.write_file(pathlib.Path(options.out), text)
        say(f"{options.out}: {len(runs)} run{'s' if len(runs) > 1 else ''}, {len(text.encode()) / 1024:.0f} KiB")
    return 0
