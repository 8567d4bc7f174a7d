/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Services for the agent: programs that it runs, and the iterator that it reads. */
#ifndef BPFNS_SERVICES_H
#define BPFNS_SERVICES_H

#include "records.h"

/* The agent reads this iterator: it reads or sets the state of the thread that the request names. */
SEC("iter/task")
int one_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct bpfns_task_request *request;
	struct bpfns_task *state;
	__u32 zero = 0;

	request = bpf_map_lookup_elem(&one_task_request, &zero);
	if (!task || !request || (__u32)task->pid != request->tid)
		return 0;
	/* Another thread may have the number by now, but it has another start time. */
	if (!request->write)
		request->start_ns = task->start_boottime;
	else if (task->start_boottime != request->start_ns)
		return 0;
	state = bpf_task_storage_get(&tasks, task, 0,
				     request->write ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
	if (!state)
		return 0;
	if (request->write) {
		state->ns = request->ns;
		state->next = request->next;
	} else {
		request->ns = state->ns;
		request->next = state->next;
	}
	request->done = 1;
	return 0;
}

/*
 * The agent reads this iterator once it has bound a container's filter: tasks that started under it before
 * that have no mark, and get it now. Those that start later get theirs when they are forked.
 */
SEC("iter/task")
int mark_members(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct bpfns_status *stat = get_status();
	struct bpfns_task *state;
	__u64 filter;
	__u32 *ns;

	if (!task || !stat || (task->flags & PF_EXITING))
		return 0;
	filter = filter_of_task(task);
	ns = filter ? bpf_map_lookup_elem(&filters, &filter) : NULL;
	if (!ns || is_lost(stat, task->pid))
		return 0;
	state = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (state && state->ns == BPFNS_INIT)
		state->ns = *ns;
	return 0;
}

/* Run by a thread of the agent: what it makes from now on is somebody else's. */
SEC("syscall")
int act_for(struct bpfns_creator *args)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bpfns_creator *creator;

	creates_nothing();
	args->done = 1;
	if (args->ns == BPFNS_INIT) {
		bpf_task_storage_delete(&creators, task);
		return 0;
	}
	creator = bpf_task_storage_get(&creators, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (creator)
		*creator = *args;
	else
		args->done = 0;
	return 0;
}

/* The agent runs this: the object is dead, and its numbers are free. */
SEC("syscall")
int forget(struct bpfns_forget *args)
{
	struct bpfns_object_key key = { .kind = args->kind, .host_id = args->host_id };
	struct bpfns_object *object = bpf_map_lookup_elem(&objects, &key);
	struct bpfns_budget *budget;

	creates_nothing();
	if (!object)
		return 0;
	budget = get_budget(object->top);
	if (budget)
		refund(budget, object->level);
	walk_levels(object, args->kind, args->host_id, TAKE_BACK);
	bpf_map_delete_elem(&objects, &key);
	return 0;
}

/* The host ids that are searched for objects to take over: a tenth of a second at most. */
#define MAX_PLACES (1 << 21)

struct adoption {
	__u64 filter;
	__u64 filter_serial;
	__u32 owner;
	__u32 level;
	__u32 top;
	__u32 count;
	__u32 kind;
	__u32 oldest; /* of the kind, among those to take over; 0 if there are none */
	__u32 newest;
};

/* An object of init that was made under this very filter, not under an earlier one at its address. */
static __always_inline bool is_to_adopt(const struct bpfns_object *object,
					const struct adoption *adoption)
{
	return object->owner == BPFNS_INIT && object->filter == adoption->filter &&
	       adoption->filter_serial - object->filter_serial < 1ULL << 32;
}

/* Finds between which host ids those are that were made under the filter. */
static long find_range(void *map, struct bpfns_object_key *key, struct bpfns_object *object,
		       struct adoption *adoption)
{
	if (key->kind != adoption->kind || !is_to_adopt(object, adoption))
		return 0;
	if (!adoption->oldest || is_newer(adoption->oldest, key->host_id))
		adoption->oldest = key->host_id;
	if (!adoption->newest || is_newer(key->host_id, adoption->newest))
		adoption->newest = key->host_id;
	return 0;
}

/* Moves an object of init that was created under the filter before its namespace was known. */
static __always_inline void adopt(struct bpfns_object_key *key, struct adoption *adoption)
{
	struct bpfns_object *object = bpf_map_lookup_elem(&objects, key);
	struct bpfns_status *stat = get_status();
	struct bpfns_budget *init = get_budget(BPFNS_INIT), *budget = get_budget(adoption->top);
	struct bpfns_object *changed;

	if (!object || !stat || !init || !budget || !is_to_adopt(object, adoption))
		return;
	changed = get_draft();
	if (!changed || !spend(budget, adoption->level))
		goto unowned;
	*changed = *object;
	changed->owner = adoption->owner;
	changed->level = adoption->level;
	changed->top = adoption->top;
	if (allocate_ids(changed, key->kind, key->host_id)) {
		refund(budget, adoption->level);
		goto unowned;
	}
	*object = *changed;
	refund(init, 0);
	publish(stat, budget, key, changed);
	adoption->count++;
	return;
unowned:
	__sync_fetch_and_add(&stat->lost_objects, 1);
	__sync_fetch_and_add(&budget->unowned, 1);
}

