"""Words and numbers of a report: durations, sizes, names of metrics, what differs, which number is the best."""
from __future__ import annotations

from typing import Any, List, Optional, Sequence

from . import report_run, table
from .page import Markup, Table, element
from .report_run import UNKNOWN, Metrics

Parts = List[Markup]  # of a section


def duration(seconds: float) -> str:
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(n_bytes: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if n_bytes < 1024 or unit == "GiB":
            break
        n_bytes /= 1024
    return f"{n_bytes:,.0f} bytes" if unit == "bytes" else f"{n_bytes:,.1f} {unit}"


def metric_name(key: str) -> str:
    """ndcg@10 as NDCG@10."""
    name, sign, k = key.partition("@")
    known = {"ndcg": "NDCG", "mrr": "MRR", "map": "MAP", "itemcoverage": "Coverage", "giniindex": "Gini index",
             "averagepopularity": "Mean popularity", "warm_hit": "Warm hit", "cold_hit": "Cold hit"}
    return known.get(name, name.capitalize()) + sign + k


def metric_order(key: str) -> tuple[int, int]:
    """NDCG and recall first, each by its length."""
    names = ("recall", "ndcg", "hit", "mrr", "map", "precision", "itemcoverage", "giniindex", "warm_hit", "cold_hit")
    name, _, k = key.partition("@")
    return names.index(name) if name in names else len(names), int(k) if k.isdigit() else 0


def metrics_of(found: Sequence[Metrics]) -> list[str]:
    names = {name for one in found for name in one if "@" in name}
    return sorted(names, key=lambda name: (*metric_order(name), name))


def value(found: Metrics, key: str) -> str:
    return table.number(found.get(key), 4 if found.get(key, 0) < 10 else 1)


def count(number: Optional[float]) -> str:
    return UNKNOWN if number is None else f"{number:,.0f}"


def bests(columns: Sequence[Sequence[Optional[float]]], first: int) -> list[tuple[int, int]]:
    """(row, column) of the largest value of each column, where rows differ; columns are counted from `first`."""
    found = []
    for column, values in enumerate(columns, first):
        known = [one for one in values if one is not None]
        if len(known) > 1 and min(known) < max(known):
            found += [(row, column) for row, one in enumerate(values) if one == max(known)]
    return found


def table_by(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, with_run: bool) -> Markup:
    """A table whose rows are named by two columns, the second of them the run, which may be left out."""
    if not with_run:
        return Table([header[0], *header[2:]], [[row[0], *row[2:]] for row in rows], caption).markup()
    return Table(header, rows, caption, n_names=2).markup()


def compared(fields: Sequence[dict[str, str]]) -> tuple[list[list[str]], list[list[str]]]:
    """Of what is said of several runs: rows [name, text of each run] where they differ, and [name, text] where not."""
    names = report_run.names_in_order([list(one) for one in fields])
    rows = [[name, *(one.get(name, UNKNOWN) for one in fields)] for name in names]
    return [row for row in rows if len(set(row[1:])) > 1], [row[:2] for row in rows if len(set(row[1:])) == 1]


def field_text(content: Any) -> str:
    if isinstance(content, dict):
        return ", ".join(f"{name.replace('_', ' ')} {field_text(one)}" for name, one in content.items())
    if isinstance(content, list):
        return ("; " if any(isinstance(one, dict) for one in content) else ", ").join(map(field_text, content))
    if isinstance(content, bool):
        return "yes" if content else "no"
    if not isinstance(content, (int, float)):
        return str(content)
    return f"{content:,}" if isinstance(content, int) else f"{content:,.6g}"


def flat(found: dict[str, Any], before: str = "") -> dict[str, str]:
    """The fields of an object and of the objects in it, as texts."""
    fields: dict[str, str] = {}
    for name, content in found.items():
        if isinstance(content, dict):
            fields.update(flat(content, f"{before}{name} "))
        else:
            fields[before + name] = field_text(content)
    return fields


def note(text: str) -> Markup:
    return element("p", text, class_="quiet")
