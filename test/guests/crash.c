/*
 * Checks every answer of an agent that is killed all the time, until SIGTERM: `crash ROLE PIN`.
 *   list    walks its ids, opens them, asks for info, opens a pin: each answer is known beforehand
 *   create  makes maps and programs: their numbers rise by one, and are listed
 *   load    loads programs that take the verifier a while: mostly such a call is in progress
 *   stats   enables run statistics: while its fd is open, the runs of a program are counted
 *   trace   loads a tracing program, attaches it to $TRACEPOINT's event: there are no others of it
 *   nest    forks tasks into namespaces of their own, in which the first map is number 1
 * `crash raise-ids N` is for the test itself, before it starts one of these.
 * Prints "calls N longest-ms N fds-lost N"; the first wrong answer ends it with status 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CLONE_NEWBPF 0x400000000ull
#define MAPS 3
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static long calls, longest_ns;

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* The result, or -errno. */
static long timed_five(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e)
{
	long long start = now_ns();
	long result = syscall(number, a, b, c, d, e);
	long error = errno;
	long took = now_ns() - start;

	calls++;
	if (took > longest_ns)
		longest_ns = took;
	return result < 0 ? -error : result;
}

static long timed(long number, uintptr_t a, uintptr_t b, uintptr_t c)
{
	return timed_five(number, a, b, c, 0, 0);
}

static long bpf(int cmd, union bpf_attr *attr)
{
	return timed(SYS_bpf, cmd, (uintptr_t)attr, sizeof(*attr));
}

static void expect(const char *what, long got, long wanted)
{
	if (got == wanted)
		return;
	printf("WRONG %s: %ld instead of %ld\n", what, got, wanted);
	exit(1);
}

static int create_map(uint32_t value)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1
	};
	uint32_t key = 0;
	int fd;

	strcpy(attr.map_name, "crash");
	fd = bpf(BPF_MAP_CREATE, &attr);
	if (fd < 0)
		expect("MAP_CREATE", fd, 0);
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&value;
	expect("MAP_UPDATE_ELEM", bpf(BPF_MAP_UPDATE_ELEM, &attr), 0);
	return fd;
}

/* The verifier follows the loop round by round. */
static int load_loop(int rounds)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 0, .imm = 1 },
		{ .code = BPF_JMP | BPF_JLT | BPF_K, .dst_reg = 0, .imm = rounds, .off = -2 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER };
	int fd;

	attr.insns = (uintptr_t)code;
	attr.insn_cnt = ARRAY_SIZE(code);
	attr.license = (uintptr_t) "GPL";
	fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0)
		expect("PROG_LOAD", fd, 0);
	return fd;
}

static int load_program(void)
{
	return load_loop(0);
}

static long next_id(int cmd, uint32_t start)
{
	union bpf_attr attr = { .start_id = start };
	long result = bpf(cmd, &attr);

	return result < 0 ? result : attr.next_id;
}

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = {};
	union bpf_attr attr = {};

	attr.info.bpf_fd = fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	expect("OBJ_GET_INFO_BY_FD of a map", bpf(BPF_OBJ_GET_INFO_BY_FD, &attr), 0);
	expect("name of a map", strcmp(info.name, "crash"), 0);
	expect("value_size of a map", info.value_size, 4);
	return info.id;
}

static struct bpf_prog_info program_info(int fd)
{
	struct bpf_prog_info info = {};
	union bpf_attr attr = {};

	attr.info.bpf_fd = fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	expect("OBJ_GET_INFO_BY_FD of a program", bpf(BPF_OBJ_GET_INFO_BY_FD, &attr), 0);
	expect("type of a program", info.type, BPF_PROG_TYPE_SOCKET_FILTER);
	return info;
}

static void expect_map(const char *how, long fd, uint32_t wanted)
{
	union bpf_attr attr = {};
	uint32_t key = 0, value = 0;

	if (fd < 0)
		expect(how, fd, 3);
	expect("close-on-exec of a new fd", fcntl(fd, F_GETFD), FD_CLOEXEC);
	attr.map_fd = fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&value;
	expect("lookup in the opened map", bpf(BPF_MAP_LOOKUP_ELEM, &attr), 0);
	expect(how, value, wanted);
	close(fd);
}

