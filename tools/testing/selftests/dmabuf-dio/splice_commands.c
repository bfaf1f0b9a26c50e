// SPDX-License-Identifier: GPL-2.0
/*
 * Commands as long as the NVMe driver makes them, on a disk without a limit: up
 * to 8 MiB with SGLs, and around 4 MiB with PRPs, which need more than one list
 * there. The disk's own counters tell how many commands a transfer was.
 *
 * DIO_RAW_MDTS0 names such a disk. QEMU's has 1024 vectors for a command, and
 * each PRP takes one. So no command with PRPs is longer than 1024 pages here.
 *
 * A command is as long as it may be: it ends where the transfer does, where it has
 * "max_sectors" (which the test sets), or where it has "max_segments". Of the
 * largest pages a transfer has too few segments for the last to matter, and the
 * number of commands follows from lengths alone. Of other memory the trace tells
 * how many segments there are: a buffer is mapped for each transfer.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define SIZE		(20 * DIO_MIB)
#define PAGE		4096UL
#define TRACE_DIR	"/sys/kernel/tracing/instances/dmabuf-dio-commands"

static const struct dio_backing by_sgl = {
	.name = "without limit", .env = "DIO_RAW_MDTS0", .all_sgl = true,
};

static const struct dio_backing by_prp = {
	.name = "without limit, PRP", .env = "DIO_RAW_MDTS0", .no_sgl = true,
};

/*
 * The limit that is set, and how many commands a transfer is: its length divided
 * by the limit, rounded up.
 */
struct edge {
	size_t limit;
	size_t off;		/* in a page of the buffer */
	size_t len;
	int commands;
};

static const struct edge sgl_edges[] = {
	{ 8 * DIO_MIB, 0, 4 * DIO_MIB, 1 },
	{ 8 * DIO_MIB, 512, 4 * DIO_MIB, 1 },
	{ 8 * DIO_MIB, 0, 4 * DIO_MIB + 512, 1 },
	{ 8 * DIO_MIB, 0, 8 * DIO_MIB, 1 },
	{ 8 * DIO_MIB, 512, 8 * DIO_MIB, 1 },
	{ 8 * DIO_MIB, 3584, 8 * DIO_MIB + 512, 2 },
	{ 8 * DIO_MIB, 0, 16 * DIO_MIB, 2 },
	{ 4 * DIO_MIB, 0, 4 * DIO_MIB, 1 },
	{ 4 * DIO_MIB, 1024, 4 * DIO_MIB + 512, 2 },
	{ }
};

static const struct edge prp_edges[] = {
	{ 4 * DIO_MIB, 0, 2 * DIO_MIB + PAGE, 1 },	/* the list is full */
	{ 4 * DIO_MIB, 512, 2 * DIO_MIB, 1 },
	{ 4 * DIO_MIB, 512, 2 * DIO_MIB + 512, 1 },
	{ 4 * DIO_MIB, 0, 2 * DIO_MIB + 2 * PAGE, 1 },	/* and another one */
	{ 4 * DIO_MIB, 0, 4 * DIO_MIB, 1 },
	{ 4 * DIO_MIB, 0, 12 * DIO_MIB, 3 },
	{ 4 * DIO_MIB - PAGE, 512, 4 * DIO_MIB - PAGE, 1 },
	{ 4 * DIO_MIB - PAGE, 3584, 8 * DIO_MIB, 3 },
	{ }
};

FIXTURE(splice_commands)
{
	struct dio_src src;
	struct dio_buf buf;
	char limit[PATH_MAX], stat[PATH_MAX];
	long max_segments;
};

FIXTURE_VARIANT(splice_commands)
{
	const struct dio_backing *backing;
	const struct dio_exporter *exporter;
	const struct edge *edges;
	bool scattered;		/* the number of segments is a limit, too */
};

FIXTURE_VARIANT_ADD(splice_commands, sgl_huge) {
	.backing = &by_sgl, .exporter = &dio_udmabuf_huge, .edges = sgl_edges,
};

FIXTURE_VARIANT_ADD(splice_commands, sgl_heap) {
	.backing = &by_sgl, .exporter = &dio_heap, .edges = sgl_edges,
	.scattered = true,
};

FIXTURE_VARIANT_ADD(splice_commands, sgl_udmabuf) {
	.backing = &by_sgl, .exporter = &dio_udmabuf, .edges = sgl_edges,
	.scattered = true,
};

FIXTURE_VARIANT_ADD(splice_commands, prp_huge) {
	.backing = &by_prp, .exporter = &dio_udmabuf_huge, .edges = prp_edges,
};

FIXTURE_VARIANT_ADD(splice_commands, prp_heap) {
	.backing = &by_prp, .exporter = &dio_heap, .edges = prp_edges,
	.scattered = true,
};

