from __future__ import annotations

import json
import pathlib

import pytest

from llminit_tools import bootstrap
from llminit_tools.program import Failure

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "data/golden/bootstrap/scalars.json"


def golden_runs() -> tuple[list[float], list[float]]:
    """The formulas of tests/data/make_golden.py."""
    users = range(200)
    return [(37 * u * u + 11 * u) % 101 / 100 for u in users], [(53 * u * u + 7 * u) % 97 / 105 for u in users]


def test_numpy_finds_the_same_difference_interval_and_p():
    want = json.loads(GOLDEN.read_text(encoding="ascii"))
    (found,) = bootstrap.differences([golden_runs()])
    assert found.mean == pytest.approx(want["mean"], abs=1e-14)
    assert (found.low, found.high) == (pytest.approx(want["low"], abs=1e-14), pytest.approx(want["high"], abs=1e-14))
    assert found.p == want["p"]


def test_all_pairs_see_the_same_draws_every_time():
    run, base = golden_runs()
    first = bootstrap.differences([(run, base)])
    assert bootstrap.differences([(base, run), (run, base)])[1:] == first
    turned = bootstrap.differences([(base, run)])[0]
    assert (turned.mean, turned.p) == (-first[0].mean, first[0].p)
    assert (turned.low, turned.high) == (pytest.approx(-first[0].high), pytest.approx(-first[0].low))
    assert bootstrap.differences([]) == []


def test_p_is_1_without_a_difference_and_never_0():
    same, better = bootstrap.differences([([0.5] * 20, [0.5] * 20), ([1.0] * 20, [0.5] * 20)])
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)
    assert (better.mean, better.low, better.high, better.p) == (0.5, 0.5, 0.5, 1 / 1001)


def test_quantiles_are_linear_between_neighbours():
    assert [bootstrap.quantile([0.0, 1.0, 4.0], f) for f in (0, 0.25, 0.75, 1)] == [0, 0.5, 2.5, 4]


def test_a_file_of_users_is_read_or_refused(tmp_path: pathlib.Path):
    path = tmp_path / "users.tsv"
    path.write_text("user_id\trecall@10\tndcg@10\nu 1\t0.5\t0.25\nu2\t0\t1\n")
    users = bootstrap.read_users(path)
    assert users == bootstrap.Users(["u 1", "u2"], {"recall@10": [0.5, 0], "ndcg@10": [0.25, 1]})
    other = bootstrap.Users(users.ids, {"ndcg@10": [0.75, 0]})
    assert bootstrap.mean_users([users, other], "ndcg@10") == [0.5, 0.5]
    for text in ("", "item\tndcg@10\n", "user_id\tndcg@10\nu1\n", "user_id\tndcg@10\nu1\tmuch\n"):
        path.write_text(text)
        with pytest.raises(Failure, match="users.tsv: "):
            bootstrap.read_users(path)


def test_the_table_shows_four_decimals_and_the_tsv_all():
    line = bootstrap.Line(("BPR", "var"), ("BPR", "False"), "NDCG@10", 7, bootstrap.Difference(1 / 3, -0.1, 0.5, 1 / 7))
    tables = bootstrap.all_tables([line])
    assert tables["differences.txt"].splitlines()[1].split() == [
        "BPR", "var", "BPR", "False", "NDCG@10", "7", "+0.3333", "-0.1000", "+0.5000", "0.143"]
    assert tables["differences.tsv"].splitlines()[1].split("\t")[5:] == [
        "0.3333333333333333", "-0.1", "0.5", "0.14285714285714285"]
