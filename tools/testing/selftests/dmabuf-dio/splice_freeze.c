// SPDX-License-Identifier: GPL-2.0
/*
 * A transfer that meets a frozen file system writes nothing until it is thawed,
 * and all of it then.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/ioctl.h>

#include <linux/dma-buf.h>
#include <linux/fs.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

/* Of many chunks, so that one is caught between two of them. */
#define SIZE		(8 * DIO_CHUNK)

struct freezer {
	struct dio_buf buf;
	unsigned char *mem;	/* 1 MiB */
	int plain, direct;
	pthread_t thread;
	atomic_long ret;	/* 0 while it is under way */
	bool frozen;
};

FIXTURE(freeze)
{
	struct freezer f;
};

FIXTURE_VARIANT(freeze)
{
	struct dio_place *place;
};

FIXTURE_VARIANT_ADD(freeze, ext4) { .place = &dio_on_ext4 };
FIXTURE_VARIANT_ADD(freeze, xfs) { .place = &dio_on_xfs };

FIXTURE_SETUP(freeze)
{
	struct freezer *f = &self->f;

	f->plain = -1;
	f->direct = -1;
	if (!dio_ready(_metadata, dio_place_ready(variant->place) ?:
				  dio_need_memory(2 * SIZE) ?:
				  dio_buf_alloc(&f->buf, &dio_heap, SIZE)))
		return;
	f->mem = aligned_alloc(DIO_ALIGNED, DIO_MIB);
	ASSERT_NE(NULL, f->mem);
	f->plain = dio_place_open(variant->place);
	ASSERT_LE(0, f->plain);
	f->direct = dio_reopen(f->plain, O_RDWR | O_DIRECT);
	ASSERT_LE(0, f->direct);
}

FIXTURE_TEARDOWN(freeze)
{
	struct freezer *f = &self->f;

	if (f->frozen)
		ioctl(f->plain, FITHAW, 0);
	close(f->plain);
	close(f->direct);
	free(f->mem);
	dio_buf_free(&f->buf);
}

static int erase(struct freezer *f, loff_t pos, loff_t end)
{
	size_t n = end - pos < DIO_MIB ? end - pos : DIO_MIB;

	memset(f->mem, 0, n);
	for (; pos < end; pos += n)
		if (pwrite(f->plain, f->mem, n, pos) != n)
			return -errno;
	return fsync(f->plain) ? -errno : 0;
}

/* The last page of it is on the disk, past which nothing is written. */
static bool ended(struct __test_metadata *_metadata, struct freezer *f)
{
	ASSERT_EQ(DIO_ALIGNED, pread(f->direct, f->mem, DIO_ALIGNED,
				     SIZE - DIO_ALIGNED));
	return f->mem[0] || memcmp(f->mem, f->mem + 1, DIO_ALIGNED - 1);
}

static void *transfer(void *data)
{
	struct freezer *f = data;

	f->ret = dio_splice(f->buf.fd, 0, f->direct, 0, SIZE);
	return NULL;
}

/*
 * Freeze the file system in the middle of a transfer: one that has written some
 * when we begin, and has more to write when we are done. If it was faster than we
 * are, another one has to be caught.
 */
static void catch(struct __test_metadata *_metadata, struct freezer *f)
{
	struct dio_counters was, now;

	ASSERT_EQ(0, erase(f, 0, SIZE));
	for (;;) {
		f->ret = 0;
		ASSERT_EQ(0, dio_count(f->buf.fd, &was));
		ASSERT_EQ(0, pthread_create(&f->thread, NULL, transfer, f));
		ASSERT_TRUE(dio_wait_for(dio_count(f->buf.fd, &now) || f->ret ||
					 now.dio_write > was.dio_write));
		ASSERT_EQ(0, ioctl(f->plain, FIFREEZE, 0));
		f->frozen = true;
		if (!ended(_metadata, f))
			return;
		ASSERT_EQ(0, ioctl(f->plain, FITHAW, 0));
		f->frozen = false;
		pthread_join(f->thread, NULL);
		ASSERT_EQ(SIZE, f->ret);
		ASSERT_EQ(0, erase(f, SIZE - DIO_ALIGNED, SIZE));
	}
}

TEST_F(freeze, waits)
{
	struct freezer *f = &self->f;
	struct dio_counters was, now;
	loff_t pos;

	dio_poison(&f->buf, 0, SIZE);
	catch(_metadata, f);

	/* What was under way has ended, as a frozen file system has none. */
	ASSERT_EQ(0, dio_count(f->buf.fd, &was));
	usleep(200000);
	ASSERT_EQ(0, dio_count(f->buf.fd, &now));
	EXPECT_EQ(was.dio_write, now.dio_write);
	EXPECT_FALSE(ended(_metadata, f));

	ASSERT_EQ(0, ioctl(f->plain, FITHAW, 0));
	f->frozen = false;
	pthread_join(f->thread, NULL);
	EXPECT_EQ(SIZE, f->ret);

	ASSERT_EQ(0, dio_sync_start(&f->buf, DMA_BUF_SYNC_READ));
	for (pos = 0; pos < SIZE; pos += DIO_MIB) {
		ASSERT_EQ(DIO_MIB, pread(f->direct, f->mem, DIO_MIB, pos));
		ASSERT_EQ(0, memcmp(f->mem, f->buf.map + pos, DIO_MIB));
	}
	EXPECT_EQ(0, dio_sync_end(&f->buf, DMA_BUF_SYNC_READ));
}

int main(int argc, char **argv)
{
	dio_places_make();
	return test_harness_run(argc, argv);
}
