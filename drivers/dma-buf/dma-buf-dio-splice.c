// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data between files and dma-bufs: direct what can be, copied what cannot
 *
 * A transfer goes through its range from front to back.  What is aligned for
 * direct I/O of the file goes direct.  The CPU copies the rest through a
 * mapping of the buffer in the kernel, by buffered I/O on the file: a head or
 * tail that is not aligned, holes, and everything when the file or its disk
 * does not take part.  What was copied is counted, and the reason is kept.
 */
#include <linux/blkdev.h>
#include <linux/dma-buf-dio.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/iosys-map.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>
#include <trace/events/dma_buf_dio.h>

/*
 * What is copied before direct I/O is tried again, so that a hole does not
 * turn all that follows it into copies.
 */
#define DMA_BUF_COPY_CHUNK	SZ_1M

/* For memory that a file cannot be let at. */
#define DMA_BUF_COPY_BOUNCE	SZ_64K

/**
 * struct dma_buf_transfer - data on its way between a file and a dma-buf
 * @dmabuf: the buffer
 * @file: the file
 * @rw: %READ or %WRITE, of the file
 * @flags: SPLICE_F_*
 * @align: what direct I/O on the file needs offset and length to be aligned to,
 *	in bytes and a power of 2, or 0 if nothing can go direct
 * @reason: why, in that case
 * @dio: the buffer opened for direct I/O, if anything may go direct
 * @map: the buffer mapped for the CPU, once something was copied
 * @bounce: %DMA_BUF_COPY_BOUNCE bytes, if the file must not see @map
 * @stop: a write was short, so another one may send a signal; or a stream was
 *	read, so another one may have to wait
 */
struct dma_buf_transfer {
	struct dma_buf *dmabuf;
	struct file *file;
	int rw;
	unsigned int flags;
	unsigned int align;
	enum dma_buf_dio_reason reason;
	struct dma_buf_dio *dio;
	struct iosys_map map;
	void *bounce;
	bool stop;
};

static const char * const dma_buf_dio_reasons[] = {
	[DMA_BUF_DIO_DIRECT]	= "none",
	[DMA_BUF_DIO_BUFFERED]	= "buffered",
	[DMA_BUF_DIO_FILE]	= "file",
	[DMA_BUF_DIO_ALIGNMENT]	= "alignment",
	[DMA_BUF_DIO_HOLE]	= "hole",
	[DMA_BUF_DIO_DISK]	= "disk",
	[DMA_BUF_DIO_MAPPING]	= "mapping",
};

/**
 * dma_buf_dio_show_fdinfo - show how data came into a dma-buf, and out of it
 * @m: the fdinfo file
 * @dmabuf: the buffer
 */
void dma_buf_dio_show_fdinfo(struct seq_file *m, struct dma_buf *dmabuf)
{
	struct dma_buf_dio_stats *stats = &dmabuf->dio;

	seq_printf(m, "dio_read_bytes:\t%lld\n",
		   atomic64_read(&stats->direct[READ]));
	seq_printf(m, "dio_write_bytes:\t%lld\n",
		   atomic64_read(&stats->direct[WRITE]));
	seq_printf(m, "copy_read_bytes:\t%lld\n",
		   atomic64_read(&stats->copied[READ]));
	seq_printf(m, "copy_write_bytes:\t%lld\n",
		   atomic64_read(&stats->copied[WRITE]));
	seq_printf(m, "copy_reason:\t%s\n",
		   dma_buf_dio_reasons[READ_ONCE(stats->reason)]);
}

static int dma_buf_splice_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	if (!dmabuf->ops->vmap)
		return -EOPNOTSUPP;
	return dma_buf_vmap_unlocked(dmabuf, map);
}

static bool dma_buf_transfer_streams(const struct dma_buf_transfer *t)
{
	umode_t mode = file_inode(t->file)->i_mode;

	return !S_ISREG(mode) && !S_ISBLK(mode);
}

