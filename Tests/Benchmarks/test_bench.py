"""`make bench`: its table says what the lines say, and every row comes up."""
import json
import os
import subprocess
import sys

import pytest

from support.programs import ROOT

PEER = ROOT / "Benchmarks/peer"


def table(tmp_path, rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return subprocess.run(
        [sys.executable, PEER / "lib/targets.py", path], capture_output=True, text=True, check=True).stdout


def rr(sut, rps, cpu, **more):
    return {"sut": sut, "figure": "rr-64", "rps": rps, "cpu_us_per_op": {"node1": cpu, "node2": cpu}, **more}


def test_a_target_is_met_or_missed_by_the_median(tmp_path):
    rows = [rr("envoy:hbone@1", 1000, 10) for _ in range(3)]
    rows += [rr("ztun:hbone@1", rps, 5) for rps in (1000, 1400, 9000)]
    lines = table(tmp_path, rows).splitlines()
    rate = next(line for line in lines if "requests/s (one worker)" in line)
    assert "1.40" in rate and rate.endswith(" met")
    cpu = next(line for line in lines if "CPU µs per request (one worker)" in line)
    assert "0.50" in cpu and cpu.endswith(" met")
    rows[-2]["rps"] = 1200
    assert "MISSED" in table(tmp_path, rows)


def test_memory_per_idle_tunnel_is_the_difference(tmp_path):
    def memory(figure, idle, mib):
        return {"sut": "ztun:hbone@1", "figure": figure, "idle": idle,
                "mem": {"node1": {"rss_kb": mib * 1024}, "node2": {"rss_kb": mib * 1024}}}

    lines = table(tmp_path, [memory("mem-0", 0, 10), memory("mem-1024", 1024, 15)])
    assert "5.00" in next(line for line in lines.splitlines() if "KiB per idle tunnel, client side" in line)


def test_errors_are_not_hidden_behind_medians(tmp_path):
    assert "with errors: 1" in table(tmp_path, [rr("envoy:hbone@1", 1, 1), rr("ztun:hbone@1", 1, 1, errors=3)])


@pytest.mark.slow
@pytest.mark.root
def test_every_row_comes_up(tmp_path):
    environment = dict(os.environ, PB_RESULTS=str(tmp_path), ZTUN_BENCH_PYTHON=sys.executable, PB_LOCK=str(tmp_path / "lock"))
    before = set(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else set()
    done = subprocess.run([PEER / "run.sh", "tiny"], capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for wanted in ("(one worker)", "(two workers)", "a tunnel for each connection", "waypoint, 64 connections"):
        assert wanted in done.stdout
    assert "with errors: 0" in done.stdout, done.stdout[-3000:]
    left = {name for name in os.listdir("/run/netns") if name.startswith("zt-b")} - before
    assert not left
