// SPDX-License-Identifier: GPL-2.0
/* Maps of a buffer: which are made, and what they can be turned into. */

TEST_F(buffer, maps)
{
	/* Whole pages from the end of the buffer, plus bytes. */
	static const struct {
		const char *name;
		int prot, flags;
		bool whole;		/* @len is on top of the size */
		off_t len;
		bool end;		/* @off is relative to the end */
		off_t off;
		long want;
	} rows[] = {
		{ "shared", RW, MAP_SHARED, true },
		{ "shared read", PROT_READ, MAP_SHARED, true },
		{ "shared write", PROT_WRITE, MAP_SHARED, true },
		{ "shared none", PROT_NONE, MAP_SHARED, true, .want = KILLED(SIGSEGV) },
		{ "shared execute", RW | PROT_EXEC, MAP_SHARED, true, .want = -EPERM },
		{ "validate", RW, MAP_SHARED_VALIDATE, true },
		{ "sync", RW, MAP_SHARED_VALIDATE | MAP_SYNC, true, .want = -EOPNOTSUPP },
		{ "private", RW, MAP_PRIVATE, true, .want = -EINVAL },
		{ "private read", PROT_READ, MAP_PRIVATE, true, .want = -EINVAL },
		{ "private none", PROT_NONE, MAP_PRIVATE, true, .want = -EINVAL },
		{ "neither", RW, 0, true, .want = -EINVAL },
		{ "populate", RW, MAP_SHARED | MAP_POPULATE, true },
		{ "populate read", PROT_READ, MAP_SHARED | MAP_POPULATE, true },
		{ "locked", RW, MAP_SHARED | MAP_LOCKED, true },
		{ "no reserve", RW, MAP_SHARED | MAP_NORESERVE, true },
		{ "huge", RW, MAP_SHARED | MAP_HUGETLB, true, .want = -EINVAL },
		{ "grows down", RW, MAP_SHARED | MAP_GROWSDOWN, true, .want = -EINVAL },
		{ "length 0", RW, MAP_SHARED, .want = -EINVAL },
		{ "length 1", RW, MAP_SHARED, .len = 1 },
		{ "one page", RW, MAP_SHARED, .len = PAGE },
		{ "17 pages", RW, MAP_SHARED, .len = 17 * PAGE },
		{ "17 pages read", PROT_READ, MAP_SHARED, .len = 17 * PAGE },
		{ "size - page", RW, MAP_SHARED, true, -PAGE },
		{ "size - 1", RW, MAP_SHARED, true, -1 },
		{ "size + 1", RW, MAP_SHARED, true, 1, .want = -EINVAL },
		{ "size + page", RW, MAP_SHARED, true, PAGE, .want = -EINVAL },
		{ "size + 1 GiB", RW, MAP_SHARED, true, DIO_GIB, .want = -EINVAL },
		{ "length max", RW, MAP_SHARED, .len = LONG_MAX, .want = -ENOMEM },
		{ "length -1", RW, MAP_SHARED, .len = -1, .want = -ENOMEM },
		{ "from page 1", RW, MAP_SHARED, true, -PAGE, false, PAGE },
		{ "from page 1, size", RW, MAP_SHARED, true, 0, false, PAGE, -EINVAL },
		{ "from page 3, 5 pages", RW, MAP_SHARED, false, 5 * PAGE, false, 3 * PAGE },
		{ "over 64 KiB", RW, MAP_SHARED, false, 7 * PAGE, false, 13 * PAGE },
		{ "over 1 MiB", RW, MAP_SHARED, false, 7 * PAGE, false, 253 * PAGE },
		{ "over 1 MiB read", PROT_READ, MAP_SHARED, false, 7 * PAGE, false, 253 * PAGE },
		{ "last page", RW, MAP_SHARED, false, PAGE, true, -PAGE },
		{ "last byte", RW, MAP_SHARED, false, 1, true, -PAGE },
		{ "last 3 pages", RW, MAP_SHARED, false, 3 * PAGE, true, -3 * PAGE },
		{ "last 3 pages, 4", RW, MAP_SHARED, false, 4 * PAGE, true, -3 * PAGE, -EINVAL },
		{ "last page private", RW, MAP_PRIVATE, false, PAGE, true, -PAGE, ANY },
		{ "at the end", RW, MAP_SHARED, false, PAGE, true, 0, -EINVAL },
		{ "at the end, 1 byte", RW, MAP_SHARED, false, 1, true, 0, -EINVAL },
		{ "behind the end", RW, MAP_SHARED, false, PAGE, true, PAGE, -EINVAL },
		{ "offset 1", RW, MAP_SHARED, false, PAGE, false, 1, -EINVAL },
		{ "offset 2048", RW, MAP_SHARED, false, PAGE, false, 2048, -EINVAL },
		{ "offset 1 TiB", RW, MAP_SHARED, false, PAGE, false, 1L << 40, -EINVAL },
		{ "offset max", RW, MAP_SHARED, false, PAGE, false, LONG_MAX - PAGE + 1, ANY },
		{ "offset -page", RW, MAP_SHARED, false, PAGE, false, -PAGE, ANY },
		{ "offset -page, 2 pages", RW, MAP_SHARED, false, 2 * PAGE,
			false, -PAGE, -EOVERFLOW },
	};
	unsigned char *map;
	size_t len, pages;
	off_t off;
	long ret;
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		len = rows[i].len + (rows[i].whole ? self->buf.size : 0);
		off = rows[i].off + (rows[i].end ? self->buf.size : 0);
		ret = map_fd(&map, len, rows[i].prot, rows[i].flags, self->fd,
			     off);
		if (!ret) {
			pages = (len + PAGE - 1) / PAGE;
			ret = touch(map + len - 1, -1);
			if (ret >= 0)
				ret = wrong(map, off / PAGE, pages);
			if (!ret && rows[i].prot == PROT_READ)
				OP(KILLED(SIGSEGV), touch(map, 1), "%s, write", rows[i].name);
			munmap(map, len);
		}
		OP(rows[i].want, ret, "%s", rows[i].name);
	}
}

