from __future__ import annotations

import os
import pathlib
import random
import subprocess
import time

import pytest

from llminit_tools import torture, torture_attempt, torture_check
from llminit_tools.program import Failure
from llminit_tools.torture_attempt import PARTS, Fault, Ran, Runner, read_fault
from llminit_tools.torture_check import Outcome

WRITE = Fault("train", 2, 1, "write", "EIO+", 17)
ERROR = "llminit: error: data.h5: cannot read (Input/output error)\n"


def ran(status: int | None, stderr: str = "", struck: bool = True, exits: list[int] | None = None) -> Ran:
    return Ran(status, stderr, b"", ["write data.h5"] * struck, [], [status] if exits is None else exits)


# ---- Faults ----


def test_a_fault_is_read_as_it_is_written():
    for fault in (WRITE, Fault("info-data", 1, 0, "flip", "data.h5", 64), Fault("train", 2, 0, "delay", "mpi", 1001)):
        assert read_fault(str(fault)) == fault
    with pytest.raises(Failure, match="is not a fault"):
        read_fault("train/write/17")


def test_the_environment_names_one_call_of_one_rank():
    assert WRITE.environment(pathlib.Path("/here")) == {
        "CF_FAULTS_FOLDER": "/here", "CF_FAULTS_RANK": "1", "CF_FAULTS_CALL": "write", "CF_FAULTS_AT": "17",
        "CF_FAULTS_WHAT": "EIO", "CF_FAULTS_LASTS": "1",
    }


def test_faults_take_turns_and_each_comes_once():
    faults = [Fault("info", 1, 0, call, "EIO", at) for call, n in (("read", 50), ("open", 3)) for at in range(n)]
    order = list(torture.in_turns(faults, 1))
    assert sorted(order) == sorted(faults)
    assert {fault.call for fault in order[:2]} == {"read", "open"}
    assert order == list(torture.in_turns(faults, 1)) != list(torture.in_turns(faults, 2))


def test_patterns_choose_faults():
    assert torture.selected([], WRITE)
    assert torture.selected(["info/*", "*/2.1/write/EIO*"], WRITE)
    assert not torture.selected(["*/1.0/*"], WRITE)


@pytest.mark.parametrize("size", [10, 1000])
def test_one_bit_is_flipped_in_its_part(tmp_path: pathlib.Path, size: int):
    path = tmp_path / "data.h5"
    for part in range(1, PARTS + 1):
        path.write_bytes(bytes(size))
        torture_attempt.flip_bit(path, part, random.Random(part))
        changed = [k for k, byte in enumerate(path.read_bytes()) if byte]
        assert len(changed) == 1 and bin(path.read_bytes()[changed[0]]).count("1") == 1
        assert size * (part - 1) // PARTS <= changed[0] <= size * part // PARTS


# ---- What is right ----


@pytest.mark.parametrize("call, what, how, wrong", [
    ("write", "EIO", ran(4, ERROR), []),
    ("write", "EIO+", ran(0), []),
    ("write", "ENOSPC", ran(4, ERROR + ERROR), ["2 lines of error"]),
    ("write", "EIO", ran(4), ["0 lines of error"]),
    ("read", "EIO", ran(3, ERROR), ["exit status 3, not 0 or 4"]),
    ("read", "short", ran(4, ERROR), ["exit status 4, not 0"]),
    ("read", "EIO", ran(4, ERROR, struck=False), ["exit status 4, not 0"]),
    ("read", "EIO", ran(4, ERROR, exits=[4, 3]), ["exit status 4, but of the ranks [4, 3]"]),
    ("write", "EIO", ran(None), ["hangs"]),
    ("write", "kill", ran(137, exits=[]), []),
    ("write", "kill", ran(0, exits=[]), ["exit status 0 of a process that was killed"]),
    ("allocate", "ENOMEM", ran(5, ERROR), []),
    ("flip", "data.h5", ran(3, ERROR), []),
    ("flip", "data.h5", ran(4, ERROR), ["exit status 4, not 0 or 3"]),
    ("write", "EIO", ran(4, "llminit: error: data.h5: cannot write (Success)\n"),
     ["an error without a cause: llminit: error: data.h5: cannot write (Success)"]),
])
def test_how_a_command_may_end(call: str, what: str, how: Ran, wrong: list[str]):
    struck = bool(how.struck) or call == "flip"
    assert torture_check.problems_of_end(Fault("info", 1, 0, call, what, 1), how, struck) == wrong


def left_by(tmp_path: pathlib.Path, fault: Fault, files: dict[str, str]) -> list[str]:
    """What is wrong with `files` where data.h5 was read and out/data.h5 should become "result"."""
    result = {"out/data.h5": "result"}
    for folder, content in (("before", {"small.inter": "data"}), ("after-prepare", result), ("work", files)):
        for name, text in content.items():
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_text(text)
    base = torture_check.Base(tmp_path / "base", Runner(pathlib.Path(), pathlib.Path(), {}), {}, {})
    return torture_check.problems_of_left(base, fault, tmp_path / "work", tmp_path / "before")


