// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bios whose data is in a dma-buf
 *
 * Such a bio has REQ_DMABUF, and a buffer and a flat byte offset in it in place
 * of a bvec array.  What that means for the block layer:
 *
 *  - ask: bdev_dio_target() says whether a block device takes such bios, and
 *    which devices do the DMA.  Whoever submits has the buffer mapped for them.
 *  - submission: nothing is mapped.  Where the map of the buffer for the device
 *    is needed, it is looked up; if it is not mapped (any more), the bio fails
 *    with BLK_STS_UNMAPPED, which no device can say.
 *  - merge: never, the bio is REQ_NOMERGE.
 *  - split: by the segments of the map at the final queue; only by size at any
 *    queue above.
 *  - clone: shares the buffer.
 *  - integrity, inline encryption: refused, both may look at the data.
 *  - writes to zones: refused, as they cannot be tried again.
 *
 * The map is in use from when the driver asks for addresses until it says that
 * the device is done with them.  It may have been unmapped and mapped again
 * since the bio was split by it, which is noticed then.
 */
#include <linux/blk-integrity.h>
#include <linux/blk-mq-dma.h>
#include <linux/dio_target.h>
#include <linux/dma-buf-dio.h>
#include <trace/events/dma_buf_dio.h>
#include "blk.h"
#include "blk-dmabuf.h"

/*
 * Bios that are split at a path of a multipath disk may end after that path is
 * gone, with the bio_set of its disk.
 */
static struct bio_set blk_dmabuf_split_set;

struct bio_set *blk_dmabuf_bio_set_for_split(struct gendisk *disk)
{
	return disk->dmabuf_dev ? &blk_dmabuf_split_set : &disk->bio_split;
}

int blk_dmabuf_init_disk(struct gendisk *disk)
{
	struct request_queue *q = disk->queue;

	if (!q->tag_set || !q->tag_set->dma_dev)
		return 0;

	disk->dmabuf_dev = dma_buf_dio_dev_get(q->tag_set->dma_dev);
	return disk->dmabuf_dev ? 0 : -ENOMEM;
}

/*
 * Metadata is made from the data; and a bio that fails because the buffer is not
 * mapped would leave the write pointer of a zone where nobody expects it.
 */
static bool blk_dmabuf_bdev_supports(struct block_device *bdev, bool write)
{
	return (bdev_limits(bdev)->features & BLK_FEAT_DMABUF) &&
	       !blk_get_integrity(bdev->bd_disk) &&
	       !(write && bdev_is_zoned(bdev));
}

bool blk_dmabuf_supported(struct bio *bio)
{
	return blk_dmabuf_bdev_supports(bio->bi_bdev,
					op_is_write(bio_op(bio))) &&
	       !bio_has_crypt_ctx(bio) && !bio_integrity(bio);
}

/**
 * bdev_dio_target - tell where direct I/O of a block device ends
 * @bdev: the block device
 * @target: the question
 *
 * To be called by whoever is asked, for each block device that its data is on:
 * file systems, and the drivers of disks that consist of others.
 *
 * Context: any that @bdev cannot go away in.
 *
 * Returns: 0, or -EOPNOTSUPP if it does not take dma-bufs, or cannot reach that
 * memory.
 */
int bdev_dio_target(struct block_device *bdev, struct dio_target *target)
{
	const struct queue_limits *lim = bdev_limits(bdev);
	struct gendisk *disk = bdev->bd_disk;

	if (!blk_dmabuf_bdev_supports(bdev, target->rw == WRITE))
		return dio_target_refuse(target, DIO_DISK);

	target->align = max(target->align, lim->logical_block_size);
	target->mem_align = max(target->mem_align, lim->dma_alignment + 1);
	if (disk->fops->dio_target)
		return disk->fops->dio_target(disk, target);
	if (!disk->dmabuf_dev)
		return dio_target_refuse(target, DIO_DISK);
	return target->add(target, disk->dmabuf_dev, lim->dma_alignment);
}
EXPORT_SYMBOL_GPL(bdev_dio_target);

