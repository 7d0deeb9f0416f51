"""The cells of a scaling study, and the tables and plots made of them. Nothing here runs a training."""
from __future__ import annotations

import dataclasses
import pathlib
import statistics
from typing import Any, Callable, Optional, Sequence

from . import plot, table

# name in the .tsv, head of the column in the other tables, how a value is written there
COLUMNS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("kind", "kind", str),
    ("ranks", "ranks", str),
    ("nodes", "nodes", str),
    ("grid", "grid", str),
    ("threads", "threads", str),
    ("train", "train", "{:,}".format),
    ("epoch_seconds", "s/epoch", "{:.4g}".format),
    ("samples_per_second", "samples/s", "{:,.0f}".format),
    ("speedup", "speed-up", "{:.2f}".format),
    ("efficiency", "efficiency", "{:.0%}".format),
    ("mpi_share", "in MPI", "{:.0%}".format),
    ("step_bytes", "sent/step", "{:,.0f}".format),
    ("step_bytes_predicted", "predicted", "{:,.0f}".format),
    ("memory", "MiB/rank", "{:.0f}".format),
)
LEFT = ("kind", "grid")  # aligned at the left
RIGHT = [number for number, (name, _, _) in enumerate(COLUMNS) if name not in LEFT]
NOT_OF_STEPS = ("evaluation", "input", "output")  # phases of a profile


@dataclasses.dataclass
class Cell:
    kind: str  # strong or weak, followed by the way of simulation
    data: pathlib.Path
    ranks: int
    way: str  # auto, blocks, slices, or a grid
    grid: str  # of the program's setting
    batch: int
    folder: pathlib.Path
    threads: int = 1  # of a rank that is simulated
    network: str = ""  # "counted" or "simgrid", if it is simulated
    error: str = ""
    result: Optional[dict[str, Any]] = None  # of a finished run: the columns that do not depend on other runs

    @property
    def state(self) -> str:
        return "done" if self.result else "failed" if self.error else "waiting"


# ---- The result of a run ---------------------------------------------------------------------------------------------


def median_rate(events: Sequence[dict[str, Any]]) -> float:
    """Samples a second: the median of all epochs but the first, or of the first if there is no other."""
    rates = [event["samples_per_second"] for event in events if event["event"] == "epoch"]
    return statistics.median(rates[1:] or rates)


def mean_over(profile: dict[str, Any], number: Callable[[dict[str, Any]], float]) -> float:
    """A number of a rank of the profile, as a mean over the ranks."""
    return statistics.mean(number(rank) for rank in profile["per_rank"])


def of_steps(rank: dict[str, Any], name: str) -> float:
    """A use (seconds, bytes, ...) of a rank, summed over the phases of steps and what is between them."""
    return sum(use[name] for phase, use in rank["phases"].items() if phase not in NOT_OF_STEPS)


def result_of(profile: dict[str, Any], rate: float) -> dict[str, Any]:
    """The columns of a run from its profile and its samples a second."""
    seconds = mean_over(profile, lambda rank: of_steps(rank, "seconds"))
    result = {name: profile[name] for name in ("nodes", "grid", "threads", "train")}
    result.update(
        epoch_seconds=profile["train"] / rate,
        samples_per_second=rate,
        mpi_share=mean_over(profile, lambda rank: of_steps(rank, "mpi_seconds")) / seconds if seconds else None,
        memory=max(rank["resident"] for rank in profile["per_rank"]) / 2**20,
    )
    if profile.get("steps"):
        sent = mean_over(profile, lambda rank: of_steps(rank, "bytes") - rank["phases"]["other"]["bytes"])
        result.update(
            step_bytes=sent / profile["steps"],
            step_bytes_predicted=profile["predicted_step_bytes"]["total"],
        )
    return result


# ---- Tables ----------------------------------------------------------------------------------------------------------


def cores_of(row: dict[str, Any]) -> int:
    return int(row["ranks"]) * int(row["threads"])


def rows_of(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """[{column: value}] of the finished cells. Speed-up is the ratio of samples a second to the first row of the same
    kind; efficiency is speed-up over the ratio of cores, a thread each."""
    rows: list[dict[str, Any]] = []
    first: dict[str, dict[str, Any]] = {}
    for cell in cells:
        if not cell.result:
            continue
        row = {"kind": cell.kind, "ranks": cell.ranks, **cell.result}
        base = first.setdefault(cell.kind, row)
        row["speedup"] = row["samples_per_second"] / base["samples_per_second"]
        row["efficiency"] = row["speedup"] * cores_of(base) / cores_of(row)
        rows.append(row)
    return rows


def shown(row: dict[str, Any], name: str, look: Callable[[Any], str]) -> str:
    value = row.get(name)
    return "-" if value is None else look(value)


def all_tables(cells: Sequence[Cell]) -> dict[str, str]:
    """{name of the file: text}"""
    rows = rows_of(cells)
    lines = [[head for _, head, _ in COLUMNS]]
    lines += [[shown(row, name, look) for name, _, look in COLUMNS] for row in rows]
    names = [name for name, _, _ in COLUMNS]
    return {
        "scaling.txt": table.text(lines, RIGHT),
        "scaling.md": table.markdown(lines, RIGHT),
        "scaling.tsv": table.tsv([names, *([row.get(name) for name in names] for row in rows)]),
    }


# ---- Plots -----------------------------------------------------------------------------------------------------------

# column, title, label of the y axis
PLOTS = (
    ("speedup", "Speed-up", "samples a second, over the first"),
    ("efficiency", "Efficiency", "speed-up over ranks"),
    ("mpi_share", "Communication", "fraction of the time in MPI calls"),
    ("step_bytes", "Communication", "bytes sent in a step, mean of the ranks"),
)


def series_of(cells: Sequence[Cell], name: str) -> list[plot.Series]:
    """A line for each kind and way to choose a grid; each begins at the point of one rank."""
    series: dict[str, plot.Series] = {}
    alone: dict[str, list[tuple[float, Optional[float]]]] = {}
    for cell, row in zip((cell for cell in cells if cell.result), rows_of(cells)):
        if row.get(name) is None:
            continue
        label = f"{cell.kind}, {cell.way}"
        points = series.setdefault(label, plot.Series(label, list(alone.get(cell.kind, [])))).points
        points.append((cell.ranks, row[name]))
        if cell.ranks == 1:
            alone[cell.kind] = list(points)
    return list(series.values())
