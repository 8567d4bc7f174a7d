// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Does nothing, on each kind of hook that the recorder uses: can it be loaded and attached here? */
#include "kernel.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The target is set by user space before loading. */
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
