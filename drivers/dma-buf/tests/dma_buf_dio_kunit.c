// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for maps of dma-bufs, as direct I/O makes and ends them
 */
#include <linux/delay.h>
#include <linux/dma-buf-dio.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/prandom.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <kunit/device.h>
#include "dma_buf_fake.h"

static const struct dma_buf_segment dio_seg[] = {
	{ 0x10000000, SZ_1M }, { 0x20000000, SZ_4K }, { 0x30000000, SZ_64K },
};

static void dio_dev_end(void *data)
{
	dma_buf_dio_dev_kill(data);
	dma_buf_dio_dev_put(data);
}

static struct dma_buf_dio_dev *dio_dev_of(struct kunit *test,
					  struct device *dev)
{
	struct dma_buf_dio_dev *ddev = dma_buf_dio_dev_alloc(dev);

	KUNIT_ASSERT_NOT_NULL(test, ddev);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, dio_dev_end, ddev));
	return ddev;
}

static struct dma_buf_dio_dev *dio_dev(struct kunit *test, const char *name)
{
	return dio_dev_of(test, dma_buf_fake_device(test, name, DMA_BIT_MASK(64)));
}

static void dio_close_action(void *data)
{
	dma_buf_dio_close(data);
}

static struct dma_buf_dio *dio_open(struct dma_buf_fake *fake,
				    enum dma_data_direction dir)
{
	struct dma_buf_dio *dio = dma_buf_dio_open(fake->dmabuf, dir);
	struct kunit *test = fake->test;

	KUNIT_ASSERT_NOT_NULL(test, dio);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, dio_close_action, dio));
	return dio;
}

static void dio_close(struct kunit *test, struct dma_buf_dio *dio)
{
	kunit_release_action(test, dio_close_action, dio);
}

static void dio_one_map_per_device(struct kunit *test)
{
	struct dma_buf_dio_dev *a = dio_dev(test, "a"), *b = dio_dev(test, "b");
	struct dma_buf_dio_map *map_a, *map_b;
	struct dma_buf_fake *fake;
	struct dma_buf_dio *dio;

	fake = dma_buf_fake_export(test, &dma_buf_fake_sgt_ops,
				   dio_seg, ARRAY_SIZE(dio_seg));
	dio = dio_open(fake, DMA_FROM_DEVICE);
	dma_buf_fake_expect(fake, 0, 0);
	KUNIT_EXPECT_NULL(test, dma_buf_dio_find_map(dio, a));

	map_a = dma_buf_dio_get_map(dio, a);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map_a);
	dma_buf_fake_expect(fake, 1, 1);
	KUNIT_EXPECT_NULL(test, dma_buf_dio_find_map(dio, b));

	map_b = dma_buf_dio_get_map(dio, b);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map_b);
	dma_buf_fake_expect(fake, 2, 2);

	KUNIT_EXPECT_PTR_NE(test, map_a, map_b);
	KUNIT_EXPECT_PTR_EQ(test, dma_buf_dio_find_map(dio, a), map_a);
	KUNIT_EXPECT_PTR_EQ(test, dma_buf_dio_find_map(dio, b), map_b);
	KUNIT_EXPECT_PTR_EQ(test, dma_buf_dio_get_map(dio, a), map_a);
	KUNIT_EXPECT_PTR_EQ(test, dma_buf_dio_get_map(dio, b), map_b);
	dma_buf_fake_expect(fake, 2, 2);

	KUNIT_EXPECT_PTR_EQ(test, map_a->ddev, a);
	KUNIT_EXPECT_PTR_EQ(test, map_b->ddev, b);
	KUNIT_EXPECT_PTR_EQ(test, map_a->dio, dio);
	KUNIT_EXPECT_PTR_NE(test, map_a->attach->dev, map_b->attach->dev);
	KUNIT_EXPECT_EQ(test, map_a->segs->nr, ARRAY_SIZE(dio_seg));
	KUNIT_EXPECT_EQ(test, dio->error, 0);

	dio_close(test, dio);
	dma_buf_fake_expect(fake, 0, 2);
}

