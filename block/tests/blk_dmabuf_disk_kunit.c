// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of disks that take bios with REQ_DMABUF, see block/blk-dmabuf.c
 *
 * Disks on top of disks, two disks for one buffer, block device files, and
 * disks that go away.
 */
#include <kunit/test.h>
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include "fake.h"

MODULE_IMPORT_NS("DMA_BUF");

/* A driver that only says which other disk a bio is for */
static void stack_submit_bio(struct bio *bio)
{
	struct fake_disk *lower = bio->bi_bdev->bd_disk->private_data;
	struct dma_buf *dmabuf = bio->bi_dmabuf->dmabuf;

	bio = bio_split_to_limits(bio);
	if (!bio)
		return;
	bio_set_dev(bio, lower->disk->part0);
	submit_bio_noacct(bio);
	if (lower->on_the_way)
		lower->on_the_way(lower, dmabuf);
}

static const struct block_device_operations stack_fops = {
	.owner		= THIS_MODULE,
	.submit_bio	= stack_submit_bio,
};

static void stack_destroy(void *data)
{
	struct gendisk *disk = data;

	del_gendisk(disk);
	put_disk(disk);
}

static struct gendisk *stack_create(struct kunit *test, struct fake_disk *lower,
				    const char *name, struct queue_limits lim)
{
	struct gendisk *disk = blk_alloc_disk(&lim, NUMA_NO_NODE);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, disk);
	disk->fops = &stack_fops;
	disk->flags |= GENHD_FL_NO_PART;
	disk->private_data = lower;
	strscpy(disk->disk_name, name);
	set_capacity(disk, 1U << 20);
	KUNIT_ASSERT_EQ(test, add_disk(disk), 0);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, stack_destroy,
							   disk));
	return disk;
}

/* Only the last queue needs to know the segments. */
static void blk_dmabuf_disk_test_stacked(struct kunit *test)
{
	struct queue_limits upper_lim = {
		.features		= BLK_FEAT_DMABUF,
		.chunk_sectors		= 32,
	};
	struct queue_limits lower_lim = {
		.features		= BLK_FEAT_DMABUF,
		.dma_alignment		= 3,
		.max_segments		= 1,
	};
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *lower = fake_disk_create(test, "dmabuf0", &lower_lim,
						   FAKE_IOMMU_SHIFT);
	struct gendisk *upper = stack_create(test, lower, "dmabuf1", upper_lim);
	struct gendisk *no = stack_create(test, lower, "dmabuf2",
					  (struct queue_limits){ });
	struct dma_buf_dio_dev *want;

	KUNIT_EXPECT_EQ(test, fake_bdev_rw(no->part0, b, 0, 0, SZ_4K),
			-EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, lower->nr_reqs, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 0);

	/*
	 * In the driver of a disk is no place to make a map for another one:
	 * whoever drives the transfer has to, and try again.
	 */
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(upper->part0, b, 8, 0, SZ_32K),
			-EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, lower->nr_reqs, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 0);
	want = xchg(&b->dio->want, NULL);
	KUNIT_ASSERT_PTR_EQ(test, want, lower->disk->dmabuf_dev);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dma_buf_dio_get_map(b->dio, want));
	dma_buf_dio_dev_put(want);

	/* By chunks at 8, 24, 56, 88; then by segments */
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(upper->part0, b, 8, 0, SZ_32K), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 1);
	fake_disk_expect(lower, b, 8, 0, SZ_32K);
	KUNIT_EXPECT_EQ(test, lower->nr_reqs, 4);
	KUNIT_EXPECT_EQ(test, lower->req[0].bytes, 24 * SECTOR_SIZE);
	KUNIT_EXPECT_EQ(test, lower->req[1].bytes, 8 * SECTOR_SIZE);
	KUNIT_EXPECT_EQ(test, lower->req[2].bytes, 24 * SECTOR_SIZE);
	KUNIT_EXPECT_EQ(test, lower->req[3].bytes, 8 * SECTOR_SIZE);
}

/* Between the submission of a bio and its request, things may change. */
static void way_revoke(struct fake_disk *d, struct dma_buf *dmabuf)
{
	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_invalidate_mappings(dmabuf);
	dma_resv_unlock(dmabuf->resv);
}

static void way_format(struct fake_disk *d, struct dma_buf *dmabuf)
{
	struct queue_limits lim = fake_limits;

	lim.integrity.metadata_size = 8;
	fake_disk_set_limits(d, &lim);
}

