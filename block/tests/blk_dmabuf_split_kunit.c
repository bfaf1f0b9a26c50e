// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of how bios with REQ_DMABUF are split, see block/blk-dmabuf.c
 *
 * What the fake disk was asked for is compared with what a much simpler
 * splitter would have made of it, one that walks the buffer in small steps.
 */
#include <kunit/test.h>
#include <linux/prandom.h>

#include "../blk.h"
#include "fake.h"

/* How much of it the size limits allow for a request, which @max is one of */
static u64 ref_max_bytes(const struct queue_limits *lim, u64 max,
			 sector_t sector)
{
	u64 pos = sector << SECTOR_SHIFT, chunk, end;

	if (lim->chunk_sectors) {
		chunk = (u64)lim->chunk_sectors << SECTOR_SHIFT;
		max = min(max, chunk - pos % chunk);
	}
	/* End at a physical block, if that is possible */
	end = round_down(pos + max, lim->physical_block_size);
	return end > pos ? end - pos : round_down(max, lim->logical_block_size);
}

/* How much the segments allow; all of them are multiples of @grain bytes. */
static u64 ref_fit(const struct fake_buf *b, const struct queue_limits *lim,
		   u64 offset, u64 bytes, u64 max, unsigned int grain)
{
	u64 n, addr, end = 0, left = 0;
	unsigned int nsegs = 0, room = 0;

	for (n = 0; n < min(bytes, max); n += grain, room -= grain) {
		bool next = left == grain;

		addr = fake_buf_addr(b, offset + n, &left);
		if (!n || next || !room || !(addr & lim->seg_boundary_mask)) {
			if (n && ((addr | end) & lim->virt_boundary_mask))
				break;
			if (nsegs++ == lim->max_segments)
				break;
			room = lim->max_segment_size;
		}
		end = addr + grain;
	}
	return n == bytes ? n : round_down(n, lim->logical_block_size);
}

/* Does the transfer, and checks it against the above. */
static unsigned int check_split(struct fake_disk *d, struct fake_buf *b,
				sector_t sector, u64 offset, unsigned int bytes,
				unsigned int grain)
{
	const struct queue_limits *lim = fake_disk_limits(d);
	struct kunit *test = d->test;
	unsigned int nr = 0;
	u64 done = 0, n;
	int ret;

	fake_disk_forget(d);
	ret = fake_rw(d, b, sector, offset, bytes);
	KUNIT_ASSERT_STREQ(test, d->fault, "");

	for (; done < bytes; done += n, nr++) {
		sector_t pos = sector + SECTORS(done);

		n = ref_fit(b, lim, offset + done, bytes - done,
			    ref_max_bytes(lim, d->max_bytes, pos), grain);
		if (!n)
			break;
		KUNIT_ASSERT_GT(test, d->nr_reqs, nr);
		KUNIT_ASSERT_EQ(test, d->req[nr].sector, pos);
		KUNIT_ASSERT_EQ(test, d->req[nr].bytes, n);
	}
	KUNIT_ASSERT_EQ(test, d->nr_reqs, nr);
	/* What cannot be split fails, but not what was split off before */
	KUNIT_ASSERT_EQ(test, ret, done == bytes ? 0 : -EINVAL);
	fake_disk_expect(d, b, sector, offset, done);
	return nr;
}

struct split_case {
	const char *name;
	struct queue_limits lim;
	const struct dma_buf_segment *seg;
	sector_t sector;
	u64 offset;
	unsigned int bytes;
	unsigned int grain;	/* 4 if not set */
	unsigned int nr_reqs;
	unsigned int nr_segs;	/* in all of them */
};

/* A list of segments, ended by an empty one */
#define SEGS(...)	.seg = (const struct dma_buf_segment[]){ __VA_ARGS__, { } }

