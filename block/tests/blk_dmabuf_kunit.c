// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of bios with REQ_DMABUF, see block/blk-dmabuf.c
 *
 * All of them run on a fake disk, which checks every request against its
 * limits and writes down which device addresses it was asked for.  Here are
 * single bios, and what becomes of them when the buffer is revoked; how they
 * are split, and what happens when disks are opened, stacked and removed, is in
 * the files beside.
 */
#include <kunit/test.h>
#include <linux/blk-crypto.h>
#include <linux/blk-crypto-profile.h>
#include <linux/blk-integrity.h>
#include <linux/delay.h>
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
	KUNIT_EXPECT_PTR_EQ(test, bio->bi_dmabuf, b->dmabuf);
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

	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
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
	bio_advance(&copy, 0x200);
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
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
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

/* Nothing was submitted, and nothing was mapped for it. */
static void expect_refused(struct fake_disk *d, const struct fake_buf *b)
{
	unsigned int nr_reqs = d->nr_reqs, maps = atomic_read(&b->maps);
	struct bio bio;

	fake_init_bio(&bio, d->disk->part0, b, 0, 0, SZ_4K);
	KUNIT_EXPECT_EQ(d->test, submit_bio_wait(&bio), -EUNMAPPED);
	KUNIT_EXPECT_TRUE(d->test, bio.bi_status == BLK_STS_UNMAPPED);
	bio_uninit(&bio);
	KUNIT_EXPECT_EQ(d->test, d->nr_reqs, nr_reqs);
	KUNIT_EXPECT_EQ(d->test, atomic_read(&b->maps), maps);
}

static void blk_dmabuf_test_refused_by_disk(struct kunit *test)
{
	static const struct queue_limits no_limits = { };
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d;

	/* A driver that copies, and one that was not made for dma-bufs yet */
	expect_refused(fake_disk_create_no_dma(test, "dmabuf0", &no_limits), b);
	d = fake_disk_create(test, "dmabuf1", &no_limits, 0);
	expect_refused(d, b);
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	expect_refused(d, b);

	/* What claims to take it, and has nothing to map it for, gets nothing */
	d = fake_disk_create_no_dma(test, "dmabuf2", &fake_limits);
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(d->disk->part0, b, 0, 0, SZ_4K),
			-EUNMAPPED);
	if (d->nr_reqs)
		KUNIT_EXPECT_TRUE(test, d->req[0].unmapped);
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
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	b->rw = WRITE;
	expect_refused(d, b);

	b->rw = READ;
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
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	expect_refused(d, b);

	/* Nor does a bio bring metadata of its own */
	d = fake_disk_create(test, "dmabuf1", &fake_limits, 0);
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	fake_init_bio(&bio, d->disk->part0, b, 0, 0, SZ_4K);
	bip = bio_integrity_alloc(&bio, GFP_KERNEL, 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, bip);
	KUNIT_EXPECT_EQ(test, submit_bio_wait(&bio), -EUNMAPPED);
	bio_uninit(&bio);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 0);
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

	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	fake_init_bio(&bio, d->disk->part0, b, 0, 0, SZ_4K);
	bio_crypt_set_ctx(&bio, key, dun, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, submit_bio_wait(&bio), -EUNMAPPED);
	bio_uninit(&bio);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 0);

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

	KUNIT_ASSERT_EQ(test, fake_buf_map(b, upper), 0);
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, lower), 0);
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

	iov_iter_dmabuf(&iter, ITER_DEST, b->dmabuf, 0, SZ_4K);
	bio_init(&bio, d->disk->part0, NULL, 0, REQ_OP_READ);
	KUNIT_EXPECT_EQ(test, bio_iov_iter_bounce(&bio, &iter, SZ_4K, SZ_4K),
			-EUNMAPPED);
	bio.bi_opf = REQ_OP_WRITE;
	KUNIT_EXPECT_EQ(test, bio_iov_iter_bounce(&bio, &iter, SZ_4K, SZ_4K),
			-EUNMAPPED);
	KUNIT_EXPECT_EQ(test, bio.bi_iter.bi_size, 0);
	/* Nor is it taken for one that comes with its bvecs */
	KUNIT_EXPECT_FALSE(test, bio_iov_iter_set(&bio, &iter));
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
	iov_iter_dmabuf(&iter, ITER_DEST, b->dmabuf, SZ_4G + 4, 0x1300);
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
	iov_iter_dmabuf(&iter, ITER_DEST, b->dmabuf, 2, SZ_4K);
	bio_init(&bio, bdev, NULL, 0, REQ_OP_READ);
	KUNIT_EXPECT_EQ(test, bio_iov_iter_get_pages(&bio, &iter, 3, 511),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), SZ_4K);
	bio_uninit(&bio);

	/* More than a bio can hold */
	iov_iter_dmabuf(&iter, ITER_DEST, b->dmabuf, 0x200, 5ULL * SZ_1G);
	bio_init(&bio, bdev, NULL, 0, REQ_OP_READ);
	KUNIT_EXPECT_EQ(test, bio_iov_iter_get_pages(&bio, &iter, 3, 4095), 0);
	expect_part(test, &bio, b, 0, 0x200, SZ_4G - SZ_4K);
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), SZ_1G + SZ_4K);
	bio_uninit(&bio);

	/* A disk that cannot do it */
	iov_iter_dmabuf(&iter, ITER_DEST, b->dmabuf, 0, SZ_4K);
	bio_init(&bio, no->disk->part0, NULL, 0, REQ_OP_READ);
	KUNIT_EXPECT_EQ(test, bio_iov_iter_get_pages(&bio, &iter, 3, 511),
			-EUNMAPPED);
	KUNIT_EXPECT_EQ(test, iov_iter_count(&iter), SZ_4K);
	bio_uninit(&bio);
	KUNIT_EXPECT_EQ(test, no->nr_reqs, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 0);
}