static void dio_attachment(struct kunit *test)
{
	/* How it is opened, and how it is mapped */
	static const enum dma_data_direction dirs[][2] = {
		{ DMA_FROM_DEVICE, DMA_BIDIRECTIONAL },
		{ DMA_TO_DEVICE, DMA_TO_DEVICE },
	};
	static const struct dma_buf_ops * const ops[] = {
		&dma_buf_fake_sgt_ops, &dma_buf_fake_unpinned_ops,
		&dma_buf_fake_seg_ops,
	};
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dma_buf_dio_map *map;
	struct dma_buf_fake *fake;
	struct dma_buf_dio *dio;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		fake = dma_buf_fake_export(test, ops[i],
					   dio_seg, ARRAY_SIZE(dio_seg));
		for (j = 0; j < ARRAY_SIZE(dirs); j++) {
			dio = dio_open(fake, dirs[j][0]);
			map = dma_buf_dio_get_map(dio, ddev);
			KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map);

			/* Else exporters would move device memory, or refuse */
			KUNIT_EXPECT_TRUE(test, map->attach->peer2peer);
			KUNIT_EXPECT_TRUE(test, dma_buf_attach_revocable(map->attach));
			KUNIT_EXPECT_EQ(test, fake->dir, dirs[j][1]);
			dma_buf_fake_expect(fake, 1, j + 1);

			dio_close(test, dio);
			dma_buf_fake_expect(fake, 0, j + 1);
		}
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
	struct dma_buf_dio *dio = dio_open(fake, DMA_FROM_DEVICE);
	struct dma_buf_dio_map *map = dma_buf_dio_get_map(dio, ddev);
	u64 offset = 0, size = fake->dmabuf->size;
	unsigned int i;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map);
	if (size <= SZ_1K)
		for (offset = 0; offset < size; offset++)
			dio_expect_index(test, map, seg, offset);

	for (i = 0, offset = 0; i < nr; offset += seg[i++].len) {
		KUNIT_ASSERT_EQ(test, map->start[i], offset);
		dio_expect_index(test, map, seg, offset);
		dio_expect_index(test, map, seg, offset + seg[i].len / 2);
		dio_expect_index(test, map, seg, offset + seg[i].len - 1);
	}
	dio_close(test, dio);
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

static void dio_set_attach_error(struct dma_buf_fake *fake, int error)
{
	fake->attach_error = error;
}

static void dio_set_pin_error(struct dma_buf_fake *fake, int error)
{
	fake->pin_error = error;
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

static const struct dio_error_param {
	const char *desc;
	void (*set)(struct dma_buf_fake *fake, int error);
	int error;
	int attaches, pins, maps;	/* that are made, and undone */
} dio_error_params[] = {
	{ "attach", dio_set_attach_error, -EBUSY, 0, 0, 0 },
	{ "pin", dio_set_pin_error, -ENOSPC, 1, 0, 0 },
	{ "map", dio_set_map_error, -ENXIO, 1, 1, 0 },
	{ "index", dio_set_short, -EIO, 1, 1, 1 },
};

KUNIT_ARRAY_PARAM_DESC(dio_error, dio_error_params, desc);

static void dio_error(struct kunit *test)
{
	struct dma_buf_dio_dev *a = dio_dev(test, "a"), *b = dio_dev(test, "b");
	const struct dio_error_param *p = test->param_value;
	struct dma_buf_dio_map *map, *map_a = NULL;
	static const struct dma_buf_ops * const ops[] = {
		&dma_buf_fake_seg_ops, &dma_buf_fake_sgt_ops,
	};
	struct dma_buf_fake *fake;
	struct dma_buf_dio *dio;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		fake = dma_buf_fake_export(test, ops[i],
					   dio_seg, ARRAY_SIZE(dio_seg));
		dio = dio_open(fake, DMA_FROM_DEVICE);

		p->set(fake, p->error);
		kunit_warning_suppress(test)
			map_a = dma_buf_dio_get_map(dio, a);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(map_a), p->error);
		KUNIT_EXPECT_EQ(test, dio->error, p->error);
		KUNIT_EXPECT_NULL(test, dma_buf_dio_find_map(dio, a));

		KUNIT_EXPECT_EQ(test, atomic_read(&fake->attached), 0);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->pinned), 0);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), 0);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->attaches), p->attaches);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->pins), p->pins);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->maps), p->maps);
		p->set(fake, 0);

		/* Neither that device nor another one is worse off now */
		map_a = dma_buf_dio_get_map(dio, a);
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, map_a);
		map = dma_buf_dio_get_map(dio, b);
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, map);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), 2);
		dio_close(test, dio);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), 0);
	}
}

