// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fake exporter and a fake disk for tests of bios with REQ_DMABUF
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/blk-mq-dma.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uio.h>

#include "../blk.h"
#include "../blk-dmabuf.h"
#include "fake.h"

MODULE_IMPORT_NS("DMA_BUF");

/* The exporter */

static struct sg_table *fake_map_dma_buf(struct dma_buf_attachment *attach,
					 enum dma_data_direction dir)
{
	struct fake_buf *b = attach->dmabuf->priv;

	KUNIT_FAIL(b->test, "scatterlist asked for");
	return ERR_PTR(-EIO);
}

static void fake_unmap_dma_buf(struct dma_buf_attachment *attach,
			       struct sg_table *sgt,
			       enum dma_data_direction dir)
{
}

/**
 * struct fake_mapping - a mapping of a buffer for a device
 * @segs: as others see it
 * @users: number of requests that the device has with its addresses
 * @seg: its segments
 *
 * Each has memory of its own, so that nobody can look at it after it is gone
 * without tripping over the zeroes, or over KASAN.
 */
struct fake_mapping {
	struct dma_buf_segments segs;
	atomic_t users;
	struct dma_buf_segment seg[];
};

static struct dma_buf_segments *
fake_map_segments(struct dma_buf_attachment *attach,
		  enum dma_data_direction dir)
{
	u64 shift = (uintptr_t)dev_get_drvdata(attach->dev);
	struct fake_buf *b = attach->dmabuf->priv;
	struct fake_mapping *m;
	unsigned int i;

	if (!dma_resv_is_locked(attach->dmabuf->resv))
		b->unlocked = true;
	if (b->map_error)
		return ERR_PTR(b->map_error);

	m = kzalloc_flex(*m, seg, b->nr);
	if (!m)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < b->nr; i++) {
		m->seg[i].addr = b->seg[i].addr + shift;
		m->seg[i].len = b->seg[i].len;
	}
	m->segs.seg = m->seg;
	m->segs.nr = b->nr;
	atomic_inc(&b->maps);
	return &m->segs;
}

static void fake_unmap_segments(struct dma_buf_attachment *attach,
				struct dma_buf_segments *segs,
				enum dma_data_direction dir)
{
	struct fake_mapping *m = container_of(segs, struct fake_mapping, segs);
	struct fake_buf *b = attach->dmabuf->priv;

	if (!dma_resv_is_locked(attach->dmabuf->resv))
		b->unlocked = true;
	if (atomic_read(&m->users))
		b->taken = true;
	atomic_inc(&b->unmaps);
	kfree_sensitive(m);
}

static void fake_release(struct dma_buf *dmabuf)
{
	struct fake_buf *b = dmabuf->priv;

	b->attached = !list_empty(&dmabuf->attachments);
	b->released = true;
}

static const struct dma_buf_ops fake_dma_buf_ops = {
	.map_dma_buf	= fake_map_dma_buf,
	.unmap_dma_buf	= fake_unmap_dma_buf,
	.map_segments	= fake_map_segments,
	.unmap_segments	= fake_unmap_segments,
	.release	= fake_release,
};

/* Whatever a test has done, nothing may be left of it. */
static void fake_buf_destroy(void *data)
{
	struct fake_buf *b = data;
	struct kunit *test = b->test;

	dma_buf_put(b->dmabuf);
	flush_delayed_fput();
	KUNIT_EXPECT_TRUE(test, b->released);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), atomic_read(&b->unmaps));
	KUNIT_EXPECT_FALSE(test, b->unlocked);
	KUNIT_EXPECT_FALSE(test, b->taken);
	KUNIT_EXPECT_FALSE(test, b->attached);
}

/**
 * fake_buf_create - export a dma-buf
 * @test: the test, at the end of which it goes
 * @seg: where the buffer is
 * @nr: number of @seg
 * @rw: see &fake_buf.rw
 *
 * To be called before the disk of the test is created, as the end comes in
 * reverse order.
 *
 * Returns: the buffer; the test ends here without one.
 */
