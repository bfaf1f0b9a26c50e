// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of bios with REQ_DMABUF, see block/blk-dmabuf.c
 *
 * All of them run on a fake disk, which checks every request against its
 * limits and writes down which device addresses it was asked for.  Here are
 * single bios; how they are split, and what becomes of them when disks are
 * opened, stacked and removed, is in the files beside.
 */
#include <kunit/test.h>
#include <linux/blk-crypto.h>
#include <linux/blk-crypto-profile.h>
#include <linux/blk-integrity.h>
#include <linux/dma-resv.h>
#include <linux/uio.h>
#include <linux/workqueue.h>

#include "../blk.h"
#include "fake.h"

MODULE_IMPORT_NS("DMA_BUF");

/*
 * What is done to a bio on its way moves size and offset, and nothing else.
 */
static void expect_part(struct kunit *test, const struct bio *bio,
			const struct fake_buf *b, sector_t sector, u64 offset,
			unsigned int bytes)
{
	KUNIT_EXPECT_PTR_EQ(test, bio->bi_dmabuf, b->dio);
	KUNIT_EXPECT_EQ(test, bio->bi_iter.bi_sector, sector);
	KUNIT_EXPECT_EQ(test, bio->bi_iter.bi_flat_offset, offset);
	KUNIT_EXPECT_EQ(test, bio->bi_iter.bi_size, bytes);
	KUNIT_EXPECT_TRUE(test, bio->bi_opf & REQ_DMABUF);
	KUNIT_EXPECT_TRUE(test, bio->bi_opf & REQ_NOMERGE);
}

static const u64 bio_offsets[] = {
	0, SZ_64K, SZ_4G - 0x3000, SZ_4G - 0x2000, SZ_4G - 0x1000, SZ_4G,
	6ULL * SZ_1G,
};

static void bio_offset_desc(const u64 *offset, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "at 0x%llx", *offset);
}

KUNIT_ARRAY_PARAM(bio_offset, bio_offsets, bio_offset_desc);

static void blk_dmabuf_test_bio(struct kunit *test)
{
	u64 offset = *(const u64 *)test->param_value;
	struct fake_buf *b = fake_buf_large(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct block_device *bdev = d->disk->part0;
	struct bio bio, copy, *split;

	fake_init_bio(&bio, bdev, b, 40, offset, 0x8000);
	expect_part(test, &bio, b, 40, offset, 0x8000);

	/* bio_split() clones the front, and advances to the rest */
	split = bio_split(&bio, SECTORS(0x3000), GFP_KERNEL, &fs_bio_set);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, split);
	expect_part(test, split, b, 40, offset, 0x3000);
	expect_part(test, &bio, b, 40 + SECTORS(0x3000), offset + 0x3000,
		    0x5000);
	bio_put(split);

	split = bio_alloc_clone(bdev, &bio, GFP_KERNEL, &fs_bio_set);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, split);
	bio_trim(split, SECTORS(0x1000), SECTORS(0x2000));
	expect_part(test, split, b, 40 + SECTORS(0x4000), offset + 0x4000,
		    0x2000);
	bio_put(split);

	KUNIT_ASSERT_EQ(test, bio_init_clone(bdev, &copy, &bio, GFP_KERNEL), 0);
	bio_advance_iter_single(&copy, &copy.bi_iter, 0x200);
	expect_part(test, &copy, b, 40 + SECTORS(0x3200), offset + 0x3200,
		    0x4e00);
	bio_advance(&copy, 0xe00);
	expect_part(test, &copy, b, 40 + SECTORS(0x4000), offset + 0x4000,
		    0x4000);
	bio_advance(&copy, 0x4000);
	KUNIT_EXPECT_EQ(test, copy.bi_iter.bi_size, 0);
	bio_uninit(&copy);

	/* None of them has touched the first */
	expect_part(test, &bio, b, 40 + SECTORS(0x3000), offset + 0x3000,
		    0x5000);
	KUNIT_EXPECT_EQ(test, submit_bio_wait(&bio), 0);
	fake_disk_expect(d, b, 40 + SECTORS(0x3000), offset + 0x3000, 0x5000);
	bio_uninit(&bio);
}

