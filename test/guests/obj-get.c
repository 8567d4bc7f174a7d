/*
 * obj-get [OPTION]... PATH: opens a pin and prints the outcome: an errno's name, or "ok" and
 * whether the object, if it is a map, can be read and written.
 *   -c DIR  chroot there first   -d DIR  go there first    -u ID  become that user and group first
 *   -r, -w  read-only, write-only (both: both flags)       -x     with a flag that nobody knows
 *   -f DIR  relative to an fd of DIR                       -n     with a path_fd, but no flag for it
 *   -p      PATH by way of /proc/self/fd, from an O_PATH fd
 * PATH may be one of: @null, @unmapped, @endless (longer than any path may be), @edge:PATH
 * (its last byte is the last of a page, and the next is not mapped).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>

#include "guest.h"

#define LONG 8192

static const char *errno_name(int result)
{
	return result < 0 ? strerrorname_np(errno) : "ok";
}

/* Puts `text` right before an unmapped page. */
static uint64_t at_edge(const char *text)
{
	char *pages =
		mmap(NULL, 2 * LONG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = pages + LONG - strlen(text) - 1;

	munmap(pages + LONG, LONG);
	return (uintptr_t)strcpy(at, text);
}

static uint64_t pathname(const char *path)
{
	static char endless[LONG];

	if (strcmp(path, "@null") == 0)
		return 0;
	if (strcmp(path, "@unmapped") == 0)
		return 0x10000;
	if (strncmp(path, "@edge:", 6) == 0)
		return at_edge(path + 6);
	if (strcmp(path, "@endless") == 0)
		return (uintptr_t)memset(endless, '/', sizeof(endless) - 1);
	return (uintptr_t)path;
}

static const char *by_proc(const char *path)
{
	static char name[64];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", must(open(path, O_PATH), path));
	return name;
}

static void become(const char *id)
{
	must(setegid(atoi(id)), "setegid");
	must(seteuid(atoi(id)), "seteuid");
}

static void print_outcome(int fd)
{
	uint32_t key = 0, value;
	union bpf_attr attr = { .map_fd = fd, .key = (uintptr_t)&key, .value = (uintptr_t)&value };

	printf("%s", errno_name(fd));
	if (fd >= 0) {
		printf(", lookup %s", errno_name(bpf(BPF_MAP_LOOKUP_ELEM, &attr)));
		printf(", update %s", errno_name(update_map(fd, 0, 1)));
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	union bpf_attr attr = {};
	int option, proc = 0;

	while ((option = getopt(argc, argv, "c:d:u:rwxf:np")) >= 0) {
		switch (option) {
		case 'c':
			must(chroot(optarg), optarg);
			must(chdir("/"), "/");
			break;
		case 'd':
			must(chdir(optarg), optarg);
			break;
		case 'u':
			become(optarg);
			break;
		case 'r':
			attr.file_flags |= BPF_F_RDONLY;
			break;
		case 'w':
			attr.file_flags |= BPF_F_WRONLY;
			break;
		case 'x':
			attr.file_flags |= 1u << 31;
			break;
		case 'f':
			attr.file_flags |= 1u << 14; /* BPF_F_PATH_FD */
			/* fall through */
		case 'n':
			/* path_fd, which older headers do not have, is behind file_flags. */
			((int *)&attr)[4] = option == 'f' ? must(open(optarg, O_PATH), optarg) : 1;
			break;
		case 'p':
			proc = 1;
			break;
		default:
			return 2;
		}
	}
	if (optind != argc - 1)
		return 2;
	attr.pathname = pathname(proc ? by_proc(argv[optind]) : argv[optind]);
	print_outcome(bpf(BPF_OBJ_GET, &attr));
	return 0;
}
