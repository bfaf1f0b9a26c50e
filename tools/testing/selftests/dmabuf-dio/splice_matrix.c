// SPDX-License-Identifier: GPL-2.0
/*
 * Every call, in both directions, on every kind of file, for every kind of
 * range: the right bytes, nothing beside them, and no more of them copied than
 * has to be.
 *
 * A case is a range of a file of some layout and a place in a buffer. What a
 * file and a buffer hold before and after it is kept in memory; all of both is
 * compared after each call.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <linux/dma-buf.h>
#include <linux/falloc.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define K		DIO_KIB
#define FILE_MAX	(256 * K)
#define BUF_SIZE	(128 * K)
#define BUF_SEED	0x7fffULL
#define DISK_ALIGN	4	/* what NVMe wants of an address */
#define SECTOR		512
#define COMPLAINTS	8	/* cases told of in one test */

/* ---- files ---- */

#define DATA		(160 * K)	/* of a full file */
#define GAP		(32 * K)	/* of those with a gap: where it begins */
#define GAP_END		(64 * K)

enum layout {
	FULL,		/* data, more than is asked for */
	ODD_END,	/* data, the last block is not full */
	HOLE,		/* data, nothing, data */
	UNWRITTEN,	/* data, allocated, data */
	HOLE_AT_END,	/* data, and a size */
	EMPTY,
};

static const struct {
	loff_t size;
	bool gap;
} layouts[] = {
	[FULL]		= { DATA },
	[ODD_END]	= { 80 * K + 77 },
	[HOLE]		= { 96 * K, .gap = true },
	[UNWRITTEN]	= { 96 * K, .gap = true },
	[HOLE_AT_END]	= { GAP_END, .gap = true },
	[EMPTY]		= { 0 },
};

/* ---- ranges ---- */

struct range {
	const char *name;
	enum layout layout;
	loff_t pos;		/* in the file, */
	size_t len, off;	/* off: in the buffer */
	int pos_blocks, len_blocks;	/* and so many blocks of the file */
};

