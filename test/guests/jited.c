/*
 * jited own|id: loads a program and prints what BPF_OBJ_GET_INFO_BY_FD shows of its machine
 * code: through its own fd, or through one got by id 1. Addresses as hidden or shown only,
 * since they differ from load to load.
 */
#include "guest.h"

int main(int argc, char **argv)
{
	int prog = load_program(BPF_PROG_TYPE_SOCKET_FILTER, 0, "jited", -1);
	unsigned char code[256] = {}, translated[256] = {};
	uint64_t ksym = 0;
	struct bpf_prog_info info = { .jited_prog_len = sizeof(code),
				      .jited_prog_insns = (uintptr_t)code,
				      .xlated_prog_len = sizeof(translated),
				      .xlated_prog_insns = (uintptr_t)translated,
				      .nr_jited_ksyms = 1,
				      .jited_ksyms = (uintptr_t)&ksym };
	union bpf_attr attr = { .prog_id = 1 };

	if (argc > 1 && strcmp(argv[1], "id") == 0)
		prog = must(bpf(BPF_PROG_GET_FD_BY_ID, &attr), "id 1");
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = prog;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	must(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr), "info");
	printf("length %u, pointer %s, code ", info.jited_prog_len,
	       info.jited_prog_insns ? "kept" : "cleared");
	/* The last instruction may be a jump to the return thunk, relative to where it lies. */
	for (unsigned int i = 0; i + 5 < info.jited_prog_len && i < sizeof(code); i++)
		printf("%02x", code[i]);
	printf(", symbols %u, address %s, translated %u %s\n", info.nr_jited_ksyms,
	       ksym ? "shown" : "hidden", info.xlated_prog_len,
	       info.xlated_prog_insns ? "kept" : "cleared");
	return 0;
}
