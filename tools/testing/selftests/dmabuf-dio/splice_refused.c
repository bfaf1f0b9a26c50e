// SPDX-License-Identifier: GPL-2.0
/*
 * Writes that a disk refuses leave no trace in the file. Each file system is
 * made on a loop device, which takes no dma-bufs, and whose blocks are full of
 * what others may have left there: a file system that allocates blocks before
 * it is refused must not show them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define TIMEOUT		120
#define DISK		(320 * DIO_MIB)		/* the least that XFS takes */
#define SIZE		(4 * DIO_MIB)
#define LEFT		0xa5

FIXTURE(refused)
{
	char dir[DIO_NAME];
	char node[DIO_NAME];
	char path[2 * DIO_NAME];
	struct dio_buf buf;
	unsigned char *data;
};

FIXTURE_VARIANT(refused)
{
	const char *type;
	const char *mkfs;
};

FIXTURE_VARIANT_ADD(refused, ext4) {
	.type = "ext4",
	.mkfs = "mkfs.ext4 -q -E nodiscard",
};

FIXTURE_VARIANT_ADD(refused, xfs) {
	.type = "xfs",
	.mkfs = "mkfs.xfs -q -f -K",
};

FIXTURE_VARIANT_ADD(refused, f2fs) {
	.type = "f2fs",
	.mkfs = "mkfs.f2fs -q -f -t 0",
};

static int make_disk(char *node)
{
	int fd = memfd_create("dmabuf-dio", MFD_CLOEXEC);
	void *map;
	int ret;

	if (fd < 0 || ftruncate(fd, DISK))
		return -errno;
	map = mmap(NULL, DISK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	memset(map, LEFT, DISK);
	munmap(map, DISK);
	ret = dio_loop(fd, node);
	close(fd);
	return ret;
}

FIXTURE_SETUP(refused)
{
	ASSERT_TRUE(dio_ready(_metadata, make_disk(self->node)));
	ASSERT_TRUE(dio_ready(_metadata, dio_run("%s %s", variant->mkfs,
						 self->node)));
	snprintf(self->dir, sizeof(self->dir), "/tmp/dmabuf-dio.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_EQ(0, mount(self->node, self->dir, variant->type, 0, NULL));
	snprintf(self->path, sizeof(self->path), "%s/file", self->dir);

	ASSERT_TRUE(dio_ready(_metadata, dio_buf_alloc(&self->buf, &dio_heap,
						       SIZE)));
	dio_poison(&self->buf, 0, SIZE);
	self->data = malloc(SIZE);
	ASSERT_NE(NULL, self->data);
}

FIXTURE_TEARDOWN(refused)
{
	umount2(self->dir, MNT_DETACH);
	rmdir(self->dir);
	dio_loop_free(self->node);
	dio_buf_free(&self->buf);
	free(self->data);
}

/* A file that is at least as long as what will be written, in one of many ways. */
static int make_file(struct __test_metadata *_metadata, const char *path,
		     bool allocate, off_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC,
		      0600);

	ASSERT_LE(0, fd);
	if (allocate)
		ASSERT_EQ(0, fallocate(fd, 0, 0, SIZE));
	ASSERT_EQ(0, ftruncate(fd, size));
	ASSERT_EQ(0, fsync(fd));
	return fd;
}

/* Nothing but zeroes, also where nobody remembers what was read before. */
static void expect_zeroes(struct __test_metadata *_metadata,
			  FIXTURE_DATA(refused) *self, const char *type)
{
	size_t i;
	int fd;

	ASSERT_EQ(0, umount(self->dir));
	ASSERT_EQ(0, mount(self->node, self->dir, type, 0, NULL));
	fd = open(self->path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ((ssize_t)SIZE, read(fd, self->data, SIZE));
	close(fd);
	for (i = 0; i < SIZE && !self->data[i]; i++)
		;
	EXPECT_EQ(SIZE, i)
		TH_LOG("%#x at %zu", self->data[i], i);
}

static void try_write(struct __test_metadata *_metadata,
		      FIXTURE_DATA(refused) *self, const char *type,
		      bool allocate, off_t size)
{
	int fd = make_file(_metadata, self->path, allocate, size);

	EXPECT_EQ(-EOPNOTSUPP, dio_splice(self->buf.fd, 0, fd, 0, SIZE));
	/* What is past the end is seen when the file grows. */
	EXPECT_EQ(0, ftruncate(fd, SIZE));
	close(fd);
	expect_zeroes(_metadata, self, type);
}

TEST_F_TIMEOUT(refused, hole, TIMEOUT)
{
	try_write(_metadata, self, variant->type, false, SIZE);
}

TEST_F_TIMEOUT(refused, preallocated, TIMEOUT)
{
	try_write(_metadata, self, variant->type, true, SIZE);
}

TEST_F_TIMEOUT(refused, after_the_end, TIMEOUT)
{
	try_write(_metadata, self, variant->type, false, 0);
}

TEST_F_TIMEOUT(refused, across_the_end, TIMEOUT)
{
	try_write(_metadata, self, variant->type, false, SIZE / 2);
}

/* And the file system is as good as before. */
TEST_F_TIMEOUT(refused, copied_next, TIMEOUT)
{
	loff_t from = 0, to = 0;
	int fd = make_file(_metadata, self->path, false, SIZE);

	EXPECT_EQ(-EOPNOTSUPP, dio_splice(self->buf.fd, 0, fd, 0, SIZE));
	EXPECT_EQ((ssize_t)SIZE, splice(self->buf.fd, &from, fd, &to, SIZE, 0));
	EXPECT_EQ(0, fsync(fd));
	close(fd);

	fd = open(self->path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ((ssize_t)SIZE, read(fd, self->data, SIZE));
	close(fd);
	EXPECT_EQ(0, memcmp(self->data, self->buf.map, SIZE));
	EXPECT_TRUE(dio_is_poison(&self->buf, 0, SIZE));
}

TEST_HARNESS_MAIN
