// SPDX-License-Identifier: GPL-2.0
/*
 * A client of liburing: moves a file into a dma-buf and back by
 * IORING_OP_SPLICE, several requests at a time, in all ways that liburing has
 * to hand in a file or to have a request done.  Prints TAP.
 *
 *	uring DIRECTORY...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>

#include <liburing.h>

#define SIZE	(4U << 20)
#define PIECE	(96U << 10)
#define DEPTH	8
#define GUARD	65536U

enum {
	FIXED	= 1,	/* both files are registered */
	ASYNC	= 2,	/* from a worker */
	POLLED	= 4,	/* by a kernel thread that polls the ring */
	LINKED	= 8,	/* one after the other */
};

static int tests, failed;

static int sync_buf(int buf, __u64 flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	return ioctl(buf, DMA_BUF_IOCTL_SYNC, &sync);
}

/* All of SIZE in pieces, DEPTH of them under way; 0 or -errno. */
static int move(int in, int out, unsigned int how)
{
	unsigned int next = 0, under_way = 0, piece, n, i;
	int fds[2] = { in, out }, ret;
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct io_uring ring;

	ret = io_uring_queue_init(DEPTH, &ring, how & POLLED ? IORING_SETUP_SQPOLL : 0);
	if (ret)
		return ret;
	if (how & FIXED)
		ret = io_uring_register_files(&ring, fds, 2);
	while (!ret && (next < SIZE || under_way)) {
		for (n = 0; n < DEPTH && next < SIZE; n++) {
			piece = SIZE - next < PIECE ? SIZE - next : PIECE;
			sqe = io_uring_get_sqe(&ring);
			if (!sqe)
				break;
			io_uring_prep_splice(sqe, how & FIXED ? 0 : in, next,
					     how & FIXED ? 1 : out, next, piece,
					     how & FIXED ? SPLICE_F_FD_IN_FIXED : 0);
			if (how & FIXED)
				io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
			if (how & ASYNC)
				sqe->flags |= IOSQE_ASYNC;
			if (how & LINKED && n < DEPTH - 1 && next + piece < SIZE)
				sqe->flags |= IOSQE_IO_LINK;
			sqe->user_data = piece;
			next += piece;
			under_way++;
		}
		ret = io_uring_submit(&ring);
		if (ret < 0)
			break;
		ret = 0;
		for (i = under_way; i; i--) {
			ret = io_uring_wait_cqe(&ring, &cqe);
			if (ret)
				break;
			under_way--;
			/* Nothing is in the way: every piece arrives whole. */
			if (cqe->res != (int)cqe->user_data)
				ret = cqe->res < 0 ? cqe->res : -ENODATA;
			io_uring_cqe_seen(&ring, cqe);
			if (ret)
				break;
		}
	}
	io_uring_queue_exit(&ring);
	return ret;
}

static int round_trip(const char *where, int flags, unsigned int how)
{
	struct dma_heap_allocation_data heap_buf = {
		.len = SIZE + GUARD, .fd_flags = O_RDWR | O_CLOEXEC,
	};
	int heap = open("/dev/dma_heap/system", O_RDONLY), file, buf, ret;
	unsigned int *map = MAP_FAILED, *data = aligned_alloc(4096, SIZE), i;
	char name[256];

	snprintf(name, sizeof(name), "%s/uring.dat", where);
	file = open(name, O_RDWR | O_CREAT | O_TRUNC | flags, 0600);
	if (heap < 0 || file < 0 || !data || ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &heap_buf))
		return -errno;
	buf = heap_buf.fd;
	map = mmap(NULL, SIZE + GUARD, PROT_READ | PROT_WRITE, MAP_SHARED, buf, 0);
	if (map == MAP_FAILED)
		return -errno;

	/* Out, and what is in the file is read. */
	sync_buf(buf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE);
	for (i = 0; i < (SIZE + GUARD) / 4; i++)
		map[i] = i * 2654435761U + how;
	sync_buf(buf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
	ret = move(buf, file, how);
	if (!ret && pread(file, data, SIZE, 0) != SIZE)
		ret = -EIO;
	for (i = 0; !ret && i < SIZE / 4; i++)
		if (data[i] != i * 2654435761U + how)
			ret = -EBADMSG;

	/* In, other data; and not a byte more. */
	for (i = 0; i < SIZE / 4; i++)
		data[i] = ~data[i];
	if (!ret && pwrite(file, data, SIZE, 0) != SIZE)
		ret = -EIO;
	if (!ret)
		ret = move(file, buf, how);
	sync_buf(buf, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	for (i = 0; !ret && i < (SIZE + GUARD) / 4; i++)
		if (map[i] != (i < SIZE / 4 ? ~(i * 2654435761U + how) : i * 2654435761U + how))
			ret = -EBADMSG;
	sync_buf(buf, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);

	munmap(map, SIZE + GUARD);
	free(data);
	close(buf);
	close(heap);
	close(file);
	unlink(name);
	return ret;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned int how;
	} ways[] = {
		{ "plain", 0 },
		{ "registered files", FIXED },
		{ "by workers", ASYNC },
		{ "linked", LINKED },
		{ "polled ring", POLLED | FIXED },
	};
	unsigned int i, direct;
	int ret, arg;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (arg = 1; arg < argc; arg++) {
		for (i = 0; i < 2 * sizeof(ways) / sizeof(*ways); i++) {
			direct = i % 2;
			ret = round_trip(argv[arg], direct ? O_DIRECT : 0, ways[i / 2].how);
			if (ret)
				fprintf(stderr, "# %s, %s: %s\n", argv[arg], ways[i / 2].name, strerror(-ret));
			failed += ret < 0;
			printf("%s %d dmabuf %s liburing, %s, %s\n", ret ? "not ok" : "ok",
			       ++tests, argv[arg], ways[i / 2].name, direct ? "direct" : "buffered");
		}
	}
	printf("1..%d\n", tests);
	return failed != 0;
}
