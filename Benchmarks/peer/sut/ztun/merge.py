#!/usr/bin/env python3
"""merge.py STATE MORE OUT: two state files whose lists start at the beginning of a line, as one."""
import sys


def sections(path):
    found, current = {}, None
    with open(path) as file:
        for line in file:
            if line.rstrip() in ("workloads:", "services:", "policies:"):
                current = found.setdefault(line.rstrip(), [])
            elif current is not None:
                current.append(line)
    return found


first, second = sections(sys.argv[1]), sections(sys.argv[2])
with open(sys.argv[3], "w") as out:
    for key in ("workloads:", "services:", "policies:"):
        out.writelines([key + "\n", *first.get(key, []), *second.get(key, [])])
