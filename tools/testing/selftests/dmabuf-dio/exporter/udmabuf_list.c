// SPDX-License-Identifier: GPL-2.0
/* What a list of parts of memfds can be made of. */

struct shape_item {
	int which;		/* of the two memfds */
	long page, count;
};

struct shape {
	const char *name;
	int count;
	struct shape_item items[8];
	long want;		/* pages of the buffer, or -errno */
};

/* Pages of the second memfd start at this number. */
#define SECOND	1000

/* Build, look at each page, write to each, and look at the memfds. */
static void try_shape(struct __test_metadata *_metadata, int dev,
		      const int *memfds, const char *name,
		      const struct udmabuf_create_item *items, int count,
		      long want)
{
	unsigned char *map, *behind;
	long size, bad = 0, at = 0, i, n;
	struct stat st;
	int fd;

	fd = create_list(dev, items, count);
	size = fd < 0 ? fd : sys(lseek(fd, 0, SEEK_END));
	OP(want < 0 ? want : want * (long)PAGE, size, "%s", name);
	if (size <= 0)
		return;

	OP(0, map_all(&map, size, fd), "%s, mmap", name);
	for (i = 0; i < count; i++)
		for (n = 0; n < items[i].size / PAGE; n++)
			bad += !is_page(map + at++ * PAGE,
					(items[i].memfd == memfds[1] ? SECOND : 0) +
					items[i].offset / PAGE + n);
	OP(0, bad, "%s, data", name);

	/* Whatever order they were in, each is where it was. */
	for (i = 0; i < at; i++)
		map[i * PAGE + 500] = 1 + i % 250;
	at = 0;
	for (i = 0; i < count; i++) {
		/* Not any part of a huge page can be mapped. */
		ASSERT_EQ(0, fstat(items[i].memfd, &st));
		ASSERT_EQ(0, map_all(&behind, st.st_size, items[i].memfd));
		for (n = 0; n < items[i].size / PAGE; n++, at++)
			bad += behind[items[i].offset + n * PAGE + 500] !=
			       map[at * PAGE + 500];
		munmap(behind, st.st_size);
	}
	OP(0, bad, "%s, written", name);
	OP(-EINVAL, sync_flags(fd, END_RW), "%s, END", name);
	OP(0, sync_flags(fd, START_RW), "%s, START", name);
	OP(0, sync_flags(fd, END_RW), "%s, END again", name);
	munmap(map, size);
	close(fd);
}

static int items_of(struct udmabuf_create_item *items, const int *memfds,
		    const struct shape *shape)
{
	int i;

	for (i = 0; i < shape->count; i++)
		items[i] = (struct udmabuf_create_item){
			.memfd = memfds[shape->items[i].which],
			.offset = shape->items[i].page * PAGE,
			.size = shape->items[i].count * PAGE,
		};
	return shape->count;
}

static void try_shapes(struct __test_metadata *_metadata, int dev,
		       const int *memfds, const struct shape *shapes, int n)
{
	struct udmabuf_create_item items[8];

	for (; n--; shapes++)
		try_shape(_metadata, dev, memfds, shapes->name, items,
			  items_of(items, memfds, shapes), shapes->want);
}

TEST_F(udmabuf, lists)
{
	static const struct shape shapes[] = {
		{ "whole", 1, { { 0, 0, 16 } }, 16 },
		{ "halves", 2, { { 0, 0, 8 }, { 0, 8, 8 } }, 16 },
		{ "halves swapped", 2, { { 0, 8, 8 }, { 0, 0, 8 } }, 16 },
		{ "overlapping", 2, { { 0, 0, 10 }, { 0, 6, 10 } }, 20 },
		{ "overlapping back", 2, { { 0, 6, 10 }, { 0, 0, 10 } }, 20 },
		{ "one in another", 3, { { 0, 0, 16 }, { 0, 5, 2 }, { 0, 5, 1 } }, 19 },
		{ "a page thrice", 3, { { 0, 7, 1 }, { 0, 7, 1 }, { 0, 7, 1 } }, 3 },
		{ "the whole thrice", 3, { { 0, 0, 16 }, { 0, 0, 16 }, { 0, 0, 16 } }, 48 },
		{ "two memfds", 2, { { 0, 0, 16 }, { 1, 0, 16 } }, 32 },
		{ "alternating", 6,
			{ { 0, 3, 1 }, { 1, 3, 1 }, { 0, 4, 1 }, { 1, 4, 1 },
			  { 0, 3, 2 }, { 1, 0, 5 } }, 11 },
		{ "with a hole", 2, { { 0, 0, 3 }, { 0, 10, 3 } }, 6 },
		{ "nothing", 0, { { 0, 0, 0 } }, -EINVAL },
		{ "nothing in it", 1, { { 0, 0, 0 } }, -EINVAL },
		{ "nothing twice", 2, { { 0, 0, 0 }, { 1, 0, 0 } }, -EINVAL },
		{ "nothing first", 2, { { 0, 0, 0 }, { 0, 0, 1 } }, -EINVAL },
		{ "nothing last", 2, { { 0, 0, 1 }, { 0, 5, 0 } }, -EINVAL },
		{ "nothing between", 3, { { 0, 0, 1 }, { 0, 5, 0 }, { 0, 2, 1 } }, -EINVAL },
		{ "beyond, first", 2, { { 0, 16, 1 }, { 0, 0, 1 } }, -EINVAL },
		{ "beyond, last", 2, { { 0, 0, 1 }, { 0, 15, 2 } }, -EINVAL },
		{ "beyond, second memfd", 2, { { 0, 0, 16 }, { 1, 15, 2 } }, -EINVAL },
		{ "sizes that wrap", 2, { { 0, 0, 1L << 51 }, { 0, 0, 1L << 51 } }, -EINVAL },
		{ "sizes that wrap, rest", 3,
			{ { 0, 0, 1L << 51 }, { 0, 0, 1L << 51 }, { 0, 0, 1 } },
			-EINVAL },
		{ "offset that wraps", 2, { { 0, 0, 1 }, { 0, -1, 2 } }, -EINVAL },
	};
	struct udmabuf_create_item items[64];
	int memfds[] = { self->memfd, labelled_memfd(SECOND) }, i;

	ASSERT_LE(0, memfds[1]);
	try_shapes(_metadata, self->dev, memfds, shapes, ARRAY_SIZE(shapes));

	for (i = 0; i < 64; i++)
		items[i] = (struct udmabuf_create_item){
			.memfd = memfds[i & 1],
			.offset = (63 - i) / 4 * PAGE,
			.size = PAGE,
		};
	try_shape(_metadata, self->dev, memfds, "backwards, mixed", items, 64,
		  64);
	items[63].offset++;
	try_shape(_metadata, self->dev, memfds, "last offset odd", items, 64,
		  -EINVAL);
	items[63].offset = 0;
	items[63].size--;
	try_shape(_metadata, self->dev, memfds, "last size odd", items, 64,
		  -EINVAL);
	items[63].size = PAGE;
	items[63].memfd = -1;
	try_shape(_metadata, self->dev, memfds, "last memfd bad", items, 64,
		  -EBADFD);
	/* Refused, so nothing may still be pinned. */
	CALL(0, fcntl(memfds[1], F_ADD_SEALS, F_SEAL_WRITE), "seal second memfd");
	items[63].memfd = memfds[1];
	try_shape(_metadata, self->dev, memfds, "a memfd sealed", items, 64,
		  -EINVAL);
	close(memfds[1]);
}
