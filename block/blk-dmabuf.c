// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bios whose data is in a dma-buf
 *
 * Such a bio has REQ_DMABUF, and a buffer and a flat byte offset in it in place
 * of a bvec array.  What that means for the block layer:
 *
 *  - submission: submit_bio_noacct() refuses what the queue cannot do, and maps
 *    the buffer for the DMA device of the queue, if it was not yet.  Where that
 *    is not possible, the bio does not enter the queue but fails with
 *    BLK_STS_NOTSUPP, and the submitter makes the map.  File systems have a
 *    meaning for EAGAIN, and none for that.
 *  - merge: never, the bio is REQ_NOMERGE.
 *  - split: by the segments of the map where there is one, that is at the final
 *    queue; only by size at any queue above.
 *  - clone: shares the buffer.
 *  - integrity, inline encryption: refused, both may look at the data.
 *  - writes to zones: refused, as they cannot be tried again.
 *
 * The map is in place before the queue's usage counter is taken, and ends only
 * when no I/O is in flight.  Everything here that uses it is in between.
 */
#include <linux/blk-integrity.h>
#include <linux/blk-mq-dma.h>
#include <linux/dma-buf-dio.h>
#include <trace/events/dma_buf_dio.h>
#include "blk.h"
#include "blk-dmabuf.h"

int blk_dmabuf_init_disk(struct gendisk *disk)
{
	struct request_queue *q = disk->queue;

	if (!q->tag_set || !q->tag_set->dma_dev)
		return 0;

	disk->dmabuf_dev = dma_buf_dio_dev_alloc(q->tag_set->dma_dev);
	return disk->dmabuf_dev ? 0 : -ENOMEM;
}

/*
 * Metadata is made from the data; and a bio that is refused late, or retried,
 * would leave the write pointer of a zone where nobody expects it.
 */
static bool blk_dmabuf_supported(struct bio *bio)
{
	struct block_device *bdev = bio->bi_bdev;

	return (bdev_limits(bdev)->features & BLK_FEAT_DMABUF) &&
	       !blk_get_integrity(bdev->bd_disk) &&
	       !(op_is_write(bio_op(bio)) && bdev_is_zoned(bdev));
}

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
 * @mem_align_mask: what the offset in the buffer must be aligned to; device
 *	addresses are checked when the bio is split
 * @len_align_mask: what the size of @bio must be aligned to
 *
 * Returns: 0, -EOPNOTSUPP if the queue does not take dma-bufs or the data is to
 * be encrypted, -EINVAL if something is not aligned.
 */
int blk_dmabuf_bio_set_checked(struct bio *bio, struct iov_iter *iter,
			       unsigned int mem_align_mask,
			       unsigned int len_align_mask)
{
	if (!blk_dmabuf_supported(bio))
		return dma_buf_dio_refuse(iter->dmabuf, DMA_BUF_DIO_DISK);
	if (bio_has_crypt_ctx(bio))
		return dma_buf_dio_refuse(iter->dmabuf, DMA_BUF_DIO_FILE);
	if (iter->iov_offset & mem_align_mask)
		return -EINVAL;

	blk_dmabuf_bio_set(bio, iter, len_align_mask);
	if (!bio->bi_iter.bi_size)
		return -EINVAL;
	iov_iter_advance(iter, bio->bi_iter.bi_size);
	return 0;
}

/**
 * blk_dmabuf_check_bio - check a bio that is being submitted
 * @bio: a bio with %REQ_DMABUF
 *
 * Makes the map for the DMA device of the disk, if it can do that here.
 *
 * Context: may sleep.
 *
 * Returns: %BLK_STS_OK, or what to fail @bio with.
 */
blk_status_t blk_dmabuf_check_bio(struct bio *bio)
{
	struct block_device *bdev = bio->bi_bdev;
	struct dma_buf_dio_dev *ddev = bdev->bd_disk->dmabuf_dev;
	bool to_device = bio->bi_dmabuf->dir == DMA_TO_DEVICE;
	struct dma_buf_dio_map *map;

	if (!blk_dmabuf_supported(bio) || bio_has_crypt_ctx(bio) ||
	    bio_integrity(bio)) {
		dma_buf_dio_refuse(bio->bi_dmabuf, DMA_BUF_DIO_DISK);
		return BLK_STS_NOTSUPP;
	}

	/* Maps are made for one direction */
	if (WARN_ON_ONCE(op_is_write(bio_op(bio)) != to_device))
		return BLK_STS_IOERR;

	/* A driver that submits to other queues has no DMA device */
	if (!ddev)
		return BLK_STS_OK;

	map = dma_buf_dio_find_map(bio->bi_dmabuf, ddev);
	if (map && READ_ONCE(map->revoked))
		return BLK_STS_NOTSUPP;
	if (map)
		return BLK_STS_OK;

	/*
	 * No map can be made by a driver that submits to another queue, as it
	 * holds the usage counter of its own, and what the exporter submits
	 * would wait behind it; nor by a worker, as memory reclaim may wait for
	 * it.  blk_dmabuf_enter_queue() sends these back.
	 */
	if (current->bio_list || (bio->bi_opf & REQ_NOWAIT) ||
	    (current->flags & (PF_WQ_WORKER | PF_MEMALLOC)))
		return BLK_STS_OK;

	/* What it failed with is kept for whoever drives the transfer */
	map = dma_buf_dio_get_map(bio->bi_dmabuf, ddev);
	return IS_ERR(map) ? BLK_STS_NOTSUPP : BLK_STS_OK;
}

