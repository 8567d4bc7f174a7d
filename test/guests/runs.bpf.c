// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs that runs.c runs by BPF_PROG_RUN: a light skeleton's loader, and one that lasts. */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct blob {
	struct btf_header header;
	struct btf_type number;
	__u32 encoding;
	char strings[8];
};

struct blob blob = {
	.header = { .magic = 0xeb9f,
		    .version = 1,
		    .hdr_len = sizeof(struct btf_header),
		    .type_len = 16,
		    .str_off = 16,
		    .str_len = 5 },
	.number = { .name_off = 1, .info = BTF_KIND_INT << 24, .size = 4 },
	.encoding = 32,
	.strings = "\0int",
};

/* Makes a BTF and a map that uses it, and closes the BTF's fd. */
SEC("syscall")
int load(void *unused)
{
	union bpf_attr attr;
	int btf, map;

	__builtin_memset(&attr, 0, sizeof(attr));
	attr.btf = (__u64)(unsigned long)&blob;
	attr.btf_size = sizeof(blob) - 3;
	btf = bpf_sys_bpf(BPF_BTF_LOAD, &attr, sizeof(attr));
	if (btf < 0)
		return btf;
	__builtin_memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = 4;
	attr.value_size = 4;
	attr.max_entries = 1;
	attr.btf_fd = btf;
	attr.btf_key_type_id = 1;
	attr.btf_value_type_id = 1;
	map = bpf_sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	bpf_sys_close(btf);
	return map;
}

enum { WAITS = 1, TOLD };

int state;

static long wait(__u64 unused, void *nothing)
{
	return *(volatile int *)&state == TOLD;
}

static long wait_long(__u64 unused, void *nothing)
{
	bpf_loop(1 << 20, wait, NULL, 0);
	return *(volatile int *)&state == TOLD;
}

/* Lasts until it is told to end, by a write of TOLD to `state`; half a minute at most. */
SEC("syscall")
int last(void *unused)
{
	state = WAITS;
	bpf_loop(1 << 13, wait_long, NULL, 0);
	return 0;
}
