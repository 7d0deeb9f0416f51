"""Check the tables of a study against the logs and profiles of its runs, apart from the code that made them.

    python3 check_tables.py compare FOLDER PRINTED
    python3 check_tables.py differences FOLDER PRINTED
    python3 check_tables.py collapse FOLDER PRINTED PROGRAM DATA.h5
    python3 check_tables.py cold FOLDER PRINTED PROGRAM
    python3 check_tables.py scaling FOLDER EPOCHS RUN:GRID...
    python3 check_tables.py simulation FOLDER GRID...
    python3 check_tables.py quality RESULT.json

PRINTED is what the study printed. A failed assertion says what differs.
"""
from __future__ import annotations

import csv
import json
import math
import pathlib
import statistics
import subprocess
import sys
from typing import Any

METRICS = ("Recall@10", "Recall@20", "NDCG@10", "NDCG@20")
NOT_OF_STEPS = ("evaluation", "input", "output")


def read_rows(path: pathlib.Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def read_log(folder: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def assert_close(row: dict[str, str], name: str, value: float, tolerance: float = 1e-9, absolute: float = 0) -> None:
    assert math.isclose(float(row[name]), value, rel_tol=tolerance, abs_tol=absolute), (name, row[name], value)


# ---- compare ---------------------------------------------------------------------------------------------------------


def result_of(folder: pathlib.Path) -> dict[str, float]:
    test, profile, end = read_log(folder)[-3:]
    assert [event["event"] for event in (test, profile, end)] == ["test", "profile", "end"]
    assert test["epoch"] == end["best_epoch"]
    metrics = {name: test["metrics"][name.lower()] for name in METRICS}
    return {**metrics, "best_epoch": test["epoch"], "seconds": end["seconds"]}


def check_row(row: dict[str, str], line: str, mine: list[dict[str, float]], base: list[dict[str, float]], best: float,
              name: str) -> None:
    """One metric of a row: mean, deviation, gain, and the mark of the best one."""
    values = [result[name] for result in mine]
    mean = statistics.mean(values)
    mark = "*" if float(row[name]) == best else " "
    assert f"{mean:.4f}{mark}" in line, (line, name)
    if len(values) == 2:
        assert_close(row, name + "_sd", abs(values[0] - values[1]) / math.sqrt(2), absolute=1e-9)
    else:
        assert row[name + "_sd"] == ""
    if mine is base:
        assert row[name + "_gain_percent"] == "" and "%" not in line
    else:
        gain = 100 * (mean / statistics.mean(result[name] for result in base) - 1)
        assert_close(row, name + "_gain_percent", gain, absolute=1e-9)
        assert f" {gain:+.1f}%" in line


def check_compare(folder: pathlib.Path, printed: pathlib.Path) -> None:
    """Two models from two starts, the first of which is the baseline."""
    rows, cells = read_rows(folder / "table.tsv"), read_rows(folder / "cells.tsv")
    text = printed.read_text(encoding="utf-8")
    assert (folder / "table.txt").read_text(encoding="utf-8") == text
    lines = text.splitlines()[1:]
    n_seeds = len({cell["seed"] for cell in cells})
    assert [(row["model"], row["start"]) for row in rows] == [
        (model, start) for model in ("LightGCN:n_layers=1", "BPR") for start in ("False", "var:emb_gain=2")]
    assert len(cells) == len(rows) * n_seeds and len(lines) == len(rows) and ("±" in text) == (n_seeds > 1)
    results: dict[tuple[str, str], list[dict[str, float]]] = {}
    for cell in cells:
        found = result_of(folder / f"{cell['model']}-{cell['start']}-{cell['seed']}".replace(":", ","))
        assert cell["state"] == "done" and not cell["error"]
        for name, value in found.items():
            assert_close(cell, name, value)
        results.setdefault((cell["model"], cell["start"]), []).append(found)
    for row, line in zip(rows, lines):
        mine, base = results[row["model"], row["start"]], results[row["model"], "False"]
        for name in (*METRICS, "best_epoch", "seconds"):
            assert_close(row, name, statistics.mean(result[name] for result in mine))
        for name in METRICS:
            best = max(float(other[name]) for other in rows if other["model"] == row["model"])
            check_row(row, line, mine, base, best, name)


def check_differences(folder: pathlib.Path, printed: pathlib.Path) -> None:
    """Means by users differ as the metrics of the runs do; the closed form's is that from the first baseline."""
    lines, cells = read_rows(folder / "differences.tsv"), read_rows(folder / "cells.tsv")
    text = printed.read_text(encoding="utf-8")
    assert text == "\n".join((folder / name).read_text(encoding="utf-8") for name in ("table.txt", "differences.txt"))
    names = [("EASE:reg_weight=5", "-"), ("BPR", "var:emb_gain=2")]
    assert [(line["model"], line["start"], line["over"], line["metric"]) for line in lines] == [
        (*name, "BPR False", metric) for name in names for metric in METRICS]

    def mean(model: str, start: str, metric: str) -> float:
        mine = [cell for cell in cells if (cell["model"], cell["start"]) == (model, start)]
        return statistics.mean(float(cell[metric]) for cell in mine)

    for line in lines:
        want = mean(line["model"], line["start"], line["metric"]) - mean("BPR", "False", line["metric"])
        assert_close(line, "difference", want, absolute=1e-9)
        assert float(line["low"]) <= want <= float(line["high"]) and 1 / 1001 <= float(line["p"]) <= 1
        assert int(line["users"]) > 1


# ---- collapse --------------------------------------------------------------------------------------------------------


def ranks_of(program: str, checkpoint: pathlib.Path, data: str) -> dict[str, float]:
    """Effective ranks of the tables, by llminit spectrum."""
    done = subprocess.run([program, "spectrum", checkpoint, "--data", data, "--json", "--quiet"], check=True,
                          capture_output=True, text=True)
    return {table["table"]: table["effective_rank"] for table in json.loads(done.stdout)["tables"]}


def check_collapse(folder: pathlib.Path, printed: pathlib.Path, program: str, data: str) -> None:
    rows = read_rows(folder / "study.tsv")
    assert [(row["start"], row["width"]) for row in rows] == [
        ("False", "16"), ("False", "32"), ("False", "48"), ("full", "32"), ("var", "16"), ("pca:emb_gain=2", "16"),
        ("pca:emb_gain=2", "32")]
    text = (folder / "study.txt").read_text(encoding="utf-8")
    assert printed.read_text(encoding="utf-8").startswith(text) and len(text.splitlines()) == len(rows) + 1
    assert len((folder / "study.md").read_text(encoding="utf-8").splitlines()) == len(rows) + 2
    for row, line in zip(rows, text.splitlines()[1:]):
        assert row["model"] == "LightGCN" and row["done"] == "1" and row["failed"] == "0"
        run = folder / f"LightGCN-{row['start']}:embedding_size={row['width']}-2020".replace(":", ",")
        test = next(event for event in read_log(run) if event["event"] == "test")
        ranks = ranks_of(program, run / "best.h5", data)
        assert_close(row, "NDCG@10", test["metrics"]["ndcg@10"])
        assert_close(row, "Recall@20", test["metrics"]["recall@20"])
        assert_close(row, "user_rank", ranks["user_final"])
        assert_close(row, "item_rank", ranks["item_final"])
        assert_close(row, "best_epoch", test["epoch"])
        assert f"{test['metrics']['ndcg@10']:.4f}" in line and f" {ranks['item_final']:.1f} " in line, line
        assert 1 < ranks["item_final"] <= int(row["width"])


# ---- cold ------------------------------------------------------------------------------------------------------------


def evaluated(program: str, row: dict[str, str], split: pathlib.Path) -> tuple[pathlib.Path, dict[str, Any]]:
    """The run of a row on a split, and what evaluate says of it under the row's map."""
    seed = split.name.split("-")[1]
    name, sets = row["model"] if row["start"] == "-" else f"{row['model']}-{row['start']}-{seed}", []
    if row["model"].startswith("L3AE") and row["map"] == "none":
        name += ":cold_map=none"
    elif row["map"] != "auto":
        sets = [word for one in f"cold_map={row['map']}".split(":") for word in ("--set", one)]
    run = split / name.replace(":", ",")
    command = [program, "evaluate", run / "best.h5", "--data", split / "data.h5", "--json", "--quiet", *sets]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return run, json.loads(done.stdout)


def check_cold_row(row: dict[str, str], answers: list[dict[str, Any]], line: str) -> None:
    """Means of the three tables, and of the hits, which the text has too."""
    for name in ("all", "warm", "cold"):
        for metric in METRICS:
            values = [answer["cold"][name][metric.lower()] for answer in answers]
            assert_close(row, f"{name} {metric}", statistics.mean(values), absolute=1e-9)
            assert_close(row, f"{name} {metric} sd", statistics.stdev(values), absolute=1e-9)
    for name in ("warm hit@10", "cold hit@10"):
        values = [answer["cold"][name.replace(" ", "_")] for answer in answers]
        assert_close(row, name, statistics.mean(values), absolute=1e-9)
    assert f" {float(row['all NDCG@10']):.4f} ±" in line and line.startswith(row["model"]), line


def check_users(run: pathlib.Path, row: dict[str, str], answer: dict[str, Any]) -> dict[str, float]:
    """The metrics of each user have the means of the table of all; gives NDCG@10."""
    users = read_rows(run / f"users-{row['map'].replace(':', ',')}.tsv")
    for metric in METRICS:
        mean = statistics.mean(float(user[metric.lower()]) for user in users)
        assert math.isclose(mean, answer["cold"]["all"][metric.lower()], abs_tol=1e-9), (run, metric)
    assert len(users) == answer["cold"]["all"]["users"]
    return {user["user_id"]: float(user["ndcg@10"]) for user in users}


def mean_of_users(splits: list[dict[str, float]]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for values in splits:
        for user, value in values.items():
            found.setdefault(user, []).append(value)
    return {user: statistics.mean(values) for user, values in found.items()}


def check_map(row: dict[str, str], answer: dict[str, Any], points: list[dict[str, str]]) -> None:
    """calibration.tsv has the points of the map, with gain 1 and what was chosen; none where nothing is calibrated."""
    found = answer["map"]
    assert found["kind"] == ("ridge" if row["start"] == "-" else "nearest")
    for name, key in (("NDCG@10", "ndcg@10"), ("gain", "gain"), ("parameter", "parameter")):
        assert [float(point[name]) for point in points] == [point[key] for point in found["points"]]
    chosen = [(float(point["parameter"]), float(point["gain"])) for point in points if point["chosen"] == "1"]
    if row["map"] == "auto":
        assert chosen == [(found["parameter"], found["gain"])]
        gains = {float(point["gain"]) for point in points}
        assert 1.0 in gains and len(gains) > 2
    else:
        assert found["gain"] == 1 and not points


def check_cold(folder: pathlib.Path, printed: pathlib.Path, program: str) -> None:
    """Two splits; a model of tables and two closed forms under four maps, and under one with random vectors."""
    rows, points = read_rows(folder / "cold.tsv"), read_rows(folder / "calibration.tsv")
    texts = [folder / name for name in ("cold.txt", "sparse.txt", "differences.txt")]
    assert printed.read_text(encoding="utf-8") == "\n".join(path.read_text(encoding="utf-8") for path in texts)
    lines = (folder / "cold.txt").read_text(encoding="utf-8").splitlines()[3:]
    maps = [(map_, "text") for map_ in ("none", "zero", "auto", "auto:calibrate_share=0")] + [("auto", "random")]
    assert [(row["map"], row["vectors"]) for row in rows] == 3 * maps
    values: dict[tuple[str, str, str], tuple[dict[str, str], dict[str, float]]] = {}
    counts = set()
    for row, line in zip(rows, lines):
        of_users, answers = [], []
        for seed in (1, 2):
            suffix = "-random" if row["vectors"] == "random" else ""
            run, answer = evaluated(program, row, folder / f"split-{seed}{suffix}")
            of_users.append(check_users(run, row, answer))
            mine = [point for point in points if point["split"] == str(seed)
                    and all(point[name] == row[name] for name in ("model", "start", "map", "vectors"))]
            if row["map"].startswith("auto"):
                check_map(row, answer, mine)
            else:
                assert not mine
            answers.append(answer)
            counts.add((seed, *(answer["cold"][name][what] for name in ("all", "warm", "cold")
                                for what in ("users", "positives"))))
        check_cold_row(row, answers, line)
        values[row["model"], row["map"], row["vectors"]] = row, mean_of_users(of_users)
    assert len(counts) == 2, counts  # the same users and targets in all rows: random vectors have the same splits
    check_as_solved(values)
    check_cold_differences(read_rows(folder / "differences.tsv"), values)
    check_sparse(folder)


def check_as_solved(values: dict[tuple[str, str, str], tuple[dict[str, str], dict[str, float]]]) -> None:
    """Without a map EASE gives cold items the score 0, L3AE others; the text tells random vectors apart."""
    names = [f"{table} {metric}" for table in ("all", "cold") for metric in METRICS]

    def metrics(model: str, map_: str, vectors: str = "text") -> list[str]:
        return [values[f"{model}:reg_weight=5", map_, vectors][0][name] for name in names]

    assert metrics("EASE", "none") == metrics("EASE", "zero")
    assert metrics("L3AE", "none") != metrics("L3AE", "zero") != metrics("L3AE", "auto")
    assert metrics("EASE", "auto") != metrics("EASE", "auto", "random")


def check_cold_differences(lines: list[dict[str, str]], values: dict[tuple[str, str, str], Any]) -> None:
    """Of users' means over the splits, from the same model without a map."""
    assert len(lines) == 3 * 4 * len(METRICS)
    for line in lines:
        map_, comma, _ = line["map"].partition(", random vectors")
        mine = values[line["model"], map_, "random" if comma else "text"][1]
        other = values[line["model"], "none", "text"][1]
        assert line["over"] == "none" and int(line["users"]) == len(mine) and mine.keys() == other.keys()
        if line["metric"] == "NDCG@10":
            want = statistics.mean(mine[user] - other[user] for user in mine)
            assert_close(line, "difference", want, absolute=1e-9)
        assert float(line["low"]) <= float(line["difference"]) <= float(line["high"])


def check_sparse(folder: pathlib.Path) -> None:
    """Of the logs; all train items are more than two a user."""
    rows = read_rows(folder / "sparse.tsv")
    assert [row["train items"] for row in rows] == 3 * ["2"] + 3 * ["all"]
    for row in rows:
        events = [event for seed in (1, 2) for event in read_log(
            folder / f"split-{seed}-first-{row['train items']}" / (
                row["model"] if row["start"] == "-" else f"{row['model']}-{row['start']}-{seed}").replace(":", ","))]
        tests = [event for event in events if event["event"] == "test"]
        assert_close(row, "NDCG@10", statistics.mean(event["metrics"]["ndcg@10"] for event in tests))
        n_train = [event["train"] for event in events if event["event"] == "start"]
        assert max(n_train) <= 300 if row["train items"] == "2" else min(n_train) > 600, n_train


# ---- scaling ---------------------------------------------------------------------------------------------------------


def total(ranks: list[dict[str, Any]], name: str, but: tuple[str, ...]) -> float:
    return sum(use[name] for rank in ranks for phase, use in rank["phases"].items() if phase not in but)


def columns_of(rates: list[float], log: list[dict[str, Any]], profile: dict[str, Any]) -> dict[str, float]:
    """The columns of a run that depend on no other. `rates`: samples per second of the epochs but the first."""
    rate = statistics.median(rates)
    ranks, steps = profile["per_rank"], profile["steps"]
    columns = {
        "train": log[0]["train"],
        "epoch_seconds": log[0]["train"] / rate,
        "samples_per_second": rate,
        "mpi_share": total(ranks, "mpi_seconds", NOT_OF_STEPS) / total(ranks, "seconds", NOT_OF_STEPS),
        "step_bytes": total(ranks, "bytes", (*NOT_OF_STEPS, "other")) / steps / len(ranks),
        "step_bytes_predicted": profile["predicted_step_bytes"]["total"],
        "memory": max(rank["resident"] for rank in ranks) / 2**20,
    }
    assert math.isclose(columns["step_bytes"], columns["step_bytes_predicted"], rel_tol=0.05)
    return columns


def check_scaling(folder: pathlib.Path, epochs: int, expected: list[str]) -> None:
    """`expected`: of each row the folder of its run, KIND-RANKS or KIND-RANKS-GRID, and its grid."""
    rows = read_rows(folder / "scaling.tsv")
    runs, grids = zip(*(word.split(":") for word in expected))
    assert [row["grid"] for row in rows] == list(grids), rows
    assert [[row["kind"], row["ranks"]] for row in rows] == [run.split("-")[:2] for run in runs], rows
    for name, more in (("scaling.txt", 1), ("scaling.md", 2)):
        assert len((folder / name).read_text(encoding="utf-8").splitlines()) == len(rows) + more
    first: dict[str, float] = {}
    for run, row in zip(runs, rows):
        log = read_log(folder / run)
        profile = json.loads((folder / run / "profile.json").read_text(encoding="utf-8"))
        rates = [event["samples_per_second"] for event in log if event["event"] == "epoch"][1:]
        assert len(rates) == epochs - 1 and profile["steps"] % epochs == 0
        assert log[0]["grid"] == row["grid"]
        assert log[0]["ranks"] == len(profile["per_rank"]) == int(row["ranks"])
        columns = columns_of(rates, log, profile)
        rate = columns["samples_per_second"]
        speedup = rate / first.setdefault(row["kind"], rate)
        for column, value in {**columns, "speedup": speedup, "efficiency": speedup / int(row["ranks"])}.items():
            assert_close(row, column, value)


def check_simulation(folder: pathlib.Path, grids: list[str]) -> None:
    """Loss and bytes of all that was simulated are those of the program."""
    loss = next(event["loss"] for event in read_log(folder / "strong-1") if event["event"] == "epoch")
    rows = read_rows(folder / "scaling.tsv")
    sent = {row["grid"]: float(row["step_bytes"]) for row in rows if row["kind"] == "strong"}
    simulated = [row for row in rows if row["kind"] in ("strong simulated", "strong followed")]
    assert [row["grid"] for row in simulated] == grids and "1x1" in sent and len(sent) > 1, rows
    for row in simulated:
        run = folder / f"{row['kind'].replace(' ', '-')}-{row['ranks']}-{row['grid']}"
        result = json.loads((run / "result.json").read_text(encoding="utf-8"))
        assert result["steps_an_epoch"] == 2
        assert math.isclose(result["loss"], loss, rel_tol=1e-11), (row, result["loss"], loss)  # 12 digits logged
        assert float(row["epoch_seconds"]) > 0 and 0 <= float(row["mpi_share"]) < 1
        if row["grid"] in sent:
            assert_close(row, "step_bytes", sent[row["grid"]], tolerance=1e-12)
    print(f"{folder}: the loss and the bytes of the program, on {len(simulated)} grids")


# ---- quality ---------------------------------------------------------------------------------------------------------


def check_quality(result: pathlib.Path) -> None:
    """LightGCN after 5 epochs on Gowalla: the authors' log has Recall@20 0.1071 and NDCG@20 0.0894."""
    test = json.loads(result.read_text(encoding="utf-8"))["test"]
    print(test)
    assert test["recall@20"] >= 0.105 and test["ndcg@20"] >= 0.090


def main() -> None:
    what, path, *rest = sys.argv[1:]
    folder = pathlib.Path(path)
    if what == "compare":
        check_compare(folder, pathlib.Path(rest[0]))
    elif what == "differences":
        check_differences(folder, pathlib.Path(rest[0]))
    elif what == "collapse":
        check_collapse(folder, pathlib.Path(rest[0]), *rest[1:])
    elif what == "cold":
        check_cold(folder, pathlib.Path(rest[0]), rest[1])
    elif what == "scaling":
        check_scaling(folder, int(rest[0]), rest[1:])
    elif what == "simulation":
        check_simulation(folder, rest)
    else:
        check_quality(folder)


main()
