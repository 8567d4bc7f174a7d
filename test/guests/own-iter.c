/* own-iter prog|map|link|btf: as pid-iter, with an iterator that bpfns does not know. */
#include "pid-iter.c"
