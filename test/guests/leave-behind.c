/*
 * Leaves objects behind: a pinned map, a pinned link whose program no fd holds, and a
 * program attached to the root cgroup without link or pin. $P is where pins go.
 */
#include "bpf.h"
#include <fcntl.h>

static int load(int type, int attach_type, int result)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = result },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = type,
		.expected_attach_type = attach_type,
		.insns = (uintptr_t)code,
		.insn_cnt = 2,
		.license = (uintptr_t) "GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

static int pin(int fd, const char *name)
{
	char path[256];
	union bpf_attr attr = { .pathname = (uintptr_t)path, .bpf_fd = fd };

	snprintf(path, sizeof(path), "%s/%s", getenv("P"), name);
	return bpf(BPF_OBJ_PIN, &attr);
}

static int attach_link(int prog)
{
	union bpf_attr attr = {};

	attr.raw_tracepoint.name = (uintptr_t) "sched_process_exit";
	attr.raw_tracepoint.prog_fd = prog;
	return bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
}

/* A test's own, below the root of the v2 hierarchy. */
static int attach_cgroup(int prog)
{
	int cgroup = open(getenv("CGROUP"), O_RDONLY);
	union bpf_attr attr = { .target_fd = cgroup,
				.attach_bpf_fd = prog,
				.attach_type = BPF_CGROUP_INET_EGRESS };

	return bpf(BPF_PROG_ATTACH, &attr);
}

int main(void)
{
	int map = create_map();
	int link = attach_link(load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0));
	int prog = load(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, 1);

	if (pin(map, "map") || pin(link, "link") || attach_cgroup(prog)) {
		fprintf(stderr, "map %d, link %d, prog %d: %m\n", map, link, prog);
		return 1;
	}
	return 0;
}
