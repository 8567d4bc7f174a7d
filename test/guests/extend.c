/*
 * extend OBJECT TARGET FD HOSTID: replaces (freplace) a function of a program of somebody else, whose fd it was
 * handed, by that of extend.bpf.o. TARGET is xdp.bpf.o, from which the foreign program was made: its
 * types tell what those of the foreign program are. HOSTID is what the host calls that program.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "guest.h"
#include "load.h"

#define XDP_DROP 1

static const char *outcome(int error)
{
	return error ? strerrorname_np(abs(error)) : "ok";
}

static int load_on(int target)
{
	struct bpf_insn code[] = { MOV(0, 0), EXIT };
	union bpf_attr attr;

	prepare_load(&attr, BPF_PROG_TYPE_EXT, code, 2);
	attr.attach_prog_fd = target;
	attr.attach_btf_id = 1;
	return bpf(BPF_PROG_LOAD, &attr);
}

static struct bpf_program *open_first(const char *path, struct bpf_object **object)
{
	*object = bpf_object__open_file(path, NULL);
	return bpf_object__next_program(*object, NULL);
}

/* Its own copy of the target has the same types. When they are known, the foreign one takes its place. */
static struct bpf_program *extend(char **paths, int foreign, int *error)
{
	struct bpf_object *object, *copy;
	struct bpf_program *own = open_first(paths[0], &object);
	struct bpf_program *target = open_first(paths[1], &copy);

	must(bpf_object__load(copy), "the copy");
	must(bpf_program__set_attach_target(own, bpf_program__fd(target), "pass_all"), "target");
	must(dup2(foreign, bpf_program__fd(target)), "dup2");
	*error = bpf_object__load(object);
	return own;
}

static void tell_ids(int foreign, int program, int link)
{
	struct bpf_prog_info theirs = {}, own = {};
	struct bpf_link_info info = {};
	__u32 length = sizeof(own);

	must(bpf_obj_get_info_by_fd(foreign, &theirs, &length), "info");
	must(bpf_obj_get_info_by_fd(program, &own, &length), "info");
	length = sizeof(info);
	must(bpf_obj_get_info_by_fd(link, &info, &length), "info");
	printf("ids: foreign %u, its BTF %u, as target %u, of the link %u\n", theirs.id,
	       theirs.btf_id, own.attach_btf_obj_id, info.tracing.target_obj_id);
}

static int run(int target)
{
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet));

	must(bpf_prog_test_run_opts(target, &options), "run");
	return options.retval;
}

int main(int argc, char **argv)
{
	int foreign = argc > 4 ? atoi(argv[3]) : -1, host_id = argc > 4 ? atoi(argv[4]) : 0, error;
	struct bpf_program *own;
	struct bpf_link *link;

	if (argc < 5)
		return 2;
	libbpf_set_print(NULL);
	printf("by number: %s\n", outcome(load_on(host_id) < 0 ? errno : 0));
	own = extend(argv + 1, foreign, &error);
	printf("by fd: %s\n", outcome(error));
	if (error)
		return 0;
	link = bpf_program__attach_trace(own);
	if (!link)
		return must(-1, "attach");
	tell_ids(foreign, bpf_program__fd(own), bpf_link__fd(link));
	printf("replaced: %s\n", run(foreign) == XDP_DROP ? "yes" : "no");
	printf("opens: %s\n", outcome(bpf_prog_get_fd_by_id(host_id) < 0 ? errno : 0));
	return 0;
}