/* A driver that has no room may map the same request again. */
static void blk_dmabuf_test_requeue(struct kunit *test)
{
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);

	d->busy = 2;
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0x1000, 0xe000), 0);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 3);
	KUNIT_EXPECT_MEMEQ(test, &d->seg[0], &d->seg[3], 3 * sizeof(d->seg[0]));
	KUNIT_EXPECT_MEMEQ(test, &d->seg[0], &d->seg[6], 3 * sizeof(d->seg[0]));
	fake_disk_expect(d, b, 0, 0x1000, 0xe000);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 1);
}

/* What is left of a request is counted anew: at most as many segments. */
static const unsigned int partial_sizes[] = {
	0x200, 0x3e00, 0x4000, 0x4200, 0xbe00, 0xc000, 0xfe00,
};

static void partial_size_desc(const unsigned int *bytes, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "after 0x%x", *bytes);
}

KUNIT_ARRAY_PARAM(partial_size, partial_sizes, partial_size_desc);

static void partial(struct fake_disk *d, struct fake_buf *b, u64 offset,
		    unsigned int part)
{
	struct kunit *test = d->test;

	fake_disk_forget(d);
	d->part = part;
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 8, offset, SZ_64K), 0);
	KUNIT_ASSERT_EQ(test, d->nr_reqs, 2);
	KUNIT_EXPECT_EQ(test, d->req[0].bytes, SZ_64K);
	KUNIT_EXPECT_EQ(test, d->req[1].bytes, SZ_64K - part);
	fake_disk_expect(d, b, 8, offset, SZ_64K);
}

static void blk_dmabuf_test_partial(struct kunit *test)
{
	unsigned int part = *(const unsigned int *)test->param_value;
	struct queue_limits lim = fake_limits;
	struct fake_buf *b = fake_buf_small(test);
	struct fake_buf *large = fake_buf_large(test);
	struct fake_disk *d;

	d = fake_disk_create(test, "dmabuf0", &lim, 0);
	partial(d, b, 0, part);
	partial(d, large, 3ULL * SZ_1G - 0x5000, part);
	partial(d, large, 6ULL * SZ_1G, part);

	lim.max_segment_size = 0x3000;
	fake_disk_set_limits(d, &lim);
	partial(d, b, 0, part);

	lim.max_segment_size = 0;
	lim.seg_boundary_mask = 0x1fff;
	lim.virt_boundary_mask = 0xfff;
	fake_disk_set_limits(d, &lim);
	partial(d, b, 0, part);
}

/* A bio with a page, as everybody else submits */
static void init_page_bio(struct bio *bio, struct bio_vec *bv,
			  struct block_device *bdev, sector_t sector)
{
	bio_init(bio, bdev, bv, 1, REQ_OP_READ);
	__bio_add_page(bio, ZERO_PAGE(0), SZ_4K, 0);
	bio->bi_iter.bi_sector = sector;
}

/*
 * Bios submitted together, side by side on the disk.  A letter stands for
 * 4 KiB: 'p' with a page, 'd' with a dma-buf.
 */
struct merge_case {
	const char *name;
	const char *bios;
	bool backwards;		/* the last one is submitted first */
	unsigned int nr_reqs;
};

static const struct merge_case merge_cases[] = {
	/* Nothing below would mean anything if these were not merged */
	{ "pages", "pppp", false, 1 },
	{ "pages, backwards", "pppp", true, 1 },
	{ "dma-buf after page", "pd", false, 2 },
	{ "dma-buf before page", "dp", false, 2 },
	{ "dma-buf before page, backwards", "dp", true, 2 },
	{ "dma-buf after page, backwards", "pd", true, 2 },
	{ "dma-bufs", "dddd", false, 4 },
	{ "dma-bufs, backwards", "dddd", true, 4 },
	{ "dma-buf among pages", "ppdpp", false, 3 },
	{ "dma-buf among pages, backwards", "ppdpp", true, 3 },
};

KUNIT_ARRAY_PARAM_DESC(merge, merge_cases, name);

