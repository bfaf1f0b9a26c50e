// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data between files and dma-bufs: what fs/splice.c has to know of a dma-buf
 *
 * For direct I/O: maps for all devices that the file ends at, and an iterator.
 * For what cannot go direct: copies by the CPU.
 */
#include <linux/dio_target.h>
#include <linux/dma-buf-dio.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/iosys-map.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <trace/events/dma_buf_dio.h>

/* Maps that are made before a file is asked once more. */
#define DMA_BUF_DIO_ASK		8

/*
 * How often a file is asked, until all maps are there at a time.  One that is
 * revoked that often is in use elsewhere.
 */
#define DMA_BUF_DIO_TRIES	16

static const char * const dma_buf_dio_reasons[] = {
	[DIO_DIRECT]	= "none",
	[DIO_BUFFERED]	= "buffered",
	[DIO_FILE]	= "file",
	[DIO_ALIGNMENT]	= "alignment",
	[DIO_HOLE]	= "hole",
	[DIO_DISK]	= "disk",
	[DIO_MAPPING]	= "mapping",
};

/**
 * dma_buf_dio_show_fdinfo - show how data came into a dma-buf, and out of it
 * @m: the fdinfo file
 * @dmabuf: the buffer
 */
void dma_buf_dio_show_fdinfo(struct seq_file *m, struct dma_buf *dmabuf)
{
	struct dma_buf_dio *dio = &dmabuf->dio;

	seq_printf(m, "dio_read_bytes:\t%lld\n",
		   atomic64_read(&dio->direct[READ]));
	seq_printf(m, "dio_write_bytes:\t%lld\n",
		   atomic64_read(&dio->direct[WRITE]));
	seq_printf(m, "copy_read_bytes:\t%lld\n",
		   atomic64_read(&dio->copied[READ]));
	seq_printf(m, "copy_write_bytes:\t%lld\n",
		   atomic64_read(&dio->copied[WRITE]));
	seq_printf(m, "copy_reason:\t%s\n",
		   dma_buf_dio_reasons[READ_ONCE(dio->reason)]);
}

/**
 * struct dma_buf_dio_ask - a file is asked where its direct I/O ends
 * @dmabuf: the buffer
 * @missing: it is not mapped for all of them
 * @nr: number of @dev
 * @dev: devices that it was not mapped for, with a reference, and whether it
 *	cannot be
 */
struct dma_buf_dio_ask {
	struct dma_buf *dmabuf;
	bool missing;
	unsigned int nr;
	struct {
		struct dma_buf_dio_dev *ddev;
		bool failed;
	} dev[DMA_BUF_DIO_ASK];
};

/* A dynamic importer waits itself, and for writers also as a reader. */
static int dma_buf_dio_wait(struct dma_buf *dmabuf, int rw, unsigned int flags)
{
	enum dma_resv_usage usage = dma_resv_usage_rw(rw == READ);
	struct dma_resv *resv = dmabuf->resv;
	long ret;

	if (dma_resv_test_signaled(resv, usage))
		return 0;
	if (flags & SPLICE_F_NONBLOCK)
		return -EAGAIN;

	/* A fence has no wait that only a kill ends */
	while (flags & SPLICE_F_KILLABLE) {
		if (dma_resv_wait_timeout(resv, usage, false, HZ) > 0)
			return 0;
		if (fatal_signal_pending(current))
			return -EINTR;
	}

	ret = dma_resv_wait_timeout(resv, usage, true, MAX_SCHEDULE_TIMEOUT);
	return ret < 0 ? ret : 0;
}

/* Called back by the file, or its disks, which may hold anything. */
static int dma_buf_dio_ask_add(struct dio_target *target,
			       struct dma_buf_dio_dev *ddev,
			       unsigned int align_mask)
{
	struct dma_buf_dio_ask *ask = target->priv;
	struct dma_buf_dio_map *map = dma_buf_dio_find(ask->dmabuf, ddev);
	unsigned int i;

	/* If it is mapped, what is known of it is of that mapping */
	if (map && smp_load_acquire(&map->live)) {
		if (READ_ONCE(map->misalign) & align_mask)
			return dio_target_refuse(target, DIO_ALIGNMENT);
		if (!READ_ONCE(map->used))
			WRITE_ONCE(map->used, true);
		return 0;
	}

	for (i = 0; i < ask->nr; i++)
		if (ask->dev[i].ddev == ddev && ask->dev[i].failed)
			return dio_target_refuse(target, DIO_MAPPING);

	ask->missing = true;
	for (i = 0; i < ask->nr; i++)
		if (ask->dev[i].ddev == ddev)
			return 0;
	/* The others come next time */
	if (ask->nr < DMA_BUF_DIO_ASK) {
		dma_buf_dio_dev_hold(ddev);
		ask->dev[ask->nr].failed = false;
		ask->dev[ask->nr++].ddev = ddev;
	}
	return 0;
}

