"""What the folder of a run says: settings, log, and what other commands left beside them.

    settings.yaml, log.jsonl     of `llminit train`; either may be missing in a run that failed early, or be cut off
    output.txt                   the log on stderr, as the studies keep it
    *.json                       the output of `evaluate --json`, of `spectrum --json`, or a profile: by what is in it

Everything is read and checked here: a field of another type than llminit writes is a Failure that names the file. What
an older version does not write is None or empty.
"""
from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import pathlib
import re
from typing import Any, Dict, Iterator, Optional, Sequence

from . import program, run
from .program import FORMAT, IO, Failure

Metrics = Dict[str, float]
UNKNOWN = "-"
CANDIDATES = ("all", "warm", "cold")  # of an evaluation where the dataset marks cold items
MEMORY = ("held", "allocated", "resident")  # of a profile: least, mean and most of the ranks


@dataclasses.dataclass
class Evaluation:
    """The metrics of a part; where the dataset marks cold items, or groups were asked for, those too."""

    name: str  # "log", or that of the file and of the part in it
    split: str
    metrics: Metrics
    candidates: dict[str, Metrics] = dataclasses.field(default_factory=dict)  # by which items are ranked
    hits: Metrics = dataclasses.field(default_factory=dict)  # warm_hit@10, ...
    groups: dict[str, dict[str, Metrics]] = dataclasses.field(default_factory=dict)
    catalogue: Metrics = dataclasses.field(default_factory=dict)
    map: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Phase:
    """Sums over the calls of train that the log has: the mean over the ranks, and the most of one rank."""

    seconds: float = 0
    most: float = 0
    mpi: float = 0
    bytes: float = 0
    messages: float = 0
    files: float = 0  # seconds
    read: float = 0
    written: float = 0


@dataclasses.dataclass
class Run:
    name: str
    folder: pathlib.Path
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    yaml: str = ""  # the text of settings.yaml
    starts: list[dict[str, Any]] = dataclasses.field(default_factory=list)  # one for each call of train
    ends: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    is_ended: bool = False  # the last event is an end
    loss: dict[int, float] = dataclasses.field(default_factory=dict)
    rate: dict[int, float] = dataclasses.field(default_factory=dict)  # samples a second
    valid: dict[int, Metrics] = dataclasses.field(default_factory=dict)
    best: Optional[int] = None  # epoch of the best valid metric
    spectra: dict[int, dict[str, tuple[Metrics, Metrics]]] = dataclasses.field(default_factory=dict)  # as spectrum_of()
    solve: Metrics = dataclasses.field(default_factory=dict)  # seconds of a closed form
    seconds: float = 0
    phases: dict[str, Phase] = dataclasses.field(default_factory=dict)
    profile: dict[str, Any] = dataclasses.field(default_factory=dict)  # what else the profile of the last call says
    evaluations: list[Evaluation] = dataclasses.field(default_factory=list)  # that of the log first
    singular: dict[str, list[float]] = dataclasses.field(default_factory=dict)  # {table: singular values}
    output: str = ""

    def model(self) -> str:
        return self.settings.get("model", UNKNOWN)

    def is_closed(self) -> bool:
        return bool(self.solve)

    def start(self) -> str:
        """Where the tables started."""
        if self.starts and self.starts[0].get("from"):
            return "another run"
        chosen = self.settings.get("emb_selection", UNKNOWN)
        return UNKNOWN if self.is_closed() else "noise" if chosen == "False" else chosen

    def epochs(self) -> int:
        return max([*self.loss, *self.valid], default=0) if not self.is_closed() else 0

    def test(self) -> Metrics:
        return next((one.metrics for one in self.evaluations if one.split == "test"), {})

    def error(self) -> str:
        return program.error_in(self.output)

    def state(self) -> str:
        """How the run ended, in words."""
        if self.is_ended:
            why = str(self.ends[-1]["why"])
            return f"stopped: {why}" if why in run.UNFINISHED else why
        if self.error():
            return "failed"
        return "at work, or cut off" if self.starts else "no log"


# ---- The log ---------------------------------------------------------------------------------------------------------


def numbers(found: dict[str, Any]) -> Metrics:
    """The numbers of an object, without its other fields."""
    return {name: float(value) for name, value in found.items() if isinstance(value, (int, float))}


