// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for mapped dma-bufs as arrays of device address ranges
 */
#include <linux/dma-buf-mapping.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/iommu.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>
#include "dma_buf_fake.h"

static void segments_invalidate(struct dma_buf_attachment *attach)
{
}

static const struct dma_buf_attach_ops segments_attach_ops = {
	.allow_peer2peer	= true,
	.invalidate_mappings	= segments_invalidate,
};

static void segments_detach(void *data)
{
	struct dma_buf_attachment *attach = data;

	dma_buf_detach(attach->dmabuf, attach);
}

static struct dma_buf_attachment *segments_attach(struct dma_buf_fake *fake,
						  struct device *dev)
{
	struct kunit *test = fake->test;
	struct dma_buf_attachment *attach;

	attach = dma_buf_dynamic_attach(fake->dmabuf, dev,
					&segments_attach_ops, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, segments_detach, attach));
	return attach;
}

static struct dma_buf_segments *segments_map(struct dma_buf_attachment *attach)
{
	struct dma_buf_segments *segs;

	dma_resv_lock(attach->dmabuf->resv, NULL);
	segs = dma_buf_map_segments(attach, DMA_FROM_DEVICE);
	dma_resv_unlock(attach->dmabuf->resv);
	return segs;
}

static void segments_unmap(struct dma_buf_attachment *attach,
			   struct dma_buf_segments *segs)
{
	dma_resv_lock(attach->dmabuf->resv, NULL);
	dma_buf_unmap_segments(attach, segs, DMA_FROM_DEVICE);
	dma_resv_unlock(attach->dmabuf->resv);
}

static void segments_expect(struct kunit *test,
			    const struct dma_buf_segments *segs,
			    const struct dma_buf_segment *seg, unsigned int nr)
{
	unsigned int i;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, segs);
	KUNIT_ASSERT_EQ(test, segs->nr, nr);
	for (i = 0; i < nr; i++) {
		KUNIT_EXPECT_EQ_MSG(test, segs->seg[i].addr, seg[i].addr,
				    "segment %u", i);
		KUNIT_EXPECT_EQ_MSG(test, segs->seg[i].len, seg[i].len,
				    "segment %u", i);
	}
}

struct segments_adaptor_param {
	const char *desc;
	unsigned int nr_in, nr_out;	/* no segment is a refusal */
	struct dma_buf_segment in[6], out[6];
};

static const struct segments_adaptor_param segments_adaptor_params[] = {
	{ "one", 1, 1, { { 0x1000, 0x1000 } }, { { 0x1000, 0x1000 } } },
	{ "at address 0", 2, 1, { { 0, 0x1000 }, { 0x1000, 0x1000 } },
	  { { 0, 0x2000 } } },
	{ "neighbours", 3, 1,
	  { { 0x1000, 0x1000 }, { 0x2000, 0x200 }, { 0x2200, 0x10 } },
	  { { 0x1000, 0x1210 } } },
	{ "gap", 2, 2, { { 0x1000, 0x1000 }, { 0x2001, 0x1000 } },
	  { { 0x1000, 0x1000 }, { 0x2001, 0x1000 } } },
	{ "overlap", 2, 2, { { 0x1000, 0x1000 }, { 0x1fff, 0x1000 } },
	  { { 0x1000, 0x1000 }, { 0x1fff, 0x1000 } } },
	{ "same twice", 2, 2, { { 0x1000, 0x1000 }, { 0x1000, 0x1000 } },
	  { { 0x1000, 0x1000 }, { 0x1000, 0x1000 } } },
	{ "neighbours backwards", 3, 3,
	  { { 0x3000, 0x1000 }, { 0x2000, 0x1000 }, { 0x1000, 0x1000 } },
	  { { 0x3000, 0x1000 }, { 0x2000, 0x1000 }, { 0x1000, 0x1000 } } },
	{ "order kept around a merge", 5, 3,
	  { { 0x9000, 0x1000 }, { 0x1000, 0x1000 }, { 0x2000, 0x1000 },
	    { 0x3000, 0x1000 }, { 0x8000, 0x1000 } },
	  { { 0x9000, 0x1000 }, { 0x1000, 0x3000 }, { 0x8000, 0x1000 } } },
	{ "empty entries between", 6, 2,
	  { { 0x7000, 0 }, { 0x1000, 0x1000 }, { 0x7000, 0 },
	    { 0x2000, 0x1000 }, { 0x3000, 0 }, { 0x5000, 0x1000 } },
	  { { 0x1000, 0x2000 }, { 0x5000, 0x1000 } } },
	{ "empty entry at the end", 2, 1, { { 0x1000, 0x1000 }, { 0, 0 } },
	  { { 0x1000, 0x1000 } } },
#ifdef CONFIG_64BIT
	{ "longer than 32 bits", 4, 2,
	  { { SZ_1G, SZ_2G }, { 0xc0000000, SZ_2G }, { 0x140000000, SZ_2G },
	    { SZ_1G, SZ_4K } },
	  { { SZ_1G, 0x180000000 }, { SZ_1G, SZ_4K } } },
	{ "differ above 32 bits", 2, 2,
	  { { 0x100001000, 0x1000 }, { 0x200002000, 0x1000 } },
	  { { 0x100001000, 0x1000 }, { 0x200002000, 0x1000 } } },
#endif
	{ "only empty entries", 2, 0, { { 0x1000, 0 }, { 0x2000, 0 } } },
	{ "no entry", 0, 0 },
};

