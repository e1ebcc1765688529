// What the boot gate's programs (bpf/gate.bpf.c) and Gate.c agree on. Plain C, for both compilers.
#pragma once
#include <linux/types.h>

// Changes with every change to a map's key, value or meaning; it is part of the folder's name in the BPF file system.
#define ZT_GATE_LAYOUT 1
#define ZT_GATE_PODS 16384
#define ZT_GATE_CGROUPS 256

struct zt_gate_pod {
    // Of the network namespace, so that those that are gone can be told.
    __u64 inode;
    // Why it may talk: one of ZT_GATE_ENROLLED and its kin.
    __u32 why;
    __u32 zero;
};

struct zt_gate_state {
    // Nanoseconds since boot from which all may talk; 0 for never.
    __u64 opens_at;
    __u64 refused_connects;
    __u64 dropped_arrivals;
};
