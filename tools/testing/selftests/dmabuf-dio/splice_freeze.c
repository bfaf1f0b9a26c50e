// SPDX-License-Identifier: GPL-2.0
/*
 * A transfer that meets a frozen file system waits until it is thawed, which may
 * take any time, and keeps the buffer from nobody meanwhile: no disk has it mapped.
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

#define TIMEOUT		120
#define TRIES		40
#define NAME		"dio freeze"

/* Many of the chunks that a transfer is made of. */
#define SIZE		(512 * DIO_MIB)

#define BUFINFO		"/sys/kernel/debug/dma_buf/bufinfo"

struct freezer {
	struct dio_buf buf;
	unsigned char *mem;	/* 1 MiB */
	int plain, direct;
	pthread_t thread;
	ssize_t ret;
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
	if (access(BUFINFO, R_OK))
		SKIP(return, "no %s", BUFINFO);
	if (!dio_ready(_metadata, dio_place_ready(variant->place) ?:
				  dio_need_memory(2 * SIZE) ?:
				  dio_buf_alloc(&f->buf, &dio_heap, SIZE)))
		return;
	ASSERT_EQ(0, ioctl(f->buf.fd, DMA_BUF_SET_NAME, NAME));
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

static bool written(struct __test_metadata *_metadata, struct freezer *f, loff_t pos)
{
	ASSERT_EQ(DIO_ALIGNED, pread(f->direct, f->mem, DIO_ALIGNED, pos));
	return f->mem[0] || memcmp(f->mem, f->mem + 1, DIO_ALIGNED - 1);
}

static void *transfer(void *data)
{
	struct freezer *f = data;

	f->ret = dio_splice(f->buf.fd, 0, f->direct, 0, SIZE);
	return NULL;
}

/* Devices that our buffer is attached to, or -1. */
static int attached(void)
{
	bool ours = false;
	char line[256];
	int n = -1;
	FILE *f;

	f = fopen(BUFINFO, "r");
	if (!f)
		return -1;
	while (n < 0 && fgets(line, sizeof(line), f)) {
		if (strstr(line, "\t" NAME "\n"))
			ours = true;
		else if (ours && sscanf(line, "Total %d devices", &n) != 1)
			n = -1;
	}
	fclose(f);
	return n;
}

/* The transfer has begun and has not ended, and the file system is frozen. */
static bool caught(struct __test_metadata *_metadata, struct freezer *f)
{
	useconds_t delay = 5000;
	bool begun, ended;
	int i;

	ASSERT_EQ(0, erase(f, 0, SIZE));
	for (i = 0; i < TRIES; i++) {
		/* What tells how far it has come. */
		ASSERT_EQ(0, erase(f, 0, DIO_ALIGNED));
		ASSERT_EQ(0, erase(f, SIZE - DIO_ALIGNED, SIZE));
		ASSERT_EQ(0, pthread_create(&f->thread, NULL, transfer, f));
		usleep(delay);
		if (ioctl(f->plain, FIFREEZE, 0)) {
			pthread_join(f->thread, NULL);
			SKIP(return false, "cannot be frozen: %s", strerror(errno));
		}
		f->frozen = true;
		begun = written(_metadata, f, 0);
		ended = written(_metadata, f, SIZE - DIO_ALIGNED);
		if (begun && !ended)
			return true;
		ASSERT_EQ(0, ioctl(f->plain, FITHAW, 0));
		f->frozen = false;
		pthread_join(f->thread, NULL);
		ASSERT_EQ(SIZE, f->ret);
		delay = begun ? delay / 2 + 1 : delay * 2;
	}
	SKIP(return false, "never in the middle of a transfer");
}

TEST_F_TIMEOUT(freeze, is_not_mapped, TIMEOUT)
{
	struct freezer *f = &self->f;
	loff_t pos;
	int i;

	dio_poison(&f->buf, 0, SIZE);
	if (!caught(_metadata, f))
		return;

	/* The last of what was under way may have to end first. */
	for (i = 0; i < 100 && attached() > 0; i++)
		usleep(50000);
	EXPECT_EQ(0, attached());

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
