// SPDX-License-Identifier: GPL-2.0-only
/*
 * Direct I/O between files and dma-bufs
 *
 * A transfer opens the buffer (&struct dma_buf_dio) and hands it to the direct
 * I/O of a file as an iterator.  Where a bio reaches the queue of a disk, the
 * block layer asks for the map of the buffer for that disk's DMA device, which
 * the first bio makes.  The transfer ends by closing the buffer, which unmaps
 * it everywhere.
 *
 * Who ends a map:
 *
 *  - its transfer, when it is done, or between two chunks after the exporter
 *    has asked for it (@revoked); there is no I/O then;
 *  - or the disk, when it goes away, in dma_buf_dio_dev_kill().  All I/O on it
 *    has ended or fails by then.  The transfer keeps the empty shell.
 *
 * Lock order:
 *
 *    locks of the file (i_rwsem) -> dma_buf_dio.lock -> dma_buf_dio_dev.sem
 *    -> dma_buf.resv -> memory reclaim
 *
 * So no map is made where the queue's usage counter or a tag is held: reclaim
 * may wait for these.
 *
 * No fence is published, as there is no bound on the time that a disk takes.
 */
#include <kunit/visibility.h>
#include <linux/dma-buf-dio.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/rculist.h>
#include <linux/rwsem.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>

#define CREATE_TRACE_POINTS
#include <trace/events/dma_buf_dio.h>

/*
 * What a revoking exporter has to wait for at most, in bytes of disk I/O.
 * Large enough that the pause between two chunks does not show: 32 MiB take
 * over 2 ms on a disk with 14 GB/s.
 */
#define DMA_BUF_DIO_CHUNK	SZ_32M

/*
 * How often to start a chunk again, after its map was revoked or its bios were
 * moved to a device without one, as by a failover.
 */
#define DMA_BUF_DIO_TRIES	16

/**
 * struct dma_buf_dio_dev - a device that direct I/O may end at
 * @kref: one for the owner, one for each map
 * @dev: the device that does the DMA
 * @sem: held shared to make and to end maps, exclusively to end all of them
 * @lock: protects @maps
 * @maps: the maps for @dev
 * @dead: @dev is going away
 */
struct dma_buf_dio_dev {
	struct kref kref;
	struct device *dev;
	struct rw_semaphore sem;
	spinlock_t lock;	/* of @maps, among holders of @sem */
	struct list_head maps;
	bool dead;
};

/**
 * dma_buf_dio_dev_alloc - make a device known to direct I/O
 * @dev: the device that does the DMA
 *
 * Returns: an object for one disk on @dev, to be ended by
 * dma_buf_dio_dev_kill() and dma_buf_dio_dev_put(), or %NULL without memory.
 */
struct dma_buf_dio_dev *dma_buf_dio_dev_alloc(struct device *dev)
{
	struct dma_buf_dio_dev *ddev;

	ddev = kzalloc_obj(*ddev);
	if (!ddev)
		return NULL;

	kref_init(&ddev->kref);
	ddev->dev = get_device(dev);
	init_rwsem(&ddev->sem);
	spin_lock_init(&ddev->lock);
	INIT_LIST_HEAD(&ddev->maps);
	return ddev;
}
EXPORT_SYMBOL_IF_KUNIT(dma_buf_dio_dev_alloc);

static void dma_buf_dio_dev_release(struct kref *kref)
{
	struct dma_buf_dio_dev *ddev =
		container_of(kref, struct dma_buf_dio_dev, kref);

	WARN_ON(!list_empty(&ddev->maps));
	put_device(ddev->dev);
	kfree(ddev);
}

/**
 * dma_buf_dio_dev_put - drop the owner's reference
 * @ddev: the object, may be %NULL
 */
void dma_buf_dio_dev_put(struct dma_buf_dio_dev *ddev)
{
	if (ddev)
		kref_put(&ddev->kref, dma_buf_dio_dev_release);
}
EXPORT_SYMBOL_IF_KUNIT(dma_buf_dio_dev_put);

/* The exporter holds the reservation lock. */
static void dma_buf_dio_invalidate(struct dma_buf_attachment *attach)
{
	struct dma_buf_dio_map *map = attach->importer_priv;

	WRITE_ONCE(map->revoked, true);
}

/*
 * A static attachment would make exporters move device memory to system
 * memory, and be refused by those that revoke.
 */
static const struct dma_buf_attach_ops dma_buf_dio_attach_ops = {
	.allow_peer2peer	= true,
	.invalidate_mappings	= dma_buf_dio_invalidate,
};

