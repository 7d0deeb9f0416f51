"""tools/study cold on the fake program: what is prepared, trained and evaluated, once; and what its tables say."""
from __future__ import annotations

import argparse
import csv
import math
import pathlib
import shutil
import struct

import pytest

from llminit_tools import bootstrap, cold, cold_data, cold_table, main, plot, run
from llminit_tools.program import STOPPED, USAGE, Failure

N, DIM = 5, 40


def write_npy(path: pathlib.Path, rows: list[list[float]], kind: str = "f4", magic: bytes = b"\x93NUMPY") -> None:
    header = f"{{'descr': '<{kind}', 'fortran_order': False, 'shape': ({len(rows)}, {len(rows[0])}), }}\n"
    numbers = b"".join(struct.pack(f"<{len(row)}{cold_data.TYPES[kind]}", *row) for row in rows)
    path.write_bytes(magic + b"\1\0" + len(header).to_bytes(2, "little") + header.encode() + numbers)


@pytest.fixture(autouse=True)
def calls(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """A function that lists what was prepared, trained and evaluated so far."""
    log = tmp_path / "calls"
    monkeypatch.setenv("FAKE_LOG", str(log))
    monkeypatch.setattr("signal.signal", lambda *_: None)  # signals are pytest's
    return lambda: log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def study(tmp_path: pathlib.Path, build: pathlib.Path):
    """Runs the command on the fake program; gives its exit status."""
    for name in ("a.inter", "a.item"):
        (tmp_path / name).touch()
    write_npy(tmp_path / "a.npy", [[float(i)] * DIM for i in range(N)])
    fixed = ["--inter", tmp_path / "a.inter", "--item", tmp_path / "a.item", "--embedding", tmp_path / "a.npy",
             "--out", tmp_path / "out", "--build", build, "--launch", "env"]

    def call(*arguments: object) -> int:
        return main.main(["tools/study", "cold", *map(str, [*fixed, *arguments])])

    return call


def rows(path: pathlib.Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def close(text: str, value: float) -> bool:
    return math.isclose(float(text), value, abs_tol=1e-12)


# ---- Runs ----


def test_a_model_is_trained_once_a_split_and_evaluated_once_a_map(study, calls, tmp_path, capsys):
    arguments = ("--models", "BPR,L3AE", "--starts", "var", "--split-seeds", "1,2")
    assert study(*arguments) == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "out/cold.txt").read_text()
    of_split = ["prepare:split-{0}:seed={0},cold_share=0.2", "BPR-var-{0}", "L3AE", "L3AE,cold_map=none"]
    others = [line for line in calls() if not line.startswith("evaluate")]
    assert others == [line.format(seed) for seed in (1, 2) for line in of_split]
    own = ["evaluate:{0}:cold_map=zero", "evaluate:{0}:test", "evaluate:{0}:cold_map=auto:calibrate_share=0"]
    trained = ["evaluate:BPR-var-{0}:cold_map=none", *(line.format("BPR-var-{0}") for line in own),
               "evaluate:L3AE,cold_map=none:test", *(line.format("L3AE") for line in own)]
    evaluations = [line for line in calls() if line not in others]
    assert sorted(evaluations) == sorted(line.format(seed) for seed in (1, 2) for line in trained)
    assert study(*arguments) == 0 and len(calls()) == 24 and capsys.readouterr().out == printed
    assert study(*arguments, "--maps", "none,zero,auto,ridge:cold_reg=1", "--table-only") == 0 and len(calls()) == 24
    assert "0/2" in capsys.readouterr().out


def test_the_rows_are_means_over_splits_and_gains_over_the_model_as_it_is(study, tmp_path, capsys):
    assert study("--models", "BPR", "--starts", "var", "--split-seeds", "1,2") == 0
    found = {row["map"]: row for row in rows(tmp_path / "out/cold.tsv")}
    assert list(found) == ["none", "zero", "auto", "auto:calibrate_share=0"]
    auto = found["auto"]  # 0.31 and 0.32 of the seeds, + 0.02 of the map
    assert close(auto["all NDCG@10"], 0.335) and close(auto["all NDCG@10 sd"], 0.01 / math.sqrt(2))
    assert close(auto["all NDCG@10 gain percent"], 100 * (0.335 / 0.315 - 1))
    assert close(auto["warm Recall@20"], 0.315) and close(auto["cold Recall@20"], 0.515)
    assert close(auto["warm hit@10"], 0.313) and close(auto["cold hit@10"], 0.02)
    assert found["none"]["all NDCG@10 gain percent"] == "" and float(found["zero"]["all NDCG@10 gain percent"]) < 0
    printed = capsys.readouterr().out
    assert "All items: " in printed and "(split 1: 2 users, 4 targets; split 2: 2 users, 5 targets)." in printed
    line = next(line for line in printed.splitlines() if line.split()[:3] == ["BPR", "var", "auto"])
    assert "| 0.3350 ±0.0071 (+6.3%) |" in (tmp_path / "out/cold.md").read_text()
    assert "0.3350 ±0.0071  +6.3%" in line and line.split()[-7:] == ["10", "1.51,", "1.52", "3", "4.0", "5.0", "3"]
    line = next(line for line in printed.splitlines() if line.split()[:3] == ["BPR", "var", "auto:calibrate_share=0"])
    assert line.split()[-6:] == ["5", "1", "3", "4.0", "5.0", "3"]


def test_the_calibration_is_shown_beside_gain_1(study, tmp_path, capsys):
    assert study("--models", "BPR", "--starts", "var", "--split-seeds", "1", "--maps", "none,auto") == 0
    points = rows(tmp_path / "out/calibration.tsv")
    assert [(float(one["parameter"]), float(one["gain"]), one["chosen"]) for one in points] == [
        (5, 1, "0"), (5, 2, "0"), (10, 1, "0"), (10, 2, "0"), (10, 1.51, "1")]
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split() == ["BPR", "var", "auto", "1", "nearest", "10", "1.51", "0.2510", "0.3000", "0.1000",
                            "0.2000", "0.3000", "0.1000"]


def test_random_vectors_are_a_control_with_the_same_splits(study, calls, tmp_path):
    arguments = ("--models", "BPR", "--starts", "var", "--split-seeds", "3", "--maps", "none,auto", "--controls")
    assert study(*arguments) == 0
    assert [line for line in calls() if "random" in line] == ["prepare:split-3-random:seed=3,cold_share=0.2"]
    text, control = (run.read_log(tmp_path / f"out/{name}/BPR-var-3")[0]["dataset"] for name in
                     ("split-3", "split-3-random"))
    assert text.rsplit(" ", 1)[0] == control.rsplit(" ", 1)[0]  # the fake's digest: settings, then bytes of the vectors
    assert [(row["map"], row["vectors"], row["done"]) for row in rows(tmp_path / "out/cold.tsv")] == [
        ("none", "text", "1"), ("auto", "text", "1"), ("auto", "random", "1")]
    assert study(*arguments) == 0 and len(calls()) == 7


def test_users_with_few_items_are_a_table_of_their_own(study, calls, tmp_path, capsys):
    arguments = ("--models", "BPR,EASE", "--starts", "False,var", "--split-seeds", "1,2", "--cold-share", "0")
    assert study(*arguments, "--sparse", "1,all", "--set", "split=RS", "--set", "n_layers=1") == 0
    assert [line for line in calls() if line.startswith("prepare")] == [
        f"prepare:split-{seed}-first-{n}:split=RS,seed={seed}{limit}"
        for seed in (1, 2) for n, limit in ((1, ",max_train_items=1"), ("all", ""))]
    assert not [line for line in calls() if line.startswith("evaluate")]
    found = rows(tmp_path / "out/sparse.tsv")
    assert [(row["model"], row["start"], row["train items"]) for row in found[:3]] == [
        ("BPR", "False", "1"), ("BPR", "var", "1"), ("EASE", "-", "1")]
    assert close(found[3]["NDCG@10"], 0.515) and len(found) == 6
    line = capsys.readouterr().out.splitlines()[3]
    assert line.split() == ["BPR", "False", "4/4", "0.5150", "±0.0071", "0.5150", "±0.0071"]
    assert not (tmp_path / "out/cold.txt").exists()


def test_differences_are_of_users_means_over_the_splits_that_have_them(study, tmp_path, capsys):
    arguments = ("--models", "BPR", "--starts", "var", "--split-seeds", "1,2", "--maps", "none,auto", "--bootstrap")
    assert study(*arguments) == 0
    assert capsys.readouterr().out.endswith("\n\n" + (tmp_path / "out/differences.txt").read_text())
    found = rows(tmp_path / "out/differences.tsv")
    assert [(row["map"], row["over"], row["metric"], row["users"]) for row in found] == [
        ("auto", "none", metric, "2") for metric in cold_table.METRICS]
    assert close(found[0]["difference"], 0.02)  # the first user has 0, the second twice the mean
    users = tmp_path / "out/split-2/BPR-var-2/users-auto.tsv"
    header, _, second = users.read_text().splitlines()
    for name in ("users-auto.tsv", "users-none.tsv"):  # the first user has no target in the second split
        users.with_name(name).write_text(f"{header}\n{second}\n")
    row = cold_table.Row("BPR", "var", map="auto")
    row.cells = [cold.Cell("BPR", "var", seed, tmp_path / f"out/split-{seed}/BPR-var-{seed}") for seed in (1, 2)]
    found = cold.users_of(row, [1, 2])["NDCG@10"]
    assert found["u1"] == 0 and found["u2"] == pytest.approx(2 * 0.335)


def test_a_study_that_was_stopped_goes_on(study, calls, tmp_path, monkeypatch, capsys):
    arguments = ("--models", "BPR", "--starts", "False,var", "--split-seeds", "1", "--sparse", "2")
    monkeypatch.setenv("FAKE_STOP_AT", "2")
    assert study(*arguments) == STOPPED
    assert "the same command continues" in capsys.readouterr().err
    assert calls() == ["prepare:split-1:seed=1,cold_share=0.2", "BPR-False-1"]
    monkeypatch.delenv("FAKE_STOP_AT")
    assert study(*arguments) == 0
    assert [line for line in calls() if line == "BPR-False-1"] == ["BPR-False-1"] * 3  # stopped, resumed, sparse
    assert (tmp_path / "out/sparse.txt").exists()


def test_other_settings_are_refused(study, calls, capsys):
    arguments = ("--models", "BPR", "--starts", "var", "--split-seeds", "1", "--maps", "auto")
    assert study(*arguments) == 0
    assert study(*arguments, "--cold-share", "0.3") == USAGE
    assert "split-1/data.h5 was prepared otherwise: choose another --out, or remove " in capsys.readouterr().err
    assert study(*arguments, "--set", "n_layers=1") == USAGE
    assert "BPR-var-1 has n_layers: 2, not 1" in capsys.readouterr().err
    assert study(*arguments, "--baseline", "none") == USAGE
    assert "--baseline none is not one of --maps" in capsys.readouterr().err
    assert study(*arguments, "--cold-share", "0") == USAGE
    assert "--cold-share 0 leaves --sparse alone" in capsys.readouterr().err
    assert study(*arguments, "--set", "cold_map=zero") == USAGE
    assert "cold_map is set by --maps" in capsys.readouterr().err
    assert study(*arguments, "--set", "nonsense=1") == USAGE
    assert "nonsense: no such setting" in capsys.readouterr().err
    assert len(calls()) == 3


@pytest.mark.skipif(not shutil.which("gnuplot"), reason="gnuplot is not installed")
def test_the_curves_are_drawn(study, tmp_path, capsys):
    arguments = ("--models", "BPR", "--starts", "var", "--split-seeds", "1,2", "--sparse", "1,all")
    assert study(*arguments, "--plot", tmp_path / "curves.txt") == 0
    text = (tmp_path / "curves.txt").read_text()
    assert "Calibration" in text and "BPR, var, auto" in text and "Users with few items" in text


# ---- Parts ----


def test_random_vectors_have_the_norms_of_the_texts(tmp_path: pathlib.Path):
    for kind in cold_data.TYPES:
        text, out = tmp_path / f"{kind}.npy", tmp_path / f"{kind}-random.npy"
        write_npy(text, [[float(i)] * DIM for i in range(N)], kind)
        cold_data.write_random(text, out)
        norms, dim = cold_data.norms_of(out)
        assert dim == DIM and norms == pytest.approx([i * math.sqrt(DIM) for i in range(N)], rel=1e-6)
        assert (len(out.read_bytes()) - 4 * N * DIM) % 64 == 0
    random = [(tmp_path / f"{kind}-random.npy").read_bytes() for kind in cold_data.TYPES]
    assert random[0] == random[1] == random[2]
    first, second = (list(cold_data.random_rows([1.0], 10000))[0] for _ in range(2))
    assert first == second and abs(sum(first)) < 4


@pytest.mark.parametrize("content", [b"", b"text\n", b"\x93NUMPY\1\0\x08\0{'a': 1}"])
def test_what_is_no_npy_file_is_refused(tmp_path: pathlib.Path, content: bytes):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(Failure, match="a.npy: random vectors are made beside a .npy file"):
        cold_data.norms_of(path)
    write_npy(path, [[1.0] * DIM] * 2)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Failure, match="a.npy: ends before its last row"):
        cold_data.norms_of(path)


