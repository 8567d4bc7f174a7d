/*
 * Makes a link of every sort that needs no more than a trivial program, then prints the
 * info structure of every object there is, what is attached, and TASK_FD_QUERY of itself
 * and of the process given, and waits for the end of its input. With no argument it only prints.
 * $CGROUP is a cgroup2 directory.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than some headers. */
enum { NETFILTER_PROG = 32, NETFILTER_ATTACH = 45, TCX_INGRESS = 46 };

static int load(int type, int attach_type, const char *btf_name, int value)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = value },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach_type);

	if (btf_name)
		opts.attach_btf_id = libbpf_find_vmlinux_btf_id(btf_name, attach_type);
	return bpf_prog_load(type, "trivial", "GPL", code, 2, &opts);
}

static int report(const char *what, int fd)
{
	printf("made %s %s\n", what, fd < 0 ? strerror(errno) : "ok");
	return fd;
}

static void link_simple(const char *what, int prog, int target, int attach_type)
{
	report(what, bpf_link_create(prog, target, attach_type, NULL));
}

static int make(int cgroup)
{
	int map = bpf_map_create(BPF_MAP_TYPE_HASH, "walked", 4, 4, 1, NULL);
	union bpf_iter_link_info iterated = { .map.map_fd = map };
	LIBBPF_OPTS(bpf_link_create_opts, opts, .iter_info = &iterated,
		    .iter_info_len = sizeof(iterated));
	unsigned int netfilter[16] = { load(NETFILTER_PROG, NETFILTER_ATTACH, NULL, 1),
				       0,
				       NETFILTER_ATTACH,
				       0,
				       2,
				       0,
				       getpid() };
	struct perf_event_attr event = { .type = PERF_TYPE_SOFTWARE,
					 .size = sizeof(event),
					 .sample_period = 1 << 30 };
	int raw = bpf_raw_tracepoint_open("sched_process_exit",
					  load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, NULL, 0));

	report("raw_tracepoint", raw);
	report("tp_btf", bpf_raw_tracepoint_open(NULL, load(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP,
							    "sched_process_exit", 0)));
	link_simple("iter", load(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "task", 0), 0,
		    BPF_TRACE_ITER);
	report("iter_map",
	       bpf_link_create(load(BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "bpf_map_elem", 0), 0,
			       BPF_TRACE_ITER, &opts));
	link_simple("cgroup", load(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, NULL, 1),
		    cgroup, BPF_CGROUP_INET_EGRESS);
	link_simple("netns", load(BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP, NULL, 1),
		    open("/proc/self/ns/net", O_RDONLY), BPF_SK_LOOKUP);
	link_simple("tcx", load(BPF_PROG_TYPE_SCHED_CLS, 0, NULL, -1), if_nametoindex("lo"),
		    TCX_INGRESS);
	report("netfilter", syscall(SYS_bpf, BPF_LINK_CREATE, netfilter, sizeof(netfilter)));
	link_simple("perf_event", load(BPF_PROG_TYPE_PERF_EVENT, 0, NULL, 0),
		    syscall(SYS_perf_event_open, &event, 0, -1, -1, 0), BPF_PERF_EVENT);
	return raw;
}

static void print_info(const char *kind, int (*next)(__u32, __u32 *), int (*open_id)(__u32))
{
	for (__u32 id = 0; !next(id, &id);) {
		unsigned char info[256] = {};
		__u32 length = sizeof(info);
		int fd = open_id(id);

		printf("%s %u ", kind, id);
		if (fd < 0 || bpf_obj_get_info_by_fd(fd, info, &length))
			printf("%m");
		for (__u32 i = 0; fd >= 0 && i < length; i++)
			printf("%02x", info[i]);
		printf("\n");
		close(fd);
	}
}

static void print_query(const char *what, int target, int type, int flags, __u32 room)
{
	__u32 progs[64] = {}, count = room, attach_flags;
	int result = bpf_prog_query(target, type, flags, &attach_flags, progs, &count);

	printf("query %s room %u: %s, %u:", what, room, result ? strerror(-result) : "ok", count);
	for (__u32 i = 0; i < count && i < room; i++)
		printf(" %u", progs[i]);
	printf("\n");
}

static void print_task_query(const char *what, int pid, int fd)
{
	__u32 length = 32, prog = 0, type = 0;
	char name[32] = "";
	__u64 offset, address;
	int result = bpf_task_fd_query(pid, fd, 0, name, &length, &prog, &type, &offset, &address);

	printf("task %s: %s, program %u, %s\n", what, result ? strerror(-result) : "ok", prog,
	       name);
}

int main(int argc, char **argv)
{
	int cgroup = open(getenv("CGROUP"), O_RDONLY), fd = 0;

	if (argc > 1)
		fd = make(cgroup);
	print_info("map", bpf_map_get_next_id, bpf_map_get_fd_by_id);
	print_info("prog", bpf_prog_get_next_id, bpf_prog_get_fd_by_id);
	print_info("link", bpf_link_get_next_id, bpf_link_get_fd_by_id);
	print_info("btf", bpf_btf_get_next_id, bpf_btf_get_fd_by_id);
	print_query("cgroup", cgroup, BPF_CGROUP_INET_EGRESS, 0, 64);
	print_query("effective", cgroup, BPF_CGROUP_INET_EGRESS, BPF_F_QUERY_EFFECTIVE, 64);
	if (argc > 1) {
		print_task_query("own", getpid(), fd);
		print_task_query("other", atoi(argv[1]), fd);
	}
	printf("done %d %d\n", getpid(), fd);
	fflush(stdout);
	while (argc > 1 && read(0, &fd, 1) > 0)
		;
	return 0;
}
