/*
 * What every responder of the benchmarks needs: a child under a filter that traps the same
 * commands, its listener, and the child's end.
 */
#ifndef BENCH_LISTENER_H
#define BENCH_LISTENER_H

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOTIF_SET_FLAGS _IOW('!', 4, uint64_t)

static const int trapped[] = {
	BPF_MAP_GET_NEXT_ID,	BPF_PROG_GET_NEXT_ID, BPF_MAP_GET_FD_BY_ID, BPF_PROG_GET_FD_BY_ID,
	BPF_OBJ_GET_INFO_BY_FD, BPF_OBJ_GET,	      BPF_PROG_QUERY,	    BPF_LINK_CREATE,
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
		code[4 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, trapped[i],
							   TRAPPED - i, 0);
	code[TRAPPED + 4] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[TRAPPED + 5] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		       SECCOMP_FILTER_FLAG_NEW_LISTENER | 32 /* WAIT_KILLABLE_RECV */, &program);
}

/* Starts a command under the filter. Returns the listener, or exits. */
static inline int start_under_filter(char **command, pid_t *child)
{
	int number[2], pidfd, fd, listener;

	if (pipe(number))
		exit(125);
	*child = fork();
	if (*child == 0) {
		int own = install_filter();
		ssize_t sent = write(number[1], &own, sizeof(own));

		/* The parent takes it before this process makes a trapped call: the next one waits for it. */
		close(number[1]);
		if (own < 0 || sent != sizeof(own) || fcntl(own, F_SETFD, FD_CLOEXEC))
			_exit(125);
		usleep(100000);
		execvp(command[0], command);
		_exit(127);
	}
	if (read(number[0], &fd, sizeof(fd)) != sizeof(fd))
		exit(125);
	pidfd = syscall(SYS_pidfd_open, *child, 0);
	listener = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	ioctl(listener, NOTIF_SET_FLAGS, 1 /* SYNC_WAKE_UP */);
	return listener;
}

static inline int exit_status(pid_t child)
{
	int status;

	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif
