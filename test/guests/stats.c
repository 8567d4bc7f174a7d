/*
 * Enables run statistics and runs a program. Prints "enabled" and whether the run was counted, or the
 * error. Then, with an unknown type, the error. `stats keep` prints "ready" and keeps the fd until
 * its input ends; `stats count` only runs a program and prints whether that was counted.
 */
#define _GNU_SOURCE
#include "guest.h"

static unsigned long runs(int prog)
{
	struct bpf_prog_info info = {};
	union bpf_attr attr = {
		.info = { .bpf_fd = prog, .info_len = sizeof(info), .info = (uintptr_t)&info }
	};

	must(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr), "info");
	return info.run_cnt;
}

static void run_program(int prog)
{
	char packet[64] = {};
	union bpf_attr attr = { .test = { .prog_fd = prog,
					  .data_in = (uintptr_t)packet,
					  .data_size_in = sizeof(packet),
					  .repeat = 10 } };

	must(bpf(BPF_PROG_TEST_RUN, &attr), "run");
}

static int enable(unsigned type)
{
	union bpf_attr attr = { .enable_stats.type = type };

	return bpf(BPF_ENABLE_STATS, &attr);
}

static const char *run_counted(void)
{
	int prog = load_program(BPF_PROG_TYPE_SOCKET_FILTER, 0, "counted", -1);

	run_program(prog);
	return runs(prog) ? "counted" : "not counted";
}

int main(int argc, char **argv)
{
	int stats;

	if (argc == 2 && !strcmp(argv[1], "count")) {
		puts(run_counted());
		return 0;
	}
	stats = enable(BPF_STATS_RUN_TIME);
	if (argc == 2 && !strcmp(argv[1], "keep")) {
		must(stats, "enable");
		puts("ready");
		fflush(stdout);
		getchar();
		return 0;
	}
	if (stats < 0)
		printf("%s\n", strerrorname_np(errno));
	else
		printf("enabled, %s\n", run_counted());
	close(stats);
	printf("unknown type: %s\n", enable(7) < 0 ? strerrorname_np(errno) : "enabled");
	return 0;
}
