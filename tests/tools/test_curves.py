from __future__ import annotations

import json
import pathlib
import shutil

import pytest

from llminit_tools import curves
from llminit_tools.program import Failure

needs_gnuplot = pytest.mark.skipif(not shutil.which("gnuplot"), reason="gnuplot is not installed")


def make_run(folder: pathlib.Path, values: list[float], metric: str = "NDCG@10", loss: bool = True) -> pathlib.Path:
    """A run whose valid metric was `values`, an evaluation every second epoch; the last line of its log is torn."""
    folder.mkdir()
    (folder / "settings.yaml").write_text(f"epochs: 9\nvalid_metric: {metric}\ntopk: [10]\n")
    events: list[dict[str, object]] = [{"event": "start"}]
    for k, value in enumerate(values, 1):
        if loss:
            events += [{"event": "epoch", "epoch": epoch, "loss": 1 / epoch, "seconds": 0.5}
                       for epoch in (2 * k - 1, 2 * k)]
        events.append({"event": "valid", "epoch": 2 * k, "metrics": {"ndcg@10": value, "recall@10": 2 * value},
                       "best": value == max(values[:k])})
    events.append({"event": "test", "epoch": 2, "metrics": {"ndcg@10": 0.9}, "best": True})
    (folder / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events) + '{"event": "val')
    return folder


def test_a_log_is_read_by_epoch(tmp_path: pathlib.Path):
    found = curves.read_curves(make_run(tmp_path / "a", [0.1, 0.3, 0.2]), "a", "NDCG@10")
    assert found.loss == {epoch: 1 / epoch for epoch in range(1, 7)}
    assert (found.metric, found.best, found.seconds) == ({2: 0.1, 4: 0.3, 6: 0.2}, 4, 3.0)
    assert curves.line_of(found) == ["a", "6", "1", "0.1667", "0.2000", "4", "0.3000", "3.0"]


def test_a_closed_form_has_no_loss(tmp_path: pathlib.Path):
    found = curves.read_curves(make_run(tmp_path / "a", [0.1], loss=False), "a", "Recall@10")
    assert curves.line_of(found) == ["a", "2", "-", "-", "0.2000", "2", "0.2000", "0.0"]
    panels = curves.panels_of([found], "Recall@10", "T")
    assert [panel.axes.ylabel for panel in panels] == ["valid Recall@10"]


def test_runs_share_the_metric_unless_one_is_chosen(tmp_path: pathlib.Path):
    one, other = make_run(tmp_path / "a", [0.1]), make_run(tmp_path / "b", [0.2], "Recall@10")
    assert curves.common_metric([one, one]) == "NDCG@10"
    with pytest.raises(Failure, match="valid_metric is NDCG@10 in .*a, but Recall@10 in .*b: --metric says"):
        curves.common_metric([one, other])
    with pytest.raises(Failure, match="no MRR@10; it has ndcg@10, recall@10"):
        curves.read_curves(one, "a", "MRR@10")


def test_what_is_no_run_is_said(tmp_path: pathlib.Path):
    with pytest.raises(Failure, match="nowhere/settings.yaml: cannot open: No such file or directory") as failure:
        curves.main("curves", [str(tmp_path / "nowhere")])
    assert failure.value.status == 4
    make_run(tmp_path / "a", [])
    with pytest.raises(Failure, match="a/log.jsonl: no epoch is in it yet"):
        curves.main("curves", [str(tmp_path / "a")])
    (tmp_path / "a/log.jsonl").unlink()
    with pytest.raises(Failure, match="a: no log.jsonl in it"):
        curves.main("curves", [str(tmp_path / "a")])


@needs_gnuplot
def test_two_runs_become_a_table_and_two_panels(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    runs = [str(make_run(tmp_path / name, values)) for name, values in (("a", [0.1, 0.3]), ("b", [0.2]))]
    assert curves.main("curves", runs) == 0
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    assert lines[1] == ["a", "4", "1", "0.25", "0.3000", "4", "0.3000", "2.0"]
    assert lines[2] == ["b", "2", "1", "0.5", "0.2000", "2", "0.2000", "1.0"]
    assert "Training: loss" in text and "Training: valid NDCG@10" in text and "***A***a" in text and "###B###b" in text


@needs_gnuplot
def test_a_picture_and_all_numbers_go_into_new_folders(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    run = str(make_run(tmp_path / "a", [0.1, 0.3]))
    picture, numbers = tmp_path / "x/y/curves.svg", tmp_path / "z/curves.tsv"
    assert curves.main("curves", [run, "--out", str(picture), "--epochs", str(numbers), "--format", "tsv"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split("\t")[:2] == ["run", "epochs"]
    text = picture.read_text(encoding="utf-8")
    assert text.count("<svg") == 1 and "Training: loss" in text and "Training: valid NDCG@10" in text
    assert numbers.read_text(encoding="utf-8").splitlines() == [
        "run\tepoch\tloss\tNDCG@10", "a\t1\t1.0\t", "a\t2\t0.5\t0.1", f"a\t3\t{1 / 3}\t", "a\t4\t0.25\t0.3"]


def test_without_gnuplot_the_table_is_complete(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
                                               capsys: pytest.CaptureFixture[str]):
    run = str(make_run(tmp_path / "a", [0.1]))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failure, match="gnuplot is not installed"):
        curves.main("curves", [run, "--out", str(tmp_path / "x/curves.svg")])
    assert capsys.readouterr().out.startswith("run")
    assert not (tmp_path / "x").exists()
