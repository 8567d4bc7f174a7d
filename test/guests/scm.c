/*
 * scm give SOCKET: makes a map, a program that uses it, a link and a BTF, and hands their fds
 * to whoever connects.
 * scm take SOCKET: receives them and prints what they are good for and which ids they show.
 */
#include <linux/btf.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "guest.h"

enum { MAP, PROG, LINK, BTF, FDS };

static int load_btf(void)
{
	struct {
		struct btf_header header;
		struct btf_type number;
		__u32 encoding;
		char strings[8];
	} blob = {
		.header = { .magic = BTF_MAGIC,
			    .version = BTF_VERSION,
			    .hdr_len = sizeof(struct btf_header),
			    .type_len = 16,
			    .str_off = 16,
			    .str_len = 5 },
		.number = { .name_off = 1, .info = BTF_KIND_INT << 24, .size = 4 },
		.encoding = 32,
		.strings = "\0int",
	};
	union bpf_attr attr = { .btf = (uintptr_t)&blob, .btf_size = sizeof(blob) - 3 };

	return must(bpf(BPF_BTF_LOAD, &attr), "BTF");
}

/* Room for the fds, aligned as the macros want it. */
union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(FDS * sizeof(int))];
};

static struct msghdr message_with(struct iovec *data, union control *control)
{
	return (struct msghdr){ .msg_iov = data,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(*control) };
}

static void give(int listener)
{
	int fds[FDS] = { [MAP] = create_map(BPF_MAP_TYPE_HASH, "outside", 0), [BTF] = load_btf() };
	union bpf_attr attr = { .raw_tracepoint = { .name = (uintptr_t) "sched_process_exit" } };
	union control control = {};
	struct iovec data = { "x", 1 };
	struct msghdr message = message_with(&data, &control);

	must(update_map(fds[MAP], 1, 42), "update");
	fds[PROG] = load_program(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, "outside", fds[MAP]);
	attr.raw_tracepoint.prog_fd = fds[PROG];
	fds[LINK] = must(bpf(BPF_RAW_TRACEPOINT_OPEN, &attr), "link");
	control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(fds)),
					   .cmsg_level = SOL_SOCKET,
					   .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	printf("ready\n");
	fflush(stdout);
	must(sendmsg(must(accept(listener, NULL, NULL), "accept"), &message, 0), "sendmsg");
	/* Until stdin ends, so that what was handed over is not all that is left. */
	must(read(0, &attr, 1), "stdin");
}

static void take(int sock)
{
	union control control = {};
	char byte;
	struct iovec data = { &byte, 1 };
	struct msghdr message = message_with(&data, &control);
	uint32_t key = 1, value = 0, map_ids[4] = { ~0u };
	struct bpf_prog_info info = { .nr_map_ids = 4, .map_ids = (uintptr_t)map_ids };
	union bpf_attr attr = { .key = (uintptr_t)&key, .value = (uintptr_t)&value };
	int fds[FDS];

	must(recvmsg(sock, &message, 0), "recvmsg");
	memcpy(fds, CMSG_DATA(&control.header), sizeof(fds));
	attr.map_fd = fds[MAP];
	must(bpf(BPF_MAP_LOOKUP_ELEM, &attr), "lookup");
	printf("value %u\n", value);
	must(update_map(fds[MAP], 1, 43), "update");
	printf("map %u\nprog %u\nlink %u\nbtf %u\n", id_of(fds[MAP], 0), id_of(fds[PROG], 0),
	       id_of(fds[LINK], 0), id_of(fds[BTF], 1));
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = fds[PROG];
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	must(bpf(BPF_OBJ_GET_INFO_BY_FD, &attr), "info");
	printf("the program's maps: %u, the first is %u\n", info.nr_map_ids, map_ids[0]);
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");

	if (argc != 3)
		return 2;
	strncpy(address.sun_path, argv[2], sizeof(address.sun_path) - 1);
	if (strcmp(argv[1], "give") == 0) {
		must(bind(sock, (struct sockaddr *)&address, sizeof(address)), "bind");
		must(chmod(argv[2], 0666), "chmod");
		must(listen(sock, 1), "listen");
		give(sock);
	} else {
		must(connect(sock, (struct sockaddr *)&address, sizeof(address)), "connect");
		take(sock);
	}
	return 0;
}
