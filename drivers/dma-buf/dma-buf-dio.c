// SPDX-License-Identifier: GPL-2.0-only
/*
 * Direct I/O between files and dma-bufs: devices, and maps for them
 *
 * A buffer keeps its maps.  They are found or made before I/O is submitted,
 * with nothing held; below that they are only looked up, by the buffer and the
 * device, and used for as long as the device has a command for them.
 *
 * Who unmaps, and what that waits for:
 *
 *  - the exporter, by dma_buf_invalidate_mappings();
 *  - the last disk on the device that goes away;
 *  - memory reclaim, but only what is idle;
 *  - the release of the buffer.
 *
 * Each of them forbids new uses, and then waits for those that have begun: for
 * commands that a device was given, and for nothing else.  When that is done
 * nobody reaches the memory, so the buffer needs no pin and no fence.
 *
 * Lock order:
 *
 *    dma_buf.dio.lock -> dma_buf_dio_dev.sem -> dma_buf.resv -> memory reclaim
 *    -> dma_buf_dio_lru_lock
 */
#include <kunit/visibility.h>
#include <linux/dma-buf-dio.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/rwsem.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#define CREATE_TRACE_POINTS
#include <trace/events/dma_buf_dio.h>

/**
 * struct dma_buf_dio_dev - a device that direct I/O may end at
 * @kref: one for each disk, one for each map
 * @dev: the device that does the DMA
 * @disks: number of disks on it that have not gone away
 * @node: link in the list of those with @disks
 * @sem: held shared to make and to end maps, exclusively to end all of them
 * @lock: protects @maps
 * @maps: the maps for @dev
 * @dead: @dev has no disks any more
 */
struct dma_buf_dio_dev {
	struct kref kref;
	struct device *dev;
	unsigned int disks;
	struct list_head node;
	struct rw_semaphore sem;
	spinlock_t lock;	/* of @maps, among holders of @sem */
	struct list_head maps;
	bool dead;
};

/* Protects the list, and the number of disks of each. */
static DEFINE_MUTEX(dma_buf_dio_devs_lock);
static LIST_HEAD(dma_buf_dio_devs);

/* All that is mapped, in the order in which it may be unmapped if it is idle. */
static DEFINE_SPINLOCK(dma_buf_dio_lru_lock);
static LIST_HEAD(dma_buf_dio_lru);
static unsigned long dma_buf_dio_nr_live;

/**
 * dma_buf_dio_dev_get - make a device of a disk known to direct I/O
 * @dev: the device that does the DMA
 *
 * Returns: the object, the same for all disks on @dev, to be ended by
 * dma_buf_dio_dev_end() and dma_buf_dio_dev_put(); or %NULL without memory.
 */
struct dma_buf_dio_dev *dma_buf_dio_dev_get(struct device *dev)
{
	struct dma_buf_dio_dev *ddev;

	guard(mutex)(&dma_buf_dio_devs_lock);

	list_for_each_entry(ddev, &dma_buf_dio_devs, node) {
		if (ddev->dev != dev)
			continue;
		ddev->disks++;
		kref_get(&ddev->kref);
		return ddev;
	}

	ddev = kzalloc_obj(*ddev);
	if (!ddev)
		return NULL;

	kref_init(&ddev->kref);
	ddev->dev = get_device(dev);
	ddev->disks = 1;
	init_rwsem(&ddev->sem);
	spin_lock_init(&ddev->lock);
	INIT_LIST_HEAD(&ddev->maps);
	list_add(&ddev->node, &dma_buf_dio_devs);
	return ddev;
}
EXPORT_SYMBOL_IF_KUNIT(dma_buf_dio_dev_get);

static void dma_buf_dio_dev_release(struct kref *kref)
{
	struct dma_buf_dio_dev *ddev =
		container_of(kref, struct dma_buf_dio_dev, kref);

	WARN_ON(!list_empty(&ddev->maps));
	put_device(ddev->dev);
	kfree(ddev);
}

/**
 * dma_buf_dio_dev_hold - get one more reference
 * @ddev: the object
 */
void dma_buf_dio_dev_hold(struct dma_buf_dio_dev *ddev)
{
	kref_get(&ddev->kref);
}

/**
 * dma_buf_dio_dev_put - drop a reference
 * @ddev: the object, may be %NULL
 */
void dma_buf_dio_dev_put(struct dma_buf_dio_dev *ddev)
{
	if (ddev)
		kref_put(&ddev->kref, dma_buf_dio_dev_release);
}
EXPORT_SYMBOL_IF_KUNIT(dma_buf_dio_dev_put);

