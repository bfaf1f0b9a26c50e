// SPDX-License-Identifier: GPL-2.0
/*
 * Disks that do not take dma-bufs, or only in one direction. Integrity metadata
 * is made from the data by the CPU, so nothing can go by DMA alone. A zone has to
 * be written in sequence, so writes are refused, and reads go by DMA. What is
 * refused with SPLICE_F_NOCOPY changes nothing. Without that flag the data is
 * copied.
 *
 * DIO_PI and DIO_ZONED name such disks.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <sys/ioctl.h>

#include <linux/blkzoned.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define SIZE		(6 * DIO_MIB)
#define BUF_SIZE	(8 * DIO_MIB)
#define OFF		DIO_MIB
#define ZONE		(4 * DIO_MIB)

static const struct dio_backing with_pi = { .name = "PI", .env = "DIO_PI" };
static const struct dio_backing zoned = { .name = "zoned", .env = "DIO_ZONED" };

/* The disk's @file in /sys says @word. */
static void expect_word(struct __test_metadata *_metadata, const struct dio_src *src,
			const char *file, const char *word)
{
	char disk[DIO_NAME], path[PATH_MAX], said[DIO_NAME] = "";
	FILE *f;

	ASSERT_EQ(0, dio_src_disk(src, disk, sizeof(disk)));
	snprintf(path, sizeof(path), "/sys/block/%s/%s", disk, file);
	f = fopen(path, "r");
	ASSERT_NE(NULL, f);
	EXPECT_EQ(1, fscanf(f, "%63s", said));
	fclose(f);
	EXPECT_STREQ(word, said);
}

/* Copied, all of it, because of the disk. */
static void expect_copied(struct __test_metadata *_metadata, int fd,
			  const struct dio_counters *before, size_t read, size_t written)
{
	struct dio_counters now;

	ASSERT_EQ(0, dio_count(fd, &now));
	EXPECT_EQ(before->dio_read, now.dio_read);
	EXPECT_EQ(before->dio_write, now.dio_write);
	EXPECT_EQ(before->copy_read + read, now.copy_read);
	EXPECT_EQ(before->copy_write + written, now.copy_write);
	EXPECT_STREQ("disk", now.reason);
}

static ssize_t copy(int in, loff_t off_in, int out, loff_t off_out, size_t len)
{
	return dio_call_splice.move(in, &off_in, out, &off_out, len, 0);
}

/* New data for a range of a file, in the buffer at @off. */
static void new_data(struct dio_src *src, loff_t pos, struct dio_buf *buf, size_t off,
		     size_t len)
{
	unsigned char *image = src->image + (pos - src->base);

	src->seed = 1 + src->seed % 0x7fff;
	dio_pattern(image, src->seed, pos, len);
	dio_fill(buf, off, image, len);
}

/* ---- integrity metadata ---- */

/*
 * Behind an IOMMU the block layer takes the gaps in the data of a request for the
 * gaps in its metadata. A request of several bios has no gaps in the data, but it
 * has some in the metadata, and it fails with a warning. So no bios are merged;
 * 2 forbids that.
 */
static int forbid_merges(const struct dio_src *src)
{
	char disk[DIO_NAME], pattern[DIO_NAME];
	int number, namespace, ret = 0;
	glob_t found;
	size_t i;

	ret = dio_src_disk(src, disk, sizeof(disk));
	if (ret)
		return ret;
	if (sscanf(disk, "nvme%dn%d", &number, &namespace) != 2)
		return 0;
	snprintf(pattern, sizeof(pattern), "/sys/block/nvme%d{,c*}n%d/queue/nomerges",
		 number, namespace);
	if (glob(pattern, GLOB_BRACE, NULL, &found))
		return -ENODEV;
	for (i = 0; i < found.gl_pathc && !ret; i++)
		ret = dio_knob(found.gl_pathv[i], "2");
	globfree(&found);
	return ret;
}

