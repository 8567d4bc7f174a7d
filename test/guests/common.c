/*
 * bpf(2) with flags in the upper half of the command, and the common attributes (Linux 7.2) that one
 * of them announces: what each pair gives, a line each. Then what of a log comes back through them.
 * Usage: common COMMAND...
 */
#include "bpf.h"
#include <sys/mman.h>

#define COMMON (1u << 16)

struct common {
	uint64_t log_buf;
	uint32_t log_size;
	uint32_t log_level;
	uint32_t log_true_size;
	uint32_t padding;
};

static const char *result_of(unsigned int cmd, void *attr, size_t size, void *common, size_t length)
{
	long result = syscall(SYS_bpf, cmd, attr, size, common, length);

	return result < 0 ? strerrorname_np(errno) : "ok";
}

/* Whatever the command takes first, there is nothing of that number. */
static void refuse(unsigned int cmd)
{
	static const unsigned int flags[] = {
		0,	  COMMON,   1u << 17,	       1u << 20,
		1u << 31, 1u << 18, COMMON | 1u << 17, COMMON | 1u << 31
	};
	struct common none = {}, all[2] = { [1] = { .padding = 1 } };
	char *edge =
		mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct {
		const char *name;
		void *common;
		size_t length;
	} shapes[] = {
		{ "none", NULL, 0 },
		{ "whole", &none, sizeof(none) },
		{ "short", &none, 4 },
		{ "NULL", NULL, 8 },
		{ "longer", all, sizeof(all) },
		{ "too long", all, 65 << 10 },
		{ "cut", edge + 4092, 24 },
		{ "cut far", edge + 4000, 200 },
	};

	munmap(edge + 4096, 4096);
	for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++) {
		for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
			uint32_t attr[4] = { 0x7ffffffe };

			printf("command %u, flags %x, %s: %s\n", cmd, flags[f], shapes[s].name,
			       result_of(cmd | flags[f], attr, sizeof(attr), shapes[s].common,
					 shapes[s].length));
		}
	}
	munmap(edge, 4096);
}

static void load_with_log(void)
{
	char log[4096] = "";
	struct common common = { .log_buf = (uintptr_t)log,
				 .log_size = sizeof(log),
				 .log_level = 1 };
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t)code,
		.insn_cnt = 2,
		.license = (uintptr_t) "GPL",
	};
	long result = syscall(SYS_bpf, BPF_PROG_LOAD | COMMON, &attr, sizeof(attr), &common,
			      sizeof(common));

	printf("PROG_LOAD: %s, log %s\n", result < 0 ? strerrorname_np(errno) : "ok",
	       strstr(log, "processed 2 insns") ? "filled" : "empty");
	attr = (union bpf_attr){ .btf = (uintptr_t) "junk", .btf_size = 4 };
	log[0] = 0;
	result = syscall(SYS_bpf, BPF_BTF_LOAD | COMMON, &attr, sizeof(attr), &common,
			 sizeof(common));
	printf("BTF_LOAD: %s, log %s, %u bytes\n", result < 0 ? strerrorname_np(errno) : "ok",
	       log[0] ? "filled" : "empty", common.log_true_size);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		refuse(atoi(argv[i]));
	load_with_log();
	return 0;
}
