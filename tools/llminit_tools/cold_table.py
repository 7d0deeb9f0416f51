"""What tools/study cold measures of a checkpoint under a map of cold items; the rows, tables and plots that it makes.
Nothing here reads or writes files.

A row is a model, a start, a map, and the vectors (text, or random ones of the same norms), with a cell for each split.
"""
from __future__ import annotations

import dataclasses
import statistics
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from . import compare_table, plot, table
from .compare_table import Result
from .table import number

TABLES = ("all", "warm", "cold")
METRICS = ("Recall@10", "Recall@20", "NDCG@10", "NDCG@20")
HITS = ("warm hit@10", "cold hit@10")
MAIN = "all NDCG@10"
TEXT, RANDOM = "text", "random"
WHAT = {
    "all": "All items: candidates are the warm items and the cold items of this part",
    "warm": "Warm items: candidates and targets are items with train interactions",
    "cold": "Cold items: candidates and targets are items without any",
}


# ---- Of one checkpoint under one map ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Point:
    """Of the calibration, on train items that were held out."""

    parameter: float
    gain: float
    ndcg: float  # mean over targets, those that are held out and the others with equal weight
    warm_hit: float
    cold_hit: float


@dataclasses.dataclass(frozen=True)
class Curve:
    """The map that was used, and the points that its calibration tried; none without one."""

    kind: str
    parameter: float
    gain: float
    points: Sequence[Point]

    def own(self) -> list[Point]:
        """Those with the chosen parameter."""
        return [point for point in self.points if point.parameter == self.parameter]

    def at(self, gain: float) -> Optional[Point]:
        return next((point for point in self.own() if point.gain == gain), None)


def point_of(found: dict[str, Any]) -> Point:
    return Point(*(found[name] for name in ("parameter", "gain", "ndcg@10", "warm_hit@10", "cold_hit@10")))


def curve_of(found: Optional[dict[str, Any]]) -> Optional[Curve]:
    """Of "map" in the output of evaluate --json; None where there is none, or one of zeros."""
    if not found or found["kind"] == "zero":
        return None
    return Curve(found["kind"], found["parameter"], found["gain"], list(map(point_of, found["points"])))


@dataclasses.dataclass
class Measured(Result):
    """Metrics of the three tables ("all NDCG@10"), and the hits in lists of all items."""

    counts: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)  # {table: (users, targets)}
    curve: Optional[Curve] = None


def measured(answer: dict[str, Any], trained: Result) -> Measured:
    """Of the output of evaluate --json, and the costs of the training."""
    cold = answer["cold"]
    metrics = {f"{name} {metric}": cold[name][metric.lower()] for name in TABLES for metric in METRICS}
    metrics.update({hit: cold[hit.replace(" ", "_")] for hit in HITS})
    counts = {name: (cold[name]["users"], cold[name]["positives"]) for name in TABLES}
    return Measured(metrics, trained.best_epoch, trained.seconds, trained.cpu_seconds, trained.memory, counts,
                    curve_of(answer.get("map")))


# ---- Rows ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Row(compare_table.Row):
    map: str = ""
    vectors: str = TEXT

    def name(self) -> list[str]:
        return [self.model, self.start, self.map + (", random vectors" if self.vectors == RANDOM else "")]

    def curves(self) -> dict[int, Curve]:
        """{seed of the split: curve}"""
        return {seed: result.curve for seed, result in self.done().items()
                if isinstance(result, Measured) and result.curve}


Pairs = Sequence[Tuple[Row, Row]]  # each row, and the row that it is compared with


def shown(row: Row, base: Row, metric: str, joined: bool) -> list[str]:
    """Mean with deviation, and gain: as two fields, or as one."""
    deviation, gain = row.deviation(metric), row.gain(metric, base)
    mean = number(row.mean(metric), 4) + ("" if deviation is None else f" ±{deviation:.4f}")
    if joined:
        return [mean if gain is None else f"{mean} ({gain:+.1f}%)"]
    return [mean, "" if gain is None else f"{gain:+.1f}%"]