static const struct range ranges[] = {
	{ "aligned", FULL, .pos = 16 * K, .len = 64 * K, .off = 16 * K },
	{ "aligned to a block", FULL, .pos = 16 * K, .pos_blocks = 1,
	  .len = 32 * K, .len_blocks = 3, .off = 8 * K + 512 },
	{ "one block", FULL, .pos = 20 * K, .len_blocks = 1, .off = 60 * K },
	{ "from 0 to 0", FULL, .len = 48 * K },
	{ "all of the buffer", FULL, .pos = 8 * K, .len = BUF_SIZE },
	{ "unaligned head", FULL, .pos = 16 * K + 100, .len = 48 * K - 100,
	  .off = 16 * K + 100 },
	{ "unaligned tail", FULL, .pos = 16 * K, .len = 48 * K + 100,
	  .off = 32 * K },
	{ "unaligned head and tail", FULL, .pos = 16 * K + 100,
	  .len = 48 * K + 300, .off = 20 * K },
	{ "head, and so an odd buffer", FULL, .pos = 16 * K + 101,
	  .len = 32 * K, .off = 20 * K },
	{ "odd, but alike", FULL, .pos = 16 * K + 101, .len = 32 * K,
	  .off = 20 * K + 101 },
	{ "less than a block", FULL, .pos = 16 * K + 100, .len = 300,
	  .off = 12 * K + 8 },
	{ "around a border", FULL, .pos = 20 * K - 50, .len = 100,
	  .off = 16 * K - 50 },
	{ "one byte", FULL, .pos = 16 * K + 1, .len = 1, .off = 4095 },
	{ "buffer offset 4", FULL, .pos = 16 * K, .len = 48 * K,
	  .off = 12 * K + 4 },
	{ "buffer offset -4", FULL, .pos = 16 * K, .len = 48 * K,
	  .off = 12 * K - 4 },
	{ "buffer offset 2", FULL, .pos = 16 * K, .len = 48 * K,
	  .off = 12 * K + 2 },
	{ "buffer offset 1", FULL, .pos = 16 * K, .len = 48 * K,
	  .off = 12 * K + 1 },
	{ "beyond the buffer", FULL, .pos = 16 * K, .len = 64 * K,
	  .off = BUF_SIZE - 24 * K },
	{ "beyond the buffer, odd", FULL, .pos = 16 * K, .len = 64 * K,
	  .off = BUF_SIZE - 24 * K - 100 },
	{ "behind the buffer", FULL, .pos = 16 * K, .len = 64 * K,
	  .off = BUF_SIZE },

	{ "beyond an odd end", ODD_END, .pos = 32 * K, .len = 64 * K,
	  .off = 16 * K },
	{ "to an odd end", ODD_END, .pos = 32 * K, .len = 48 * K + 77,
	  .off = 16 * K },
	{ "across an odd end", ODD_END, .pos = 32 * K + 100,
	  .len = 48 * K + 101, .off = 16 * K + 100 },
	{ "last block", ODD_END, .pos = 80 * K, .len_blocks = 1, .off = 4 * K },
	{ "in the last block", ODD_END, .pos = 80 * K + 70, .len = 100,
	  .off = 4 * K },
	{ "at an odd end", ODD_END, .pos = 80 * K + 77, .len = 16 * K,
	  .off = 4 * K },
	{ "behind an odd end", ODD_END, .pos = 96 * K, .len = 16 * K,
	  .off = 4 * K },
	{ "behind an odd end, odd", ODD_END, .pos = 96 * K + 33,
	  .len = 16 * K, .off = 4 * K + 33 },
	{ "far behind the end", ODD_END, .pos = 200 * K, .len = 20 * K + 5,
	  .off = 4 * K },
	{ "empty file", EMPTY, .len = 32 * K, .off = 4 * K },
	{ "empty file, odd", EMPTY, .pos = 5, .len = 32 * K, .off = 4 * K },

	{ "across a hole", HOLE, .pos = 16 * K, .len = 64 * K, .off = 8 * K },
	{ "across a hole, odd", HOLE, .pos = 16 * K + 100, .len = 64 * K,
	  .off = 8 * K + 100 },
	{ "in a hole", HOLE, .pos = 40 * K, .len = 16 * K, .off = 8 * K },
	{ "in a hole, odd", HOLE, .pos = 40 * K + 7, .len = 16 * K,
	  .off = 8 * K + 7 },
	{ "into a hole", HOLE, .pos = 24 * K, .len = 16 * K, .off = 8 * K },
	{ "out of a hole", HOLE, .pos = 56 * K, .len = 16 * K, .off = 8 * K },
	{ "across an unwritten gap", UNWRITTEN, .pos = 16 * K, .len = 64 * K,
	  .off = 8 * K },
	{ "across an unwritten gap, odd", UNWRITTEN, .pos = 16 * K + 100,
	  .len = 64 * K, .off = 8 * K + 100 },
	{ "in an unwritten gap", UNWRITTEN, .pos = 40 * K, .len = 16 * K,
	  .off = 8 * K },
	{ "in an unwritten gap, odd", UNWRITTEN, .pos = 40 * K + 7,
	  .len = 16 * K, .off = 8 * K + 7 },
	{ "block of an unwritten gap", UNWRITTEN, .pos = 40 * K,
	  .pos_blocks = 1, .len_blocks = 1, .off = 8 * K },
	{ "hole at the end", HOLE_AT_END, .pos = 16 * K, .len = 64 * K,
	  .off = 8 * K },
};

/* ---- the matrix ---- */

static const struct way_to_call {
	const char *name;
	const struct dio_call *call;
	bool file_position;	/* NULL for the offset in the file */
} calls[] = {
	{ "splice", &dio_call_splice },
	{ "splice at the position", &dio_call_splice, true },
	{ "copy_file_range", &dio_call_copy_file_range },
	{ "sendfile", &dio_call_sendfile },
	{ "io_uring", &dio_call_io_uring },
};

static const int flags[] = { O_DIRECT, 0 };

/* Everything known of the file and the buffer of one test. */
struct bench {
	const struct dio_place *place;
	const struct dio_exporter *exporter;
	bool every_call;
	int turn;			/* else, which one is tried */
	struct dio_buf buf;
	int plain;			/* through the page cache */
	int fd[ARRAY_SIZE(flags)];
	size_t block;			/* of direct I/O */
	unsigned char *now, *now_direct;	/* found in the file */
	unsigned char *held;		/* in the buffer, but for what was read */
	unsigned char *file, *was;	/* in the file, and in a full one */
	loff_t size;
	int layout;			/* of the file, -1: unknown */
	loff_t changed, changed_end;	/* in a full one */
	int cases, complaints;
};

