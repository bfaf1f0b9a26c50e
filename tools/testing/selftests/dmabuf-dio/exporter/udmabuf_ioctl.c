// SPDX-License-Identifier: GPL-2.0
/* What the two ioctls of udmabuf take: ranges, seals, files, pointers. */

TEST_F(udmabuf, node)
{
	node_calls(_metadata, UDMABUF, -ESPIPE);
}

TEST_F(udmabuf, open_modes)
{
	static const struct node_op modes[] = {
		{ "O_RDONLY", O_RDONLY, MEMFD_SIZE },
		{ "O_WRONLY", O_WRONLY, MEMFD_SIZE },
		{ "O_RDWR", O_RDWR, MEMFD_SIZE },
		{ "O_ACCMODE", O_ACCMODE, MEMFD_SIZE },
		{ "O_PATH", O_PATH, -EBADF },
	};
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		fd = open(UDMABUF, modes[i].flags | O_CLOEXEC);
		OP(modes[i].want, made(create(fd, self->memfd, 0, MEMFD_SIZE)), "%s",
		   modes[i].name);
		close(fd);
	}
}

TEST_F(udmabuf, numbers)
{
	static const struct {
		const char *name;
		unsigned int number;
	} rows[] = {
		{ "0", 0 },
		{ "~0", ~0U },
		{ "create, number", _IOW('u', 0x41, struct udmabuf_create) },
		{ "list, number", _IOW('u', 0x44, struct udmabuf_create_list) },
		{ "create, no size", _IO('u', 0x42) },
		{ "create, size 8", _IOW('u', 0x42, __u64) },
		{ "create, size 20", _IOC(_IOC_WRITE, 'u', 0x42, 20) },
		{ "create, size 23", _IOC(_IOC_WRITE, 'u', 0x42, 23) },
		{ "create, size 32", _IOC(_IOC_WRITE, 'u', 0x42, 32) },
		{ "create, read", _IOR('u', 0x42, struct udmabuf_create) },
		{ "create, both", _IOWR('u', 0x42, struct udmabuf_create) },
		{ "create, type", _IOW('v', 0x42, struct udmabuf_create) },
		{ "list, no size", _IO('u', 0x43) },
		{ "list, size 4", _IOW('u', 0x43, __u32) },
		{ "list, size 32", _IOC(_IOC_WRITE, 'u', 0x43, 32) },
		{ "list, both", _IOWR('u', 0x43, struct udmabuf_create_list) },
		{ "heap's", DMA_HEAP_IOCTL_ALLOC },
		{ "a buffer's", DMA_BUF_IOCTL_SYNC },
		{ "FIONREAD", FIONREAD },
	};
	struct udmabuf_create arg = {
		.memfd = self->memfd,
		.size = MEMFD_SIZE,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		CALL(-ENOTTY, ioctl(self->dev, rows[i].number, &arg), "%s", rows[i].name);
		OP(0, close_from(self->next), "%s, descriptors", rows[i].name);
	}
}

