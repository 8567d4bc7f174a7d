/*
 * oci-listener SOCKET ERRNO: the least an OCI seccomp agent can be. Takes listeners from
 * container runtimes, answers every call it is handed with ERRNO (clone3: runs it), and says so:
 *   state {...}       the process state a runtime sent, blanks and newlines taken out
 *   call AUDIT_ARCH NUMBER COMMAND
 *   gone              nothing has the filter of a listener any more
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_FDS 64
#define MAX_STATE (1 << 20)

static int answer_errno;

static int die(const char *what)
{
	perror(what);
	exit(1);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (fd < 0 || bind(fd, (void *)&address, sizeof(address)) || listen(fd, 16))
		die(path);
	return fd;
}

/* The last byte of the JSON closes its last brace: runc before 1.2.7 leaves the connection open. */
static int is_complete(const char *text)
{
	int depth = 0;

	for (; *text; text++)
		depth += (*text == '{') - (*text == '}');
	return depth == 0;
}

static int receive_state(int connection)
{
	static char state[MAX_STATE];
	char control[CMSG_SPACE(16 * sizeof(int))];
	size_t length = 0;
	int listener = -1;

	do {
		struct iovec data = { state + length, sizeof(state) - 1 - length };
		struct msghdr message = { .msg_iov = &data,
					  .msg_iovlen = 1,
					  .msg_control = control,
					  .msg_controllen = sizeof(control) };
		ssize_t got = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);

		if (got <= 0)
			break;
		if (header && header->cmsg_type == SCM_RIGHTS)
			memcpy(&listener, CMSG_DATA(header), sizeof(listener));
		length += got;
		state[length] = 0;
	} while (!is_complete(state));
	printf("state ");
	for (char *c = state; *c; c++)
		if (*c != ' ' && *c != '\n')
			putchar(*c);
	putchar('\n');
	close(connection);
	return listener;
}

static void answer(int listener)
{
	struct seccomp_notif call = { 0 };
	struct seccomp_notif_resp response = { 0 };

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call))
		return;
	printf("call %#x %d %llu\n", call.data.arch, call.data.nr, call.data.args[0] & 0xffff);
	response.id = call.id;
	if (call.data.nr == SYS_clone3)
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else
		response.error = -answer_errno;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

int main(int argc, char **argv)
{
	struct pollfd fds[MAX_FDS];
	int count = 1;

	if (argc != 3)
		return 2;
	prctl(PR_SET_PDEATHSIG, 9);
	answer_errno = atoi(argv[2]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	fds[0] = (struct pollfd){ listen_at(argv[1]), POLLIN, 0 };
	printf("ready\n");
	for (;;) {
		poll(fds, count, -1);
		for (int i = count - 1; i > 0; i--) {
			if (fds[i].revents & POLLIN) {
				answer(fds[i].fd);
			} else if (fds[i].revents) {
				close(fds[i].fd);
				fds[i] = fds[--count];
				printf("gone\n");
			}
		}
		if (fds[0].revents && count < MAX_FDS) {
			int listener = receive_state(accept4(fds[0].fd, NULL, NULL, SOCK_CLOEXEC));

			if (listener >= 0)
				fds[count++] = (struct pollfd){ listener, POLLIN, 0 };
		}
	}
}
