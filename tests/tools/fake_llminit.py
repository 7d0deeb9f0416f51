"""What the studies need of llminit: settings, info, and trainings whose metrics are a function of their settings.

FAKE_STOP_AT=N stops each training after epoch N as a signal does, with a checkpoint; FAKE_LOG names a file that gets a
line for each training.
"""
import json
import math
import os
import pathlib
import sys

DEFAULTS = {"model": "LightGCN", "emb_selection": "var", "embedding_size": "32", "learning_rate": "0.001",
            "grid": "auto", "topk": "[10, 20]", "seed": "2020", "epochs": "4", "eval_step": "1",
            "train_batch_size": "64", "emb_gain": "1", "n_layers": "2", "collapse_every": "10",
            "checkpoint_interval": "60", "cold_map": "auto", "calibrate_share": "0.1", "valid_metric": "NDCG@10",
            "k": "100", "alpha0": "0.01", "reg_weight": "1e-05",
            "prior_reg_weight": "3", "item_dropout": "0", "user_weight": "0", "distill_weight": "100",
            "solve_precision": "float64"}
CLOSED_FORMS = ("EASE", "L3AE", "ItemKNN", "Pop")
OF_PREPARE = ("split", "cold_share", "max_train_items", "seed")
MAPS = {"none": 0.0, "zero": -0.01, "auto": 0.02}  # what a map adds to a metric
WHOLE = ("k", "n_layers", "embedding_size")
MACHINE = ("grid", "checkpoint_interval")
STARTS = ("False", "var", "pca", "full")


def fail(message):
    print(f"llminit: error: {message}", file=sys.stderr)
    sys.exit(2)


def resolve(arguments):
    settings = dict(DEFAULTS)
    for word, text in zip(arguments, arguments[1:]):
        if word == "--set":
            name, _, value = text.partition("=")
            if name not in settings:
                fail(f'{name}: no such setting')
            settings[name] = value
    if settings["emb_selection"] not in STARTS:
        fail(f'emb_selection: "{settings["emb_selection"]}" is not one of {", ".join(STARTS)}')
    return settings


def option(arguments, name):
    return arguments[arguments.index(name) + 1]


def value_of(settings):
    return len(settings["emb_selection"]) / 10 + int(settings["seed"]) % 10 / 100


def valid_at(settings, epoch):
    """Best at a learning rate of 0.003, and rising with the epochs; a training with n_layers 9 learns nothing."""
    away = abs(math.log(float(settings["learning_rate"]) / 0.003))
    return 0.5 - 0.1 * away - 0.1 / epoch if settings["n_layers"] != "9" else 0.0


def train(arguments):
    settings, out = resolve(arguments), pathlib.Path(option(arguments, "--out"))
    if settings["n_layers"] == "8":
        fail("n_layers: 8 is too many")
    if os.environ.get("FAKE_LOG"):
        with open(os.environ["FAKE_LOG"], "a") as file:
            file.write(f"{out.name}\n")
    out.mkdir(exist_ok=True)
    (out / "settings.yaml").write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    latest = out / "latest.h5"
    done = int(latest.read_text()) if latest.exists() else 0
    stop_at = int(os.environ.get("FAKE_STOP_AT", 0))
    digest = pathlib.Path(option(arguments, "--data")).read_text()
    with open(out / "log.jsonl", "a") as file:

        def log(event, **fields):
            file.write(json.dumps({"event": event, **fields}) + "\n")

        log("start", dataset=digest, ranks=2, from_epoch=done)
        is_closed = settings["model"] in CLOSED_FORMS
        for epoch in range(done + 1, 2 if is_closed else int(settings["epochs"]) + 1):
            log("solve" if is_closed else "epoch", epoch=epoch, seconds=1.0, samples_per_second=100.0 * epoch)
            log("valid", epoch=epoch, metrics={"ndcg@10": valid_at(settings, epoch)}, best=True)
            latest.write_text(str(epoch))
            if epoch == stop_at:
                log("end", why="signal", seconds=float(epoch), best_epoch=epoch)
                sys.exit(75)
        value = value_of(settings)
        metrics = {f"{name}@{k}": value for name in ("recall", "ndcg") for k in json.loads(settings["topk"])}
        log("test", epoch=3, best=True, metrics=metrics)
        (out / "best.h5").write_text("3")
        log("profile", resident=[0, 0, 2**20 * len(settings["model"])], cpu_seconds=[1.0, 2.5, 4.0])
        end = ("solved", 1) if is_closed else ("all epochs done", int(settings["epochs"]))
        log("end", why=end[0], seconds=float(end[1]), epoch=end[1], best_epoch=3)
    if "--profile" in arguments:
        use = {"seconds": 2.0, "mpi_seconds": 0.5, "bytes": 80}
        ranks = [{"resident": 2**20, "phases": {"forward": use, "other": use, "evaluation": use}}]
        profile = {"nodes": 1, "grid": "1x1", "threads": 1, "train": 1000, "steps": 10, "per_rank": ranks,
                   "predicted_step_bytes": {"total": 9}}
        pathlib.Path(option(arguments, "--profile")).write_text(json.dumps(profile))


