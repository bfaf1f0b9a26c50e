// SPDX-License-Identifier: GPL-2.0
/* The system heap: what its ioctl takes, and what it hands out. */

FIXTURE(heap)
{
	int fd;
	int next;		/* first descriptor that is free */
};

FIXTURE_SETUP(heap)
{
	exporter = "heap ";
	only_standard_fds();
	self->fd = open(HEAP, O_RDONLY | O_CLOEXEC);
	if (self->fd < 0 && errno == ENOENT)
		SKIP(return, "no " HEAP);
	ASSERT_LE(0, self->fd);
	self->next = next_fd();
}

/* Whatever a test has tried, nothing is left behind. */
FIXTURE_TEARDOWN(heap)
{
	EXPECT_EQ(self->next, next_fd());
	close(self->fd);
}

/* A descriptor, or -errno. */
static int heap_alloc(int heap, size_t len, unsigned int fd_flags)
{
	struct dma_heap_allocation_data data = {
		.len = len,
		.fd_flags = fd_flags,
	};

	return ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data) ? -errno : (int)data.fd;
}

TEST_F(heap, node)
{
	struct dirent **names;
	int i, n;

	n = scandir("/dev/dma_heap", &names, NULL, alphasort);
	for (i = 0; i < n; i++)
		if (names[i]->d_name[0] != '.')
			SAY(NULL, names[i]->d_name, "a heap");
	node_calls(_metadata, HEAP, -ESPIPE);
}

TEST_F(heap, open_modes)
{
	static const struct node_op modes[] = {
		{ "O_RDONLY", O_RDONLY, PAGE },
		{ "O_WRONLY", O_WRONLY, PAGE },
		{ "O_RDWR", O_RDWR, PAGE },
		{ "O_ACCMODE", O_ACCMODE, PAGE },
		{ "O_NONBLOCK", O_RDONLY | O_NONBLOCK, PAGE },
		{ "O_PATH", O_PATH, -EBADF },
	};
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		fd = open(HEAP, modes[i].flags | O_CLOEXEC);
		OP(modes[i].want, made(heap_alloc(fd, 1, O_RDWR)), "%s", modes[i].name);
		close(fd);
	}
}

#define BOTH	(_IOC_READ | _IOC_WRITE)

TEST_F(heap, numbers)
{
	static const struct {
		const char *name;
		unsigned int number;
		long want;
		long fds;		/* descriptors afterwards */
	} rows[] = {
		{ "right", DMA_HEAP_IOCTL_ALLOC, 0, 1 },
		{ "size 0", _IOC(BOTH, 'H', 0, 0), -EINVAL },
		{ "size 1", _IOC(BOTH, 'H', 0, 1), ANY, ANY },
		{ "size 8", _IOC(BOTH, 'H', 0, 8), ANY, ANY },
		{ "size 12", _IOC(BOTH, 'H', 0, 12), 0, 1 },
		{ "size 16", _IOC(BOTH, 'H', 0, 16), 0, 1 },
		{ "size 23", _IOC(BOTH, 'H', 0, 23), 0, 1 },
		{ "size 32", _IOC(BOTH, 'H', 0, 32), 0, 1 },
		{ "size 128", _IOC(BOTH, 'H', 0, 128), 0, 1 },
		{ "size 129", _IOC(BOTH, 'H', 0, 129), 0, 1 },
		{ "size 16383", _IOC(BOTH, 'H', 0, 16383), 0, 1 },
		{ "read only", _IOC(_IOC_READ, 'H', 0, 24), -EINVAL },
		{ "write only", _IOC(_IOC_WRITE, 'H', 0, 24), ANY, ANY },
		{ "neither", _IOC(_IOC_NONE, 'H', 0, 24), -EINVAL },
		{ "number 1", _IOC(BOTH, 'H', 1, 24), -EINVAL },
		{ "number 2", _IOC(BOTH, 'H', 2, 24), -EINVAL },
		{ "number 255", _IOC(BOTH, 'H', 255, 24), -EINVAL },
		{ "other type", _IOC(BOTH, 'X', 0, 24), ANY, ANY },
		{ "type 0", _IOC(BOTH, 0, 0, 24), ANY, ANY },
		{ "0", 0, -EINVAL },
		{ "~0", ~0U, -EINVAL },
		{ "udmabuf's", UDMABUF_CREATE, -EINVAL },
		{ "FIONREAD", FIONREAD, -EINVAL },
	};
	static union {
		struct dma_heap_allocation_data data;
		unsigned char bytes[16384];
	} arg;
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(&arg, 0, sizeof(arg));
		arg.data.len = PAGE;
		CALL(rows[i].want, ioctl(self->fd, rows[i].number, &arg), "%s", rows[i].name);
		OP(ANY, arg.data.fd ? (int)arg.data.fd - self->next : ANY, "%s, fd", rows[i].name);
		OP(PAGE, arg.data.len, "%s, len", rows[i].name);
		OP(rows[i].fds, close_from(self->next), "%s, descriptors", rows[i].name);
	}
}

