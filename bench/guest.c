/*
 * Times system calls of one kind: prints the median and the 10th and 90th percentile of
 * ROUNDS calls in nanoseconds, after a warm-up. Usage: guest WHAT ROUNDS
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static union bpf_attr attr;

static long bpf(int cmd, unsigned int size)
{
	return syscall(SYS_bpf, cmd, &attr, size);
}

static int map_fd, prog_fd;
static uint32_t map_id, prog_id;
static struct bpf_prog_info prog_info;
static struct bpf_map_info map_info;

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
	attr.license = (uintptr_t)"GPL";
	return bpf(BPF_PROG_LOAD, sizeof(attr));
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
	attr.map_fd = map_fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&value;
	return bpf(cmd, sizeof(attr));
}

static long next_id(void) { return by_id(BPF_MAP_GET_NEXT_ID, map_id - 1); }
static long map_info_call(void) { return info(map_fd, &map_info, sizeof(map_info)); }
static long prog_info_call(void) { return info(prog_fd, &prog_info, sizeof(prog_info)); }
static long lookup(void) { return element(BPF_MAP_LOOKUP_ELEM); }
static long update(void) { return element(BPF_MAP_UPDATE_ELEM); }
static long parent(void) { return syscall(SYS_getppid) < 0; }
static long closed(long fd) { return fd < 0 ? -1 : close(fd); }
static long fd_by_id(void) { return closed(by_id(BPF_MAP_GET_FD_BY_ID, map_id)); }
static long create(void) { return closed(create_map()); }
static long load(void) { return closed(load_program()); }

static long link_create(void)
{
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.name = (uintptr_t)"sched_process_wait";
	attr.raw_tracepoint.prog_fd = prog_fd;
	return closed(bpf(BPF_RAW_TRACEPOINT_OPEN, sizeof(attr)));
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
	{ "get_next_id", next_id }, { "get_fd_by_id", fd_by_id }, { "map_info", map_info_call },
	{ "prog_info", prog_info_call }, { "lookup", lookup }, { "update", update }, { "getppid", parent },
	{ "map_create", create }, { "prog_load", load }, { "link_create", link_create }, { "test_run", test_run },
};

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

int main(int argc, char **argv)
{
	const int rounds = argc > 2 ? atoi(argv[2]) : 2000, batch = argc > 3 ? atoi(argv[3]) : 1;
	uint64_t *times = calloc(rounds, sizeof(*times));
	long (*call)(void) = NULL;

	for (unsigned int i = 0; argc > 1 && i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!strcmp(argv[1], calls[i].name))
			call = calls[i].call;
	if (!call || !times || rounds < 1) {
		fprintf(stderr, "usage: %s WHAT ROUNDS [CALLS PER ROUND]\n", argv[0]);
		return 2;
	}
	map_fd = create_map();
	prog_fd = load_program();
	if (info(map_fd, &map_info, sizeof(map_info)) || info(prog_fd, &prog_info, sizeof(prog_info))) {
		perror("set-up");
		return 1;
	}
	map_id = map_info.id;
	prog_id = prog_info.id;
	for (int i = -rounds / 10; i < rounds; i++) {
		const uint64_t start = now();

		for (int j = 0; j < batch; j++) {
			if (call() && errno != EOPNOTSUPP && errno != ENOTSUP && errno != 524) {
				perror(argv[1]);
				return 1;
			}
		}
		if (i >= 0)
			times[i] = (now() - start) / batch;
	}
	qsort(times, rounds, sizeof(*times), compare);
	printf("%lu %lu %lu\n", times[rounds / 2], times[rounds / 10], times[rounds - rounds / 10 - 1]);
	return 0;
}