TEST_F(udmabuf, ranges)
{
	static const struct {
		const char *name;
		__u64 offset, size;
		long want;
	} rows[] = {
		{ "whole", 0, MEMFD_SIZE, MEMFD_SIZE },
		{ "first page", 0, PAGE, PAGE },
		{ "last page", MEMFD_SIZE - PAGE, PAGE, PAGE },
		{ "middle", 5 * PAGE, 3 * PAGE, 3 * PAGE },
		{ "nothing", 0, 0, -EINVAL },
		{ "nothing at the end", MEMFD_SIZE, 0, -EINVAL },
		{ "size 1", 0, 1, -EINVAL },
		{ "size 4095", 0, 4095, -EINVAL },
		{ "size 4097", 0, 4097, -EINVAL },
		{ "size odd beyond", 0, MEMFD_SIZE + 1, -EINVAL },
		{ "offset 1", 1, PAGE, -EINVAL },
		{ "offset 2048", 2048, PAGE, -EINVAL },
		{ "offset 4095", 4095, PAGE, -EINVAL },
		{ "both odd", 2048, 2048, -EINVAL },
		{ "a page beyond", 0, MEMFD_SIZE + PAGE, -EINVAL },
		{ "a page beyond, offset", PAGE, MEMFD_SIZE, -EINVAL },
		{ "last page and one", MEMFD_SIZE - PAGE, 2 * PAGE, -EINVAL },
		{ "at the end", MEMFD_SIZE, PAGE, -EINVAL },
		{ "behind the end", MEMFD_SIZE + PAGE, PAGE, -EINVAL },
		{ "offset 1T", 1ULL << 40, PAGE, -EINVAL },
		{ "offset 2^62", 1ULL << 62, PAGE, -EINVAL },
		{ "offset 2^63", 1ULL << 63, PAGE, -EINVAL },
		{ "offset max", -PAGE, PAGE, -EINVAL },
		{ "wraps to 0", -PAGE, PAGE, -EINVAL },
		{ "wraps to a page", -PAGE, 2 * PAGE, -EINVAL },
		{ "wraps to the size", -PAGE, MEMFD_SIZE + PAGE, -EINVAL },
		{ "half and half", 1ULL << 63, 1ULL << 63, -EINVAL },
		{ "signed wrap", (1ULL << 63) - PAGE, 2 * PAGE, -EINVAL },
		{ "size 256M", 0, 256 * DIO_MIB, -EINVAL },
		{ "size 2^51", 0, 1ULL << 51, -EINVAL },
		{ "size 2^63", 0, 1ULL << 63, -EINVAL },
		{ "size max", 0, -PAGE, -EINVAL },
		{ "size -1", 0, -1, -EINVAL },
		{ "everything -1", -1, -1, -EINVAL },
	};
	struct udmabuf_create_item item = { .memfd = self->memfd };
	unsigned char *map;
	int i, fd;
	long ret;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		fd = create(self->dev, self->memfd, rows[i].offset,
			    rows[i].size);
		ret = fd < 0 ? fd : sys(lseek(fd, 0, SEEK_END));
		OP(rows[i].want, ret, "%s", rows[i].name);
		if (ret > 0) {
			OP(0, map_all(&map, ret, fd), "%s, mmap", rows[i].name);
			OP(0, wrong(map, rows[i].offset / PAGE, ret / PAGE), "%s, data",
			   rows[i].name);
			munmap(map, ret);
		}
		OP(ret > 0, close_from(self->next), "%s, descriptors", rows[i].name);
		item.offset = rows[i].offset;
		item.size = rows[i].size;
		OP(rows[i].want, made(create_list(self->dev, &item, 1)), "%s, list", rows[i].name);
	}
}

TEST_F(udmabuf, flags)
{
	static const __u32 flags[] = {
		0, 1, 2, 3, 0x80, O_CLOEXEC, 1U << 31, ~0U, ~1U,
	};
	struct short_list list = {
		.count = 1,
		.items[0] = { .memfd = self->memfd, .size = MEMFD_SIZE },
	};
	struct udmabuf_create arg = {
		.memfd = self->memfd,
		.size = MEMFD_SIZE,
	};
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		arg.flags = flags[i];
		fd = sys(ioctl(self->dev, UDMABUF_CREATE, &arg));
		OP(flags[i] < 2 ? 0 : ANY, fd < 0 ? fd : 0, "%#x", flags[i]);
		if (fd >= 0)
			CALL(flags[i] & 1 ? FD_CLOEXEC : 0, fcntl(fd, F_GETFD), "%#x, F_GETFD",
			     flags[i]);
		close(fd);
		list.flags = flags[i];
		list.items[0].__pad = flags[i];
		fd = sys(ioctl(self->dev, UDMABUF_CREATE_LIST, &list));
		OP(flags[i] < 2 ? 0 : ANY, fd < 0 ? fd : 0, "%#x, list", flags[i]);
		if (fd >= 0)
			CALL(flags[i] & 1 ? FD_CLOEXEC : 0, fcntl(fd, F_GETFD),
			     "%#x, list, F_GETFD", flags[i]);
		close(fd);
	}
}

