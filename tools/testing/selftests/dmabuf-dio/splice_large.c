// SPDX-License-Identifier: GPL-2.0
/*
 * splice(2) beyond the numbers that fit: a file past 4 GiB, a buffer past
 * 4 GiB, a call past what one call may move, and one command after another.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>

#include <linux/fs.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define MAX_CALL	0x7ffff000L	/* MAX_RW_COUNT with pages of 4 KiB */
#define BIG		(4 * DIO_GIB + 32 * DIO_MIB)
#define SPARE		(384 * DIO_MIB)

/* ---- one long call, and a far place in the file ---- */

#define LONG_SIZE(exporter)	(((exporter) == &dio_heap ? 36 : 12) * DIO_MIB)

FIXTURE(splice_long)
{
	struct dio_buf buf;
	struct dio_src src;	/* opened by each test */
};

FIXTURE_VARIANT(splice_long)
{
	const struct dio_backing *backing;
	const struct dio_exporter *exporter;
};

FIXTURE_VARIANT_ADD(splice_long, ext4_to_heap) { DIO_PAIR(ext4, heap) };
FIXTURE_VARIANT_ADD(splice_long, ext4_to_udmabuf) { DIO_PAIR(ext4, udmabuf) };
FIXTURE_VARIANT_ADD(splice_long, xfs_to_heap) { DIO_PAIR(xfs, heap) };
FIXTURE_VARIANT_ADD(splice_long, raw_to_heap) { DIO_PAIR(raw, heap) };
FIXTURE_VARIANT_ADD(splice_long, raw_to_udmabuf) { DIO_PAIR(raw, udmabuf) };
FIXTURE_VARIANT_ADD(splice_long, raw_prp_to_heap) { DIO_PAIR(raw_prp, heap) };
FIXTURE_VARIANT_ADD(splice_long, raw_prp_to_udmabuf) { DIO_PAIR(raw_prp, udmabuf) };
FIXTURE_VARIANT_ADD(splice_long, raw_4k_to_heap) { DIO_PAIR(raw_4k, heap) };

FIXTURE_SETUP(splice_long)
{
	dio_ready(_metadata, dio_buf_alloc(&self->buf, variant->exporter,
					   LONG_SIZE(variant->exporter) +
					   4 * DIO_MIB));
}

FIXTURE_TEARDOWN(splice_long)
{
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
}

/*
 * Longer than any command, and into contiguous memory longer than what is
 * transferred in one go; at an offset that no boundary likes.
 */
TEST_F(splice_long, one_call)
{
	size_t size = LONG_SIZE(variant->exporter);
	struct dio_src *src = &self->src;

	if (dio_ready(_metadata, dio_src_open(src, variant->backing, 0, size)))
		EXPECT_TRUE(dio_transfer(src, src->block, &self->buf,
					 DIO_MIB + 3 * src->block,
					 size - src->block));
}

TEST_F(splice_long, file_past_4g)
{
	size_t size = 4 * DIO_MIB;
	loff_t base = 4 * DIO_GIB - size / 2;
	struct dio_src *src = &self->src;

	if (!dio_ready(_metadata,
		       dio_src_open(src, variant->backing, base, size)))
		return;
	EXPECT_TRUE(dio_transfer(src, base, &self->buf, DIO_MIB, size));
	EXPECT_TRUE(dio_transfer(src, base + size / 2 - src->block, &self->buf,
				 DIO_MIB, 2 * src->block));
}

/* ---- a buffer past 4 GiB ---- */

FIXTURE(splice_big)
{
	struct dio_buf buf;
};

FIXTURE_SETUP(splice_big)
{
	dio_ready(_metadata, dio_need_memory(BIG + SPARE) ?:
			     dio_buf_alloc(&self->buf, &dio_heap, BIG));
}

FIXTURE_TEARDOWN(splice_big)
{
	dio_buf_free(&self->buf);
}

/*
 * A disk is read by a plain loop over the positions, each call asking for all
 * that is left. Known data lies where calls and 32 bit numbers end.
 */
