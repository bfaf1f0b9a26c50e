// SPDX-License-Identifier: GPL-2.0
/* What a buffer's ioctls take: brackets for the CPU, fences; and polling. */

TEST_F(buffer, sync)
{
	static const __u64 bad[] = {
		1ULL << 3, 1ULL << 4, 1ULL << 31, 1ULL << 32, 1ULL << 63, ~0ULL,
		1ULL << 3 | DMA_BUF_SYNC_RW,
		1ULL << 32 | DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ,
	};
	unsigned char *page = last_page();
	int i, again;
	__u64 flags;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		OP(-EINVAL, sync_flags(self->fd, bad[i]), "flags %#llx",
		   (unsigned long long)bad[i]);
	OP(-EINVAL, sync_flags(self->fd, DMA_BUF_SYNC_START), "START nothing");
	OP(-EINVAL, sync_flags(self->fd, DMA_BUF_SYNC_END), "END nothing");

	/* Never begun: one of the twins may care, the buffer may not. */
	for (flags = 1; flags < 4; flags++)
		OP(variant->end_first, sync_flags(self->fd, DMA_BUF_SYNC_END | flags),
		   "END %llu before any START", (unsigned long long)flags);

	for (flags = 1; flags < 4; flags++) {
		for (again = 0; again < 2; again++)
			OP(0, sync_flags(self->fd, DMA_BUF_SYNC_START | flags), "START %llu #%d",
			   (unsigned long long)flags, again);
		for (again = 0; again < 3; again++)
			OP(0, sync_flags(self->fd, DMA_BUF_SYNC_END | flags), "END %llu #%d",
			   (unsigned long long)flags, again);
	}
	OP(0, sync_flags(self->fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ), "START for reading");
	OP(0, sync_flags(self->fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE), "END for writing");

	CALL(-EFAULT, ioctl(self->fd, DMA_BUF_IOCTL_SYNC, NULL), "NULL");
	CALL(-EFAULT, ioctl(self->fd, DMA_BUF_IOCTL_SYNC, page + PAGE), "unmapped");
	CALL(-EFAULT, ioctl(self->fd, DMA_BUF_IOCTL_SYNC, page + PAGE - 4), "half mapped");
	CALL(-EFAULT, ioctl(self->fd, DMA_BUF_IOCTL_SYNC, KERNEL_ADDRESS), "kernel address");
	page[3] = DMA_BUF_SYNC_RW;
	CALL(0, ioctl(self->fd, DMA_BUF_IOCTL_SYNC, page + 3), "unaligned");
	memset(self->buf.map, 0, sizeof(struct dma_buf_sync));
	self->buf.map[0] = DMA_BUF_SYNC_RW;
	CALL(0, ioctl(self->fd, DMA_BUF_IOCTL_SYNC, self->buf.map), "flags in the buffer");
	label(self->buf.map, 1);
	OP(0, wrong(self->buf.map, 0, self->pages), "data");
}

TEST_F(buffer, ioctls)
{
	static const struct {
		const char *name;
		unsigned int number;
	} unknown[] = {
		{ "0", 0 },
		{ "~0", ~0U },
		{ "b 0 without size", _IO(DMA_BUF_BASE, 0) },
		{ "b 0 of 4", _IOW(DMA_BUF_BASE, 0, __u32) },
		{ "b 0 of 16", _IOW(DMA_BUF_BASE, 0, __u64[2]) },
		{ "b 0 read", _IOR(DMA_BUF_BASE, 0, struct dma_buf_sync) },
		{ "b 0 both", _IOWR(DMA_BUF_BASE, 0, struct dma_buf_sync) },
		{ "b 4", _IOW(DMA_BUF_BASE, 4, __u64) },
		{ "b 255", _IOW(DMA_BUF_BASE, 255, __u64) },
		{ "heap's", DMA_HEAP_IOCTL_ALLOC },
		{ "udmabuf's", UDMABUF_CREATE },
		{ "udmabuf's list", UDMABUF_CREATE_LIST },
		{ "FIONREAD", FIONREAD },
	};
	static const struct {
		__u32 flags;
		long want;
	} files[] = {
		{ 0, -EINVAL }, { 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, -EINVAL },
		{ 7, -EINVAL }, { ~0U, -EINVAL },
	};
	struct dma_buf_export_sync_file out;
	struct dma_buf_import_sync_file in;
	__u64 bytes[8] = { 0 };
	int i, fds;
	long ret;

	for (i = 0; i < ARRAY_SIZE(unknown); i++)
		CALL(-ENOTTY, ioctl(self->fd, unknown[i].number, bytes), "%s", unknown[i].name);

	/* Fill the holes that making the buffer has left. */
	do {
		fds = dup(STDOUT_FILENO);
	} while (fds < self->fd);
	close(fds);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		out.flags = files[i].flags;
		out.fd = -1;
		ret = sys(ioctl(self->fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &out));
		OP(files[i].want, ret, "export sync file %u", out.flags);
		in.flags = files[i].flags;
		in.fd = out.fd;
		CALL(files[i].want, ioctl(self->fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &in),
		     "import sync file %u", in.flags);
		OP(!ret, close_from(fds), "descriptors");
	}
	in.flags = DMA_BUF_SYNC_RW;
	in.fd = self->fd;
	CALL(-EINVAL, ioctl(self->fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &in), "import no sync file");
	CALL(-EFAULT, ioctl(self->fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, 8), "export to nowhere");
	CALL(-EFAULT, ioctl(self->fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, 8), "import from nowhere");
	OP(0, close_from(fds), "descriptors");
}

TEST_F(buffer, polling)
{
	static const struct {
		const char *name;
		short events;
		long want;
	} polls[] = {
		{ "nothing", 0, 0 },
		{ "IN", POLLIN, POLLIN },
		{ "OUT", POLLOUT, POLLOUT },
		{ "IN OUT", POLLIN | POLLOUT, POLLIN | POLLOUT },
		{ "PRI", POLLPRI, 0 },
		{ "RDNORM", POLLRDNORM, 0 },
		{ "all", 0x7fff, POLLIN | POLLOUT },
	};
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT };
	struct pollfd p = { .fd = self->fd };
	int i, epoll;

	for (i = 0; i < ARRAY_SIZE(polls); i++) {
		p.events = polls[i].events;
		ASSERT_LE(0, poll(&p, 1, 0));
		OP(polls[i].want, p.revents, "poll %s", polls[i].name);
	}
	epoll = epoll_create1(EPOLL_CLOEXEC);
	CALL(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->fd, &event), "add");
	CALL(1, epoll_wait(epoll, &event, 1, 0), "wait");
	OP(EPOLLIN | EPOLLOUT, event.events, "events");
	CALL(0, epoll_ctl(epoll, EPOLL_CTL_DEL, self->fd, NULL), "delete");
	close(epoll);
}