def add_profile(phases: dict[str, Phase], found: dict[str, Any]) -> None:
    for name, use in found.items():
        phase = phases.setdefault(name, Phase())
        phase.seconds += use["seconds"][1]
        phase.most += use["seconds"][2]
        phase.mpi += use["mpi_seconds"][1]
        phase.bytes += use["bytes"][1]
        phase.messages += use["messages"][1]
        if "file_seconds" in use:  # since 0.2.0
            phase.files += use["file_seconds"][1]
            phase.read += use["read_bytes"][1]
            phase.written += use["written_bytes"][1]


def evaluation_of(name: str, split: str, metrics: dict[str, Any], beside: dict[str, Any]) -> Evaluation:
    groups = {kind: {group: numbers(values) for group, values in parts.items()}
              for kind, parts in beside.get("groups", {}).items()}
    cold = beside.get("cold", {})
    tables = {key: numbers(cold[key]) for key in CANDIDATES if key in cold}
    catalogue = numbers(beside.get("catalogue", {}))
    return Evaluation(name, split, numbers(metrics), tables, numbers(cold), groups, catalogue,
                      map_of(beside.get("map") or {}))


def map_of(found: dict[str, Any]) -> dict[str, Any]:
    """A map of cold items; empty if there is none."""
    return {"kind": str(found["kind"]), **{name: float(found[name]) for name in ("parameter", "gain")}} if found else {}


def check_start(event: dict[str, Any]) -> None:
    """Of a start, which is shown as it is, the fields that are looked into."""
    float(event.get("predicted_step_bytes", {}).get("total", 0))
    dict(event.get("build", {}))
    float(event.get("predicted_held", 0))


def profile_of(event: dict[str, Any]) -> dict[str, Any]:
    """A profile without its phases."""
    memory = {key: [float(one) for one in event[key]] for key in MEMORY if event.get(key)}
    return {**{key: content for key, content in event.items() if key not in ("event", "phases", *MEMORY)}, **memory}


def spectrum_of(tables: dict[str, Any]) -> dict[str, tuple[Metrics, Metrics]]:
    """{table: (measures, shares)}"""
    found = {name: (numbers(measures), numbers(measures.get("shares", {}))) for name, measures in tables.items()}
    for measures, _ in found.values():
        float(measures["effective_rank"])
    return found


def take_event(found: Run, event: dict[str, Any]) -> None:
    """Add an event of the log to what is known of its run."""
    kind, epoch = event["event"], int(event.get("epoch", 0))
    if kind == "start":
        check_start(event)
        found.starts.append(event)
    elif kind == "epoch":
        found.loss[epoch] = float(event["loss"])
        found.rate[epoch] = float(event.get("samples_per_second", 0))
        found.seconds += float(event["seconds"])
    elif kind == "solve":
        found.solve = numbers(event)
        found.seconds += found.solve["seconds"]
    elif kind == "valid":
        found.valid[epoch] = numbers(event["metrics"])
        found.best = epoch if event["best"] else found.best
    elif kind == "test":
        found.evaluations = [evaluation_of("log", "test", event["metrics"], event)]
    elif kind == "spectrum":
        found.spectra[epoch] = spectrum_of(event["tables"])
    elif kind == "profile":
        add_profile(found.phases, event["phases"])
        found.profile = profile_of(event)
    elif kind == "end":
        found.ends.append(event)
        found.seconds = float(event["seconds"])
        str(event["why"])


def read_events(found: Run) -> None:
    path = found.folder / "log.jsonl"
    event: dict[str, Any] = {}
    last_map = None
    try:
        for event in run.read_log(found.folder):
            last_map = event["map"] if event["event"] == "map" else last_map
            take_event(found, event)
            found.is_ended = event["event"] == "end"
        if last_map and found.evaluations:
            found.evaluations[0].map = map_of(last_map)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        kind = event.get("event", "without a name") if isinstance(event, dict) else "that is no object"
        raise Failure(f"{path}: an event {kind} is not as llminit writes it ({error!r})", FORMAT) from None


# ---- Other files -----------------------------------------------------------------------------------------------------


