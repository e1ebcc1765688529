// The compiled programs of bpf/: an ELF object.
#pragma once
extern const unsigned char zt_gate_object[];
extern const unsigned long zt_gate_object_size;
