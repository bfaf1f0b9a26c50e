// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of disks that take bios with REQ_DMABUF, see block/blk-dmabuf.c
 *
 * Where direct I/O ends, disks on top of disks, several disks for one buffer
 * and for one device, block device files, and disks that go away.
 */
#include <kunit/test.h>
#include <linux/blk-integrity.h>
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/dio_target.h>
#include <linux/file.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include "../blk.h"
#include "fake.h"

MODULE_IMPORT_NS("DMA_BUF");

/* Chunks of this size go to the disks below in turn */
#define STACK_CHUNK	32

/**
 * struct stack - a disk of others
 * @disk: the disk
 * @nr: number of @lower
 * @lower: the disks below, which have the same sectors
 * @left: after so many bios for them, @revoke is revoked
 * @revoke: a buffer, or %NULL
 */
struct stack {
	struct gendisk *disk;
	unsigned int nr;
	struct fake_disk *lower[2];
	unsigned int left;
	struct fake_buf *revoke;
};

/* A driver that only says which other disk a bio is for */
static void stack_submit_bio(struct bio *bio)
{
	struct stack *s = bio->bi_bdev->bd_disk->private_data;
	struct fake_disk *lower;

	bio = bio_split_to_limits(bio);
	if (!bio)
		return;
	if (s->revoke && !s->left--)
		fake_buf_revoke(s->revoke);
	lower = s->lower[bio->bi_iter.bi_sector / STACK_CHUNK % s->nr];
	bio_set_dev(bio, lower->disk->part0);
	submit_bio_noacct(bio);
}

static int stack_dio_target(struct gendisk *disk, struct dio_target *target)
{
	struct stack *s = disk->private_data;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < s->nr && !ret; i++)
		ret = bdev_dio_target(s->lower[i]->disk->part0, target);
	return ret;
}

static const struct block_device_operations stack_fops = {
	.owner		= THIS_MODULE,
	.submit_bio	= stack_submit_bio,
	.dio_target	= stack_dio_target,
};

/* One that was made before there were dma-bufs */
static const struct block_device_operations stack_old_fops = {
	.owner		= THIS_MODULE,
	.submit_bio	= stack_submit_bio,
};

static void stack_destroy(void *data)
{
	struct gendisk *disk = data;

	del_gendisk(disk);
	put_disk(disk);
}

static struct stack *stack_create(struct kunit *test, const char *name,
				  const struct queue_limits *lim,
				  const struct block_device_operations *fops,
				  struct fake_disk *lower0,
				  struct fake_disk *lower1)
{
	struct queue_limits tmp = *lim;
	struct stack *s;

	s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, s);
	s->lower[0] = lower0;
	s->lower[1] = lower1;
	s->nr = lower1 ? 2 : 1;

	s->disk = blk_alloc_disk(&tmp, NUMA_NO_NODE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, s->disk);
	s->disk->fops = fops;
	s->disk->flags |= GENHD_FL_NO_PART;
	s->disk->private_data = s;
	strscpy(s->disk->disk_name, name);
	set_capacity(s->disk, 1U << 20);
	KUNIT_ASSERT_EQ(test, add_disk(s->disk), 0);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, stack_destroy,
							   s->disk));
	return s;
}

static const struct queue_limits stack_limits = {
	.features		= BLK_FEAT_DMABUF,
	.dma_alignment		= 3,
	.chunk_sectors		= STACK_CHUNK,
};

/**
 * struct asked - what was answered where direct I/O ends
 * @target: the question
 * @refuse: the memory is not for a device with that alignment, minus 1
 * @nr: number of devices in the answer
 * @ddev: the devices
 * @align_mask: alignment of each, minus 1
 */
struct asked {
	struct dio_target target;
	unsigned int refuse;
	unsigned int nr;
	struct dma_buf_dio_dev *ddev[4];
	unsigned int align_mask[4];
};

static int asked_add(struct dio_target *target, struct dma_buf_dio_dev *ddev,
		     unsigned int align_mask)
{
	struct asked *a = target->priv;

	if (a->refuse && a->refuse == align_mask)
		return dio_target_refuse(target, DIO_MAPPING);
	if (a->nr < ARRAY_SIZE(a->ddev)) {
		a->ddev[a->nr] = ddev;
		a->align_mask[a->nr++] = align_mask;
	}
	return 0;
}

static void asked_init(struct asked *a, int rw)
{
	*a = (struct asked){
		.target = {
			.rw		= rw,
			.align		= 1,
			.mem_align	= 1,
			.add		= asked_add,
			.priv		= a,
		},
	};
}

static int ask(struct asked *a, struct block_device *bdev, int rw)
{
	asked_init(a, rw);
	return bdev_dio_target(bdev, &a->target);
}

struct target_case {
	const char *name;
	struct queue_limits lim;
	blk_features_t features;	/* that limits are not checked with */
	bool no_dma;
	int rw;
	bool refused;
	unsigned int align;
	unsigned int mem_align;
};

