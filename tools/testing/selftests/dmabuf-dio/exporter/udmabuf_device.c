// SPDX-License-Identifier: GPL-2.0
/* Buffers of odd shape, filled by a device. */

static void splice_shape(struct __test_metadata *_metadata,
			 FIXTURE_DATA(udmabuf) const *self, struct dio_src *src,
			 const char *name,
			 const struct udmabuf_create_item *items, int count)
{
	struct dio_buf buf = { .memfd = -1, .hugepages = -1 };
	unsigned char *behind;
	long bad = 0, at = 0, i;

	for (i = 0; i < count; i++)
		buf.size += items[i].size;
	buf.fd = create_list(self->dev, items, count);
	OP(1, buf.fd >= 0, "%s", name);
	ASSERT_LE(0, buf.fd);
	ASSERT_EQ(0, map_all(&buf.map, buf.size, buf.fd));

	OP(1, dio_transfer(src, 0, &buf, 0, buf.size), "%s, whole", name);
	for (i = 0; i < count; i++) {
		ASSERT_EQ(0, map_fd(&behind, items[i].size, RW, MAP_SHARED,
				    items[i].memfd, items[i].offset));
		bad += !!memcmp(behind, src->oracle + at, items[i].size);
		at += items[i].size;
		munmap(behind, items[i].size);
	}
	OP(0, bad, "%s, memfd", name);
	OP(1, dio_transfer(src, PAGE, &buf, PAGE, 3 * PAGE), "%s, 3 pages", name);
	OP(1, dio_transfer(src, 512, &buf, PAGE - 512, 1024), "%s, 2 blocks", name);
	OP(1, dio_transfer(src, 1024, &buf, 512, buf.size - 1024), "%s, most blocks", name);
	dio_buf_free(&buf);
}

TEST_F(udmabuf, device)
{
	struct udmabuf_create_item items[128];
	size_t pages = 128, i;
	unsigned char *map;
	struct dio_src src;
	struct dio_buf buf;
	int memfd, fd;

	memfd = dio_memfd(2 * pages * PAGE, 0, F_SEAL_SHRINK);
	ASSERT_LE(0, memfd);
	if (!dio_ready(_metadata, dio_src_open(&src, &dio_raw, 0,
					       2 * pages * PAGE))) {
		close(memfd);
		return;
	}

#define SHAPE(first)							\
	do {								\
		for (i = 0; i < pages; i++)				\
			items[i] = (struct udmabuf_create_item){	\
				.memfd = memfd,				\
				.offset = (first) * PAGE,		\
				.size = PAGE,				\
			};						\
	} while (0)
	SHAPE(i);
	splice_shape(_metadata, self, &src, "in order", items, pages);
	SHAPE(pages - 1 - i);
	splice_shape(_metadata, self, &src, "reversed", items, pages);
	SHAPE(2 * i);
	splice_shape(_metadata, self, &src, "every second", items, pages);
	SHAPE(i % 2 ? i : 2 * pages - 1 - i);
	splice_shape(_metadata, self, &src, "from both ends", items, pages);
	SHAPE(i * 5 % pages);
	items[3].size = 7 * PAGE;
	items[3].offset = pages * PAGE;
	splice_shape(_metadata, self, &src, "scrambled", items, pages);

	/* One page, over and over: each transfer is seen everywhere. */
	SHAPE(9);
#undef SHAPE
	fd = create_list(self->dev, items, pages);
	OP(1, fd >= 0, "repeated");
	buf = (struct dio_buf){ .fd = fd, .memfd = -1, .hugepages = -1 };
	buf.size = pages * PAGE;
	ASSERT_EQ(0, map_all(&buf.map, buf.size, fd));
	ASSERT_EQ(0, map_fd(&map, PAGE, RW, MAP_SHARED, memfd, 9 * PAGE));
	for (i = 0; i < pages; i += 31) {
		OP(PAGE, dio_splice(src.fd, i * PAGE, fd, i * PAGE, PAGE), "repeated, page %zu", i);
		OP(1, dio_is_data(&buf, 0, &src, i * PAGE, PAGE), "repeated, page 0 is %zu", i);
		OP(1, dio_is_data(&buf, 127 * PAGE, &src, i * PAGE, PAGE),
		   "repeated, page 127 is %zu", i);
		OP(0, !!memcmp(map, src.oracle + i * PAGE, PAGE), "repeated, memfd is %zu", i);
	}
	/* All at once: whichever page was last, none is mixed or missed. */
	OP(buf.size, dio_splice(src.fd, 0, fd, 0, buf.size), "repeated, whole");
	OP(0, !!memcmp(buf.map, map, PAGE), "repeated, whole, memfd");
	munmap(map, PAGE);
	dio_buf_free(&buf);
	dio_src_close(&src);
	CALL(0, fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE), "seal");
	close(memfd);
}
