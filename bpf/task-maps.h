/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The namespace of each task. These are the recorder's maps; for the iterators user space passes the
 * pinned ones.
 */
#ifndef BPFNS_TASK_MAPS_H
#define BPFNS_TASK_MAPS_H

#include "bpfns.h"
#include "kernel.h"

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct bpfns_task);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, BPFNS_NAMESPACES);
	__type(key, __u64);
	__type(value, __u32);
} filters SEC(".maps");

/*
 * The agent's own runs create nothing. Without this, every fd of the agent would be examined after
 * each run, which takes most of the time of ending a large namespace.
 */
static __always_inline void creates_nothing(void)
{
	struct bpfns_task *state = bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), 0, 0);

	if (state)
		state->cmd = 0;
}

#endif
