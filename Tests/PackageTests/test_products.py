"""What the linked programs are made of: libraries, symbols, size."""
import os
import subprocess

import pytest

from support.programs import program

LIBRARIES = {
    "ztun": set(),
    "ztund": {"libssl", "libcrypto", "libnghttp2", "libyaml", "libbpf"},
    "ztun-waypoint": {"libssl", "libcrypto", "libnghttp2", "libyaml"},
}
WATCHED = {"libssl", "libcrypto", "libnghttp2", "libyaml", "libbpf", "libFoundation", "libswiftCore"}


def linked(path):
    output = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
    return {line.split()[0].split(".so")[0].split("-0")[0] for line in output.splitlines() if line.strip()}


@pytest.mark.parametrize("name", LIBRARIES)
def test_links_only_what_it_needs(name):
    assert linked(program(name)) & WATCHED <= LIBRARIES[name]


@pytest.mark.parametrize("name", LIBRARIES)
def test_full_foundation_is_not_inside(name):
    symbols = subprocess.run(["nm", "-C", program(name)], check=True, capture_output=True, text=True).stdout
    assert symbols, "nm saw no symbols: the check would pass on anything"
    assert "NSRegularExpression" not in symbols


@pytest.mark.parametrize("name", LIBRARIES)
def test_stripped_size(name, tmp_path):
    stripped = tmp_path / name
    subprocess.run(["strip", "-o", stripped, program(name)], check=True)
    assert os.path.getsize(stripped) <= 25_000_000
