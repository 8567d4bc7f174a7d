/* The bpf(2) calls that the guests make, without a library between. */
#ifndef GUEST_BPF_H
#define GUEST_BPF_H

#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The RFC's CLONE_NEWBPF. */
#define NEWBPF 0x400000000ULL

static inline long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* A new array map's fd, or -1. */
static inline int create_map(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1
	};

	return bpf(BPF_MAP_CREATE, &attr);
}

/* What the map behind an fd is called here: the id, or -1. */
static inline int map_id(int fd)
{
	struct bpf_map_info info = {};
	union bpf_attr attr = {
		.info = { .bpf_fd = fd, .info_len = sizeof(info), .info = (uintptr_t)&info }
	};

	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) ? -1 : (int)info.id;
}

/* The id after `start`, or -1 with errno. */
static inline int next_map(int start)
{
	union bpf_attr attr = { .start_id = start };

	return bpf(BPF_MAP_GET_NEXT_ID, &attr) ? -1 : (int)attr.next_id;
}

/* Opens by id: the fd, or -1 with errno. */
static inline int open_map(int id)
{
	union bpf_attr attr = { .map_id = id };

	return bpf(BPF_MAP_GET_FD_BY_ID, &attr);
}

/* A new map's id in the caller's namespace; the fd stays open. */
static inline int new_map(void)
{
	return map_id(create_map());
}

/* clone3() as fork(): the kernel looks at nothing but `args`. */
static inline pid_t clone_with(uint64_t flags, int exit_signal)
{
	struct clone_args args = { .flags = flags, .exit_signal = exit_signal };

	return syscall(SYS_clone3, &args, sizeof(args));
}

/*
 * A child in a namespace of its own, by clone3() with the RFC's flag; or, if the tests say so because
 * the kernel has another use for that flag, by unshare() in the child. -1 with errno if there is none.
 */
static inline pid_t clone_in_namespace(uint64_t flags)
{
	const char *way = getenv("NEWBPF_BY");
	int ends[2], error = EIO;

	if (!way || strcmp(way, "unshare"))
		return clone_with(NEWBPF | flags, SIGCHLD);
	if (pipe(ends))
		return -1;
	pid_t pid = clone_with(flags, SIGCHLD);
	if (!pid) {
		error = syscall(SYS_unshare, NEWBPF) ? errno : 0;
		if (write(ends[1], &error, sizeof(error)) != sizeof(error) || error)
			_exit(1);
		return 0;
	}
	if (pid > 0 && read(ends[0], &error, sizeof(error)) != sizeof(error))
		error = EIO;
	close(ends[0]);
	close(ends[1]);
	if (pid < 0 || !error)
		return pid;
	waitpid(pid, NULL, 0);
	errno = error;
	return -1;
}

/* Waits for a child of any exit signal: its exit status, or -1. */
static inline int status_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, __WALL) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

#endif
