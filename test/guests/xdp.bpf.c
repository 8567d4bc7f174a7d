// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Programs for a network device: xdp-loader attaches the first, tc the second. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int pass_all(struct xdp_md *context)
{
	return XDP_PASS;
}

SEC("tc")
int classify(struct __sk_buff *packet)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
