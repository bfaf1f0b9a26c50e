// SPDX-License-Identifier: GPL-2.0
/* The system calls that move data between a file and a dma-buf. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/io_uring.h>

#include "dio.h"

static ssize_t move_splice(int in, loff_t *off_in, int out, loff_t *off_out,
			   size_t len, unsigned int flags)
{
	ssize_t ret = splice(in, off_in, out, off_out, len, flags);

	return ret < 0 ? -errno : ret;
}

static ssize_t move_copy_file_range(int in, loff_t *off_in, int out,
				    loff_t *off_out, size_t len,
				    unsigned int flags)
{
	ssize_t ret = copy_file_range(in, off_in, out, off_out, len, flags);

	return ret < 0 ? -errno : ret;
}

static ssize_t move_sendfile(int in, loff_t *off_in, int out, loff_t *off_out,
			     size_t len, unsigned int flags)
{
	ssize_t ret;

	if (off_out || flags)
		return -ENOTSUP;
	ret = sendfile(out, in, off_in, len);
	return ret < 0 ? -errno : ret;
}

/* One ring for each thread, with room for a request and for cancelling it. */
struct ring {
	int fd;
	void *map;
	size_t size;
	unsigned int *sq_tail, *sq_mask, *sq_array;
	unsigned int *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqe;
	size_t sqe_size;
	struct io_uring_cqe *cqe;
};

static __thread struct ring ring = { .fd = -1 };

static int ring_make(void)
{
	struct io_uring_params p = {};
	size_t sq, cq;
	char *map;
	int fd, ret;

	if (ring.fd >= 0)
		return 0;
	fd = syscall(__NR_io_uring_setup, 2, &p);
	if (fd < 0)
		return -errno;

	sq = p.sq_off.array + p.sq_entries * sizeof(*ring.sq_array);
	cq = p.cq_off.cqes + p.cq_entries * sizeof(*ring.cqe);
	ring.size = sq > cq ? sq : cq;
	ring.sqe_size = p.sq_entries * sizeof(*ring.sqe);
	map = mmap(NULL, ring.size, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
	ring.sqe = mmap(NULL, ring.sqe_size, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
	ret = 0;
	if (map == MAP_FAILED || ring.sqe == MAP_FAILED)
		ret = -errno;
	else if (!(p.features & IORING_FEAT_SINGLE_MMAP))
		ret = -EOPNOTSUPP;
	if (ret) {
		close(fd);
		return ret;
	}
	ring.map = map;
	ring.sq_tail = (void *)(map + p.sq_off.tail);
	ring.sq_mask = (void *)(map + p.sq_off.ring_mask);
	ring.sq_array = (void *)(map + p.sq_off.array);
	ring.cq_head = (void *)(map + p.cq_off.head);
	ring.cq_tail = (void *)(map + p.cq_off.tail);
	ring.cq_mask = (void *)(map + p.cq_off.ring_mask);
	ring.cqe = (void *)(map + p.cq_off.cqes);
	ring.fd = fd;
	return 0;
}

int dio_uring_submit(const struct io_uring_sqe *sqe)
{
	unsigned int tail, index;
	int ret;

	ret = ring_make();
	if (ret)
		return ret;
	tail = *ring.sq_tail;
	index = tail & *ring.sq_mask;
	ring.sq_array[index] = index;
	ring.sqe[index] = *sqe;
	__atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
	do {
		ret = syscall(__NR_io_uring_enter, ring.fd, 1, 0, 0, NULL, 0);
		if (ret == 1)
			return 0;
	} while (!ret || errno == EINTR || errno == EAGAIN);
	ret = -errno;
	/* What was not taken must not go with the next one */
	__atomic_store_n(ring.sq_tail, tail, __ATOMIC_RELEASE);
	return ret;
}

int dio_uring_wait(struct io_uring_cqe *cqe)
{
	unsigned int head = *ring.cq_head;

	while (__atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE) == head)
		if (syscall(__NR_io_uring_enter, ring.fd, 0, 1,
			    IORING_ENTER_GETEVENTS, NULL, 0) < 0 &&
		    errno != EINTR && errno != EAGAIN)
			return -errno;
	*cqe = ring.cqe[head & *ring.cq_mask];
	__atomic_store_n(ring.cq_head, head + 1, __ATOMIC_RELEASE);
	return 0;
}

void dio_uring_close(void)
{
	if (ring.fd < 0)
		return;
	munmap(ring.map, ring.size);
	munmap(ring.sqe, ring.sqe_size);
	close(ring.fd);
	ring.fd = -1;
}

/* Unlike the others it leaves the offsets alone that it was given. */
static ssize_t move_io_uring(int in, loff_t *off_in, int out, loff_t *off_out,
			     size_t len, unsigned int flags)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_SPLICE,
		.fd = out,
		.off = off_out ? *off_out : -1,
		.splice_fd_in = in,
		.splice_off_in = off_in ? *off_in : -1,
		.len = len,
		.splice_flags = flags,
	};
	struct io_uring_cqe cqe;
	int ret;

	if (len > 0xffffffff)
		return -ENOTSUP;
	ret = dio_uring_submit(&sqe) ?: dio_uring_wait(&cqe);
	if (ret)
		return ret;
	if (cqe.res > 0 && off_in)
		*off_in += cqe.res;
	if (cqe.res > 0 && off_out)
		*off_out += cqe.res;
	return cqe.res;
}

const struct dio_call dio_call_splice = {
	.name = "splice",
	.move = move_splice,
	.takes_flags = true,
};

const struct dio_call dio_call_copy_file_range = {
	.name = "copy_file_range",
	.move = move_copy_file_range,
	.takes_flags = true,
};

const struct dio_call dio_call_sendfile = {
	.name = "sendfile",
	.move = move_sendfile,
	.out_position = true,
};

const struct dio_call dio_call_io_uring = {
	.name = "io_uring",
	.move = move_io_uring,
	.takes_flags = true,
};

const struct dio_call *const dio_calls[] = {
	&dio_call_splice, &dio_call_copy_file_range, &dio_call_sendfile,
	&dio_call_io_uring, NULL
};
