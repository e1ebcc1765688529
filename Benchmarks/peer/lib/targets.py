#!/usr/bin/env python3
"""The figures that have a target, from the JSON lines of a run: Envoy's median, ours, the ratio, and whether it is met."""
import json
import statistics
import sys

ROWS = []
for path in sys.argv[1:]:
    with open(path) as file:
        ROWS += [row for row in (json.loads(line) for line in file if line.startswith("{")) if "sut" in row]


def sample(sut, figure, pick):
    """The median over the repetitions, or None where the figure was not taken."""
    values = []
    for row in ROWS:
        if row["sut"] != sut or row["figure"] != figure or row.get("error"):
            continue
        try:
            values.append(pick(row))
        except (KeyError, TypeError, ZeroDivisionError):
            continue
    return statistics.median(values) if values else None


def both_ends(key):
    return lambda row: sum(row[key].values())


def idle_rss(role):
    return lambda row: row["mem"][role]["rss_kb"] / 1024


def per_tunnel(sut, role):
    """KiB that one idle tunnel adds, from none to the most that were measured."""
    most = max((row["idle"] for row in ROWS if row["sut"] == sut and row["figure"].startswith("mem-")), default=0)
    if not most:
        return None
    figure = next(row["figure"] for row in ROWS if row["sut"] == sut and row.get("idle") == most)
    none, many = sample(sut, "mem-0", idle_rss(role)), sample(sut, figure, idle_rss(role))
    return None if none is None or many is None else (many - none) * 1024 / most


def line(name, envoy, ours, kind, target, unit=""):
    """kind: "ratio<" and "ratio>" hold ours / Envoy's against the target, "<" and ">" ours alone."""
    if ours is None:
        return
    ratio = ours / envoy if envoy else None
    judged = ratio if kind.startswith("ratio") else ours
    met = "" if judged is None else "met" if (judged <= target if kind.endswith("<") else judged >= target) else "MISSED"
    wanted = f"{'≤' if kind.endswith('<') else '≥'} {target:g}{'×' if kind.startswith('ratio') else unit}"
    print(f"{name:52}" + (f"{envoy:12,.2f}" if envoy is not None else " " * 11 + "-") + f"{ours:12,.2f}"
          + (f"{ratio:8.2f}" if ratio is not None else "       -") + f"  {wanted:12} {met}")


def tunnel(envoy, ours, workers):
    def pair(figure, pick):
        return sample(envoy, figure, pick), sample(ours, figure, pick)

    open_loop = next((row["figure"] for row in ROWS if row["figure"].startswith("open-")), "open-4000")
    line(f"bulk up, CPU-s per GB, both ends ({workers})", *pair("bulk-up-1", both_ends("cpu_s_per_gb")), "ratio<", 0.71)
    line(f"bulk down, CPU-s per GB, both ends ({workers})", *pair("bulk-down-1", both_ends("cpu_s_per_gb")), "ratio<", 0.72)
    line(f"64 connections, CPU µs per request ({workers})", *pair("rr-64", both_ends("cpu_us_per_op")), "ratio<", 0.61)
    line(f"64 connections, requests/s ({workers})", *pair("rr-64", lambda row: row["rps"]), "ratio>", 1.3)
    line(f"{open_loop}, p50 µs ({workers})", *pair(open_loop, lambda row: row["p50_us"]), "ratio<", 0.8)
    line(f"{open_loop}, p99 µs ({workers})", *pair(open_loop, lambda row: row["p99_us"]), "ratio<", 0.9)
    line(f"new connections/s on a pooled tunnel ({workers})", *pair("conn-32", lambda row: row["cps"]), "ratio>", 1.3)


print(f"{'figure (medians)':52}{'Envoy':>12}{'ztun':>12}{'ratio':>8}  target")
tunnel("envoy:hbone@1", "ztun:hbone@1", "one worker")
tunnel("envoy:hbone@2", "ztun:hbone@2", "two workers")
line("handshakes/s, a tunnel for each connection", sample("envoy:hbone-nopool@1", "conn-32", lambda row: row["cps"]),
     sample("ztun:hbone-nopool@1", "conn-32", lambda row: row["cps"]), "ratio>", 0.66)
for side, role in (("client side", "node1"), ("server side", "node2")):
    line(f"resident MiB, idle, {side}", sample("envoy:hbone@1", "mem-0", idle_rss(role)),
         sample("ztun:hbone@1", "mem-0", idle_rss(role)), "<", 20, " MiB")
    line(f"KiB per idle tunnel, {side}", per_tunnel("envoy:hbone@1", role), per_tunnel("ztun:hbone@1", role), "<", 4, " KiB")
line("waypoint, 64 connections, requests/s", sample("envoy:waypoint@1", "rr-64", lambda row: row["rps"]),
     sample("ztun:waypoint@1", "rr-64", lambda row: row["rps"]), "ratio>", 1.5)
line("waypoint, CPU µs per request in it", sample("envoy:waypoint@1", "rr-64", lambda row: row["cpu_us_per_op"]["waypoint"]),
     sample("ztun:waypoint@1", "rr-64", lambda row: row["cpu_us_per_op"]["waypoint"]), "ratio<", 0.56)
line("waypoint, KiB per idle tunnel", per_tunnel("envoy:waypoint@1", "waypoint"), per_tunnel("ztun:waypoint@1", "waypoint"),
     "<", 12, " KiB")
bad = [row for row in ROWS if row.get("errors") or row.get("error") or row.get("failed") or row.get("halfclose_ok") is False]
print(f"\n{len(ROWS)} figures; with errors: {len(bad)}"
      + "".join(f"\n  {row['sut']} {row['figure']}: {row.get('error') or row.get('errors') or row.get('failed') or 'half-close'}" for row in bad))
