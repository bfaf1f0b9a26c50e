// SPDX-License-Identifier: GPL-2.0
/*
 * splice(2) from a file into a dma-buf: the right bytes at the right place, for
 * every kind of file and buffer, and positions that follow.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <linux/falloc.h>
#include <linux/mman.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define FILE_SIZE	(2 * DIO_MIB + 64 * DIO_KIB)
#define BUF_SIZE	(4 * DIO_MIB)

FIXTURE(splice_data)
{
	struct dio_src src;
	struct dio_buf buf;
};

FIXTURE_VARIANT(splice_data)
{
	const struct dio_backing *backing;
	const struct dio_exporter *exporter;
};

FIXTURE_VARIANT_ADD(splice_data, ext4_to_heap) { DIO_PAIR(ext4, heap) };
FIXTURE_VARIANT_ADD(splice_data, ext4_to_udmabuf) { DIO_PAIR(ext4, udmabuf) };
FIXTURE_VARIANT_ADD(splice_data, ext4_to_udmabuf_huge) { DIO_PAIR(ext4, udmabuf_huge) };
FIXTURE_VARIANT_ADD(splice_data, xfs_to_heap) { DIO_PAIR(xfs, heap) };
FIXTURE_VARIANT_ADD(splice_data, xfs_to_udmabuf) { DIO_PAIR(xfs, udmabuf) };
FIXTURE_VARIANT_ADD(splice_data, raw_to_heap) { DIO_PAIR(raw, heap) };
FIXTURE_VARIANT_ADD(splice_data, raw_to_udmabuf) { DIO_PAIR(raw, udmabuf) };
FIXTURE_VARIANT_ADD(splice_data, raw_to_udmabuf_huge) { DIO_PAIR(raw, udmabuf_huge) };
FIXTURE_VARIANT_ADD(splice_data, raw_prp_to_heap) { DIO_PAIR(raw_prp, heap) };
FIXTURE_VARIANT_ADD(splice_data, raw_prp_to_udmabuf) { DIO_PAIR(raw_prp, udmabuf) };
FIXTURE_VARIANT_ADD(splice_data, raw_4k_to_heap) { DIO_PAIR(raw_4k, heap) };
FIXTURE_VARIANT_ADD(splice_data, raw_4k_to_udmabuf) { DIO_PAIR(raw_4k, udmabuf) };

FIXTURE_SETUP(splice_data)
{
	dio_ready(_metadata,
		  dio_src_open(&self->src, variant->backing, 0, FILE_SIZE) ?:
		  dio_buf_alloc(&self->buf, variant->exporter, BUF_SIZE));
}

FIXTURE_TEARDOWN(splice_data)
{
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
}

/* Around each size at which something changes on the way down. */
TEST_F(splice_data, sizes)
{
	static const size_t around[] = {
		0, 4 * DIO_KIB, 8 * DIO_KIB, 64 * DIO_KIB, 128 * DIO_KIB,
		256 * DIO_KIB, DIO_MIB, 2 * DIO_MIB,
	};
	size_t block = self->src.block;
	size_t i, n, sizes[3];

	for (i = 0; i < ARRAY_SIZE(around); i++) {
		sizes[0] = around[i] ? around[i] - block : 0;
		sizes[1] = around[i];
		sizes[2] = around[i] + block;

		for (n = 0; n < ARRAY_SIZE(sizes); n++) {
			if (!sizes[n])
				continue;
			EXPECT_TRUE(dio_transfer(&self->src, 0, &self->buf, 0,
						 sizes[n]));
			/* Neither end on a page, segment or command boundary. */
			EXPECT_TRUE(dio_transfer(&self->src, 3 * block,
						 &self->buf,
						 DIO_GUARD + 5 * block,
						 sizes[n]));
		}
	}
}

TEST_F(splice_data, random_ranges)
{
	size_t block = self->src.block;
	size_t len, off, file_off;
	int i;

	for (i = 0; i < 40; i++) {
		len = (1 + dio_random() % (512 * DIO_KIB / block)) * block;
		off = dio_random() % ((self->buf.size - len) / block + 1) * block;
		file_off = dio_random() % ((FILE_SIZE - len) / block + 1) * block;
		ASSERT_TRUE(dio_transfer(&self->src, file_off, &self->buf, off,
					 len));
	}
}