def test_values_are_read():
    assert cold.share("0") == 0 and cold.share("0.25") == 0.25
    assert cold.counts("1,2,all") == ["1", "2", "all"] and cold.counts("all") == ["all"] and cold.counts("3") == ["3"]
    for parse, text in ((cold.share, "1"), (cold.share, "-0.1"), (cold.counts, "2,1"), (cold.counts, "all,1")):
        with pytest.raises(argparse.ArgumentTypeError):
            parse(text)


def test_only_l3ae_is_solved_apart():
    assert cold.solved_apart("L3AE:reg_weight=5", "none") == "L3AE:reg_weight=5:cold_map=none"
    assert cold.solved_apart("L3AE", "zero") is None and cold.solved_apart("EASE", "none") is None


def test_the_curve_of_a_row_is_the_mean_over_splits_at_the_chosen_parameter():
    def curve(parameter: float, gain: float, offset: float) -> cold_table.Curve:
        points = [{"parameter": k, "gain": g, "ndcg@10": g / 10 + offset + (k == parameter),
                   "warm_hit@10": 0, "cold_hit@10": 0} for k in (5, 10) for g in (1, 2, gain)]
        found = cold_table.curve_of({"kind": "nearest", "parameter": parameter, "gain": gain, "points": points})
        assert found and found.at(1) and found.at(gain) and not found.at(3)
        return found

    row = cold_table.Row("BPR", "var", map="auto")
    for seed, parameter in ((1, 5.0), (2, 10.0)):
        result = cold_table.Measured({}, 1, 1.0, curve=curve(parameter, 1 + seed / 10, seed / 10))
        row.cells.append(cold.Cell("BPR", "var", seed, pathlib.Path("f"), result=result))
    panel = cold_table.calibration_panel([(row, row)])
    assert panel and [(one.label, one.points) for one in panel.series] == [
        ("BPR, var, auto", [(1, pytest.approx(1.25)), (2, pytest.approx(1.35))])]
    assert cold_table.chosen(row, "parameter") == "5, 10" and cold_table.chosen(row, "gain") == "1.1, 1.2"
    assert cold_table.curve_of(None) is None and cold_table.curve_of({"kind": "zero"}) is None


def test_all_is_drawn_behind_the_largest_number():
    row = cold_table.compare_table.Row("EASE", "-", [cold.Cell("EASE", "-", 1, pathlib.Path("f"))])
    assert cold_table.sparse_panel({"1": [row], "all": [row]}, "NDCG@10") is None
    row.cells[0].result = cold_table.Result({"NDCG@10": 0.5}, None, 1.0)
    panel = cold_table.sparse_panel({"1": [row], "5": [row], "all": [row]}, "NDCG@10")
    assert panel and panel.series == [plot.Series("EASE", [(1, 0.5), (5, 0.5), (6, 0.5)])]
    assert panel.axes.xlabel == "train items of a user (6: all)"


def test_differences_of_three_words_have_three_columns():
    line = bootstrap.Line(["BPR", "var", "auto"], ["none"], "NDCG@10", 7, bootstrap.Difference(0.1, 0, 0.2, 0.5))
    table = bootstrap.all_tables([line], ("model", "start", "map"))["differences.txt"].splitlines()
    assert [text.split()[:5] for text in table] == [["model", "start", "map", "over", "metric"],
                                                    ["BPR", "var", "auto", "none", "NDCG@10"]]
