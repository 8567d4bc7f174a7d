/*
 * sweep ALL MAPS PROGS LINKS BTFS: tries every id from 0 to ALL of all four kinds, and of each
 * kind those from the first to the last number of its argument "FROM-TO", by GET_FD_BY_ID and by GET_NEXT_ID from there, and prints what it found, once each:
 * "fd map 1" and "next map 1". BTF of the kernel, which all may see, is left out. Errors
 * other than ENOENT are printed too.
 */
#include "guest.h"

static const struct kind {
	const char *name;
	int get_fd, get_next;
} kinds[] = {
	{ "map", BPF_MAP_GET_FD_BY_ID, BPF_MAP_GET_NEXT_ID },
	{ "prog", BPF_PROG_GET_FD_BY_ID, BPF_PROG_GET_NEXT_ID },
	{ "link", BPF_LINK_GET_FD_BY_ID, BPF_LINK_GET_NEXT_ID },
	{ "btf", BPF_BTF_GET_FD_BY_ID, BPF_BTF_GET_NEXT_ID },
};

static int is_kernel_btf(const struct kind *kind, int fd)
{
	struct bpf_btf_info info = {};
	union bpf_attr attr = {
		.info = { .bpf_fd = fd, .info_len = sizeof(info), .info = (uintptr_t)&info }
	};

	if (kind->get_fd != BPF_BTF_GET_FD_BY_ID)
		return 0;
	must(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr), "info");
	return info.kernel_btf;
}

static int open_by_id(const struct kind *kind, uint32_t id)
{
	union bpf_attr attr = { .map_id = id };

	return bpf(kind->get_fd, &attr);
}

static void try_fd(const struct kind *kind, uint32_t id)
{
	int fd = open_by_id(kind, id);

	if (fd < 0) {
		if (errno != ENOENT)
			printf("fd %s %u: %m\n", kind->name, id);
		return;
	}
	if (!is_kernel_btf(kind, fd))
		printf("fd %s %u\n", kind->name, id);
	close(fd);
}

static void try_next(const struct kind *kind, uint32_t start, uint32_t *last)
{
	union bpf_attr attr = { .start_id = start };
	int fd;

	if (bpf(kind->get_next, &attr) < 0) {
		if (errno != ENOENT)
			printf("next %s %u: %m\n", kind->name, start);
		return;
	}
	if (attr.next_id == *last)
		return;
	*last = attr.next_id;
	fd = open_by_id(kind, *last);
	if (fd < 0 || !is_kernel_btf(kind, fd))
		printf("next %s %u\n", kind->name, *last);
	if (fd >= 0)
		close(fd);
}

static void try_range(const struct kind *kind, uint32_t from, uint32_t to, uint32_t *last)
{
	for (uint32_t id = from; id <= to; id++) {
		try_fd(kind, id);
		try_next(kind, id, last);
	}
}

int main(int argc, char **argv)
{
	uint32_t all = argc > 5 ? atoi(argv[1]) : 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint32_t last = 0, from = 0, to = 0;

		try_range(&kinds[i], 0, all, &last);
		if (argc > 5 && sscanf(argv[2 + i], "%u-%u", &from, &to) == 2)
			try_range(&kinds[i], from > all ? from : all + 1, to, &last);
	}
	return 0;
}
