// SPDX-License-Identifier: GPL-2.0
/*
 * Each allocation of a working splice(2) fails once, one after the other, by
 * /proc/thread-self/fail-nth. Each time the call has to fail properly or to do
 * without, and the next one has to work. What was not freed, or freed twice, is
 * for KASAN, kmemleak and DMA_API_DEBUG to find.
 */
#define _GNU_SOURCE
#include "../kselftest_harness.h"
#include "lib/dio.h"

#define LEN		(1 * DIO_MIB)
#define OFF		DIO_GUARD
#define POS		DIO_GUARD	/* in the file, and so much behind */
#define SIZE		(LEN + 2 * DIO_GUARD)
#define FAR_TOO_MANY	2000

FIXTURE(fail_nth)
{
	struct dio_src src;
	struct dio_buf buf;
	struct dio_move move;
	int nth;
};

FIXTURE_VARIANT(fail_nth)
{
	const struct dio_backing *backing;
	const struct dio_exporter *exporter;
	int rw;
};

FIXTURE_VARIANT_ADD(fail_nth, ext4_to_heap) { DIO_PAIR(ext4, heap) };
FIXTURE_VARIANT_ADD(fail_nth, xfs_to_heap) { DIO_PAIR(xfs, heap) };
FIXTURE_VARIANT_ADD(fail_nth, raw_to_heap) { DIO_PAIR(raw, heap) };
FIXTURE_VARIANT_ADD(fail_nth, raw_to_udmabuf) { DIO_PAIR(raw, udmabuf) };
FIXTURE_VARIANT_ADD(fail_nth, raw_prp_to_udmabuf) { DIO_PAIR(raw_prp, udmabuf) };

FIXTURE_VARIANT_ADD(fail_nth, heap_to_ext4) { DIO_PAIR(ext4, heap), .rw = DIO_WRITE };
FIXTURE_VARIANT_ADD(fail_nth, heap_to_xfs) { DIO_PAIR(xfs, heap), .rw = DIO_WRITE };
FIXTURE_VARIANT_ADD(fail_nth, heap_to_raw) { DIO_PAIR(raw, heap), .rw = DIO_WRITE };
FIXTURE_VARIANT_ADD(fail_nth, udmabuf_to_raw) { DIO_PAIR(raw, udmabuf), .rw = DIO_WRITE };
FIXTURE_VARIANT_ADD(fail_nth, udmabuf_to_raw_prp) { DIO_PAIR(raw_prp, udmabuf), .rw = DIO_WRITE };

FIXTURE_SETUP(fail_nth)
{
	if (!dio_ready(_metadata, dio_fault_open(&self->nth)))
		return;
	dio_ready(_metadata,
		  dio_src_open(&self->src, variant->backing, 0, LEN + 2 * POS) ?:
		  dio_move_open(&self->move, variant->rw, &self->src, &self->buf,
				POS, OFF, LEN));
}

FIXTURE_TEARDOWN(fail_nth)
{
	dio_move_close(&self->move);
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
	close(self->nth);
	EXPECT_EQ(0, dio_knobs_restore());
}

TEST_F(fail_nth, sweep)
{
	struct dio_move *m = &self->move;
	int nth, left = 0, failed = 0;
	ssize_t ret = 0;

	/* A new buffer each time, so that the map is made anew. */
	for (nth = 1; !left && nth < FAR_TOO_MANY; nth++) {
		ASSERT_EQ(0, dio_buf_alloc(&self->buf, variant->exporter, SIZE));
		dio_move_prepare(m);
		ASSERT_EQ(0, dio_fault_arm(self->nth, nth));
		ret = dio_move(m);
		left = dio_fault_disarm(self->nth);
		ASSERT_LE(0, left);

		if (ret < 0) {
			failed++;
			/* Without a map, it is refused rather than copied. */
			EXPECT_TRUE(ret == -ENOMEM || ret == -EOPNOTSUPP)
				TH_LOG("allocation %d: %s", nth, strerror(-ret));
		} else {
			EXPECT_LT(0, ret);
		}
		EXPECT_TRUE(dio_move_check(m, ret, LEN)) TH_LOG("allocation %d: %zd", nth, ret);

		dio_move_prepare(m);
		ASSERT_EQ(LEN, dio_move(m)) TH_LOG("after allocation %d had failed", nth);
		ASSERT_TRUE(dio_move_check(m, LEN, LEN))
			TH_LOG("after allocation %d had failed", nth);
		dio_buf_free(&self->buf);
	}
	TH_LOG("%d allocations, %d of them needed", nth - 2, failed);
	EXPECT_GT(FAR_TOO_MANY, nth);
	EXPECT_EQ(LEN, ret);
	EXPECT_LT(0, failed);
}

TEST_HARNESS_MAIN
