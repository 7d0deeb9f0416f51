from __future__ import annotations

import json
import pathlib

import pytest

from conftest import rows
from llminit_tools import main, program, run
from llminit_tools.program import FAILED, STOPPED, USAGE, Failure


# ---- Files of a run ----


def test_a_line_of_the_log_that_was_cut_off_is_ignored(tmp_path: pathlib.Path):
    (tmp_path / "log.jsonl").write_text('{"event": "start"}\n{"event": "ep')
    assert run.read_log(tmp_path) == [{"event": "start"}]
    assert run.read_log(tmp_path / "absent") == []


@pytest.mark.parametrize("why, is_finished", [("epochs", True), ("signal", False), ("time limit", False)])
def test_a_run_that_was_stopped_is_not_finished(why: str, is_finished: bool):
    assert run.is_finished([{"event": "end", "why": why}]) == is_finished


def test_settings_are_texts_and_a_line_that_was_cut_off_is_ignored():
    text = "topk: [10, 20]\nemb_selection: False\nlearning_rate: 1e-03\ngrid: au"
    assert program.read_settings(text) == {"topk": ["10", "20"], "emb_selection": "False", "learning_rate": "1e-03"}
    assert program.read_settings("gri") == {}


def test_the_error_of_a_run_is_the_programs_own_line_before_that_of_mpirun():
    text = "mpirun noticed that rank 1 died.\nllminit: error: data.h5: cannot open\nother words\n"
    assert program.error_in(text) == "data.h5: cannot open"
    assert program.error_in("mpirun noticed that rank 1 died.\n") == "mpirun noticed that rank 1 died."
    assert program.error_in("other words\n") == ""


def test_a_run_of_other_settings_is_refused_but_not_for_settings_of_the_machine(tmp_path: pathlib.Path):
    (tmp_path / "latest.h5").touch()
    (tmp_path / "settings.yaml").write_text("topk: [10, 20]\ngrid: 1x2\n")
    run.refuse_other_run(tmp_path, {"topk": ["10", "20"], "grid": "2x1"}, "d", {"grid"})
    with pytest.raises(Failure, match=r"has topk: \[10, 20\], not \[10\]"):
        run.refuse_other_run(tmp_path, {"topk": ["10"]}, "d", {"grid"})


def test_a_folder_that_is_locked_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run, "LOCK_PATIENCE", 0)
    with run.locked(tmp_path / "lock"):
        with pytest.raises(Failure, match="another study is at work"):
            with run.locked(tmp_path / "lock"):
                pass


# ---- Comparisons ----


def test_a_comparison_trains_each_cell_once(study, trainings, data, tmp_path: pathlib.Path, capsys):
    arguments = ("compare", data, "--models", "BPR,EASE", "--seeds", "1,2", "--metrics", "NDCG@5")
    assert study(*arguments) == 0
    table = capsys.readouterr().out
    assert table == (tmp_path / "out/table.txt").read_text()
    assert trainings() == ["BPR-False-1", "BPR-var-1", "EASE", "BPR-False-2", "BPR-var-2"]
    found = {(row["model"], row["start"]): row for row in rows(tmp_path / "out/table.tsv")}
    assert float(found["BPR", "False"]["NDCG@5"]) == pytest.approx(0.515)
    assert float(found["BPR", "var"]["NDCG@5_gain_percent"]) == pytest.approx(100 * (0.315 / 0.515 - 1))
    assert found["EASE", "-"]["best_epoch"] == "" and found["EASE", "-"]["seeds"] == "1"
    assert study(*arguments) == 0 and len(trainings()) == 5


def test_differences_are_between_the_same_seeds_and_of_closed_forms_from_the_first_baseline(
        study, trainings, data, tmp_path: pathlib.Path, capsys):
    arguments = ("compare", data, "--models", "EASE,BPR", "--seeds", "1,2", "--metrics", "NDCG@5", "--bootstrap")
    assert study(*arguments) == 0
    assert capsys.readouterr().out.endswith("\n\n" + (tmp_path / "out/differences.txt").read_text())
    cells = ["EASE", "BPR-False-1", "BPR-False-2", "BPR-var-1", "BPR-var-2"]
    assert sorted(trainings()[5:]) == sorted(f"evaluate:{name}:test" for name in cells)
    closed, var = rows(tmp_path / "out/differences.tsv")
    assert (var["model"], var["start"], var["over"], var["users"]) == ("BPR", "var", "BPR False", "2")
    assert float(var["difference"]) == pytest.approx(-0.2) and float(var["high"]) == pytest.approx(-0.2)
    # EASE has the start var and the seed 2020: 0.3 and 20.5, the baseline's mean of two seeds 0.5 and 0.515
    assert (closed["model"], closed["over"]) == ("EASE", "BPR False")
    assert float(closed["difference"]) == pytest.approx((0.3 - 0.5 + 20.5 - 0.515) / 2)
    assert study(*arguments) == 0 and len(trainings()) == 10  # nothing is evaluated twice


