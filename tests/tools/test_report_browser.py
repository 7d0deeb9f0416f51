"""The page of a report in Chromium, at the widths of a phone and of a screen, light and dark."""
from __future__ import annotations

import pathlib

import pytest

import browser
import runs
from llminit_tools import report

pytestmark = pytest.mark.skipif(not browser.find(), reason="chromium is not installed (Debian: chromium)")

COLOURS = """[document.body, document.querySelector("td"), document.querySelector(".quiet")].map(one =>
    [getComputedStyle(one).color, getComputedStyle(document.body).backgroundColor]).flat().join(" ")"""
CURVES = """[...document.querySelectorAll("svg .curve")].map(one => getComputedStyle(one).stroke).join(" ")"""


@pytest.fixture(scope="module")
def tab():
    with browser.tab() as one:
        yield one


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A page of everything, with names that are long."""
    folder = tmp_path_factory.mktemp("report")
    names = [f"LightGCN,embedding_size=1024,emb_gain=3-{'x' * 60}-{k}" for k in range(9)]
    folders = [runs.with_groups(runs.trained(folder / name, 0.3 + k / 100, seed=str(k)))
               for k, name in enumerate(names)]
    folders += [runs.closed(folder / "ease"), runs.write(folder / "cut", [runs.START, *runs.epochs(1, 0.3)])]
    report.main("tools/study report", [*map(str, folders), "--out", str(folder / "page.html"), "--title", "T" * 200])
    return folder / "page.html"


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)" (WCAG 2)."""
    parts = [int(one) / 255 for one in colour.removeprefix("rgb(").removesuffix(")").split(", ")]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def rgb(text: str) -> list[str]:
    return [f"rgb{one.strip()}" for one in text.split("rgb")[1:]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_is_readable_and_has_no_errors(tab: browser.Tab, path: pathlib.Path, width: int, scheme: str):
    tab.open(path, width, scheme)
    assert tab.complaints == []
    assert tab.evaluate("innerWidth") == width
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.evaluate("document.compatMode") == "CSS1Compat"
    colours = rgb(tab.evaluate(COLOURS))
    assert (luminance(colours[1]) > 0.5) == (scheme == "light")
    for text, ground in zip(colours[::2], colours[1::2]):
        assert contrast(text, ground) > 4.5
    curves = set(rgb(tab.evaluate(CURVES)))
    assert len(curves) == 8 and all(contrast(one, colours[1]) >= 3 for one in curves)


def test_a_page_that_is_too_wide_and_wrong_is_found(tab: browser.Tab, tmp_path: pathlib.Path):
    bad = tmp_path / "bad.html"
    bad.write_text('<!DOCTYPE html><meta name="viewport" content="width=device-width"><body>'
                   '<div style="width:900px">x</div><script>missing()</script>')
    tab.open(bad, 390, "light")
    assert tab.evaluate("document.documentElement.scrollWidth") > 390
    assert any("missing is not defined" in one for one in tab.complaints)
    tab.complaints.clear()


def test_charts_are_large_enough_to_read_and_everything_is_printed(tab: browser.Tab, path: pathlib.Path):
    tab.open(path, 390, "light")
    size = 'Math.min(...[...document.querySelectorAll("figure text")].map(one => one.getBoundingClientRect().height))'
    assert tab.evaluate(size) >= 10
    tab.ask("Emulation.setEmulatedMedia", media="print")
    heights = '[...document.querySelectorAll("details > :not(summary)")].map(one => one.getBoundingClientRect().height)'
    assert tab.evaluate(f"Math.min(...{heights})") > 0
