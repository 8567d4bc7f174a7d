/*
 * A guest at its worst, and another beside it.
 *
 * worst victim SECONDS
 *	lists the first id again and again with a short rest between: prints the median and the 99th
 *	percentile of a call in ns.
 * worst ids | creations | lookups | fuse | info | namespaces | failing | iterators | loads | events
 *	calls without a pause, until it is killed. All but `creations` do it from THREADS threads.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fuse.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 32
#define CALLS 20000
#define NEWBPF 0x400000000ULL
#define HOGS 4
#define FDS 4000
/* How long a look-up in the guest's own file system takes, in us. */
#define SLOW 100000
/* The most that one program may have, of which all is asked for in each call. */
#define INSNS 1000000

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int create_map(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1
	};

	return bpf(BPF_MAP_CREATE, &attr);
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int victim(int seconds)
{
	static uint64_t times[CALLS];
	uint64_t end = now() + seconds * 1000000000ULL;
	int count = 0;

	create_map();
	for (; count < CALLS && now() < end; count++) {
		union bpf_attr attr = {};
		uint64_t start = now();

		if (bpf(BPF_MAP_GET_NEXT_ID, &attr))
			return perror("victim"), 1;
		times[count] = now() - start;
		usleep(2000);
	}
	qsort(times, count, sizeof(times[0]), compare);
	printf("%lu %lu %lu\n", times[count / 2], times[count * 99 / 100], times[count - 1]);
	return 0;
}

static int big_program(void)
{
	struct bpf_insn *code = calloc(INSNS, sizeof(*code));
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
				.insns = (uintptr_t)code,
				.insn_cnt = INSNS,
				.license = (uintptr_t) "GPL" };

	for (int i = 0; i < INSNS - 1; i++)
		code[i] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K };
	code[INSNS - 1] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	return bpf(BPF_PROG_LOAD, &attr);
}

static int prog = -1, link_fd = -1;

static void *ids(void *unused)
{
	for (;;) {
		union bpf_attr attr = {};

		bpf(BPF_MAP_GET_NEXT_ID, &attr);
	}
	return unused;
}

static void *lookups(void *unused)
{
	for (;;) {
		union bpf_attr attr = { .pathname = (uintptr_t) "/proc/self/root/nowhere" };

		bpf(BPF_OBJ_GET, &attr);
	}
	return unused;
}

static int device;

static void answer(const struct fuse_in_header *in, int error, const void *data, size_t length)
{
	struct fuse_out_header out = { .len = sizeof(out) + length,
				       .error = -error,
				       .unique = in->unique };
	struct iovec parts[] = { { &out, sizeof(out) }, { (void *)data, length } };

	/* Whoever asked may be gone. */
	if (writev(device, parts, length ? 2 : 1) < 0)
		return;
}

static void *serve_slowly(void *unused)
{
	static char request[1 << 17];
	const struct fuse_in_header *in = (void *)request;
	const struct fuse_init_in *init = (void *)(in + 1);

	while (read(device, request, sizeof(request)) > 0) {
		struct fuse_init_out version = { .major = FUSE_KERNEL_VERSION,
						 .minor = init->minor,
						 .max_write = 4096 };
		struct fuse_attr_out root = {
			.attr = { .ino = FUSE_ROOT_ID, .mode = S_IFDIR | 0755, .nlink = 1 }
		};

		switch (in->opcode) {
		case FUSE_INIT:
			answer(in, 0, &version, sizeof(version));
			break;
		case FUSE_GETATTR:
			answer(in, 0, &root, sizeof(root));
			break;
		case FUSE_LOOKUP:
			usleep(SLOW);
			answer(in, ENOENT, NULL, 0);
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
			break;
		default:
			answer(in, ENOSYS, NULL, 0);
		}
	}
	return unused;
}

/* At /mnt, in a mount namespace of the guest's own: it ends with the guest. */
static void mount_slow_files(void)
{
	char options[64];
	pthread_t thread;

	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40755,user_id=0,group_id=0", device);
	if (device < 0 || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("worst", "/mnt", "fuse", MS_NOSUID | MS_NODEV, options)) {
		perror("fuse");
		exit(1);
	}
	pthread_create(&thread, NULL, serve_slowly, NULL);
}

