/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What no hook saw at the return of bpf(2) is found by looking at the open files of the tasks. */
#ifndef BPFNS_LATE_H
#define BPFNS_LATE_H

#include "hooks.h"

struct late_walk {
	struct task_struct *task;
	struct bpfns_task *state;
	__u32 found;
};

static long walk_late_fd(__u64 fd, struct late_walk *walk)
{
	if (walk->state && !record_file(walk->state, walk->task, file_of_fd(walk->task, fd)))
		walk->found++;
	return 0;
}

/* As owner_for() and describe(), for a task that is not the current one. */
static __always_inline void describe_task(struct task_struct *task, struct bpfns_task *state,
					  struct bpfns_creator *creator)
{
	__u64 filter = filter_of_task(task);
	__u32 *by_filter = filter ? bpf_map_lookup_elem(&filters, &filter) : NULL;

	creator->filter = filter;
	creator->filter_serial = filter ? serial_of_filter(filter) : 0;
	creator->ns = state->ns == BPFNS_INIT && by_filter ? *by_filter : state->ns;
	creator->pid = task->tgid;
	creator->tid = task->pid;
	creator->uid = BPF_CORE_READ(task, cred, uid.val);
	creator->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	bpf_probe_read_kernel_str(creator->comm, sizeof(creator->comm), task->comm);
}

/* How often a task without a note gives the agent a chance to stop. */
#define PAUSE 32

/*
 * The agent reads this iterator when hooks may have missed returns. It writes a byte for each task that it
 * has looked at, and for some others. That ends a read of one byte, so the agent can stop before the next.
 */
SEC("iter/task")
int find_late(struct bpf_iter__task *ctx)
{
	struct task_struct *agent = bpf_get_current_task_btf(), *task = ctx->task;
	struct bpfns_status *stat = get_status();
	struct late_walk walk = { .task = task };
	struct bpfns_creator *creator;
	__u32 cmd, max_fds;
	char one = 1;

	if (!task || !stat)
		return 0;
	if (ctx->meta->seq_num % PAUSE == 0)
		bpf_seq_write(ctx->meta->seq, &one, sizeof(one));
	walk.state = bpf_task_storage_get(&tasks, task, 0, 0);
	if (!walk.state || is_lost(stat, task->pid))
		return 0;
	cmd = walk.state->cmd;
	if (!cmd || cmd & BPFNS_LOOKED_AT || is_in_bpf(task, cmd - 1))
		return 0;
	/* A thread of the agent that acts for somebody. */
	if (bpf_task_storage_get(&creators, task, 0, 0))
		return 0;
	creator = bpf_task_storage_get(&creators, agent, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!creator)
		return 0;
	describe_task(task, walk.state, creator);
	max_fds = BPF_CORE_READ(task, files, fdt, max_fds);
	bpf_loop(max_fds < MAX_FDS ? max_fds : MAX_FDS, walk_late_fd, &walk, 0);
	bpf_task_storage_delete(&creators, agent);
	count_missed(stat, walk.found);
	/* Unless it has made another call meanwhile. */
	__sync_val_compare_and_swap(&walk.state->cmd, cmd, cmd | BPFNS_LOOKED_AT);
	bpf_seq_write(ctx->meta->seq, &one, sizeof(one));
	return 0;
}

#endif
