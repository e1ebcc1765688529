// Who else has programs on a hook.
#pragma once
#include <linux/bpf.h>
#include <stdint.h>

#include "CaptureBPF.h"

// Adds the names of others' programs on a hook of a cgroup. `own` is the id of our program there, 0 when it is not attached.
int zt_programs_beside(int cgroup, enum bpf_attach_type type, uint32_t own, struct zt_foreign_programs *found);
