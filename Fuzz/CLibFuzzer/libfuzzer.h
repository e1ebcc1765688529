#include <stddef.h>
#include <stdint.h>

/// The driver of LLVM's libFuzzer, linked by -sanitize=fuzzer (llvm.org/docs/LibFuzzer.html).
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*entry)(const uint8_t *data, size_t size));