static int dma_buf_dio_build_index(struct dma_buf_dio_map *map)
{
	const struct dma_buf_segments *segs = map->segs;
	size_t offset = 0;
	unsigned int i;

	map->start = kvmalloc_objs(*map->start, segs->nr);
	if (!map->start)
		return -ENOMEM;

	for (i = 0; i < segs->nr; i++) {
		map->start[i] = offset;
		offset += segs->seg[i].len;
	}

	/* Nothing above looks at the end of a map, only at that of the buffer */
	return WARN_ON_ONCE(offset < map->dio->dmabuf->size) ? -EIO : 0;
}

/*
 * Does the device see memory as the CPU does, or will it when it is unmapped?
 *
 * Bouncing copies all of the buffer when it is mapped, and all of it back when
 * it is unmapped.  That would undo what the CPU, another device or another
 * transfer put next to our data meanwhile.
 *
 * On devices that are not coherent, caches need maintenance.  Exporters promise
 * that for their own segments; many leave it out of scatterlists, and only they
 * know if there is memory behind an address that can be cached at all.
 */
static bool dma_buf_dio_coherent(struct dma_buf_dio_map *map)
{
	bool native = map->dio->dmabuf->ops->map_segments;
	struct device *dev = map->ddev->dev;
	bool may_bounce = dma_max_mapping_size(dev) != SIZE_MAX;
	unsigned int i;

	/* dma_dev_need_sync() would be true for any device to be debugged */
	if (dev_dma_skip_sync(dev) || (native && !may_bounce))
		return true;

	for (i = 0; i < map->segs->nr; i++) {
		const struct dma_buf_segment *seg = &map->segs->seg[i];
		/* Bounced and other pages may be neighbours */
		size_t step = may_bounce ? PAGE_SIZE : seg->len;
		size_t off;

		for (off = 0; off < seg->len; off += step)
			if (dma_need_sync(dev, seg->addr + off))
				return false;
	}
	return true;
}

/*
 * The whole buffer is mapped, and a part of it is filled.  From a mapping with
 * DMA_FROM_DEVICE nobody may expect that the CPU's data in the rest survives.
 */
static enum dma_data_direction dma_buf_dio_map_dir(struct dma_buf_dio *dio)
{
	return dio->dir == DMA_FROM_DEVICE ? DMA_BIDIRECTIONAL : dio->dir;
}

/*
 * What a device that memory is bounced for has no room for, or what it does not
 * reach in another device, the CPU can copy.
 */
static int dma_buf_dio_map_error(struct device *dev, int error)
{
	bool may_bounce = dma_max_mapping_size(dev) != SIZE_MAX;

	if (error == -EREMOTEIO ||
	    (may_bounce && (error == -EIO || error == -ENOMEM)))
		return -EOPNOTSUPP;
	return error;
}

static int dma_buf_dio_map_segments(struct dma_buf_dio_map *map)
{
	struct dma_buf_dio *dio = map->dio;
	struct dma_buf_segments *segs;
	int ret;

	dma_resv_assert_held(dio->dmabuf->resv);

	ret = dma_buf_pin(map->attach);
	if (ret)
		return ret;

	segs = dma_buf_map_segments(map->attach, dma_buf_dio_map_dir(dio));
	if (IS_ERR(segs)) {
		ret = dma_buf_dio_map_error(map->ddev->dev, PTR_ERR(segs));
		goto err_unpin;
	}
	map->segs = segs;

	ret = dma_buf_dio_build_index(map);
	if (!ret && !dma_buf_dio_coherent(map))
		ret = -EOPNOTSUPP;
	if (ret)
		goto err_unmap;

	/* The buffer may still be on its way to where it was pinned */
	dma_resv_wait_timeout(dio->dmabuf->resv, DMA_RESV_USAGE_KERNEL, false,
			      MAX_SCHEDULE_TIMEOUT);
	return 0;

err_unmap:
	kvfree(map->start);
	dma_buf_unmap_segments(map->attach, segs, dma_buf_dio_map_dir(dio));
err_unpin:
	dma_buf_unpin(map->attach);
	return ret;
}