FIXTURE(splice_pi)
{
	struct dio_src src;
	struct dio_buf buf;
	int direct;
};

FIXTURE_VARIANT(splice_pi)
{
	const struct dio_exporter *exporter;
};

FIXTURE_VARIANT_ADD(splice_pi, heap) { .exporter = &dio_heap };
FIXTURE_VARIANT_ADD(splice_pi, udmabuf) { .exporter = &dio_udmabuf };

FIXTURE_SETUP(splice_pi)
{
	if (!dio_ready(_metadata,
		       dio_src_open(&self->src, &with_pi, 0, SIZE) ?:
		       dio_buf_alloc(&self->buf, variant->exporter, BUF_SIZE)))
		return;
	self->direct = dio_src_reopen(&self->src, O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->direct);
	expect_word(_metadata, &self->src, "integrity/format", "T10-DIF-TYPE1-CRC");
	ASSERT_EQ(0, forbid_merges(&self->src));
}

FIXTURE_TEARDOWN(splice_pi)
{
	EXPECT_EQ(0, dio_knobs_restore());
	close(self->direct);
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
}

TEST_F(splice_pi, refused)
{
	struct dio_counters before, after;

	ASSERT_EQ(0, dio_count(self->buf.fd, &before));
	dio_poison(&self->buf, 0, BUF_SIZE);
	EXPECT_EQ(-EOPNOTSUPP, dio_splice(self->direct, 0, self->buf.fd, OFF, SIZE));
	EXPECT_EQ(-EOPNOTSUPP, dio_splice(self->buf.fd, OFF, self->direct, 0, SIZE));
	EXPECT_TRUE(dio_is_poison(&self->buf, 0, BUF_SIZE));
	EXPECT_EQ(0, dio_src_ready(&self->src));
	ASSERT_EQ(0, dio_count(self->buf.fd, &after));
	EXPECT_EQ(before.dio_read + before.copy_read, after.dio_read + after.copy_read);
	EXPECT_EQ(before.dio_write + before.copy_write, after.dio_write + after.copy_write);
}

/* What was copied has right metadata, or it could not be read. */
TEST_F(splice_pi, copied)
{
	static const struct { loff_t pos; size_t len; } range[] = {
		{ 0, SIZE }, { 0, 512 }, { 3 * 512, DIO_MIB + 512 },
		{ SIZE - 512, 512 }, { SIZE - 2 * DIO_MIB, 2 * DIO_MIB },
	};
	struct dio_counters before;
	int i;

	for (i = 0; i < ARRAY_SIZE(range); i++) {
		loff_t pos = range[i].pos;
		size_t len = range[i].len;

		ASSERT_EQ(0, dio_count(self->buf.fd, &before));
		dio_poison(&self->buf, 0, BUF_SIZE);
		EXPECT_EQ((ssize_t)len, copy(self->direct, pos, self->buf.fd, OFF, len));
		EXPECT_TRUE(dio_is_data(&self->buf, OFF, &self->src, pos, len));
		EXPECT_TRUE(dio_is_poison(&self->buf, 0, OFF));
		EXPECT_TRUE(dio_is_poison(&self->buf, OFF + len, BUF_SIZE - OFF - len));
		expect_copied(_metadata, self->buf.fd, &before, len, 0);

		ASSERT_EQ(0, dio_count(self->buf.fd, &before));
		new_data(&self->src, pos, &self->buf, OFF, len);
		EXPECT_EQ((ssize_t)len, copy(self->buf.fd, OFF, self->direct, pos, len));
		EXPECT_EQ(0, dio_src_ready(&self->src));
		expect_copied(_metadata, self->buf.fd, &before, 0, len);
	}
}

/* ---- zones ---- */

FIXTURE(splice_zones)
{
	struct dio_src src;	/* all of zone 0, half of zone 1 */
	struct dio_buf buf;
	int direct;
};

FIXTURE_VARIANT(splice_zones)
{
	const struct dio_exporter *exporter;
};

