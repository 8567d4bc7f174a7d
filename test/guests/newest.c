/*
 * newest: what Linux 7 adds to bpf(2): maps of type RHASH and INSN_ARRAY, and a link of type
 * TRACING_MULTI. Prints for each the id that its info tells, and whether it opens by that id. The
 * headers that build this may be older.
 */
#include "guest.h"
#include <bpf/btf.h>

#define MAP_TYPE_INSN_ARRAY 34
#define MAP_TYPE_RHASH 35
#define TRACE_FENTRY_MULTI 59

struct tracing_multi_attr {
	uint32_t prog_fd, target_fd, attach_type, flags;
	uint64_t ids, cookies;
	uint32_t cnt, unused;
};

struct tracing_multi_info {
	uint32_t type, id, prog_id, unused;
	uint32_t attach_type, count, btf_obj_id, unused_2;
	uint64_t ids, addrs, cookies;
};

static const char *opens(int cmd, uint32_t id)
{
	union bpf_attr attr = { .map_id = id };
	int fd = bpf(cmd, &attr);

	if (fd >= 0)
		close(fd);
	return fd >= 0 ? "opens" : strerror(errno);
}

static void try_map(const char *name, uint32_t type, uint32_t value_size, uint32_t flags)
{
	union bpf_attr attr = { .map_type = type,
				.key_size = 4,
				.value_size = value_size,
				.max_entries = 4,
				.map_flags = flags };
	uint32_t id = id_of(must(bpf(BPF_MAP_CREATE, &attr), name), 0);

	printf("%s %u %s\n", name, id, opens(BPF_MAP_GET_FD_BY_ID, id));
}

/* A program on the entry of functions must return 0. */
static int load_multi(void)
{
	struct bpf_insn code[] = { RETURN(0) };
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_TRACING,
		.expected_attach_type = TRACE_FENTRY_MULTI,
		.insns = (uintptr_t)code,
		.insn_cnt = sizeof(code) / sizeof(code[0]),
		.license = (uintptr_t) "GPL",
	};

	return must(bpf(BPF_PROG_LOAD, &attr), "multi");
}

static void try_link(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	uint32_t function = must(btf__find_by_name_kind(btf, "bpf_fentry_test1", BTF_KIND_FUNC),
				 "bpf_fentry_test1");
	uint32_t shown[1] = {};
	int prog = load_multi();
	struct tracing_multi_attr create = { .prog_fd = prog,
					     .attach_type = TRACE_FENTRY_MULTI,
					     .ids = (uintptr_t)&function,
					     .cnt = 1 };
	int link = must(syscall(SYS_bpf, BPF_LINK_CREATE, &create, sizeof(create)), "link");
	struct tracing_multi_info info = { .count = 1, .ids = (uintptr_t)shown };
	union bpf_attr ask = {
		.info = { .bpf_fd = link, .info_len = sizeof(info), .info = (uintptr_t)&info }
	};

	must(bpf(BPF_OBJ_GET_INFO_BY_FD, &ask), "info");
	printf("TRACING_MULTI %u %s, of program %u, %u function of BTF %u, %s\n", info.id,
	       opens(BPF_LINK_GET_FD_BY_ID, info.id), info.prog_id, info.count, info.btf_obj_id,
	       shown[0] == function ? "the right one" : "another");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	try_map("RHASH", MAP_TYPE_RHASH, 4, BPF_F_NO_PREALLOC);
	try_map("INSN_ARRAY", MAP_TYPE_INSN_ARRAY, 16, 0);
	try_link();
	return 0;
}