TEST_F(udmabuf, seals)
{
	static const struct {
		const char *name;
		int seals;
		long want;
	} rows[] = {
		{ "none", 0, -EINVAL },
		{ "SHRINK", F_SEAL_SHRINK, PAGE },
		{ "GROW", F_SEAL_GROW, -EINVAL },
		{ "SHRINK GROW", F_SEAL_SHRINK | F_SEAL_GROW, PAGE },
		{ "WRITE", F_SEAL_WRITE, -EINVAL },
		{ "SHRINK WRITE", F_SEAL_SHRINK | F_SEAL_WRITE, -EINVAL },
		{ "FUTURE_WRITE", F_SEAL_FUTURE_WRITE, -EINVAL },
		{ "SHRINK FUTURE_WRITE", F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE, -EINVAL },
		{ "SHRINK GROW WRITE", F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, -EINVAL },
		{ "SEAL", F_SEAL_SEAL, -EINVAL },
		{ "SHRINK SEAL", F_SEAL_SHRINK | F_SEAL_SEAL, PAGE },
		{ "EXEC", F_SEAL_EXEC, -EINVAL },
		/* Implies all but SEAL and FUTURE_WRITE. */
		{ "SHRINK EXEC", F_SEAL_SHRINK | F_SEAL_EXEC, ANY },
	};
	static const unsigned int kinds[] = { 0, MFD_NOEXEC_SEAL, MFD_EXEC };
	int i, k, fd;

	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (i = 0; i < ARRAY_SIZE(rows); i++) {
			fd = dio_memfd(PAGE, kinds[k], rows[i].seals);
			OP(kinds[k] == MFD_NOEXEC_SEAL ? ANY : rows[i].want,
			   fd < 0 ? fd : made(create(self->dev, fd, 0, PAGE)), "kind %d, %s", k,
			   rows[i].name);
			close(fd);
		}
	}
	fd = memfd_create("unsealable", MFD_CLOEXEC);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	OP(-EINVAL, made(create(self->dev, fd, 0, PAGE)), "not sealable");
	close(fd);
}

/* What is no memfd, by path or by another way. */
static int open_other(const char *path, int flags, int memfd)
{
	int fds[2], fd;

	if (*path == '/')
		return open(path, flags);
	if (!strcmp(path, "memfd"))
		return dio_reopen(memfd, flags);
	if (!strcmp(path, "epoll"))
		return epoll_create1(0);
	if (!strcmp(path, "secret"))
		return syscall(SYS_memfd_secret, 0);
	if (!strcmp(path, "dma-buf")) {
		fd = open(UDMABUF, O_RDWR);
		memfd = create(fd, memfd, 0, PAGE);
		close(fd);
		return memfd;
	}
	if (!strcmp(path, "pipe") ? pipe(fds) : socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return -1;
	close(fds[1]);
	return fds[0];
}

TEST_F(udmabuf, files)
{
	static const struct {
		const char *name, *path;
		int flags;
		long want;
	} rows[] = {
		{ "program", "/proc/self/exe", O_RDONLY, -EBADFD },
		{ "directory", "/", O_RDONLY | O_DIRECTORY, -EBADFD },
		{ "null", "/dev/null", O_RDWR, -EBADFD },
		{ "zero", "/dev/zero", O_RDWR, -EBADFD },
		{ "proc", "/proc/self/maps", O_RDONLY, -EBADFD },
		{ "udmabuf", UDMABUF, O_RDWR, -EBADFD },
		{ "heap", HEAP, O_RDWR, -EBADFD },
		{ "epoll", "epoll", 0, -EBADFD },
		{ "secret", "secret", 0, -EBADFD },
		{ "dma-buf", "dma-buf", 0, -EBADFD },
		{ "pipe", "pipe", 0, -EBADFD },
		{ "socket", "socket", 0, -EBADFD },
		{ "memfd O_PATH", "memfd", O_PATH, -EBADFD },
		/* Whether a file open for reading may be written to. */
		{ "memfd O_RDONLY", "memfd", O_RDONLY, ANY },
		{ "memfd O_WRONLY", "memfd", O_WRONLY, ANY },
	};
	static const int numbers[] = { -1, -100, 1000, INT_MAX, INT_MIN };
	struct udmabuf_create_item items[3] = {
		{ .memfd = self->memfd, .size = PAGE },
		{ .size = PAGE },
		{ .memfd = self->memfd, .size = PAGE },
	};
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		fd = open_other(rows[i].path, rows[i].flags, self->memfd);
		if (fd < 0) {
			OP(ANY, -errno, "%s cannot be opened", rows[i].name);
			continue;
		}
		OP(rows[i].want, made(create(self->dev, fd, 0, PAGE)), "%s", rows[i].name);
		items[1].memfd = fd;
		OP(rows[i].want, made(create_list(self->dev, items, 3)), "%s in a list",
		   rows[i].name);
		close(fd);
	}
	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		OP(-EBADFD, made(create(self->dev, numbers[i], 0, PAGE)), "descriptor %d",
		   numbers[i]);
		items[1].memfd = numbers[i];
		OP(-EBADFD, made(create_list(self->dev, items, 3)), "descriptor %d in a list",
		   numbers[i]);
	}
	OP(-EBADFD, made(create(self->dev, self->next, 0, PAGE)), "closed descriptor");
	/* Which of two mistakes is found first. */
	OP(-EINVAL, made(create(self->dev, -1, 1, PAGE)), "-1, odd");
	OP(-EINVAL, made(create(self->dev, -1, 0, 0)), "-1, nothing");
	OP(-EBADFD, made(create(self->dev, -1, 0, 2 * MEMFD_SIZE)), "-1, too much");
}