/* Whatever an exporter has against it, the CPU may copy instead. */
static int dma_buf_dio_ask_map(struct dio_target *target,
			       struct dma_buf_dio_ask *ask, bool nonblock)
{
	unsigned int i, failed = 0;
	int ret;

	for (i = 0; i < ask->nr; i++) {
		struct dma_buf_dio_dev *ddev = ask->dev[i].ddev;

		ret = 0;
		if (!ask->dev[i].failed)
			ret = dma_buf_dio_map(ask->dmabuf, ddev, nonblock);
		if (ret == -EINTR || ret == -ERESTARTSYS ||
		    (nonblock && ret == -EAGAIN))
			goto out_interrupted;
		if (ret)
			target->error = ret;
		if (ret || ask->dev[i].failed) {
			ask->dev[failed].failed = true;
			ask->dev[failed++].ddev = ddev;
		} else {
			dma_buf_dio_dev_put(ddev);
		}
	}
	ask->nr = failed;
	return 0;

out_interrupted:
	/* Those between are gone already */
	for (; i < ask->nr; i++)
		ask->dev[failed++] = ask->dev[i];
	ask->nr = failed;
	return ret;
}

static int dma_buf_splice_map(struct file *mem, struct file *file,
			      struct dio_target *target, unsigned int flags)
{
	struct dma_buf_dio_ask ask = { .dmabuf = mem->private_data };
	unsigned int tries = 0;
	int ret;

	target->priv = &ask;
	target->add = dma_buf_dio_ask_add;
	for (;;) {
		ask.missing = false;
		ret = file->f_op->dio_target(file, target);
		if (ret || !ask.missing)
			break;
		if (tries++ == DMA_BUF_DIO_TRIES) {
			ret = dio_target_refuse(target, DIO_MAPPING);
			break;
		}
		ret = dma_buf_dio_ask_map(target, &ask,
					  flags & SPLICE_F_NONBLOCK);
		if (ret)
			break;
	}
	while (ask.nr)
		dma_buf_dio_dev_put(ask.dev[--ask.nr].ddev);
	if (ret)
		return ret;

	/* Also for a move of the buffer that mapping it has begun */
	return dma_buf_dio_wait(ask.dmabuf, target->rw, flags);
}

static void dma_buf_dio_sync_range(struct dma_buf_dio_map *map, int rw,
				   size_t offset, size_t len, bool to_device)
{
	enum dma_data_direction dir = rw == READ ? DMA_FROM_DEVICE :
						   DMA_TO_DEVICE;
	struct device *dev = map->attach->dev;
	unsigned int i = dma_buf_dio_map_index(map, offset);

	while (len) {
		size_t skip = offset - map->start[i];
		size_t n = min(len, map->segs->seg[i].len - skip);
		dma_addr_t addr = map->segs->seg[i++].addr + skip;

		if (to_device)
			dma_sync_single_for_device(dev, addr, n, dir);
		else
			dma_sync_single_for_cpu(dev, addr, n, dir);
		offset += n;
		len -= n;
	}
}

/* To be mapped and unmapped is maintenance enough, so that may come between. */
static void dma_buf_dio_sync(struct dma_buf *dmabuf, int rw, size_t offset,
			     size_t len, bool to_device)
{
	struct dma_buf_dio_map *map;

	list_for_each_entry_lockless(map, &dmabuf->dio.maps, node) {
		if (!READ_ONCE(map->sync) || !dma_buf_dio_map_get(map))
			continue;
		dma_buf_dio_sync_range(map, rw, offset, len, to_device);
		dma_buf_dio_map_put(map);
	}
}

static void dma_buf_splice_iter(struct file *mem, struct iov_iter *iter,
				int rw, loff_t pos, size_t len)
{
	struct dma_buf *dmabuf = mem->private_data;

	iov_iter_dmabuf(iter, rw == READ ? ITER_DEST : ITER_SOURCE, dmabuf, pos,
			len);
	dma_buf_dio_sync(dmabuf, rw, pos, len, true);
}

static void dma_buf_splice_moved(struct file *mem, struct file *file, int rw,
				 loff_t mem_pos, loff_t pos, size_t len,
				 ssize_t ret, enum dio_reason reason)
{
	struct dma_buf *dmabuf = mem->private_data;
	struct dma_buf_dio *dio = &dmabuf->dio;

	if (!reason && rw == READ)
		dma_buf_dio_sync(dmabuf, rw, mem_pos, len, false);

	trace_dma_buf_dio_transfer(dmabuf, file_inode(file), rw, pos, mem_pos,
				   len, ret, reason);
	if (ret <= 0)
		return;
	if (reason) {
		atomic64_add(ret, &dio->copied[rw]);
		WRITE_ONCE(dio->reason, reason);
	} else {
		atomic64_add(ret, &dio->direct[rw]);
	}
}