KUNIT_ARRAY_PARAM_DESC(segments_adaptor, segments_adaptor_params, desc);

static void segments_adaptor(struct kunit *test)
{
	struct device *dev = dma_buf_fake_device(test, "dev", DMA_BIT_MASK(64));
	const struct segments_adaptor_param *p = test->param_value;
	struct dma_buf_attachment *attach;
	struct dma_buf_segments *segs;
	struct dma_buf_fake *fake;
	unsigned int i;

	fake = dma_buf_fake_export(test, &dma_buf_fake_unpinned_ops,
				   p->in, p->nr_in);
	attach = segments_attach(fake, dev);

	for (i = 0; i < 2; i++) {
		fake->no_cpu_list = i;
		segs = segments_map(attach);
		if (p->nr_out) {
			segments_expect(test, segs, p->out, p->nr_out);
			segments_unmap(attach, segs);
		} else {
			KUNIT_EXPECT_TRUE(test, IS_ERR(segs));
		}
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), 0);
	}
}

static void segments_native(struct kunit *test)
{
	static const struct dma_buf_segment seg[] = {
		{ 0x1000, 0x1000 }, { 0x2000, 0x1000 }, { 0x1000, SZ_2G },
	};
	struct device *dev = dma_buf_fake_device(test, "dev", DMA_BIT_MASK(64));
	struct dma_buf_segments *segs, *again;
	struct dma_buf_attachment *attach;
	struct dma_buf_fake *fake;

	fake = dma_buf_fake_export(test, &dma_buf_fake_seg_ops,
				   seg, ARRAY_SIZE(seg));
	attach = segments_attach(fake, dev);

	/* Exactly what the exporter gave, which would fail if asked for more */
	segs = segments_map(attach);
	segments_expect(test, segs, seg, ARRAY_SIZE(seg));
	KUNIT_EXPECT_PTR_EQ(test, segs->seg, fake->seg);

	again = segments_map(attach);
	KUNIT_EXPECT_PTR_NE(test, again, segs);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), 2);
	segments_unmap(attach, segs);
	segments_unmap(attach, again);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), 0);
}

static void segments_exporter_error(struct kunit *test)
{
	static const struct dma_buf_segment seg[] = { { 0x1000, 0x1000 } };
	struct device *dev = dma_buf_fake_device(test, "dev", DMA_BIT_MASK(64));
	static const struct dma_buf_ops * const ops[] = {
		&dma_buf_fake_seg_ops, &dma_buf_fake_sgt_ops,
	};
	struct dma_buf_attachment *attach;
	struct dma_buf_segments *segs;
	struct dma_buf_fake *fake;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		fake = dma_buf_fake_export(test, ops[i], seg, ARRAY_SIZE(seg));
		attach = segments_attach(fake, dev);

		fake->map_error = -EREMOTEIO;
		segs = segments_map(attach);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(segs), -EREMOTEIO);
		KUNIT_EXPECT_EQ(test, atomic_read(&fake->maps), 0);
	}
}

