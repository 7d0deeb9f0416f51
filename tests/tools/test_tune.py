from __future__ import annotations

import math
import pathlib
import statistics
import threading

import pytest

from conftest import rows
from llminit_tools import plot, run, tune, tune_space, tune_table
from llminit_tools.program import FAILED, STOPPED, USAGE, Failure
from llminit_tools.tune_space import Choice, Range
from llminit_tools.tune_table import Search, Trial

RATE = "learning_rate=0.001..0.1:log"
ONE_MODEL = ("--models", "LightGCN", "--set", "emb_selection=False", "--set", "reg_weight=0", "--set", "n_layers=1")
SEARCH = (*ONE_MODEL, "--space", RATE, "--set", "epochs=9", "--trials", "9")


def test_each_model_of_the_program_has_a_space_and_they_can_be_read():
    text = (pathlib.Path(tune.__file__).parents[2] / "src/model/options.c").read_text(encoding="utf-8")
    choices = text.partition('.name = "model"')[2].partition('.choices = "')[2].partition('"')[0]
    assert set(tune_space.SPACES) == set(choices.split("|"))
    for spaces in (tune_space.SPACES, tune_space.GRIDS):
        for texts in spaces.values():
            for name, domain in texts.items():
                assert isinstance(tune_space.domain_of(name, domain), Range) == (".." in domain)


def test_models_are_compared_where_they_suit_the_data():
    assert tune_space.compared(600, 600, 8) == list(tune_space.GRIDS)
    assert set(tune_space.GRIDS) - set(tune_space.compared(600, 600, 0)) == {"L3AE"}
    assert set(tune_space.GRIDS) - set(tune_space.compared(600, 60000, 8)) == {"EASE", "L3AE", "ItemKNN"}
    assert set(tune_space.GRIDS) - set(tune_space.compared(600, 100, 8)) == {"ChebyCF"}


@pytest.mark.parametrize("text", ["", "1,,2", "1,1", "2..1", "0..1:log", "1..", "1..2:lin", "a..b"])
def test_a_bad_domain_is_refused(text: str):
    with pytest.raises(Failure, match="^x="):
        tune_space.domain_of("x", text)


def test_draws_are_within_their_domain_and_whole_where_the_setting_is():
    whole = tune_space.domain_of("k", "20..500:log", whole=True)
    shares = [k / 1000 for k in range(1000)]
    assert {int(whole.draw(share)) for share in shares} >= {20, 21, 100}
    assert whole.draw(0) == "20" and whole.draw(1 - 1e-12) == "500"
    log = [float(Range(1e-6, 1e-2, log=True).draw(share)) for share in shares]
    assert min(log) == 1e-6 and max(log) < 1e-2 and statistics.median(log) == pytest.approx(1e-4, rel=0.02)
    assert statistics.fmean(float(Range(-1, 3).draw(share)) for share in shares) == pytest.approx(1, abs=0.01)
    assert [Choice(("a", "b")).draw(share) for share in (0, 0.49, 0.5, 0.99)] == ["a", "a", "b", "b"]


def test_a_trial_depends_on_seed_model_and_number_alone():
    space = {"a": Range(0, 1), "b": Choice(("1", "2", "3"))}
    drawn = [tune_space.drawn(space, 7, "BPR", number) for number in range(1, 9)]
    assert drawn == [tune_space.drawn(space, 7, "BPR", number) for number in range(1, 9)]
    assert [tune_space.drawn({"a": Range(0, 1)}, 7, "BPR", number)["a"] for number in range(1, 9)] == [
        values["a"] for values in drawn]
    others = [tune_space.drawn(space, *other) for other in ((8, "BPR", 1), (7, "SGL", 1), (7, "BPR", 2))]
    assert len({values["a"] for values in [drawn[0], *others]}) == 4


def test_values_bring_settings_of_their_own():
    values = {"emb_selection": "pca:emb_gain=2", "k": "3"}
    assert tune_space.sets_of(values) == ["emb_selection=pca", "emb_gain=2", "k=3"]


def test_a_grid_has_all_combinations():
    space = {"a": Choice(("1", "2")), "b": Choice(("x", "y"))}
    assert list(tune_space.grid_of(space)) == [{"a": a, "b": b} for a in "12" for b in "xy"]
    assert list(tune_space.grid_of({})) == [{}]


