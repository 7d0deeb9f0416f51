from __future__ import annotations

import argparse
import pathlib
import re

import pytest

from llminit_tools import compare, main, options, program, scaling, scaling_table, simulate, spectrum
from llminit_tools.program import Failure


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exit_:
        main.main(["tools/study", command, "--help"])
    assert exit_.value.code == 0 and f"usage: tools/study {command} " in capsys.readouterr().out


@pytest.mark.parametrize("link, command", main.LINKS.items())
def test_every_link_is_its_command(link: str, command: str):
    paths = [program.ROOT / "tools" / link, program.ROOT / "tools/bench" / link]
    assert [path.resolve() for path in paths if path.exists()] == [program.ROOT / "tools/study"]
    assert command in main.COMMANDS


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]):
    assert main.main(["tools/study", "nonsense"]) == program.USAGE
    assert "'nonsense' is not one of compare, " in capsys.readouterr().err


def test_vectors_of_a_closed_form_are_chosen_with_it():
    model = "ChebyCF:text_weight=4:emb_selection=whiten"
    assert compare.models_but(compare.RESERVED)(f"{model},LightGCN") == [model, "LightGCN"]


@pytest.mark.parametrize("parse, text", [
    (options.positive, "0"), (options.positive, "1x"), (options.words, "A,,B"), (options.words, "A,A"),
    (options.ascending, "2,1"), (options.seeds, "1,-2"), (compare.metric_list, "NDCG"), (compare.metric_list, "AUC@10"),
    (compare.models_but(compare.RESERVED), "EASE,LightGCN:emb_selection=pca"), (compare.part, "3/2"),
    (compare.part, "0/2"), (compare.variants, "var:seed=1"), (compare.variants, "var:emb_gain"),
    (scaling.grid_list, "2x"), (scaling.grid_list, "rows"),
    (simulate.ranks_and_threads, "2,1x1"), (simulate.ranks_and_threads, "2x"), (simulate.ranks_and_threads, "1x3"),
])
def test_a_bad_value_is_refused(parse, text: str):
    with pytest.raises(argparse.ArgumentTypeError):
        parse(text)


def test_values_are_read():
    assert options.ascending("1, 2 4") == [1, 2, 4]
    assert compare.metric_list("ndcg@5,Recall@20") == ["NDCG@5", "Recall@20"]
    assert compare.part("2/3") == (2, 3)
    assert compare.variants("False,var:emb_gain=2") == ["False", "var:emb_gain=2"]


def test_a_setting_that_an_option_sets_is_refused_with_that_option(build: pathlib.Path, data: pathlib.Path):
    with pytest.raises(Failure, match="seed is set by --seeds"):
        compare.parse("compare", [str(data), "--out", "o", "--build", str(build), "--set", "seed=1"])


def test_the_baseline_must_be_a_start(build: pathlib.Path, data: pathlib.Path):
    with pytest.raises(Failure, match="--baseline uni is not one of --starts"):
        compare.parse("compare", [str(data), "--out", "o", "--build", str(build), "--baseline", "uni"])


def test_a_program_or_file_that_does_not_exist_is_named(tmp_path: pathlib.Path, build: pathlib.Path):
    with pytest.raises(Failure, match="absent.h5: no such file"):
        compare.parse("compare", ["absent.h5", "--out", "o", "--build", str(build)])
    with pytest.raises(Failure, match="llminit does not exist"):
        compare.parse("compare", ["absent.h5", "--out", "o", "--build", str(tmp_path)])


def test_each_number_of_ranks_needs_its_data(build: pathlib.Path, data: pathlib.Path):
    with pytest.raises(Failure, match="1 --weak for 3 numbers of --ranks"):
        scaling.parse("scaling", ["--out", "o", "--weak", str(data), "--build", str(build)])


def test_each_grid_is_named_once_and_fits_ranks_and_segments():
    assert scaling.grids_of(["auto", "blocks"], 1, 4) == [("auto", "auto")]
    assert scaling.grids_of(["blocks", "all"], 4, 2) == [("blocks", "4x1"), ("2 slices", "2x2")]
    assert scaling.grids_of(["auto", "2x2", "8x1"], 4, 2) == [("auto", "auto"), ("2x2", "2x2")]


def test_simulated_ranks_share_their_node():
    assert simulate.ranks_and_threads("1,1x32,4x32") == [(1, 1), (1, 32), (4, 32)]

    def cores(ranks: int, threads: int) -> tuple[int, list[float]]:
        place = pathlib.Path("f")
        cell = scaling_table.Cell("strong simulated", place, ranks, "auto", "auto", 1, place, threads, "counted")
        words = simulate.cores_of(cell).split(",")
        return simulate.nodes_of(cell), [float(word) for word in words]

    cache, memory, core = simulate.CACHE, simulate.NODE_BANDWIDTH, simulate.CORE_BANDWIDTH
    assert cores(1, 1) == (1, [1, 1, 0, cache / 32, memory, core])
    assert cores(64, 1) == (2, [1, 1, 0, cache / 32, memory / 32, core])
    assert cores(4, 32) == (4, [32, simulate.EFFICIENCY, simulate.JOIN, cache, memory, core])
    assert cores(3, 8) == (1, [8, simulate.EFFICIENCY, simulate.JOIN, cache / 4, memory / 3, core])


def test_simulations_have_all_settings_of_models_and_optimizers():
    names = [name for module in ("model/options.c", "optim/optim.c")
             for name in re.findall(r'\.name = "(\w+)"', (program.ROOT / "src" / module).read_text())]
    assert "learner" in names and "init" in names and set(names) <= set(simulate.SETTINGS)


def test_spectra_are_named_by_what_tells_their_files_apart():
    paths = [pathlib.Path("run/noise/best.h5"), pathlib.Path("run/pca/best.h5")]
    assert list(spectrum.names_of(paths).values()) == ["noise", "pca"]