static void dio_no_sync(struct device *dev, dma_addr_t addr, size_t len,
			enum dma_data_direction dir)
{
}

static size_t dio_max_mapping_size(struct device *dev)
{
	return SZ_256K;
}

static const struct dma_map_ops dio_coherent_ops = {
};

static const struct dma_map_ops dio_sync_ops = {
	.sync_single_for_cpu	= dio_no_sync,
	.sync_single_for_device	= dio_no_sync,
};

static const struct dma_map_ops dio_bounce_ops = {
	.sync_single_for_cpu	= dio_no_sync,
	.sync_single_for_device	= dio_no_sync,
	.max_mapping_size	= dio_max_mapping_size,
};

static const struct dio_coherent_param {
	const char *desc;
	const struct dma_map_ops *dma_ops;
	const struct dma_buf_ops *ops;
	int error;
	int map_error;
} dio_coherent_params[] = {
	{ "coherent", &dio_coherent_ops, &dma_buf_fake_sgt_ops, 0 },
	{ "exporter with sg table", &dio_sync_ops, &dma_buf_fake_sgt_ops,
	  -EOPNOTSUPP },
	{ "exporter with segments", &dio_sync_ops, &dma_buf_fake_seg_ops, 0 },
	{ "bounced sg table", &dio_bounce_ops, &dma_buf_fake_sgt_ops,
	  -EOPNOTSUPP },
	{ "bounced segments", &dio_bounce_ops, &dma_buf_fake_seg_ops,
	  -EOPNOTSUPP },
	{ "too large to bounce", &dio_bounce_ops, &dma_buf_fake_seg_ops,
	  -EOPNOTSUPP, -EIO },
	{ "no room to bounce", &dio_bounce_ops, &dma_buf_fake_seg_ops,
	  -EOPNOTSUPP, -ENOMEM },
	{ "no addresses", &dio_coherent_ops, &dma_buf_fake_seg_ops,
	  -EIO, -EIO },
};

KUNIT_ARRAY_PARAM_DESC(dio_coherent, dio_coherent_params, desc);

/* Does the device see what the CPU does, and if not, who sees to that? */
static void dio_coherent(struct kunit *test)
{
	const struct dio_coherent_param *p = test->param_value;
	struct dma_buf_dio_dev *ddev;
	struct dma_buf_dio_map *map;
	struct dma_buf_fake *fake;
	struct dma_buf_dio *dio;
	struct device *dev;

	if (!IS_ENABLED(CONFIG_ARCH_HAS_DMA_OPS))
		kunit_skip(test, "devices have no operations for DMA");

	dev = dma_buf_fake_device(test, "disk", DMA_BIT_MASK(64));
	set_dma_ops(dev, p->dma_ops);
	KUNIT_ASSERT_EQ(test, 0,
			dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64)));
	ddev = dio_dev_of(test, dev);
	fake = dma_buf_fake_export(test, p->ops, dio_seg, ARRAY_SIZE(dio_seg));
	dio = dio_open(fake, DMA_FROM_DEVICE);

	fake->map_error = p->map_error;
	map = dma_buf_dio_get_map(dio, ddev);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(map), p->error);
	KUNIT_EXPECT_EQ(test, dio->error, p->error);
	if (p->map_error) {
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->attached), 0);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->pinned), 0);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->maps), 0);
	} else {
		dma_buf_fake_expect(fake, !p->error, 1);
	}
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
	struct dma_buf_dio_map *map;
	struct dma_buf_fake *fake;
	struct dma_buf_dio *dio;
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

	seg.addr = first - PAGE_SIZE;
	fake = dma_buf_fake_export(test, &dma_buf_fake_seg_ops, &seg, 1);
	dio = dio_open(fake, DMA_FROM_DEVICE);
	map = dma_buf_dio_get_map(dio, dio_dev_of(test, dev));
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(map), -EOPNOTSUPP);
	dio_close(test, dio);

	seg.addr -= PAGE_SIZE;
	dio = dio_open(fake, DMA_FROM_DEVICE);
	map = dma_buf_dio_get_map(dio, dio_dev_of(test, dev));
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(map), 0);
	dio_close(test, dio);
}

