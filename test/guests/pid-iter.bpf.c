// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which process holds which object, as bpftool asks for it: its program, too, yields
 * records of a struct pid_iter_entry, of the kind that is set in obj_type before loading.
 */
#include "objects.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* By these bpfns knows bpftool's program, too; the order is bpftool's. */
enum bpf_obj_type { UNKNOWN, PROG, MAP, LINK, BTF };
const volatile enum bpf_obj_type obj_type = UNKNOWN;

struct pid_iter_entry {
	__u32 id;
	int pid;
	__u64 bpf_cookie;
	_Bool has_bpf_cookie;
	char comm[16];
};

static __always_inline __u32 type_of(int kind)
{
	switch (kind) {
	case BPFNS_PROG:
		return PROG;
	case BPFNS_MAP:
		return MAP;
	case BPFNS_LINK:
		return LINK;
	default:
		return BTF;
	}
}

SEC("iter/task_file")
int iter(struct bpf_iter__task_file *ctx)
{
	struct pid_iter_entry entry = {};
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	int kind;

	if (!task || !file)
		return 0;
	kind = kind_of_file(file);
	if (kind < 0 || type_of(kind) != obj_type)
		return 0;
	entry.id = id_of_object(kind, BPF_CORE_READ(file, private_data));
	entry.pid = task->tgid;
	bpf_probe_read_kernel_str(entry.comm, sizeof(entry.comm), task->comm);
	bpf_seq_write(ctx->meta->seq, &entry, sizeof(entry));
	return 0;
}
