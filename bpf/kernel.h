/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel structures that the programs read. Only the used members are declared; CO-RE finds their
 * real offsets on the running kernel.
 */
#ifndef BPFNS_KERNEL_H
#define BPFNS_KERNEL_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/types.h>
#include <stdbool.h>

#define __VMLINUX_H__ /* bpf_tracing.h: registers have the kernel's own names, below */
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs___x86 {
	unsigned long di;
	unsigned long si;
	unsigned long ax;
	unsigned long orig_ax;
};

struct pt_regs___arm64 {
	unsigned long regs[2];
	int syscallno;
};

struct super_block {
	unsigned long s_magic;
};

struct inode {
	struct super_block *i_sb;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct ns_common {
	unsigned int inum;
};

struct user_namespace {
	struct ns_common ns;
};

struct file_system_type {
	const char *name;
};

struct fs_context {
	struct file_system_type *fs_type;
	struct user_namespace *user_ns;
};

/* Since 6.3; before it the same 64 bits are an array. */
typedef struct {
	__u64 val;
} kernel_cap_t;

typedef struct {
	__u32 val;
} kuid_t;

struct cred {
	kuid_t uid;
	kernel_cap_t cap_effective;
	struct user_namespace *user_ns;
};

struct mm_struct;

struct callback_head {
	struct callback_head *next;
};

struct file {
	void *private_data;
	struct inode *f_inode;
	struct path f_path;
	const struct cred *f_cred;
	struct callback_head f_task_work;
};

struct file___before_6_5 {
	struct callback_head f_rcuhead;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct notification {
	__u64 next_id;
};

struct seccomp_filter {
	struct seccomp_filter *prev;
	struct notification *notif;
};

struct seccomp {
	struct seccomp_filter *filter;
};

#define NR_CLONE3 435
#define NR_BPF_X86 321
#define NR_BPF_ARM64 280
#define X32_SYSCALL 0x40000000
#define PF_EXITING 4

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct task_struct {
	unsigned int flags;
	int pid;
	int tgid;
	__u64 start_boottime;
	struct files_struct *files;
	const struct cred *real_cred;
	const struct cred *cred;
	struct mm_struct *mm;
	struct callback_head *task_works;
	struct seccomp seccomp;
	struct css_set *cgroups;
	char comm[16];
};

struct btf {
	__u32 id;
};

struct bpf_map {
	__u32 id;
	struct btf *btf;
};

struct bpf_prog_aux {
	__u32 id;
	__u32 used_map_cnt;
	struct bpf_map **used_maps;
	struct btf *btf;
};

struct bpf_prog {
	enum bpf_prog_type type;
	struct bpf_prog_aux *aux;
};

struct bpf_link {
	__u32 id;
	enum bpf_link_type type;
};

struct perf_event {
	__u64 bpf_cookie;
};

struct bpf_perf_link {
	struct bpf_link link;
	struct file *perf_file;
};

struct seq_file;

/* The record of the tracepoint sched_process_fork. */
struct trace_event_raw_sched_process_fork {
	int child_pid;
};

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 seq_num;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop

/*
 * The registers of a task in a system call, or at the start of a kernel function: those of the first two
 * arguments are the same. The running kernel decides which architecture's they are, so that one object
 * file works on all. The code for others is dead code to the verifier.
 */
static __always_inline long syscall_number(const void *regs)
{
	const struct pt_regs___arm64 *arm64 = regs;
	const struct pt_regs___x86 *x86 = regs;

	if (bpf_core_field_exists(arm64->syscallno))
		return BPF_CORE_READ(arm64, syscallno);
	return BPF_CORE_READ(x86, orig_ax);
}

static __always_inline unsigned long register_1(const void *regs)
{
	const struct pt_regs___arm64 *arm64 = regs;
	const struct pt_regs___x86 *x86 = regs;

	if (bpf_core_field_exists(arm64->syscallno))
		return BPF_CORE_READ(arm64, regs[0]);
	return BPF_CORE_READ(x86, di);
}

static __always_inline unsigned long register_2(const void *regs)
{
	const struct pt_regs___arm64 *arm64 = regs;
	const struct pt_regs___x86 *x86 = regs;

	if (bpf_core_field_exists(arm64->syscallno))
		return BPF_CORE_READ(arm64, regs[1]);
	return BPF_CORE_READ(x86, si);
}

/* At the return of a function. */
static __always_inline long returned_value(const void *regs)
{
	const struct pt_regs___arm64 *arm64 = regs;
	const struct pt_regs___x86 *x86 = regs;

	if (bpf_core_field_exists(arm64->syscallno))
		return BPF_CORE_READ(arm64, regs[0]);
	return BPF_CORE_READ(x86, ax);
}

/* Whether a task that entered bpf(2) with this command is still inside. If in doubt it is. */
static __always_inline bool is_in_bpf(struct task_struct *task, __u32 cmd)
{
	const void *regs = (const void *)bpf_task_pt_regs(task);
	const struct pt_regs___arm64 *arm64 = regs;
	const struct pt_regs___x86 *x86 = regs;

	if ((register_1(regs) & 0xffff) != cmd)
		return false;
	/* The result takes the place of the first argument. */
	if (bpf_core_field_exists(arm64->syscallno))
		return BPF_CORE_READ(arm64, syscallno) == NR_BPF_ARM64;
	/* Until there is a result. */
	return (BPF_CORE_READ(x86, orig_ax) & ~X32_SYSCALL) == NR_BPF_X86 &&
	       (long)BPF_CORE_READ(x86, ax) == -ENOSYS;
}

#endif
