#define PARITY_PORT 43210

enum {
	PARITY_TRACEPOINT,
	PARITY_RAW_TRACEPOINT,
	PARITY_BTF_TRACEPOINT,
	PARITY_CGROUP,
	PARITY_XDP,
	PARITY_PERF_EVENT,
	PARITY_SOURCES,
};

struct parity_report {
	unsigned int source;
	unsigned int value;
};
