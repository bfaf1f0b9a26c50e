// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for maps of dma-bufs, as direct I/O makes, uses and ends them
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/dma-buf-dio.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <linux/workqueue.h>
#include <kunit/device.h>
#include "dma_buf_fake.h"

static const struct dma_buf_segment dio_seg[] = {
	{ 0x10000000, SZ_1M }, { 0x20000000, SZ_4K }, { 0x30000000, SZ_64K },
};

KUNIT_DEFINE_ACTION_WRAPPER(dio_put_action, dma_buf_dio_dev_put,
			    struct dma_buf_dio_dev *);
KUNIT_DEFINE_ACTION_WRAPPER(dio_end_action, dma_buf_dio_dev_end,
			    struct dma_buf_dio_dev *);

/* One disk more on the device; the object stays when the disk has ended. */
static struct dma_buf_dio_dev *dio_dev_of(struct kunit *test,
					  struct device *dev)
{
	struct dma_buf_dio_dev *ddev = dma_buf_dio_dev_get(dev);

	KUNIT_ASSERT_NOT_NULL(test, ddev);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, dio_put_action, ddev));
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, dio_end_action, ddev));
	return ddev;
}

static struct dma_buf_dio_dev *dio_dev(struct kunit *test, const char *name)
{
	return dio_dev_of(test, dma_buf_fake_device(test, name, DMA_BIT_MASK(64)));
}

static void dio_end(struct kunit *test, struct dma_buf_dio_dev *ddev)
{
	kunit_release_action(test, dio_end_action, ddev);
}

static struct dma_buf_fake *dio_export(struct kunit *test,
				       const struct dma_buf_ops *ops)
{
	return dma_buf_fake_export(test, ops, dio_seg, ARRAY_SIZE(dio_seg));
}

static struct dma_buf_dio_map *dio_map(struct dma_buf_fake *fake,
				       struct dma_buf_dio_dev *ddev)
{
	struct kunit *test = fake->test;
	struct dma_buf_dio_map *map;

	KUNIT_ASSERT_EQ(test, dma_buf_dio_map(fake->dmabuf, ddev, false), 0);
	map = dma_buf_dio_find(fake->dmabuf, ddev);
	KUNIT_ASSERT_NOT_NULL(test, map);
	return map;
}

static void dio_invalidate(struct dma_buf_fake *fake)
{
	dma_resv_lock(fake->dmabuf->resv, NULL);
	dma_buf_invalidate_mappings(fake->dmabuf);
	/* The exporter moves the memory now */
	KUNIT_EXPECT_EQ(fake->test, atomic_read(&fake->mapped), 0);
	dma_resv_unlock(fake->dmabuf->resv);
}

/* Whether I/O would find it mapped. */
static bool dio_usable(struct dma_buf_dio_map *map)
{
	if (!dma_buf_dio_map_get(map))
		return false;
	dma_buf_dio_map_put(map);
	return true;
}

static void dio_one_map_per_device(struct kunit *test)
{
	struct dma_buf_dio_dev *a = dio_dev(test, "a"), *b = dio_dev(test, "b");
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_dio_map *map_a, *map_b;

	dma_buf_fake_expect(fake, 0, 0);
	KUNIT_EXPECT_NULL(test, dma_buf_dio_find(fake->dmabuf, a));

	map_a = dio_map(fake, a);
	dma_buf_fake_expect(fake, 1, 1);
	KUNIT_EXPECT_NULL(test, dma_buf_dio_find(fake->dmabuf, b));

	map_b = dio_map(fake, b);
	dma_buf_fake_expect(fake, 2, 2);

	/* All who come later share them, with or without waiting */
	KUNIT_EXPECT_PTR_NE(test, map_a, map_b);
	KUNIT_EXPECT_PTR_EQ(test, dio_map(fake, a), map_a);
	KUNIT_EXPECT_PTR_EQ(test, dio_map(fake, b), map_b);
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, a, true), 0);
	KUNIT_EXPECT_TRUE(test, dio_usable(map_a));
	KUNIT_EXPECT_TRUE(test, dio_usable(map_b));
	dma_buf_fake_expect(fake, 2, 2);

	KUNIT_EXPECT_PTR_EQ(test, map_a->ddev, a);
	KUNIT_EXPECT_PTR_EQ(test, map_b->ddev, b);
	KUNIT_EXPECT_PTR_EQ(test, map_a->dmabuf, fake->dmabuf);
	KUNIT_EXPECT_PTR_NE(test, map_a->attach->dev, map_b->attach->dev);
	KUNIT_EXPECT_EQ(test, map_a->segs->nr, ARRAY_SIZE(dio_seg));
	KUNIT_EXPECT_EQ(test, map_a->nth, 1);
	KUNIT_EXPECT_EQ(test, map_b->nth, 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attaches), 2);

	/* They stay until the buffer goes */
	dma_buf_fake_end(fake);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->maps), 2);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attached), 0);
}

/* It is the device that the buffer is mapped for, not the disk. */
static void dio_disks(struct kunit *test)
{
	struct device *dev = dma_buf_fake_device(test, "disks", DMA_BIT_MASK(64));
	struct dma_buf_dio_dev *other = dio_dev(test, "other");
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_dio_dev *ddev = dio_dev_of(test, dev), *again;
	struct dma_buf_dio_map *map, *map_again;

	KUNIT_EXPECT_PTR_NE(test, other, ddev);
	KUNIT_EXPECT_PTR_EQ(test, dio_dev_of(test, dev), ddev);
	map = dio_map(fake, ddev);
	KUNIT_EXPECT_PTR_EQ(test, dio_dev_of(test, dev), ddev);

	/* It ends with the last one of them */
	dio_end(test, ddev);
	dio_end(test, ddev);
	KUNIT_EXPECT_TRUE(test, dio_usable(map));
	dma_buf_fake_expect(fake, 1, 1);
	dio_end(test, ddev);
	KUNIT_EXPECT_FALSE(test, dio_usable(map));
	dma_buf_fake_expect(fake, 0, 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attached), 0);

	/* The next one has nothing to do with those that were there */
	again = dio_dev_of(test, dev);
	KUNIT_EXPECT_PTR_NE(test, again, ddev);
	KUNIT_EXPECT_NULL(test, dma_buf_dio_find(fake->dmabuf, again));
	map_again = dio_map(fake, again);
	KUNIT_EXPECT_PTR_NE(test, map_again, map);
	KUNIT_EXPECT_EQ(test, map_again->nth, 1);
	KUNIT_EXPECT_TRUE(test, dio_usable(map_again));
	KUNIT_EXPECT_FALSE(test, dio_usable(map));
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, ddev, false), -ENODEV);
	dma_buf_fake_expect(fake, 1, 2);
}

static void dio_attachment(struct kunit *test)
{
	static const struct dma_buf_ops * const ops[] = {
		&dma_buf_fake_sgt_ops, &dma_buf_fake_unpinned_ops,
		&dma_buf_fake_seg_ops,
	};
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dma_buf_dio_map *map;
	struct dma_buf_fake *fake;
	unsigned int i, ro;

	for (i = 0; i < ARRAY_SIZE(ops) * 2; i++) {
		ro = i % 2;
		fake = ro ? dma_buf_fake_export_ro(test, ops[i / 2], dio_seg,
						   ARRAY_SIZE(dio_seg)) :
			    dio_export(test, ops[i / 2]);
		map = dio_map(fake, ddev);

		/* Else exporters would move device memory, or refuse */
		KUNIT_EXPECT_TRUE(test, map->attach->peer2peer);
		KUNIT_EXPECT_TRUE(test, dma_buf_attach_revocable(map->attach));

		/* No device may write to what was made read-only */
		KUNIT_EXPECT_EQ(test, fake->dir,
				ro ? DMA_TO_DEVICE : DMA_BIDIRECTIONAL);

		/* The exporter compares that with how it is unmapped */
		dio_invalidate(fake);
		KUNIT_EXPECT_PTR_EQ(test, dio_map(fake, ddev), map);
		dma_buf_fake_expect(fake, 1, 2);
		dma_buf_fake_end(fake);
	}
}