static const struct split_case split_cases[] = {
	{
		.name = "one segment",
		SEGS({ 0x10000, SZ_64K }),
		.sector = 8, .bytes = SZ_64K, .nr_reqs = 1, .nr_segs = 1,
	}, {
		.name = "inside a segment",
		SEGS({ 0x10000, SZ_64K }),
		.offset = 0x1200, .bytes = SZ_4K, .nr_reqs = 1, .nr_segs = 1,
	}, {
		.name = "many segments",
		SEGS({ 0x9000, 0x1000 }, { 0x3000, 0x2000 }, { 0x7000, 0x1000 },
		     { 0x40000, 0x4000 }, { 0x1000, 0x1000 }),
		.bytes = 0x9000, .nr_reqs = 1, .nr_segs = 5,
	}, {
		.name = "from within one segment to within another",
		SEGS({ 0x9000, 0x1000 }, { 0x3000, 0x2000 }, { 0x7000, 0x1000 },
		     { 0x40000, 0x4000 }, { 0x1000, 0x1000 }),
		.offset = 0x1800, .bytes = 0x4000, .nr_reqs = 1, .nr_segs = 3,
	}, {
		.name = "segments of half a block",
		SEGS({ 0x9000, 0x100 }, { 0x3000, 0x100 }, { 0x7000, 0x200 }),
		.bytes = 0x400, .nr_reqs = 1, .nr_segs = 3,
	}, {
		.name = "max_segments",
		.lim.max_segments = 2,
		SEGS({ 0x9000, 0x1000 }, { 0x3000, 0x2000 }, { 0x7000, 0x1000 },
		     { 0x40000, 0x4000 }, { 0x1000, 0x1000 }),
		.bytes = 0x9000, .nr_reqs = 3, .nr_segs = 5,
	}, {
		.name = "max_segment_size",
		.lim.max_segment_size = 0x2000,
		SEGS({ 0x11000, 0x5000 }, { 0x20000, 0x3000 }),
		.offset = 0x200, .bytes = 0x7000, .nr_reqs = 1, .nr_segs = 5,
	}, {
		.name = "max_segments and max_segment_size",
		.lim.max_segments = 3, .lim.max_segment_size = 0x1000,
		SEGS({ 0x11000, SZ_64K }),
		.bytes = SZ_64K, .nr_reqs = 6, .nr_segs = 16,
	}, {
		.name = "seg_boundary_mask",
		.lim.seg_boundary_mask = 0xffff, .lim.max_hw_sectors = 256,
		SEGS({ 0x1c000, 0x20000 }),
		.bytes = 0x20000, .nr_reqs = 1, .nr_segs = 3,
	}, {
		.name = "seg_boundary_mask and max_segments",
		.lim.seg_boundary_mask = 0xffff, .lim.max_segments = 1,
		SEGS({ 0x1c000, 0x20000 }),
		.bytes = 0x20000, .nr_reqs = 3, .nr_segs = 3,
	}, {
		.name = "seg_boundary_mask within 4 GiB",
		.lim.seg_boundary_mask = U32_MAX, .lim.max_segment_size = UINT_MAX,
		SEGS({ 0xffff8000, SZ_64K }),
		.bytes = SZ_64K, .nr_reqs = 1, .nr_segs = 2,
	}, {
		.name = "virt_boundary_mask, no gap",
		.lim.virt_boundary_mask = 0xfff,
		SEGS({ 0x1200, 0xe00 }, { 0x4000, 0x2000 }, { 0x8000, 0x200 }),
		.bytes = 0x3000, .nr_reqs = 1, .nr_segs = 3,
	}, {
		.name = "virt_boundary_mask, gap at an end",
		.lim.virt_boundary_mask = 0xfff,
		SEGS({ 0x1000, 0x1200 }, { 0x4000, 0x2000 }),
		.bytes = 0x3200, .nr_reqs = 2, .nr_segs = 2,
	}, {
		.name = "virt_boundary_mask, gap at a start",
		.lim.virt_boundary_mask = 0xfff,
		SEGS({ 0x1000, 0x1000 }, { 0x4200, 0x2000 }),
		.bytes = 0x3000, .nr_reqs = 2, .nr_segs = 2,
	}, {
		.name = "virt_boundary_mask, gap in a block",
		.lim.virt_boundary_mask = 0xfff,
		SEGS({ 0x1000, 0x1100 }, { 0x4000, 0x2000 }),
		.bytes = 0x3000, .nr_reqs = 1, .nr_segs = 1,
	}, {
		.name = "max_dmabuf_sectors above max_hw_sectors",
		.lim.max_hw_sectors = 256, .lim.max_dmabuf_sectors = 2048,
		.lim.max_segment_size = UINT_MAX,
		SEGS({ 0x1000000, SZ_2M }),
		.bytes = SZ_2M, .nr_reqs = 2, .nr_segs = 2,
	}, {
		.name = "max_dmabuf_sectors below max_hw_sectors",
		.lim.max_hw_sectors = 256, .lim.max_dmabuf_sectors = 16,
		SEGS({ 0x1000000, SZ_64K }),
		.bytes = SZ_64K, .nr_reqs = 8, .nr_segs = 8,
	}, {
		.name = "no max_dmabuf_sectors",
		.lim.max_hw_sectors = 256,
		.lim.max_segment_size = UINT_MAX,
		SEGS({ 0x1000000, SZ_512K }),
		.bytes = SZ_512K, .nr_reqs = 4, .nr_segs = 4,
	}, {
		.name = "no max_dmabuf_sectors, max_user_sectors",
		.lim.max_hw_sectors = 256, .lim.max_user_sectors = 128,
		SEGS({ 0x1000000, SZ_256K }),
		.bytes = SZ_256K, .nr_reqs = 4, .nr_segs = 4,
	}, {
		.name = "max_dmabuf_sectors above max_user_sectors",
		.lim.max_dmabuf_sectors = 2048, .lim.max_user_sectors = 128,
		SEGS({ 0x1000000, SZ_256K }),
		.bytes = SZ_256K, .nr_reqs = 4, .nr_segs = 4,
	}, {
		.name = "max_dmabuf_sectors in a block",
		.lim.max_dmabuf_sectors = 23, .lim.logical_block_size = SZ_4K,
		SEGS({ 0x1000000, SZ_64K }),
		.bytes = SZ_64K, .nr_reqs = 8, .nr_segs = 8,
	}, {
		.name = "max_dmabuf_sectors of 4 GiB",
		.lim.max_dmabuf_sectors = 1U << 23,
		SEGS({ 0x1000000, SZ_64K }),
		.bytes = SZ_64K, .nr_reqs = 1, .nr_segs = 1,
	}, {
		.name = "no end to max_dmabuf_sectors",
		.lim.max_dmabuf_sectors = UINT_MAX,
		SEGS({ 0x1000000, SZ_64K }),
		.bytes = SZ_64K, .nr_reqs = 1, .nr_segs = 1,
	}, {
		.name = "chunk_sectors",
		.lim.chunk_sectors = 16, .lim.max_dmabuf_sectors = 2048,
		SEGS({ 0x1000000, SZ_64K }),
		.sector = 1005, .bytes = 0x4000, .nr_reqs = 3, .nr_segs = 3,
	}, {
		.name = "chunk_sectors, not a power of two",
		.lim.chunk_sectors = 24, .lim.max_segments = 2,
		SEGS({ 0x9000, 0x1000 }, { 0x3000, 0x2000 }, { 0x7000, 0x1000 },
		     { 0x40000, 0x4000 }, { 0x1000, 0x1000 }),
		.sector = 20, .bytes = 0x9000, .nr_reqs = 5, .nr_segs = 8,
	}, {
		.name = "physical blocks",
		.lim.physical_block_size = SZ_4K, .lim.max_dmabuf_sectors = 20,
		SEGS({ 0x1000000, SZ_64K }),
		.sector = 3, .bytes = 0x6000, .nr_reqs = 4, .nr_segs = 4,
	}, {
		.name = "segments end in a block of 512",
		.lim.max_segments = 2,
		SEGS({ 0x9000, 0x304 }, { 0x3000, 0x3fc }, { 0x7000, 0x210 },
		     { 0x40000, 0x2f0 }),
		.bytes = 0xc00, .nr_reqs = 3, .nr_segs = 6,
	}, {
		.name = "segments end in a block of 4096",
		.lim.max_segments = 2, .lim.logical_block_size = SZ_4K,
		SEGS({ 0x9000, 0x1200 }, { 0x13000, 0x1000 }, { 0x27000, 0x1c00 },
		     { 0x40000, 0x2200 }),
		.bytes = 0x6000, .nr_reqs = 3, .nr_segs = 6,
	}, {
		.name = "too many segments for a block",
		.lim.max_segments = 3, .lim.logical_block_size = SZ_4K,
		SEGS({ 0x9000, 0x1000 }, { 0x3000, 0x400 }, { 0x17000, 0x400 },
		     { 0x4000, 0x400 }, { 0x1000, 0x400 }),
		.bytes = 0x2000, .nr_reqs = 1, .nr_segs = 1,
	}, {
		.name = "offset past 4 GiB",
		SEGS({ 0x100000000, 3ULL * SZ_1G }, { 0x200000000, SZ_4G }),
		.offset = 5ULL * SZ_1G + 0x600, .bytes = SZ_64K,
		.nr_reqs = 1, .nr_segs = 1,
	}, {
		.name = "across 4 GiB in a segment",
		.lim.max_dmabuf_sectors = 16,
		SEGS({ 0x100000000, 3ULL * SZ_1G }, { 0x200000000, SZ_4G }),
		.offset = SZ_4G - 0x4200, .bytes = SZ_64K,
		.nr_reqs = 8, .nr_segs = 8,
	}, {
		.name = "across 4 GiB between segments",
		SEGS({ 0x100000000, SZ_4G }, { 0x300000000, SZ_1G }),
		.offset = SZ_4G - 0x200, .bytes = 0x400,
		.nr_reqs = 1, .nr_segs = 2,
	}, {
		.name = "sector past 4 GiB",
		SEGS({ 0x10000, SZ_64K }),
		.sector = 0xffffff00, .bytes = SZ_64K,
		.nr_reqs = 1, .nr_segs = 1,
	}, {
		.name = "almost 4 GiB in one bio",
		.lim.max_dmabuf_sectors = 1U << 21, .lim.max_segment_size = SZ_2G,
		SEGS({ 0x100000000, 3ULL * SZ_1G }, { 0x200000000, SZ_4G }),
		.offset = SZ_1M, .bytes = SZ_4G - SZ_4K, .grain = SZ_4K,
		.nr_reqs = 4, .nr_segs = 5,
	}, {
		.name = "segments meet at 2 GiB",
		.lim.max_dmabuf_sectors = 1U << 22,
		.lim.seg_boundary_mask = 0x7fffffff, .lim.max_segment_size = UINT_MAX,
		SEGS({ 0x17ffff000, SZ_2G }),
		.bytes = SZ_64K,
		.nr_reqs = 1, .nr_segs = 2,
	},
};