static struct dma_buf_dio_map *
dma_buf_dio_make_map(struct dma_buf_dio *dio, struct dma_buf_dio_dev *ddev)
{
	struct dma_buf *dmabuf = dio->dmabuf;
	struct dma_buf_dio_map *map;
	int ret;

	lockdep_assert_held(&ddev->sem);

	map = kzalloc_obj(*map);
	if (!map)
		return ERR_PTR(-ENOMEM);
	map->dio = dio;
	map->ddev = ddev;

	map->attach = dma_buf_dynamic_attach(dmabuf, ddev->dev,
					     &dma_buf_dio_attach_ops, map);
	if (IS_ERR(map->attach)) {
		ret = PTR_ERR(map->attach);
		goto err_free;
	}

	dma_resv_lock(dmabuf->resv, NULL);
	ret = dma_buf_dio_map_segments(map);
	dma_resv_unlock(dmabuf->resv);
	if (ret)
		goto err_detach;

	trace_dma_buf_dio_map(dmabuf, ddev->dev, map->segs->nr);
	kref_get(&ddev->kref);
	return map;

err_detach:
	dma_buf_detach(dmabuf, map->attach);
err_free:
	kfree(map);
	return ERR_PTR(ret);
}

/* Ends the map, but not its memory: a bio may still look it up. */
static void dma_buf_dio_end_map(struct dma_buf_dio_map *map)
{
	struct dma_buf_dio *dio = map->dio;

	lockdep_assert_held(&map->ddev->sem);

	dma_resv_lock(dio->dmabuf->resv, NULL);
	dma_buf_unmap_segments(map->attach, map->segs,
			       dma_buf_dio_map_dir(dio));
	dma_buf_unpin(map->attach);
	dma_resv_unlock(dio->dmabuf->resv);
	dma_buf_detach(dio->dmabuf, map->attach);

	kvfree(map->start);
	map->start = NULL;
	WRITE_ONCE(map->segs, NULL);
	map->attach = NULL;
}

static bool dma_buf_dio_unlink_map(struct dma_buf_dio_map *map)
{
	struct dma_buf_dio_dev *ddev = map->ddev;
	bool linked;

	spin_lock(&ddev->lock);
	linked = !list_empty(&map->dev_node);
	list_del_init(&map->dev_node);
	spin_unlock(&ddev->lock);
	return linked;
}

/**
 * dma_buf_dio_dev_kill - end all maps for a device
 * @ddev: the object, may be %NULL
 *
 * To be called when a disk goes away: after no I/O on it is in flight any
 * more, and before its driver is unbound from the device.  On return the
 * device has no map, and will get none.
 *
 * Context: may sleep, and takes &dma_buf.resv locks; so the caller must hold
 * nothing that memory reclaim may wait for.
 */
void dma_buf_dio_dev_kill(struct dma_buf_dio_dev *ddev)
{
	struct dma_buf_dio_map *map;

	if (!ddev)
		return;

	down_write(&ddev->sem);
	WRITE_ONCE(ddev->dead, true);
	while ((map = list_first_entry_or_null(&ddev->maps,
					       struct dma_buf_dio_map,
					       dev_node))) {
		dma_buf_dio_unlink_map(map);
		dma_buf_dio_end_map(map);
	}
	up_write(&ddev->sem);
}
EXPORT_SYMBOL_IF_KUNIT(dma_buf_dio_dev_kill);

/**
 * dma_buf_dio_find_map - look up the map of a buffer for a device
 * @dio: the buffer
 * @ddev: the device
 *
 * Context: any, while @dio is open.
 *
 * Returns: the map, or %NULL if none was made yet, or it was ended because the
 * device is going away.
 */
struct dma_buf_dio_map *dma_buf_dio_find_map(struct dma_buf_dio *dio,
					     struct dma_buf_dio_dev *ddev)
{
	struct dma_buf_dio_map *map;

	list_for_each_entry_lockless(map, &dio->maps, node)
		if (map->ddev == ddev)
			return READ_ONCE(map->segs) ? map : NULL;
	return NULL;
}
EXPORT_SYMBOL_IF_KUNIT(dma_buf_dio_find_map);

/**
 * dma_buf_dio_get_map - look up the map of a buffer for a device, or make it
 * @dio: the buffer
 * @ddev: the device
 *
 * Context: may sleep; the caller holds nothing that memory reclaim may wait
 * for, like the usage counter of a queue.
 *
 * Returns: the map, valid until @dio is closed, or as a pointer -ENODEV if the
 * device is going away, -EOPNOTSUPP if the buffer would be bounced, or what
 * the exporter returned.
 */
struct dma_buf_dio_map *dma_buf_dio_get_map(struct dma_buf_dio *dio,
					    struct dma_buf_dio_dev *ddev)
{
	struct dma_buf_dio_map *map;

	might_sleep();

	map = dma_buf_dio_find_map(dio, ddev);
	if (map)
		return map;

	mutex_lock(&dio->lock);
	map = dma_buf_dio_find_map(dio, ddev);
	if (map)
		goto out_unlock;

