// All programs of the node in one object, so that they share one set of maps. bpf/regenerate.sh compiles it.
#include "connect.h"
#include "lookup.h"
#include "probe.h"

// None of the helpers in use asks for a GPL-compatible program.
char _license[] SEC("license") = "Apache-2.0";
