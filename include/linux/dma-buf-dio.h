/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Direct I/O between files and dma-bufs
 *
 * Three objects, from the buffer to the device; read them in this order:
 *
 *   struct dma_buf_dio      a dma-buf, opened for direct I/O in one direction
 *   struct dma_buf_dio_dev  a device that direct I/O may end at
 *   struct dma_buf_dio_map  the first, mapped for the second
 *
 * See Documentation/driver-api/dma-buf-dio.rst.
 */
#ifndef _LINUX_DMA_BUF_DIO_H
#define _LINUX_DMA_BUF_DIO_H

#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/list.h>
#include <linux/mutex.h>

struct device;
struct dma_buf_dio_dev;
struct file;
struct iov_iter;
struct kiocb;
struct pipe_inode_info;
struct seq_file;

/**
 * enum dma_buf_dio_reason - why data was copied
 * @DMA_BUF_DIO_DIRECT: it was not
 * @DMA_BUF_DIO_BUFFERED: the file is not open with O_DIRECT
 * @DMA_BUF_DIO_FILE: the file, or its file system, or the state that it is in
 * @DMA_BUF_DIO_ALIGNMENT: of the offset, the length, or the device address
 * @DMA_BUF_DIO_HOLE: no data, or data with no block of its own, on the disk
 * @DMA_BUF_DIO_DISK: the disk or its driver does not take part
 * @DMA_BUF_DIO_MAPPING: the exporter does not map the buffer for the disk, or
 *	the disk does not see it as the CPU does
 */
enum dma_buf_dio_reason {
	DMA_BUF_DIO_DIRECT,
	DMA_BUF_DIO_BUFFERED,
	DMA_BUF_DIO_FILE,
	DMA_BUF_DIO_ALIGNMENT,
	DMA_BUF_DIO_HOLE,
	DMA_BUF_DIO_DISK,
	DMA_BUF_DIO_MAPPING,
};

/**
 * struct dma_buf_dio - a dma-buf opened for direct I/O
 *
 * This is what an %ITER_DMABUF iterator and a bio with %REQ_DMABUF point at,
 * together with a byte offset.  It holds one map for each device that I/O on
 * it has reached so far.
 */
struct dma_buf_dio {
	/** @dmabuf: the buffer; the opener holds the reference. */
	struct dma_buf *dmabuf;

	/** @dir: %DMA_FROM_DEVICE to fill the buffer, else %DMA_TO_DEVICE. */
	enum dma_data_direction dir;

	/**
	 * @error: the error of making a map, as the exporter gave it; a bio
	 * can carry only some of them.
	 */
	int error;

	/** @reason: why it was refused to go direct, by who refused first. */
	enum dma_buf_dio_reason reason;

	/**
	 * @want: a device that a bio found no map for, with a reference; to be
	 * made by whoever drives the transfer.
	 */
	struct dma_buf_dio_dev *want;

	/** @lock: taken to add to @maps. */
	struct mutex lock;

	/**
	 * @maps: all maps; walked without a lock, as none is removed while
	 * there may be I/O.
	 */
	struct list_head maps;
};

/**
 * struct dma_buf_dio_map - a dma-buf mapped for one device
 *
 * @segs and @start stay valid while the device has I/O on the map in flight.
 */
struct dma_buf_dio_map {
	/** @node: link in &dma_buf_dio.maps. */
	struct list_head node;

	/** @dev_node: link in the maps of @ddev, under its lock. */
	struct list_head dev_node;

	/** @dio: the buffer. */
	struct dma_buf_dio *dio;

	/** @ddev: the device. */
	struct dma_buf_dio_dev *ddev;

	/** @attach: attachment of the buffer to the device, pinned. */
	struct dma_buf_attachment *attach;

	/** @segs: where the buffer is, as the device sees it. */
	struct dma_buf_segments *segs;

	/** @start: offset in the buffer of each segment, ascending from 0. */
	size_t *start;

	/** @revoked: the exporter wants the map to end, soon. */
	bool revoked;
};

/**
 * dma_buf_dio_map_index - find the segment that holds an offset
 * @map: the map
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

/**
 * dma_buf_dio_refuse - say why something cannot go direct
 * @dio: the buffer
 * @reason: the reason
 *
 * Context: any, while @dio is open.
 *
 * Returns: -EOPNOTSUPP
 */
static inline int dma_buf_dio_refuse(struct dma_buf_dio *dio,
				     enum dma_buf_dio_reason reason)
{
	cmpxchg(&dio->reason, DMA_BUF_DIO_DIRECT, reason);
	return -EOPNOTSUPP;
}

#ifdef CONFIG_DMA_SHARED_BUFFER
struct dma_buf_dio *dma_buf_dio_open(struct dma_buf *dmabuf,
				     enum dma_data_direction dir);
void dma_buf_dio_unmap(struct dma_buf_dio *dio);
void dma_buf_dio_close(struct dma_buf_dio *dio);

struct dma_buf_dio_dev *dma_buf_dio_dev_alloc(struct device *dev);
void dma_buf_dio_dev_kill(struct dma_buf_dio_dev *ddev);
void dma_buf_dio_dev_put(struct dma_buf_dio_dev *ddev);

struct dma_buf_dio_map *dma_buf_dio_find_map(struct dma_buf_dio *dio,
					     struct dma_buf_dio_dev *ddev);
struct dma_buf_dio_map *dma_buf_dio_get_map(struct dma_buf_dio *dio,
					    struct dma_buf_dio_dev *ddev);

void dma_buf_dio_want_map(struct dma_buf_dio *dio,
			  struct dma_buf_dio_dev *ddev);

void dma_buf_dio_start_write(struct file *file, struct dma_buf_dio *dio);
ssize_t dma_buf_dio_call(struct kiocb *kiocb, struct iov_iter *iter);
ssize_t dma_buf_dio_rw(struct dma_buf_dio *dio, struct file *file, loff_t pos,
		       size_t offset, size_t len);

void dma_buf_dio_show_fdinfo(struct seq_file *m, struct dma_buf *dmabuf);
ssize_t dma_buf_dio_splice(struct file *mem, loff_t mem_pos,
			   struct file *file, loff_t pos, size_t len,
			   int rw, unsigned int flags);
ssize_t dma_buf_splice_read(struct file *mem, loff_t *ppos,
			    struct pipe_inode_info *pipe, size_t len,
			    unsigned int flags);
ssize_t dma_buf_splice_write(struct pipe_inode_info *pipe, struct file *mem,
			     loff_t *ppos, size_t len, unsigned int flags);
#else
static inline void dma_buf_dio_dev_kill(struct dma_buf_dio_dev *ddev)
{
}

static inline void dma_buf_dio_dev_put(struct dma_buf_dio_dev *ddev)
{
}
#endif /* CONFIG_DMA_SHARED_BUFFER */

#endif /* _LINUX_DMA_BUF_DIO_H */