static bool quiet;	/* enough was told */

FIXTURE(matrix)
{
	struct bench b;
};

FIXTURE_VARIANT(matrix)
{
	const struct dio_place *place;
	const struct dio_exporter *exporter;
	bool every_call;
};

#define ON(p, e)	.place = &dio_on_##p, .exporter = &dio_##e

/*
 * What calls do differently they do before it matters where the file is: every
 * range is tried with every call on one file system that is direct, on one that
 * is not, and on a disk. Elsewhere it is tried with splice(2), and with another
 * call in turn.
 */
FIXTURE_VARIANT_ADD(matrix, ext4_heap) { ON(ext4, heap), .every_call = true };
FIXTURE_VARIANT_ADD(matrix, ext4_udmabuf) { ON(ext4, udmabuf) };
FIXTURE_VARIANT_ADD(matrix, xfs_heap) { ON(xfs, heap) };
FIXTURE_VARIANT_ADD(matrix, xfs_udmabuf) { ON(xfs, udmabuf) };
FIXTURE_VARIANT_ADD(matrix, f2fs_heap) { ON(f2fs, heap) };
FIXTURE_VARIANT_ADD(matrix, f2fs_udmabuf) { ON(f2fs, udmabuf) };
FIXTURE_VARIANT_ADD(matrix, raw_heap) { ON(raw, heap) };
FIXTURE_VARIANT_ADD(matrix, raw_udmabuf) { ON(raw, udmabuf), .every_call = true };
FIXTURE_VARIANT_ADD(matrix, raw_4k_heap) { ON(raw_4k, heap) };
FIXTURE_VARIANT_ADD(matrix, raw_4k_udmabuf) { ON(raw_4k, udmabuf) };
FIXTURE_VARIANT_ADD(matrix, tmpfs_heap) { ON(tmpfs, heap), .every_call = true };
FIXTURE_VARIANT_ADD(matrix, tmpfs_udmabuf) { ON(tmpfs, udmabuf) };
FIXTURE_VARIANT_ADD(matrix, memfd_heap) { ON(memfd, heap) };
FIXTURE_VARIANT_ADD(matrix, memfd_udmabuf) { ON(memfd, udmabuf) };
FIXTURE_VARIANT_ADD(matrix, btrfs_heap) { ON(btrfs, heap) };
FIXTURE_VARIANT_ADD(matrix, btrfs_udmabuf) { ON(btrfs, udmabuf) };
FIXTURE_VARIANT_ADD(matrix, dax_heap) { ON(dax, heap) };
FIXTURE_VARIANT_ADD(matrix, dax_udmabuf) { ON(dax, udmabuf) };
FIXTURE_VARIANT_ADD(matrix, overlay_heap) { ON(overlay, heap) };
FIXTURE_VARIANT_ADD(matrix, overlay_udmabuf) { ON(overlay, udmabuf) };
FIXTURE_VARIANT_ADD(matrix, loop_heap) { ON(loop, heap) };
FIXTURE_VARIANT_ADD(matrix, loop_udmabuf) { ON(loop, udmabuf) };
FIXTURE_VARIANT_ADD(matrix, ext4_crypt_heap) { ON(ext4_crypt, heap) };
FIXTURE_VARIANT_ADD(matrix, f2fs_crypt_udmabuf) { ON(f2fs_crypt, udmabuf) };
FIXTURE_VARIANT_ADD(matrix, f2fs_compr_heap) { ON(f2fs_compr, heap) };
FIXTURE_VARIANT_ADD(matrix, fuse_udmabuf) { ON(fuse, udmabuf) };
FIXTURE_VARIANT_ADD(matrix, 9p_heap) { ON(9p, heap) };
FIXTURE_VARIANT_ADD(matrix, ram_udmabuf) { ON(ram, udmabuf) };
FIXTURE_VARIANT_ADD(matrix, zram_heap) { ON(zram, heap) };
FIXTURE_VARIANT_ADD(matrix, dm_crypt_udmabuf) { ON(dm_crypt, udmabuf) };

static int open_file(struct bench *b)
{
	unsigned int block, mem_align;
	int i, ret;

	b->plain = dio_place_open(b->place);
	if (b->plain < 0)
		return b->plain;
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		b->fd[i] = dio_reopen(b->plain, O_RDWR | flags[i]);
		if (b->fd[i] < 0)
			return b->fd[i];
	}
	ret = dio_alignment(b->fd[0], &block, &mem_align);
	b->block = block ?: DIO_ALIGNED;
	return ret;
}

