// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapped dma-bufs as arrays of device address ranges
 *
 * Importers that only need to know where a buffer is, as their device sees
 * it, call dma_buf_map_segments().  The answer comes from the exporter if it
 * implements &dma_buf_ops.map_segments, and from its scatterlist if it does
 * not: DMA addresses and lengths only, as there may be no pages, and no CPU
 * lengths, behind them.
 *
 * Exporters that own physical ranges of memory find the implementation of
 * both operations here.
 */
#include <linux/dma-buf.h>
#include <linux/dma-buf-mapping.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/overflow.h>
#include <linux/slab.h>

struct dma_buf_sgt_segments {
	struct dma_buf_segments base;
	struct sg_table *sgt;
	struct dma_buf_segment seg[];
};

/* Calls that only count have no @seg. */
static unsigned int dma_buf_merge_sgt(struct sg_table *sgt,
				      struct dma_buf_segment *seg)
{
	dma_addr_t end = 0;
	struct scatterlist *sg;
	unsigned int nr = 0;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		dma_addr_t addr = sg_dma_address(sg);
		size_t len = sg_dma_len(sg);

		if (!len)
			continue;
		if (!nr || addr != end) {
			if (seg)
				seg[nr] = (struct dma_buf_segment){ addr, 0 };
			nr++;
		}
		if (seg)
			seg[nr - 1].len += len;
		end = addr + len;
	}
	return nr;
}

static struct dma_buf_segments *
dma_buf_map_sgt_segments(struct dma_buf_attachment *attach,
			 enum dma_data_direction dir)
{
	struct dma_buf_sgt_segments *segs;
	struct sg_table *sgt;
	unsigned int nr;
	int ret = -EIO;

	sgt = dma_buf_map_attachment(attach, dir);
	if (IS_ERR(sgt))
		return ERR_CAST(sgt);

	nr = dma_buf_merge_sgt(sgt, NULL);
	if (!nr)
		goto err_unmap;

	ret = -ENOMEM;
	segs = kvmalloc_flex(*segs, seg, nr);
	if (!segs)
		goto err_unmap;

	dma_buf_merge_sgt(sgt, segs->seg);
	segs->base.seg = segs->seg;
	segs->base.nr = nr;
	segs->sgt = sgt;
	return &segs->base;

err_unmap:
	dma_buf_unmap_attachment(attach, sgt, dir);
	return ERR_PTR(ret);
}

/**
 * dma_buf_map_segments - map a dma-buf for a device
 * @attach: attachment of a dynamic importer
 * @dir: direction of the DMA
 *
 * The importer waits for fences itself and follows
 * &dma_buf_attach_ops.invalidate_mappings, as with dma_buf_map_attachment().
 * Unlike there, addresses and lengths are aligned to pages only if the
 * exporter happens to do so.
 *
 * Context: may sleep; the &dma_buf.resv lock is held.
 *
 * Returns: the segments, to be given back with dma_buf_unmap_segments(); or as a
 * pointer the error of the exporter, -EIO if it has given none, -ENOMEM, or
 * -EINVAL for a static importer.
 */
struct dma_buf_segments *
dma_buf_map_segments(struct dma_buf_attachment *attach,
		     enum dma_data_direction dir)
{
	const struct dma_buf_ops *ops = attach->dmabuf->ops;
	struct dma_buf_segments *segs;

	might_sleep();
	dma_resv_assert_held(attach->dmabuf->resv);

	if (WARN_ON(!attach->importer_ops))
		return ERR_PTR(-EINVAL);

	if (!ops->map_segments)
		return dma_buf_map_sgt_segments(attach, dir);

	segs = ops->map_segments(attach, dir);
	if (WARN_ON_ONCE(!segs))
		return ERR_PTR(-ENOMEM);
	return segs;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_map_segments, "DMA_BUF");