static int dma_buf_transfer_begin(struct dma_buf_transfer *t)
{
	struct file *file = t->file;
	struct kstat stat;
	u32 align;

	t->reason = DMA_BUF_DIO_FILE;
	if (dma_buf_transfer_streams(t))
		return 0;

	if (!(file->f_flags & O_DIRECT)) {
		t->reason = DMA_BUF_DIO_BUFFERED;
		return 0;
	}

	if (IS_DAX(file_inode(file)) ||
	    !(file->f_op->fop_flags & FOP_DMABUF) ||
	    vfs_getattr_nosec(&file->f_path, &stat,
			      STATX_DIOALIGN | STATX_DIO_READ_ALIGN,
			      AT_STATX_DONT_SYNC))
		return 0;

	/* If the file does not say, it will when it is tried */
	align = 1;
	if (stat.result_mask & STATX_DIOALIGN)
		align = stat.dio_offset_align;
	if (t->rw == READ && (stat.result_mask & STATX_DIO_READ_ALIGN) &&
	    stat.dio_read_offset_align)
		align = stat.dio_read_offset_align;
	/* Some files say of their writes only that they cannot */
	if (!align && t->rw == READ)
		align = 1;
	if (!is_power_of_2(align))
		return 0;

	t->align = align;
	t->dio = dma_buf_dio_open(t->dmabuf, t->rw == READ ? DMA_FROM_DEVICE :
							     DMA_TO_DEVICE);
	return t->dio ? 0 : -ENOMEM;
}

static void dma_buf_transfer_end(struct dma_buf_transfer *t)
{
	if (t->dio)
		dma_buf_dio_close(t->dio);
	if (!iosys_map_is_null(&t->map))
		dma_buf_vunmap_unlocked(t->dmabuf, &t->map);
	kvfree(t->bounce);
}

/*
 * How much of @len bytes at @pos in the file can be tried to go direct.  The
 * end of the file may be in the middle of a block, of which the rest comes
 * along if it was asked for.
 */
static size_t dma_buf_transfer_direct_len(const struct dma_buf_transfer *t,
					  loff_t pos, size_t len)
{
	size_t align = t->align;

	if (!align || !IS_ALIGNED(pos, align))
		return 0;

	if (t->rw == READ && S_ISREG(file_inode(t->file)->i_mode)) {
		loff_t left = i_size_read(file_inode(t->file)) - pos;

		if (left <= 0)
			return 0;
		len = min_t(u64, len, round_up((u64)left, align));
	}
	return round_down(len, align);
}

/* How much to copy where nothing goes direct: at most up to where it may. */
static size_t dma_buf_transfer_copy_len(const struct dma_buf_transfer *t,
					loff_t pos, size_t len)
{
	if (t->align && !IS_ALIGNED(pos, t->align))
		return min_t(u64, len, round_up((u64)pos, t->align) - pos);
	return min(len, DMA_BUF_COPY_CHUNK);
}

static ssize_t dma_buf_transfer_file_rw(struct dma_buf_transfer *t, void *addr,
					loff_t pos, size_t len)
{
	struct kvec kvec = { .iov_base = addr, .iov_len = len };
	struct kiocb kiocb;
	struct iov_iter iter;

	init_sync_kiocb(&kiocb, t->file);
	kiocb.ki_pos = pos;
	kiocb.ki_flags &= ~IOCB_DIRECT;
	iov_iter_kvec(&iter, t->rw == READ ? ITER_DEST : ITER_SOURCE, &kvec, 1,
		      len);
	return dma_buf_dio_call(&kiocb, &iter);
}

static int dma_buf_copy_begin(struct dma_buf *dmabuf, int rw)
{
	/* What is next to the range may share a cache line with it */
	return dma_buf_begin_cpu_access(dmabuf, rw == READ ? DMA_BIDIRECTIONAL :
							     DMA_FROM_DEVICE);
}

static int dma_buf_copy_end(struct dma_buf *dmabuf, int rw)
{
	int ret = dma_buf_end_cpu_access(dmabuf, rw == READ ?
					 DMA_BIDIRECTIONAL : DMA_FROM_DEVICE);

	/* What was taken from the buffer is there */
	return rw == READ ? ret : 0;
}