/* The guards of the other tests are narrow; here the whole buffer is one. */
TEST_F(splice_data, rest_of_buffer_untouched)
{
	size_t off = 2 * DIO_MIB + self->src.block, len = DIO_MIB;

	dio_poison(&self->buf, 0, self->buf.size);
	ASSERT_EQ(len, dio_splice(self->src.fd, 0, self->buf.fd, off, len));
	EXPECT_TRUE(dio_is_data(&self->buf, off, &self->src, 0, len));
	EXPECT_TRUE(dio_is_poison(&self->buf, 0, off));
	EXPECT_TRUE(dio_is_poison(&self->buf, off + len,
				  self->buf.size - off - len));
}

/* A buffer need not be aligned to blocks, only to what the disk can address. */
TEST_F(splice_data, finest_buffer_alignment)
{
	size_t align = self->src.mem_align, page = 4096;
	const size_t places[] = {
		align, 3 * align, page - align, page + align,
		2 * DIO_MIB - align,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		EXPECT_TRUE(dio_transfer(&self->src, 0, &self->buf, places[i],
					 self->src.block));
		EXPECT_TRUE(dio_transfer(&self->src, self->src.block,
					 &self->buf, places[i], DIO_MIB));
	}
}

/* One block to each block of the buffer, backwards, so every join is tried. */
TEST_F(splice_data, block_by_block)
{
	size_t block = self->src.block, len = 64 * block, off;

	dio_poison(&self->buf, 0, len + DIO_GUARD);
	for (off = len; off; off -= block)
		ASSERT_EQ(block, dio_splice(self->src.fd, off - block,
					    self->buf.fd, off - block, block));
	EXPECT_TRUE(dio_is_data(&self->buf, 0, &self->src, 0, len));
	EXPECT_TRUE(dio_is_poison(&self->buf, len, DIO_GUARD));
}

/* A plain copy loop: both positions move, until the file ends. */
TEST_F(splice_data, positions)
{
	size_t step = 768 * DIO_KIB, done = 0, want;
	ssize_t n;

	/* A device does not end where the pattern does. */
	dio_poison(&self->buf, 0, self->buf.size);
	ASSERT_EQ(0, dio_pos(self->src.fd));
	ASSERT_EQ(0, dio_pos(self->buf.fd));
	while (done < FILE_SIZE) {
		want = FILE_SIZE - done < step ? FILE_SIZE - done : step;
		n = splice(self->src.fd, NULL, self->buf.fd, NULL, want, 0);
		ASSERT_EQ(want, n)
			TH_LOG("%s", n < 0 ? strerror(errno) : "short");
		done += n;
		ASSERT_EQ(done, dio_pos(self->src.fd));
		ASSERT_EQ(done, dio_pos(self->buf.fd));
		/* Asking a dma-buf for its size must not disturb a copy. */
		ASSERT_EQ(self->buf.size, lseek(self->buf.fd, 0, SEEK_END));
		ASSERT_EQ(done, dio_pos(self->buf.fd));
	}
	ASSERT_EQ(0, lseek(self->buf.fd, 0, SEEK_SET));
	EXPECT_EQ(0, dio_pos(self->buf.fd));
	EXPECT_TRUE(dio_is_data(&self->buf, 0, &self->src, 0, FILE_SIZE));
	EXPECT_TRUE(dio_is_poison(&self->buf, FILE_SIZE,
				  self->buf.size - FILE_SIZE));
}

/* An offset that is given leaves that descriptor's position alone. */
TEST_F(splice_data, one_position)
{
	size_t len = 256 * DIO_KIB;
	loff_t off;

	dio_poison(&self->buf, 0, 4 * len);

	off = len;
	ASSERT_EQ(len, splice(self->src.fd, &off, self->buf.fd, NULL, len, 0));
	EXPECT_EQ(2 * len, off);
	EXPECT_EQ(0, dio_pos(self->src.fd));
	EXPECT_EQ(len, dio_pos(self->buf.fd));

	off = 2 * len;
	ASSERT_EQ(len, splice(self->src.fd, NULL, self->buf.fd, &off, len, 0));
	EXPECT_EQ(3 * len, off);
	EXPECT_EQ(len, dio_pos(self->src.fd));
	EXPECT_EQ(len, dio_pos(self->buf.fd));

	EXPECT_TRUE(dio_is_data(&self->buf, 0, &self->src, len, len));
	EXPECT_TRUE(dio_is_poison(&self->buf, len, len));
	EXPECT_TRUE(dio_is_data(&self->buf, 2 * len, &self->src, 0, len));
	EXPECT_TRUE(dio_is_poison(&self->buf, 3 * len, len));
}

