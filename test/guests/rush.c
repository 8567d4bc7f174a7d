/*
 * rush MAPS FORKS READERS: eight processes, each in a namespace of its own, create at once: MAPS maps
 * each, and one in each of FORKS children. All stay open. READERS processes read a large value all the
 * time, which keeps hooks from running where one of them is preempted. Prints "ready" when the maps are
 * there, and ends with the end of its input.
 */
#include "bpf.h"
#include <sys/mman.h>
#include <sys/prctl.h>

#define RUNNERS 8

/* A child that shares the table of fds makes a map. */
static void fork_once(void)
{
	pid_t child = clone_with(CLONE_FILES, SIGCHLD);

	if (!child)
		_exit(create_map() < 0);
	if (child < 0 || status_of(child))
		_exit(3);
}

static void run(int maps, int forks)
{
	int each = forks ? maps / forks : 0;

	for (int i = 0; i < forks; i++) {
		for (int j = 0; j < each; j++)
			if (create_map() < 0)
				_exit(2);
		fork_once();
	}
	for (int i = each * forks; i < maps; i++)
		if (create_map() < 0)
			_exit(2);
}

static void start_reader(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY,
				.key_size = 4,
				.value_size = 4 << 20,
				.max_entries = 1 };
	static char value[4 << 20];
	int key = 0;

	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	attr = (union bpf_attr){ .map_fd = bpf(BPF_MAP_CREATE, &attr),
				 .key = (uintptr_t)&key,
				 .value = (uintptr_t)value };
	while (!bpf(BPF_MAP_LOOKUP_ELEM, &attr))
		;
	_exit(6);
}

int main(int argc, char **argv)
{
	int *ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int input[2], failed = 0;

	if (argc < 4 || ready == MAP_FAILED || pipe(input))
		return 1;
	for (int i = 0; i < atoi(argv[3]); i++)
		start_reader();
	for (int i = 0; i < RUNNERS; i++) {
		pid_t child = clone_in_namespace(0);

		if (child < 0)
			return 1;
		if (child)
			continue;
		close(input[1]);
		run(atoi(argv[1]), atoi(argv[2]));
		__sync_fetch_and_add(ready, 1);
		if (read(input[0], &failed, 1))
			_exit(4);
		_exit(0);
	}
	while (*(volatile int *)ready < RUNNERS)
		if (waitpid(-1, &failed, WNOHANG) > 0)
			return failed >> 8 ?: 5;
		else
			usleep(20000);
	printf("ready\n");
	fflush(stdout);
	getchar();
	return 0;
}
