/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is noticed: entry and return of bpf(), and fork. Two sets of hooks call the same two functions.
 * User space loads one of them: function hooks (fentry/fexit) where they are allowed, otherwise the
 * system call tracepoints.
 */
#ifndef BPFNS_HOOKS_H
#define BPFNS_HOOKS_H

#include "records.h"

/* How far the fd table of a light skeleton's loader is searched. */
#define MAX_FDS 65536
/* How many of the files that it closed are examined. */
#define MAX_CLOSED 256

/*
 * Whether this process opened the file. A sibling thread may dup2() another file onto the number before
 * the hook runs. But a file that was received, or opened through the agent, has other credentials: only
 * threads of one process share the pointer (copy_creds() in kernel/cred.c), and what a guest itself can
 * open here is always new.
 */
static __always_inline bool is_own_file(struct task_struct *task, struct file *file)
{
	return BPF_CORE_READ(file, f_cred) == BPF_CORE_READ(task, cred);
}

static __always_inline bool creates(__u32 cmd)
{
	return cmd == BPF_MAP_CREATE || cmd == BPF_PROG_LOAD || cmd == BPF_BTF_LOAD ||
	       cmd == BPF_LINK_CREATE || cmd == BPF_RAW_TRACEPOINT_OPEN;
}

/* A light skeleton is a program of type SYSCALL, run by BPF_PROG_RUN, that creates objects. */
static __always_inline bool runs_syscall_program(struct task_struct *task, void *attr)
{
	struct bpf_prog *prog;
	struct file *file;
	__u32 prog_fd;

	if (bpf_probe_read_user(&prog_fd, sizeof(prog_fd), attr))
		return false;
	file = file_of_fd(task, prog_fd);
	if (!file || kind_of_file(file) != BPFNS_PROG)
		return false;
	prog = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(prog, type) == BPF_PROG_TYPE_SYSCALL;
}

static __always_inline void bpf_entered(__u32 cmd, void *attr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bpfns_status *stat;
	struct bpfns_task *state;

	cmd &= 0xffff; /* newer kernels OR a flag into the upper half */
	if (!creates(cmd) && !(cmd == BPF_PROG_TEST_RUN && runs_syscall_program(task, attr)))
		return;
	stat = get_status();
	if (!stat)
		return;
	state = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state) {
		__sync_fetch_and_add(&stat->lost_objects, 1);
		return;
	}
	__builtin_memcpy(state->newest, stat->newest, sizeof(state->newest));
	state->cmd = cmd + 1;
}

/* Records the object behind a file if the current call created it; -EEXIST if not. */
static __always_inline int record_file(struct bpfns_task *state, struct task_struct *task,
				       struct file *file)
{
	int kind;

	if (!file || !is_own_file(task, file))
		return -EEXIST;
	kind = kind_of_file(file);
	if (kind < 0)
		return -EEXIST;
	return record(state, kind, id_of_object(kind, BPF_CORE_READ(file, private_data)));
}

static long walk_fd(__u64 fd, void *unused)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bpfns_task *state = bpf_task_storage_get(&tasks, task, 0, 0);

	if (state)
		record_file(state, task, file_of_fd(task, fd));
	return 0;
}

struct closed_walk {
	struct callback_head *next;
};

static long walk_closed(__u64 unused, struct closed_walk *walk)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bpfns_task *state = bpf_task_storage_get(&tasks, task, 0, 0);

	struct callback_head *work = walk->next;

	if (!state || !work)
		return 1;
	record_file(state, task, file_of_work(work));
	walk->next = BPF_CORE_READ(work, next);
	return 0;
}

/*
 * The loader of a light skeleton leaves some fds open, and closes others whose objects live on (its
 * BTF). The files of the latter still exist: fput() leaves them to work that the task does on its way to
 * user mode, which is after this hook. So every object of the run is found through a file.
 */
static __always_inline void record_run(struct task_struct *task)
{
	struct closed_walk walk = { .next = BPF_CORE_READ(task, task_works) };
	__u32 max_fds = BPF_CORE_READ(task, files, fdt, max_fds);

	bpf_loop(max_fds < MAX_FDS ? max_fds : MAX_FDS, walk_fd, NULL, 0);
	bpf_loop(MAX_CLOSED, walk_closed, &walk, 0);
}

