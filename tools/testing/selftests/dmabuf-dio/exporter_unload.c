// SPDX-License-Identifier: GPL-2.0
/*
 * The module of the system heap goes when no buffer is left, and not before; what
 * is still open on the heap then gets an error.
 *
 * DIO_MODULES names the directory that has system_heap.ko.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <linux/dma-heap.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define MODULE		"system_heap"
#define HEAP		"/dev/dma_heap/system"
#define SIZE		(DIO_MIB + DIO_ALIGNED)
#define RACES		20

static int load(void)
{
	const char *dir = getenv("DIO_MODULES");
	char path[4096];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/" MODULE ".ko", dir ?: ".");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return dio_skip("no " MODULE ".ko in DIO_MODULES");
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret == -EEXIST ? 0 : ret;
}

static int unload(void)
{
	return syscall(SYS_delete_module, MODULE, O_NONBLOCK) ? -errno : 0;
}

FIXTURE(unload)
{
	int buf;
};

FIXTURE_SETUP(unload)
{
	int ret;

	if (!dio_ready(_metadata, load()))
		return;
	ret = unload();
	if (ret == -EBUSY)
		SKIP(return, "no way to unload " MODULE ": it is built in");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(-1, access(HEAP, F_OK));
	ASSERT_EQ(0, load());
	self->buf = dio_heap_alloc(SIZE, O_RDWR);
	ASSERT_LE(0, self->buf);
	ASSERT_EQ(-EAGAIN, unload());
}

FIXTURE_TEARDOWN(unload)
{
	EXPECT_EQ(0, load());
}

TEST_F(unload, descriptors)
{
	int other = dup(self->buf);

	close(self->buf);
	EXPECT_EQ(-EAGAIN, unload());
	close(other);
	EXPECT_EQ(0, unload());
}

TEST_F(unload, mappings)
{
	unsigned char *map;

	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->buf, 0);
	ASSERT_NE(MAP_FAILED, map);
	close(self->buf);
	EXPECT_EQ(-EAGAIN, unload());
	map[0] = 0x5a;
	map[SIZE - 1] = 0xa5;
	munmap(map, DIO_MIB);
	EXPECT_EQ(-EAGAIN, unload());
	EXPECT_EQ(0xa5, map[SIZE - 1]);
	munmap(map + DIO_MIB, SIZE - DIO_MIB);
	EXPECT_EQ(0, unload());
}

/* Nobody has the buffer, but a message in a queue. */
TEST_F(unload, messages)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {};
	char byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int pair[2];

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &self->buf, sizeof(int));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	ASSERT_EQ(1, sendmsg(pair[0], &msg, 0));
	close(self->buf);
	EXPECT_EQ(-EAGAIN, unload());
	close(pair[0]);
	close(pair[1]);
	EXPECT_EQ(0, unload());
}

/* A file that is open on a heap that is gone, also when there is a new one. */
TEST_F(unload, open_heap)
{
	struct dma_heap_allocation_data data = {
		.len = SIZE,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int heap = open(HEAP, O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, heap);
	close(self->buf);
	EXPECT_EQ(0, unload());
	EXPECT_EQ(-1, ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data));
	EXPECT_EQ(ENODEV, errno);
	EXPECT_EQ(0, load());
	EXPECT_EQ(-1, ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data));
	EXPECT_EQ(ENODEV, errno);
	self->buf = dio_heap_alloc(SIZE, O_RDWR);
	EXPECT_LE(0, self->buf);
	close(self->buf);
	close(heap);
}

static atomic_bool stop;
static atomic_int bad;
static atomic_long made;

static void *allocate(void *arg)
{
	int fd;

	(void)arg;

	while (!atomic_load(&stop)) {
		fd = dio_heap_alloc(SIZE, O_RDWR);
		if (fd >= 0) {
			made++;
			close(fd);
		} else if (fd != -ENOENT && fd != -ENODEV && fd != -ENXIO) {
			/* Not: no such heap, no device behind it, or it goes just now */
			atomic_store(&bad, fd);
		}
	}
	return NULL;
}

TEST_F(unload, race)
{
	pthread_t thread;
	int i, ret;
	long was;

	close(self->buf);
	ASSERT_EQ(0, pthread_create(&thread, NULL, allocate, NULL));
	for (i = 0; i < RACES; i++) {
		do
			ret = unload();
		while (ret == -EAGAIN);
		EXPECT_EQ(0, ret);
		was = made;
		EXPECT_EQ(0, load());
		/* The other thread has found the new one. */
		EXPECT_TRUE(dio_wait_for(made > was || bad));
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, atomic_load(&bad));
}

TEST_HARNESS_MAIN