/* What is next to the range may share a cache line with it */
static enum dma_data_direction dma_buf_copy_dir(int rw)
{
	return rw == READ ? DMA_BIDIRECTIONAL : DMA_FROM_DEVICE;
}

/* Device memory wants its own way of copying. */
static size_t dma_buf_copy_iomem(struct iosys_map *map, int rw, size_t offset,
				 size_t len, struct iov_iter *iter)
{
	size_t done = 0;
	u8 buf[256];

	while (done < len) {
		size_t n = min(len - done, sizeof(buf));

		if (rw == READ) {
			n = copy_from_iter(buf, n, iter);
			iosys_map_memcpy_to(map, offset + done, buf, n);
		} else {
			iosys_map_memcpy_from(buf, map, offset + done, n);
			n = copy_to_iter(buf, n, iter);
		}
		if (!n)
			break;
		done += n;
	}
	return done;
}

static size_t dma_buf_copy_iter(struct iosys_map *map, int rw, size_t offset,
				size_t len, struct iov_iter *iter)
{
	if (map->is_iomem)
		return dma_buf_copy_iomem(map, rw, offset, len, iter);
	if (rw == READ)
		return copy_from_iter(map->vaddr + offset, len, iter);
	return copy_to_iter(map->vaddr + offset, len, iter);
}

/*
 * Memory that can move stays where it is while the reservation lock is held;
 * some exporters do not even keep it for as long as it is mapped.
 */
static ssize_t dma_buf_copy_mapped(struct dma_buf *dmabuf,
				   struct iosys_map *kept, int rw,
				   size_t offset, size_t len,
				   struct iov_iter *iter, bool nonblock)
{
	struct iosys_map map;
	ssize_t ret;

	if (!iosys_map_is_null(kept))
		return dma_buf_copy_iter(kept, rw, offset, len, iter);

	if (nonblock && !dma_resv_trylock(dmabuf->resv))
		return -EAGAIN;
	if (!nonblock)
		dma_resv_lock(dmabuf->resv, NULL);
	ret = dma_buf_vmap(dmabuf, &map);
	if (!ret) {
		ret = dma_buf_copy_iter(&map, rw, offset, len, iter);
		if (dmabuf->ops->pin)
			dma_buf_vunmap(dmabuf, &map);
		else
			*kept = map;
	}
	dma_resv_unlock(dmabuf->resv);
	return ret;
}

static ssize_t dma_buf_splice_copy(struct file *mem, struct iosys_map *kept,
				   int rw, loff_t pos, struct iov_iter *iter,
				   unsigned int flags)
{
	struct dma_buf *dmabuf = mem->private_data;
	ssize_t ret, err;
	size_t len;

	if (!dmabuf->ops->vmap)
		return -EOPNOTSUPP;
	if (pos >= dmabuf->size)
		return rw == READ ? -ENOSPC : 0;
	len = min_t(size_t, iov_iter_count(iter), dmabuf->size - pos);

again:
	ret = dma_buf_dio_wait(dmabuf, rw, flags);
	if (ret)
		return ret;

	/*
	 * The beginning of one access, which is to all of the buffer, would
	 * drop from the caches what another one has not written back yet.
	 */
	if (flags & SPLICE_F_NONBLOCK) {
		if (!mutex_trylock(&dmabuf->dio.copy_lock))
			return -EAGAIN;
	} else if (mutex_lock_killable(&dmabuf->dio.copy_lock)) {
		return -EINTR;
	}
	ret = dma_buf_begin_cpu_access(dmabuf, dma_buf_copy_dir(rw));
	if (ret)
		goto out_unlock;
	ret = dma_buf_copy_mapped(dmabuf, kept, rw, pos, len, iter,
				  flags & SPLICE_F_NONBLOCK);
	err = dma_buf_end_cpu_access(dmabuf, dma_buf_copy_dir(rw));
	/* What was taken from the buffer is there */
	if (ret > 0 && err && rw == READ)
		ret = err;
out_unlock:
	mutex_unlock(&dmabuf->dio.copy_lock);
	/* It has waited for fences that are new */
	if (ret == -ERESTARTSYS && (flags & SPLICE_F_KILLABLE))
		goto again;
	return ret;
}

static void dma_buf_splice_copy_end(struct file *mem, struct iosys_map *kept)
{
	if (!iosys_map_is_null(kept))
		dma_buf_vunmap_unlocked(mem->private_data, kept);
}

const struct splice_memory_ops dma_buf_splice_ops = {
	.map		= dma_buf_splice_map,
	.iter		= dma_buf_splice_iter,
	.copy		= dma_buf_splice_copy,
	.copy_end	= dma_buf_splice_copy_end,
	.moved		= dma_buf_splice_moved,
};