/* Real IOMMUs are coherent enough, whatever the kernel is there to debug. */
static void dio_iommu(struct kunit *test)
{
	struct device *dev = dma_buf_fake_iommu_device(test);
	struct dma_buf_dio_map *map;
	struct dma_buf_fake *fake;
	struct dma_buf_dio *dio;

	/* As its driver does */
	KUNIT_ASSERT_EQ(test, 0, dma_set_mask(dev, dma_get_mask(dev)));

	fake = dma_buf_fake_export(test, &dma_buf_fake_sgt_ops,
				   dio_seg, ARRAY_SIZE(dio_seg));
	dio = dio_open(fake, DMA_FROM_DEVICE);
	map = dma_buf_dio_get_map(dio, dio_dev_of(test, dev));
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(map), 0);
}

static void dio_revoke(struct kunit *test)
{
	struct dma_buf_dio_dev *a = dio_dev(test, "a"), *b = dio_dev(test, "b");
	struct dma_buf_dio_map *map_a, *map_b, *other_map;
	struct dma_buf_dio *dio, *other_dio;
	struct dma_buf_fake *fake, *other;

	fake = dma_buf_fake_export(test, &dma_buf_fake_sgt_ops,
				   dio_seg, ARRAY_SIZE(dio_seg));
	other = dma_buf_fake_export(test, &dma_buf_fake_sgt_ops,
				    dio_seg, ARRAY_SIZE(dio_seg));
	dio = dio_open(fake, DMA_FROM_DEVICE);
	other_dio = dio_open(other, DMA_FROM_DEVICE);
	map_a = dma_buf_dio_get_map(dio, a);
	map_b = dma_buf_dio_get_map(dio, b);
	other_map = dma_buf_dio_get_map(other_dio, a);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map_a);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map_b);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, other_map);
	KUNIT_EXPECT_FALSE(test, map_a->revoked);

	dma_resv_lock(fake->dmabuf->resv, NULL);
	dma_buf_invalidate_mappings(fake->dmabuf);
	dma_buf_invalidate_mappings(fake->dmabuf);
	dma_resv_unlock(fake->dmabuf->resv);

	/* There may be I/O, so they must stay what they are for now */
	KUNIT_EXPECT_TRUE(test, map_a->revoked);
	KUNIT_EXPECT_TRUE(test, map_b->revoked);
	KUNIT_EXPECT_FALSE(test, other_map->revoked);
	KUNIT_EXPECT_PTR_EQ(test, dma_buf_dio_get_map(dio, a), map_a);
	KUNIT_EXPECT_EQ(test, map_a->segs->nr, ARRAY_SIZE(dio_seg));
	dma_buf_fake_expect(fake, 2, 2);

	dio_close(test, dio);
	dma_buf_fake_expect(fake, 0, 2);
}

static void dio_kill(struct kunit *test)
{
	struct dma_buf_dio_dev *a = dio_dev(test, "a"), *b = dio_dev(test, "b");
	struct dma_buf_dio *dio, *second, *late;
	struct dma_buf_dio_map *map_b;
	struct dma_buf_fake *fake;

	fake = dma_buf_fake_export(test, &dma_buf_fake_sgt_ops,
				   dio_seg, ARRAY_SIZE(dio_seg));
	dio = dio_open(fake, DMA_FROM_DEVICE);
	second = dio_open(fake, DMA_FROM_DEVICE);
	late = dio_open(fake, DMA_FROM_DEVICE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dma_buf_dio_get_map(dio, a));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dma_buf_dio_get_map(second, a));
	map_b = dma_buf_dio_get_map(dio, b);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, map_b);
	dma_buf_fake_expect(fake, 3, 3);

	/* Transfers go on, but not on that device */
	dma_buf_dio_dev_kill(a);
	dma_buf_fake_expect(fake, 1, 3);
	KUNIT_EXPECT_PTR_EQ(test, dma_buf_dio_get_map(dio, b), map_b);
	KUNIT_EXPECT_EQ(test, map_b->segs->nr, ARRAY_SIZE(dio_seg));

	/* Whether it was mapped there before or not */
	KUNIT_EXPECT_NULL(test, dma_buf_dio_find_map(dio, a));
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(dma_buf_dio_get_map(late, a)),
			-ENODEV);
	KUNIT_EXPECT_EQ(test, late->error, -ENODEV);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(dma_buf_dio_get_map(dio, a)),
			-ENODEV);
	dma_buf_fake_expect(fake, 1, 3);

	dma_buf_dio_dev_kill(a);
	dma_buf_fake_expect(fake, 1, 3);
	dio_close(test, dio);
	dio_close(test, second);
	dma_buf_fake_expect(fake, 0, 3);

	/* Drivers without DMA have none */
	dma_buf_dio_dev_kill(NULL);
	dma_buf_dio_dev_put(NULL);
}

