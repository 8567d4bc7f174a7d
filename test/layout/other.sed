# Makes bpf/bpfns.h that of another version of bpfns: the same state with other layouts. Members are
# inserted, moved, widened and left out. test/kernel/upgrade.test.ts upgrades from one to the other and back.
/^struct bpfns_namespace {/a\
	__u64 inserted;
/^struct bpfns_object {/a\
	char comm[16];\
	__u32 inserted[3];
/^struct bpfns_object {/,/^};/{
	/^	char comm\[16\];$/d
}
/^struct bpfns_task {/a\
	__u32 inserted;\
	__u32 next;
/^struct bpfns_task {/,/^};/{
	/^	__u32 next; /d
}
/^struct bpfns_counter {/a\
	__u64 inserted;
/^struct bpfns_object_key {/,/^};/{
	s/kind/host_id_/
	s/host_id;/kind;/
	s/host_id_/host_id/
}
