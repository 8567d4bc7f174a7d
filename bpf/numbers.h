/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The number spaces: every object has a number in its owner's namespace and in each ancestor. */
#ifndef BPFNS_NUMBERS_H
#define BPFNS_NUMBERS_H

#include "maps.h"

/* The most numbers in use that are skipped, more than the map "ids" holds. */
#define MAX_TRIES (1 << 20)

struct search {
	struct bpfns_counter *counter;
	struct bpfns_id_key key;
	__u32 host_id;
	__u32 level; /* of the namespace */
	int err; /* before Linux 6.4 the upper half of what the helper returns is undefined */
};

static __always_inline bool take_number(struct search *search)
{
	search->err = bpf_map_update_elem(&ids, &search->key, &search->host_id, BPF_NOEXIST);
	return !search->err;
}

/*
 * Whether a number is the host id of an object that is older than the namespace and yet is or may come
 * to be visible there: one made under a container's filter before the filter was bound.
 */
static __always_inline bool is_adoptable(const struct bpfns_id_key *number, __u32 level)
{
	struct bpfns_object_key key = { .kind = number->kind, .host_id = number->id };
	struct bpfns_object *object = bpf_map_lookup_elem(&objects, &key);

	return object && object->filter && (object->owner == BPFNS_INIT || object->level >= level);
}

/* Ends the search with a number, or behind the floor. */
static long try_next_number(__u64 unused, struct search *search)
{
	__u64 next = __sync_fetch_and_add(&search->counter->allocated, 1) + 1;

	if (next > search->counter->floor) {
		search->key.id = 0;
		return 1;
	}
	search->key.id = next;
	if (is_adoptable(&search->key, search->level))
		return 0;
	return take_number(search) || search->err != -EEXIST;
}

/* Downwards: what the kernel gave out last it gives out again last. */
static long try_older_number(__u64 unused, struct search *search)
{
	struct bpfns_object_key key = { .kind = search->key.kind };

	search->key.id = search->key.id > 1 ? search->key.id - 1 : BPFNS_MAX_ID;
	key.host_id = search->key.id;
	if (bpf_map_lookup_elem(&objects, &key))
		return 0;
	return take_number(search) || search->err != -EEXIST;
}

/*
 * The functions below that are not static are verified once, on their own, instead of
 * along every path that leads to them: with the loops in them that would be too many.
 */

/*
 * The number of a new object in a namespace, 0 if there is no room. None is the host id of another
 * object visible there, now or later (docs/decisions/0018-unambiguous-ids.md): up to the floor
 * numbers are counted, and whatever is made in the namespace has a higher host id; behind the floor
 * an object's number is its host id.
 */
__noinline int allocate_id(__u32 ns, __u32 kind, __u32 host_id, __u32 level)
{
	struct bpfns_counter_key counter_key = { .ns = ns, .kind = kind };
	struct search search = { .key = { .ns = ns, .kind = kind }, .host_id = host_id, .level = level };

	search.counter = bpf_map_lookup_elem(&counters, &counter_key);
	if (!search.counter)
		return 0;
	/* Mostly the next is free: only else is a loop of helpers worth its call. */
	if (search.counter->allocated < search.counter->floor && !try_next_number(0, &search))
		bpf_loop(MAX_TRIES, try_next_number, &search, 0);
	if (search.key.id)
		return search.err ? 0 : search.key.id;
	search.key.id = host_id;
	/* Taken only if the kernel has counted round, and the number's object has lived all the while. */
	if (!take_number(&search) && search.err == -EEXIST)
		bpf_loop(MAX_TRIES, try_older_number, &search, 0);
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
			object->ids[level] = allocate_id(ns, kind, host_id, level);
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