/* The owner may be gone before the last transfer is. */
static void dio_close_after_put(struct kunit *test)
{
	struct device *dev = dma_buf_fake_device(test, "disk", DMA_BIT_MASK(64));
	struct dma_buf_dio_dev *ddev = dma_buf_dio_dev_alloc(dev);
	unsigned int refs = kref_read(&dev->kobj.kref);
	struct dma_buf_fake *fake;
	struct dma_buf_dio *dio;

	KUNIT_ASSERT_NOT_NULL(test, ddev);
	fake = dma_buf_fake_export(test, &dma_buf_fake_sgt_ops,
				   dio_seg, ARRAY_SIZE(dio_seg));
	dio = dio_open(fake, DMA_FROM_DEVICE);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dma_buf_dio_get_map(dio, ddev));

	dma_buf_dio_dev_kill(ddev);
	dma_buf_dio_dev_put(ddev);
	KUNIT_EXPECT_EQ(test, kref_read(&dev->kobj.kref), refs);
	dio_close(test, dio);
	KUNIT_EXPECT_EQ(test, kref_read(&dev->kobj.kref), refs - 1);
	dma_buf_fake_expect(fake, 0, 1);
}

/* A device that is wanted is kept, too, and only the last one is. */
static void dio_want(struct kunit *test)
{
	struct device *dev = dma_buf_fake_device(test, "a", DMA_BIT_MASK(64));
	struct dma_buf_dio_dev *a = dma_buf_dio_dev_alloc(dev);
	unsigned int refs = kref_read(&dev->kobj.kref);
	struct dma_buf_dio_dev *b = dio_dev(test, "b");
	struct dma_buf_fake *fake;
	struct dma_buf_dio *dio;

	KUNIT_ASSERT_NOT_NULL(test, a);
	fake = dma_buf_fake_export(test, &dma_buf_fake_sgt_ops,
				   dio_seg, ARRAY_SIZE(dio_seg));
	dio = dio_open(fake, DMA_FROM_DEVICE);

	dma_buf_dio_want_map(dio, a);
	dma_buf_dio_want_map(dio, a);
	KUNIT_EXPECT_PTR_EQ(test, dio->want, a);
	dma_buf_dio_dev_put(a);
	KUNIT_EXPECT_EQ(test, kref_read(&dev->kobj.kref), refs);

	dma_buf_dio_want_map(dio, b);
	KUNIT_EXPECT_PTR_EQ(test, dio->want, b);
	KUNIT_EXPECT_EQ(test, kref_read(&dev->kobj.kref), refs - 1);

	dio_close(test, dio);
	dma_buf_fake_expect(fake, 0, 0);
}

/*
 * Races.  What another task does is a job, and the exporter can hold one of
 * them up inside of a call.
 */
struct dio_job {
	struct work_struct work;
	struct dma_buf_dio *dio;
	struct dma_buf_dio_dev *ddev;
	struct dma_buf_dio_map *map;
	bool done;
};

static void dio_job_get_map(struct work_struct *work)
{
	struct dio_job *job = container_of(work, struct dio_job, work);

	job->map = dma_buf_dio_get_map(job->dio, job->ddev);
	WRITE_ONCE(job->done, true);
}

static void dio_job_close(struct work_struct *work)
{
	struct dio_job *job = container_of(work, struct dio_job, work);

	dma_buf_dio_close(job->dio);
	WRITE_ONCE(job->done, true);
}