/*
 * May the file be let at the mapping?  Not at I/O memory; nor, as it may do
 * direct I/O all the same, like a file on top of others, at what has no pages.
 * And not if it may keep us waiting for its other end: access is for a bounded
 * time.
 */
static bool dma_buf_transfer_bounces(const struct dma_buf_transfer *t)
{
	const struct vm_struct *area;

	if (t->map.is_iomem || dma_buf_transfer_streams(t))
		return true;
	if (!is_vmalloc_addr(t->map.vaddr))
		return !virt_addr_valid(t->map.vaddr);
	area = find_vm_area(t->map.vaddr);
	return area && (area->flags & (VM_IOREMAP | VM_DMA_COHERENT));
}

static ssize_t dma_buf_transfer_bounce_some(struct dma_buf_transfer *t,
					    loff_t pos, size_t offset,
					    size_t len)
{
	ssize_t ret, err;

	if (t->rw == READ) {
		ret = dma_buf_transfer_file_rw(t, t->bounce, pos, len);
		if (ret <= 0)
			return ret;
		err = dma_buf_copy_begin(t->dmabuf, READ);
		if (err)
			return err;
		iosys_map_memcpy_to(&t->map, offset, t->bounce, ret);
		return dma_buf_copy_end(t->dmabuf, READ) ?: ret;
	}

	err = dma_buf_copy_begin(t->dmabuf, WRITE);
	if (err)
		return err;
	iosys_map_memcpy_from(t->bounce, &t->map, offset, len);
	dma_buf_copy_end(t->dmabuf, WRITE);
	return dma_buf_transfer_file_rw(t, t->bounce, pos, len);
}

static ssize_t dma_buf_transfer_bounce(struct dma_buf_transfer *t, loff_t pos,
				       size_t offset, size_t len)
{
	size_t done = 0;
	ssize_t ret;

	if (!t->bounce)
		t->bounce = kvmalloc(DMA_BUF_COPY_BOUNCE, GFP_KERNEL);
	if (!t->bounce)
		return -ENOMEM;

	do {
		size_t n = min(len - done, DMA_BUF_COPY_BOUNCE);

		ret = dma_buf_transfer_bounce_some(t, pos + done, offset + done,
						   n);
		if (ret <= 0)
			break;
		done += ret;
		if (ret < n || dma_buf_transfer_streams(t))
			break;
	} while (done < len);

	return done ?: ret;
}

static ssize_t dma_buf_transfer_mapped(struct dma_buf_transfer *t, loff_t pos,
				       size_t offset, size_t len)
{
	ssize_t ret = dma_buf_copy_begin(t->dmabuf, t->rw);

	if (ret)
		return ret;
	ret = dma_buf_transfer_file_rw(t, t->map.vaddr + offset, pos, len);
	return dma_buf_copy_end(t->dmabuf, t->rw) ?: ret;
}

static ssize_t dma_buf_transfer_copy(struct dma_buf_transfer *t, loff_t pos,
				     size_t offset, size_t len)
{
	ssize_t ret;

	if (iosys_map_is_null(&t->map)) {
		ret = dma_buf_splice_vmap(t->dmabuf, &t->map);
		if (ret)
			return ret;
	}

	/* Before access begins: to be thawed may take any time */
	if (t->rw == WRITE)
		dma_buf_dio_start_write(t->file, t->dio);
	if (dma_buf_transfer_bounces(t))
		ret = dma_buf_transfer_bounce(t, pos, offset, len);
	else
		ret = dma_buf_transfer_mapped(t, pos, offset, len);
	if (t->rw == WRITE)
		file_end_write(t->file);
	return ret;
}

/*
 * Returns what was moved directly, 0 at the end of the file, or an error;
 * -EOPNOTSUPP and -EINVAL say that it is to be copied.
 */