static const struct target_case target_cases[] = {
	{
		.name = "read",
		.lim.features = BLK_FEAT_DMABUF, .lim.dma_alignment = 3,
		.rw = READ, .align = 512, .mem_align = 4,
	}, {
		.name = "write",
		.lim.features = BLK_FEAT_DMABUF, .lim.dma_alignment = 3,
		.rw = WRITE, .align = 512, .mem_align = 4,
	}, {
		.name = "usual alignment",
		.lim.features = BLK_FEAT_DMABUF,
		.rw = READ, .align = 512, .mem_align = 512,
	}, {
		.name = "large blocks",
		.lim.features = BLK_FEAT_DMABUF, .lim.dma_alignment = 3,
		.lim.logical_block_size = SZ_4K,
		.rw = WRITE, .align = SZ_4K, .mem_align = 4,
	}, {
		.name = "larger physical blocks",
		.lim.features = BLK_FEAT_DMABUF, .lim.dma_alignment = 3,
		.lim.physical_block_size = SZ_4K,
		.rw = WRITE, .align = 512, .mem_align = 4,
	}, {
		.name = "no dma-bufs",
		.lim.dma_alignment = 3,
		.rw = READ, .refused = true,
	}, {
		.name = "no DMA",
		.lim.features = BLK_FEAT_DMABUF, .lim.dma_alignment = 3,
		.no_dma = true,
		.rw = READ, .refused = true,
	}, {
		.name = "integrity, read",
		.lim.features = BLK_FEAT_DMABUF, .lim.dma_alignment = 3,
		.lim.integrity.metadata_size = 8,
		.rw = READ, .refused = true,
	}, {
		.name = "integrity, write",
		.lim.features = BLK_FEAT_DMABUF, .lim.dma_alignment = 3,
		.lim.integrity.metadata_size = 8,
		.rw = WRITE, .refused = true,
	}, {
		.name = "zoned, read",
		.lim.features = BLK_FEAT_DMABUF, .lim.dma_alignment = 3,
		.features = BLK_FEAT_ZONED,
		.rw = READ, .align = 512, .mem_align = 4,
	}, {
		.name = "zoned, write",
		.lim.features = BLK_FEAT_DMABUF, .lim.dma_alignment = 3,
		.features = BLK_FEAT_ZONED,
		.rw = WRITE, .refused = true,
	},
};

KUNIT_ARRAY_PARAM_DESC(target, target_cases, name);

/* What is said here must be what becomes of bios. */
static void blk_dmabuf_disk_test_target(struct kunit *test)
{
	const struct target_case *c = test->param_value;
	struct fake_buf *b = fake_buf_small(test);
	struct block_device *bdev;
	struct fake_disk *d;
	struct asked a;
	int ret;

	if (c->lim.integrity.metadata_size &&
	    !IS_ENABLED(CONFIG_BLK_DEV_INTEGRITY))
		kunit_skip(test, "needs BLK_DEV_INTEGRITY");
	if ((c->features & BLK_FEAT_ZONED) && !IS_ENABLED(CONFIG_BLK_DEV_ZONED))
		kunit_skip(test, "needs BLK_DEV_ZONED");

	if (c->no_dma) {
		d = fake_disk_create_no_dma(test, "dmabuf0", &c->lim);
	} else {
		d = fake_disk_create(test, "dmabuf0", &c->lim, 0);
		KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	}
	bdev = d->disk->part0;
	d->disk->queue->limits.features |= c->features;

	b->rw = c->rw;
	ret = fake_bdev_rw(bdev, b, 0, 0, SZ_4K);
	if (c->refused) {
		KUNIT_EXPECT_EQ(test, ret, -EUNMAPPED);
		KUNIT_EXPECT_EQ(test, ask(&a, bdev, c->rw), -EOPNOTSUPP);
		KUNIT_EXPECT_EQ(test, a.target.reason, DIO_DISK);
		KUNIT_EXPECT_EQ(test, a.nr, 0);
		goto out;
	}
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, ask(&a, bdev, c->rw), 0);
	KUNIT_EXPECT_EQ(test, a.target.reason, DIO_DIRECT);
	KUNIT_EXPECT_EQ(test, a.target.align, c->align);
	KUNIT_EXPECT_EQ(test, a.target.mem_align, c->mem_align);
	KUNIT_ASSERT_EQ(test, a.nr, 1);
	KUNIT_EXPECT_PTR_EQ(test, a.ddev[0], d->disk->dmabuf_dev);
	KUNIT_EXPECT_EQ(test, a.align_mask[0], c->mem_align - 1);

	/* What somebody else wants more of stays */
	asked_init(&a, c->rw);
	a.target.align = SZ_64K;
	a.target.mem_align = SZ_16K;
	KUNIT_EXPECT_EQ(test, bdev_dio_target(bdev, &a.target), 0);
	KUNIT_EXPECT_EQ(test, a.target.align, SZ_64K);
	KUNIT_EXPECT_EQ(test, a.target.mem_align, SZ_16K);

	/* And who asks may not want the device */
	asked_init(&a, c->rw);
	a.refuse = c->mem_align - 1;
	KUNIT_EXPECT_EQ(test, bdev_dio_target(bdev, &a.target), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, a.target.reason, DIO_MAPPING);
