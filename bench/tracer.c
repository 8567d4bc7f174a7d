/*
 * What a program on a tracepoint costs: it counts its runs in a map.
 *
 * tracer calls WHAT TRACEPOINT
 *	attaches it and times calls of getppid(): the median in ns. WHAT is "none", for no program; "plain"; or
 *	"cgroup" and "other-cgroup", for one that first looks up its cgroup in a map as bcc's --cgroupmap does,
 *	and finds it or not.
 * tracer hold TRACEPOINT
 *	attaches it, says "ready" and waits for the end of its input.
 * tracer load INSTRUCTIONS ROUNDS
 *	times BPF_PROG_LOAD of a program of that many instructions: the median in ns.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){ .code = c, .dst_reg = d, .src_reg = s, .off = o, .imm = i })
#define MOV(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define CALL(id) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, id)
#define ROUNDS 301
#define BATCH 1000

static uint64_t times[100000];

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void print_median(int rounds)
{
	qsort(times, rounds, sizeof(*times), compare);
	printf("%lu\n", times[rounds / 2]);
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int load(const struct bpf_insn *code, int count)
{
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_TRACEPOINT,
				.insns = (uintptr_t)code,
				.insn_cnt = count,
				.license = (uintptr_t) "GPL" };
	int fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	if (fd < 0)
		fail("BPF_PROG_LOAD");
	return fd;
}

static int make_map(int type, int key_size)
{
	union bpf_attr attr = {
		.map_type = type, .key_size = key_size, .value_size = 8, .max_entries = 1
	};
	int fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));

	if (fd < 0)
		fail("BPF_MAP_CREATE");
	return fd;
}

/* The inode of its directory is the id of a cgroup. */
static uint64_t own_cgroup(void)
{
	char line[4096] = "", path[4200];
	FILE *file = fopen("/proc/self/cgroup", "r");
	struct stat found;

	while (file && fgets(line, sizeof(line), file) && strncmp(line, "0::", 3))
		;
	line[strcspn(line, "\n")] = 0;
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s", line + 3);
	if (stat(path, &found)) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup/unified%s", line + 3);
		if (stat(path, &found))
			fail("cgroup2");
	}
	return found.st_ino;
}

/* if (!lookup(&cgroups, &(u64){ get_current_cgroup_id() })) return 0; */
static int add_cgroup_check(struct bpf_insn *code, uint64_t cgroup)
{
	int map = make_map(BPF_MAP_TYPE_HASH, 8);
	uint64_t one = 1;
	union bpf_attr attr = { .map_fd = map,
				.key = (uintptr_t)&cgroup,
				.value = (uintptr_t)&one };
	const struct bpf_insn check[] = {
		CALL(BPF_FUNC_get_current_cgroup_id),
		INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 0, -8, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8),
		INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, map),
		INSN(0, 0, 0, 0, 0),
		CALL(BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 2, 0),
		MOV(0, 0),
		EXIT,
	};

	if (syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)))
		fail("BPF_MAP_UPDATE_ELEM");
	memcpy(code, check, sizeof(check));
	return sizeof(check) / sizeof(*check);
}

static void attach(const char *what, int tracepoint)
{
	struct perf_event_attr event = { .type = PERF_TYPE_TRACEPOINT,
					 .size = sizeof(event),
					 .config = tracepoint };
	struct bpf_insn code[64];
	int count = 0, fd;

	if (!strcmp(what, "cgroup"))
		count = add_cgroup_check(code, own_cgroup());
	else if (!strcmp(what, "other-cgroup"))
		count = add_cgroup_check(code, 1);
	const struct bpf_insn counting[] = {
		INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0,
		     make_map(BPF_MAP_TYPE_ARRAY, 4)),
		INSN(0, 0, 0, 0, 0),
		CALL(BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0),
		MOV(1, 1),
		INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD),
		MOV(0, 0),
		EXIT,
	};

	memcpy(code + count, counting, sizeof(counting));
	count += sizeof(counting) / sizeof(*counting);
	fd = syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_BPF, load(code, count)) ||
	    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))
		fail("a program on the tracepoint");
}

static void time_calls(void)
{
	for (int i = -ROUNDS / 10; i < ROUNDS; i++) {
		const uint64_t start = now();

		for (int j = 0; j < BATCH; j++)
			syscall(SYS_getppid);
		if (i >= 0)
			times[i] = (now() - start) / BATCH;
	}
	print_median(ROUNDS);
}

/* Half of it arithmetic, half of it on the stack. */
static void time_loads(int count, int rounds)
{
	struct bpf_insn *code = calloc(count, sizeof(*code));

	code[0] = MOV(0, 0);
	code[1] = INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 0, -8, 0);
	for (int i = 2; i < count - 1; i++)
		code[i] = i % 4 == 0 ? INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 0, -8, 0) :
			  i % 4 == 2 ? INSN(BPF_LDX | BPF_MEM | BPF_DW, 0, 10, -8, 0) :
				       INSN(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1);
	code[count - 1] = EXIT;
	for (int i = 0; i < rounds; i++) {
		const uint64_t start = now();

		close(load(code, count));
		times[i] = now() - start;
	}
	print_median(rounds);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	char end;

	if (argc == 4 && !strcmp(how, "calls")) {
		if (strcmp(argv[2], "none"))
			attach(argv[2], atoi(argv[3]));
		time_calls();
	} else if (argc == 3 && !strcmp(how, "hold")) {
		attach("plain", atoi(argv[2]));
		puts("ready");
		fflush(stdout);
		while (read(0, &end, 1) > 0)
			;
	} else if (argc == 4 && !strcmp(how, "load")) {
		time_loads(atoi(argv[2]), atoi(argv[3]));
	} else {
		fprintf(stderr,
			"usage: %s calls WHAT TRACEPOINT | hold TRACEPOINT | load N ROUNDS\n",
			argv[0]);
		return 2;
	}
	return 0;
}