FIXTURE_SETUP(splice_commands)
{
	char disk[DIO_NAME], path[PATH_MAX];

	if (!dio_ready(_metadata,
		       dio_src_open(&self->src, variant->backing, 0, SIZE) ?:
		       dio_buf_alloc(&self->buf, variant->exporter, SIZE)))
		return;
	ASSERT_EQ(0, dio_src_disk(&self->src, disk, sizeof(disk)));
	snprintf(self->stat, sizeof(self->stat), "/sys/block/%s/stat", disk);
	snprintf(self->limit, sizeof(self->limit),
		 "/sys/block/%s/queue/max_sectors_kb", disk);
	snprintf(path, sizeof(path), "/sys/block/%s/queue/max_segments", disk);
	self->max_segments = dio_number(path, "");
	ASSERT_LT(1, self->max_segments);
	if (mkdir(TRACE_DIR, 0700) && errno != EEXIST)
		SKIP(return, "no %s", TRACE_DIR);
	ASSERT_EQ(0, dio_write_file(TRACE_DIR "/events/dma_buf_dio/dma_buf_dio_map/enable", "1"));
	/* udev reads disks that were written to, but not while one is locked. */
	ASSERT_EQ(0, flock(self->src.wr, LOCK_EX));
}

FIXTURE_TEARDOWN(splice_commands)
{
	EXPECT_EQ(0, dio_knobs_restore());
	EXPECT_EQ(0, rmdir(TRACE_DIR));
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
}

/* Of all of the buffer, as the trace has it of its last map; or -errno. */
static long count_segments(const struct dio_buf *buf)
{
	char line[256], ours[64], *at;
	long segments = -ENODATA;
	struct stat st;
	FILE *f;

	if (fstat(buf->fd, &st))
		return -errno;
	snprintf(ours, sizeof(ours), " ino=%llu ", (unsigned long long)st.st_ino);
	f = fopen(TRACE_DIR "/trace", "r");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		at = strstr(line, "segments=");
		if (at && strstr(line, "dma_buf_dio_map: ") && strstr(line, ours))
			segments = strtol(at + strlen("segments="), NULL, 10);
	}
	fclose(f);
	return segments;
}

static long div_up(long n, long by)
{
	return (n + by - 1) / by;
}

/*
 * How many commands @edge may be. Each but the last has as many bytes as it may, but
 * for less than a block; or as many segments, but for one that would have ended in the
 * middle of a block. Of the segments the range has no more than pages, and all but
 * those that the rest of the buffer may have.
 */
static void bound_commands(FIXTURE_DATA(splice_commands) const *self,
			   const struct edge *edge, long segments, long *least,
			   long *most)
{
	long range = div_up(edge->off + edge->len, PAGE), rest = self->buf.size / PAGE - range;
	size_t full = edge->limit - self->src.block + 1;
	long few = segments - rest, many = segments < range ? segments : range;

	*least = div_up(few, self->max_segments);
	if (*least < edge->commands)
		*least = edge->commands;
	*most = 1 + (edge->len - 1) / full + (many - 1) / (self->max_segments - 1);
	/* So few that they end no command. */
	if (many <= self->max_segments)
		*most = edge->commands;
}

/* Since @before, the disk has moved just that, in so many commands. */
static void expect_commands(struct __test_metadata *_metadata,
			    FIXTURE_DATA(splice_commands) const *self,
			    const struct dio_stat *before, int write,
			    const struct edge *edge, bool scattered)
{
	long segments, least = edge->commands, most = edge->commands, commands;
	struct dio_stat after;

	ASSERT_EQ(0, dio_stat(self->stat, &after));
	segments = count_segments(&self->buf);
	ASSERT_LT(0, segments) TH_LOG("no map in the trace: %s", strerror(-segments));
	if (scattered)
		bound_commands(self, edge, segments, &least, &most);
	commands = after.commands[write] - before->commands[write];
	EXPECT_EQ(edge->len, after.bytes[write] - before->bytes[write]);
	EXPECT_LE(least, commands);
	EXPECT_GE(most, commands);
	TH_LOG("%s of %zu KiB and %zu bytes at %zu of %ld segments",
	       write ? "write" : "read", edge->len / DIO_KIB, edge->len % DIO_KIB,
	       edge->off, segments);
	TH_LOG("limits %zu KiB and %ld segments: %ld commands, of %ld to %ld",
	       edge->limit / DIO_KIB, self->max_segments, commands, least, most);
}

TEST_F(splice_commands, edges)
{
	const struct edge *edge;
	struct dio_stat before;

	for (edge = variant->edges; edge->len; edge++) {
		size_t off = DIO_MIB + edge->off;

		ASSERT_EQ(0, dio_knob(self->limit, "%zu", edge->limit / DIO_KIB));
		ASSERT_EQ(0, dio_stat(self->stat, &before));
		EXPECT_TRUE(dio_transfer(&self->src, 512, &self->buf, off, edge->len));
		expect_commands(_metadata, self, &before, 0, edge, variant->scattered);

		ASSERT_EQ(0, dio_stat(self->stat, &before));
		EXPECT_TRUE(dio_store(&self->src, 512, &self->buf, off, edge->len));
		expect_commands(_metadata, self, &before, 1, edge, variant->scattered);
	}
}

TEST_HARNESS_MAIN