static void dio_job_kill(struct work_struct *work)
{
	struct dio_job *job = container_of(work, struct dio_job, work);

	dma_buf_dio_dev_kill(job->ddev);
	WRITE_ONCE(job->done, true);
}

static void dio_job_start(struct dio_job *job, work_func_t func,
			  struct dma_buf_dio *dio, struct dma_buf_dio_dev *ddev)
{
	job->dio = dio;
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

/* Time enough for a job to do what it must not do. */
static void dio_expect_waiting(struct kunit *test, struct dio_job *job)
{
	msleep(30);
	KUNIT_EXPECT_FALSE(test, READ_ONCE(job->done));
}

static void dio_first_use(struct kunit *test)
{
	struct dma_buf_dio_dev *ddev[] = { dio_dev(test, "a"), dio_dev(test, "b") };
	const unsigned int nr = 16;
	struct dio_job *jobs = dio_jobs(test, nr);
	struct dma_buf_fake *fake;
	struct dma_buf_dio *dio;
	unsigned int i;

	fake = dma_buf_fake_export(test, &dma_buf_fake_sgt_ops,
				   dio_seg, ARRAY_SIZE(dio_seg));
	dio = dio_open(fake, DMA_FROM_DEVICE);

	/* All of them come before the first map is made */
	fake->stop_map = true;
	for (i = 0; i < nr; i++)
		dio_job_start(&jobs[i], dio_job_get_map, dio, ddev[i % 2]);
	wait_for_completion(&fake->stopped);
	dio_expect_waiting(test, &jobs[0]);
	for (i = 1; i < nr; i++)
		KUNIT_EXPECT_FALSE(test, READ_ONCE(jobs[i].done));
	complete(&fake->go);

	for (i = 0; i < nr; i++) {
		flush_work(&jobs[i].work);
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, jobs[i].map);
		KUNIT_EXPECT_PTR_EQ(test, jobs[i].map, jobs[i % 2].map);
	}
	KUNIT_EXPECT_PTR_NE(test, jobs[0].map, jobs[1].map);
	dma_buf_fake_expect(fake, 2, 2);
}

/* When kill returns, the driver unbinds: nothing may still be mapped. */
static void dio_kill_waits_for_close(struct kunit *test)
{
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dio_job *jobs = dio_jobs(test, 2);
	struct dma_buf_fake *fake;
	struct dma_buf_dio *dio;

	fake = dma_buf_fake_export(test, &dma_buf_fake_sgt_ops,
				   dio_seg, ARRAY_SIZE(dio_seg));
	dio = dma_buf_dio_open(fake->dmabuf, DMA_FROM_DEVICE);
	KUNIT_ASSERT_NOT_NULL(test, dio);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dma_buf_dio_get_map(dio, ddev));

	fake->stop_unmap = true;
	dio_job_start(&jobs[0], dio_job_close, dio, ddev);
	wait_for_completion(&fake->stopped);
	dio_job_start(&jobs[1], dio_job_kill, dio, ddev);
	dio_expect_waiting(test, &jobs[1]);
	complete(&fake->go);

	flush_work(&jobs[1].work);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), 0);
	flush_work(&jobs[0].work);
	dma_buf_fake_expect(fake, 0, 1);
}

/* The other way around: close must not free what kill still works on. */
static void dio_close_waits_for_kill(struct kunit *test)
{
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dio_job *jobs = dio_jobs(test, 2);
	struct dma_buf_fake *fake;
	struct dma_buf_dio *dio;

	fake = dma_buf_fake_export(test, &dma_buf_fake_sgt_ops,
				   dio_seg, ARRAY_SIZE(dio_seg));
	dio = dma_buf_dio_open(fake->dmabuf, DMA_FROM_DEVICE);
	KUNIT_ASSERT_NOT_NULL(test, dio);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dma_buf_dio_get_map(dio, ddev));

	fake->stop_unmap = true;
	dio_job_start(&jobs[0], dio_job_kill, dio, ddev);
	wait_for_completion(&fake->stopped);
	dio_job_start(&jobs[1], dio_job_close, dio, ddev);
	dio_expect_waiting(test, &jobs[1]);
	complete(&fake->go);

	flush_work(&jobs[0].work);
	flush_work(&jobs[1].work);
	dma_buf_fake_expect(fake, 0, 1);
}

