// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A congestion control that nobody uses: the smallest that the kernel registers. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct sock;
struct tcp_congestion_ops {
	char name[16];
	__u32 (*ssthresh)(struct sock *);
	void (*cong_avoid)(struct sock *, __u32, __u32);
	__u32 (*undo_cwnd)(struct sock *);
};
#pragma clang attribute pop

SEC("struct_ops/ssthresh")
int ssthresh(void *context)
{
	return 2;
}

SEC("struct_ops/cong_avoid")
int cong_avoid(void *context)
{
	return 0;
}

SEC("struct_ops/undo_cwnd")
int undo_cwnd(void *context)
{
	return 2;
}

SEC(".struct_ops")
struct tcp_congestion_ops congestion = {
	.name = "bpfns_test",
	.ssthresh = (void *)ssthresh,
	.cong_avoid = (void *)cong_avoid,
	.undo_cwnd = (void *)undo_cwnd,
};

char LICENSE[] SEC("license") = "GPL";
