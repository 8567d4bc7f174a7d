/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Entry and return of bpf(). All hooks call the same two functions. User space loads those that miss the
 * fewest calls on the running kernel; more than one may see the same call (docs/decisions/0017-hooks.md).
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
static __always_inline bool runs_syscall_program(struct task_struct *task, __u32 prog_fd)
{
	struct file *file = file_of_fd(task, prog_fd);
	struct bpf_prog *prog;

	if (!file || kind_of_file(file) != BPFNS_PROG)
		return false;
	prog = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(prog, type) == BPF_PROG_TYPE_SYSCALL;
}

/* @prog_fd: the first word of the call's attributes, which only BPF_PROG_RUN needs */
static __always_inline void bpf_entered(__u32 cmd, __u32 prog_fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bpfns_status *stat;
	struct bpfns_task *state;

	cmd &= 0xffff; /* newer kernels OR a flag into the upper half */
	if (!creates(cmd) && !(cmd == BPF_PROG_TEST_RUN && runs_syscall_program(task, prog_fd)))
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
	__u32 id;
	int kind;

	if (!file || !is_own_file(task, file))
		return -EEXIST;
	kind = kind_of_file(file);
	if (kind < 0)
		return -EEXIST;
	id = id_of_object(kind, BPF_CORE_READ(file, private_data));
	/* A sibling thread may have closed it meanwhile, and its memory may be somebody else's file. */
	return is_own_file(task, file) ? record(state, kind, id) : -EEXIST;
}

static long walk_fd(__u64 fd, __u32 *found)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bpfns_task *state = bpf_task_storage_get(&tasks, task, 0, 0);

	if (state && !record_file(state, task, file_of_fd(task, fd)))
		*found += 1;
	return 0;
}

/* Records what is new among the open files. Returns how many there were. */
static __always_inline __u32 record_open(struct task_struct *task)
{
	__u32 max_fds = BPF_CORE_READ(task, files, fdt, max_fds), found = 0;

	bpf_loop(max_fds < MAX_FDS ? max_fds : MAX_FDS, walk_fd, &found, 0);
	return found;
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

	record_open(task);
	bpf_loop(MAX_CLOSED, walk_closed, &walk, 0);
}

/*
 * After a return that no hook saw: counts it, by how many objects were found then. No branches: the verifier
 * would follow the search once for each count.
 */
static __always_inline void count_missed(struct bpfns_status *stat, __u32 found)
{
	__u32 none = (found - 1) >> 31;

	__sync_fetch_and_add(&stat->unseen, none);
	__sync_fetch_and_add(&stat->caught_up, 1 - none);
}

/*
 * The return of the task's last call went unnoticed. What it created is still found as long as its fd is
 * open: by the same test as what a light skeleton created. The agent's threads, which act for others, open
 * existing objects too: of them nothing is found so.
 */
static __always_inline void catch_up(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bpfns_task *state = bpf_task_storage_get(&tasks, task, 0, 0);
	struct bpfns_status *stat = get_status();
	__u32 cmd;

	if (!state || !state->cmd || !stat)
		return;
	cmd = state->cmd;
	state->cmd = 0;
	if (!(cmd & BPFNS_LOOKED_AT) && !bpf_task_storage_get(&creators, task, 0, 0))
		count_missed(stat, record_open(task));
}

static __always_inline void bpf_returned(long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bpfns_task *state = bpf_task_storage_get(&tasks, task, 0, 0);
	struct bpfns_status *stat = get_status();
	__u32 cmd;

	if (!state || !state->cmd || !stat)
		return;
	cmd = (state->cmd & ~BPFNS_LOOKED_AT) - 1;
	state->cmd = 0;
	if (cmd == BPF_PROG_TEST_RUN)
		record_run(task); /* whatever it returned: its objects may exist */
	else if (ret >= 0 && record_file(state, task, file_of_fd(task, ret)) == -EEXIST)
		__sync_fetch_and_add(&stat->refused, 1);
}

/* ~0, which is no fd, if it cannot be read. */
static __always_inline __u32 user_word(const void *address)
{
	__u32 word;

	return bpf_probe_read_user(&word, sizeof(word), address) ? ~0U : word;
}

/*
 * No run of it is ever skipped. The calls that a light skeleton's program makes come from the kernel, and
 * are part of the run.
 */
SEC("lsm/bpf")
int BPF_PROG(bpf_called, int cmd, const void *attr, unsigned int size, bool is_kernel)
{
	__u32 prog_fd;

	if (is_kernel || bpf_probe_read_kernel(&prog_fd, sizeof(prog_fd), attr))
		return 0;
	catch_up();
	bpf_entered(cmd, prog_fd);
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
	bpf_entered(ctx->args[0], user_word((void *)ctx->args[1]));
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
	bpf_entered(register_1(regs), user_word((void *)register_2(regs)));
	return 0;
}

/*
 * In place of function_enter where it is the only hook at the call. It also catches up. Beside another
 * hook it could not: the note may be that hook's, of this very call.
 */
SEC("fentry")
int BPF_PROG(function_called, void *regs)
{
	catch_up();
	bpf_entered(register_1(regs), user_word((void *)register_2(regs)));
	return 0;
}

SEC("fexit")
int BPF_PROG(function_exit, void *regs, long ret)
{
	bpf_returned(ret);
	return 0;
}

/* User space says of which function they are; its argument is the address of the caller's registers. */
SEC("kprobe.multi")
int kprobe_enter(void *ctx)
{
	const void *regs = (const void *)register_1(ctx);

	bpf_entered(register_1(regs), user_word((void *)register_2(regs)));
	return 0;
}

SEC("kretprobe.multi")
int kprobe_exit(void *ctx)
{
	bpf_returned(returned_value(ctx));
	return 0;
}

#endif
