// What the programs know, written and read.
#define _GNU_SOURCE
#include "CaptureState.h"
#include "CaptureWords.h"

#include <bpf/libbpf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "Layout.h"

int zt_capture_listener(struct zt_capture *c, uint64_t pod, int kind, uint64_t *cookie) {
    struct zt_slot slot = {.pod = pod, .listener = (uint32_t)kind};
    *cookie = 0;
    return bpf_map_lookup_elem(c->listeners, &slot, cookie) < 0 && errno != ENOENT ? -errno : 0;
}

int zt_capture_set_listener(struct zt_capture *c, uint64_t pod, int kind, int socket) {
    zt_capture_quiet();
    struct zt_slot slot = {.pod = pod, .listener = (uint32_t)kind};
    uint64_t wanted = 0, found = 0, value = (uint64_t)socket;
    int result = zt_socket_cookie(socket, &wanted);
    if (result < 0) return result;
    // A socket that is in its slot already is not put there again: that would be seen by connections under way.
    if (zt_capture_listener(c, pod, kind, &found) == 0 && found == wanted) return 0;
    return bpf_map_update_elem(c->listeners, &slot, &value, BPF_ANY) < 0 ? -errno : 1;
}

int zt_capture_clear_listener(struct zt_capture *c, uint64_t pod, int kind) {
    struct zt_slot slot = {.pod = pod, .listener = (uint32_t)kind};
    return forget(c->listeners, &slot);
}

int zt_capture_set_pod(struct zt_capture *c, uint64_t pod, uint32_t flags) {
    zt_capture_quiet();
    struct zt_pod value = {.flags = flags};
    return bpf_map_update_elem(c->pods, &pod, &value, BPF_ANY) < 0 ? -errno : 0;
}

int zt_capture_has_pod(struct zt_capture *c, uint64_t pod) {
    struct zt_pod value;
    return bpf_map_lookup_elem(c->pods, &pod, &value) == 0;
}

uint32_t zt_capture_pod_flags(struct zt_capture *c, uint64_t pod) {
    struct zt_pod value = {.flags = 0};
    return bpf_map_lookup_elem(c->pods, &pod, &value) == 0 ? value.flags : 0;
}

int zt_capture_set_targets(struct zt_capture *c, uint64_t pod, const uint8_t ip4[16], const uint8_t ip6[16]) {
    zt_capture_quiet();
    struct zt_pod_targets wanted, found;
    memcpy(&wanted.ip4, ip4, 16);
    memcpy(&wanted.ip6, ip6, 16);
    if (bpf_map_lookup_elem(c->targets, &pod, &found) == 0 && memcmp(&found, &wanted, sizeof wanted) == 0) return 0;
    return bpf_map_update_elem(c->targets, &pod, &wanted, BPF_ANY) < 0 ? -errno : 1;
}

int zt_capture_clear_targets(struct zt_capture *c, uint64_t pod) { return forget(c->targets, &pod); }

int zt_capture_rewritten_map(const struct zt_capture *c) {
    int fd = fcntl(c->rewritten, F_DUPFD_CLOEXEC, 3);
    return fd < 0 ? -errno : fd;
}

static void set_end(struct zt_destination *end, const uint8_t ip[16], uint16_t port) {
    memcpy(&end->ip, ip, 16);
    end->port = port;
}

int zt_rewritten_take(
    int map, uint64_t pod, const uint8_t client[16], uint16_t client_port, uint8_t server[16], uint16_t *server_port) {
    struct zt_rewritten_flow flow;
    struct zt_destination wanted;
    memset(&flow, 0, sizeof flow);
    flow.pod = pod;
    set_end(&flow.client, client, client_port);
    set_end(&flow.server, server, *server_port);
    if (bpf_map_lookup_elem(map, &flow, &wanted) < 0) return errno == ENOENT ? 0 : -errno;
    bpf_map_delete_elem(map, &flow);
    memcpy(server, &wanted.ip, 16);
    *server_port = (uint16_t)wanted.port;
    return 1;
}

int zt_capture_clear_pod(struct zt_capture *c, uint64_t pod) { return forget(c->pods, &pod); }