/**
 * blk_dmabuf_bio_set - make a bio carry a part of a dma-buf
 * @bio: a bio without vecs
 * @iter: an %ITER_DMABUF iterator, which is not advanced
 * @len_align_mask: the size of the bio is aligned down to it
 */
void blk_dmabuf_bio_set(struct bio *bio, const struct iov_iter *iter,
			unsigned int len_align_mask)
{
	WARN_ON_ONCE(bio->bi_max_vecs);

	bio->bi_dmabuf = iter->dmabuf;
	bio->bi_iter.bi_flat_offset = iter->iov_offset;
	bio->bi_iter.bi_size = min_t(size_t, iov_iter_count(iter),
				     BIO_MAX_SIZE) & ~len_align_mask;
	bio->bi_opf |= REQ_DMABUF | REQ_NOMERGE;
	bio_set_flag(bio, BIO_CLONED);
}

/**
 * blk_dmabuf_bio_set_checked - take the next part of a dma-buf for a bio
 * @bio: a bio without vecs
 * @iter: an %ITER_DMABUF iterator, advanced by what @bio took
 * @mem_align_mask: what the offset in the buffer must be aligned to
 * @len_align_mask: what the size of @bio must be aligned to
 *
 * Returns: 0, -EUNMAPPED if the queue does not take dma-bufs now, -EINVAL if
 * something is not aligned.
 */
int blk_dmabuf_bio_set_checked(struct bio *bio, struct iov_iter *iter,
			       unsigned int mem_align_mask,
			       unsigned int len_align_mask)
{
	if (!blk_dmabuf_supported(bio))
		return -EUNMAPPED;
	if (iter->iov_offset & mem_align_mask)
		return -EINVAL;

	blk_dmabuf_bio_set(bio, iter, len_align_mask);
	if (!bio->bi_iter.bi_size)
		return -EINVAL;
	iov_iter_advance(iter, bio->bi_iter.bi_size);
	return 0;
}

static struct dma_buf_dio_map *blk_dmabuf_map(const struct bio *bio)
{
	struct dma_buf_dio_dev *ddev = bio->bi_bdev->bd_disk->dmabuf_dev;

	return ddev ? dma_buf_dio_find(bio->bi_dmabuf, ddev) : NULL;
}

/**
 * bio_dmabuf_mapped - may a bio go to a disk?
 * @bio: a bio with %REQ_DMABUF
 * @disk: the disk, which has a DMA device
 *
 * For drivers that have a choice.
 *
 * Context: any.
 *
 * Returns: whether the buffer is mapped for it, which may end at any time.
 */
bool bio_dmabuf_mapped(const struct bio *bio, const struct gendisk *disk)
{
	struct dma_buf_dio_map *map;

	map = dma_buf_dio_find(bio->bi_dmabuf, disk->dmabuf_dev);
	return map && READ_ONCE(map->live);
}
EXPORT_SYMBOL_GPL(bio_dmabuf_mapped);

/**
 * blk_dmabuf_nth - tell a mapping from those before and after it
 * @bio: a bio with %REQ_DMABUF, at the final queue
 *
 * To be kept in &request.dmabuf_nth from before the bio is split.
 *
 * Returns: which mapping of the buffer for the device this is, 0 for none yet.
 */
u32 blk_dmabuf_nth(const struct bio *bio)
{
	struct dma_buf_dio_map *map = blk_dmabuf_map(bio);

	return map ? READ_ONCE(map->nth) : 0;
}

/*
 * One DMA segment of a request: what the queue takes of segment @idx of @map
 * from @offset in the buffer on, and at most @len bytes.  Both the split and
 * the DMA iterator are made of this, so they cannot disagree.
 */
static unsigned int blk_dmabuf_piece(const struct dma_buf_dio_map *map,
				     const struct queue_limits *lim,
				     unsigned int idx, u64 offset,
				     unsigned int len, dma_addr_t *addr)
{
	const struct dma_buf_segment *seg = &map->segs->seg[idx];
	size_t skip = offset - map->start[idx];

	*addr = seg->addr + skip;
	len = min_t(size_t, len, seg->len - skip);
	return get_max_segment_size(lim, *addr, len);
}

