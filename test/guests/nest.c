/*
 * Makes children by every way there is and tells which namespace each was in. The caller
 * makes one map first; a child makes one and tells its id: 1 in a namespace of its own, 2
 * in the caller's. Usage: nest WAY
 */
#include "bpf.h"
#include "../../include/bpfns.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

extern char **environ;

static void say(const char *what, int id)
{
	dprintf(1, "%s %d\n", what, id);
}

/* In a child: tell its new map's id and end. */
static void child_says(const char *who)
{
	say(who, new_map());
	_exit(0);
}

static void expect_child(pid_t pid)
{
	if (pid < 0)
		dprintf(1, "error %s\n", strerrorname_np(errno));
	else if (status_of(pid))
		dprintf(1, "the child failed\n");
}

static void by_clone3(uint64_t flags)
{
	pid_t pid = clone_with(flags, SIGCHLD);

	if (!pid)
		child_says("clone3");
	expect_child(pid);
}

/* The way that works on this kernel. */
static void by_default(void)
{
	pid_t pid = clone_in_namespace(0);

	if (!pid)
		child_says("child");
	expect_child(pid);
}

/* bpfns' own command of bpf(2). */
static void by_header(const char *name)
{
	int earlier = create_map();
	int result = bpfns_new_namespace(name, 0);

	dprintf(1, "new namespace %s\n", result ? strerrorname_np(errno) : "entered");
	say("held before", map_id(earlier));
	say("map", new_map());
	dprintf(1, "ready\n");
	getchar();
}

static void by_legacy_clone(unsigned long flags)
{
	pid_t pid = syscall(SYS_clone, flags, 0, 0, 0, 0);

	if (!pid)
		child_says("clone");
	expect_child(pid);
}

static void by_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		child_says("fork");
	expect_child(pid);
}

static void by_vfork(void)
{
	pid_t pid = vfork();

	if (!pid)
		child_says("vfork");
	expect_child(pid);
}

static void by_spawn(void)
{
	char *arguments[] = { "nest", "report", NULL };
	pid_t pid;

	errno = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ);
	expect_child(errno ? -1 : pid);
}

static void *thread(void *unused)
{
	say("thread", new_map());
	return unused;
}

static void by_thread(void)
{
	pthread_t id;

	if (!pthread_create(&id, NULL, thread, NULL))
		pthread_join(id, NULL);
}

/* A thread in a namespace of its own; its siblings stay. */
static void *unsharing_thread(void *unused)
{
	dprintf(1, "unshare %ld\n", syscall(SYS_unshare, NEWBPF));
	return thread(unused);
}

static void by_unsharing_thread(void)
{
	pthread_t id;

	if (!pthread_create(&id, NULL, unsharing_thread, NULL))
		pthread_join(id, NULL);
	say("leader", new_map());
}

static void unshare_now(void)
{
	int earlier = create_map();

	dprintf(1, "unshare %ld\n", syscall(SYS_unshare, NEWBPF));
	say("held before", map_id(earlier));
	say("map", new_map());
	by_fork();
}

/* The other flags of the same clone3() do what they always do. */
static void keep_flags(void)
{
	struct utsname name;
	int pidfd = -1;
	struct clone_args args = { .flags = NEWBPF | CLONE_NEWUTS | CLONE_PIDFD,
				   .pidfd = (uintptr_t)&pidfd };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	args.exit_signal = SIGUSR1;
	pid_t pid = syscall(SYS_clone3, &args, sizeof(args));
	if (!pid) {
		sethostname("inside", 6);
		child_says("clone3");
	}
	if (pid < 0) {
		expect_child(pid);
		return;
	}
	dprintf(1, "exit signal %s\n", sigwaitinfo(&set, NULL) == SIGUSR1 ? "SIGUSR1" : "lost");
	siginfo_t info = {};
	waitid(P_PIDFD, pidfd, &info, WEXITED | __WALL);
	dprintf(1, "pidfd %s\n", info.si_pid == pid ? "of the child" : "of nobody");
	uname(&name);
	dprintf(1, "host name %s\n", strcmp(name.nodename, "inside") ? "kept" : "changed");
}

/* clone3() calls that the kernel itself refuses after the agent has seen the flag. */
static void fail_first(void)
{
	struct clone_args bad = { .flags = NEWBPF | CLONE_SIGHAND, .exit_signal = SIGCHLD };
	struct {
		struct clone_args args;
		uint64_t unknown;
	} longer = { .args = { .flags = NEWBPF, .exit_signal = SIGCHLD }, .unknown = 1 };

	dprintf(1, "short %s\n",
		syscall(SYS_clone3, &longer, 32) < 0 ? strerrorname_np(errno) : "worked");
	longer.args.flags = NEWBPF;
	dprintf(1, "long %s\n",
		syscall(SYS_clone3, &longer, sizeof(longer)) < 0 ? strerrorname_np(errno) :
								   "worked");
	dprintf(1, "flags %s\n",
		syscall(SYS_clone3, &bad, sizeof(bad)) < 0 ? strerrorname_np(errno) : "worked");
}