static void *slow_lookups(void *unused)
{
	for (;;) {
		union bpf_attr attr = { .pathname = (uintptr_t) "/mnt/nowhere" };

		bpf(BPF_OBJ_GET, &attr);
	}
	return unused;
}

static void *infos(void *unused)
{
	char *code = malloc(INSNS * sizeof(struct bpf_insn));

	for (;;) {
		struct bpf_prog_info info = { .xlated_prog_len = INSNS * sizeof(struct bpf_insn),
					      .xlated_prog_insns = (uintptr_t)code };
		union bpf_attr attr = { .info = { .bpf_fd = prog,
						  .info_len = sizeof(info),
						  .info = (uintptr_t)&info } };

		bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
	}
	return unused;
}

static void *namespaces(void *unused)
{
	for (;;) {
		struct clone_args args = { .flags = NEWBPF, .exit_signal = SIGCHLD };
		pid_t child = syscall(SYS_clone3, &args, sizeof(args));

		if (child == 0)
			_exit(create_map() < 0);
		if (child > 0)
			waitpid(child, NULL, 0);
	}
	return unused;
}

/* Each mark is used up by a call that fails. */
static void *failing(void *unused)
{
	for (;;) {
		struct clone_args args = { .flags = NEWBPF | CLONE_SIGHAND,
					   .exit_signal = SIGCHLD };

		syscall(SYS_clone3, &args, sizeof(args));
	}
	return unused;
}

static void *iterators(void *unused)
{
	for (;;) {
		union bpf_attr attr = { .iter_create = { .link_fd = link_fd } };
		int fd = bpf(BPF_ITER_CREATE, &attr);

		if (fd >= 0)
			close(fd);
	}
	return unused;
}

/* Of programs to trace with, under tracing=own: nearly the largest, with a log. */
static void *loads(void *unused)
{
	int count = INSNS - 1000;
	struct bpf_insn *code = calloc(count, sizeof(*code));
	char *log = malloc(1 << 24);
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_TRACEPOINT,
				.insns = (uintptr_t)code,
				.insn_cnt = count,
				.license = (uintptr_t) "GPL",
				.log_buf = (uintptr_t)log,
				.log_size = 1 << 24,
				.log_level = 1 };

	for (int i = 0; i < count - 1; i++)
		code[i] = (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K };
	code[count - 1] = (struct bpf_insn){ .code = BPF_JMP | BPF_EXIT };
	for (;;)
		close(bpf(BPF_PROG_LOAD, &attr));
	return unused;
}

static void *events(void *unused)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_BPF_OUTPUT };

	for (;;)
		syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	return unused;
}

static void hold_many_fds(void)
{
	struct rlimit limit;
	int map = create_map();

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < HOGS; i++) {
		if (fork())
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int fd = 0; fd < FDS && dup(map) >= 0; fd++)
			;
		pause();
	}
}

static const struct {
	const char *name;
	void *(*run)(void *);
} attacks[] = { { "ids", ids },
		{ "lookups", lookups },
		{ "fuse", slow_lookups },
		{ "info", infos },
		{ "namespaces", namespaces },
		{ "failing", failing },
		{ "iterators", iterators },
		{ "loads", loads },
		{ "events", events } };

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "victim") && argc > 2)
		return victim(atoi(argv[2]));
	if (!strcmp(what, "creations"))
		for (;;)
			close(create_map());
	if (!strcmp(what, "fuse"))
		mount_slow_files();
	if (!strcmp(what, "info"))
		prog = big_program();
	if (!strcmp(what, "iterators")) {
		/* The link is passed in by a program that attached it. */
		link_fd = argc > 2 ? atoi(argv[2]) : -1;
		hold_many_fds();
	}
	for (unsigned int i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		pthread_t thread;

		if (strcmp(what, attacks[i].name))
			continue;
		for (int n = 0; n < THREADS; n++)
			pthread_create(&thread, NULL, attacks[i].run, NULL);
		pause();
	}
	return 2;
}