def test_a_comparison_that_was_stopped_resumes_to_the_same_table(study, trainings, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FAKE_STOP_AT", "2")
    assert study("compare", data) == STOPPED
    assert "stopped; 0 of 2 cells are done: the same command continues" in capsys.readouterr().err
    monkeypatch.delenv("FAKE_STOP_AT")
    assert study("compare", data) == 0
    assert trainings() == ["LightGCN-False-2020"] * 2 + ["LightGCN-var-2020"]
    starts = [event for event in run.read_log(tmp_path / "out/LightGCN-False-2020") if event["event"] == "start"]
    assert [event["from_epoch"] for event in starts] == [0, 2]


def test_parts_share_the_cells_and_the_last_one_has_the_whole_table(study, trainings, data, tmp_path):
    assert study("compare", data, "--part", "2/2") == 0 and trainings() == ["LightGCN-var-2020"]
    assert study("compare", data, "--part", "1/2") == 0 and len(trainings()) == 2
    assert [row["state"] for row in rows(tmp_path / "out/cells.tsv")] == ["done", "done"]


def test_other_settings_and_other_data_are_refused(study, trainings, data, capsys):
    assert study("compare", data) == 0
    assert study("compare", data, "--set", "learning_rate=0.5") == USAGE
    assert "LightGCN-False-2020 has learning_rate: 0.001, not 0.5: choose another --out" in capsys.readouterr().err
    assert study("compare", data, "--set", "checkpoint_interval=1") == 0
    data.write_text("another digest")
    assert study("compare", data) == USAGE
    assert "was trained on other data" in capsys.readouterr().err and len(trainings()) == 2


def test_a_cell_whose_settings_are_refused_fails_and_the_others_are_trained(study, trainings, data, tmp_path, capsys):
    assert study("compare", data, "--starts", "nonsense,var") == FAILED
    assert 'LightGCN-nonsense-2020 failed: emb_selection: "nonsense" is not one of' in capsys.readouterr().err
    assert trainings() == ["LightGCN-var-2020"]
    assert [row["state"] for row in rows(tmp_path / "out/cells.tsv")] == ["failed", "done"]


# ---- Scaling ----


def test_a_scaling_study_resumes_and_its_rows_are_of_logs_and_profiles(study, trainings, data, tmp_path, monkeypatch):
    arguments = ("scaling", "--strong", data, "--ranks", "1,2", "--grids", "blocks,slices")
    monkeypatch.setenv("FAKE_STOP_AT", "1")
    assert study(*arguments) == STOPPED
    monkeypatch.delenv("FAKE_STOP_AT")
    assert study(*arguments) == 0
    assert trainings() == ["strong-1", "strong-1", "strong-2-2x1", "strong-2-1x2"]
    assert not list((tmp_path / "out").glob("*/latest.h5"))
    row = rows(tmp_path / "out/scaling.tsv")[0]
    assert float(row["samples_per_second"]) == 250  # of epochs 2 and 3
    assert (float(row["mpi_share"]), float(row["step_bytes"]), float(row["memory"])) == (0.25, 8, 1)
    assert study(*arguments) == 0 and len(trainings()) == 4


def test_the_batch_of_weak_scaling_grows_with_the_ranks(study, data, tmp_path):
    assert study("scaling", "--weak", data, "--weak", data, "--ranks", "1,3") == 0
    settings = (tmp_path / "out/weak-3/settings.yaml").read_text()
    assert "train_batch_size: 192\n" in settings and "grid: auto\n" in settings


def test_a_closed_form_has_no_epochs_to_time(study, data, capsys):
    assert study("scaling", "--strong", data, "--set", "model=EASE") == USAGE
    assert "model: EASE has no epochs to time" in capsys.readouterr().err


# ---- Metrics ----


def test_metrics_of_runs_are_one_table(tmp_path: pathlib.Path, capsys):
    folder = tmp_path / "noise"
    folder.mkdir()
    (folder / "log.jsonl").write_text('{"event": "end", "why": "epochs", "best_epoch": 9, "seconds": 12.4}\n')
    test = {"recall@10": 0.1, "recall@20": 0.2, "ndcg@10": 0.3, "ndcg@20": 0.4}
    (folder / "test.json").write_text(json.dumps({"test": test}))
    assert main.main(["tools/study", "metrics", str(folder)]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split() == ["noise", "0.1000", "0.2000", "0.3000", "0.4000", "9", "12"]