out:
	d->disk->queue->limits.features &= ~c->features;
}

/* A disk that consists of others asks all of them. */
static void blk_dmabuf_disk_test_target_stacked(struct kunit *test)
{
	static const struct queue_limits no_limits = { };
	struct queue_limits small_lim = fake_limits;
	struct queue_limits large_lim = {
		.features		= BLK_FEAT_DMABUF,
		.logical_block_size	= SZ_4K,
		.dma_alignment		= 15,
	};
	struct fake_disk *small, *large, *beside, *no;
	struct stack *s, *mixed, *one, *old, *off;
	struct asked a;

	small = fake_disk_create(test, "dmabuf0", &small_lim, 0);
	large = fake_disk_create(test, "dmabuf1", &large_lim, 0);
	no = fake_disk_create(test, "dmabuf2", &no_limits, 0);
	beside = fake_disk_create_beside(small, "dmabuf3", &fake_limits);
	s = stack_create(test, "dmabuf4", &stack_limits, &stack_fops, small,
			 large);
	mixed = stack_create(test, "dmabuf5", &stack_limits, &stack_fops, small,
			     no);
	one = stack_create(test, "dmabuf6", &stack_limits, &stack_fops, small,
			   beside);
	old = stack_create(test, "dmabuf7", &stack_limits, &stack_old_fops,
			   small, large);
	off = stack_create(test, "dmabuf8", &no_limits, &stack_fops, small,
			   large);

	KUNIT_EXPECT_EQ(test, ask(&a, s->disk->part0, WRITE), 0);
	KUNIT_EXPECT_EQ(test, a.target.align, SZ_4K);
	KUNIT_EXPECT_EQ(test, a.target.mem_align, 16);
	KUNIT_ASSERT_EQ(test, a.nr, 2);
	KUNIT_EXPECT_PTR_EQ(test, a.ddev[0], small->disk->dmabuf_dev);
	KUNIT_EXPECT_EQ(test, a.align_mask[0], 3);
	KUNIT_EXPECT_PTR_EQ(test, a.ddev[1], large->disk->dmabuf_dev);
	KUNIT_EXPECT_EQ(test, a.align_mask[1], 15);

	/* One that refuses is enough, and the first one has the last word */
	KUNIT_EXPECT_EQ(test, ask(&a, mixed->disk->part0, READ), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, a.target.reason, DIO_DISK);
	KUNIT_EXPECT_EQ(test, a.nr, 1);
	asked_init(&a, READ);
	a.refuse = 3;
	KUNIT_EXPECT_EQ(test, bdev_dio_target(s->disk->part0, &a.target),
			-EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, a.target.reason, DIO_MAPPING);
	KUNIT_EXPECT_EQ(test, a.nr, 0);

	/* Two disks on a device have to be mapped for once */
	KUNIT_EXPECT_EQ(test, ask(&a, one->disk->part0, READ), 0);
	KUNIT_ASSERT_EQ(test, a.nr, 2);
	KUNIT_EXPECT_PTR_EQ(test, a.ddev[0], a.ddev[1]);

	/* No disk below is asked for one that does not take part */
	KUNIT_EXPECT_EQ(test, ask(&a, old->disk->part0, READ), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, a.target.reason, DIO_DISK);
	KUNIT_EXPECT_EQ(test, a.nr, 0);
	KUNIT_EXPECT_EQ(test, ask(&a, off->disk->part0, READ), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, a.target.reason, DIO_DISK);
	KUNIT_EXPECT_EQ(test, a.nr, 0);
}

/* A partition is its disk, only elsewhere. */
static void blk_dmabuf_disk_test_partition(struct kunit *test)
{
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct block_device *part;
	struct asked a;

	/* It was looked for partitions as it was added, and there were none */
	d->disk->flags &= ~GENHD_FL_NO_PART;
	KUNIT_ASSERT_EQ(test, bdev_add_partition(d->disk, 1, 2048, 1024), 0);
	part = xa_load(&d->disk->part_tbl, 1);
	KUNIT_ASSERT_NOT_NULL(test, part);

	KUNIT_EXPECT_EQ(test, ask(&a, part, READ), 0);
	KUNIT_EXPECT_EQ(test, a.target.align, 512);
	KUNIT_EXPECT_EQ(test, a.target.mem_align, 4);
	KUNIT_ASSERT_EQ(test, a.nr, 1);
	KUNIT_EXPECT_PTR_EQ(test, a.ddev[0], d->disk->dmabuf_dev);

	KUNIT_EXPECT_EQ(test, fake_bdev_rw(part, b, 8, 0x1000, 0x8000),
			-EUNMAPPED);
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(part, b, 8, 0x1000, 0x8000), 0);
	fake_disk_expect(d, b, 2056, 0x1000, 0x8000);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(part, b, 1020, 0, SZ_4K), -EIO);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 1);
}

