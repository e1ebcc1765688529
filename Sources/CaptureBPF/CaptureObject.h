// The compiled programs of bpf/: an ELF object.
#pragma once
extern const unsigned char zt_capture_object[];
extern const unsigned long zt_capture_object_size;