/* Nobody below makes a map, which would sleep; looking it up does not. */
static void blk_dmabuf_test_nowait(struct kunit *test)
{
	struct queue_limits lim = fake_limits;
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct bio bio;

	fake_init_bio(&bio, d->disk->part0, b, 0, 0, SZ_4K);
	bio.bi_opf |= REQ_NOWAIT;
	KUNIT_EXPECT_EQ(test, submit_bio_wait(&bio), -EUNMAPPED);
	KUNIT_EXPECT_TRUE(test, bio.bi_status == BLK_STS_UNMAPPED);
	bio_uninit(&bio);
	expect_refused(d, b);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&b->dmabuf->attachments));

	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_4K), 0);
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

	w->ret = fake_bdev_rw(w->d->disk->part0, w->b, 0, 0, SZ_4K);
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

	KUNIT_EXPECT_EQ(test, rw_by_worker(d, b), -EUNMAPPED);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 0);

	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 8, SZ_4K, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, rw_by_worker(d, b), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 1);
	fake_disk_expect(d, b, 0, 0, SZ_8K);
}

/* Where fake_buf_small() may go, in more pieces and of other sizes */
static const struct dma_buf_segment elsewhere[] = {
	{ 0x80000, 0x1000 }, { 0x50000, 0x2000 }, { 0x60000, 0x1000 },
	{ 0x70000, 0xc000 },
};

/* What the exporter does to a buffer while somebody is about to use it */
enum revoke_how {
	REVOKE,		/* it takes it back */
	REVOKE_MAP,	/* and gives it again */
	REVOKE_MOVE,	/* at another place */
};

static void revoke(struct fake_disk *d, struct fake_buf *b, enum revoke_how how)
{
	if (how == REVOKE_MOVE)
		fake_buf_move(b, elsewhere, ARRAY_SIZE(elsewhere));
	else
		fake_buf_revoke(b);
	if (how != REVOKE)
		KUNIT_EXPECT_EQ(d->test, fake_buf_map(b, d), 0);
}

/* And after that somebody maps it, and all is well. */
static void expect_usable(struct fake_disk *d, struct fake_buf *b)
{
	fake_disk_forget(d);
	KUNIT_EXPECT_EQ(d->test, fake_rw(d, b, 8, 0, SZ_64K), 0);
	fake_disk_expect(d, b, 8, 0, SZ_64K);
}

/* What is not mapped any more is not even made a request of. */
static void blk_dmabuf_test_revoked(struct kunit *test)
{
	struct queue_limits lim = fake_limits;
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d;
	struct bio bio;

	/* Each bio is split by the segments, as far as there are any */
	lim.max_segments = 1;
	d = fake_disk_create(test, "dmabuf0", &lim, 0);
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_64K), 0);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 3);

	fake_buf_revoke(b);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
	fake_init_bio(&bio, d->disk->part0, b, 0, 0, SZ_64K);
	KUNIT_EXPECT_EQ(test, submit_bio_wait(&bio), -EUNMAPPED);
	KUNIT_EXPECT_TRUE(test, bio.bi_status == BLK_STS_UNMAPPED);
	bio_uninit(&bio);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 3);

	/* Again is not worse, and the next map is as good as the first */
	fake_buf_revoke(b);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
	expect_usable(d, b);
	fake_buf_move(b, elsewhere, ARRAY_SIZE(elsewhere));
	expect_usable(d, b);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 4);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 3);
}

