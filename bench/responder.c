/*
 * The measure for the agent: a minimal C responder of the same seccomp filter that makes
 * the same system calls for each answer, with ids as they are. Usage: responder CMD ARG...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "listener.h"

#define PIDFD_THREAD O_EXCL
#define QUERY_REVISION 56 /* offsetof(union bpf_attr, query.revision), 6.6 */

static int listener;
static struct seccomp_notif call;
static union bpf_attr attr;
static struct __user_cap_data_struct own_rights[2], its_rights[2];

static long read_memory(void *into, uint64_t address, unsigned int size)
{
	struct iovec local = { into, size }, remote = { (void *)address, size };

	return process_vm_readv(call.pid, &local, 1, &remote, 1, 0);
}

static int memory_of(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", tid);
	return open(path, O_RDWR | O_CLOEXEC);
}

static int rights(int call, pid_t tid, struct __user_cap_data_struct *data)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3,
						   .pid = tid };

	return syscall(call, &header, data);
}

static void look_at_rights(pid_t tid)
{
	char path[64], link[64];

	rights(SYS_capget, tid, its_rights);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", tid);
	if (readlink(path, link, sizeof(link)) < 0)
		perror("readlink");
}

/* The kernel shows more to who has CAP_SYSLOG: the agent takes that on for a caller that has it, and off again. */
static void with_its_rights(void)
{
	if (its_rights[1].effective & 1 << (CAP_SYSLOG - 32))
		rights(SYS_capset, 0, own_rights);
}

static int take_fd(pid_t tid, int fd)
{
	int pidfd = syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	int copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	close(pidfd);
	return copy;
}

static long host(int cmd, union bpf_attr *own, unsigned int size)
{
	return syscall(SYS_bpf, cmd, own, size);
}

static int is_valid(void)
{
	return !ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call.id);
}

static int put(int memory, const void *from, unsigned int size, unsigned int attr_offset)
{
	return pwrite(memory, from, size, call.data.args[1] + attr_offset) == size;
}

static void kind_of(int fd)
{
	char path[64], link[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, link, sizeof(link)) < 0)
		perror("readlink");
}

static long give(int fd)
{
	struct seccomp_notif_addfd add = { .id = call.id, .srcfd = fd, .newfd_flags = O_CLOEXEC };
	long number;

	if (fd < 0)
		return -errno;
	number = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
	close(fd);
	return number < 0 ? -errno : number;
}

static long next_id(int cmd, int memory)
{
	union bpf_attr own = { .start_id = attr.start_id };

	if (host(cmd, &own, 8))
		return -errno;
	return put(memory, &own.next_id, 4, offsetof(union bpf_attr, next_id)) ? 0 : -EFAULT;
}

static long fd_by_id(int cmd)
{
	union bpf_attr own = { .map_id = attr.map_id };
	int fd;

	if (cmd == BPF_PROG_GET_FD_BY_ID)
		with_its_rights();
	fd = host(cmd, &own, 12);
	if (cmd == BPF_PROG_GET_FD_BY_ID)
		with_its_rights();
	return give(fd);
}

static long info(int memory)
{
	static char given[4096], asked[4096];
	int fd = take_fd(call.pid, attr.info.bpf_fd);
	union bpf_attr own = {
		.info = { .bpf_fd = fd, .info_len = sizeof(given), .info = (uintptr_t)given }
	};
	uint32_t length = attr.info.info_len;
	long result;

	memset(given, 0, sizeof(given));
	kind_of(fd);
	if (length > sizeof(asked) || read_memory(asked, attr.info.info, length) < 0)
		return -EFAULT;
	if (!is_valid())
		return -ENOENT;
	with_its_rights();
	result = host(BPF_OBJ_GET_INFO_BY_FD, &own, 16);
	with_its_rights();
	close(fd);
	if (result)
		return -errno;
	return pwrite(memory, given, length, attr.info.info) == length &&
			       put(memory, &length, 4, offsetof(union bpf_attr, info.info_len)) ?
		       0 :
		       -EFAULT;
}

static long prog_query(int memory)
{
	static uint32_t ids[4096];
	union bpf_attr own = attr;
	long result;

	own.query.target_fd = take_fd(call.pid, attr.query.target_fd);
	own.query.prog_ids = (uintptr_t)ids;
	own.query.prog_cnt = 4096;
	result = host(BPF_PROG_QUERY, &own, 64);
	close(own.query.target_fd);
	if (result)
		return -errno;
	return put(memory, &own.query.attach_flags, 4,
		   offsetof(union bpf_attr, query.attach_flags)) &&
			       put(memory, &own.query.prog_cnt, 4,
				   offsetof(union bpf_attr, query.prog_cnt)) &&
			       put(memory, (char *)&own + QUERY_REVISION, 8, QUERY_REVISION) ?
		       0 :
		       -EFAULT;
}

/* As the agent, but in this thread and as itself. */
static long obj_get(void)
{
	static char path[4096];
	struct bpf_map_info map;
	union bpf_attr own = { .bpf_fd = 0 };
	int fd;

	host(BPF_OBJ_GET, &own, 16);
	if (read_memory(path, attr.pathname, 4096 - attr.pathname % 4096) < 0)
		return -EFAULT;
	if (!is_valid())
		return -ENOENT;
	own.pathname = (uintptr_t)path;
	fd = host(BPF_OBJ_GET, &own, 16);
	if (fd < 0)
		return -errno;
	kind_of(fd);
	own = (union bpf_attr){
		.info = { .bpf_fd = fd, .info_len = sizeof(map), .info = (uintptr_t)&map }
	};
	host(BPF_OBJ_GET_INFO_BY_FD, &own, 16);
	return give(fd);
}

static long outcome(int cmd, int memory)
{
	switch (cmd) {
	case BPF_MAP_GET_NEXT_ID:
	case BPF_PROG_GET_NEXT_ID:
		return next_id(cmd, memory);
	case BPF_OBJ_GET_INFO_BY_FD:
		return info(memory);
	case BPF_PROG_QUERY:
		return prog_query(memory);
	case BPF_OBJ_GET:
		return obj_get();
	default:
		return fd_by_id(cmd);
	}
}

static void answer(void)
{
	const int cmd = call.data.args[0] & 0xffff;
	struct seccomp_notif_resp response = { .id = call.id };
	int memory = -1;
	long result = 0;

	memset(&attr, 0, sizeof(attr));
	if (call.data.args[2] > sizeof(attr) ||
	    read_memory(&attr, call.data.args[1], call.data.args[2]) < 0)
		perror("process_vm_readv");
	if (cmd != BPF_MAP_GET_FD_BY_ID && cmd != BPF_PROG_GET_FD_BY_ID && cmd != BPF_OBJ_GET)
		memory = memory_of(call.pid);
	if (cmd != BPF_LINK_CREATE)
		look_at_rights(call.pid);
	if (!is_valid())
		return;
	if (cmd == BPF_LINK_CREATE)
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else
		result = outcome(cmd, memory);
	if (memory >= 0)
		close(memory);
	if (result < 0)
		response.error = result;
	else
		response.val = result;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

int main(int argc, char **argv)
{
	struct pollfd event = { .events = POLLIN };
	pid_t child;

	if (argc < 2)
		return 2;
	event.fd = listener = start_under_filter(argv + 1, &child);
	rights(SYS_capget, 0, own_rights);
	for (;;) {
		if (poll(&event, 1, -1) < 0)
			continue;
		if (event.revents & POLLHUP)
			break;
		memset(&call, 0, sizeof(call));
		if (!ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call))
			answer();
	}
	return exit_status(child);
}
