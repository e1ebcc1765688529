#define _GNU_SOURCE
#include "CaptureBPF.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "CaptureFolder.h"
#include "CaptureObject.h"
#include "CaptureState.h"
#include "CaptureWords.h"
#include "ForeignPrograms.h"
#include "Layout.h"

static _Thread_local char words[1024];

// One line, the beginning of what libbpf says: a verifier's log is long.
static int note(enum libbpf_print_level level, const char *format, va_list arguments) {
    size_t used = strlen(words);
    if (level != LIBBPF_WARN || used + 2 >= sizeof words) return 0;
    int count = vsnprintf(words + used, sizeof words - used, format, arguments);
    for (char *c = words + used; *c; c++)
        if (*c == '\n' || *c == '\t') *c = ' ';
    return count;
}

const char *zt_capture_error(void) { return words; }

void zt_capture_quiet(void) {
    words[0] = 0;
    libbpf_set_print(note);
}

static int path_of(const struct zt_capture *c, char *path, size_t size, const char *name) {
    return snprintf(path, size, "%s/%s", c->folder, name) < (int)size ? 0 : -ENAMETOOLONG;
}

static int pod_path(const struct zt_capture *c, char *path, size_t size, uint64_t pod) {
    char name[32];
    snprintf(name, sizeof name, "pod-%016" PRIx64, pod);
    return path_of(c, path, size, name);
}

// MARK: - Loading

static int open_map(struct zt_capture *c, const char *name, int *result) {
    char path[320];
    struct bpf_map *map = bpf_object__find_map_by_name(c->object, name);
    if (!map || path_of(c, path, sizeof path, name) < 0) return -EINVAL;
    *result = bpf_map__fd(map);
    if (access(path, F_OK) == 0) return 0;
    return bpf_map__pin(map, path);
}

// Maps that an earlier ztund pinned are used again: they hold its pods, which stay closed meanwhile.
static int reuse_maps(struct zt_capture *c) {
    struct bpf_map *map;
    bpf_object__for_each_map(map, c->object) {
        char path[320];
        if (path_of(c, path, sizeof path, bpf_map__name(map)) < 0) return -ENAMETOOLONG;
        int fd = bpf_obj_get(path);
        if (fd < 0) continue;
        int result = bpf_map__reuse_fd(map, fd);
        close(fd);
        if (result < 0) return result;
    }
    return 0;
}

static int load(struct zt_capture *c) {
    struct bpf_object_open_opts options = {.sz = sizeof options, .object_name = "ztun"};
    c->object = bpf_object__open_mem(zt_capture_object, zt_capture_object_size, &options);
    if (!c->object) return -errno;
    int r = reuse_maps(c);
    if (r == 0) r = bpf_object__load(c->object);
    if (r == 0) r = open_map(c, "pods", &c->pods);
    if (r == 0) r = open_map(c, "addresses", &c->addresses);
    if (r == 0) r = open_map(c, "listeners", &c->listeners);
    if (r == 0) r = open_map(c, "sources", &c->sources);
    if (r == 0) r = open_map(c, "nodes", &c->nodes);
    if (r == 0) r = open_map(c, "targets", &c->targets);
    if (r == 0) r = open_map(c, "rewritten", &c->rewritten);
    int unused;
    if (r == 0) r = open_map(c, "probes", &unused);
    if (r == 0) r = open_map(c, "rewrites", &unused);
    return r;
}

int zt_capture_repin(struct zt_capture *c) {
    zt_capture_quiet();
    struct stat held, named, map;
    char path[320];
    if (path_of(c, path, sizeof path, "pods") < 0 || fstat(c->claim, &held) < 0) return -EINVAL;
    if (stat(c->folder, &named) == 0 && named.st_ino == held.st_ino && stat(path, &map) == 0) return 0;
    char folder[256];
    snprintf(folder, sizeof folder, "%s", c->folder);
    *strrchr(folder, '/') = 0;
    int claim = zt_folder_claim(folder, c->folder, sizeof c->folder);
    if (claim < 0) return claim;
    close(c->claim);
    c->claim = claim;
    struct bpf_map *one;
    bpf_object__for_each_map(one, c->object) {
        if (path_of(c, path, sizeof path, bpf_map__name(one)) < 0) return -ENAMETOOLONG;
        if (access(path, F_OK) < 0 && bpf_obj_pin(bpf_map__fd(one), path) < 0) return -errno;
    }
    return 1;
}