/* Where a request waits, with the segments of one mapping counted */
enum wait_where {
	WAIT_PLUG,	/* in the plug of who submits */
	WAIT_QUEUE,	/* in the queue, that the driver has stopped */
	WAIT_REQUEUE,	/* there again, after the device had it */
};

struct queued_case {
	const char *name;
	enum wait_where where;
	enum revoke_how how;
};

static const struct queued_case queued_cases[] = {
	{ "plugged, unmapped", WAIT_PLUG, REVOKE },
	{ "plugged, mapped anew", WAIT_PLUG, REVOKE_MAP },
	{ "plugged, moved", WAIT_PLUG, REVOKE_MOVE },
	{ "queued, unmapped", WAIT_QUEUE, REVOKE },
	{ "queued, mapped anew", WAIT_QUEUE, REVOKE_MAP },
	{ "queued, moved", WAIT_QUEUE, REVOKE_MOVE },
	{ "requeued, unmapped", WAIT_REQUEUE, REVOKE },
	{ "requeued, mapped anew", WAIT_REQUEUE, REVOKE_MAP },
	{ "requeued, moved", WAIT_REQUEUE, REVOKE_MOVE },
};

KUNIT_ARRAY_PARAM_DESC(queued, queued_cases, name);

/*
 * A request that no device has does not keep the buffer from its exporter, and
 * is never built from another mapping than the one that it was split by.
 */
static void blk_dmabuf_test_revoke_queued(struct kunit *test)
{
	const struct queued_case *c = test->param_value;
	unsigned int i, had = c->where == WAIT_REQUEUE ? 2 : 0;
	struct fake_bio *a = fake_bio_alloc(test, 2);
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct request_queue *q = d->disk->queue;
	struct blk_plug plug;

	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	if (c->where == WAIT_REQUEUE)
		d->hold = true;
	if (c->where == WAIT_PLUG)
		blk_start_plug(&plug);
	if (c->where == WAIT_QUEUE)
		blk_mq_quiesce_queue(q);
	for (i = 0; i < 2; i++) {
		fake_init_bio(&a[i].bio, d->disk->part0, b,
			      SECTORS(SZ_32K * i), SZ_32K * i, SZ_32K);
		fake_bio_submit(&a[i]);
	}
	if (c->where == WAIT_REQUEUE) {
		KUNIT_EXPECT_EQ(test, d->nr_held, 2);
		blk_mq_quiesce_queue(q);
		fake_disk_requeue_held(d, 0, NULL);
	}

	/* If it waited for them, it would do so for ever */
	revoke(d, b, c->how);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, had);

	if (c->where == WAIT_PLUG)
		blk_finish_plug(&plug);
	else
		blk_mq_unquiesce_queue(q);
	for (i = 0; i < 2; i++)
		KUNIT_EXPECT_TRUE(test, fake_bio_wait(&a[i]) == BLK_STS_UNMAPPED);

	/* The device got nothing of them */
	KUNIT_EXPECT_EQ(test, d->nr_reqs, had + 2);
	for (i = had; i < d->nr_reqs; i++) {
		KUNIT_EXPECT_TRUE(test, d->req[i].unmapped);
		KUNIT_EXPECT_EQ(test, d->req[i].nr, 0);
	}
	expect_usable(d, b);
}

struct rest_case {
	const char *name;
	unsigned int done;
	bool between;	/* before the block layer counts what is left */
	enum revoke_how how;
};

static const struct rest_case rest_cases[] = {
	{ "in a segment, unmapped", 0x200, false, REVOKE },
	{ "in a segment, mapped anew", 0x200, false, REVOKE_MAP },
	{ "in a segment, moved", 0x200, false, REVOKE_MOVE },
	{ "after a segment, unmapped", 0x4000, false, REVOKE },
	{ "after a segment, moved", 0x4000, false, REVOKE_MOVE },
	{ "all but a block, moved", 0xfe00, false, REVOKE_MOVE },
	{ "not counted, unmapped", 0x4200, true, REVOKE },
	{ "not counted, mapped anew", 0x4200, true, REVOKE_MAP },
	{ "not counted, moved", 0x4200, true, REVOKE_MOVE },
};