/* The segment that holds an offset, found by walking. */
static unsigned int dio_walk(const struct dma_buf_segment *seg, u64 offset)
{
	unsigned int i;

	for (i = 0; offset >= seg[i].len; i++)
		offset -= seg[i].len;
	return i;
}

static void dio_expect_index(struct kunit *test,
			     const struct dma_buf_dio_map *map,
			     const struct dma_buf_segment *seg, u64 offset)
{
	unsigned int i = dma_buf_dio_map_index(map, offset);

	KUNIT_ASSERT_EQ_MSG(test, i, dio_walk(seg, offset), "offset %llu", offset);
	KUNIT_ASSERT_LE(test, map->start[i], offset);
	KUNIT_ASSERT_LT(test, offset - map->start[i], map->segs->seg[i].len);
}

/* Small ones are looked up byte by byte, others where segments meet. */
static void dio_check_index(struct kunit *test, struct dma_buf_dio_dev *ddev,
			    const struct dma_buf_segment *seg, unsigned int nr)
{
	struct dma_buf_fake *fake = dma_buf_fake_export(test,
							&dma_buf_fake_seg_ops,
							seg, nr);
	struct dma_buf_dio_map *map = dio_map(fake, ddev);
	u64 offset = 0, size = fake->dmabuf->size;
	unsigned int i;

	if (size <= SZ_1K)
		for (offset = 0; offset < size; offset++)
			dio_expect_index(test, map, seg, offset);

	for (i = 0, offset = 0; i < nr; offset += seg[i++].len) {
		KUNIT_ASSERT_EQ(test, map->start[i], offset);
		dio_expect_index(test, map, seg, offset);
		dio_expect_index(test, map, seg, offset + seg[i].len / 2);
		dio_expect_index(test, map, seg, offset + seg[i].len - 1);
	}
	dma_buf_fake_end(fake);
}

static void dio_index(struct kunit *test)
{
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	const unsigned int max_nr = 100;
	struct dma_buf_segment *seg;
	struct rnd_state rnd;
	unsigned int i, j, nr;

	prandom_seed_state(&rnd, 3);
	for (i = 0; i < 100; i++) {
		/* 1 to 8 bytes in a segment, up to 8 GiB where that is possible */
		unsigned int shift = i % 2 ? 0 : BITS_PER_LONG == 64 ? 30 : 21;

		seg = kunit_kcalloc(test, max_nr, sizeof(*seg), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, seg);

		nr = i < 6 ? i + 1 : prandom_u32_state(&rnd) % max_nr + 1;
		for (j = 0; j < nr; j++) {
			seg[j].addr = (dma_addr_t)prandom_u32_state(&rnd) << PAGE_SHIFT;
			seg[j].len = (prandom_u32_state(&rnd) % 8 + 1ULL) << shift;
		}
		dio_check_index(test, ddev, seg, nr);
	}
}

/* What a device cares for is where a segment begins, and where it must end. */
static void dio_misalign(struct kunit *test)
{
	static const struct dma_buf_segment seg[] = {
		{ 0x10000000, SZ_4K + 16 }, { 0x20000400, SZ_8K },
		{ 0x30000000, 2 },
	};
	static const struct dma_buf_segment aligned[] = {
		{ 0x10000000, SZ_4K }, { 0x40000000, SZ_8K + 18 },
	};
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dma_buf_dio_map *map;
	struct dma_buf_fake *fake;

	fake = dma_buf_fake_export(test, &dma_buf_fake_seg_ops,
				   seg, ARRAY_SIZE(seg));
	map = dio_map(fake, ddev);
	KUNIT_EXPECT_EQ(test, map->misalign, 0x30000410 | SZ_4K | SZ_8K);

	/* The buffer moves */
	dio_invalidate(fake);
	fake->seg = aligned;
	fake->nr = ARRAY_SIZE(aligned);
	KUNIT_EXPECT_PTR_EQ(test, dio_map(fake, ddev), map);
	KUNIT_EXPECT_EQ(test, map->misalign, 0x50000000 | SZ_4K);
}

static void dio_set_attach_error(struct dma_buf_fake *fake, int error)
{
	fake->attach_error = error;
}

static void dio_set_map_error(struct dma_buf_fake *fake, int error)
{
	fake->map_error = error;
}

/* Less than the buffer has: to go on would be I/O to somewhere else. */
static void dio_set_short(struct dma_buf_fake *fake, int error)
{
	fake->nr = ARRAY_SIZE(dio_seg) - !!error;
}

static void dio_set_none(struct dma_buf_fake *fake, int error)
{
	fake->nr = error ? 0 : ARRAY_SIZE(dio_seg);
}

/* Nobody would get past it. */
static void dio_set_empty(struct dma_buf_fake *fake, int error)
{
	static const struct dma_buf_segment empty[] = {
		{ 0x10000000, SZ_1M }, { 0x20000000, 0 },
		{ 0x30000000, SZ_64K + SZ_4K },
	};

	static_assert(ARRAY_SIZE(empty) == ARRAY_SIZE(dio_seg));
	fake->seg = error ? empty : dio_seg;
}

static const struct dio_error_param {
	const char *desc;
	void (*set)(struct dma_buf_fake *fake, int error);
	int error;
	int attaches, maps;	/* that are made, of which the latter end */
	bool sgt_fine;		/* a table may have what segments may not */
} dio_error_params[] = {
	{ "attach", dio_set_attach_error, -EBUSY, 0, 0 },
	{ "map", dio_set_map_error, -ENXIO, 1, 0 },
	{ "short", dio_set_short, -EIO, 1, 1 },
	{ "no segments", dio_set_none, -EIO, 1, 1 },
	{ "empty segment", dio_set_empty, -EIO, 1, 1, true },
};

KUNIT_ARRAY_PARAM_DESC(dio_error, dio_error_params, desc);

static void dio_expect_unmapped(struct dma_buf_fake *fake,
				struct dma_buf_dio_dev *ddev)
{
	struct dma_buf_dio_map *map = dma_buf_dio_find(fake->dmabuf, ddev);
	struct kunit *test = fake->test;

	KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), 0);
	if (!map)
		return;
	KUNIT_EXPECT_FALSE(test, dio_usable(map));
	KUNIT_EXPECT_NULL(test, map->segs);
	KUNIT_EXPECT_NULL(test, map->start);
}

