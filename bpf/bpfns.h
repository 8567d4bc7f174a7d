/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The contract between the eBPF programs and user space: the structures that both use.
 * src/sys/contract.gen.ts is generated from it.
 */
#ifndef BPFNS_H
#define BPFNS_H

#include <linux/types.h>

/* The init namespace: everything that is in no other one. Level 0; its ids are the kernel's own. */
#define BPFNS_INIT 0
/* Levels below init, as for PID namespaces (kernel: MAX_PID_NS_LEVEL). */
#define BPFNS_MAX_LEVEL 32
/* Ids go from 1 to INT_MAX - 1, like the kernel's own (kernel/bpf/syscall.c: idr_alloc_cyclic). */
#define BPFNS_MAX_ID 0x7ffffffe
#define BPFNS_KINDS 4
#define BPFNS_NAME_LEN 128 /* a container's id has 64 characters */
/* As a task's namespace: its mark was lost, and nobody knows. What it creates is init's. */
#define BPFNS_NOWHERE 0xffffffff

/*
 * The version of the pinned state: one more whenever something in it changes its meaning, or when an
 * older program could not go on without a new member. New members alone need no new version: an
 * upgrade converts structures by the names of their members (docs/decisions/0023-upgrade.md).
 */
#define BPFNS_STATE_VERSION 1

/*
 * The tables' sizes. Each top-level namespace has a budget (struct bpfns_budget), so that a guest
 * cannot fill what others need: BPFNS_GUARANTEED default budgets and init's own fit.
 */
#define BPFNS_NAMESPACES 16384
#define BPFNS_OBJECTS 524288
#define BPFNS_NUMBERS 1048576
#define BPFNS_GUARANTEED 56

enum bpfns_kind {
	BPFNS_MAP,
	BPFNS_PROG,
	BPFNS_LINK,
	BPFNS_BTF,
};

/* Map "namespaces", by namespace id. Only the agent writes it. */
struct bpfns_namespace {
	__u32 parent;
	__u32 top; /* the ancestor at level 1, or the namespace itself: whose budget it uses */
	__u32 level;
	__u32 flags;
	__u32 owner_uid;
	__u64 user_ns; /* inode of the owning user namespace */
	__u64 created_ns; /* CLOCK_BOOTTIME */
	__u32 max_namespaces; /* most namespaces below this one, 0: no limit of its own */
	__u32 ancestors[BPFNS_MAX_LEVEL + 1]; /* by level, from init to the namespace itself */
	char name[BPFNS_NAME_LEN];
};

#define BPFNS_PINS_ANY 1 /* BPF_OBJ_GET may open pins of objects that are not visible */
#define BPFNS_KEEP 2 /* created by name: lives without tasks and objects until removed */
#define BPFNS_TRACING_SHIFT 2 /* two bits: enum bpfns_tracing */

/* What its tasks may trace. */
enum bpfns_tracing {
	BPFNS_TRACING_HOST, /* all that their capabilities allow */
	BPFNS_TRACING_OWN,
	BPFNS_TRACING_FILTERED,
	BPFNS_TRACING_NONE,
};

/* As a kind of counter: how many tasks have started in the namespace, by fork. */
#define BPFNS_TASKS BPFNS_KINDS

/* Map "counters", by namespace and kind. Only the recorder writes it. */
struct bpfns_counter_key {
	__u32 ns;
	__u32 kind;
};

struct bpfns_counter {
	__u64 allocated; /* numbers counted since the namespace began; of kind BPFNS_TASKS: tasks */
	__u32 floor; /* the kernel's newest id when the namespace began: numbers are counted up to it */
};

/*
 * Map "budgets", by top-level namespace: what it and all below it use. BPFNS_INIT: init's own.
 * The agent writes it when the namespace begins; the recorder counts.
 */
struct bpfns_budget {
	__s64 objects; /* records; more than the most for a moment */
	__s64 numbers; /* objects times their levels, and kernel-owned BTF in every namespace */
	__u64 unowned; /* objects that were created beyond the budget: they belong to init */
	__u32 max_objects;
	__u32 max_numbers;
};

/* Map "objects": who owns an object, and its id at every level. */
struct bpfns_object_key {
	__u32 kind;
	__u32 host_id;
};

struct bpfns_object {
	__u32 owner; /* namespace of the creator at creation; it never changes */
	__u32 level; /* of the owner: ids[0..level] are set */
	__u32 top; /* of the owner: whose budget the object uses */
	__u32 ids[BPFNS_MAX_LEVEL + 1];
	__u32 pid; /* creator: thread group id, thread id, uid; all as seen from init */
	__u32 tid;
	__u32 uid;
	__u64 cgroup_id; /* in the default (v2) hierarchy */
	__u64 created_ns; /* CLOCK_BOOTTIME */
	__u64 filter; /* the creator's seccomp filter that has a listener; only compared */
	__u64 filter_serial; /* its listener's next notification: tells it from a later one at the same address */
	char comm[16];
};

/*
 * Map "ids": the number spaces, the values are host ids. Kernel-owned BTF has no object record,
 * and its host id is its number in every namespace.
 */
struct bpfns_id_key {
	__u32 ns;
	__u32 kind;
	__u32 id;
};

/* Ring "events": one per recorded object; of kind BPFNS_TASKS: host_id is the thread id of a lost task. */
struct bpfns_event {
	struct bpfns_object_key key;
	struct bpfns_object object;
};