static bool dma_buf_dio_idle(const struct dma_buf_dio_map *map)
{
	unsigned int sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(map->inflight, cpu));
	return !sum;
}

/*
 * One map serves both directions; but a device must not be able to write to a
 * buffer that was made read-only.
 */
static enum dma_data_direction dma_buf_dio_dir(const struct dma_buf *dmabuf)
{
	return dmabuf->file->f_mode & FMODE_WRITE ? DMA_BIDIRECTIONAL :
						    DMA_TO_DEVICE;
}

/* Forbids new uses. */
static void dma_buf_dio_forbid(struct dma_buf_dio_map *map)
{
	dma_resv_assert_held(map->dmabuf->resv);

	WRITE_ONCE(map->live, false);
	/*
	 * Who begins a use sees that, or is seen by dma_buf_dio_idle() from here
	 * on: pairs with dma_buf_dio_map_get().
	 */
	smp_mb();
}

static void dma_buf_dio_do_unmap(struct dma_buf_dio_map *map)
{
	struct dma_buf_segments *segs = map->segs;

	spin_lock(&dma_buf_dio_lru_lock);
	list_del_init(&map->lru);
	dma_buf_dio_nr_live--;
	spin_unlock(&dma_buf_dio_lru_lock);

	kvfree(map->start);
	map->start = NULL;
	map->segs = NULL;
	dma_buf_unmap_segments(map->attach, segs,
			       dma_buf_dio_dir(map->dmabuf));
}

/* Context: waits for commands that the device was given. */
static void dma_buf_dio_unmap(struct dma_buf_dio_map *map)
{
	if (!map->live)
		return;
	dma_buf_dio_forbid(map);
	wait_event(map->wait, dma_buf_dio_idle(map));
	dma_buf_dio_do_unmap(map);
}

static bool dma_buf_dio_unmap_idle(struct dma_buf_dio_map *map)
{
	if (!map->live)
		return false;
	dma_buf_dio_forbid(map);
	if (!dma_buf_dio_idle(map)) {
		/* As when it was mapped */
		smp_store_release(&map->live, true);
		return false;
	}
	dma_buf_dio_do_unmap(map);
	return true;
}

/* The exporter holds the reservation lock. */
static void dma_buf_dio_invalidate(struct dma_buf_attachment *attach)
{
	dma_buf_dio_unmap(attach->importer_priv);
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

	map->misalign = 0;
	for (i = 0; i < segs->nr; i++) {
		const struct dma_buf_segment *seg = &segs->seg[i];

		if (!seg->len)
			return -EIO;
		map->start[i] = offset;
		map->misalign |= seg->addr;
		if (i < segs->nr - 1)
			map->misalign |= seg->len;
		offset += seg->len;
	}

	/* Nothing above looks at the end of a map, only at that of the buffer */
	return offset < map->dmabuf->size ? -EIO : 0;
}

/*
 * Does the device see memory as the CPU does, or will it if it is told to?
 *
 * Bouncing copies all of the buffer when it is mapped, and all of it back when
 * it is unmapped.  That would undo what the CPU, another device or another
 * transfer put next to our data meanwhile.
 *
 * On devices that are not coherent, caches need maintenance.  An exporter with
 * segments says that there is memory behind them which can be cached; of what
 * is behind a scatterlist, only the exporter knows.
 */
static bool dma_buf_dio_coherent(struct dma_buf_dio_map *map)
{
	bool native = map->dmabuf->ops->map_segments;
	struct device *dev = map->ddev->dev;
	bool may_bounce = dma_max_mapping_size(dev) != SIZE_MAX;
	unsigned int i;

	map->sync = false;
	/* dma_dev_need_sync() would be true for any device to be debugged */
	if (dev_dma_skip_sync(dev))
		return true;
	if (native && !may_bounce) {
		map->sync = true;
		return true;
	}

	for (i = 0; i < map->segs->nr; i++) {
		const struct dma_buf_segment *seg = &map->segs->seg[i];
		/* Bounced and other pages may be neighbours */
		size_t step = may_bounce ? PAGE_SIZE : seg->len;
		size_t off;

		for (off = 0; off < seg->len; off += step)
			if (dma_need_sync(dev, seg->addr + off))
				return false;
		cond_resched();
	}
	return true;
}

