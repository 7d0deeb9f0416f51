"""Seconds of an epoch of LightGCN: the median over a few epochs, from the run's own log, as one JSON line.

    tools/bench/epoch DATA.h5 [-n RANKS] [-t THREADS] [-e EPOCHS] [--build FOLDER] [--set NAME=VALUE]...

The settings are those of tools/bench/pytorch_epoch.py: size 128, 2 layers, batch 2048, Adam, from noise.
"""
from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import tempfile
from typing import Any, Sequence

from . import options as opt, program, run
from .program import Failure

SETTINGS = ["model=LightGCN", "embedding_size=128", "n_layers=2", "reg_weight=1e-5", "train_batch_size=2048",
            "learning_rate=0.001", "emb_selection=False", "eval_step=0", "checkpoint_interval=1e6"]


def summary(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The line for a run's log."""
    start = events[0]
    seconds = statistics.median(event["seconds"] for event in events if event["event"] == "epoch")
    return {"benchmark": "epoch", "program": f"llminit {start['version']}", "ranks": start["ranks"],
            "threads": start["threads"], "grid": start["grid"], "seconds": round(seconds, 3)}


def main(name: str, arguments: Sequence[str]) -> int:
    parser = opt.Parser(name, "DATA.h5 [OPTION...]", __doc__)
    add = parser.add_argument
    add("data", metavar="DATA.h5", type=pathlib.Path, help="the dataset")
    add("-n", metavar="RANKS", type=opt.positive, default=1, help="default: 1")
    add("-t", metavar="THREADS", type=opt.positive, default=1, help="of a rank; default: 1")
    add("-e", metavar="EPOCHS", type=opt.positive, default=5, help="default: 5")
    opt.add_set(parser, opt.setting_but({}))
    opt.add_build(parser)
    options = parser.parse_args(arguments)
    llminit = pathlib.Path(os.environ["LLMINIT"]) if "LLMINIT" in os.environ else program.find(options.build)
    sets = opt.as_sets([*SETTINGS, f"epochs={options.e}", *options.set])
    with tempfile.TemporaryDirectory() as work:
        folder = pathlib.Path(work) / "run"
        done = subprocess.run(
            ["mpirun", "-n", str(options.n), llminit, "train", "--data", options.data, "--out", folder, "--quiet",
             *sets],
            env=program.environment(options.t), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        if done.returncode != 0:
            raise Failure(program.error_in(done.stderr) or f"training ended with {done.returncode}", done.returncode)
        print(json.dumps(summary(run.read_log(folder))))
    return 0