/* Who does not follow revokes or fences gets no addresses. */
static void segments_static_importer(struct kunit *test)
{
	static const struct dma_buf_segment seg[] = { { 0x1000, 0x1000 } };
	struct device *dev = dma_buf_fake_device(test, "dev", DMA_BIT_MASK(64));
	struct dma_buf_segments *segs = NULL;
	struct dma_buf_attachment *attach;
	struct dma_buf_fake *fake;

	fake = dma_buf_fake_export(test, &dma_buf_fake_seg_ops,
				   seg, ARRAY_SIZE(seg));
	attach = dma_buf_attach(fake->dmabuf, dev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);
	kunit_warning_suppress(test)
		segs = segments_map(attach);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(segs), -EINVAL);
	dma_buf_detach(fake->dmabuf, attach);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->maps), 0);
}

static void segments_export_pairing(struct kunit *test)
{
	struct dma_buf_ops no_map = dma_buf_fake_seg_ops;
	struct dma_buf_ops no_unmap = dma_buf_fake_seg_ops;
	const struct dma_buf_ops *ops[] = { &no_map, &no_unmap };
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	unsigned int i;

	no_map.map_segments = NULL;
	no_unmap.unmap_segments = NULL;
	exp_info.size = PAGE_SIZE;
	exp_info.priv = test;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		struct dma_buf *dmabuf = NULL;

		exp_info.ops = ops[i];
		kunit_warning_suppress(test)
			dmabuf = dma_buf_export(&exp_info);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(dmabuf), -EINVAL);
	}
}

/*
 * Ranges of physical memory.  What is mapped and unmapped is seen by tracing,
 * if the kernel has that.
 */
struct phys_call {
	phys_addr_t phys;
	dma_addr_t addr;
	size_t size;
	enum dma_data_direction dir;
	unsigned long attrs;
};

struct phys_test {
	struct kunit *test;
	struct dma_buf_attachment *attach;
	struct tracepoint *map_tp, *unmap_tp;
	struct phys_call maps[8], unmaps[8];
	unsigned int nr_maps, nr_unmaps;
};

static void phys_probe_map(void *data, struct device *dev, phys_addr_t phys,
			   dma_addr_t addr, size_t size,
			   enum dma_data_direction dir, unsigned long attrs)
{
	struct phys_test *p = data;

	if (dev != p->attach->dev || dma_mapping_error(dev, addr))
		return;
	if (p->nr_maps < ARRAY_SIZE(p->maps))
		p->maps[p->nr_maps] = (struct phys_call){
			phys, addr, size, dir, attrs
		};
	p->nr_maps++;
}

static void phys_probe_unmap(void *data, struct device *dev, dma_addr_t addr,
			     size_t size, enum dma_data_direction dir,
			     unsigned long attrs)
{
	struct phys_test *p = data;

	if (dev != p->attach->dev)
		return;
	if (p->nr_unmaps < ARRAY_SIZE(p->unmaps))
		p->unmaps[p->nr_unmaps] = (struct phys_call){
			0, addr, size, dir, attrs
		};
	p->nr_unmaps++;
}

static void phys_find_tracepoints(struct tracepoint *tp, void *data)
{
	struct phys_test *p = data;

	if (!strcmp(tp->name, "dma_map_phys"))
		p->map_tp = tp;
	else if (!strcmp(tp->name, "dma_unmap_phys"))
		p->unmap_tp = tp;
}

static void phys_trace_end(void *data)
{
	struct phys_test *p = data;

	tracepoint_probe_unregister(p->map_tp, phys_probe_map, p);
	tracepoint_probe_unregister(p->unmap_tp, phys_probe_unmap, p);
	tracepoint_synchronize_unregister();
}

static struct phys_test *phys_test_init(struct kunit *test, struct device *dev)
{
	static const struct dma_buf_segment seg[] = { { 0x1000, 0x1000 } };
	struct phys_test *p = kunit_kzalloc(test, sizeof(*p), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	p->test = test;
	p->attach = segments_attach(dma_buf_fake_export(test,
							&dma_buf_fake_seg_ops,
							seg, ARRAY_SIZE(seg)),
				    dev);

	if (IS_ENABLED(CONFIG_TRACEPOINTS)) {
		for_each_kernel_tracepoint(phys_find_tracepoints, p);
		KUNIT_ASSERT_NOT_NULL(test, p->map_tp);
		KUNIT_ASSERT_NOT_NULL(test, p->unmap_tp);
		KUNIT_ASSERT_EQ(test, 0, tracepoint_probe_register(p->map_tp,
								   phys_probe_map, p));
		KUNIT_ASSERT_EQ(test, 0, tracepoint_probe_register(p->unmap_tp,
								   phys_probe_unmap, p));
		KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
								   phys_trace_end, p));
	}
	return p;
}