static void dio_kill_waits_for_get_map(struct kunit *test)
{
	struct dma_buf_dio_dev *ddev = dio_dev(test, "disk");
	struct dio_job *jobs = dio_jobs(test, 2);
	struct dma_buf_fake *fake;
	struct dma_buf_dio *dio;

	fake = dma_buf_fake_export(test, &dma_buf_fake_sgt_ops,
				   dio_seg, ARRAY_SIZE(dio_seg));
	dio = dio_open(fake, DMA_FROM_DEVICE);

	fake->stop_map = true;
	dio_job_start(&jobs[0], dio_job_get_map, dio, ddev);
	wait_for_completion(&fake->stopped);
	dio_job_start(&jobs[1], dio_job_kill, dio, ddev);
	dio_expect_waiting(test, &jobs[1]);
	complete(&fake->go);

	flush_work(&jobs[1].work);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), 0);
	flush_work(&jobs[0].work);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, jobs[0].map);
	dma_buf_fake_expect(fake, 0, 1);
}

/* The same in no order, for sanitizers and lockdep to look at. */
static void dio_stress(struct kunit *test)
{
	const unsigned int nr = 12, nr_dio = 4;
	struct dio_job *jobs = dio_jobs(test, nr + 1), *kill = &jobs[nr];
	struct dma_buf_dio *dio[4];
	struct dma_buf_fake *fake;
	unsigned int i, round;

	fake = dma_buf_fake_export(test, &dma_buf_fake_sgt_ops,
				   dio_seg, ARRAY_SIZE(dio_seg));
	for (round = 0; round < 40; round++) {
		struct device *dev = dma_buf_fake_device(test, "disk",
							 DMA_BIT_MASK(64));
		struct dma_buf_dio_dev *ddev = dma_buf_dio_dev_alloc(dev);

		KUNIT_ASSERT_NOT_NULL(test, ddev);
		for (i = 0; i < nr_dio; i++) {
			dio[i] = dma_buf_dio_open(fake->dmabuf, DMA_FROM_DEVICE);
			KUNIT_ASSERT_NOT_NULL(test, dio[i]);
		}

		/* The disk goes away while it is first used, or at the end */
		for (i = 0; i < nr; i++) {
			dio_job_start(&jobs[i], dio_job_get_map,
				      dio[i % nr_dio], ddev);
			if (i == round)
				dio_job_start(kill, dio_job_kill, NULL, ddev);
		}
		for (i = 0; i < nr; i++)
			flush_work(&jobs[i].work);

		for (i = 0; i < nr_dio; i++) {
			dio_job_start(&jobs[i], dio_job_close, dio[i], NULL);
			if (round >= nr && i == round % nr_dio)
				dio_job_start(kill, dio_job_kill, NULL, ddev);
		}
		flush_work(&kill->work);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), 0);
		for (i = 0; i < nr_dio; i++)
			flush_work(&jobs[i].work);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->attached), 0);

		dma_buf_dio_dev_put(ddev);
		kunit_device_unregister(test, dev);
	}
}

static struct kunit_case dma_buf_dio_cases[] = {
	KUNIT_CASE(dio_one_map_per_device),
	KUNIT_CASE(dio_attachment),
	KUNIT_CASE(dio_index),
	KUNIT_CASE_PARAM(dio_error, dio_error_gen_params),
	KUNIT_CASE_PARAM(dio_coherent, dio_coherent_gen_params),
	KUNIT_CASE(dio_bounced_in_part),
	KUNIT_CASE(dio_iommu),
	KUNIT_CASE(dio_revoke),
	KUNIT_CASE(dio_kill),
	KUNIT_CASE(dio_close_after_put),
	KUNIT_CASE(dio_want),
	KUNIT_CASE(dio_first_use),
	KUNIT_CASE(dio_kill_waits_for_close),
	KUNIT_CASE(dio_close_waits_for_kill),
	KUNIT_CASE(dio_kill_waits_for_get_map),
	KUNIT_CASE(dio_stress),
	{}
};

static struct kunit_suite dma_buf_dio_suite = {
	.name = "dma_buf_dio",
	.test_cases = dma_buf_dio_cases,
};

kunit_test_suite(dma_buf_dio_suite);