static void blk_dmabuf_test_no_merge(struct kunit *test)
{
	const struct merge_case *c = test->param_value;
	unsigned int i, nr = strlen(c->bios);
	struct fake_bio *a = fake_bio_alloc(test, nr);
	struct bio_vec *bv = kunit_kcalloc(test, nr, sizeof(*bv), GFP_KERNEL);
	struct fake_buf *b = fake_buf_large(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct block_device *bdev = d->disk->part0;
	struct blk_plug plug;

	KUNIT_ASSERT_NOT_NULL(test, bv);
	blk_start_plug(&plug);
	for (i = 0; i < nr; i++) {
		unsigned int at = c->backwards ? nr - 1 - i : i;

		/* Side by side in the buffer, too */
		if (c->bios[at] == 'd')
			fake_init_bio(&a[i].bio, bdev, b, 8 * at, SZ_4K * at, SZ_4K);
		else
			init_page_bio(&a[i].bio, &bv[i], bdev, 8 * at);
		fake_bio_submit(&a[i]);
	}
	blk_finish_plug(&plug);
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_TRUE(test, fake_bio_wait(&a[i]) == BLK_STS_OK);

	KUNIT_EXPECT_EQ(test, d->nr_reqs, c->nr_reqs);
	for (i = 0; i < d->nr_reqs; i++) {
		const struct fake_req *r = &d->req[i];

		KUNIT_EXPECT_EQ(test, r->premapped,
				c->bios[r->sector / 8] == 'd');
		if (r->premapped)
			KUNIT_EXPECT_EQ(test, r->bytes, SZ_4K);
	}
}

/* Nothing was submitted, and nothing was mapped. */
static void expect_refused(struct fake_disk *d, const struct fake_buf *b)
{
	struct bio bio;

	fake_init_bio(&bio, d->disk->part0, b, 0, 0, SZ_4K);
	KUNIT_EXPECT_EQ(d->test, submit_bio_wait(&bio), -EOPNOTSUPP);
	KUNIT_EXPECT_TRUE(d->test, bio.bi_status == BLK_STS_NOTSUPP);
	bio_uninit(&bio);
	KUNIT_EXPECT_EQ(d->test, d->nr_reqs, 0);
	KUNIT_EXPECT_EQ(d->test, atomic_read(&b->maps), 0);
}

static void blk_dmabuf_test_refused_by_disk(struct kunit *test)
{
	static const struct queue_limits no_limits = { };
	struct fake_buf *b = fake_buf_small(test);

	/* A driver that copies, and one that was not made for dma-bufs yet */
	expect_refused(fake_disk_create_no_dma(test, "dmabuf0", &no_limits), b);
	expect_refused(fake_disk_create(test, "dmabuf1", &no_limits, 0), b);
}

/* A zone is written in order, and what was refused leaves a hole in it. */
static void blk_dmabuf_test_refused_zoned(struct kunit *test)
{
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);

	if (!IS_ENABLED(CONFIG_BLK_DEV_ZONED))
		kunit_skip(test, "needs BLK_DEV_ZONED");

	/* As far as it matters here */
	d->disk->queue->limits.features |= BLK_FEAT_ZONED;
	fake_buf_close(b);
	fake_buf_open(b, DMA_TO_DEVICE);
	expect_refused(d, b);
	KUNIT_EXPECT_EQ(test, b->dio->reason, DMA_BUF_DIO_DISK);

	fake_buf_close(b);
	fake_buf_open(b, DMA_FROM_DEVICE);
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_4K), 0);
	d->disk->queue->limits.features &= ~BLK_FEAT_ZONED;
}

/* Both may have to look at the data. */
static void blk_dmabuf_test_refused_integrity(struct kunit *test)
{
	struct queue_limits lim = fake_limits;
	struct fake_buf *b = fake_buf_small(test);
	struct bio_integrity_payload *bip;
	struct fake_disk *d;
	struct bio bio;

	if (!IS_ENABLED(CONFIG_BLK_DEV_INTEGRITY))
		kunit_skip(test, "needs BLK_DEV_INTEGRITY");

	lim.integrity.metadata_size = 8;
	d = fake_disk_create(test, "dmabuf0", &lim, 0);
	expect_refused(d, b);

	/* Nor does a bio bring metadata of its own */
	d = fake_disk_create(test, "dmabuf1", &fake_limits, 0);
	fake_init_bio(&bio, d->disk->part0, b, 0, 0, SZ_4K);
	bip = bio_integrity_alloc(&bio, GFP_KERNEL, 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, bip);
	KUNIT_EXPECT_EQ(test, submit_bio_wait(&bio), -EOPNOTSUPP);
	bio_uninit(&bio);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 0);
}