TEST_F(splice_data, end_of_buffer)
{
	size_t len = 128 * DIO_KIB, size = self->buf.size;
	loff_t in = DIO_MIB, out = size - len;

	dio_poison(&self->buf, size - 2 * len, 2 * len);
	ASSERT_EQ(len, splice(self->src.fd, &in, self->buf.fd, &out,
			      2 * len, 0));
	EXPECT_EQ(DIO_MIB + len, in);
	EXPECT_EQ(size, out);
	EXPECT_EQ(-ENOSPC, dio_splice(self->src.fd, in, self->buf.fd, out, len));
	EXPECT_TRUE(dio_is_data(&self->buf, size - len, &self->src, DIO_MIB, len));
	EXPECT_TRUE(dio_is_poison(&self->buf, size - 2 * len, len));
}

TEST_F(splice_data, flags_are_hints)
{
	loff_t in = 0, out = DIO_GUARD;
	size_t len = 64 * DIO_KIB;

	dio_poison(&self->buf, 0, len + 2 * DIO_GUARD);
	ASSERT_EQ(len, splice(self->src.fd, &in, self->buf.fd, &out, len,
			      SPLICE_F_MOVE | SPLICE_F_MORE));
	EXPECT_TRUE(dio_is_poison(&self->buf, 0, DIO_GUARD));
	EXPECT_TRUE(dio_is_data(&self->buf, DIO_GUARD, &self->src, 0, len));
	EXPECT_TRUE(dio_is_poison(&self->buf, DIO_GUARD + len, DIO_GUARD));
}

/* The buffer counts each byte, as does the disk; the page cache stays empty. */
TEST_F(splice_data, by_dma_alone)
{
	long long before, after, writes;
	struct dio_below below;
	size_t len = DIO_MIB;

	ASSERT_EQ(0, dio_fdinfo(self->buf.fd, "dio_read_bytes", &before));
	ASSERT_TRUE(dio_transfer(&self->src, 0, &self->buf, 0, len));
	ASSERT_TRUE(dio_transfer(&self->src, len, &self->buf, len,
				 self->src.block));
	ASSERT_EQ(0, dio_fdinfo(self->buf.fd, "dio_read_bytes", &after));
	ASSERT_EQ(0, dio_fdinfo(self->buf.fd, "dio_write_bytes", &writes));
	EXPECT_EQ(len + self->src.block, after - before);
	EXPECT_EQ(0, writes);
	ASSERT_EQ(0, dio_look_below(self->src.fd, 0, FILE_SIZE, &below));
	if (self->src.backing->is_fs)
		EXPECT_EQ(0, below.cached);
}

/* Of what the page cache has, too: it comes from the disk all the same. */
TEST_F(splice_data, cached)
{
	ASSERT_EQ(FILE_SIZE, pread(self->src.wr, self->src.image, FILE_SIZE, 0));
	EXPECT_TRUE(dio_transfer(&self->src, 0, &self->buf, DIO_GUARD,
				 FILE_SIZE));
}

/* What another descriptor has written, but not yet synced, counts. */
TEST_F(splice_data, dirty_page_cache)
{
	size_t len = 256 * DIO_KIB;

	self->src.seed ^= 0x4000;
	ASSERT_EQ(0, dio_src_write(&self->src, len, len));
	memcpy(self->src.oracle + len, self->src.image + len, len);
	EXPECT_TRUE(dio_transfer(&self->src, 0, &self->buf, DIO_GUARD, 3 * len));
}

/* The buffer is shared memory: a second map and a child see the bytes too. */
TEST_F(splice_data, from_child)
{
	size_t len = DIO_MIB;
	int status;
	pid_t pid;

	dio_poison(&self->buf, 0, 2 * len);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(dio_splice(self->src.fd, 0, self->buf.fd, 0, len) != len);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_TRUE(dio_is_data(&self->buf, 0, &self->src, 0, len));
	EXPECT_TRUE(dio_is_poison(&self->buf, len, len));
}

/* ---- what only files have ---- */

FIXTURE(splice_file)
{
	struct dio_src src;
	struct dio_buf buf;
};

FIXTURE_VARIANT(splice_file)
{
	const struct dio_backing *backing;
	const struct dio_exporter *exporter;
};

FIXTURE_VARIANT_ADD(splice_file, ext4_to_heap) { DIO_PAIR(ext4, heap) };
FIXTURE_VARIANT_ADD(splice_file, ext4_to_udmabuf) { DIO_PAIR(ext4, udmabuf) };
FIXTURE_VARIANT_ADD(splice_file, xfs_to_heap) { DIO_PAIR(xfs, heap) };
FIXTURE_VARIANT_ADD(splice_file, xfs_to_udmabuf) { DIO_PAIR(xfs, udmabuf) };