static void after_failure(void)
{
	fail_first();
	by_fork();
	fail_first();
	by_legacy_clone(SIGCHLD);
	fail_first();
	by_clone3(0);
	fail_first();
	by_spawn();
	fail_first();
	by_thread();
	fail_first();
	by_clone3(NEWBPF);
}

static void libc_ways(void)
{
	by_fork();
	by_vfork();
	by_spawn();
	by_thread();
	by_clone3(0);
}

/* Children, one after the other, each in a namespace of its own. */
static void many(int count)
{
	for (int i = 0; i < count; i++)
		by_default();
}

/* As `many`, with all of them alive at once: how many there were, and the error that ended it. */
static void at_once(int most)
{
	int made = 0;
	pid_t pid = 0;

	for (; made < most; made++) {
		pid = clone_in_namespace(0);
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pause();
		}
		if (pid < 0)
			break;
	}
	dprintf(1, "made %d, then %s\n", made, pid < 0 ? strerrorname_np(errno) : "no error");
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
}

/* Failing requests leave namespaces that nobody uses: they must not count. */
static void failing(int count)
{
	int refused = 0;

	for (int i = 0; i < count; i++) {
		struct clone_args bad = { .flags = NEWBPF | CLONE_SIGHAND, .exit_signal = SIGCHLD };

		refused += syscall(SYS_clone3, &bad, sizeof(bad)) < 0 && errno == EINVAL;
	}
	dprintf(1, "EINVAL %d\n", refused);
}

static void show_error(const char *what, long result)
{
	dprintf(1, "%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "works");
}

static void errors(void)
{
	pid_t pid = clone_with(NEWBPF, SIGCHLD);

	if (!pid)
		_exit(0);
	show_error("clone3", pid);
	pid = clone_with(NEWBPF | CLONE_NEWUSER, SIGCHLD);
	if (!pid)
		_exit(0);
	show_error("clone3 with NEWUSER", pid);
	show_error("unshare with NEWUSER", syscall(SYS_unshare, NEWBPF | CLONE_NEWUSER));
	show_error("unshare with NEWNS", syscall(SYS_unshare, NEWBPF | CLONE_NEWNS));
	show_error("unshare with an unknown flag", syscall(SYS_unshare, NEWBPF | (NEWBPF << 1)));
	show_error("unshare", syscall(SYS_unshare, NEWBPF));
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* From a user namespace of the caller's own, made before. */
static void errors_in_userns(void)
{
	if (syscall(SYS_unshare, CLONE_NEWUSER))
		dprintf(1, "no user namespace: %m\n");
	errors();
}

/* A namespace in a user namespace of one's own, until the input ends. Prints a pid that is in it. */
static void hold(void)
{
	char byte;
	pid_t pid = clone_in_namespace(0);

	if (pid) {
		expect_child(pid);
		return;
	}
	/* As the host sees it: the pid namespace is the host's. */
	dprintf(1, "%d\nheld\n", getpid());
	while (read(0, &byte, 1) > 0)
		;
	_exit(0);
}

/* The caller ends at once; its child, in a namespace below, with the input. */
static void leave_a_child(void)
{
	char byte;

	if (clone_in_namespace(0))
		return;
	dprintf(1, "left\n");
	while (read(0, &byte, 1) > 0)
		;
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";
	int count = argc > 2 ? atoi(argv[2]) : 0;

	if (!strcmp(way, "report"))
		child_says("spawn");
	if (!strcmp(way, "hold"))
		return hold(), 0;
	if (!strcmp(way, "errors"))
		return errors(), 0;
	if (!strcmp(way, "errors-in-userns"))
		return errors_in_userns(), 0;
	say("caller", new_map());
	if (!strcmp(way, "clone3"))
		by_clone3(NEWBPF);
	else if (!strcmp(way, "own-command"))
		by_header(argv[2]);
	else if (!strcmp(way, "unshare"))
		unshare_now();
	else if (!strcmp(way, "unshare-in-thread"))
		by_unsharing_thread();
	else if (!strcmp(way, "legacy-clone"))
		by_legacy_clone(NEWBPF | SIGCHLD);
	else if (!strcmp(way, "keep-flags"))
		keep_flags();
	else if (!strcmp(way, "after-failure"))
		after_failure();
	else if (!strcmp(way, "libc"))
		libc_ways();
	else if (!strcmp(way, "many"))
		many(count);
	else if (!strcmp(way, "at-once"))
		at_once(count);
	else if (!strcmp(way, "failing"))
		failing(count), by_clone3(NEWBPF);
	else if (!strcmp(way, "leave-a-child"))
		leave_a_child();
	else if (!strcmp(way, "failing-and-wait"))
		failing(1), getchar();
	else
		return 2;
	return 0;
}
