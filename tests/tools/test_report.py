from __future__ import annotations

import html.parser
import json
import pathlib
import re
from typing import Optional

import pytest

import runs
from llminit_tools import page, report, report_run, report_training, report_words
from llminit_tools.program import Failure

VOID = {"meta"}  # as page.py writes them; those of SVG close themselves


class Checker(html.parser.HTMLParser):
    """Every element is closed in order, ids are unique, what is referred to is there, and nothing is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.wrong: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, Optional[str]]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.take(tag, attributes)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, Optional[str]]]) -> None:
        self.take(tag, attributes)

    def take(self, tag: str, attributes: list[tuple[str, Optional[str]]]) -> None:
        if tag in ("script", "link", "img", "iframe", "object"):
            self.wrong.append(f"<{tag}>")
        names = [name for name, _ in attributes]
        if len(names) > len(set(names)):
            self.wrong.append(f"<{tag}> has an attribute twice")
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            elif name == "href" and value.startswith("#"):
                self.references.append(value[1:])
            elif name == "aria-labelledby":
                self.references += value.split()
            elif name in ("src", "href", "style") or name.startswith("on"):
                self.wrong.append(f"{name}={value}")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def checked(text: str) -> str:
    """The text of a page that is as it should be."""
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.wrong == [] and checker.open == []
    assert text.startswith("<!DOCTYPE html>\n<html lang=\"en\">") and "@import" not in text and "url(" not in text
    assert len(checker.ids) == len(set(checker.ids))
    assert set(checker.references) <= set(checker.ids)
    return re.sub(r"\s+", " ", " ".join(checker.text))


def made(tmp_path: pathlib.Path, *arguments: object) -> str:
    """The checked text of the page of a command."""
    out = tmp_path / "page.html"
    assert report.main("tools/study report", [*map(str, arguments), "--out", str(out)]) == 0
    return checked(out.read_text(encoding="utf-8"))


# ---- The page --------------------------------------------------------------------------------------------------------


def test_text_is_escaped_once_wherever_it_stands():
    inner = page.element("b", 'a<b & "c"', title='"<&>"')
    assert inner == '<b title="&quot;&lt;&amp;&gt;&quot;">a&lt;b &amp; &quot;c&quot;</b>'
    assert page.element("p", inner, [inner]) == f"<p>{inner}{inner}</p>"
    assert page.element("p", "a\x00b\x1b[0m") == "<p>a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[0m</p>"


def test_a_table_aligns_numbers_right_and_names_rows():
    rows = [["a", "M", "1"], ["b", "M", "2"]]
    found = page.Table(["run", "model", "x"], rows, "T", left=(1,), strong=[(1, 2)]).markup()
    assert '<th scope="row">a</th><td>M</td><td class="number">1</td>' in found
    assert '<td class="number"><strong>2</strong></td>' in found and '<p class="caption">T</p>' in found


def test_the_checker_finds_what_is_wrong():
    for bad in ("<p><b></p></b>", '<p id="a" id="b">', "<script></script>", '<a href="https://x">x</a>'):
        checker = Checker()
        checker.feed(bad)
        assert checker.wrong, bad


# ---- Words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds, text", [(0.04, "0.0 s"), (99.9, "99.9 s"), (99.96, "1 min 40 s"),
                                           (3599.6, "1 h 00 min"), (7325, "2 h 02 min")])
def test_durations(seconds: float, text: str):
    assert report_words.duration(seconds) == text


@pytest.mark.parametrize("n_bytes, text", [(0, "0 bytes"), (1023, "1,023 bytes"), (1536, "1.5 KiB"),
                                           (5 * 2**40, "5,120.0 GiB")])
def test_sizes(n_bytes: float, text: str):
    assert report_words.size(n_bytes) == text


def test_the_best_of_a_column_stands_out_unless_all_are_the_same():
    assert report_words.bests([[1, 3, None], [2, 2, 2], [None, 5, None]], 4) == [(1, 4)]


# ---- One run ---------------------------------------------------------------------------------------------------------


def test_a_finished_run_has_all_sections(tmp_path: pathlib.Path):
    text = made(tmp_path, runs.with_groups(runs.trained(tmp_path / "var")))
    for title in ("Results", "Groups", "Cold items", "Settings", "Training", "Spectra", "Time, bytes and memory",
                  "Machine and build", "How to reproduce"):
        assert f" {title} " in text
    assert "LightGCN, started from var: all epochs done. test NDCG@10 0.4200" in text.replace("  ", " ")
    assert "epochs 6 best epoch 5" in text and "propagation" in text and "contrast" not in text
    assert "mpirun -n 2 llminit train var.yaml --data DATA.h5 --out run/var" in text
    assert "export OMP_NUM_THREADS=1" in text and "# digest: 0123456789abcdef" in text
    assert "ridge" in text and "Coverage@10" in text and "head" in text


def test_a_run_with_one_epoch_has_charts_of_one_point(tmp_path: pathlib.Path):
    folder = runs.trained(tmp_path / "short", n=1)
    text = made(tmp_path, folder)
    assert "epochs 1 best epoch 1" in text and "Loss" in text
    assert "nan" not in (tmp_path / "page.html").read_text(encoding="utf-8").lower().replace("nano", "")


def test_a_closed_form_has_no_curves(tmp_path: pathlib.Path):
    text = made(tmp_path, runs.closed(tmp_path / "ease"))
    assert "EASE, in closed form: solved." in text and "test NDCG@10 0.5200" in text
    assert "epochs 1" not in text and " Training Loss " not in text and "Samples a second" not in text


def test_a_run_that_was_cut_says_so_and_has_its_curves(tmp_path: pathlib.Path):
    folder = runs.write(tmp_path / "cut", [runs.START, *runs.epochs(3, 0.3)])
    with open(folder / "log.jsonl", "a", encoding="utf-8") as file:
        file.write('{"event": "val')
    text = made(tmp_path, folder)
    assert "LightGCN, started from var: at work, or cut off. There are no test results yet." in text
    assert "No run has test results yet" in text and "Valid NDCG@10" in text


def test_a_run_that_stopped_for_its_time_can_go_on(tmp_path: pathlib.Path):
    events = [runs.START, *runs.epochs(2, 0.3), runs.profile(), runs.end("time limit", 2, 1, 3.0)]
    assert "stopped: time limit" in made(tmp_path, runs.write(tmp_path / "limit", events))


def test_a_run_that_failed_says_why(tmp_path: pathlib.Path):
    folder = runs.write(tmp_path / "bad", [runs.START, *runs.epochs(2, 0.3)])
    (folder / "output.txt").write_text("llminit: 1 nodes, 2 ranks x 1 threads\nllminit: warning: huge pages are off\n"
                                       "llminit: error: epoch 3: the loss is <not a number>\n")
    text = made(tmp_path, folder)
    assert "failed. There are no test results yet." in text and "bad : epoch 3: the loss is <not a number>" in text
    assert "warning: huge pages are off" in text
    (folder / "log.jsonl").unlink()
    assert "failed." in made(tmp_path, folder)


def test_fields_that_an_older_version_does_not_write_are_not_missed(tmp_path: pathlib.Path):
    start = {"event": "start", "ranks": 1, "dataset": "ab"}
    epoch = {"event": "epoch", "epoch": 1, "loss": 0.5, "seconds": 1.0}
    folder = runs.write(tmp_path / "old", [start, epoch, runs.end("all epochs done", 1, 0, 1.0)])
    (folder / "settings.yaml").write_text("model: BPR\n")
    text = made(tmp_path, folder)
    assert "BPR, started from -: all epochs done." in text and "llminit unknown" in text


def test_fields_of_a_later_version_are_shown_as_they_are(tmp_path: pathlib.Path):
    start = {**runs.START, "version": "0.9.0", "build": {"commit": "abc123"}, "hosts": ["n1", "n2"],
             "binding": [{"rank": 0, "bound": False, "thread_cpus": 2}, {"rank": 1, "bound": True, "thread_cpus": 1}]}
    text = made(tmp_path, runs.write(tmp_path / "new", [start, {"event": "dream", "epoch": 1}, *runs.epochs(2, 0.1)]))
    assert "build commit abc123" in text and "hosts n1, n2" in text and "llminit 0.9.0" in text
    assert "binding rank 0, bound no, thread cpus 2; rank 1, bound yes, thread cpus 1" in text


def test_calls_of_train_are_added_up(tmp_path: pathlib.Path):
    first = [runs.START, *runs.epochs(1, 0.2), runs.profile(), runs.end("signal", 1, 1, 1.5)]
    events = [*first, runs.START, runs.profile()]
    found = report_run.read_run(runs.write(tmp_path / "a", events), "a")
    assert found.phases["propagation"].seconds == 15 and len(found.starts) == 2 and not found.is_ended


def test_files_of_each_phase_are_shown_where_the_profile_has_them(tmp_path: pathlib.Path):
    new, old = runs.profile(), runs.profile()
    for phase in old["phases"].values():
        for name in ("file_seconds", "read_bytes", "written_bytes"):
            del phase[name]
    text = made(tmp_path, runs.write(tmp_path / "new", [runs.START, *runs.epochs(1, 0.2), new]))
    assert "seconds of files" in text and "2.0 KiB" in text and "9, 9.5, 10" in text and "None" not in text
    text = made(tmp_path, runs.write(tmp_path / "old", [runs.START, *runs.epochs(1, 0.2), old]))
    assert "seconds of files" not in text


def test_spectra_are_drawn_from_the_output_of_spectrum(tmp_path: pathlib.Path):
    folder = runs.trained(tmp_path / "a")
    table = {"table": "item_final", "effective_rank": 2.5, "dims": 3, "singular_values": [3.0, 1.0, 0.0]}
    (folder / "spectrum.json").write_text(json.dumps({"tables": [table]}))
    assert "Singular values: items, final, logarithmic" in made(tmp_path, folder)
    assert report_run.read_run(folder, "a").singular == {"item_final": [3, 1, 0]}


# ---- Several runs ----------------------------------------------------------------------------------------------------


def test_differences_come_first_and_the_best_stands_out(tmp_path: pathlib.Path):
    one, other = runs.trained(tmp_path / "noise", emb_selection="False"), runs.trained(tmp_path / "var", 0.5)
    text = made(tmp_path, one, other)
    assert "Of 2 runs, var is the best on test: NDCG@10 0.5200, +23.8% over noise." in text
    assert "Settings in which the runs differ setting noise var emb_selection False var" in text
    assert "The 6 settings that are the same in all runs" in text
    source = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert source.index("Settings in which the runs differ") < source.index("settings that are the same")
    assert "<strong>0.5200</strong>" in source and "<strong>0.4200</strong>" not in source


def test_losses_of_different_models_are_drawn_apart(tmp_path: pathlib.Path):
    found = [report_run.read_run(runs.trained(tmp_path / model, model=model), model) for model in ("BPR", "SGL")]
    assert [re.search("<figcaption>(.*?)</figcaption>", one)[1] for one in report_training.loss_charts(found)] == [
        "Loss of BPR", "Loss of SGL"]


def test_runs_of_all_kinds_come_on_one_page(tmp_path: pathlib.Path):
    folders = [runs.trained(tmp_path / f"lightgcn-{k}", 0.3 + k / 100, seed=str(k)) for k in range(10)]
    folders += [runs.closed(tmp_path / "ease"), runs.with_groups(runs.trained(tmp_path / "sgl", model="SGL")),
                runs.write(tmp_path / "cut", [runs.START, *runs.epochs(1, 0.3)]), runs.write(tmp_path / "empty", [])]
    text = made(tmp_path, *folders)
    assert "Of 14 runs, ease is the best on test: NDCG@10 0.5200, +62.5% over lightgcn-0." in text
    assert "2 of them have no test results yet." in text and "Closed forms have no epochs: ease." in text
    assert "no log" in text


def test_names_are_escaped(tmp_path: pathlib.Path):
    text = made(tmp_path, runs.trained(tmp_path / "<i>&amp;"), runs.trained(tmp_path / '"b\'', model="<script>"),
                "--title", "</title><script>alert(1)</script>")
    assert "<i>&amp;" in text and "</title><script>alert(1)</script>" in text


# ---- What is refused -------------------------------------------------------------------------------------------------


def refused(tmp_path: pathlib.Path, *arguments: object) -> tuple[str, int]:
    with pytest.raises(Failure) as failure:
        made(tmp_path, *arguments)
    assert "\n" not in str(failure.value) and not (tmp_path / "page.html").exists()
    return str(failure.value).replace(f"{tmp_path}/", ""), failure.value.status


def test_what_is_no_run_is_refused_in_one_line(tmp_path: pathlib.Path):
    run = runs.trained(tmp_path / "study/a")
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path, tmp_path / "none") == ("none: no such folder", 4)
    assert refused(tmp_path, run / "log.jsonl") == ("study/a/log.jsonl: is a file, not the folder of a run", 4)
    assert refused(tmp_path, tmp_path / "empty")[0] == (
        "empty: neither log.jsonl nor settings.yaml is in it: is it a run?")
    assert refused(tmp_path, run, tmp_path / "study")[0].endswith("is in it: runs are in it, give study/*/")
    assert refused(tmp_path, run, tmp_path / "study/../study/a") == ("a run is given twice", 2)
    assert refused(tmp_path, run, "--metrics", "MRR@5")[0] == (
        "--metrics: no run has a valid MRR@5; they have recall@10, recall@20, ndcg@10, ndcg@20")


@pytest.mark.parametrize("line", [
    '{"event": "epoch", "epoch": 1}', '{"event": "epoch", "epoch": 1, "loss": "x", "seconds": 1}', '[1]',
    '{"event": "spectrum", "epoch": 1, "tables": {"item_final": 3}}', '{"epoch": 1}', '{"event": "end"}', '"text"',
    '{"event": "profile", "phases": {"other": {"seconds": [1]}}}', '{"event": "start", "build": 1}',
    '{"event": "start", "predicted_step_bytes": {"total": "x"}}', '{"event": "valid", "epoch": "x"}',
    '{"event": "test", "epoch": 1, "metrics": [], "best": true}'])
def test_a_log_of_something_else_is_refused_in_one_line(tmp_path: pathlib.Path, line: str):
    folder = runs.write(tmp_path / "a", [runs.START])
    (folder / "log.jsonl").write_text(line + "\n")
    message, status = refused(tmp_path, folder)
    assert message.startswith("a/log.jsonl: an event ") and status == 3


def test_other_json_files(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    folder = runs.trained(tmp_path / "a")
    (folder / "mine.json").write_text('{"a": 1}')
    made(tmp_path, folder)
    assert "a/mine.json: is left out: it is no output of evaluate, spectrum or train" in capsys.readouterr().err
    (tmp_path / "page.html").unlink()
    (folder / "mine.json").write_text("{")
    assert refused(tmp_path, folder)[1] == 3


def test_an_evaluation_that_the_log_has_is_not_there_twice(tmp_path: pathlib.Path):
    folder = runs.with_groups(runs.trained(tmp_path / "a"))
    (one,) = report_run.read_run(folder, "a").evaluations
    assert one.name == "log" and one.groups["popularity"]["head"]["users"] == 12
    (folder / "test.json").rename(folder / "none.json")
    runs.with_groups(folder, 0.3)
    text = made(tmp_path, folder)
    assert "a (test.json) 0.3000" in text and "a (none.json)" not in text


def test_groups_of_one_of_several_runs_say_whose_they_are(tmp_path: pathlib.Path):
    text = made(tmp_path, runs.with_groups(runs.trained(tmp_path / "first")), runs.closed(tmp_path / "second"))
    assert "group run users positives Recall@10 Recall@20 NDCG@10 NDCG@20 1-3 first 12" in text


def test_runs_on_different_data_are_not_compared(tmp_path: pathlib.Path):
    one, other = runs.trained(tmp_path / "a"), runs.trained(tmp_path / "b", 0.5)
    log = other / "log.jsonl"
    log.write_text(log.read_text().replace("0123456789abcdef", "fedcba9876543210"))
    text = made(tmp_path, one, other)
    assert "2 runs on 2 datasets, whose metrics are not comparable." in text and "%" not in text.split("Settings")[0]
    assert "<td class=\"number\"><strong>" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_collapse_is_told(tmp_path: pathlib.Path):
    events = [runs.START, *(runs.spectrum(epoch, rank) for epoch, rank in ((2, 40), (4, 50), (6, 45.5), (8, 44)))]
    text = made(tmp_path, runs.write(tmp_path / "a", events))
    assert "a : the effective rank of the items, final, fell from 50.0 in epoch 4 to 44.0 in epoch 8." in text
    assert "fell" not in made(tmp_path, runs.write(tmp_path / "b", events[:-1]))


def test_what_a_later_profile_says_is_shown_as_it_is(tmp_path: pathlib.Path):
    profile = {**runs.profile(), "energy": {"joules": [1.5, 2.5, 3.5]}}
    text = made(tmp_path, runs.write(tmp_path / "a", [runs.START, profile]))
    assert "energy joules 1.5, 2.5, 3.5" in text and "balance edges 1.01" in text


def test_runs_of_the_same_folder_name_have_commands_of_their_own(tmp_path: pathlib.Path):
    text = made(tmp_path, runs.trained(tmp_path / "a/run-1"), runs.trained(tmp_path / "b/run-2"))
    assert "--out run/a-run-1" in text and "b-run-2.yaml" in text