FIXTURE_VARIANT_ADD(splice_zones, heap) { .exporter = &dio_heap };
FIXTURE_VARIANT_ADD(splice_zones, udmabuf) { .exporter = &dio_udmabuf };

/* Nothing is written in the zones from @zone on. */
static int reset_zones(int zone, int zones)
{
	struct blk_zone_range range = {
		.sector = zone * ZONE / 512,
		.nr_sectors = zones * ZONE / 512,
	};
	const char *node = getenv(zoned.env);
	int fd, ret = 0;

	if (!node)
		return dio_skip("%s is not set", zoned.env);
	fd = open(node, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, BLKRESETZONE, &range))
		ret = -errno;
	close(fd);
	return ret;
}

/* The write pointer of a zone, in bytes on the disk. */
static loff_t write_pointer(const struct dio_src *src, int zone)
{
	struct {
		struct blk_zone_report report;
		struct blk_zone zone;
	} u = {
		.report.sector = zone * ZONE / 512,
		.report.nr_zones = 1,
	};

	if (ioctl(src->wr, BLKREPORTZONE, &u) || u.report.nr_zones != 1)
		return -1;
	if (u.zone.cond == BLK_ZONE_COND_FULL)
		return (u.zone.start + u.zone.len) * 512;
	return u.zone.wp * 512;
}

FIXTURE_SETUP(splice_zones)
{
	if (!dio_ready(_metadata,
		       reset_zones(0, 4) ?:
		       dio_src_open(&self->src, &zoned, 0, SIZE) ?:
		       dio_buf_alloc(&self->buf, variant->exporter, BUF_SIZE)))
		return;
	self->direct = dio_src_reopen(&self->src, O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->direct);
	expect_word(_metadata, &self->src, "queue/zoned", "host-managed");
	ASSERT_EQ(ZONE, write_pointer(&self->src, 0));
	ASSERT_EQ(SIZE, write_pointer(&self->src, 1));
}

FIXTURE_TEARDOWN(splice_zones)
{
	close(self->direct);
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
	EXPECT_EQ(0, reset_zones(0, 4));
}

/* By DMA, with a command for each zone: the disk fails one that goes over an end. */
TEST_F(splice_zones, read)
{
	unsigned char *got = aligned_alloc(DIO_ALIGNED, ZONE);
	loff_t pos = SIZE - DIO_MIB;

	EXPECT_TRUE(dio_transfer(&self->src, 0, &self->buf, OFF, DIO_MIB));
	EXPECT_TRUE(dio_transfer(&self->src, ZONE - 512, &self->buf, OFF, 512));
	EXPECT_TRUE(dio_transfer(&self->src, ZONE - 512, &self->buf, OFF, 1024));
	EXPECT_TRUE(dio_transfer(&self->src, ZONE - DIO_MIB - 512, &self->buf, OFF + 512,
				 2 * DIO_MIB + 1024));
	EXPECT_TRUE(dio_transfer(&self->src, 0, &self->buf, OFF, SIZE));

	/* Past the write pointer, too, there is what read(2) finds. */
	ASSERT_NE(NULL, got);
	ASSERT_EQ(ZONE, pread(self->direct, got, ZONE, pos));
	dio_poison(&self->buf, 0, BUF_SIZE);
	EXPECT_EQ(ZONE, dio_splice(self->direct, pos, self->buf.fd, OFF, ZONE));
	EXPECT_EQ(0, memcmp(got, self->buf.map + OFF, ZONE));
	EXPECT_TRUE(dio_is_poison(&self->buf, 0, OFF));
	EXPECT_TRUE(dio_is_poison(&self->buf, OFF + ZONE, BUF_SIZE - OFF - ZONE));
	free(got);
}

