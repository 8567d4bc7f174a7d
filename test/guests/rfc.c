/*
 * As a program for the RFC's kernel is written: a map, then a child in a BPF namespace of
 * its own, whose first map has id 1 there. It knows nothing of bpfns. Exit status 0: it holds.
 */
#include "bpf.h"

#define CHECK(condition)                                                                         \
	do {                                                                                     \
		if (!(condition)) {                                                              \
			fprintf(stderr, "line %d: %s does not hold: %s\n", __LINE__, #condition, \
				strerror(errno));                                                \
			exit(1);                                                                 \
		}                                                                                \
	} while (0)

int main(void)
{
	struct clone_args args = { .flags = 0x400000000ULL, .exit_signal = SIGCHLD };
	int mine = create_map();

	CHECK(mine >= 0);
	CHECK(map_id(mine) == 1);
	pid_t child = syscall(SYS_clone3, &args, sizeof(args));
	CHECK(child >= 0);
	if (child == 0) {
		int its = create_map();

		CHECK(its >= 0);
		CHECK(map_id(its) == 1);
		CHECK(map_id(mine) == 0);
		CHECK(next_map(0) == 1);
		CHECK(next_map(1) == -1 && errno == ENOENT);
		exit(0);
	}
	CHECK(status_of(child) == 0);
	CHECK(map_id(mine) == 1);
	return 0;
}
