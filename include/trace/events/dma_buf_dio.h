/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dma_buf_dio

#if !defined(_TRACE_DMA_BUF_DIO_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_DMA_BUF_DIO_H

#include <linux/dio_target.h>
#include <linux/dma-buf-dio.h>
#include <linux/fs.h>
#include <linux/tracepoint.h>

TRACE_DEFINE_ENUM(DIO_DIRECT);
TRACE_DEFINE_ENUM(DIO_BUFFERED);
TRACE_DEFINE_ENUM(DIO_FILE);
TRACE_DEFINE_ENUM(DIO_ALIGNMENT);
TRACE_DEFINE_ENUM(DIO_HOLE);
TRACE_DEFINE_ENUM(DIO_DISK);
TRACE_DEFINE_ENUM(DIO_MAPPING);

/* A part of a transfer: direct, and how that ended; or copied, and why. */
TRACE_EVENT(dma_buf_dio_transfer,
	    TP_PROTO(const struct dma_buf *dmabuf, const struct inode *inode,
		     int rw, loff_t pos, size_t offset, size_t len, ssize_t ret,
		     enum dio_reason reason),

	    TP_ARGS(dmabuf, inode, rw, pos, offset, len, ret, reason),

	    TP_STRUCT__entry(__string(exp_name, dmabuf->exp_name)
			     __field(u64, buffer)
			     __field(dev_t, dev)
			     __field(u64, ino)
			     __field(bool, write)
			     __field(loff_t, pos)
			     __field(size_t, offset)
			     __field(size_t, len)
			     __field(ssize_t, ret)
			     __field(int, reason)),

	    TP_fast_assign(__assign_str(exp_name);
			   __entry->buffer = file_inode(dmabuf->file)->i_ino;
			   __entry->dev = S_ISBLK(inode->i_mode) ?
					  inode->i_rdev : inode->i_sb->s_dev;
			   __entry->ino = inode->i_ino;
			   __entry->write = rw == WRITE;
			   __entry->pos = pos;
			   __entry->offset = offset;
			   __entry->len = len;
			   __entry->ret = ret;
			   __entry->reason = reason;),

	    TP_printk("%s %s ino=%llu offset=%zu file dev=%u:%u ino=%llu pos=%lld len=%zu ret=%zd copied=%s",
		      __entry->write ? "from" : "to", __get_str(exp_name),
		      __entry->buffer, __entry->offset,
		      MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		      __entry->pos, __entry->len, __entry->ret,
		      __print_symbolic(__entry->reason,
				       { DIO_DIRECT, "none" },
				       { DIO_BUFFERED, "buffered" },
				       { DIO_FILE, "file" },
				       { DIO_ALIGNMENT, "alignment" },
				       { DIO_HOLE, "hole" },
				       { DIO_DISK, "disk" },
				       { DIO_MAPPING, "mapping" }))
);

/* The buffer was mapped for a device. */
TRACE_EVENT(dma_buf_dio_map,
	    TP_PROTO(const struct dma_buf *dmabuf, struct device *dev,
		     unsigned int segments),

	    TP_ARGS(dmabuf, dev, segments),

	    TP_STRUCT__entry(__string(exp_name, dmabuf->exp_name)
			     __string(device, dev_name(dev))
			     __field(u64, buffer)
			     __field(size_t, size)
			     __field(unsigned int, segments)),

	    TP_fast_assign(__assign_str(exp_name);
			   __assign_str(device);
			   __entry->buffer = file_inode(dmabuf->file)->i_ino;
			   __entry->size = dmabuf->size;
			   __entry->segments = segments;),

	    TP_printk("%s ino=%llu size=%zu device=%s segments=%u",
		      __get_str(exp_name), __entry->buffer, __entry->size,
		      __get_str(device), __entry->segments)
);

/* A command is about to be built from a part of the buffer. */
TRACE_EVENT(dma_buf_dio_command,
	    TP_PROTO(const struct dma_buf_dio_map *map, dev_t disk, bool write,
		     size_t offset, unsigned int len, unsigned int segments),

	    TP_ARGS(map, disk, write, offset, len, segments),

	    TP_STRUCT__entry(__field(u64, buffer)
			     __field(dev_t, disk)
			     __field(bool, write)
			     __field(size_t, offset)
			     __field(unsigned int, len)
			     __field(unsigned int, segments)),

	    TP_fast_assign(__entry->buffer = file_inode(map->dmabuf->file)->i_ino;
			   __entry->disk = disk;
			   __entry->write = write;
			   __entry->offset = offset;
			   __entry->len = len;
			   __entry->segments = segments;),

	    TP_printk("%s ino=%llu offset=%zu len=%u disk=%u:%u segments=%u",
		      __entry->write ? "from" : "to", __entry->buffer,
		      __entry->offset, __entry->len, MAJOR(__entry->disk),
		      MINOR(__entry->disk), __entry->segments)
);

#endif /* _TRACE_DMA_BUF_DIO_H */

#include <trace/define_trace.h>