def chosen(row: Row, name: str) -> str:
    """A number of the map, once if it is the same in all splits."""
    values = [f"{getattr(curve, name):.3g}" for curve in row.curves().values()]
    return ", ".join(values if len(set(values)) > 1 else values[:1]) or "-"


def metrics_of(which: str) -> list[str]:
    return [f"{which} {metric}" for metric in METRICS] + (list(HITS) if which == "all" else [])


def lines_of(which: str, pairs: Pairs, joined: bool) -> Iterator[list[str]]:
    """Header and rows of one of the three tables, as texts."""
    names = metrics_of(which)
    heads = [word for metric in [*METRICS, *HITS][: len(names)] for word in ([metric] if joined else [metric, ""])]
    last = ["parameter", "gain", "best epoch", *compare_table.COSTS] if which == "all" else []
    yield ["model", "start", "map", "splits", *heads, *last]
    for row, base in pairs:
        values = [word for metric in names for word in shown(row, base, metric, joined)]
        ends = [chosen(row, "parameter"), chosen(row, "gain"), number(row.best_epoch(), 0), *compare_table.costs(row)]
        yield [*row.name(), row.progress(), *values, *ends[: len(last)]]


def counts_of(which: str, pairs: Pairs) -> str:
    """Users and targets of each split, which all rows share."""
    found = {seed: result.counts[which] for row, _ in pairs for seed, result in row.done().items()
             if isinstance(result, Measured)}
    return "; ".join(f"split {seed}: {users} users, {targets} targets" for seed, (users, targets) in found.items())


def calibration_lines(pairs: Pairs) -> Iterator[list[str]]:
    """Header and rows: what was chosen in each split, and beside it what gain 1 gives with the same parameter."""
    values = ["NDCG@10", *HITS]
    yield ["model", "start", "map", "split", "kind", "parameter", "gain", *values, "with gain 1:", *values]
    for row, _ in pairs:
        for seed, curve in row.curves().items():
            if curve.points:
                map_words = [curve.kind, f"{curve.parameter:g}", f"{curve.gain:.3g}"]
                best, plain = point_words(curve.at(curve.gain)), point_words(curve.at(1))
                yield [*row.name(), str(seed), *map_words, *best, "", *plain]


def point_words(point: Optional[Point]) -> list[str]:
    return [number(value, 4) for value in (dataclasses.astuple(point)[2:] if point else [None] * 3)]


def text_of(pairs: Pairs, in_markdown: bool) -> str:
    """The three tables and that of the calibration below each other."""
    as_table = table.markdown if in_markdown else table.text
    parts = []
    for which in TABLES:
        lines, counts = list(lines_of(which, pairs, in_markdown)), counts_of(which, pairs)
        title = WHAT[which] + (f" ({counts})" if counts else "")
        parts.append(f"{title}.\n\n{as_table(lines, table.right_from(4, lines))}")
    lines = list(calibration_lines(pairs))
    if len(lines) > 1:
        title = "Calibration: cold items are train items that were held out"
        parts.append(f"{title}.\n\n{as_table(lines, table.right_from(5, lines))}")
    return "\n".join(parts)


def tsv_rows(pairs: Pairs) -> Iterator[list[Any]]:
    names = [metric for which in TABLES for metric in metrics_of(which)]
    heads = [name + kind for name in names for kind in ("", " sd", " gain percent")]
    last = ["best epoch", *compare_table.COST_NAMES]
    yield ["model", "start", "map", "vectors", "splits", "done", "failed", *heads, *last]
    for row, base in pairs:
        values = [value for name in names for value in (row.mean(name), row.deviation(name), row.gain(name, base))]
        first = [row.model, row.start, row.map, row.vectors, len(row.cells), len(row.done()), row.n_failed()]
        yield [*first, *values, row.best_epoch(), *map(row.cost, compare_table.COST_NAMES)]


def tsv_points(pairs: Pairs) -> Iterator[list[Any]]:
    values = ["parameter", "gain", "NDCG@10", *HITS]
    yield ["model", "start", "map", "vectors", "split", "kind", *values, "chosen"]
    for row, _ in pairs:
        for seed, curve in row.curves().items():
            for point in curve.points:
                is_chosen = (point.parameter, point.gain) == (curve.parameter, curve.gain)
                first = [row.model, row.start, row.map, row.vectors, seed, curve.kind]
                yield [*first, *dataclasses.astuple(point), int(is_chosen)]


