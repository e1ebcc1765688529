// Capture programs in the kernel, over libbpf, behind one opaque handle. Not thread-safe: one thread uses a handle.
//
// Every call returns a non-negative result or -errno; zt_capture_error() then has libbpf's own words, where it said any.
// Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. A pod is known by the cookie of its network namespace.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct zt_capture;

// What a listening socket is for.
enum { ZT_CAPTURE_OUTBOUND = 0, ZT_CAPTURE_INBOUND = 1, ZT_CAPTURE_TUNNEL = 2 };
// The pod's connections go through uncaptured while nobody serves it.
enum { ZT_CAPTURE_FAIL_OPEN = 1 };
// What the pod opens is sent to an address of its own (zt_capture_set_targets) instead of being marked.
enum { ZT_CAPTURE_REWRITE = 2 };

// Loads the programs and opens or makes the maps in a folder of a BPF file system, where they outlive the process.
// NULL with -errno in *result; -ENOTSUP when the folder is not in a BPF file system. Until the handle is closed it has a shared
// flock on the folder of the maps, "vN" by their layout; -EBUSY when somebody who removes it has an exclusive one.
struct zt_capture *zt_capture_open(const char *folder, int *result);
// Pins the maps again where somebody removed the folder or the pins, so that a later process finds them: 1 when it had to.
int zt_capture_repin(struct zt_capture *capture);
// Whether maps of this layout are pinned in the folder: 1 or 0.
int zt_capture_is_pinned(const char *folder);
// Frees the handle. What is attached stays.
void zt_capture_close(struct zt_capture *capture);
// What libbpf said since the last call that failed, on this thread, as one line; empty when it said nothing.
const char *zt_capture_error(void);

// Attaches the connect programs to the cgroup above all pods; takes over what is attached there already.
// 1 when they were attached anew, 0 when an earlier ztund had them attached.
int zt_capture_attach_connect(struct zt_capture *capture, const char *cgroup);
// Whether they are attached to that cgroup: 1 or 0.
int zt_capture_connect_is_attached(struct zt_capture *capture, const char *cgroup);
// Attaches the probe program to the cgroup of an agent whose connections reach applications directly.
int zt_capture_attach_probe(struct zt_capture *capture, const char *cgroup);
// Attaches what pods with ZT_CAPTURE_REWRITE need to the same cgroup as the connect programs. 1 when anew.
int zt_capture_attach_rewriting(struct zt_capture *capture, const char *cgroup);
int zt_capture_rewriting_is_attached(struct zt_capture *capture, const char *cgroup);

// The names of others' programs that act on connects in a cgroup, separated by blanks: those that run before this handle's
// (or at all, when it is not there), and those that run after it and see what it made of the connect. The programs of another
// ztund are not among them: they look after its own pods only.
struct zt_foreign_programs {
    char before[512];
    char after[512];
};
int zt_capture_foreign_programs(struct zt_capture *capture, const char *cgroup, struct zt_foreign_programs *found);

// Attaches the pod's copy of the lookup program to its namespace. 1 when anew, 0 when an earlier one was replaced.
int zt_capture_attach_lookup(struct zt_capture *capture, uint64_t pod, int namespace_fd, uint64_t namespace_inode);
// Whether it is attached to that namespace: 1 or 0.
int zt_capture_lookup_is_attached(struct zt_capture *capture, uint64_t pod, uint64_t namespace_inode);
int zt_capture_detach_lookup(struct zt_capture *capture, uint64_t pod);

// Puts a listening socket into its slot. 1 when that changed it.
int zt_capture_set_listener(struct zt_capture *capture, uint64_t pod, int kind, int socket);
// The cookie of the socket in a slot, 0 when the slot is empty.
int zt_capture_listener(struct zt_capture *capture, uint64_t pod, int kind, uint64_t *cookie);
int zt_capture_clear_listener(struct zt_capture *capture, uint64_t pod, int kind);

// Enrols a pod: from now on its connects are marked or refused.
int zt_capture_set_pod(struct zt_capture *capture, uint64_t pod, uint32_t flags);
// 1 when it is enrolled.
int zt_capture_has_pod(struct zt_capture *capture, uint64_t pod);
// The flags of an enrolled pod; 0 for one that is not.
uint32_t zt_capture_pod_flags(struct zt_capture *capture, uint64_t pod);
// The addresses that a pod's rewritten connections are sent to; zeros for a family without one. 1 when that changed them.
int zt_capture_set_targets(struct zt_capture *capture, uint64_t pod, const uint8_t ip4[16], const uint8_t ip6[16]);
int zt_capture_clear_targets(struct zt_capture *capture, uint64_t pod);
// A descriptor, the caller's own, for zt_rewritten_take.
int zt_capture_rewritten_map(const struct zt_capture *capture);
// Replaces the server's address and port as an accepted connection has them by those that its client asked for, and forgets
// them: 1, or 0 when nothing is known of the connection. Any thread.
int zt_rewritten_take(
    int map, uint64_t pod, const uint8_t client[16], uint16_t client_port, uint8_t server[16], uint16_t *server_port);
int zt_capture_clear_pod(struct zt_capture *capture, uint64_t pod);
// Enrolled pods; returns their number, at most capacity.
int zt_capture_pods(struct zt_capture *capture, uint64_t *pods, int capacity);

// Makes the pod's own addresses exactly these, where `known` are those that it had. 1 when that changed them. (To read all
// pods' addresses for each pod would take a time that grows with their number.)
int zt_capture_set_addresses(
    struct zt_capture *capture, uint64_t pod, const uint8_t *addresses, int count, const uint8_t *known, int known_count);
// An address of an enrolled pod.
struct zt_capture_address {
    uint64_t pod;
    uint8_t ip[16];
};
// The addresses of all pods; returns their number, at most capacity.
int zt_capture_addresses(struct zt_capture *capture, struct zt_capture_address *addresses, int capacity);
// Makes the node's addresses exactly these.
int zt_capture_set_node_addresses(struct zt_capture *capture, const uint8_t *addresses, int count);
// Makes the ranges whose connections reach applications directly exactly these; lengths count from bit 0 of 128.
int zt_capture_set_sources(struct zt_capture *capture, const uint8_t *addresses, const uint8_t *lengths, int count);

// Forgets pods whose namespaces are gone; returns their number.
int zt_capture_forget_dead_pods(struct zt_capture *capture);
// Removes everything from the kernel if no pod is enrolled: 1 when it did.
int zt_capture_remove_if_unused(struct zt_capture *capture);

// The cookies of a network namespace (of a socket's) and of a socket.
int zt_netns_cookie(int socket, uint64_t *cookie);
int zt_socket_cookie(int socket, uint64_t *cookie);

#include "CaptureGate.h"
