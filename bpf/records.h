/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who owns an object: its record, which is written once. */
#ifndef BPFNS_RECORDS_H
#define BPFNS_RECORDS_H

#include "numbers.h"
#include "objects.h"

/* Compared as serial numbers (RFC 1982), which holds across the kernel's own wrap. */
static __always_inline bool is_newer(__u32 id, __u32 than)
{
	return (__s32)((id - than) << 1) > 0;
}

static __always_inline struct bpfns_budget *get_budget(__u32 top)
{
	return bpf_map_lookup_elem(&budgets, &top);
}

/* Gives one object back, which has so many numbers. */
static __always_inline void refund(struct bpfns_budget *budget, __u32 numbers)
{
	__sync_fetch_and_add(&budget->objects, -1);
	__sync_fetch_and_add(&budget->numbers, -(__s64)numbers);
}

/* Takes one object with so many numbers from a budget, or nothing. */
static __always_inline bool spend(struct bpfns_budget *budget, __u32 numbers)
{
	__s64 objects = __sync_fetch_and_add(&budget->objects, 1);
	__s64 before = __sync_fetch_and_add(&budget->numbers, numbers);

	if (objects < budget->max_objects && before + numbers <= budget->max_numbers)
		return true;
	refund(budget, numbers);
	return false;
}

/*
 * The agent drains the ring before every answer. It is woken only when the ring fills up, or a
 * budget does: in that are perhaps dead objects that it has not found yet.
 */
#define MANY_EVENTS (1 << 19)

static __always_inline void publish(struct bpfns_status *stat, struct bpfns_budget *budget,
				    struct bpfns_object_key *key, struct bpfns_object *object)
{
	__u64 many = budget->objects > budget->max_objects / 4 * 3 ? 0 : MANY_EVENTS;
	struct bpfns_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		__sync_fetch_and_add(&stat->ring_overflows, 1);
		return;
	}
	event->key = *key;
	__builtin_memcpy(&event->object, object, sizeof(*object));
	bpf_ringbuf_submit(event, bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > many ?
					  BPF_RB_FORCE_WAKEUP :
					  BPF_RB_NO_WAKEUP);
}

static long do_nothing(__u64 unused, void *nothing)
{
	return 0;
}

/* Iterations of the longest wait of hold_up(): a few milliseconds. */
#define LONGEST_WAIT (1 << 21)

/*
 * The agent finds the dead by looking. Whoever makes objects faster than it can look pays for
 * it in time of their own: a little at three quarters of the budget, the longest wait at its end.
 */
static __always_inline void hold_up(struct bpfns_budget *budget)
{
	__s64 quarter = budget->max_objects / 4 + 1;
	__s64 over = budget->objects - 3 * quarter;
	__u64 part;

	if (over <= 0)
		return;
	part = ((__u64)over << 10) / (__u64)quarter;
	bpf_loop(part * part * (LONGEST_WAIT >> 20), do_nothing, NULL, 0);
}

/* A lost race leaves the value a little too low; this check is one of several. */
static __always_inline void note_newest(struct bpfns_status *stat, __u32 kind, __u32 host_id)
{
	if (is_newer(host_id, stat->newest[kind]))
		stat->newest[kind] = host_id;
}

/* From now on nobody can own the object: it is init's, whatever room there is later. */
static __always_inline void leave_unowned(struct bpfns_status *stat, struct bpfns_budget *budget,
					  __u32 kind, __u32 host_id)
{
	__u32 place = host_id % BPFNS_UNOWNED;
	struct bpfns_unowned *last = bpf_map_lookup_elem(&unowned, &place);

	if (last)
		last->ids[kind] = host_id;
	note_newest(stat, kind, host_id);
	__sync_fetch_and_add(&stat->lost_objects, 1);
	if (budget)
		__sync_fetch_and_add(&budget->unowned, 1);
}

static __always_inline bool is_unowned(__u32 kind, __u32 host_id)
{
	__u32 place = host_id % BPFNS_UNOWNED;
	struct bpfns_unowned *last = bpf_map_lookup_elem(&unowned, &place);

	/* Before 6.18 the verifier has forgotten by now that the kind is one. */
	return last && kind < BPFNS_KINDS && last->ids[kind] == host_id;
}

/* Whether an object may be the call's own: docs/decisions/0003-freshness.md. */
static __always_inline bool is_new(struct bpfns_task *state, struct bpfns_object_key *key)
{
	return key->host_id && is_newer(key->host_id, state->newest[key->kind]) &&
	       !bpf_map_lookup_elem(&objects, key) && !is_unowned(key->kind, key->host_id);
}

