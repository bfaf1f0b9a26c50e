// SPDX-License-Identifier: GPL-2.0
/*
 * Bytes that reached a memfd through its udmabuf belong to the memfd.
 *
 * The memory of a memfd that nobody has written to is clean, and clean memory
 * may be taken away: it can be made again, as zeros. Whoever writes through the
 * udmabuf, CPU or device, goes round the code that would mark it dirty; unless
 * udmabuf does so, the bytes are lost once its buffer is closed.
 */
#define _GNU_SOURCE
#include <fcntl.h>

#include <linux/dma-buf.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define SIZE	(4 * DIO_MIB)

FIXTURE(udmabuf_dirty)
{
	unsigned char *data;	/* what the memfd has to hold */
	unsigned char *found;
	int memfd;
	int fd;
};

FIXTURE_SETUP(udmabuf_dirty)
{
	self->data = malloc(SIZE);
	self->found = malloc(SIZE);
	ASSERT_TRUE(self->data && self->found);
	dio_pattern(self->data, 1, 0, SIZE);

	self->memfd = dio_memfd(SIZE, 0, F_SEAL_SHRINK);
	ASSERT_LE(0, self->memfd);
	self->fd = dio_udmabuf_create(self->memfd, SIZE);
	if (self->fd == -ENOENT)
		SKIP(return, "no /dev/udmabuf");
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(udmabuf_dirty)
{
	close(self->memfd);
	free(self->data);
	free(self->found);
}

/* Close the buffer, take all clean memory away, and see what is left. */
static void close_and_compare(struct __test_metadata *_metadata,
			      FIXTURE_DATA(udmabuf_dirty) const *self)
{
	size_t lost = 0, i;

	ASSERT_EQ(0, close(self->fd));
	/* The pages were just in use; the second round finds them idle. */
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, dio_write_file("/proc/sys/vm/drop_caches", "1"));
	ASSERT_EQ(SIZE, pread(self->memfd, self->found, SIZE, 0));
	for (i = 0; i < SIZE; i += DIO_ALIGNED)
		lost += !!memcmp(self->data + i, self->found + i, DIO_ALIGNED);
	EXPECT_EQ(0, lost)
		TH_LOG("%zu of %zu pages of the memfd lost their bytes", lost,
		       SIZE / DIO_ALIGNED);
}

/* Every page of the memfd is made by udmabuf, none by a write to the memfd. */
TEST_F(udmabuf_dirty, written_by_cpu)
{
	struct dio_buf buf = { .fd = self->fd };
	void *map;

	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, dio_sync_start(&buf, DMA_BUF_SYNC_WRITE));
	memcpy(map, self->data, SIZE);
	ASSERT_EQ(0, dio_sync_end(&buf, DMA_BUF_SYNC_WRITE));
	munmap(map, SIZE);
	close_and_compare(_metadata, self);
}

TEST_F(udmabuf_dirty, written_by_disk)
{
	struct dio_src src;

	if (!dio_ready(_metadata, dio_src_open(&src, &dio_ext4, 0, SIZE)))
		return;
	ASSERT_EQ(SIZE, dio_splice(src.fd, 0, self->fd, 0, SIZE));
	memcpy(self->data, src.oracle, SIZE);
	dio_src_close(&src);
	close_and_compare(_metadata, self);
}

/* Memory that was dirty before stays so: tells a lost write from lost memory. */
TEST_F(udmabuf_dirty, written_before)
{
	ASSERT_EQ(SIZE, pwrite(self->memfd, self->data, SIZE, 0));
	close_and_compare(_metadata, self);
}

TEST_HARNESS_MAIN
