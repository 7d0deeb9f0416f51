"""The other sections of a report: results, time and memory, the machine, and how to do it again.

With one run the page does not repeat its name. A section that has nothing to say is an empty list.
"""
from __future__ import annotations

import re
import shlex
from typing import Callable, Optional, Sequence, Tuple

from . import chart, report_run
from .page import Markup, Table, element, folded
from .report_run import UNKNOWN, Evaluation, Metrics, Run, datasets
from .report_words import (Parts, bests, compared, count, duration, flat, metric_name, metrics_of, size, table_by,
                           value)

N_COLOURS = 7  # phases with a colour of their own
SPLITS = {"users": "Users by number of train items", "items": "Test items by number of train interactions",
          "popularity": "Test items by popularity"}
MEMORY = {"held": "held in steps", "allocated": "allocated at most", "resident": "resident at most, with libraries"}
NOT_OF_MACHINE = ("event", "from_epoch", "predicted_held", "predicted_step_bytes")
CANDIDATES = {"all": "all items", "warm": "warm items", "cold": "cold items"}


# ---- Results ---------------------------------------------------------------------------------------------------------

Named = Sequence[Tuple[str, Evaluation]]


def evaluations_of(runs: Sequence[Run]) -> list[tuple[str, Evaluation]]:
    """(name of a row, evaluation): the first of a run has the name of the run."""
    return [(run.name if number == 0 else f"{run.name} ({one.name})", one)
            for run in runs for number, one in enumerate(run.evaluations)]


def metric_table(named: Named, get: Callable[[Evaluation], Metrics], caption: str,
                 comparable: bool = False) -> Optional[Markup]:
    """A row for each evaluation that has such metrics, with counts of users and positives where it has them. The best
    of each column stands out where rows are comparable."""
    rows = [(name, get(one)) for name, one in named if get(one)]
    if not rows:
        return None
    values = [one for _, one in rows]
    counts = [key for key in ("users", "positives") if any(key in one for one in values)]
    keys = metrics_of(values)
    lines = [[name, *(count(one.get(key)) for key in counts), *(value(one, key) for key in keys)]
             for name, one in rows]
    strong = bests([[one.get(key) for one in values] for key in keys], 1 + len(counts)) if comparable else ()
    return Table(["run", *counts, *map(metric_name, keys)], lines, caption, strong=strong).markup()


def group_table(named: Named, get: Callable[[Evaluation], dict[str, Metrics]], what: str,
                caption: str) -> Optional[Markup]:
    """Recall and NDCG of each group, run below run; `what` the groups are of."""
    with_groups = [(name, get(one)) for name, one in named if get(one)]
    groups = report_run.names_in_order([list(one) for _, one in with_groups])
    parts = [(group, name, one[group]) for group in groups for name, one in with_groups if group in one]
    if not parts:
        return None
    keys = [key for key in metrics_of([values for _, _, values in parts]) if key.split("@")[0] in ("recall", "ndcg")]
    rows = [[group, name, *(count(values.get(key)) for key in ("users", "positives")),
             *(value(values, key) for key in keys)] for group, name, values in parts]
    return table_by([what, "run", "users", "positives", *map(metric_name, keys)], rows, caption, len(named) > 1)


def cold_tables(named: Named) -> Parts:
    by_candidates = group_table(
        named, lambda one: {CANDIDATES[key]: values for key, values in one.candidates.items()},
        "candidates", "Metrics by the items that are ranked, which are also the only targets")
    hits = metric_table(named, lambda one: {key: number for key, number in one.hits.items() if "_hit@" in key},
                        "Share of the warm and of the cold targets that stand in the lists of all items")
    found = [one for one in (by_candidates, hits, map_table(named)) if one]
    return [element("h3", "Cold items"), *found] if found else []


def map_table(named: Named) -> Optional[Markup]:
    rows = [[name, one.map["kind"], f"{one.map['parameter']:g}", f"{one.map['gain']:.3g}"]
            for name, one in named if one.map]
    header = ["run", "map", "parameter", "gain"]
    return Table(header, rows, "The map of cold items", left=(1,)).markup() if rows else None