KUNIT_ARRAY_PARAM_DESC(split, split_cases, name);

/* Requests are as large as the limits allow, and end where they say so. */
static void blk_dmabuf_split_test_table(struct kunit *test)
{
	const struct split_case *c = test->param_value;
	struct queue_limits lim = c->lim;
	unsigned int nr = 0, nr_segs = 0;
	struct fake_disk *d;
	struct fake_buf *b;

	while (c->seg[nr].len)
		nr++;
	b = fake_buf_create(test, c->seg, nr, READ);
	lim.features = BLK_FEAT_DMABUF;
	lim.dma_alignment = 3;
	d = fake_disk_create(test, "dmabuf0", &lim, 0);

	nr = check_split(d, b, c->sector, c->offset, c->bytes, c->grain ?: 4);
	KUNIT_EXPECT_EQ(test, nr, c->nr_reqs);
	while (nr--)
		nr_segs += d->req[nr].nr;
	KUNIT_EXPECT_EQ(test, nr_segs, c->nr_segs);
}

static unsigned int one_of(struct rnd_state *rnd, const unsigned int *of,
			   unsigned int nr)
{
	return of[prandom_u32_state(rnd) % nr];
}

#define ONE_OF(rnd, ...)						\
	one_of(rnd, (const unsigned int[]){ __VA_ARGS__ },		\
	       ARRAY_SIZE(((const unsigned int[]){ __VA_ARGS__ })))

