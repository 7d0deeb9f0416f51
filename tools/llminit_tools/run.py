"""Training runs that are started, stopped and resumed: their locks and signals, and the files in a run's folder."""
from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import time
from typing import IO, Any, Iterator, Optional, Sequence, Union

from . import program
from .program import Failure, Program, Word

UNFINISHED = ("signal", "time limit")  # the `why` of a run that ended but can be resumed
LOCK_PATIENCE = 10  # seconds; a training whose study was killed takes about two to end
REPEAT_SIGNAL = 2  # seconds; mpirun may lose a signal while it starts


# ---- The folder of a run ---------------------------------------------------------------------------------------------


def read_log(folder: pathlib.Path) -> list[dict[str, Any]]:
    """The events of log.jsonl. A line that a kill cut off is ignored."""
    events = []
    with contextlib.suppress(FileNotFoundError):
        for line in (folder / "log.jsonl").read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                events.append(json.loads(line))
    return events


def is_finished(events: Sequence[dict[str, Any]]) -> bool:
    return bool(events) and events[-1]["event"] == "end" and events[-1]["why"] not in UNFINISHED


def cpu_seconds_of(events: Sequence[dict[str, Any]]) -> Optional[float]:
    """Of all ranks and threads, over the calls that ended by themselves; None of a program that did not count them."""
    total, ranks = 0.0, 1
    for event in events:
        if event["event"] == "start":
            ranks = event["ranks"]
        elif event["event"] == "profile":
            total += ranks * event.get("cpu_seconds", [0, 0, 0])[1]
    return total or None


def memory_of(events: Sequence[dict[str, Any]]) -> Optional[float]:
    """Bytes of the largest rank, with libraries."""
    return max((event["resident"][-1] for event in events if event["event"] == "profile"), default=None)


def written(value: Any) -> str:
    """A setting's value as YAML has it on one line."""
    return f"[{', '.join(value)}]" if isinstance(value, list) else value


def refuse_other_run(folder: pathlib.Path, settings: dict[str, Any], digest: str, machine: set[str]) -> None:
    """Failure if the folder has a run of other settings or data. `machine`: settings that change no result."""
    events = read_log(folder)
    if not (folder / "latest.h5").exists() and not is_finished(events):
        return  # there is nothing to resume from
    advice = f"choose another --out, or remove {folder}"
    starts = [event for event in events if event["event"] == "start"]
    if starts and starts[-1]["dataset"] != digest:
        raise Failure(f"{folder.name} was trained on other data: {advice}")
    with contextlib.suppress(FileNotFoundError):
        before = program.read_settings((folder / "settings.yaml").read_text(encoding="utf-8", errors="replace"))
        for name, value in settings.items():
            if name not in machine and before.get(name, value) != value:
                raise Failure(f"{folder.name} has {name}: {written(before[name])}, not {written(value)}: {advice}")


def write_file(path: pathlib.Path, content: Union[str, bytes]) -> None:
    """Write a file completely or not at all, and make the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(temporary, path)


class Busy(Failure):
    """A lock that another study holds."""


@contextlib.contextmanager
def locked(path: pathlib.Path, kind: int = fcntl.LOCK_EX, patience: Optional[float] = None) -> Iterator[int]:
    """Hold the lock `path`; gives its descriptor. Trainings inherit it: one that outlives its study is waited for.
    `patience`: seconds, LOCK_PATIENCE unless given; then it fails with Busy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="ascii") as lock:
        end = time.monotonic() + (LOCK_PATIENCE if patience is None else patience)
        while True:
            try:
                fcntl.flock(lock, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise Busy(f"{path.parent}: another study is at work in this folder") from None
            time.sleep(0.1)
        yield lock.fileno()


# ---- Trainings -------------------------------------------------------------------------------------------------------


class Stop:
    """Counts signals that ask the study to stop, and passes them to the training in progress."""

    def __init__(self) -> None:
        self.count = 0
        self.training: Optional[subprocess.Popen[Any]] = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, self.on_signal)

    def on_signal(self, *_: object) -> None:
        self.count += 1
        self.forward()

    def forward(self) -> None:
        """mpirun passes SIGUSR1 to the ranks, which write a checkpoint; SIGTERM makes it kill them."""
        if self.count and self.training:
            self.training.send_signal(signal.SIGUSR1 if self.count == 1 else signal.SIGTERM)

    def wait_for(self, training: subprocess.Popen[Any]) -> int:
        """The exit status of a training."""
        self.training = training
        try:
            self.forward()
            while True:
                try:
                    return training.wait(REPEAT_SIGNAL)
                except subprocess.TimeoutExpired:
                    self.forward()
        finally:
            self.training = None


def train(
    llminit: Program, launch: Sequence[Word], arguments: Sequence[Word], output: IO[bytes], stop: Stop, lock: int
) -> int:
    """Run `launch llminit train arguments`; its output goes to a file. The exit status.

    setpriv makes the kernel end mpirun with this study, however the study ends. A training that was stopped with a
    checkpoint also stops the study.
    """
    training = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", *launch, llminit.path, "train", *arguments],
        env=llminit.env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=(lock,),
    )
    status = stop.wait_for(training)
    if status == program.STOPPED:
        stop.count = stop.count or 1
    return status
