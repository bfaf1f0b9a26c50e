/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Direct I/O between files and dma-bufs
 *
 * Two objects:
 *
 *   struct dma_buf_dio_dev  a device that direct I/O may end at
 *   struct dma_buf_dio_map  a dma-buf, mapped for it
 *
 * See Documentation/driver-api/dma-buf-dio.rst.
 */
#ifndef _LINUX_DMA_BUF_DIO_H
#define _LINUX_DMA_BUF_DIO_H

#include <linux/dma-buf.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/wait.h>

struct device;
struct dma_buf_dio_dev;
struct seq_file;

/**
 * struct dma_buf_dio_map - a dma-buf and a device that it is mapped for
 *
 * There is one for each pair, which stays until the buffer is released.  It is
 * mapped when I/O needs that, and unmapped when the exporter revokes the
 * buffer, when the last disk on the device goes away, when memory is short, and
 * when the buffer is released.
 *
 * @segs and @start are valid between dma_buf_dio_map_get() and
 * dma_buf_dio_map_put().
 */
struct dma_buf_dio_map {
	/** @node: link in &dma_buf.dio, to which maps are only added. */
	struct list_head node;

	/** @dmabuf: the buffer. */
	struct dma_buf *dmabuf;

	/** @ddev: the device. */
	struct dma_buf_dio_dev *ddev;

	/** @live: it is mapped, and may be used. */
	bool live;

	/** @used: it was, since somebody last looked for idle ones. */
	bool used;

	/** @sync: caches need maintenance before and after each use. */
	bool sync;

	/** @nth: how often it was mapped. */
	u32 nth;

	/**
	 * @misalign: all bits of the addresses and lengths of @segs but the
	 * last length; a device wants some of the lowest not to be set.
	 */
	u64 misalign;

	/** @segs: where the buffer is, as the device sees it. */
	struct dma_buf_segments *segs;

	/** @start: offset in the buffer of each segment, ascending from 0. */
	size_t *start;

	/**
	 * @inflight: uses that have begun less those that have ended, of each
	 * CPU.  While it is mapped, only the sum says something.
	 */
	unsigned int __percpu *inflight;

	/* private: of drivers/dma-buf/dma-buf-dio.c */
	wait_queue_head_t wait;
	struct list_head dev_node;
	struct list_head lru;
	struct dma_buf_attachment *attach;
};

/**
 * dma_buf_dio_find - look up the map of a buffer for a device
 * @dmabuf: the buffer
 * @ddev: the device
 *
 * Context: any, while the caller has a reference to @dmabuf.
 *
 * Returns: the map, whether it is mapped or not, or %NULL.
 */
static inline struct dma_buf_dio_map *
dma_buf_dio_find(struct dma_buf *dmabuf, const struct dma_buf_dio_dev *ddev)
{
	struct dma_buf_dio_map *map;

	list_for_each_entry_lockless(map, &dmabuf->dio.maps, node)
		if (map->ddev == ddev)
			return map;
	return NULL;
}

/**
 * dma_buf_dio_map_put - end the use of a map
 * @map: the map
 *
 * Context: any, while the caller has a reference to the buffer.
 */
static inline void dma_buf_dio_map_put(struct dma_buf_dio_map *map)
{
	/* What was read from the map was read before */
	smp_mb();
	this_cpu_dec(*map->inflight);
	/* Either this sees that nobody may use it, or who says so sees 0 */
	smp_mb();
	if (unlikely(!READ_ONCE(map->live)))
		wake_up(&map->wait);
}

/**
 * dma_buf_dio_map_get - begin to use a map
 * @map: the map
 *
 * Whoever wants to unmap it waits for dma_buf_dio_map_put(), which therefore
 * comes when the device says so, and must not wait for anybody else.
 *
 * Context: any, while the caller has a reference to the buffer.
 *
 * Returns: %false if it is not mapped.
 */
static inline bool dma_buf_dio_map_get(struct dma_buf_dio_map *map)
{
	bool live;

	/*
	 * A use that is taken back at once must not be counted by one CPU and
	 * discounted by another, between which somebody adds them up.
	 */
	preempt_disable();
	this_cpu_inc(*map->inflight);
	/* Seen by whoever forbids it, or this sees that: dma_buf_dio_forbid() */
	smp_mb();
	/* And what was set before it was mapped */
	live = smp_load_acquire(&map->live);
	if (unlikely(!live))
		dma_buf_dio_map_put(map);
	preempt_enable();
	return live;
}

/**
 * dma_buf_dio_map_index - find the segment that holds an offset
 * @map: the map, in use
 * @offset: offset in the buffer in bytes, below its size
 *
 * O(log n) in the number of segments.
 *
 * Returns: index in &dma_buf_segments.seg of @map.
 */
static inline unsigned int
dma_buf_dio_map_index(const struct dma_buf_dio_map *map, size_t offset)
{
	unsigned int lo = 0, hi = map->segs->nr;

	/* start[lo] <= offset, and offset < start[hi] as far as hi exists */
	while (hi - lo > 1) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (map->start[mid] <= offset)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

#ifdef CONFIG_DMA_SHARED_BUFFER
struct dma_buf_dio_dev *dma_buf_dio_dev_get(struct device *dev);
void dma_buf_dio_dev_end(struct dma_buf_dio_dev *ddev);
void dma_buf_dio_dev_hold(struct dma_buf_dio_dev *ddev);
void dma_buf_dio_dev_put(struct dma_buf_dio_dev *ddev);

int dma_buf_dio_map(struct dma_buf *dmabuf, struct dma_buf_dio_dev *ddev,
		    bool nonblock);
void dma_buf_dio_release(struct dma_buf *dmabuf);

void dma_buf_dio_show_fdinfo(struct seq_file *m, struct dma_buf *dmabuf);
extern const struct splice_memory_ops dma_buf_splice_ops;
#else
static inline void dma_buf_dio_dev_end(struct dma_buf_dio_dev *ddev)
{
}

static inline void dma_buf_dio_dev_put(struct dma_buf_dio_dev *ddev)
{
}
#endif /* CONFIG_DMA_SHARED_BUFFER */

#endif /* _LINUX_DMA_BUF_DIO_H */
