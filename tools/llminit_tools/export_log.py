"""Write the log of a run as a table, or for TensorBoard or MLflow.

    tools/study export-log RUN --format csv|tensorboard|mlflow [--out PATH]
    tools/study export-log run/var --format csv --out var.csv
    tools/study export-log run/var --format tensorboard --out run/events && tensorboard --logdir run/events
    tools/study export-log run/var --format mlflow --out run/mlruns && mlflow ui --backend-store-uri run/mlruns

Each number of log.jsonl becomes a line with a name and the epoch that it was measured in: train/loss, valid/ndcg@10,
test/recall@20, spectrum/item_final/effective_rank, phase/propagation/seconds (mean over the ranks), and others.

    csv          columns epoch, name, value, with all digits; the default, on stdout
    tensorboard  an event file in the folder PATH/RUN; default: tensorboard
    mlflow       a run in the folder PATH, as MLflow's file store lays it out, also with the settings; default: mlruns

Nothing but Python is needed: Debian has no package of either, and both formats are written here. The log has no times
of day. An event counts as written when the epochs up to it had taken their seconds, and the last one when the file was.
Written again, the numbers of a run replace those before.

Exit status: 0 done; 2 usage; 3 the log is not as llminit writes it, or empty; 4 no run, or I/O.
"""
from __future__ import annotations

import argparse
import csv
import dataclasses
import hashlib
import io
import pathlib
import sys
from typing import Any, Iterator, Optional, Sequence

from . import event_file, options as opt, program, report_run, run
from .program import FORMAT, USAGE, Failure, say

EXPERIMENT = "0"  # MLflow's default one
RUNNING, FINISHED, FAILED = 1, 3, 4  # MLflow's RunStatus
TAGS = ("version", "dataset", "ranks", "threads", "grid")  # of the start


class Options(argparse.Namespace):
    run: pathlib.Path
    format: str
    out: Optional[str]


@dataclasses.dataclass(frozen=True)
class Scalar:
    epoch: int
    name: str
    value: float
    time: float  # seconds of training until then


def parse(name: str, arguments: Sequence[str]) -> Options:
    parser = opt.Parser(name, "RUN --format csv|tensorboard|mlflow [--out PATH]", __doc__)
    add = parser.add_argument
    add("run", metavar="RUN", type=pathlib.Path, help="the folder of a run")
    add("--format", choices=("csv", "tensorboard", "mlflow"), default="csv", help="default: csv")
    add("--out", metavar="PATH", help="a file, for csv also -; a folder for the others")
    return parser.parse_args(arguments, Options())


# ---- Numbers of the log ----------------------------------------------------------------------------------------------