/* Only the last queue needs to know the segments. */
static void blk_dmabuf_disk_test_stacked(struct kunit *test)
{
	static const struct queue_limits no_limits = { };
	struct queue_limits lower_lim = fake_limits;
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *lower;
	struct stack *s, *no;

	lower_lim.max_segments = 1;
	lower = fake_disk_create(test, "dmabuf0", &lower_lim, FAKE_IOMMU_SHIFT);
	s = stack_create(test, "dmabuf1", &stack_limits, &stack_fops, lower,
			 NULL);
	no = stack_create(test, "dmabuf2", &no_limits, &stack_fops, lower, NULL);

	/* It is mapped for nobody, and nobody on the way maps it */
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(s->disk->part0, b, 8, 0, SZ_32K),
			-EUNMAPPED);
	KUNIT_EXPECT_EQ(test, lower->nr_reqs, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 0);

	KUNIT_ASSERT_EQ(test, fake_buf_map(b, lower), 0);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(no->disk->part0, b, 0, 0, SZ_4K),
			-EUNMAPPED);
	KUNIT_EXPECT_EQ(test, lower->nr_reqs, 0);

	/* By chunks at 8, 32, 64; then by segments */
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(s->disk->part0, b, 8, 0, SZ_32K), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 1);
	fake_disk_expect(lower, b, 8, 0, SZ_32K);
	KUNIT_EXPECT_EQ(test, lower->nr_reqs, 4);
	KUNIT_EXPECT_EQ(test, lower->req[0].bytes, 24 * SECTOR_SIZE);
	KUNIT_EXPECT_EQ(test, lower->req[1].bytes, 8 * SECTOR_SIZE);
	KUNIT_EXPECT_EQ(test, lower->req[2].bytes, 24 * SECTOR_SIZE);
	KUNIT_EXPECT_EQ(test, lower->req[3].bytes, 8 * SECTOR_SIZE);
}

/* Some of a bio goes to one device, some to another. */
static void blk_dmabuf_disk_test_stacked_two(struct kunit *test)
{
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct fake_disk *e = fake_disk_create(test, "dmabuf1", &fake_limits,
					       FAKE_IOMMU_SHIFT);
	struct stack *s = stack_create(test, "dmabuf2", &stack_limits,
				       &stack_fops, d, e);
	struct block_device *bdev = s->disk->part0;

	/* The half that is not mapped fails all of it, as the second or first */
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(bdev, b, 0, 0, SZ_32K), -EUNMAPPED);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(bdev, b, 32, SZ_16K, SZ_32K),
			-EUNMAPPED);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(bdev, b, 0, 0, SZ_16K), 0);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(bdev, b, 32, SZ_16K, SZ_16K),
			-EUNMAPPED);
	KUNIT_EXPECT_EQ(test, e->nr_reqs, 0);

	KUNIT_ASSERT_EQ(test, fake_buf_map(b, e), 0);
	fake_disk_forget(d);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(bdev, b, 0, 0, SZ_32K), 0);
	fake_disk_expect(d, b, 0, 0, SZ_16K);
	fake_disk_expect(e, b, 32, SZ_16K, SZ_16K);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 2);

	/* Both are gone at once */
	fake_buf_revoke(b);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 2);
	fake_disk_forget(d);
	fake_disk_forget(e);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(bdev, b, 0, 0, SZ_64K), -EUNMAPPED);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 0);
	KUNIT_EXPECT_EQ(test, e->nr_reqs, 0);
}

/* A bio has failed if any of it has, even if the rest has been done before. */
static void blk_dmabuf_disk_test_stacked_revoked(struct kunit *test)
{
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct stack *s = stack_create(test, "dmabuf1", &stack_limits,
				       &stack_fops, d, NULL);

	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	s->revoke = b;
	s->left = 2;
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(s->disk->part0, b, 0, 0, SZ_64K),
			-EUNMAPPED);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
	fake_disk_expect(d, b, 0, 0, SZ_32K);
}

static bool is_mapped(const struct fake_buf *b, const struct fake_disk *d)
{
	struct bio bio;
	bool ret;

	fake_init_bio(&bio, d->disk->part0, b, 0, 0, SZ_4K);
	ret = bio_dmabuf_mapped(&bio, d->disk);
	bio_uninit(&bio);
	return ret;
}

