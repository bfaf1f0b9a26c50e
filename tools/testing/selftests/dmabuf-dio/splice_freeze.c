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

FIXTURE(freeze)
{
	struct dio_buf buf;
	unsigned char *mem;	/* 1 MiB */
	int plain, direct;
	pthread_t thread;
	ssize_t ret;
	bool frozen;
};

FIXTURE_VARIANT(freeze)
{
	struct dio_place *place;
};

FIXTURE_VARIANT_ADD(freeze, ext4) { .place = &dio_on_ext4 };
FIXTURE_VARIANT_ADD(freeze, xfs) { .place = &dio_on_xfs };

FIXTURE_SETUP(freeze)
{
	self->plain = -1;
	self->direct = -1;
	if (access(BUFINFO, R_OK))
		SKIP(return, "no %s", BUFINFO);
	if (!dio_ready(_metadata, dio_place_ready(variant->place) ?:
				  dio_need_memory(2 * SIZE) ?:
				  dio_buf_alloc(&self->buf, &dio_heap, SIZE)))
		return;
	ASSERT_EQ(0, ioctl(self->buf.fd, DMA_BUF_SET_NAME, NAME));
	self->mem = aligned_alloc(DIO_ALIGNED, DIO_MIB);
	ASSERT_NE(NULL, self->mem);
	self->plain = dio_place_open(variant->place);
	ASSERT_LE(0, self->plain);
	self->direct = dio_reopen(self->plain, O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->direct);
}

FIXTURE_TEARDOWN(freeze)
{
	if (self->frozen)
		ioctl(self->plain, FITHAW, 0);
	close(self->plain);
	close(self->direct);
	free(self->mem);
	dio_buf_free(&self->buf);
}

static int erase(int fd, unsigned char *mem)
{
	loff_t pos;

	memset(mem, 0, DIO_MIB);
	for (pos = 0; pos < SIZE; pos += DIO_MIB)
		if (pwrite(fd, mem, DIO_MIB, pos) != DIO_MIB)
			return -errno;
	return fsync(fd) ? -errno : 0;
}

static bool written(struct __test_metadata *_metadata, FIXTURE_DATA(freeze) *self,
		    loff_t pos)
{
	ASSERT_EQ(DIO_ALIGNED, pread(self->direct, self->mem, DIO_ALIGNED, pos));
	return self->mem[0] || memcmp(self->mem, self->mem + 1, DIO_ALIGNED - 1);
}

static void *transfer(void *data)
{
	FIXTURE_DATA(freeze) *self = data;

	self->ret = dio_splice(self->buf.fd, 0, self->direct, 0, SIZE);
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
static bool caught(struct __test_metadata *_metadata, FIXTURE_DATA(freeze) *self)
{
	useconds_t delay = 5000;
	bool begun, ended;
	int i;

	for (i = 0; i < TRIES; i++) {
		ASSERT_EQ(0, erase(self->plain, self->mem));
		ASSERT_EQ(0, pthread_create(&self->thread, NULL, transfer, self));
		usleep(delay);
		if (ioctl(self->plain, FIFREEZE, 0)) {
			pthread_join(self->thread, NULL);
			SKIP(return false, "cannot be frozen: %s", strerror(errno));
		}
		self->frozen = true;
		begun = written(_metadata, self, 0);
		ended = written(_metadata, self, SIZE - DIO_ALIGNED);
		if (begun && !ended)
			return true;
		ASSERT_EQ(0, ioctl(self->plain, FITHAW, 0));
		self->frozen = false;
		pthread_join(self->thread, NULL);
		ASSERT_EQ(SIZE, self->ret);
		delay = begun ? delay / 2 + 1 : delay * 2;
	}
	SKIP(return false, "never in the middle of a transfer");
}

TEST_F_TIMEOUT(freeze, is_not_mapped, TIMEOUT)
{
	loff_t pos;
	int i;

	dio_poison(&self->buf, 0, SIZE);
	if (!caught(_metadata, self))
		return;

	/* The last of what was under way may have to end first. */
	for (i = 0; i < 100 && attached() > 0; i++)
		usleep(50000);
	EXPECT_EQ(0, attached());

	ASSERT_EQ(0, ioctl(self->plain, FITHAW, 0));
	self->frozen = false;
	pthread_join(self->thread, NULL);
	EXPECT_EQ(SIZE, self->ret);

	ASSERT_EQ(0, dio_sync_start(&self->buf, DMA_BUF_SYNC_READ));
	for (pos = 0; pos < SIZE; pos += DIO_MIB) {
		ASSERT_EQ(DIO_MIB, pread(self->direct, self->mem, DIO_MIB, pos));
		ASSERT_EQ(0, memcmp(self->mem, self->buf.map + pos, DIO_MIB));
	}
	EXPECT_EQ(0, dio_sync_end(&self->buf, DMA_BUF_SYNC_READ));
}

int main(int argc, char **argv)
{
	dio_places_make();
	return test_harness_run(argc, argv);
}
