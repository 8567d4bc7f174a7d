// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Iterators: which process uses which object, and which task is in which namespace. */
#include "objects.h"
#include "task-maps.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define BPF_LINK_TYPE_PERF_EVENT_NR 7

/* Only to get their layouts into the BTF. */
const struct bpfns_object_user *object_user_layout __attribute__((unused));
const struct bpfns_member *member_layout __attribute__((unused));

SEC("iter/task_file")
int object_users(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct bpfns_object_user user = {};
	struct file *file = ctx->file;
	void *object;
	int kind;

	if (!task || !file)
		return 0;
	kind = kind_of_file(file);
	if (kind < 0)
		return 0;
	object = BPF_CORE_READ(file, private_data);
	user.kind = kind;
	user.host_id = id_of_object(kind, object);
	user.pid = task->tgid;
	bpf_probe_read_kernel_str(user.comm, sizeof(user.comm), task->comm);
	if (kind == BPFNS_LINK &&
	    BPF_CORE_READ((struct bpf_link *)object, type) == BPF_LINK_TYPE_PERF_EVENT_NR) {
		struct perf_event *event =
			BPF_CORE_READ((struct bpf_perf_link *)object, perf_file, private_data);

		user.has_cookie = 1;
		user.cookie = BPF_CORE_READ(event, bpf_cookie);
	}
	bpf_seq_write(ctx->meta->seq, &user, sizeof(user));
	return 0;
}

/*
 * The namespace of the child of a clone3() in progress. The mark of a clone3() that failed stays
 * until the thread's next fork, but it keeps no namespace alive.
 */
static __always_inline __u32 next_of(struct task_struct *task, struct bpfns_task *state)
{
	const void *regs = (const void *)bpf_task_pt_regs(task);

	return state->next && syscall_number(regs) == NR_CLONE3 ? state->next : BPFNS_INIT;
}

/* Exiting tasks and zombies create no more objects or children: they are in no namespace. */
SEC("iter/task")
int members(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct bpfns_member member = {};
	struct bpfns_task *state;

	if (!task || (task->flags & PF_EXITING))
		return 0;
	state = bpf_task_storage_get(&tasks, task, 0, 0);
	if (state) {
		member.ns = state->ns;
		member.next = next_of(task, state);
	}
	if (member.ns == BPFNS_INIT) {
		__u64 filter = filter_of_task(task);
		__u32 *by_filter = filter ? bpf_map_lookup_elem(&filters, &filter) : NULL;

		if (by_filter)
			member.ns = *by_filter;
	}
	if (member.ns == BPFNS_INIT && member.next == BPFNS_INIT)
		return 0;
	member.pid = task->tgid;
	member.tid = task->pid;
	bpf_probe_read_kernel_str(member.comm, sizeof(member.comm), task->comm);
	bpf_seq_write(ctx->meta->seq, &member, sizeof(member));
	return 0;
}
