"""The tables and plots of tools/scaling_study, from its cells; nothing here runs a training.

A cell has kind ("strong" or "weak", or with " simulated" or " followed" behind it), ranks, state ("done", "failed" or "waiting"), error and, if
it is done, result: what read_result() makes of a log and a profile, or of a simulation.
"""
import statistics

# name in the .tsv, head of the column in the other tables, how a value looks there
COLUMNS = (
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
TEXT = ("kind", "grid")  # aligned at the left


def median_rate(events):
    """Samples a second: the median of all epochs but the first; of the first if there is no other."""
    rates = [event["samples_per_second"] for event in events if event["event"] == "epoch"]
    return statistics.median(rates[1:] or rates)


def mean_over(profile, number):
    """`number` of a rank of the profile, as a mean over the ranks."""
    return statistics.mean(number(rank) for rank in profile["per_rank"])


def of_steps(rank, name):
    """The sum of something over the phases of steps, with what is between them."""
    whole = ("evaluation", "input", "output")
    return sum(use[name] for phase, use in rank["phases"].items() if phase not in whole)


def result_of(profile, rate):
    """A row of the table, but for what depends on others."""
    result = {name: profile[name] for name in ("nodes", "grid", "threads", "train")}
    seconds = mean_over(profile, lambda rank: of_steps(rank, "seconds"))
    result.update(
        epoch_seconds=profile["train"] / rate,
        samples_per_second=rate,
        mpi_share=mean_over(profile, lambda rank: of_steps(rank, "mpi_seconds")) / seconds if seconds else None,
        memory=max(rank["resident"] for rank in profile["per_rank"]) / 2**20,
    )
    if profile.get("steps"):
        sent = mean_over(profile, lambda rank: of_steps(rank, "bytes") - rank["phases"]["other"]["bytes"])
        result.update(
            step_bytes=sent / profile["steps"], step_bytes_predicted=profile["predicted_step_bytes"]["total"]
        )
    return result


def rows_of(cells):
    """[{column: value}] of the finished cells. Speed-up is of samples a second over the first row of its kind; efficiency is
    speed-up over the ratio of ranks."""
    rows, first = [], {}
    for cell in cells:
        if not cell.result:
            continue
        row = {"kind": cell.kind, "ranks": cell.ranks, **cell.result}
        base = first.setdefault(cell.kind, row)
        row["speedup"] = row["samples_per_second"] / base["samples_per_second"]
        row["efficiency"] = row["speedup"] * base["ranks"] / row["ranks"]
        rows.append(row)
    return rows


def shown(row, name, look):
    value = row.get(name)
    return "-" if value is None else look(value)


def lines_of(rows):
    return [[head for _, head, _ in COLUMNS]] + [[shown(row, name, look) for name, _, look in COLUMNS] for row in rows]


def text_table(rows):
    lines = lines_of(rows)
    widths = [max(map(len, column)) for column in zip(*lines)]
    align = [str.ljust if name in TEXT else str.rjust for name, _, _ in COLUMNS]
    return "".join(
        "  ".join(side(field, width) for side, field, width in zip(align, line, widths)).rstrip() + "\n" for line in lines
    )


def markdown_table(rows):
    head, *others = lines_of(rows)
    rule = ["---" if name in TEXT else "---:" for name, _, _ in COLUMNS]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *others))


def tsv_table(rows):
    lines = [[name for name, _, _ in COLUMNS]]
    for row in rows:
        lines.append(["" if row.get(name) is None else str(row[name]) for name, _, _ in COLUMNS])
    return "".join("\t".join(line) + "\n" for line in lines)


def all_tables(cells):
    """{name of the file: text}"""
    rows = rows_of(cells)
    return {"scaling.txt": text_table(rows), "scaling.md": markdown_table(rows), "scaling.tsv": tsv_table(rows)}


PLOTS = (
    ("speedup", "Speed-up", "samples a second, over the first"),
    ("efficiency", "Efficiency", "speed-up over ranks"),
    ("mpi_share", "Communication", "share of the time in MPI calls"),
    ("step_bytes", "Communication", "bytes sent in a step, mean of the ranks"),
)


def series_of(cells, name):
    """{kind and way of cutting: [(ranks, value)]}; a line for each way to choose a grid, all from the one rank on."""
    series, alone = {}, {}
    for cell, row in zip((cell for cell in cells if cell.result), rows_of(cells)):
        if row.get(name) is None:
            continue
        points = series.setdefault(f"{cell.kind}, {cell.way}", list(alone.get(cell.kind, [])))
        points.append((cell.ranks, row[name]))
        if cell.ranks == 1:
            alone[cell.kind] = list(points)
    return series
