// SPDX-License-Identifier: GPL-2.0
/* The calls of 32-bit programs. */

#ifdef __x86_64__
/* The compat entry, open to any process if the kernel has it. */
static long ioctl32(int fd, unsigned int number, unsigned long arg)
{
	struct sigaction act = { .sa_handler = on_signal }, segv;
	long ret = 54;
	int sig;

	sigaction(SIGSEGV, &act, &segv);
	sig = sigsetjmp(signal_env, 1);
	if (!sig)
		asm volatile("int $0x80"
			     : "+a" (ret)
			     : "b" ((long)fd), "c" ((long)number), "d" (arg)
			     : "memory", "r8", "r9", "r10", "r11");
	sigaction(SIGSEGV, &segv, NULL);
	return sig ? KILLED(sig) : (int)ret;
}

TEST_F(udmabuf, compat)
{
	struct udmabuf_create one = { .memfd = self->memfd, .size = PAGE };
	struct dma_heap_allocation_data data = { .len = PAGE };
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_RW };
	struct short_list list = {
		.count = 1,
		.items[0] = { .memfd = self->memfd, .size = 2 * PAGE },
	};
	unsigned char *low;
	unsigned long arg;
	int heap, fd;

	ASSERT_EQ(0, map_fd(&low, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
	arg = (unsigned long)low;
	if (ioctl32(-1, 0, 0) == KILLED(SIGSEGV))
		SKIP(return, "no 32-bit calls in this kernel");

	memcpy(low, &one, sizeof(one));
	fd = ioctl32(self->dev, UDMABUF_CREATE, arg);
	OP(1, fd >= 0, "create");
	memcpy(low, &sync, sizeof(sync));
	OP(0, ioctl32(fd, DMA_BUF_IOCTL_SYNC, arg), "sync");
	memcpy(low, "name", 5);
	OP(0, ioctl32(fd, DMA_BUF_SET_NAME_A, arg), "name");
	OP(PAGE, made(fd), "size");
	memcpy(low, &list, sizeof(list));
	OP(2 * PAGE, made(ioctl32(self->dev, UDMABUF_CREATE_LIST, arg)), "list");
	OP(-EFAULT, ioctl32(self->dev, UDMABUF_CREATE, 0), "create NULL");
	OP(-EFAULT, ioctl32(self->dev, UDMABUF_CREATE_LIST, 0), "list NULL");
	OP(-ENOTTY, ioctl32(self->dev, 0, arg), "unknown");

	heap = open(HEAP, O_RDONLY | O_CLOEXEC);
	if (heap < 0)
		return;
	memcpy(low, &data, sizeof(data));
	OP(0, ioctl32(heap, DMA_HEAP_IOCTL_ALLOC, arg), "heap");
	memcpy(&data, low, sizeof(data));
	OP(PAGE, made(data.fd), "heap, size");
	OP(-EFAULT, ioctl32(heap, DMA_HEAP_IOCTL_ALLOC, 0), "heap NULL");
	close(heap);
}
#endif
