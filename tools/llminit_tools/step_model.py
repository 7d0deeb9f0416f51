"""A model of a training step on several nodes, beside the simulation: what sums, link and messages alone would take.

    tools/study model STUDY DATA.h5 [--format txt|md|tsv] [--build FOLDER]

STUDY is the folder of a `scaling` of LightGCN with `--strong DATA.h5 --simulate 1,1x32,...`: one thread, then ranks
that are a node each. For L layers of d dimensions, on N nodes in a grid of R blocks and C slices, in turn:

    computing  a step of one core / N, over the cores of a node and their efficiency; what is not in its caches by the
               memory's bandwidth instead, where that takes longer
    link       2 L - 1 exchanges of the rows that the busiest block receives (tools/study crossings), d / C wide
    messages   those that a rank sends, as the simulation counts them: a link's latency, and a core's work at both
               ends

The constants are the simulation's (tools/llminit_tools/simulate.py). The model leaves out what the batch takes,
threads that wait for one, the packing of rows, ranks that wait for slower ones, and that a narrow row takes nearly as
long as a wide one.

Exit status: 0 done; 2 usage, or a folder without such a study.
"""
from __future__ import annotations

import json
import pathlib
from typing import Any, Sequence

from . import crossings, options as opt, simulate, table
from .program import Failure

HEAD = ["nodes", "grid", "computing", "link", "messages", "model", "simulated"]


def share_of_core(held: float) -> float:
    """Seconds of a node for each second of a core. `held`: bytes of the node's part."""
    alone = 1 / (simulate.CORES_A_NODE * simulate.EFFICIENCY)
    cached = min(1.0, simulate.CACHE / held)
    return cached * alone + (1 - cached) * max(alone, simulate.CORE_BANDWIDTH / simulate.NODE_BANDWIDTH)


def link_seconds(rows: int, columns: int, settings: dict[str, str]) -> float:
    """Of a step in which the busiest node receives `rows` in each exchange."""
    exchanges = 2 * int(settings["n_layers"]) - 1
    number = 2 if settings["field_precision"] == "bfloat16" else 4
    return exchanges * rows * int(settings["embedding_size"]) / columns * number / simulate.LINK


def message_seconds(messages: float) -> float:
    return messages * (simulate.LATENCY + 2 * simulate.OVERHEAD)


def read_results(study: pathlib.Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Of one core, and of ranks that are a node each with `grid` and `nodes`, ascending. Failure if any is missing."""
    core = study / "strong-simulated-1-1x1/result.json"
    nodes = [path for path in study.glob(f"strong-simulated-*-*x*-{simulate.CORES_A_NODE}/result.json")]
    if not core.exists() or not nodes:
        raise Failure(f"{study}: no study with --simulate 1,1x{simulate.CORES_A_NODE},...: see tools/study scaling")
    found = []
    for path in nodes:
        _, _, ranks, grid, _ = path.parent.name.split("-")
        found.append({**json.loads(path.read_text(encoding="ascii")), "grid": grid, "nodes": int(ranks)})
    return json.loads(core.read_text(encoding="ascii")), sorted(found, key=lambda result: result["nodes"])


def modelled(core: dict[str, Any], result: dict[str, Any], rows: int) -> list[float]:
    """Seconds of a step: computing, link, messages, all, and as simulated."""
    columns = int(result["grid"].split("x")[1])
    messages = sum(phase["messages"] for phase in result["phases"].values())
    parts = [core["step_seconds"] / result["nodes"] * share_of_core(core["held"] / result["nodes"]),
             link_seconds(rows, columns, result["settings"]), message_seconds(messages)]
    return [*parts, sum(parts), result["step_seconds"]]


def main(name: str, arguments: Sequence[str]) -> int:
    parser = opt.Parser(name, "STUDY DATA.h5 [OPTION...]", __doc__)
    parser.add_argument("study", metavar="STUDY", type=pathlib.Path, help="the folder of the study")
    parser.add_argument("data", metavar="DATA.h5", type=pathlib.Path, help="its data")
    parser.add_argument("--format", choices=opt.FORMATS, default="txt", help="of the table, in ms; default: txt")
    opt.add_build(parser)
    options: Any = parser.parse_args(arguments)
    opt.require_files([options.data])
    core, results = read_results(options.study)
    lines = [HEAD]
    for result in results:
        blocks = int(result["grid"].split("x")[0])
        rows = crossings.count(options.build, options.data, blocks, 1)["once_worst"]
        seconds = modelled(core, result, rows)
        lines.append([str(result["nodes"]), result["grid"], *(table.number(1e3 * value, 2) for value in seconds)])
    right = [0, *table.right_from(2, lines)]
    make = {"txt": lambda: table.text(lines, right), "md": lambda: table.markdown(lines, right),
            "tsv": lambda: table.tsv(lines)}
    print(make[options.format](), end="")
    return 0
