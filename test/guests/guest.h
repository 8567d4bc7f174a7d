/* What the guests share: bpf(2) as it is, small objects, and leaving with a reason. */
#ifndef GUEST_H
#define GUEST_H

#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* The value, or the end of the guest with the reason on stderr. */
static inline int must(int value, const char *what)
{
	if (value >= 0)
		return value;
	fprintf(stderr, "%s: %m\n", what);
	exit(1);
}

static inline int create_map(enum bpf_map_type type, const char *name, int inner)
{
	union bpf_attr attr = { .map_type = type,
				.key_size = 4,
				.value_size = 4,
				.max_entries = 4,
				.inner_map_fd = inner };

	strncpy(attr.map_name, name, sizeof(attr.map_name) - 1);
	return must(bpf(BPF_MAP_CREATE, &attr), name);
}

static inline int update_map(int map, uint32_t key, uint32_t value)
{
	union bpf_attr attr = { .map_fd = map, .key = (uintptr_t)&key, .value = (uintptr_t)&value };

	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

/* clang-format off */
#define LOAD_MAP(map)                                                                                   \
	{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = (map) }, \
	{}
#define RETURN(value)                                                              \
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = (value) },     \
	{ .code = BPF_JMP | BPF_EXIT }
/* clang-format on */

/* A program that does nothing and returns 1, with a reference to `map` unless that is -1. */
static inline int load_program(enum bpf_prog_type type, enum bpf_attach_type attach,
			       const char *name, int map)
{
	struct bpf_insn code[] = { LOAD_MAP(map), RETURN(1) };
	int skipped = map < 0 ? 2 : 0;
	union bpf_attr attr = {
		.prog_type = type,
		.expected_attach_type = attach,
		.insns = (uintptr_t)(code + skipped),
		.insn_cnt = sizeof(code) / sizeof(code[0]) - skipped,
		.license = (uintptr_t) "GPL",
	};

	strncpy(attr.prog_name, name, sizeof(attr.prog_name) - 1);
	return must(bpf(BPF_PROG_LOAD, &attr), name);
}

static inline void pin(int fd, const char *path)
{
	union bpf_attr attr = { .pathname = (uintptr_t)path, .bpf_fd = fd };

	must(bpf(BPF_OBJ_PIN, &attr), path);
}

/* The object's id; all four info structures are long enough for `info`. */
static inline uint32_t id_of(int fd, int is_btf)
{
	uint32_t info[8] = {};
	union bpf_attr attr = {
		.info = { .bpf_fd = fd, .info_len = is_btf ? 32 : 8, .info = (uintptr_t)info }
	};

	must(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr), "info");
	return info[is_btf ? 3 : 1];
}

#endif
