// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * An upgrade: carries the state of each task over from an earlier recorder, while both recorders run
 * (docs/decisions/0023-upgrade.md). Loaded for that time only.
 *
 *   carry_forked  a child has what the earlier recorder gave it; attached after both recorders' hooks
 *   carry_tasks   all tasks that there are; run once carry_forked is attached
 */
#include "task-maps.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The earlier recorder's map "tasks". User space passes it. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct bpfns_task);
} old_tasks SEC(".maps");

/* User space sets it. */
const volatile struct bpfns_earlier_task old_task;

#define OLD(state, member, index) \
	(*(volatile __u32 *)((void *)(state) + old_task.member + (index) * sizeof(__u32)))

/*
 * Copies what is about one system call in progress. Whatever ends that call also ends it in the other
 * recorder. If that comes between the two reads, the copy has come too late, and is taken back.
 */
#define COPY(state, old, member)                                                         \
	do {                                                                             \
		__u32 value = OLD(old, member, 0);                                       \
		if (value && !__sync_val_compare_and_swap(&(state)->member, 0, value) && \
		    !OLD(old, member, 0))                                                \
			__sync_val_compare_and_swap(&(state)->member, value, 0);         \
	} while (0)

/* -ENOMEM if there is no room for the task's state. */
static __always_inline int carry(struct task_struct *task)
{
	void *old = bpf_task_storage_get(&old_tasks, task, 0, 0);
	struct bpfns_task *state;

	if (!old || !(OLD(old, ns, 0) || OLD(old, next, 0) || OLD(old, cmd, 0)))
		return 0;
	state = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state)
		return -ENOMEM;
	if (OLD(old, ns, 0))
		state->ns = OLD(old, ns, 0);
	COPY(state, old, next);
	if (state->cmd)
		return 0;
	/* The call was entered before our hooks were attached: they will see its return. */
	for (int kind = 0; kind < BPFNS_KINDS; kind++)
		state->newest[kind] = OLD(old, newest, kind);
	COPY(state, old, cmd);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(carry_forked, struct task_struct *parent, struct task_struct *child)
{
	carry(child);
	return 0;
}

/* Writes the thread id of each task for which there was no room. */
SEC("iter/task")
int carry_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	__u32 tid;

	if (!task || !carry(task))
		return 0;
	tid = task->pid;
	bpf_seq_write(ctx->meta->seq, &tid, sizeof(tid));
	return 0;
}