KUNIT_ARRAY_PARAM_DESC(rest, rest_cases, name);

/* The same for what is left of a request that the device has done in part */
static void blk_dmabuf_test_revoke_rest(struct kunit *test)
{
	const struct rest_case *c = test->param_value;
	struct fake_bio *f = fake_bio_alloc(test, 1);
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);

	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	d->hold = true;
	fake_init_bio(&f->bio, d->disk->part0, b, 0, 0, SZ_64K);
	fake_bio_submit(f);
	KUNIT_EXPECT_EQ(test, d->nr_held, 1);

	blk_mq_quiesce_queue(d->disk->queue);
	fake_disk_requeue_held(d, c->done, c->between ? b : NULL);
	revoke(d, b, c->how);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
	blk_mq_unquiesce_queue(d->disk->queue);

	/* As a whole, it has failed: who submitted it does all of it again */
	KUNIT_EXPECT_TRUE(test, fake_bio_wait(f) == BLK_STS_UNMAPPED);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 2);
	KUNIT_EXPECT_EQ(test, d->req[0].done, c->done);
	KUNIT_EXPECT_EQ(test, d->req[1].bytes, SZ_64K - c->done);
	KUNIT_EXPECT_TRUE(test, d->req[1].unmapped);
	expect_usable(d, b);
}

/* Somebody waits for the buffer, and the test looks at it. */
struct revocation {
	struct work_struct work;
	struct fake_disk *d;
	struct fake_buf *b;
	bool done;
};

static void revocation_work(struct work_struct *work)
{
	struct revocation *r = container_of(work, struct revocation, work);

	fake_buf_revoke(r->b);
	WRITE_ONCE(r->done, true);
}

static void revocation_end(void *data)
{
	struct revocation *r = data;

	fake_disk_end_held(r->d, BLK_STS_IOERR);
	flush_work(&r->work);
}

static struct revocation *revocation_create(struct fake_disk *d,
					    struct fake_buf *b)
{
	struct kunit *test = d->test;
	struct revocation *r;

	r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r);
	r->d = d;
	r->b = b;
	INIT_WORK(&r->work, revocation_work);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, revocation_end,
							   r));
	return r;
}

/* Give it the time to be wrong: it does wait, and has not unmapped anything. */
static void expect_waits(struct revocation *r)
{
	struct dma_buf_dio_map *map;

	map = dma_buf_dio_find(r->b->dmabuf, r->d->disk->dmabuf_dev);
	while (!READ_ONCE(r->done) && !wq_has_sleeper(&map->wait))
		msleep(20);
	msleep(20);
	KUNIT_EXPECT_FALSE(r->d->test, READ_ONCE(r->done));
	KUNIT_EXPECT_EQ(r->d->test, atomic_read(&r->b->unmaps), 0);
}

struct held_case {
	const char *name;
	bool requeue;		/* the device gives it back undone */
	blk_status_t status;
};

static const struct held_case held_cases[] = {
	{ "completes", false, BLK_STS_OK },
	{ "fails", false, BLK_STS_MEDIUM },
	{ "is given back", true, BLK_STS_UNMAPPED },
};

KUNIT_ARRAY_PARAM_DESC(held, held_cases, name);

