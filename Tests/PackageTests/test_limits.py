"""docs/limits.md, Limits.swift and the tests say the same: every limit has a row, a number, a unit, a use and a test."""
import functools
import re

import pytest

from support.programs import ROOT
from support.rows import files_by_row

SOURCE = ROOT / "Sources" / "MeshModel" / "Limits.swift"
UNITS = {"Bytes": "bytes", "PerMille": "per mille", "PerSecond": "a second", "Seconds": "seconds"}


@functools.cache
def limits():
    """Names and numbers of the source."""
    found = {}
    for name, value in re.findall(r"package var (\w+) = ([\d_.]+)$", SOURCE.read_text(), re.M):
        assert name not in found
        found[name] = float(value.replace("_", ""))
    return found


@functools.cache
def rows():
    """The tables of the document that have a column of names: name, number, unit, test."""
    found = {}
    for line in (ROOT / "docs" / "limits.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("| ") else []
        if len(cells) == 6 and (match := re.fullmatch(r"`(\w+)`", cells[1])):
            assert match[1] not in found, f"{match[1]} has two rows"
            found[match[1]] = (cells[2], cells[3], cells[5])
    return found


@functools.cache
def texts_of_tests():
    """The Python tests with their text, and the names of the Swift ones."""
    python = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "Tests").rglob("test_*.py")}
    return python, {path.name for path in (ROOT / "Tests").rglob("*.swift")}


def unit(name):
    return next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), "")


def test_every_limit_has_a_row_and_every_row_a_limit():
    assert len(limits()) > 40
    assert limits().keys() == rows().keys()


@pytest.mark.parametrize("name", sorted(limits()))
def test_number_and_unit(name):
    number, its_unit, _ = rows()[name]
    assert float(number.replace(",", "")) == limits()[name]
    assert its_unit == unit(name)


def test_every_limit_is_in_use():
    text = "".join(path.read_text() for path in (ROOT / "Sources").rglob("*.swift") if path != SOURCE)
    unused = [name for name in limits() if not re.search(rf"(?:Limits\.standard|limits)\.{name}\b", text)]
    assert not unused


@pytest.mark.parametrize("name", sorted(limits()))
def test_the_named_tests_exist(name):
    """A file, in it the rows that are named; or a function of some file."""
    python, swift = texts_of_tests()
    proof = rows()[name][2]
    assert "test" in proof.lower(), proof
    for part in proof.split(";"):
        for file in re.findall(r"`(\w+\.swift)`", part):
            assert file in swift, file
        files = re.findall(r"`(Tests/\S+\.py)`", part)
        for file in files:
            assert file in python, file
        for number in re.findall(r"\b(\d{2})\b", part.split("row", 1)[1] if " row" in part else ""):
            assert files_by_row().get(int(number), set()) & set(files), f"no row {number} in {files}"
        for function in re.findall(r"`(test_\w+)`", part):
            assert any(f"def {function}(" in text for text in python.values()), function