@pytest.mark.parametrize("files, wrong", [
    ({"small.inter": "data"}, []),
    ({"small.inter": "data", "out/data.h5": "result"}, []),
    ({"small.inter": "data", "out/data.h5": "res"}, ["out/data.h5 is neither absent nor complete"]),
    ({"small.inter": "other"}, ["small.inter was changed"]),
    ({}, ["small.inter is gone"]),
    ({"small.inter": "data", "out/data.h5.1.tmp": ""}, ["out/data.h5.1.tmp is left"]),
])
def test_what_a_command_that_failed_may_leave(tmp_path: pathlib.Path, files: dict[str, str], wrong: list[str]):
    (tmp_path / "work").mkdir()
    assert left_by(tmp_path, Fault("prepare", 1, 0, "write", "EIO", 1), files) == wrong


def test_a_process_that_was_killed_may_leave_a_temporary_file(tmp_path: pathlib.Path):
    files = {"small.inter": "data", "out/data.h5.1.tmp": ""}
    assert left_by(tmp_path, Fault("prepare", 1, 0, "write", "kill", 1), files) == []


@pytest.mark.parametrize("what, wrong", [("EIO", ["the empty folder out is left"]), ("kill", [])])
def test_only_a_process_that_was_killed_may_leave_an_empty_folder(tmp_path: pathlib.Path, what: str, wrong: list[str]):
    (tmp_path / "work/out").mkdir(parents=True)
    assert left_by(tmp_path, Fault("prepare", 1, 0, "write", what, 1), {"small.inter": "data"}) == wrong


def test_epochs_that_are_logged_twice_are_wrong(tmp_path: pathlib.Path):
    (tmp_path / "log.jsonl").write_text("".join(f'{{"event": "epoch", "epoch": {k}}}\n' for k in (1, 2, 2, 3)))
    assert torture_check.problems_of_log(tmp_path, [1, 2, 3], ran(0)) == ["run/log.jsonl has the epochs [1, 2, 2, 3]"]


def test_a_flipped_input_stays_as_it_was_flipped(tmp_path: pathlib.Path):
    evaluate, resume = (torture_check.SCENARIOS[name] for name in ("evaluate", "resume"))
    for name in ("before/data.h5", "work/data.h5", "before/run/best.h5", "work/run/best.h5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("flipped")
    data, best = pathlib.Path("data.h5"), pathlib.Path("run/best.h5")
    assert torture_check.flipped_input(evaluate, tmp_path, data) == {"data.h5 differs"}
    assert torture_check.flipped_input(resume, tmp_path, best) == set()  # a result of the run
    (tmp_path / "work/data.h5").write_text("other")
    assert torture_check.flipped_input(evaluate, tmp_path, data) == set()


# ---- Running ----


def test_a_report_is_read(tmp_path: pathlib.Path):
    (tmp_path / "report.0").write_text("fault read /a b/data.h5\ncount open 3\ncount read 7\nexit 4\n")
    found = Ran(4, "", b"", [], [], [])
    torture_attempt.read_report(tmp_path / "report.0", found)
    torture_attempt.read_report(tmp_path / "report.1", found)
    assert (found.struck, found.exits) == (["read /a b/data.h5"], [4])
    assert found.counts == [{"open": 3, "read": 7}, {}]


def test_all_processes_of_a_session_are_ended():
    with subprocess.Popen(["bash", "-c", "set -m; sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True,
                          start_new_session=True) as leader:
        assert leader.stdout
        child = int(leader.stdout.readline())
        torture_attempt.end_session(leader.pid)
        assert leader.wait(10) < 0
    end = time.monotonic() + 10
    while pathlib.Path(f"/proc/{child}").exists() and time.monotonic() < end:
        if (pathlib.Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]) == "Z":
            break
        time.sleep(0.01)
    else:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_the_script_of_a_fault_runs_in_any_folder():
    runner = Runner(pathlib.Path("/build/llminit"), pathlib.Path("/build/faults.so"), {})
    text = runner.script(pathlib.Path("/old"), ["info", "a b.h5"], WRITE)
    assert 'CF_FAULTS_FOLDER=$here/work"' in text and "'a b.h5'" in text and "/old" not in text
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


def test_counts_add_up():
    counts = {"write EIO": torture.Count(), "read kill": torture.Count()}
    counts["write EIO"].add(Outcome(WRITE, True, False, [], ""))
    counts["write EIO"].add(Outcome(WRITE, True, True, ["hangs"], ""))
    counts["read kill"].add(Outcome(WRITE, False, False, [], ""))
    lines = [line.split() for line in torture.report(counts).splitlines()]
    assert lines[0] == ["call", "fault", "tried", "struck", "right", "wrong", "hung"]
    assert lines[1:] == [["read", "kill", "1", "0", "1", "0", "0"], ["write", "EIO", "2", "2", "1", "1", "1"],
                         ["all", "3", "2", "2", "1", "1"]]