static const unsigned int split_seeds[] = { 1, 2, 3, 4, 5, 6, 7, 8 };

static void split_seed_desc(const unsigned int *seed, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "seed %u", *seed);
}

KUNIT_ARRAY_PARAM(split_seed, split_seeds, split_seed_desc);

/* The same with limits and segments that nobody has thought of. */
static void blk_dmabuf_split_test_random(struct kunit *test)
{
	const unsigned int *seed = test->param_value;
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);
	struct dma_buf_segment seg[32];
	unsigned int round, some = 0;
	struct rnd_state rnd;

	prandom_seed_state(&rnd, *seed);
	for (round = 0; round < 40; round++) {
		unsigned int grain = ONE_OF(&rnd, 4, 64, SZ_512, SZ_4K);
		unsigned int lbs = ONE_OF(&rnd, SZ_512, SZ_4K);
		unsigned int nr = 1 + prandom_u32_state(&rnd) % ARRAY_SIZE(seg);
		unsigned int i, size = 0, offset, bytes;
		struct queue_limits lim = {
			.logical_block_size	= lbs,
			.physical_block_size	= max(lbs, ONE_OF(&rnd, SZ_512,
								  SZ_4K)),
			.dma_alignment		= 3,
			.max_hw_sectors		= ONE_OF(&rnd, 128, 256, 2048),
			.max_user_sectors	= ONE_OF(&rnd, 0, 0, 64, 1024),
			.max_dmabuf_sectors	= ONE_OF(&rnd, 0, 9, 64, 4096),
			.chunk_sectors		= ONE_OF(&rnd, 0, 0, 64, 120),
			.max_segments		= ONE_OF(&rnd, 1, 2, 3, 7, 64),
			.max_segment_size	= ONE_OF(&rnd, SZ_4K, 0x3000,
							 SZ_64K, UINT_MAX),
			.seg_boundary_mask	= ONE_OF(&rnd, SZ_4K, SZ_16K,
							 SZ_64K, 0) - 1,
			.virt_boundary_mask	= ONE_OF(&rnd, 0, 0, SZ_512 - 1,
							 SZ_4K - 1),
		};
		struct fake_buf *b;

		for (i = 0; i < nr; i++) {
			u32 page = prandom_u32_state(&rnd) & 0x7fffff;

			seg[i].addr = (u64)page * SZ_4K;
			seg[i].addr += prandom_u32_state(&rnd) % SZ_4K;
			seg[i].addr = round_down(seg[i].addr, grain);
			seg[i].len = 1 + prandom_u32_state(&rnd) % SZ_16K;
			seg[i].len = round_up(seg[i].len, grain);
			size += seg[i].len;
		}
		/* At least one block from any of the first grains on */
		seg[nr - 1].len += 2 * SZ_4K;
		size += 2 * SZ_4K;
		offset = prandom_u32_state(&rnd) % (size - SZ_4K);
		offset = round_down(offset, grain);
		bytes = 1 + prandom_u32_state(&rnd) % (size - offset);
		bytes = round_down(max(bytes, lbs), lbs);

		b = fake_buf_create(test, seg, nr, round % 2 ? WRITE : READ);
		fake_disk_set_limits(d, &lim);
		check_split(d, b, (round % 7) * SECTORS(lbs), offset, bytes,
			    min(grain, SZ_512));
		some += d->nr_reqs > 1;
		fake_buf_free(b);
	}
	/* The limits are such that there is something to split */
	KUNIT_EXPECT_GT(test, some, 10);
}

