// SPDX-License-Identifier: GPL-2.0-only
/*
 * An exporter without memory, for tests
 */
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/iosys-map.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <kunit/device.h>
#include "dma_buf_fake.h"

static void dma_buf_fake_expect_locked(struct dma_buf_fake *fake)
{
	struct dma_resv *resv = fake->dmabuf->resv;

	KUNIT_EXPECT_TRUE(fake->test, dma_resv_is_locked(resv));
	if (IS_ENABLED(CONFIG_LOCKDEP))
		KUNIT_EXPECT_TRUE(fake->test, dma_resv_held(resv));
}

static void dma_buf_fake_stop(struct dma_buf_fake *fake, bool *stop)
{
	if (!*stop)
		return;
	*stop = false;
	complete(&fake->stopped);
	wait_for_completion(&fake->go);
}

static int dma_buf_fake_attach(struct dma_buf *dmabuf,
			       struct dma_buf_attachment *attach)
{
	struct dma_buf_fake *fake = dmabuf->priv;

	if (fake->attach_error)
		return fake->attach_error;
	atomic_inc(&fake->attached);
	atomic_inc(&fake->attaches);
	return 0;
}

static void dma_buf_fake_detach(struct dma_buf *dmabuf,
				struct dma_buf_attachment *attach)
{
	struct dma_buf_fake *fake = dmabuf->priv;

	/* How many mappings it has */
	KUNIT_EXPECT_NULL(fake->test, attach->priv);
	atomic_dec(&fake->attached);
}

/* Whoever can be told that the buffer moves has no need of it. */
static int dma_buf_fake_pin(struct dma_buf_attachment *attach)
{
	struct dma_buf_fake *fake = attach->dmabuf->priv;

	KUNIT_FAIL(fake->test, "pinned\n");
	atomic_inc(&fake->pins);
	return 0;
}

static void dma_buf_fake_unpin(struct dma_buf_attachment *attach)
{
}

static int dma_buf_fake_begin_move(struct dma_buf_fake *fake)
{
	struct dma_resv *resv = fake->dmabuf->resv;
	int ret = dma_resv_reserve_fences(resv, 1);

	if (!ret)
		dma_resv_add_fence(resv, fake->move, DMA_RESV_USAGE_KERNEL);
	return ret;
}

static int dma_buf_fake_begin_map(struct dma_buf_attachment *attach,
				  enum dma_data_direction dir)
{
	struct dma_buf_fake *fake = attach->dmabuf->priv;

	dma_buf_fake_expect_locked(fake);
	dma_buf_fake_stop(fake, &fake->stop_map);
	if (fake->map_error)
		return fake->map_error;
	if (fake->move) {
		int ret = dma_buf_fake_begin_move(fake);

		if (ret)
			return ret;
	}
	attach->priv++;
	atomic_inc(&fake->mapped);
	atomic_inc(&fake->maps);
	fake->dir = dir;
	return 0;
}

static void dma_buf_fake_end_map(struct dma_buf_attachment *attach,
				 enum dma_data_direction dir)
{
	struct dma_buf_fake *fake = attach->dmabuf->priv;

	dma_buf_fake_expect_locked(fake);
	dma_buf_fake_stop(fake, &fake->stop_unmap);
	KUNIT_EXPECT_EQ(fake->test, dir, fake->dir);
	attach->priv--;
	atomic_dec(&fake->mapped);
}

static int dma_buf_fake_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct dma_buf_fake *fake = dmabuf->priv;

	dma_buf_fake_expect_locked(fake);
	if (!fake->vaddr)
		return -EINVAL;
	iosys_map_set_vaddr(map, fake->vaddr);
	atomic_inc(&fake->vmapped);
	return 0;
}

static void dma_buf_fake_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct dma_buf_fake *fake = dmabuf->priv;

	dma_buf_fake_expect_locked(fake);
	atomic_dec(&fake->vmapped);
}

static int dma_buf_fake_begin_cpu_access(struct dma_buf *dmabuf,
					 enum dma_data_direction dir)
{
	struct dma_buf_fake *fake = dmabuf->priv;

	atomic_inc(&fake->cpu_access);
	return 0;
}

