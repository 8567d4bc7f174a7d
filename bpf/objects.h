/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds the BPF object behind a struct file, and the namespace of a task. */
#ifndef BPFNS_OBJECTS_H
#define BPFNS_OBJECTS_H

#include "bpfns.h"
#include "kernel.h"

#define ANON_INODE_FS_MAGIC 0x09041934

/* The kernel's names of its anonymous inodes, padded with zeros to 8 bytes. */
static __always_inline bool is_named(const char *name, const char want[8], int len)
{
	for (int i = 0; i < len; i++)
		if (name[i] != want[i])
			return false;
	return true;
}

/*
 * The kind of the BPF object behind a file, or -1. The name of the anonymous inode tells it
 * (anon_inode_getfd() in kernel/bpf/{syscall,btf}.c). Nobody can open such inodes by name, or choose
 * the name. Unlike the addresses of the file operations it needs neither CONFIG_KALLSYMS_ALL nor one
 * entry per variant (bpf_link_fops_poll).
 */
static __always_inline int kind_of_file(struct file *file)
{
	char name[16] = {};

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != ANON_INODE_FS_MAGIC)
		return -1;
	bpf_probe_read_kernel_str(name, sizeof(name),
				  BPF_CORE_READ(file, f_path.dentry, d_name.name));
	if (is_named(name, "bpf-map", 8))
		return BPFNS_MAP;
	if (is_named(name, "bpf-prog", 8) && !name[8])
		return BPFNS_PROG;
	/* Named by bpf_link_prime() at creation, and by bpf_link_new_fd() when opened again. */
	if ((is_named(name, "bpf_link", 8) || is_named(name, "bpf-link", 8)) && !name[8])
		return BPFNS_LINK;
	if (is_named(name, "btf", 4))
		return BPFNS_BTF;
	return -1;
}

/* A chain has at most one listener, and rarely more than a few filters. */
#define MAX_FILTERS 16

/* The task's seccomp filter that has a listener, or 0. The address is only compared, never followed. */
static __always_inline __u64 filter_of_task(struct task_struct *task)
{
	struct seccomp_filter *filter = BPF_CORE_READ(task, seccomp.filter);

	for (int i = 0; i < MAX_FILTERS && filter; i++) {
		if (BPF_CORE_READ(filter, notif))
			return (__u64)filter;
		filter = BPF_CORE_READ(filter, prev);
	}
	return 0;
}

/*
 * The id of the next notification of a filter's listener: random when the filter is made, then
 * counted up (kernel/seccomp.c).
 */
static __always_inline __u64 serial_of_filter(__u64 filter)
{
	return BPF_CORE_READ((struct seccomp_filter *)filter, notif, next_id);
}

static __always_inline struct file *file_of_fd(struct task_struct *task, __u32 fd)
{
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(fdt, fd);
	struct file *file = NULL;

	if (fd < BPF_CORE_READ(fdt, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), &files[fd]);
	return file;
}

/* The file of a task's work item if that is the last fput() of a file; otherwise another address. */
static __always_inline struct file *file_of_work(struct callback_head *work)
{
	long offset = bpf_core_field_exists(struct file, f_task_work) ?
			      bpf_core_field_offset(struct file, f_task_work) :
			      bpf_core_field_offset(struct file___before_6_5, f_rcuhead);

	return (void *)work - offset;
}

static __always_inline __u32 id_of_object(int kind, void *object)
{
	switch (kind) {
	case BPFNS_MAP:
		return BPF_CORE_READ((struct bpf_map *)object, id);
	case BPFNS_PROG:
		return BPF_CORE_READ((struct bpf_prog *)object, aux, id);
	case BPFNS_LINK:
		return BPF_CORE_READ((struct bpf_link *)object, id);
	default:
		return BPF_CORE_READ((struct btf *)object, id);
	}
}

#endif
