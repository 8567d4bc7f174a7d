/*
 * busy [MAPS [CHILDREN]]: creates so many maps (default 1) and loads a program, then obeys its
 * stdin, a word and a number a line: 'run N' runs the program N times, 'list N' asks N times for the
 * first map's id. Each is answered with 'done'. Ends with its input. Before that it makes as many
 * children, each in a namespace of its own, with as many maps and a program.
 */
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "guest.h"

static void run(int prog, unsigned int times)
{
	unsigned char packet[64] = {};
	union bpf_attr attr = {};

	attr.test.prog_fd = prog;
	attr.test.data_in = (uintptr_t)packet;
	attr.test.data_size_in = sizeof(packet);
	attr.test.repeat = times;
	must(bpf(BPF_PROG_TEST_RUN, &attr), "run");
}

static void list(void)
{
	union bpf_attr attr = {};

	must(bpf(BPF_MAP_GET_NEXT_ID, &attr), "list");
}

/* Creates maps and a program, whose fd it returns; all stay open. */
static int create(int maps)
{
	for (int i = 0; i < maps; i++)
		create_map(BPF_MAP_TYPE_ARRAY, "busy", 0);
	return load_program(BPF_PROG_TYPE_SOCKET_FILTER, 0, "busy", -1);
}

/* A child in a namespace of its own, until we end. */
static void start_child(int maps)
{
	struct clone_args args = { .flags = 0x400000000, .exit_signal = SIGCHLD };
	int pid = must(syscall(SYS_clone3, &args, sizeof(args)), "clone3");

	if (pid > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	create(maps);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int maps = argc > 1 ? atoi(argv[1]) : 1;
	int children = argc > 2 ? atoi(argv[2]) : 0;
	struct rlimit files = { .rlim_cur = maps + 64, .rlim_max = maps + 64 };
	char word[16];
	unsigned int number;

	/* Where the limit is lower and may not be raised, creation tells. */
	setrlimit(RLIMIT_NOFILE, &files);
	for (int i = 0; i < children; i++)
		start_child(maps);
	int prog = create(maps);

	puts("ready");
	fflush(stdout);
	while (scanf("%15s %u", word, &number) == 2) {
		if (strcmp(word, "run") == 0)
			run(prog, number);
		else
			for (unsigned int i = 0; i < number; i++)
				list();
		puts("done");
		fflush(stdout);
	}
	return 0;
}