static void dio_error(struct kunit *test)
{
	struct dma_buf_dio_dev *a = dio_dev(test, "a"), *b = dio_dev(test, "b");
	const struct dio_error_param *p = test->param_value;
	static const struct dma_buf_ops * const ops[] = {
		&dma_buf_fake_seg_ops, &dma_buf_fake_sgt_ops,
	};
	struct dma_buf_dio_map *map;
	struct dma_buf_fake *fake;
	unsigned int i;

	for (i = 0; i < (p->sgt_fine ? 1 : ARRAY_SIZE(ops)); i++) {
		/* The core refuses an empty scatterlist itself to debug it */
		if (IS_ENABLED(CONFIG_DMABUF_DEBUG) && i && p->set == dio_set_none)
			continue;
		fake = dio_export(test, ops[i]);

		p->set(fake, p->error);
		KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, a, false),
				p->error);
		dio_expect_unmapped(fake, a);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->attached), p->attaches);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->maps), p->maps);

		/* It is asked again, and there is only one attachment to ask by */
		KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, a, true),
				p->error);
		dio_expect_unmapped(fake, a);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->attaches), p->attaches);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->maps), 2 * p->maps);
		p->set(fake, 0);

		/* Neither that device nor another one is worse off now */
		map = dio_map(fake, a);
		KUNIT_EXPECT_TRUE(test, dio_usable(map));
		KUNIT_EXPECT_EQ(test, map->nth, 1);
		KUNIT_EXPECT_TRUE(test, dio_usable(dio_map(fake, b)));
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), 2);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->attached), 2);

		/* Nor if it was mapped before, except that it is attached */
		dio_invalidate(fake);
		p->set(fake, p->error);
		if (p->attaches) {
			KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, a,
							      false), p->error);
			dio_expect_unmapped(fake, a);
		}
		p->set(fake, 0);
		KUNIT_EXPECT_PTR_EQ(test, dio_map(fake, a), map);
		KUNIT_EXPECT_EQ(test, map->nth, 2);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->attaches), 2);
		dma_buf_fake_end(fake);
	}
}

/* Zero-length entries of a table are not even seen. */
static void dio_empty_sgt_entry(struct kunit *test)
{
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_dio_map *map;

	dio_set_empty(fake, -EIO);
	map = dio_map(fake, dio_dev(test, "disk"));
	KUNIT_EXPECT_EQ(test, map->segs->nr, 2);
}

/* What was asked of a device that is not coherent. */
static struct {
	unsigned int nr;
	struct {
		dma_addr_t addr;
		size_t len;
		enum dma_data_direction dir;
		bool to_device;
	} call[8];
} dio_synced;

static void dio_record_sync(dma_addr_t addr, size_t len,
			    enum dma_data_direction dir, bool to_device)
{
	unsigned int i = dio_synced.nr++;

	if (i >= ARRAY_SIZE(dio_synced.call))
		return;
	dio_synced.call[i].addr = addr;
	dio_synced.call[i].len = len;
	dio_synced.call[i].dir = dir;
	dio_synced.call[i].to_device = to_device;
}

static void dio_sync_for_cpu(struct device *dev, dma_addr_t addr, size_t len,
			     enum dma_data_direction dir)
{
	dio_record_sync(addr, len, dir, false);
}

static void dio_sync_for_device(struct device *dev, dma_addr_t addr, size_t len,
				enum dma_data_direction dir)
{
	dio_record_sync(addr, len, dir, true);
}

static size_t dio_max_mapping_size(struct device *dev)
{
	return SZ_256K;
}

static dma_addr_t dio_map_phys(struct device *dev, phys_addr_t phys, size_t len,
			       enum dma_data_direction dir, unsigned long attrs)
{
	return phys;
}

static const struct dma_map_ops dio_coherent_ops = {
};

static const struct dma_map_ops dio_sync_ops = {
	.map_phys		= dio_map_phys,
	.sync_single_for_cpu	= dio_sync_for_cpu,
	.sync_single_for_device	= dio_sync_for_device,
};

static const struct dma_map_ops dio_bounce_ops = {
	.sync_single_for_cpu	= dio_sync_for_cpu,
	.sync_single_for_device	= dio_sync_for_device,
	.max_mapping_size	= dio_max_mapping_size,
};

static struct dma_buf_dio_dev *dio_dev_with_ops(struct kunit *test,
						const char *name,
						const struct dma_map_ops *ops)
{
	struct device *dev;

	if (!IS_ENABLED(CONFIG_ARCH_HAS_DMA_OPS))
		kunit_skip(test, "devices have no operations for DMA");

	dev = dma_buf_fake_device(test, name, DMA_BIT_MASK(64));
	set_dma_ops(dev, ops);
	KUNIT_ASSERT_EQ(test, 0,
			dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64)));
	return dio_dev_of(test, dev);
}

static const struct dio_coherent_param {
	const char *desc;
	const struct dma_map_ops *dma_ops;
	const struct dma_buf_ops *ops;
	int error;
	bool sync;
	int map_error;
} dio_coherent_params[] = {
	{ "coherent", &dio_coherent_ops, &dma_buf_fake_sgt_ops, 0, false },
	{ "coherent, segments", &dio_coherent_ops, &dma_buf_fake_seg_ops, 0,
	  false },
	{ "exporter with sg table", &dio_sync_ops, &dma_buf_fake_sgt_ops,
	  -EOPNOTSUPP },
	{ "exporter with segments", &dio_sync_ops, &dma_buf_fake_seg_ops, 0,
	  true },
	{ "bounced sg table", &dio_bounce_ops, &dma_buf_fake_sgt_ops,
	  -EOPNOTSUPP },
	{ "bounced segments", &dio_bounce_ops, &dma_buf_fake_seg_ops,
	  -EOPNOTSUPP },
	{ "too large to bounce", &dio_bounce_ops, &dma_buf_fake_seg_ops,
	  -EIO, .map_error = -EIO },
};

KUNIT_ARRAY_PARAM_DESC(dio_coherent, dio_coherent_params, desc);

/* Does the device see what the CPU does, and if not, who sees to that? */
static void dio_coherent(struct kunit *test)
{
	const struct dio_coherent_param *p = test->param_value;
	struct dma_buf_dio_dev *ddev = dio_dev_with_ops(test, "disk", p->dma_ops);
	struct dma_buf_fake *fake = dio_export(test, p->ops);
	struct dma_buf_dio_map *map;

	fake->map_error = p->map_error;
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, ddev, false), p->error);
	map = dma_buf_dio_find(fake->dmabuf, ddev);
	KUNIT_ASSERT_NOT_NULL(test, map);
	KUNIT_EXPECT_EQ(test, dio_usable(map), !p->error);
	dma_buf_fake_expect(fake, !p->error, !p->map_error);
	if (!p->error)
		KUNIT_EXPECT_EQ(test, map->sync, p->sync);
}

static void dio_expect_sync(struct kunit *test, unsigned int i, dma_addr_t addr,
			    size_t len, enum dma_data_direction dir,
			    bool to_device)
{
	KUNIT_EXPECT_EQ_MSG(test, dio_synced.call[i].addr, addr, "call %u", i);
	KUNIT_EXPECT_EQ_MSG(test, dio_synced.call[i].len, len, "call %u", i);
	KUNIT_EXPECT_EQ_MSG(test, dio_synced.call[i].dir, dir, "call %u", i);
	KUNIT_EXPECT_EQ_MSG(test, dio_synced.call[i].to_device, to_device,
			    "call %u", i);
}