/**
 * dma_buf_unmap_segments - undo dma_buf_map_segments()
 * @attach: the attachment
 * @segs: what dma_buf_map_segments() returned
 * @dir: direction of the DMA, as mapped
 *
 * Context: may sleep; the &dma_buf.resv lock is held, and the device does not
 * access the buffer any more.
 */
void dma_buf_unmap_segments(struct dma_buf_attachment *attach,
			    struct dma_buf_segments *segs,
			    enum dma_data_direction dir)
{
	const struct dma_buf_ops *ops = attach->dmabuf->ops;
	struct dma_buf_sgt_segments *s;

	might_sleep();
	dma_resv_assert_held(attach->dmabuf->resv);

	if (ops->map_segments) {
		ops->unmap_segments(attach, segs, dir);
		return;
	}

	s = container_of(segs, struct dma_buf_sgt_segments, base);
	dma_buf_unmap_attachment(attach, s->sgt, dir);
	kvfree(s);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_unmap_segments, "DMA_BUF");

struct dma_buf_phys_segments {
	struct dma_buf_segments base;
	struct dma_iova_state state;
	unsigned long attrs;
	struct dma_buf_segment seg[];
};

/*
 * One range of IOVA needs all ranges of memory to meet at IOMMU pages.  The
 * start of the first and the end of the last may be anywhere.
 */
static bool dma_buf_phys_fits_iova(struct device *dev,
				   const struct phys_vec *vec, size_t nr)
{
	unsigned long mask = dma_get_merge_boundary(dev);
	size_t i;

	if (!mask)
		return false;
	for (i = 1; i < nr; i++)
		if ((vec[i].paddr | (vec[i - 1].paddr + vec[i - 1].len)) & mask)
			return false;
	return true;
}

/* Neighbours become one mapping, of at most @max bytes unless it was larger. */
static struct phys_vec dma_buf_phys_merge(const struct phys_vec *vec, size_t nr,
					  size_t max, size_t *i)
{
	struct phys_vec merged = vec[(*i)++];

	while (*i < nr && vec[*i].paddr == merged.paddr + merged.len &&
	       merged.len < max && vec[*i].len <= max - merged.len)
		merged.len += vec[(*i)++].len;
	return merged;
}

static int dma_buf_phys_map_iova(struct device *dev,
				 struct dma_buf_phys_segments *s,
				 const struct phys_vec *vec, size_t nr,
				 enum dma_data_direction dir)
{
	size_t i = 0, mapped = 0;
	int ret;

	while (i < nr) {
		struct phys_vec v = dma_buf_phys_merge(vec, nr, SIZE_MAX, &i);

		ret = dma_iova_link(dev, &s->state, v.paddr, mapped, v.len,
				    dir, s->attrs);
		if (ret)
			goto err_destroy;
		mapped += v.len;
	}
	ret = dma_iova_sync(dev, &s->state, 0, mapped);
	if (ret)
		goto err_destroy;

	s->seg[0] = (struct dma_buf_segment){ s->state.addr, mapped };
	s->base.nr = 1;
	return 0;

err_destroy:
	dma_iova_destroy(dev, &s->state, mapped, dir, s->attrs);
	return ret;
}

static void dma_buf_phys_unmap_direct(struct device *dev,
				      struct dma_buf_phys_segments *s,
				      enum dma_data_direction dir)
{
	while (s->base.nr--)
		dma_unmap_phys(dev, s->seg[s->base.nr].addr,
			       s->seg[s->base.nr].len, dir, s->attrs);
}

static int dma_buf_phys_map_direct(struct device *dev,
				   struct dma_buf_phys_segments *s,
				   const struct phys_vec *vec, size_t nr,
				   enum dma_data_direction dir)
{
	/* What is bounced must not get too large for it */
	size_t max = dma_max_mapping_size(dev);
	size_t i = 0;

