/*
 * token [MODE]: what a caller may do with a BPF token from /sys/fs/bpf, and what it may list.
 *   context       what the kernel says if the caller makes a bpffs with delegation by itself
 *   hold          makes a map, says "ready", then answers "list" and "open ID" until its input ends
 *   ask SOCKET    what the agent says if it is given, as context of a bpffs, what is none, or one of
 *                 another user namespace, or the same one twice
 * Debian 12's headers are older than the token: numbers and offsets are those of Linux 6.9.
 */
#include "bpf.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "insn.h"

#define TOKEN_CREATE 36
#define F_TOKEN_FD (1U << 16)
#define MAP_TOKEN_FD 76
#define PROG_TOKEN_FD 144

#define SYS_FSOPEN 430
#define SYS_FSCONFIG 431
#define SET_STRING 1
#define CMD_CREATE 6

/* A structure of 6.9's size. */
union newer_attr {
	union bpf_attr attr;
	char bytes[256];
};

static void put(union newer_attr *attr, int offset, int value)
{
	memcpy(attr->bytes + offset, &value, sizeof(value));
}

static int call(int cmd, union newer_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int error_of(int result)
{
	return result < 0 ? errno : 0;
}

static int create_token(void)
{
	union newer_attr attr = {};
	int bpffs = open("/sys/fs/bpf", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	put(&attr, 4, bpffs);
	return call(TOKEN_CREATE, &attr);
}

static int map_by_token(int token, int type)
{
	union newer_attr attr = {
		.attr = { .map_type = type,
			  .key_size = 4,
			  .value_size = 4,
			  .max_entries = 1,
			  .map_flags = F_TOKEN_FD },
	};

	put(&attr, MAP_TOKEN_FD, token);
	return call(BPF_MAP_CREATE, &attr);
}

static int program_by_token(int token, int type)
{
	const struct bpf_insn code[] = { MOV(0, 0), EXIT };
	union newer_attr attr = {
		.attr = { .prog_type = type,
			  .insns = (uintptr_t)code,
			  .insn_cnt = 2,
			  .license = (uintptr_t) "GPL",
			  .prog_flags = F_TOKEN_FD },
	};

	put(&attr, PROG_TOKEN_FD, token);
	return call(BPF_PROG_LOAD, &attr);
}

static int program_id(int fd)
{
	struct bpf_prog_info info = {};
	union bpf_attr attr = {
		.info = { .bpf_fd = fd, .info_len = sizeof(info), .info = (uintptr_t)&info }
	};

	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) ? -1 : (int)info.id;
}

static void list(int cmd, const char *kind)
{
	union bpf_attr attr = {};

	printf("%ss:", kind);
	while (!bpf(cmd, &attr)) {
		printf(" %u", attr.next_id);
		attr.start_id = attr.next_id;
	}
	printf(" errno %d\n", errno);
}

/* It counts for the whole machine, and cannot be delegated. */
static int enable_stats(void)
{
	union bpf_attr attr = { .enable_stats = { .type = BPF_STATS_RUN_TIME } };

	return bpf(BPF_ENABLE_STATS, &attr);
}

static int own_context(void)
{
	int context = syscall(SYS_FSOPEN, "bpf", 1);
	int set, made;

	set = error_of(syscall(SYS_FSCONFIG, context, SET_STRING, "delegate_cmds", "any", 0));
	made = error_of(syscall(SYS_FSCONFIG, context, CMD_CREATE, NULL, NULL, 0));
	printf("delegate errno %d, create errno %d\n", set, made);
	return 0;
}

/* Sends the agent a request to delegate, and prints the errno that it answers with. */
static void ask(const char *path, const char *what, int context)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int agent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[1024] = {};
	int length;

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (connect(agent, (struct sockaddr *)&address, sizeof(address)))
		exit(2);
	length = snprintf(text, sizeof(text),
			  "{\"version\":1,\"op\":\"delegate\",\"context\":%d,\"what\":\"any\"}\n",
			  context);
	if (write(agent, text, length) != length)
		exit(2);
	memset(text, 0, sizeof(text));
	if (read(agent, text, sizeof(text) - 1) <= 0)
		exit(2);
	char *code = strstr(text, "\"code\":\"");
	printf("%s: %s\n", what, code ? strtok(code + 8, "\"") : "delegated");
	close(agent);
}

/* A context that was made in a user namespace below this one, which has ended since. */
static int foreign_context(void)
{
	pid_t pid = clone_with(CLONE_FILES, SIGCHLD);

	if (!pid) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
			_exit(0);
		_exit(syscall(SYS_FSOPEN, "bpf", 1));
	}
	return status_of(pid);
}

static int ask_all(const char *path)
{
	int context = syscall(SYS_FSOPEN, "bpf", 1);

	ask(path, "a pipe", STDOUT_FILENO);
	ask(path, "a context of tmpfs", syscall(SYS_FSOPEN, "tmpfs", 1));
	ask(path, "a context of ext4", syscall(SYS_FSOPEN, "ext4", 1));
	ask(path, "a context of another user namespace", foreign_context());
	ask(path, "no fd", 999);
	ask(path, "its own context", context);
	ask(path, "its own context again", context);
	return 0;
}

static int hold(void)
{
	char line[64];

	if (map_by_token(create_token(), BPF_MAP_TYPE_ARRAY) < 0)
		return 1;
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (!strncmp(line, "open ", 5))
			printf("open errno %d\n", error_of(open_map(atoi(line + 5))));
		else
			list(BPF_MAP_GET_NEXT_ID, "map");
		puts("done");
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int token, map, program;

	if (argc > 1 && !strcmp(argv[1], "hold"))
		return hold();
	if (argc > 1)
		return argc > 2 ? ask_all(argv[2]) : own_context();
	token = create_token();
	printf("token errno %d\n", error_of(token));
	printf("map without token errno %d\n", error_of(create_map()));
	map = map_by_token(token, BPF_MAP_TYPE_ARRAY);
	printf("array by token errno %d id %d\n", error_of(map), map_id(map));
	printf("hash by token errno %d\n", error_of(map_by_token(token, BPF_MAP_TYPE_HASH)));
	program = program_by_token(token, BPF_PROG_TYPE_SOCKET_FILTER);
	printf("socket filter by token errno %d id %d\n", error_of(program), program_id(program));
	printf("xdp by token errno %d\n", error_of(program_by_token(token, BPF_PROG_TYPE_XDP)));
	printf("enable stats errno %d\n", error_of(enable_stats()));
	printf("open map 1 errno %d\n", error_of(open_map(1)));
	list(BPF_MAP_GET_NEXT_ID, "map");
	list(BPF_PROG_GET_NEXT_ID, "program");
	fflush(stdout);
	if (!clone_in_namespace(0)) {
		map = map_by_token(token, BPF_MAP_TYPE_ARRAY);
		printf("nested map id %d\n", map_id(map));
		exit(0);
	}
	wait(NULL);
	list(BPF_MAP_GET_NEXT_ID, "map");
	return 0;
}