struct fake_buf *fake_buf_create(struct kunit *test,
				 const struct dma_buf_segment *seg,
				 unsigned int nr, int rw)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct fake_buf *b;
	unsigned int i;
	int ret;

	b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, b);
	b->test = test;
	b->seg = seg;
	b->nr = nr;
	b->rw = rw;

	info.ops = &fake_dma_buf_ops;
	info.priv = b;
	info.flags = O_RDWR;
	for (i = 0; i < nr; i++)
		info.size += seg[i].len;
	b->dmabuf = dma_buf_export(&info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, b->dmabuf);

	ret = kunit_add_action_or_reset(test, fake_buf_destroy, b);
	KUNIT_ASSERT_EQ(test, ret, 0);
	return b;
}

/**
 * fake_buf_small - a buffer of 64 KiB in three pieces, all of them whole pages
 * @test: the test
 *
 * Returns: the buffer, to be read into.
 */
struct fake_buf *fake_buf_small(struct kunit *test)
{
	static const struct dma_buf_segment segs[] = {
		{ 0x10000, 0x4000 }, { 0x30000, 0x8000 }, { 0x20000, 0x4000 },
	};

	return fake_buf_create(test, segs, ARRAY_SIZE(segs), READ);
}

/**
 * fake_buf_large - a buffer of 3 GiB and 4 GiB
 * @test: the test
 *
 * Returns: the buffer, to be read into.
 */
struct fake_buf *fake_buf_large(struct kunit *test)
{
	static const struct dma_buf_segment segs[] = {
		{ 0x100000000, 3ULL * SZ_1G }, { 0x200000000, SZ_4G },
	};

	return fake_buf_create(test, segs, ARRAY_SIZE(segs), READ);
}

/**
 * fake_buf_map - map a buffer for a disk, as all have to who submit bios
 * @b: the buffer
 * @d: the disk, which has a DMA device
 *
 * Returns: 0 or an error.
 */
int fake_buf_map(struct fake_buf *b, struct fake_disk *d)
{
	return dma_buf_dio_map(b->dmabuf, d->disk->dmabuf_dev, false);
}

/**
 * fake_buf_revoke - the exporter wants the buffer back
 * @b: the buffer
 *
 * Waits for requests that disks have in flight.
 */
void fake_buf_revoke(struct fake_buf *b)
{
	dma_resv_lock(b->dmabuf->resv, NULL);
	dma_buf_invalidate_mappings(b->dmabuf);
	dma_resv_unlock(b->dmabuf->resv);
}

/**
 * fake_buf_move - the exporter puts the buffer elsewhere
 * @b: the buffer
 * @seg: where it is from now on, for who maps it anew
 * @nr: number of @seg, which are of the same size in all
 *
 * Waits as fake_buf_revoke().
 */
void fake_buf_move(struct fake_buf *b, const struct dma_buf_segment *seg,
		   unsigned int nr)
{
	dma_resv_lock(b->dmabuf->resv, NULL);
	dma_buf_invalidate_mappings(b->dmabuf);
	b->seg = seg;
	b->nr = nr;
	dma_resv_unlock(b->dmabuf->resv);
}

/**
 * fake_buf_free - end a buffer before its test ends
 * @b: the buffer
 */
void fake_buf_free(struct fake_buf *b)
{
	struct kunit *test = b->test;

	kunit_release_action(test, fake_buf_destroy, b);
	kunit_kfree(test, b);
}

/**
 * fake_buf_addr - where is this byte?
 * @b: the buffer
 * @offset: the byte
 * @left: set to the number of bytes from there to the end of the segment
 *
 * Simple, so that there is something to compare clever code with.
 *
 * Returns: the device address, for a disk with &fake_disk.shift of 0.
 */