FIXTURE_SETUP(splice_file)
{
	dio_ready(_metadata,
		  dio_src_create(&self->src, variant->backing, 0, DIO_MIB) ?:
		  dio_buf_alloc(&self->buf, variant->exporter, 2 * DIO_MIB));
}

FIXTURE_TEARDOWN(splice_file)
{
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
}

/*
 * The last block of a file is asked for as a whole. The file's bytes arrive, and
 * what follows them in that block as zeroes, if it was asked for; nothing else is
 * touched.
 */
TEST_F(splice_file, tail)
{
	static const size_t beyond[] = { 1, 100, 511 };
	size_t whole = 128 * DIO_KIB, tail, block, off, i;
	loff_t in, out;

	block = self->src.block;
	for (i = 0; i < ARRAY_SIZE(beyond); i++) {
		tail = beyond[i];
		off = DIO_GUARD + i * block;
		self->src.size = whole + tail;
		ASSERT_EQ(0, ftruncate(self->src.wr, 0));
		ASSERT_EQ(0, dio_src_write(&self->src, 0, whole + tail));
		ASSERT_EQ(0, dio_src_ready(&self->src));

		/* As part of a longer transfer, asking for much more. */
		dio_poison(&self->buf, 0, DIO_MIB);
		in = 0;
		out = off;
		ASSERT_EQ(whole + tail, splice(self->src.fd, &in, self->buf.fd,
					       &out, 2 * whole, 0));
		EXPECT_EQ(whole + tail, in);
		EXPECT_EQ(off + whole + tail, out);
		EXPECT_TRUE(dio_is_poison(&self->buf, 0, off));
		EXPECT_TRUE(dio_is_data(&self->buf, off, &self->src, 0,
					whole + block));
		EXPECT_TRUE(dio_is_poison(&self->buf, off + whole + block,
					  DIO_MIB - off - whole - block));

		/* Alone. */
		dio_poison(&self->buf, 0, DIO_MIB);
		EXPECT_EQ(tail, dio_splice(self->src.fd, whole, self->buf.fd,
					   off, block));
		EXPECT_TRUE(dio_is_poison(&self->buf, 0, off));
		EXPECT_TRUE(dio_is_data(&self->buf, off, &self->src, whole,
					block));
		EXPECT_TRUE(dio_is_poison(&self->buf, off + block,
					  DIO_MIB - off - block));

		/* Behind the end. */
		EXPECT_EQ(0, dio_splice(self->src.fd, whole + block,
					self->buf.fd, 0, block));
	}
}

/* A position that a tail has left unaligned reads as the end of the file. */
TEST_F(splice_file, loop_to_end)
{
	size_t size = 300 * DIO_KIB + 77, done = 0;
	ssize_t n;

	self->src.size = size;
	ASSERT_EQ(0, dio_src_write(&self->src, 0, size));
	ASSERT_EQ(0, dio_src_ready(&self->src));
	dio_poison(&self->buf, 0, DIO_MIB);
	do {
		n = splice(self->src.fd, NULL, self->buf.fd, NULL,
			   128 * DIO_KIB, 0);
		ASSERT_LE(0, n) TH_LOG("after %zu bytes: %s", done, strerror(errno));
		done += n;
	} while (n && done <= size);
	EXPECT_EQ(size, done);
	EXPECT_EQ(size, dio_pos(self->src.fd));
	EXPECT_EQ(size, dio_pos(self->buf.fd));
	EXPECT_TRUE(dio_is_data(&self->buf, 0, &self->src, 0, size));
}

/*
 * Neighbours in the file that are strangers on the disk, because what was
 * between them has been cut out.
 */
