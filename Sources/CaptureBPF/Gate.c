#define _GNU_SOURCE
#include "CaptureGate.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "CaptureBPF.h"
#include "CaptureWords.h"
#include "Gate.h"
#include "GateObject.h"

#ifndef BPF_FS_MAGIC
#define BPF_FS_MAGIC 0xcafe4a11
#endif

struct zt_gate {
    int pods, cgroups, state;
};

static const char *const maps[] = {"gate_pods", "gate_cgroups", "gate_state"};
static const struct {
    const char *program, *pin;
    enum bpf_attach_type type;
    int bit;
} attachments[] = {
    {"ztun_gate4", "connect4", BPF_CGROUP_INET4_CONNECT, ZT_GATE_CONNECTS},
    {"ztun_gate6", "connect6", BPF_CGROUP_INET6_CONNECT, ZT_GATE_CONNECTS},
    {"ztun_gate_in", "ingress", BPF_CGROUP_INET_INGRESS, ZT_GATE_ARRIVALS},
};
enum { COUNT = sizeof attachments / sizeof attachments[0] };

static int path_of(char *path, size_t size, const char *folder, const char *name) {
    return snprintf(path, size, "%s/v%d/%s", folder, ZT_GATE_LAYOUT, name) < (int)size ? 0 : -ENAMETOOLONG;
}

static int open_pin(const char *folder, const char *name) {
    char path[320];
    int result = path_of(path, sizeof path, folder, name);
    if (result < 0) return result;
    int fd = bpf_obj_get(path);
    return fd < 0 ? -errno : fd;
}

int zt_gate_is_pinned(const char *folder) {
    char path[320];
    return path_of(path, sizeof path, folder, maps[0]) == 0 && access(path, F_OK) == 0;
}

uint64_t zt_gate_identity(const char *folder) {
    char path[320];
    struct stat st;
    return path_of(path, sizeof path, folder, maps[0]) == 0 && stat(path, &st) == 0 ? st.st_ino : 0;
}

struct zt_gate *zt_gate_open(const char *folder, int *result) {
    struct zt_gate *g = malloc(sizeof *g);
    if (!g) {
        *result = -ENOMEM;
        return NULL;
    }
    g->pods = open_pin(folder, maps[0]);
    g->cgroups = open_pin(folder, maps[1]);
    g->state = open_pin(folder, maps[2]);
    *result = g->pods < 0 ? g->pods : g->cgroups < 0 ? g->cgroups : g->state < 0 ? g->state : 0;
    if (*result == 0) return g;
    zt_gate_close(g);
    return NULL;
}

void zt_gate_close(struct zt_gate *g) {
    if (!g) return;
    if (g->pods >= 0) close(g->pods);
    if (g->cgroups >= 0) close(g->cgroups);
    if (g->state >= 0) close(g->state);
    free(g);
}

