/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An exporter without memory, and an importer, for tests
 *
 * The exporter hands out device addresses that the test invents, fails or
 * waits where the test says so, and checks how it is called.  When the test
 * ends, everything that was done must have been undone.
 */
#ifndef _DMA_BUF_FAKE_H
#define _DMA_BUF_FAKE_H

#include <linux/completion.h>
#include <linux/dma-buf.h>
#include <linux/list.h>
#include <kunit/test.h>

/* Physical addresses from here on are no memory, but may be a device. */
#define DMA_BUF_FAKE_PHYS \
	((phys_addr_t)(sizeof(phys_addr_t) > 4 ? 1ULL << 44 : 0x80000000))

/**
 * struct dma_buf_fake - a buffer
 * @test: the test it belongs to
 * @dmabuf: the buffer, as others see it
 * @seg: its segments
 * @nr: number of segments
 * @no_cpu_list: the sg tables have DMA addresses only
 * @vaddr: what the CPU sees of it, if anything
 * @move: mapping begins a move, which this fence is the end of
 * @elsewhere: each mapping is at addresses of its own, see
 *	dma_buf_fake_addr(); only for exporters that give segments
 * @attach_error: errno for attach
 * @map_error: errno for map
 * @end_cpu_error: errno for the end of access by the CPU
 * @stop_map: the next map waits for @go
 * @stop_unmap: the next unmap waits for @go
 * @stopped: somebody waits for @go
 * @go: let those who wait go on
 * @attached: attachments that exist
 * @mapped: mappings that exist
 * @vmapped: mappings for the CPU that exist
 * @cpu_access: times that the CPU has begun and not ended its access
 * @attaches: attachments that were ever made
 * @pins: pins that were ever made, of which there must be none
 * @maps: mappings that were ever made
 * @now: with @elsewhere, the mapping that exists, counted from 1, or 0
 * @unmapped: with @elsewhere, mappings that ended
 * @dir: direction of the last mapping
 * @released: nobody has the buffer any more
 */
struct dma_buf_fake {
	struct kunit *test;
	struct dma_buf *dmabuf;
	const struct dma_buf_segment *seg;
	unsigned int nr;
	bool no_cpu_list;
	void *vaddr;
	struct dma_fence *move;
	bool elsewhere;

	int attach_error;
	int map_error;
	int end_cpu_error;

	bool stop_map;
	bool stop_unmap;
	struct completion stopped;
	struct completion go;

	atomic_t attached, mapped, vmapped, cpu_access;
	atomic_t attaches, pins, maps;
	u32 now;
	struct list_head unmapped;
	enum dma_data_direction dir;
	struct completion released;
};

/* Gives sg tables; gives them and cannot pin; gives segments. */
extern const struct dma_buf_ops dma_buf_fake_sgt_ops;
extern const struct dma_buf_ops dma_buf_fake_unpinned_ops;
extern const struct dma_buf_ops dma_buf_fake_seg_ops;

struct dma_buf_fake *dma_buf_fake_export(struct kunit *test,
					 const struct dma_buf_ops *ops,
					 const struct dma_buf_segment *seg,
					 unsigned int nr);
struct dma_buf_fake *dma_buf_fake_export_ro(struct kunit *test,
					    const struct dma_buf_ops *ops,
					    const struct dma_buf_segment *seg,
					    unsigned int nr);
void dma_buf_fake_end(struct dma_buf_fake *fake);
dma_addr_t dma_buf_fake_addr(const struct dma_buf_fake *fake, unsigned int i,
			     u32 nth);
void dma_buf_fake_expect(struct dma_buf_fake *fake, int now, int ever);

struct device *dma_buf_fake_device(struct kunit *test, const char *name,
				   u64 mask);
struct device *dma_buf_fake_iommu_device(struct kunit *test);

#endif /* _DMA_BUF_FAKE_H */
