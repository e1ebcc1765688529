#define _GNU_SOURCE
#include "CaptureFolder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "Layout.h"

#ifndef BPF_FS_MAGIC
#define BPF_FS_MAGIC 0xcafe4a11
#endif

// Cuts the last name off a path; 0 when nothing would be left.
static int go_up(char *path) {
    char *slash = strrchr(path, '/');
    if (!slash || slash == path) return 0;
    *slash = 0;
    return 1;
}

// Whether the folder is in a BPF file system, or would be once it is made.
static int is_in_bpf_file_system(const char *folder) {
    struct statfs fs;
    char path[256];
    if (snprintf(path, sizeof path, "%s", folder) >= (int)sizeof path) return 0;
    while (statfs(path, &fs) < 0)
        if ((errno != ENOENT && errno != ENOTDIR) || !go_up(path)) return 0;
    return (uint32_t)fs.f_type == BPF_FS_MAGIC;
}

static int make(const char *path) { return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0; }

// A shared lock on the folder, which says that a process lives that uses it.
static int hold(const char *folder) {
    struct stat held, named;
    int result = 0, fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return -errno;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0) result = errno == EWOULDBLOCK ? -EBUSY : -errno;
    else if (fstat(fd, &held) < 0) result = -errno;
    // What was opened may be gone meanwhile, and another be there.
    else if (stat(folder, &named) < 0 || named.st_ino != held.st_ino) result = -ENOENT;
    if (result == 0) return fd;
    close(fd);
    return result;
}

int zt_folder_claim(const char *folder, char *maps, size_t size) {
    char above[256];
    if (!is_in_bpf_file_system(folder)) return -ENOTSUP;
    if (snprintf(maps, size, "%s/v%d", folder, ZT_LAYOUT) >= (int)size) return -ENAMETOOLONG;
    int result = -ENOENT;
    // Another ztund may be removing the folder above, empty as it was, at the moment.
    for (int tries = 0; tries < 5 && result == -ENOENT; tries++) {
        snprintf(above, sizeof above, "%s", folder);
        result = make(folder);
        if (result == -ENOENT && go_up(above) && make(above) == 0) result = make(folder);
        if (result == 0) result = make(maps);
        if (result == 0) result = hold(maps);
    }
    return result;
}