static ssize_t dma_buf_transfer_try_direct(struct dma_buf_transfer *t,
					   loff_t pos, size_t offset,
					   size_t len)
{
	ssize_t ret = dma_buf_dio_rw(t->dio, t->file, pos, offset, len);

	/* A direct write that moved nothing would like to be a buffered one */
	if (!ret && t->rw == WRITE)
		ret = -EOPNOTSUPP;

	/* An exporter says so of what a device cannot reach */
	if (ret == -EBUSY && t->dio->reason == DMA_BUF_DIO_MAPPING)
		ret = -EOPNOTSUPP;

	if (ret == -EINVAL)
		t->reason = t->dio->reason ?: DMA_BUF_DIO_ALIGNMENT;
	else if (ret == -EOPNOTSUPP)
		t->reason = t->dio->reason ?: DMA_BUF_DIO_FILE;
	else
		return ret;

	/* Holes end, all others stay, and the copies may take any time */
	if (t->reason != DMA_BUF_DIO_HOLE) {
		t->align = 0;
		dma_buf_dio_unmap(t->dio);
	}
	return ret;
}

static void dma_buf_transfer_account(struct dma_buf_transfer *t, loff_t pos,
				     size_t offset, size_t len, ssize_t ret,
				     enum dma_buf_dio_reason reason)
{
	struct dma_buf_dio_stats *stats = &t->dmabuf->dio;

	trace_dma_buf_dio_transfer(t->dmabuf, file_inode(t->file), t->rw, pos,
				   offset, len, ret, reason);
	if (ret <= 0)
		return;
	t->stop = t->rw == WRITE ? ret < len : dma_buf_transfer_streams(t);
	if (reason) {
		atomic64_add(ret, &stats->copied[t->rw]);
		WRITE_ONCE(stats->reason, reason);
	} else {
		atomic64_add(ret, &stats->direct[t->rw]);
	}
}

/* Moves some of @len bytes, in one of both ways. */
static ssize_t dma_buf_transfer_some(struct dma_buf_transfer *t, loff_t pos,
				     size_t offset, size_t len)
{
	enum dma_buf_dio_reason reason;
	ssize_t ret;
	size_t n;

	n = dma_buf_transfer_direct_len(t, pos, len);
	if (n) {
		ret = dma_buf_transfer_try_direct(t, pos, offset, n);
		dma_buf_transfer_account(t, pos, offset, n, ret,
					 DMA_BUF_DIO_DIRECT);
		if (ret != -EINVAL && ret != -EOPNOTSUPP)
			return ret;
		reason = t->reason;
	} else {
		reason = t->align ? DMA_BUF_DIO_ALIGNMENT : t->reason;
	}

	/* At the end there is nothing to copy */
	if (t->rw == READ && t->dio && S_ISREG(file_inode(t->file)->i_mode) &&
	    pos >= i_size_read(file_inode(t->file)))
		return 0;
	if (t->flags & SPLICE_F_NOCOPY)
		return reason == DMA_BUF_DIO_ALIGNMENT ? -EINVAL : -EOPNOTSUPP;

	n = dma_buf_transfer_copy_len(t, pos, len);
	ret = dma_buf_transfer_copy(t, pos, offset, n);
	dma_buf_transfer_account(t, pos, offset, n, ret, reason);
	return ret;
}

static ssize_t dma_buf_transfer_run(struct dma_buf_transfer *t, loff_t pos,
				    size_t offset, size_t len)
{
	size_t done = 0;
	ssize_t ret;

	do {
		ret = dma_buf_transfer_some(t, pos + done, offset + done,
					    len - done);
		if (ret <= 0)
			break;
		done += ret;
		if (task_sigpending(current))
			break;
		cond_resched();
	} while (done < len && !t->stop);

	return done ?: ret;
}

/* A dynamic importer waits itself, and for writers also as a reader. */
static int dma_buf_splice_wait_fences(struct dma_buf *dmabuf, int rw,
				      unsigned int flags)
{
	enum dma_resv_usage usage = dma_resv_usage_rw(rw == READ);
	struct dma_resv *resv = dmabuf->resv;
	long ret;

	if (flags & SPLICE_F_NONBLOCK)
		return dma_resv_test_signaled(resv, usage) ? 0 : -EAGAIN;

	ret = dma_resv_wait_timeout(resv, usage, true, MAX_SCHEDULE_TIMEOUT);
	return ret < 0 ? ret : 0;
}