static void unpin(struct zt_capture *c) {
    static const char *const names[] = {
        "connect4", "connect6", "probe",   "connecting", "peername4", "peername6", "pods",      "addresses",
        "listeners", "sources", "nodes",    "probes",   "targets",   "rewritten", "rewrites",
    };
    char path[320];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (path_of(c, path, sizeof path, names[i]) == 0) unlink(path);
    rmdir(c->folder);
    char *slash = strrchr(c->folder, '/');
    if (!slash) return;
    *slash = 0;
    rmdir(c->folder);
    *slash = '/';
}

struct zt_capture *zt_capture_open(const char *folder, int *result) {
    zt_capture_quiet();
    struct zt_capture *c = calloc(1, sizeof *c);
    if (!c) {
        *result = -ENOMEM;
        return NULL;
    }
    c->claim = c->connect4 = c->connect6 = c->probe = c->rewrites[0] = c->rewrites[1] = c->rewrites[2] = -1;
    char path[320];
    *result = c->claim = zt_folder_claim(folder, c->folder, sizeof c->folder);
    if (*result >= 0) *result = path_of(c, path, sizeof path, "pods");
    int is_known = *result < 0 || access(path, F_OK) == 0;
    if (*result == 0) *result = load(c);
    if (*result == 0) return c;
    // What an earlier ztund left keeps its pods closed; only what was begun here goes.
    if (!is_known) unpin(c);
    zt_capture_close(c);
    return NULL;
}

int zt_capture_is_pinned(const char *folder) {
    char path[320];
    return snprintf(path, sizeof path, "%s/v%d/pods", folder, ZT_LAYOUT) < (int)sizeof path && access(path, F_OK) == 0;
}

static void close_number(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static void close_links(struct zt_capture *c) {
    close_number(&c->connect4);
    close_number(&c->connect6);
    close_number(&c->probe);
    for (int i = 0; i < 3; i++) close_number(&c->rewrites[i]);
}

void zt_capture_close(struct zt_capture *c) {
    if (!c) return;
    close_links(c);
    close_number(&c->claim);
    if (c->object) bpf_object__close(c->object);
    free(c);
}

// MARK: - Attaching

static int program(const struct zt_capture *c, const char *name) {
    struct bpf_program *p = bpf_object__find_program_by_name(c->object, name);
    return p ? bpf_program__fd(p) : -ENOENT;
}

static int link_info(int fd, struct bpf_link_info *info) {
    uint32_t size = sizeof *info;
    memset(info, 0, size);
    return bpf_obj_get_info_by_fd(fd, info, &size) < 0 ? -errno : 0;
}

static int pin_anew(int fd, const char *path) {
    if (unlink(path) < 0 && errno != ENOENT) return -errno;
    return bpf_obj_pin(fd, path) < 0 ? -errno : 0;
}

static uint64_t inode_of(const char *path) {
    struct stat st;
    return stat(path, &st) < 0 ? 0 : st.st_ino;
}

// Attaches to a cgroup, or gives the program to the link that an earlier ztund left at the same one.
static int attach_cgroup(
    struct zt_capture *c, const char *name, enum bpf_attach_type type, const char *cgroup, const char *pin, int *held) {
    char path[320];
    struct bpf_link_info info;
    int p = program(c, name), fresh = 0;
    if (p < 0) return p;
    if (path_of(c, path, sizeof path, pin) < 0) return -ENAMETOOLONG;
    int old = bpf_obj_get(path), link = -1;
    if (old >= 0 && link_info(old, &info) == 0 && info.type == BPF_LINK_TYPE_CGROUP && info.cgroup.cgroup_id &&
        info.cgroup.cgroup_id == inode_of(cgroup) && bpf_link_update(old, p, NULL) == 0) {
        link = old;
    } else {
        int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) link = bpf_link_create(p, fd, type, NULL);
        int error = errno;
        if (fd >= 0) close(fd);
        // The old one, at another cgroup, goes only after the new one stands.
        int pinned = link >= 0 ? pin_anew(link, path) : -error;
        if (old >= 0) close(old);
        if (pinned < 0) {
            if (link >= 0) close(link);
            return pinned;
        }
        fresh = 1;
    }
    close_number(held);
    *held = link;
    return fresh;
}

int zt_capture_attach_connect(struct zt_capture *c, const char *cgroup) {
    zt_capture_quiet();
    int four = attach_cgroup(c, "ztun_connect4", BPF_CGROUP_INET4_CONNECT, cgroup, "connect4", &c->connect4);
    if (four < 0) return four;
    int six = attach_cgroup(c, "ztun_connect6", BPF_CGROUP_INET6_CONNECT, cgroup, "connect6", &c->connect6);
    return six < 0 ? six : four | six;
}

