// Keys, values and numbers that BPF programs (bpf/) and CaptureBPF.c agree on. Plain C, for both compilers.
#pragma once
#include <linux/types.h>

// Changes with every change to a map's key, value or meaning; it is part of the folder's name in the BPF file system.
#define ZT_LAYOUT 1

// Packet marks (docs/capture.md): ztund to peers, ztund to the application, captured connections.
#define ZT_MARK_PEER 0x539
#define ZT_MARK_APPLICATION 0x53a
#define ZT_MARK_CAPTURED 0x53b

#define ZT_TUNNEL_PORT 15008

// Stands in the compiled lookup program where each pod's copy has its cookie.
#define ZT_COOKIE_PLACE 0x7a74756e5f706f64

// An IP address in network order; IPv4 as ::ffff:a.b.c.d.
struct zt_ip {
    __u32 word[4];
};

enum zt_pod_flag {
    // Without a ztund the pod's connections go through as if it were not enrolled.
    ZT_POD_FAIL_OPEN = 1,
    // What the pod opens is sent to an address of its own instead of being marked.
    ZT_POD_REWRITE = 2,
};

struct zt_pod {
    __u32 flags;
};

struct zt_pod_address {
    __u64 pod;
    struct zt_ip ip;
};

enum zt_listener {
    ZT_OUTBOUND = 0,
    ZT_INBOUND = 1,
    ZT_TUNNEL = 2,
};

struct zt_slot {
    __u64 pod;
    __u32 listener;
    __u32 zero;
};

struct zt_prefix {
    __u32 length;
    struct zt_ip ip;
};

// One TCP connection as its client sees it; ports in host order.
struct zt_flow {
    struct zt_ip client;
    struct zt_ip server;
    __u16 client_port;
    __u16 server_port;
};

// One end of a connection; the port in host order.
struct zt_destination {
    struct zt_ip ip;
    __u32 port;
};

// What became of a socket's connect; not rewritten where the target has no port.
struct zt_rewrite {
    struct zt_destination wanted;
    struct zt_destination target;
};

struct zt_rewritten_flow {
    __u64 pod;
    struct zt_destination client;
    struct zt_destination server;
};

// An address of the pod by family; zero where it has none.
struct zt_pod_targets {
    struct zt_ip ip4;
    struct zt_ip ip6;
};