/**
 * dma_buf_dio_splice - move data between a file and a dma-buf
 * @mem: file of the dma-buf
 * @mem_pos: offset in the dma-buf in bytes
 * @file: the other file
 * @pos: offset in @file in bytes
 * @len: number of bytes, not 0
 * @rw: %READ to fill the buffer from @file, %WRITE to write it to @file
 * @flags: SPLICE_F_*; %SPLICE_F_NONBLOCK refuses to wait for fences,
 *	%SPLICE_F_NOCOPY to copy
 *
 * Implements &file_operations.splice_memory for dma-bufs, which also says
 * what has been checked.
 *
 * What is aligned for O_DIRECT read(2) or write(2) of @file, and whatever else
 * they require, goes direct if @file is open with O_DIRECT; the rest is copied.
 * @len is shortened to the end of the buffer and, when reading, that of the
 * file.
 *
 * Returns: the number of bytes that were moved, or 0 at the end of what they
 * are read from, or
 *
 *  - -ENOSPC: @mem_pos is at or after the end of the buffer to be filled;
 *  - -EFBIG, with SIGXFSZ where it is for that: @pos is at or after a limit of
 *    the size of @file;
 *  - -EINVAL: @file cannot be spliced from, or to; or it would go
 *    direct if it were aligned, and copying was refused;
 *  - -EOPNOTSUPP: the exporter has no mapping for the CPU to copy; or it cannot
 *    go direct, and copying was refused;
 *  - -EAGAIN or -ERESTARTSYS: a fence that the buffer had is not signaled;
 *  - what the exporter, the file system or the disk returned.
 */
ssize_t dma_buf_dio_splice(struct file *mem, loff_t mem_pos,
			   struct file *file, loff_t pos, size_t len,
			   int rw, unsigned int flags)
{
	struct dma_buf_transfer t = {
		.dmabuf	= mem->private_data,
		.file	= file,
		.rw	= rw,
		.flags	= flags,
	};
	ssize_t ret;

	/* Files have to say that kernel memory is all right with them */
	if (rw == READ ? !file->f_op->read_iter || !file->f_op->splice_read :
			 !file->f_op->write_iter || !file->f_op->splice_write)
		return -EINVAL;
	if (mem_pos >= t.dmabuf->size)
		return rw == READ ? -ENOSPC : 0;
	len = min_t(size_t, len, t.dmabuf->size - mem_pos);
	/* Of all of it: a part that begins at the limit would send a signal */
	if (rw == WRITE && S_ISREG(file_inode(file)->i_mode)) {
		loff_t count = len;

		ret = generic_write_check_limits(file, pos, &count);
		if (ret)
			return ret;
		len = count;
	}

	ret = dma_buf_splice_wait_fences(t.dmabuf, rw, flags);
	if (ret)
		return ret;

	ret = dma_buf_transfer_begin(&t);
	if (!ret)
		ret = dma_buf_transfer_run(&t, pos, mem_pos, len);
	dma_buf_transfer_end(&t);
	return ret;
}

/**
 * dma_buf_splice_read - splice from a dma-buf to a pipe
 * @mem: file of the dma-buf
 * @ppos: offset in the dma-buf in bytes, moved by what was done
 * @pipe: the pipe, locked unless it is the caller's own
 * @len: number of bytes
 * @flags: SPLICE_F_*
 *
 * Implements &file_operations.splice_read by copying.
 *
 * Returns: the number of bytes, 0 at the end of the buffer, -EAGAIN if the pipe
 * is full, -EOPNOTSUPP if the exporter has no mapping for the CPU, -ENOMEM, or
 * what the exporter returned.
 */