def prepare(arguments):
    """A dataset's text, which is its digest, has the settings and the bytes of the vectors."""
    settings = [value for word, value in zip(arguments, arguments[1:]) if word == "--set"]
    if any(one.split("=")[0] not in OF_PREPARE for one in settings):
        fail(f"not settings of prepare: {settings}")
    size = pathlib.Path(option(arguments, "--embedding")).stat().st_size
    out = pathlib.Path(option(arguments, "--out"))
    if os.environ.get("FAKE_LOG"):
        with open(os.environ["FAKE_LOG"], "a") as file:
            file.write(f"prepare:{out.parent.name}:{','.join(settings)}\n")
    out.write_text(f"{' '.join(settings)} {size}")


def cold_answer(settings, seed):
    """Cold items are found by maps alone, and warm ones a little less with a map."""
    value = value_of(settings)
    added = MAPS[settings["cold_map"]]
    tables = {"warm": value, "cold": value + 10 * added, "all": value + added}
    answer = {name: {"users": 2, "positives": 3 + seed, **{f"{metric}@{k}": of_table
                     for metric in ("recall", "ndcg") for k in json.loads(settings["topk"])}}
              for name, of_table in tables.items()}
    answer.update({"warm_hit@10": value - added / 10, "cold_hit@10": max(0.0, added)})
    return {"test": answer["all"], "cold": answer}


def calibration(settings):
    """Two parameters with two gains each, and the chosen gain, which is another for each seed."""
    if settings["calibrate_share"] == "0":
        return {"kind": "nearest", "rule": "norm", "parameter": 5, "gain": 1, "points": []}
    chosen = {"parameter": 10, "gain": 1.5 + int(settings["seed"]) / 100}
    pairs = [*({"parameter": k, "gain": gain} for k in (5, 10) for gain in (1, 2)), chosen]
    points = [{**pair, "ndcg@10": 0.1 * pair["gain"] + 0.01 * pair["parameter"],
               "warm_hit@10": 0.3, "cold_hit@10": 0.1} for pair in pairs]
    return {"kind": "nearest", "rule": "norm", **chosen, "points": points}


def evaluate(arguments):
    """A user's ndcg@5 is better by the length of the start, and for the second user also by the seed. Beside it, where
    the dataset marks cold items, the metrics of the three tables; the second user has those of all."""
    run = pathlib.Path(arguments[0]).parent
    settings = dict(line.split(": ", 1) for line in (run / "settings.yaml").read_text().splitlines())
    given = [value for word, value in zip(arguments, arguments[1:]) if word == "--set"]
    settings.update(one.split("=", 1) for one in given)
    if os.environ.get("FAKE_LOG"):
        with open(os.environ["FAKE_LOG"], "a") as file:
            file.write(":".join(["evaluate", run.name, *(given or [option(arguments, "--split")])]) + "\n")
    first = len(settings["emb_selection"]) / 10
    header, lines = ["user_id", "ndcg@5"], [["u1", first], ["u2", first + int(settings["seed"]) / 100]]
    if "cold_share" in pathlib.Path(option(arguments, "--data")).read_text():
        answer = cold_answer(settings, int(settings["seed"]))
        answer["map"] = calibration(settings) if settings["cold_map"] == "auto" else None
        print(json.dumps(answer))
        for name, value in answer["test"].items():
            if "@" in name:
                header.append(name)
                lines[0].append(0)
                lines[1].append(value * 2)
    text = "".join("\t".join(map(str, line)) + "\n" for line in [header, *lines])
    pathlib.Path(option(arguments, "--per-user")).write_text(text)


command, *rest = sys.argv[1:]
if command == "settings" and "--json" in rest:
    groups = {"prepare": OF_PREPARE, "train": DEFAULTS}
    print(json.dumps({group: [{"name": name, "machine": name in MACHINE, "kind": "int" if name in WHOLE else "real"}
                              for name in names]
                      for group, names in groups.items()}))
elif command == "settings":
    print("".join(f"{name}: {value}\n" for name, value in resolve(rest).items()), end="")
elif command == "info":
    text = pathlib.Path(rest[0]).read_text()
    print(json.dumps({"digest": text, "attributes": {"kind": "dataset", "embedding_dim": 32, "n_users": 9, "n_items": 9,
                                                         "n_valid": 0 if "no valid part" in text else 9}}))
elif command == "prepare":
    prepare(rest)
elif command == "evaluate":
    evaluate(rest)
elif command == "train":
    train(rest)
else:
    fail(f"unknown command {command}")
