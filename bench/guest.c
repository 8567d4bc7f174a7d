/*
 * What is measured, by what runs inside as well as outside. Without capabilities but CAP_BPF and
 * CAP_PERFMON, unless WHAT has root: before it.
 *
 * guest WHAT ROUNDS [BATCH [OBJECTS]]
 *	times ROUNDS times BATCH calls, after a warm-up, with OBJECTS maps (programs where WHAT is of
 *	programs) to choose from: the median and the 10th and 90th percentile, in ns a call.
 * guest together WHAT ROUNDS CALLERS
 *	prints how many calls a second CALLERS processes have answered that call at once.
 * guest maps|progs OBJECTS ROUNDS CMD ARG...
 *	times runs of CMD beside that many objects: the median in ns.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIN "/sys/fs/bpf/bpfns-bench"

/* More than that a process's fds may not suffice for: children have the others. */
#define OWN 10000

static union bpf_attr attr;

static long bpf(int cmd, unsigned int size)
{
	return syscall(SYS_bpf, cmd, &attr, size);
}

/* Of the maps there may be more than one; their ids follow each other. */
static int *map_fds, prog_fd, link_fd, btf_fd, netns_fd, objects = 1;
static uint32_t map_id, prog_id;
static struct bpf_prog_info prog_info;
static struct bpf_map_info map_info;
static struct bpf_link_info link_info;
static struct bpf_btf_info btf_info;

static int create_map(void)
{
	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = attr.value_size = 4;
	attr.max_entries = 1;
	return bpf(BPF_MAP_CREATE, sizeof(attr));
}

static int load_program(void)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
	attr.insns = (uintptr_t)code;
	attr.insn_cnt = 2;
	attr.license = (uintptr_t) "GPL";
	return bpf(BPF_PROG_LOAD, sizeof(attr));
}

static int open_link(void)
{
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.name = (uintptr_t) "sched_process_wait";
	attr.raw_tracepoint.prog_fd = prog_fd;
	return bpf(BPF_RAW_TRACEPOINT_OPEN, sizeof(attr));
}

/* One type: int. */
static int load_btf(void)
{
	static const struct {
		uint16_t magic;
		uint8_t version, flags;
		uint32_t header, type_off, type_len, str_off, str_len;
		uint32_t name, kind, size, bits;
		char strings[8];
	} btf = { 0xeb9f, 1, 0, 24, 0, 16, 16, 5, 1, 1 << 24, 4, 1 << 24 | 32, "\0int" };

	memset(&attr, 0, sizeof(attr));
	attr.btf = (uintptr_t)&btf;
	attr.btf_size = sizeof(btf) - 3;
	return bpf(BPF_BTF_LOAD, sizeof(attr));
}

static long info(int fd, void *into, unsigned int size)
{
	memset(&attr, 0, sizeof(attr));
	memset(into, 0, size);
	attr.info.bpf_fd = fd;
	attr.info.info_len = size;
	attr.info.info = (uintptr_t)into;
	return bpf(BPF_OBJ_GET_INFO_BY_FD, sizeof(attr));
}

static long by_id(int cmd, uint32_t id)
{
	memset(&attr, 0, sizeof(attr));
	attr.start_id = id;
	return bpf(cmd, 12);
}

static long element(int cmd)
{
	static uint32_t key, value;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map_fds[0];
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&value;
	return bpf(cmd, sizeof(attr));
}

static long pin(int cmd, int fd)
{
	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)PIN;
	attr.bpf_fd = fd;
	return bpf(cmd, sizeof(attr));
}

/* Another one each time, far from the last. */
static int any(void)
{
	static unsigned int turn;

	return (turn++ * 7919ull) % objects;
}

static long closed(long fd)
{
	return fd < 0 ? -1 : close(fd);
}
static long next_id(void)
{
	return by_id(BPF_MAP_GET_NEXT_ID, map_id + any() - 1);
}
static long fd_by_id(void)
{
	return closed(by_id(BPF_MAP_GET_FD_BY_ID, map_id + any()));
}
static long prog_fd_by_id(void)
{
	return closed(by_id(BPF_PROG_GET_FD_BY_ID, prog_id));
}
static long map_info_call(void)
{
	return info(map_fds[any() % OWN], &map_info, sizeof(map_info));
}
static long prog_info_call(void)
{
	return info(prog_fd, &prog_info, sizeof(prog_info));
}
static long link_info_call(void)
{
	return info(link_fd, &link_info, sizeof(link_info));
}
static long btf_info_call(void)
{
	return info(btf_fd, &btf_info, sizeof(btf_info));
}
static long obj_get(void)
{
	return closed(pin(BPF_OBJ_GET, 0));
}
static long lookup(void)
{
	return element(BPF_MAP_LOOKUP_ELEM);
}
static long update(void)
{
	return element(BPF_MAP_UPDATE_ELEM);
}
static long parent(void)
{
	return syscall(SYS_getppid) < 0;
}
static long create(void)
{
	return closed(create_map());
}
static long load(void)
{
	return closed(load_program());
}
static long link_create(void)
{
	return closed(open_link());
}

static long prog_query(void)
{
	static uint32_t ids[64];

	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = netns_fd;
	attr.query.attach_type = BPF_FLOW_DISSECTOR;
	attr.query.prog_ids = (uintptr_t)ids;
	attr.query.prog_cnt = 64;
	return bpf(BPF_PROG_QUERY, sizeof(attr));
}

static long test_run(void)
{
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = prog_fd;
	return bpf(BPF_PROG_TEST_RUN, sizeof(attr));
}

