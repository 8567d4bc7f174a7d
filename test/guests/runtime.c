/*
 * runtime SOCKET PID ID...: the seccomp part of an OCI runtime. Puts itself under a filter that hands
 * bpf(2) over, and sends the listener with the state of a container, once for each ID. PID is what it
 * says of its process: a number, or "self". Then prints what BPF_MAP_GET_NEXT_ID gives.
 *   runtime SOCKET hold ID   says "ready" after that, and until its input ends, sends the listener once
 *                            more under each ID that it reads, and prints again what the call gives
 */
#include "bpf.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static int die(const char *what)
{
	perror(what);
	exit(2);
}

static int install_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("no_new_privs");
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
		       &program);
}

static void send_state(const char *path, int listener, int pid, const char *id)
{
	char text[512], control[CMSG_SPACE(sizeof(int))] = {};
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct iovec data = { text, 0 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int agent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (connect(agent, (struct sockaddr *)&address, sizeof(address)))
		die("connect");
	data.iov_len = snprintf(text, sizeof(text),
				"{\"fds\":[\"seccompFd\"],\"pid\":%d,\"state\":{\"id\":\"%s\"}}",
				pid, id);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &listener, sizeof(listener));
	if (sendmsg(agent, &message, 0) < 0)
		die("sendmsg");
	/* The agent closes the connection when it has decided, perhaps before it has read all. */
	if (read(agent, text, sizeof(text)) < 0 && errno != ECONNRESET)
		die("read");
	close(agent);
}

static void print_next_map(void)
{
	printf("next map errno %d\n", next_map(0) < 0 ? errno : 0);
}

static int hold(const char *path, int listener)
{
	char id[64];

	puts("ready");
	fflush(stdout);
	while (fgets(id, sizeof(id), stdin)) {
		id[strcspn(id, "\n")] = 0;
		send_state(path, listener, getpid(), id);
		print_next_map();
		puts("done");
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int listener = install_filter();

	if (argc < 4 || listener < 0)
		die("filter");
	for (int i = 3; i < argc; i++)
		send_state(argv[1], listener, atoi(argv[2]) ? atoi(argv[2]) : getpid(), argv[i]);
	if (!strcmp(argv[2], "hold"))
		return hold(argv[1], listener);
	close(listener);
	print_next_map();
	return 0;
}
