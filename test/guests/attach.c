/* Loads a program that counts in a map, attaches it to a raw tracepoint, and sleeps: a loader to look at. */
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

int main(void)
{
	union bpf_attr attr = {};

	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = attr.value_size = 4;
	attr.max_entries = 1;
	strcpy(attr.map_name, "counter");
	int map = bpf(BPF_MAP_CREATE, &attr);

	struct bpf_insn code[] = {
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
		  .dst_reg = 1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map },
		{},
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
	attr.insns = (uintptr_t)code;
	attr.insn_cnt = sizeof(code) / sizeof(code[0]);
	attr.license = (uintptr_t) "GPL";
	strcpy(attr.prog_name, "count");
	int prog = bpf(BPF_PROG_LOAD, &attr);

	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.name = (uintptr_t) "sched_process_exit";
	attr.raw_tracepoint.prog_fd = prog;
	int link = bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);

	if (map < 0 || prog < 0 || link < 0) {
		fprintf(stderr, "map %d, prog %d, link %d: %m\n", map, prog, link);
		return 1;
	}
	pause();
	return 0;
}
