// SPDX-License-Identifier: GPL-2.0
/*
 * Commands as long as the NVMe driver makes them, on a disk without a limit: up
 * to 8 MiB with SGLs, and around 4 MiB with PRPs, which need more than one list
 * there. The disk's own counters tell how many commands a transfer was.
 *
 * DIO_RAW_MDTS0 names such a disk. QEMU's has 1024 vectors for a command, and
 * each PRP takes one. So no command with PRPs is longer than 1024 pages here.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define SIZE		(20 * DIO_MIB)
#define PAGE		4096UL

static const struct dio_backing by_sgl = {
	.name = "without limit", .env = "DIO_RAW_MDTS0",
};

static const struct dio_backing by_prp = {
	.name = "without limit, PRP", .env = "DIO_RAW_MDTS0", .no_sgl = true,
};

/* How many commands a transfer is, and the limit that is set for them. */
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
	long old_limit;
};

FIXTURE_VARIANT(splice_commands)
{
	const struct dio_backing *backing;
	const struct dio_exporter *exporter;
	const struct edge *edges;
	bool scattered;		/* the number of segments can be a limit, too */
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
	char disk[DIO_NAME];

	self->old_limit = -1;
	if (!dio_ready(_metadata,
		       dio_src_open(&self->src, variant->backing, 0, SIZE) ?:
		       dio_buf_alloc(&self->buf, variant->exporter, SIZE)))
		return;
	ASSERT_EQ(0, dio_src_disk(&self->src, disk, sizeof(disk)));
	snprintf(self->stat, sizeof(self->stat), "/sys/block/%s/stat", disk);
	snprintf(self->limit, sizeof(self->limit),
		 "/sys/block/%s/queue/max_sectors_kb", disk);
	self->old_limit = dio_number(self->limit, "");
	ASSERT_LT(0, self->old_limit);
	/* udev reads disks that were written to, but not while one is locked. */
	ASSERT_EQ(0, flock(self->src.wr, LOCK_EX));
}

FIXTURE_TEARDOWN(splice_commands)
{
	if (self->old_limit > 0)
		EXPECT_EQ(0, dio_write_file(self->limit, "%ld", self->old_limit));
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
}

/* Since @before, the disk has moved just that, in so many commands. */
static void expect_commands(struct __test_metadata *_metadata, const char *path,
			    const struct dio_stat *before, int write,
			    const struct edge *edge, bool scattered)
{
	struct dio_stat after;
	int commands;

	ASSERT_EQ(0, dio_stat(path, &after));
	commands = after.commands[write] - before->commands[write];
	EXPECT_EQ(edge->len, after.bytes[write] - before->bytes[write]);
	EXPECT_LE(edge->commands, commands);
	if (!scattered)
		EXPECT_EQ(edge->commands, commands);
	TH_LOG("%s of %zu KiB and %zu bytes at %zu, limit %zu KiB: %d commands",
	       write ? "write" : "read", edge->len / DIO_KIB, edge->len % DIO_KIB,
	       edge->off, edge->limit / DIO_KIB, commands);
}

TEST_F(splice_commands, edges)
{
	const struct edge *edge;
	struct dio_stat before;

	for (edge = variant->edges; edge->len; edge++) {
		size_t off = DIO_MIB + edge->off;

		ASSERT_EQ(0, dio_write_file(self->limit, "%zu", edge->limit / DIO_KIB));
		ASSERT_EQ(0, dio_stat(self->stat, &before));
		EXPECT_TRUE(dio_transfer(&self->src, 512, &self->buf, off, edge->len));
		expect_commands(_metadata, self->stat, &before, 0, edge, variant->scattered);

		ASSERT_EQ(0, dio_stat(self->stat, &before));
		EXPECT_TRUE(dio_store(&self->src, 512, &self->buf, off, edge->len));
		expect_commands(_metadata, self->stat, &before, 1, edge, variant->scattered);
	}
}

TEST_HARNESS_MAIN