static struct dma_buf_segments *phys_map(struct phys_test *p,
					 const struct phys_vec *vec, size_t nr,
					 unsigned long attrs)
{
	struct dma_buf_attachment *attach = p->attach;
	struct dma_buf_segments *segs;

	dma_resv_lock(attach->dmabuf->resv, NULL);
	segs = dma_buf_phys_map_segments(attach, vec, nr, DMA_FROM_DEVICE, attrs);
	dma_resv_unlock(attach->dmabuf->resv);
	return segs;
}

static void phys_unmap(struct phys_test *p, struct dma_buf_segments *segs)
{
	struct dma_buf_attachment *attach = p->attach;

	dma_resv_lock(attach->dmabuf->resv, NULL);
	dma_buf_phys_unmap_segments(attach, segs, DMA_FROM_DEVICE);
	dma_resv_unlock(attach->dmabuf->resv);
}

/* That many calls mapped something, and each was undone once, exactly. */
static void phys_expect_undone(struct phys_test *p, unsigned int nr,
			       unsigned long attrs)
{
	struct kunit *test = p->test;
	unsigned int i, j;

	if (!IS_ENABLED(CONFIG_TRACEPOINTS))
		return;

	KUNIT_ASSERT_EQ(test, p->nr_maps, nr);
	KUNIT_ASSERT_EQ(test, p->nr_unmaps, nr);
	for (i = 0; i < nr; i++) {
		KUNIT_EXPECT_EQ(test, p->maps[i].dir, DMA_FROM_DEVICE);
		KUNIT_EXPECT_EQ(test, p->maps[i].attrs, attrs);
		for (j = 0; j < nr; j++)
			if (p->unmaps[j].addr == p->maps[i].addr &&
			    p->unmaps[j].size == p->maps[i].size &&
			    p->unmaps[j].dir == p->maps[i].dir &&
			    p->unmaps[j].attrs == p->maps[i].attrs)
				break;
		KUNIT_EXPECT_LT_MSG(test, j, nr, "mapping %u was not undone", i);
		if (j < nr)
			p->unmaps[j].size = 0;
	}
	p->nr_maps = 0;
	p->nr_unmaps = 0;
}

#define PHYS	DMA_BUF_FAKE_PHYS

/* Addresses of no memory, so they must not be taken for some. */
static void segments_phys_direct(struct kunit *test)
{
	static const struct phys_vec vec[] = {
		/* neighbours */
		{ PHYS + 0x10000000, SZ_1M }, { PHYS + 0x10100000, SZ_4K },
		/* alone */
		{ PHYS + 0x20000000, SZ_4K },
		/* neighbours of each other, and of what comes earlier */
		{ PHYS + 0x10101000, SZ_8K }, { PHYS + 0x10103000, SZ_4K },
	};
	struct device *dev = dma_buf_fake_device(test, "dev", DMA_BIT_MASK(64));
	struct phys_test *p = phys_test_init(test, dev);
	struct dma_buf_segments *segs;
	size_t i;

	const struct dma_buf_segment out[] = {
		{ phys_to_dma(dev, PHYS + 0x10000000), SZ_1M + SZ_4K },
		{ phys_to_dma(dev, PHYS + 0x20000000), SZ_4K },
		{ phys_to_dma(dev, PHYS + 0x10101000), SZ_8K + SZ_4K },
	};

	segs = phys_map(p, vec, ARRAY_SIZE(vec), DMA_ATTR_MMIO);
	segments_expect(test, segs, out, ARRAY_SIZE(out));
	phys_unmap(p, segs);
	phys_expect_undone(p, ARRAY_SIZE(out), DMA_ATTR_MMIO);

	for (i = 0; i < ARRAY_SIZE(vec); i++) {
		segs = phys_map(p, &vec[i], 1, DMA_ATTR_MMIO);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, segs);
		KUNIT_EXPECT_EQ(test, segs->nr, 1);
		KUNIT_EXPECT_EQ(test, segs->seg[0].len, vec[i].len);
		phys_unmap(p, segs);
		phys_expect_undone(p, 1, DMA_ATTR_MMIO);
	}
}