/* Fds that this process has, beyond those it opened itself. */
static int open_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void list(const char *pin)
{
	union bpf_attr attr;

	for (uint32_t id = 0; id < MAPS; id++)
		expect("MAP_GET_NEXT_ID", next_id(BPF_MAP_GET_NEXT_ID, id), id + 1);
	expect("MAP_GET_NEXT_ID behind the last", next_id(BPF_MAP_GET_NEXT_ID, MAPS), -ENOENT);
	expect("PROG_GET_NEXT_ID", next_id(BPF_PROG_GET_NEXT_ID, 0), 1);
	expect("PROG_GET_NEXT_ID behind the last", next_id(BPF_PROG_GET_NEXT_ID, 1), -ENOENT);
	for (uint32_t id = 1; id <= MAPS; id++) {
		memset(&attr, 0, sizeof(attr));
		attr.map_id = id;
		expect_map("MAP_GET_FD_BY_ID", bpf(BPF_MAP_GET_FD_BY_ID, &attr), 1000 + id);
	}
	memset(&attr, 0, sizeof(attr));
	attr.map_id = MAPS + 1;
	expect("MAP_GET_FD_BY_ID of none", bpf(BPF_MAP_GET_FD_BY_ID, &attr), -ENOENT);
	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)pin;
	expect_map("OBJ_GET", bpf(BPF_OBJ_GET, &attr), 1001);
}

static void create(uint32_t round)
{
	int map = create_map(round), program = load_program();

	expect("id of a new map", map_id(map), round);
	expect("id of a new program", program_info(program).id, round);
	expect("MAP_GET_NEXT_ID before a new map", next_id(BPF_MAP_GET_NEXT_ID, round - 1), round);
	expect("MAP_GET_NEXT_ID behind a new map", next_id(BPF_MAP_GET_NEXT_ID, round), -ENOENT);
	close(map);
	close(program);
}

/*
 * Outside every namespace: uses up the kernel's ids of maps and programs up to that one. A namespace
 * counts its own ids only up to the kernel's of when it was made (docs/decisions/0018-unambiguous-ids.md).
 */
static void raise_ids(uint32_t wanted)
{
	for (uint32_t map = 0, program = 0; map < wanted || program < wanted;) {
		int fd = create_map(0);

		map = map_id(fd);
		close(fd);
		fd = load_program();
		program = program_info(fd).id;
		close(fd);
	}
}

static void load_slowly(uint32_t round)
{
	int program = load_loop(100000);

	expect("id of a program that was loaded slowly", program_info(program).id, round);
	close(program);
}

static void count_runs(void)
{
	char packet[64] = {};
	int program = load_program();
	union bpf_attr enable = { .enable_stats.type = BPF_STATS_RUN_TIME };
	union bpf_attr test = { .test = { .prog_fd = program,
					  .data_in = (uintptr_t)packet,
					  .data_size_in = sizeof(packet),
					  .repeat = 3 } };
	long stats = bpf(BPF_ENABLE_STATS, &enable);

	if (stats < 0)
		expect("ENABLE_STATS", stats, 0);
	expect("close-on-exec of the fd", fcntl(stats, F_GETFD), FD_CLOEXEC);
	expect("PROG_TEST_RUN", bpf(BPF_PROG_TEST_RUN, &test), 0);
	expect("the runs that are counted", program_info(program).run_cnt, 3);
	close(stats);
	close(program);
}

/* Of all that are listed there may be as many as there are fds: an agent that died may have left some of these. */
static void trace(int fds)
{
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_TRACEPOINT,
				.insns = (uintptr_t)code,
				.insn_cnt = ARRAY_SIZE(code),
				.license = (uintptr_t) "GPL" };
	struct perf_event_attr event = { .type = PERF_TYPE_TRACEPOINT,
					 .size = sizeof(event),
					 .config = atoi(getenv("TRACEPOINT")) };
	long program = bpf(BPF_PROG_LOAD, &attr), perf, listed = 0;

	if (program < 0)
		expect("PROG_LOAD for tracing", program, 0);
	expect("close-on-exec of a program", fcntl(program, F_GETFD), FD_CLOEXEC);
	perf = timed_five(SYS_perf_event_open, (uintptr_t)&event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (perf < 0)
		expect("perf_event_open", perf, 0);
	expect("SET_BPF", ioctl(perf, PERF_EVENT_IOC_SET_BPF, (int)program), 0);
	for (long id = 0; (id = next_id(BPF_PROG_GET_NEXT_ID, id)) > 0;)
		listed++;
	if (listed < 1 || listed > open_fds() - fds - 1)
		expect("programs that are listed", listed, 1);
	close(perf);
	close(program);
}