static void blk_dmabuf_test_refused_crypto(struct kunit *test)
{
#ifdef CONFIG_BLK_INLINE_ENCRYPTION
	static const u64 dun[BLK_CRYPTO_DUN_ARRAY_SIZE] = { 1 };
	static const u8 raw[64] = { 1 };
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct blk_crypto_profile *profile;
	struct blk_crypto_key *key;
	struct bio bio;

	profile = kunit_kzalloc(test, sizeof(*profile), GFP_KERNEL);
	key = kunit_kzalloc(test, sizeof(*key), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, profile);
	KUNIT_ASSERT_NOT_NULL(test, key);

	/* A device that could do it, so that nobody else refuses */
	KUNIT_ASSERT_EQ(test, blk_crypto_profile_init(profile, 0), 0);
	profile->max_dun_bytes_supported = 8;
	profile->key_types_supported = BLK_CRYPTO_KEY_TYPE_RAW;
	profile->modes_supported[BLK_ENCRYPTION_MODE_AES_256_XTS] = SZ_4K;
	KUNIT_ASSERT_TRUE(test, blk_crypto_register(profile, d->disk->queue));
	KUNIT_ASSERT_EQ(test, 0,
			blk_crypto_init_key(key, raw, sizeof(raw),
					    BLK_CRYPTO_KEY_TYPE_RAW,
					    BLK_ENCRYPTION_MODE_AES_256_XTS, 8,
					    SZ_4K, BLK_CRYPTO_CFG_ALLOW_HW));

	fake_init_bio(&bio, d->disk->part0, b, 0, 0, SZ_4K);
	bio_crypt_set_ctx(&bio, key, dun, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, submit_bio_wait(&bio), -EOPNOTSUPP);
	bio_uninit(&bio);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 0);

	d->disk->queue->crypto_profile = NULL;
	blk_crypto_profile_destroy(profile);
#else
	kunit_skip(test, "needs BLK_INLINE_ENCRYPTION");
#endif
}

/* Requests that come from another queue bypass submit_bio(). */
static void blk_dmabuf_test_refused_clone(struct kunit *test)
{
	struct fake_bio *a = fake_bio_alloc(test, 1);
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *upper = fake_disk_create(test, "dmabuf0",
						   &fake_limits, 0);
	struct fake_disk *lower = fake_disk_create(test, "dmabuf1",
						   &fake_limits, 0);
	struct request *rq, *clone;

	if (!IS_ENABLED(CONFIG_BLK_MQ_STACKING))
		kunit_skip(test, "needs BLK_MQ_STACKING");

	upper->hold = true;
	fake_init_bio(&a->bio, upper->disk->part0, b, 0, 0, SZ_4K);
	fake_bio_submit(a);
	rq = list_first_entry_or_null(&upper->held, struct request, queuelist);
	KUNIT_ASSERT_NOT_NULL(test, rq);

	clone = blk_mq_alloc_request(lower->disk->queue, rq->cmd_flags, 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, clone);
	KUNIT_ASSERT_EQ(test, 0, blk_rq_prep_clone(clone, rq, NULL, GFP_KERNEL,
						   NULL, NULL));
	KUNIT_EXPECT_TRUE(test, blk_insert_cloned_request(clone) == BLK_STS_NOTSUPP);
	blk_rq_unprep_clone(clone);
	blk_mq_free_request(clone);
	KUNIT_EXPECT_EQ(test, lower->nr_reqs, 0);

	fake_disk_end_held(upper, BLK_STS_OK);
	KUNIT_EXPECT_TRUE(test, fake_bio_wait(a) == BLK_STS_OK);
}