u64 fake_buf_addr(const struct fake_buf *b, u64 offset, u64 *left)
{
	unsigned int i = 0;

	while (offset >= b->seg[i].len)
		offset -= b->seg[i++].len;
	*left = b->seg[i].len - offset;
	return b->seg[i].addr + offset;
}

/* The disk */

static __printf(2, 3) void fake_fault(struct fake_disk *d, const char *fmt, ...)
{
	va_list args;

	/* What comes after the first one is of no interest */
	if (d->fault[0])
		return;
	va_start(args, fmt);
	vsnprintf(d->fault, sizeof(d->fault), fmt, args);
	va_end(args);
}

/* Would a device like that take this segment? */
static void fake_check_segment(struct fake_disk *d, dma_addr_t addr,
			       unsigned int len)
{
	const struct queue_limits *lim = fake_disk_limits(d);
	u64 last = (u64)addr + len - 1;

	if (!len)
		fake_fault(d, "empty segment at %pad", &addr);
	else if (last > *d->dev->dma_mask)
		fake_fault(d, "%pad+%x out of reach", &addr, len);
	else if (len > lim->max_segment_size)
		fake_fault(d, "%pad+%x too long", &addr, len);
	else if ((addr ^ last) & ~(u64)lim->seg_boundary_mask)
		fake_fault(d, "%pad+%x crosses a boundary", &addr, len);
	else if ((addr | len) & lim->dma_alignment)
		fake_fault(d, "%pad+%x is misaligned", &addr, len);
}

/* And this request? */
static void fake_check_request(struct fake_disk *d, struct request *rq,
			       const struct fake_req *r)
{
	const struct queue_limits *lim = fake_disk_limits(d);
	const struct dma_buf_segment *seg = &d->seg[r->first];
	unsigned int chunk = lim->chunk_sectors;
	unsigned int i, gaps = 0, cuts = 0;
	u64 size = 0, end;

	for (i = 0; i < r->nr; i++) {
		fake_check_segment(d, seg[i].addr, seg[i].len);
		size += seg[i].len;
		if (!i)
			continue;
		end = seg[i - 1].addr + seg[i - 1].len;
		if (seg[i].addr == end)
			cuts |= end;
		else
			gaps |= seg[i].addr | end;
	}

	if (size != r->bytes)
		fake_fault(d, "segments of %llu bytes for %u", size, r->bytes);
	if (r->nr != blk_rq_nr_phys_segments(rq))
		fake_fault(d, "%u segments counted, %u there",
			   blk_rq_nr_phys_segments(rq), r->nr);
	if (r->nr > lim->max_segments)
		fake_fault(d, "%u segments", r->nr);
	if ((gaps | cuts) & lim->virt_boundary_mask)
		fake_fault(d, "gap at %x", gaps | cuts);

	/*
	 * What is left of a request keeps the gap bit of the whole, although
	 * max_segment_size may cut segments at other places now.
	 */
	if (gaps & ~req_phys_gap_mask(rq))
		fake_fault(d, "gap bit %u above %x", rq->phys_gap_bit, gaps);
	if (rq->phys_gap_bit != ffs(gaps | cuts) &&
	    !(rq->rq_flags & RQF_DONTPREP))
		fake_fault(d, "gap bit %u for %x", rq->phys_gap_bit,
			   gaps | cuts);

	if (!r->bytes || r->bytes > d->max_bytes)
		fake_fault(d, "%u bytes", r->bytes);
	if ((r->sector << SECTOR_SHIFT | r->bytes) &
	    (lim->logical_block_size - 1))
		fake_fault(d, "%llu+%u is no block", r->sector, r->bytes);
	if (chunk && r->sector % chunk + (r->bytes >> SECTOR_SHIFT) > chunk)
		fake_fault(d, "%llu+%u is in two chunks", r->sector, r->bytes);
}

/* What the driver keeps of a request while the device has it. */
struct fake_pdu {
	struct dma_iova_state state;
	enum pci_p2pdma_map_type map;
	struct fake_mapping *mapping;
};

