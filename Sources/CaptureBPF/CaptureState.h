#pragma once
#include "CaptureBPF.h"

#include <bpf/bpf.h>
#include <errno.h>

struct bpf_object;

struct zt_capture {
    struct bpf_object *object;
    char folder[256];
    // Says that this process lives: `ztund node cleanup` leaves a folder alone that anybody holds.
    int claim;
    int pods, addresses, listeners, sources, nodes, targets, rewritten;
    int connect4, connect6, probe, rewrites[3];
};

// Deletes an entry; that there is none is as good.
static inline int forget(int map, const void *key) { return bpf_map_delete_elem(map, key) < 0 && errno != ENOENT ? -errno : 0; }
