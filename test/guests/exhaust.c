/*
 * A guest that takes all that it can get. With tracing=own:
 *
 * exhaust events TRACEPOINT	opens events of each kind until it is refused, twice: NAME COUNT ERRNO, NAME COUNT ERRNO
 * exhaust programs		loads programs in a namespace below, then in its own: COUNT ERRNO, COUNT ERRNO
 * exhaust loads			loads programs from 100 threads at once, one of which takes long: how many got what
 * In a namespace that may have one below it:
 * exhaust namespaces		asks for a second namespace 200 times: ENOSPC COUNT, and `room` once there is some
 */
#include "bpf.h"
#include "insn.h"
#include <linux/perf_event.h>
#include <pthread.h>

#define MOST 5000

static int fds[MOST];

static int open_event(struct perf_event_attr attr)
{
	attr.size = sizeof(attr);
	return syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
}

static void open_all(const char *name, struct perf_event_attr attr)
{
	for (int round = 0; round < 2; round++) {
		int count = 0, error;

		while (count < MOST && (fds[count] = open_event(attr)) >= 0)
			count++;
		error = errno;
		printf("%s %d %s%s", name, count, strerrorname_np(error), round ? "\n" : ", ");
		while (count > 0)
			close(fds[--count]);
	}
}

static void events(int tracepoint)
{
	struct perf_event_attr timer = { .type = PERF_TYPE_SOFTWARE, .freq = 1 };

	open_all("tracepoint",
		 (struct perf_event_attr){ .type = PERF_TYPE_TRACEPOINT, .config = tracepoint });
	timer.sample_freq = 99;
	open_all("timer", timer);
	timer.sample_freq = 8000;
	open_all("fast-timer", timer);
	open_all("output", (struct perf_event_attr){ .type = PERF_TYPE_SOFTWARE,
						     .config = PERF_COUNT_SW_BPF_OUTPUT });
}

static void load_all(void)
{
	struct bpf_insn code[] = { MOV(0, 0), EXIT };
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_TRACEPOINT,
				.insns = (uintptr_t)code,
				.insn_cnt = 2,
				.license = (uintptr_t) "GPL" };
	int count = 0;

	while (count < MOST && bpf(BPF_PROG_LOAD, &attr) >= 0)
		count++;
	printf("%d %s\n", count, strerrorname_np(errno));
}

/* A program whose loop goes round so often in the verifier. */
static int load_with_loop(int rounds)
{
	struct bpf_insn code[] = { MOV(1, 0), ADD(1, 1),
				   INSN(BPF_JMP | BPF_JLT | BPF_K, 1, 0, -2, rounds), MOV(0, 0),
				   EXIT };
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_TRACEPOINT,
				.insns = (uintptr_t)code,
				.insn_cnt = sizeof(code) / sizeof(code[0]),
				.license = (uintptr_t) "GPL" };
	int fd = bpf(BPF_PROG_LOAD, &attr);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

#define THREADS 100

/* The first takes half a second at least, in which the others come to wait. */
static void *load_slowly(void *result)
{
	*(int *)result = load_with_loop(450000);
	return NULL;
}

static void *load_quickly(void *result)
{
	*(int *)result = load_with_loop(1);
	return NULL;
}

static void load_at_once(void)
{
	int results[THREADS], loaded = 0, refused = 0;
	pthread_t threads[THREADS];

	pthread_create(&threads[0], NULL, load_slowly, &results[0]);
	usleep(20000);
	for (int i = 1; i < THREADS; i++)
		pthread_create(&threads[i], NULL, load_quickly, &results[i]);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		loaded += results[i] == 0;
		refused += results[i] == ENOMEM;
	}
	printf("loaded %d, ENOMEM %d, others %d\n", loaded, refused, THREADS - loaded - refused);
}

#define CALLS 200

/* It has had no room 200 times in a row; there is some once the first has ended. */
static int ask_for_more(void)
{
	pid_t child = clone_in_namespace(0);
	int refused = 0;

	if (child == 0)
		pause();
	if (child < 0)
		return 1;
	for (int i = 0; i < CALLS; i++)
		refused += syscall(SYS_unshare, NEWBPF) && errno == ENOSPC;
	printf("ENOSPC %d\n", refused);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	while (syscall(SYS_unshare, NEWBPF)) {
		if (errno != ENOSPC)
			return 1;
		usleep(10000);
	}
	printf("room\n");
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(what, "events") && argc > 2) {
		events(atoi(argv[2]));
	} else if (!strcmp(what, "programs")) {
		int together[2];
		pid_t child;
		char end;

		if (pipe(together))
			return 1;
		child = clone_in_namespace(0);
		if (child < 0)
			return 1;
		if (child == 0) {
			load_all();
			close(together[1]);
			/* Its programs live as long as it does. */
			pause();
		}
		close(together[1]);
		if (read(together[0], &end, 1) != 0)
			return 1;
		load_all();
		kill(child, SIGKILL);
	} else if (!strcmp(what, "namespaces")) {
		return ask_for_more();
	} else if (!strcmp(what, "loads")) {
		load_at_once();
	} else {
		return 2;
	}
	return 0;
}
