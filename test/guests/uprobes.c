/*
 * Links an uprobe_multi program to a place in a file, for this process alone, and prints what info
 * shows of the link: from its root directory, from the directory of the file as root, and from one
 * that the file is not in.
 *
 *   uprobes DIRECTORY   the file is DIRECTORY/bin/file; there is a DIRECTORY/empty
 */
#define _GNU_SOURCE
#include "guest.h"

/* Newer than some headers. */
#define TRACE_UPROBE_MULTI ((enum bpf_attach_type)48)

/* The part of union bpf_attr for BPF_LINK_CREATE. */
struct uprobe_link {
	uint32_t prog_fd, target, attach_type, flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t count, uprobe_flags, pid, path_fd;
};

/* struct bpf_link_info of such a link. */
struct info {
	uint32_t type, id, prog_id, unused;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t path_size, count, flags, pid;
};

static int link_to(const char *file)
{
	uint64_t offset = 0;
	struct uprobe_link attr = {
		.prog_fd = load_program(BPF_PROG_TYPE_KPROBE, TRACE_UPROBE_MULTI, "trivial", -1),
		.attach_type = TRACE_UPROBE_MULTI,
		.path = (uintptr_t)file,
		.offsets = (uintptr_t)&offset,
		.count = 1,
		.pid = getpid(),
	};

	return must(syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr)), "link");
}

/* Asks for the path, with room for so many bytes, and for the offsets of so many places. */
static void show(int link, int has_path, uint32_t room, int has_offsets, uint32_t count)
{
	char path[8192] = "untouched";
	uint64_t offsets[4] = {};
	struct info info = { .path = has_path ? (uintptr_t)path : 0,
			     .path_size = room,
			     .offsets = has_offsets ? (uintptr_t)offsets : 0,
			     .count = count };
	union bpf_attr attr = {
		.info = { .bpf_fd = link, .info_len = sizeof(info), .info = (uintptr_t)&info }
	};
	int failed = bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);

	printf("%s path in %u, %s %u: %s, ", has_path ? "a" : "no", room,
	       has_offsets ? "offsets" : "no offsets", count, failed ? strerror(errno) : "ok");
	printf("'%s' of %u, %u places, %s process\n", path, info.path_size, info.count,
	       info.pid == (uint32_t)getpid() ? "this" :
	       info.pid			      ? "another" :
						"no");
}

static void show_all(const char *from, int link)
{
	printf("from %s\n", from);
	show(link, 0, 0, 0, 0);
	for (uint32_t room = 1; room < 64; room++)
		show(link, 1, room, 0, 0);
	show(link, 1, 4096, 1, 1);
	show(link, 1, 8192, 1, 4);
	show(link, 1, 8192, 1, 0);
	show(link, 1, 1, 1, 0);
	show(link, 1, 0, 0, 0);
	show(link, 0, 4096, 0, 0);
}

int main(int argc, char **argv)
{
	char file[4096], empty[4096];
	int link;

	if (argc != 2)
		return 2;
	snprintf(file, sizeof(file), "%s/bin/file", argv[1]);
	snprintf(empty, sizeof(empty), "%s/empty", argv[1]);
	link = link_to(file);
	show_all("the root", link);
	must(chroot(argv[1]), "chroot");
	show_all("the directory", link);
	must(chdir("/empty"), "chdir");
	must(chroot("."), "chroot");
	show_all("elsewhere", link);
	return 0;
}
