// SPDX-License-Identifier: GPL-2.0
/*
 * Each allocation of what user space asks exporters for fails once, one after
 * the other. Each time the operation has to fail properly or to do without, to
 * leave nothing behind, and to work the next time.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/dma-buf.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define SIZE		(2 * DIO_MIB + 37 * DIO_ALIGNED)
#define BUFFERS		"/sys/kernel/debug/dma_buf/bufinfo"
#define FAR_TOO_MANY	4000

FIXTURE(fail_nth)
{
	struct dio_buf buf;
	int memfd;
	int nth;
};

/* Operations on a buffer; each returns 0 or -errno, and undoes what it did. */

static int create_heap(FIXTURE_DATA(fail_nth) const *self)
{
	int fd = dio_heap_alloc(SIZE, O_RDWR | O_CLOEXEC);

	(void)self;
	return fd < 0 ? fd : close(fd);
}

static int create_udmabuf(FIXTURE_DATA(fail_nth) const *self)
{
	int fd = dio_udmabuf_create(self->memfd, SIZE);

	return fd < 0 ? fd : close(fd);
}

static int map(FIXTURE_DATA(fail_nth) const *self)
{
	void *mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->buf.fd, 0);

	return mem == MAP_FAILED ? -errno : munmap(mem, SIZE);
}

static int fault_in(FIXTURE_DATA(fail_nth) const *self)
{
	void *mem = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 self->buf.fd, 0);
	int ret;

	if (mem == MAP_FAILED)
		return -errno;
	/* The kernel gets an error where a thread would get a signal. */
	ret = pread(self->memfd, mem, 1, 0) == 1 ? 0 : -errno;
	if (ret == -EFAULT)
		ret = -ENOMEM;
	munmap(mem, SIZE);
	return ret;
}

static int sync_for_cpu(FIXTURE_DATA(fail_nth) const *self)
{
	struct dma_buf_sync sync = { DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	int ret = ioctl(self->buf.fd, DMA_BUF_IOCTL_SYNC, &sync);

	if (ret)
		return -errno;
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	return ioctl(self->buf.fd, DMA_BUF_IOCTL_SYNC, &sync) ? -errno : 0;
}

/* The kernel maps it for itself. */
static int copy(FIXTURE_DATA(fail_nth) const *self)
{
	loff_t in = 0, out = 0;
	ssize_t ret = splice(self->buf.fd, &in, self->memfd, &out, SIZE, 0);

	return ret < 0 ? -errno : 0;
}

FIXTURE_VARIANT(fail_nth)
{
	const struct dio_exporter *exporter;
	int (*operate)(FIXTURE_DATA(fail_nth) const *self);
	bool may_not_fail;	/* nothing of it has to be allocated */
};

FIXTURE_VARIANT_ADD(fail_nth, heap_create) {
	.exporter = &dio_heap,
	.operate = create_heap,
};

FIXTURE_VARIANT_ADD(fail_nth, udmabuf_create) {
	.exporter = &dio_udmabuf,
	.operate = create_udmabuf,
};

FIXTURE_VARIANT_ADD(fail_nth, heap_map) {
	.exporter = &dio_heap,
	.operate = map,
};

FIXTURE_VARIANT_ADD(fail_nth, udmabuf_map) {
	.exporter = &dio_udmabuf,
	.operate = map,
};

FIXTURE_VARIANT_ADD(fail_nth, heap_fault_in) {
	.exporter = &dio_heap,
	.operate = fault_in,
};

FIXTURE_VARIANT_ADD(fail_nth, udmabuf_fault_in) {
	.exporter = &dio_udmabuf,
	.operate = fault_in,
};

FIXTURE_VARIANT_ADD(fail_nth, heap_sync) {
	.exporter = &dio_heap,
	.operate = sync_for_cpu,
	.may_not_fail = true,
};

FIXTURE_VARIANT_ADD(fail_nth, udmabuf_sync) {
	.exporter = &dio_udmabuf,
	.operate = sync_for_cpu,
	.may_not_fail = true,
};

FIXTURE_VARIANT_ADD(fail_nth, heap_copy) {
	.exporter = &dio_heap,
	.operate = copy,
};

FIXTURE_VARIANT_ADD(fail_nth, udmabuf_copy) {
	.exporter = &dio_udmabuf,
	.operate = copy,
};

FIXTURE_SETUP(fail_nth)
{
	if (!dio_ready(_metadata, dio_fault_open(&self->nth)))
		return;
	self->memfd = dio_memfd(SIZE, 0, F_SEAL_SHRINK);
	ASSERT_LE(0, self->memfd);
	ASSERT_EQ(0, fallocate(self->memfd, 0, 0, SIZE));
	dio_ready(_metadata, dio_buf_alloc(&self->buf, variant->exporter, SIZE));
}

FIXTURE_TEARDOWN(fail_nth)
{
	dio_buf_free(&self->buf);
	close(self->memfd);
	close(self->nth);
	EXPECT_EQ(0, dio_knobs_restore());
}

/* All dma-bufs there are; the last line tells how many, and of what size. */
static void count_buffers(struct __test_metadata *_metadata, char *total,
			  size_t size)
{
	char line[256];
	FILE *f = fopen(BUFFERS, "r");

	*total = 0;
	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "Total", 5))
			snprintf(total, size, "%.*s", (int)size - 1, line);
	fclose(f);
	ASSERT_STRNE("", total);
}

TEST_F(fail_nth, sweep)
{
	char before[128], after[128];
	int nth, ret = 0, left = 0, failed = 0, fd;

	ASSERT_EQ(0, variant->operate(self));
	count_buffers(_metadata, before, sizeof(before));
	fd = dup(0);
	close(fd);

	for (nth = 1; !left && nth < FAR_TOO_MANY; nth++) {
		ASSERT_EQ(0, dio_fault_arm(self->nth, nth));
		ret = variant->operate(self);
		left = dio_fault_disarm(self->nth);
		ASSERT_LE(0, left);
		if (ret) {
			failed++;
			EXPECT_EQ(-ENOMEM, ret)
				TH_LOG("allocation %d: %s", nth, strerror(-ret));
		}
		ASSERT_EQ(0, variant->operate(self))
			TH_LOG("after allocation %d had failed", nth);
	}
	TH_LOG("%d allocations, %d of them needed", nth - 2, failed);
	EXPECT_GT(FAR_TOO_MANY, nth);
	EXPECT_EQ(0, ret);
	if (!variant->may_not_fail)
		EXPECT_LT(0, failed);

	count_buffers(_metadata, after, sizeof(after));
	EXPECT_STREQ(before, after);
	EXPECT_EQ(fd, dup(0));
	close(fd);
}

TEST_HARNESS_MAIN