struct blk_dmabuf_fit {
	unsigned int bytes;
	unsigned int nsegs;
	unsigned int gaps;	/* as in bi_bvec_gap_bit, before taking the bit */
	bool misaligned;
};

/* How much of [@offset, @offset + @len) fits into @max_segs segments. */
static void blk_dmabuf_fit(const struct dma_buf_dio_map *map,
			   const struct queue_limits *lim,
			   unsigned int len_align_mask, unsigned int max_segs,
			   u64 offset, unsigned int len,
			   struct blk_dmabuf_fit *fit)
{
	unsigned int idx = dma_buf_dio_map_index(map, offset);
	dma_addr_t addr, end = 0;

	*fit = (struct blk_dmabuf_fit){ };
	while (fit->bytes < len && fit->nsegs < max_segs) {
		unsigned int n = blk_dmabuf_piece(map, lim, idx,
						  offset + fit->bytes,
						  len - fit->bytes, &addr);

		if ((addr & lim->dma_alignment) || (n & len_align_mask))
			fit->misaligned = true;
		if (fit->nsegs) {
			if ((addr | end) & lim->virt_boundary_mask)
				break;
			fit->gaps |= addr | end;
		}
		fit->bytes += n;
		fit->nsegs++;
		end = addr + n;
		if (offset + fit->bytes ==
		    map->start[idx] + map->segs->seg[idx].len)
			idx++;
	}
}

/**
 * blk_dmabuf_fit_bio - how much of a bio fits into one request
 * @bio: a bio with %REQ_DMABUF
 * @lim: limits of its queue
 * @len_align_mask: what the length of each segment must be aligned to
 * @max_bytes: maximum number of bytes
 * @align: what a part of @bio must be aligned to, in bytes
 * @bytes: set to the number of bytes that fit: all, or a multiple of @align
 *	which may be 0
 * @nsegs: set to the number of DMA segments that these are
 * @gaps: set to all bits of the addresses where two segments meet
 *
 * Returns: 0, or -EUNMAPPED if the buffer is not mapped, if a segment is not
 * aligned for the device, or if the disk does not take dma-bufs any more.
 */
int blk_dmabuf_fit_bio(struct bio *bio, const struct queue_limits *lim,
		       unsigned int len_align_mask, unsigned int max_bytes,
		       unsigned int align, unsigned int *bytes,
		       unsigned int *nsegs, unsigned int *gaps)
{
	bool final = bio->bi_bdev->bd_disk->dmabuf_dev;
	unsigned int size = bio->bi_iter.bi_size;
	unsigned int len = min(size, max_bytes);
	struct dma_buf_dio_map *map = NULL;
	struct blk_dmabuf_fit fit;

	/* The disk may have been formatted with integrity data since */
	if (!blk_dmabuf_supported(bio))
		return -EUNMAPPED;

	if (final) {
		map = blk_dmabuf_map(bio);
		if (!map || !dma_buf_dio_map_get(map))
			return -EUNMAPPED;
		blk_dmabuf_fit(map, lim, len_align_mask, lim->max_segments,
			       bio->bi_iter.bi_flat_offset, len, &fit);
	} else {
		fit = (struct blk_dmabuf_fit){ .bytes = len, .nsegs = 1 };
	}

	/* A segment may end inside a block: leave that to the next request */
	if (fit.bytes < size && !IS_ALIGNED(fit.bytes, align)) {
		len = ALIGN_DOWN(fit.bytes, align);
		if (final)
			blk_dmabuf_fit(map, lim, len_align_mask,
				       lim->max_segments,
				       bio->bi_iter.bi_flat_offset, len, &fit);
		else
			fit.bytes = len;
	}
	if (final)
		dma_buf_dio_map_put(map);

	*bytes = fit.bytes;
	*nsegs = fit.nsegs;
	*gaps = fit.gaps;
	return fit.misaligned ? -EUNMAPPED : 0;
}

/* The map that the bio of a request was split by, for use by the device. */
static struct dma_buf_dio_map *blk_dmabuf_get_map(const struct request *rq)
{
	struct dma_buf_dio_map *map = blk_dmabuf_map(rq->bio);

