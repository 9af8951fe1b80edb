"""docs/faults.md says the truth: every row has its tests, and every test that names a row stands there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs" / "faults.md"

_LINE = re.compile(r"\| (\d+) \| ([^|]+) \| ([^|]+) \|")
_FILE = re.compile(r"`([\w/]+\.py)`")
_ROWS = re.compile(r"(?:^test|_)_?rows?((?:_(?:to_)?\d+)+)(?=_|$)")

REQUIRED = {*range(1, 38), *range(69, 79)}
"""Rows that a test must show."""


def table() -> dict[int, set[str]]:
    """Return the files of each row."""
    rows: dict[int, set[str]] = {}
    for number, _, tests in _LINE.findall(TABLE.read_text()):
        assert int(number) not in rows, f"row {number} stands there twice"
        rows[int(number)] = set(_FILE.findall(tests))
    return rows


def rows_of(name: str) -> Iterator[list[int]]:
    """Yield the numbers behind each "row" of a test's name: the first is a row, others may be ("row_27_28", "rows_40_to_45")."""
    for run in _ROWS.finditer(name):
        numbers = [int(number) for number in re.findall(r"\d+", run[1])]
        yield list(range(numbers[0], numbers[1] + 1)) if "_to_" in run[1] else numbers


@cache
def named_tests() -> dict[str, list[str]]:
    """Return the tests of each file that name a row."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        names = [
            node.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and re.match(r"test_rows?_\d", node.name)
        ]
        if names:
            found[path.relative_to(ROOT / "tests").as_posix()] = names
    return found


def test_every_row_is_in_the_table() -> None:
    rows = table()
    assert sorted(rows) == list(range(1, 79))
    assert not {row for row in REQUIRED if not rows[row]}


def test_every_file_of_a_row_holds_a_test_of_it() -> None:
    for row, files in table().items():
        for file in files:
            named = {
                n for name in named_tests().get(file, ()) for run in rows_of(name) for n in run
            }
            assert row in named, f"row {row}: {file} has no test of it"


def test_every_test_of_a_row_stands_in_its_line() -> None:
    rows = table()
    missing = {
        (run[0], file)
        for file, names in named_tests().items()
        for name in names
        for run in rows_of(name)
        if file not in rows[run[0]]
    }
    assert not missing, sorted(missing)


def test_names_are_read_as_they_are_written() -> None:
    assert list(rows_of("test_row_27_28_reordered")) == [[27, 28]]
    assert list(rows_of("test_rows_40_to_45_bad_parts")) == [[40, 41, 42, 43, 44, 45]]
    assert list(rows_of("test_row_38_row_42_every_form")) == [[38], [42]]
    assert [run[0] for run in rows_of("test_row_43_32_headers")] == [43]
