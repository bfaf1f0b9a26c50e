/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A fake exporter and a fake disk for tests of bios with REQ_DMABUF
 *
 * No data moves, and no address is ever used: the exporter invents device
 * addresses, the disk writes down those that each request asks for.  What
 * would be wrong for a real device ends up in fake_disk.fault.
 */
#ifndef _BLK_TESTS_FAKE_H
#define _BLK_TESTS_FAKE_H

#include <linux/bio.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/dma-buf.h>
#include <linux/dma-buf-dio.h>
#include <linux/list.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>

struct kunit;

#define SECTORS(bytes)	((bytes) >> SECTOR_SHIFT)

/* Bits of a device address that the fake disk can drive. */
#define FAKE_DMA_BITS		36

/* How far apart two fake disks see the same memory. */
#define FAKE_IOMMU_SHIFT	BIT_ULL(34)

/**
 * struct fake_buf - a dma-buf in no memory at all
 * @test: the test
 * @dmabuf: the dma-buf
 * @seg: where it is, for a disk with &fake_disk.shift of 0; what is mapped
 *	stays there when this changes
 * @nr: number of @seg
 * @rw: whether fake_init_bio() makes bios that read into it, or write from it
 * @map_error: what the exporter fails to map with
 * @maps: number of calls of &dma_buf_ops.map_segments
 * @unmaps: number of calls of &dma_buf_ops.unmap_segments
 * @unlocked: the reservation lock was not held in one of them
 * @taken: it was unmapped while a disk had its addresses
 * @attached: somebody was attached when the last reference was gone
 * @released: the last reference to @dmabuf is gone
 */
struct fake_buf {
	struct kunit *test;
	struct dma_buf *dmabuf;
	const struct dma_buf_segment *seg;
	unsigned int nr;
	int rw;
	int map_error;
	atomic_t maps;
	atomic_t unmaps;
	bool unlocked;
	bool taken;
	bool attached;
	bool released;
};

struct fake_disk;

struct fake_buf *fake_buf_create(struct kunit *test,
				 const struct dma_buf_segment *seg,
				 unsigned int nr, int rw);
struct fake_buf *fake_buf_small(struct kunit *test);
struct fake_buf *fake_buf_large(struct kunit *test);
int fake_buf_map(struct fake_buf *b, struct fake_disk *d);
void fake_buf_revoke(struct fake_buf *b);
void fake_buf_move(struct fake_buf *b, const struct dma_buf_segment *seg,
		   unsigned int nr);
void fake_buf_free(struct fake_buf *b);
u64 fake_buf_addr(const struct fake_buf *b, u64 offset, u64 *left);

/**
 * struct fake_req - what the disk was asked for in one call of queue_rq
 * @sector: first sector
 * @bytes: size
 * @done: how much of it the disk has completed without error
 * @premapped: the data is in a dma-buf
 * @unmapped: which was not mapped, or not as it was before
 * @first: index of the first device address in &fake_disk.seg
 * @nr: how many there are
 */
struct fake_req {
	sector_t sector;
	unsigned int bytes;
	unsigned int done;
	bool premapped;
	bool unmapped;
	unsigned int first;
	unsigned int nr;
};

#define FAKE_MAX_REQS	1024
#define FAKE_MAX_SEGS	16384

/**
 * struct fake_disk - a disk that records
 * @test: the test
 * @dev: the DMA device, which may have other disks, or %NULL without one
 * @disk: the disk
 * @set: its tags
 * @shift: its IOMMU: what is added to &fake_buf.seg for @dev
 * @deleted: @disk was removed
 * @lock: taken by queue_rq
 * @max_bytes: largest dma-buf request that the limits allow
 * @busy: this many calls of queue_rq are answered with BLK_STS_RESOURCE
 * @part: the next request is completed up to here, and then requeued
 * @fail_sector: the request with this sector fails with @fail
 * @fail: BLK_STS_OK for none
 * @hold: put requests into @held instead of completing them
 * @held: requests in flight, which have their addresses
 * @nr_held: their number
 * @fault: the first thing that was wrong with a request
 * @nr_reqs: number of @req
 * @nr_segs: number of @seg
 * @req: all calls of queue_rq
 * @seg: all device addresses
 */
struct fake_disk {
	struct kunit *test;
	struct device *dev;
	struct gendisk *disk;
	struct blk_mq_tag_set set;
	u64 shift;
	bool deleted;

	spinlock_t lock;	/* protects what follows */
	u64 max_bytes;
	unsigned int busy;
	unsigned int part;
	sector_t fail_sector;
	blk_status_t fail;
	bool hold;
	struct list_head held;
	unsigned int nr_held;
	char fault[128];
	unsigned int nr_reqs;
	unsigned int nr_segs;
	struct fake_req req[FAKE_MAX_REQS];
	struct dma_buf_segment seg[FAKE_MAX_SEGS];
};

/* What a usual device looks like */
static const struct queue_limits fake_limits __maybe_unused = {
	.features	= BLK_FEAT_DMABUF,
	.dma_alignment	= 3,
};

struct fake_disk *fake_disk_create(struct kunit *test, const char *name,
				   const struct queue_limits *lim, u64 shift);
struct fake_disk *fake_disk_create_beside(struct fake_disk *other,
					  const char *name,
					  const struct queue_limits *lim);
struct fake_disk *fake_disk_create_no_dma(struct kunit *test, const char *name,
					  const struct queue_limits *lim);
void fake_disk_set_limits(struct fake_disk *d, const struct queue_limits *lim);
void fake_disk_forget(struct fake_disk *d);
void fake_disk_end_first(struct fake_disk *d, blk_status_t status);
void fake_disk_end_held(struct fake_disk *d, blk_status_t status);
void fake_disk_requeue_held(struct fake_disk *d, unsigned int bytes,
			    struct fake_buf *revoke);
void fake_disk_steal_held(struct fake_disk *d, struct block_device *bdev,
			  struct bio_list *bios);
void fake_disk_delete(struct fake_disk *d);
void fake_disk_free(struct fake_disk *d);
void fake_disk_expect(struct fake_disk *d, const struct fake_buf *b,
		      sector_t sector, u64 offset, u64 bytes);

static inline const struct queue_limits *fake_disk_limits(struct fake_disk *d)
{
	return &d->disk->queue->limits;
}

/**
 * struct fake_bio - a bio that is waited for later
 * @bio: the bio
 * @done: it has ended
 * @status: how
 */
struct fake_bio {
	struct bio bio;
	struct completion done;
	blk_status_t status;
};

struct fake_bio *fake_bio_alloc(struct kunit *test, unsigned int nr);
void fake_bio_submit(struct fake_bio *f);
blk_status_t fake_bio_wait(struct fake_bio *f);

void fake_init_bio(struct bio *bio, struct block_device *bdev,
		   const struct fake_buf *b, sector_t sector, u64 offset,
		   unsigned int bytes);
int fake_bdev_rw(struct block_device *bdev, const struct fake_buf *b,
		 sector_t sector, u64 offset, unsigned int bytes);

int fake_rw(struct fake_disk *d, struct fake_buf *b, sector_t sector,
	    u64 offset, unsigned int bytes);

#endif /* _BLK_TESTS_FAKE_H */
