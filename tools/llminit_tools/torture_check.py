"""What tools/torture tries: commands on a small dataset, and what is right after a fault.

The program ends with the exit status of the fault's kind and one line, or unharmed with the result of an undisturbed
run. No file that it read is changed; under the name of a result there is nothing, what was there before, or a complete
file. Only a process that was killed leaves anything else behind. The same command, tried again, then comes to the
result of an undisturbed run: a training resumes, and logs no epoch twice.
"""
from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import random
from typing import Iterator, Optional

from . import run
from .program import Failure
from .torture_attempt import PARTS, Fault, Ran, Runner, copy_folder, empty_folders, files_in, flip_bit, same_file

SETTINGS = """
embedding_size: 32
emb_selection: var
epochs: 3
eval_step: 1
valid_metric: NDCG@10
learning_rate: 0.05
checkpoint_interval: 0
train_batch_size: 64
n_layers: 2
"""
N_USERS, N_ITEMS, DIM = 40, 30, 32


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A command in a folder with copies of `inputs`; a name that ends with / is a new folder."""

    arguments: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...] = ()  # names of which each has a complete file, or none
    again: str = ""  # more arguments when it is tried again



RUN = ("run/settings.yaml", "run/latest.h5", "run/best.h5", "run/better.h5", "run/log.jsonl")
TABLES = tuple(f"out/{name}" for name in ("users.npy", "items.npy", "users.txt", "items.txt"))
PREPARE = "prepare --inter small.inter --item small.item --set embedding_field=vector --set split=RS --out out/data.h5"
SCENARIOS = {
    "prepare": Scenario(PREPARE, ("small.inter", "small.item"), ("out/data.h5",)),
    "synthesize": Scenario("synthesize --out out/data.h5 --set n_users=50 --set n_items=40 --set n_interactions=300 "
                           "--set embedding_dim=8 --set n_clusters=4", ("out/",), ("out/data.h5",)),
    "select": Scenario("select data.h5 --settings s.yaml --out out/select.h5 --json", ("data.h5", "s.yaml", "out/"),
                       ("out/select.h5",)),
    "train": Scenario("train s.yaml --data data.h5 --out run", ("data.h5", "s.yaml"), RUN, "--resume auto"),
    "resume": Scenario("train s.yaml --data data.h5 --out run --resume auto", ("data.h5", "s.yaml", "run"), RUN),
    "evaluate": Scenario("evaluate run/best.h5 --data data.h5 --json", ("data.h5", "run/best.h5")),
    "recommend": Scenario("recommend run/best.h5 --data data.h5 --users users.txt --out out/list.tsv",
                          ("data.h5", "run/best.h5", "users.txt"), ("out/list.tsv",)),
    "export": Scenario("export run/best.h5 --data data.h5 --out out", ("data.h5", "run/best.h5"), TABLES),
    "info": Scenario("info run/latest.h5 --json", ("run/latest.h5",)),
    "info-data": Scenario("info data.h5", ("data.h5",)),
    "spectrum": Scenario("spectrum run/best.h5 --data data.h5 --json", ("data.h5", "run/best.h5")),
}
CALLS = {  # what is done to which calls; + for all later ones too
    **dict.fromkeys(("open", "get", "close", "unlink", "lock", "stat", "resize"), ("EIO", "EIO+", "kill")),
    **dict.fromkeys(("sync", "reserve", "rename", "mkdir", "put"), ("EIO", "EIO+", "ENOSPC", "ENOSPC+", "kill")),
    "read": ("EIO", "EIO+", "EINTR", "short", "short+", "kill"),
    "write": ("EIO", "EIO+", "ENOSPC", "ENOSPC+", "EINTR", "short", "short+", "kill"),
    "allocate": ("ENOMEM", "ENOMEM+"),
}
STATUS = {"EIO": 4, "ENOSPC": 4, "ENOMEM": 5, "flip": 3}  # a fault that is not listed must do no harm
DELAYS = 1000  # seeds


def write_problem(folder: pathlib.Path) -> None:
    """small.inter, small.item, users.txt and s.yaml of pseudo-random numbers."""
    draw = random.Random(2020)
    pairs = [f"u{u}\ti{int(draw.random() * draw.random() * N_ITEMS)}" for u in range(N_USERS)
             for _ in range(draw.randrange(4, 20))]
    (folder / "small.inter").write_text("\n".join(["user_id:token\titem_id:token", *pairs, ""]))
    items = [f"i{i}\ttitle of {i}\t{' '.join(f'{draw.uniform(-1, 1):.3f}' for _ in range(DIM))}"
             for i in range(N_ITEMS)]
    (folder / "small.item").write_text("\n".join(["item_id:token\ttitle:token_seq\tvector:float_seq", *items, ""]))
    (folder / "users.txt").write_text("".join(f"u{u}\n" for u in range(0, N_USERS, 2)))
    (folder / "s.yaml").write_text(SETTINGS)


def epochs_in(folder: pathlib.Path) -> list[int]:
    return [event["epoch"] for event in run.read_log(folder) if event["event"] == "epoch"]


@dataclasses.dataclass
class Base:
    """Inputs of all scenarios, the results of undisturbed runs, and the numbers of calls in these."""

    folder: pathlib.Path  # inputs of all scenarios
    runner: Runner
    stdout: dict[str, bytes]
    counts: dict[tuple[str, int], list[dict[str, int]]]  # of (scenario, ranks): of each rank by kind

    def after(self, scenario: str) -> pathlib.Path:
        """The folder of an undisturbed run of a scenario, as it left it."""
        return self.folder.with_name(f"after-{scenario}")

    def call(self, scratch: pathlib.Path, arguments: str, ranks: int = 1) -> Ran:
        ran = self.runner.run(scratch, arguments.split(), ranks, None)
        if ran.status != 0:
            raise Failure(f"llminit {arguments}: {'; '.join(ran.errors()) or ran.stderr}", 1)
        return ran


def make_base(work: pathlib.Path, runner: Runner, scenarios: list[str]) -> Base:
    """The files that the scenarios read: a dataset, and a run that was stopped after its first epoch."""
    scratch = work / "base"
    folder = scratch / "work"
    folder.mkdir(parents=True)
    base = Base(folder, runner, {}, {})
    write_problem(folder)
    base.call(scratch, PREPARE)
    os.rename(folder / "out/data.h5", folder / "data.h5")
    base.call(scratch, "train s.yaml --data data.h5 --out run --set epochs=1")
    for name in scenarios:
        for ranks in (1, 2):
            observe(work, base, name, ranks)
    return base


def observe(work: pathlib.Path, base: Base, name: str, ranks: int) -> None:
    """Run a scenario without a fault. Failure if two ranks do not come to the result of one."""
    scenario, scratch = SCENARIOS[name], work / f"observe-{name}-{ranks}"
    scratch.mkdir()
    copy_folder(base.folder, scratch / "work", scenario.inputs)
    ran = base.call(scratch, scenario.arguments, ranks)
    base.counts[name, ranks] = ran.counts
    if ranks == 1:
        base.stdout[name] = normal(name, ran.stdout)
        os.rename(scratch / "work", base.after(name))
        return
    wrong = problems_of_result(base, name, scratch / "work", ran)
    if wrong:
        raise Failure(f"{name}, undisturbed: {wrong[0]} on two ranks", 1)


def faults_of(base: Base, name: str, seed: int) -> Iterator[Fault]:
    """All faults of a scenario; none of a kind of which there is no call."""
    for ranks in (1, 2):
        for rank, counts in enumerate(base.counts[name, ranks]):
            for call, whats in CALLS.items():
                for what in whats:
                    for at in range(1, counts.get(call, 0) + 1):
                        yield Fault(name, ranks, rank, call, what, at)
    for path in SCENARIOS[name].inputs:
        for file in ([path] if path.endswith(".h5") else ["run/latest.h5", "run/best.h5"] if path == "run" else []):
            for part in range(1, PARTS + 1):
                yield Fault(name, 1, 0, "flip", pathlib.PurePath(file).name, part)
    for at in range(DELAYS):
        yield Fault(name, 2, 0, "delay", "mpi", seed * DELAYS + at + 1)


# ---- One attempt -----------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Outcome:
    fault: Fault
    struck: bool  # the call was reached
    hung: bool
    wrong: list[str]  # what was wrong, in words
    stderr: str


def attempt(base: Base, fault: Fault, scratch: pathlib.Path) -> Outcome:
    """Try a fault in a new folder; what is left stays there, with a script that tries it again."""
    scenario = SCENARIOS[fault.scenario]
    folder = scratch / "work"
    scratch.mkdir()
    copy_folder(base.folder, scratch / "before", scenario.inputs)
    if fault.call == "flip":
        flipped = next(scratch.glob(f"before/**/{fault.what}"))
        flip_bit(flipped, fault.at, random.Random(str(fault)))
    copy_folder(scratch / "before", folder, scenario.inputs)
    arguments = scenario.arguments.split()
    (scratch / "run.sh").write_text(base.runner.script(scratch, arguments, fault))
    ran = base.runner.run(scratch, arguments, fault.ranks, fault)
    struck = bool(ran.struck) or fault.call in ("flip", "delay")
    wrong = problems_of_end(fault, ran, struck)
    if ran.status == 0:
        allowed = {f"{file} is left" for file in files_in(folder)} if fault.call == "unlink" else set()
        if fault.call == "flip":
            allowed |= flipped_input(scenario, scratch, flipped.relative_to(scratch / "before"))
        wrong += [text for text in problems_of_result(base, fault.scenario, folder, ran) if text not in allowed]
    else:
        wrong += problems_of_left(base, fault, folder, scratch / "before")
    if ran.status not in (0, None) and fault.call != "flip":
        again = base.runner.run(scratch, [*arguments, *scenario.again.split()], fault.ranks, None)
        wrong += [f"tried again: {text}" for text in problems_of_again(base, fault, folder, again)]
    return Outcome(fault, struck, ran.status is None, wrong, ran.stderr)


def flipped_input(scenario: Scenario, scratch: pathlib.Path, file: pathlib.Path) -> set[str]:
    """The one difference from an undisturbed run that is right: a file that is only read stays as it was flipped."""
    stays = same_file(scratch / "before" / file, scratch / "work" / file)
    return {f"{file} differs"} if str(file) not in scenario.outputs and stays else set()


def problems_of_end(fault: Fault, ran: Ran, struck: bool) -> list[str]:
    """Exit status and lines of a command."""
    if ran.status is None:
        return ["hangs"]
    if fault.what == "kill" and struck:
        return [] if ran.status != 0 else ["exit status 0 of a process that was killed"]
    status = STATUS.get("flip" if fault.call == "flip" else fault.what.rstrip("+")) if struck else None
    wrong = []
    if ran.status not in (0, status):
        wrong.append(f"exit status {ran.status}, not 0{f' or {status}' if status else ''}")
    if set(ran.exits) - {ran.status}:
        wrong.append(f"exit status {ran.status}, but of the ranks {ran.exits}")
    errors = ran.errors()
    if len(errors) != (ran.status != 0):
        wrong.append(f"{len(errors)} lines of error")
    if any("Success" in line for line in errors):
        wrong.append(f"an error without a cause: {errors[0]}")
    return wrong


def normal(name: str, stdout: bytes) -> bytes:
    """A result on stdout, without what differs from run to run."""
    if name in ("train", "resume", "prepare", "synthesize"):  # with seconds; their result is a file
        return b""
    if name == "evaluate" and stdout:
        with_seconds = json.loads(stdout)
        return json.dumps({key: value for key, value in with_seconds.items() if key != "seconds"}).encode()
    return stdout


def problems_of_result(base: Base, name: str, folder: pathlib.Path, ran: Ran) -> list[str]:
    """What differs from an undisturbed run."""
    after = base.after(name)
    wrong = []
    for file in sorted(files_in(after) | files_in(folder)):
        if not (folder / file).exists():
            wrong.append(f"{file} is missing")
        elif not (after / file).exists():
            wrong.append(f"{file} is left")
        elif file == "run/log.jsonl":
            wrong += problems_of_log(folder / "run", epochs_in(after / "run"), ran)
        elif not same_file(after / file, folder / file):
            wrong.append(f"{file} differs")
    try:
        same_stdout = normal(name, ran.stdout) == base.stdout.get(name, normal(name, ran.stdout))
    except json.JSONDecodeError:
        same_stdout = False
    return wrong if same_stdout else [*wrong, "stdout differs"]


def problems_of_log(folder: pathlib.Path, expected: list[int], ran: Ran) -> list[str]:
    """A log that could not be written, as a warning says, may lack the rest."""
    epochs = epochs_in(folder)
    if "warning: log.jsonl" in ran.stderr and len(set(epochs)) == len(epochs):
        return []
    return [] if epochs == expected else [f"run/log.jsonl has the epochs {epochs}"]


def problems_of_left(base: Base, fault: Fault, folder: pathlib.Path, before: pathlib.Path) -> list[str]:
    """What is left by a command that failed."""
    scenario, after = SCENARIOS[fault.scenario], base.after(fault.scenario)
    may_leave = fault.what == "kill" or fault.call == "unlink"
    wrong = []
    for file in sorted(files_in(folder)):
        path = folder / file
        if (before / file).exists() and same_file(before / file, path):
            continue
        if file not in scenario.outputs:
            if (before / file).exists():
                wrong.append(f"{file} was changed")
            elif not may_leave:
                wrong.append(f"{file} is left")
        elif file == "run/log.jsonl":
            continue
        elif path.parent.name == "run" and path.suffix == ".h5":
            wrong += problems_of_checkpoint(base, path)
        elif not same_file(after / file, path):
            wrong.append(f"{file} is neither absent nor complete")
    if not may_leave:
        wrong += [f"the empty folder {name} is left" for name in sorted(empty_folders(folder) - empty_folders(before))]
    return wrong + [f"{file} is gone" for file in sorted(files_in(before)) if not (folder / file).exists()]


def problems_of_checkpoint(base: Base, path: pathlib.Path) -> list[str]:
    """One of a run that did not come to its end. That its content is right, the resumed run shows."""
    ran = base.runner.run(path.parent.parent.parent, ["info", path.relative_to(path.parent.parent)], 1, None)
    return [] if ran.status == 0 else [f"run/{path.name} is not complete: {'; '.join(ran.errors())}"]


def problems_of_again(base: Base, fault: Fault, folder: pathlib.Path, ran: Optional[Ran]) -> list[str]:
    """Of a second try, without a fault."""
    assert ran
    if ran.status is None:
        return ["hangs"]
    if ran.status != 0:
        return [f"exit status {ran.status}: {'; '.join(ran.errors())}"]
    return problems_of_result(base, fault.scenario, folder, ran)
