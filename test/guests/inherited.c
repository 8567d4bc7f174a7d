/*
 * Reports what a process inherits through execve(2), and its children: to compare with a
 * native start. To stdout or, since that may be closed, to the file that REPORT names.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;
static FILE *report;

static void add_bytes(const char *key, const char *text)
{
	fprintf(report, "%s ", key);
	for (; *text; text++)
		fprintf(report, "%02x", (unsigned char)*text);
	fprintf(report, "\n");
}

/* The lines that start with one of the words; with none, every line. */
static void add_file(const char *key, const char *path, const char *const words[])
{
	char line[4096];
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file)) {
		for (int i = 0; !words || words[i]; i++) {
			if (words && strncmp(line, words[i], strlen(words[i])))
				continue;
			fprintf(report, "%s: %s", key, line);
			break;
		}
	}
	if (file)
		fclose(file);
}

static void add_fd(int fd)
{
	char path[64], target[4096] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, target, sizeof(target) - 1) >= 0)
		fprintf(report, "fd %d %s, status flags %o\n", fd, target, fcntl(fd, F_GETFL));
}

int main(int argc, char **argv)
{
	static const char *const status[] = { "Umask",	"Uid",	      "Gid",	"Groups",
					      "SigPnd", "SigBlk",     "SigIgn", "SigCgt",
					      "Cap",	"NoNewPrivs", "Cpus",	NULL };
	const char *file = getenv("REPORT");
	char children[64], cwd[4096] = "", *text;
	size_t length;

	report = open_memstream(&text, &length);
	for (int fd = 0; fd < 1024; fd++)
		add_fd(fd);
	for (int i = 0; i < argc; i++)
		add_bytes("argument", argv[i]);
	for (char **entry = environ; *entry; entry++)
		add_bytes("environment", *entry);
	if (readlink("/proc/self/cwd", cwd, sizeof(cwd) - 1) > 0)
		add_bytes("cwd", cwd);
	add_file("status", "/proc/self/status", status);
	add_file("limit", "/proc/self/limits", NULL);
	add_file("cgroup", "/proc/self/cgroup", NULL);
	add_file("comm", "/proc/self/comm", NULL);
	fprintf(report, "nice %d, session leader %d\n", nice(0), getsid(0) == getpid());
	snprintf(children, sizeof(children), "/proc/self/task/%d/children", getpid());
	add_file("children", children, NULL);
	fclose(report);

	int out = file ? open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600) : 1;

	return write(out, text, length) == (ssize_t)length ? 0 : 1;
}
