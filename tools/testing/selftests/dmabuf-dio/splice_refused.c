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

#define DISK		(320 * DIO_MIB)		/* the least that XFS takes */
#define SIZE		(1 * DIO_MIB)
#define LEFT		0xa5

FIXTURE(refused)
{
	char dir[DIO_NAME];
	char node[DIO_NAME];
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
	if (!dio_ready(_metadata, make_disk(self->node) ?:
				  dio_run("%s %s", variant->mkfs, self->node)))
		return;
	snprintf(self->dir, sizeof(self->dir), "/tmp/dmabuf-dio.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_EQ(0, mount(self->node, self->dir, variant->type, 0, NULL));

	if (!dio_ready(_metadata, dio_buf_alloc(&self->buf, &dio_heap, SIZE)))
		return;
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

static int open_file(FIXTURE_DATA(refused) const *self,
		     const struct dio_before *before, int flags)
{
	char path[2 * DIO_NAME];

	snprintf(path, sizeof(path), "%s/%s", self->dir, before->name);
	return open(path, flags | O_CLOEXEC, 0600);
}

static void try_write(struct __test_metadata *_metadata,
		      FIXTURE_DATA(refused) const *self,
		      const struct dio_before *before)
{
	int fd = open_file(self, before, O_RDWR | O_CREAT | O_DIRECT);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, dio_make_before(fd, before, SIZE));
	EXPECT_EQ(-EOPNOTSUPP, dio_splice(self->buf.fd, 0, fd, 0, SIZE))
		TH_LOG("%s", before->name);
	/* What is past the end is seen when the file grows. */
	EXPECT_EQ(0, ftruncate(fd, SIZE));
	close(fd);
}

static void expect_zeroes(struct __test_metadata *_metadata,
			  FIXTURE_DATA(refused) const *self,
			  const struct dio_before *before)
{
	int fd = open_file(self, before, O_RDONLY);
	size_t i;

	ASSERT_LE(0, fd);
	ASSERT_EQ((ssize_t)SIZE, read(fd, self->data, SIZE));
	close(fd);
	for (i = 0; i < SIZE && !self->data[i]; i++)
		;
	EXPECT_EQ(SIZE, i)
		TH_LOG("%s: %#x at %zu", before->name, self->data[i], i);
}

TEST_F(refused, leaves_no_trace)
{
	const struct dio_before *before;
	loff_t from = 0, to = 0;
	int fd;

	for (before = dio_befores; before->name; before++)
		try_write(_metadata, self, before);

	/* Nobody shall remember what was read before. */
	ASSERT_EQ(0, umount(self->dir));
	ASSERT_EQ(0, mount(self->node, self->dir, variant->type, 0, NULL));
	for (before = dio_befores; before->name; before++)
		expect_zeroes(_metadata, self, before);

	/* And the file system is as good as before. */
	fd = open_file(self, dio_befores, O_RDWR | O_DIRECT);
	ASSERT_LE(0, fd);
	EXPECT_EQ((ssize_t)SIZE, splice(self->buf.fd, &from, fd, &to, SIZE, 0));
	EXPECT_EQ(0, fsync(fd));
	close(fd);
	fd = open_file(self, dio_befores, O_RDONLY);
	ASSERT_LE(0, fd);
	ASSERT_EQ((ssize_t)SIZE, read(fd, self->data, SIZE));
	close(fd);
	EXPECT_EQ(0, memcmp(self->data, self->buf.map, SIZE));
	EXPECT_TRUE(dio_is_poison(&self->buf, 0, SIZE));
}

TEST_HARNESS_MAIN
