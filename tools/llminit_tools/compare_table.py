"""Cells of a comparison, the rows that they make, and its tables. Nothing here reads or writes files.

A cell is one training; a row is a model and a start, with a cell for each seed. A closed form has one cell and one
start, NO_START.
"""
from __future__ import annotations

import dataclasses
import pathlib
import statistics
from typing import Any, Iterator, Optional, Sequence

from . import table
from .table import number

CLOSED_FORMS = ("EASE", "L3AE", "ItemKNN", "Pop", "ChebyCF", "GF-CF")  # models without start, seed and epochs
NO_START = "-"


def is_closed(model: str) -> bool:
    return model.split(":")[0] in CLOSED_FORMS


@dataclasses.dataclass
class Result:
    metrics: dict[str, float]  # {"Recall@10": 0.1}
    best_epoch: Optional[int]  # None of a closed form
    seconds: float
    cpu_seconds: Optional[float] = None  # of the whole command, all ranks and threads
    memory: Optional[float] = None  # bytes of the largest rank


@dataclasses.dataclass
class Cell:
    model: str
    start: str
    seed: int
    folder: pathlib.Path
    settings: Optional[dict[str, Any]] = None  # as train would use them; None if the program refuses them
    error: str = ""  # why this call could not train it
    result: Optional[Result] = None  # of a finished run

    @property
    def state(self) -> str:
        return "done" if self.result else "failed" if self.error else "waiting"


@dataclasses.dataclass
class Row:
    model: str
    start: str
    cells: list[Cell] = dataclasses.field(default_factory=list)  # one a seed

    def done(self) -> dict[int, Result]:
        """{seed: result}"""
        return {cell.seed: cell.result for cell in self.cells if cell.result}

    def values(self, metric: str) -> dict[int, float]:
        """{seed: value}"""
        return {seed: result.metrics[metric] for seed, result in self.done().items() if metric in result.metrics}

    def mean(self, metric: str) -> Optional[float]:
        values = self.values(metric).values()
        return statistics.mean(values) if values else None

    def deviation(self, metric: str) -> Optional[float]:
        values = self.values(metric).values()
        return statistics.stdev(values) if len(values) > 1 else None

    def best_epoch(self) -> Optional[float]:
        epochs = [result.best_epoch for result in self.done().values() if result.best_epoch is not None]
        return statistics.mean(epochs) if epochs else None

    def cost(self, name: str) -> Optional[float]:
        """Mean over the seeds of seconds, cpu_seconds or memory."""
        costs = [cost for result in self.done().values() if (cost := getattr(result, name)) is not None]
        return statistics.mean(costs) if costs else None

    def gain(self, metric: str, base: Row) -> Optional[float]:
        """Percent over the baseline, over the seeds that both have; None for the baseline itself."""
        mine, other = self.values(metric), base.values(metric)
        both = mine.keys() & other.keys()
        if self is base or not both or not any(other[seed] for seed in both):
            return None
        return 100 * (sum(mine[seed] for seed in both) / sum(other[seed] for seed in both) - 1)

    def n_failed(self) -> int:
        return sum(cell.state == "failed" for cell in self.cells)

    def progress(self) -> str:
        n_failed = self.n_failed()
        return f"{len(self.done())}/{len(self.cells)}" + (f", {n_failed} failed" if n_failed else "")


COST_NAMES = ("seconds", "cpu_seconds", "memory")  # of a result; memory in bytes
COSTS = ("seconds", "CPU s", "MiB")  # heads of costs()


def costs(row: Row) -> list[str]:
    """As texts."""
    memory = row.cost("memory")
    return [number(row.cost("seconds"), 1), number(row.cost("cpu_seconds"), 1),
            number(None if memory is None else memory / 2**20, 0)]


def cold_values(cold: Optional[dict[str, Any]], metrics: Sequence[str]) -> dict[str, float]:
    """What a dataset with cold items has beside the metrics, of the first NDCG among them or else the first. `cold` is
    the object of that name in log.jsonl."""
    if cold is None:
        return {}
    metric = next((name for name in metrics if name.startswith("NDCG@")), metrics[0])
    cutoff = metric.split("@")[1]
    values = {f"{name} {metric}": cold[name][metric.lower()] for name in ("warm", "cold")}
    return values | {f"{name} hit@{cutoff}": cold[f"{name}_hit@{cutoff}"] for name in ("warm", "cold")}


def columns_of(metrics: Sequence[str], cells: Sequence[Cell]) -> list[str]:
    """The metrics, then what the cells have beside them."""
    found = [name for cell in cells if cell.result for name in cell.result.metrics]
    return list(dict.fromkeys([*metrics, *found]))