static void load_by_loop(struct __test_metadata *_metadata, struct dio_buf *buf)
{
	static const loff_t places[] = {
		0, 2 * DIO_GIB - DIO_MIB, 4 * DIO_GIB - DIO_MIB,
		BIG - 2 * DIO_MIB,
	};
	static const ssize_t calls[] = {
		MAX_CALL, MAX_CALL, BIG - 2 * MAX_CALL
	};
	struct dio_src src[ARRAY_SIZE(places)];
	size_t done = 0;
	ssize_t n;
	int i, ret = 0;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		ret = dio_src_open(&src[i], &dio_raw, places[i], 2 * DIO_MIB);
		if (ret)
			break;
	}
	if (ret) {
		while (i--)
			dio_src_close(&src[i]);
		EXPECT_LE(0, ret) TH_LOG("%s", strerror(-ret));
		dio_is_missing(ret);
		return;
	}

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		n = splice(src[0].fd, NULL, buf->fd, NULL, BIG - done, 0);
		ASSERT_EQ(calls[i], n)
			TH_LOG("call %d: %s", i, n < 0 ? strerror(errno) : "short");
		done += n;
		ASSERT_EQ(done, dio_pos(src[0].fd));
		ASSERT_EQ(done, dio_pos(buf->fd));
	}
	EXPECT_EQ(-1, splice(src[0].fd, NULL, buf->fd, NULL, DIO_MIB, 0));
	EXPECT_EQ(ENOSPC, errno);
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		EXPECT_TRUE(dio_is_data(buf, src[i].base, &src[i], src[i].base,
					src[i].size));
		dio_src_close(&src[i]);
	}
}

/* One test for both: such a buffer is not made in no time. */
TEST_F(splice_big, past_4g)
{
	/* Where something in the way may count in 31 or 32 bits. */
	static const size_t far[] = { 2 * DIO_GIB, 4 * DIO_GIB };
	size_t size = 2 * DIO_MIB;
	struct dio_src src;
	struct dio_buf *buf = &self->buf;
	int i, j, ret;

	for (i = 0; dio_backings[i]; i++) {
		ret = dio_src_open(&src, dio_backings[i], 0, size);
		ASSERT_LE(0, ret) TH_LOG("%s: %s", dio_backings[i]->name, strerror(-ret));
		if (dio_is_missing(ret))
			continue;
		for (j = 0; j < ARRAY_SIZE(far); j++) {
			EXPECT_TRUE(dio_transfer(&src, 0, buf,
						 far[j] - size / 2, size));
			EXPECT_TRUE(dio_transfer(&src, src.block, buf,
						 far[j] - src.block,
						 2 * src.block));
			EXPECT_TRUE(dio_transfer(&src, 0, buf,
						 far[j] + 5 * src.block, size));
		}
		EXPECT_TRUE(dio_transfer(&src, 0, buf, BIG - size, size));

		/* What 32 bits would have made of it. */
		dio_poison(buf, 0, 2 * size);
		EXPECT_TRUE(dio_transfer(&src, 0, buf, 4 * DIO_GIB + size, size));
		EXPECT_TRUE(dio_is_poison(buf, 0, 2 * size));
		dio_src_close(&src);
	}
	load_by_loop(_metadata, buf);
	dio_tell_missing(_metadata);
}

/* ---- a call for more than it moves ---- */

#define MANY		(2 * DIO_GIB + 64 * DIO_KIB)

TEST(more_than_a_call_moves)
{
	const loff_t from = 3 * DIO_GIB - DIO_ALIGNED;
	const size_t rest = MANY - MAX_CALL;
	struct dio_src first, last;
	loff_t in = from, out = 0;
	struct dio_buf buf;

	if (!dio_ready(_metadata,
		       dio_need_memory(MANY + 256 * DIO_MIB) ?:
		       dio_src_open(&last, &dio_raw, from + MAX_CALL, rest) ?:
		       dio_src_open(&first, &dio_raw, from, rest) ?:
		       dio_buf_alloc(&buf, &dio_heap, MANY)))
		return;
	EXPECT_EQ(MAX_CALL, dio_call_copy_file_range.move(first.fd, &in, buf.fd,
							  &out, MANY, 0));
	EXPECT_EQ(MAX_CALL, out);
	EXPECT_EQ(from + MAX_CALL, in);
	EXPECT_EQ(rest, dio_call_splice.move(first.fd, &in, buf.fd, &out, MANY, 0));
	EXPECT_TRUE(dio_is_data(&buf, 0, &first, from, rest));
	EXPECT_TRUE(dio_is_data(&buf, MAX_CALL, &last, from + MAX_CALL, rest));
	dio_buf_free(&buf);
	dio_src_close(&first);
	dio_src_close(&last);
}

TEST_HARNESS_MAIN