/* The device has addresses of this mapping, which says so. */
static struct fake_mapping *fake_begin_use(const struct request *rq)
{
	struct fake_mapping *m;

	m = container_of(dma_buf_dio_find(rq->bio->bi_dmabuf,
					  rq->q->disk->dmabuf_dev)->segs,
			 struct fake_mapping, segs);
	atomic_inc(&m->users);
	return m;
}

/* All that the driver of a real device does to map a request */
static void fake_map_request(struct fake_disk *d, struct request *rq,
			     struct fake_req *r)
{
	struct fake_pdu *pdu = blk_mq_rq_to_pdu(rq);
	struct blk_dma_iter iter;

	/* Whoever uses what was not set up for this request shall notice */
	memset(pdu, 0xff, sizeof(*pdu));
	memset(&iter, 0xff, sizeof(iter));
	pdu->mapping = NULL;

	if (!blk_rq_dma_map_iter_start(rq, d->dev, &pdu->state, &iter)) {
		if (iter.status != BLK_STS_UNMAPPED)
			fake_fault(d, "mapping failed: %d",
				   (__force int)iter.status);
		r->unmapped = true;
		return;
	}

	pdu->map = iter.p2pdma.map;
	pdu->mapping = fake_begin_use(rq);
	do {
		if (d->nr_segs == FAKE_MAX_SEGS) {
			fake_fault(d, "too many segments");
			break;
		}
		d->seg[d->nr_segs].addr = iter.addr;
		d->seg[d->nr_segs++].len = iter.len;
		r->nr++;
	} while (blk_rq_dma_map_iter_next(rq, d->dev, &iter));
	if (iter.status != BLK_STS_OK)
		fake_fault(d, "mapping failed: %d", (__force int)iter.status);
	if (blk_rq_dma_map_coalesce(&pdu->state))
		fake_fault(d, "one IOVA range claimed");
}

/* The device is done with a request, whatever becomes of that now. */
static void fake_unmap_request(struct fake_disk *d, struct request *rq)
{
	struct fake_pdu *pdu = blk_mq_rq_to_pdu(rq);

	if (!blk_rq_dma_premapped(rq))
		return;
	atomic_dec(&pdu->mapping->users);
	pdu->mapping = NULL;
	if (!blk_rq_dma_unmap(rq, d->dev, &pdu->state, blk_rq_bytes(rq),
			      pdu->map))
		fake_fault(d, "asked to unmap");
}

static struct fake_req *fake_record(struct fake_disk *d, struct request *rq)
{
	struct fake_req *r;

	if (d->nr_reqs == FAKE_MAX_REQS) {
		fake_fault(d, "too many requests");
		d->nr_reqs = 0;
	}
	r = &d->req[d->nr_reqs++];
	*r = (struct fake_req){
		.sector		= blk_rq_pos(rq),
		.bytes		= blk_rq_bytes(rq),
		.first		= d->nr_segs,
		.premapped	= blk_rq_dma_premapped(rq),
	};
	if (!r->premapped)
		return r;

	fake_map_request(d, rq, r);
	if (!r->unmapped)
		fake_check_request(d, rq, r);
	return r;
}

/* A part of a request is completed, and the device gets the rest once more. */
static void fake_requeue(struct fake_disk *d, struct request *rq,
			 unsigned int bytes)
{
	/* With less than all there must be something left */
	if (bytes && !blk_update_request(rq, BLK_STS_OK, bytes))
		fake_fault(d, "nothing left of a request");
	rq->rq_flags |= RQF_DONTPREP;
	blk_mq_requeue_request(rq, true);
}