/* bpfns's own command: what it says of the caller's namespace, in JSON. */
static int level(void)
{
	struct {
		uint32_t flags, length;
		uint64_t text;
	} attr;
	char text[256] = "", *at;

	attr.flags = 2;
	attr.length = sizeof(text) - 1;
	attr.text = (uintptr_t)text;
	if (timed(SYS_bpf, 0xb9f5, (uintptr_t)&attr, sizeof(attr)) < 0)
		return -1;
	at = strstr(text, "\"level\":");
	return at ? atoi(at + strlen("\"level\":")) : -1;
}

static int in_new_namespace(void)
{
	/* A call that was carried out twice would have led to level 3. */
	expect("level of a namespace in one at level 1", level(), 2);
	int map = create_map(1);

	expect("id of the first map in a new namespace", map_id(map), 1);
	expect("MAP_GET_NEXT_ID in a new namespace", next_id(BPF_MAP_GET_NEXT_ID, 0), 1);
	expect("MAP_GET_NEXT_ID behind it", next_id(BPF_MAP_GET_NEXT_ID, 1), -ENOENT);
	fflush(stdout);
	return 0;
}

static void nest(uint32_t round)
{
	struct clone_args args = { .flags = CLONE_NEWBPF, .exit_signal = SIGCHLD };
	/* "unshare" where clone3() has another use for the flag. */
	const char *way = getenv("NEWBPF_BY");
	int status = -1;
	long child;

	if (round % 2 && (!way || strcmp(way, "unshare"))) {
		child = timed(SYS_clone3, (uintptr_t)&args, sizeof(args), 0);
	} else {
		child = fork();
		if (child == 0)
			expect("unshare", timed(SYS_unshare, CLONE_NEWBPF, 0, 0), 0);
	}
	if (child < 0)
		expect("a new task", child, 1);
	if (child == 0)
		_exit(in_new_namespace());
	waitpid(child, &status, 0);
	expect("the exit status of a task in a new namespace", status, 0);
}

int main(int argc, char **argv)
{
	struct rlimit core = {};
	sigset_t end;
	int fds = 0;

	if (argc != 3)
		return 2;
	if (!strcmp(argv[1], "raise-ids")) {
		raise_ids(atoi(argv[2]));
		return 0;
	}
	setrlimit(RLIMIT_CORE, &core);
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* Never delivered: that no call is interrupted is a part of what is tested. */
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);

	if (!strcmp(argv[1], "list")) {
		union bpf_attr attr = {};

		attr.bpf_fd = create_map(1001);
		for (int i = 2; i <= MAPS; i++)
			create_map(1000 + i);
		load_program();
		attr.pathname = (uintptr_t)argv[2];
		expect("OBJ_PIN", bpf(BPF_OBJ_PIN, &attr), 0);
	}
	fds = open_fds();
	for (uint32_t round = 1; sigpending(&end) == 0 && !sigismember(&end, SIGTERM); round++) {
		if (!strcmp(argv[1], "list"))
			list(argv[2]);
		else if (!strcmp(argv[1], "create"))
			create(round);
		else if (!strcmp(argv[1], "load"))
			load_slowly(round);
		else if (!strcmp(argv[1], "stats"))
			count_runs();
		else if (!strcmp(argv[1], "trace"))
			trace(fds);
		else
			nest(round);
		usleep(1000);
	}
	printf("calls %ld longest-ms %ld fds-lost %d\n", calls, longest_ns / 1000000,
	       open_fds() - fds);
	return 0;
}
