/*
 * "slow-close FILE" opens FILE, and passes the fd where a BPF object or a cgroup is expected, each time it reads
 * the name of a way from its input: prints the errno. Its file stays open.
 */
#include <fcntl.h>

#include "guest.h"

static int info(int fd)
{
	char info[64] = {};
	union bpf_attr attr = {
		.info = { .bpf_fd = fd, .info_len = sizeof(info), .info = (uintptr_t)info }
	};

	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
}

static int query(int fd)
{
	union bpf_attr attr = { .query = { .target_fd = fd,
					   .attach_type = BPF_CGROUP_INET_INGRESS } };

	return bpf(BPF_PROG_QUERY, &attr);
}

static int load(int fd)
{
	struct bpf_insn code[] = { LOAD_MAP(fd), RETURN(0) };
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_TRACEPOINT,
				.insns = (uintptr_t)code,
				.insn_cnt = sizeof(code) / sizeof(code[0]),
				.license = (uintptr_t) "GPL" };

	return bpf(BPF_PROG_LOAD, &attr);
}

int main(int argc, char **argv)
{
	char way[16];
	int fd;

	if (argc != 2)
		return 2;
	fd = must(open(argv[1], O_RDONLY | O_CLOEXEC), argv[1]);
	setlinebuf(stdout);
	puts("ready");
	while (scanf("%15s", way) == 1) {
		int result = way[0] == 'i' ? info(fd) : way[0] == 'q' ? query(fd) : load(fd);

		printf("%s errno %d\ndone\n", way, result < 0 ? errno : 0);
	}
	return 0;
}