def values_of(event: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """(name, number) of an event that is no start."""
    kind = event["event"]
    if kind in ("valid", "test"):
        yield from ((f"{kind}/{name}", value) for name, value in event["metrics"].items())
        for table, values in event.get("cold", {}).items():
            found = values.items() if isinstance(values, dict) else [("", values)]
            yield from ((f"{kind}-cold/{table}{'/' * bool(name)}{name}", value) for name, value in found)
    elif kind == "spectrum":
        for table, measures in event["tables"].items():
            yield from ((f"spectrum/{table}/{name}", value) for name, value in report_run.numbers(measures).items())
    elif kind == "profile":
        for phase, use in event["phases"].items():
            yield from ((f"phase/{phase}/{name}", values[1]) for name, values in use.items())
    elif kind in ("epoch", "solve"):
        prefix = "train" if kind == "epoch" else "solve"
        yield from ((f"{prefix}/{name}", value) for name, value in report_run.numbers(event).items() if name != "epoch")


def scalars(events: Sequence[dict[str, Any]]) -> Iterator[Scalar]:
    epoch, time = 0, 0.0
    for event in events:
        epoch = int(event.get("epoch", epoch))
        time += float(event["seconds"]) if event["event"] in ("epoch", "solve") else 0
        for name, value in values_of(event):
            yield Scalar(epoch, name, float(value), time)


def read(folder: pathlib.Path) -> list[Scalar]:
    try:
        found = list(scalars(run.read_log(folder)))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise Failure(f"{folder}/log.jsonl: is not as llminit writes it ({error!r})", FORMAT) from None
    if not found:
        raise Failure(f"{folder}: there is no number in its log yet", FORMAT)
    return found


# ---- Formats ---------------------------------------------------------------------------------------------------------


def csv_text(found: Sequence[Scalar]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", "name", "value"])
    writer.writerows([one.epoch, one.name, repr(one.value)] for one in found)
    return text.getvalue()


def begin_of(folder: pathlib.Path, found: Sequence[Scalar]) -> float:
    """When the training began, in seconds since 1970, if it ended when the log was last written."""
    return (folder / "log.jsonl").stat().st_mtime - found[-1].time


def write_tensorboard(one: report_run.Run, found: Sequence[Scalar], out: pathlib.Path) -> None:
    folder, begin = out / one.name, begin_of(one.folder, found)
    events = [event_file.scalar(begin + each.time, each.epoch, each.name, each.value) for each in found]
    content = b"".join(map(event_file.record, [event_file.version(begin), *events]))
    run.write_file(folder / "events.out.tfevents.0000000000.llminit", content)


def mlflow_name(name: str) -> str:
    """MLflow takes letters, digits, _ - . / and blanks."""
    return name.replace("@", "_at_")


def mlflow_meta(fields: dict[str, Any]) -> str:
    return program.yaml.safe_dump(fields, default_flow_style=False)


def mlflow_run(one: report_run.Run, found: Sequence[Scalar], run_id: str, folder: pathlib.Path) -> dict[str, str]:
    """{file: text} of a run in the file store."""
    begin = begin_of(one.folder, found)
    millis = lambda seconds: round(1000 * (begin + seconds))  # noqa: E731
    is_done = one.is_ended and str(one.ends[-1]["why"]) not in run.UNFINISHED
    status = FINISHED if is_done else FAILED if one.error() else RUNNING
    files = {"meta.yaml": mlflow_meta({
        "artifact_uri": (folder / "artifacts").resolve().as_uri(), "end_time": millis(found[-1].time),
        "entry_point_name": "", "experiment_id": EXPERIMENT, "lifecycle_stage": "active", "run_id": run_id,
        "run_name": one.name, "run_uuid": run_id, "source_name": "", "source_type": 4, "source_version": "",
        "start_time": millis(0), "status": status, "tags": [], "user_id": ""}),
        "tags/mlflow.runName": one.name}
    files.update({f"tags/llminit.{name}": str(start[name]) for start in one.starts for name in TAGS if name in start})
    files.update({f"params/{name}": value for name, value in one.settings.items()})
    for each in found:
        name = f"metrics/{mlflow_name(each.name)}"
        files[name] = files.get(name, "") + f"{millis(each.time)} {each.value!r} {each.epoch}\n"
    return files


def write_mlflow(one: report_run.Run, found: Sequence[Scalar], out: pathlib.Path) -> None:
    run_id = hashlib.sha256(str(one.folder.resolve()).encode()).hexdigest()[:32]
    folder = out / EXPERIMENT / run_id
    experiment = out / EXPERIMENT / "meta.yaml"
    if not experiment.exists():
        times = {"creation_time": round(1000 * begin_of(one.folder, found))}
        run.write_file(experiment, mlflow_meta({
            "artifact_location": experiment.parent.resolve().as_uri(), "experiment_id": EXPERIMENT, "name": "Default",
            "lifecycle_stage": "active", "last_update_time": times["creation_time"], **times}))
    for path, text in mlflow_run(one, found, run_id, folder).items():
        run.write_file(folder / path, text)
    (folder / "artifacts").mkdir(exist_ok=True)


def main(name: str, arguments: Sequence[str]) -> int:
    options = parse(name, arguments)
    report_run.refuse_other_folder(options.run)
    found = read(options.run)
    if options.format == "csv":
        if options.out in (None, "-"):
            sys.stdout.write(csv_text(found))
        else:
            run.write_file(pathlib.Path(options.out), csv_text(found))
        return 0
    if options.out == "-":
        raise Failure(f"--out -: {options.format} is a folder", USAGE)
    out = pathlib.Path(options.out or {"tensorboard": "tensorboard", "mlflow": "mlruns"}[options.format])
    write = {"tensorboard": write_tensorboard, "mlflow": write_mlflow}[options.format]
    write(report_run.read_run(options.run, options.run.resolve().name), found, out)
    say(f"{out}: {len(found)} numbers")
    return 0
