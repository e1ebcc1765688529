// The boot gate in the kernel, over libbpf. Not thread-safe: one thread uses a handle. Results as in CaptureBPF.h.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct zt_gate;

// Why a network namespace may talk.
enum { ZT_GATE_ENROLLED = 0, ZT_GATE_NODE = 1, ZT_GATE_OUTSIDE = 2, ZT_GATE_BY_HAND = 3 };
// Which programs stand; the inbound one takes a kernel whose cgroup_skb programs know network namespaces.
enum { ZT_GATE_CONNECTS = 1, ZT_GATE_ARRIVALS = 2 };

// One namespace that may talk.
struct zt_gate_entry {
    uint64_t cookie;
    uint64_t inode;
    uint32_t why;
};

// Whether a gate is pinned in the folder of a BPF file system: 1 or 0.
int zt_gate_is_pinned(const char *folder);
// A number that another gate in the folder would not have; 0 where there is none.
uint64_t zt_gate_identity(const char *folder);
// Opens what is pinned. NULL with -errno in *result; -ENOENT where there is no gate.
struct zt_gate *zt_gate_open(const char *folder, int *result);
// Makes the maps in the folder, or opens those that are there, and attaches the programs to the cgroup in place of earlier
// ones. *standing says which do.
struct zt_gate *zt_gate_install(const char *folder, const char *cgroup, int *standing, int *result);
// Frees the handle; what is pinned stays.
void zt_gate_close(struct zt_gate *gate);
// Detaches all and removes the pins: 1 when there was a gate.
int zt_gate_remove(const char *folder);

int zt_gate_allow(struct zt_gate *gate, uint64_t cookie, uint64_t inode, uint32_t why);
int zt_gate_forbid(struct zt_gate *gate, uint64_t cookie);
// Those that may talk; returns their number, at most capacity.
int zt_gate_entries(struct zt_gate *gate, struct zt_gate_entry *entries, int capacity);
// Lets the processes of a cgroup and of those below it talk; by its path.
int zt_gate_exempt(struct zt_gate *gate, const char *cgroup);
int zt_gate_exemptions(struct zt_gate *gate, uint64_t *cgroups, int capacity);
// Opens by itself that many nanoseconds from now; 0 never.
int zt_gate_set_opening(struct zt_gate *gate, uint64_t after);
// Refused connects, dropped arrivals, and nanoseconds until it opens by itself (0 never, 1 when it has).
int zt_gate_figures(struct zt_gate *gate, uint64_t *refused, uint64_t *dropped, uint64_t *opens_in);
// Which programs are attached to a cgroup that still exists, and that cgroup's id.
int zt_gate_standing(const char *folder, uint64_t *cgroup);
