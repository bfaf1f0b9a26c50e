// SPDX-License-Identifier: GPL-2.0
/* Data that goes through a buffer: by the CPU, and by a disk. */

/* Each byte, through a second map and back. */
TEST_F(buffer, bytes)
{
	size_t size = self->buf.size;
	unsigned char *map, *pattern;

	pattern = malloc(size);
	ASSERT_NE(NULL, pattern);
	ASSERT_EQ(0, map_all(&map, size, self->fd));
	dio_pattern(pattern, 1, 0, size);
	memcpy(self->buf.map, pattern, size);
	OP(0, !!memcmp(map, pattern, size), "first to second");
	dio_pattern(pattern, 2, 0, size);
	memcpy(map, pattern, size);
	OP(0, !!memcmp(self->buf.map, pattern, size), "second to first");
	munmap(map, size);
	free(pattern);
}

TEST_F(buffer, device)
{
	static const struct {
		size_t file_off, off, len;	/* in blocks */
	} rows[] = {
		{ 0, 0, 1 }, { 0, 0, 8 }, { 1, 3, 5 }, { 0, 7, 2 },
		{ 8, 0, 128 }, { 5, 127, 2 }, { 0, 2047, 2 }, { 3, 2040, 33 },
		{ 1, 0, 2048 }, { 0, 1, 2047 }, { 0, 2048, 143 },
	};
	struct dio_src src;
	const size_t block = 512;
	size_t i;

	if (!dio_ready(_metadata, dio_src_open(&src, &dio_raw, 0,
					       self->buf.size)))
		return;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		OP(1, dio_transfer(&src, rows[i].file_off * block, &self->buf,
				   rows[i].off * block, rows[i].len * block),
		   "blocks %zu+%zu from %zu", rows[i].off, rows[i].len, rows[i].file_off);
	OP(1, dio_transfer(&src, 0, &self->buf, 0, self->buf.size), "whole");
	OP(0, sync_flags(self->fd, START_RW), "START");
	OP(self->buf.size, dio_splice(src.fd, 0, self->fd, 0, self->buf.size),
	   "whole between START and END");
	OP(0, sync_flags(self->fd, END_RW), "END");
	OP(1, dio_is_data(&self->buf, 0, &src, 0, self->buf.size), "data");
	OP(-ENOSPC, dio_splice(src.fd, 0, self->fd, self->buf.size, block), "at the end");
	OP(block, dio_splice(src.fd, 0, self->fd, self->buf.size - block, 2 * block),
	   "over the end");
	print_fdinfo(_metadata, self->fd, "used");
	dio_src_close(&src);
}

/* A device fills one half while the CPU has its brackets round the other. */
TEST_F(buffer, device_and_cpu)
{
	size_t half = self->pages / 2 * PAGE, n = self->pages / 2;
	struct dio_worker worker;
	struct dio_src src;
	long bad = 0;
	int rounds = 0;

	if (!dio_ready(_metadata, dio_src_open(&src, &dio_raw, 0, half)))
		return;
	worker = (struct dio_worker){
		.src = &src,
		.buf = &self->buf,
		.off = half,
		.len = half,
		.rounds = 10,
	};
	ASSERT_EQ(0, dio_worker_start(&worker));
	do {
		bad += !!sync_flags(self->fd, START_RW);
		label(self->buf.map, n);
		bad += !!sync_flags(self->fd, END_RW);
		bad += wrong(self->buf.map, 0, n);
	} while (++rounds < 1000 && worker.done < worker.rounds && worker.good);
	dio_worker_join(&worker);
	OP(0, bad, "CPU");
	OP(10, worker.done, "transfers");
	OP(1, worker.good, "device");
	dio_src_close(&src);
}