/* A driver must not see what its device cannot reach. */
static void blk_dmabuf_split_test_misaligned(struct kunit *test)
{
	static const struct dma_buf_segment addr_segs[] = {
		{ 0x10000, 0x1000 }, { 0x20002, 0x1000 },
	};
	static const struct dma_buf_segment len_segs[] = {
		{ 0x10000, 0x1002 }, { 0x20000, 0x0ffe },
	};
	struct fake_buf *addr = fake_buf_create(test, addr_segs, 2, READ);
	struct fake_buf *len = fake_buf_create(test, len_segs, 2, READ);
	struct fake_disk *d = fake_disk_create(test, "dmabuf0", &fake_limits, 0);

	KUNIT_EXPECT_EQ(test, fake_rw(d, addr, 0, 0, 0x1000), 0);
	KUNIT_EXPECT_EQ(test, fake_rw(d, addr, 0, 2, 0x1000),
			-EUNMAPPED);
	KUNIT_EXPECT_EQ(test, fake_rw(d, addr, 0, 0, 0x2000),
			-EUNMAPPED);
	KUNIT_EXPECT_EQ(test, fake_rw(d, addr, 0, 0x1000, 0x1000),
			-EUNMAPPED);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 1);
	fake_disk_expect(d, addr, 0, 0, 0x1000);

	fake_disk_forget(d);
	KUNIT_EXPECT_EQ(test, fake_rw(d, len, 0, 0, 0x1000), 0);
	KUNIT_EXPECT_EQ(test, fake_rw(d, len, 0, 0, 0x2000),
			-EUNMAPPED);
	KUNIT_EXPECT_EQ(test, d->nr_reqs, 1);
	fake_disk_expect(d, len, 0, 0, 0x1000);
}