/* A task whose mark was lost at fork: it may be in any namespace below that of its filter. */
static __always_inline bool is_lost(struct bpfns_status *stat, __u32 tid)
{
	return stat->lost_tasks && (stat->lost_unknown || bpf_map_lookup_elem(&lost, &tid));
}

/* The namespace that owns what the current task makes. */
static __always_inline __u32 owner_for(struct bpfns_status *stat, struct bpfns_task *state,
				       __u64 filter)
{
	__u32 *by_filter;

	if (state->ns != BPFNS_INIT || !filter)
		return state->ns;
	by_filter = bpf_map_lookup_elem(&filters, &filter);
	if (!by_filter)
		return BPFNS_INIT;
	return is_lost(stat, bpf_get_current_pid_tgid()) ? BPFNS_NOWHERE : *by_filter;
}

/* Who makes the object, and where: the current task, or whom a thread of the agent stands in for. */
static __always_inline void describe(struct bpfns_object *object, struct bpfns_creator *other)
{
	__u64 pid_tgid = bpf_get_current_pid_tgid();

	object->created_ns = bpf_ktime_get_boot_ns();
	if (other) {
		object->pid = other->pid;
		object->tid = other->tid;
		object->uid = other->uid;
		object->cgroup_id = other->cgroup_id;
		__builtin_memcpy(object->comm, other->comm, sizeof(object->comm));
		return;
	}
	object->pid = pid_tgid >> 32;
	object->tid = pid_tgid;
	object->uid = bpf_get_current_uid_gid();
	object->cgroup_id = bpf_get_current_cgroup_id();
	bpf_get_current_comm(object->comm, sizeof(object->comm));
}

/* An upgrade is under way, and another recorder gives the numbers. */
static __always_inline bool is_noting(void)
{
	__u32 zero = 0, *now = bpf_map_lookup_elem(&phase, &zero);

	return now && *now != BPFNS_RECORDING;
}

/*
 * Numbers the object of the draft and publishes it: nobody finds one before all its numbers are
 * there. 0 or -errno. The draft is not an argument: before 6.4 a helper takes no memory of a
 * caller's as a map's value.
 */
__noinline int enter(__u32 kind, __u32 host_id)
{
	struct bpfns_object_key key = { .kind = kind, .host_id = host_id };
	struct bpfns_object *object = get_draft();
	int err;

	if (!object)
		return -EINVAL;
	err = allocate_ids(object, kind, host_id);
	if (err)
		return err;
	err = bpf_map_update_elem(&objects, &key, object, BPF_NOEXIST);
	if (err)
		walk_levels(object, kind, host_id, TAKE_BACK);
	return err;
}

/* Writes the record of a new object of the current task, from a file that the task itself opened. */
__noinline int record(struct bpfns_task *state, __u32 kind, __u32 host_id)
{
	struct bpfns_object_key key = { .kind = kind, .host_id = host_id };
	struct bpfns_status *stat = get_status();
	struct bpfns_budget *budget = NULL;
	struct bpfns_namespace *namespace;
	struct bpfns_creator *other;
	struct bpfns_object *object;

	if (!stat || !state || kind >= BPFNS_KINDS)
		return -EINVAL;
	if (!is_new(state, &key))
		return -EEXIST;
	object = get_draft();
	if (!object)
		goto unowned;
	__builtin_memset(object, 0, sizeof(*object));
	other = bpf_task_storage_get(&creators, bpf_get_current_task_btf(), 0, 0);
	object->filter = other ? other->filter : filter_of_task(bpf_get_current_task_btf());
	if (object->filter)
		object->filter_serial = other ? other->filter_serial :
						serial_of_filter(object->filter);
	object->owner = other ? other->ns : owner_for(stat, state, object->filter);
	if (object->owner != BPFNS_INIT) {
		namespace = bpf_map_lookup_elem(&namespaces, &object->owner);
		if (!namespace)
			goto unowned;
		object->level = namespace->level;
		object->top = namespace->top;
	}
	describe(object, other);
	if (is_noting()) {
		if (bpf_map_update_elem(&objects, &key, object, BPF_NOEXIST)) {
			if (bpf_map_lookup_elem(&objects, &key))
				return -EEXIST;
			goto unowned;
		}
		note_newest(stat, kind, host_id);
		return 0;
	}
	budget = get_budget(object->top);
	if (!budget || !spend(budget, object->level))
		goto unowned;
	if (enter(kind, host_id)) {
		refund(budget, object->level);
		if (bpf_map_lookup_elem(&objects, &key)) /* somebody else was faster */
			return -EEXIST;
		goto unowned;
	}
	note_newest(stat, kind, host_id);
	publish(stat, budget, &key, object);
	if (object->owner != BPFNS_INIT)
		hold_up(budget);
	return 0;
unowned:
	leave_unowned(stat, budget, kind, host_id);
	return -ENOSPC;
}

#endif