@pytest.mark.parametrize("arguments, rungs", [
    ((81, 3, 9, 1), [9, 27, 81]), ((81, 3, 1, 1), [1, 3, 9, 27, 81]), ((100, 3, 11, 5), [15, 35, 100]),
    ((10, 3, 4, 1), [10]), ((9, 1, 1, 1), [9]), ((4, 2, 1, 4), [4]),
])
def test_rungs_are_parts_of_the_epochs_that_are_evaluated(arguments: tuple[int, ...], rungs: list[int]):
    assert tune_space.rungs_of(*arguments) == rungs


def test_what_a_setting_explains_is_epsilon_squared():
    # by hand: SS within 0.5 + 0.5, SS total 1 + 4 (2 - ... ) of 1, 2, 3, 4: 5; 1 - 3 / 2 * 1 / 5
    assert tune_table.share_explained([0, 0, 1, 1], [1, 2, 3, 4]) == pytest.approx(0.7)
    assert tune_table.share_explained([0, 1, 0, 1], [1, 2, 4, 3]) == 0  # within 5: below what chance explains
    assert tune_table.share_explained([0, 0, 1], [1, 1, 1]) is None
    assert tune_table.share_explained([0, 1], [1, 2]) is None


def test_numbers_are_put_into_bins_of_about_as_many_trials():
    groups = tune_table.groups_of(Range(0, 100), [str(value) for value in (9, 1, 2, 8, 3, 7, 4, 6, 5)])
    assert groups == [2, 0, 0, 2, 0, 2, 1, 1, 1]
    assert tune_table.groups_of(Choice(("a", "b")), ["b", "a"]) == [2, 1]


def trial(number: int, value: float, seconds: float = 1, memory: float = 1, epochs: int = 1) -> Trial:
    return Trial(number, {}, pathlib.Path(f"M-{number}"), curve=[(epochs, value)], reached=epochs, seconds=seconds,
                 memory=memory)


def test_the_best_half_goes_on_and_a_trial_that_failed_does_not():
    search = Search("BPR", "NDCG@10", {}, [1, 2], 2, [trial(1, 0.1), trial(2, 0.3), trial(3, 0.3), Trial(
        4, {}, pathlib.Path("M-4"))])
    assert search.stage() == (1, [search.trials[3]])
    search.trials[3].error = "it failed"
    assert search.stage() == (2, search.trials[1:3])
    search.trials[2].reached, search.trials[2].curve = math.inf, [(1, 0.3), (2, 0.4)]
    assert search.stage() == (2, [search.trials[1]])
    assert search.chosen() is search.trials[2] and search.trials[2].best_epoch() == 2
    assert search.progress() == "3/4, 1 failed"


def test_the_front_has_models_that_none_beats_in_quality_and_cost():
    good, fast, beaten, lean = trial(1, 0.5, 9, 9), trial(2, 0.3, 1, 9), trial(3, 0.3, 2, 9), trial(4, 0.2, 3, 1)
    trials = [good, fast, beaten, lean]
    assert [tune_table.is_on_front(one, trials, "seconds") for one in trials] == [True, True, False, False]
    assert [tune_table.is_on_front(one, trials, "memory") for one in trials] == [True, False, False, True]


# ---- The command, on the fake program, which is best at a learning rate of 0.003 ----


