/*
 * reused [thread]: a child makes a trapped call, from its first thread or another. Told "kill",
 * the child ends, and another process gets the caller's number. Prints
 *   call PID LISTENER ADDRESS    the listener's fd in the child, and where `secret` is
 *   ready
 * and for "ask", by the other process, "intact" or "changed"; each answer ends with "end".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char secret[16] = "intact";
static volatile pid_t *caller; /* shared with the child */

static void *call(void *unused)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };
	int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			       SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);

	if (listener < 0) {
		perror("seccomp");
		_exit(1);
	}
	printf("call %d %d %lu\nready\n", getpid(), listener, (unsigned long)secret);
	*caller = syscall(SYS_gettid);
	syscall(SYS_bpf, 12, secret, 0);
	return unused;
}

static void in_child(int in_thread)
{
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!in_thread || pthread_create(&thread, NULL, call, NULL))
		call(NULL);
	for (;;)
		pause();
}

/* The other process: what became of it? */
static void in_other(int asked)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(asked, &byte, 1) == 1)
		printf("%s\nend\n", secret);
	_exit(0);
}

static pid_t take_number(pid_t number, int asked)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&number,
		.set_tid_size = 1,
	};
	pid_t pid;

	/* The number is free a moment after the wait. */
	for (int i = 0; i < 1000; i++) {
		pid = syscall(SYS_clone3, &args, sizeof(args));
		if (pid >= 0 || errno != EEXIST)
			break;
		usleep(1000);
	}
	if (pid == 0)
		in_other(asked);
	if (pid < 0)
		perror("clone3");
	return pid;
}

int main(int argc, char **argv)
{
	char line[32];
	pid_t child;
	int asks[2];

	setvbuf(stdout, NULL, _IOLBF, 0);
	caller = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (caller == MAP_FAILED || pipe(asks))
		return 1;
	child = fork();
	if (child == 0)
		in_child(argc > 1 && !strcmp(argv[1], "thread"));
	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "kill\n")) {
			kill(child, SIGKILL);
			waitpid(child, NULL, 0);
			if (take_number(*caller, asks[0]) < 0)
				return 1;
			printf("end\n");
		} else if (write(asks[1], "", 1) != 1) {
			return 1;
		}
	}
	return 0;
}
