/*
 * Runs a command under the responders' filter, for a responder that is not in C: tells the number of
 * the listener on fd 3, and waits there until the responder has taken it. Usage: filtered CMD ARG...
 */
#define _GNU_SOURCE
#include "listener.h"

int main(int argc, char **argv)
{
	int listener = argc < 2 ? -1 : install_filter();
	char taken;

	if (listener < 0 || fcntl(listener, F_SETFD, FD_CLOEXEC) ||
	    write(3, &listener, sizeof(listener)) != sizeof(listener) || read(3, &taken, 1) != 1)
		return 125;
	close(3);
	execvp(argv[1], argv + 1);
	return 127;
}
