/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _BLK_DMABUF_H
#define _BLK_DMABUF_H

#include <linux/blk-mq.h>
#include <linux/blk-mq-dma.h>
#include <linux/dma-buf-dio.h>

#ifdef CONFIG_DMA_SHARED_BUFFER
int blk_dmabuf_init_disk(struct gendisk *disk);
void blk_dmabuf_bio_set(struct bio *bio, const struct iov_iter *iter,
			unsigned int len_align_mask);
int blk_dmabuf_bio_set_checked(struct bio *bio, struct iov_iter *iter,
			       unsigned int mem_align_mask,
			       unsigned int len_align_mask);
bool blk_dmabuf_supported(struct bio *bio);
struct bio_set *blk_dmabuf_bio_set_for_split(struct gendisk *disk);
u32 blk_dmabuf_nth(const struct bio *bio);
int blk_dmabuf_fit_bio(struct bio *bio, const struct queue_limits *lim,
		       unsigned int len_align_mask, unsigned int max_bytes,
		       unsigned int align, unsigned int *bytes,
		       unsigned int *nsegs, unsigned int *gaps);
unsigned int blk_dmabuf_count_segments(struct request *rq);
bool blk_dmabuf_map_iter_start(struct request *rq, struct blk_dma_iter *iter);
bool blk_dmabuf_map_iter_next(struct request *rq, struct blk_dma_iter *iter);
#else
static inline int blk_dmabuf_init_disk(struct gendisk *disk)
{
	return 0;
}

static inline void blk_dmabuf_bio_set(struct bio *bio,
				      const struct iov_iter *iter,
				      unsigned int len_align_mask)
{
}

static inline int blk_dmabuf_bio_set_checked(struct bio *bio,
					     struct iov_iter *iter,
					     unsigned int mem_align_mask,
					     unsigned int len_align_mask)
{
	return -EUNMAPPED;
}

static inline bool blk_dmabuf_supported(struct bio *bio)
{
	return false;
}

static inline struct bio_set *
blk_dmabuf_bio_set_for_split(struct gendisk *disk)
{
	return &disk->bio_split;
}

static inline u32 blk_dmabuf_nth(const struct bio *bio)
{
	return 0;
}

static inline int blk_dmabuf_fit_bio(struct bio *bio,
				     const struct queue_limits *lim,
				     unsigned int len_align_mask,
				     unsigned int max_bytes,
				     unsigned int align, unsigned int *bytes,
				     unsigned int *nsegs, unsigned int *gaps)
{
	return -EUNMAPPED;
}

static inline unsigned int blk_dmabuf_count_segments(struct request *rq)
{
	return 0;
}

static inline bool blk_dmabuf_map_iter_start(struct request *rq,
					     struct blk_dma_iter *iter)
{
	iter->status = BLK_STS_NOTSUPP;
	return false;
}

static inline bool blk_dmabuf_map_iter_next(struct request *rq,
					    struct blk_dma_iter *iter)
{
	return false;
}
#endif /* CONFIG_DMA_SHARED_BUFFER */

/* The largest request; a limit set by the administrator holds here, too. */
static inline unsigned int
blk_dmabuf_max_sectors(const struct queue_limits *lim)
{
	if (!lim->max_dmabuf_sectors)
		return lim->max_sectors;
	return min_not_zero(min(lim->max_dmabuf_sectors, BIO_MAX_SECTORS),
			    lim->max_user_sectors);
}

#endif /* _BLK_DMABUF_H */
