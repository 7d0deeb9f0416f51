"""The first sections of a report: the summary, what was trained, and how it went: settings, curves, spectra.

With one run the page does not repeat its name. A section that has nothing to say is an empty list.
"""
from __future__ import annotations

import re
from typing import Callable, Iterator, Optional, Sequence

from . import chart, plot, report_run, table
from .page import Markup, Table, element, folded, legend
from .report_run import UNKNOWN, Run, datasets
from .report_words import Parts, bests, compared, duration, metric_name, metrics_of, note, table_by, value

FALL = 0.1  # of an effective rank below its highest that is told
LOG_LOSS = 50  # a loss that falls by more than this factor is drawn on a logarithmic scale
TABLES = {"user_final": "users, final", "item_final": "items, final", "user_embedding": "users, raw",
          "item_embedding": "items, raw"}


# ---- Summary ---------------------------------------------------------------------------------------------------------


def headline(runs: Sequence[Run]) -> str:
    """The key of the metric that runs are compared by: a valid_metric that was measured, as far as possible."""
    wanted = [run.settings.get("valid_metric", "").lower() for run in runs]
    tested = [name for run in runs for name in metrics_of([run.test(), *run.valid.values()])]
    return next((name for name in wanted if name in tested), next(iter(tested), ""))


def gain(run: Run, base: Run, key: str) -> Optional[float]:
    """In percent; None where there is no comparison."""
    mine, others = run.test().get(key), base.test().get(key)
    if mine is None or not others or run is base or len(datasets([run, base])) > 1:
        return None
    return 100 * (mine / others - 1)


def key_figures(run: Run, key: str) -> Markup:
    """The numbers of a run that one asks for first."""
    shown = [(f"test {metric_name(key)}", value(run.test(), key))] if key in run.test() else []
    if run.best is not None and key in run.valid.get(run.best, {}) and not run.is_closed():
        shown.append((f"valid {metric_name(key)}", value(run.valid[run.best], key)))
    if run.epochs():
        shown += [("epochs", str(run.epochs()))] + ([("best epoch", str(run.best))] if run.best else [])
    shown.append(("time of training", duration(run.seconds)))
    return element("dl", [element("div", element("dt", name), element("dd", number)) for name, number in shown],
                   class_="figures")


def summary_table(runs: Sequence[Run], key: str) -> Markup:
    name = metric_name(key) if key else "metric"
    rows, tests = [], [run.test().get(key) for run in runs]
    for run in runs:
        more = gain(run, runs[0], key)
        best = run.valid.get(run.best, {}) if run.best is not None else {}
        rows.append([run.name, run.model(), run.start(), run.state(), str(run.epochs() or UNKNOWN),
                     str((not run.is_closed() and run.best) or UNKNOWN), value(best, key), value(run.test(), key),
                     "" if more is None else f"{more:+.1f}%", duration(run.seconds)])
    header = ["run", "model", "start", "state", "epochs", "best epoch", f"valid {name}", f"test {name}",
              "over the first", "time"]
    strong = bests([tests], 7) if len(datasets(runs)) < 2 else ()
    return Table(header, rows, "The runs", left=(1, 2, 3), strong=strong).markup()


def sentence(runs: Sequence[Run], key: str) -> str:
    """What the page shows, in one sentence."""
    tested = [run for run in runs if key in run.test()]
    if len(runs) == 1:
        run = runs[0]
        begin = f"{run.model()}, {'in closed form' if run.is_closed() else f'started from {run.start()}'}"
        return f"{begin}: {run.state()}." + ("" if tested else " There are no test results yet.")
    if not tested:
        return f"{len(runs)} runs; none has test results yet."
    if len(datasets(tested)) > 1:
        return f"{len(runs)} runs on {len(datasets(tested))} datasets, whose metrics are not comparable."
    best = max(tested, key=lambda run: run.test()[key])
    more = gain(best, runs[0], key)
    over = f", {more:+.1f}% over {runs[0].name}" if more else ""
    missing = len(runs) - len(tested)
    without = f" {missing} of them {'has' if missing == 1 else 'have'} no test results yet." if missing else ""
    result = f"{metric_name(key)} {value(best.test(), key)}{over}"
    return f"Of {len(runs)} runs, {best.name} is the best on test: {result}.{without}"