/* Set in a task's cmd: no hook saw the call return, and what it left open has been looked at since. */
#define BPFNS_LOOKED_AT 0x80000000

/* Map "tasks" (task storage). User space sets ns through a pidfd; the recorder writes the rest. */
struct bpfns_task {
	__u32 ns;
	__u32 cmd; /* the creating bpf() command in progress, plus one; 0 if none */
	__u32 newest[BPFNS_KINDS]; /* newest known id of each kind when it was entered */
	__u32 next; /* set by the agent: the namespace of the child of the clone3() in progress */
};

/* The offsets of members in the struct bpfns_task of an earlier recorder. */
struct bpfns_earlier_task {
	__u32 ns;
	__u32 cmd;
	__u32 newest;
	__u32 next;
};

/*
 * Array "one_task_request", one entry: the request to the program one_task. It replaces the map
 * commands on "tasks" where the kernel has no pidfd of a thread (before 6.9).
 */
struct bpfns_task_request {
	__u64 start_ns; /* its start time: filled in by a read; a write ignores a thread with another start time */
	__u32 tid;
	__u32 write; /* 1: set ns and next; 0: read them */
	__u32 ns;
	__u32 next;
	__u32 done; /* out: 1 if the thread exists (and, for a read, has a state) */
};

/*
 * Array "unowned", by id modulo its size: the last object whose creation was seen, but which could
 * not be recorded. It belongs to init for good. It is an array, so that a write never fails.
 */
#define BPFNS_UNOWNED 16384

struct bpfns_unowned {
	__u32 ids[BPFNS_KINDS];
};

/* Array "status", one entry: what the recorder could not do. */
struct bpfns_status {
	/* newest id of each kind: at first the kernel's, then of those whose creation was seen */
	__u32 newest[BPFNS_KINDS];
	__u64 ring_overflows; /* events that did not fit: re-read the maps */
	__u64 lost_objects; /* no room for a record: the object belongs to init */
	__u64 lost_tasks; /* no memory to mark a child: it is in no namespace */
	__u64 lost_unknown; /* of these, not even in the map "lost": any task without a mark may be one */
	__u64 refused; /* fds that the system call did not create */
	__u64 caught_up; /* returns that no hook saw, and after which the call's object was found */
	__u64 unseen; /* those after which none was found: the call failed, or its object is init's */
};

/*
 * Array "phase", one entry: what the recorder does with a new object. During an upgrade it only notes
 * who made it, as the earlier recorder still gives the numbers: such a record has no ids, not even
 * ids[0]. Written by the agent.
 */
#define BPFNS_RECORDING 0
#define BPFNS_NOTING 1 /* and the earlier recorder's state is still to be copied */
#define BPFNS_SETTLING 2 /* it has been copied: what was noted is about to get its numbers */

/*
 * Map "filters": the namespace of the tasks under a seccomp filter, by the filter's address. It is for
 * containers, whose runtime installs the filter before the agent learns of it.
 */

/*
 * Map "creators" (task storage): for whom a thread of the agent is making an object. Also the
 * context of act_for, which the thread itself runs.
 */
struct bpfns_creator {
	__u32 ns; /* BPFNS_INIT: for itself again */
	__u32 pid;
	__u32 tid;
	__u32 uid;
	__u64 cgroup_id;
	__u64 filter; /* as in struct bpfns_object */
	__u64 filter_serial;
	char comm[16];
	__u32 done; /* out: 1 if it has been noted */
};

/* Contexts of the programs that the agent runs with BPF_PROG_RUN. */
struct bpfns_forget {
	__u32 kind;
	__u32 host_id;
};

struct bpfns_charge {
	__u32 top;
	__s32 numbers; /* below 0 gives back */
	__s32 error; /* out: 0, or -ENOSPC beyond the budget */
};

struct bpfns_bind {
	__u32 listener; /* fd of the agent */
	__u32 ns; /* BPFNS_INIT: forget the filter */
	__u32 adopted; /* out: number of objects created under the filter before, now the namespace's */
	__s32 error; /* out: 0 or -errno */
};

/* Context of the program "eye": what the agent asks of the thread that made a trapped call. */
struct bpfns_eye {
	__u64 mm; /* out: the address of its memory's structure; only compared */
	__u64 started; /* out: when it started; only compared */
	__u64 capabilities; /* out: effective */
	__u32 user_ns; /* out: inode of its user namespace */
	__u32 ns; /* out: its namespace in "tasks" */
	__u32 cmd; /* out: its note there, which is left over if its last call was not seen to return */
	__u32 tid; /* in: as seen from init */
	__u32 found; /* out: 1 if there was such a thread */
	__s32 fd; /* in: one of the agent's own, or -1 */
	__s32 kind; /* out: of the object behind that fd, or -1 */
};

/* Context of the program "fs_context": what an fd from fsopen(2) is. */
struct bpfns_fs_context {
	__s32 fd; /* in: one of the agent's own */
	__u32 user_ns; /* out: inode of the user namespace it was made in; 0 unless it is of bpffs */
};

/* Records of the iterators. */
struct bpfns_object_user {
	__u32 kind;
	__u32 host_id;
	__u32 pid; /* thread group id, as seen from init */
	__u32 has_cookie;
	__u64 cookie; /* bpf_cookie of a perf_event link */
	char comm[16];
};

struct bpfns_member {
	__u32 ns;
	__u32 next; /* see struct bpfns_task */
	__u32 pid;
	__u32 tid;
	char comm[16];
};

#endif
