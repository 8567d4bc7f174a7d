/*
 * query: asks which programs are attached to its network namespace. What the kernel writes of attr is
 * in the last writable bytes, what it does not is in a page that can only be read. Prints the outcome.
 */
#include "bpf.h"

#include <err.h>
#include <fcntl.h>
#include <sys/mman.h>

/* Of query.revision (6.6), which the kernel writes for some attach types only. */
#define REVISION 56

int main(void)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	const size_t size = REVISION + sizeof(__u64);
	/* Shared: root writes to read-only private memory through /proc/PID/mem, but not to this. */
	char *memory =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	union bpf_attr attr = { .query.attach_type = BPF_FLOW_DISSECTOR };
	char *at;

	if (memory == MAP_FAILED)
		err(1, "mmap");
	attr.query.target_fd = open("/proc/self/ns/net", O_RDONLY);
	at = memory + page - REVISION;
	memcpy(at, &attr, size);
	if (mprotect(memory + page, page, PROT_READ))
		err(1, "mprotect");
	if (syscall(SYS_bpf, BPF_PROG_QUERY, at, size) < 0)
		printf("%s\n", strerrorname_np(errno));
	else
		printf("%u programs\n", ((union bpf_attr *)at)->query.prog_cnt);
	return 0;
}