/* Each device has its own view of the buffer. */
static void blk_dmabuf_disk_test_two_devices(struct kunit *test)
{
	struct fake_bio *f = fake_bio_alloc(test, 1);
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct fake_disk *e = fake_disk_create(test, "dmabuf1", &fake_limits,
					       FAKE_IOMMU_SHIFT);
	struct fake_disk *no = fake_disk_create_no_dma(test, "dmabuf2",
						       &fake_limits);

	KUNIT_EXPECT_FALSE(test, is_mapped(b, d));
	KUNIT_EXPECT_FALSE(test, is_mapped(b, no));
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_16K), 0);
	KUNIT_EXPECT_TRUE(test, is_mapped(b, d));
	KUNIT_EXPECT_FALSE(test, is_mapped(b, e));
	KUNIT_EXPECT_EQ(test, fake_rw(e, b, 0, SZ_8K, SZ_32K), 0);
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, SECTORS(SZ_16K), SZ_16K, SZ_16K), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 2);
	fake_disk_expect(d, b, 0, 0, SZ_32K);
	fake_disk_expect(e, b, 0, SZ_8K, SZ_32K);

	/* One of them goes, and nobody waits for what the other has in flight */
	e->hold = true;
	fake_init_bio(&f->bio, e->disk->part0, b, 0, 0, SZ_64K);
	fake_bio_submit(f);
	KUNIT_EXPECT_EQ(test, e->nr_held, 1);
	fake_disk_delete(d);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
	KUNIT_EXPECT_FALSE(test, is_mapped(b, d));
	KUNIT_EXPECT_FALSE(test, is_mapped(b, no));
	KUNIT_EXPECT_TRUE(test, is_mapped(b, e));
	fake_disk_end_held(e, BLK_STS_OK);
	KUNIT_EXPECT_TRUE(test, fake_bio_wait(f) == BLK_STS_OK);
	fake_disk_forget(e);
	KUNIT_EXPECT_EQ(test, fake_rw(e, b, 0, 0, SZ_64K), 0);
	KUNIT_EXPECT_EQ(test, fake_buf_map(b, d), -ENODEV);
	fake_disk_expect(e, b, 0, 0, SZ_64K);

	fake_buf_revoke(b);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 2);
	KUNIT_EXPECT_FALSE(test, is_mapped(b, e));
}

struct one_device_case {
	const char *name;
	bool second;
};

static const struct one_device_case one_device_cases[] = {
	{ "the first goes first", false },
	{ "the second goes first", true },
};

KUNIT_ARRAY_PARAM_DESC(one_device, one_device_cases, name);

/* What is mapped for a device is for all disks on it, as long as there are. */
static void blk_dmabuf_disk_test_one_device(struct kunit *test)
{
	const struct one_device_case *c = test->param_value;
	struct fake_bio *f = fake_bio_alloc(test, 1);
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits,
					       FAKE_IOMMU_SHIFT);
	struct fake_disk *e = fake_disk_create_beside(d, "dmabuf1", &fake_limits);
	struct fake_disk *first = c->second ? e : d;
	struct fake_disk *last = c->second ? d : e;

	KUNIT_EXPECT_PTR_EQ(test, d->disk->dmabuf_dev, e->disk->dmabuf_dev);
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, e), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 1);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(d->disk->part0, b, 0, 0, SZ_64K), 0);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(e->disk->part0, b, 8, 0, SZ_64K), 0);
	fake_disk_expect(d, b, 0, 0, SZ_64K);
	fake_disk_expect(e, b, 8, 0, SZ_64K);

	/* Nobody waits for what the last one has in flight, either */
	fake_disk_forget(last);
	last->hold = true;
	fake_init_bio(&f->bio, last->disk->part0, b, 0, 0, SZ_64K);
	fake_bio_submit(f);
	KUNIT_EXPECT_EQ(test, last->nr_held, 1);
	fake_disk_free(first);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 0);
	fake_disk_end_held(last, BLK_STS_OK);
	KUNIT_EXPECT_TRUE(test, fake_bio_wait(f) == BLK_STS_OK);
	fake_disk_expect(last, b, 0, 0, SZ_64K);
	fake_buf_revoke(b);
	KUNIT_EXPECT_EQ(test, fake_rw(last, b, 0, 0, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 2);

	fake_disk_delete(last);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 2);
	KUNIT_EXPECT_TRUE(test, list_empty(&b->dmabuf->attachments));
	KUNIT_EXPECT_EQ(test, fake_buf_map(b, last), -ENODEV);

	/* The device is still there, and gets a disk, which has no past */
	d = fake_disk_create_beside(last, "dmabuf2", &fake_limits);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(d->disk->part0, b, 0, 0, SZ_4K),
			-EUNMAPPED);
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_64K), 0);
	fake_disk_expect(d, b, 0, 0, SZ_64K);
	KUNIT_EXPECT_EQ(test, fake_buf_map(b, last), -ENODEV);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 3);
	fake_disk_free(last);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 2);
	fake_disk_delete(d);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 3);
}

/* A disk that never came to be, as its probe failed, is one that goes. */
static void blk_dmabuf_disk_test_not_added(struct kunit *test)
{
	struct queue_limits lim = fake_limits;
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct gendisk *disk;

	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	disk = blk_mq_alloc_disk(&d->set, &lim, d);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, disk);
	KUNIT_EXPECT_PTR_EQ(test, disk->dmabuf_dev, d->disk->dmabuf_dev);
	put_disk(disk);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 0);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(d->disk->part0, b, 0, 0, SZ_4K), 0);

	/* Until then there may be I/O for it */
	disk = blk_mq_alloc_disk(&d->set, &lim, d);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, disk);
	fake_disk_delete(d);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 0);
	put_disk(disk);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
	KUNIT_EXPECT_EQ(test, fake_buf_map(b, d), -ENODEV);
}

