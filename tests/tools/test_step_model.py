from __future__ import annotations

import json
import pathlib
import stat
import sys

import pytest

from llminit_tools import crossings, main, simulate, step_model
from llminit_tools.program import USAGE

SETTINGS = {"n_layers": "3", "embedding_size": "64", "field_precision": "float32"}


def test_what_is_not_in_the_caches_waits_for_memory():
    cores = simulate.CORES_A_NODE * simulate.EFFICIENCY
    assert step_model.share_of_core(simulate.CACHE / 2) == pytest.approx(1 / cores)
    half = (1 / cores + simulate.CORE_BANDWIDTH / simulate.NODE_BANDWIDTH) / 2
    assert step_model.share_of_core(2 * simulate.CACHE) == pytest.approx(half)


def test_a_link_carries_five_exchanges_of_three_layers():
    assert step_model.link_seconds(1000, 4, SETTINGS) == pytest.approx(5 * 1000 * 64 / simulate.LINK)
    assert step_model.link_seconds(1000, 1, {**SETTINGS, "field_precision": "bfloat16", "n_layers": "2"}) == \
        pytest.approx(3 * 1000 * 128 / simulate.LINK)


@pytest.fixture
def study(tmp_path: pathlib.Path) -> pathlib.Path:
    """Results of a core, of 2 and of 16 nodes, and a counter of 1000 rows a block."""
    for name, seconds in (("1-1x1", 0.0272), ("16-4x4-32", 0.003), ("2-1x2-32", 0.002)):
        folder = tmp_path / f"study/strong-simulated-{name}"
        folder.mkdir(parents=True)
        phases = {"halo": {"messages": 100}, "scores": {"messages": 25}}
        (folder / "result.json").write_text(json.dumps(
            {"step_seconds": seconds, "held": 100, "phases": phases, "settings": SETTINGS}))
    counter = tmp_path / "tools/simulate/crossings"
    counter.parent.mkdir(parents=True)
    counter.write_text(f"#!{sys.executable}\nimport json, sys\n"
                       f"print(json.dumps(dict.fromkeys({crossings.COUNTS}, 1000 * int(sys.argv[2]))))\n")
    counter.chmod(counter.stat().st_mode | stat.S_IXUSR)
    return tmp_path / "study"


def test_lines_ascend_in_nodes_and_add_up(study: pathlib.Path, data: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    build = str(study.parent)
    assert main.main(["tools/study", "model", str(study), str(data), "--build", build, "--format", "tsv"]) == 0
    assert [line.split("\t") for line in capsys.readouterr().out.splitlines()] == [
        step_model.HEAD,
        ["2", "1x2", "0.50", "0.05", "0.20", "0.75", "2.00"],
        ["16", "4x4", "0.06", "0.10", "0.20", "0.36", "3.00"],
    ]


def test_a_folder_without_simulations_is_refused(tmp_path: pathlib.Path, data: pathlib.Path,
                                                 capsys: pytest.CaptureFixture[str]):
    assert main.main(["tools/study", "model", str(tmp_path), str(data)]) == USAGE
    assert "--simulate 1,1x32" in capsys.readouterr().err
