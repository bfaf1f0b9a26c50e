// SPDX-License-Identifier: GPL-2.0
/* The memfd behind a udmabuf: of huge pages, changed, sealed, gone. */

TEST_F(udmabuf, hugetlb)
{
	static const struct shape shapes[] = {
		{ "first", 1, { { 0, 0, 512 } }, 512 },
		{ "second", 1, { { 0, 512, 512 } }, 512 },
		{ "all", 1, { { 0, 0, 1024 } }, 1024 },
		{ "one page", 1, { { 0, 0, 1 } }, 1 },
		{ "one page inside", 1, { { 0, 77, 1 } }, 1 },
		{ "last page", 1, { { 0, 1023, 1 } }, 1 },
		{ "over the join", 1, { { 0, 511, 2 } }, 2 },
		{ "odd part", 1, { { 0, 3, 400 } }, 400 },
		{ "odd part over the join", 1, { { 0, 100, 700 } }, 700 },
		{ "all but the ends", 1, { { 0, 1, 1022 } }, 1022 },
		{ "swapped", 2, { { 0, 512, 512 }, { 0, 0, 512 } }, 1024 },
		{ "several", 5,
			{ { 0, 9, 1 }, { 0, 511, 3 }, { 0, 9, 2 },
			  { 0, 1000, 24 }, { 0, 0, 7 } }, 37 },
		{ "overlapping", 2, { { 0, 10, 600 }, { 0, 200, 600 } }, 1200 },
		{ "with shmem", 4, { { 0, 510, 4 }, { 1, 1, 2 }, { 0, 3, 2 }, { 1, 0, 16 } }, 24 },
		{ "beyond", 1, { { 0, 1023, 2 } }, -EINVAL },
		{ "at the end", 1, { { 0, 1024, 1 } }, -EINVAL },
		{ "nothing", 1, { { 0, 512, 0 } }, -EINVAL },
		{ "beyond after good", 2, { { 0, 0, 512 }, { 0, 1000, 25 } }, -EINVAL },
	};
	struct udmabuf_create_item items[600];
	unsigned char *map;
	int memfds[2], i;

	self->hugepages = dio_number(DIO_HUGEPAGES, "");
	if (self->hugepages >= 0)
		dio_write_file(DIO_HUGEPAGES, "%ld", self->hugepages + 2);
	memfds[0] = dio_memfd(2 * HUGE, MFD_HUGETLB | MFD_HUGE_2MB, F_SEAL_SHRINK);
	if (memfds[0] < 0 ||
	    map_all(&map, 2 * HUGE, memfds[0])) {
		close(memfds[0]);
		SKIP(return, "no memory for two huge pages");
	}
	label(map, 1024);
	munmap(map, 2 * HUGE);
	memfds[1] = labelled_memfd(SECOND);
	ASSERT_LE(0, memfds[1]);

	try_shapes(_metadata, self->dev, memfds, shapes, ARRAY_SIZE(shapes));
	for (i = 0; i < 600; i++)
		items[i] = (struct udmabuf_create_item){
			.memfd = memfds[0],
			.offset = (1023 - i) * PAGE,
			.size = PAGE,
		};
	try_shape(_metadata, self->dev, memfds, "backwards", items, 600, 600);
	OP(-EINVAL, made(create(self->dev, memfds[0], 2048, PAGE)), "offset 2048");
	OP(-EINVAL, made(create(self->dev, memfds[0], 0, HUGE + 1)), "size 2M+1");
	CALL(0, fcntl(memfds[0], F_ADD_SEALS, F_SEAL_WRITE), "seal");
	OP(-EINVAL, made(create(self->dev, memfds[0], 0, HUGE)), "sealed");
	close(memfds[0]);
	close(memfds[1]);
	OP(0, dio_write_file(DIO_HUGEPAGES, "%ld", self->hugepages), "pages back");
	OP(ANY, dio_number(DIO_HUGEPAGES, "") - self->hugepages, "pages kept");
}

/* ---- the memfd behind a udmabuf ---- */

