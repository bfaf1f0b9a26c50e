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
#define SIZE		(LEN + 2 * DIO_GUARD)
#define FAR_TOO_MANY	2000

FIXTURE(fail_nth)
{
	struct dio_src src;
	int nth;
};

FIXTURE_VARIANT(fail_nth)
{
	const struct dio_backing *backing;
	const struct dio_exporter *exporter;
};

FIXTURE_VARIANT_ADD(fail_nth, ext4_to_heap) { DIO_PAIR(ext4, heap) };
FIXTURE_VARIANT_ADD(fail_nth, xfs_to_heap) { DIO_PAIR(xfs, heap) };
FIXTURE_VARIANT_ADD(fail_nth, raw_to_heap) { DIO_PAIR(raw, heap) };
FIXTURE_VARIANT_ADD(fail_nth, raw_to_udmabuf) { DIO_PAIR(raw, udmabuf) };
FIXTURE_VARIANT_ADD(fail_nth, raw_prp_to_udmabuf) { DIO_PAIR(raw_prp, udmabuf) };

FIXTURE_SETUP(fail_nth)
{
	if (!dio_ready(_metadata, dio_fault_open(&self->nth)))
		return;
	dio_ready(_metadata, dio_src_open(&self->src, variant->backing, 0, LEN));
}

FIXTURE_TEARDOWN(fail_nth)
{
	dio_src_close(&self->src);
	close(self->nth);
}

TEST_F(fail_nth, sweep)
{
	int nth, left = 0, failed = 0;
	struct dio_buf buf;
	ssize_t ret = 0;

	/* A new buffer each time, so that the map is made anew. */
	for (nth = 1; !left && nth < FAR_TOO_MANY; nth++) {
		ASSERT_EQ(0, dio_buf_alloc(&buf, variant->exporter, SIZE));
		dio_poison(&buf, 0, SIZE);
		ASSERT_EQ(0, dio_fault_arm(self->nth, nth));
		ret = dio_splice(self->src.fd, 0, buf.fd, OFF, LEN);
		left = dio_fault_disarm(self->nth);
		ASSERT_LE(0, left);

		if (ret < 0) {
			failed++;
			EXPECT_EQ(-ENOMEM, ret)
				TH_LOG("allocation %d: %s", nth, strerror(-ret));
		} else {
			EXPECT_LT(0, ret);
			EXPECT_TRUE(dio_is_data(&buf, OFF, &self->src, 0, ret));
		}
		EXPECT_TRUE(dio_is_data_or(&buf, OFF, &self->src, 0, LEN,
					   DIO_MAY_POISON));
		EXPECT_TRUE(dio_is_poison(&buf, 0, OFF));
		EXPECT_TRUE(dio_is_poison(&buf, OFF + LEN, DIO_GUARD));

		ASSERT_TRUE(dio_transfer(&self->src, 0, &buf, OFF, LEN))
			TH_LOG("after allocation %d had failed", nth);
		dio_buf_free(&buf);
	}
	TH_LOG("%d allocations, %d of them needed", nth - 2, failed);
	EXPECT_GT(FAR_TOO_MANY, nth);
	EXPECT_EQ(LEN, ret);
	EXPECT_LT(0, failed);
}

TEST_HARNESS_MAIN
