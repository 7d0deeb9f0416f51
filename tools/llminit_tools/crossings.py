"""Count the rows that nodes need of each other for a sum over the graph of a dataset, and the least they could send.

    tools/study crossings DATA.h5 --blocks 2,4,8,16,32 [--per-node RANKS] [--format txt|md|tsv] [--build FOLDER]

Users and items are cut into blocks of nodes as the program cuts them. With slices on different nodes a grid has fewer
blocks of nodes than nodes: 8 on 32 nodes with 4 slices. A line has, for all blocks together:

    edges     train interactions between users and items of different blocks, of all
    per rank  rows that cross if each of --per-node ranks of a node receives what it needs: over all users and items
    once      the same if a node receives each row once, as the program does
    cover     the least if a node may also send the sum of some of its rows in place of these rows
    worst     rows that the busiest node receives over the mean, once and cover

The cover is a least vertex cover of the edges between each two blocks (Koenig 1931; Hopcroft and Karp, SIAM Journal on
Computing 2, 1973; tools/simulate/crossings.c). One core counts; it takes 40 bytes a train interaction.

Exit status: 0 done; 2 usage; 3 or 4 a file that is no dataset or cannot be read; 5 no memory.
"""
from __future__ import annotations

import json
import pathlib
from typing import Any, Sequence

from . import options as opt, program, table
from .program import Failure

COUNTS = ("rows", "train", "edges", "per_rank", "once", "once_worst", "cover", "cover_worst")


def count(build: pathlib.Path, data: pathlib.Path, blocks: int, per_node: int) -> dict[str, int]:
    """{count: number} of COUNTS. Failure with the program's error."""
    counter = build.resolve() / "tools/simulate/crossings"
    if not counter.exists():
        raise Failure(f"{counter} does not exist: ninja -C {build} crossings")
    answer = program.answer_of([counter, data, str(blocks), str(per_node)], program.environment(1))
    found = json.loads(answer)
    return {name: found[name] for name in COUNTS}


def over_mean(worst: int, total: int, blocks: int) -> str:
    return f"{worst * blocks / total:.2f}" if total else "-"


def line(blocks: int, per_node: int, found: dict[str, int]) -> list[str]:
    """A line of the table for people."""
    rows = found["rows"]
    return [
        str(blocks),
        f"{found['edges'] / found['train']:.1%}" if found["train"] else "-",
        f"{found['per_rank'] / rows:.3f}" if per_node > 1 else "",
        f"{found['once'] / rows:.3f}",
        f"{found['cover'] / rows:.3f}",
        over_mean(found["once_worst"], found["once"], blocks),
        over_mean(found["cover_worst"], found["cover"], blocks),
    ]


def tables(per_node: int, counts: dict[int, dict[str, int]]) -> dict[str, str]:
    """{format: text} for {blocks: counts}."""
    head = ["blocks", "edges", "per rank" if per_node > 1 else "", "once", "cover", "worst", "worst of cover"]
    lines = [head, *(line(blocks, per_node, found) for blocks, found in counts.items())]
    if per_node == 1:  # each rank is a node
        lines = [fields[:2] + fields[3:] for fields in lines]
    every = [["blocks", "per_node", *COUNTS],
             *([blocks, per_node, *found.values()] for blocks, found in counts.items())]
    right = table.right_from(0, lines)
    return {"txt": table.text(lines, right), "md": table.markdown(lines, right), "tsv": table.tsv(every)}


def main(name: str, arguments: Sequence[str]) -> int:
    parser = opt.Parser(name, "DATA.h5 [OPTION...]", __doc__)
    add = parser.add_argument
    add("data", metavar="DATA.h5", type=pathlib.Path, help="the dataset")
    add("--blocks", metavar="N,...", type=opt.ascending, default=[2, 4, 8, 16, 32],
        help="blocks of nodes; default: 2,4,8,16,32")
    add("--per-node", metavar="RANKS", type=opt.positive, default=1, help="ranks that share a block's rows; default: 1")
    add("--format", choices=opt.FORMATS, default="txt", help="of the table; tsv has all counts; default: txt")
    opt.add_build(parser)
    options: Any = parser.parse_args(arguments)
    opt.require_files([options.data])
    counts = {blocks: count(options.build, options.data, blocks, options.per_node) for blocks in options.blocks}
    print(tables(options.per_node, counts)[options.format], end="")
    return 0