static int dma_buf_dio_map_locked(struct dma_buf_dio_map *map)
{
	struct dma_buf *dmabuf = map->dmabuf;
	struct dma_buf_segments *segs;
	int ret;

	dma_resv_assert_held(dmabuf->resv);

	if (map->live)
		return 0;

	segs = dma_buf_map_segments(map->attach, dma_buf_dio_dir(dmabuf));
	if (IS_ERR(segs))
		return PTR_ERR(segs);

	map->segs = segs;
	ret = dma_buf_dio_build_index(map);
	if (!ret && !dma_buf_dio_coherent(map))
		ret = -EOPNOTSUPP;
	if (ret) {
		kvfree(map->start);
		map->start = NULL;
		map->segs = NULL;
		dma_buf_unmap_segments(map->attach, segs,
				       dma_buf_dio_dir(dmabuf));
		return ret;
	}

	trace_dma_buf_dio_map(dmabuf, map->ddev->dev, segs->nr);
	map->nth++;
	map->used = true;
	/* Who sees that it is mapped sees where: dma_buf_dio_map_get() */
	smp_store_release(&map->live, true);

	spin_lock(&dma_buf_dio_lru_lock);
	list_add_tail(&map->lru, &dma_buf_dio_lru);
	dma_buf_dio_nr_live++;
	spin_unlock(&dma_buf_dio_lru_lock);
	return 0;
}

static struct dma_buf_dio_map *
dma_buf_dio_new_map(struct dma_buf *dmabuf, struct dma_buf_dio_dev *ddev)
{
	struct dma_buf_dio_map *map;
	int ret = -ENOMEM;

	lockdep_assert_held(&dmabuf->dio.lock);
	lockdep_assert_held(&ddev->sem);

	map = kzalloc_obj(*map);
	if (!map)
		return ERR_PTR(-ENOMEM);
	map->inflight = alloc_percpu(*map->inflight);
	if (!map->inflight)
		goto err_free;

	map->dmabuf = dmabuf;
	map->ddev = ddev;
	init_waitqueue_head(&map->wait);
	INIT_LIST_HEAD(&map->lru);
	map->attach = dma_buf_dynamic_attach(dmabuf, ddev->dev,
					     &dma_buf_dio_attach_ops, map);
	if (IS_ERR(map->attach)) {
		ret = PTR_ERR(map->attach);
		goto err_free_percpu;
	}

	kref_get(&ddev->kref);
	spin_lock(&ddev->lock);
	list_add(&map->dev_node, &ddev->maps);
	spin_unlock(&ddev->lock);
	list_add_tail_rcu(&map->node, &dmabuf->dio.maps);
	return map;

err_free_percpu:
	free_percpu(map->inflight);
err_free:
	kfree(map);
	return ERR_PTR(ret);
}

/**
 * dma_buf_dio_map - map a buffer for a device
 * @dmabuf: the buffer
 * @ddev: the device
 * @nonblock: do not wait for a lock
 *
 * The map may be gone again when this returns.
 *
 * Context: may sleep; the caller holds nothing that an exporter, or memory
 * reclaim, may wait for.
 *
 * Returns: 0, -ENODEV if the device has no disks any more, -EOPNOTSUPP if it
 * does not see the buffer as the CPU does, -EAGAIN if it would have to wait,
 * -EINTR if somebody kills the task, -EIO if the exporter does not map all of
 * it, or what the exporter returned.
 */
