"""What the studies need of llminit: settings, info, and trainings whose metrics are a function of their settings.

FAKE_STOP_AT=N stops each training after epoch N as a signal does, with a checkpoint; FAKE_LOG names a file that gets a
line for each training.
"""
import json
import os
import pathlib
import sys

DEFAULTS = {"model": "LightGCN", "emb_selection": "var", "embedding_size": "32", "learning_rate": "0.001",
            "grid": "auto", "topk": "[10, 20]", "seed": "2020", "epochs": "4", "eval_step": "1",
            "train_batch_size": "64", "emb_gain": "1", "n_layers": "2", "collapse_every": "10",
            "checkpoint_interval": "60"}
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


def train(arguments):
    settings, out = resolve(arguments), pathlib.Path(option(arguments, "--out"))
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

        log("start", dataset=digest, from_epoch=done)
        for epoch in range(done + 1, int(settings["epochs"]) + 1):
            log("epoch", epoch=epoch, seconds=1.0, samples_per_second=100.0 * epoch)
            latest.write_text(str(epoch))
            if epoch == stop_at:
                log("end", why="signal", seconds=float(epoch), best_epoch=epoch)
                sys.exit(75)
        value = len(settings["emb_selection"]) / 10 + int(settings["seed"]) % 10 / 100
        metrics = {f"{name}@{k}": value for name in ("recall", "ndcg") for k in json.loads(settings["topk"])}
        log("test", epoch=3, best=True, metrics=metrics)
        (out / "best.h5").write_text("3")
        log("end", why="epochs", seconds=float(settings["epochs"]), best_epoch=3)
    if "--profile" in arguments:
        use = {"seconds": 2.0, "mpi_seconds": 0.5, "bytes": 80}
        ranks = [{"resident": 2**20, "phases": {"forward": use, "other": use, "evaluation": use}}]
        profile = {"nodes": 1, "grid": "1x1", "threads": 1, "train": 1000, "steps": 10, "per_rank": ranks,
                   "predicted_step_bytes": {"total": 9}}
        pathlib.Path(option(arguments, "--profile")).write_text(json.dumps(profile))


def evaluate(arguments):
    """A user's ndcg@5 is better by the length of the start, and for the second user also by the seed."""
    run = pathlib.Path(arguments[0]).parent
    settings = dict(line.split(": ", 1) for line in (run / "settings.yaml").read_text().splitlines())
    if os.environ.get("FAKE_LOG"):
        with open(os.environ["FAKE_LOG"], "a") as file:
            file.write(f"evaluate:{run.name}:{option(arguments, '--split')}\n")
    first = len(settings["emb_selection"]) / 10
    lines = ["user_id\tndcg@5", f"u1\t{first}", f"u2\t{first + int(settings['seed']) / 100}"]
    pathlib.Path(option(arguments, "--per-user")).write_text("".join(f"{line}\n" for line in lines))


command, *rest = sys.argv[1:]
if command == "settings" and "--json" in rest:
    print(json.dumps({"train": [{"name": name, "machine": name in MACHINE} for name in DEFAULTS]}))
elif command == "settings":
    print("".join(f"{name}: {value}\n" for name, value in resolve(rest).items()), end="")
elif command == "info":
    text = pathlib.Path(rest[0]).read_text()
    print(json.dumps({"digest": text, "attributes": {"kind": "dataset", "embedding_dim": 32}}))
elif command == "evaluate":
    evaluate(rest)
elif command == "train":
    train(rest)
else:
    fail(f"unknown command {command}")
