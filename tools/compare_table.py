"""The tables of tools/compare, from its cells; nothing here reads or writes files.

A cell has model, start, seed, folder, state ("done", "failed" or "waiting"), error and, if it is done, result:
{"metrics": {"Recall@10": 0.1}, "best_epoch": 60, "seconds": 43.1}; a model that is solved for has no best epoch, and one start,
NO_START. Options are those of tools/compare.
"""
import dataclasses
import statistics

from compare_options import NO_START, is_solved


@dataclasses.dataclass
class Row:
    model: str
    start: str
    cells: list  # one a seed

    def done(self):
        return {cell.seed: cell.result for cell in self.cells if cell.result}

    def values(self, metric):
        """{seed: value}"""
        return {seed: result["metrics"][metric] for seed, result in self.done().items()}

    def mean(self, metric):
        values = self.values(metric).values()
        return statistics.mean(values) if values else None

    def deviation(self, metric):
        values = self.values(metric).values()
        return statistics.stdev(values) if len(values) > 1 else None

    def mean_of(self, name):
        """best_epoch or seconds"""
        values = [result[name] for result in self.done().values() if result[name] is not None]
        return statistics.mean(values) if values else None

    def gain(self, metric, base):
        """Percent, over the seeds that both have; None for the baseline itself."""
        mine, other = self.values(metric), base.values(metric)
        both = mine.keys() & other.keys()
        if self is base or not both or not any(other[seed] for seed in both):
            return None
        return 100 * (sum(mine[seed] for seed in both) / sum(other[seed] for seed in both) - 1)

    def n_failed(self):
        return sum(cell.state == "failed" for cell in self.cells)

    def progress(self):
        n_failed = self.n_failed()
        return f"{len(self.done())}/{len(self.cells)}" + (f", {n_failed} failed" if n_failed else "")


def rows_of(options, cells):
    """[(row, row of the same model's baseline)]"""
    starts = {model: [NO_START] if is_solved(model) else options.starts for model in options.models}
    rows = {(model, start): Row(model, start, []) for model in options.models for start in starts[model]}
    for cell in cells:
        rows[cell.model, cell.start].cells.append(cell)
    baseline = {model: NO_START if is_solved(model) else options.baseline for model in options.models}
    return [(row, rows[row.model, baseline[row.model]]) for row in rows.values()]


def is_best(row, rows, metric):
    """Of several starts of its model that have a value."""
    means = [other.mean(metric) for other, _ in rows if other.model == row.model and other.done()]
    return len(means) > 1 and row.mean(metric) == max(means)


def number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def text_parts(row, base, metric, mark):
    """What stands in a cell of the text table: value, deviation, gain, each of its own width."""
    deviation, gain = row.deviation(metric), row.gain(metric, base)
    return (
        number(row.mean(metric), 4) + ("*" if mark else " "),
        "" if deviation is None else f"±{deviation:.4f}",
        "" if gain is None else f"{gain:+.1f}%",
    )


def join_columns(columns):
    """Lines of left-aligned columns, each a list of texts as long as the others."""
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns)
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths) if width).rstrip() for line in lines]


def metric_column(rows, metric):
    """A column of the text table, header first."""
    parts = [text_parts(row, base, metric, is_best(row, rows, metric)) for row, base in rows]
    widths = [max(map(len, part)) for part in zip(*parts)]
    lines = [" ".join(text.rjust(width) for text, width in zip(line, widths) if width) for line in parts]
    return [metric, *lines]


def text_table(options, rows):
    plain = [
        ["model", *(row.model for row, _ in rows)],
        ["start", *(row.start for row, _ in rows)],
        ["seeds", *(row.progress() for row, _ in rows)],
    ]
    metrics = [metric_column(rows, metric) for metric in options.metrics]
    last = [
        ["best epoch", *(number(row.mean_of("best_epoch"), 0).rjust(10) for row, _ in rows)],
        ["seconds", *(number(row.mean_of("seconds"), 1).rjust(7) for row, _ in rows)],
    ]
    return "".join(line + "\n" for line in join_columns(plain + metrics + last))


def markdown_value(row, base, metric, mark):
    value, deviation, gain = (part.strip(" *") for part in text_parts(row, base, metric, mark))
    value = f"**{value}**" if mark else value
    return " ".join(part for part in (value, deviation, f"({gain})" if gain else "") if part)


def markdown_table(options, rows):
    header = ["model", "start", "seeds", *options.metrics, "best epoch", "seconds"]
    lines = [header, ["---"] * 3 + ["---:"] * (len(header) - 3)]
    for row, base in rows:
        metrics = [markdown_value(row, base, metric, is_best(row, rows, metric)) for metric in options.metrics]
        last = [number(row.mean_of("best_epoch"), 0), number(row.mean_of("seconds"), 1)]
        lines.append([row.model, row.start, row.progress(), *metrics, *last])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def tsv(lines):
    """None is an empty field, a number has all its digits."""
    return "".join("\t".join("" if field is None else str(field) for field in line) + "\n" for line in lines)


def tsv_table(options, rows):
    of_metrics = [metric + kind for metric in options.metrics for kind in ("", "_sd", "_gain_percent")]
    lines = [["model", "start", "seeds", "done", "failed", *of_metrics, "best_epoch", "seconds"]]
    for row, base in rows:
        line = [row.model, row.start, len(row.cells), len(row.done()), row.n_failed()]
        for metric in options.metrics:
            line += [row.mean(metric), row.deviation(metric), row.gain(metric, base)]
        lines.append([*line, row.mean_of("best_epoch"), row.mean_of("seconds")])
    return tsv(lines)


def tsv_cells(options, cells):
    lines = [["model", "start", "seed", "folder", "state", *options.metrics, "best_epoch", "seconds", "error"]]
    for cell in cells:
        result = cell.result or {"metrics": {}, "best_epoch": None, "seconds": None}
        metrics = [result["metrics"].get(metric) for metric in options.metrics]
        last = [result["best_epoch"], result["seconds"], cell.error]
        lines.append([cell.model, cell.start, cell.seed, cell.folder.name, cell.state, *metrics, *last])
    return tsv(lines)


def all_tables(options, cells):
    """{name of the file: text}"""
    rows = rows_of(options, cells)
    return {
        "table.txt": text_table(options, rows),
        "table.md": markdown_table(options, rows),
        "table.tsv": tsv_table(options, rows),
        "cells.tsv": tsv_cells(options, cells),
    }