static const struct {
	const char *name;
	long (*call)(void);
} calls[] = {
	{ "get_next_id", next_id },
	{ "get_fd_by_id", fd_by_id },
	{ "prog_get_fd_by_id", prog_fd_by_id },
	{ "map_info", map_info_call },
	{ "prog_info", prog_info_call },
	{ "link_info", link_info_call },
	{ "btf_info", btf_info_call },
	{ "obj_get", obj_get },
	{ "prog_query", prog_query },
	{ "lookup", lookup },
	{ "update", update },
	{ "getppid", parent },
	{ "map_create", create },
	{ "prog_load", load },
	{ "link_create", link_create },
	{ "test_run", test_run },
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void keep_two_capabilities(int others)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	data[0].effective = data[0].permitted = others;
	data[1].effective = data[1].permitted = 1 << (CAP_BPF - 32) | 1 << (CAP_PERFMON - 32);
	if (syscall(SYS_capset, &header, data))
		fail("capset");
}

static int *make(int count, int (*one)(void))
{
	int *fds = calloc(OWN, sizeof(*fds)), done[2];
	char byte;

	if (pipe2(done, O_CLOEXEC))
		fail("pipe");
	for (int i = 0; i < OWN && i < count; i++)
		if ((fds[i] = one()) < 0)
			fail("an object");
	if (count > OWN && !fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < OWN; i++)
			close(fds[i]);
		make(count - OWN, one);
		if (write(done[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(done[1]);
	if (count > OWN && read(done[0], &byte, 1) != 1)
		fail("a child's objects");
	close(done[0]);
	return fds;
}

static void once(const char *name, long (*call)(void))
{
	if (call() && errno != EOPNOTSUPP && errno != ENOTSUP && errno != 524)
		fail(name);
}

static void time_calls(const char *name, long (*call)(void), int rounds, int batch)
{
	uint64_t *times = calloc(rounds, sizeof(*times));

	for (int i = -rounds / 10; i < rounds; i++) {
		const uint64_t start = now();

		for (int j = 0; j < batch; j++)
			once(name, call);
		if (i >= 0)
			times[i] = (now() - start) / batch;
	}
	qsort(times, rounds, sizeof(*times), compare);
	printf("%lu %lu %lu\n", times[rounds / 2], times[rounds / 10],
	       times[rounds - rounds / 10 - 1]);
}

static void wait_for_all(void)
{
	int status;

	while (wait(&status) > 0)
		if (status)
			exit(1);
}

static void time_callers(const char *name, long (*call)(void), int rounds, int callers)
{
	const uint64_t start = now();

	for (int i = 0; i < callers; i++) {
		if (fork())
			continue;
		for (int j = 0; j < rounds; j++)
			once(name, call);
		_exit(0);
	}
	wait_for_all();
	printf("%.0f\n", 1e9 * rounds * callers / (now() - start));
}

static void time_commands(char **command, int rounds)
{
	uint64_t *times = calloc(rounds, sizeof(*times));

	for (int i = -1; i < rounds; i++) {
		const uint64_t start = now();
		const pid_t child = fork();
		int status;

		if (!child) {
			dup2(open("/dev/null", O_WRONLY), 1);
			execvp(command[0], command);
			_exit(127);
		}
		/* Others of the children have objects, and stay. */
		if (waitpid(child, &status, 0) != child || status)
			fail(command[0]);
		if (i >= 0)
			times[i] = now() - start;
	}
	qsort(times, rounds, sizeof(*times), compare);
	printf("%lu\n", times[rounds / 2]);
}

static void unpin(void)
{
	unlink(PIN);
}

/* What the calls need, and the ids of the first map and program. */
static void prepare(const char *what)
{
	map_fds = make(objects, create_map);
	prog_fd = load_program();
	if (info(map_fds[0], &map_info, sizeof(map_info)) ||
	    info(prog_fd, &prog_info, sizeof(prog_info)))
		fail("set-up");
	map_id = map_info.id;
	prog_id = prog_info.id;
	if (!strcmp(what, "link_info") && (link_fd = open_link()) < 0)
		fail("a link");
	if (!strcmp(what, "btf_info") && (btf_fd = load_btf()) < 0)
		fail("BTF");
	if (!strcmp(what, "prog_query") && (netns_fd = open("/proc/self/ns/net", O_RDONLY)) < 0)
		fail("the network namespace");
	if (!strcmp(what, "obj_get") && (atexit(unpin) || pin(BPF_OBJ_PIN, map_fds[0])))
		fail(PIN);
}

int main(int argc, char **argv)
{
	const int together = argc == 5 && !strcmp(argv[1], "together");
	char *what = argc > 2 ? argv[together ? 2 : 1] : "";
	const int rounds = argc > 2 ? atoi(argv[together ? 3 : 2]) : 0,
		  last = argc > 3 ? atoi(argv[together ? 4 : 3]) : 1;
	const int as_root = !strncmp(what, "root:", 5);
	long (*call)(void) = NULL;

	if (argc > 4 && (!strcmp(what, "maps") || !strcmp(what, "progs"))) {
		make(rounds, strcmp(what, "maps") ? load_program : create_map);
		time_commands(argv + 4, last);
		return 0;
	}
	what += as_root ? 5 : 0;
	for (unsigned int i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!strcmp(what, calls[i].name))
			call = calls[i].call;
	if (!call || rounds < 1 || last < 1) {
		fprintf(stderr, "usage: %s WHAT ROUNDS [BATCH [OBJECTS]]\n", argv[0]);
		return 2;
	}
	objects = !together && argc > 4 ? atoi(argv[4]) : 1;
	prepare(what);
	if (!as_root)
		keep_two_capabilities(strcmp(what, "prog_query") ? 0 : 1 << CAP_NET_ADMIN);
	if (together)
		time_callers(what, call, rounds, last);
	else
		time_calls(what, call, rounds, last);
	return 0;
}