/* Nothing but what a transfer is about: something else may be next to it. */
static void dio_sync(struct kunit *test)
{
	static const struct dma_buf_segment seg[] = {
		{ DMA_BUF_FAKE_PHYS, SZ_1M },
		{ DMA_BUF_FAKE_PHYS + 0x10000000, SZ_4K },
		{ DMA_BUF_FAKE_PHYS + 0x20000000, SZ_64K },
	};
	struct dma_buf_dio_dev *ddev, *coherent;
	const size_t pos = SZ_1M - SZ_8K, len = SZ_8K + SZ_4K + 512;
	const struct splice_memory_ops *ops;
	struct dma_buf_fake *fake;
	struct iov_iter iter;
	struct device *dev;
	struct file *mem;
	dma_addr_t addr;
	unsigned int i;

	ddev = dio_dev_with_ops(test, "disk", &dio_sync_ops);
	coherent = dio_dev_with_ops(test, "coherent", &dio_coherent_ops);
	fake = dma_buf_fake_export(test, &dma_buf_fake_seg_ops,
				   seg, ARRAY_SIZE(seg));
	mem = fake->dmabuf->file;
	ops = mem->f_op->splice_memory;
	dev = dio_map(fake, ddev)->attach->dev;
	dio_map(fake, coherent);

	/* As an exporter would, so that those who debug DMA know of it */
	for (i = 0; i < ARRAY_SIZE(seg); i++) {
		addr = dma_map_phys(dev, seg[i].addr, seg[i].len,
				    DMA_BIDIRECTIONAL, DMA_ATTR_MMIO);
		KUNIT_EXPECT_FALSE(test, dma_mapping_error(dev, addr));
	}

	/* What caches hold of it must not be written over what comes */
	dio_synced.nr = 0;
	ops->iter(mem, &iter, READ, pos, len);
	KUNIT_EXPECT_EQ(test, dio_synced.nr, 3);
	dio_expect_sync(test, 0, seg[0].addr + pos, SZ_8K, DMA_FROM_DEVICE, true);
	dio_expect_sync(test, 1, seg[1].addr, SZ_4K, DMA_FROM_DEVICE, true);
	dio_expect_sync(test, 2, seg[2].addr, 512, DMA_FROM_DEVICE, true);

	dio_synced.nr = 0;
	ops->moved(mem, mem, READ, pos, 0, len, len, DIO_DIRECT);
	KUNIT_EXPECT_EQ(test, dio_synced.nr, 3);
	dio_expect_sync(test, 0, seg[0].addr + pos, SZ_8K, DMA_FROM_DEVICE, false);
	dio_expect_sync(test, 1, seg[1].addr, SZ_4K, DMA_FROM_DEVICE, false);
	dio_expect_sync(test, 2, seg[2].addr, 512, DMA_FROM_DEVICE, false);

	dio_synced.nr = 0;
	ops->iter(mem, &iter, WRITE, SZ_1M + 4, 8);
	KUNIT_EXPECT_EQ(test, dio_synced.nr, 1);
	dio_expect_sync(test, 0, seg[1].addr + 4, 8, DMA_TO_DEVICE, true);

	/* The device has not written, or not even been asked to */
	dio_synced.nr = 0;
	ops->moved(mem, mem, WRITE, SZ_1M + 4, 0, 8, 8, DIO_DIRECT);
	ops->moved(mem, mem, READ, SZ_1M + 4, 0, 8, 8, DIO_BUFFERED);
	KUNIT_EXPECT_EQ(test, dio_synced.nr, 0);

	/* To unmap it was enough */
	dio_invalidate(fake);
	for (i = 0; i < ARRAY_SIZE(seg); i++)
		dma_unmap_phys(dev, seg[i].addr, seg[i].len, DMA_BIDIRECTIONAL,
			       DMA_ATTR_MMIO);
	ops->iter(mem, &iter, READ, pos, len);
	ops->moved(mem, mem, READ, pos, 0, len, len, DIO_DIRECT);
	KUNIT_EXPECT_EQ(test, dio_synced.nr, 0);
}

static void dio_free_page(void *page)
{
	__free_page(page);
}

/* In one segment, pages that are bounced may come after others. */
static void dio_bounced_in_part(struct kunit *test)
{
	struct device *dev = dma_buf_fake_device(test, "disk", DMA_BIT_MASK(32));
	struct dma_buf_segment seg = { .len = 2 * PAGE_SIZE };
	struct page *page = alloc_page(GFP_KERNEL);
	struct dma_buf_dio_dev *ddev;
	struct dma_buf_fake *fake;
	dma_addr_t addr, first;
	bool bounced;

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, dio_free_page,
							   page));
	addr = dma_map_page(dev, page, 0, PAGE_SIZE, DMA_TO_DEVICE);
	if (dma_mapping_error(dev, addr))
		kunit_skip(test, "the device reaches nothing");
	bounced = dma_need_sync(dev, addr);
	/* Where what is bounced begins */
	for (first = addr; bounced && dma_need_sync(dev, first - PAGE_SIZE); )
		first -= PAGE_SIZE;
	dma_unmap_page(dev, addr, PAGE_SIZE, DMA_TO_DEVICE);
	if (!bounced)
		kunit_skip(test, "no memory is bounced for a device");

	ddev = dio_dev_of(test, dev);
	seg.addr = first - PAGE_SIZE;
	fake = dma_buf_fake_export(test, &dma_buf_fake_seg_ops, &seg, 1);
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, ddev, false),
			-EOPNOTSUPP);
	dio_expect_unmapped(fake, ddev);

	seg.addr -= PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, ddev, false), 0);
	dma_buf_fake_end(fake);
}

/* Real IOMMUs are coherent enough, whatever the kernel is there to debug. */
static void dio_iommu(struct kunit *test)
{
	struct device *dev = dma_buf_fake_iommu_device(test);
	struct dma_buf_fake *fake;

	/* As its driver does */
	KUNIT_ASSERT_EQ(test, 0, dma_set_mask(dev, dma_get_mask(dev)));

	fake = dio_export(test, &dma_buf_fake_sgt_ops);
	KUNIT_EXPECT_TRUE(test, dio_usable(dio_map(fake, dio_dev_of(test, dev))));
}

static void dio_revoke(struct kunit *test)
{
	struct dma_buf_dio_dev *a = dio_dev(test, "a"), *b = dio_dev(test, "b");
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_seg_ops);
	struct dma_buf_fake *other = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_dio_map *map_a, *map_b, *other_map;

	map_a = dio_map(fake, a);
	map_b = dio_map(fake, b);
	other_map = dio_map(other, a);

	/* Nobody uses it, so it has ended when the exporter goes on */
	dio_invalidate(fake);
	dio_expect_unmapped(fake, a);
	dio_expect_unmapped(fake, b);
	KUNIT_EXPECT_TRUE(test, dio_usable(other_map));
	dma_buf_fake_expect(other, 1, 1);

	/* There is nothing to do about what has ended, or never began */
	dio_invalidate(fake);
	dma_buf_fake_expect(fake, 0, 2);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attached), 2);

	/* To be mapped again is something else, and I/O can tell */
	KUNIT_EXPECT_PTR_EQ(test, dio_map(fake, a), map_a);
	KUNIT_EXPECT_EQ(test, map_a->nth, 2);
	KUNIT_EXPECT_TRUE(test, dio_usable(map_a));
	KUNIT_EXPECT_FALSE(test, dio_usable(map_b));
	KUNIT_EXPECT_PTR_EQ(test, map_a->segs->seg, fake->seg);
	dma_buf_fake_expect(fake, 1, 3);
	KUNIT_EXPECT_PTR_EQ(test, dio_map(fake, b), map_b);
	KUNIT_EXPECT_EQ(test, map_b->nth, 2);
	dma_buf_fake_expect(fake, 2, 4);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attaches), 2);
}

static void dio_end_of_device(struct kunit *test)
{
	struct dma_buf_dio_dev *a = dio_dev(test, "a"), *b = dio_dev(test, "b");
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_fake *second = dio_export(test, &dma_buf_fake_seg_ops);
	struct dma_buf_fake *late = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_dio_map *map_b;

	dio_map(fake, a);
	dio_map(second, a);
	map_b = dio_map(fake, b);
	dma_buf_fake_expect(fake, 2, 2);

	/* Transfers go on, but not on that device */
	dio_end(test, a);
	KUNIT_EXPECT_FALSE(test, dio_usable(dma_buf_dio_find(fake->dmabuf, a)));
	dio_expect_unmapped(second, a);
	dma_buf_fake_expect(fake, 1, 2);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attached), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&second->attached), 0);
	KUNIT_EXPECT_TRUE(test, dio_usable(map_b));
	KUNIT_EXPECT_PTR_EQ(test, dio_map(fake, b), map_b);

	/* Whether it was mapped there before or not */
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, a, false), -ENODEV);
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(second->dmabuf, a, true), -ENODEV);
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(late->dmabuf, a, false), -ENODEV);
	KUNIT_EXPECT_NULL(test, dma_buf_dio_find(late->dmabuf, a));
	KUNIT_EXPECT_EQ(test, atomic_read(&late->attaches), 0);
	dma_buf_fake_expect(fake, 1, 2);

	/* What is not attached any more is not told, either */
	dio_invalidate(fake);
	dio_invalidate(second);
	dma_buf_fake_end(second);

	/* Drivers without DMA have none */
	dma_buf_dio_dev_end(NULL);
	dma_buf_dio_dev_put(NULL);
}