/* What would need pages refuses the iterator. */
static void blk_dmabuf_test_refused_pages(struct kunit *test)
{
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct iov_iter iter;
	struct request *rq;
	struct bio bio;

	iov_iter_dmabuf(&iter, ITER_DEST, b->dio, 0, SZ_4K);
	bio_init(&bio, d->disk->part0, NULL, 0, REQ_OP_READ);
	KUNIT_EXPECT_EQ(test, bio_iov_iter_bounce(&bio, &iter, SZ_4K, SZ_4K),
			-EOPNOTSUPP);
	bio.bi_opf = REQ_OP_WRITE;
	KUNIT_EXPECT_EQ(test, bio_iov_iter_bounce(&bio, &iter, SZ_4K, SZ_4K),
			-EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, bio.bi_iter.bi_size, 0);
	bio_uninit(&bio);

	rq = blk_mq_alloc_request(d->disk->queue, REQ_OP_DRV_IN, 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rq);
	KUNIT_EXPECT_EQ(test, blk_rq_map_user_iov(d->disk->queue, rq, NULL,
						  &iter, GFP_KERNEL), -EINVAL);
	KUNIT_EXPECT_PTR_EQ(test, rq->bio, NULL);
	blk_mq_free_request(rq);
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), SZ_4K);
}

/* How direct I/O makes its bios */
static void blk_dmabuf_test_get_pages(struct kunit *test)
{
	static const struct queue_limits no_limits = { };
	struct fake_buf *b = fake_buf_large(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct fake_disk *no = fake_disk_create(test, "dmabuf1", &no_limits, 0);
	struct block_device *bdev = d->disk->part0;
	struct iov_iter iter;
	struct bio bio;

	/* As many whole blocks as there are, and the iterator follows */
	iov_iter_dmabuf(&iter, ITER_DEST, b->dio, SZ_4G + 4, 0x1300);
	KUNIT_EXPECT_EQ(test, bio_iov_vecs_to_alloc(&iter, BIO_MAX_VECS), 0);
	bio_init(&bio, bdev, NULL, 0, REQ_OP_READ);
	KUNIT_EXPECT_EQ(test, bio_iov_iter_get_pages(&bio, &iter, 3, 511), 0);
	expect_part(test, &bio, b, 0, SZ_4G + 4, 0x1200);
	KUNIT_EXPECT_EQ(test, iter.iov_offset, SZ_4G + 4 + 0x1200);
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), 0x100);
	bio_release_pages(&bio, true);
	bio_uninit(&bio);

	/* Less than a block */
	bio_init(&bio, bdev, NULL, 0, REQ_OP_READ);
	KUNIT_EXPECT_EQ(test, bio_iov_iter_get_pages(&bio, &iter, 3, 511),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), 0x100);
	bio_uninit(&bio);

	/* Not where the device could begin */
	iov_iter_dmabuf(&iter, ITER_DEST, b->dio, 2, SZ_4K);
	bio_init(&bio, bdev, NULL, 0, REQ_OP_READ);
	KUNIT_EXPECT_EQ(test, bio_iov_iter_get_pages(&bio, &iter, 3, 511),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), SZ_4K);
	bio_uninit(&bio);

	/* More than a bio can hold */
	iov_iter_dmabuf(&iter, ITER_DEST, b->dio, 0x200, 5ULL * SZ_1G);
	bio_init(&bio, bdev, NULL, 0, REQ_OP_READ);
	KUNIT_EXPECT_EQ(test, bio_iov_iter_get_pages(&bio, &iter, 3, 4095), 0);
	expect_part(test, &bio, b, 0, 0x200, SZ_4G - SZ_4K);
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), SZ_1G + SZ_4K);
	bio_uninit(&bio);

	/* A disk that cannot do it */
	iov_iter_dmabuf(&iter, ITER_DEST, b->dio, 0, SZ_4K);
	bio_init(&bio, no->disk->part0, NULL, 0, REQ_OP_READ);
	KUNIT_EXPECT_EQ(test, bio_iov_iter_get_pages(&bio, &iter, 3, 511),
			-EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), SZ_4K);
	bio_uninit(&bio);
	KUNIT_EXPECT_EQ(test, no->nr_reqs, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 0);
}

