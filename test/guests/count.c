/* Creates and closes maps as told on its input: "create N" prints N ids, "close ID"; then "done". */
#include "bpf.h"

int main(void)
{
	char word[16];
	int number;

	while (scanf("%15s %d", word, &number) == 2) {
		if (!strcmp(word, "create")) {
			for (int i = 0; i < number; i++)
				printf("%d\n", new_map());
		} else {
			for (int fd = 3; fd < 1024; fd++)
				if (map_id(fd) == number)
					close(fd);
		}
		printf("done\n");
		fflush(stdout);
	}
	return 0;
}
