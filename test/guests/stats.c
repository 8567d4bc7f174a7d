/*
 * Enables run statistics and runs a program. Prints "enabled" and whether the run was counted, and after
 * closing the fd "closed"; or the error. Then, with an unknown type, the error.
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

int main(void)
{
	int stats = enable(BPF_STATS_RUN_TIME);

	if (stats < 0) {
		printf("%s\n", strerrorname_np(errno));
	} else {
		int prog = load_program(BPF_PROG_TYPE_SOCKET_FILTER, 0, "counted", -1);

		run_program(prog);
		printf("enabled, %s\n", runs(prog) ? "counted" : "not counted");
		close(stats);
	}
	printf("unknown type: %s\n", enable(7) < 0 ? strerrorname_np(errno) : "enabled");
	return 0;
}