/* Where a bio for all of a small buffer is split: the front in sectors, or why */
static int split_small(struct fake_disk *d, const struct fake_buf *b,
		       blk_opf_t opf, unsigned int *nsegs)
{
	struct bio bio;
	int ret;

	*nsegs = 0;
	fake_init_bio(&bio, d->disk->part0, b, 0, 0, SZ_64K);
	bio.bi_opf |= opf;
	ret = bio_split_rw_at(&bio, fake_disk_limits(d), nsegs, SZ_1M);
	bio_uninit(&bio);
	return ret;
}

/* The segments are those of now, and looking at them takes no time. */
static void blk_dmabuf_split_test_revoked(struct kunit *test)
{
	static const struct dma_buf_segment elsewhere[] = {
		{ 0x1000000, 0x1000 }, { 0x1800000, 0xf000 },
	};
	static const struct dma_buf_segment whole[] = { { 0x1000000, SZ_64K } };
	struct queue_limits lim = fake_limits;
	struct fake_buf *b = fake_buf_small(test);
	struct fake_disk *d;
	unsigned int nsegs;

	lim.max_segments = 2;
	d = fake_disk_create(test, "dmabuf0", &lim, 0);
	KUNIT_EXPECT_EQ(test, split_small(d, b, 0, &nsegs), -EUNMAPPED);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->maps), 0);

	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	KUNIT_EXPECT_EQ(test, split_small(d, b, 0, &nsegs), SECTORS(0xc000));
	KUNIT_EXPECT_EQ(test, nsegs, 2);
	/* What must not be split is not */
	KUNIT_EXPECT_EQ(test, split_small(d, b, REQ_NOWAIT, &nsegs), -EAGAIN);
	KUNIT_EXPECT_EQ(test, split_small(d, b, REQ_ATOMIC, &nsegs), -EINVAL);

	/* If one of these had kept a use of the map, that would not return */
	fake_buf_revoke(b);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 1);
	KUNIT_EXPECT_EQ(test, split_small(d, b, 0, &nsegs), -EUNMAPPED);
	KUNIT_EXPECT_EQ(test, split_small(d, b, REQ_NOWAIT, &nsegs), -EUNMAPPED);
	KUNIT_EXPECT_EQ(test, split_small(d, b, REQ_ATOMIC, &nsegs), -EUNMAPPED);

	fake_buf_move(b, elsewhere, ARRAY_SIZE(elsewhere));
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	KUNIT_EXPECT_EQ(test, split_small(d, b, REQ_ATOMIC, &nsegs), 0);
	KUNIT_EXPECT_EQ(test, nsegs, 2);
	fake_buf_move(b, whole, ARRAY_SIZE(whole));
	KUNIT_ASSERT_EQ(test, fake_buf_map(b, d), 0);
	KUNIT_EXPECT_EQ(test, split_small(d, b, REQ_NOWAIT, &nsegs), 0);
	KUNIT_EXPECT_EQ(test, nsegs, 1);

	/* Since the bio was submitted, the disk has lost what it takes */
	d->disk->queue->limits.features &= ~BLK_FEAT_DMABUF;
	KUNIT_EXPECT_EQ(test, split_small(d, b, 0, &nsegs), -EUNMAPPED);
	d->disk->queue->limits.features |= BLK_FEAT_DMABUF;
	KUNIT_EXPECT_EQ(test, split_small(d, b, 0, &nsegs), 0);
	fake_buf_revoke(b);
	KUNIT_EXPECT_EQ(test, atomic_read(&b->unmaps), 3);
}

static struct kunit_case blk_dmabuf_split_cases[] = {
	KUNIT_CASE_PARAM(blk_dmabuf_split_test_table, split_gen_params),
	KUNIT_CASE_PARAM(blk_dmabuf_split_test_random, split_seed_gen_params),
	KUNIT_CASE(blk_dmabuf_split_test_misaligned),
	KUNIT_CASE(blk_dmabuf_split_test_revoked),
	{ }
};

static struct kunit_suite blk_dmabuf_split_suite = {
	.name		= "blk_dmabuf_split",
	.test_cases	= blk_dmabuf_split_cases,
};

kunit_test_suite(blk_dmabuf_split_suite);

MODULE_DESCRIPTION("KUnit tests of how bios whose data is in a dma-buf are split");
MODULE_LICENSE("GPL");
