// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The agent's eye: everything that the agent has to know about a caller, in one system call. Needs
 * bpf_task_from_pid() (6.2), and the capabilities in one word (6.3). It reads no guest memory: a
 * program that waits for a page which the guest serves would delay RCU Tasks Trace, and with it the
 * whole machine.
 */
#include "bpfns.h"
#include "kernel.h"
#include "objects.h"
#include "task-maps.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

extern struct task_struct *bpf_task_from_pid(__s32 pid) __ksym;
extern void bpf_task_release(struct task_struct *task) __ksym;

SEC("syscall")
int eye(struct bpfns_eye *args)
{
	struct task_struct *task = bpf_task_from_pid(args->tid);
	const struct cred *cred;
	struct bpfns_task *state;
	struct file *file;

	creates_nothing();
	args->found = 0;
	args->kind = -1;
	if (!task)
		return 0;
	cred = BPF_CORE_READ(task, real_cred);
	args->capabilities = BPF_CORE_READ(cred, cap_effective.val);
	args->user_ns = BPF_CORE_READ(cred, user_ns, ns.inum);
	args->mm = (__u64)BPF_CORE_READ(task, mm);
	args->started = BPF_CORE_READ(task, start_boottime);
	state = bpf_task_storage_get(&tasks, task, 0, 0);
	args->ns = state ? state->ns : BPFNS_INIT;
	args->cmd = state ? state->cmd : 0;
	args->found = 1;
	bpf_task_release(task);
	/* Only the agent, which waits here, closes or replaces its fds. */
	if (args->fd >= 0) {
		file = file_of_fd(bpf_get_current_task_btf(), args->fd);
		if (file)
			args->kind = kind_of_file(file);
	}
	return 0;
}
