/*
 * soak: reads lines "WHAT COUNT", makes that call so often, and answers "done" or "failed: why".
 * Whatever a call creates or opens is closed again at once. $P is a directory in a bpffs.
 */
#include "bpf.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

static int map = -1, prog = -1;
static char pin[256];
static const struct timespec a_moment = { .tv_nsec = 10 * 1000 * 1000 };

static int make_program(void)
{
	struct bpf_insn code[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K },
				   { .code = BPF_JMP | BPF_EXIT } };
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
				.insns = (uintptr_t)code,
				.insn_cnt = 2,
				.license = (uintptr_t) "GPL" };

	return bpf(BPF_PROG_LOAD, &attr);
}

static int create(void)
{
	return create_map();
}

static int next_id(void)
{
	return next_map(0) > 0 ? 0 : -1;
}

static int by_id(void)
{
	return open_map(1);
}

static int no_such_id(void)
{
	return open_map(0x7000000) < 0 && errno == ENOENT ? 0 : -1;
}

static int map_info(void)
{
	return map_id(map) > 0 ? 0 : -1;
}

static int prog_info(void)
{
	struct bpf_prog_info info = {};
	union bpf_attr attr = {
		.info = { .bpf_fd = prog, .info_len = sizeof(info), .info = (uintptr_t)&info }
	};

	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
}

static int obj_get(void)
{
	union bpf_attr attr = { .pathname = (uintptr_t)pin };

	return bpf(BPF_OBJ_GET, &attr);
}

static int no_such_pin(void)
{
	union bpf_attr attr = { .pathname = (uintptr_t) "/nowhere" };

	return bpf(BPF_OBJ_GET, &attr) < 0 && errno == ENOENT ? 0 : -1;
}

/* Refused by the kernel, which the agent lets decide: no network device. */
static int prog_query(void)
{
	union bpf_attr attr = { .query = { .target_fd = 0x7fffffff,
					   .attach_type = BPF_CGROUP_INET_INGRESS } };

	return bpf(BPF_PROG_QUERY, &attr) < 0 ? 0 : -1;
}

static int task_fd_query(void)
{
	union bpf_attr attr = { .task_fd_query = { .pid = getpid(), .fd = 0 } };

	return bpf(BPF_TASK_FD_QUERY, &attr) < 0 ? 0 : -1;
}

static int iter_create(void)
{
	union bpf_attr attr = { .iter_create = { .link_fd = map } };

	return bpf(BPF_ITER_CREATE, &attr) < 0 ? 0 : -1;
}

static int refused_clone3(void)
{
	struct clone_args args = { .flags = NEWBPF | CLONE_NEWUSER, .exit_signal = SIGCHLD };

	return syscall(SYS_clone3, &args, sizeof(args)) < 0 ? 0 : -1;
}

/* The agent makes a namespace for it, then the kernel refuses. */
static int failed_clone3(void)
{
	struct clone_args args = { .flags = NEWBPF | CLONE_SIGHAND, .exit_signal = SIGCHLD };

	return syscall(SYS_clone3, &args, sizeof(args)) < 0 && errno == EINVAL ? 0 : -1;
}

static int plain_clone3(void)
{
	pid_t child = clone_with(0, SIGCHLD);

	if (child == 0)
		_exit(0);
	return status_of(child);
}

static int child_namespace(void)
{
	pid_t child = clone_with(NEWBPF, SIGCHLD);

	if (child == 0)
		_exit(0);
	return status_of(child);
}

static const struct {
	const char *what;
	int (*call)(void);
} calls[] = {
	{ "create", create },
	{ "next-id", next_id },
	{ "by-id", by_id },
	{ "no-such-id", no_such_id },
	{ "map-info", map_info },
	{ "prog-info", prog_info },
	{ "obj-get", obj_get },
	{ "no-such-pin", no_such_pin },
	{ "prog-query", prog_query },
	{ "task-fd-query", task_fd_query },
	{ "iter-create", iter_create },
	{ "refused-clone3", refused_clone3 },
	{ "failed-clone3", failed_clone3 },
	{ "plain-clone3", plain_clone3 },
	{ "child-namespace", child_namespace },
};

static int repeat(int (*call)(void), long count)
{
	for (long i = 0; i < count; i++) {
		int fd = call();

		if (fd < 0)
			return -1;
		if (fd > 0)
			close(fd);
		/* The kernel frees objects later than they are closed: do not run ahead of it for ever. */
		if (call == create && i % 10000 == 9999)
			nanosleep(&a_moment, NULL);
	}
	return 0;
}

int main(void)
{
	char line[80], what[32];
	long count;

	setvbuf(stdout, NULL, _IOLBF, 0);
	map = create_map();
	prog = make_program();
	snprintf(pin, sizeof(pin), "%s/soak", getenv("P") ? getenv("P") : ".");
	unlink(pin);
	union bpf_attr attr = { .pathname = (uintptr_t)pin, .bpf_fd = map };
	if (map < 0 || prog < 0 || bpf(BPF_OBJ_PIN, &attr)) {
		perror("soak");
		return 1;
	}
	puts("ready");
	while (fgets(line, sizeof(line), stdin) && sscanf(line, "%31s %ld", what, &count) == 2) {
		int result = -1;

		errno = EINVAL;
		for (unsigned int i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
			if (!strcmp(what, calls[i].what))
				result = repeat(calls[i].call, count);
		if (result < 0)
			printf("failed: %s\n", strerror(errno));
		puts("done");
	}
	unlink(pin);
	return 0;
}
