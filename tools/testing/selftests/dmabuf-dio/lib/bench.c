// SPDX-License-Identifier: GPL-2.0
/* A call, a file and a buffer, and what the last two hold. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/dma-buf.h>

#include "bench.h"

int bench_open(struct bench *b, const struct dio_place *place)
{
	int ret;

	b->place = place;
	b->buf.fd = -1;
	b->buf.memfd = -1;
	b->buf.hugepages = -1;
	b->plain = -1;
	b->direct = -1;
	ret = dio_place_ready(place);
	if (ret)
		return ret;
	b->image = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->image == MAP_FAILED)
		return -ENOMEM;
	b->mem = b->image + SIZE;
	dio_pattern(b->image, 1 + dio_random() % 0x7fff, 0, SIZE);

	b->plain = dio_place_open(place);
	if (b->plain < 0)
		return b->plain;
	if (pwrite(b->plain, b->image, SIZE, 0) != SIZE)
		return -errno;
	b->direct = dio_reopen(b->plain, O_RDWR | O_DIRECT);
	if (b->direct < 0)
		return b->direct;
	ret = dio_buf_alloc(&b->buf, &dio_heap, SIZE);
	if (!ret)
		dio_poison(&b->buf, 0, SIZE);
	return ret;
}

void bench_close(struct bench *b)
{
	dio_buf_free(&b->buf);
	if (b->direct >= 0)
		close(b->direct);
	if (b->plain >= 0)
		close(b->plain);
	if (b->image)
		munmap(b->image, 2 * SIZE);
}

int bench_buffer_at(struct bench *b, loff_t pos)
{
	int ret = 0;

	if (dio_pos(b->buf.fd) == pos)
		return 0;
	dio_buf_free(&b->buf);
	ret = dio_buf_alloc(&b->buf, &dio_heap, SIZE) ?:
	      dio_advance(b->buf.fd, pos);
	dio_poison(&b->buf, 0, SIZE);
	return ret;
}

ssize_t bench_move(struct bench *b, int rw, int fd, loff_t pos, loff_t off,
		   size_t len, unsigned int flags)
{
	loff_t *ppos = &pos, *poff = &off, pos_was = pos, off_was = off, step;
	ssize_t ret;

	if (b->call->out_position && rw == READ) {
		ret = bench_buffer_at(b, off);
		if (ret)
			return ret;
		poff = NULL;
	} else if (b->call->out_position) {
		if (lseek(fd, pos, SEEK_SET) != pos)
			return -errno;
		ppos = NULL;
	}

	if (rw == READ)
		ret = b->call->move(fd, ppos, b->buf.fd, poff, len, flags);
	else
		ret = b->call->move(b->buf.fd, poff, fd, ppos, len, flags);

	step = ret > 0 ? ret : 0;
	if (!poff)
		off = dio_pos(b->buf.fd);
	if (!ppos)
		pos = lseek(fd, 0, SEEK_CUR);
	if (pos != pos_was + step || off != off_was + step) {
		dio_log("%s returned %zd, but went %lld and %lld on",
			b->call->name, ret, (long long)(pos - pos_was),
			(long long)(off - off_was));
		return -EBADE;
	}
	return ret;
}

bool bench_buffer_is(struct bench *b, size_t off, const void *data, size_t len)
{
	bool same;

	if (dio_sync_start(&b->buf, DMA_BUF_SYNC_READ))
		return false;
	same = !memcmp(b->buf.map + off, data, len);
	return !dio_sync_end(&b->buf, DMA_BUF_SYNC_READ) && same;
}

void bench_buffer_get(struct bench *b, size_t off, void *data, size_t len)
{
	if (dio_sync_start(&b->buf, DMA_BUF_SYNC_READ))
		abort();
	memcpy(data, b->buf.map + off, len);
	dio_sync_end(&b->buf, DMA_BUF_SYNC_READ);
}

bool bench_file_is(struct bench *b, loff_t pos, const void *data, size_t len)
{
	return pread(b->plain, b->mem, len, pos) == (ssize_t)len &&
	       !memcmp(b->mem, data, len);
}

bool bench_file_is_buffer(struct bench *b, loff_t pos, size_t off, size_t len)
{
	return pread(b->plain, b->mem, len, pos) == (ssize_t)len &&
	       bench_buffer_is(b, off, b->mem, len);
}
