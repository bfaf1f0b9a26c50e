// SPDX-License-Identifier: GPL-2.0
/*
 * Each allocation of a working splice(2) fails once, one after the other, by
 * /proc/thread-self/fail-nth. Each time the call has to fail properly or to do
 * without, and the next one has to work. What was not freed, or freed twice, is
 * for KASAN, kmemleak and DMA_API_DEBUG to find.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define TIMEOUT		300
#define LEN		(1 * DIO_MIB)
#define OFF		DIO_GUARD
#define SIZE		(LEN + 2 * DIO_GUARD)
#define FAULTS		"/sys/kernel/debug/"
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
	static const char * const knobs[] = {
		FAULTS "failslab/ignore-gfp-wait",
		FAULTS "fail_page_alloc/ignore-gfp-wait",
		FAULTS "fail_page_alloc/ignore-gfp-highmem",
		FAULTS "fail_page_alloc/min-order",
	};
	glob_t found;
	int i;

	self->nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (self->nth < 0)
		SKIP(return, "no fault injection in this kernel");
	for (i = 0; i < ARRAY_SIZE(knobs); i++)
		if (dio_write_file(knobs[i], "0"))
			SKIP(return, "no %s", knobs[i]);
	/* Not a stack trace for each of them: real ones would drown. */
	if (!glob(FAULTS "fail*/verbose", 0, NULL, &found)) {
		for (i = 0; i < found.gl_pathc; i++)
			dio_write_file(found.gl_pathv[i], "0");
		globfree(&found);
	}
	dio_ready(_metadata, dio_src_open(&self->src, variant->backing, 0, LEN));
}

FIXTURE_TEARDOWN(fail_nth)
{
	dio_src_close(&self->src);
	close(self->nth);
}

/* Gives back what is left of @nth: 0 if something was made to fail. */
static int splice_failing(FIXTURE_DATA(fail_nth) const *self, int nth,
			  struct dio_buf *buf, ssize_t *ret)
{
	char text[16] = "";
	int len;

	len = snprintf(text, sizeof(text), "%d", nth);
	if (pwrite(self->nth, text, len, 0) != len)
		return -errno;
	*ret = dio_splice(self->src.fd, 0, buf->fd, OFF, LEN);
	if (pread(self->nth, text, sizeof(text) - 1, 0) <= 0)
		return -errno;
	if (pwrite(self->nth, "0", 1, 0) != 1)
		return -errno;
	return atoi(text);
}

TEST_F_TIMEOUT(fail_nth, sweep, TIMEOUT)
{
	int nth, left = 0, failed = 0;
	struct dio_buf buf;
	ssize_t ret = 0;

	/* A new buffer each time, so that the map is made anew. */
	for (nth = 1; !left && nth < FAR_TOO_MANY; nth++) {
		ASSERT_EQ(0, dio_buf_alloc(&buf, variant->exporter, SIZE));
		dio_poison(&buf, 0, SIZE);
		left = splice_failing(self, nth, &buf, &ret);
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