	if (!map || !dma_buf_dio_map_get(map))
		return NULL;
	if (map->nth == rq->dmabuf_nth)
		return map;
	dma_buf_dio_map_put(map);
	return NULL;
}

/**
 * blk_dmabuf_count_segments - count the DMA segments of what is left to do
 * @rq: a request with %REQ_DMABUF, which was completed in part
 *
 * Returns: their number, as the driver will get them if it gets any.
 */
unsigned int blk_dmabuf_count_segments(struct request *rq)
{
	struct dma_buf_dio_map *map = blk_dmabuf_get_map(rq);
	struct bio *bio = rq->bio;
	struct blk_dmabuf_fit fit;

	if (!map)
		return 1;
	blk_dmabuf_fit(map, &rq->q->limits, 0, UINT_MAX,
		       bio->bi_iter.bi_flat_offset, bio->bi_iter.bi_size, &fit);
	dma_buf_dio_map_put(map);
	return fit.nsegs;
}

/**
 * blk_dmabuf_map_iter_start - blk_rq_dma_map_iter_start() for %REQ_DMABUF
 * @rq: the request, which consists of one bio as it is never merged
 * @iter: the iterator
 *
 * Returns: as there.
 */
bool blk_dmabuf_map_iter_start(struct request *rq, struct blk_dma_iter *iter)
{
	struct dma_buf_dio_map *map = blk_dmabuf_get_map(rq);
	struct bio *bio = rq->bio;

	/* Peer memory has been taken care of when it was mapped */
	*iter = (struct blk_dma_iter){
		.p2pdma.map = PCI_P2PDMA_MAP_NONE,
		.iter = {
			.iter	= bio->bi_iter,
			.bio	= bio,
			.dmabuf	= map,
		},
	};
	if (!map) {
		iter->status = BLK_STS_UNMAPPED;
		return false;
	}
	iter->iter.dmabuf_idx =
		dma_buf_dio_map_index(map, bio->bi_iter.bi_flat_offset);
	trace_dma_buf_dio_command(map, disk_devt(rq->q->disk),
				  op_is_write(req_op(rq)),
				  bio->bi_iter.bi_flat_offset,
				  bio->bi_iter.bi_size,
				  blk_rq_nr_phys_segments(rq));
	return blk_dmabuf_map_iter_next(rq, iter);
}

/**
 * blk_dmabuf_map_iter_next - blk_rq_dma_map_iter_next() for %REQ_DMABUF
 * @rq: the request
 * @iter: the iterator
 *
 * Returns: as there.
 */
bool blk_dmabuf_map_iter_next(struct request *rq, struct blk_dma_iter *iter)
{
	const struct dma_buf_dio_map *map = iter->iter.dmabuf;
	struct bvec_iter *pos = &iter->iter.iter;
	unsigned int idx = iter->iter.dmabuf_idx;

	if (!pos->bi_size)
		return false;

	iter->len = blk_dmabuf_piece(map, &rq->q->limits, idx,
				     pos->bi_flat_offset, pos->bi_size,
				     &iter->addr);
	bio_advance_iter_dmabuf(pos, iter->len);
	if (pos->bi_flat_offset == map->start[idx] + map->segs->seg[idx].len)
		iter->iter.dmabuf_idx++;
	return true;
}

/**
 * blk_rq_dma_premapped_end - the device is done with the addresses of a request
 * @rq: a request with %REQ_DMABUF, for which blk_rq_dma_map_iter_start() has
 *	returned %true
 *
 * Called by blk_rq_dma_unmap().
 *
 * Context: any, before the request or a part of it is completed.
 */
void blk_rq_dma_premapped_end(struct request *rq)
{
	/* While it is in use, it is the same that was looked up before */
	dma_buf_dio_map_put(blk_dmabuf_map(rq->bio));
}
EXPORT_SYMBOL_GPL(blk_rq_dma_premapped_end);

static int __init blk_dmabuf_init(void)
{
	return bioset_init(&blk_dmabuf_split_set, BIO_POOL_SIZE, 0, 0);
}
subsys_initcall(blk_dmabuf_init);
