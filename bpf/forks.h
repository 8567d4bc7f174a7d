/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A child starts in its parent's namespace. Three hooks call the same function; user space loads those
 * that miss the fewest forks on the running kernel (docs/decisions/0017-hooks.md).
 */
#ifndef BPFNS_FORKS_H
#define BPFNS_FORKS_H

#include "maps.h"
#include "objects.h"

extern struct task_struct *bpf_task_from_pid(__s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;

/*
 * The namespace of a child that is about to run: its parent's, unless the agent found the request for a
 * new one in this clone3(). Any fork uses the mark up, so that the mark of a clone3() that failed ends
 * with the thread's next child.
 */
static __always_inline __u32 namespace_of_child(struct task_struct *parent,
						struct bpfns_task *state)
{
	struct bpfns_namespace *namespace;
	__u32 next = state->next;

	if (!next)
		return state->ns;
	state->next = 0;
	/* The namespace of a leftover mark may have been collected. */
	namespace = bpf_map_lookup_elem(&namespaces, &next);
	if (!namespace || syscall_number((void *)bpf_task_pt_regs(parent)) != NR_CLONE3)
		return state->ns;
	return next;
}

static __always_inline void count_task(__u32 ns)
{
	struct bpfns_counter_key key = { .ns = ns, .kind = BPFNS_TASKS };
	struct bpfns_counter *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		__sync_fetch_and_add(&counter->allocated, 1);
}

/* A container's tasks are in its namespace by their filter; their children are then marked, too. */
static __always_inline __u32 namespace_by_filter(struct task_struct *parent)
{
	__u64 filter = filter_of_task(parent);
	__u32 *ns = filter ? bpf_map_lookup_elem(&filters, &filter) : NULL;

	return ns ? *ns : BPFNS_INIT;
}

/* Puts a new task into its namespace. -ENOMEM if there is no room for its mark. */
static __always_inline int mark_child(struct bpfns_status *stat, struct task_struct *parent,
				      struct task_struct *child)
{
	struct bpfns_task *mine = bpf_task_storage_get(&tasks, parent, 0, 0);
	__u32 ns = BPFNS_INIT, parent_tid = parent->pid;
	struct bpfns_task *its;

	if (bpf_task_storage_get(&tasks, child, 0, 0))
		return 0; /* another hook has been faster */
	if (mine)
		ns = namespace_of_child(parent, mine);
	if (stat->lost_tasks && ns == BPFNS_INIT && bpf_map_lookup_elem(&lost, &parent_tid))
		ns = BPFNS_NOWHERE;
	if (ns == BPFNS_INIT && !stat->lost_unknown)
		ns = namespace_by_filter(parent);
	if (ns == BPFNS_INIT)
		return 0;
	its = bpf_task_storage_get(&tasks, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!its)
		return -ENOMEM;
	its->ns = ns;
	count_task(ns);
	return 0;
}

/* There is no room for the child's mark: it must not fall to the namespace of its filter. */
static __always_inline void lose(struct bpfns_status *stat, __u32 tid)
{
	struct bpfns_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	__u32 yes = 1;

	if (bpf_map_update_elem(&lost, &tid, &yes, BPF_ANY))
		__sync_fetch_and_add(&stat->lost_unknown, 1);
	__sync_fetch_and_add(&stat->lost_tasks, 1);
	if (!event) {
		__sync_fetch_and_add(&stat->ring_overflows, 1);
		return;
	}
	event->key.kind = BPFNS_TASKS;
	event->key.host_id = tid;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

static __always_inline int forked(struct task_struct *parent, struct task_struct *child)
{
	struct bpfns_status *stat = get_status();
	__u32 tid = child->pid;

	if (!stat)
		return 0;
	/* An earlier bearer of the number is gone. */
	if (stat->lost_tasks)
		bpf_map_delete_elem(&lost, &tid);
	if (mark_child(stat, parent, child))
		lose(stat, tid);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(task_forked, struct task_struct *parent, struct task_struct *child)
{
	return forked(parent, child);
}

/* The same tracepoint as an event of perf, which runs its programs with preemption disabled. */
SEC("tracepoint/sched/sched_process_fork")
int task_forked_event(struct trace_event_raw_sched_process_fork *ctx)
{
	struct task_struct *child = bpf_task_from_pid(ctx->child_pid);

	if (!child)
		return 0;
	forked(bpf_get_current_task_btf(), child);
	bpf_task_release(child);
	return 0;
}

/* The child has no thread id yet. Without room for its mark there is no child: fork fails with ENOMEM. */
SEC("lsm/task_alloc")
int BPF_PROG(task_allocated, struct task_struct *child)
{
	struct bpfns_status *stat = get_status();

	return stat ? mark_child(stat, bpf_get_current_task_btf(), child) : 0;
}

#endif