TEST_F(splice_file, many_extents)
{
	size_t piece = 20 * DIO_KIB, count = 24, i;
	struct dio_src *src = &self->src;
	loff_t phys, last = 0;
	int jumps = 0;

	src->size = count * piece;
	dio_pattern(src->image, src->seed, 0, src->size);
	for (i = 0; i < 2 * count - 1; i++)
		ASSERT_EQ(piece, pwrite(src->wr, src->image + i / 2 * piece,
					piece, i * piece));
	ASSERT_EQ(0, fsync(src->wr));
	for (i = count - 1; i; i--)
		ASSERT_EQ(0, fallocate(src->wr, FALLOC_FL_COLLAPSE_RANGE,
				       (2 * i - 1) * piece, piece));
	ASSERT_EQ(0, dio_src_ready(src));

	for (i = 0; i < count; i++) {
		ASSERT_EQ(0, dio_src_physical(src, i * piece, &phys));
		jumps += i && phys != last + piece;
		last = phys;
	}
	ASSERT_EQ(count - 1, jumps);
	EXPECT_TRUE(dio_transfer(src, 0, &self->buf, DIO_GUARD, count * piece));
	EXPECT_TRUE(dio_transfer(src, piece - src->block, &self->buf,
				 DIO_GUARD + src->block, 3 * piece));
}

/*
 * A hole stops a transfer: what precedes it is moved, the next call is told
 * that this cannot go direct. The same for blocks allocated but never written.
 */
static void stop_at_gap(struct __test_metadata *_metadata, struct dio_src *src,
			struct dio_buf *buf, bool unwritten)
{
	size_t data = 256 * DIO_KIB, gap = 64 * DIO_KIB;

	ASSERT_EQ(0, dio_src_write(src, 0, data));
	ASSERT_EQ(0, dio_src_write(src, data + gap, data));
	if (unwritten)
		ASSERT_EQ(0, fallocate(src->wr, 0, data, gap));
	ASSERT_EQ(0, dio_src_ready(src));

	dio_poison(buf, 0, DIO_MIB);
	EXPECT_EQ(data, dio_splice(src->fd, 0, buf->fd, DIO_GUARD, 2 * data));
	EXPECT_TRUE(dio_is_data(buf, DIO_GUARD, src, 0, data));
	EXPECT_TRUE(dio_is_poison(buf, 0, DIO_GUARD));
	EXPECT_TRUE(dio_is_poison(buf, DIO_GUARD + data,
				  DIO_MIB - DIO_GUARD - data));

	dio_poison(buf, 0, DIO_MIB);
	EXPECT_EQ(-EOPNOTSUPP, dio_splice(src->fd, data, buf->fd, DIO_GUARD,
					  2 * gap));
	EXPECT_EQ(-EOPNOTSUPP, dio_splice(src->fd, data + gap - src->block,
					  buf->fd, DIO_GUARD, src->block));
	EXPECT_TRUE(dio_is_poison(buf, 0, DIO_MIB));

	EXPECT_TRUE(dio_transfer(src, data + gap, buf, DIO_GUARD, data));
}

TEST_F(splice_file, stops_at_hole)
{
	self->src.size = 576 * DIO_KIB;
	stop_at_gap(_metadata, &self->src, &self->buf, false);
}

TEST_F(splice_file, stops_at_unwritten)
{
	self->src.size = 576 * DIO_KIB;
	stop_at_gap(_metadata, &self->src, &self->buf, true);
}

/* ---- buffers and disks that need their own look ---- */