	down_read(&ddev->sem);
	map = ddev->dead ? ERR_PTR(-ENODEV) : dma_buf_dio_make_map(dio, ddev);
	if (IS_ERR(map)) {
		dio->error = PTR_ERR(map);
		dma_buf_dio_refuse(dio, DMA_BUF_DIO_MAPPING);
	} else {
		spin_lock(&ddev->lock);
		list_add(&map->dev_node, &ddev->maps);
		spin_unlock(&ddev->lock);
		list_add_tail_rcu(&map->node, &dio->maps);
	}
	up_read(&ddev->sem);

out_unlock:
	mutex_unlock(&dio->lock);
	return map;
}
EXPORT_SYMBOL_IF_KUNIT(dma_buf_dio_get_map);

/**
 * dma_buf_dio_want_map - ask the driver of a transfer for a map
 * @dio: the buffer
 * @ddev: the device that I/O on it has got to
 *
 * For places that must not make a map.  The I/O is to fail with
 * -EOPNOTSUPP.
 *
 * Context: any, while @dio is open.
 */
void dma_buf_dio_want_map(struct dma_buf_dio *dio,
			  struct dma_buf_dio_dev *ddev)
{
	kref_get(&ddev->kref);
	dma_buf_dio_dev_put(xchg(&dio->want, ddev));
}
EXPORT_SYMBOL_IF_KUNIT(dma_buf_dio_want_map);

/**
 * dma_buf_dio_unmap - unmap a dma-buf everywhere
 * @dio: the buffer; no I/O on it is in flight
 *
 * Context: may sleep, and takes the &dma_buf.resv lock.
 */
void dma_buf_dio_unmap(struct dma_buf_dio *dio)
{
	struct dma_buf_dio_map *map, *next;

	list_for_each_entry_safe(map, next, &dio->maps, node) {
		struct dma_buf_dio_dev *ddev = map->ddev;

		list_del(&map->node);
		down_read(&ddev->sem);
		if (dma_buf_dio_unlink_map(map))
			dma_buf_dio_end_map(map);
		up_read(&ddev->sem);
		dma_buf_dio_dev_put(ddev);
		kfree(map);
	}
}

/**
 * dma_buf_dio_open - open a dma-buf for direct I/O
 * @dmabuf: the buffer; the caller keeps a reference until it has closed
 * @dir: %DMA_FROM_DEVICE to fill the buffer, %DMA_TO_DEVICE to write from it
 *
 * Nothing is mapped, and no fence is waited for.
 *
 * Returns: the object, or %NULL without memory.
 */
struct dma_buf_dio *dma_buf_dio_open(struct dma_buf *dmabuf,
				     enum dma_data_direction dir)
{
	struct dma_buf_dio *dio;

	dio = kzalloc_obj(*dio);
	if (!dio)
		return NULL;

	dio->dmabuf = dmabuf;
	dio->dir = dir;
	mutex_init(&dio->lock);
	INIT_LIST_HEAD(&dio->maps);
	return dio;
}
EXPORT_SYMBOL_IF_KUNIT(dma_buf_dio_open);

/**
 * dma_buf_dio_close - unmap a dma-buf everywhere and free the object
 * @dio: the object; no I/O on it is in flight
 *
 * Context: may sleep, and takes the &dma_buf.resv lock.
 */
void dma_buf_dio_close(struct dma_buf_dio *dio)
{
	dma_buf_dio_unmap(dio);
	dma_buf_dio_dev_put(dio->want);
	mutex_destroy(&dio->lock);
	kfree(dio);
}
EXPORT_SYMBOL_IF_KUNIT(dma_buf_dio_close);

static bool dma_buf_dio_revoked(struct dma_buf_dio *dio)
{
	struct dma_buf_dio_map *map;

	list_for_each_entry(map, &dio->maps, node)
		if (READ_ONCE(map->revoked))
			return true;
	return false;
}

/**
 * dma_buf_dio_start_write - protect a file from freezing while it is written
 * @file: the file; file_end_write() ends it
 * @dio: the buffer, or %NULL; no I/O on it is in flight
 *
 * While it waits for a frozen file system to be thawed, the buffer is not
 * mapped.  The caller must not have begun CPU access.
 *
 * Context: may sleep, and takes the &dma_buf.resv lock.
 */
void dma_buf_dio_start_write(struct file *file, struct dma_buf_dio *dio)
{
	if (file_start_write_trylock(file))
		return;
	if (dio)
		dma_buf_dio_unmap(dio);
	file_start_write(file);
}

/**
 * dma_buf_dio_call - let a file do I/O
 * @kiocb: synchronous I/O on the file, protected from freezing if it is written
 * @iter: the data; its direction says if the file is read or written
 *
 * Returns: what ->read_iter() or ->write_iter() returned.
 */