static blk_status_t fake_queue_rq(struct blk_mq_hw_ctx *hctx,
				  const struct blk_mq_queue_data *bd)
{
	struct fake_disk *d = hctx->queue->queuedata;
	blk_status_t status = BLK_STS_OK;
	struct request *rq = bd->rq;
	unsigned int part = 0;
	struct fake_req *r;

	scoped_guard(spinlock_irqsave, &d->lock) {
		r = fake_record(d, rq);
		if (r->unmapped)
			return BLK_STS_UNMAPPED;
		if (d->busy) {
			d->busy--;
			fake_unmap_request(d, rq);
			return BLK_STS_RESOURCE;
		}

		blk_mq_start_request(rq);
		if (d->hold) {
			list_add_tail(&rq->queuelist, &d->held);
			d->nr_held++;
			return BLK_STS_OK;
		}
		if (d->part && d->part < r->bytes) {
			part = d->part;
			d->part = 0;
			r->done = part;
		} else if (d->fail && d->fail_sector - r->sector <
			   r->bytes >> SECTOR_SHIFT) {
			status = d->fail;
		} else {
			r->done = r->bytes;
		}
	}

	fake_unmap_request(d, rq);
	if (part)
		fake_requeue(d, rq, part);
	else
		blk_mq_end_request(rq, status);
	return BLK_STS_OK;
}

static const struct blk_mq_ops fake_mq_ops = {
	.queue_rq	= fake_queue_rq,
};

static const struct block_device_operations fake_fops = {
	.owner		= THIS_MODULE,
};

/**
 * fake_disk_forget - start a new record
 * @d: the disk, with nothing in flight
 */
void fake_disk_forget(struct fake_disk *d)
{
	guard(spinlock_irqsave)(&d->lock);
	d->nr_reqs = 0;
	d->nr_segs = 0;
}

/* The record of a request in flight has the same first sector. */
static void fake_record_done(struct fake_disk *d, const struct request *rq,
			     unsigned int bytes)
{
	unsigned int i;

	guard(spinlock_irqsave)(&d->lock);
	for (i = d->nr_reqs; i--;) {
		if (d->req[i].sector != blk_rq_pos(rq))
			continue;
		d->req[i].done = bytes;
		return;
	}
}

static struct request *fake_first_held(struct fake_disk *d)
{
	struct request *rq;

	guard(spinlock_irqsave)(&d->lock);
	rq = list_first_entry_or_null(&d->held, struct request, queuelist);
	if (rq) {
		list_del_init(&rq->queuelist);
		d->nr_held--;
	}
	return rq;
}

/* From now on requests are completed, or held elsewhere. */
static struct request *fake_next_held(struct fake_disk *d)
{
	scoped_guard(spinlock_irqsave, &d->lock)
		d->hold = false;
	return fake_first_held(d);
}

/**
 * fake_disk_end_first - end the request that is in flight for longest, if any
 * @d: the disk, which goes on to hold requests
 * @status: how
 */
void fake_disk_end_first(struct fake_disk *d, blk_status_t status)
{
	struct request *rq = fake_first_held(d);

	if (!rq)
		return;
	if (status == BLK_STS_OK)
		fake_record_done(d, rq, blk_rq_bytes(rq));
	fake_unmap_request(d, rq);
	blk_mq_end_request(rq, status);
}

/**
 * fake_disk_end_held - end all requests in flight, and hold no more
 * @d: the disk
 * @status: how
 */
void fake_disk_end_held(struct fake_disk *d, blk_status_t status)
{
	scoped_guard(spinlock_irqsave, &d->lock)
		d->hold = false;
	while (READ_ONCE(d->nr_held))
		fake_disk_end_first(d, status);
}

/**
 * fake_disk_requeue_held - take all requests in flight back, and hold no more
 * @d: the disk
 * @bytes: how much of each is completed before, not all
 * @revoke: a buffer that is revoked as soon as the device is done with it, when
 *	the block layer does not know that yet, or %NULL
 */
void fake_disk_requeue_held(struct fake_disk *d, unsigned int bytes,
			    struct fake_buf *revoke)
{
	struct request *rq;

	while ((rq = fake_next_held(d))) {
		fake_record_done(d, rq, bytes);
		fake_unmap_request(d, rq);
		if (revoke)
			fake_buf_revoke(revoke);
		fake_requeue(d, rq, bytes);
	}
}