/* Nobody can read such a buffer back here; the counters tell. */
TEST(buffer_opened_write_only)
{
	struct dio_src src;
	long long count;
	int fd;

	if (!dio_ready(_metadata, dio_src_open(&src, &dio_ext4, 0, DIO_MIB)))
		return;
	fd = dio_heap_alloc(DIO_MIB, O_WRONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(DIO_MIB, dio_splice(src.fd, 0, fd, 0, DIO_MIB));
	EXPECT_EQ(0, dio_fdinfo(fd, "dio_read_bytes", &count));
	EXPECT_EQ(DIO_MIB, count);
	close(fd);
	dio_src_close(&src);
}

/* Each disk brings its own map of the same buffer. */
TEST(one_buffer_many_disks)
{
	const struct dio_exporter *exporters[] = { &dio_heap, &dio_udmabuf };
	struct dio_src src[8];
	struct dio_buf buf;
	int i, n = 0, e, ret;
	size_t step = 256 * DIO_KIB;

	for (i = 0; dio_backings[i]; i++) {
		ret = dio_src_open(&src[n], dio_backings[i], 0, 2 * step);
		ASSERT_LE(0, ret);
		if (!dio_is_missing(ret))
			n++;
	}
	if (n < 2)
		SKIP(return, "%s", dio_missing());

	for (e = 0; e < ARRAY_SIZE(exporters); e++) {
		if (!dio_ready(_metadata, dio_buf_alloc(&buf, exporters[e],
							8 * DIO_MIB)))
			break;
		dio_poison(&buf, 0, buf.size);
		/* Every other step from each disk in turn. */
		for (i = 0; i < 2 * n; i++)
			EXPECT_EQ(step, dio_splice(src[i % n].fd,
						   i / n * step, buf.fd,
						   2 * i * step, step));
		for (i = 0; i < 2 * n; i++) {
			EXPECT_TRUE(dio_is_data(&buf, 2 * i * step, &src[i % n],
						i / n * step, step));
			EXPECT_TRUE(dio_is_poison(&buf, (2 * i + 1) * step, step));
		}
		dio_buf_free(&buf);
	}
	while (n--)
		dio_src_close(&src[n]);
	dio_tell_missing(_metadata);
}

/* A partition moves sectors on the way down, and ends before its disk. */
TEST(partition)
{
	size_t start = 2 * DIO_MIB, size = DIO_MIB, step = 128 * DIO_KIB;
	char node[DIO_NAME];
	struct dio_src src;
	struct dio_buf buf;
	int whole;

	if (!dio_ready(_metadata,
		       dio_src_open(&src, &dio_raw, 0, start + 2 * size) ?:
		       dio_buf_alloc(&buf, &dio_heap, 2 * DIO_MIB)))
		return;
	ASSERT_EQ(0, dio_partition_add(src.where, 7, start, size, node));

	whole = src.fd;
	src.fd = open(node, O_RDONLY | O_DIRECT | O_CLOEXEC);
	EXPECT_LE(0, src.fd) TH_LOG("%s: %s", node, strerror(errno));
	if (src.fd >= 0) {
		dio_poison(&buf, 0, buf.size);
		EXPECT_EQ(step, dio_splice(src.fd, step, buf.fd, DIO_GUARD, step));
		EXPECT_TRUE(dio_is_data(&buf, DIO_GUARD, &src, start + step, step));
		EXPECT_EQ(step, dio_splice(src.fd, size - step, buf.fd, DIO_MIB,
					   2 * step));
		EXPECT_TRUE(dio_is_data(&buf, DIO_MIB, &src,
					start + size - step, step));
		EXPECT_TRUE(dio_is_poison(&buf, DIO_MIB + step,
					  DIO_MIB - step));
		EXPECT_EQ(0, dio_splice(src.fd, size, buf.fd, 0, step));
		close(src.fd);
	}
	src.fd = whole;
	dio_partition_del(src.where, 7);
	dio_buf_free(&buf);
	dio_src_close(&src);
}

#define TRACE_DIR "/sys/kernel/tracing/instances/dmabuf-dio-test"

/* What one aligned and one unaligned transfer leave in the trace. */
TEST(trace_events)
{
	static char text[64 * DIO_KIB];
	loff_t in = 1, out = 0;
	struct dio_src src;
	struct dio_buf buf;
	ssize_t len;
	int fd;

	if (!dio_ready(_metadata, dio_src_open(&src, &dio_ext4, 0, DIO_MIB) ?:
				  dio_buf_alloc(&buf, &dio_heap, DIO_MIB)))
		return;
	if (mkdir(TRACE_DIR, 0700) && errno != EEXIST)
		SKIP(goto out, "no %s", TRACE_DIR);
	ASSERT_EQ(0, dio_write_file(TRACE_DIR "/events/dma_buf_dio/enable", "1"));
	EXPECT_EQ(DIO_ALIGNED, dio_splice(src.fd, 2 * DIO_ALIGNED, buf.fd,
					  DIO_ALIGNED, DIO_ALIGNED));
	EXPECT_EQ(100, splice(src.fd, &in, buf.fd, &out, 100, 0));
	dio_write_file(TRACE_DIR "/events/dma_buf_dio/enable", "0");

	fd = open(TRACE_DIR "/trace", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	len = read(fd, text, sizeof(text) - 1);
	ASSERT_LT(0, len);
	close(fd);
	rmdir(TRACE_DIR);

	EXPECT_NE(NULL, strstr(text, "dma_buf_dio_map: system ino="));
	EXPECT_NE(NULL, strstr(text, "dma_buf_dio_command: to ino="));
	EXPECT_NE(NULL, strstr(text, " offset=4096 len=4096 disk="));
	EXPECT_NE(NULL, strstr(text, " pos=8192 len=4096 ret=4096 copied=none"));
	EXPECT_NE(NULL, strstr(text, " pos=1 len=100 ret=100 copied=alignment"))
		TH_LOG("%s", text);
out:
	dio_buf_free(&buf);
	dio_src_close(&src);
}

TEST_HARNESS_MAIN
