#!/usr/bin/env python3
"""Counts instructions and allocations per operation under callgrind and holds them against baseline.json.

    gate.py                  compare: a table, and exit status 1 where an operation costs more than the tolerance allows
    gate.py --update         write what was counted as the new baseline
    gate.py --cases request,stream       only these

What is held: instructions in our own program (the Swift runtime is linked into it), calls of malloc and its kin, and
Swift objects made, all per operation. They do not depend on the load of the machine or on its processor.
Where turns end by the clock (a MiB in both ends), a busy machine adds a little: what seems worse is counted once more,
and the smaller count is held.
nghttp2 is held too while the library is the one of the baseline. libcrypto, libssl and libc are shown only: they choose
their code by the processor, and change with the distribution.
"""
import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FUNCTION = "zt_bench_measured"
MALLOC = {"malloc", "calloc", "realloc", "memalign", "posix_memalign", "aligned_alloc"}
OBJECTS = {"swift_allocObject", "_swift_allocObject_"}
LIBRARIES = ("libnghttp2", "libssl", "libcrypto", "libc")


class Profile:
    """What one dump of callgrind says: instructions by object file, and calls by function."""

    def __init__(self, text):
        self.instructions = {}
        self.calls = {}
        names = {"ob": {}, "fn": {}}
        current = {"ob": "", "fn": "", "cob": "", "cfn": ""}
        skip = False

        def resolve(kind, value):
            match = re.match(r"\((\d+)\)(?: (.*))?$", value)
            if not match:
                return value
            number, name = match.groups()
            if name is not None:
                names[kind][number] = name
            return names[kind].get(number, number)

        for line in text.splitlines():
            if not line:
                continue
            first = line[0]
            if first.isdigit() or first in "+-*":
                if skip:
                    skip = False  # The cost of the call, which the callee's own lines have too.
                    continue
                cost = int(line.split()[1])
                self.instructions[current["ob"]] = self.instructions.get(current["ob"], 0) + cost
                continue
            key, _, value = line.partition("=")
            if key == "ob":
                current["ob"] = resolve("ob", value)
            elif key == "fn":
                current["fn"] = resolve("fn", value)
            elif key == "cob":
                resolve("ob", value)
            elif key == "cfn":
                current["cfn"] = resolve("fn", value)
            elif key == "calls":
                callee = re.sub(r"'\d+$", "", current["cfn"])
                caller = re.sub(r"'\d+$", "", current["fn"])
                # One function of a family that calls another is one allocation.
                if not (callee in MALLOC and caller in MALLOC or callee in OBJECTS and caller in OBJECTS):
                    self.calls[callee] = self.calls.get(callee, 0) + int(value.split()[0])
                skip = True

    def row(self, program, operations):
        by_object = {}
        for path, count in self.instructions.items():
            name = os.path.basename(path)
            key = "ours" if name == program else next(
                (library for library in LIBRARIES if re.match(re.escape(library) + r"[.-]", name)), "other")
            by_object[key] = by_object.get(key, 0) + count / operations
        row = {key: round(by_object.get(key, 0), 1) for key in ("ours", *LIBRARIES, "other")}
        row["mallocs"] = round(sum(self.calls.get(name, 0) for name in MALLOC) / operations, 2)
        row["objects"] = round(sum(self.calls.get(name, 0) for name in OBJECTS) / operations, 2)
        return row


def library_of(program, name):
    """The file that the program would load, by content: the same bytes are the same instructions."""
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    match = re.search(rf"{name}\S* => (\S+)", listing)
    if not match:
        return ""
    with open(match.group(1), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:16]


def count(program, cases):
    if not shutil.which("valgrind"):
        sys.exit("gate: valgrind is not installed (apt-get install valgrind)")
    environment = dict(os.environ, SWIFT_DETERMINISTIC_HASHING="1", LC_ALL="C")
    with tempfile.TemporaryDirectory(prefix="ztun-gate-") as folder:
        # Symbols are all that is needed, and older valgrinds cannot read the compiler's debug information.
        bare = os.path.join(folder, os.path.basename(program))
        subprocess.run(["strip", "--strip-debug", "-o", bare, program], check=True)
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--zero-before={FUNCTION}", f"--dump-after={FUNCTION}",
             f"--callgrind-out-file={folder}/out", bare, "count", *cases],
            capture_output=True, text=True, env=environment)
        if done.returncode:
            sys.exit(f"gate: {program} count failed ({done.returncode}):\n{done.stdout}{done.stderr}")
        rows = {}
        for number, line in enumerate(done.stdout.split("\n")[:-1], 1):
            name, operations = line.split()
            with open(f"{folder}/out.{number}") as file:
                profile = Profile(file.read())
            if FUNCTION not in profile.calls and not profile.instructions:
                sys.exit(f"gate: callgrind wrote nothing for {name}: is {FUNCTION} still the name?")
            rows[name] = profile.row(os.path.basename(program), int(operations))
        return rows