ssize_t dma_buf_splice_read(struct file *mem, loff_t *ppos,
			    struct pipe_inode_info *pipe, size_t len,
			    unsigned int flags)
{
	struct dma_buf *dmabuf = mem->private_data;
	struct iosys_map map = {};
	size_t done = 0;
	ssize_t ret;

	if (*ppos >= dmabuf->size)
		return 0;
	len = min_t(size_t, len, dmabuf->size - *ppos);

	ret = dma_buf_splice_wait_fences(dmabuf, WRITE, flags);
	if (ret)
		return ret;
	ret = dma_buf_splice_vmap(dmabuf, &map);
	if (ret)
		return ret;
	ret = dma_buf_copy_begin(dmabuf, WRITE);
	if (ret)
		goto out_vunmap;

	ret = -EAGAIN;
	while (done < len && !pipe_is_full(pipe)) {
		struct pipe_buffer buf = {
			.ops	= &default_pipe_buf_ops,
			.page	= alloc_page(GFP_USER),
			.len	= min_t(size_t, len - done, PAGE_SIZE),
		};

		if (!buf.page) {
			ret = -ENOMEM;
			break;
		}
		iosys_map_memcpy_from(page_address(buf.page), &map,
				      *ppos + done, buf.len);
		ret = add_to_pipe(pipe, &buf);
		if (ret < 0)
			break;
		done += ret;
	}
	dma_buf_copy_end(dmabuf, WRITE);

out_vunmap:
	dma_buf_vunmap_unlocked(dmabuf, &map);
	if (done) {
		*ppos += done;
		atomic64_add(done, &dmabuf->dio.copied[WRITE]);
		WRITE_ONCE(dmabuf->dio.reason, DMA_BUF_DIO_FILE);
	}
	return done ?: ret;
}

struct dma_buf_splice_dst {
	struct dma_buf *dmabuf;
	struct iosys_map map;
};

/* Access begins and ends here: between two calls, the pipe may be waited for */
static int dma_buf_splice_actor(struct pipe_inode_info *pipe,
				struct pipe_buffer *buf, struct splice_desc *sd)
{
	struct dma_buf_splice_dst *dst = sd->u.data;
	size_t len;
	void *src;
	int ret;

	ret = dma_buf_copy_begin(dst->dmabuf, READ);
	if (ret)
		return ret;
	/* Some have several pages, of which one is mapped at a time */
	len = min_t(size_t, sd->len, PAGE_SIZE - offset_in_page(buf->offset));
	src = kmap_local_page(buf->page + (buf->offset >> PAGE_SHIFT));
	iosys_map_memcpy_to(&dst->map, sd->pos,
			    src + offset_in_page(buf->offset), len);
	kunmap_local(src);
	return dma_buf_copy_end(dst->dmabuf, READ) ?: len;
}

/**
 * dma_buf_splice_write - splice from a pipe to a dma-buf
 * @pipe: the pipe
 * @mem: file of the dma-buf
 * @ppos: offset in the dma-buf in bytes, moved by what was done
 * @len: number of bytes
 * @flags: SPLICE_F_*
 *
 * Implements &file_operations.splice_write by copying.
 *
 * Returns: the number of bytes, -ENOSPC at the end of the buffer, -EOPNOTSUPP
 * if the exporter has no mapping for the CPU, or what it or the pipe returned.
 */
ssize_t dma_buf_splice_write(struct pipe_inode_info *pipe, struct file *mem,
			     loff_t *ppos, size_t len, unsigned int flags)
{
	struct dma_buf *dmabuf = mem->private_data;
	struct dma_buf_splice_dst dst = { .dmabuf = dmabuf };
	struct splice_desc sd = {
		.flags	= flags,
		.pos	= *ppos,
		.u.data	= &dst,
	};
	ssize_t ret;

	if (*ppos >= dmabuf->size)
		return -ENOSPC;
	sd.total_len = min_t(size_t, len, dmabuf->size - *ppos);

	ret = dma_buf_splice_wait_fences(dmabuf, READ, flags);
	if (ret)
		return ret;
	ret = dma_buf_splice_vmap(dmabuf, &dst.map);
	if (ret)
		return ret;

	pipe_lock(pipe);
	ret = __splice_from_pipe(pipe, &sd, dma_buf_splice_actor);
	pipe_unlock(pipe);

	dma_buf_vunmap_unlocked(dmabuf, &dst.map);
	if (ret > 0) {
		*ppos += ret;
		atomic64_add(ret, &dmabuf->dio.copied[READ]);
		WRITE_ONCE(dmabuf->dio.reason, DMA_BUF_DIO_FILE);
	}
	return ret;
}