ssize_t dma_buf_dio_call(struct kiocb *kiocb, struct iov_iter *iter)
{
	struct file *file = kiocb->ki_filp;
	ssize_t ret;

	if (iov_iter_rw(iter) == READ)
		ret = file->f_op->read_iter(kiocb, iter);
	else
		ret = file->f_op->write_iter(kiocb, iter);
	WARN_ON_ONCE(ret == -EIOCBQUEUED);
	return ret;
}

static ssize_t dma_buf_dio_rw_chunk(struct dma_buf_dio *dio, struct file *file,
				    loff_t pos, size_t offset, size_t len)
{
	unsigned int dir = dio->dir == DMA_TO_DEVICE ? ITER_SOURCE : ITER_DEST;
	struct kiocb kiocb;
	struct iov_iter iter;
	ssize_t ret;

	init_sync_kiocb(&kiocb, file);
	kiocb.ki_pos = pos;
	/* O_DIRECT may be changed by fcntl() at any time */
	if (!(kiocb.ki_flags & IOCB_DIRECT))
		return dma_buf_dio_refuse(dio, DMA_BUF_DIO_BUFFERED);

	dio->error = 0;
	dio->reason = DMA_BUF_DIO_DIRECT;
	iov_iter_dmabuf(&iter, dir, dio, offset, len);
	if (dir == ITER_SOURCE)
		dma_buf_dio_start_write(file, dio);
	ret = dma_buf_dio_call(&kiocb, &iter);
	if (dir == ITER_SOURCE)
		file_end_write(file);

	/* A bio cannot carry every errno */
	if (ret < 0 && dio->error)
		ret = dio->error;
	return ret;
}

static bool dma_buf_dio_wants_remap(struct dma_buf_dio *dio)
{
	return !dio->error &&
	       (READ_ONCE(dio->want) || dma_buf_dio_revoked(dio));
}

/*
 * A bio got to a place where it had no map that it may use, and could not make
 * one.  Here nothing is held that anybody waits for.
 */
static int dma_buf_dio_remap(struct dma_buf_dio *dio)
{
	struct dma_buf_dio_dev *ddev = xchg(&dio->want, NULL);
	struct dma_buf_dio_map *map;
	int ret;

	if (dma_buf_dio_revoked(dio))
		dma_buf_dio_unmap(dio);
	if (!ddev)
		return 0;

	map = dma_buf_dio_get_map(dio, ddev);
	ret = PTR_ERR_OR_ZERO(map);
	/* A path may be gone, while others lead to the disk */
	if (ret == -ENODEV && READ_ONCE(ddev->dead))
		ret = 0;
	dma_buf_dio_dev_put(ddev);
	return ret;
}

/**
 * dma_buf_dio_rw - direct I/O between a file and a dma-buf
 * @dio: the buffer
 * @file: the file, with O_DIRECT and %FOP_DMABUF, open for what @dio says
 * @pos: offset in @file in bytes
 * @offset: offset in the buffer in bytes
 * @len: number of bytes, not beyond the end of the buffer
 *
 * In chunks, between which an exporter that revokes the buffer gets its turn;
 * a short one is the last.
 *
 * Context: may sleep; the caller holds no lock.
 *
 * Returns: the number of bytes moved, or what the first chunk failed with:
 * -EOPNOTSUPP if it cannot go direct, for which &dma_buf_dio.reason may say
 * why, or what the exporter, the file system or the disk returned.
 */
ssize_t dma_buf_dio_rw(struct dma_buf_dio *dio, struct file *file, loff_t pos,
		       size_t offset, size_t len)
{
	unsigned int tries = 0;
	size_t done = 0;
	ssize_t ret;

	for (;;) {
		size_t n = min_t(size_t, len - done, DMA_BUF_DIO_CHUNK);

		ret = dma_buf_dio_rw_chunk(dio, file, pos + done,
					   offset + done, n);
		if (ret == -EOPNOTSUPP && dma_buf_dio_wants_remap(dio) &&
		    tries++ < DMA_BUF_DIO_TRIES) {
			ret = dma_buf_dio_remap(dio);
			if (ret)
				break;
			continue;
		}
		tries = 0;
		if (ret > 0)
			done += ret;
		if (ret < 0 || ret < n || done == len)
			break;
		if (task_sigpending(current))
			break;
		if (dma_buf_dio_revoked(dio))
			dma_buf_dio_unmap(dio);
		cond_resched();
	}
	return done ? done : ret;
}