// The program of a link; 0 when there is none.
static uint32_t program_of(int link) {
    struct bpf_link_info info;
    return link >= 0 && link_info(link, &info) == 0 ? info.prog_id : 0;
}

int zt_capture_foreign_programs(struct zt_capture *c, const char *cgroup, struct zt_foreign_programs *found) {
    memset(found, 0, sizeof *found);
    int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    int result = zt_programs_beside(fd, BPF_CGROUP_INET4_CONNECT, program_of(c->connect4), found);
    if (result == 0) result = zt_programs_beside(fd, BPF_CGROUP_INET6_CONNECT, program_of(c->connect6), found);
    close(fd);
    return result;
}

static int pinned_at(struct zt_capture *c, const char *pin, uint64_t cgroup) {
    char path[320];
    struct bpf_link_info info;
    if (path_of(c, path, sizeof path, pin) < 0) return 0;
    int fd = bpf_obj_get(path);
    if (fd < 0) return 0;
    int there = link_info(fd, &info) == 0 && info.type == BPF_LINK_TYPE_CGROUP && cgroup && info.cgroup.cgroup_id == cgroup;
    close(fd);
    return there;
}

int zt_capture_connect_is_attached(struct zt_capture *c, const char *cgroup) {
    uint64_t inode = inode_of(cgroup);
    return pinned_at(c, "connect4", inode) && pinned_at(c, "connect6", inode);
}

int zt_capture_attach_probe(struct zt_capture *c, const char *cgroup) {
    zt_capture_quiet();
    return attach_cgroup(c, "ztun_probe", BPF_CGROUP_SOCK_OPS, cgroup, "probe", &c->probe);
}

static const struct {
    const char *program, *pin;
    enum bpf_attach_type type;
} rewriting[3] = {
    {"ztun_rewritten", "connecting", BPF_CGROUP_SOCK_OPS},
    {"ztun_peername4", "peername4", BPF_CGROUP_INET4_GETPEERNAME},
    {"ztun_peername6", "peername6", BPF_CGROUP_INET6_GETPEERNAME},
};

int zt_capture_attach_rewriting(struct zt_capture *c, const char *cgroup) {
    zt_capture_quiet();
    int fresh = 0;
    for (int i = 0; i < 3; i++) {
        int result = attach_cgroup(c, rewriting[i].program, rewriting[i].type, cgroup, rewriting[i].pin, &c->rewrites[i]);
        if (result < 0) return result;
        fresh |= result;
    }
    return fresh;
}

int zt_capture_rewriting_is_attached(struct zt_capture *c, const char *cgroup) {
    uint64_t inode = inode_of(cgroup);
    for (int i = 0; i < 3; i++)
        if (!pinned_at(c, rewriting[i].pin, inode)) return 0;
    return 1;
}

// The lookup program with the pod's cookie in place of the constant; the kernel checks it anew.
static int load_lookup(struct zt_capture *c, uint64_t pod) {
    struct bpf_program *p = bpf_object__find_program_by_name(c->object, "ztun_lookup");
    if (!p) return -ENOENT;
    size_t count = bpf_program__insn_cnt(p);
    struct bpf_insn *code = malloc(count * sizeof *code);
    if (!code) return -ENOMEM;
    memcpy(code, bpf_program__insns(p), count * sizeof *code);
    int placed = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        if (code[i].code != (BPF_LD | BPF_DW | BPF_IMM) || code[i].src_reg != 0) continue;
        uint64_t value = (uint32_t)code[i].imm | (uint64_t)(uint32_t)code[i + 1].imm << 32;
        if (value != ZT_COOKIE_PLACE) continue;
        code[i].imm = (int32_t)(uint32_t)pod;
        code[i + 1].imm = (int32_t)(uint32_t)(pod >> 32);
        placed++;
    }
    int result = -EINVAL;
    if (placed == 1) {
        struct bpf_prog_load_opts options = {.sz = sizeof options, .expected_attach_type = BPF_SK_LOOKUP};
        result = bpf_prog_load(BPF_PROG_TYPE_SK_LOOKUP, "ztun_lookup", "Apache-2.0", code, count, &options);
        if (result < 0) result = -errno;
    }
    free(code);
    return result;
}