/* What was mapped before the device could not go on is unmapped. */
static void segments_phys_fail(struct kunit *test)
{
	static const struct phys_vec vec[] = {
		{ PHYS + 0x10000000, SZ_4K }, { PHYS + 0x20000000, SZ_1M },
		{ PHYS + 0x30000000, SZ_4K }, { (phys_addr_t)(1ULL << 46), SZ_4K },
		{ PHYS + 0x40000000, SZ_4K },
	};
	struct device *dev = dma_buf_fake_device(test, "dev", DMA_BIT_MASK(45));
	struct phys_test *p = phys_test_init(test, dev);
	struct dma_buf_segments *segs = NULL;
	unsigned int first;

	if (sizeof(phys_addr_t) < sizeof(u64))
		kunit_skip(test, "no address is out of reach of a device");

	for (first = 0; first < 4; first++) {
		kunit_warning_suppress(test)
			segs = phys_map(p, vec + first, ARRAY_SIZE(vec) - first,
					DMA_ATTR_MMIO);
		KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(segs), -ENOMEM);
		phys_expect_undone(p, 3 - first, DMA_ATTR_MMIO);
	}
}

static void segments_phys_bad(struct kunit *test)
{
	static const struct phys_vec empty[] = {
		{ PHYS, SZ_4K }, { PHYS + SZ_1M, 0 }, { PHYS + SZ_2M, SZ_4K },
	};
	static const struct phys_vec huge[] = {
		{ PHYS, SIZE_MAX - SZ_4K }, { PHYS + SZ_1M, SZ_8K },
	};
	struct device *dev = dma_buf_fake_device(test, "dev", DMA_BIT_MASK(64));
	struct phys_test *p = phys_test_init(test, dev);
	struct dma_buf_segments *segs;

	segs = phys_map(p, empty, 0, DMA_ATTR_MMIO);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(segs), -EINVAL);
	segs = phys_map(p, empty, ARRAY_SIZE(empty), DMA_ATTR_MMIO);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(segs), -EINVAL);
	segs = phys_map(p, empty + 1, 1, DMA_ATTR_MMIO);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(segs), -EINVAL);
	segs = phys_map(p, huge, ARRAY_SIZE(huge), DMA_ATTR_MMIO);
	KUNIT_EXPECT_EQ(test, PTR_ERR_OR_ZERO(segs), -EINVAL);
	phys_expect_undone(p, 0, 0);
}

static void segments_phys_free_pages(void *data)
{
	free_pages((unsigned long)data, 3);
}

/* Eight pages in a row of real memory. */
static phys_addr_t segments_phys_pages(struct kunit *test)
{
	void *mem = (void *)__get_free_pages(GFP_KERNEL, 3);

	KUNIT_ASSERT_NOT_NULL(test, mem);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, segments_phys_free_pages, mem));
	return virt_to_phys(mem);
}

static void segments_phys_memory(struct kunit *test)
{
	struct device *dev = dma_buf_fake_device(test, "dev", DMA_BIT_MASK(64));
	phys_addr_t phys = segments_phys_pages(test);
	struct phys_test *p = phys_test_init(test, dev);
	struct dma_buf_segments *segs;

	const struct phys_vec vec[] = {
		{ phys + PAGE_SIZE, PAGE_SIZE }, { phys + 2 * PAGE_SIZE, PAGE_SIZE },
		{ phys, PAGE_SIZE },
	};

	segs = phys_map(p, vec, ARRAY_SIZE(vec), 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, segs);
	KUNIT_ASSERT_EQ(test, segs->nr, 2);
	KUNIT_EXPECT_EQ(test, segs->seg[0].len, 2 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, segs->seg[1].len, PAGE_SIZE);
	phys_unmap(p, segs);
	phys_expect_undone(p, 2, 0);
}

static void segments_phys_free_large(void *page)
{
	__free_pages(page, get_order(SZ_1M));
}

