"""Print the test metrics of finished runs as one table.

    tools/study metrics FOLDER...

Each FOLDER is one of `llminit train`, with the output of `llminit evaluate --json` in test.json. tools/quickstart
uses it.
"""
from __future__ import annotations

import json
import pathlib
from typing import Sequence

from . import options as opt, run, table
from .program import FORMAT, Failure

METRICS = ("Recall@10", "Recall@20", "NDCG@10", "NDCG@20")


def line_of(folder: pathlib.Path) -> list[str]:
    events = run.read_log(folder)
    if not run.is_finished(events):
        raise Failure(f"{folder}: training is not finished", FORMAT)
    test = json.loads((folder / "test.json").read_text(encoding="utf-8"))["test"]
    values = [table.number(test[name.lower()], 4) for name in METRICS]
    return [folder.name, *values, str(events[-1]["best_epoch"]), table.number(events[-1]["seconds"], 0)]


def main(name: str, arguments: Sequence[str]) -> int:
    parser = opt.Parser(name, "FOLDER...", __doc__)
    parser.add_argument("folders", metavar="FOLDER", type=pathlib.Path, nargs="+", help="a run, with its test.json")
    lines = [["start", *METRICS, "best epoch", "seconds"]]
    lines += [line_of(folder) for folder in parser.parse_args(arguments).folders]
    print(table.text(lines, table.right_from(1, lines)), end="")
    return 0