/* Making a map sleeps, looking it up does not. */
static void expect_wanted(struct fake_disk *d, struct fake_buf *b)
{
	KUNIT_EXPECT_PTR_EQ(d->test, b->dio->want, d->disk->dmabuf_dev);
	KUNIT_EXPECT_EQ(d->test, b->dio->error, 0);
	KUNIT_EXPECT_EQ(d->test, atomic_read(&b->maps), 0);
	KUNIT_EXPECT_EQ(d->test, d->nr_reqs, 0);
}

static void blk_dmabuf_test_nowait(struct kunit *test)
{
	struct queue_limits lim = fake_limits;
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct bio bio;

	fake_init_bio(&bio, d->disk->part0, b, 0, 0, SZ_4K);
	bio.bi_opf |= REQ_NOWAIT;
	KUNIT_EXPECT_EQ(test, submit_bio_wait(&bio), -EOPNOTSUPP);
	KUNIT_EXPECT_TRUE(test, bio.bi_status == BLK_STS_NOTSUPP);
	bio_uninit(&bio);
	expect_wanted(d, b);

	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 1);

	fake_init_bio(&bio, d->disk->part0, b, 8, SZ_4K, SZ_4K);
	bio.bi_opf |= REQ_NOWAIT;
	KUNIT_EXPECT_EQ(test, submit_bio_wait(&bio), 0);
	bio_uninit(&bio);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 1);
	fake_disk_expect(d, b, 0, 0, SZ_8K);

	/* As for any bio, not if it had to be split */
	lim.max_dmabuf_sectors = SECTORS(SZ_8K);
	fake_disk_set_limits(d, &lim);
	fake_init_bio(&bio, d->disk->part0, b, 0, 0, SZ_16K);
	bio.bi_opf |= REQ_NOWAIT;
	KUNIT_EXPECT_EQ(test, submit_bio_wait(&bio), -EAGAIN);
	bio_uninit(&bio);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 2);
}

struct worker_rw {
	struct work_struct work;
	struct fake_disk *d;
	struct fake_buf *b;
	int ret;
};

static void worker_rw(struct work_struct *work)
{
	struct worker_rw *w = container_of(work, struct worker_rw, work);

	w->ret = fake_rw(w->d, w->b, 0, 0, SZ_4K);
}

static int rw_by_worker(struct fake_disk *d, struct fake_buf *b)
{
	struct worker_rw w = { .d = d, .b = b };

	INIT_WORK_ONSTACK(&w.work, worker_rw);
	schedule_work(&w.work);
	flush_work(&w.work);
	destroy_work_on_stack(&w.work);
	return w.ret;
}

/* Nor does a worker make a map: reclaim might wait for it. */
static void blk_dmabuf_test_worker(struct kunit *test)
{
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);

	KUNIT_EXPECT_EQ(test, rw_by_worker(d, b), -EOPNOTSUPP);
	expect_wanted(d, b);

	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 8, SZ_4K, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, rw_by_worker(d, b), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 1);
	fake_disk_expect(d, b, 0, 0, SZ_8K);
}

/* I/O in flight keeps a map that the exporter wants back, but gets no more. */
static void blk_dmabuf_test_revoked(struct kunit *test)
{
	struct fake_bio *f = fake_bio_alloc(test, 1);
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);

	d->hold = true;
	fake_init_bio(&f->bio, d->disk->part0, b, 0, 0, SZ_4K);
	fake_bio_submit(f);
	KUNIT_ASSERT_EQ(test, d->nr_held, 1);

	dma_resv_lock(b->dmabuf->resv, NULL);
	dma_buf_invalidate_mappings(b->dmabuf);
	dma_resv_unlock(b->dmabuf->resv);
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 8, SZ_4K, SZ_4K), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 0);

	fake_disk_end_held(d, BLK_STS_OK);
	KUNIT_EXPECT_TRUE(test, fake_bio_wait(f) == BLK_STS_OK);

	/* A new transfer has a new map */
	fake_buf_close(b);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
	fake_buf_open(b, DMA_FROM_DEVICE);
	fake_disk_forget(d);
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 8, SZ_4K, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 2);
	fake_disk_expect(d, b, 8, SZ_4K, SZ_4K);
}

