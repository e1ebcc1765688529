"""The documents name files and pages that exist."""
import re

import pytest

from support.programs import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "Benchmarks").glob("*/*.md")])


def test_there_are_documents():
    assert {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"} <= {path.name for path in DOCUMENTS}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_named_sources_exist(path):
    folders = [ROOT / "Sources", ROOT / "Tests", ROOT / "Fuzz"]
    sources = [str(source.relative_to(ROOT)) for folder in folders for source in folder.rglob("*.swift")] + ["Package.swift"]
    for name in re.findall(r"`((?:\w+/)*[\w+]+\.swift)`", path.read_text()):
        assert any(source == name or source.endswith("/" + name) for source in sources), f"{path.name} names {name}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_named_tests_exist(path):
    tests = {file: file.read_text() for file in (ROOT / "Tests").rglob("test_*.py")}
    text = path.read_text()
    for name in re.findall(r"`((?:\w+/)*test_\w+\.py)`", text):
        assert any(str(file).endswith("/" + name) for file in tests), f"{path.name} names {name}"
    for name in re.findall(r"`(test_\w+)`", text):
        assert any(f"def {name}(" in content for content in tests.values()), f"{path.name} names {name}"
