"""What tools/compare and tools/scaling_study share: trainings that are started, stopped and gone on with, and what they leave.

`options` are a command's: with `program`, what is run, and `environment`, which it is run in.
"""
import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
USAGE, FAILED, STOPPED = 2, 1, 75  # exit status
UNFINISHED = ("signal", "time limit")  # why a run ended that can go on
WAIT_FOR_LOCK = 10  # seconds: a training whose command was killed needs about two to end
REPEAT_SIGNAL = 2  # seconds: mpirun may lose a signal while it starts


class Failure(Exception):
    """One line for the user, and the exit status."""

    def __init__(self, message, status=USAGE):
        super().__init__(message)
        self.status = status


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Failure(f"{message} (--help says more)")


# ---- Options ---------------------------------------------------------------------------------------------------------


def positive(text):
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def environment(launch, threads):
    """Of all that is run: tools/mpi.env where the caller has nothing else, and the threads; as it is for --launch."""
    lines = [] if launch else (ROOT / "tools/mpi.env").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]", line))
    values.update(os.environ)
    values.pop("LLMINIT_PROGRESS", None)  # a bar does not belong into output.txt
    values["OMP_NUM_THREADS"] = str(threads)
    return values


def program_of(build):
    program = build.resolve() / "llminit"
    if not program.exists():
        raise Failure(f"{program} is not there: build it, or give --build")
    return program


def settings_file(options):
    return [options.settings] if options.settings else []


# ---- The program, and what it leaves ---------------------------------------------------------------------------------


def run_alone(options, *command):
    """Run on one rank, without mpirun and, which is three times as fast, its daemon. Programs that run so think that they have the
    session folder for themselves. Not in our process group: Ctrl-C is not for it."""
    with tempfile.TemporaryDirectory() as sessions:
        alone = {"OMPI_MCA_ess_singleton_isolated": "1", "OMPI_MCA_orte_tmpdir_base": sessions}
        return subprocess.run(
            command, env={**options.environment, **alone}, capture_output=True, text=True,
            start_new_session=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip


def ask(options, *arguments):
    """What the program prints; Failure with its own line."""
    done = run_alone(options, options.program, *arguments, "--quiet")
    if done.returncode != 0:
        raise Failure(own_error(done.stderr) or f"llminit {arguments[0]} ends with {done.returncode}", done.returncode)
    return done.stdout


def own_error(text):
    """The line in which the program, or else mpirun, says what went wrong; "" if neither does."""
    found = re.findall(r"^llminit: error: (.*)$", text, re.M) or re.findall(r"^mpirun noticed .*$", text, re.M)
    return found[-1].strip() if found else ""


def read_yaml(text):
    """{name: value} of settings as the program writes them, a line each. One that was cut off is not one."""
    return dict(line[:-1].split(": ", 1) for line in text.splitlines(keepends=True) if re.match(r"\w+: .*\n", line))


def read_log(folder):
    """The events of log.jsonl; a line that was cut off by a kill is none."""
    events = []
    with contextlib.suppress(FileNotFoundError):
        for line in (folder / "log.jsonl").read_text(errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                events.append(json.loads(line))
    return events


def is_finished(events):
    return bool(events) and events[-1]["event"] == "end" and events[-1]["why"] not in UNFINISHED


def refuse_other_run(folder, settings, digest, machine):
    """Failure if the folder has a run of other settings or data. `machine`: settings that change no result."""
    events = read_log(folder)
    if not (folder / "latest.h5").exists() and not is_finished(events):
        return  # nothing is there yet that training would go on from
    advice = f"choose another --out, or remove {folder}"
    starts = [event for event in events if event["event"] == "start"]
    if starts and starts[-1]["dataset"] != digest:
        raise Failure(f"{folder.name} was trained on other data: {advice}")
    with contextlib.suppress(FileNotFoundError):
        there = read_yaml((folder / "settings.yaml").read_text(errors="replace"))
        for name, asked in settings.items():
            if name not in machine and there.get(name, asked) != asked:
                raise Failure(f"{folder.name} has {name}: {there[name]}, now asked is {asked}: {advice}")


def machine_settings(options):
    """Names of those that change no result."""
    return [setting["name"] for setting in json.loads(ask(options, "settings", "--json"))["train"] if setting["machine"]]


# ---- Trainings -------------------------------------------------------------------------------------------------------


class Stop:
    """Asked by a signal to stop; the training under way, if there is one, is told so."""

    def __init__(self):
        self.count = 0
        self.training = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                signal.signal(number, self.on_signal)

    def on_signal(self, *_):
        self.count += 1
        self.tell()

    def tell(self):
        """mpirun hands SIGUSR1 to the ranks, which leave a checkpoint; SIGTERM makes it kill them."""
        if self.count and self.training:
            self.training.send_signal(signal.SIGUSR1 if self.count == 1 else signal.SIGTERM)

    def wait_for(self, training):
        """Its exit status."""
        self.training = training
        self.tell()
        while True:
            try:
                return training.wait(REPEAT_SIGNAL)
            except subprocess.TimeoutExpired:
                self.tell()


@contextlib.contextmanager
def locked(path, kind=fcntl.LOCK_EX):
    """Holding the lock, with its descriptor, which a training holds too: one that outlives us is waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="ascii") as lock:
        end = time.monotonic() + WAIT_FOR_LOCK
        while True:
            try:
                fcntl.flock(lock, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise Failure(f"{path.parent}: another one is at work in it") from None
            time.sleep(0.1)
        yield lock.fileno()


def write_file(path, text):
    """Whole, or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
