// For pods with ZT_POD_REWRITE: another program on the connect hook, a socket load balancer at a cgroup above for instance, runs
// after ours and would replace the service's address by a backend's. What it sees here is the pod's own address and ztund's
// port there, which it leaves alone; where the program wanted to go is noted under the connection's addresses and ports before
// its SYN leaves, and ztund reads it there.
#pragma once
#include "maps.h"

// Where a socket wanted to go, and where it was sent instead. It goes with the socket.
struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct zt_rewrite);
} rewrites SEC(".maps");

// The same by connection, for ztund. An entry that had to make room leaves ztund without a destination: it then refuses.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, struct zt_rewritten_flow);
    __type(value, struct zt_destination);
} rewritten SEC(".maps");

// The address of each pod that its connections are sent to, by family.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 2048);
    __type(key, __u64);
    __type(value, struct zt_pod_targets);
} targets SEC(".maps");

static __always_inline int zt_is_mapped(const struct zt_ip *ip) {
    return !ip->word[0] && !ip->word[1] && ip->word[2] == bpf_htonl(0xffff);
}

// A socket that was sent somewhere else before is on its own again.
static __always_inline void zt_forget_rewrite(struct bpf_sock *socket) {
    struct zt_rewrite *rewrite = bpf_sk_storage_get(&rewrites, socket, 0, 0);
    if (rewrite) rewrite->target.port = 0;
}

// Notes where the socket wanted to go; where to send it instead, or NULL when that cannot be.
static __always_inline struct zt_rewrite *zt_rewrite_to(
    struct bpf_sock *socket, __u64 cookie, const struct zt_ip *server, __u16 port, __u16 listener_port) {
    struct zt_pod_targets *target = bpf_map_lookup_elem(&targets, &cookie);
    if (!target) return 0;
    const struct zt_ip *ip = zt_is_mapped(server) ? &target->ip4 : &target->ip6;
    if (!ip->word[2] && !ip->word[3]) return 0;
    struct zt_rewrite *rewrite = bpf_sk_storage_get(&rewrites, socket, 0, BPF_SK_STORAGE_GET_F_CREATE);
    if (!rewrite) return 0;
    rewrite->wanted.ip = *server;
    rewrite->wanted.port = port;
    rewrite->target.ip = *ip;
    rewrite->target.port = listener_port;
    return rewrite;
}

SEC("sockops")
int ztun_rewritten(struct bpf_sock_ops *ctx) {
    __u32 op = ctx->op, local4 = ctx->local_ip4, port = ctx->local_port;
    struct zt_ip local = {{ctx->local_ip6[0], ctx->local_ip6[1], ctx->local_ip6[2], ctx->local_ip6[3]}};
    if (op != BPF_SOCK_OPS_TCP_CONNECT_CB) return 1;
    struct bpf_sock *socket = ctx->sk;
    if (!socket) return 1;
    struct zt_rewrite *rewrite = bpf_sk_storage_get(&rewrites, socket, 0, 0);
    if (!rewrite || !rewrite->target.port) return 1;
    struct zt_rewritten_flow flow = {};
    flow.pod = bpf_get_netns_cookie(ctx);
    flow.client.ip = zt_is_mapped(&rewrite->target.ip) ? zt_mapped(local4) : local;
    flow.client.port = port;
    flow.server = rewrite->target;
    bpf_map_update_elem(&rewritten, &flow, &rewrite->wanted, BPF_ANY);
    return 1;
}

static __always_inline struct zt_rewrite *zt_rewrite_of(struct bpf_sock_addr *ctx) {
    struct bpf_sock *socket = ctx->sk;
    if (!socket) return 0;
    struct zt_rewrite *rewrite = bpf_sk_storage_get(&rewrites, socket, 0, 0);
    return rewrite && rewrite->target.port ? rewrite : 0;
}

SEC("cgroup/getpeername4")
int ztun_peername4(struct bpf_sock_addr *ctx) {
    struct zt_rewrite *rewrite = zt_rewrite_of(ctx);
    if (!rewrite || ctx->user_port != bpf_htons(rewrite->target.port)) return 1;
    ctx->user_ip4 = rewrite->wanted.ip.word[3];
    ctx->user_port = bpf_htons(rewrite->wanted.port);
    return 1;
}

SEC("cgroup/getpeername6")
int ztun_peername6(struct bpf_sock_addr *ctx) {
    struct zt_rewrite *rewrite = zt_rewrite_of(ctx);
    if (!rewrite || ctx->user_port != bpf_htons(rewrite->target.port)) return 1;
    ctx->user_ip6[0] = rewrite->wanted.ip.word[0];
    ctx->user_ip6[1] = rewrite->wanted.ip.word[1];
    ctx->user_ip6[2] = rewrite->wanted.ip.word[2];
    ctx->user_ip6[3] = rewrite->wanted.ip.word[3];
    ctx->user_port = bpf_htons(rewrite->wanted.port);
    return 1;
}
