// sockops, on the cgroup of the node's probing agent (kubelet): writes down each connection it opens from an address of the
// node, before the SYN leaves. An address alone proves nothing: a NodePort client may come from the node's too.
#pragma once
#include "maps.h"

SEC("sockops")
int ztun_probe(struct bpf_sock_ops *ctx) {
    __u32 op = ctx->op, family = ctx->family;
    __u32 local4 = ctx->local_ip4, remote4 = ctx->remote_ip4, local_port = ctx->local_port, remote_port = ctx->remote_port;
    struct zt_flow flow = {};
    if (op != BPF_SOCK_OPS_TCP_CONNECT_CB) return 1;
    if (family == 2) {
        flow.client = zt_mapped(local4);
        flow.server = zt_mapped(remote4);
    } else {
        flow.client.word[0] = ctx->local_ip6[0];
        flow.client.word[1] = ctx->local_ip6[1];
        flow.client.word[2] = ctx->local_ip6[2];
        flow.client.word[3] = ctx->local_ip6[3];
        flow.server.word[0] = ctx->remote_ip6[0];
        flow.server.word[1] = ctx->remote_ip6[1];
        flow.server.word[2] = ctx->remote_ip6[2];
        flow.server.word[3] = ctx->remote_ip6[3];
    }
    flow.client_port = local_port;
    flow.server_port = bpf_ntohl(remote_port);
    if (!bpf_map_lookup_elem(&nodes, &flow.client)) return 1;
    __u8 one = 1;
    bpf_map_update_elem(&probes, &flow, &one, BPF_ANY);
    return 1;
}