def all_tables(pairs: Pairs) -> dict[str, str]:
    """{name of the file: text}"""
    return {
        "cold.txt": text_of(pairs, False),
        "cold.md": text_of(pairs, True),
        "cold.tsv": table.tsv(tsv_rows(pairs)),
        "calibration.tsv": table.tsv(tsv_points(pairs)),
    }


# ---- Sparse users ----------------------------------------------------------------------------------------------------

Sparse = Dict[str, List[compare_table.Row]]  # {n or "all": a row for each model and start}


def sparse_lines(sparse: Sparse, metric: str) -> Iterator[list[str]]:
    yield ["model", "start", "cells", *(f"{metric}, {n} items" for n in sparse)]
    for same in zip(*sparse.values()):
        progress = f"{sum(len(row.done()) for row in same)}/{sum(len(row.cells) for row in same)}"
        yield [same[0].model, same[0].start, progress, *(" ".join(shown_alone(row, metric)) for row in same)]


def shown_alone(row: compare_table.Row, metric: str) -> list[str]:
    deviation = row.deviation(metric)
    return [number(row.mean(metric), 4)] + ([] if deviation is None else [f"±{deviation:.4f}"])


def sparse_tables(sparse: Sparse, metric: str) -> dict[str, str]:
    """{name of the file: text}"""
    lines = list(sparse_lines(sparse, metric))
    title = f"{metric} with the first items of each user, test items the same.\n\n"
    right = table.right_from(3, lines)
    rows: list[list[Any]] = [["model", "start", "train items", "splits", "done", *METRICS]]
    for n, same in sparse.items():
        for row in same:
            means = [row.mean(one) for one in METRICS]
            rows.append([row.model, row.start, n, len(row.cells), len(row.done()), *means])
    return {
        "sparse.txt": title + table.text(lines, right),
        "sparse.md": title + table.markdown(lines, right),
        "sparse.tsv": table.tsv(rows),
    }


# ---- Plots -----------------------------------------------------------------------------------------------------------


def label_of(words: Sequence[str]) -> str:
    return ", ".join(word for word in words if word != compare_table.NO_START)


def calibration_panel(pairs: Pairs) -> Optional[plot.Panel]:
    """NDCG@10 over the gain: the mean over the splits, each with its own parameter, at gains that all splits tried."""
    series = []
    for row, _ in pairs:
        curves = [{point.gain: point.ndcg for point in curve.own()} for curve in row.curves().values()]
        gains = sorted(set.intersection(*map(set, curves))) if curves else []
        points: list[tuple[float, Optional[float]]] = [(g, statistics.mean(one[g] for one in curves)) for g in gains]
        if len(points) > 1:
            series.append(plot.Series(label_of(row.name()), points))
    tics = sorted({x for one in series for x, _ in one.points})
    axes = plot.Axes("Calibration, on train items that were held out", "gain", "NDCG@10", True, xtics=tics)
    return plot.Panel(series, axes) if series else None


def sparse_panel(sparse: Sparse, metric: str) -> Optional[plot.Panel]:
    """The metric over the train items of a user; `all` is drawn behind the largest number."""
    numbers = [int(n) for n in sparse if n != "all"]
    place = {n: float(max(numbers, default=1) + 1 if n == "all" else int(n)) for n in sparse}
    series = []
    for same in zip(*sparse.values()):
        points = [(place[n], row.mean(metric)) for n, row in zip(sparse, same)]
        series.append(plot.Series(label_of([same[0].model, same[0].start]), points))
    last = f" ({max(place.values()):g}: all)" if "all" in place else ""
    axes = plot.Axes("Users with few items", f"train items of a user{last}", metric, xtics=sorted(place.values()))
    is_empty = all(y is None for one in series for _, y in one.points)
    return None if is_empty else plot.Panel(series, axes)
