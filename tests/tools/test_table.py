from __future__ import annotations

import json
import pathlib

from llminit_tools import collapse, compare, compare_table, scaling_table, table
from llminit_tools.compare_table import Cell, Result

METRIC = "NDCG@10"


def cell(model: str, start: str, seed: int, value: float | None) -> Cell:
    result = None if value is None else Result({METRIC: value}, 7, 2.0)
    return Cell(model, start, seed, pathlib.Path(f"{model}-{start}-{seed}"), result=result)


def rows(*cells: Cell) -> list[tuple[compare_table.Row, compare_table.Row]]:
    models = list(dict.fromkeys(one.model for one in cells))
    starts = list(dict.fromkeys(one.start for one in cells if one.start != compare_table.NO_START))
    return compare_table.rows_of(models, starts, starts[0], cells)


def test_text_aligns_numbers_at_the_right_and_leaves_out_empty_columns():
    lines = [["name", "", "n"], ["a", "", "10"], ["long name", "", "9"]]
    assert table.text(lines, right=[2]) == "name        n\na          10\nlong name   9\n"


def test_markdown_has_a_rule_under_the_header():
    assert table.markdown([["name", "n"], ["a", "1"]], right=[1]) == "| name | n |\n| --- | ---: |\n| a | 1 |\n"


def test_tsv_leaves_a_field_of_none_empty_and_keeps_all_digits():
    assert table.tsv([["a", None, 0.1 + 0.2]]) == "a\t\t0.30000000000000004\n"


def test_a_gain_is_over_the_seeds_that_both_starts_have():
    (base, _), (other, _) = rows(cell("BPR", "False", 1, 0.1), cell("BPR", "False", 2, 0.5),
                                 cell("BPR", "var", 1, 0.2), cell("BPR", "var", 2, None))
    assert abs(other.gain(METRIC, base) - 100) < 1e-9
    assert base.gain(METRIC, base) is None
    assert other.deviation(METRIC) is None


def test_the_best_start_of_each_model_is_marked_and_a_single_one_is_not():
    all_rows = rows(cell("BPR", "False", 1, 0.1), cell("BPR", "var", 1, 0.2), cell("EASE", "-", 1, 0.3))
    text = compare_table.text_table([METRIC], all_rows)
    assert "0.2000* +100.0%" in text and "0.1000*" not in text and "0.3000*" not in text
    assert "| **0.2000** (+100.0%) |" in compare_table.markdown_table([METRIC], all_rows)


def test_cells_that_failed_are_counted():
    failed = cell("BPR", "var", 1, None)
    failed.error = "no vectors"
    assert rows(cell("BPR", "False", 1, 0.1), failed)[1][0].progress() == "0/1, 1 failed"
    line = compare_table.tsv_cells([METRIC], [failed]).splitlines()[1]
    assert line.split("\t")[4:] == ["failed", "", "", "", "", "", "no vectors"]