TEST_F(udmabuf, behind)
{
	unsigned char *map, *memory, *page;
	int fd, hole, n = MEMFD_PAGES;

	fd = create(self->dev, self->memfd, 0, MEMFD_SIZE);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, map_all(&map, MEMFD_SIZE, fd));
	ASSERT_EQ(0, map_all(&memory, MEMFD_SIZE, self->memfd));
	page = malloc(PAGE);
	ASSERT_NE(NULL, page);

	/* Both ways, by each way to write. */
	OP(0, wrong(map, 0, n), "data");
	memset(memory, 0x11, MEMFD_SIZE);
	OP(1, is_filled(map, 0x11, MEMFD_SIZE), "map of memfd to map");
	memset(map, 0x22, MEMFD_SIZE);
	OP(1, is_filled(memory, 0x22, MEMFD_SIZE), "map to map of memfd");
	memset(page, 0x33, PAGE);
	CALL(PAGE, pwrite(self->memfd, page, PAGE, 5 * PAGE), "pwrite");
	OP(1, is_filled(map + 5 * PAGE, 0x33, PAGE), "pwrite to map");
	CALL(PAGE, pread(self->memfd, page, PAGE, 6 * PAGE), "pread");
	OP(1, is_filled(page, 0x22, PAGE), "map to pread");

	/* The file changes, the buffer does not. */
	CALL(-EPERM, ftruncate(self->memfd, PAGE), "shrink");
	CALL(-EPERM, ftruncate(self->memfd, 0), "truncate");
	CALL(0, ftruncate(self->memfd, 2 * MEMFD_SIZE), "grow");
	CALL(MEMFD_SIZE, lseek(fd, 0, SEEK_END), "size after growth");
	OP(2 * MEMFD_SIZE, made(create(self->dev, self->memfd, 0, 2 * MEMFD_SIZE)),
	   "second buffer");
	hole = fallocate(self->memfd,
			 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 3 * PAGE, PAGE);
	CALL(0, hole, "punch a hole");
	OP(0x22, touch(map + 3 * PAGE, -1), "buffer's page");
	OP(0, touch(memory + 3 * PAGE, -1), "file's page");
	OP(7, touch(map + 3 * PAGE, 7), "write to it");
	OP(0, touch(memory + 3 * PAGE, -1), "file's page again");
	OP(0x22, touch(map + 4 * PAGE, -1), "next page");

	/* Seals that come later. */
	munmap(memory, MEMFD_SIZE);
	CALL(-EBUSY, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE), "seal WRITE");
	CALL(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_GROW), "seal GROW");
	CALL(-EPERM, ftruncate(self->memfd, 3 * MEMFD_SIZE), "grow sealed");
	CALL(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), "seal FUTURE_WRITE");
	CALL(-EPERM, pwrite(self->memfd, page, PAGE, 0), "pwrite sealed");
	OP(8, touch(map, 8), "write to the map");
	OP(-EINVAL, made(create(self->dev, self->memfd, 0, PAGE)), "third buffer");
	munmap(map, MEMFD_SIZE);
	OP(0, map_all(&map, MEMFD_SIZE, fd), "mmap again");
	OP(7, touch(map + 3 * PAGE, -1), "buffer's page still");

	/* The memfd goes first. */
	close(self->memfd);
	self->memfd = -1;
	OP(0x22, touch(map + 2 * PAGE, -1), "without memfd");
	OP(9, touch(map + 15 * PAGE, 9), "without memfd, write");
	OP(0, sync_flags(fd, START_RW), "without memfd, START");
	OP(0, sync_flags(fd, END_RW), "without memfd, END");
	print_fdinfo(_metadata, fd, "without memfd");
	munmap(map, MEMFD_SIZE);
	CALL(0, close(fd), "close");
	self->next = next_fd();
	free(page);
}

/* Pages nobody has touched: the buffer makes them, as zeros. */
TEST_F(udmabuf, untouched)
{
	unsigned char *map, *page;
	int fd, memfd;

	memfd = dio_memfd(DIO_MIB, 0, F_SEAL_SHRINK);
	ASSERT_LE(0, memfd);
	fd = create(self->dev, memfd, 0, DIO_MIB);
	ASSERT_LE(0, fd);
	OP(0, map_all(&map, DIO_MIB, fd), "mmap");
	OP(1, is_filled(map, 0, DIO_MIB), "zeros");
	memset(map, 0x44, DIO_MIB);
	munmap(map, DIO_MIB);
	close(fd);

	/* What went in through the buffer has to survive it. */
	page = malloc(DIO_MIB);
	ASSERT_NE(NULL, page);
	OP(0, dio_write_file("/proc/sys/vm/drop_caches", "1"), "drop caches");
	CALL(DIO_MIB, pread(memfd, page, DIO_MIB, 0), "pread");
	OP(1, is_filled(page, 0x44, DIO_MIB), "kept");
	CALL(0, fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE), "seal");
	close(memfd);
	free(page);
}