static int dma_buf_fake_end_cpu_access(struct dma_buf *dmabuf,
				       enum dma_data_direction dir)
{
	struct dma_buf_fake *fake = dmabuf->priv;

	atomic_dec(&fake->cpu_access);
	return fake->end_cpu_error;
}

/*
 * What an exporter may do to a table: no pages, no CPU lengths, more entries
 * for the CPU than for the device, or none at all.
 */
static struct sg_table *
dma_buf_fake_map_sgt(struct dma_buf_attachment *attach,
		     enum dma_data_direction dir)
{
	struct dma_buf_fake *fake = attach->dmabuf->priv;
	struct scatterlist *sg;
	struct sg_table *sgt;
	unsigned int i;
	int ret;

	sgt = kzalloc_obj(*sgt);
	if (!sgt)
		return ERR_PTR(-ENOMEM);
	ret = sg_alloc_table(sgt, fake->nr + 1, GFP_KERNEL);
	if (ret)
		goto err_free;
	ret = dma_buf_fake_begin_map(attach, dir);
	if (ret)
		goto err_free_table;

	for_each_sgtable_sg(sgt, sg, i) {
		bool more = i == fake->nr;

		sg_dma_address(sg) = more ? 0xbad000 : fake->seg[i].addr;
		sg_dma_len(sg) = more ? PAGE_SIZE : fake->seg[i].len;
	}
	sgt->nents = fake->nr;
	if (fake->no_cpu_list)
		sgt->orig_nents = 0;
	return sgt;

err_free_table:
	sg_free_table(sgt);
err_free:
	kfree(sgt);
	return ERR_PTR(ret);
}

static void dma_buf_fake_unmap_sgt(struct dma_buf_attachment *attach,
				   struct sg_table *sgt,
				   enum dma_data_direction dir)
{
	struct dma_buf_fake *fake = attach->dmabuf->priv;

	dma_buf_fake_end_map(attach, dir);
	sgt->orig_nents = fake->nr + 1;
	sg_free_table(sgt);
	kfree(sgt);
}

static struct sg_table *
dma_buf_fake_no_sgt(struct dma_buf_attachment *attach,
		    enum dma_data_direction dir)
{
	struct dma_buf_fake *fake = attach->dmabuf->priv;

	KUNIT_FAIL(fake->test, "segments were there to be asked for\n");
	return ERR_PTR(-ENXIO);
}

struct dma_buf_fake_segments {
	struct dma_buf_segments base;
	struct list_head node;
	struct dma_buf_segment seg[];
};

/* What nobody may see */
#define DMA_BUF_FAKE_POISON	0x5a

/**
 * dma_buf_fake_addr - where a segment of a mapping is
 * @fake: the buffer, with &dma_buf_fake.elsewhere
 * @i: index of the segment
 * @nth: which mapping it is, counted from 1
 *
 * Returns: the address, which differs from that in the last and the next
 * 65535 mappings.
 */
dma_addr_t dma_buf_fake_addr(const struct dma_buf_fake *fake, unsigned int i,
			     u32 nth)
{
	return fake->seg[i].addr + ((dma_addr_t)(nth & U16_MAX) << PAGE_SHIFT);
}

static void dma_buf_fake_move_segments(struct dma_buf_fake *fake,
				       struct dma_buf_fake_segments *s)
{
	unsigned int i;

	/* Two at a time would not tell which one an address is of */
	KUNIT_EXPECT_EQ(fake->test, fake->now, 0);
	WRITE_ONCE(fake->now, atomic_read(&fake->maps));
	for (i = 0; i < fake->nr; i++) {
		s->seg[i].addr = dma_buf_fake_addr(fake, i, fake->now);
		s->seg[i].len = fake->seg[i].len;
	}
	s->base.seg = s->seg;
}

static struct dma_buf_segments *
dma_buf_fake_map_segments(struct dma_buf_attachment *attach,
			  enum dma_data_direction dir)
{
	struct dma_buf_fake *fake = attach->dmabuf->priv;
	struct dma_buf_fake_segments *s;
	int ret;