static void blk_dmabuf_test_map_fails(struct kunit *test)
{
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);

	/* Nothing is wrong with the disk or the file: the buffer keeps it */
	b->map_error = -ENXIO;
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_4K), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, b->dio->error, -ENXIO);
	KUNIT_EXPECT_EQ(test, b->dio->reason, DMA_BUF_DIO_MAPPING);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&b->dmabuf->attachments));

	/* And nothing of it is left */
	b->map_error = 0;
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_4K), 0);
	fake_disk_expect(d, b, 0, 0, SZ_4K);
}

static void blk_dmabuf_test_stack_limits(struct kunit *test)
{
	struct queue_limits bottom = {
		.features		= BLK_FEAT_DMABUF,
		.max_dmabuf_sectors	= 2048,
	};
	struct queue_limits top;

	/* Stacking drivers opt in, and keep it if all below have it */
	blk_set_stacking_limits(&top);
	KUNIT_ASSERT_EQ(test, blk_validate_limits(&bottom), 0);
	blk_stack_limits(&top, &bottom, 0);
	KUNIT_EXPECT_FALSE(test, top.features & BLK_FEAT_DMABUF);

	blk_set_stacking_limits(&top);
	top.features |= BLK_FEAT_DMABUF;
	blk_stack_limits(&top, &bottom, 0);
	KUNIT_EXPECT_TRUE(test, top.features & BLK_FEAT_DMABUF);
	KUNIT_EXPECT_EQ(test, top.max_dmabuf_sectors, 2048);

	bottom.max_dmabuf_sectors = 4096;
	blk_stack_limits(&top, &bottom, 0);
	KUNIT_EXPECT_EQ(test, top.max_dmabuf_sectors, 2048);
	bottom.max_dmabuf_sectors = 512;
	blk_stack_limits(&top, &bottom, 0);
	KUNIT_EXPECT_EQ(test, top.max_dmabuf_sectors, 512);
	KUNIT_EXPECT_TRUE(test, top.features & BLK_FEAT_DMABUF);

	bottom.features &= ~BLK_FEAT_DMABUF;
	blk_stack_limits(&top, &bottom, 0);
	KUNIT_EXPECT_FALSE(test, top.features & BLK_FEAT_DMABUF);
}

static struct kunit_case blk_dmabuf_cases[] = {
	KUNIT_CASE_PARAM(blk_dmabuf_test_bio, bio_offset_gen_params),
	KUNIT_CASE(blk_dmabuf_test_requeue),
	KUNIT_CASE_PARAM(blk_dmabuf_test_partial, partial_size_gen_params),
	KUNIT_CASE_PARAM(blk_dmabuf_test_no_merge, merge_gen_params),
	KUNIT_CASE(blk_dmabuf_test_refused_by_disk),
	KUNIT_CASE(blk_dmabuf_test_refused_zoned),
	KUNIT_CASE(blk_dmabuf_test_refused_integrity),
	KUNIT_CASE(blk_dmabuf_test_refused_crypto),
	KUNIT_CASE(blk_dmabuf_test_refused_clone),
	KUNIT_CASE(blk_dmabuf_test_refused_pages),
	KUNIT_CASE(blk_dmabuf_test_get_pages),
	KUNIT_CASE(blk_dmabuf_test_nowait),
	KUNIT_CASE(blk_dmabuf_test_worker),
	KUNIT_CASE(blk_dmabuf_test_revoked),
	KUNIT_CASE(blk_dmabuf_test_map_fails),
	KUNIT_CASE(blk_dmabuf_test_stack_limits),
	{ }
};

static struct kunit_suite blk_dmabuf_suite = {
	.name		= "blk_dmabuf",
	.test_cases	= blk_dmabuf_cases,
};

kunit_test_suite(blk_dmabuf_suite);

MODULE_DESCRIPTION("KUnit tests of bios whose data is in a dma-buf");
MODULE_LICENSE("GPL");