def problems(runs: Sequence[Run]) -> Parts:
    return [element("p", element("strong", run.name), f": {run.error()}", class_="problem")
            for run in runs if run.error() and not run.is_ended]


def lead(runs: Sequence[Run]) -> Parts:
    key = headline(runs)
    numbers = key_figures(runs[0], key) if len(runs) == 1 else summary_table(runs, key)
    return [element("p", sentence(runs, key), class_="lead"), *problems(runs), numbers]


# ---- Settings --------------------------------------------------------------------------------------------------------


def settings(runs: Sequence[Run]) -> Parts:
    differing, same = compared([run.settings for run in runs])
    parts: Parts = []
    if differing:
        parts.append(Table(["setting", *(run.name for run in runs)], differing, "Settings in which the runs differ",
                           left=range(1, len(runs) + 1)).markup())
    elif len(runs) > 1 and same:
        parts.append(element("p", "All settings are the same in all runs."))
    pairs = [element("div", element("dt", name), element("dd", words)) for name, words in same]
    if pairs:
        title = f"The {len(pairs)} settings that are the same in all runs"
        parts.append(folded(title if len(runs) > 1 else f"All {len(pairs)} settings",
                            element("dl", pairs, class_="columns"), is_open=len(runs) == 1))
    return parts


# ---- Curves ----------------------------------------------------------------------------------------------------------


def lines_by(runs: Sequence[Run], points_of: Callable[[Run], dict[int, float]], has_best: bool) -> list[chart.Line]:
    return [chart.Line(run.name, sorted(points_of(run).items()), number, run.best if has_best else None)
            for number, run in enumerate(runs)]


def loss_charts(runs: Sequence[Run]) -> Iterator[Optional[Markup]]:
    """A chart for each model, since the losses of models are not comparable."""
    models = report_run.names_in_order([[run.model()] for run in runs if run.loss])
    for number, model in enumerate(models):
        lines = lines_by(runs, lambda run, model=model: run.loss if run.model() == model else {}, False)
        losses = [y for line in lines for _, y in line.points]
        is_log = min(losses) > 0 and max(losses) > LOG_LOSS * min(losses)
        title = "Loss" + (f" of {model}" if len(models) > 1 else "") + (", logarithmic" if is_log else "")
        yield chart.figure(f"loss{number}", lines, plot.Axes(title, "epoch", "loss", logy=is_log))


def drawn_metrics(runs: Sequence[Run], wanted: Sequence[str]) -> list[str]:
    """Keys of the valid metrics to draw: those asked for, else valid_metric with recall and NDCG of the same length."""
    if wanted:
        return [name.lower() for name in wanted]
    known = metrics_of([values for run in runs for values in run.valid.values()])
    main = report_run.names_in_order([[run.settings.get("valid_metric", "").lower()] for run in runs if run.valid])
    more = [f"{name}@{one.partition('@')[2]}" for one in main for name in ("recall", "ndcg")]
    return [name for name in dict.fromkeys([*main, *more]) if name in known]


def curves(runs: Sequence[Run], wanted: Sequence[str]) -> Parts:
    trained = [run for run in runs if not run.is_closed()]
    figures = list(loss_charts(runs))
    for name in drawn_metrics(trained, wanted):
        points_of = lambda run, name=name: {epoch: values[name] for epoch, values in run.valid.items()  # noqa: E731
                                            if name in values and not run.is_closed()}
        axes = plot.Axes(f"Valid {metric_name(name)}", "epoch", metric_name(name))
        figures.append(chart.figure(f"valid-{re.sub('[^a-z0-9]', '-', name)}", lines_by(runs, points_of, True), axes))
    figures.append(chart.figure("rate", lines_by(runs, lambda run: run.rate, False),
                                plot.Axes("Samples a second", "epoch", "samples a second")))
    shown = [one for one in figures if one]
    if not shown:
        return []
    words = "A ring marks the best epoch, whose tables are kept. " if any(run.best for run in trained) else ""
    closed = [run.name for run in runs if run.is_closed()]
    without = f"Closed forms have no epochs: {', '.join(closed)}." if closed else ""
    names = run_legend(runs, lambda run: run.loss or run.valid and not run.is_closed())
    return [names, element("div", shown, class_="charts"), note(words + without)]


