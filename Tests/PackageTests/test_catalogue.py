"""docs/threat-model.md says which rows of the acceptance catalogue are tested where: each of them is, and nothing is left out."""
import functools
import re

import pytest

from support.programs import ROOT
from support.rows import rows_of, files_by_row


@functools.cache
def table():
    """Rows of the catalogue and the files that the document names for them."""
    text = (ROOT / "docs" / "threat-model.md").read_text()
    section = text.split("## Rows of the acceptance catalogue and their tests", 1)[1].split("\n## ", 1)[0]
    found = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 3 or not re.fullmatch(r"\d[\d, -]*", cells[0]):
            continue
        files = set(re.findall(r"`([^`]+)`", cells[2]))
        for part in cells[0].split(","):
            first, _, last = part.strip().partition("-")
            for row in range(int(first), int(last or first) + 1):
                assert row not in found, f"row {row} stands twice"
                found[row] = files
    return found


def test_the_rows_of_this_program_are_there():
    wanted = {*range(1, 58), *range(72, 90), 96, 97, 98}
    assert wanted <= table().keys(), sorted(wanted - table().keys())


@pytest.mark.parametrize("row", sorted(table()))
def test_a_row_that_is_said_to_be_tested_is(row):
    """By a test with its number, in one of the files named; every file named has one."""
    named, there = table()[row], files_by_row().get(row, set())
    assert there, f"no test names row {row}"
    assert named & there, f"row {row}: {named} are named, the tests are in {there}"


def test_every_file_named_has_a_row_of_its_line():
    for file in sorted({file for files in table().values() for file in files}):
        assert any(file in files_by_row().get(row, set()) for row in table()), file


@pytest.mark.parametrize("name, rows", [
    ("test_row_16_zero_window", {16}), ("test_row_05_and_06_bomb", {5, 6}), ("test_row_11_to_15_flood", {11, 12, 13, 14, 15}),
    ("test_rows_29_and_39_wrong", {29, 39}), ("test_row_01_and_02_no_error", {1, 2})])
def test_names_are_read_so(name, rows):
    assert rows_of(name) == rows