static long adopt_next(__u64 place, struct adoption *adoption)
{
	struct bpfns_object_key key = { .kind = adoption->kind,
					.host_id = adoption->oldest + place };

	if (key.host_id > BPFNS_MAX_ID)
		key.host_id -= BPFNS_MAX_ID;
	adopt(&key, adoption);
	return 0;
}

static long adopt_each(void *map, struct bpfns_object_key *key, void *object,
		       struct adoption *adoption)
{
	adopt(key, adoption);
	return 0;
}

/* In the order of creation, which is that of the host ids: the map keeps none. */
static __always_inline void adopt_all(struct adoption *adoption)
{
	for (int kind = 0; kind < BPFNS_KINDS; kind++) {
		__u32 places;

		adoption->kind = kind;
		adoption->oldest = 0;
		adoption->newest = 0;
		bpf_for_each_map_elem(&objects, find_range, adoption, 0);
		if (!adoption->oldest)
			continue;
		places = adoption->newest - adoption->oldest + 1;
		if (adoption->newest < adoption->oldest)
			places += BPFNS_MAX_ID;
		bpf_loop(places < MAX_PLACES ? places : MAX_PLACES, adopt_next, adoption, 0);
	}
	/* What is left is farther apart than that. */
	bpf_for_each_map_elem(&objects, adopt_each, adoption, 0);
}

/*
 * The agent runs this: from now on the tasks under the filter of one of its listeners belong to a
 * namespace, and so do the objects that they created under it before.
 */
SEC("syscall")
int bind_filter(struct bpfns_bind *args)
{
	struct file *file = file_of_fd(bpf_get_current_task_btf(), args->listener);
	struct adoption adoption = { .owner = args->ns };
	struct bpfns_namespace *namespace;
	char name[16] = {};
	__u32 ns = args->ns;

	creates_nothing();
	args->error = -EBADF;
	if (!file || BPF_CORE_READ(file, f_inode, i_sb, s_magic) != ANON_INODE_FS_MAGIC)
		return 0;
	bpf_probe_read_kernel_str(name, sizeof(name),
				  BPF_CORE_READ(file, f_path.dentry, d_name.name));
	if (!is_named(name, "seccomp ", 8))
		return 0;
	adoption.filter = (__u64)BPF_CORE_READ(file, private_data);
	adoption.filter_serial = serial_of_filter(adoption.filter);
	if (ns == BPFNS_INIT) {
		args->error = bpf_map_delete_elem(&filters, &adoption.filter);
		return 0;
	}
	namespace = bpf_map_lookup_elem(&namespaces, &ns);
	args->error = namespace ? bpf_map_update_elem(&filters, &adoption.filter, &ns, BPF_ANY) :
				  -ENOENT;
	if (args->error)
		return 0;
	adoption.level = namespace->level;
	adoption.top = namespace->top;
	adopt_all(&adoption);
	args->adopted = adoption.count;
	return 0;
}

/* Gives an object its numbers that was only noted. Without room for them it is init's, like any other. */
__noinline int number_noted(__u32 kind, __u32 host_id)
{
	struct bpfns_object_key key = { .kind = kind, .host_id = host_id };
	struct bpfns_object *object = bpf_map_lookup_elem(&objects, &key), *changed;
	struct bpfns_status *stat = get_status();
	struct bpfns_budget *budget;

	if (!stat || kind >= BPFNS_KINDS || !object || object->ids[0])
		return -EINVAL;
	budget = get_budget(object->top);
	changed = get_draft();
	if (!changed || !budget || !spend(budget, object->level))
		goto unowned;
	*changed = *object;
	if (allocate_ids(changed, kind, host_id)) {
		refund(budget, changed->level);
		goto unowned;
	}
	*object = *changed;
	return 0;
unowned:
	bpf_map_delete_elem(&objects, &key);
	leave_unowned(stat, budget, kind, host_id);
	return -ENOSPC;
}

/* The agent runs this at the end of an upgrade. */
SEC("syscall")
int settle(struct bpfns_forget *args)
{
	creates_nothing();
	number_noted(args->kind, args->host_id);
	return 0;
}

/* Run by the agent: numbers of kernel-owned BTF, which is in every namespace. */
SEC("syscall")
int charge(struct bpfns_charge *args)
{
	struct bpfns_budget *budget = get_budget(args->top);
	__s64 before;

	creates_nothing();
	args->error = -ENOSPC;
	if (!budget)
		return 0;
	before = __sync_fetch_and_add(&budget->numbers, args->numbers);
	if (args->numbers > 0 && before + args->numbers > budget->max_numbers)
		__sync_fetch_and_add(&budget->numbers, -args->numbers);
	else
		args->error = 0;
	return 0;
}

#endif
