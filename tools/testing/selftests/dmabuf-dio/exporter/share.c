// SPDX-License-Identifier: GPL-2.0
/* Buffers in the hands of several: processes, descriptors, sockets. */

/* References to a buffer. */
static long count_of(int fd)
{
	long long count;

	return dio_fdinfo(fd, "count", &count) ?: count;
}

struct family {
	unsigned char *map, *fresh, *absent;
	size_t pages, size;
	int fd;
};

static long child_reads(void *arg)
{
	struct family *f = arg;

	return wrong(f->map, 0, f->pages) + wrong(f->fresh, 0, f->pages);
}

static long child_reads_absent(void *arg)
{
	struct family *f = arg;

	return touch(f->absent, -1);
}

static long child_writes(void *arg)
{
	struct family *f = arg;

	f->map[1000] = 11;
	f->fresh[PAGE + 1000] = 22;
	return touch(f->fresh + 1000, -1);
}

static long child_lets_go(void *arg)
{
	struct family *f = arg;
	long ret;

	ret = sys(munmap(f->map, f->size)) ?: sys(munmap(f->fresh, f->size));
	return ret ?: sys(close(f->fd));
}

static long child_maps(void *arg)
{
	struct family *f = arg;
	unsigned char *map;

	return map_all(&map, f->size, f->fd) ?: wrong(map, 0, f->pages);
}

static long grandchild_reads(void *arg)
{
	return in_child(child_reads, arg);
}

TEST_F(buffer, forks)
{
	struct family f = {
		.map = self->buf.map,
		.pages = self->pages,
		.size = self->buf.size,
		.fd = self->fd,
	};

	ASSERT_EQ(0, map_all(&f.fresh, f.size, f.fd));
	ASSERT_EQ(0, map_all(&f.absent, f.size, f.fd));
	ASSERT_EQ(0, madvise(f.absent, f.size, MADV_DONTFORK));

	OP(0, in_child(child_reads, &f), "child reads");
	OP(0, in_child(grandchild_reads, &f), "grandchild reads");
	OP(KILLED(SIGSEGV), in_child(child_reads_absent, &f), "child reads DONTFORK");
	OP(11, in_child(child_writes, &f), "child writes");
	OP(11, f.fresh[1000], "parent reads");
	OP(22, f.map[PAGE + 1000], "parent reads other");
	OP(22, f.absent[PAGE + 1000], "parent reads DONTFORK");
	OP(0, in_child(child_maps, &f), "child maps");
	OP(0, in_child(child_lets_go, &f), "child lets go");
	OP(0, wrong(f.map, 0, f.pages), "data");
	OP(4, count_of(f.fd), "count");
	munmap(f.fresh, f.size);
	munmap(f.absent, f.size);
	OP(2, count_of(f.fd), "count after munmap");
}

TEST_F(buffer, lifetime)
{
	size_t n = self->pages, size = self->buf.size;
	unsigned char *map, *other;
	int copy, high;

	/* Descriptors come and go. */
	copy = dup(self->fd);
	high = fcntl(self->fd, F_DUPFD_CLOEXEC, 200);
	OP(200, high, "F_DUPFD_CLOEXEC");
	CALL(0, close(self->fd), "close");
	self->buf.fd = copy;
	OP(-EBADF, sync_flags(self->fd, DMA_BUF_SYNC_RW), "closed, sync");
	OP(-EBADF, map_all(&map, size, self->fd), "closed, mmap");
	OP(0, map_all(&map, size, copy), "copy, mmap");
	OP(0, wrong(map, 0, n), "copy, data");
	OP(0, sync_flags(high, START_RW), "START by one");
	OP(0, sync_flags(copy, END_RW), "END by the other");
	OP(0, map_fd(&other, size, PROT_READ, MAP_SHARED, high, 0), "second copy, mmap");
	close(high);

	/* Maps outlive them all, touched before or not. */
	CALL(0, close(copy), "close last");
	self->buf.fd = -1;
	OP(0, wrong(map, 0, n), "touched map");
	OP(0, wrong(other, 0, n), "untouched map");
	munmap(map, size);
	munmap(self->buf.map, size);
	self->buf.map = NULL;
	OP(0, wrong(other, 0, n), "last map");
	OP(KILLED(SIGSEGV), touch(other, 1), "last map, write");
	CALL(0, munmap(other, size), "munmap last");
}

static int send_fd(int socket, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {
		.header = {
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof(int)),
		},
	};
	struct iovec iov = { "x", 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return sys(sendmsg(socket, &msg, 0));
}

static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -errno;
	if (!CMSG_FIRSTHDR(&msg))
		return -ENOMSG;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

struct receiver {
	int socket;
	size_t size;
};

static long child_receives(void *arg)
{
	struct receiver *r = arg;
	unsigned char *map;
	int fd;

	fd = receive_fd(r->socket);
	if (fd < 0)
		return fd;
	if (map_all(&map, r->size, fd))
		return -errno;
	if (wrong(map, 0, r->size / PAGE))
		return -EBADMSG;
	map[500] = 44;
	return 0;
}

TEST_F(buffer, sockets)
{
	size_t n = self->pages, size = self->buf.size;
	struct receiver r = { .size = size };
	int sockets[2], fd;
	unsigned char *map;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	r.socket = sockets[1];

	OP(1, send_fd(sockets[0], self->fd), "send to child");
	OP(3, count_of(self->fd), "count in flight");
	OP(0, in_child(child_receives, &r), "child receives");
	OP(44, self->buf.map[500], "child wrote");
	OP(2, count_of(self->fd), "count received");

	/* For a while only the socket has it. */
	OP(1, send_fd(sockets[0], self->fd), "send to self");
	munmap(self->buf.map, size);
	close(self->fd);
	self->buf.map = NULL;
	self->buf.fd = -1;
	fd = receive_fd(sockets[1]);
	OP(1, fd >= 0, "receive");
	CALL(FD_CLOEXEC, fcntl(fd, F_GETFD), "F_GETFD");
	print_fdinfo(_metadata, fd, "received");
	OP(0, map_all(&map, size, fd), "mmap");
	OP(0, wrong(map, 0, n), "data");
	munmap(map, size);

	/* In flight, and never received. */
	OP(1, send_fd(sockets[0], fd), "send to nobody");
	CALL(0, close(fd), "close");
	close(sockets[0]);
	close(sockets[1]);
}
