"""Which rows of the acceptance catalogue the tests name: `test_row_16_...`, `test_row_05_and_06_...`, `test_rows_30_to_35_...`."""
import functools
import re

from .programs import ROOT

NAME = re.compile(r"^def (test_rows?_\d{2}(?:_(?:to|and)_\d{2})*\w*)\(", re.M)


def rows_of(name):
    """The rows that the name of a test stands for."""
    numbers = re.match(r"test_rows?_(\d{2}(?:_(?:to|and)_\d{2})*)", name)[1].split("_")
    rows = {int(numbers[0])}
    for word, number in zip(numbers[1::2], numbers[2::2]):
        rows |= set(range(max(rows), int(number) + 1)) if word == "to" else {int(number)}
    return rows


@functools.cache
def files_by_row():
    """The files that have a test of each row, relative to the root."""
    found = {}
    for path in sorted((ROOT / "Tests").rglob("test_*.py")):
        for name in NAME.findall(path.read_text()):
            for row in rows_of(name):
                found.setdefault(row, set()).add(str(path.relative_to(ROOT)))
    return found
