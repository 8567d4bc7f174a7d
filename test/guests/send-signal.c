/*
 * send-signal PID: a tracing program kills this process, whose it may be, at its next system call.
 * Prints "kill ERRNO" for kill(2), "load ERRNO FIRST-LINE-OF-LOG" and "attach ERRNO", then "ready", and
 * ends with the end of its input.
 */
#include "load.h"
#include <signal.h>

/* Of a task that runs, bpf_get_current_pid_tgid() gives the pid in the upper half. */
static int load_killer(int pid)
{
	struct bpf_insn code[] = { CALL(BPF_FUNC_get_current_pid_tgid),
				   INSN(BPF_ALU64 | BPF_RSH | BPF_K, 0, 0, 0, 32),
				   MOV(1, SIGKILL),
				   INSN(BPF_JMP | BPF_JNE | BPF_K, 0, 0, 1, pid),
				   CALL(BPF_FUNC_send_signal),
				   MOV(0, 0),
				   EXIT };
	union bpf_attr attr;

	prepare_load(&attr, BPF_PROG_TYPE_RAW_TRACEPOINT, code, sizeof(code) / sizeof(*code));
	return bpf(BPF_PROG_LOAD, &attr);
}

int main(int argc, char **argv)
{
	int pid = argc > 1 ? atoi(argv[1]) : 0, prog;
	union bpf_attr attr = { .raw_tracepoint.name = (uintptr_t) "sys_enter" };

	if (pid <= 1)
		return 1;
	printf("kill %d\n", kill(pid, SIGKILL) ? errno : 0);
	prog = load_killer(pid);
	log_text[strcspn(log_text, "\n")] = 0;
	printf("load %d %s\n", prog < 0 ? errno : 0, prog < 0 ? log_text : "");
	attr.raw_tracepoint.prog_fd = prog;
	printf("attach %d\n", bpf(BPF_RAW_TRACEPOINT_OPEN, &attr) < 0 ? errno : 0);
	printf("ready\n");
	fflush(stdout);
	getchar();
	return 0;
}