static __always_inline void bpf_returned(long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bpfns_task *state = bpf_task_storage_get(&tasks, task, 0, 0);
	struct bpfns_status *stat = get_status();
	__u32 cmd;

	if (!state || !state->cmd || !stat)
		return;
	cmd = state->cmd - 1;
	state->cmd = 0;
	if (cmd == BPF_PROG_TEST_RUN)
		record_run(task); /* whatever it returned: its objects may exist */
	else if (ret >= 0 && record_file(state, task, file_of_fd(task, ret)) == -EEXIST)
		__sync_fetch_and_add(&stat->refused, 1);
}

/*
 * The namespace of a child that is about to run: its parent's, unless the agent found the request for a
 * new one in this clone3(). Any fork uses the mark up, so that the mark of a clone3() that failed ends
 * with the thread's next child.
 */
static __always_inline __u32 namespace_of_child(struct task_struct *parent,
						struct bpfns_task *state)
{
	struct bpfns_namespace *namespace;
	__u32 next = state->next;

	if (!next)
		return state->ns;
	state->next = 0;
	/* The namespace of a leftover mark may have been collected. */
	namespace = bpf_map_lookup_elem(&namespaces, &next);
	if (!namespace || syscall_number((void *)bpf_task_pt_regs(parent)) != NR_CLONE3)
		return state->ns;
	return next;
}

static __always_inline void count_task(__u32 ns)
{
	struct bpfns_counter_key key = { .ns = ns, .kind = BPFNS_TASKS };
	struct bpfns_counter *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		__sync_fetch_and_add(&counter->allocated, 1);
}

/* There is no room for the child's mark: it must not fall to the namespace of its filter. */
static __always_inline void lose(struct bpfns_status *stat, __u32 tid)
{
	struct bpfns_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	__u32 yes = 1;

	if (bpf_map_update_elem(&lost, &tid, &yes, BPF_ANY))
		__sync_fetch_and_add(&stat->lost_unknown, 1);
	__sync_fetch_and_add(&stat->lost_tasks, 1);
	if (!event) {
		__sync_fetch_and_add(&stat->ring_overflows, 1);
		return;
	}
	event->key.kind = BPFNS_TASKS;
	event->key.host_id = tid;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

/* A container's tasks are in its namespace by their filter; their children are then marked, too. */
static __always_inline __u32 namespace_by_filter(struct task_struct *parent)
{
	__u64 filter = filter_of_task(parent);
	__u32 *ns = filter ? bpf_map_lookup_elem(&filters, &filter) : NULL;

	return ns ? *ns : BPFNS_INIT;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(task_forked, struct task_struct *parent, struct task_struct *child)
{
	struct bpfns_task *mine = bpf_task_storage_get(&tasks, parent, 0, 0);
	struct bpfns_status *stat = get_status();
	__u32 ns = BPFNS_INIT, tid = child->pid, parent_tid = parent->pid;
	struct bpfns_task *its;

	if (!stat)
		return 0;
	if (mine)
		ns = namespace_of_child(parent, mine);
	if (stat->lost_tasks) {
		/* An earlier bearer of the number is gone. */
		bpf_map_delete_elem(&lost, &tid);
		if (ns == BPFNS_INIT && bpf_map_lookup_elem(&lost, &parent_tid))
			ns = BPFNS_NOWHERE;
	}
	if (ns == BPFNS_INIT && !stat->lost_unknown)
		ns = namespace_by_filter(parent);
	if (ns == BPFNS_INIT)
		return 0;
	its = bpf_task_storage_get(&tasks, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!its) {
		lose(stat, tid);
		return 0;
	}
	its->ns = ns;
	count_task(ns);
	return 0;
}

struct syscall_enter {
	__u64 common;
	long nr;
	unsigned long args[6];
};

struct syscall_exit {
	__u64 common;
	long nr;
	long ret;
};

SEC("tracepoint/syscalls/sys_enter_bpf")
int tracepoint_enter(struct syscall_enter *ctx)
{
	bpf_entered(ctx->args[0], (void *)ctx->args[1]);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_bpf")
int tracepoint_exit(struct syscall_exit *ctx)
{
	bpf_returned(ctx->ret);
	return 0;
}

/* User space sets the target (__x64_sys_bpf, __arm64_sys_bpf) before loading. */
SEC("fentry")
int BPF_PROG(function_enter, void *regs)
{
	bpf_entered(syscall_argument_1(regs), (void *)syscall_argument_2(regs));
	return 0;
}

SEC("fexit")
int BPF_PROG(function_exit, void *regs, long ret)
{
	bpf_returned(ret);
	return 0;
}

#endif