static int make_folders(const char *folder) {
    char path[320];
    struct statfs fs;
    if (mkdir(folder, 0700) < 0 && errno != EEXIST) return -errno;
    if (statfs(folder, &fs) < 0) return -errno;
    if ((uint32_t)fs.f_type != BPF_FS_MAGIC) {
        rmdir(folder);
        return -ENOTSUP;
    }
    int result = path_of(path, sizeof path, folder, "");
    return result < 0 ? result : mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int load(struct bpf_object **object, const char *folder, int with_arrivals) {
    struct bpf_object_open_opts options = {.sz = sizeof options, .object_name = "ztun_gate"};
    struct bpf_object *o = bpf_object__open_mem(zt_gate_object, zt_gate_object_size, &options);
    if (!o) return -errno;
    int result = 0;
    for (size_t i = 0; i < sizeof maps / sizeof maps[0] && result == 0; i++) {
        // Maps that are there already hold who may talk.
        int fd = open_pin(folder, maps[i]);
        if (fd < 0) continue;
        result = bpf_map__reuse_fd(bpf_object__find_map_by_name(o, maps[i]), fd);
        close(fd);
    }
    struct bpf_program *in = bpf_object__find_program_by_name(o, "ztun_gate_in");
    if (result == 0 && !with_arrivals && in) result = bpf_program__set_autoload(in, 0);
    if (result == 0) result = bpf_object__load(o);
    for (size_t i = 0; i < sizeof maps / sizeof maps[0] && result == 0; i++) {
        char path[320];
        result = path_of(path, sizeof path, folder, maps[i]);
        if (result == 0 && access(path, F_OK) < 0)
            result = bpf_map__pin(bpf_object__find_map_by_name(o, maps[i]), path);
    }
    if (result < 0) {
        bpf_object__close(o);
        return result;
    }
    *object = o;
    return 0;
}

// The new link stands before an earlier one goes.
static int attach(struct bpf_object *o, int index, const char *folder, int cgroup) {
    char path[320];
    struct bpf_program *p = bpf_object__find_program_by_name(o, attachments[index].program);
    int result = path_of(path, sizeof path, folder, attachments[index].pin);
    if (result < 0 || !p) return result < 0 ? result : -ENOENT;
    int link = bpf_link_create(bpf_program__fd(p), cgroup, attachments[index].type, NULL);
    if (link < 0) return -errno;
    if (unlink(path) < 0 && errno != ENOENT) result = -errno;
    if (result == 0 && bpf_obj_pin(link, path) < 0) result = -errno;
    close(link);
    return result;
}

struct zt_gate *zt_gate_install(const char *folder, const char *cgroup, int *standing, int *result) {
    zt_capture_quiet();
    int was_there = zt_gate_is_pinned(folder), fd = -1;
    struct bpf_object *o = NULL;
    struct zt_gate *g = NULL;
    *standing = 0;
    *result = make_folders(folder);
    if (*result == 0) *result = load(&o, folder, 1);
    // An older kernel refuses the one that looks at what arrives: the others are half the gate, and it is told.
    if (*result < 0 && *result != -ENOTSUP) {
        int again = load(&o, folder, 0);
        if (again == 0) *result = 0;
    }
    if (*result == 0 && (fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) *result = -errno;
    for (int i = 0; i < COUNT && *result == 0; i++) {
        struct bpf_program *p = bpf_object__find_program_by_name(o, attachments[i].program);
        if (!p || bpf_program__fd(p) < 0) continue;
        *result = attach(o, i, folder, fd);
        if (*result == 0) *standing |= attachments[i].bit;
    }
    if (*result == 0) g = zt_gate_open(folder, result);
    if (fd >= 0) close(fd);
    if (o) bpf_object__close(o);
    if (*result < 0 && !was_there) zt_gate_remove(folder);
    return g;
}

int zt_gate_remove(const char *folder) {
    char path[320];
    int found = zt_gate_is_pinned(folder);
    // First what stands in the way, then what it knows.
    for (int i = 0; i < COUNT; i++)
        if (path_of(path, sizeof path, folder, attachments[i].pin) == 0 && unlink(path) == 0) found = 1;
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
        if (path_of(path, sizeof path, folder, maps[i]) == 0) unlink(path);
    if (path_of(path, sizeof path, folder, "") == 0) rmdir(path);
    rmdir(folder);
    return found;
}

int zt_gate_allow(struct zt_gate *g, uint64_t cookie, uint64_t inode, uint32_t why) {
    struct zt_gate_pod value = {.inode = inode, .why = why};
    return bpf_map_update_elem(g->pods, &cookie, &value, BPF_ANY) < 0 ? -errno : 0;
}

int zt_gate_forbid(struct zt_gate *g, uint64_t cookie) {
    return bpf_map_delete_elem(g->pods, &cookie) < 0 && errno != ENOENT ? -errno : 0;
}

int zt_gate_entries(struct zt_gate *g, struct zt_gate_entry *entries, int capacity) {
    int count = 0;
    uint64_t key;
    const void *last = NULL;
    while (count < capacity && bpf_map_get_next_key(g->pods, last, &key) == 0) {
        struct zt_gate_pod value;
        if (bpf_map_lookup_elem(g->pods, &key, &value) == 0)
            entries[count++] = (struct zt_gate_entry){.cookie = key, .inode = value.inode, .why = value.why};
        last = &key;
    }
    return count;
}

int zt_gate_exempt(struct zt_gate *g, const char *cgroup) {
    struct stat st;
    uint8_t one = 1;
    if (stat(cgroup, &st) < 0) return -errno;
    uint64_t id = st.st_ino;
    return bpf_map_update_elem(g->cgroups, &id, &one, BPF_ANY) < 0 ? -errno : 0;
}

int zt_gate_exemptions(struct zt_gate *g, uint64_t *cgroups, int capacity) {
    int count = 0;
    uint64_t key;
    const void *last = NULL;
    while (count < capacity && bpf_map_get_next_key(g->cgroups, last, &key) == 0) {
        cgroups[count++] = key;
        last = &key;
    }
    return count;
}

static uint64_t since_boot(void) {
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

int zt_gate_set_opening(struct zt_gate *g, uint64_t after) {
    uint32_t zero = 0;
    struct zt_gate_state state;
    if (bpf_map_lookup_elem(g->state, &zero, &state) < 0) return -errno;
    state.opens_at = after ? since_boot() + after : 0;
    return bpf_map_update_elem(g->state, &zero, &state, BPF_ANY) < 0 ? -errno : 0;
}

int zt_gate_figures(struct zt_gate *g, uint64_t *refused, uint64_t *dropped, uint64_t *opens_in) {
    uint32_t zero = 0;
    struct zt_gate_state state;
    if (bpf_map_lookup_elem(g->state, &zero, &state) < 0) return -errno;
    uint64_t now = since_boot();
    *refused = state.refused_connects;
    *dropped = state.dropped_arrivals;
    *opens_in = !state.opens_at ? 0 : state.opens_at > now ? state.opens_at - now : 1;
    return 0;
}

int zt_gate_standing(const char *folder, uint64_t *cgroup) {
    int standing = ZT_GATE_CONNECTS | ZT_GATE_ARRIVALS;
    *cgroup = 0;
    for (int i = 0; i < COUNT; i++) {
        struct bpf_link_info info;
        uint32_t size = sizeof info;
        memset(&info, 0, size);
        int fd = open_pin(folder, attachments[i].pin);
        if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0 || !info.cgroup.cgroup_id)
            standing &= ~attachments[i].bit;
        else *cgroup = info.cgroup.cgroup_id;
        if (fd >= 0) close(fd);
    }
    return standing;
}