/* Not more in one mapping than the device may have, but as much as that. */
static void segments_phys_max(struct kunit *test)
{
	struct device *dev = dma_buf_fake_device(test, "dev", DMA_BIT_MASK(32));
	struct phys_test *p = phys_test_init(test, dev);
	size_t max = dma_max_mapping_size(dev);
	struct dma_buf_segments *segs;
	struct phys_vec vec[8];
	unsigned int i, nr = 1;
	struct page *page;

	page = alloc_pages(GFP_KERNEL | GFP_DMA32, get_order(SZ_1M));
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   segments_phys_free_large,
							   page));
	/* All of them are neighbours */
	for (i = 0; i < ARRAY_SIZE(vec); i++)
		vec[i] = (struct phys_vec){ page_to_phys(page) + i * 3 * SZ_32K,
					    3 * SZ_32K };
	if (max < ARRAY_SIZE(vec) * 3 * SZ_32K)
		nr = DIV_ROUND_UP(ARRAY_SIZE(vec), max / (3 * SZ_32K));

	segs = phys_map(p, vec, ARRAY_SIZE(vec), 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, segs);
	KUNIT_EXPECT_EQ(test, segs->nr, nr);
	for (i = 0; i < segs->nr; i++)
		KUNIT_EXPECT_LE(test, segs->seg[i].len, max);
	phys_unmap(p, segs);
	phys_expect_undone(p, nr, 0);
}

/* Behind an IOMMU any pages become one segment. */
static void segments_phys_iova(struct kunit *test)
{
	static const unsigned int order[] = { 5, 1, 2, 7 };
	struct device *dev = dma_buf_fake_iommu_device(test);
	struct phys_vec vec[ARRAY_SIZE(order)];
	struct iommu_domain *domain;
	struct dma_buf_segments *segs;
	struct phys_test *p;
	phys_addr_t phys;
	dma_addr_t addr;
	size_t i;

	domain = iommu_get_domain_for_dev(dev);
	phys = segments_phys_pages(test);
	p = phys_test_init(test, dev);

	for (i = 0; i < ARRAY_SIZE(order); i++)
		vec[i] = (struct phys_vec){ phys + order[i] * PAGE_SIZE, PAGE_SIZE };
	/* Only where ranges meet do IOMMU pages matter */
	vec[0].paddr += SZ_512;
	vec[0].len -= SZ_512;
	vec[i - 1].len -= SZ_1K;

	segs = phys_map(p, vec, ARRAY_SIZE(vec), 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, segs);
	KUNIT_EXPECT_EQ(test, segs->nr, 1);
	KUNIT_EXPECT_EQ(test, segs->seg[0].len, 4 * PAGE_SIZE - SZ_512 - SZ_1K);
	for (i = 0, addr = segs->seg[0].addr; i < ARRAY_SIZE(vec); i++) {
		KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(domain, addr), vec[i].paddr);
		addr += vec[i].len;
	}
	addr = segs->seg[0].addr;
	phys_unmap(p, segs);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(domain, addr), 0);
	phys_expect_undone(p, 0, 0);

	/* These do not meet at pages, so each gets its own */
	vec[1].len -= SZ_512;
	segs = phys_map(p, vec, ARRAY_SIZE(vec), 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, segs);
	KUNIT_ASSERT_EQ(test, segs->nr, ARRAY_SIZE(vec));
	for (i = 0; i < segs->nr; i++) {
		KUNIT_EXPECT_EQ(test, segs->seg[i].len, vec[i].len);
		KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(domain, segs->seg[i].addr),
				vec[i].paddr);
	}
	phys_unmap(p, segs);
	phys_expect_undone(p, ARRAY_SIZE(vec), 0);
}

static struct kunit_case dma_buf_segments_cases[] = {
	KUNIT_CASE_PARAM(segments_adaptor, segments_adaptor_gen_params),
	KUNIT_CASE(segments_native),
	KUNIT_CASE(segments_exporter_error),
	KUNIT_CASE(segments_static_importer),
	KUNIT_CASE(segments_export_pairing),
	KUNIT_CASE(segments_phys_direct),
	KUNIT_CASE(segments_phys_fail),
	KUNIT_CASE(segments_phys_bad),
	KUNIT_CASE(segments_phys_memory),
	KUNIT_CASE(segments_phys_max),
	KUNIT_CASE(segments_phys_iova),
	{}
};

static struct kunit_suite dma_buf_segments_suite = {
	.name = "dma_buf_segments",
	.test_cases = dma_buf_segments_cases,
};

kunit_test_suite(dma_buf_segments_suite);
