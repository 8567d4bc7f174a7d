/*
 * Makes a map, then lists every map that it can see, as `bpftool map list` does.
 *
 *     cc -o list-maps examples/list-maps.c
 *     bpfns run -- ./list-maps
 *
 * On the host this needs CAP_SYS_ADMIN and lists the maps of the whole machine. In a namespace
 * CAP_BPF is enough; it lists its own map, as number 1, and nothing else.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int make_map(const char *name)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_HASH,
		.key_size = 4,
		.value_size = 8,
		.max_entries = 16,
	};

	strncpy(attr.map_name, name, sizeof(attr.map_name) - 1);
	return bpf(BPF_MAP_CREATE, &attr);
}

static int print_map(uint32_t id)
{
	struct bpf_map_info info = {};
	union bpf_attr by_id = { .map_id = id };
	int fd = bpf(BPF_MAP_GET_FD_BY_ID, &by_id);
	union bpf_attr attr = {
		.info = { .bpf_fd = fd, .info_len = sizeof(info), .info = (uintptr_t)&info }
	};

	if (fd < 0)
		return errno == ENOENT ? 0 : -1; /* it ended since its id was read */
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) < 0) {
		close(fd);
		return -1;
	}
	printf("map %u: %s\n", info.id, info.name);
	return close(fd);
}

int main(void)
{
	union bpf_attr attr = {};

	if (make_map("example") < 0) {
		perror("making a map (needs CAP_BPF)");
		return 1;
	}
	while (!bpf(BPF_MAP_GET_NEXT_ID, &attr)) {
		if (print_map(attr.next_id)) {
			perror("opening a map by its id");
			return 1;
		}
		attr.start_id = attr.next_id;
	}
	if (errno != ENOENT) { /* ENOENT: there is none with a greater id */
		perror("listing maps (needs CAP_SYS_ADMIN on the host, CAP_BPF in a namespace)");
		return 1;
	}
	return 0;
}