/* A device that has the addresses of a buffer keeps it, and nobody else does. */
static void blk_dmabuf_test_revoke_held(struct kunit *test)
{
	const struct held_case *c = test->param_value;
	struct fake_bio *a = fake_bio_alloc(test, 2);
	struct fake_buf *b = fake_buf_small(test);
	struct fake_buf *other = fake_buf_large(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct revocation *r = revocation_create(d, b);
	unsigned int i;

	KUNIT_ASSERT_EQ(test, fake_rw(d, other, 0, 0, SZ_4K), 0);
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	fake_disk_forget(d);
	d->hold = true;
	for (i = 0; i < 2; i++) {
		fake_init_bio(&a[i].bio, d->disk->part0, b,
			      SECTORS(SZ_32K * i), SZ_32K * i, SZ_32K);
		fake_bio_submit(&a[i]);
	}
	KUNIT_ASSERT_EQ(test, d->nr_held, 2);

	/* Not those that the device has of another buffer */
	fake_buf_revoke(other);
	KUNIT_EXPECT_EQ(test, atomic_read(&other->unmaps), 1);

	queue_work(system_dfl_wq, &r->work);
	expect_waits(r);
	/* There will be no end of it if others may begin */
	KUNIT_EXPECT_EQ(test, fake_bdev_rw(d->disk->part0, b, 8, 0, SZ_4K),
			-EUNMAPPED);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 2);

	fake_disk_end_first(d, BLK_STS_OK);
	KUNIT_EXPECT_TRUE(test, fake_bio_wait(&a[0]) == BLK_STS_OK);
	expect_waits(r);

	/* It ends as the device is done, even if the request is not */
	if (c->requeue) {
		blk_mq_quiesce_queue(d->disk->queue);
		fake_disk_requeue_held(d, 0, NULL);
		flush_work(&r->work);
		KUNIT_EXPECT_FALSE(test, completion_done(&a[1].done));
		blk_mq_unquiesce_queue(d->disk->queue);
	} else {
		fake_disk_end_held(d, c->status);
		flush_work(&r->work);
	}
	KUNIT_EXPECT_TRUE(test, r->done);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
	KUNIT_EXPECT_TRUE(test, fake_bio_wait(&a[1]) == c->status);
	expect_usable(d, b);
}

struct flush_case {
	const char *name;
	blk_opf_t opf;
	unsigned int held;	/* request that the buffer is revoked during */
	blk_status_t status;
	unsigned int nr_reqs;
};

static const struct flush_case flush_cases[] = {
	{ "before", REQ_PREFLUSH, 0, BLK_STS_OK, 2 },
	{ "after", REQ_FUA, 0, BLK_STS_OK, 2 },
	{ "before and after", REQ_PREFLUSH | REQ_FUA, 0, BLK_STS_OK, 3 },
	{ "revoked before the data", REQ_PREFLUSH, 1, BLK_STS_UNMAPPED, 2 },
	{ "revoked after the data", REQ_FUA, 2, BLK_STS_OK, 2 },
};

KUNIT_ARRAY_PARAM_DESC(flush, flush_cases, name);

/* A write that has to be on the disk is some requests one after another. */
static void blk_dmabuf_test_flush(struct kunit *test)
{
	const struct flush_case *c = test->param_value;
	struct fake_bio *f = fake_bio_alloc(test, 1);
	struct fake_buf *b = fake_buf_small(test);
	struct queue_limits lim = fake_limits;
	struct fake_disk *d;
	unsigned int i;

	lim.features |= BLK_FEAT_WRITE_CACHE;
	d = fake_disk_create(test, "dmabuf0", &lim, 0);
	b->rw = WRITE;
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	fake_init_bio(&f->bio, d->disk->part0, b, 8, 0x200, SZ_32K);
	f->bio.bi_opf |= c->opf;
	d->hold = c->held;
	fake_bio_submit(f);

	/* Each of them is issued by somebody else, after the one before */
	for (i = 1; i <= c->held; i++) {
		while (!READ_ONCE(d->nr_held))
			msleep(20);
		if (i < c->held)
			fake_disk_end_first(d, BLK_STS_OK);
	}
	if (c->held) {
		fake_buf_revoke(b);
		KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
		fake_disk_end_held(d, BLK_STS_OK);
	}
	KUNIT_EXPECT_TRUE(test, fake_bio_wait(f) == c->status);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, c->nr_reqs);
	for (i = 0; i < d->nr_reqs; i++)
		if (d->req[i].premapped)
			KUNIT_EXPECT_EQ(test, d->req[i].done,
					c->status == BLK_STS_OK ? SZ_32K : 0);
}

/* Two places of a buffer, which is moved from one to the other all the time */
static const struct dma_buf_segment race_segs[2][4] = {
	{ { 0x10000, 0x1000 }, { 0x20000, 0x7000 }, { 0x30000, 0x4000 },
	  { 0x40000, 0x4000 } },
	{ { 0x150000, 0x3000 }, { 0x160000, 0x3000 }, { 0x170000, 0x9000 },
	  { 0x180000, 0x1000 } },
};

struct race {
	struct work_struct work;
	struct fake_disk *d;
	struct fake_buf *b;
	bool stop;
};