	while (i < nr) {
		struct phys_vec v = dma_buf_phys_merge(vec, nr, max, &i);
		dma_addr_t addr;

		addr = dma_map_phys(dev, v.paddr, v.len, dir, s->attrs);
		if (dma_mapping_error(dev, addr)) {
			dma_buf_phys_unmap_direct(dev, s, dir);
			return -ENOMEM;
		}
		s->seg[s->base.nr++] = (struct dma_buf_segment){ addr, v.len };
	}
	return 0;
}

/**
 * dma_buf_phys_map_segments - map ranges of physical memory
 * @attach: attachment of the buffer
 * @vec: the memory of the buffer, in order; not needed after the call
 * @nr: number of ranges, at least 1
 * @dir: direction of the DMA
 * @attrs: DMA_ATTR_* as for dma_map_phys(), such as %DMA_ATTR_MMIO
 *
 * Implements &dma_buf_ops.map_segments for exporters whose memory is reached
 * through the host bridge.  Behind an IOMMU, ranges that meet at IOMMU pages
 * become one segment; otherwise each range of adjacent memory becomes one.
 *
 * Context: may sleep; the &dma_buf.resv lock is held.
 *
 * Returns: the segments, to be given back with dma_buf_phys_unmap_segments(),
 * or as a pointer -EINVAL for an empty range or buffer, or -ENOMEM or what the
 * IOMMU driver returned.
 */
struct dma_buf_segments *
dma_buf_phys_map_segments(struct dma_buf_attachment *attach,
			  const struct phys_vec *vec, size_t nr,
			  enum dma_data_direction dir, unsigned long attrs)
{
	struct device *dev = attach->dev;
	struct dma_iova_state state = {};
	struct dma_buf_phys_segments *s;
	size_t i, size = 0;
	int ret;

	might_sleep();
	dma_resv_assert_held(attach->dmabuf->resv);

	if (!nr || overflows_type(nr, s->base.nr))
		return ERR_PTR(-EINVAL);
	for (i = 0; i < nr; i++)
		if (!vec[i].len || check_add_overflow(size, vec[i].len, &size))
			return ERR_PTR(-EINVAL);

	if (dma_buf_phys_fits_iova(dev, vec, nr))
		dma_iova_try_alloc(dev, &state, vec[0].paddr, size);

	s = kvmalloc_flex(*s, seg, dma_use_iova(&state) ? 1 : nr);
	if (!s) {
		if (dma_use_iova(&state))
			dma_iova_free(dev, &state);
		return ERR_PTR(-ENOMEM);
	}
	*s = (struct dma_buf_phys_segments){
		.base.seg = s->seg,
		.state = state,
		.attrs = attrs,
	};

	if (dma_use_iova(&state))
		ret = dma_buf_phys_map_iova(dev, s, vec, nr, dir);
	else
		ret = dma_buf_phys_map_direct(dev, s, vec, nr, dir);
	if (ret) {
		kvfree(s);
		return ERR_PTR(ret);
	}
	return &s->base;
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_map_segments, "DMA_BUF");

/**
 * dma_buf_phys_unmap_segments - undo dma_buf_phys_map_segments()
 * @attach: attachment of the buffer
 * @segs: what dma_buf_phys_map_segments() returned
 * @dir: direction of the DMA, as mapped
 *
 * Implements &dma_buf_ops.unmap_segments.
 *
 * Context: may sleep; the &dma_buf.resv lock is held.
 */
void dma_buf_phys_unmap_segments(struct dma_buf_attachment *attach,
				 struct dma_buf_segments *segs,
				 enum dma_data_direction dir)
{
	struct dma_buf_phys_segments *s =
		container_of(segs, struct dma_buf_phys_segments, base);

	dma_resv_assert_held(attach->dmabuf->resv);

	if (dma_use_iova(&s->state))
		dma_iova_destroy(attach->dev, &s->state, s->seg[0].len, dir,
				 s->attrs);
	else
		dma_buf_phys_unmap_direct(attach->dev, s, dir);
	kvfree(s);
}
EXPORT_SYMBOL_NS_GPL(dma_buf_phys_unmap_segments, "DMA_BUF");
