// SPDX-License-Identifier: GPL-2.0
/*
 * dmabuf-load FILE: load a file into a dma-buf, and print how many bytes the
 * disk put there itself, how many the CPU had to copy, and why.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <linux/dma-heap.h>

static const char heap[] = "/dev/dma_heap/system";

/* The heap rounds the size up to whole pages. */
static int buffer_alloc(off64_t size)
{
	struct dma_heap_allocation_data data = { .len = size, .fd_flags = O_RDWR | O_CLOEXEC };
	int fd = open(heap, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", heap);
	if (ioctl(fd, DMA_HEAP_IOCTL_ALLOC, &data))
		err(1, "%s: %lld bytes", heap, (long long)size);
	close(fd);
	return data.fd;
}

/* The kernel counts, in a buffer's fdinfo, what it reads from files into it. */
static void buffer_print(int fd)
{
	char name[64], line[128];
	FILE *info;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	info = fopen(name, "r");
	if (!info)
		err(1, "%s", name);
	while (fgets(line, sizeof(line), info))
		if (strstr(line, "_read_bytes:") || strstr(line, "copy_reason:"))
			fputs(line, stdout);
	fclose(info);
}

int main(int argc, char **argv)
{
	off64_t size, from = 0, to = 0;
	int file, buf;
	ssize_t n;

	if (argc != 2)
		errx(2, "usage: dmabuf-load FILE");
	file = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (file < 0)
		err(1, "%s", argv[1]);
	size = lseek64(file, 0, SEEK_END);
	if (size <= 0)
		errx(1, "%s: not a file or a disk with data in it", argv[1]);
	/* Not every file can do direct I/O. If it cannot, the CPU copies. */
	fcntl(file, F_SETFL, O_DIRECT);
	buf = buffer_alloc(size);

	/* To the end of the buffer, so that the last, partial block goes directly, too. */
	while (from < size) {
		n = splice(file, &from, buf, &to, 1 << 30, 0);
		if (n < 0)
			err(1, "%s: at offset %lld", argv[1], (long long)from);
		if (n == 0)
			errx(1, "%s: ends at offset %lld now", argv[1], (long long)from);
	}
	buffer_print(buf);
	return 0;			/* buf is what a GPU driver imports */
}
