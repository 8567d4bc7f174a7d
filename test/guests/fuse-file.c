/*
 * "fuse-file DIRECTORY FILE" mounts a file system at DIRECTORY that it serves itself. It has one file,
 * DIRECTORY/file, with the contents of FILE. Until its input ends. With "hold" as the third argument
 * it does not answer when the file is closed, so that close(2) waits for it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define ROOT FUSE_ROOT_ID
#define INSIDE 2

static int device, contents, holds;
static off_t size;

static void answer(const struct fuse_in_header *in, int error, const void *data, size_t length)
{
	struct fuse_out_header out = { .len = sizeof(out) + length,
				       .error = -error,
				       .unique = in->unique };
	struct iovec parts[] = { { &out, sizeof(out) }, { (void *)data, length } };

	if (writev(device, parts, length ? 2 : 1) < 0 && errno != ENOENT)
		perror("answer");
}

static struct fuse_attr attributes(uint64_t node)
{
	return (struct fuse_attr){ .ino = node,
				   .size = node == ROOT ? 0 : size,
				   .mode = node == ROOT ? S_IFDIR | 0755 : S_IFREG | 0755,
				   .nlink = 1 };
}

static void serve(const struct fuse_in_header *in, const void *request)
{
	static char buffer[1 << 17];

	switch (in->opcode) {
	case FUSE_INIT: {
		const struct fuse_init_in *init = request;
		struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION,
					     .minor = init->minor,
					     .max_readahead = init->max_readahead,
					     .max_write = 4096 };

		return answer(in, 0, &out, sizeof(out));
	}
	case FUSE_LOOKUP: {
		struct fuse_entry_out out = { .nodeid = INSIDE, .attr = attributes(INSIDE) };

		return strcmp(request, "file") ? answer(in, ENOENT, NULL, 0) :
						 answer(in, 0, &out, sizeof(out));
	}
	case FUSE_GETATTR: {
		struct fuse_attr_out out = { .attr = attributes(in->nodeid) };

		return answer(in, 0, &out, sizeof(out));
	}
	case FUSE_OPEN:
		return answer(in, 0, &(struct fuse_open_out){}, sizeof(struct fuse_open_out));
	case FUSE_STATFS:
		return answer(in, 0, &(struct fuse_statfs_out){}, sizeof(struct fuse_statfs_out));
	case FUSE_READ: {
		const struct fuse_read_in *read = request;
		size_t wanted = read->size < sizeof(buffer) ? read->size : sizeof(buffer);
		ssize_t length = pread(contents, buffer, wanted, read->offset);

		return answer(in, length < 0 ? EIO : 0, buffer, length < 0 ? 0 : length);
	}
	case FUSE_FLUSH:
		if (!holds)
			return answer(in, ENOSYS, NULL, 0);
		printf("process %u waits in close\n", in->pid);
		fflush(stdout);
		return;
	case FUSE_INTERRUPT:
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		return;
	default:
		return answer(in, ENOSYS, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	static char request[1 << 17];
	char options[128];
	struct stat status;

	if (argc < 3)
		return 2;
	holds = argc > 3;
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	contents = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (device < 0 || contents < 0 || fstat(contents, &status))
		return perror("open"), 1;
	size = status.st_size;
	snprintf(options, sizeof(options), "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other",
		 device);
	if (mount("fuse-file", argv[1], "fuse", MS_NOSUID | MS_NODEV, options))
		return perror("mount"), 1;
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd fds[] = { { device, POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 } };

		if (poll(fds, 2, -1) < 0 || fds[1].revents)
			break;
		if (read(device, request, sizeof(request)) <= 0)
			break;
		serve((struct fuse_in_header *)request, request + sizeof(struct fuse_in_header));
	}
	umount2(argv[1], MNT_DETACH);
	return 0;
}