static int is_in(const struct bpf_link_info *info, uint64_t inode) {
    return info->type == BPF_LINK_TYPE_NETNS && info->netns.netns_ino == (uint32_t)inode && inode;
}

int zt_capture_attach_lookup(struct zt_capture *c, uint64_t pod, int namespace_fd, uint64_t namespace_inode) {
    zt_capture_quiet();
    char path[320];
    struct bpf_link_info info;
    int result = pod_path(c, path, sizeof path, pod);
    if (result < 0) return result;
    int p = load_lookup(c, pod);
    if (p < 0) return p;
    int old = bpf_obj_get(path);
    if (old >= 0 && link_info(old, &info) == 0 && is_in(&info, namespace_inode) && bpf_link_update(old, p, NULL) == 0) {
        result = 0;
    } else {
        int link = bpf_link_create(p, namespace_fd, BPF_SK_LOOKUP, NULL);
        result = link < 0 ? -errno : pin_anew(link, path);
        if (link >= 0) close(link);
        if (result == 0) result = 1;
    }
    if (old >= 0) close(old);
    close(p);
    return result;
}

int zt_capture_lookup_is_attached(struct zt_capture *c, uint64_t pod, uint64_t namespace_inode) {
    char path[320];
    struct bpf_link_info info;
    if (pod_path(c, path, sizeof path, pod) < 0) return 0;
    int fd = bpf_obj_get(path);
    if (fd < 0) return 0;
    int there = link_info(fd, &info) == 0 && is_in(&info, namespace_inode);
    close(fd);
    return there;
}

int zt_capture_detach_lookup(struct zt_capture *c, uint64_t pod) {
    char path[320];
    int result = pod_path(c, path, sizeof path, pod);
    if (result < 0) return result;
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

// MARK: - Removal

static void forget_pod(struct zt_capture *c, uint64_t pod) {
    for (int kind = ZT_OUTBOUND; kind <= ZT_TUNNEL; kind++) zt_capture_clear_listener(c, pod, kind);
    zt_capture_clear_pod(c, pod);
    zt_capture_clear_targets(c, pod);
    zt_capture_detach_lookup(c, pod);
}

static int is_among(const uint64_t *pods, int count, uint64_t pod) {
    for (int i = 0; i < count; i++)
        if (pods[i] == pod) return 1;
    return 0;
}

// One reading for all of them.
static void forget_addresses(struct zt_capture *c, const uint64_t *pods, int count) {
    int capacity = 8192;
    struct zt_capture_address *all = count ? malloc((size_t)capacity * sizeof *all) : NULL;
    if (!all) return;
    int found = zt_capture_addresses(c, all, capacity);
    for (int i = 0; i < found; i++)
        if (is_among(pods, count, all[i].pod)) zt_capture_set_addresses(c, all[i].pod, NULL, 0, all[i].ip, 1);
    free(all);
}

int zt_capture_forget_dead_pods(struct zt_capture *c) {
    DIR *directory = opendir(c->folder);
    if (!directory) return -errno;
    struct dirent *entry;
    // As many as are looked at in one call; the next finds the rest.
    uint64_t forgotten[256];
    int count = 0;
    while (count < 256 && (entry = readdir(directory))) {
        uint64_t pod;
        struct bpf_link_info info;
        char path[320];
        if (sscanf(entry->d_name, "pod-%16" SCNx64, &pod) != 1 || pod_path(c, path, sizeof path, pod) < 0) continue;
        int fd = bpf_obj_get(path);
        int dead = fd >= 0 && link_info(fd, &info) == 0 && info.type == BPF_LINK_TYPE_NETNS && info.netns.netns_ino == 0;
        if (fd >= 0) close(fd);
        if (!dead) continue;
        forget_pod(c, pod);
        forgotten[count++] = pod;
    }
    closedir(directory);
    forget_addresses(c, forgotten, count);
    return count;
}

int zt_capture_remove_if_unused(struct zt_capture *c) {
    uint64_t any;
    if (zt_capture_pods(c, &any, 1) > 0) return 0;
    unpin(c);
    close_links(c);
    return 1;
}

// MARK: - Cookies

int zt_netns_cookie(int socket, uint64_t *cookie) {
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
    socklen_t size = sizeof *cookie;
    return getsockopt(socket, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &size) < 0 ? -errno : 0;
}

int zt_socket_cookie(int socket, uint64_t *cookie) {
    socklen_t size = sizeof *cookie;
    return getsockopt(socket, SOL_SOCKET, SO_COOKIE, cookie, &size) < 0 ? -errno : 0;
}
