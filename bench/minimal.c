/*
 * The least that a safe answer costs: a C responder that makes only the system calls which the
 * answer itself needs. It asks for nobody's rights and translates nothing. Usage: minimal CMD ARG...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "listener.h"

static int listener;
static struct seccomp_notif call;
static union bpf_attr attr;

static int open_memory(void)
{
	char path[40];
	int memory;

	snprintf(path, sizeof(path), "/proc/%u/mem", call.pid);
	memory = open(path, O_RDWR | O_CLOEXEC);
	/* Opened by number, so only if the caller still waits is it the caller's. */
	if (memory >= 0 && ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call.id)) {
		close(memory);
		return -1;
	}
	return memory;
}

static long next_id(int cmd, int memory)
{
	const unsigned int end = offsetof(union bpf_attr, next_id) + sizeof(attr.next_id);

	if (syscall(SYS_bpf, cmd, &attr, end))
		return -errno;
	return pwrite(memory, &attr, end, call.data.args[1]) == end ? 0 : -EFAULT;
}

static long info(int memory)
{
	static char given[256];
	const uint64_t address = attr.info.info;
	int pidfd = syscall(SYS_pidfd_open, call.pid, 0);
	int fd = syscall(SYS_pidfd_getfd, pidfd, attr.info.bpf_fd, 0);
	uint32_t length = attr.info.info_len < sizeof(given) ? attr.info.info_len : sizeof(given);
	long result = -EFAULT;

	close(pidfd);
	if (fd < 0)
		return -EBADF;
	memset(given, 0, sizeof(given));
	attr.info.bpf_fd = fd;
	attr.info.info = (uintptr_t)given;
	attr.info.info_len = length;
	if (pread(memory, given, length, address) != length)
		goto out;
	if (syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, 16)) {
		result = -errno;
		goto out;
	}
	length = attr.info.info_len;
	if (pwrite(memory, given, length, address) == length &&
	    pwrite(memory, &length, 4,
		   call.data.args[1] + offsetof(union bpf_attr, info.info_len)) == 4)
		result = 0;
out:
	close(fd);
	return result;
}

/* Answers and hands over in one step. */
static void give(int cmd)
{
	int fd = syscall(SYS_bpf, cmd, &attr, 12);
	struct seccomp_notif_addfd add = { .id = call.id,
					   .flags = SECCOMP_ADDFD_FLAG_SEND,
					   .srcfd = fd,
					   .newfd_flags = O_CLOEXEC };

	if (fd < 0) {
		struct seccomp_notif_resp response = { .id = call.id, .error = -errno };

		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
		return;
	}
	ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
	close(fd);
}

static void answer(void)
{
	const int cmd = call.data.args[0] & 0xffff;
	const uint64_t size = call.data.args[2] < sizeof(attr) ? call.data.args[2] : sizeof(attr);
	struct seccomp_notif_resp response = { .id = call.id };
	int memory = open_memory();
	long result;

	if (memory < 0)
		return;
	memset(&attr, 0, sizeof(attr));
	if (pread(memory, &attr, size, call.data.args[1]) != (ssize_t)size)
		perror("pread");
	if (cmd == BPF_MAP_GET_FD_BY_ID || cmd == BPF_PROG_GET_FD_BY_ID) {
		give(cmd);
		close(memory);
		return;
	}
	result = cmd == BPF_OBJ_GET_INFO_BY_FD ? info(memory) : next_id(cmd, memory);
	close(memory);
	response.error = result < 0 ? result : 0;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

int main(int argc, char **argv)
{
	pid_t child;

	if (argc < 2)
		return 2;
	listener = start_under_filter(argv + 1, &child);
	for (;;) {
		memset(&call, 0, sizeof(call));
		if (!ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call))
			answer();
		else if (errno != EINTR)
			break;
	}
	return exit_status(child);
}