struct way_case {
	const char *name;
	void (*change)(struct fake_disk *d, struct dma_buf *dmabuf);
	enum dma_buf_dio_reason reason;
};

static const struct way_case way_cases[] = {
	{ "revoked", way_revoke, DMA_BUF_DIO_DIRECT },
	{ "formatted with integrity data", way_format, DMA_BUF_DIO_DISK },
};

KUNIT_ARRAY_PARAM_DESC(way, way_cases, name);

static void blk_dmabuf_disk_test_way(struct kunit *test)
{
	static const struct queue_limits upper_lim = {
		.features	= BLK_FEAT_DMABUF,
	};
	const struct way_case *c = test->param_value;
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *lower = fake_disk_create(test, "dmabuf0",
						   &fake_limits, 0);
	struct gendisk *upper = stack_create(test, lower, "dmabuf1", upper_lim);

	if (c->change == way_format && !IS_ENABLED(CONFIG_BLK_DEV_INTEGRITY))
		kunit_skip(test, "needs BLK_DEV_INTEGRITY");

	KUNIT_EXPECT_EQ(test, fake_rw(lower, b, 0, 0, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(upper->part0, b, 8, SZ_4K, SZ_4K), 0);
	fake_disk_expect(lower, b, 0, 0, SZ_8K);

	lower->on_the_way = c->change;
	b->dio->reason = DMA_BUF_DIO_DIRECT;
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(upper->part0, b, 16, SZ_8K, SZ_4K),
			-EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, b->dio->reason, c->reason);
	KUNIT_EXPECT_NULL(test, b->dio->want);
	KUNIT_EXPECT_EQ(test, lower->nr_reqs, 2);
}

/* Each device has its own view of the buffer. */
static void blk_dmabuf_disk_test_two_disks(struct kunit *test)
{
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct fake_disk *e = fake_disk_create(test, "dmabuf1", &fake_limits,
					       FAKE_IOMMU_SHIFT);

	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_16K), 0);
	KUNIT_EXPECT_EQ(test, fake_rw(e, b, 0, SZ_8K, SZ_32K), 0);
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, SECTORS(SZ_16K), SZ_16K, SZ_16K), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 2);
	fake_disk_expect(d, b, 0, 0, SZ_32K);
	fake_disk_expect(e, b, 0, SZ_8K, SZ_32K);

	/* One of them goes */
	fake_disk_delete(d);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
	fake_disk_forget(e);
	KUNIT_EXPECT_EQ(test, fake_rw(e, b, 0, 0, SZ_64K), 0);
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_4K), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, b->dio->error, -ENODEV);
	fake_disk_expect(e, b, 0, 0, SZ_64K);

	fake_buf_close(b);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 2);
}

/* All of the path of a system call that reads a disk into a dma-buf */
static struct file *open_disk(struct kunit *test, struct fake_disk *d)
{
	struct file *file = bdev_file_open_by_dev(disk_devt(d->disk),
						  BLK_OPEN_READ, NULL, NULL);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	return file;
}

static void init_read(struct kiocb *iocb, struct iov_iter *iter,
		      struct file *file, const struct fake_buf *b, loff_t pos,
		      u64 offset, u64 bytes)
{
	init_sync_kiocb(iocb, file);
	iocb->ki_flags |= IOCB_DIRECT;
	iocb->ki_pos = pos;
	iov_iter_dmabuf(iter, ITER_DEST, b->dio, offset, bytes);
}

/* Returns what read_iter does, and checks that the rest agrees with it. */
static ssize_t read_disk(struct kunit *test, struct file *file,
			 const struct fake_buf *b, loff_t pos, u64 offset,
			 u64 bytes)
{
	struct iov_iter iter;
	struct kiocb iocb;
	ssize_t ret;
	u64 done;

	init_read(&iocb, &iter, file, b, pos, offset, bytes);
	ret = file->f_op->read_iter(&iocb, &iter);
	done = max_t(ssize_t, ret, 0);
	KUNIT_EXPECT_EQ(test, iocb.ki_pos, pos + done);
	KUNIT_EXPECT_EQ(test, iter.iov_offset, offset + done);
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), bytes - done);
	return ret;
}

