/*
 * callers MODE: makes trapped calls from an odd sort of caller and says "ok", or what went wrong.
 * A call is right if it tells that this program's first map has id 1.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int map = -1;
static atomic_int calls, wrong, interrupted;
static int may_be_interrupted;

/* As test/support/slowness.ts: pauses are stretched by it, and repetitions reduced. */
static int slowness(void)
{
	const char *text = getenv("BPFNS_TEST_SLOWNESS");

	return text && atoi(text) > 1 ? atoi(text) : 1;
}

static int times(int count)
{
	return count / slowness();
}

static void pause_us(int us)
{
	usleep(us * slowness());
}

static uint32_t id_of(int fd)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &length) ? 0 : info.id;
}

/* Without SA_RESTART a signal may interrupt a call that the agent has not taken yet: it is made again. */
#define AGAIN(call)                                              \
	({                                                       \
		int r_;                                          \
		do {                                             \
			errno = 0;                               \
			r_ = (call);                             \
			interrupted += r_ < 0 && errno == EINTR; \
		} while (r_ < 0 && errno == EINTR);              \
		r_;                                              \
	})

static int is_first(int fd)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);

	return AGAIN(bpf_obj_get_info_by_fd(fd, &info, &length)) == 0 && info.id == 1;
}

/* Three trapped calls: one writes to memory, one reads the fd table, one hands out an fd. */
static int check(void)
{
	uint32_t next = 0;
	int bad = 0, fd;

	bad |= AGAIN(bpf_map_get_next_id(0, &next)) || next != 1;
	bad |= !is_first(map);
	fd = AGAIN(bpf_map_get_fd_by_id(1));
	bad |= fd < 0;
	if (fd >= 0)
		close(fd);
	calls++;
	wrong += bad;
	return bad;
}

static void say(int bad)
{
	if (bad || wrong || (interrupted && !may_be_interrupted))
		printf("wrong: %d of %d, interrupted: %d\n", wrong, calls, interrupted);
	else
		printf("ok\n");
	fflush(stdout);
	_exit(0);
}

static int failed(int status)
{
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

static void *check_often(void *count)
{
	for (long i = 0; i < (long)count; i++)
		check();
	return NULL;
}

static void non_leader(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, check_often, (void *)100);
	pthread_join(thread, NULL);
	say(calls != 100);
}

static void *outlive(void *unused)
{
	char state = 0;

	/* Until the leader is a zombie. */
	for (time_t end = time(NULL) + 30; state != 'Z' && time(NULL) < end;) {
		char path[64], line[256] = "";
		snprintf(path, sizeof(path), "/proc/self/stat");
		int fd = open(path, O_RDONLY);
		if (read(fd, line, sizeof(line) - 1) > 0)
			state = *(strrchr(line, ')') + 2);
		close(fd);
		pause_us(1000);
	}
	(void)unused;
	check_often((void *)100);
	say(state != 'Z' || calls != 100);
	return NULL;
}

static void orphan(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, outlive, NULL);
	pthread_exit(NULL);
}

/* The same number stands for different maps in the thread and in its leader. */
static void *with_own_files(void *unused)
{
	int second = bpf_map_create(BPF_MAP_TYPE_ARRAY, "second", 4, 4, 1, NULL);

	(void)unused;
	if (unshare(CLONE_FILES) || dup2(second, map) < 0)
		wrong++;
	for (int i = 0; i < 100; i++)
		wrong += id_of(map) != 2;
	return NULL;
}

static void files(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, with_own_files, NULL);
	for (int i = 0; i < 100; i++)
		wrong += id_of(map) != 1;
	pthread_join(thread, NULL);
	say(id_of(map) != 1);
}

static void after_vfork(void)
{
	int status = 0;

	for (volatile int i = 0; i < 50; i++) {
		pid_t child = vfork();

		if (child == 0)
			_exit(check());
		waitpid(child, &status, 0);
		wrong += failed(status);
	}
	say(check());
}