/**
 * fake_disk_steal_held - take the bios of all requests in flight, hold no more
 * @d: the disk, of which the requests end without them
 * @bdev: where they are for from now on
 * @bios: the bios are added to it, to be submitted
 *
 * That is what multipath drivers do when a path fails.
 */
void fake_disk_steal_held(struct fake_disk *d, struct block_device *bdev,
			  struct bio_list *bios)
{
	struct request *rq;
	struct bio *bio;

	while ((rq = fake_next_held(d))) {
		fake_unmap_request(d, rq);
		for (bio = rq->bio; bio; bio = bio->bi_next)
			bio_set_dev(bio, bdev);
		blk_steal_bios(bios, rq);
		blk_mq_end_request(rq, BLK_STS_OK);
	}
}

/**
 * fake_disk_delete - remove the disk
 * @d: the disk
 */
void fake_disk_delete(struct fake_disk *d)
{
	if (d->deleted)
		return;
	d->deleted = true;
	del_gendisk(d->disk);
}

static void fake_disk_destroy(void *data)
{
	struct fake_disk *d = data;

	/* Files that a test has closed hold on to the disk */
	flush_delayed_fput();
	fake_disk_end_held(d, BLK_STS_IOERR);
	fake_disk_delete(d);
	put_disk(d->disk);
	blk_mq_free_tag_set(&d->set);
	KUNIT_EXPECT_STREQ(d->test, d->fault, "");
	kvfree(d);
}

/**
 * fake_disk_free - end a disk before its test ends
 * @d: the disk, which is removed if it was not, and of which nothing is left
 */
void fake_disk_free(struct fake_disk *d)
{
	kunit_release_action(d->test, fake_disk_destroy, d);
	/* The disk goes with its inode */
	rcu_barrier();
}

/* What the limits say about the size of a dma-buf request */
static void fake_disk_update(struct fake_disk *d)
{
	const struct queue_limits *lim = fake_disk_limits(d);
	u64 max = lim->max_sectors;

	if (lim->max_dmabuf_sectors) {
		max = lim->max_dmabuf_sectors;
		if (lim->max_user_sectors)
			max = min(max, lim->max_user_sectors);
	}
	d->max_bytes = max << SECTOR_SHIFT;
}

/**
 * fake_disk_set_limits - change the limits of a disk
 * @d: the disk
 * @lim: the new limits
 */
void fake_disk_set_limits(struct fake_disk *d, const struct queue_limits *lim)
{
	struct queue_limits new = *lim;

	queue_limits_start_update(d->disk->queue);
	new.features |= fake_disk_limits(d)->features;
	KUNIT_ASSERT_EQ(d->test, 0,
			queue_limits_commit_update_frozen(d->disk->queue, &new));
	fake_disk_update(d);
}

static struct fake_disk *
__fake_disk_create(struct kunit *test, const char *name, struct device *dev,
		   const struct queue_limits *lim, u64 shift)
{
	struct queue_limits tmp = *lim;
	struct fake_disk *d;
	int ret;

	d = kvzalloc_obj(*d);
	KUNIT_ASSERT_NOT_NULL(test, d);
	d->test = test;
	d->dev = dev;
	d->shift = shift;
	spin_lock_init(&d->lock);
	INIT_LIST_HEAD(&d->held);

	d->set.ops = &fake_mq_ops;
	d->set.nr_hw_queues = 1;
	d->set.queue_depth = 64;
	d->set.numa_node = NUMA_NO_NODE;
	d->set.dma_dev = dev;
	d->set.cmd_size = sizeof(struct fake_pdu);
	/* Requests shall come as they were submitted */
	d->set.flags = BLK_MQ_F_NO_SCHED_BY_DEFAULT;
	ret = blk_mq_alloc_tag_set(&d->set);
	if (ret)
		goto err_free;

	d->disk = blk_mq_alloc_disk(&d->set, &tmp, d);
	if (IS_ERR(d->disk)) {
		ret = PTR_ERR(d->disk);
		goto err_free_set;
	}
	d->disk->fops = &fake_fops;
	d->disk->flags |= GENHD_FL_NO_PART;
	strscpy(d->disk->disk_name, name);
	set_capacity(d->disk, 1ULL << 32);
	fake_disk_update(d);

	ret = device_add_disk(dev, d->disk, NULL);
	if (ret)
		goto err_put_disk;

	ret = kunit_add_action_or_reset(test, fake_disk_destroy, d);
	KUNIT_ASSERT_EQ(test, ret, 0);
	return d;

err_put_disk:
	put_disk(d->disk);
err_free_set:
	blk_mq_free_tag_set(&d->set);
err_free:
	kvfree(d);
	KUNIT_FAIL_AND_ABORT(test, "no disk: %d", ret);
	return NULL;
}

