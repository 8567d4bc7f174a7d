/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The number spaces: every object has a number in its owner's namespace and in each ancestor. */
#ifndef BPFNS_NUMBERS_H
#define BPFNS_NUMBERS_H

#include "maps.h"

/* The most numbers in use that are skipped. The map "ids" holds fewer. */
#define MAX_TRIES (1 << 20)

struct search {
	struct bpfns_counter *counter;
	struct bpfns_id_key key;
	__u32 host_id;
	int err; /* before Linux 6.4 the upper half of the helper's result is undefined */
};

static __always_inline bool take_number(struct search *search)
{
	search->err = bpf_map_update_elem(&ids, &search->key, &search->host_id, BPF_NOEXIST);
	return !search->err;
}

/*
 * Whether a number is the host id of an object that has a record. One that was created under a
 * container's filter, before the filter was bound, may become visible in the namespace.
 */
static __always_inline bool is_host_id(const struct bpfns_id_key *number)
{
	struct bpfns_object_key key = { .kind = number->kind, .host_id = number->id };

	return bpf_map_lookup_elem(&objects, &key);
}

/* Tries the next number. The search ends with a number, or beyond the floor. */
static long try_next_number(__u64 unused, struct search *search)
{
	__u64 next = __sync_fetch_and_add(&search->counter->allocated, 1) + 1;

	if (next > search->counter->floor) {
		search->key.id = 0;
		return 1;
	}
	search->key.id = next;
	if (is_host_id(&search->key))
		return 0;
	return take_number(search) || search->err != -EEXIST;
}

/*
 * Searches downwards: the kernel reuses last the ids that it handed out last. Each number is counted
 * from the first one, not from the one before: Linux 6.12 would follow a chain of constants through
 * all rounds, and refuse the program as too complex.
 */
static long try_older_number(__u64 round, struct search *search)
{
	__u64 first = search->host_id, back = round + 1;

	search->key.id = first > back ? first - back : first + BPFNS_MAX_ID - back;
	if (is_host_id(&search->key))
		return 0;
	return take_number(search) || search->err != -EEXIST;
}

/*
 * The verifier checks functions that are not static once, on their own, and not along every path to
 * them. With the loops in them there would be too many paths.
 */

/*
 * The number of a new object in a namespace; 0 if there is no room. It is never the host id of another
 * object that is visible there, now or later (docs/decisions/0018-unambiguous-ids.md). Up to the floor,
 * numbers are counted, and objects created in the namespace have higher host ids. Beyond the floor the
 * number of an object is its host id.
 */
__noinline int allocate_id(__u32 ns, __u32 kind, __u32 host_id)
{
	struct bpfns_counter_key counter_key = { .ns = ns, .kind = kind };
	struct search search = { .key = { .ns = ns, .kind = kind }, .host_id = host_id };

	search.counter = bpf_map_lookup_elem(&counters, &counter_key);
	if (!search.counter)
		return 0;
	/* The next number is usually free. Otherwise a loop looks for one. */
	if (search.counter->allocated < search.counter->floor && !try_next_number(0, &search))
		bpf_loop(MAX_TRIES, try_next_number, &search, 0);
	if (search.key.id)
		return search.err ? 0 : search.key.id;
	search.key.id = host_id;
	/* It is taken only if the kernel's ids have wrapped while the object with that number lived on. */
	if (!take_number(&search) && search.err == -EEXIST)
		bpf_loop(MAX_TRIES, try_older_number, &search, 0);
	return search.err ? 0 : search.key.id;
}

enum numbering {
	GIVE,
	TAKE_BACK,
};

/*
 * Walks over an object's levels, from its owner up to just below init: gives the object a number in
 * each namespace, or releases its numbers. Returns 0 or -errno.
 */
__noinline int walk_levels(struct bpfns_object *object, __u32 kind, __u32 host_id, int numbering)
{
	struct bpfns_id_key key = { .kind = kind };
	__u32 ns;

	if (!object)
		return -EINVAL;
	ns = object->owner;
	for (int level = BPFNS_MAX_LEVEL; level > 0; level--) {
		struct bpfns_namespace *namespace;

		if (level > object->level)
			continue;
		namespace = bpf_map_lookup_elem(&namespaces, &ns);
		if (!namespace)
			return -ENOENT;
		if (numbering == GIVE) {
			object->ids[level] = allocate_id(ns, kind, host_id);
			if (!object->ids[level])
				return -ENOSPC;
		} else if (object->ids[level]) {
			key.ns = ns;
			key.id = object->ids[level];
			bpf_map_delete_elem(&ids, &key);
		}
		ns = namespace->parent;
	}
	return 0;
}

/* Numbers an object at every level, or at none. Returns 0 or -errno. */
static __always_inline int allocate_ids(struct bpfns_object *object, __u32 kind, __u32 host_id)
{
	int err = walk_levels(object, kind, host_id, GIVE);

	if (err)
		walk_levels(object, kind, host_id, TAKE_BACK);
	else
		object->ids[0] = host_id;
	return err;
}

#endif