static void storm(void)
{
	int status, running = 0;

	for (int i = 0; i < times(1000); i++) {
		if (running == 50) {
			wait(&status);
			wrong += failed(status);
			running--;
		}
		pid_t child = fork();
		if (child == 0)
			_exit(check());
		if (child < 0)
			wrong++;
		else
			running++;
	}
	for (; running > 0; running--) {
		wait(&status);
		wrong += failed(status);
	}
	say(check());
}

static void crowd(void)
{
	pthread_t threads[200];
	long each = times(20);

	for (int i = 0; i < 200; i++)
		if (pthread_create(&threads[i], NULL, check_often, (void *)each))
			exit(2);
	for (int i = 0; i < 200; i++)
		pthread_join(threads[i], NULL);
	say(calls != 200 * each);
}

static pid_t start_calling(void)
{
	pid_t child = fork();

	if (child == 0)
		for (;;)
			if (check())
				_exit(1);
	return child;
}

static void killed(void)
{
	for (int i = 0; i < times(500); i++) {
		pid_t child = start_calling();
		int status;

		pause_us(300 + rand() % 700);
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		wrong += !WIFSIGNALED(status);
	}
	say(check());
}

static void stopped(void)
{
	pid_t child = start_calling();
	int status;

	for (int i = 0; i < times(300); i++) {
		pause_us(rand() % 500);
		kill(child, SIGSTOP);
		waitpid(child, &status, WUNTRACED);
		wrong += !WIFSTOPPED(status);
		if (i % 30 == 0)
			check(); /* others are served meanwhile */
		kill(child, SIGCONT);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	say(!WIFSIGNALED(status));
}

static void set_last_pid(pid_t pid)
{
	char text[16];
	int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY),
	    length = snprintf(text, sizeof(text), "%d", pid);

	if (fd < 0 || write(fd, text, length) != length)
		exit(3);
	close(fd);
}

/* A caller is killed in mid-call and its pid becomes another's, whose memory stays its own. */
static void pid_reuse(void)
{
	int reused = 0, status;

	for (int i = 0; i < times(300); i++) {
		pid_t first = start_calling();

		pause_us(300 + rand() % 500);
		kill(first, SIGKILL);
		waitpid(first, &status, 0);
		set_last_pid(first - 1);
		pid_t second = fork();
		if (second == 0) {
			static volatile uint32_t canary[1024];
			pause_us(200);
			for (int at = 0; at < 1024; at++)
				if (canary[at])
					_exit(1);
			_exit(check());
		}
		reused += second == first;
		waitpid(second, &status, 0);
		wrong += failed(status);
	}
	if (reused < times(100))
		printf("reused only %d pids\n", reused);
	say(reused < times(100));
}

static atomic_int alarms;

static void on_alarm(int number)
{
	(void)number;
	alarms++;
}

static void with_signals(int flags)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = flags };
	struct itimerval each_ms = { { 0, 1000 * slowness() }, { 0, 1000 * slowness() } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &each_ms, NULL);
	check_often((void *)(long)times(10000));
	memset(&each_ms, 0, sizeof(each_ms));
	setitimer(ITIMER_REAL, &each_ms, NULL);
	say(alarms < times(100));
}

static void signals(void)
{
	may_be_interrupted = 1;
	with_signals(0);
}

static void restarting_signals(void)
{
	with_signals(SA_RESTART);
}

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {
	{ "non-leader", non_leader },
	{ "orphan", orphan },
	{ "files", files },
	{ "vfork", after_vfork },
	{ "storm", storm },
	{ "crowd", crowd },
	{ "killed", killed },
	{ "stopped", stopped },
	{ "pid-reuse", pid_reuse },
	{ "signals", signals },
	{ "restarting-signals", restarting_signals },
};

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	char number[16];

	if (!strcmp(mode, "inherited")) { /* what `exec` becomes */
		map = atoi(argv[2]);
		say(check());
	}
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "first", 4, 4, 1, NULL);
	if (!strcmp(mode, "exec")) {
		fcntl(map, F_SETFD, 0);
		snprintf(number, sizeof(number), "%d", map);
		execl(argv[0], argv[0], "inherited", number, NULL);
	}
	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(mode, modes[i].name))
			modes[i].run();
	return 2;
}
