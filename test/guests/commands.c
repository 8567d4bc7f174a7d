/*
 * commands [LAST]: makes every bpf(2) command up to LAST with an empty attr, in each of the
 * system call ABIs of this machine, and prints the outcome: ABI COMMAND ERRNO, a line each.
 * No memory is passed, so all of them fail; how tells who answered. At last clone3(2), as invalid.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define NR_BPF_I386 357
#define X32_BIT 0x40000000

/* Returns -errno, unlike syscall(2). */
static long native(long number, long command)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(command), "S"(0L), "d"(0L)
			 : "rcx", "r11", "memory");
	return result;
}

static long i386(long number, long command)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(command), "c"(0L), "d"(0L)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

static void show(const char *abi, long command, long result)
{
	printf("%s %ld %s\n", abi, command, result < 0 ? strerrorname_np((int)-result) : "ok");
}

int main(int argc, char **argv)
{
	long last = argc > 1 ? atol(argv[1]) : 36;
	/* Bits that the kernel drops, and one that newer kernels take for a flag. */
	long junk = (7L << 32) | (1L << 16);

	for (long command = 0; command <= last; command++) {
		show("x86-64", command, native(SYS_bpf, command));
		show("junk", command, native(SYS_bpf, command | junk));
		show("x32", command, native(X32_BIT | SYS_bpf, command));
		show("i386", command, i386(NR_BPF_I386, command));
	}
	/* Too small to be looked at, whoever answers. */
	printf("x86-64 clone3 %s\n", strerrorname_np(-(int)native(SYS_clone3, 0)));
	return 0;
}
