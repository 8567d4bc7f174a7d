/* with-pin PATH VARIABLE CMD ARG...: becomes CMD with the pinned object open; VARIABLE has the fd's number. */
#include "guest.h"

int main(int argc, char **argv)
{
	union bpf_attr attr = { .pathname = (uintptr_t)argv[1] };
	char number[16];

	if (argc < 4)
		return 2;
	/* The fd is close-on-exec, a copy is not. */
	snprintf(number, sizeof(number), "%d",
		 must(dup(must(bpf(BPF_OBJ_GET, &attr), argv[1])), "dup"));
	setenv(argv[2], number, 1);
	execvp(argv[3], argv + 3);
	return must(-1, argv[3]);
}