TEST_F(udmabuf, pointers)
{
	struct short_list list = {
		.count = 2,
		.items = {
			{ .memfd = self->memfd, .size = PAGE },
			{ .memfd = self->memfd, .size = PAGE },
		},
	};
	struct udmabuf_create one = { .memfd = self->memfd, .size = PAGE };
	unsigned char *page = last_page(), *end = page + PAGE;
	static const unsigned int numbers[] = {
		UDMABUF_CREATE, UDMABUF_CREATE_LIST,
	};
	int i, fd;

	for (i = 0; i < 2; i++) {
		CALL(-EFAULT, ioctl(self->dev, numbers[i], NULL), "%d NULL", i);
		CALL(-EFAULT, ioctl(self->dev, numbers[i], -1L), "%d -1", i);
		CALL(-EFAULT, ioctl(self->dev, numbers[i], end), "%d unmapped", i);
		CALL(-EFAULT, ioctl(self->dev, numbers[i], KERNEL_ADDRESS), "%d kernel address", i);
		CALL(-EFAULT, ioctl(self->dev, numbers[i], end - 7), "%d 7 bytes", i);
	}
	OP(-EFAULT, ioctl_cut(self->dev, UDMABUF_CREATE, &one, 23), "but a byte");
	OP(PAGE, made(ioctl_cut(self->dev, UDMABUF_CREATE, &one, 24)), "at the end");
	memcpy(page + 3, &one, sizeof(one));
	OP(PAGE, made(sys(ioctl(self->dev, UDMABUF_CREATE, page + 3))), "unaligned");

	OP(-EFAULT, ioctl_cut(self->dev, UDMABUF_CREATE_LIST, &list, 8), "list, head alone");
	OP(-EFAULT, ioctl_cut(self->dev, UDMABUF_CREATE_LIST, &list, 32), "list, one of two");
	OP(-EFAULT, ioctl_cut(self->dev, UDMABUF_CREATE_LIST, &list, 55), "list, but a byte");
	OP(2 * PAGE, made(ioctl_cut(self->dev, UDMABUF_CREATE_LIST, &list, 56)),
	   "list, at the end");
	memcpy(page + 3, &list, sizeof(list));
	OP(2 * PAGE, made(sys(ioctl(self->dev, UDMABUF_CREATE_LIST, page + 3))), "list, unaligned");
	list.count = 0;
	OP(-EINVAL, ioctl_cut(self->dev, UDMABUF_CREATE_LIST, &list, 8), "list, count 0");
	list.count = self->list_limit + 1;
	OP(-EINVAL, ioctl_cut(self->dev, UDMABUF_CREATE_LIST, &list, 8), "list, too many");
	list.count = ~0U;
	OP(-EINVAL, ioctl_cut(self->dev, UDMABUF_CREATE_LIST, &list, 8), "list, count -1");

	/* Nothing is written back. */
	memcpy(page, &one, sizeof(one));
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ));
	fd = sys(ioctl(self->dev, UDMABUF_CREATE, page));
	OP(PAGE, made(fd), "read only");
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_NONE));
	CALL(-EFAULT, ioctl(self->dev, UDMABUF_CREATE, page), "no access");
	OP(0, close_from(self->next), "descriptors");
}

static long create_any(void *arg)
{
	FIXTURE_DATA(udmabuf) const *self = arg;

	return made(create(self->dev, self->memfd, 0, MEMFD_SIZE));
}

/* The fixture looks whether pages stay pinned. */
TEST_F(udmabuf, no_descriptors)
{
	try_without_fds(_metadata, self->next, create_any, self, MEMFD_SIZE);
}
