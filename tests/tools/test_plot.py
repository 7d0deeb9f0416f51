from __future__ import annotations

import pathlib
import shutil

import pytest

from llminit_tools import plot

AXES = plot.Axes("a title", "k", "it's", logx=True, logy=True, xtics=[1, 2])
SERIES = plot.Series("one", [(0, 1.0), (1, 2.0), (2, None), (3, 0.0)])


def test_only_known_kinds_of_plots_are_drawn():
    assert plot.suffix_of("plot.SVG") == ".svg" and plot.suffix_of("-") == ".txt"
    with pytest.raises(plot.PlotError, match="plot.pdf: expected a name that ends in .svg, .png or .txt"):
        plot.suffix_of("plot.pdf")


def test_points_that_a_log_scale_cannot_show_are_left_out():
    assert plot.visible(SERIES, AXES).points == [(1, 2.0)]
    assert len(plot.visible(SERIES, plot.Axes("", "", "")).points) == 3


def test_gnuplot_is_given_quoted_texts_scales_and_data():
    lines = plot.script([plot.visible(SERIES, AXES)], AXES).splitlines()
    assert lines[:3] == ["reset", "set title 'a title'", "set xlabel 'k'"]
    assert lines[3:5] == ["set ylabel 'it''s'", "set logscale x"]
    assert "set xtics (1, 2)" in lines
    assert lines[-4:] == ["$data0 << end", "1 2.0", "end", "plot $data0 with linespoints title 'one'"]


def test_without_gnuplot_one_line_says_so(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(plot.PlotError, match="gnuplot is not installed"):
        plot.plot([SERIES], AXES, tmp_path / "plot.svg")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not shutil.which("gnuplot"), reason="gnuplot is not installed")
def test_a_plot_is_drawn_as_text(tmp_path: pathlib.Path):
    plot.plot([plot.Series("one", [(1, 1.0), (2, 4.0)])], plot.Axes("a title", "x", "y"), tmp_path / "plot.txt")
    text = (tmp_path / "plot.txt").read_text(encoding="utf-8")
    assert "a title" in text and "one" in text and not any(line != line.rstrip() for line in text.splitlines())
