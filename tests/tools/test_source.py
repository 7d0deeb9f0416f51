from __future__ import annotations

import ast
import pathlib

import pytest

from llminit_tools import source
from llminit_tools.program import ROOT

PYTHON = sorted([*ROOT.glob("tools/**/*.py"), *ROOT.glob("tests/**/*.py"), ROOT / "tools/study"])
C = '''/*
 * What it does.
 */
#include "internal.h"

/* Why. */
static int add(int a, int (*by)(int, int),
               int b) // the sum
{
    return a + by(b, b); /* here
    and there */
}

static const char *text = "/* no comment";
int plain(void)
{
    return 0;
}
'''


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_compiles_and_its_lines_are_short(path: pathlib.Path):
    text = path.read_text(encoding="utf-8")
    ast.parse(text, str(path))
    assert [number for number, line in enumerate(text.splitlines(), 1) if len(line) > 120] == []


def test_comments_functions_and_parameters_are_counted(tmp_path: pathlib.Path):
    path = tmp_path / "file.c"
    path.write_text(C)
    found = source.read(path)
    assert (found.n_lines, found.n_comments, found.n_commented, found.n_opening) == (18, 5, 7, 3)
    add, plain = found.functions
    assert (add.name, add.is_static, add.first, add.n_lines, add.n_parameters) == ("add", True, 7, 6, 3)
    assert add.is_explained and not plain.is_explained
    assert (plain.name, plain.n_lines, plain.n_parameters) == ("plain", 4, 0)


def test_circles_are_the_strongly_connected_files():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"a"}}
    assert source.circles_of(graph) == [["a", "b", "c"]]
