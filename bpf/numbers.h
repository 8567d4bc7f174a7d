/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The number spaces: every object has a number in its owner's namespace and in each ancestor. */
#ifndef BPFNS_NUMBERS_H
#define BPFNS_NUMBERS_H

#include "maps.h"

/* After the wrap: the most numbers in use that are skipped, more than the map "ids" holds. */
#define MAX_TRIES (1 << 20)

struct search {
	struct bpfns_counter *counter;
	struct bpfns_id_key key;
	__u32 host_id;
	int err; /* before Linux 6.4 the upper half of what the helper returns is undefined */
};

static long try_next_id(__u64 unused, struct search *search)
{
	search->key.id = __sync_fetch_and_add(&search->counter->allocated, 1) % BPFNS_MAX_ID + 1;
	search->err = bpf_map_update_elem(&ids, &search->key, &search->host_id, BPF_NOEXIST);
	return search->err != -EEXIST;
}

/*
 * The functions below that are not static are verified once, on their own, instead of
 * along every path that leads to them: with the loops in them that would be too many.
 */

/* The next free number of a kind in a namespace: cyclic, skipping those in use. 0 if none. */
__noinline int allocate_id(__u32 ns, __u32 kind, __u32 host_id)
{
	struct bpfns_counter_key counter_key = { .ns = ns, .kind = kind };
	struct search search = { .key = { .ns = ns, .kind = kind }, .host_id = host_id };

	search.counter = bpf_map_lookup_elem(&counters, &counter_key);
	if (!search.counter)
		return 0;
	/* Before the wrap the first is free: only then is a loop of helpers worth its call. */
	if (!try_next_id(0, &search))
		bpf_loop(MAX_TRIES, try_next_id, &search, 0);
	return search.err ? 0 : search.key.id;
}

enum numbering {
	GIVE,
	TAKE_BACK,
};

/*
 * The one walk over an object's levels, from its owner up to just below init: gives it a number
 * in each namespace, or takes back those that it has. 0 or -errno.
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

/* Numbers an object at every level, or at none. 0 or -errno. */
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