/* The disk may be gone before the buffer is. */
static void dio_release_after_put(struct kunit *test)
{
	struct device *dev = dma_buf_fake_device(test, "disk", DMA_BIT_MASK(64));
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_dio_dev *ddev = dma_buf_dio_dev_get(dev);
	unsigned int refs = kref_read(&dev->kobj.kref);

	KUNIT_ASSERT_NOT_NULL(test, ddev);
	/* It attaches the device, and detaches it when the disk goes away */
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, ddev, false), 0);

	dma_buf_dio_dev_end(ddev);
	dma_buf_dio_dev_put(ddev);
	dma_buf_fake_expect(fake, 0, 1);
	KUNIT_EXPECT_EQ(test, kref_read(&dev->kobj.kref), refs);
	dma_buf_fake_end(fake);
	KUNIT_EXPECT_EQ(test, kref_read(&dev->kobj.kref), refs - 1);
}

/*
 * Races.  What another task does is a job, and the exporter can hold one of
 * them up inside of a call.
 */
struct dio_job {
	struct work_struct work;
	struct dma_buf_fake *fake;
	struct dma_buf_dio_dev *ddev;
	bool nonblock;
	int ret;
	bool done;
};

static void dio_job_map(struct work_struct *work)
{
	struct dio_job *job = container_of(work, struct dio_job, work);

	job->ret = dma_buf_dio_map(job->fake->dmabuf, job->ddev, job->nonblock);
	WRITE_ONCE(job->done, true);
}

static void dio_job_invalidate(struct work_struct *work)
{
	struct dio_job *job = container_of(work, struct dio_job, work);

	dio_invalidate(job->fake);
	WRITE_ONCE(job->done, true);
}

static void dio_job_release(struct work_struct *work)
{
	struct dio_job *job = container_of(work, struct dio_job, work);

	dma_buf_fake_end(job->fake);
	WRITE_ONCE(job->done, true);
}

static void dio_job_end(struct work_struct *work)
{
	struct dio_job *job = container_of(work, struct dio_job, work);

	dio_end(job->fake->test, job->ddev);
	WRITE_ONCE(job->done, true);
}

static void dio_job_use(struct work_struct *work)
{
	struct dio_job *job = container_of(work, struct dio_job, work);
	struct dma_buf_dio_map *map;

	map = dma_buf_dio_find(job->fake->dmabuf, job->ddev);
	if (map && dma_buf_dio_map_get(map)) {
		fsleep(100);
		KUNIT_EXPECT_GT(job->fake->test, atomic_read(&job->fake->mapped), 0);
		dma_buf_dio_map_put(map);
	}
	WRITE_ONCE(job->done, true);
}

static void dio_job_start(struct dio_job *job, work_func_t func,
			  struct dma_buf_fake *fake, struct dma_buf_dio_dev *ddev)
{
	job->fake = fake;
	job->ddev = ddev;
	job->done = false;
	INIT_WORK(&job->work, func);
	queue_work(system_dfl_wq, &job->work);
}

static struct dio_job *dio_jobs(struct kunit *test, unsigned int nr)
{
	struct dio_job *jobs = kunit_kcalloc(test, nr, sizeof(*jobs), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, jobs);
	return jobs;
}

static bool dio_job_done(const struct dio_job *job)
{
	return READ_ONCE(job->done);
}

/* Time enough for a job to do what it must not do. */
static void dio_expect_waiting(struct kunit *test, struct dio_job *job)
{
	msleep(30);
	KUNIT_EXPECT_FALSE(test, dio_job_done(job));
}

/* One that must not wait for what only this test will do. */
static void dio_expect_done(struct kunit *test, struct dio_job *job)
{
	unsigned int i;

	for (i = 0; i < 500 && !dio_job_done(job); i++)
		msleep(20);
	KUNIT_EXPECT_TRUE(test, dio_job_done(job));
}

static void dio_first_use(struct kunit *test)
{
	struct dma_buf_dio_dev *ddev[] = { dio_dev(test, "a"), dio_dev(test, "b") };
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	const unsigned int nr = 16;
	struct dio_job *jobs = dio_jobs(test, nr);
	unsigned int i;

	/* All of them come before the first map is made */
	fake->stop_map = true;
	for (i = 0; i < nr; i++)
		dio_job_start(&jobs[i], dio_job_map, fake, ddev[i % 2]);
	wait_for_completion(&fake->stopped);
	dio_expect_waiting(test, &jobs[0]);
	for (i = 1; i < nr; i++)
		KUNIT_EXPECT_FALSE(test, dio_job_done(&jobs[i]));
	complete(&fake->go);

	for (i = 0; i < nr; i++) {
		flush_work(&jobs[i].work);
		KUNIT_EXPECT_EQ(test, jobs[i].ret, 0);
	}
	dma_buf_fake_expect(fake, 2, 2);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attaches), 2);
}

/* What is half mapped must not be used. */
static void dio_no_use_before_mapped(struct kunit *test)
{
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_seg_ops);
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dma_buf_dio_map *map = dio_map(fake, ddev);
	struct dio_job *job = dio_jobs(test, 1);

	dio_invalidate(fake);
	fake->stop_map = true;
	dio_job_start(job, dio_job_map, fake, ddev);
	wait_for_completion(&fake->stopped);
	KUNIT_EXPECT_FALSE(test, dio_usable(map));
	complete(&fake->go);
	flush_work(&job->work);
	KUNIT_EXPECT_EQ(test, job->ret, 0);
	KUNIT_EXPECT_TRUE(test, dio_usable(map));

	/* Nor what is half unmapped */
	fake->stop_unmap = true;
	dio_job_start(job, dio_job_invalidate, fake, ddev);
	wait_for_completion(&fake->stopped);
	KUNIT_EXPECT_FALSE(test, dio_usable(map));
	complete(&fake->go);
	flush_work(&job->work);
}

static void dio_revoke_waits(struct kunit *test)
{
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_seg_ops);
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dio_job *jobs = dio_jobs(test, 2);
	struct dma_buf_dio_map *map;

	fake->elsewhere = true;
	map = dio_map(fake, ddev);
	KUNIT_ASSERT_TRUE(test, dma_buf_dio_map_get(map));
	KUNIT_EXPECT_TRUE(test, dma_buf_dio_map_get(map));

	dio_job_start(&jobs[0], dio_job_invalidate, fake, ddev);
	dio_expect_waiting(test, &jobs[0]);

	/* No other use begins, and those that have are not disturbed */
	KUNIT_EXPECT_FALSE(test, dio_usable(map));
	KUNIT_EXPECT_EQ(test, map->segs->seg[0].addr,
			dma_buf_fake_addr(fake, 0, 1));
	dma_buf_fake_expect(fake, 1, 1);

	/* Who needs it again gets it when the exporter is done with it */
	dio_job_start(&jobs[1], dio_job_map, fake, ddev);
	dio_expect_waiting(test, &jobs[1]);
	KUNIT_EXPECT_FALSE(test, dio_usable(map));

	/* It waits for all of them */
	dma_buf_dio_map_put(map);
	dio_expect_waiting(test, &jobs[0]);
	dma_buf_fake_expect(fake, 1, 1);
	dma_buf_dio_map_put(map);
	flush_work(&jobs[0].work);

	flush_work(&jobs[1].work);
	KUNIT_EXPECT_EQ(test, jobs[1].ret, 0);
	dma_buf_fake_expect(fake, 1, 2);
	KUNIT_ASSERT_TRUE(test, dma_buf_dio_map_get(map));
	KUNIT_EXPECT_EQ(test, map->nth, 2);
	KUNIT_EXPECT_EQ(test, map->segs->seg[0].addr,
			dma_buf_fake_addr(fake, 0, 2));
	dma_buf_dio_map_put(map);
}

