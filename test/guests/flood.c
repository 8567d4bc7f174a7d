/*
 * Wants more than a namespace may have.
 *
 * flood deep COUNT: goes down as many levels as there are, makes so many maps there, and prints how
 * many of every 32nd among the first 1024 got an id; 1000 more if the last one did.
 * flood siblings COUNT: makes so many namespaces side by side, each kept by a map of its own, and
 * prints how many there were and why there were no more.
 * flood lost: goes down one level and has a child there that waits for a line and then tries to
 * use ids; prints `child PID` and what the child, and a child of the child, were answered.
 */
#include "bpf.h"

#include "../../include/bpfns.h"
#include <sched.h>
#include <sys/resource.h>

static void deep(int count)
{
	int levels = 1, numbered = 0;

	while (bpfns_new_namespace(NULL, 0) == 0)
		levels++;
	for (int i = 0; i < count; i++) {
		int fd = create_map();

		/* Asking costs more than making. */
		if (i % 32 == 0 && i < 1024)
			numbered += map_id(fd) > 0;
		else if (i == count - 1)
			numbered += map_id(fd) > 0 ? 1000 : 0;
	}
	printf("%d levels, %d of 32 have an id\n", levels, numbered);
}

static int make_sibling(void *unused)
{
	(void)unused;
	if (bpfns_new_namespace(NULL, 0))
		return errno;
	return create_map() < 0;
}

static void siblings(int count)
{
	static char stack[65536];
	int made = 0, status = 0;

	for (; made < count && !status; made += !status)
		status = status_of(
			clone(make_sibling, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL));
	printf("made %d, then %s\n", made, status ? strerrorname_np(status) : "no more");
}

static const char *error_of(int result)
{
	return result < 0 ? strerrorname_np(errno) : "ok";
}

static void try_ids(const char *who)
{
	int map = create_map();

	printf("%s: create %s", who, error_of(map));
	printf(", next %s", error_of(next_map(0)));
	printf(", info %s\n", error_of(map_id(map)));
	fflush(stdout);
}

static void lost(void)
{
	char line;
	pid_t pid;

	if (bpfns_new_namespace(NULL, 0))
		printf("no namespace: %m\n");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		printf("child %d\nready\n", getpid());
		fflush(stdout);
		if (read(0, &line, 1) != 1)
			_exit(1);
		try_ids("child");
		pid = fork();
		if (!pid) {
			try_ids("grandchild");
			_exit(0);
		}
		_exit(status_of(pid));
	}
	status_of(pid);
}

int main(int argc, char **argv)
{
	const int count = argc > 2 ? atoi(argv[2]) : 0;
	struct rlimit limit;

	if (argc < 2 || getrlimit(RLIMIT_NOFILE, &limit))
		return 2;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return 1;
	if (!strcmp(argv[1], "deep"))
		deep(count);
	else if (!strcmp(argv[1], "siblings"))
		siblings(count);
	else
		lost();
	printf("done\n");
	fflush(stdout);
	/* Until stdin ends: what was made is to live. */
	while (read(0, &limit, 1) > 0)
		;
	return 0;
}