static void blk_dmabuf_disk_test_read(struct kunit *test)
{
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct file *file = open_disk(test, d);

	KUNIT_EXPECT_EQ(test, read_disk(test, file, b, SZ_1M, 0x200, 0xfe00),
			0xfe00);
	fake_disk_expect(d, b, SECTORS(SZ_1M), 0x200, 0xfe00);

	/* The disk has an end */
	fake_disk_forget(d);
	set_capacity(d->disk, SECTORS(SZ_1M));
	KUNIT_EXPECT_EQ(test, read_disk(test, file, b, SZ_1M - SZ_4K, SZ_16K,
					SZ_32K), SZ_4K);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 1);
	fake_disk_expect(d, b, SECTORS(SZ_1M - SZ_4K), SZ_16K, SZ_4K);
	KUNIT_EXPECT_EQ(test, read_disk(test, file, b, SZ_1M, 0, SZ_32K), 0);

	/* Nothing that begins or ends within a block */
	KUNIT_EXPECT_EQ(test, read_disk(test, file, b, 0x100, 0, SZ_4K),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, read_disk(test, file, b, 0, 0, 0x1100), -EINVAL);
	KUNIT_EXPECT_EQ(test, read_disk(test, file, b, 0, 2, SZ_4K), -EINVAL);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 1);
	bdev_fput(file);
}

static void blk_dmabuf_disk_test_read_error(struct kunit *test)
{
	static const struct queue_limits no_limits = { };
	struct queue_limits lim = fake_limits;
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *no = fake_disk_create(test, "dmabuf1", &no_limits, 0);
	struct fake_disk *d;
	struct file *file;

	lim.max_dmabuf_sectors = 32;
	d = fake_disk_create(test, "dmabuf0", &lim, 0);
	file = open_disk(test, d);

	/* The third of four requests */
	d->fail = BLK_STS_MEDIUM;
	d->fail_sector = 70;
	KUNIT_EXPECT_EQ(test, read_disk(test, file, b, 0, 0, SZ_64K), -ENODATA);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 4);
	d->fail = BLK_STS_OK;

	b->map_error = -EPERM;
	fake_buf_close(b);
	fake_buf_open(b, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, read_disk(test, file, b, 0, 0, SZ_4K),
			-EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, b->dio->error, -EPERM);
	bdev_fput(file);

	/* Not even a buffered read that nobody could make use of */
	file = open_disk(test, no);
	KUNIT_EXPECT_EQ(test, read_disk(test, file, b, 0, 0, SZ_4K),
			-EOPNOTSUPP);
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
static void blk_dmabuf_disk_test_read_large(struct kunit *test)
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

	ret = read_disk(test, file, b, SZ_4K, SZ_1M, 5ULL * SZ_1G);
	KUNIT_EXPECT_GT(test, ret, 3LL * SZ_1G);
	fake_disk_expect(d, b, SECTORS(SZ_4K), SZ_1M, ret);

	/* The same for those who do not wait */
	fake_disk_forget(d);
	init_read(&a.iocb, &iter, file, b, SZ_4K, SZ_1M, 5ULL * SZ_1G);
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
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_4K), -EIO);
	fake_init_bio(&late, d->disk->part0, b, 0, 0, SZ_4K);
	KUNIT_EXPECT_EQ(test, bio_split_rw_at(&late, fake_disk_limits(d), &i,
					      SZ_4K), -ENODEV);
	bio_uninit(&late);
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

	/* The transfer gets no other map */
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_4K), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, b->dio->error, -ENODEV);
	fake_buf_close(b);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);

	/* Nor does the next transfer */
	fake_buf_open(b, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_4K), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, b->dio->error, -ENODEV);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 1);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 4);
}

static struct kunit_case blk_dmabuf_disk_cases[] = {
	KUNIT_CASE(blk_dmabuf_disk_test_stacked),
	KUNIT_CASE_PARAM(blk_dmabuf_disk_test_way, way_gen_params),
	KUNIT_CASE(blk_dmabuf_disk_test_two_disks),
	KUNIT_CASE(blk_dmabuf_disk_test_read),
	KUNIT_CASE(blk_dmabuf_disk_test_read_error),
	KUNIT_CASE(blk_dmabuf_disk_test_read_large),
	KUNIT_CASE_PARAM(blk_dmabuf_disk_test_remove, remove_gen_params),
	{ }
};

static struct kunit_suite blk_dmabuf_disk_suite = {
	.name		= "blk_dmabuf_disk",
	.test_cases	= blk_dmabuf_disk_cases,
};

kunit_test_suite(blk_dmabuf_disk_suite);

MODULE_DESCRIPTION("KUnit tests of disks that take bios whose data is in a dma-buf");
MODULE_LICENSE("GPL");