	s = kzalloc_flex(*s, seg, fake->elsewhere ? fake->nr : 0);
	if (!s)
		return ERR_PTR(-ENOMEM);
	ret = dma_buf_fake_begin_map(attach, dir);
	if (ret) {
		kfree(s);
		return ERR_PTR(ret);
	}
	s->base.seg = fake->seg;
	s->base.nr = fake->nr;
	if (fake->elsewhere)
		dma_buf_fake_move_segments(fake, s);
	return &s->base;
}

/*
 * What moves stays as poison to the end of the test, so that who uses it too
 * long sees that, and not what somebody else puts there.
 */
static void dma_buf_fake_unmap_segments(struct dma_buf_attachment *attach,
					struct dma_buf_segments *segs,
					enum dma_data_direction dir)
{
	struct dma_buf_fake_segments *s =
		container_of(segs, struct dma_buf_fake_segments, base);
	struct dma_buf_fake *fake = attach->dmabuf->priv;

	dma_buf_fake_end_map(attach, dir);
	if (!fake->elsewhere) {
		kfree(s);
		return;
	}
	WRITE_ONCE(fake->now, 0);
	memset(s->seg, DMA_BUF_FAKE_POISON, sizeof(*s->seg) * s->base.nr);
	list_add(&s->node, &fake->unmapped);
}

static void dma_buf_fake_release(struct dma_buf *dmabuf)
{
	struct dma_buf_fake *fake = dmabuf->priv;

	complete_all(&fake->released);
}

const struct dma_buf_ops dma_buf_fake_sgt_ops = {
	.attach		= dma_buf_fake_attach,
	.detach		= dma_buf_fake_detach,
	.pin		= dma_buf_fake_pin,
	.unpin		= dma_buf_fake_unpin,
	.map_dma_buf	= dma_buf_fake_map_sgt,
	.unmap_dma_buf	= dma_buf_fake_unmap_sgt,
	.vmap		= dma_buf_fake_vmap,
	.vunmap		= dma_buf_fake_vunmap,
	.begin_cpu_access = dma_buf_fake_begin_cpu_access,
	.end_cpu_access	= dma_buf_fake_end_cpu_access,
	.release	= dma_buf_fake_release,
};

const struct dma_buf_ops dma_buf_fake_unpinned_ops = {
	.attach		= dma_buf_fake_attach,
	.detach		= dma_buf_fake_detach,
	.map_dma_buf	= dma_buf_fake_map_sgt,
	.unmap_dma_buf	= dma_buf_fake_unmap_sgt,
	.release	= dma_buf_fake_release,
};

const struct dma_buf_ops dma_buf_fake_seg_ops = {
	.attach		= dma_buf_fake_attach,
	.detach		= dma_buf_fake_detach,
	.pin		= dma_buf_fake_pin,
	.unpin		= dma_buf_fake_unpin,
	.map_dma_buf	= dma_buf_fake_no_sgt,
	.unmap_dma_buf	= dma_buf_fake_unmap_sgt,
	.map_segments	= dma_buf_fake_map_segments,
	.unmap_segments	= dma_buf_fake_unmap_segments,
	.release	= dma_buf_fake_release,
};

static void dma_buf_fake_put(void *data)
{
	struct dma_buf_fake_segments *s, *next;
	struct dma_buf_fake *fake = data;
	struct kunit *test = fake->test;

	KUNIT_EXPECT_EQ(test, atomic_read(&fake->vmapped), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->cpu_access), 0);

	/* Maps for direct I/O stay until here, and no longer */
	dma_buf_put(fake->dmabuf);
	flush_delayed_fput();
	/* That may be left to somebody who puts another file */
	KUNIT_EXPECT_NE(test, 0,
			wait_for_completion_timeout(&fake->released, 60 * HZ));
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->attached), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->pins), 0);

	list_for_each_entry_safe(s, next, &fake->unmapped, node)
		kfree(s);
	INIT_LIST_HEAD(&fake->unmapped);
}