def row_names(models: Sequence[str], starts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(model, start) of each row, in the order of the table."""
    for model in models:
        for start in [NO_START] if is_closed(model) else starts:
            yield model, start


def rows_of(
    models: Sequence[str], starts: Sequence[str], baseline: str, cells: Sequence[Cell]
) -> list[tuple[Row, Row]]:
    """Each row with the row of the same model's baseline."""
    rows = {names: Row(*names) for names in row_names(models, starts)}
    for cell in cells:
        rows[cell.model, cell.start].cells.append(cell)
    return [(row, rows[model, NO_START if is_closed(model) else baseline]) for (model, _), row in rows.items()]


def is_best(row: Row, rows: Sequence[tuple[Row, Row]], metric: str) -> bool:
    """Is it the best of several starts of its model that have a value?"""
    means = [mean for other, _ in rows if other.model == row.model and (mean := other.mean(metric)) is not None]
    return len(means) > 1 and row.mean(metric) == max(means)


def value_parts(row: Row, base: Row, metric: str) -> tuple[str, str, str]:
    """Value, deviation and gain, as texts."""
    deviation, gain = row.deviation(metric), row.gain(metric, base)
    return (
        number(row.mean(metric), 4),
        "" if deviation is None else f"±{deviation:.4f}",
        "" if gain is None else f"{gain:+.1f}%",
    )


def text_values(rows: Sequence[tuple[Row, Row]], metric: str) -> list[str]:
    """The fields of a metric in the text table: value and star, deviation, gain, each in its own column."""
    parts = []
    for row, base in rows:
        value, deviation, gain = value_parts(row, base, metric)
        parts.append((value + ("*" if is_best(row, rows, metric) else " "), deviation, gain))
    widths = [max(map(len, column)) for column in zip(*parts)]
    return [" ".join(text.rjust(width) for text, width in zip(line, widths) if width) for line in parts]


def markdown_value(row: Row, base: Row, metric: str, mark: bool) -> str:
    value, deviation, gain = value_parts(row, base, metric)
    value = f"**{value}**" if mark else value
    return " ".join(part for part in (value, deviation, f"({gain})" if gain else "") if part)


def header(metrics: Sequence[str]) -> list[str]:
    return ["model", "start", "seeds", *metrics, "best epoch", *COSTS]


def line_of(row: Row, values: Sequence[str]) -> list[str]:
    return [row.model, row.start, row.progress(), *values, number(row.best_epoch(), 0), *costs(row)]


def text_table(metrics: Sequence[str], rows: Sequence[tuple[Row, Row]]) -> str:
    columns = [text_values(rows, metric) for metric in metrics]
    lines = [line_of(row, [column[k] for column in columns]) for k, (row, _) in enumerate(rows)]
    return table.text([header(metrics), *lines], right=table.right_from(3 + len(metrics), [header(metrics)]))


def markdown_table(metrics: Sequence[str], rows: Sequence[tuple[Row, Row]]) -> str:
    lines = [
        line_of(row, [markdown_value(row, base, metric, is_best(row, rows, metric)) for metric in metrics])
        for row, base in rows
    ]
    return table.markdown([header(metrics), *lines], right=table.right_from(3, [header(metrics)]))


def tsv_table(metrics: Sequence[str], rows: Sequence[tuple[Row, Row]]) -> str:
    of_metrics = [metric + kind for metric in metrics for kind in ("", "_sd", "_gain_percent")]
    first = ["model", "start", "seeds", "done", "failed"]
    lines: list[list[Any]] = [[*first, *of_metrics, "best_epoch", *COST_NAMES]]
    for row, base in rows:
        line: list[Any] = [row.model, row.start, len(row.cells), len(row.done()), row.n_failed()]
        for metric in metrics:
            line += [row.mean(metric), row.deviation(metric), row.gain(metric, base)]
        lines.append([*line, row.best_epoch(), *map(row.cost, COST_NAMES)])
    return table.tsv(lines)


def tsv_cells(metrics: Sequence[str], cells: Sequence[Cell]) -> str:
    lines: list[list[Any]] = [
        ["model", "start", "seed", "folder", "state", *metrics, "best_epoch", *COST_NAMES, "error"]
    ]
    for cell in cells:
        result = cell.result
        values = [result.metrics.get(metric) if result else None for metric in metrics]
        last = [getattr(result, name) if result else None for name in ("best_epoch", *COST_NAMES)] + [cell.error]
        lines.append([cell.model, cell.start, cell.seed, cell.folder.name, cell.state, *values, *last])
    return table.tsv(lines)


def all_tables(metrics: Sequence[str], rows: Sequence[tuple[Row, Row]], cells: Sequence[Cell]) -> dict[str, str]:
    """{name of the file: text}"""
    return {
        "table.txt": text_table(metrics, rows),
        "table.md": markdown_table(metrics, rows),
        "table.tsv": tsv_table(metrics, rows),
        "cells.tsv": tsv_cells(metrics, cells),
    }
