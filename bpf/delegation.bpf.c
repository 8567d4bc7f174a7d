// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Tells the agent what a guest has given it as its context of a new bpffs. The agent configures it
 * with all its rights. No system call says of which file system, or of which user namespace, a
 * context is.
 */
#include "bpfns.h"
#include "kernel.h"
#include "objects.h"
#include "task-maps.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Both were fixed when the context was made, by fsopen(2). */
SEC("syscall")
int fs_context(struct bpfns_fs_context *args)
{
	struct file *file = file_of_fd(bpf_get_current_task_btf(), args->fd);
	struct fs_context *context;
	char name[16] = {};

	creates_nothing();
	args->user_ns = 0;
	if (!file || BPF_CORE_READ(file, f_inode, i_sb, s_magic) != ANON_INODE_FS_MAGIC)
		return 0;
	bpf_probe_read_kernel_str(name, sizeof(name),
				  BPF_CORE_READ(file, f_path.dentry, d_name.name));
	if (!is_named(name, "[fsconte", 8) || !is_named(name + 8, "xt]", 4))
		return 0;
	context = BPF_CORE_READ(file, private_data);
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(context, fs_type, name));
	if (is_named(name, "bpf", 4))
		args->user_ns = BPF_CORE_READ(context, user_ns, ns.inum);
	return 0;
}
