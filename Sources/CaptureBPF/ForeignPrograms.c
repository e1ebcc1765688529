// Who else has programs on the connect hook, and whether they run before ours or after.
#define _GNU_SOURCE
#include "ForeignPrograms.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void add_name(char *names, size_t capacity, const char *name) {
    size_t used = strlen(names);
    snprintf(names + used, capacity - used, "%s%s", used ? " " : "", name[0] ? name : "unnamed");
}

// The programs of one hook in the order in which they run.
int zt_programs_beside(int cgroup, enum bpf_attach_type type, uint32_t own, struct zt_foreign_programs *found) {
    uint32_t ids[64], count = 64, flags = 0;
    if (bpf_prog_query(cgroup, type, BPF_F_QUERY_EFFECTIVE, &flags, ids, &count) < 0) return -errno;
    int seen = 0;
    for (uint32_t i = 0; i < count && i < 64; i++) {
        struct bpf_prog_info info;
        uint32_t size = sizeof info;
        if (own && ids[i] == own) {
            seen = 1;
            continue;
        }
        memset(&info, 0, sizeof info);
        int fd = bpf_prog_get_fd_by_id(ids[i]);
        if (fd < 0) continue;
        // Programs of other ztunds, and a gate's, have this beginning; they never send a connect elsewhere but their own pods'.
        if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && strncmp(info.name, "ztun_", 5) != 0)
            add_name(seen ? found->after : found->before, sizeof found->before, info.name);
        close(fd);
    }
    return 0;
}
