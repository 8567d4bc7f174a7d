/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who owns an object: its record, written once. */
#ifndef BPFNS_RECORDS_H
#define BPFNS_RECORDS_H

#include "numbers.h"
#include "objects.h"

/* Serial-number order (RFC 1982), so that it holds across the kernel's own wrap. */
static __always_inline bool is_newer(__u32 id, __u32 than)
{
	return (__s32)((id - than) << 1) > 0;
}

static __always_inline void count_live(__u32 ns, __u32 kind, int change)
{
	struct bpfns_counter_key key = { .ns = ns, .kind = kind };
	struct bpfns_counter *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		__sync_fetch_and_add(&counter->live, change);
}

static __always_inline void publish(struct bpfns_status *stat, struct bpfns_object_key *key,
				    struct bpfns_object *object)
{
	struct bpfns_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		__sync_fetch_and_add(&stat->ring_overflows, 1);
		return;
	}
	event->key = *key;
	__builtin_memcpy(&event->object, object, sizeof(*object));
	/* The agent drains the ring before every answer; wake it only when the ring fills up. */
	bpf_ringbuf_submit(event, bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > (1 << 19) ?
					  BPF_RB_FORCE_WAKEUP :
					  BPF_RB_NO_WAKEUP);
}

static long do_nothing(__u64 unused, void *nothing)
{
	return 0;
}

/*
 * The agent finds the dead by looking. Whoever makes objects faster than it can look pays for
 * it in time of their own, a fraction of a millisecond at most, long before one would be lost.
 */
static __always_inline void hold_up(struct bpfns_counter *counter)
{
	const __s64 many = BPFNS_MAX_OBJECTS_PER_NS / 4 * 3;

	if (counter->live > many)
		bpf_loop((counter->live - many) * 4, do_nothing, NULL, 0);
}

/* A lost race only leaves the mark a little low; the check is one of several. */
static __always_inline void note_newest(struct bpfns_status *stat, __u32 kind, __u32 host_id)
{
	if (is_newer(host_id, stat->newest[kind]))
		stat->newest[kind] = host_id;
}

/* Nobody can have the object from now on: it is init's, whatever room there is later. */
static __always_inline void leave_unowned(struct bpfns_status *stat, __u32 kind, __u32 host_id)
{
	__u32 place = host_id % BPFNS_UNOWNED;
	struct bpfns_unowned *last = bpf_map_lookup_elem(&unowned, &place);

	if (last)
		last->ids[kind] = host_id;
	note_newest(stat, kind, host_id);
	__sync_fetch_and_add(&stat->lost_objects, 1);
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

/* Writes the record of a new object of the current task, from a file that the task itself opened. */
__noinline int record(struct bpfns_task *state, __u32 kind, __u32 host_id)
{
	struct bpfns_object_key key = { .kind = kind, .host_id = host_id };
	struct bpfns_status *stat = get_status();
	struct bpfns_counter_key counter_key = { .kind = kind };
	struct bpfns_namespace *namespace = NULL;
	struct bpfns_counter *counter = NULL;
	struct bpfns_object *object;
	__u32 *by_filter;
	__u64 pid_tgid;

	if (!stat || !state || kind >= BPFNS_KINDS)
		return -EINVAL;
	if (!is_new(state, &key))
		return -EEXIST;
	object = get_draft();
	if (!object)
		goto lost;
	__builtin_memset(object, 0, sizeof(*object));
	object->owner = state->ns;
	object->filter = filter_of_task(bpf_get_current_task_btf());
	if (object->owner == BPFNS_INIT && object->filter) {
		by_filter = bpf_map_lookup_elem(&filters, &object->filter);
		if (by_filter)
			object->owner = *by_filter;
	}
	counter_key.ns = object->owner;
	counter = bpf_map_lookup_elem(&counters, &counter_key);
	/* Init too: what the host makes and drops must not take the room of the namespaces. */
	if (!counter || counter->live >= BPFNS_MAX_OBJECTS_PER_NS)
		goto lost;
	if (object->owner != BPFNS_INIT) {
		namespace = bpf_map_lookup_elem(&namespaces, &object->owner);
		if (!namespace)
			goto lost;
		object->level = namespace->level;
	}
	pid_tgid = bpf_get_current_pid_tgid();
	object->pid = pid_tgid >> 32;
	object->tid = pid_tgid;
	object->uid = bpf_get_current_uid_gid();
	object->cgroup_id = bpf_get_current_cgroup_id();
	object->created_ns = bpf_ktime_get_boot_ns();
	bpf_get_current_comm(object->comm, sizeof(object->comm));

	/* Published last: nobody finds an object before all its numbers are there. */
	if (allocate_ids(object, kind, host_id))
		goto lost;
	if (bpf_map_update_elem(&objects, &key, object, BPF_NOEXIST)) {
		walk_levels(object, kind, host_id, TAKE_BACK);
		goto lost;
	}
	__sync_fetch_and_add(&counter->live, 1);
	if (object->owner != BPFNS_INIT)
		hold_up(counter);
	note_newest(stat, kind, host_id);
	publish(stat, &key, object);
	return 0;
lost:
	leave_unowned(stat, kind, host_id);
	return -ENOSPC;
}

#endif
