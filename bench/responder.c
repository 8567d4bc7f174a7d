/*
 * The measure for the agent: a minimal C responder of the same seccomp filter that makes
 * the same system calls for each answer, with ids as they are. Usage: responder CMD ARG...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOTIF_SET_FLAGS _IOW('!', 4, uint64_t)
#define PIDFD_THREAD O_EXCL

static const int trapped[] = {
	BPF_MAP_GET_NEXT_ID, BPF_MAP_GET_FD_BY_ID, BPF_OBJ_GET_INFO_BY_FD, BPF_LINK_CREATE,
};

static int install_filter(void)
{
	enum { TRAPPED = sizeof(trapped) / sizeof(trapped[0]) };
	struct sock_filter code[TRAPPED + 6] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, TRAPPED + 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffff),
	};
	struct sock_fprog program = { .len = TRAPPED + 6, .filter = code };

	for (int i = 0; i < TRAPPED; i++)
		code[4 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, trapped[i], TRAPPED - i, 0);
	code[TRAPPED + 4] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[TRAPPED + 5] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		       SECCOMP_FILTER_FLAG_NEW_LISTENER | 32 /* WAIT_KILLABLE_RECV */, &program);
}

static int listener;
static struct seccomp_notif call;
static union bpf_attr attr;

static int memory_of(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", tid);
	return open(path, O_RDWR | O_CLOEXEC);
}

static void look_at_rights(pid_t tid)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3, .pid = tid };
	struct __user_cap_data_struct data[2];
	char path[64], link[64];

	syscall(SYS_capget, &header, data);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", tid);
	if (readlink(path, link, sizeof(link)) < 0)
		perror("readlink");
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

static long next_id(int memory)
{
	union bpf_attr own = { .start_id = attr.start_id };
	long result = host(BPF_MAP_GET_NEXT_ID, &own, 8);

	if (result)
		return -errno;
	return pwrite(memory, &own.next_id, 4, call.data.args[1] + offsetof(union bpf_attr, next_id)) == 4 ? 0 : -EFAULT;
}

static long fd_by_id(void)
{
	union bpf_attr own = { .map_id = attr.map_id };
	int fd = host(BPF_MAP_GET_FD_BY_ID, &own, 12);
	struct seccomp_notif_addfd add = { .id = call.id, .srcfd = fd, .newfd_flags = O_CLOEXEC };
	long number;

	if (fd < 0)
		return -errno;
	number = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
	close(fd);
	return number < 0 ? -errno : number;
}

static long info(int memory)
{
	static char given[4096], asked[4096];
	struct iovec local = { asked, attr.info.info_len }, remote = { (void *)attr.info.info, attr.info.info_len };
	int fd = take_fd(call.pid, attr.info.bpf_fd);
	union bpf_attr own = { .info = { .bpf_fd = fd, .info_len = sizeof(given), .info = (uintptr_t)given } };
	char path[64], link[64];
	uint32_t length = attr.info.info_len;
	long result;

	memset(given, 0, sizeof(given));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, link, sizeof(link)) < 0 || process_vm_readv(call.pid, &local, 1, &remote, 1, 0) < 0)
		return -EFAULT;
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call.id))
		return -ENOENT;
	result = host(BPF_OBJ_GET_INFO_BY_FD, &own, 16);
	close(fd);
	if (result)
		return -errno;
	if (pwrite(memory, given, length, attr.info.info) != length ||
	    pwrite(memory, &length, 4, call.data.args[1] + offsetof(union bpf_attr, info.info_len)) != 4)
		return -EFAULT;
	return 0;
}

static void answer(void)
{
	const int cmd = call.data.args[0] & 0xffff;
	struct iovec local = { &attr, call.data.args[2] }, remote = { (void *)call.data.args[1], call.data.args[2] };
	struct seccomp_notif_resp response = { .id = call.id };
	int memory = -1;
	long result;

	memset(&attr, 0, sizeof(attr));
	if (process_vm_readv(call.pid, &local, 1, &remote, 1, 0) < 0)
		perror("process_vm_readv");
	if (cmd != BPF_MAP_GET_FD_BY_ID)
		memory = memory_of(call.pid);
	if (cmd != BPF_LINK_CREATE)
		look_at_rights(call.pid);
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call.id))
		return;
	if (cmd == BPF_LINK_CREATE) {
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		result = 0;
	} else {
		result = cmd == BPF_MAP_GET_NEXT_ID ? next_id(memory) : cmd == BPF_MAP_GET_FD_BY_ID ? fd_by_id() : info(memory);
	}
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
	struct epoll_event event = { .events = EPOLLIN };
	int number[2], epoll, pidfd, fd, status;
	pid_t child;

	if (argc < 2 || pipe(number))
		return 2;
	child = fork();
	if (child == 0) {
		int own = install_filter();
		ssize_t sent = write(number[1], &own, sizeof(own));

		/* The parent takes it before this process makes a trapped call: the next one waits for it. */
		close(number[1]);
		if (own < 0 || sent != sizeof(own) || fcntl(own, F_SETFD, FD_CLOEXEC))
			_exit(125);
		usleep(100000);
		execvp(argv[1], argv + 1);
		_exit(127);
	}
	if (read(number[0], &fd, sizeof(fd)) != sizeof(fd))
		return 125;
	pidfd = syscall(SYS_pidfd_open, child, 0);
	listener = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	ioctl(listener, NOTIF_SET_FLAGS, 1 /* SYNC_WAKE_UP */);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		if (epoll_wait(epoll, &event, 1, -1) < 0)
			continue;
		if (event.events & EPOLLHUP)
			break;
		memset(&call, 0, sizeof(call));
		if (!ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call))
			answer();
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