int dma_buf_dio_map(struct dma_buf *dmabuf, struct dma_buf_dio_dev *ddev,
		    bool nonblock)
{
	struct dma_buf_dio_map *map;
	int ret;

	might_sleep();

	if (nonblock && !mutex_trylock(&dmabuf->dio.lock))
		return -EAGAIN;
	if (!nonblock && mutex_lock_killable(&dmabuf->dio.lock))
		return -EINTR;

	ret = -EAGAIN;
	if (nonblock && !down_read_trylock(&ddev->sem))
		goto out_unlock;
	if (!nonblock)
		down_read(&ddev->sem);

	ret = -ENODEV;
	if (ddev->dead)
		goto out_up;
	map = dma_buf_dio_find(dmabuf, ddev);
	if (!map && nonblock) {
		/* To attach locks it as well */
		ret = -EAGAIN;
		if (!dma_resv_trylock(dmabuf->resv))
			goto out_up;
		dma_resv_unlock(dmabuf->resv);
	}
	if (!map)
		map = dma_buf_dio_new_map(dmabuf, ddev);
	ret = PTR_ERR_OR_ZERO(map);
	if (ret)
		goto out_up;

	ret = -EAGAIN;
	if (nonblock && !dma_resv_trylock(dmabuf->resv))
		goto out_up;
	if (!nonblock)
		dma_resv_lock(dmabuf->resv, NULL);
	ret = dma_buf_dio_map_locked(map);
	dma_resv_unlock(dmabuf->resv);

out_up:
	up_read(&ddev->sem);
out_unlock:
	mutex_unlock(&dmabuf->dio.lock);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(dma_buf_dio_map);

static void dma_buf_dio_detach(struct dma_buf_dio_map *map)
{
	struct dma_buf *dmabuf = map->dmabuf;

	lockdep_assert_held(&map->ddev->sem);

	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_dio_unmap(map);
	dma_resv_unlock(dmabuf->resv);
	dma_buf_detach(dmabuf, map->attach);
	map->attach = NULL;
}

/**
 * dma_buf_dio_dev_end - a disk goes away
 * @ddev: its device, may be %NULL
 *
 * To be called after no I/O on the disk is in flight any more, and before its
 * driver is unbound from the device.  With the last disk all maps for the
 * device end, and it will get none.
 *
 * Context: may sleep, and takes &dma_buf.resv locks; so the caller must hold
 * nothing that memory reclaim may wait for.
 */
void dma_buf_dio_dev_end(struct dma_buf_dio_dev *ddev)
{
	struct dma_buf_dio_map *map;

	if (!ddev)
		return;

	scoped_guard(mutex, &dma_buf_dio_devs_lock) {
		if (--ddev->disks)
			return;
		list_del(&ddev->node);
	}

	down_write(&ddev->sem);
	ddev->dead = true;
	while ((map = list_first_entry_or_null(&ddev->maps,
					       struct dma_buf_dio_map,
					       dev_node))) {
		list_del_init(&map->dev_node);
		dma_buf_dio_detach(map);
	}
	up_write(&ddev->sem);
}
EXPORT_SYMBOL_IF_KUNIT(dma_buf_dio_dev_end);

/**
 * dma_buf_dio_release - end all maps of a buffer
 * @dmabuf: the buffer, to which nobody has a reference any more; or %NULL if it
 *	was not made in the end
 *
 * Context: may sleep, and takes the &dma_buf.resv lock.
 */
void dma_buf_dio_release(struct dma_buf *dmabuf)
{
	struct dma_buf_dio_map *map, *next;

	if (!dmabuf)
		return;

	list_for_each_entry_safe(map, next, &dmabuf->dio.maps, node) {
		struct dma_buf_dio_dev *ddev = map->ddev;

		down_read(&ddev->sem);
		spin_lock(&ddev->lock);
		list_del_init(&map->dev_node);
		spin_unlock(&ddev->lock);
		if (map->attach)
			dma_buf_dio_detach(map);
		up_read(&ddev->sem);

		dma_buf_dio_dev_put(ddev);
		free_percpu(map->inflight);
		kfree(map);
	}
	INIT_LIST_HEAD(&dmabuf->dio.maps);
}

static unsigned long dma_buf_dio_shrink_count(struct shrinker *shrinker,
					      struct shrink_control *sc)
{
	return READ_ONCE(dma_buf_dio_nr_live) ?: SHRINK_EMPTY;
}

/* The first that was not used since it was here last, with a reference. */
static struct dma_buf_dio_map *dma_buf_dio_next_idle(unsigned long *nr)
{
	struct dma_buf_dio_map *map;

	guard(spinlock)(&dma_buf_dio_lru_lock);

	while (*nr) {
		map = list_first_entry_or_null(&dma_buf_dio_lru,
					       struct dma_buf_dio_map, lru);
		if (!map)
			return NULL;
		--*nr;
		list_move_tail(&map->lru, &dma_buf_dio_lru);
		if (READ_ONCE(map->used)) {
			WRITE_ONCE(map->used, false);
			continue;
		}
		if (dma_buf_dio_idle(map) &&
		    file_ref_get(&map->dmabuf->file->f_ref))
			return map;
	}
	return NULL;
}

static unsigned long dma_buf_dio_shrink_scan(struct shrinker *shrinker,
					     struct shrink_control *sc)
{
	unsigned long nr = sc->nr_to_scan, freed = 0;
	struct dma_buf_dio_map *map;

	while ((map = dma_buf_dio_next_idle(&nr))) {
		struct dma_buf *dmabuf = map->dmabuf;

		if (down_read_trylock(&map->ddev->sem)) {
			if (map->attach && dma_resv_trylock(dmabuf->resv)) {
				freed += dma_buf_dio_unmap_idle(map);
				dma_resv_unlock(dmabuf->resv);
			}
			up_read(&map->ddev->sem);
		}
		dma_buf_put(dmabuf);
	}
	return freed;
}

static int __init dma_buf_dio_init(void)
{
	struct shrinker *shrinker = shrinker_alloc(0, "dma-buf-dio");

	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = dma_buf_dio_shrink_count;
	shrinker->scan_objects = dma_buf_dio_shrink_scan;
	shrinker_register(shrinker);
	return 0;
}
subsys_initcall(dma_buf_dio_init);
