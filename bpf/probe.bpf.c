// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs that do nothing, on each kind of hook that the recorder uses: can they be loaded and attached? */
#include "kernel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* User space sets the target before loading. */
SEC("fentry")
int function_enter(void *ctx)
{
	return 0;
}

SEC("fexit")
int function_exit(void *ctx)
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