static struct dma_buf_fake *
dma_buf_fake_do_export(struct kunit *test, const struct dma_buf_ops *ops,
		       const struct dma_buf_segment *seg, unsigned int nr,
		       int flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(exp_info);
	struct dma_buf_fake *fake;
	unsigned int i;

	fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fake);
	fake->test = test;
	fake->seg = seg;
	fake->nr = nr;
	init_completion(&fake->stopped);
	init_completion(&fake->go);
	init_completion(&fake->released);
	INIT_LIST_HEAD(&fake->unmapped);

	exp_info.ops = ops;
	exp_info.flags = flags;
	exp_info.priv = fake;
	for (i = 0; i < nr; i++)
		exp_info.size += seg[i].len;

	fake->dmabuf = dma_buf_export(&exp_info);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, fake->dmabuf);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, dma_buf_fake_put, fake));
	return fake;
}

/**
 * dma_buf_fake_export - make a buffer of the segments
 * @test: the test, at the end of which the buffer goes away
 * @ops: one of those above
 * @seg: the segments, of which nothing is copied
 * @nr: number of segments
 *
 * Returns: the buffer and what is known of it.
 */
struct dma_buf_fake *dma_buf_fake_export(struct kunit *test,
					 const struct dma_buf_ops *ops,
					 const struct dma_buf_segment *seg,
					 unsigned int nr)
{
	return dma_buf_fake_do_export(test, ops, seg, nr, O_RDWR);
}

/**
 * dma_buf_fake_export_ro - make a buffer that nobody may write to
 * @test: the test, at the end of which the buffer goes away
 * @ops: one of those above
 * @seg: the segments, of which nothing is copied
 * @nr: number of segments
 *
 * Returns: the buffer and what is known of it.
 */
struct dma_buf_fake *dma_buf_fake_export_ro(struct kunit *test,
					    const struct dma_buf_ops *ops,
					    const struct dma_buf_segment *seg,
					    unsigned int nr)
{
	return dma_buf_fake_do_export(test, ops, seg, nr, O_RDONLY);
}

/**
 * dma_buf_fake_end - release a buffer before the test ends
 * @fake: the buffer, which the test has the last reference to
 */
void dma_buf_fake_end(struct dma_buf_fake *fake)
{
	kunit_release_action(fake->test, dma_buf_fake_put, fake);
}

/**
 * dma_buf_fake_expect - check what exists
 * @fake: the buffer
 * @now: mappings that should exist
 * @ever: mappings that should have been made
 *
 * Each mapping has an attachment of its own, which may stay when it ends.
 */
void dma_buf_fake_expect(struct dma_buf_fake *fake, int now, int ever)
{
	struct kunit *test = fake->test;

	KUNIT_EXPECT_EQ(test, atomic_read(&fake->mapped), now);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->maps), ever);
	KUNIT_EXPECT_GE(test, atomic_read(&fake->attached), now);
	KUNIT_EXPECT_EQ(test, atomic_read(&fake->pins), 0);
}

/**
 * dma_buf_fake_device - make a device that can do DMA
 * @test: the test, at the end of which the device goes away
 * @name: its name
 * @mask: what it can address
 *
 * Returns: the device.
 */
struct device *dma_buf_fake_device(struct kunit *test, const char *name,
				   u64 mask)
{
	struct device *dev = kunit_device_register(test, name);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	KUNIT_ASSERT_EQ(test, 0, dma_coerce_mask_and_coherent(dev, mask));
	return dev;
}

static void dma_buf_fake_put_device(void *dev)
{
	put_device(dev);
}

/**
 * dma_buf_fake_iommu_device - borrow a device that is behind an IOMMU
 * @test: the test, which is skipped if there is none
 *
 * The device is not told of any address, so it does not use them.
 *
 * Returns: the device, which the test gives back when it ends.
 */
struct device *dma_buf_fake_iommu_device(struct kunit *test)
{
	struct pci_dev *pdev = NULL;

	for_each_pci_dev(pdev)
		if (dma_get_merge_boundary(&pdev->dev))
			break;
	if (!pdev)
		kunit_skip(test, "no PCI device behind an IOMMU");

	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, dma_buf_fake_put_device,
						  &pdev->dev));
	return &pdev->dev;
}

MODULE_DESCRIPTION("KUnit tests for direct I/O between files and dma-bufs");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
