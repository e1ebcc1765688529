// The boot gate: until a pod is enrolled or exempted it opens and receives no TCP connection. On the cgroup above all pods, with
// maps of its own, so that it works while no ztund has ever run. bpf/regenerate.sh compiles it.
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../Sources/CaptureBPF/Gate.h"

// Network namespaces that may talk, by cookie: enrolled pods, the node's own, and those that somebody let through.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, ZT_GATE_PODS);
    __type(key, __u64);
    __type(value, struct zt_gate_pod);
} gate_pods SEC(".maps");

// Control groups whose processes may talk, and those below them, by id.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, ZT_GATE_CGROUPS);
    __type(key, __u64);
    __type(value, __u8);
} gate_cgroups SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct zt_gate_state);
} gate_state SEC(".maps");

#define ZT_TCP 6
// Deeper than any pod's control group lies below the root.
#define ZT_LEVELS 12

static __always_inline struct zt_gate_state *zt_state(void) {
    __u32 zero = 0;
    return bpf_map_lookup_elem(&gate_state, &zero);
}

static __always_inline int zt_has_opened(struct zt_gate_state *state) {
    return state && state->opens_at && bpf_ktime_get_boot_ns() >= state->opens_at;
}

static __always_inline int zt_connect(struct bpf_sock_addr *ctx) {
    __u64 cookie = bpf_get_netns_cookie(ctx);
    if (bpf_map_lookup_elem(&gate_pods, &cookie)) return 1;
    struct zt_gate_state *state = zt_state();
    if (zt_has_opened(state)) return 1;
    for (int level = 1; level < ZT_LEVELS; level++) {
        __u64 id = bpf_get_current_ancestor_cgroup_id(level);
        if (!id) break;
        if (bpf_map_lookup_elem(&gate_cgroups, &id)) return 1;
    }
    if (state) __sync_fetch_and_add(&state->refused_connects, 1);
    return 0;
}

SEC("cgroup/connect4")
int ztun_gate4(struct bpf_sock_addr *ctx) {
    __u32 protocol = ctx->protocol, ip = ctx->user_ip4;
    // Within the pod everything goes.
    if (protocol != ZT_TCP || bpf_ntohl(ip) >> 24 == 127) return 1;
    return zt_connect(ctx);
}

SEC("cgroup/connect6")
int ztun_gate6(struct bpf_sock_addr *ctx) {
    __u32 protocol = ctx->protocol;
    __u32 a = ctx->user_ip6[0], b = ctx->user_ip6[1], c = ctx->user_ip6[2], d = ctx->user_ip6[3];
    if (protocol != ZT_TCP) return 1;
    if (!a && !b && !c && bpf_ntohl(d) <= 1) return 1;
    if (!a && !b && bpf_ntohl(c) == 0xffff && bpf_ntohl(d) >> 24 == 127) return 1;
    return zt_connect(ctx);
}

// Where the TCP header begins; 0 when the packet is none of TCP's.
static __always_inline __u32 zt_tcp_offset(struct __sk_buff *skb) {
    __u8 first = 0, protocol = 0;
    if (bpf_skb_load_bytes(skb, 0, &first, 1) < 0) return 0;
    if (first >> 4 == 4) {
        if (bpf_skb_load_bytes(skb, 9, &protocol, 1) < 0 || protocol != ZT_TCP) return 0;
        return (first & 15) * 4;
    }
    __u32 offset = 40;
    if (bpf_skb_load_bytes(skb, 6, &protocol, 1) < 0) return 0;
    for (int i = 0; i < 4; i++) {
        __u8 header[2];
        if (protocol == ZT_TCP) return offset;
        // Hop-by-hop, routing, destination options; whatever else there is holds no TCP that the kernel would take.
        if (protocol != 0 && protocol != 43 && protocol != 60) return 0;
        if (bpf_skb_load_bytes(skb, offset, header, 2) < 0) return 0;
        protocol = header[0];
        offset += 8 + header[1] * 8;
    }
    return protocol == ZT_TCP ? offset : 0;
}

// Only what would begin a connection is dropped: its sender tries again, and by then the pod may be enrolled.
SEC("cgroup_skb/ingress")
int ztun_gate_in(struct __sk_buff *skb) {
    // lo, where the pod talks to itself.
    if (skb->ifindex == 1) return 1;
    __u32 offset = zt_tcp_offset(skb);
    __u8 flags = 0;
    if (!offset || bpf_skb_load_bytes(skb, offset + 13, &flags, 1) < 0) return 1;
    // SYN without ACK.
    if ((flags & 0x12) != 0x02) return 1;
    __u64 cookie = bpf_get_netns_cookie((void *)skb);
    if (bpf_map_lookup_elem(&gate_pods, &cookie)) return 1;
    struct zt_gate_state *state = zt_state();
    if (zt_has_opened(state)) return 1;
    for (int level = 1; level < ZT_LEVELS; level++) {
        __u64 id = bpf_skb_ancestor_cgroup_id(skb, level);
        if (!id) break;
        if (bpf_map_lookup_elem(&gate_cgroups, &id)) return 1;
    }
    if (state) __sync_fetch_and_add(&state->dropped_arrivals, 1);
    return 0;
}

char _license[] SEC("license") = "Apache-2.0";