/* All of the path of a system call between a disk and a dma-buf */
static struct file *open_disk(struct kunit *test, struct fake_disk *d)
{
	struct file *file;

	file = bdev_file_open_by_dev(disk_devt(d->disk),
				     BLK_OPEN_READ | BLK_OPEN_WRITE, NULL, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	return file;
}

static void init_rw(struct kiocb *iocb, struct iov_iter *iter,
		    struct file *file, const struct fake_buf *b, loff_t pos,
		    u64 offset, u64 bytes)
{
	init_sync_kiocb(iocb, file);
	iocb->ki_flags |= IOCB_DIRECT;
	iocb->ki_pos = pos;
	iov_iter_dmabuf(iter, b->rw == WRITE ? ITER_SOURCE : ITER_DEST,
			b->dmabuf, offset, bytes);
}

/* Returns what the file does, and checks that the rest agrees with it. */
static ssize_t rw_disk(struct kunit *test, struct file *file,
		       const struct fake_buf *b, loff_t pos, u64 offset,
		       u64 bytes)
{
	struct iov_iter iter;
	struct kiocb iocb;
	ssize_t ret;
	u64 done;

	init_rw(&iocb, &iter, file, b, pos, offset, bytes);
	if (b->rw == WRITE)
		ret = file->f_op->write_iter(&iocb, &iter);
	else
		ret = file->f_op->read_iter(&iocb, &iter);
	done = max_t(ssize_t, ret, 0);
	KUNIT_EXPECT_EQ(test, iocb.ki_pos, pos + done);
	KUNIT_EXPECT_EQ(test, iter.iov_offset, offset + done);
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), bytes - done);
	return ret;
}

static void blk_dmabuf_disk_test_file(struct kunit *test)
{
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct file *file = open_disk(test, d);
	struct asked a;

	/* First, it is asked */
	asked_init(&a, b->rw);
	KUNIT_EXPECT_EQ(test, file->f_op->dio_target(file, &a.target), 0);
	KUNIT_EXPECT_EQ(test, a.target.align, 512);
	KUNIT_EXPECT_EQ(test, a.target.mem_align, 4);
	KUNIT_ASSERT_EQ(test, a.nr, 1);
	KUNIT_EXPECT_PTR_EQ(test, a.ddev[0], d->disk->dmabuf_dev);

	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, 0, 0, SZ_4K), -EUNMAPPED);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 0);
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, SZ_1M, 0x200, 0xfe00),
			0xfe00);
	fake_disk_expect(d, b, SECTORS(SZ_1M), 0x200, 0xfe00);

	/* The disk has an end */
	fake_disk_forget(d);
	set_capacity(d->disk, SECTORS(SZ_1M));
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, SZ_1M - SZ_4K, SZ_16K,
				      SZ_32K), SZ_4K);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 1);
	fake_disk_expect(d, b, SECTORS(SZ_1M - SZ_4K), SZ_16K, SZ_4K);
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, SZ_1M, 0, SZ_32K), 0);

	/* Nothing that begins or ends within a block */
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, 0x100, 0, SZ_4K), -EINVAL);
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, 0, 0, 0x1100), -EINVAL);
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, 0, 2, SZ_4K), -EINVAL);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 1);
	bdev_fput(file);
}

static void blk_dmabuf_disk_test_file_write(struct kunit *test)
{
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct file *file = open_disk(test, d);

	b->rw = WRITE;
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, 0, 0, SZ_4K), -EUNMAPPED);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 0);
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, SZ_1M, 0x200, 0xfe00),
			0xfe00);
	fake_disk_expect(d, b, SECTORS(SZ_1M), 0x200, 0xfe00);

	/* What is left at the end of the disk is not written buffered */
	fake_disk_forget(d);
	set_capacity(d->disk, SECTORS(SZ_1M));
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, SZ_1M - SZ_4K, SZ_16K,
				      SZ_32K), SZ_4K);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 1);
	fake_disk_expect(d, b, SECTORS(SZ_1M - SZ_4K), SZ_16K, SZ_4K);
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, SZ_1M, 0, SZ_32K), -ENOSPC);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 1);
	bdev_fput(file);
}

static void blk_dmabuf_disk_test_file_error(struct kunit *test)
{
	static const struct queue_limits no_limits = { };
	struct queue_limits lim = fake_limits;
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *no = fake_disk_create(test, "dmabuf1", &no_limits, 0);
	struct fake_disk *d;
	struct file *file;
	struct asked a;

	lim.max_dmabuf_sectors = 32;
	d = fake_disk_create(test, "dmabuf0", &lim, 0);
	file = open_disk(test, d);
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);

	/* The third of four requests */
	d->fail = BLK_STS_MEDIUM;
	d->fail_sector = 70;
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, 0, 0, SZ_64K), -ENODATA);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 4);
	b->rw = WRITE;
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, 0, 0, SZ_64K), -ENODATA);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 8);
	d->fail = BLK_STS_OK;

	/* The page cache is no way around a buffer that is gone */
	fake_buf_revoke(b);
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, 0, 0, SZ_4K), -EUNMAPPED);
	b->rw = READ;
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, 0, 0, SZ_4K), -EUNMAPPED);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 8);
	bdev_fput(file);

	/* Not even a buffered read that nobody could make use of */
	file = open_disk(test, no);
	asked_init(&a, b->rw);
	KUNIT_EXPECT_EQ(test, file->f_op->dio_target(file, &a.target),
			-EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, a.target.reason, DIO_DISK);
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, 0, 0, SZ_4K), -EUNMAPPED);
	b->rw = WRITE;
	KUNIT_EXPECT_EQ(test, rw_disk(test, file, b, 0, 0, SZ_4K), -EUNMAPPED);
	KUNIT_EXPECT_EQ(test, no->nr_reqs, 0);
	bdev_fput(file);
}