TEST_F(buffer, pieces)
{
	size_t n = self->pages, i, size = self->buf.size;
	unsigned char *map;
	long bad = 0;

	/* Each page alone, backwards. */
	ASSERT_EQ(0, map_nothing(&map, size));
	for (i = 0; i < n; i++)
		bad += mmap(map + (n - 1 - i) * PAGE, PAGE, RW,
			    MAP_SHARED | MAP_FIXED, self->fd, i * PAGE) ==
		       MAP_FAILED;
	OP(0, bad, "pages refused");
	for (i = 0; i < n; i++)
		bad += !is_page(map + (n - 1 - i) * PAGE, i);
	OP(0, bad, "pages wrong");
	munmap(map, size);

	/* The same pages over and over. */
	ASSERT_EQ(0, map_nothing(&map, 15 * PAGE));
	for (i = 0; i < 5; i++)
		bad += mmap(map + i * 3 * PAGE, 3 * PAGE, RW,
			    MAP_SHARED | MAP_FIXED, self->fd, 254 * PAGE) ==
		       MAP_FAILED;
	OP(0, bad, "repetitions refused");
	for (i = 0; i < 5; i++)
		bad += wrong(map + i * 3 * PAGE, 254, 3);
	OP(0, bad, "repetitions wrong");
	OP(77, touch(map + 4 * 3 * PAGE + 99, 77), "write to one");
	OP(77, touch(map + 99, -1), "read from another");
	OP(77, touch(self->buf.map + 254 * PAGE + 99, -1), "read from whole");
	munmap(map, 15 * PAGE);

	/* Never touched before the middle goes. */
	ASSERT_EQ(0, map_all(&map, size, self->fd));
	CALL(0, munmap(map + 10 * PAGE, 10 * PAGE), "unmap 10 pages");
	OP(KILLED(SIGSEGV), touch(map + 10 * PAGE, -1), "first of them");
	OP(KILLED(SIGSEGV), touch(map + 20 * PAGE - 1, 1), "last of them");
	OP(0, wrong(map + 20 * PAGE, 20, n - 20), "behind");
	OP(0, wrong(map, 0, 10), "before");
	munmap(map, size);

	/* Touched, then cut thrice. */
	ASSERT_EQ(0, map_all(&map, size, self->fd));
	OP(0, wrong(map, 0, n), "whole");
	CALL(0, munmap(map, PAGE), "unmap the first page");
	CALL(0, munmap(map + size - PAGE, PAGE), "unmap the last page");
	CALL(0, munmap(map + 255 * PAGE, 2 * PAGE), "unmap two pages");
	OP(KILLED(SIGSEGV), touch(map, -1), "first page");
	OP(KILLED(SIGSEGV), touch(map + size - 1, -1), "last page");
	OP(KILLED(SIGSEGV), touch(map + 256 * PAGE, -1), "second page");
	OP(0, wrong(map + PAGE, 1, 254), "left");
	OP(0, wrong(map + 257 * PAGE, 257, n - 258), "right");
	CALL(0, munmap(map, size), "unmap all");
	OP(0, wrong(self->buf.map, 0, n), "other map");
}

