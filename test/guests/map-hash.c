/* Asks for the hash of a frozen array and of a hash map, with several lengths, with and without a buffer. */
#define _GNU_SOURCE
#include "guest.h"

/* Since Linux 6.18 at the end of struct bpf_map_info. */
struct info {
	struct bpf_map_info known;
	char rest[128 - sizeof(struct bpf_map_info)];
};
enum { HASH = 88, HASH_SIZE = 96, END = 104 };

static void ask(const char *what, int map, int has_pointer, uint32_t length)
{
	unsigned char hash[64] = {};
	struct info info = {};
	uint64_t address = has_pointer ? (uintptr_t)hash : 0;
	union bpf_attr attr = {
		.info = { .bpf_fd = map, .info_len = END, .info = (uintptr_t)&info }
	};
	int set = 0;

	memcpy((char *)&info + HASH, &address, sizeof(address));
	memcpy((char *)&info + HASH_SIZE, &length, sizeof(length));
	const char *result = bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) ? strerrorname_np(errno) : "ok";

	for (unsigned i = 0; i < sizeof(hash); i++)
		set += hash[i] != 0;
	printf("%s, %s, %u: %s, %s\n", what, has_pointer ? "pointer" : "none", length, result,
	       set ? "written" : "untouched");
}

int main(void)
{
	static const uint32_t lengths[] = { 0, 1, 31, 32, 33, 64, 4096, UINT32_MAX };
	int array = create_map(BPF_MAP_TYPE_ARRAY, "array", 0);
	int hash = create_map(BPF_MAP_TYPE_HASH, "hash", 0);
	union bpf_attr attr = { .map_fd = array };

	must(bpf(BPF_MAP_FREEZE, &attr), "freeze");
	for (int has_pointer = 0; has_pointer < 2; has_pointer++) {
		for (unsigned i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
			ask("array", array, has_pointer, lengths[i]);
			ask("hash", hash, has_pointer, lengths[i]);
		}
	}
	return 0;
}