struct async_read {
	struct kiocb iocb;
	struct completion done;
	long ret;
};

static void async_read_complete(struct kiocb *iocb, long ret)
{
	struct async_read *a = container_of(iocb, struct async_read, iocb);

	a->ret = ret;
	complete(&a->done);
}

/* More than a bio can hold: short, and not continued through the page cache */
static void blk_dmabuf_disk_test_file_large(struct kunit *test)
{
	struct queue_limits lim = fake_limits;
	struct fake_buf *b = fake_buf_large(test);
	struct async_read a;
	struct iov_iter iter;
	struct fake_disk *d;
	struct file *file;
	ssize_t ret;

	lim.max_dmabuf_sectors = SECTORS(SZ_1G);
	lim.max_segment_size = SZ_1G;
	d = fake_disk_create(test, "dmabuf0", &lim, 0);
	file = open_disk(test, d);
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);

	ret = rw_disk(test, file, b, SZ_4K, SZ_1M, 5ULL * SZ_1G);
	KUNIT_EXPECT_GT(test, ret, 3LL * SZ_1G);
	fake_disk_expect(d, b, SECTORS(SZ_4K), SZ_1M, ret);

	/* The same for those who do not wait */
	fake_disk_forget(d);
	init_rw(&a.iocb, &iter, file, b, SZ_4K, SZ_1M, 5ULL * SZ_1G);
	a.iocb.ki_complete = async_read_complete;
	init_completion(&a.done);
	ret = file->f_op->read_iter(&a.iocb, &iter);
	if (ret == -EIOCBQUEUED) {
		wait_for_completion(&a.done);
		ret = a.ret;
	}
	KUNIT_EXPECT_GT(test, ret, 3LL * SZ_1G);
	fake_disk_expect(d, b, SECTORS(SZ_4K), SZ_1M, max_t(ssize_t, ret, 0));
	bdev_fput(file);
}

/* Somebody pulls the disk. */
struct removal {
	struct work_struct work;
	struct fake_disk *d;
	struct fake_buf *b;
	int unmaps;		/* as del_gendisk() returns */
};

static void removal_work(struct work_struct *work)
{
	struct removal *r = container_of(work, struct removal, work);

	fake_disk_delete(r->d);
	WRITE_ONCE(r->unmaps, atomic_read(&r->b->unmaps));
}

static void removal_destroy(void *data)
{
	struct removal *r = data;

	fake_disk_end_held(r->d, BLK_STS_IOERR);
	flush_work(&r->work);
}

struct remove_case {
	const char *name;
	blk_status_t status;
};

static const struct remove_case remove_cases[] = {
	{ "requests complete", BLK_STS_OK },
	{ "requests fail", BLK_STS_OFFLINE },
};

KUNIT_ARRAY_PARAM_DESC(remove, remove_cases, name);

static void blk_dmabuf_disk_test_remove(struct kunit *test)
{
	const struct remove_case *c = test->param_value;
	struct fake_bio *a = fake_bio_alloc(test, 4);
	struct fake_buf *b = fake_buf_large(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct removal *r;
	struct bio late;
	unsigned int i;

	r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r);
	r->d = d;
	r->b = b;
	r->unmaps = -1;
	INIT_WORK(&r->work, removal_work);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   removal_destroy, r));

	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	d->hold = true;
	for (i = 0; i < 4; i++) {
		fake_init_bio(&a[i].bio, d->disk->part0, b, 8 * i, SZ_4K * i, SZ_4K);
		fake_bio_submit(&a[i]);
	}
	KUNIT_ASSERT_EQ(test, d->nr_held, 4);

	/* Removal waits for them, and so does the map; others are refused */
	queue_work(system_dfl_wq, &r->work);
	while (!test_bit(GD_DEAD, &d->disk->state))
		msleep(20);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(d->disk->part0, b, 0, 0, SZ_4K),
			-EIO);
	while (READ_ONCE(r->unmaps) < 0 &&
	       !wq_has_sleeper(&d->disk->queue->mq_freeze_wq))
		msleep(20);
	KUNIT_EXPECT_EQ(test, READ_ONCE(r->unmaps), -1);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 0);

	fake_disk_end_held(d, c->status);
	flush_work(&r->work);
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_TRUE(test, fake_bio_wait(&a[i]) == c->status);
	KUNIT_EXPECT_EQ(test, r->unmaps, 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 1);
	KUNIT_EXPECT_TRUE(test, list_empty(&b->dmabuf->attachments));

	/* Who is too late gets no map, and finds none */
	KUNIT_EXPECT_EQ(test, fake_buf_map(b, d), -ENODEV);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(d->disk->part0, b, 0, 0, SZ_4K),
			-EIO);
	fake_init_bio(&late, d->disk->part0, b, 0, 0, SZ_4K);
	KUNIT_EXPECT_EQ(test, bio_split_rw_at(&late, fake_disk_limits(d), &i,
					      SZ_4K), -EUNMAPPED);
	bio_uninit(&late);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 4);
}