/*
 * An exporter waits for commands of a disk, which is long enough.  It must not
 * also wait for somebody who waits for something else.
 */
static void dio_revoke_waits_for_nothing_else(struct kunit *test)
{
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_fake *other = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dma_buf_dio_map *map, *other_map;
	struct dio_job *jobs = dio_jobs(test, 4);

	map = dio_map(fake, ddev);
	other_map = dio_map(other, ddev);
	KUNIT_ASSERT_TRUE(test, dma_buf_dio_map_get(other_map));
	if (!dma_buf_dio_map_get(map)) {
		dma_buf_dio_map_put(other_map);
		KUNIT_FAIL_AND_ABORT(test, "not mapped\n");
	}

	/* Of a use of another buffer, and of who waits for that */
	dio_job_start(&jobs[0], dio_job_invalidate, other, ddev);
	/* Of who waits for a lock of the same buffer */
	mutex_lock(&fake->dmabuf->dio.lock);
	dio_job_start(&jobs[1], dio_job_map, fake, ddev);
	/* Of the end of the device, which waits for both */
	dio_job_start(&jobs[2], dio_job_end, fake, ddev);
	dio_expect_waiting(test, &jobs[0]);

	dma_buf_dio_map_put(map);
	dio_job_start(&jobs[3], dio_job_invalidate, fake, ddev);
	dio_expect_done(test, &jobs[3]);
	dma_buf_fake_expect(fake, 0, 1);
	dio_expect_waiting(test, &jobs[0]);
	KUNIT_EXPECT_FALSE(test, dio_job_done(&jobs[1]));
	KUNIT_EXPECT_FALSE(test, dio_job_done(&jobs[2]));

	mutex_unlock(&fake->dmabuf->dio.lock);
	dma_buf_dio_map_put(other_map);
	flush_work(&jobs[0].work);
	flush_work(&jobs[1].work);
	flush_work(&jobs[2].work);
	flush_work(&jobs[3].work);
	KUNIT_EXPECT_EQ(test, jobs[1].ret, -ENODEV);
	dma_buf_fake_expect(fake, 0, 1);
	dma_buf_fake_expect(other, 0, 1);
}

static void dio_put_on_this_cpu(void *map)
{
	dma_buf_dio_map_put(map);
}

/* A device may say on another CPU that it is done, in an interrupt there. */
static void dio_put_elsewhere(struct kunit *test)
{
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dma_buf_dio_map *map = dio_map(fake, ddev);
	struct dio_job *job = dio_jobs(test, 1);
	unsigned int i, nr = 0;
	int cpu;

	for_each_online_cpu(cpu)
		for (i = 0; i < 3; i++)
			nr += dma_buf_dio_map_get(map);
	KUNIT_EXPECT_EQ(test, nr, 3 * num_online_cpus());

	/* The last one comes when it is waited for */
	for_each_online_cpu(cpu)
		for (i = 0; i < 3 && nr > 1; i++, nr--)
			smp_call_function_single(cpu, dio_put_on_this_cpu, map,
						 true);
	dio_job_start(job, dio_job_invalidate, fake, ddev);
	dio_expect_waiting(test, job);
	if (nr)
		dma_buf_dio_map_put(map);
	flush_work(&job->work);
	dma_buf_fake_expect(fake, 0, 1);
}

/* When the end returns, the driver unbinds: nothing may still be mapped. */
static void dio_end_waits(struct kunit *test)
{
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dma_buf_dio_map *map = dio_map(fake, ddev);
	struct dio_job *jobs = dio_jobs(test, 2);

	KUNIT_ASSERT_TRUE(test, dma_buf_dio_map_get(map));
	dio_job_start(&jobs[0], dio_job_end, fake, ddev);
	dio_expect_waiting(test, &jobs[0]);
	KUNIT_EXPECT_FALSE(test, dio_usable(map));
	dma_buf_fake_expect(fake, 1, 1);
	dio_job_start(&jobs[1], dio_job_map, fake, ddev);
	dio_expect_waiting(test, &jobs[1]);

	dma_buf_dio_map_put(map);
	flush_work(&jobs[0].work);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attached), 0);
	flush_work(&jobs[1].work);
	KUNIT_EXPECT_EQ(test, jobs[1].ret, -ENODEV);
	dma_buf_fake_expect(fake, 0, 1);
}

static void dio_end_waits_for_map(struct kunit *test)
{
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dio_job *jobs = dio_jobs(test, 2);

	fake->stop_map = true;
	dio_job_start(&jobs[0], dio_job_map, fake, ddev);
	wait_for_completion(&fake->stopped);
	dio_job_start(&jobs[1], dio_job_end, fake, ddev);
	dio_expect_waiting(test, &jobs[1]);
	complete(&fake->go);

	flush_work(&jobs[1].work);
	dma_buf_fake_expect(fake, 0, 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attached), 0);
	flush_work(&jobs[0].work);
	KUNIT_EXPECT_EQ(test, jobs[0].ret, 0);
}

static void dio_end_waits_for_release(struct kunit *test)
{
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dio_job *jobs = dio_jobs(test, 2);

	dio_map(fake, ddev);
	fake->stop_unmap = true;
	dio_job_start(&jobs[0], dio_job_release, fake, ddev);
	wait_for_completion(&fake->stopped);
	dio_job_start(&jobs[1], dio_job_end, fake, ddev);
	dio_expect_waiting(test, &jobs[1]);
	complete(&fake->go);

	flush_work(&jobs[1].work);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attached), 0);
	flush_work(&jobs[0].work);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->maps), 1);
}

/* The other way around: nobody must free what the end still works on. */
static void dio_release_waits_for_end(struct kunit *test)
{
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dio_job *jobs = dio_jobs(test, 2);

	dio_map(fake, ddev);
	fake->stop_unmap = true;
	dio_job_start(&jobs[0], dio_job_end, fake, ddev);
	wait_for_completion(&fake->stopped);
	dio_job_start(&jobs[1], dio_job_release, fake, ddev);
	dio_expect_waiting(test, &jobs[1]);
	KUNIT_EXPECT_FALSE(test, completion_done(&fake->released));
	complete(&fake->go);

	flush_work(&jobs[0].work);
	flush_work(&jobs[1].work);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->maps), 1);
}