def test_costs_are_of_all_calls_of_a_run_and_means_over_its_seeds(tmp_path: pathlib.Path):
    events = [{"event": "start", "ranks": 2}, {"event": "profile", "cpu_seconds": [1, 2, 3], "resident": [1, 2, 2**21]},
              {"event": "end", "why": "signal"}, {"event": "start", "ranks": 4},
              {"event": "profile", "cpu_seconds": [1, 5, 9], "resident": [1, 2, 2**20]},
              {"event": "test", "epoch": 4, "best": True, "metrics": {"ndcg@10": 0.2}},
              {"event": "end", "why": "all epochs done", "seconds": 2.0}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    one = Cell("BPR", "False", 1, tmp_path)
    compare.read_result(compare.Options(split="test", metrics=[METRIC]), one)
    assert one.result and (one.result.cpu_seconds, one.result.memory) == (2 * 2 + 4 * 5, 2**21)
    other, old = cell("BPR", "False", 2, 0.4), cell("BPR", "False", 3, 0.4)
    assert other.result
    other.result.cpu_seconds, other.result.memory = 26, 2**22
    all_rows = rows(one, other, old)
    assert compare_table.costs(all_rows[0][0]) == ["2.0", "25.0", "3"]
    assert compare_table.text_table([METRIC], all_rows).splitlines()[1].split()[-3:] == ["2.0", "25.0", "3"]
    assert compare_table.tsv_table([METRIC], all_rows).splitlines()[1].split("\t")[-2:] == ["25.0", str(3 * 2**20)]
    assert compare_table.costs(rows(old)[0][0]) == ["2.0", "-", "-"]


def test_cold_items_have_columns_of_their_own():
    cold = {"warm": {"ndcg@5": 0.3, "recall@10": 0.7}, "cold": {"ndcg@5": 0.1, "recall@10": 0.2},
            "warm_hit@5": 0.25, "cold_hit@5": 0.05, "warm_hit@10": 0.6, "cold_hit@10": 0.15}
    values = compare_table.cold_values(cold, ["Recall@10", "NDCG@5", "NDCG@10"])
    assert values == {"warm NDCG@5": 0.3, "cold NDCG@5": 0.1, "warm hit@5": 0.25, "cold hit@5": 0.05}
    assert compare_table.cold_values(cold, ["Recall@10"])["cold hit@10"] == 0.15
    assert compare_table.cold_values(None, ["Recall@10"]) == {}


def test_a_run_without_cold_columns_leaves_them_empty():
    with_cold, without, closed = (cell(*names, 1, 0.2) for names in (("BPR", "False"), ("BPR", "var"), ("EASE", "-")))
    assert with_cold.result
    with_cold.result.metrics["cold hit@10"] = 0.4
    columns = compare_table.columns_of([METRIC], [without, with_cold, closed])
    assert columns == [METRIC, "cold hit@10"]
    all_rows = rows(with_cold, without, closed)
    assert "0.4000 " in compare_table.text_table(columns, all_rows)
    lines = [line.split("\t") for line in compare_table.tsv_cells(columns, [with_cold, without]).splitlines()]
    assert [line[6] for line in lines] == ["cold hit@10", "0.4", ""]


def test_a_run_with_cold_items_is_read_from_its_log(tmp_path: pathlib.Path):
    metrics = {"ndcg@10": 0.2}
    cold = {"warm": {"ndcg@10": 0.3}, "cold": {"ndcg@10": 0.1}, "warm_hit@10": 0.25, "cold_hit@10": 0.05}
    events = [{"event": "test", "epoch": 4, "best": True, "metrics": metrics, "cold": cold},
              {"event": "end", "why": "all epochs done", "seconds": 2.0}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    one = Cell("BPR", "False", 1, tmp_path)
    compare.read_result(compare.Options(split="test", metrics=[METRIC]), one)
    assert one.result and one.result.metrics == {
        METRIC: 0.2, "warm NDCG@10": 0.3, "cold NDCG@10": 0.1, "warm hit@10": 0.25, "cold hit@10": 0.05}


def scaling_cell(kind: str, ranks: int, way: str, rate: float) -> scaling_table.Cell:
    result = {"samples_per_second": rate, "mpi_share": 0.25, "threads": 1}
    return scaling_table.Cell(kind, pathlib.Path("d"), ranks, way, "auto", 1, pathlib.Path("f"), result=result)


def test_speed_up_is_over_the_first_row_of_the_same_kind():
    kinds = (("strong", 2, 10), ("weak", 1, 5), ("strong", 8, 20))
    cells = [scaling_cell(kind, ranks, "auto", rate) for kind, ranks, rate in kinds]
    assert [(row["speedup"], row["efficiency"]) for row in scaling_table.rows_of(cells)] == [(1, 1), (1, 1), (2, 0.5)]


def test_every_line_of_a_scaling_plot_begins_at_one_rank():
    ways = ((1, "auto", 10), (4, "auto", 20), (4, "4x1", 30))
    cells = [scaling_cell("strong", ranks, way, rate) for ranks, way, rate in ways]
    lines = {one.label: one.points for one in scaling_table.series_of(cells, "speedup")}
    assert lines == {"strong, auto": [(1, 1), (4, 2)], "strong, 4x1": [(1, 1), (4, 3)]}


def test_the_median_rate_is_without_the_first_epoch_if_there_are_others():
    epochs = [{"event": "epoch", "samples_per_second": rate} for rate in (1, 5, 7)]
    assert scaling_table.median_rate(epochs) == 6
    assert scaling_table.median_rate(epochs[:1]) == 1


def test_widths_end_at_the_vectors_and_full_replaces_var_there():
    points = collapse.points_of(["False", "full", "var:emb_gain=2"], [16, 32, 64], 32)
    assert [(point.start, point.width) for point in points.values()] == [
        ("False", 16), ("False", 32), ("False", 64), ("full", 32), ("var:emb_gain=2", 16)]
    assert "var:emb_gain=2:embedding_size=16" in points