TEST_F(splice_zones, write_refused)
{
	loff_t pos = 2 * ZONE;

	dio_poison(&self->buf, 0, BUF_SIZE);
	/* At the write pointer, and elsewhere. */
	EXPECT_EQ(-EOPNOTSUPP, dio_splice(self->buf.fd, 0, self->direct, pos, ZONE));
	EXPECT_EQ(-EOPNOTSUPP, dio_splice(self->buf.fd, 0, self->direct, pos + DIO_MIB, ZONE));
	EXPECT_EQ(-EOPNOTSUPP, dio_splice(self->buf.fd, 0, self->direct, 0, ZONE));
	EXPECT_TRUE(dio_is_poison(&self->buf, 0, BUF_SIZE));
	EXPECT_EQ(pos, write_pointer(&self->src, 2));
	EXPECT_EQ(0, dio_src_ready(&self->src));
}

/* In sequence; the last piece goes over the end of a zone. */
TEST_F(splice_zones, write_copied)
{
	/* In pages: the page cache writes no less. */
	static const size_t pieces[] = {
		4 * DIO_KIB, 60 * DIO_KIB, 3 * DIO_MIB, SIZE - 3 * DIO_MIB - 64 * DIO_KIB,
	};
	struct dio_counters before;
	size_t done = 0;
	int i;

	ASSERT_EQ(0, reset_zones(0, 2));
	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		size_t len = pieces[i];

		ASSERT_EQ(0, dio_count(self->buf.fd, &before));
		new_data(&self->src, done, &self->buf, OFF, len);
		EXPECT_EQ((ssize_t)len, copy(self->buf.fd, OFF, self->direct, done, len));
		EXPECT_EQ(0, fsync(self->direct)) TH_LOG("%s", strerror(errno));
		expect_copied(_metadata, self->buf.fd, &before, 0, len);
		done += len;
		EXPECT_EQ(done < ZONE ? done : ZONE, write_pointer(&self->src, 0));
		EXPECT_EQ(done < ZONE ? ZONE : done, write_pointer(&self->src, 1));
	}
	EXPECT_EQ(SIZE, done);
	EXPECT_EQ(0, dio_src_ready(&self->src));
}

/* The disk does not take that, so it is an error at once, as for write(2). */
TEST_F(splice_zones, write_elsewhere)
{
	loff_t pos = 2 * ZONE + DIO_MIB;
	struct dio_counters before, after;
	ssize_t ret;

	ASSERT_EQ(-1, pwrite(self->direct, self->src.image, DIO_MIB, pos));
	ASSERT_EQ(EIO, errno);

	dio_poison(&self->buf, 0, BUF_SIZE);
	ASSERT_EQ(0, dio_count(self->buf.fd, &before));
	ret = copy(self->buf.fd, 0, self->direct, pos, DIO_MIB);
	EXPECT_EQ(-EIO, ret);
	ASSERT_EQ(0, dio_count(self->buf.fd, &after));
	EXPECT_EQ(before.dio_write + before.copy_write, after.dio_write + after.copy_write);
	/* What cannot be written back is told once, and not to the next test. */
	fsync(self->direct);
}

/* Whatever is returned: no zone has more than before, and other data stays. */
TEST_F(splice_zones, elsewhere_is_not_written)
{
	unsigned char *got = aligned_alloc(DIO_ALIGNED, SIZE);
	loff_t pos = 2 * ZONE + DIO_MIB;

	ASSERT_NE(NULL, got);
	dio_poison(&self->buf, 0, BUF_SIZE);
	copy(self->buf.fd, 0, self->direct, pos, DIO_MIB);
	fsync(self->direct);
	EXPECT_EQ(2 * ZONE, write_pointer(&self->src, 2));
	EXPECT_EQ(SIZE, write_pointer(&self->src, 1));
	ASSERT_EQ(SIZE, pread(self->direct, got, SIZE, 0));
	EXPECT_EQ(0, memcmp(got, self->src.oracle, SIZE));
	EXPECT_TRUE(dio_is_poison(&self->buf, 0, BUF_SIZE));
	free(got);
}

TEST_HARNESS_MAIN