def test_a_search_halves_and_resumes_and_chooses_by_the_valid_part(study, trainings, data, tmp_path, capsys):
    assert study("tune", data, *SEARCH) == 0
    all_trials = rows(tmp_path / "out/trials.tsv")
    away = {row["trial"]: abs(math.log(float(row["settings"].split("=")[1]) / 0.003)) for row in all_trials}
    nearest = sorted(away, key=away.__getitem__)
    assert [row["epochs"] for row in all_trials] == [
        "9" if row["trial"] == nearest[0] else "3" if row["trial"] in nearest[:3] else "1" for row in all_trials]
    assert trainings()[:9] == [f"LightGCN-{number}" for number in range(1, 10)]
    assert sorted(trainings()[9:12]) == sorted(f"LightGCN-{number}" for number in nearest[:3])
    assert trainings()[12:] == [f"LightGCN-{nearest[0]}"]
    starts = [event for event in run.read_log(tmp_path / f"out/LightGCN-{nearest[0]}") if event["event"] == "start"]
    assert [event["from_epoch"] for event in starts] == [0, 1, 3]
    (model,) = rows(tmp_path / "out/models.tsv")
    assert (model["run"], model["trials"]) == (f"LightGCN-{nearest[0]}", "9/9")
    assert float(model["valid NDCG@10"]) == pytest.approx(0.5 - 0.1 * away[nearest[0]] - 0.1 / 9)
    assert (float(model["test NDCG@10"]), float(model["seconds"]), float(model["MiB"])) == (0.5, 9, 8)
    assert float(model["search s"]) == 6 + 2 * 3 + 9
    (setting,) = rows(tmp_path / "out/settings.tsv")
    assert setting["setting"] == "learning_rate" and 0.5 < float(setting["share"]) <= 1
    texts = [(tmp_path / f"out/{name}.txt").read_text() for name in tune_table.TABLES]
    assert capsys.readouterr().out.startswith("\n".join(texts))
    assert len(texts[1].splitlines()) == 1 + tune_table.N_BEST
    assert study("tune", data, *SEARCH) == 0 and len(trainings()) == 13


def test_a_search_that_was_stopped_comes_to_the_same_tables(study, trainings, data, tmp_path, monkeypatch, capsys):
    for epoch, n_waiting in ((1, 9), (2, 3)):  # before any trial is done; in the second rung
        monkeypatch.setenv("FAKE_STOP_AT", str(epoch))
        assert study("tune", data, *SEARCH) == STOPPED
        assert f"stopped; {n_waiting} trials of this rung wait: the same command continues" in capsys.readouterr().err
    monkeypatch.delenv("FAKE_STOP_AT")
    assert study("tune", data, *SEARCH) == 0 and len(trainings()) == 15
    tables = {name: (tmp_path / "out" / name).read_text() for name in ("models.tsv", "trials.tsv", "settings.tsv")}
    (tmp_path / "out").rename(tmp_path / "stopped")
    assert study("tune", data, *SEARCH) == 0
    assert {name: (tmp_path / "out" / name).read_text() for name in tables} == tables


def test_more_trials_keep_the_old_ones(study, trainings, data, tmp_path):
    few = (*SEARCH[:-1], "3")
    assert study("tune", data, *few) == 0
    before = rows(tmp_path / "out/trials.tsv")
    n_before = len(trainings())
    assert study("tune", data, *SEARCH) == 0
    assert [row["settings"] for row in rows(tmp_path / "out/trials.tsv")[:3]] == [row["settings"] for row in before]
    assert trainings()[n_before:n_before + 6] == [f"LightGCN-{number}" for number in range(4, 10)]


