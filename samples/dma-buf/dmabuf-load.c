// SPDX-License-Identifier: GPL-2.0
/* dmabuf-load FILE: load a file into a dma-buf, without a copy where possible. */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
	int file = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECT) : -1;
	int heap = open("/dev/dma_heap/system", O_RDONLY);
	struct dma_heap_allocation_data buf = { .fd_flags = O_RDWR | O_CLOEXEC };
	off64_t from = 0, to = 0;
	struct stat st;

	if (file < 0 || heap < 0 || fstat(file, &st))
		err(1, "usage: %s FILE", argv[0]);
	buf.len = st.st_size;		/* the heap rounds it up to whole pages */
	if (ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &buf))
		err(1, "heap: %lld bytes", (long long)buf.len);

	/* To the end of the buffer, so that the last, partial block goes directly, too. */
	while (from < st.st_size)
		if (splice(file, &from, buf.fd, &to, 1 << 30, 0) <= 0)
			err(1, "%s: at %lld", argv[1], (long long)from);
	return 0;			/* buf.fd is what a GPU driver imports */
}