struct steal_case {
	const char *name;
	bool other;		/* there is another path */
	bool late;		/* the disk goes after the bios have ended */
};

static const struct steal_case steal_cases[] = {
	{ "to another path", true, false },
	{ "to another path, before the first goes", true, true },
	{ "to no path", false, false },
	{ "to no path, before the first goes", false, true },
};

KUNIT_ARRAY_PARAM_DESC(steal, steal_cases, name);

/*
 * A path of a multipath disk fails and goes away, with requests in flight that
 * are parts of a bio, which it was split into there.
 */
static void blk_dmabuf_disk_test_steal(struct kunit *test)
{
	const struct steal_case *c = test->param_value;
	struct bio_list bios = BIO_EMPTY_LIST;
	struct fake_bio *f = fake_bio_alloc(test, 1);
	struct fake_buf *b = fake_buf_small(test);
	struct queue_limits lim = fake_limits, upper_lim = fake_limits;
	struct fake_disk *path, *other;
	struct stack *s;
	struct bio *bio;

	lim.max_segments = 1;
	path = fake_disk_create(test, "dmabuf0", &lim, 0);
	other = fake_disk_create(test, "dmabuf1", &lim, FAKE_IOMMU_SHIFT);
	s = stack_create(test, "dmabuf2", &upper_lim, &stack_fops, path, NULL);
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, path), 0);
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, other), 0);

	path->hold = true;
	fake_init_bio(&f->bio, s->disk->part0, b, 8, 0, SZ_64K);
	fake_bio_submit(f);
	KUNIT_ASSERT_EQ(test, path->nr_held, 3);
	fake_disk_steal_held(path, s->disk->part0, &bios);
	KUNIT_EXPECT_EQ(test, bio_list_size(&bios), 3);

	/* What they go back to has to be there then; not all kernels notice */
	bio_list_for_each(bio, &bios)
		KUNIT_EXPECT_PTR_NE(test, bio->bi_pool, &path->disk->bio_split);

	/* They do not keep the disk from going, nor its map */
	s->lower[0] = other;
	if (!c->late) {
		fake_disk_free(path);
		KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
	}

	while ((bio = bio_list_pop(&bios))) {
		if (c->other)
			submit_bio_noacct(bio);
		else
			bio_io_error(bio);
	}
	KUNIT_EXPECT_TRUE(test, fake_bio_wait(f) ==
			  (c->other ? BLK_STS_OK : BLK_STS_IOERR));
	if (c->other)
		fake_disk_expect(other, b, 8, 0, SZ_64K);
	if (c->late) {
		KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 0);
		fake_disk_free(path);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
}

static struct kunit_case blk_dmabuf_disk_cases[] = {
	KUNIT_CASE_PARAM(blk_dmabuf_disk_test_target, target_gen_params),
	KUNIT_CASE(blk_dmabuf_disk_test_target_stacked),
	KUNIT_CASE(blk_dmabuf_disk_test_partition),
	KUNIT_CASE(blk_dmabuf_disk_test_stacked),
	KUNIT_CASE(blk_dmabuf_disk_test_stacked_two),
	KUNIT_CASE(blk_dmabuf_disk_test_stacked_revoked),
	KUNIT_CASE(blk_dmabuf_disk_test_two_devices),
	KUNIT_CASE_PARAM(blk_dmabuf_disk_test_one_device, one_device_gen_params),
	KUNIT_CASE(blk_dmabuf_disk_test_not_added),
	KUNIT_CASE(blk_dmabuf_disk_test_file),
	KUNIT_CASE(blk_dmabuf_disk_test_file_write),
	KUNIT_CASE(blk_dmabuf_disk_test_file_error),
	KUNIT_CASE(blk_dmabuf_disk_test_file_large),
	KUNIT_CASE_PARAM(blk_dmabuf_disk_test_remove, remove_gen_params),
	KUNIT_CASE_PARAM(blk_dmabuf_disk_test_steal, steal_gen_params),
	{ }
};

static struct kunit_suite blk_dmabuf_disk_suite = {
	.name		= "blk_dmabuf_disk",
	.test_cases	= blk_dmabuf_disk_cases,
};

kunit_test_suite(blk_dmabuf_disk_suite);

MODULE_DESCRIPTION("KUnit tests of disks that take bios whose data is in a dma-buf");
MODULE_LICENSE("GPL");