static void hold(struct bench *b, size_t off, size_t len)
{
	if (dio_sync_start(&b->buf, DMA_BUF_SYNC_WRITE))
		abort();
	memcpy(b->buf.map + off, b->held + off, len);
	if (dio_sync_end(&b->buf, DMA_BUF_SYNC_WRITE))
		abort();
}

static int new_buffer(struct bench *b)
{
	int ret;

	dio_buf_free(&b->buf);
	ret = dio_buf_alloc(&b->buf, b->exporter, BUF_SIZE);
	if (!ret)
		hold(b, 0, BUF_SIZE);
	return ret;
}

FIXTURE_SETUP(matrix)
{
	struct bench *b = &self->b;
	unsigned char *mem;

	mem = mmap(NULL, 4 * FILE_MAX + BUF_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	*b = (struct bench){
		.place = variant->place,
		.exporter = variant->exporter,
		.every_call = variant->every_call,
		.turn = variant->exporter == &dio_udmabuf,
		.buf = { .fd = -1, .memfd = -1, .hugepages = -1 },
		.now = mem,
		.now_direct = mem + FILE_MAX,
		.file = mem + 2 * FILE_MAX,
		.was = mem + 3 * FILE_MAX,
		.held = mem + 4 * FILE_MAX,
		.layout = -1,
	};
	dio_pattern(b->held, BUF_SEED, 0, BUF_SIZE);
	dio_pattern(b->was, 1 + dio_random() % (BUF_SEED - 1), 0, FILE_MAX);
	dio_ready(_metadata, dio_place_ready(b->place) ?: open_file(b) ?:
			     new_buffer(b));
}

FIXTURE_TEARDOWN(matrix)
{
	dio_buf_free(&self->b.buf);
}

static bool lay_out(struct bench *b, enum layout layout)
{
	loff_t size = layouts[layout].size;
	bool gap = layouts[layout].gap;
	loff_t from = 0, to = gap ? GAP : size;

	if (b->layout == layout && !b->changed_end)
		return true;
	/* Only a part of a full file may have changed. */
	if (layout == FULL && b->layout == FULL) {
		from = b->changed;
		to = b->changed_end;
	}
	memcpy(b->file, b->was, size);
	if (gap)
		memset(b->file + GAP, 0, GAP_END - GAP);
	b->size = size;
	b->changed = 0;
	b->changed_end = 0;

	if (b->layout != layout && layout != FULL)
		if (ftruncate(b->plain, 0))
			return false;
	if (to > from && pwrite(b->plain, b->file + from, to - from,
				from) != to - from)
		return false;
	b->layout = layout;
	if (layout == FULL || layout == ODD_END || layout == EMPTY)
		return true;
	if (layout != HOLE_AT_END &&
	    pwrite(b->plain, b->file + GAP_END, size - GAP_END,
		   GAP_END) != size - GAP_END)
		return false;
	/* 9p has holes only. */
	if (layout == UNWRITTEN &&
	    fallocate(b->plain, 0, GAP, GAP_END - GAP) && errno != EOPNOTSUPP)
		return false;
	return !ftruncate(b->plain, size);
}

struct one {
	const struct range *range;
	const struct way_to_call *call;
	int flag;		/* index */
	int rw;			/* of the file */
	loff_t pos;
	size_t len;		/* asked for, in the buffer */
	ssize_t want;		/* result */
	size_t after;		/* bytes behind them that are zeroed */
	size_t copied;		/* of the result */
	const char *reason;	/* of the last copy */
};

enum { READ, WRITE };

static size_t up(loff_t pos, size_t block)
{
	return (block - pos % block) % block;
}

static size_t overlap(loff_t a, loff_t a_end, loff_t b, loff_t b_end)
{
	loff_t from = a > b ? a : b, to = a_end < b_end ? a_end : b_end;

	return to > from ? to - from : 0;
}

/* What is left of the last block of the file, if it was asked for, too. */
static size_t rest_of_block(const struct bench *b, const struct one *one)
{
	size_t rest = up(one->pos + one->want, b->block);

	if (one->rw == READ && one->want + rest <= one->len &&
	    one->want < one->len)
		return rest;
	return 0;
}

/*
 * Whether what is aligned, @body bytes at @pos, cannot be tried: because F2FS
 * would have to allocate blocks before the end of the file, which could be seen
 * if they were not written then.
 */
static const char *f2fs_refuses(const struct bench *b, const struct one *one,
				loff_t pos, size_t body)
{
	loff_t size = b->size;

	/* The head is written by now. */
	if (pos > one->pos && pos > size)
		size = pos;
	if (one->rw == WRITE && pos < size &&
	    (pos + body > size || (layouts[one->range->layout].gap &&
				   overlap(pos, pos + body, GAP, GAP_END))))
		return "hole";
	return NULL;
}

/*
 * All is copied through kernel memory, by what is below with O_DIRECT: ranges of the
 * file that are not aligned for that are refused.
 */
static void expect_overlay(const struct bench *b, struct one *one)
{
	bool gap = layouts[one->range->layout].gap && one->pos >= GAP &&
		   one->pos < GAP_END;

	one->reason = "file";
	if (one->want && !(one->rw == READ && gap) &&
	    (one->pos | one->len) % SECTOR) {
		one->want = -EINVAL;
		one->copied = 0;
	}
}

/* What the contract says about this one. */
static void expect(struct bench *b, struct one *one)
{
	const struct range *r = one->range;
	size_t head, body, rest, n, gap;
	loff_t pos;

	one->after = 0;
	one->copied = 0;
	if (r->off >= BUF_SIZE) {
		one->want = one->rw == READ ? -ENOSPC : 0;
		return;
	}
	if (one->len > BUF_SIZE - r->off)
		one->len = BUF_SIZE - r->off;
	n = one->len;
	if (one->rw == READ)
		n = overlap(one->pos, one->pos + n, 0, b->size);
	one->want = n;
	one->copied = n;

	one->reason = "buffered";
	if (flags[one->flag] != O_DIRECT)
		return;
	/* A disk is written in blocks, as by write(2). */
	if (b->place->device && one->rw == WRITE &&
	    (one->pos | one->len) % b->block) {
		one->want = -EINVAL;
		one->copied = 0;
		return;
	}
	if (b->place == &dio_on_overlay) {
		expect_overlay(b, one);
		return;
	}
	/* Who takes no dma-bufs says so before anybody looks at the range. */
	one->reason = b->place->device ? "disk" : "file";
	if (!b->place->direct)
		return;

	/* Head, whole blocks, tail. */
	one->reason = "alignment";
	head = up(one->pos, b->block);
	rest = rest_of_block(b, one);
	if (head >= n || n + rest < head + b->block)
		return;
	pos = one->pos + head;
	body = (n - head + rest) / b->block * b->block;
	if ((r->off + head) % DISK_ALIGN)
		return;
	if (b->place == &dio_on_f2fs && f2fs_refuses(b, one, pos, body)) {
		one->reason = f2fs_refuses(b, one, pos, body);
		return;
	}
	/* A gap is copied, with what follows it. */
	gap = layouts[r->layout].gap ? overlap(pos, pos + body, GAP, GAP_END) : 0;
	if (one->rw == READ && gap) {
		one->reason = "hole";
		one->copied = pos < GAP ? n - (GAP - pos) : n;
		return;
	}
	one->after = rest;
	one->copied = n + rest - body;
}

static bool same(const char *what, const unsigned char *got,
		 const unsigned char *want, size_t len)
{
	size_t first, last;

	if (!memcmp(got, want, len))
		return true;
	for (first = 0; got[first] == want[first]; first++)
		;
	for (last = len - 1; got[last] == want[last]; last--)
		;
	if (!quiet)
		dio_log("  %s differs from %#zx to %#zx: %#x, not %#x", what,
			first, last, got[first], want[first]);
	return false;
}

static bool equal(const char *what, long long got, long long want)
{
	if (got == want)
		return true;
	if (!quiet)
		dio_log("  %s: %lld, not %lld", what, got, want);
	return false;
}

/* Everything the buffer holds, and take back what was read into it. */
static bool check_buffer(struct bench *b, const struct one *one)
{
	size_t off = one->range->off, n = one->rw == READ && one->want > 0 ? one->want : 0;
	unsigned char *map = b->buf.map;
	bool good = true;
	size_t i;

	if (dio_sync_start(&b->buf, DMA_BUF_SYNC_READ))
		return false;
	if (n || one->after) {
		good &= same("buffer, before the range,", map, b->held, off);
		good &= same("range of the buffer", map + off, b->file + one->pos, n);
		for (i = off + n; i < off + n + one->after && !map[i]; i++)
			;
		good &= equal("first byte behind the end of the file that is not 0",
			      i, off + n + one->after);
		off += n + one->after;
		good &= same("buffer, behind the range,", map + off,
			     b->held + off, BUF_SIZE - off);
	} else {
		good &= same("buffer", map, b->held, BUF_SIZE);
	}
	if (dio_sync_end(&b->buf, DMA_BUF_SYNC_READ))
		return false;
	if (n || one->after)
		hold(b, one->range->off, n + one->after);
	return good;
}

/* The whole file, as others see it. */
static bool check_file(struct bench *b, const struct one *one)
{
	bool good = true;
	struct stat st;

	if (one->rw == WRITE && one->want > 0) {
		if (one->pos > b->size)
			memset(b->file + b->size, 0, one->pos - b->size);
		if (one->pos + one->want > b->size)
			b->size = one->pos + one->want;
		memcpy(b->file + one->pos, b->held + one->range->off,
		       one->want);
	}
	if (!b->place->device) {
		if (fstat(b->plain, &st))
			return false;
		if (!equal("size of the file", st.st_size, b->size))
			return false;
	}
	if (pread(b->plain, b->now, b->size, 0) != b->size)
		return equal("read", 0, 1);
	good = same("file", b->now, b->file, b->size);
	if (b->place->direct && flags[one->flag] == O_DIRECT) {
		if (pread(b->fd[one->flag], b->now_direct,
			  b->size + up(b->size, DIO_ALIGNED), 0) <
		    b->size)
			return equal("direct read", 0, 1);
		good &= same("file, read directly,", b->now_direct,
			     b->file, b->size);
	}
	return good;
}

static bool check_counters(const struct bench *b, const struct one *one,
			   const struct dio_counters *before,
			   const struct dio_counters *after)
{
	long long read = after->dio_read - before->dio_read;
	long long write = after->dio_write - before->dio_write;
	long long read_copied = after->copy_read - before->copy_read;
	long long write_copied = after->copy_write - before->copy_write;
	long long copied = one->rw == READ ? read_copied : write_copied;
	long long direct = one->rw == READ ? read : write;
	bool good;

	good = equal("direct and copied", direct + copied,
		     one->want > 0 ? one->want : 0);
	good &= equal("bytes the other way", read + write + read_copied +
		      write_copied - direct - copied, 0);
	good &= equal("bytes copied", copied, one->copied);
	if (copied && strcmp(one->reason, after->reason)) {
		if (!quiet)
			dio_log("  copied because of \"%s\", not \"%s\"",
				after->reason, one->reason);
		good = false;
	}
	return good;
}

/*
 * What is said to have gone directly was moved by the disk, and as no more was
 * asked for, the page cache has nothing to do with it. Of a disk, others look
 * at the partition table.
 */
static bool check_below(const struct bench *b, const struct one *one,
			long long direct, const struct dio_below *before,
			const struct dio_below *after)
{
	long long moved = one->rw == READ ? after->read - before->read :
					    after->written - before->written;

	if (moved < direct) {
		if (!quiet)
			dio_log("  %lld bytes directly, but the disk has moved %lld",
				direct, moved);
		return false;
	}
	if (b->place->device || direct < one->want)
		return true;
	if (one->rw == WRITE)
		return equal("written, and in the page cache", after->cached, 0);
	return equal("read, and then in the page cache",
		     after->cached > before->cached, 0);
}

static bool try_one(struct bench *b, struct one *one)
{
	const struct range *r = one->range;
	const struct dio_call *call = one->call->call;
	bool at_out = call->out_position;
	bool file_pos = one->call->file_position || (one->rw == WRITE && at_out);
	bool buf_pos = one->rw == READ && at_out;
	loff_t pos = one->pos, off = r->off, start = 0, buf_start, moved;
	loff_t *ppos = file_pos ? NULL : &pos, *poff = buf_pos ? NULL : &off;
	struct dio_below below = {}, below_now;
	struct dio_counters before, after;
	int fd = b->fd[one->flag];
	long long direct;
	ssize_t ret;
	bool good;

	if (buf_pos && (new_buffer(b) || dio_advance(b->buf.fd, off)))
		return equal("new buffer", 0, 1);
	if (buf_pos)
		hold(b, 0, off);
	if (file_pos)
		start = pos;
	lseek(fd, start, SEEK_SET);
	if (dio_count(b->buf.fd, &before))
		return equal("fdinfo", 0, 1);
	buf_start = before.pos;
	if (b->place->direct && dio_look_below(fd, one->pos, one->len, &below))
		return equal("disk below", 0, 1);

	if (one->rw == READ)
		ret = call->move(fd, ppos, b->buf.fd, poff, one->len, 0);
	else
		ret = call->move(b->buf.fd, poff, fd, ppos, one->len, 0);

	expect(b, one);
	if (dio_count(b->buf.fd, &after))
		return equal("fdinfo", 0, 1);
	good = equal("result", ret, one->want);
	direct = one->rw == READ ? after.dio_read - before.dio_read :
				   after.dio_write - before.dio_write;
	if (b->place->direct && direct > 0)
		good &= dio_look_below(fd, one->pos, ret, &below_now) == 0 &&
			check_below(b, one, direct, &below, &below_now);
	moved = ret > 0 ? ret : 0;
	good &= equal("offset in the file", pos,
		      one->pos + (file_pos ? 0 : moved));
	good &= equal("offset in the buffer", off,
		      r->off + (buf_pos ? 0 : moved));
	good &= equal("position of the file", lseek(fd, 0, SEEK_CUR),
		      start + (file_pos ? moved : 0));
	good &= equal("position of the buffer", after.pos,
		      buf_start + (buf_pos ? moved : 0));
	good &= check_counters(b, one, &before, &after);
	good &= check_buffer(b, one);
	if (one->rw == WRITE) {
		good &= check_file(b, one);
		if (r->layout != FULL || b->size != layouts[FULL].size)
			b->layout = -1;
		b->changed = one->pos;
		b->changed_end = one->pos + moved;
	}
	return good;
}

static bool is_tried(const struct bench *b, int call)
{
	return b->every_call || !call ||
	       call == 1 + b->turn % (int)(ARRAY_SIZE(calls) - 1);
}

static void try_all(struct __test_metadata *_metadata, struct bench *b, int rw)
{
	struct one one = { .rw = rw };
	const struct range *r;
	int c, f;

	for (r = ranges; r < ranges + ARRAY_SIZE(ranges); r++) {
		if (r->layout != FULL && b->place->device)
			continue;
		b->turn++;
		for (c = 0; c < ARRAY_SIZE(calls); c++) {
			if (!is_tried(b, c))
				continue;
			for (f = 0; f < ARRAY_SIZE(flags); f++) {
				one.range = r;
				one.call = &calls[c];
				one.flag = f;
				one.pos = r->pos + r->pos_blocks * b->block;
				one.len = r->len + r->len_blocks * b->block;
				ASSERT_TRUE(lay_out(b, r->layout))
					TH_LOG("layout: %s", strerror(errno));
				b->cases++;
				quiet = b->complaints >= COMPLAINTS;
				if (try_one(b, &one))
					continue;
				b->complaints++;
				b->layout = -1;
				hold(b, 0, BUF_SIZE);
				if (quiet)
					continue;
				dio_log("in: %s, %s, %s, %s: %zu bytes, file %#llx, buffer %#zx",
					r->name, calls[c].name,
					flags[f] ? "O_DIRECT" : "buffered",
					rw == READ ? "read" : "write", one.len,
					(unsigned long long)one.pos, r->off);
			}
		}
	}
	EXPECT_EQ(0, b->complaints)
		TH_LOG("%d of %d cases failed", b->complaints, b->cases);
}

TEST_F(matrix, read)
{
	try_all(_metadata, &self->b, READ);
}

TEST_F(matrix, write)
{
	try_all(_metadata, &self->b, WRITE);
}

int main(int argc, char **argv)
{
	static struct dio_place *const more[] = {
		&dio_on_ext4_crypt, &dio_on_f2fs_crypt, &dio_on_f2fs_compr,
		&dio_on_fuse, &dio_on_9p, &dio_on_ram, &dio_on_zram,
		&dio_on_dm_crypt, NULL
	};

	dio_places_make();
	dio_places_make_more(more);
	return test_harness_run(argc, argv);
}
