// SPDX-License-Identifier: GPL-2.0
/* udmabuf: a device, a memfd, and how buffers are made of it. */

#define MEMFD_PAGES	16UL
#define MEMFD_SIZE	(MEMFD_PAGES * PAGE)

FIXTURE(udmabuf)
{
	int dev;
	int memfd;		/* of MEMFD_SIZE, sealed as it has to be */
	int next;
	long list_limit, size_limit;
	long hugepages;
};

/* A memfd of MEMFD_SIZE in which page i says that it is @first + i. */
static int labelled_memfd(size_t first)
{
	int fd = dio_memfd(MEMFD_SIZE, 0, F_SEAL_SHRINK);
	unsigned char *map;

	if (fd < 0 || map_all(&map, MEMFD_SIZE, fd))
		return -errno;
	label_from(map, first, MEMFD_PAGES);
	munmap(map, MEMFD_SIZE);
	return fd;
}

FIXTURE_SETUP(udmabuf)
{
	exporter = "udmabuf ";
	only_standard_fds();
	self->dev = open(UDMABUF, O_RDWR | O_CLOEXEC);
	if (self->dev < 0 && errno == ENOENT)
		SKIP(return, "no " UDMABUF);
	ASSERT_LE(0, self->dev);
	self->memfd = labelled_memfd(0);
	ASSERT_LE(0, self->memfd);
	self->list_limit = dio_number(PARAMETERS "list_limit", "");
	self->size_limit = dio_number(PARAMETERS "size_limit_mb", "");
	self->hugepages = -1;
	self->next = next_fd();
}

/* Nobody may write to a memfd that is still pinned. */
FIXTURE_TEARDOWN(udmabuf)
{
	dio_write_file(PARAMETERS "list_limit", "%ld", self->list_limit);
	dio_write_file(PARAMETERS "size_limit_mb", "%ld", self->size_limit);
	if (self->hugepages >= 0)
		dio_write_file(DIO_HUGEPAGES, "%ld", self->hugepages);
	EXPECT_EQ(self->next, next_fd());
	if (self->memfd >= 0)
		EXPECT_EQ(0, sys(fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE)))
			TH_LOG("pages of the memfd are still pinned");
	close(self->memfd);
	close(self->dev);
}

/* A descriptor, or -errno. */
static int create(int dev, int memfd, __u64 offset, __u64 size)
{
	struct udmabuf_create arg = {
		.memfd = memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.offset = offset,
		.size = size,
	};

	return sys(ioctl(dev, UDMABUF_CREATE, &arg));
}

/* A list that needs no allocation. */
struct short_list {
	__u32 flags;
	__u32 count;
	struct udmabuf_create_item items[2];
};

static int create_list(int dev, const struct udmabuf_create_item *items,
		       unsigned int count)
{
	struct udmabuf_create_list *list;
	int fd;

	list = malloc(sizeof(*list) + count * sizeof(*items));
	if (!list)
		return -ENOMEM;
	list->flags = UDMABUF_FLAGS_CLOEXEC;
	list->count = count;
	memcpy(list->list, items, count * sizeof(*items));
	fd = sys(ioctl(dev, UDMABUF_CREATE_LIST, list));
	free(list);
	return fd;
}
