// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Takes the place of pass_all() in another program, see xdp.bpf.c. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("freplace/pass_all")
int drop_all(struct xdp_md *context)
{
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
