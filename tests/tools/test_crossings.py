from __future__ import annotations

import pathlib
import stat
import sys

import pytest

from llminit_tools import crossings, main
from llminit_tools.program import USAGE

FOUND = {"rows": 100, "train": 400, "edges": 30, "per_rank": 60, "once": 40, "once_worst": 15, "cover": 20,
         "cover_worst": 5}


@pytest.fixture
def build(tmp_path: pathlib.Path) -> pathlib.Path:
    """A build folder whose counter divides what it knows by the blocks."""
    counter = tmp_path / "build/tools/simulate/crossings"
    counter.parent.mkdir(parents=True)
    counter.write_text(f"#!{sys.executable}\nimport json, sys\nassert sys.argv[3] == '4'\n"
                       f"print(json.dumps({{**{FOUND}, 'edges': 120 // int(sys.argv[2])}}))\n")
    counter.chmod(counter.stat().st_mode | stat.S_IXUSR)
    return tmp_path / "build"


def study(*arguments: object) -> int:
    return main.main(["tools/study", "crossings", *map(str, arguments)])


def test_a_line_is_made_of_the_counts(build: pathlib.Path, data: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    assert study(data, "--build", build, "--blocks", "3,4", "--per-node", 4) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["3", "10.0%", "0.600", "0.400", "0.200", "1.12", "0.75"],
        ["4", "7.5%", "0.600", "0.400", "0.200", "1.50", "1.00"]]


def test_one_rank_to_a_node_has_no_column_of_its_own():
    text = crossings.tables(1, {2: {**FOUND, "once": 0, "cover": 0}})["md"]
    assert text.splitlines()[0] == "| blocks | edges | once | cover | worst | worst of cover |"
    assert text.splitlines()[2] == "| 2 | 7.5% | 0.000 | 0.000 | - | - |"


def test_all_counts_are_in_the_tsv():
    assert crossings.tables(4, {2: FOUND})["tsv"].splitlines() == [
        "\t".join(["blocks", "per_node", *crossings.COUNTS]), "\t".join(map(str, [2, 4, *FOUND.values()]))]


def test_the_counter_must_be_built(tmp_path: pathlib.Path, data: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    assert study(data, "--build", tmp_path) == USAGE
    assert f"ninja -C {tmp_path} crossings" in capsys.readouterr().err
