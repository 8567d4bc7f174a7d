// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One program of every sort that is common, each reporting to one ring buffer; see parity.c. */
#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#define __VMLINUX_H__
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "parity.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct task_struct {
	int pid;
	int tgid;
	struct task_struct *real_parent;
};
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
#pragma clang attribute pop

const volatile int tgid;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} reports SEC(".maps");

static __always_inline void report(__u32 source, __u32 value)
{
	struct parity_report *report = bpf_ringbuf_reserve(&reports, sizeof(*report), 0);

	if (!report)
		return;
	report->source = source;
	report->value = value;
	bpf_ringbuf_submit(report, 0);
}

static __always_inline bool is_mine(void)
{
	return bpf_get_current_pid_tgid() >> 32 == tgid;
}

SEC("tracepoint/syscalls/sys_enter_getppid")
int on_tracepoint(void *ctx)
{
	if (is_mine())
		report(PARITY_TRACEPOINT, 0);
	return 0;
}

SEC("raw_tracepoint/sched_process_fork")
int on_raw_tracepoint(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *parent = (void *)ctx->args[0];

	if (BPF_CORE_READ(parent, tgid) == tgid)
		report(PARITY_RAW_TRACEPOINT, BPF_CORE_READ(parent, real_parent, tgid));
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_btf_tracepoint, struct task_struct *parent, struct task_struct *child)
{
	if (parent->tgid == tgid)
		report(PARITY_BTF_TRACEPOINT, parent->real_parent->tgid);
	return 0;
}

SEC("cgroup_skb/egress")
int on_cgroup(struct __sk_buff *skb)
{
	unsigned char header[28]; /* IPv4 without options, and UDP */

	if (!bpf_skb_load_bytes(skb, 0, header, sizeof(header)) && header[9] == IPPROTO_UDP &&
	    (header[22] << 8 | header[23]) == PARITY_PORT)
		report(PARITY_CGROUP, skb->len);
	return 1;
}

SEC("xdp")
int on_xdp(struct xdp_md *ctx)
{
	unsigned char *packet = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (packet + 42 <= end && packet[23] == IPPROTO_UDP &&
	    (packet[36] << 8 | packet[37]) == PARITY_PORT)
		report(PARITY_XDP, end - packet);
	return XDP_PASS;
}

SEC("perf_event")
int on_perf_event(void *ctx)
{
	if (is_mine())
		report(PARITY_PERF_EVENT, 0);
	return 0;
}

SEC("iter/task")
int on_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task && task->tgid == tgid) {
		int parent = task->real_parent->tgid;

		bpf_seq_write(ctx->meta->seq, &parent, sizeof(parent));
	}
	return 0;
}