def test_calls_with_parts_share_the_trials_of_all_rungs(study, trainings, data, tmp_path, monkeypatch):
    monkeypatch.setattr(tune, "POLL", 0.1)
    monkeypatch.setattr("builtins.print", lambda *_, **__: None)
    status = []
    calls = [threading.Thread(target=lambda k=k: status.append(study("tune", data, *SEARCH, "--part", f"{k}/2")))
             for k in (1, 2)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert status == [0, 0] and len(trainings()) == 13
    assert len(set(trainings()[:9])) == 9 and len(set(trainings()[9:12])) == 3
    assert study("tune", data, *SEARCH, "--table-only") == 0 and len(trainings()) == 13


def test_of_closed_forms_only_the_best_keeps_its_model(study, trainings, data, tmp_path):
    arguments = ("--models", "EASE:reg_weight=1", "--set", "item_dropout=0", "--set", "user_weight=0",
                 "--space", "learning_rate=0.003,0.005,0.01", "--trials", "12")  # the fake program has it so
    assert study("tune", data, *arguments) == 0
    done = rows(tmp_path / "out/trials.tsv")
    assert len(done) <= 3 and len(trainings()) == len(done)  # equal trials are tried once
    (model,) = rows(tmp_path / "out/models.tsv")
    assert "learning_rate=0.003" in model["settings"] and model["trials"] == f"{len(done)}/{len(done)}"
    assert [path.parent.name for path in (tmp_path / "out").glob("*/best.h5")] == [model["run"]]
    assert study("tune", data, *arguments) == 0
    assert len(trainings()) == len(done)


def test_without_models_a_grid_of_each_is_tried(study, trainings, data, tmp_path, monkeypatch):
    grids = {"Pop": {}, "EASE": {"reg_weight": "5,50"}, "BPR": {"learning_rate": "0.001,0.003"}}
    monkeypatch.setattr(tune_space, "GRIDS", grids)
    monkeypatch.setattr(tune_space, "GRID_SETS", {"BPR": ["epochs=3"]})
    assert study("tune", data) == 0
    assert trainings() == ["Pop-1", "EASE-1", "EASE-2", "BPR-1", "BPR-2", "BPR-2"]
    found = {row["model"]: row for row in rows(tmp_path / "out/models.tsv")}
    assert list(found) == list(grids) and found["BPR"]["settings"] == "learning_rate=0.003"
    assert found["Pop"]["front"] == "seconds" and found["BPR"]["front"] == "seconds, memory"
    assert found["EASE"]["front"] == "seconds"  # as good and as fast as Pop, and larger


def test_a_trial_that_fails_is_named_and_the_others_go_on(study, trainings, data, tmp_path, capsys):
    arguments = (*ONE_MODEL[:4], "--space", "n_layers=1,8", "--trials", "6", "--set", "epochs=2")
    assert study("tune", data, *arguments) == FAILED
    failed = [row for row in rows(tmp_path / "out/trials.tsv") if row["error"]]
    assert failed and {row["error"] for row in failed} == {"n_layers: 8 is too many"}
    assert all("n_layers=8" in row["settings"] for row in failed)
    assert f"{len(failed)} trials failed" in capsys.readouterr().err


@pytest.mark.parametrize("arguments, message", [
    (("--trials", "3"), "--trials needs --models"),
    (("--models", "BPR", "--space", "SGL:n_layers=1"), "SGL is not one of --models"),
    (("--models", "BPR", "--space", "nonsense=1"), "there is no setting nonsense"),
    (("--models", "BPR", "--space", "epochs=1,2"), "epochs is not searched"),
    (("--models", "BPR", "--space", "n_layers=1.5..3"), "expected whole numbers"),
    (("--models", "BPR", "--space", "n_layers=1,2", "--set", "n_layers=2"), "n_layers is set to one value"),
    (("--models", "BPR", "--set", "eval_step=9"), "no epoch would be evaluated"),
    (("--models", "BPR", "--halving", "0"), "is not ETA or ETA:FIRST"),
])
def test_options_that_do_not_fit_are_refused(study, data, capsys, arguments, message: str):
    assert study("tune", data, *arguments) == USAGE
    assert message in capsys.readouterr().err


def test_data_without_a_valid_part_and_a_folder_of_others_are_refused(study, data, capsys):
    assert study("tune", data, *SEARCH) == 0
    assert study("tune", data, *SEARCH, "--seed", "2") == USAGE
    assert "has learning_rate" in capsys.readouterr().err
    data.write_text("no valid part")
    assert study("tune", data, *SEARCH) == USAGE
    assert "has no valid part" in capsys.readouterr().err


def test_plots_have_the_front_and_the_most_important_settings():
    search = Search("BPR", "NDCG@10", {"a": Range(1, 100, log=True), "b": Choice(("x", "y"))}, [1], 3, [
        trial(number, number / 10, seconds=number) for number in range(1, 10)])
    for one in search.trials:
        one.values = {"a": str(10 * one.number), "b": "xy"[one.number % 2]}
    first, second = tune_table.effect_panels(search)
    assert first.axes.title.startswith("BPR: a explains 0.") and first.axes.logx
    assert second.axes.xlabel == "b: 1 x, 2 y" and {x for x, _ in second.series[0].points} == {1, 2}
    series, axes = tune_table.quality_plot([search])
    assert [one.label for one in series] == ["BPR", "front"] and series[1].points == [(9, 0.9)]
    assert axes.logx and plot.script(series, axes)