static void dio_nonblock(struct kunit *test)
{
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_fake *other = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dio_job *jobs = dio_jobs(test, 3);
	struct dma_buf_dio_map *map;

	/* Somebody else maps it */
	mutex_lock(&fake->dmabuf->dio.lock);
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, ddev, true), -EAGAIN);
	mutex_unlock(&fake->dmabuf->dio.lock);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attaches), 0);

	/* The exporter or another importer has it, before the first use */
	jobs[0].nonblock = true;
	dma_resv_lock(fake->dmabuf->resv, NULL);
	dio_job_start(&jobs[0], dio_job_map, fake, ddev);
	dio_expect_done(test, &jobs[0]);
	dma_resv_unlock(fake->dmabuf->resv);
	flush_work(&jobs[0].work);
	KUNIT_EXPECT_EQ(test, jobs[0].ret, -EAGAIN);
	dma_buf_fake_expect(fake, 0, 0);

	/* Nothing is in the way */
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, ddev, true), 0);
	dma_buf_fake_expect(fake, 1, 1);

	/* And after it */
	dio_invalidate(fake);
	dma_resv_lock(fake->dmabuf->resv, NULL);
	dio_job_start(&jobs[0], dio_job_map, fake, ddev);
	dio_expect_done(test, &jobs[0]);
	dma_resv_unlock(fake->dmabuf->resv);
	flush_work(&jobs[0].work);
	KUNIT_EXPECT_EQ(test, jobs[0].ret, -EAGAIN);
	dma_buf_fake_expect(fake, 0, 1);
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, ddev, true), 0);

	/* The disk goes away, which may take as long as its commands do */
	map = dma_buf_dio_find(fake->dmabuf, ddev);
	KUNIT_ASSERT_NOT_NULL(test, map);
	KUNIT_ASSERT_TRUE(test, dma_buf_dio_map_get(map));
	dio_job_start(&jobs[1], dio_job_end, fake, ddev);
	dio_expect_waiting(test, &jobs[1]);
	jobs[2].nonblock = true;
	dio_job_start(&jobs[2], dio_job_map, other, ddev);
	dio_expect_done(test, &jobs[2]);
	dma_buf_dio_map_put(map);
	flush_work(&jobs[1].work);
	flush_work(&jobs[2].work);
	KUNIT_EXPECT_EQ(test, jobs[2].ret, -EAGAIN);
	KUNIT_EXPECT_EQ(test, atomic_read(&other->attaches), 0);
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(other->dmabuf, ddev, true), -ENODEV);
}

static int dio_mapping_thread(void *data)
{
	struct dio_job *job = data;

	allow_signal(SIGUSR1);
	allow_signal(SIGKILL);
	job->ret = dma_buf_dio_map(job->fake->dmabuf, job->ddev, false);
	WRITE_ONCE(job->done, true);
	return 0;
}

static struct task_struct *dio_start_thread(struct kunit *test,
					    int (*fn)(void *data), void *data)
{
	struct task_struct *task = kthread_create(fn, data, "dma_buf_dio_kunit");

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	/* It may end before it is stopped */
	get_task_struct(task);
	wake_up_process(task);
	return task;
}

static int dio_stop_thread(struct task_struct *task)
{
	int ret = kthread_stop(task);

	put_task_struct(task);
	return ret;
}

/* Nobody waits for a lock who is not there any more. */
static void dio_killed(struct kunit *test)
{
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dio_job *job = dio_jobs(test, 1);
	struct task_struct *task;

	job->fake = fake;
	job->ddev = dio_dev(test, "disk");
	mutex_lock(&fake->dmabuf->dio.lock);
	task = dio_start_thread(test, dio_mapping_thread, job);
	dio_expect_waiting(test, job);

	/* A read of a file does not end by any other signal, either */
	send_sig(SIGUSR1, task, 1);
	dio_expect_waiting(test, job);
	send_sig(SIGKILL, task, 1);
	dio_expect_done(test, job);
	mutex_unlock(&fake->dmabuf->dio.lock);
	dio_stop_thread(task);
	KUNIT_EXPECT_EQ(test, job->ret, -EINTR);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attaches), 0);

	KUNIT_EXPECT_TRUE(test, dio_usable(dio_map(fake, job->ddev)));
	dma_buf_fake_expect(fake, 1, 1);
}

/*
 * Whether it is in use or not, dma_buf_dio_map() maps nothing twice; an exporter
 * may have nowhere to put that.
 */
static void dio_map_in_use(struct kunit *test)
{
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_seg_ops);
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dma_buf_dio_map *map = dio_map(fake, ddev);

	KUNIT_ASSERT_TRUE(test, dma_buf_dio_map_get(map));
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, ddev, false), 0);
	KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, ddev, true), 0);
	KUNIT_EXPECT_EQ(test, map->nth, 1);
	dma_buf_dio_map_put(map);
	dma_buf_fake_expect(fake, 1, 1);
}

/* Twice, as what was used is left alone once. */
static void dio_drop_slab(struct kunit *test)
{
	if (!IS_BUILTIN(CONFIG_DMABUF_DIO_KUNIT_TEST))
		kunit_skip(test, "modules cannot make memory short");
	drop_slab();
	drop_slab();
	flush_delayed_fput();
}

static void dio_shrink(struct kunit *test)
{
	struct dma_buf_dio_dev *a = dio_dev(test, "a"), *b = dio_dev(test, "b");
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_fake *used = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_fake *locked = dio_export(test, &dma_buf_fake_sgt_ops);
	struct dma_buf_dio_map *map, *used_map, *locked_map;

	dio_drop_slab(test);

	map = dio_map(fake, a);
	dio_map(fake, b);
	used_map = dio_map(used, a);
	locked_map = dio_map(locked, a);
	KUNIT_ASSERT_TRUE(test, dma_buf_dio_map_get(used_map));
	dma_resv_lock(locked->dmabuf->resv, NULL);
	dio_drop_slab(test);
	dma_resv_unlock(locked->dmabuf->resv);

	/* What nobody uses costs one call to have it again */
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attached), 2);
	KUNIT_EXPECT_FALSE(test, dio_usable(map));

	/* Nobody waits for a disk, or for an exporter, to get some memory */
	dma_buf_fake_expect(used, 1, 1);
	KUNIT_EXPECT_TRUE(test, dio_usable(used_map));
	dma_buf_dio_map_put(used_map);
	dma_buf_fake_expect(locked, 1, 1);
	KUNIT_EXPECT_TRUE(test, dio_usable(locked_map));

	/* If that is over, it is like the others */
	KUNIT_EXPECT_PTR_EQ(test, dio_map(fake, a), map);
	KUNIT_EXPECT_EQ(test, map->nth, 2);
	KUNIT_EXPECT_TRUE(test, dio_usable(map));
	dio_drop_slab(test);
	dma_buf_fake_expect(fake, 0, 3);
	dma_buf_fake_expect(used, 0, 1);
	dma_buf_fake_expect(locked, 0, 1);

	/* There is nothing to find of what has ended otherwise */
	dio_map(fake, a);
	dio_map(used, a);
	dio_map(locked, b);
	dio_invalidate(fake);
	dio_end(test, a);
	dma_buf_fake_end(locked);
	dio_drop_slab(test);
	dma_buf_fake_expect(fake, 0, 4);
	dma_buf_fake_expect(used, 0, 2);
}

/**
 * struct dio_user - a thread that does what a disk does
 * @fake: the buffer
 * @ddev: the disk
 * @seed: makes it different from others
 * @uses: uses of a map
 * @refused: times that it was not mapped
 * @wrong: what this saw of a mapping that was not, or not any more, there
 * @failed: errors when it was to be mapped
 */
struct dio_user {
	struct dma_buf_fake *fake;
	struct dma_buf_dio_dev *ddev;
	unsigned int seed;
	unsigned long uses, refused, wrong, failed;
};

/* All that is seen is of the mapping that the exporter knows of. */
static bool dio_see_mapping(struct dma_buf_fake *fake,
			    struct dma_buf_dio_map *map)
{
	u32 nth = READ_ONCE(fake->now);
	unsigned int i;

	if (!nth || map->nth != nth || map->segs->nr != fake->nr)
		return false;
	for (i = 0; i < fake->nr; i++)
		if (map->segs->seg[i].addr != dma_buf_fake_addr(fake, i, nth) ||
		    map->segs->seg[i].len != fake->seg[i].len)
			return false;
	return dma_buf_dio_map_index(map, fake->dmabuf->size - 1) ==
	       fake->nr - 1;
}