static void race_work(struct work_struct *work)
{
	struct race *r = container_of(work, struct race, work);
	unsigned int n = 0;

	while (!READ_ONCE(r->stop)) {
		fake_buf_move(r->b, race_segs[++n % 2], 4);
		/* Somebody else has it mapped, mostly */
		if (n % 5)
			fake_buf_map(r->b, r->d);
		usleep_range(10, 100);
	}
}

static void race_end(void *data)
{
	struct race *r = data;

	WRITE_ONCE(r->stop, true);
	flush_work(&r->work);
}

/* Is a request made of the buffer at @seg, and only of that? */
static bool race_is_at(const struct fake_disk *d, const struct fake_req *r,
		       const struct dma_buf_segment *seg)
{
	struct fake_buf there = { .seg = seg, .nr = 4 };
	u64 offset = r->sector << SECTOR_SHIFT, left;
	unsigned int i;

	for (i = r->first; i < r->first + r->nr; i++) {
		if (d->seg[i].addr != fake_buf_addr(&there, offset, &left) ||
		    d->seg[i].len > left)
			return false;
		offset += d->seg[i].len;
	}
	return true;
}

/* A read, in which there is time for the other at a place that depends on @n */
static blk_status_t race_read(struct fake_disk *d, struct fake_buf *b,
			      struct fake_bio *f, unsigned int n)
{
	struct request_queue *q = d->disk->queue;

	KUNIT_EXPECT_EQ(d->test, fake_buf_map(b, d), 0);
	fake_init_bio(&f->bio, d->disk->part0, b, 0, 0, SZ_64K);
	switch (n % 4) {
	case 0:
		fake_bio_submit(f);
		break;
	case 1:
		usleep_range(10, 200);
		fake_bio_submit(f);
		break;
	case 2:
		blk_mq_quiesce_queue(q);
		fake_bio_submit(f);
		usleep_range(10, 200);
		blk_mq_unquiesce_queue(q);
		break;
	case 3:
		WRITE_ONCE(d->hold, true);
		fake_bio_submit(f);
		usleep_range(10, 200);
		fake_disk_end_held(d, BLK_STS_OK);
		break;
	}
	return fake_bio_wait(f);
}

/* Each request is of one mapping, which is there until it ends. */
static void blk_dmabuf_test_race(struct kunit *test)
{
	struct fake_bio *f = fake_bio_alloc(test, 1);
	struct fake_buf *b = fake_buf_create(test, race_segs[0], 4, READ);
	struct queue_limits lim = fake_limits;
	unsigned int i, j, good = 0;
	struct fake_disk *d;
	struct race *r;

	lim.max_segments = 2;
	d = fake_disk_create(test, "dmabuf0", &lim, 0);
	r = kunit_kzalloc(test, sizeof(*r), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r);
	r->d = d;
	r->b = b;
	INIT_WORK(&r->work, race_work);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, race_end, r));
	queue_work(system_dfl_wq, &r->work);

	for (i = 0; i < 2000; i++) {
		blk_status_t status = race_read(d, b, f, i);

		KUNIT_ASSERT_TRUE(test, status == BLK_STS_OK ||
				  status == BLK_STS_UNMAPPED);
		good += status == BLK_STS_OK;
		KUNIT_ASSERT_STREQ(test, d->fault, "");
		for (j = 0; j < d->nr_reqs; j++)
			KUNIT_ASSERT_TRUE(test, race_is_at(d, &d->req[j], race_segs[0]) ||
					  race_is_at(d, &d->req[j], race_segs[1]));
		fake_disk_forget(d);
	}
	kunit_info(test, "%u of %u done\n", good, i);
	KUNIT_EXPECT_GT(test, good, 0);
}

/* What the exporter says is for whoever maps; the disk does not know of it. */
static void blk_dmabuf_test_map_fails(struct kunit *test)
{
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);

	b->map_error = -ENXIO;
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_4K), -ENXIO);
	expect_refused(d, b);

	/* And nothing of it is left */
	b->map_error = 0;
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 0, 0, SZ_4K), 0);
	fake_disk_expect(d, b, 0, 0, SZ_4K);

	/* A map that is there is not asked for again */
	b->map_error = -ENXIO;
	KUNIT_EXPECT_EQ(test, fake_rw(d, b, 8, SZ_4K, SZ_4K), 0);
	fake_disk_expect(d, b, 0, 0, SZ_8K);
}

/* All that a device may say */
struct status_case {
	const char *name;
	blk_status_t status;
	int error;
};