/**
 * blk_dmabuf_enter_queue - make sure that the final queue has a map
 * @bio: a bio with %REQ_DMABUF
 *
 * Without one, whoever drives the transfer is told which map is wanted, and
 * has to make it before it tries again.  One that was revoked since the bio was
 * submitted, as this may be a remainder, is noticed there as well.
 *
 * Returns: %false if there is none, and @bio was ended.
 */
bool blk_dmabuf_enter_queue(struct bio *bio)
{
	struct dma_buf_dio_dev *ddev = bio->bi_bdev->bd_disk->dmabuf_dev;
	struct dma_buf_dio_map *map;

	if (WARN_ON_ONCE(!ddev)) {
		bio_io_error(bio);
		return false;
	}
	map = dma_buf_dio_find_map(bio->bi_dmabuf, ddev);
	if (map && !READ_ONCE(map->revoked))
		return true;

	if (!map)
		dma_buf_dio_want_map(bio->bi_dmabuf, ddev);
	bio_endio_status(bio, BLK_STS_NOTSUPP);
	return false;
}

static struct dma_buf_dio_map *blk_dmabuf_map(struct bio *bio)
{
	struct dma_buf_dio_dev *ddev = bio->bi_bdev->bd_disk->dmabuf_dev;

	return ddev ? dma_buf_dio_find_map(bio->bi_dmabuf, ddev) : NULL;
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
 * Returns: 0, -ENODEV if the disk is going away, -EOPNOTSUPP if a segment is
 * not aligned for the device, if the disk does not take dma-bufs any more, or
 * if a map has to be made first.
 */
int blk_dmabuf_fit_bio(struct bio *bio, const struct queue_limits *lim,
		       unsigned int len_align_mask, unsigned int max_bytes,
		       unsigned int align, unsigned int *bytes,
		       unsigned int *nsegs, unsigned int *gaps)
{
	struct dma_buf_dio_map *map = blk_dmabuf_map(bio);
	struct gendisk *disk = bio->bi_bdev->bd_disk;
	unsigned int size = bio->bi_iter.bi_size;
	unsigned int len = min(size, max_bytes);
	struct blk_dmabuf_fit fit;

	/*
	 * The usage counter of a final queue is held.  If it could be taken
	 * after the disk was deleted, as for a queue that outlives its disk,
	 * it does not keep the map.
	 */
	if (disk->dmabuf_dev && (!map || test_bit(GD_DEAD, &disk->state)))
		return -ENODEV;

	/* The disk may have been formatted with integrity data since */
	if (!blk_dmabuf_supported(bio))
		return dma_buf_dio_refuse(bio->bi_dmabuf, DMA_BUF_DIO_DISK);

	/* What follows a bio that was sent back need not try */
	if (!map && READ_ONCE(bio->bi_dmabuf->want))
		return -EOPNOTSUPP;

	/* No map: not the final queue, where only the size matters */
	if (!map)
		fit = (struct blk_dmabuf_fit){ .bytes = len, .nsegs = 1 };
	else
		blk_dmabuf_fit(map, lim, len_align_mask, lim->max_segments,
			       bio->bi_iter.bi_flat_offset, len, &fit);

	/* A segment may end inside a block: leave that to the next request */
	if (fit.bytes < size && !IS_ALIGNED(fit.bytes, align)) {
		len = ALIGN_DOWN(fit.bytes, align);
		if (map)
			blk_dmabuf_fit(map, lim, len_align_mask,
				       lim->max_segments,
				       bio->bi_iter.bi_flat_offset, len, &fit);
		else
			fit.bytes = len;
	}

	*bytes = fit.bytes;
	*nsegs = fit.nsegs;
	*gaps = fit.gaps;
	if (fit.misaligned)
		return dma_buf_dio_refuse(bio->bi_dmabuf,
					  DMA_BUF_DIO_ALIGNMENT);
	return 0;
}

/**
 * blk_dmabuf_count_segments - count the DMA segments of what is left to do
 * @rq: a request with %REQ_DMABUF, which was completed in part
 *
 * Returns: their number, as the driver will get them.
 */
unsigned int blk_dmabuf_count_segments(struct request *rq)
{
	struct bio *bio = rq->bio;
	struct dma_buf_dio_map *map = blk_dmabuf_map(bio);
	struct blk_dmabuf_fit fit;

	if (WARN_ON_ONCE(!map))
		return 0;
	blk_dmabuf_fit(map, &rq->q->limits, 0, UINT_MAX,
		       bio->bi_iter.bi_flat_offset, bio->bi_iter.bi_size, &fit);
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
	struct bio *bio = rq->bio;

	/* Peer memory has been taken care of when it was mapped */
	*iter = (struct blk_dma_iter){
		.p2pdma.map = PCI_P2PDMA_MAP_NONE,
		.iter = {
			.iter	= bio->bi_iter,
			.bio	= bio,
			.dmabuf	= blk_dmabuf_map(bio),
		},
	};
	if (WARN_ON_ONCE(!iter->iter.dmabuf || bio->bi_next)) {
		iter->status = BLK_STS_IOERR;
		return false;
	}
	iter->iter.dmabuf_idx =
		dma_buf_dio_map_index(iter->iter.dmabuf,
				      bio->bi_iter.bi_flat_offset);
	trace_dma_buf_dio_command(iter->iter.dmabuf, disk_devt(rq->q->disk),
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