def run_legend(runs: Sequence[Run], has_lines: Callable[[Run], object]) -> Markup:
    """Of the runs that have lines; a page of one run needs none."""
    named = [(number, run.name) for number, run in enumerate(runs) if has_lines(run)]
    return legend(named) if len(runs) > 1 else Markup()


# ---- Spectra ---------------------------------------------------------------------------------------------------------


def rank_of(run: Run, name: str) -> dict[int, float]:
    return {epoch: tables[name][0]["effective_rank"] for epoch, tables in run.spectra.items() if name in tables}


def spectrum_row(run: Run, name: str) -> list[str]:
    """First and last measure of a table, and how wide it is."""
    ranks = rank_of(run, name)
    first, last = min(ranks), max(ranks)
    measures, shares = run.spectra[last][name]
    change = 100 * (ranks[last] / ranks[first] - 1) if ranks[first] else 0
    return [f"{ranks[first]:.1f}", f"{ranks[last]:.1f}", f"{change:+.1f}%" if last > first else UNKNOWN, str(last),
            run.settings.get("embedding_size", UNKNOWN),
            *(table.number(measures.get(key), 1) for key in ("participation_ratio", "information_abundance")),
            *(f"{100 * shares[k]:.1f}%" if k in shares else UNKNOWN for k in ("1", "8"))]


def falls(runs: Sequence[Run], names: Sequence[str]) -> Parts:
    """A line for each table that lost effective rank since it had the most."""
    found = []
    for name in names:
        for run in runs:
            ranks = rank_of(run, name)
            top, last = max(ranks, key=lambda epoch: ranks[epoch], default=0), max(ranks, default=0)
            if ranks and ranks[last] < (1 - FALL) * ranks[top]:
                words = f"{ranks[top]:.1f} in epoch {top} to {ranks[last]:.1f} in epoch {last}"
                found.append(element("p", element("strong", run.name), f": the effective rank of the {TABLES[name]}, "
                                     f"fell from {words}.", class_="problem"))
    return found


def spectra(runs: Sequence[Run]) -> Parts:
    measured = [name for name in TABLES if any(rank_of(run, name) for run in runs)]
    figures = [chart.figure(f"rank-{name}", lines_by(runs, lambda run, name=name: rank_of(run, name), False),
                            plot.Axes(f"Effective rank: {TABLES[name]}", "epoch", "effective rank"))
               for name in measured if any(len(rank_of(run, name)) > 1 for run in runs)]
    parts = falls(runs, [name for name in measured if name.endswith("final")] or measured)
    if figures:
        names = run_legend(runs, lambda run: run.spectra)
        parts += [names, element("div", [one for one in figures if one], class_="charts")]
    if measured:
        rows = [[TABLES[name], run.name, *spectrum_row(run, name)]
                for name in measured for run in runs if rank_of(run, name)]
        header = ["table", "run", "first", "last", "change", "epoch", "of", "participation", "abundance", "top 1",
                  "top 8"]
        caption = "Effective rank, first and last of its dimensions; what the last spectrum says besides"
        parts.append(table_by(header, rows, caption, len(runs) > 1))
        parts.append(note("The effective rank is exp(-sum p ln p), where p are the singular values over their sum; "
                          "participation is its ratio, abundance that of information, top k the share of the sum of "
                          "squares in the k largest. A table has collapsed if its effective rank is far below its "
                          "dimensions."))
    return parts + singular_values(runs)


def singular_values(runs: Sequence[Run]) -> Parts:
    """A chart for each table, of all values in their order."""
    measured = report_run.names_in_order([list(run.singular) for run in runs])
    names = [name for name in (*TABLES, *measured) if name in measured]
    figures = []
    for name in dict.fromkeys(names):
        lines = lines_by(runs, lambda run, name=name: dict(enumerate(run.singular.get(name, ()), 1)), False)
        axes = plot.Axes(f"Singular values: {TABLES.get(name, name)}, logarithmic", "number", "value", logy=True)
        figures.append(chart.figure(f"singular-{len(figures)}", lines, axes))
    shown = [one for one in figures if one]
    return [run_legend(runs, lambda run: run.singular), element("div", shown, class_="charts")] if shown else []