/**
 * fake_disk_create - create a disk that takes dma-bufs
 * @test: the test, at the end of which the disk goes
 * @name: name of the disk and of its device
 * @lim: its limits, of which @lim.features says whether it really does
 * @shift: see &fake_disk.shift
 *
 * Returns: the disk; the test ends here without one.
 */
struct fake_disk *fake_disk_create(struct kunit *test, const char *name,
				   const struct queue_limits *lim, u64 shift)
{
	struct device *dev = kunit_device_register(test, name);
	int ret;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	ret = dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(FAKE_DMA_BITS));
	KUNIT_ASSERT_EQ(test, ret, 0);
	/* For the exporter, which knows no disks */
	dev_set_drvdata(dev, (void *)(uintptr_t)shift);
	return __fake_disk_create(test, name, dev, lim, shift);
}

/**
 * fake_disk_create_beside - create one more disk on a device
 * @other: the first one, which may go before this
 * @name: name of the disk
 * @lim: its limits
 *
 * Returns: the disk; the test ends here without one.
 */
struct fake_disk *fake_disk_create_beside(struct fake_disk *other,
					  const char *name,
					  const struct queue_limits *lim)
{
	return __fake_disk_create(other->test, name, other->dev, lim,
				  other->shift);
}

/**
 * fake_disk_create_no_dma - create a disk that copies, like null_blk
 * @test: the test, at the end of which the disk goes
 * @name: name of the disk
 * @lim: its limits
 *
 * Returns: the disk; the test ends here without one.
 */
struct fake_disk *fake_disk_create_no_dma(struct kunit *test, const char *name,
					  const struct queue_limits *lim)
{
	return __fake_disk_create(test, name, NULL, lim, 0);
}

static int fake_req_cmp(const void *a, const void *b)
{
	const struct fake_req *r = a, *s = b;

	return r->sector < s->sector ? -1 : r->sector > s->sector;
}

/**
 * fake_disk_expect - check what the record says about a transfer
 * @d: the disk
 * @b: the buffer
 * @sector: where on the disk it began
 * @offset: where in the buffer
 * @bytes: how long it was
 *
 * The device addresses of all that was done, put together in the order of the
 * disk, must be those of that part of the buffer, and there was nothing else.
 */
void fake_disk_expect(struct fake_disk *d, const struct fake_buf *b,
		      sector_t sector, u64 offset, u64 bytes)
{
	u64 pos = sector << SECTOR_SHIFT, end = pos + bytes;
	struct kunit *test = d->test;
	unsigned int i, j;

	KUNIT_ASSERT_STREQ(test, d->fault, "");
	sort(d->req, d->nr_reqs, sizeof(d->req[0]), fake_req_cmp, NULL);

	for (i = 0; i < d->nr_reqs; i++) {
		const struct fake_req *r = &d->req[i];
		u64 done = 0;

		if (!r->done)
			continue;
		KUNIT_ASSERT_TRUE(test, r->premapped);
		KUNIT_ASSERT_EQ(test, r->sector << SECTOR_SHIFT, pos);

		for (j = r->first; done < r->done; j++) {
			u64 addr = d->seg[j].addr, left = 0;
			u64 n = min(d->seg[j].len, r->done - done);

			done += n;
			pos += n;
			KUNIT_ASSERT_LE(test, pos, end);
			for (; n; n -= min(n, left)) {
				KUNIT_ASSERT_EQ(test, addr, d->shift +
						fake_buf_addr(b, offset, &left));
				addr += min(n, left);
				offset += min(n, left);
			}
		}
	}
	KUNIT_EXPECT_EQ(test, pos, end);
}