def results(runs: Sequence[Run]) -> Parts:
    named = evaluations_of(runs)
    if not named:
        return [element("p", "No run has test results yet: train measures them at its end.")]
    comparable = len(datasets(runs)) < 2 and all(len(run.evaluations) < 2 for run in runs)
    parts = [metric_table(named, lambda one: one.metrics, "Test part, at the best epoch", comparable)]
    groups = [one for one in (group_table(named, lambda one, kind=kind: one.groups.get(kind, {}), "group", caption)
                              for kind, caption in SPLITS.items()) if one]
    if groups:
        parts += [element("h3", "Groups"), *groups]
    catalogue = metric_table(named, lambda one: one.catalogue, "How the lists are spread over the catalogue")
    parts += [catalogue, *cold_tables(named)]
    return [one for one in parts if one]


# ---- Time and bytes --------------------------------------------------------------------------------------------------


def phase_names(runs: Sequence[Run]) -> list[str]:
    """Phases that took time, the longest of all runs first."""
    totals: dict[str, float] = {}
    for run in runs:
        for name, phase in run.phases.items():
            totals[name] = totals.get(name, 0) + phase.seconds
    return [name for name in sorted(totals, key=lambda name: -totals[name]) if totals[name] > 0]


def phase_bars(runs: Sequence[Run], names: Sequence[str]) -> Markup:
    """Where the time of each run went; phases beyond N_COLOURS are together."""
    bars: list[Markup] = []
    for run in runs:
        all_seconds = sum(phase.seconds for phase in run.phases.values())
        seconds = [run.phases[name].seconds if name in run.phases else 0 for name in names]
        parts = [*zip(names[:N_COLOURS], seconds), ("all others", sum(seconds[N_COLOURS:]))]
        cuts = [(k, one / all_seconds, f"{name}: {duration(one)}, {one / all_seconds:.1%}")
                for k, (name, one) in enumerate(parts) if one > 0]
        bars.append(element("div", element("span", run.name), chart.share_bar(cuts, f"{run.name}: phases"),
                            element("span", duration(all_seconds))))
    keys = [*names[:N_COLOURS], *(["all others"] if len(names) > N_COLOURS else [])]
    items = [element("li", element("span", class_=f"block c{k}"), element("span", name)) for k, name in enumerate(keys)]
    return element("div", element("ul", items, class_="legend"), element("div", bars, class_="bars"))


def phase_table(run: Run, names: Sequence[str]) -> Markup:
    all_seconds = sum(phase.seconds for phase in run.phases.values())
    has_files = any(phase.files > 0 for phase in run.phases.values())
    rows = [[name, f"{one.seconds:,.2f}", f"{one.most:,.2f}", f"{one.seconds / all_seconds:.1%}",
             f"{one.mpi / one.seconds:.1%}" if one.seconds else UNKNOWN, size(one.bytes), f"{one.messages:,.0f}",
             *([f"{one.files:,.2f}", size(one.read), size(one.written)] if has_files else [])]
            for name, one in ((name, run.phases[name]) for name in names if name in run.phases) if one.seconds > 0]
    header = ["phase", "seconds, mean", "most of a rank", "of all", "in MPI", "sent by a rank", "messages",
              *(["seconds of files", "read", "written"] if has_files else [])]
    return Table(header, rows, f"{run.name}: phases, over all calls of train").markup()


def memory_table(runs: Sequence[Run]) -> Markup:
    predicted = {run.name: run.starts[-1].get("predicted_held") for run in runs if run.starts}
    most = {run.name: [predicted.get(run.name), *(run.profile.get(key, [None])[-1] for key in MEMORY)] for run in runs}
    rows = [[name, *(UNKNOWN if one is None else size(float(one)) for one in sizes)] for name, sizes in most.items()]
    header = ["run", "predicted", *MEMORY.values()]
    return Table(header, rows, "Memory of the rank that has the most, in the last call").markup()


def rest_table(runs: Sequence[Run]) -> Parts:
    """What else the profiles say, whatever their version writes there; a null says nothing."""
    fields = [flat({name: said for name, said in run.profile.items() if name not in MEMORY and said is not None})
              for run in runs]
    names = report_run.names_in_order([list(one) for one in fields])
    rows = [[name.replace("_", " "), *(one.get(name, UNKNOWN) for one in fields)] for name in names]
    header = ["field", *(run.name for run in runs)]
    caption = "The last call: steps; balance, the most of the ranks over the mean; least, mean and most of the ranks"
    return [Table(header, rows, caption).markup()] if rows else []


