from __future__ import annotations

import pytest

from llminit_tools import chart, plot

AXES = plot.Axes("Loss", "epoch", "loss")


@pytest.mark.parametrize("low, high, whole, ticks", [
    (0, 10, False, [0, 2, 4, 6, 8, 10]), (0.13, 0.27, False, [0.15, 0.2, 0.25]),
    (0, 2, True, [0, 1, 2]), (1, 1000, True, [200, 400, 600, 800, 1000]), (-1, 1, False, [-1, -0.5, 0, 0.5, 1])])
def test_ticks_are_round(low: float, high: float, whole: bool, ticks: list[float]):
    assert chart.linear_ticks(low, high, whole) == pytest.approx(ticks)


@pytest.mark.parametrize("low, high, ticks", [
    (1, 1000, [1, 10, 100, 1000]), (0.9, 21, [1, 2, 5, 10, 20]), (1e-12, 1, [1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 0.01, 1]),
    (1, 2, [1, 1.2, 1.4, 1.6, 1.8, 2])])
def test_ticks_of_a_logarithmic_scale_are_powers(low: float, high: float, ticks: list[float]):
    assert chart.log_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize("value, text", [(0.25, "0.25"), (12000, "12,000"), (2.5e6, "2.5e6"), (1e-5, "1e-5"), (0, "0")])
def test_ticks_have_short_texts(value: float, text: str):
    assert chart.tick_text(value) == text


def test_places_are_where_the_scale_has_them():
    x = chart.scale_of([1, 3], 0, 100, False, 0)
    assert [x.place(value) for value in (1, 2, 3)] == [0, 50, 100]
    y = chart.scale_of([1, 100], 200, 0, True, 0)
    assert [y.place(value) for value in (1, 10, 100)] == [200, 100, 0]
    assert chart.scale_of([1e-300, 1e300], 0, 100, True, 0.06).place(1) == pytest.approx(50, abs=2)
    assert chart.scale_of([5], 0, 100, False, 0).place(5) == 50
    assert chart.scale_of([0.0], 0, 100, False, 0.06).place(0) == 50


def test_a_figure_says_in_words_what_it_shows():
    found = chart.figure("loss", [chart.Line("a <b>", [(1, 0.5), (2, 0.25), (3, 0.3)], 0, best=2)], AXES)
    assert "a &lt;b&gt;: 0.5 at epoch 1, 0.25 at 2, 0.3 at 3." in found
    assert found.count("<circle") == 3 and found.count('class="best c0"') == 1
    assert 'role="img" aria-labelledby="loss-title loss-words"' in found


def test_what_a_scale_cannot_show_is_left_out():
    line = chart.Line("a", [(1, 0.0), (2, float("nan")), (3, 0.1), (4, float("inf"))], 0)
    assert chart.visible(line, plot.Axes("", "", "", logy=True)).points == [(3, 0.1)]
    assert chart.figure("k", [chart.Line("a", [(1, float("nan"))], 0)], AXES) is None
    assert chart.figure("k", [], AXES) is None


def test_many_points_are_a_line_without_dots():
    found = chart.figure("k", [chart.Line("a", [(k, float(k)) for k in range(100)], 0)], AXES)
    assert "<circle" not in found and "<polyline" in found
