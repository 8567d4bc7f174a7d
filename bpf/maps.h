/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The recorder's maps; those that the iterators share are in task-maps.h. */
#ifndef BPFNS_MAPS_H
#define BPFNS_MAPS_H

#include "task-maps.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, BPFNS_NAMESPACES);
	__type(key, __u32);
	__type(value, struct bpfns_namespace);
} namespaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, BPFNS_NAMESPACES *(BPFNS_KINDS + 1));
	__type(key, struct bpfns_counter_key);
	__type(value, struct bpfns_counter);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, BPFNS_OBJECTS);
	__type(key, struct bpfns_object_key);
	__type(value, struct bpfns_object);
} objects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, BPFNS_NUMBERS);
	__type(key, struct bpfns_id_key);
	__type(value, __u32);
} ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, BPFNS_NAMESPACES);
	__type(key, __u32);
	__type(value, struct bpfns_budget);
} budgets SEC(".maps");

/* The id of the next namespace. Written by the agent; pinned, so that none is used again. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next_namespace SEC(".maps");

/* Tasks whose mark was lost, by thread id, until a child gets the number. Preallocated. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} lost SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpfns_status);
} status SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} phase SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BPFNS_UNOWNED);
	__type(key, __u32);
	__type(value, struct bpfns_unowned);
} unowned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bpfns_task_request);
} one_task_request SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} events SEC(".maps");

/*
 * Records that are being written, one per task. They are not on the stack, whose 512 bytes all
 * functions on the way, including callbacks, share before Linux 6.13.
 */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct bpfns_object);
} drafts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct bpfns_creator);
} creators SEC(".maps");

static __always_inline struct bpfns_status *get_status(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&status, &zero);
}

static __always_inline struct bpfns_object *get_draft(void)
{
	return bpf_task_storage_get(&drafts, bpf_get_current_task_btf(), 0,
				    BPF_LOCAL_STORAGE_GET_F_CREATE);
}

#endif
