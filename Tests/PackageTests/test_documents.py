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
    sources = [str(source.relative_to(ROOT)) for source in (ROOT / "Sources").rglob("*.swift")] + ["Package.swift"]
    for name in re.findall(r"`((?:\w+/)*[\w+]+\.swift)`", path.read_text()):
        assert any(source == name or source.endswith("/" + name) for source in sources), f"{path.name} names {name}"
