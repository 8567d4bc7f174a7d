/*
 * burst N: makes N maps without a trapped call between, then opens each by its id, from the
 * last one down; prints how many could be opened.
 */
#include <sys/resource.h>

#include "bpf.h"

int main(int argc, char **argv)
{
	const int count = argc > 1 ? atoi(argv[1]) : 0;
	struct rlimit limit;
	int opened = 0;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 1;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return 1;
	for (int i = 0; i < count; i++)
		if (create_map() < 0)
			return 1;
	for (int id = count; id > 0; id--) {
		int fd = open_map(id);

		opened += fd >= 0;
		close(fd);
	}
	printf("%d\n", opened);
	return 0;
}