def judge(row, base, tolerance, same_nghttp2, name=""):
    """What is worse than the baseline allows, and whether something is better by as much."""
    worse, better = [], False
    held = ["ours", "mallocs", "objects"] + (["libnghttp2"] if same_nghttp2 else [])
    for key in held:
        # Turns of a MiB end by the clock too: beside other work there are more of them, and a deadline is made for some.
        pieces = 2 if "-mib" in name else 0.5
        slack = pieces if key in ("mallocs", "objects") else 20
        if row[key] > base[key] * (1 + tolerance) + slack:
            worse.append(f"{key} {base[key]:g} -> {row[key]:g}")
        better |= row[key] < base[key] * (1 - tolerance) - slack
    return worse, better


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default=os.path.join(ROOT, ".build/release/ztun-bench"))
    parser.add_argument("--baseline", default=os.path.join(HERE, "baseline.json"))
    parser.add_argument("--cases", default="", help="names, separated by commas")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--tolerance", type=float, default=0.05)
    parser.add_argument("--jsonl", action="store_true", help="print the figures as JSON lines instead of a table")
    options = parser.parse_args()
    if not os.access(options.bench, os.X_OK):
        sys.exit(f"gate: {options.bench} is not there: swift build -c release --static-swift-stdlib --product ztun-bench")
    rows = count(options.bench, [name for name in options.cases.split(",") if name])
    nghttp2 = library_of(options.bench, "libnghttp2")
    known = {}
    if os.path.exists(options.baseline) and os.path.getsize(options.baseline):
        with open(options.baseline) as file:
            known = json.load(file)
    if options.update:
        swift = subprocess.run(["swift", "--version"], capture_output=True, text=True).stdout
        version = re.search(r"Swift version (\S+)", swift)
        cases = dict(known.get("cases", {})) if options.cases else {}
        cases.update(rows)
        with open(options.baseline, "w") as file:
            head = {"swift": version.group(1) if version else "", "nghttp2": nghttp2}
            lines = [f"    {json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(cases.items())]
            file.write(json.dumps(head)[:-1] + ', "cases": {\n' + ",\n".join(lines) + "\n}}\n")
        known = {"nghttp2": nghttp2, "cases": rows}
    def verdict(name):
        base = known.get("cases", {}).get(name)
        return judge(rows[name], base, options.tolerance, known.get("nghttp2") == nghttp2, name) if base else ([], False)

    suspects = [name for name in rows if verdict(name)[0]]
    if suspects and not options.update:
        for name, again in count(options.bench, suspects).items():
            rows[name] = {key: min(value, again[key]) for key, value in rows[name].items()}
    failed = []
    columns = ("ours", "libnghttp2", "libssl", "libcrypto", "libc", "other", "mallocs", "objects")
    if not options.jsonl:
        print(f"instructions per operation ({options.tolerance:.0%} tolerance)")
        print(f"{'case':16}" + "".join(f"{column:>12}" for column in columns) + f"{'ours, ratio':>13}")
    for name, row in rows.items():
        base = known.get("cases", {}).get(name)
        worse, better = verdict(name)
        if base is None:
            failed.append(f"{name}: no baseline: make baseline")
        ratio = row["ours"] / base["ours"] if base and base["ours"] else 0
        if worse:
            failed.append(f"{name}: {', '.join(worse)}")
        if options.jsonl:
            print(json.dumps({"case": name, **row, "ratio": round(ratio, 4), "worse": worse}))
        else:
            print(f"{name:16}" + "".join(f"{row[column]:12,.1f}" for column in columns) + f"{ratio:13.3f}"
                  + ("  WORSE" if worse else "  better: make baseline" if better else ""))
    if failed and not options.update:
        print("\ngate: more than the baseline allows; find out why, or accept it with `make baseline`:", file=sys.stderr)
        for line in failed:
            print(f"  {line}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
