// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs that do next to nothing, of each kind that the recorder uses: can they be loaded and attached? */
#include "kernel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

__u64 seen;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} on_demand SEC(".maps");

/* User space sets the target before loading. Before 6.1 the verifier refuses the address of registers. */
SEC("fentry")
int function_enter(__u64 *ctx)
{
	seen = ctx[0];
	return 0;
}

SEC("fexit")
int function_exit(__u64 *ctx)
{
	seen = ctx[0];
	return 0;
}

SEC("kretprobe.multi")
int function_return(void *ctx)
{
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_bpf")
int syscall_tracepoint(void *ctx)
{
	return 0;
}

SEC("tp_btf/sched_process_fork")
int fork_tracepoint(void *ctx)
{
	return 0;
}

SEC("lsm/task_alloc")
int fork_lsm(void *ctx)
{
	return 0;
}

/* Such a program may sleep. */
SEC("syscall")
int service(void *ctx)
{
	__u32 zero = 0;

	bpf_map_delete_elem(&on_demand, &zero);
	return 0;
}
