/*
 * Threads that list, open and ask for info without pause, while signals interrupt them. At the end
 * it tells how many calls gave EINTR, and were made again, and how many fds it has more than before.
 *
 *   interrupted restart CALLS   SIGALRM to the process every 5 ms, and SIGURG to each thread every
 *                               20 ms, with handlers that have SA_RESTART
 *   interrupted plain CALLS     the same without SA_RESTART
 *   interrupted until FILE      no signals, until there is a file
 *
 * It fails at any other error, or wrong answer.
 */
#define _GNU_SOURCE
#include "guest.h"
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

#define THREADS 8

static atomic_long calls, interrupted, signals;
static atomic_int working = THREADS;
static long limit = -1;
static const char *stop_file = "";

static void handle(int signal)
{
	(void)signal;
	signals++;
}

static int try_again(int cmd, union bpf_attr *attr)
{
	union bpf_attr original = *attr;
	int result;

	for (;;) {
		calls++;
		result = bpf(cmd, attr);
		if (result >= 0 || errno != EINTR)
			break;
		interrupted++;
		*attr = original;
	}
	return must(result, "bpf");
}

static void expect(uint32_t is, uint32_t should, const char *what)
{
	if (is == should)
		return;
	fprintf(stderr, "%s: %u, not %u\n", what, is, should);
	exit(1);
}

static void *work(void *unused)
{
	(void)unused;
	while (limit < 0 ? access(stop_file, F_OK) : calls < limit) {
		struct bpf_map_info map = {};
		union bpf_attr next = {}, open = { .map_id = 1 },
			       info = { .info = { .info_len = sizeof(map),
						  .info = (uintptr_t)&map } };
		int fd;

		try_again(BPF_MAP_GET_NEXT_ID, &next);
		expect(next.next_id, 1, "the first id");
		fd = try_again(BPF_MAP_GET_FD_BY_ID, &open);
		info.info.bpf_fd = fd;
		try_again(BPF_OBJ_GET_INFO_BY_FD, &info);
		expect(map.id, 1, "the id in info");
		close(fd);
	}
	working--;
	return NULL;
}

static int count_fds(void)
{
	DIR *fds = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(fds))
		count++;
	closedir(fds);
	return count;
}

/* As Go does with its threads, and a timer does with a process. */
static void interrupt(const pthread_t *threads, int flags)
{
	struct sigaction action = { .sa_handler = handle, .sa_flags = flags };
	struct itimerval timer = { { 0, 5000 }, { 0, 5000 } };
	sigset_t alarms;

	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGURG, &action, NULL);
	/* This thread's sleep is not to end early. */
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarms, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	while (working) {
		for (int i = 0; i < THREADS; i++)
			pthread_kill(threads[i], SIGURG);
		usleep(20000);
	}
	signal(SIGALRM, SIG_IGN);
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	int before;

	if (argc != 3)
		return 2;
	create_map(BPF_MAP_TYPE_ARRAY, "first", 0);
	before = count_fds();
	if (strcmp(argv[1], "until"))
		limit = atol(argv[2]);
	else
		stop_file = argv[2];
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	if (limit >= 0)
		interrupt(threads, strcmp(argv[1], "plain") ? SA_RESTART : 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("calls %ld, signals %ld, interrupted %ld, fds %d\n", calls, signals, interrupted,
	       count_fds() - before);
	return 0;
}