static int dio_user_thread(void *data)
{
	struct dio_user *user = data;
	struct dma_buf_fake *fake = user->fake;
	struct dma_buf_dio_map *map;
	struct rnd_state rnd;
	u32 r, nth;
	int ret;

	prandom_seed_state(&rnd, user->seed);
	while (!kthread_should_stop()) {
		cond_resched();
		r = prandom_u32_state(&rnd);
		map = dma_buf_dio_find(fake->dmabuf, user->ddev);
		if (!map || !dma_buf_dio_map_get(map)) {
			WRITE_ONCE(user->refused, user->refused + 1);
			ret = dma_buf_dio_map(fake->dmabuf, user->ddev, r & 1);
			if (ret && !(ret == -EAGAIN && r & 1))
				user->failed++;
			continue;
		}

		nth = map->nth;
		if (!dio_see_mapping(fake, map))
			user->wrong++;
		/* A disk takes its time */
		if (r % 64 < 2)
			usleep_range(1, 50);
		else if (r % 64 < 16)
			udelay(r % 8);
		else if (r % 64 < 32)
			cond_resched();
		if (map->nth != nth || !dio_see_mapping(fake, map))
			user->wrong++;
		dma_buf_dio_map_put(map);
		WRITE_ONCE(user->uses, user->uses + 1);
	}
	return 0;
}

static unsigned long dio_all_uses(struct dio_user *users, unsigned int nr)
{
	unsigned long least = ULONG_MAX;
	unsigned int i;

	for (i = 0; i < nr; i++)
		least = min(least, READ_ONCE(users[i].uses));
	return least;
}

/* The exporter takes it away, and nobody must see the memory after that. */
static void dio_use_and_revoke(struct kunit *test)
{
	struct dma_buf_fake *fake = dio_export(test, &dma_buf_fake_seg_ops);
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct task_struct *tasks[8] = {};
	struct dio_user *users;
	unsigned int i, round;

	users = kunit_kcalloc(test, ARRAY_SIZE(tasks), sizeof(*users), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, users);
	fake->elsewhere = true;

	for (i = 0; i < ARRAY_SIZE(tasks); i++) {
		users[i].fake = fake;
		users[i].ddev = ddev;
		users[i].seed = i + 1;
		tasks[i] = dio_start_thread(test, dio_user_thread, &users[i]);
	}
	for (i = 0; i < 500 && !dio_all_uses(users, ARRAY_SIZE(tasks)); i++)
		msleep(20);

	for (round = 0; round < 2000; round++) {
		dio_invalidate(fake);
		KUNIT_EXPECT_EQ(test, dma_buf_dio_map(fake->dmabuf, ddev, false), 0);
		cond_resched();
	}

	for (i = 0; i < ARRAY_SIZE(tasks); i++) {
		dio_stop_thread(tasks[i]);
		KUNIT_EXPECT_GT(test, users[i].uses, 0);
		KUNIT_EXPECT_EQ(test, users[i].wrong, 0);
		KUNIT_EXPECT_EQ(test, users[i].failed, 0);
	}
	KUNIT_EXPECT_GE(test, atomic_read(&fake->maps), 2000);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attaches), 1);
	KUNIT_EXPECT_EQ(test, dma_buf_dio_find(fake->dmabuf, ddev)->nth,
			atomic_read(&fake->maps));
	dio_invalidate(fake);
}

/* All of it in no order, for sanitizers and lockdep to look at. */
static void dio_stress(struct kunit *test)
{
	const unsigned int nr = 24, nr_fakes = 4;
	struct dio_job *jobs = dio_jobs(test, nr + 1), *end = &jobs[nr];
	static const work_func_t funcs[] = {
		dio_job_map, dio_job_use, dio_job_invalidate, dio_job_map,
		dio_job_use,
	};
	struct dma_buf_fake *fakes[4];
	unsigned int i, round;

	for (round = 0; round < 2 * nr; round++) {
		struct device *dev = dma_buf_fake_device(test, "disk",
							 DMA_BIT_MASK(64));
		struct dma_buf_dio_dev *ddev = dio_dev_of(test, dev);

		for (i = 0; i < nr_fakes; i++)
			fakes[i] = dio_export(test, round % 2 ?
					      &dma_buf_fake_sgt_ops :
					      &dma_buf_fake_seg_ops);

		/* The disk goes away while it is used, or at the end */
		for (i = 0; i < nr; i++) {
			jobs[i].nonblock = round % 3 == 2;
			dio_job_start(&jobs[i], funcs[i % ARRAY_SIZE(funcs)],
				      fakes[i % nr_fakes], ddev);
			if (i == round)
				dio_job_start(end, dio_job_end, fakes[0], ddev);
		}
		for (i = 0; i < nr; i++) {
			flush_work(&jobs[i].work);
			if (jobs[i].ret && !(jobs[i].ret == -EAGAIN &&
					     jobs[i].nonblock))
				KUNIT_EXPECT_EQ(test, jobs[i].ret, -ENODEV);
			jobs[i].ret = 0;
		}

		for (i = 0; i < nr_fakes; i++) {
			dio_job_start(&jobs[i], dio_job_release, fakes[i], NULL);
			if (round >= nr && i == round % nr_fakes)
				dio_job_start(end, dio_job_end, fakes[i], ddev);
		}
		flush_work(&end->work);
		for (i = 0; i < nr_fakes; i++)
			KUNIT_EXPECT_EQ(test, atomic_read(&fakes[i]->attached), 0);
		for (i = 0; i < nr_fakes; i++)
			flush_work(&jobs[i].work);

		kunit_release_action(test, dio_put_action, ddev);
		kunit_device_unregister(test, dev);
	}
}

static struct kunit_case dma_buf_dio_cases[] = {
	KUNIT_CASE(dio_one_map_per_device),
	KUNIT_CASE(dio_disks),
	KUNIT_CASE(dio_attachment),
	KUNIT_CASE(dio_index),
	KUNIT_CASE(dio_misalign),
	KUNIT_CASE_PARAM(dio_error, dio_error_gen_params),
	KUNIT_CASE(dio_empty_sgt_entry),
	KUNIT_CASE_PARAM(dio_coherent, dio_coherent_gen_params),
	KUNIT_CASE(dio_sync),
	KUNIT_CASE(dio_bounced_in_part),
	KUNIT_CASE(dio_iommu),
	KUNIT_CASE(dio_revoke),
	KUNIT_CASE(dio_end_of_device),
	KUNIT_CASE(dio_release_after_put),
	KUNIT_CASE(dio_map_in_use),
	KUNIT_CASE(dio_first_use),
	KUNIT_CASE(dio_no_use_before_mapped),
	KUNIT_CASE(dio_revoke_waits),
	KUNIT_CASE(dio_revoke_waits_for_nothing_else),
	KUNIT_CASE(dio_put_elsewhere),
	KUNIT_CASE(dio_end_waits),
	KUNIT_CASE(dio_end_waits_for_map),
	KUNIT_CASE(dio_end_waits_for_release),
	KUNIT_CASE(dio_release_waits_for_end),
	KUNIT_CASE(dio_nonblock),
	KUNIT_CASE(dio_killed),
	KUNIT_CASE(dio_shrink),
	KUNIT_CASE_SLOW(dio_use_and_revoke),
	KUNIT_CASE_SLOW(dio_stress),
	{}
};

static struct kunit_suite dma_buf_dio_suite = {
	.name = "dma_buf_dio",
	.test_cases = dma_buf_dio_cases,
};

kunit_test_suite(dma_buf_dio_suite);
