"""The instruction gate: it lets what the baseline allows pass, and stops what it does not."""
import json
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GATE = os.path.join(ROOT, "Benchmarks/core/gate.py")
BASELINE = os.path.join(ROOT, "Benchmarks/core/baseline.json")
sys.path.insert(0, os.path.dirname(GATE))

import gate  # noqa: E402

DUMP = """\
version: 1
creator: callgrind-3.19.0
events: Ir
ob=(1) /tmp/x/ztun-bench
fl=(1) a.swift
fn=(1) work
10 5
+2 7
cob=(2) /lib/libc.so.6
cfn=(2) malloc
calls=3 20
10 900
cfn=(3) swift_allocObject
calls=2 30
* 50
fn=(3)
30 40
cob=(2)
cfn=(2)
calls=2 20
30 600
ob=(2)
fn=(2)
20 1000
cfn=(4) calloc
calls=1 21
20 30
"""


def test_a_dump_is_read_by_object_and_calls_are_not_counted_twice():
    row = gate.Profile(DUMP).row("ztun-bench", 2)
    assert row["ours"] == (5 + 7 + 40) / 2
    assert row["libc"] == 500
    assert row["mallocs"] == 2.5, "malloc that calls calloc is one allocation"
    assert row["objects"] == 1


def row(**other):
    return {"ours": 10_000, "libnghttp2": 5_000, "libssl": 1, "libcrypto": 1, "libc": 1, "mallocs": 10, "objects": 4, **other}


@pytest.mark.parametrize(
    "now, worse",
    [
        ({}, False),
        ({"ours": 10_400}, False),
        ({"ours": 10_600}, True),
        ({"mallocs": 12}, True),
        ({"objects": 5}, True),
        ({"libnghttp2": 6_000}, True),
        ({"libcrypto": 900_000, "libc": 900_000, "libssl": 900_000}, False),
    ],
)
def test_what_is_held(now, worse):
    assert bool(gate.judge(row(**now), row(), 0.05, same_nghttp2=True)[0]) == worse


def test_another_nghttp2_is_not_held():
    assert not gate.judge(row(libnghttp2=9_000), row(), 0.05, same_nghttp2=False)[0]


def program():
    path = os.path.join(os.environ.get("ZTUN_BIN", os.path.join(ROOT, ".build/release")), "ztun-bench")
    if not os.path.exists(path):
        pytest.skip(f"{path} is not built: make gate")
    return path


def run(baseline, *arguments):
    return subprocess.run(
        [sys.executable, GATE, "--bench", program(), "--baseline", baseline, "--cases", "parse-authority", *arguments],
        capture_output=True, text=True)


def test_a_dearer_operation_fails_with_its_name(tmp_path):
    baseline = tmp_path / "baseline.json"
    assert run(baseline).returncode == 1, "without a baseline nothing is held, so it must not pass"
    assert run(baseline, "--update").returncode == 0
    passed = run(baseline)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    known = json.loads(baseline.read_text())
    for key in ("ours", "mallocs"):
        other = json.loads(json.dumps(known))
        other["cases"]["parse-authority"][key] *= 0.7
        baseline.write_text(json.dumps(other))
        failed = run(baseline)
        assert failed.returncode == 1
        assert f"parse-authority: {key}" in failed.stderr


def test_every_case_has_a_baseline():
    listed = subprocess.run([program(), "list"], capture_output=True, text=True, check=True).stdout
    names = {line.split("\t")[0] for line in listed.splitlines()}
    with open(BASELINE) as file:
        known = set(json.load(file)["cases"])
    assert known <= names and names - known <= {name for name in names if name.endswith("-100k")}
