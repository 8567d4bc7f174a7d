/*
 * Opens an AF_XDP socket on each of the first two queues of a device, by libxdp. For the second,
 * libxdp learns from the device which program the first has loaded, opens it by its id, and uses its
 * map. Prints the result of each. Usage: xsk DEVICE
 */
#include "guest.h"
#include <sys/mman.h>
#include <xdp/xsk.h>

#define QUEUES 2
#define UMEM_SIZE (64 * XSK_UMEM__DEFAULT_FRAME_SIZE)

/* The kernel's end of them is in use until the sockets are closed. */
static struct queue {
	struct xsk_umem *umem;
	struct xsk_socket *socket;
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons completion, rx;
} queues[QUEUES];

static int open_socket(const char *device, uint32_t number)
{
	struct queue *queue = &queues[number];
	void *area =
		mmap(NULL, UMEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int result = xsk_umem__create(&queue->umem, area, UMEM_SIZE, &queue->fill,
				      &queue->completion, NULL);

	if (result)
		return result;
	return xsk_socket__create(&queue->socket, device, number, queue->umem, &queue->rx,
				  &queue->tx, NULL);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	for (uint32_t number = 0; number < QUEUES; number++) {
		int result = open_socket(argv[1], number);

		printf("socket %u: %s\n", number + 1, result ? strerror(-result) : "ok");
	}
	return 0;
}