int zt_capture_pods(struct zt_capture *c, uint64_t *pods, int capacity) {
    int count = 0;
    uint64_t key;
    const void *last = NULL;
    while (count < capacity && bpf_map_get_next_key(c->pods, last, &key) == 0) {
        pods[count++] = key;
        last = &key;
    }
    return count;
}

// Makes the keys exactly the wanted ones: adds first, then deletes.
static int set_exactly(int map, size_t key_size, const char *wanted, int count) {
    uint8_t one = 1;
    int changed = 0, capacity = 16384;
    for (int i = 0; i < count; i++) {
        if (bpf_map_update_elem(map, wanted + (size_t)i * key_size, &one, BPF_NOEXIST) == 0) changed = 1;
        else if (errno != EEXIST) return -errno;
    }
    char *stale = malloc((size_t)capacity * key_size);
    if (!stale) return -ENOMEM;
    int found = 0;
    char key[64];
    const void *last = NULL;
    while (found < capacity && bpf_map_get_next_key(map, last, key) == 0) {
        last = key;
        int keep = 0;
        for (int i = 0; i < count && !keep; i++) keep = memcmp(key, wanted + (size_t)i * key_size, key_size) == 0;
        if (!keep) memcpy(stale + (size_t)found++ * key_size, key, key_size);
    }
    for (int i = 0; i < found; i++) {
        bpf_map_delete_elem(map, stale + (size_t)i * key_size);
        changed = 1;
    }
    free(stale);
    return changed;
}

static int contains(const uint8_t *addresses, int count, const uint8_t *one) {
    for (int i = 0; i < count; i++)
        if (memcmp(addresses + i * 16, one, 16) == 0) return 1;
    return 0;
}

int zt_capture_set_addresses(
    struct zt_capture *c, uint64_t pod, const uint8_t *addresses, int count, const uint8_t *known, int known_count) {
    zt_capture_quiet();
    struct zt_pod_address key = {.pod = pod};
    uint8_t one = 1;
    int changed = 0;
    if (count > 64) return -E2BIG;
    for (int i = 0; i < count; i++) {
        memcpy(&key.ip, addresses + i * 16, 16);
        if (bpf_map_update_elem(c->addresses, &key, &one, BPF_NOEXIST) == 0) changed = 1;
        else if (errno != EEXIST) return -errno;
    }
    for (int i = 0; i < known_count; i++) {
        if (contains(addresses, count, known + i * 16)) continue;
        memcpy(&key.ip, known + i * 16, 16);
        if (bpf_map_delete_elem(c->addresses, &key) == 0) changed = 1;
    }
    return changed;
}

int zt_capture_addresses(struct zt_capture *c, struct zt_capture_address *addresses, int capacity) {
    struct zt_pod_address key;
    const void *last = NULL;
    int count = 0;
    while (count < capacity && bpf_map_get_next_key(c->addresses, last, &key) == 0) {
        addresses[count].pod = key.pod;
        memcpy(addresses[count++].ip, &key.ip, 16);
        last = &key;
    }
    return count;
}

int zt_capture_set_node_addresses(struct zt_capture *c, const uint8_t *addresses, int count) {
    zt_capture_quiet();
    return set_exactly(c->nodes, 16, (const char *)addresses, count);
}

// A prefix tree refuses BPF_NOEXIST on some kernels, so it has its own way: the few entries are set, others deleted.
int zt_capture_set_sources(struct zt_capture *c, const uint8_t *addresses, const uint8_t *lengths, int count) {
    zt_capture_quiet();
    struct zt_prefix key, next;
    const void *last = NULL;
    uint8_t one = 1;
    for (int i = 0; i < count; i++) {
        struct zt_prefix wanted = {.length = lengths[i]};
        memcpy(&wanted.ip, addresses + i * 16, 16);
        if (bpf_map_update_elem(c->sources, &wanted, &one, BPF_ANY) < 0) return -errno;
    }
    for (int rounds = 0; rounds < 4096 && bpf_map_get_next_key(c->sources, last, &next) == 0; rounds++) {
        int keep = 0;
        for (int i = 0; i < count && !keep; i++)
            keep = next.length == lengths[i] && memcmp(&next.ip, addresses + i * 16, 16) == 0;
        if (keep) {
            key = next;
            last = &key;
        } else {
            bpf_map_delete_elem(c->sources, &next);
        }
    }
    return 0;
}