def text_of(path: pathlib.Path) -> str:
    """The text of a file that may be missing."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def evaluations_of(name: str, found: dict[str, Any]) -> Iterator[Evaluation]:
    """Of the output of evaluate --json: its parts, perhaps with and without the history masked."""
    for part, metrics in found.items():
        split, _, protocol = part.partition("_")
        if split in ("test", "valid") and isinstance(metrics, dict):
            suffix = f"_{protocol}" if protocol else ""
            beside = {key: found.get(key + suffix) or {} for key in ("groups", "cold", "catalogue")}
            words = [name, *([split] if split != "test" else []), *([protocol] if protocol else [])]
            yield evaluation_of(" ".join(words), split, metrics, {**beside, "map": found.get("map")})


def is_same(one: Evaluation, other: Evaluation) -> bool:
    """Do two evaluations of a run have the same metrics?"""
    shared = set(one.metrics) & set(other.metrics)
    return one.split == other.split and bool(shared) and all(
        math.isclose(one.metrics[name], other.metrics[name], rel_tol=1e-9) for name in shared)


def add_evaluation(found: Run, more: Evaluation) -> None:
    """An evaluation that the run has already, as the log's, is not there twice, but may say more."""
    for one in found.evaluations:
        if is_same(one, more):
            one.metrics = {**more.metrics, **one.metrics}
            one.groups, one.catalogue = more.groups or one.groups, more.catalogue or one.catalogue
            one.candidates, one.hits = more.candidates or one.candidates, more.hits or one.hits
            one.map = more.map or one.map
            return
    found.evaluations.append(more)


def read_json(found: Run, path: pathlib.Path) -> bool:
    """Take what is known of a JSON file; whether anything is."""
    value = json.loads(text_of(path))
    if not isinstance(value, dict):
        return False
    evaluations = list(evaluations_of(path.name, value))
    for one in evaluations:
        add_evaluation(found, one)
    tables = value["tables"] if isinstance(value.get("tables"), list) else []
    found.singular.update({one["table"]: [float(number) for number in one["singular_values"]] for one in tables})
    return bool(evaluations or tables or "per_rank" in value)


def read_beside(found: Run) -> None:
    for path in sorted(found.folder.glob("*.json")):
        try:
            if not read_json(found, path):
                program.say(f"{path}: is left out: it is no output of evaluate, spectrum or train")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Failure(f"{path}: is not as llminit writes it ({error!r})", FORMAT) from None


def refuse_other_folder(folder: pathlib.Path) -> None:
    """Failure if the folder is no run."""
    if not folder.is_dir():
        raise Failure(f"{folder}: {'is a file, not the folder of a run' if folder.exists() else 'no such folder'}", IO)
    if any((folder / name).is_file() for name in ("log.jsonl", "settings.yaml", "output.txt")):
        return
    inside = any(folder.glob("*/log.jsonl"))
    hint = f": runs are in it, give {folder}/*/" if inside else ": is it a run?"
    raise Failure(f"{folder}: neither log.jsonl nor settings.yaml is in it{hint}", IO)


def read_run(folder: pathlib.Path, name: str) -> Run:
    refuse_other_folder(folder)
    found = Run(name, folder, yaml=text_of(folder / "settings.yaml"), output=text_of(folder / "output.txt"))
    try:
        found.settings = {key: run.written(value) for key, value in program.read_settings(found.yaml).items()}
    except (program.yaml.YAMLError, AttributeError, TypeError):
        raise Failure(f"{folder}/settings.yaml: is not as llminit writes it", FORMAT) from None
    read_events(found)
    read_beside(found)
    return found


# ---- Of several runs -------------------------------------------------------------------------------------------------


def environment_lines(found: Run) -> list[str]:
    """What the program says of its environment in the run's output, each line once."""
    lines = re.findall(r"^llminit: ((?:environment|warning): .*)$", found.output, re.M)
    return list(dict.fromkeys(lines))


def datasets(runs: Sequence[Run]) -> set[str]:
    """Digests of the datasets that runs were trained on, as far as they say."""
    return {str(run.starts[-1]["dataset"]) for run in runs if run.starts and "dataset" in run.starts[-1]}


def names_in_order(groups: Sequence[Sequence[str]]) -> list[str]:
    """All names, in the order in which they come."""
    return list(dict.fromkeys(name for names in groups for name in names))
