/* SPDX-License-Identifier: Apache-2.0 */
/* A BPF namespace for a program that already runs in one: see bpf_namespaces(7). */
#ifndef BPFNS_NAMESPACES_H
#define BPFNS_NAMESPACES_H

#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A bpf(2) command that bpfns answers; no kernel has it. */
#define BPFNS_NEW_NAMESPACE 0xb9f5
#define BPFNS_PINS_ANY 1 /* flag: BPF_OBJ_GET opens any pin, as with `bpfns run --pins=any` */

struct bpfns_attr {
	uint32_t flags;
	uint32_t name_length;
	uint64_t name;
};

/*
 * Moves the calling thread into a new child of its namespace; other threads stay. `name` may be NULL.
 * Returns 0, or -1 with errno: EINVAL outside any namespace, EPERM without CAP_BPF, ENOSPC at a
 * limit, EEXIST if a sibling has the name.
 */
static inline int bpfns_new_namespace(const char *name, uint32_t flags)
{
	struct bpfns_attr attr = { flags, name ? (uint32_t)strlen(name) : 0, (uintptr_t)name };

	return (int)syscall(SYS_bpf, BPFNS_NEW_NAMESPACE, &attr, sizeof(attr));
}

#endif