TEST_F(buffer, protection)
{
	unsigned char *map, *at;
	size_t n = self->pages;

	ASSERT_EQ(0, map_all(&map, self->buf.size, self->fd));
	at = map + 20 * PAGE + 100;
	CALL(0, mprotect(map + 16 * PAGE, 8 * PAGE, PROT_NONE), "none");
	OP(KILLED(SIGSEGV), touch(at, -1), "none, read");
	OP(0, wrong(map, 0, 16), "left");
	OP(0, wrong(map + 24 * PAGE, 24, n - 24), "right");
	CALL(0, mprotect(map + 16 * PAGE, 8 * PAGE, PROT_READ), "read");
	OP(0, touch(at, -1), "read, read");
	OP(KILLED(SIGSEGV), touch(at, 1), "read, write");
	CALL(0, mprotect(map + 16 * PAGE, 8 * PAGE, RW), "write");
	OP(5, touch(at, 5), "write, write");
	OP(5, touch(self->buf.map + 20 * PAGE + 100, -1), "other map");
	CALL(-EACCES, mprotect(map, self->buf.size, RW | PROT_EXEC), "execute");
	OP(0, wrong(map, 0, n), "data");
	munmap(map, self->buf.size);

	/* Pages that come only after the first fault. */
	ASSERT_EQ(0, map_fd(&map, self->buf.size, PROT_NONE, MAP_SHARED, self->fd, 0));
	at = map + 20 * PAGE + 100;
	OP(KILLED(SIGSEGV), touch(at, -1), "from none, none");
	CALL(0, mprotect(map, self->buf.size, PROT_READ), "from none, read");
	OP(5, touch(at, -1), "from none, read, read");
	OP(KILLED(SIGSEGV), touch(at, 1), "from none, read, write");
	CALL(0, mprotect(map, self->buf.size, RW), "from none, write");
	OP(6, touch(at, 6), "from none, write, write");
	OP(0, wrong(map, 0, n), "from none, data");
	munmap(map, self->buf.size);
}

TEST_F(buffer, remap)
{
	size_t n = self->pages, size = self->buf.size;
	unsigned char *map, *to, *at;

	/* There is room for it to grow. */
	ASSERT_EQ(0, map_nothing(&map, size + HUGE));
	munmap(map, size + HUGE);
	ASSERT_NE(MAP_FAILED, mmap(map, size, RW, MAP_SHARED | MAP_FIXED, self->fd, 0));
#define REMAP(old, new, ...) ({					\
	at = mremap(map, old, new, __VA_ARGS__);			\
	at == MAP_FAILED ? -errno : at == map ? 0 : 1; })
	OP(-EFAULT, REMAP(size, size + PAGE, 0), "grow");
	OP(-EFAULT, REMAP(size, size + PAGE, MREMAP_MAYMOVE), "grow, move");
	OP(-EFAULT, REMAP(size, 2 * size, MREMAP_MAYMOVE), "double");
	OP(-EINVAL, REMAP(size, 0, 0), "to nothing");
	OP(0, REMAP(size, size, 0), "same");
	OP(0, wrong(map, 0, n), "data");
	OP(0, REMAP(size, size - 3 * PAGE, 0), "shrink");
	OP(KILLED(SIGSEGV), touch(map + size - 3 * PAGE, -1), "cut off");
	OP(0, wrong(map, 0, n - 3), "left");
	OP(-EFAULT, REMAP(size - 3 * PAGE, size, 0), "grow again");
	OP(ANY, REMAP(0, size - 3 * PAGE, 0), "from nothing");
	OP(ANY, REMAP(0, size - 3 * PAGE, MREMAP_MAYMOVE), "second map");
	if (at != MAP_FAILED)
		OP(0, wrong(at, 0, n - 3), "second map's data");
	OP(ANY, REMAP(size - 3 * PAGE, size - 3 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP),
	   "keep both");
	if (at != MAP_FAILED)
		OP(0, wrong(at, 0, n - 3), "keep both, data");
	munmap(map, size);

	ASSERT_EQ(0, map_nothing(&to, size));
	ASSERT_EQ(0, map_all(&map, size, self->fd));
	OP(1, REMAP(size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to), "move");
	OP(KILLED(SIGSEGV), touch(map, -1), "old place");
	OP(0, wrong(to, 0, n), "new place");
	ASSERT_EQ(0, map_nothing(&at, 7 * PAGE));
	map = to + 253 * PAGE;
	to = at;
	OP(1, REMAP(7 * PAGE, 7 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), "move 7 pages");
	OP(0, wrong(to, 253, 7), "7 pages");
	OP(KILLED(SIGSEGV), touch(map, -1), "hole");
	OP(0, touch(map + 7 * PAGE + 8, -1), "behind the hole");

	/* Moved before anybody touched it. */
	ASSERT_EQ(0, map_nothing(&to, size));
	ASSERT_EQ(0, map_all(&map, size, self->fd));
	OP(1, REMAP(size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to), "move untouched");
	OP(0, wrong(to, 0, n), "untouched");
	OP(0, wrong(self->buf.map, 0, n), "other map");
#undef REMAP
}
