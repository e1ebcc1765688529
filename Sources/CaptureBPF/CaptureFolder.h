// The folder of a BPF file system in which maps and links are pinned.
#pragma once
#include <stddef.h>

// Makes the folder, the one above it where that is missing too, and in it the folder of the maps, "vN" by their layout, whose
// path goes to `maps`. Returns a descriptor that holds a shared flock on it as long as it is open: `ztund node cleanup` leaves
// alone what anybody holds. -ENOTSUP when it is not in a BPF file system, -EBUSY while somebody is removing it.
int zt_folder_claim(const char *folder, char *maps, size_t size);