static const struct status_case status_cases[] = {
	{ "NOTSUPP", BLK_STS_NOTSUPP, -EOPNOTSUPP },
	{ "TIMEOUT", BLK_STS_TIMEOUT, -ETIMEDOUT },
	{ "NOSPC", BLK_STS_NOSPC, -ENOSPC },
	{ "TRANSPORT", BLK_STS_TRANSPORT, -ENOLINK },
	{ "TARGET", BLK_STS_TARGET, -EREMOTEIO },
	{ "RESV_CONFLICT", BLK_STS_RESV_CONFLICT, -EBADE },
	{ "MEDIUM", BLK_STS_MEDIUM, -ENODATA },
	{ "PROTECTION", BLK_STS_PROTECTION, -EILSEQ },
	{ "RESOURCE", BLK_STS_RESOURCE, -ENOMEM },
	{ "IOERR", BLK_STS_IOERR, -EIO },
	{ "AGAIN", BLK_STS_AGAIN, -EAGAIN },
	{ "DEV_RESOURCE", BLK_STS_DEV_RESOURCE, -EBUSY },
	{ "ZONE_OPEN_RESOURCE", BLK_STS_ZONE_OPEN_RESOURCE, -ETOOMANYREFS },
	{ "ZONE_ACTIVE_RESOURCE", BLK_STS_ZONE_ACTIVE_RESOURCE, -EOVERFLOW },
	{ "OFFLINE", BLK_STS_OFFLINE, -ENODEV },
	{ "DURATION_LIMIT", BLK_STS_DURATION_LIMIT, -ETIME },
	{ "INVAL", BLK_STS_INVAL, -EINVAL },
};

KUNIT_ARRAY_PARAM_DESC(status, status_cases, name);

/*
 * Whoever submitted tells the errors of a device from what it can do something
 * about, so they are never one another, and get there as they are.
 */
static void blk_dmabuf_test_status(struct kunit *test)
{
	const struct status_case *c = test->param_value;
	struct queue_limits lim = fake_limits;
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d;
	struct bio bio;

	lim.max_dmabuf_sectors = SECTORS(SZ_16K);
	d = fake_disk_create(test, "dmabuf0", &lim, 0);
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);

	/* In one of four requests */
	d->fail = c->status;
	d->fail_sector = SECTORS(SZ_32K);
	fake_init_bio(&bio, d->disk->part0, b, 0, 0, SZ_64K);
	KUNIT_EXPECT_EQ(test, submit_bio_wait(&bio), c->error);
	KUNIT_EXPECT_TRUE(test, bio.bi_status == c->status);
	bio_uninit(&bio);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 4);

	KUNIT_EXPECT_NE(test, c->error, -EUNMAPPED);
	KUNIT_EXPECT_EQ(test, blk_status_to_errno(c->status), c->error);
	KUNIT_EXPECT_TRUE(test, errno_to_blk_status(c->error) == c->status);
	KUNIT_EXPECT_TRUE(test, tag_to_blk_status(c->name) == c->status);

	/* The buffer is as good as before */
	d->fail = BLK_STS_OK;
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 0);
	expect_usable(d, b);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 1);
}

/* What only the block layer says, and nobody can have it say */
static void blk_dmabuf_test_status_unmapped(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, blk_status_to_errno(BLK_STS_UNMAPPED), -EUNMAPPED);
	KUNIT_EXPECT_TRUE(test, errno_to_blk_status(-EUNMAPPED) == BLK_STS_UNMAPPED);
	/* No other path has it mapped, just because this one has not */
	KUNIT_EXPECT_FALSE(test, blk_path_error(BLK_STS_UNMAPPED));
	KUNIT_EXPECT_TRUE(test, tag_to_blk_status("UNMAPPED") == BLK_STS_OK);
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
	KUNIT_CASE_PARAM(blk_dmabuf_test_revoke_queued, queued_gen_params),
	KUNIT_CASE_PARAM(blk_dmabuf_test_revoke_rest, rest_gen_params),
	KUNIT_CASE_PARAM(blk_dmabuf_test_revoke_held, held_gen_params),
	KUNIT_CASE_PARAM(blk_dmabuf_test_flush, flush_gen_params),
	KUNIT_CASE_SLOW(blk_dmabuf_test_race),
	KUNIT_CASE(blk_dmabuf_test_map_fails),
	KUNIT_CASE_PARAM(blk_dmabuf_test_status, status_gen_params),
	KUNIT_CASE(blk_dmabuf_test_status_unmapped),
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
