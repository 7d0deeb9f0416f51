"""Folders of runs as `llminit train` leaves them, made up."""
from __future__ import annotations

import json
import pathlib
from typing import Any, Optional, Sequence

METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
START = {"event": "start", "version": "0.1.0", "ranks": 2, "threads": 1, "grid": "2x1", "dataset": "0123456789abcdef",
         "users": 15699, "items": 5192, "train": 125353, "from_epoch": 0, "predicted_held": 6.5e7,
         "predicted_step_bytes": {"total": 1234.0, "most": 1300.0}}


def metrics(value: float) -> dict[str, float]:
    return {name: round(value + 0.01 * k, 6) for k, name in enumerate(METRICS)}


def phase(seconds: float, n_bytes: float = 0.0) -> dict[str, list[float]]:
    return {"seconds": [seconds * 0.9, seconds, seconds * 1.1], "mpi_seconds": [0.0, seconds / 10, seconds / 5],
            "bytes": [n_bytes] * 3, "messages": [3.0] * 3, "file_seconds": [0.25] * 3, "read_bytes": [2048.0] * 3,
            "written_bytes": [0.0] * 3}


def profile() -> dict[str, Any]:
    return {"event": "profile", "steps": 9, "balance": {"rows": 1.0, "edges": 1.01, "seconds": 1.1},
            "phases": {"other": phase(0.1), "propagation": phase(7.5), "halo": phase(1.5, 3e6), "scores": phase(0.5),
                       "evaluation": phase(0.25), "contrast": phase(0.0)},
            "held": [6e7, 6.1e7, 6.2e7], "allocated": [7e7, 7.1e7, 7.2e7], "resident": [9e7, 9.1e7, 9.2e7],
            "cpu_seconds": [9.0, 9.5, 10.0], "energy": None}


def spectrum(epoch: int, rank: float) -> dict[str, Any]:
    measures = {"effective_rank": rank, "participation_ratio": rank / 4, "information_abundance": rank / 3,
                "shares": {"1": 0.4, "8": 0.8}}
    return {"event": "spectrum", "epoch": epoch, "tables": {"user_final": measures, "item_final": measures},
            "best": False, "seconds": 0.1}


def write(folder: pathlib.Path, events: Sequence[dict[str, Any]],
          settings: Optional[dict[str, str]] = None) -> pathlib.Path:
    folder.mkdir(parents=True)
    values = {"model": "LightGCN", "emb_selection": "var", "embedding_size": "128", "epochs": "6", "topk": "[10, 20]",
              "valid_metric": '"NDCG@10"', "seed": "2020", **(settings or {})}
    (folder / "settings.yaml").write_text("".join(f"{name}: {value}\n" for name, value in values.items()))
    (folder / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def epochs(n: int, value: float) -> list[dict[str, Any]]:
    """Epochs with a valid metric that grows to `value` in the last but one."""
    events: list[dict[str, Any]] = []
    for epoch in range(1, n + 1):
        now = value - 0.1 * abs(max(1, n - 1) - epoch) / n
        events += [{"event": "epoch", "epoch": epoch, "loss": 1 / epoch, "seconds": 1.5, "samples_per_second": 5e4},
                   {"event": "valid", "epoch": epoch, "metrics": metrics(now), "best": epoch <= max(1, n - 1),
                    "seconds": 0.1},
                   spectrum(epoch, 100 - 5 * epoch)]
    return events


def end(why: str, epoch: int, best: int, seconds: float) -> dict[str, Any]:
    return {"event": "end", "why": why, "epoch": epoch, "best_epoch": best, "seconds": seconds}


def trained(folder: pathlib.Path, value: float = 0.4, n: int = 6, **settings: str) -> pathlib.Path:
    test = {"event": "test", "epoch": n, "metrics": metrics(value), "best": True, "seconds": 0.2}
    events = [START, *epochs(n, value), test, profile(), end("all epochs done", n, max(1, n - 1), 1.6 * n)]
    return write(folder, events, settings)


def closed(folder: pathlib.Path, value: float = 0.5) -> pathlib.Path:
    solve = {"event": "solve", "seconds": 4.0, "gram": 1.0, "invert": 2.5, "product": 0.0, "rest": 0.5}
    valid, test = ({"event": kind, "epoch": 1, "metrics": metrics(value), "best": True, "seconds": 0.2}
                   for kind in ("valid", "test"))
    return write(folder, [START, solve, valid, test, profile(), end("solved", 1, 1, 4.4)],
                 {"model": "EASE", "emb_selection": "False", "reg_weight": "100"})


def with_groups(folder: pathlib.Path, value: float = 0.4) -> pathlib.Path:
    """Put what `evaluate --groups --json` prints beside a run, of a dataset that marks cold items."""
    part = {"users": 12, "positives": 20, **metrics(value)}
    hits = {f"{name}_hit@10": value / 2 for name in ("warm", "cold")}
    groups = {"users": {"1-3": part, "4-7": part}, "items": {"0": part, ">=20": part},
              "popularity": {"head": part, "tail": part}}
    answer = {"protocol": "masked", "users": 24, "test": metrics(value), "groups": groups,
              "catalogue": {"itemcoverage@10": 0.5, "giniindex@10": 0.7, "averagepopularity@10": 31.5},
              "cold": {"warm": part, "cold": part, "all": part, "warm_targets": 20, "cold_targets": 3, **hits,
                       "left_out": 1},
              "map": {"kind": "ridge", "parameter": 3.0, "gain": 1.41, "points": []}}
    (folder / "test.json").write_text(json.dumps(answer))
    return folder