/* Bios */

/**
 * fake_init_bio - make a bio for a part of a buffer
 * @bio: the bio
 * @bdev: where it is for; to refuse it is left to those it is submitted to
 * @b: the buffer, which says what is read and what written
 * @sector: where on @bdev
 * @offset: where in @b
 * @bytes: how much
 */
void fake_init_bio(struct bio *bio, struct block_device *bdev,
		   const struct fake_buf *b, sector_t sector, u64 offset,
		   unsigned int bytes)
{
	bool write = b->rw == WRITE;
	struct iov_iter iter;

	bio_init(bio, bdev, NULL, 0, write ? REQ_OP_WRITE : REQ_OP_READ);
	iov_iter_dmabuf(&iter, write ? ITER_SOURCE : ITER_DEST, b->dmabuf,
			offset, bytes);
	blk_dmabuf_bio_set(bio, &iter, bdev_logical_block_size(bdev) - 1);
	bio->bi_iter.bi_sector = sector;
}

/**
 * fake_bdev_rw - read into a buffer, or write from it
 * @bdev: what to read or write
 * @b: the buffer, which should be mapped
 * @sector: where on @bdev
 * @offset: where in @b
 * @bytes: how much
 *
 * Returns: 0 or the error of the bio.
 */
int fake_bdev_rw(struct block_device *bdev, const struct fake_buf *b,
		 sector_t sector, u64 offset, unsigned int bytes)
{
	struct bio bio;
	int ret;

	fake_init_bio(&bio, bdev, b, sector, offset, bytes);
	ret = submit_bio_wait(&bio);
	bio_uninit(&bio);
	return ret;
}

/**
 * fake_rw - map a buffer, and read into it, or write from it
 * @d: the disk to read or write
 * @b: the buffer
 * @sector: where on @d
 * @offset: where in @b
 * @bytes: how much
 *
 * Returns: 0 or the error of the map, or of the bio.
 */
int fake_rw(struct fake_disk *d, struct fake_buf *b, sector_t sector,
	    u64 offset, unsigned int bytes)
{
	int ret = fake_buf_map(b, d);

	if (ret)
		return ret;
	return fake_bdev_rw(d->disk->part0, b, sector, offset, bytes);
}

static void fake_bio_end_io(struct bio *bio)
{
	struct fake_bio *f = container_of(bio, struct fake_bio, bio);

	f->status = bio->bi_status;
	bio_uninit(bio);
	complete(&f->done);
}

/**
 * fake_bio_alloc - allocate bios that live longer than the disk of a test
 * @test: the test, to be called before it creates a disk
 * @nr: how many
 *
 * Returns: an array of @nr bios.
 */
struct fake_bio *fake_bio_alloc(struct kunit *test, unsigned int nr)
{
	struct fake_bio *f = kunit_kcalloc(test, nr, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	return f;
}

/**
 * fake_bio_submit - submit a bio
 * @f: its &fake_bio.bio was initialised
 */
void fake_bio_submit(struct fake_bio *f)
{
	init_completion(&f->done);
	f->bio.bi_end_io = fake_bio_end_io;
	submit_bio(&f->bio);
}

/**
 * fake_bio_wait - wait for a bio
 * @f: was submitted
 *
 * Returns: its status.
 */
blk_status_t fake_bio_wait(struct fake_bio *f)
{
	wait_for_completion_io(&f->done);
	return f->status;
}