TEST_F(heap, fields)
{
	static const struct {
		const char *name;
		struct dma_heap_allocation_data data;
		long want;
	} rows[] = {
		{ "plain", { PAGE, 0, 0, 0 }, 0 },
		{ "fd 1", { PAGE, 1, 0, 0 }, -EINVAL },
		{ "fd 1000", { PAGE, 1000, 0, 0 }, -EINVAL },
		{ "fd -1", { PAGE, -1, 0, 0 }, -EINVAL },
		{ "RDONLY", { PAGE, 0, O_RDONLY, 0 }, 0 },
		{ "WRONLY", { PAGE, 0, O_WRONLY, 0 }, 0 },
		{ "RDWR", { PAGE, 0, O_RDWR, 0 }, 0 },
		{ "ACCMODE", { PAGE, 0, O_ACCMODE, 0 }, 0 },
		{ "CLOEXEC", { PAGE, 0, O_CLOEXEC, 0 }, 0 },
		{ "RDWR CLOEXEC", { PAGE, 0, O_RDWR | O_CLOEXEC, 0 }, 0 },
		{ "ACCMODE CLOEXEC", { PAGE, 0, O_ACCMODE | O_CLOEXEC, 0 }, 0 },
		{ "CREAT", { PAGE, 0, O_RDWR | O_CREAT, 0 }, -EINVAL },
		{ "NONBLOCK", { PAGE, 0, O_RDWR | O_NONBLOCK, 0 }, -EINVAL },
		{ "APPEND", { PAGE, 0, O_RDWR | O_APPEND, 0 }, -EINVAL },
		{ "DIRECT", { PAGE, 0, O_RDWR | O_DIRECT, 0 }, -EINVAL },
		{ "PATH", { PAGE, 0, O_RDWR | O_PATH, 0 }, -EINVAL },
		{ "SYNC", { PAGE, 0, O_RDWR | O_SYNC, 0 }, -EINVAL },
		{ "4", { PAGE, 0, 4, 0 }, -EINVAL },
		{ "bit 31", { PAGE, 0, 1U << 31, 0 }, -EINVAL },
		{ "all", { PAGE, 0, -1, 0 }, -EINVAL },
		{ "heap flag 1", { PAGE, 0, O_RDWR, 1 }, -EINVAL },
		{ "heap flag 32", { PAGE, 0, O_RDWR, 1ULL << 32 }, -EINVAL },
		{ "heap flag 63", { PAGE, 0, O_RDWR, 1ULL << 63 }, -EINVAL },
		{ "heap flags", { PAGE, 0, O_RDWR, ~0ULL }, -EINVAL },
		{ "fd, length 0", { 0, 1, 0, 0 }, -EINVAL },
		{ "all bad", { -1, -1, -1, -1 }, -EINVAL },
	};
	struct dma_heap_allocation_data data;
	long ret;
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		data = rows[i].data;
		ret = sys(ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, &data));
		OP(rows[i].want, ret, "%s", rows[i].name);
		if (ret) {
			OP(0, memcmp(&data, &rows[i].data, sizeof(data)), "%s, changed",
			   rows[i].name);
		} else {
			OP(0, (int)data.fd - self->next, "%s, fd", rows[i].name);
			CALL(rows[i].data.fd_flags & O_CLOEXEC ? FD_CLOEXEC : 0,
			     fcntl(data.fd, F_GETFD), "%s, F_GETFD", rows[i].name);
			OP(rows[i].data.fd_flags & O_ACCMODE,
			   sys(fcntl(data.fd, F_GETFL)) & O_ACCMODE, "%s, F_GETFL", rows[i].name);
			OP(0, data.heap_flags, "%s, heap_flags", rows[i].name);
		}
		OP(!ret, close_from(self->next), "%s, descriptors", rows[i].name);
	}
}

TEST_F(heap, pointers)
{
	struct dma_heap_allocation_data data = { .len = PAGE };
	unsigned char *page = last_page();

	CALL(-EFAULT, ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, NULL), "NULL");
	CALL(-EFAULT, ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, -1L), "-1");
	CALL(-EFAULT, ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, KERNEL_ADDRESS), "kernel address");
	CALL(-EFAULT, ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, page + PAGE), "unmapped");
	OP(-EFAULT, ioctl_cut(self->fd, DMA_HEAP_IOCTL_ALLOC, &data, 23), "but a byte");
	OP(0, close_from(self->next), "descriptors");
	OP(0, ioctl_cut(self->fd, DMA_HEAP_IOCTL_ALLOC, &data, 24), "at the end");
	OP(1, close_from(self->next), "descriptors of one");
	memcpy(page + 5, &data, sizeof(data));
	CALL(0, ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, page + 5), "unaligned");
	OP(1, close_from(self->next), "descriptors of unaligned");

	/* Allocated, but not to be told: it has to be undone. */
	memcpy(page, &data, sizeof(data));
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ));
	CALL(-EFAULT, ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, page), "read only");
	OP(0, close_from(self->next), "descriptors of read only");
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_NONE));
	CALL(-EFAULT, ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, page), "no access");
}