def costs(runs: Sequence[Run]) -> Parts:
    profiled = [run for run in runs if run.phases]
    if not profiled:
        return []
    names = phase_names(profiled)
    details = [phase_table(run, names) for run in profiled]
    shown = details if len(runs) == 1 else [folded("Seconds and bytes of each phase", *details)]
    return [phase_bars(profiled, names), *shown, memory_table(profiled), *rest_table(profiled)]


# ---- Machine and build -----------------------------------------------------------------------------------------------


def machine_fields(run: Run) -> dict[str, str]:
    """What the last start says, whatever its version writes there, but for the event's name and what it foretells."""
    nodes = re.search(r"^llminit: (\d+) nodes, ", run.output, re.M)
    said = flat({name: content for name, content in run.starts[-1].items() if name not in NOT_OF_MACHINE})
    fields = {name.replace("_", " "): words for name, words in said.items()}
    fields.update({"calls of train": str(len(run.starts)), **({"nodes": nodes[1]} if nodes else {})})
    predicted = run.starts[-1].get("predicted_step_bytes", {})
    if "total" in predicted:
        fields["sent by a rank in a step, predicted"] = size(float(predicted["total"]))
    return fields


def machine(runs: Sequence[Run]) -> Parts:
    """What the last starts say: a column for each run where they differ, and one for what is the same."""
    started = [run for run in runs if run.starts]
    differing, same = compared([machine_fields(run) for run in started])
    parts: Parts = []
    if differing:
        header = ["field", *(run.name for run in started)]
        parts.append(Table(header, differing, "What differs between the runs, at the last start of each",
                           left=range(1, len(header))).markup())
    if same:
        caption = "The same in all runs" if len(started) > 1 else "At the last start"
        parts.append(Table(["field", "value"], same, caption, left=(1,)).markup())
    for run in runs:
        lines = report_run.environment_lines(run)
        if lines:
            whose = f" of {run.name}" if len(runs) > 1 else ""
            parts += [element("h3", f"Environment and warnings{whose}"), element("pre", "\n".join(lines))]
    return parts


# ---- How to do it again ----------------------------------------------------------------------------------------------


def file_name(run: Run) -> str:
    """The run's name as that of a file, of its own on this page."""
    return run.name.replace("/", "-")


def commands_of(run: Run, data: str) -> str:
    """The commands that train and evaluate a run again."""
    start = run.starts[-1] if run.starts else {}
    out = f"run/{file_name(run)}"
    ranks, threads = start.get("ranks", 1), start.get("threads", 1)
    warm = ["--from", str(start["from"]), "--from-data", "OLD-DATA.h5"] if start.get("from") else []
    train = ["llminit", "train", f"{file_name(run)}.yaml", "--data", data, "--out", out, *warm]
    launch = ["mpirun", "-n", str(ranks)]
    again = ["llminit", "evaluate", f"{out}/best.h5", "--data", data, "--groups", "--json"]
    digest = f"llminit info {shlex.quote(data)}    # digest: {start['dataset']}\n" if "dataset" in start else ""
    build = start.get("build", {})
    made = f"# llminit {build['version']}, commit {build['commit']}\n" if {"version", "commit"} <= set(build) else ""
    return (f"{made}export OMP_NUM_THREADS={threads}\n{digest}{shlex.join([*launch, *train])}\n"
            f"{shlex.join([*launch, *again])} > {shlex.quote(out)}/test.json\n")


def again(runs: Sequence[Run], data: Optional[str]) -> Parts:
    known = [run for run in runs if run.settings]
    words = "The file of settings is below the commands. The same build gives the same bits on any ranks and threads."
    parts = [element("p", words + ("" if data else " DATA.h5 is the dataset with that digest."))]
    for run in known:
        parts += [element("h3", run.name), element("pre", commands_of(run, data or "DATA.h5")),
                  folded(f"{file_name(run)}.yaml", element("pre", run.yaml))]
    return parts if known else []
