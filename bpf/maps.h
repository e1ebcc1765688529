// What the programs share with each other and with Sources/CaptureBPF: keys, values, maps. One set of maps per node; a pod is
// known by the cookie of its network namespace, which the kernel never gives to another namespace while it runs.
#pragma once
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "../Sources/CaptureBPF/Layout.h"

// Enrolled pods. A pod that is not in here is none of our business.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 2048);
    __type(key, __u64);
    __type(value, struct zt_pod);
} pods SEC(".maps");

// The addresses of enrolled pods' interfaces.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 8192);
    __type(key, struct zt_pod_address);
    __type(value, __u8);
} addresses SEC(".maps");

// The listening sockets. An entry vanishes with its socket, so an empty slot says that nobody serves the pod.
struct {
    __uint(type, BPF_MAP_TYPE_SOCKHASH);
    __uint(max_entries, 8192);
    __type(key, struct zt_slot);
    __type(value, __u64);
} listeners SEC(".maps");

// Sources that the operator lets reach applications directly.
struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1024);
    __type(key, struct zt_prefix);
    __type(value, __u8);
} sources SEC(".maps");

// Addresses of the node itself.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1024);
    __type(key, struct zt_ip);
    __type(value, __u8);
} nodes SEC(".maps");

// Connections that a probing agent of the node is opening right now.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct zt_flow);
    __type(value, __u8);
} probes SEC(".maps");

// IPv4 addresses are kept as ::ffff:a.b.c.d, so that sockets of either family have one key.
static __always_inline struct zt_ip zt_mapped(__u32 ip4) {
    struct zt_ip ip = {{0, 0, bpf_htonl(0xffff), ip4}};
    return ip;
}

static __always_inline int zt_is_own(__u64 pod, const struct zt_ip *ip) {
    struct zt_pod_address key = {.pod = pod, .ip = *ip};
    return bpf_map_lookup_elem(&addresses, &key) != 0;
}

// Addresses that never leave the pod or its link: never captured.
static __always_inline int zt_is_near(const struct zt_ip *ip) {
    if (!ip->word[0] && !ip->word[1] && ip->word[2] == bpf_htonl(0xffff)) {
        __u32 a = bpf_ntohl(ip->word[3]);
        return a >> 24 == 127 || a >> 24 == 0 || a >> 16 == 0xa9fe || a >> 28 >= 14;
    }
    __u32 a = bpf_ntohl(ip->word[0]);
    if (a >> 22 == 0x3fa || a >> 24 == 0xff) return 1;
    return !ip->word[0] && !ip->word[1] && !ip->word[2] && bpf_ntohl(ip->word[3]) <= 1;
}

static __always_inline int zt_is_loopback(const struct zt_ip *ip) {
    if (ip->word[0] || ip->word[1]) return 0;
    if (ip->word[2] == bpf_htonl(0xffff)) return bpf_ntohl(ip->word[3]) >> 24 == 127;
    return !ip->word[2] && ip->word[3] == bpf_htonl(1);
}
