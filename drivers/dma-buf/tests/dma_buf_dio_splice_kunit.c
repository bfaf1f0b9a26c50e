// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for moving data between files and dma-bufs
 *
 * The file is a fake as well.  It says where its direct I/O ends, does to the
 * buffer what the block layer would do there, which is to look for maps and to
 * use them, and then says that so much was read or written.
 */
#include <linux/anon_inodes.h>
#include <linux/dax.h>
#include <linux/delay.h>
#include <linux/dio_target.h>
#include <linux/dma-buf-dio.h>
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/iosys-map.h>
#include <linux/pagemap.h>
#include <linux/percpu-rwsem.h>
#include <linux/pipe_fs_i.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include "dma_buf_fake.h"

/* How much read_iter() and write_iter() get at a time to go direct. */
#define CHUNK		SZ_32M
/* The same of what is copied, and of that if the file is a stream. */
#define COPY		SZ_1M
#define COPY_STREAM	SZ_64K
/* How often direct I/O is tried while it finds the buffer unmapped. */
#define TRIES		16
/* How often a file is asked without a map for all that it says. */
#define ASK_TRIES	16
/* Devices that are mapped for before the file is asked again. */
#define ASK_DISKS	8

#define ALL		SSIZE_MAX
#define EVERY		UINT_MAX
#define SPLICE_DISKS	17

static const struct dma_buf_segment splice_seg[] = {
	{ 0x10000000, SZ_64M }, { 0x20000000, SZ_16M },
};

/* What the CPU gets at */
static const struct dma_buf_segment splice_memory_seg[] = {
	{ 0x10000000, SZ_8M },
};

#define MEMORY_SIZE	SZ_8M

struct splice_disk {
	struct kunit *test;
	struct device *dev;
	unsigned int refs;
	struct dma_buf_dio_dev *ddev;
	bool ended;
};

/**
 * struct splice_test - a file, and the buffer that it is read to or written from
 * @test: the test
 * @ops: those of @fake, some of which go through here
 * @fake: the buffer
 * @vaddr: its memory, or %NULL if the CPU does not get at it
 * @iomem: that is not to be used as such
 * @vmaps: how often it was mapped for the CPU
 * @begin_error: errno for the beginning of access by the CPU
 * @begin_fence: a fence that this beginning would have to wait for
 * @begin_dir: direction of the access
 * @begin_ms: how long the beginning takes
 * @accesses: accesses by the CPU that have begun and not ended
 * @cannot: a device that the buffer cannot be mapped for
 * @cannot_error: errno of that
 * @cannot_maps: how often it was tried
 * @busy: others use the buffer at the same time
 * @file: the file
 * @mode: what its mode was
 * @rw: what is done with it
 * @nr_disks: number of disks that it is on
 * @disk: the disks
 * @refuse: what it says against direct I/O
 * @align: what it says of the alignment in the file
 * @mem_align: what it says of that in memory
 * @align_mask: what it says of that of the addresses
 * @ask_hook: called when it is asked
 * @asked: how often it was
 * @answered: it has said where direct I/O would end, and did none since
 * @unmapped: so many attempts at each part find that the buffer is unmapped
 * @failed: how many of them have
 * @ret: what direct I/O returns, %ALL for as much as it was asked for
 * @ret_last: what the others return
 * @hole: from here on it has no data
 * @hole_end: up to here
 * @hook: called in direct I/O
 * @hook_at: in which, or %EVERY
 * @hook_late: after the disks were done with the buffer
 * @nr: number of pieces of direct I/O
 * @io: what each of them was asked for, and the mapping that it found
 * @copies: number of pieces of other I/O
 * @copy_ret: what they return, as @ret
 * @copy_hook: called in them
 * @wrong: how often it got bytes that were not those of the buffer
 * @fence: for the hooks
 * @holder: for the hooks
 * @worker_private: of the task, while it is another one
 * @did: D: direct, -: not direct though it was tried, C: other I/O
 */
struct splice_test {
	struct kunit *test;

	struct dma_buf_ops ops;
	struct dma_buf_fake *fake;
	u8 *vaddr;
	bool iomem;
	unsigned int vmaps;
	int begin_error;
	struct dma_fence *begin_fence;
	enum dma_data_direction begin_dir;
	unsigned int begin_ms;
	atomic_t accesses;
	struct device *cannot;
	int cannot_error;
	unsigned int cannot_maps;
	bool busy;

	struct file *file;
	umode_t mode;
	int rw;

	unsigned int nr_disks;
	struct splice_disk disk[SPLICE_DISKS];
	enum dio_reason refuse;
	unsigned int align, mem_align, align_mask;
	void (*ask_hook)(struct splice_test *s);
	unsigned int asked;
	bool answered;

	unsigned int unmapped, failed;
	ssize_t ret[8], ret_last;
	loff_t hole, hole_end;
	void (*hook)(struct splice_test *s);
	unsigned int hook_at;
	bool hook_late;
	unsigned int nr;
	struct {
		loff_t pos;
		size_t offset, len;
		int nth_map;
	} io[8];

	unsigned int copies;
	ssize_t copy_ret;
	void (*copy_hook)(struct splice_test *s);
	unsigned int wrong;
	struct splice_fence *fence;
	struct splice_holder *holder;
	void *worker_private;
	char did[64];
};

static bool splice_streams(struct splice_test *s)
{
	umode_t mode = file_inode(s->file)->i_mode;

	return !S_ISREG(mode) && !S_ISBLK(mode);
}

static u8 splice_byte(loff_t pos)
{
	return pos ^ pos >> 8 ^ pos >> 16;
}

static void splice_did(struct splice_test *s, char what)
{
	size_t len = strlen(s->did);

	if (len < sizeof(s->did) - 1)
		s->did[len] = what;
}

static bool splice_may_freeze(struct splice_test *s)
{
	struct super_block *sb = file_inode(s->file)->i_sb;

	return !percpu_is_read_locked(&sb->s_writers.rw_sem[SB_FREEZE_WRITE - 1]);
}

/* A file may wait for anything, which the exporter must not have to wait for. */
static void splice_expect_free(struct splice_test *s)
{
	struct dma_buf *dmabuf = s->fake->dmabuf;
	struct kunit *test = s->test;

	if (s->busy)
		return;
	KUNIT_EXPECT_FALSE(test, dma_resv_is_locked(dmabuf->resv));
	KUNIT_EXPECT_FALSE(test, mutex_is_locked(&dmabuf->dio.lock));
	KUNIT_EXPECT_FALSE(test, mutex_is_locked(&dmabuf->dio.copy_lock));
	KUNIT_EXPECT_EQ(test, atomic_read(&s->fake->cpu_access), 0);
	/* It can move its memory while that is not mapped */
	if (dmabuf->ops->pin)
		KUNIT_EXPECT_EQ(test, atomic_read(&s->fake->vmapped), 0);
}

static int splice_dio_target(struct file *file, struct dio_target *target)
{
	struct splice_test *s = file->private_data;
	struct kunit *test = s->test;
	unsigned int i;
	int ret = 0;

	s->asked++;
	KUNIT_EXPECT_EQ(test, target->rw, s->rw);
	KUNIT_EXPECT_TRUE(test, splice_may_freeze(s));
	splice_expect_free(s);
	if (s->ask_hook)
		s->ask_hook(s);
	if (s->refuse)
		return dio_target_refuse(target, s->refuse);

	target->align = max(target->align, s->align);
	target->mem_align = max(target->mem_align, s->mem_align);
	for (i = 0; i < s->nr_disks && !ret; i++)
		ret = target->add(target, s->disk[i].ddev, s->align_mask);
	s->answered = !ret;
	return ret;
}

/* As disks do it to have the addresses for a command. */
static int splice_use_maps(struct splice_test *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_disks; i++) {
		struct dma_buf_dio_map *map = dma_buf_dio_find(s->fake->dmabuf,
							       s->disk[i].ddev);

		if (!map || !dma_buf_dio_map_get(map))
			return -EUNMAPPED;
		KUNIT_EXPECT_EQ(s->test, map->misalign & s->align_mask, 0);
		dma_buf_dio_map_put(map);
	}
	return 0;
}

static ssize_t splice_direct_result(struct splice_test *s, unsigned int i,
				    loff_t pos, size_t len)
{
	loff_t left = i_size_read(file_inode(s->file)) - pos;
	ssize_t ret;

	if (s->failed < s->unmapped) {
		s->failed++;
		return -EUNMAPPED;
	}
	s->failed = 0;

	ret = i < ARRAY_SIZE(s->ret) ? s->ret[i] : s->ret_last;
	ret = min_t(ssize_t, ret, len);
	if (ret <= 0)
		return ret;
	if (s->rw == READ && !splice_streams(s))
		ret = clamp_t(loff_t, left, 0, ret);
	if (pos < s->hole_end && pos + ret > s->hole) {
		/* What cannot go direct at its end is not begun to be written */
		if (pos >= s->hole || s->rw == WRITE)
			return 0;
		ret = s->hole - pos;
	}
	return ret;
}

static ssize_t splice_direct(struct splice_test *s, struct kiocb *kiocb,
			     struct iov_iter *iter)
{
	struct kunit *test = s->test;
	size_t len = iov_iter_count(iter);
	unsigned int i = s->nr++;
	bool hook = s->hook && (i == s->hook_at || s->hook_at == EVERY);
	ssize_t ret;

	KUNIT_EXPECT_TRUE(test, kiocb->ki_flags & IOCB_DIRECT);
	KUNIT_EXPECT_PTR_EQ(test, iter->dmabuf, s->fake->dmabuf);
	KUNIT_EXPECT_TRUE(test, s->answered);
	s->answered = false;
	KUNIT_EXPECT_TRUE(test, IS_ALIGNED(kiocb->ki_pos | len, s->align));
	KUNIT_EXPECT_TRUE(test, IS_ALIGNED(iter->iov_offset, s->mem_align));

	if (i < ARRAY_SIZE(s->io)) {
		s->io[i].pos = kiocb->ki_pos;
		s->io[i].offset = iter->iov_offset;
		s->io[i].len = len;
		s->io[i].nth_map = atomic_read(&s->fake->maps);
	}
	if (hook && !s->hook_late)
		s->hook(s);
	ret = splice_use_maps(s);
	if (!ret)
		ret = splice_direct_result(s, i, kiocb->ki_pos, len);
	if (ret > 0) {
		/* All that was asked for may be overwritten, so it is */
		if (s->rw == READ && s->vaddr)
			memset(s->vaddr + iter->iov_offset, 'D', len);
		iov_iter_advance(iter, ret);
		kiocb->ki_pos += ret;
	}
	splice_did(s, ret > 0 ? 'D' : '-');
	if (hook && s->hook_late)
		s->hook(s);
	return ret;
}

static ssize_t splice_copy(struct splice_test *s, struct kiocb *kiocb,
			   struct iov_iter *iter)
{
	size_t n = iov_iter_count(iter), done = 0;
	struct kunit *test = s->test;
	loff_t pos = kiocb->ki_pos;
	u8 buf[128], right[128];

	KUNIT_EXPECT_FALSE(test, kiocb->ki_flags & IOCB_DIRECT);
	/* A file must not be let at memory that may have no pages */
	KUNIT_EXPECT_TRUE(test, iov_iter_is_kvec(iter));
	KUNIT_EXPECT_LE(test, n, splice_streams(s) ? COPY_STREAM : COPY);
	s->copies++;
	splice_did(s, 'C');
	if (s->copy_hook)
		s->copy_hook(s);
	if (s->copy_ret < 0)
		return s->copy_ret;

	n = min_t(size_t, n, s->copy_ret);
	if (s->rw == READ && !splice_streams(s))
		n = clamp_t(loff_t, i_size_read(file_inode(s->file)) - pos, 0,
			    n);
	while (done < n) {
		size_t some = min(n - done, sizeof(buf)), i;

		for (i = 0; i < some; i++)
			right[i] = splice_byte(pos + done + i);
		if (s->rw == READ)
			some = copy_to_iter(right, some, iter);
		else
			some = copy_from_iter(buf, some, iter);
		if (s->rw == WRITE && memcmp(buf, right, some))
			s->wrong++;
		if (!some)
			break;
		done += some;
	}
	kiocb->ki_pos += done;
	return done;
}

static ssize_t splice_iter(struct kiocb *kiocb, struct iov_iter *iter)
{
	struct splice_test *s = kiocb->ki_filp->private_data;
	bool regular = S_ISREG(file_inode(s->file)->i_mode);
	struct kunit *test = s->test;

	KUNIT_EXPECT_EQ(test, iov_iter_rw(iter), s->rw);
	KUNIT_EXPECT_TRUE(test, is_sync_kiocb(kiocb));
	splice_expect_free(s);
	if (!s->busy)
		KUNIT_EXPECT_EQ(test, splice_may_freeze(s),
				s->rw == READ || !regular);
	if (iov_iter_is_dmabuf(iter))
		return splice_direct(s, kiocb, iter);
	return splice_copy(s, kiocb, iter);
}

static const struct file_operations splice_fops = {
	.dio_target	= splice_dio_target,
	.read_iter	= splice_iter,
	.write_iter	= splice_iter,
	.splice_read	= copy_splice_read,
	.splice_write	= iter_file_splice_write,
};

/* Of a file that was not made for this. */
static const struct file_operations splice_other_fops = {
	.read_iter	= splice_iter,
	.write_iter	= splice_iter,
	.splice_read	= copy_splice_read,
	.splice_write	= iter_file_splice_write,
};

static struct splice_test *splice_test_of(struct dma_buf *dmabuf)
{
	return container_of(dmabuf->ops, struct splice_test, ops);
}

static void splice_resv_add(struct dma_buf *dmabuf, struct dma_fence *fence,
			    enum dma_resv_usage usage)
{
	dma_resv_lock(dmabuf->resv, NULL);
	if (!dma_resv_reserve_fences(dmabuf->resv, 1))
		dma_resv_add_fence(dmabuf->resv, fence, usage);
	dma_resv_unlock(dmabuf->resv);
}

static int splice_begin_cpu_access(struct dma_buf *dmabuf,
				   enum dma_data_direction dir)
{
	struct splice_test *s = splice_test_of(dmabuf);
	struct kunit *test = s->test;

	if (s->begin_error)
		return s->begin_error;
	if (s->begin_fence) {
		/* Whoever waits for it and is interrupted has not begun */
		splice_resv_add(dmabuf, s->begin_fence, DMA_RESV_USAGE_WRITE);
		s->begin_fence = NULL;
		return 0;
	}

	/* It may drop from the caches what another access did not write back */
	KUNIT_EXPECT_EQ(test, atomic_inc_return(&s->accesses), 1);
	s->begin_dir = dir;
	if (s->begin_ms)
		msleep(s->begin_ms);
	if (!s->busy) {
		KUNIT_EXPECT_TRUE(test, splice_may_freeze(s));
		/* Also of what is next to it and in the same cache line */
		if (s->rw == READ && !splice_streams(s))
			KUNIT_EXPECT_EQ(test, dir, DMA_BIDIRECTIONAL);
		if (s->rw == WRITE)
			KUNIT_EXPECT_EQ(test, dir, DMA_FROM_DEVICE);
	}
	/* While nobody has access, it is not there */
	if (s->vaddr)
		s->fake->vaddr = s->vaddr;
	return dma_buf_fake_sgt_ops.begin_cpu_access(dmabuf, dir);
}

static int splice_end_cpu_access(struct dma_buf *dmabuf,
				 enum dma_data_direction dir)
{
	struct splice_test *s = splice_test_of(dmabuf);

	KUNIT_EXPECT_EQ(s->test, dir, s->begin_dir);
	if (dmabuf->ops->pin)
		s->fake->vaddr = NULL;
	KUNIT_EXPECT_EQ(s->test, atomic_dec_return(&s->accesses), 0);
	return dma_buf_fake_sgt_ops.end_cpu_access(dmabuf, dir);
}

static int splice_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct splice_test *s = splice_test_of(dmabuf);
	int ret = dma_buf_fake_sgt_ops.vmap(dmabuf, map);

	s->vmaps++;
	if (!ret && s->iomem)
		iosys_map_set_vaddr_iomem(map, (void __iomem *)map->vaddr);
	return ret;
}

static struct sg_table *splice_map_sgt(struct dma_buf_attachment *attach,
				       enum dma_data_direction dir)
{
	struct splice_test *s = splice_test_of(attach->dmabuf);

	if (attach->dev == s->cannot) {
		s->cannot_maps++;
		return ERR_PTR(s->cannot_error);
	}
	return dma_buf_fake_sgt_ops.map_dma_buf(attach, dir);
}

static void splice_set_flags(struct file *file, unsigned int flags)
{
	file->f_flags = O_RDWR | O_LARGEFILE | flags;
	file->f_iocb_flags = iocb_flags(file);
}

static void splice_set_mode(struct splice_test *s, umode_t mode)
{
	struct inode *inode = file_inode(s->file);

	inode->i_mode = (inode->i_mode & ~S_IFMT) | mode;
}

static void splice_disk_check(void *data)
{
	struct splice_disk *disk = data;

	KUNIT_EXPECT_EQ(disk->test, kref_read(&disk->dev->kobj.kref),
			disk->refs);
}

static void splice_disk_end(struct splice_disk *disk)
{
	if (!disk->ended)
		dma_buf_dio_dev_end(disk->ddev);
	disk->ended = true;
}

static void splice_disk_put(void *data)
{
	struct splice_disk *disk = data;

	splice_disk_end(disk);
	dma_buf_dio_dev_put(disk->ddev);
}

static void splice_file_end(void *data)
{
	struct splice_test *s = data;

	file_inode(s->file)->i_mode = s->mode;
	file_inode(s->file)->i_flags &= ~(S_DAX | S_ENCRYPTED);
	fput(s->file);
	flush_delayed_fput();
}

static struct splice_test *splice_new_test(struct kunit *test)
{
	struct splice_test *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->test = test;
	s->align = 1;
	s->mem_align = 1;
	s->copy_ret = ALL;
	for (i = 0; i < ARRAY_SIZE(s->ret); i++)
		s->ret[i] = ALL;
	s->ret_last = ALL;
	return s;
}

static void splice_new_file(struct splice_test *s)
{
	struct kunit *test = s->test;

	s->file = anon_inode_create_getfile("[dma_buf_dio_kunit]", &splice_fops,
					    s, O_RDWR, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, s->file);
	s->mode = file_inode(s->file)->i_mode;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, splice_file_end,
							   s));
	splice_set_mode(s, S_IFREG);
	i_size_write(file_inode(s->file), LLONG_MAX / 2);
	splice_set_flags(s->file, O_DIRECT);
}

static struct splice_test *
splice_test_init(struct kunit *test, const struct dma_buf_ops *ops,
		 const struct dma_buf_segment *seg, unsigned int nr,
		 unsigned int nr_disks)
{
	/* Drivers of the same name, which these are, cannot be at a time */
	static atomic_t nr_devices;
	struct splice_test *s = splice_new_test(test);
	struct splice_disk *disk;
	char name[32];

	/* In this order, so that the buffer goes before they are checked */
	s->nr_disks = nr_disks;
	for (disk = s->disk; disk < s->disk + nr_disks; disk++) {
		disk->test = test;
		snprintf(name, sizeof(name), "splice-disk%d",
			 atomic_inc_return(&nr_devices));
		disk->dev = dma_buf_fake_device(test, name, DMA_BIT_MASK(64));
		disk->refs = kref_read(&disk->dev->kobj.kref);
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test, splice_disk_check,
							  disk));
	}

	s->ops = *ops;
	if (s->ops.vmap) {
		s->ops.vmap = splice_vmap;
		s->ops.begin_cpu_access = splice_begin_cpu_access;
		s->ops.end_cpu_access = splice_end_cpu_access;
		s->ops.map_dma_buf = splice_map_sgt;
	}
	s->fake = dma_buf_fake_export(test, &s->ops, seg, nr);

	for (disk = s->disk; disk < s->disk + nr_disks; disk++) {
		disk->ddev = dma_buf_dio_dev_get(disk->dev);
		KUNIT_ASSERT_NOT_NULL(test, disk->ddev);
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test, splice_disk_put,
							  disk));
	}
	splice_new_file(s);
	return s;
}

static struct splice_test *splice_test_default(struct kunit *test)
{
	return splice_test_init(test, &dma_buf_fake_sgt_ops, splice_seg,
				ARRAY_SIZE(splice_seg), 1);
}

static void splice_vfree(void *vaddr)
{
	vfree(vaddr);
}

static void splice_add_memory(struct splice_test *s)
{
	struct kunit *test = s->test;

	s->vaddr = vmalloc(s->fake->dmabuf->size);
	KUNIT_ASSERT_NOT_NULL(test, s->vaddr);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, splice_vfree,
							   s->vaddr));
	memset(s->vaddr, 'P', s->fake->dmabuf->size);
}

static struct splice_test *splice_test_memory(struct kunit *test)
{
	struct splice_test *s;

	s = splice_test_init(test, &dma_buf_fake_sgt_ops, splice_memory_seg,
			     ARRAY_SIZE(splice_memory_seg), 1);
	splice_add_memory(s);
	return s;
}

static struct splice_test *splice_test_stream(struct kunit *test)
{
	struct splice_test *s = splice_test_memory(test);

	s->file->f_op = &splice_other_fops;
	splice_set_mode(s, S_IFIFO);
	splice_set_flags(s->file, 0);
	return s;
}

/* The bytes that the file should get of what is written from @mem_pos to @pos. */
static void splice_fill(struct splice_test *s, loff_t mem_pos, loff_t pos)
{
	size_t i;

	for (i = 0; i < s->fake->dmabuf->size; i++)
		s->vaddr[i] = splice_byte(pos + i - mem_pos);
}

static ssize_t splice_rw(struct splice_test *s, int rw, loff_t mem_pos,
			 loff_t pos, size_t len, unsigned int flags)
{
	bool has_pos = !(s->file->f_mode & FMODE_STREAM);
	struct file *mem = s->fake->dmabuf->file;
	loff_t mem_now = mem_pos, now = pos;
	struct kunit *test = s->test;
	ssize_t ret, moved;

	s->rw = rw;
	s->asked = 0;
	s->answered = false;
	s->failed = 0;
	s->nr = 0;
	s->copies = 0;
	memset(s->did, 0, sizeof(s->did));
	if (rw == READ)
		ret = splice_memory(s->file, &now, mem, &mem_now, len, flags);
	else
		ret = splice_memory(mem, &mem_now, s->file, &now, len, flags);

	moved = max_t(ssize_t, ret, 0);
	KUNIT_EXPECT_EQ(test, mem_now, mem_pos + moved);
	KUNIT_EXPECT_EQ(test, now, has_pos ? pos + moved : pos);
	KUNIT_EXPECT_EQ(test, s->wrong, 0);
	if (s->busy)
		return ret;
	KUNIT_EXPECT_EQ(test, atomic_read(&s->fake->vmapped), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&s->accesses), 0);
	KUNIT_EXPECT_TRUE(test, splice_may_freeze(s));
	splice_expect_free(s);
	return ret;
}

static ssize_t splice_to(struct splice_test *s, loff_t mem_pos, loff_t pos,
			 size_t len, unsigned int flags)
{
	return splice_rw(s, READ, mem_pos, pos, len, flags);
}

static ssize_t splice_from(struct splice_test *s, loff_t mem_pos, loff_t pos,
			   size_t len, unsigned int flags)
{
	return splice_rw(s, WRITE, mem_pos, pos, len, flags);
}

static void splice_expect_io(struct splice_test *s, unsigned int i, loff_t pos,
			     size_t offset, size_t len)
{
	struct kunit *test = s->test;

	KUNIT_ASSERT_GT(test, s->nr, i);
	KUNIT_EXPECT_EQ_MSG(test, s->io[i].pos, pos, "I/O %u", i);
	KUNIT_EXPECT_EQ_MSG(test, s->io[i].offset, offset, "I/O %u", i);
	KUNIT_EXPECT_EQ_MSG(test, s->io[i].len, len, "I/O %u", i);
}

static u64 splice_direct_bytes(struct splice_test *s, int rw)
{
	return atomic64_read(&s->fake->dmabuf->dio.direct[rw]);
}

static u64 splice_copied_bytes(struct splice_test *s, int rw)
{
	return atomic64_read(&s->fake->dmabuf->dio.copied[rw]);
}

/* A line of its fdinfo. */
static void splice_expect_fdinfo(struct splice_test *s, const char *key,
				 const char *value)
{
	struct file *mem = s->fake->dmabuf->file;
	struct seq_file m = { .size = SZ_1K };
	struct kunit *test = s->test;
	char line[64];

	m.buf = kunit_kzalloc(test, m.size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m.buf);
	mem->f_op->show_fdinfo(&m, mem);
	snprintf(line, sizeof(line), "\n%s:\t%s\n", key, value);
	KUNIT_EXPECT_TRUE_MSG(test, strstr(m.buf, line), "no %s in %s", line,
			      m.buf);
}

static void splice_expect_reason(struct splice_test *s, const char *reason)
{
	splice_expect_fdinfo(s, "copy_reason", reason);
}

static void splice_chunks(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);

	/* One, exactly one, and the first byte of the second */
	KUNIT_EXPECT_EQ(test, splice_to(s, SZ_8K, SZ_1M, SZ_4K, 0), SZ_4K);
	KUNIT_EXPECT_EQ(test, s->nr, 1);
	splice_expect_io(s, 0, SZ_1M, SZ_8K, SZ_4K);

	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, CHUNK, 0), CHUNK);
	KUNIT_EXPECT_EQ(test, s->nr, 1);
	splice_expect_io(s, 0, 0, 0, CHUNK);

	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, CHUNK + 1, 0), CHUNK + 1);
	KUNIT_EXPECT_EQ(test, s->nr, 2);
	splice_expect_io(s, 0, 0, 0, CHUNK);
	splice_expect_io(s, 1, CHUNK, CHUNK, 1);
	/* Each of them: the file may have changed meanwhile */
	KUNIT_EXPECT_EQ(test, s->asked, 2);

	/* As much as fits in the rest of the buffer */
	KUNIT_EXPECT_EQ(test, splice_to(s, SZ_4K, SZ_2G, SZ_1G, 0),
			SZ_64M + SZ_16M - SZ_4K);
	KUNIT_EXPECT_EQ(test, s->nr, 3);
	splice_expect_io(s, 0, SZ_2G, SZ_4K, CHUNK);
	splice_expect_io(s, 1, SZ_2G + CHUNK, SZ_4K + CHUNK, CHUNK);
	splice_expect_io(s, 2, SZ_2G + SZ_64M, SZ_4K + SZ_64M, SZ_16M - SZ_4K);

	/* One mapping for all calls, which stays */
	dma_buf_fake_expect(s->fake, 1, 1);
	KUNIT_EXPECT_EQ(test, s->fake->dir, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, splice_direct_bytes(s, READ), SZ_4K + CHUNK +
			CHUNK + 1 + SZ_64M + SZ_16M - SZ_4K);
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, READ), 0);
}

static void splice_large(struct kunit *test)
{
	static const struct dma_buf_segment seg[] = {
		{ 0x10000000, 6ULL * SZ_1G & SIZE_MAX },
	};
	struct splice_test *s = splice_test_init(test, &dma_buf_fake_seg_ops,
						 seg, ARRAY_SIZE(seg), 1);
	loff_t pos = 10LL * SZ_1G, mem_pos = 5LL * SZ_1G;

	if (sizeof(size_t) < sizeof(u64))
		kunit_skip(test, "no buffer is that large");

	KUNIT_EXPECT_EQ(test, splice_to(s, mem_pos, pos, CHUNK + SZ_4K, 0),
			CHUNK + SZ_4K);
	splice_expect_io(s, 0, pos, mem_pos, CHUNK);
	splice_expect_io(s, 1, pos + CHUNK, mem_pos + CHUNK, SZ_4K);
	KUNIT_EXPECT_EQ(test, splice_to(s, 6LL * SZ_1G - SZ_4K, pos, SZ_1M, 0),
			SZ_4K);
	KUNIT_EXPECT_EQ(test, splice_to(s, 6LL * SZ_1G, pos, SZ_1M, 0), -ENOSPC);
	/* As in all system calls */
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SIZE_MAX, 0), MAX_RW_COUNT);
}

static void splice_write(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);

	KUNIT_EXPECT_EQ(test, splice_from(s, SZ_4K, SZ_8K, SZ_64M, 0), SZ_64M);
	KUNIT_EXPECT_EQ(test, s->nr, 2);
	splice_expect_io(s, 0, SZ_8K, SZ_4K, CHUNK);
	splice_expect_io(s, 1, SZ_8K + CHUNK, SZ_4K + CHUNK, CHUNK);
	KUNIT_EXPECT_EQ(test, splice_direct_bytes(s, WRITE), SZ_64M);
	KUNIT_EXPECT_EQ(test, splice_direct_bytes(s, READ), 0);

	/* To ask again at a limit of the file may send a signal */
	s->ret[0] = SZ_4K;
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_64M, 0), SZ_4K);
	KUNIT_EXPECT_EQ(test, s->nr, 1);

	/* The end of the buffer is one to be read */
	KUNIT_EXPECT_EQ(test, splice_from(s, SZ_64M + SZ_16M, 0, SZ_4K, 0), 0);
	KUNIT_EXPECT_EQ(test, s->asked, 0);
	/* The same map as for reads */
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, 0), SZ_64M);
	dma_buf_fake_expect(s->fake, 1, 1);
}

/* Nor can a device write to what may only be read. */
static void splice_read_only(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);
	struct dma_buf_fake *other = s->fake;

	s->fake = dma_buf_fake_export_ro(test, &s->ops, splice_seg,
					 ARRAY_SIZE(splice_seg));
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, 0), -EBADF);
	KUNIT_EXPECT_EQ(test, s->asked, 0);
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_4K, 0), SZ_4K);
	KUNIT_EXPECT_EQ(test, s->fake->dir, DMA_TO_DEVICE);
	dma_buf_fake_expect(s->fake, 1, 1);
	dma_buf_fake_expect(other, 0, 0);
}

static void splice_arguments(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);
	struct file *mem = s->fake->dmabuf->file, *file = s->file;
	loff_t pos = 0, mem_pos = 0;

	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, 0, 0), 0);

	/* One is memory, and one is not */
	KUNIT_EXPECT_EQ(test, splice_memory(mem, &pos, mem, &mem_pos, SZ_4K, 0),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, splice_memory(file, &pos, file, &mem_pos, SZ_4K,
					    0), -EINVAL);

	/* Reads do not append */
	splice_set_flags(file, O_DIRECT | O_APPEND);
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_4K, 0), -EINVAL);
	splice_set_flags(file, O_DIRECT);

	file->f_mode &= ~FMODE_READ;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, 0), -EBADF);
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_4K, 0), SZ_4K);
	file->f_mode ^= FMODE_READ | FMODE_WRITE;
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_4K, 0), -EBADF);
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, 0), SZ_4K);

	/* What has no position is not given one */
	file->f_mode |= FMODE_WRITE | FMODE_STREAM;
	KUNIT_EXPECT_EQ(test, splice_to(s, SZ_4K, 0, SZ_4K, 0), SZ_4K);
	KUNIT_EXPECT_EQ(test, splice_from(s, SZ_4K, 0, SZ_4K, 0), SZ_4K);
	file->f_mode &= ~FMODE_STREAM;
}

/* Of the file, or of all files that a task writes. */
static void splice_limit(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);
	struct rlimit *limit = &current->signal->rlim[RLIMIT_FSIZE];
	unsigned long max = limit->rlim_cur;
	loff_t end = MAX_NON_LFS;

	s->file->f_flags &= ~O_LARGEFILE;
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, end - SZ_4K, SZ_64M, 0), SZ_4K);
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, end, SZ_64M, 0), -EFBIG);
	KUNIT_EXPECT_EQ(test, s->asked, 0);
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, end, SZ_64M, 0), SZ_64M);

	/* It applies to all at once, so it ends with less and no signal */
	allow_signal(SIGXFSZ);
	WRITE_ONCE(limit->rlim_cur, CHUNK);
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_64M, 0), CHUNK);
	KUNIT_EXPECT_EQ(test, s->nr, 1);
	KUNIT_EXPECT_FALSE(test, signal_pending(current));
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, CHUNK, SZ_64M, 0), SZ_64M);
	KUNIT_EXPECT_FALSE(test, signal_pending(current));
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, CHUNK, SZ_64M, 0), -EFBIG);
	KUNIT_EXPECT_TRUE(test, signal_pending(current));
	WRITE_ONCE(limit->rlim_cur, max);
	flush_signals(current);
	disallow_signal(SIGXFSZ);
}

static void splice_truncate(struct splice_test *s)
{
	i_size_write(file_inode(s->file), 0);
}

static const struct splice_end_param {
	const char *desc;
	ssize_t ret[3];		/* of each piece of 80 MiB */
	const char *did;
	ssize_t result;
	loff_t size;
	bool truncate;		/* before the second one */
} splice_end_params[] = {
	{ "short and on", { SZ_4K, SZ_8K, -EILSEQ }, "DD-", SZ_4K + SZ_8K },
	{ "almost a chunk", { ALL, CHUNK - 1, -EILSEQ }, "DD-", 2 * CHUNK - 1 },
	{ "end of file", { ALL }, "D", SZ_4K, SZ_4K },
	{ "end of file at a chunk", { ALL, ALL }, "D", CHUNK, CHUNK },
	{ "end of file in a chunk", { ALL, ALL, ALL }, "DD", CHUNK + 5, CHUNK + 5 },
	{ "truncated", { ALL, ALL }, "D-", CHUNK, .truncate = true },
	{ "truncated, short", { ALL, 0 }, "D-", CHUNK, .truncate = true },
	{ "error", { -EILSEQ, ALL }, "-", -EILSEQ },
	{ "error later", { ALL, -EILSEQ, ALL }, "D-", CHUNK },
};

KUNIT_ARRAY_PARAM_DESC(splice_end, splice_end_params, desc);

static void splice_end(struct kunit *test)
{
	const struct splice_end_param *p = test->param_value;
	struct splice_test *s = splice_test_default(test);

	memcpy(s->ret, p->ret, sizeof(p->ret));
	if (p->size)
		i_size_write(file_inode(s->file), p->size);
	if (p->truncate) {
		s->hook = splice_truncate;
		s->hook_at = 1;
	}
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M + SZ_16M, 0), p->result);
	KUNIT_EXPECT_STREQ(test, s->did, p->did);
	KUNIT_EXPECT_EQ(test, splice_direct_bytes(s, READ),
			max_t(ssize_t, p->result, 0));
	dma_buf_fake_expect(s->fake, 1, 1);
}

static const struct splice_at_end_param {
	const char *desc;
	umode_t mode;
	unsigned int file_flags, flags;
	loff_t mem_pos;
	ssize_t result;
} splice_at_end_params[] = {
	{ "file", S_IFREG, O_DIRECT },
	{ "file, no copy", S_IFREG, O_DIRECT, SPLICE_F_NOCOPY },
	{ "file, full", S_IFREG, O_DIRECT, 0, SZ_8M },
	{ "file, buffered", S_IFREG },
	/* As anywhere else in it */
	{ "file, buffered, no copy", S_IFREG, 0, SPLICE_F_NOCOPY, 0, -EOPNOTSUPP },
	{ "file, buffered, full", S_IFREG, 0, 0, SZ_8M },
	{ "block device", S_IFBLK, O_DIRECT },
	{ "block device, no copy", S_IFBLK, O_DIRECT, SPLICE_F_NOCOPY },
	{ "block device, full", S_IFBLK, O_DIRECT, 0, SZ_8M },
	{ "block device, buffered", S_IFBLK },
	{ "stream", S_IFIFO },
	{ "stream, no copy", S_IFIFO, 0, SPLICE_F_NOCOPY, 0, -EOPNOTSUPP },
	{ "stream, full", S_IFIFO, 0, 0, SZ_8M, -ENOSPC },
};

KUNIT_ARRAY_PARAM_DESC(splice_at_end, splice_at_end_params, desc);

/* Whoever reads until nothing comes sees an end, and no error. */
static void splice_at_end(struct kunit *test)
{
	const struct splice_at_end_param *p = test->param_value;
	struct splice_test *s = splice_test_memory(test);

	i_size_write(file_inode(s->file), SZ_1M);
	s->copy_ret = S_ISFIFO(p->mode) ? 0 : ALL;
	if (S_ISFIFO(p->mode))
		s->file->f_op = &splice_other_fops;
	splice_set_mode(s, p->mode);
	splice_set_flags(s->file, p->file_flags);
	KUNIT_EXPECT_EQ(test, splice_to(s, p->mem_pos, SZ_1M, SZ_1M, p->flags),
			p->result);
	KUNIT_EXPECT_EQ(test, splice_to(s, p->mem_pos, SZ_1M + SZ_4K, SZ_1M,
					p->flags), p->result);
	/* Only the file knows, unless it is asked for its disk */
	if (p->file_flags)
		KUNIT_EXPECT_EQ(test, s->asked + s->copies, 0);
	KUNIT_EXPECT_EQ(test, splice_direct_bytes(s, READ), 0);
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, READ), 0);
}

/* How user space copies all of a file, and all of a buffer. */
static void splice_loop(struct kunit *test)
{
	struct splice_test *s = splice_test_memory(test);
	loff_t pos = 0;
	ssize_t ret;
	int rw;

	i_size_write(file_inode(s->file), MEMORY_SIZE);
	splice_fill(s, 0, 0);
	for (rw = READ; rw <= WRITE; rw++) {
		pos = 0;
		while ((ret = splice_rw(s, rw, pos, pos, SZ_1M + SZ_4K, 0)) > 0)
			pos += ret;
		KUNIT_EXPECT_EQ(test, ret, 0);
		KUNIT_EXPECT_EQ(test, pos, MEMORY_SIZE);
		KUNIT_EXPECT_EQ(test, splice_direct_bytes(s, rw), MEMORY_SIZE);
	}

	/* Of a larger file there would have been more */
	i_size_write(file_inode(s->file), MEMORY_SIZE + 1);
	KUNIT_EXPECT_EQ(test, splice_to(s, pos, pos, SZ_1M, 0), -ENOSPC);
	KUNIT_EXPECT_EQ(test, s->asked + s->copies, 0);
}

static void splice_invalidate(struct splice_test *s)
{
	struct dma_buf *dmabuf = s->fake->dmabuf;

	dma_resv_lock(dmabuf->resv, NULL);
	dma_buf_invalidate_mappings(dmabuf);
	/* The exporter may move the memory now */
	KUNIT_EXPECT_EQ(s->test, atomic_read(&s->fake->mapped), 0);
	dma_resv_unlock(dmabuf->resv);
}

static void splice_expect_untouched(struct splice_test *s)
{
	KUNIT_EXPECT_EQ(s->test, s->nr, 0);
	KUNIT_EXPECT_EQ(s->test, s->copies, 0);
}

static const struct splice_ask_param {
	const char *desc;
	enum dio_reason refuse;
	const char *reason;
	unsigned int asked;	/* for three copies */
	int no_copy;
} splice_ask_params[] = {
	{ "buffered", DIO_BUFFERED, "buffered", 1, -EOPNOTSUPP },
	{ "file", DIO_FILE, "file", 1, -EOPNOTSUPP },
	{ "disk", DIO_DISK, "disk", 1, -EOPNOTSUPP },
	{ "mapping", DIO_MAPPING, "mapping", 1, -EOPNOTSUPP },
	/* The next part may have none, or be aligned */
	{ "hole", DIO_HOLE, "hole", 3, -EOPNOTSUPP },
	{ "alignment", DIO_ALIGNMENT, "alignment", 3, -EINVAL },
};

KUNIT_ARRAY_PARAM_DESC(splice_ask, splice_ask_params, desc);

/* A file that refuses is not touched, but to copy. */
static void splice_ask(struct kunit *test)
{
	const struct splice_ask_param *p = test->param_value;
	struct splice_test *s = splice_test_memory(test);
	int rw;

	s->refuse = p->refuse;
	splice_fill(s, 0, 0);
	for (rw = READ; rw <= WRITE; rw++) {
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_4K,
						SPLICE_F_NOCOPY), p->no_copy);
		KUNIT_EXPECT_EQ(test, s->asked, 1);
		splice_expect_untouched(s);

		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, 3 * COPY, 0),
				3 * COPY);
		KUNIT_EXPECT_STREQ(test, s->did, "CCC");
		KUNIT_EXPECT_EQ(test, s->asked, p->asked);
		KUNIT_EXPECT_EQ(test, splice_direct_bytes(s, rw), 0);
		KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, rw), 3 * COPY);
	}
	splice_expect_reason(s, p->reason);
	/* Nobody has named a device */
	dma_buf_fake_expect(s->fake, 0, 0);
}

static void splice_ask_smaller(struct splice_test *s)
{
	/* Once for the map that is missing, and once for each of both chunks */
	if (s->asked == 3)
		s->align = SZ_512;
}

static void splice_ask_refuse(struct splice_test *s)
{
	if (s->asked == 3)
		s->refuse = DIO_DISK;
}

/* The next part may be on another disk. */
static void splice_ask_anew(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);

	s->align = SZ_4K;
	s->ask_hook = splice_ask_smaller;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, CHUNK + SZ_512,
					SPLICE_F_NOCOPY), CHUNK + SZ_512);
	KUNIT_EXPECT_STREQ(test, s->did, "DD");
	dma_buf_fake_expect(s->fake, 1, 1);

	splice_invalidate(s);
	s->ask_hook = splice_ask_refuse;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, SPLICE_F_NOCOPY),
			CHUNK);
	KUNIT_EXPECT_STREQ(test, s->did, "D");
}

static const struct splice_map_error_param {
	const char *desc;
	int error;
	unsigned int flags;
	int result;		/* 0 if it is copied */
	unsigned int asked;	/* 0 for 2 */
	bool attach;
} splice_map_error_params[] = {
	{ "ENXIO", -ENXIO },
	{ "EINVAL", -EINVAL },
	{ "EBUSY", -EBUSY },
	{ "ENOMEM", -ENOMEM },
	{ "ENODEV", -ENODEV },
	{ "EOPNOTSUPP", -EOPNOTSUPP },
	{ "EUNMAPPED", -EUNMAPPED },
	{ "EAGAIN", -EAGAIN },
	{ "EAGAIN, do not wait", -EAGAIN, SPLICE_F_NONBLOCK, -EAGAIN, 1 },
	{ "ENXIO, do not wait", -ENXIO, SPLICE_F_NONBLOCK },
	/* That is not just out of reach */
	{ "ENODEV, no copy", -ENODEV, SPLICE_F_NOCOPY, -ENODEV },
	{ "ENXIO, no copy", -ENXIO, SPLICE_F_NOCOPY, -EOPNOTSUPP },
	{ "EINVAL, no copy", -EINVAL, SPLICE_F_NOCOPY, -EOPNOTSUPP },
	{ "EINTR", -EINTR, 0, -EINTR, 1 },
	{ "ERESTARTSYS", -ERESTARTSYS, 0, -ERESTARTSYS, 1 },
	{ "attach: ENXIO", -ENXIO, .attach = true },
	{ "attach: EINVAL", -EINVAL, .attach = true },
	{ "attach: EBUSY", -EBUSY, .attach = true },
	{ "attach: EINVAL, no copy", -EINVAL, SPLICE_F_NOCOPY, -EOPNOTSUPP,
	  .attach = true },
	{ "attach: EINTR", -EINTR, 0, -EINTR, 1, true },
	{ "attach: ERESTARTSYS", -ERESTARTSYS, 0, -ERESTARTSYS, 1, true },
};

KUNIT_ARRAY_PARAM_DESC(splice_map_error, splice_map_error_params, desc);

/* An exporter may have anything against DMA, and nothing against copies. */
static void splice_map_error(struct kunit *test)
{
	const struct splice_map_error_param *p = test->param_value;
	struct splice_test *s = splice_test_memory(test);
	int rw;

	for (rw = READ; rw <= WRITE; rw++) {
		splice_fill(s, 0, 0);
		if (p->attach && rw == READ)
			s->fake->attach_error = p->error;
		else
			s->fake->map_error = p->error;
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, 2 * COPY, p->flags),
				p->result ?: 2 * COPY);
		KUNIT_EXPECT_STREQ(test, s->did, p->result ? "" : "CC");
		/* It was tried once */
		KUNIT_EXPECT_EQ(test, s->asked, p->asked ?: 2);
		if (!p->result)
			splice_expect_reason(s, "mapping");

		/* Later is another matter */
		s->fake->attach_error = 0;
		s->fake->map_error = 0;
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_4K,
						SPLICE_F_NOCOPY), SZ_4K);
		splice_invalidate(s);
	}
	dma_buf_fake_expect(s->fake, 0, 2);
}

static void splice_fail_map(struct splice_test *s)
{
	s->fake->map_error = -ENXIO;
}

static void splice_revoke_and_fail_map(struct splice_test *s)
{
	splice_invalidate(s);
	splice_fail_map(s);
}

static void splice_gone(struct splice_test *s)
{
	splice_disk_end(&s->disk[0]);
}

static void splice_buffered(struct splice_test *s)
{
	splice_set_flags(s->file, 0);
}

static void splice_append(struct splice_test *s)
{
	splice_set_flags(s->file, (s->file->f_flags & O_DIRECT) | O_APPEND);
}

static void splice_refuse_disk(struct splice_test *s)
{
	s->refuse = DIO_DISK;
}

static void splice_signal(struct splice_test *s)
{
	send_sig(SIGUSR1, current, 1);
}

static void splice_kill(struct splice_test *s)
{
	send_sig(SIGKILL, current, 1);
}

static void splice_notify(struct splice_test *s)
{
	set_tsk_thread_flag(current, TIF_NOTIFY_SIGNAL);
}

/* As if a worker of io_uring did it.  The scheduler is not to believe that. */
static void splice_cancel(struct splice_test *s)
{
	splice_notify(s);
	if (current->flags & PF_IO_WORKER)
		return;
	s->worker_private = current->worker_private;
	current->worker_private = NULL;
	current->flags |= PF_IO_WORKER;
}

static void splice_allow_signals(void)
{
	allow_signal(SIGUSR1);
	allow_signal(SIGKILL);
}

static void splice_flush_signals(struct splice_test *s)
{
	if (current->flags & PF_IO_WORKER) {
		current->flags &= ~PF_IO_WORKER;
		current->worker_private = s->worker_private;
	}
	clear_notify_signal();
	flush_signals(current);
	disallow_signal(SIGUSR1);
	disallow_signal(SIGKILL);
}

static void splice_revoke(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);

	/* The others need a new map */
	s->hook = splice_invalidate;
	s->hook_late = true;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M + SZ_16M, 0),
			SZ_64M + SZ_16M);
	KUNIT_EXPECT_STREQ(test, s->did, "DDD");
	KUNIT_EXPECT_EQ(test, s->io[0].nth_map, 1);
	KUNIT_EXPECT_EQ(test, s->io[1].nth_map, 2);
	KUNIT_EXPECT_EQ(test, s->io[2].nth_map, 2);
	dma_buf_fake_expect(s->fake, 1, 2);

	/* There is no use for a new map after the last */
	s->hook_at = 2;
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_64M + SZ_16M, 0),
			SZ_64M + SZ_16M);
	dma_buf_fake_expect(s->fake, 0, 2);
	/* It is the attachment that stays */
	KUNIT_EXPECT_EQ(test, atomic_read(&s->fake->attaches), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&s->fake->attached), 1);
}

/* It was mapped when the file was asked, and is not when a disk looks. */
static void splice_revoke_in_chunk(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);
	int rw;

	s->hook = splice_invalidate;
	s->hook_at = 1;
	for (rw = READ; rw <= WRITE; rw++) {
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, SZ_4K, 0, SZ_64M, 0),
				SZ_64M);
		KUNIT_EXPECT_STREQ(test, s->did, "D-DD");
		splice_expect_io(s, 1, CHUNK, SZ_4K + CHUNK, CHUNK);
		/* In case that it happens again, less is tried */
		splice_expect_io(s, 2, CHUNK, SZ_4K + CHUNK, CHUNK / 4);
		splice_expect_io(s, 3, CHUNK + CHUNK / 4,
				 SZ_4K + CHUNK + CHUNK / 4, CHUNK - CHUNK / 4);
		KUNIT_EXPECT_EQ(test, s->io[1].nth_map, 1 + rw);
		KUNIT_EXPECT_EQ(test, s->io[2].nth_map, 2 + rw);
		dma_buf_fake_expect(s->fake, 1, 2 + rw);
		KUNIT_EXPECT_EQ(test, splice_direct_bytes(s, rw), SZ_64M);
	}
}

/* A part of it was done before. */
static void splice_revoke_short(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);

	s->hook = splice_invalidate;
	s->hook_late = true;
	s->ret[0] = SZ_4K;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, 0), SZ_64M);
	KUNIT_EXPECT_STREQ(test, s->did, "DDD");
	splice_expect_io(s, 1, SZ_4K, SZ_4K, CHUNK);
	splice_expect_io(s, 2, SZ_4K + CHUNK, SZ_4K + CHUNK, CHUNK - SZ_4K);
}

/* Nothing is tried for ever. */
static void splice_revoke_always(struct kunit *test)
{
	struct splice_test *s = splice_test_memory(test);

	/* Between the maps and the use of them */
	s->hook = splice_invalidate;
	s->hook_at = EVERY;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, 0), SZ_4K);
	KUNIT_EXPECT_STREQ(test, s->did, "----------------C");
	splice_expect_reason(s, "mapping");
	dma_buf_fake_expect(s->fake, 0, TRIES);

	/* Between one map and the other */
	s->hook = NULL;
	s->ask_hook = splice_invalidate;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, SPLICE_F_NOCOPY),
			-EOPNOTSUPP);
	splice_expect_untouched(s);
	KUNIT_EXPECT_EQ(test, s->asked, ASK_TRIES + 1);
	dma_buf_fake_expect(s->fake, 0, TRIES + ASK_TRIES);
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, 0), SZ_4K);
	KUNIT_EXPECT_STREQ(test, s->did, "C");
}

static const struct splice_unmapped_param {
	const char *desc;
	unsigned int unmapped;
	const char *did;	/* for 128 KiB */
	ssize_t result;
	unsigned int align;
} splice_unmapped_params[] = {
	{ "once", 1, "-D", SZ_128K },
	{ "four times", 4, "----D", SZ_128K },
	{ "five times", 5, "-----D-----D", SZ_128K },
	{ "almost always", TRIES - 1, "---------------D---------------D", SZ_128K },
	{ "always", TRIES, "----------------", -EOPNOTSUPP },
	{ "large blocks", 5, "-----D", SZ_128K, SZ_128K },
	{ "large blocks, always", TRIES, "----------------", -EOPNOTSUPP, SZ_128K },
};

KUNIT_ARRAY_PARAM_DESC(splice_unmapped, splice_unmapped_params, desc);

/*
 * A disk may see it later than we do.  Each part is a new attempt, and one that
 * is smaller than what could be written has not met a limit.
 */
static void splice_unmapped(struct kunit *test)
{
	const struct splice_unmapped_param *p = test->param_value;
	struct splice_test *s = splice_test_default(test);
	int rw;

	s->unmapped = p->unmapped;
	s->align = p->align ?: SZ_4K;
	for (rw = READ; rw <= WRITE; rw++) {
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_128K,
						SPLICE_F_NOCOPY), p->result);
		KUNIT_EXPECT_STREQ(test, s->did, p->did);
		KUNIT_EXPECT_GE(test, s->asked, s->nr);
	}
	dma_buf_fake_expect(s->fake, 1, 1);
}

/* What is too large to get through between two moves is not tried for ever. */
static void splice_unmapped_less(struct kunit *test)
{
	static const size_t len[] = {
		SZ_32M, SZ_8M, SZ_2M, SZ_512K, SZ_128K, SZ_64K, SZ_64K, SZ_64K,
	};
	struct splice_test *s = splice_test_default(test);
	unsigned int i;

	s->unmapped = ARRAY_SIZE(len) - 1;
	s->ret_last = -EILSEQ;
	KUNIT_EXPECT_EQ(test, splice_to(s, SZ_4K, SZ_8K, SZ_64M, 0), SZ_64K);
	KUNIT_EXPECT_STREQ(test, s->did, "-------D--------");
	for (i = 0; i < ARRAY_SIZE(len); i++)
		splice_expect_io(s, i, SZ_8K, SZ_4K, len[i]);
}

static void splice_unmapped_always(struct kunit *test)
{
	struct splice_test *s = splice_test_memory(test);
	int rw;

	/* All that follows is copied, and not tried again */
	s->unmapped = TRIES;
	splice_fill(s, 0, 0);
	for (rw = READ; rw <= WRITE; rw++) {
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, 2 * COPY, 0),
				2 * COPY);
		KUNIT_EXPECT_STREQ(test, s->did, "----------------CC");
		KUNIT_EXPECT_EQ(test, splice_direct_bytes(s, rw), 0);
		KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, rw), 2 * COPY);
	}
	splice_expect_reason(s, "mapping");

	/* Who is killed does not want to know */
	splice_allow_signals();
	s->hook = splice_kill;
	s->hook_at = 2;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, 0), -EINTR);
	KUNIT_EXPECT_STREQ(test, s->did, "---");
	splice_flush_signals(s);
}

static const struct splice_device_error_param {
	const char *desc;
	int error;
} splice_device_error_params[] = {
	{ "NOTSUPP", -EOPNOTSUPP },
	{ "INVAL", -EINVAL },
	{ "TARGET", -EREMOTEIO },
	{ "IOERR", -EIO },
	{ "MEDIUM", -ENODATA },
	{ "PROTECTION", -EILSEQ },
	{ "NOSPC", -ENOSPC },
	{ "TIMEOUT", -ETIMEDOUT },
	{ "TRANSPORT", -ENOLINK },
	{ "RESV_CONFLICT", -EBADE },
	{ "RESOURCE", -ENOMEM },
	{ "DEV_RESOURCE", -EBUSY },
	{ "AGAIN", -EAGAIN },
	{ "OFFLINE", -ENODEV },
	{ "DURATION_LIMIT", -ETIME },
	{ "file system", -EUCLEAN },
	{ "user", -EFAULT },
	{ "interrupted", -EINTR },
};

KUNIT_ARRAY_PARAM_DESC(splice_device_error, splice_device_error_params, desc);

/*
 * What a disk or a file system says is returned, also if it is what we say where
 * something cannot go direct: to copy it may succeed, and hide the error.
 */
static void splice_device_error(struct kunit *test)
{
	const struct splice_device_error_param *p = test->param_value;
	struct splice_test *s = splice_test_memory(test);
	struct splice_test *large = splice_test_default(test);
	int rw;

	s->ret[0] = p->error;
	large->ret[1] = p->error;
	for (rw = READ; rw <= WRITE; rw++) {
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_1M, 0),
				p->error);
		KUNIT_EXPECT_STREQ(test, s->did, "-");
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_1M,
						SPLICE_F_NOCOPY), p->error);
		KUNIT_EXPECT_STREQ(test, s->did, "-");
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_1M,
						SPLICE_F_NONBLOCK), p->error);
		KUNIT_EXPECT_STREQ(test, s->did, "-");
		KUNIT_EXPECT_EQ(test, splice_direct_bytes(s, rw), 0);
		KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, rw), 0);

		/* What was moved before it is there */
		KUNIT_EXPECT_EQ(test, splice_rw(large, rw, 0, 0, SZ_64M, 0),
				CHUNK);
		KUNIT_EXPECT_STREQ(test, large->did, "D-");
		KUNIT_EXPECT_EQ(test, splice_direct_bytes(large, rw), CHUNK);
	}
	splice_expect_reason(s, "none");
	splice_expect_reason(large, "none");
}

static const struct splice_disks_param {
	const char *desc;
	unsigned int nr;
} splice_disks_params[] = {
	{ "1", 1 },
	{ "2", 2 },
	{ "as many as are mapped at a time", ASK_DISKS },
	{ "one more", ASK_DISKS + 1 },
	{ "two times and one", 2 * ASK_DISKS + 1 },
};

KUNIT_ARRAY_PARAM_DESC(splice_disks, splice_disks_params, desc);

static struct splice_test *splice_test_disks(struct kunit *test,
					     unsigned int nr)
{
	struct splice_test *s;

	s = splice_test_init(test, &dma_buf_fake_sgt_ops, splice_memory_seg,
			     ARRAY_SIZE(splice_memory_seg), nr);
	splice_add_memory(s);
	return s;
}

/* A file on several, each of which may be where the next block is. */
static void splice_disks(struct kunit *test)
{
	const struct splice_disks_param *p = test->param_value;
	struct splice_test *s = splice_test_disks(test, p->nr);

	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, SPLICE_F_NOCOPY),
			SZ_4K);
	KUNIT_EXPECT_STREQ(test, s->did, "D");
	KUNIT_EXPECT_EQ(test, s->asked, DIV_ROUND_UP(p->nr, ASK_DISKS) + 1);
	dma_buf_fake_expect(s->fake, p->nr, p->nr);

	/* All of them are there */
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_4K, SPLICE_F_NOCOPY),
			SZ_4K);
	KUNIT_EXPECT_EQ(test, s->asked, 1);
	dma_buf_fake_expect(s->fake, p->nr, p->nr);
}

static const struct splice_cannot_param {
	const char *desc;
	unsigned int nr, cannot;	/* disks, and the one that cannot */
	int error;
	unsigned int asked, maps;
	int result;		/* 0 if it is copied */
} splice_cannot_params[] = {
	{ "first", 2, 0, -EREMOTEIO, 2, 1 },
	{ "last", 2, 1, -EREMOTEIO, 2, 1 },
	{ "one of many", 17, 3, -EREMOTEIO, 2, 7 },
	{ "one of those that come later", 17, 12, -EREMOTEIO, 3, 15 },
	{ "last of many", 17, 16, -EREMOTEIO, 4, 16 },
	{ "interrupted at the first", 3, 0, -EINTR, 1, 0, -EINTR },
	{ "interrupted at one of many", 17, 3, -ERESTARTSYS, 1, 3, -ERESTARTSYS },
	{ "interrupted later", 17, 12, -EINTR, 2, 12, -EINTR },
};

KUNIT_ARRAY_PARAM_DESC(splice_cannot, splice_cannot_params, desc);

/* One that cannot be mapped for is enough, and nobody asks it twice. */
static void splice_cannot(struct kunit *test)
{
	const struct splice_cannot_param *p = test->param_value;
	struct splice_test *s = splice_test_disks(test, p->nr);

	s->cannot = s->disk[p->cannot].dev;
	s->cannot_error = p->error;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, SPLICE_F_NOCOPY),
			p->result ?: -EOPNOTSUPP);
	splice_expect_untouched(s);
	KUNIT_EXPECT_EQ(test, s->asked, p->asked);
	KUNIT_EXPECT_EQ(test, s->cannot_maps, 1);
	dma_buf_fake_expect(s->fake, p->maps, p->maps);
	if (p->result)
		return;

	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, 2 * COPY, 0), 2 * COPY);
	KUNIT_EXPECT_STREQ(test, s->did, "CC");
	splice_expect_reason(s, "mapping");
	KUNIT_EXPECT_EQ(test, s->cannot_maps, 2);
}

static void splice_revoke_once(struct splice_test *s)
{
	s->ask_hook = NULL;
	splice_invalidate(s);
}

/* That another map was revoked meanwhile does not change it. */
static void splice_cannot_and_revoked(struct kunit *test)
{
	struct splice_test *s = splice_test_disks(test, 2);

	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, SPLICE_F_NOCOPY),
			SZ_4K);
	s->cannot = s->disk[1].dev;
	s->cannot_error = -ENXIO;
	s->ask_hook = splice_revoke_once;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, SPLICE_F_NOCOPY),
			-EOPNOTSUPP);
	splice_expect_untouched(s);
	KUNIT_EXPECT_EQ(test, s->cannot_maps, 1);
}

/* The file has noticed that a path to its disk was removed. */
static void splice_path_removed(struct splice_test *s)
{
	if (s->asked == 2)
		s->nr_disks = 1;
}

static void splice_path_gone(struct kunit *test)
{
	struct splice_test *s = splice_test_disks(test, 2);

	splice_disk_end(&s->disk[1]);
	s->ask_hook = splice_path_removed;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, SPLICE_F_NOCOPY),
			SZ_4K);
	KUNIT_EXPECT_STREQ(test, s->did, "D");
	dma_buf_fake_expect(s->fake, 1, 1);

	/* Not yet */
	s->ask_hook = NULL;
	s->nr_disks = 2;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, 0), SZ_4K);
	KUNIT_EXPECT_STREQ(test, s->did, "C");
	splice_expect_reason(s, "mapping");
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, SPLICE_F_NOCOPY),
			-ENODEV);

	/* What it was mapped for before ends with the disk */
	splice_disk_end(&s->disk[0]);
	dma_buf_fake_expect(s->fake, 0, 1);
}

static const struct splice_align_param {
	const char *desc;
	unsigned int align, mem_align, align_mask;
	loff_t pos, mem_pos;
	size_t len;
	const char *did;
	size_t direct;
	struct dma_buf_segment seg[2];
} splice_align_params[] = {
	{ "nothing", 1, 1, 0, 1, 3, 5, "D", 5 },
	{ "offset", SZ_4K, 1, 0, SZ_512, 0, SZ_4K, "CC", 0 },
	{ "offset, partly", SZ_4K, 1, 0, SZ_512, 0, SZ_8K, "CDC", SZ_4K },
	{ "length", SZ_4K, 1, 0, 0, 0, SZ_4K + SZ_512, "DC", SZ_4K },
	{ "length of less", SZ_4K, 1, 0, 0, 0, SZ_512, "C", 0 },
	{ "smaller blocks", SZ_512, 1, 0, SZ_512, 0, SZ_4K, "D", SZ_4K },
	{ "memory", SZ_512, SZ_512, 0, 0, 256, SZ_4K, "C", 0 },
	{ "memory is", SZ_512, SZ_512, 0, 0, SZ_512, SZ_4K, "D", SZ_4K },
	{ "memory is, to less", SZ_4K, 4, 0, SZ_4K, 12, SZ_4K, "D", SZ_4K },
	{ "memory as the offset", SZ_512, SZ_512, 0, 100, 100, 2048, "CDC", 1536 },
	{ "memory not as the offset", SZ_512, SZ_512, 0, 100, 104, 2048, "CC", 0 },
	{ "memory, in all parts", SZ_512, SZ_512, 0, 0, 256, SZ_2M, "CC", 0 },
	{ "address", 1, 1, 1023, 0, 0, SZ_4K, "C", 0, { { 0x10000200, SZ_8M } } },
	{ "address is", 1, 1, 511, 0, 0, SZ_4K, "D", SZ_4K, { { 0x10000200, SZ_8M } } },
	{ "second address", 1, 1, 1023, 0, 0, SZ_4K, "C", 0,
	  { { 0x10000000, SZ_4M }, { 0x20000200, SZ_4M } } },
	{ "length of a segment", 1, 1, 1023, 0, 0, SZ_4K, "C", 0,
	  { { 0x10000000, SZ_4M + 512 }, { 0x20000000, SZ_4M - 512 } } },
	{ "length of the last", 1, 1, 1023, 0, 0, SZ_4K, "D", SZ_4K,
	  { { 0x10000000, SZ_4M }, { 0x20000000, SZ_4M - 512 } } },
};

KUNIT_ARRAY_PARAM_DESC(splice_align, splice_align_params, desc);

/* Of what the file, the memory and the device want, each counts. */
static void splice_align(struct kunit *test)
{
	const struct splice_align_param *p = test->param_value;
	struct splice_test *s;
	int rw;

	s = splice_test_init(test, &dma_buf_fake_sgt_ops,
			     p->seg[0].len ? p->seg : splice_memory_seg,
			     p->seg[1].len ? 2 : 1, 1);
	splice_add_memory(s);
	s->align = p->align;
	s->mem_align = p->mem_align;
	s->align_mask = p->align_mask;
	splice_fill(s, p->mem_pos, p->pos);
	for (rw = WRITE; rw >= READ; rw--) {
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, p->mem_pos, p->pos,
						p->len, 0), p->len);
		KUNIT_EXPECT_STREQ(test, s->did, p->did);
		KUNIT_EXPECT_EQ(test, splice_direct_bytes(s, rw), p->direct);
		KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, rw),
				p->len - p->direct);

		/* It would go direct if it were aligned */
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, p->mem_pos, p->pos,
						p->len, SPLICE_F_NOCOPY),
				*p->did == 'D' ? round_down(p->len, p->align) :
						 -EINVAL);
	}
	splice_expect_reason(s, p->direct < p->len ? "alignment" : "none");
}

static const struct splice_stop_param {
	const char *desc;
	void (*hook)(struct splice_test *s);
	const char *did;
	bool early;		/* before the first piece is done */
	int error;
	int rw;
} splice_stop_params[] = {
	{ "buffer revoked for good", splice_revoke_and_fail_map, "D" },
	{ "buffer revoked for good, early", splice_revoke_and_fail_map, "-", true,
	  -EOPNOTSUPP },
	{ "disk gone", splice_gone, "D" },
	{ "disk gone early", splice_gone, "-", true, -ENODEV },
	{ "disk refuses", splice_refuse_disk, "D" },
	{ "not direct any more", splice_buffered, "D" },
	{ "appends, read", splice_append, "DDD" },
	{ "appends, write", splice_append, "D", .rw = WRITE },
	{ "signal", splice_signal, "DDD" },
	{ "signal, write", splice_signal, "DDD", .rw = WRITE },
	{ "signal early", splice_signal, "DDD", true },
	{ "work for the task", splice_notify, "DDD" },
	{ "kill", splice_kill, "D" },
	{ "kill early", splice_kill, "D", true },
	{ "io_uring cancels", splice_cancel, "D" },
};

KUNIT_ARRAY_PARAM_DESC(splice_stop, splice_stop_params, desc);

/* What comes between two chunks leaves the bytes of the first. */
static void splice_stop(struct kunit *test)
{
	const struct splice_stop_param *p = test->param_value;
	struct splice_test *s = splice_test_default(test);
	ssize_t result = SZ_64M + SZ_16M;

	if (p->error)
		result = p->error;
	else if (strlen(p->did) == 1)
		result = CHUNK;
	splice_allow_signals();
	s->hook = p->hook;
	s->hook_late = !p->early;
	KUNIT_EXPECT_EQ(test, splice_rw(s, p->rw, 0, 0, SZ_64M + SZ_16M,
					SPLICE_F_NOCOPY), result);
	splice_flush_signals(s);
	KUNIT_EXPECT_STREQ(test, s->did, p->did);
	KUNIT_EXPECT_EQ(test, splice_direct_bytes(s, p->rw),
			max_t(ssize_t, result, 0));
	KUNIT_EXPECT_EQ(test, atomic_read(&s->fake->maps), 1);
}

static const struct splice_stop_copy_param {
	const char *desc;
	void (*hook)(struct splice_test *s);
	bool stop[2];		/* what is read, and what is written */
} splice_stop_copy_params[] = {
	{ "appends", splice_append, { false, true } },
	{ "signal", splice_signal },
	{ "work for the task", splice_notify },
	{ "kill", splice_kill, { true, true } },
	{ "io_uring cancels", splice_cancel, { true, true } },
};

KUNIT_ARRAY_PARAM_DESC(splice_stop_copy, splice_stop_copy_params, desc);

static void splice_stop_copy(struct kunit *test)
{
	const struct splice_stop_copy_param *p = test->param_value;
	struct splice_test *s = splice_test_memory(test);
	int rw;

	splice_fill(s, 0, 0);
	s->copy_hook = p->hook;
	for (rw = WRITE; rw >= READ; rw--) {
		splice_set_flags(s->file, 0);
		splice_allow_signals();
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, 3 * COPY, 0),
				p->stop[rw] ? COPY : 3 * COPY);
		splice_flush_signals(s);
		KUNIT_EXPECT_STREQ(test, s->did, p->stop[rw] ? "C" : "CCC");
	}
}

static const struct splice_refuse_param {
	const char *desc;
	umode_t mode;
	unsigned int flags, inode_flags;
	loff_t mem_pos;
	ssize_t result;
	bool no_target;
} splice_refuse_params[] = {
	{ "file", S_IFREG, O_DIRECT, 0, SZ_4K, SZ_8K },
	{ "block device", S_IFBLK, O_DIRECT, 0, 0, SZ_8K },
	{ "file system", S_IFREG, O_DIRECT, 0, 0, -EOPNOTSUPP, true },
	{ "other block device", S_IFBLK, O_DIRECT, 0, 0, -EOPNOTSUPP, true },
	{ "character device", S_IFCHR, O_DIRECT, 0, 0, -EOPNOTSUPP, true },
	{ "pipe", S_IFIFO, O_DIRECT, 0, 0, -EOPNOTSUPP, true },
	{ "socket", S_IFSOCK, 0, 0, 0, -EOPNOTSUPP, true },
	{ "no type", 0, O_DIRECT, 0, 0, -EOPNOTSUPP, true },
	{ "buffered", S_IFREG, 0, 0, 0, -EOPNOTSUPP },
	{ "buffered block device", S_IFBLK, 0, 0, 0, -EOPNOTSUPP },
	{ "DAX", S_IFREG, O_DIRECT, S_DAX, 0, S_DAX ? -EOPNOTSUPP : SZ_8K },
	{ "encrypted", S_IFREG, O_DIRECT, S_ENCRYPTED, 0, -EOPNOTSUPP },
	{ "last byte", S_IFREG, O_DIRECT, 0, SZ_64M + SZ_16M - 1, 1 },
	{ "end of buffer", S_IFREG, O_DIRECT, 0, SZ_64M + SZ_16M, -ENOSPC },
	{ "after end of buffer", S_IFREG, O_DIRECT, 0, LLONG_MAX - SZ_8K, -ENOSPC },
};

KUNIT_ARRAY_PARAM_DESC(splice_refuse, splice_refuse_params, desc);

static void splice_refuse(struct kunit *test)
{
	const struct splice_refuse_param *p = test->param_value;
	struct splice_test *s = splice_test_default(test);
	unsigned int nr = p->result > 0;

	splice_set_mode(s, p->mode);
	file_inode(s->file)->i_flags |= p->inode_flags;
	splice_set_flags(s->file, p->flags);
	if (p->no_target)
		s->file->f_op = &splice_other_fops;

	KUNIT_EXPECT_EQ(test, splice_to(s, p->mem_pos, 0, SZ_8K,
					SPLICE_F_NOCOPY), p->result);
	KUNIT_EXPECT_STREQ(test, s->did, nr ? "D" : "");
	KUNIT_EXPECT_EQ(test, s->asked, 2 * nr);
	KUNIT_EXPECT_EQ(test, splice_direct_bytes(s, READ),
			max_t(ssize_t, p->result, 0));
	dma_buf_fake_expect(s->fake, nr, nr);
}

static const struct file_operations splice_no_read_fops = {
	.splice_read	= copy_splice_read,
	.write_iter	= splice_iter,
	.splice_write	= iter_file_splice_write,
};

static const struct file_operations splice_no_splice_read_fops = {
	.read_iter	= splice_iter,
	.write_iter	= splice_iter,
	.splice_write	= iter_file_splice_write,
};

static const struct file_operations splice_no_write_fops = {
	.read_iter	= splice_iter,
	.splice_read	= copy_splice_read,
	.splice_write	= iter_file_splice_write,
};

static const struct file_operations splice_no_splice_write_fops = {
	.read_iter	= splice_iter,
	.splice_read	= copy_splice_read,
	.write_iter	= splice_iter,
};

static const struct splice_no_splice_param {
	const char *desc;
	const struct file_operations *fops;
	int rw;
} splice_no_splice_params[] = {
	{ "read_iter", &splice_no_read_fops, READ },
	{ "splice_read", &splice_no_splice_read_fops, READ },
	{ "write_iter", &splice_no_write_fops, WRITE },
	{ "splice_write", &splice_no_splice_write_fops, WRITE },
};

KUNIT_ARRAY_PARAM_DESC(splice_no_splice, splice_no_splice_params, desc);

/* Files have to say that kernel memory is all right with them. */
static void splice_no_splice(struct kunit *test)
{
	const struct splice_no_splice_param *p = test->param_value;
	struct splice_test *s = splice_test_memory(test);

	s->file->f_op = p->fops;
	splice_fill(s, 0, 0);
	KUNIT_EXPECT_EQ(test, splice_rw(s, p->rw, 0, 0, SZ_4K, 0), -EINVAL);
	splice_expect_untouched(s);
	KUNIT_EXPECT_EQ(test, splice_rw(s, !p->rw, 0, 0, SZ_4K, 0), SZ_4K);
}

/*
 * A file of MIX_SIZE bytes, of which direct I/O may move what is aligned to
 * MIX_ALIGN and not in the hole.  What it says to have put into the buffer
 * directly is not there, and all other bytes are their offset.
 */
#define MIX_ALIGN	SZ_4K
#define MIX_HOLE	SZ_64K
#define MIX_HOLE_END	(SZ_64K + SZ_8K)
#define MIX_SIZE	(SZ_4M + SZ_4K + 123)

static const struct splice_mix_param {
	const char *desc;
	loff_t pos;
	size_t len;
	ssize_t result;
	const char *did;
	size_t direct;		/* bytes */
	const char *reason;
	int rw;
	enum dio_reason refuse;
	bool buffered;
	unsigned int flags;
	ssize_t ret;		/* of the second piece of direct I/O */
	int begin_error, end_error;
	bool iomem;
} splice_mix_params[] = {
	{ "aligned", SZ_4K, SZ_8K, SZ_8K, "D", SZ_8K, "none" },
	{ "head", SZ_4K - 1, SZ_4K + 1, SZ_4K + 1, "CD", SZ_4K, "alignment" },
	{ "tail", SZ_4K, SZ_4K + 1, SZ_4K + 1, "DC", SZ_4K, "alignment" },
	{ "head and tail", 1, SZ_8K + 1, SZ_8K + 1, "CDC", SZ_4K, "alignment" },
	{ "less than a block", 1, SZ_4K - 2, SZ_4K - 2, "C", 0, "alignment" },
	{ "across, with no whole block", SZ_4K - 1, 2, 2, "CC", 0, "alignment" },
	{ "to the hole", SZ_32K, SZ_32K, SZ_32K, "D", SZ_32K, "none" },
	{ "into the hole", SZ_32K, SZ_32K + SZ_4K, SZ_32K + SZ_4K, "D-C", SZ_32K,
	  "hole" },
	{ "over the hole", SZ_32K, SZ_2M, SZ_2M, "D-CD", SZ_1M, "hole" },
	{ "end of file", SZ_4M, SZ_8K, SZ_4K + 123, "D", SZ_4K + 123, "none" },
	{ "just what the file has", SZ_4M, SZ_4K + 123, SZ_4K + 123, "DC", SZ_4K,
	  "alignment" },
	{ "after the end", SZ_4M + SZ_8K, SZ_4K, 0, "", 0, "none" },
	{ "file refuses", SZ_4K, SZ_2M, SZ_2M, "CC", 0, "file", READ, DIO_FILE },
	{ "disk refuses", 1, SZ_2M, SZ_2M, "CC", 0, "disk", READ, DIO_DISK },
	{ "buffered", 1, SZ_2M, SZ_2M, "CC", 0, "buffered", .buffered = true },
	{ "hole, then an error", SZ_64K, SZ_4M - SZ_64K, SZ_1M, "-C-", 0, "hole",
	  .ret = -EINVAL },
	{ "beginning of access fails", 1, SZ_4K - 1, -EREMOTEIO, "C", 0, "none",
	  .begin_error = -EREMOTEIO },
	{ "end of access fails", 1, SZ_4K - 1, -EREMOTEIO, "C", 0, "none",
	  .end_error = -EREMOTEIO },
	{ "memory of a device", 1, SZ_4K - 2, SZ_4K - 2, "C", 0, "alignment",
	  .iomem = true },
	{ "no copy", 0, SZ_4K + 1, SZ_4K, "D", SZ_4K, "none",
	  .flags = SPLICE_F_NOCOPY },
	{ "no copy, head", 1, SZ_8K, -EINVAL, "", 0, "none",
	  .flags = SPLICE_F_NOCOPY },
	{ "no copy, hole", SZ_64K, SZ_4K, -EOPNOTSUPP, "-", 0, "none",
	  .flags = SPLICE_F_NOCOPY },
	{ "no copy, end of file", SZ_4M, SZ_8K, SZ_4K + 123, "D", SZ_4K + 123,
	  "none", .flags = SPLICE_F_NOCOPY },
	{ "no copy, after the end", SZ_4M + SZ_8K, SZ_4K, 0, "", 0, "none",
	  .flags = SPLICE_F_NOCOPY },
	{ "write: aligned", SZ_4K, SZ_8K, SZ_8K, "D", SZ_8K, "none", WRITE },
	{ "write: head", SZ_4K - 1, SZ_4K + 1, SZ_4K + 1, "CD", SZ_4K,
	  "alignment", WRITE },
	{ "write: tail", SZ_4K, SZ_4K + 1, SZ_4K + 1, "DC", SZ_4K, "alignment",
	  WRITE },
	{ "write: head and tail", 1, SZ_8K + 1, SZ_8K + 1, "CDC", SZ_4K,
	  "alignment", WRITE },
	{ "write: to the hole", SZ_32K, SZ_32K, SZ_32K, "D", SZ_32K, "none",
	  WRITE },
	{ "write: over the hole", SZ_32K, SZ_2M, SZ_2M, "-CD", SZ_1M, "hole",
	  WRITE },
	{ "write: over the end of file", SZ_4M, SZ_1M, SZ_1M, "D", SZ_1M, "none",
	  WRITE },
	{ "write: file refuses", SZ_4K, SZ_2M, SZ_2M, "CC", 0, "file", WRITE,
	  DIO_FILE },
	{ "write: buffered", 1, SZ_2M, SZ_2M, "CC", 0, "buffered", WRITE,
	  .buffered = true },
	{ "write: hole, then an error", SZ_64K, SZ_4M - SZ_64K, SZ_1M, "-C-", 0,
	  "hole", WRITE, .ret = -EINVAL },
	{ "write: beginning of access fails", 1, SZ_4K - 1, -EREMOTEIO, "", 0,
	  "none", WRITE, .begin_error = -EREMOTEIO },
	{ "write: end of access fails", 1, SZ_4K - 1, SZ_4K - 1, "C", 0,
	  "alignment", WRITE, .end_error = -EREMOTEIO },
	{ "write: memory of a device", 1, SZ_4K - 2, SZ_4K - 2, "C", 0,
	  "alignment", WRITE, .iomem = true },
	{ "write: no copy", 0, SZ_4K + 1, SZ_4K, "D", SZ_4K, "none", WRITE,
	  .flags = SPLICE_F_NOCOPY },
	{ "write: no copy, head", 1, SZ_8K, -EINVAL, "", 0, "none", WRITE,
	  .flags = SPLICE_F_NOCOPY },
	{ "write: no copy, hole", SZ_64K, SZ_4K, -EOPNOTSUPP, "-", 0, "none",
	  WRITE, .flags = SPLICE_F_NOCOPY },
};

KUNIT_ARRAY_PARAM_DESC(splice_mix, splice_mix_params, desc);

/* Nothing outside of what was asked for, and the right bytes in it. */
static void splice_mix_expect_bytes(struct splice_test *s, size_t offset)
{
	const struct splice_mix_param *p = s->test->param_value;
	size_t end = offset + max_t(ssize_t, p->result, 0);
	size_t i;

	for (i = 0; i < MEMORY_SIZE; i++) {
		bool inside = i >= offset && i < offset + p->len;
		u8 byte = splice_byte(p->pos + i - offset);

		if (p->rw == WRITE) {
			if (s->vaddr[i] != byte)
				break;
			continue;
		}
		if (!inside && s->vaddr[i] != 'P')
			break;
		if (inside && i < end && s->vaddr[i] != 'D' && s->vaddr[i] != byte)
			break;
	}
	KUNIT_EXPECT_EQ(s->test, i, MEMORY_SIZE);
}

/* What goes direct, what is copied and why, and what is left alone. */
static void splice_mix(struct kunit *test)
{
	const struct splice_mix_param *p = test->param_value;
	struct splice_test *s = splice_test_memory(test);
	const size_t offset = SZ_4K + 8;

	if (p->iomem && IS_ENABLED(CONFIG_INDIRECT_IOMEM))
		kunit_skip(test, "no memory passes as that of a device");
	if (p->rw == WRITE)
		splice_fill(s, offset, p->pos);
	s->align = MIX_ALIGN;
	s->hole = MIX_HOLE;
	s->hole_end = MIX_HOLE_END;
	s->refuse = p->refuse;
	if (p->ret)
		s->ret[1] = p->ret;
	s->begin_error = p->begin_error;
	s->fake->end_cpu_error = p->end_error;
	s->iomem = p->iomem;
	i_size_write(file_inode(s->file), MIX_SIZE);
	if (p->buffered)
		splice_set_flags(s->file, 0);

	KUNIT_EXPECT_EQ(test, splice_rw(s, p->rw, offset, p->pos, p->len,
					p->flags), p->result);
	KUNIT_EXPECT_STREQ(test, s->did, p->did);
	splice_mix_expect_bytes(s, offset);
	KUNIT_EXPECT_EQ(test, splice_direct_bytes(s, p->rw), p->direct);
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, p->rw),
			max_t(ssize_t, p->result, 0) - p->direct);
	splice_expect_reason(s, p->reason);
}

static const struct splice_copy_error_param {
	const char *desc;
	ssize_t ret;		/* of each piece */
	ssize_t read, write;	/* 1 MiB of a file and a half */
	const char *did_read, *did_write;
} splice_copy_error_params[] = {
	{ "ENOSPC", -ENOSPC, -ENOSPC, -ENOSPC, "C", "C" },
	{ "EOPNOTSUPP", -EOPNOTSUPP, -EOPNOTSUPP, -EOPNOTSUPP, "C", "C" },
	{ "EINVAL", -EINVAL, -EINVAL, -EINVAL, "C", "C" },
	{ "nothing", 0, 0, 0, "C", "C" },
	/* What is full may say so by a signal */
	{ "short", SZ_512K, SZ_1M, SZ_512K, "CC", "C" },
};

KUNIT_ARRAY_PARAM_DESC(splice_copy_error, splice_copy_error_params, desc);

static void splice_copy_error(struct kunit *test)
{
	const struct splice_copy_error_param *p = test->param_value;
	struct splice_test *s = splice_test_memory(test);

	splice_set_flags(s->file, 0);
	s->copy_ret = p->ret;
	splice_fill(s, 0, 0);
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_1M, 0), p->write);
	KUNIT_EXPECT_STREQ(test, s->did, p->did_write);
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_1M, 0), p->read);
	KUNIT_EXPECT_STREQ(test, s->did, p->did_read);
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, READ),
			max_t(ssize_t, p->read, 0));
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, WRITE),
			max_t(ssize_t, p->write, 0));
}

/* Memory that the CPU does not get at, ever or now. */
static void splice_no_vmap(struct kunit *test)
{
	struct splice_test *s = splice_test_init(test, &dma_buf_fake_unpinned_ops,
						 splice_memory_seg, 1, 1);
	int rw;

	for (rw = READ; rw <= WRITE; rw++) {
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_4K, 0), SZ_4K);
		KUNIT_EXPECT_STREQ(test, s->did, "D");
		s->align = SZ_4K;
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_4K + 1, 0),
				SZ_4K);
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 1, SZ_4K, 0),
				-EOPNOTSUPP);
		s->align = 1;

		/* Nobody gets at it, or it is gone */
		splice_invalidate(s);
		s->fake->map_error = -ENXIO;
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_4K, 0),
				-EOPNOTSUPP);
		s->fake->map_error = -ENODEV;
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_4K, 0),
				-ENODEV);
		s->fake->map_error = 0;
		KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, rw), 0);
	}

	s = splice_test_default(test);
	splice_set_flags(s->file, 0);
	for (rw = READ; rw <= WRITE; rw++) {
		/* What its vmap() says */
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_4K, 0), -EINVAL);
		KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, rw), 0);
	}
}

/* To be mapped once is enough where memory does not move. */
static void splice_vmap_kept(struct kunit *test)
{
	struct splice_test *s = splice_test_memory(test);
	int rw;

	s->ops.pin = NULL;
	s->ops.unpin = NULL;
	s->fake->vaddr = s->vaddr;
	splice_set_flags(s->file, 0);
	splice_fill(s, 0, 0);
	for (rw = READ; rw <= WRITE; rw++) {
		s->vmaps = 0;
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, 3 * COPY, 0),
				3 * COPY);
		KUNIT_EXPECT_STREQ(test, s->did, "CCC");
		KUNIT_EXPECT_EQ(test, s->vmaps, 1);
	}

	/* Where it does, it is not, also by a file that takes its time */
	s->ops.pin = dma_buf_fake_sgt_ops.pin;
	s->ops.unpin = dma_buf_fake_sgt_ops.unpin;
	for (rw = READ; rw <= WRITE; rw++) {
		s->vmaps = 0;
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, 3 * COPY, 0),
				3 * COPY);
		KUNIT_EXPECT_EQ(test, s->vmaps, 3);
	}
}

static void splice_write_error(struct splice_test *s)
{
	/* As writeback would leave it */
	mapping_set_error(s->file->f_mapping, -EIO);
}

/* Who writes past the page cache is told of errors, and at once. */
static void splice_write_back(struct kunit *test)
{
	struct splice_test *s = splice_test_memory(test);

	s->align = SZ_4K;
	splice_fill(s, 0, 0);
	s->copy_hook = splice_write_error;
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_4K + 1, 0), SZ_4K);
	KUNIT_EXPECT_STREQ(test, s->did, "DC");
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, WRITE), 0);
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, 1, 0), -EIO);
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, WRITE), 0);

	/* Others will have to ask */
	splice_set_flags(s->file, 0);
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_4K + 1, 0), SZ_4K + 1);
	filemap_check_wb_err(s->file->f_mapping, 0);

	/* Nor does a pipe with packets have a cache */
	splice_set_flags(s->file, O_DIRECT);
	splice_set_mode(s, S_IFIFO);
	s->file->f_op = &splice_other_fops;
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_4K, 0), SZ_4K);
}

/* Who waits for ever shall fail, and not hang. */
#define SPLICE_LONG	(30 * HZ)

static DEFINE_SPINLOCK(splice_fence_lock);

static const char *splice_fence_name(struct dma_fence *fence)
{
	return "dma_buf_dio_kunit";
}

static const struct dma_fence_ops splice_fence_ops = {
	.get_driver_name = splice_fence_name,
	.get_timeline_name = splice_fence_name,
};

struct splice_fence {
	struct dma_fence *fence;
	struct delayed_work work;
};

static void splice_fence_end(void *data)
{
	struct splice_fence *f = data;

	flush_delayed_work(&f->work);
	/* The reservation object has it, too, and looks at its signal only */
	if (!dma_fence_is_signaled(f->fence))
		dma_fence_signal(f->fence);
	dma_fence_put(f->fence);
}

static void splice_fence_signal(struct work_struct *work)
{
	struct splice_fence *f = container_of(to_delayed_work(work),
					      struct splice_fence, work);

	dma_fence_signal(f->fence);
}

static struct splice_fence *splice_new_fence(struct kunit *test)
{
	struct splice_fence *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->fence = kzalloc_obj(*f->fence);
	KUNIT_ASSERT_NOT_NULL(test, f->fence);
	dma_fence_init(f->fence, &splice_fence_ops, &splice_fence_lock,
		       dma_fence_context_alloc(1), 1);
	INIT_DELAYED_WORK(&f->work, splice_fence_signal);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, splice_fence_end, f));
	return f;
}

static struct splice_fence *splice_add_fence(struct splice_test *s,
					     enum dma_resv_usage usage)
{
	struct splice_fence *f = splice_new_fence(s->test);

	splice_resv_add(s->fake->dmabuf, f->fence, usage);
	return f;
}

static void splice_signal_soon(struct splice_fence *f)
{
	mod_delayed_work(system_percpu_wq, &f->work, msecs_to_jiffies(50));
}

static const struct splice_fence_param {
	const char *desc;
	enum dma_resv_usage usage;
	bool wait[2];		/* to fill the buffer, to take from it */
} splice_fence_params[] = {
	{ "kernel", DMA_RESV_USAGE_KERNEL, { true, true } },
	{ "write", DMA_RESV_USAGE_WRITE, { true, true } },
	{ "read", DMA_RESV_USAGE_READ, { true, false } },
	{ "bookkeep", DMA_RESV_USAGE_BOOKKEEP, { false, false } },
};

KUNIT_ARRAY_PARAM_DESC(splice_fence, splice_fence_params, desc);

static void splice_fence_once(struct splice_test *s, int rw)
{
	const struct splice_fence_param *p = s->test->param_value;
	struct splice_fence *f = splice_add_fence(s, p->usage);
	struct kunit *test = s->test;
	bool wait = p->wait[rw];

	schedule_delayed_work(&f->work, SPLICE_LONG);

	/* Who does not want to wait is not made to, and nothing happens */
	KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_4K, SPLICE_F_NONBLOCK),
			wait ? -EAGAIN : SZ_4K);

	/* Nor is who is told to do something else */
	splice_allow_signals();
	splice_signal(s);
	KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_4K, 0),
			wait ? -ERESTARTSYS : SZ_4K);
	splice_flush_signals(s);
	KUNIT_EXPECT_EQ(test, s->nr, wait ? 0 : s->asked);
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(f->fence));

	splice_signal_soon(f);
	KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_4K, 0), SZ_4K);
	KUNIT_EXPECT_EQ(test, dma_fence_is_signaled(f->fence), wait);

	flush_delayed_work(&f->work);
	KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_4K, SPLICE_F_NONBLOCK),
			SZ_4K);
}

static void splice_fence(struct kunit *test)
{
	struct splice_test *s = splice_test_memory(test);

	splice_fence_once(s, READ);
	splice_fence_once(s, WRITE);
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, READ), 0);
	/* It was mapped before, in case that this has begun a move */
	dma_buf_fake_expect(s->fake, 1, 1);

	splice_set_flags(s->file, 0);
	splice_fill(s, 0, 0);
	splice_fence_once(s, WRITE);
	splice_fence_once(s, READ);
	KUNIT_EXPECT_GT(test, splice_copied_bytes(s, READ), 0);
}

static void splice_expect_moved(struct splice_test *s)
{
	KUNIT_EXPECT_TRUE(s->test, dma_fence_is_signaled(s->fake->move));
}

/* An exporter that moves the buffer when it is mapped may not be done then. */
static void splice_move(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);
	struct splice_fence *f = splice_new_fence(test);

	s->fake->move = f->fence;
	s->hook = splice_expect_moved;
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_4K, SPLICE_F_NONBLOCK),
			-EAGAIN);
	KUNIT_EXPECT_EQ(test, s->nr, 0);
	splice_signal_soon(f);
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_4K, 0), SZ_4K);
	KUNIT_EXPECT_EQ(test, s->nr, 1);
	dma_buf_fake_expect(s->fake, 1, 1);
}

/* A disk takes its time, and no fence may do that. */
static void splice_no_fence(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);
	struct dma_resv *resv = s->fake->dmabuf->resv;
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	unsigned int nr = 0;

	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, 0), SZ_64M);
	dma_resv_lock(resv, NULL);
	dma_resv_for_each_fence(&cursor, resv, DMA_RESV_USAGE_BOOKKEEP, fence)
		nr++;
	dma_resv_unlock(resv);
	KUNIT_EXPECT_EQ(test, nr, 0);
}

enum splice_hold {
	HOLD_NOTHING,
	HOLD_RESV,
	HOLD_MAP,
	HOLD_COPY,
};

/* Somebody else who holds a lock of the buffer. */
struct splice_holder {
	struct work_struct work;
	struct dma_buf *dmabuf;
	enum splice_hold what;
	unsigned int ms;
	struct completion held, go;
};

static void splice_holder_work(struct work_struct *work)
{
	struct splice_holder *h = container_of(work, struct splice_holder, work);
	struct dma_buf_dio *dio = &h->dmabuf->dio;

	if (h->what == HOLD_RESV)
		dma_resv_lock(h->dmabuf->resv, NULL);
	else
		mutex_lock(h->what == HOLD_MAP ? &dio->lock : &dio->copy_lock);
	complete(&h->held);
	/* Who waits for it shall fail, and not hang */
	wait_for_completion_timeout(&h->go, msecs_to_jiffies(h->ms));
	if (h->what == HOLD_RESV)
		dma_resv_unlock(h->dmabuf->resv);
	else
		mutex_unlock(h->what == HOLD_MAP ? &dio->lock : &dio->copy_lock);
}

static struct splice_holder *splice_new_holder(struct splice_test *s,
					       enum splice_hold what,
					       unsigned int ms)
{
	struct splice_holder *h = kunit_kzalloc(s->test, sizeof(*h), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(s->test, h);
	INIT_WORK(&h->work, splice_holder_work);
	h->dmabuf = s->fake->dmabuf;
	h->what = what;
	h->ms = ms;
	init_completion(&h->held);
	init_completion(&h->go);
	return h;
}

static void splice_hold(struct splice_test *s)
{
	s->busy = true;
	queue_work(system_dfl_wq, &s->holder->work);
	wait_for_completion(&s->holder->held);
}

static void splice_let_go(struct splice_test *s)
{
	complete(&s->holder->go);
	flush_work(&s->holder->work);
	s->busy = false;
}

static const struct splice_nonblock_param {
	const char *desc;
	enum splice_hold what;
	bool attached, mapped;
	bool copy;
	int result;
	umode_t mode;
} splice_nonblock_params[] = {
	{ "reservation, not attached", HOLD_RESV, .result = -EAGAIN },
	{ "reservation, not mapped", HOLD_RESV, true, .result = -EAGAIN },
	{ "reservation, mapped", HOLD_RESV, true, true },
	{ "reservation, copy", HOLD_RESV, .copy = true, .result = -EAGAIN },
	{ "reservation, stream", HOLD_RESV, .copy = true, .result = -EAGAIN,
	  .mode = S_IFIFO },
	{ "map, not attached", HOLD_MAP, .result = -EAGAIN },
	{ "map, not mapped", HOLD_MAP, true, .result = -EAGAIN },
	{ "map, mapped", HOLD_MAP, true, true },
	{ "map, copy", HOLD_MAP, .copy = true },
	{ "copy, not attached", HOLD_COPY },
	{ "copy, mapped", HOLD_COPY, true, true },
	{ "copy, copy", HOLD_COPY, .copy = true, .result = -EAGAIN },
	{ "copy, stream", HOLD_COPY, .copy = true, .result = -EAGAIN,
	  .mode = S_IFIFO },
};

KUNIT_ARRAY_PARAM_DESC(splice_nonblock, splice_nonblock_params, desc);

/* Who does not want to wait for the buffer is told so. */
static void splice_nonblock(struct kunit *test)
{
	const struct splice_nonblock_param *p = test->param_value;
	struct splice_test *s = splice_test_memory(test);
	int rw;

	splice_fill(s, 0, 0);
	for (rw = WRITE; rw >= READ; rw--) {
		/* Not attached is only the first time */
		if (p->attached || rw == READ)
			KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_4K, 0),
					SZ_4K);
		if (p->attached && !p->mapped)
			splice_invalidate(s);
		if (p->mode) {
			splice_set_mode(s, p->mode);
			s->file->f_op = &splice_other_fops;
		}
		if (p->copy)
			splice_set_flags(s->file, 0);

		s->holder = splice_new_holder(s, p->what, 2 * MSEC_PER_SEC);
		splice_hold(s);
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_4K,
						SPLICE_F_NONBLOCK),
				p->result ?: SZ_4K);
		splice_let_go(s);
		if (p->result && (p->mode || !p->copy))
			splice_expect_untouched(s);
		KUNIT_EXPECT_EQ(test, splice_rw(s, rw, 0, 0, SZ_4K,
						SPLICE_F_NONBLOCK), SZ_4K);
		if (!p->attached && !p->copy)
			return;
	}
}

static void splice_stream(struct kunit *test)
{
	struct splice_test *s = splice_test_stream(test);
	size_t i;

	/* To ask again may have to wait for more */
	KUNIT_EXPECT_EQ(test, splice_to(s, SZ_4K, 0, SZ_1M, 0), COPY_STREAM);
	KUNIT_EXPECT_STREQ(test, s->did, "C");
	for (i = 0; i < MEMORY_SIZE; i++) {
		bool inside = i >= SZ_4K && i < SZ_4K + COPY_STREAM;

		if (s->vaddr[i] != (inside ? splice_byte(i - SZ_4K) : 'P'))
			break;
	}
	KUNIT_EXPECT_EQ(test, i, MEMORY_SIZE);
	splice_expect_reason(s, "file");

	s->copy_ret = 1;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_1M, 0), 1);
	s->copy_ret = 0;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_1M, 0), 0);
	s->copy_ret = -EAGAIN;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_1M, 0), -EAGAIN);
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, READ), COPY_STREAM + 1);

	/* There is no more room than that */
	s->copy_ret = ALL;
	KUNIT_EXPECT_EQ(test, splice_to(s, MEMORY_SIZE - 5, 0, SZ_1M, 0), 5);

	/* It takes all, unless it is full */
	splice_fill(s, 0, 0);
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_1M, 0), SZ_1M);
	KUNIT_EXPECT_EQ(test, s->copies, SZ_1M / COPY_STREAM);
	s->copy_ret = SZ_4K;
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, SZ_1M, 0), SZ_4K);
}

static const struct splice_stream_before_param {
	const char *desc;
	bool fence, signal, no_vmap, no_vaddr;
	int begin_error;
	unsigned int flags;
	int result;
} splice_stream_before_params[] = {
	{ "no memory for the CPU", .no_vmap = true, .result = -EOPNOTSUPP },
	{ "no memory now", .no_vaddr = true, .result = -EINVAL },
	{ "no access", .begin_error = -EIO, .result = -EIO },
	{ "fence, do not wait", .fence = true, .flags = SPLICE_F_NONBLOCK,
	  .result = -EAGAIN },
	{ "fence, signal", .fence = true, .signal = true, .result = -ERESTARTSYS },
	{ "no copy", .flags = SPLICE_F_NOCOPY, .result = -EOPNOTSUPP },
};

KUNIT_ARRAY_PARAM_DESC(splice_stream_before, splice_stream_before_params, desc);

/* What cannot be put into the buffer is not taken from where it is. */
static void splice_stream_before(struct kunit *test)
{
	const struct splice_stream_before_param *p = test->param_value;
	struct splice_test *s = splice_test_stream(test);

	if (p->fence) {
		struct splice_fence *f = splice_add_fence(s, DMA_RESV_USAGE_KERNEL);

		schedule_delayed_work(&f->work, SPLICE_LONG);
	}
	if (p->no_vmap)
		s->ops.vmap = NULL;
	if (p->no_vaddr)
		s->vaddr = NULL;
	s->begin_error = p->begin_error;
	splice_allow_signals();
	if (p->signal)
		splice_signal(s);
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, p->flags), p->result);
	splice_flush_signals(s);
	KUNIT_EXPECT_EQ(test, s->copies, 0);
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, READ), 0);
}

static void splice_fence_and_signal(struct splice_test *s)
{
	splice_resv_add(s->fake->dmabuf, s->fence->fence, DMA_RESV_USAGE_READ);
	splice_signal_soon(s->fence);
	splice_signal(s);
}

/* The exporter itself waits, or rather those who call it do. */
static void splice_fence_in_begin(struct splice_test *s)
{
	s->begin_fence = s->fence->fence;
	splice_signal_soon(s->fence);
	splice_signal(s);
}

static void splice_hold_and_signal(struct splice_test *s)
{
	splice_hold(s);
	splice_signal(s);
}

static const struct splice_stream_after_param {
	const char *desc;
	void (*hook)(struct splice_test *s);
	enum splice_hold what;
	unsigned int flags;
} splice_stream_after_params[] = {
	{ "signal", splice_signal },
	{ "fence", splice_fence_and_signal },
	{ "fence, do not wait", splice_fence_and_signal, .flags = SPLICE_F_NONBLOCK },
	{ "fence at the beginning of access", splice_fence_in_begin },
	{ "another copy", splice_hold_and_signal, HOLD_COPY },
	{ "another copy, do not wait", splice_hold_and_signal, HOLD_COPY,
	  SPLICE_F_NONBLOCK },
	{ "the exporter", splice_hold_and_signal, HOLD_RESV },
	{ "the exporter, do not wait", splice_hold_and_signal, HOLD_RESV,
	  SPLICE_F_NONBLOCK },
};

KUNIT_ARRAY_PARAM_DESC(splice_stream_after, splice_stream_after_params, desc);

/* What was taken comes into the buffer, whatever there is to wait for. */
static void splice_stream_after(struct kunit *test)
{
	const struct splice_stream_after_param *p = test->param_value;
	struct splice_test *s = splice_test_stream(test);
	size_t i;

	s->fence = splice_new_fence(test);
	if (p->what)
		s->holder = splice_new_holder(s, p->what, 50);
	s->copy_hook = p->hook;
	splice_allow_signals();
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, p->flags), SZ_4K);
	splice_flush_signals(s);
	if (p->what)
		splice_let_go(s);
	KUNIT_EXPECT_EQ(test, s->copies, 1);
	for (i = 0; i < SZ_4K; i++)
		if (s->vaddr[i] != splice_byte(i))
			break;
	KUNIT_EXPECT_EQ(test, i, SZ_4K);
	KUNIT_EXPECT_EQ(test, s->vaddr[i], 'P');
	if (delayed_work_pending(&s->fence->work))
		KUNIT_FAIL(test, "there was a fence to be waited for\n");
	splice_expect_free(s);
}

static void splice_fence_and_kill(struct splice_test *s)
{
	splice_resv_add(s->fake->dmabuf, s->fence->fence, DMA_RESV_USAGE_KERNEL);
	splice_kill(s);
}

/* But nobody has to, who will not see it any more. */
static void splice_stream_kill(struct kunit *test)
{
	struct splice_test *s = splice_test_stream(test);

	s->fence = splice_new_fence(test);
	schedule_delayed_work(&s->fence->work, SPLICE_LONG);
	s->copy_hook = splice_fence_and_kill;
	splice_allow_signals();
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, 0), -EINTR);
	splice_flush_signals(s);
	KUNIT_EXPECT_EQ(test, s->copies, 1);
	KUNIT_EXPECT_FALSE(test, dma_fence_is_signaled(s->fence->fence));
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, READ), 0);
}

struct splice_copier {
	struct work_struct work;
	struct splice_test *s;
	int rw;
	loff_t mem_pos;
	ssize_t ret;
};

static void splice_copier_work(struct work_struct *work)
{
	struct splice_copier *c = container_of(work, struct splice_copier, work);

	c->ret = splice_rw(c->s, c->rw, c->mem_pos, 0, 2 * COPY, 0);
}

/*
 * The beginning of an access may drop from the caches what another one has put
 * there, so they take turns.
 */
static void splice_turns(struct kunit *test)
{
	struct splice_test *s = splice_test_memory(test);
	struct splice_copier copier[3] = { };
	unsigned int i;

	splice_fill(s, 4 * COPY, 0);
	s->busy = true;
	s->begin_ms = 5;
	for (i = 0; i < ARRAY_SIZE(copier); i++) {
		struct splice_copier *c = &copier[i];

		c->s = splice_new_test(test);
		c->s->fake = s->fake;
		c->s->busy = true;
		splice_new_file(c->s);
		splice_set_flags(c->s->file, 0);
		c->rw = i < 2 ? READ : WRITE;
		c->mem_pos = 2 * i * COPY;
		INIT_WORK_ONSTACK(&c->work, splice_copier_work);
	}
	for (i = 0; i < ARRAY_SIZE(copier); i++)
		queue_work(system_dfl_wq, &copier[i].work);
	for (i = 0; i < ARRAY_SIZE(copier); i++) {
		flush_work(&copier[i].work);
		destroy_work_on_stack(&copier[i].work);
		KUNIT_EXPECT_EQ(test, copier[i].ret, 2 * COPY);
	}
	KUNIT_EXPECT_EQ(test, atomic_read(&s->accesses), 0);
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, READ), 4 * COPY);
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, WRITE), 2 * COPY);
}

#define PIPE_SLOTS	16

static void splice_pipe_end(void *data)
{
	struct pipe_inode_info *pipe = data;

	while (!pipe_is_empty(pipe))
		pipe_buf_release(pipe, pipe_buf(pipe, pipe->tail++));
}

static struct pipe_inode_info *splice_new_pipe(struct kunit *test)
{
	struct pipe_inode_info *pipe = kunit_kzalloc(test, sizeof(*pipe),
						     GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pipe);
	pipe->bufs = kunit_kcalloc(test, PIPE_SLOTS, sizeof(*pipe->bufs),
				   GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pipe->bufs);
	mutex_init(&pipe->mutex);
	init_waitqueue_head(&pipe->rd_wait);
	init_waitqueue_head(&pipe->wr_wait);
	pipe->max_usage = PIPE_SLOTS;
	pipe->ring_size = PIPE_SLOTS;
	pipe->readers = 1;
	pipe->writers = 1;
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, splice_pipe_end,
							   pipe));
	return pipe;
}

/* All that goes through a pipe is copied. */
static void splice_pipe(struct kunit *test)
{
	const size_t size = PIPE_SLOTS * PAGE_SIZE;
	struct splice_test *s = splice_test_memory(test);
	struct pipe_inode_info *pipe = splice_new_pipe(test);
	const struct file_operations *f_op = s->fake->dmabuf->file->f_op;
	struct file *mem = s->fake->dmabuf->file;
	loff_t pos = 3, to = SZ_4M + 5;
	size_t done;
	ssize_t ret;

	splice_fill(s, 0, 0);
	memset(s->vaddr + SZ_4M, 'P', s->fake->dmabuf->size - SZ_4M);
	s->rw = WRITE;
	/* It may get a page at a time only */
	for (done = 0; done < size; done += ret) {
		ret = f_op->splice_read(mem, &pos, pipe, SZ_1M, 0);
		KUNIT_ASSERT_GT(test, ret, 0);
		KUNIT_EXPECT_EQ(test, pos, 3 + done + ret);
	}
	KUNIT_EXPECT_TRUE(test, pipe_is_full(pipe));
	s->busy = true;
	KUNIT_EXPECT_EQ(test, f_op->splice_write(pipe, mem, &to, SZ_1M, 0), size);
	KUNIT_EXPECT_EQ(test, to, SZ_4M + 5 + size);
	KUNIT_EXPECT_TRUE(test, pipe_is_empty(pipe));
	KUNIT_EXPECT_MEMEQ(test, s->vaddr + SZ_4M + 5, s->vaddr + 3, size);
	KUNIT_EXPECT_EQ(test, s->vaddr[SZ_4M + 4], 'P');
	KUNIT_EXPECT_EQ(test, s->vaddr[SZ_4M + 5 + size], 'P');
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, WRITE), size);
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, READ), size);
	splice_expect_reason(s, "file");

	/* The end of the memory, and after it */
	pos = MEMORY_SIZE - 7;
	KUNIT_EXPECT_EQ(test, f_op->splice_read(mem, &pos, pipe, SZ_1M, 0), 7);
	KUNIT_EXPECT_EQ(test, f_op->splice_read(mem, &pos, pipe, SZ_1M, 0), 0);
	to = MEMORY_SIZE - 4;
	KUNIT_EXPECT_EQ(test, f_op->splice_write(pipe, mem, &to, SZ_1M, 0), 4);
	KUNIT_EXPECT_EQ(test, to, MEMORY_SIZE);
	KUNIT_EXPECT_EQ(test, f_op->splice_write(pipe, mem, &to, SZ_1M, 0),
			-ENOSPC);
	/* What did not fit is still there */
	to = 0;
	KUNIT_EXPECT_EQ(test, f_op->splice_write(pipe, mem, &to, SZ_1M, 0), 3);
	KUNIT_EXPECT_MEMEQ(test, s->vaddr, s->vaddr + MEMORY_SIZE - 3, 3);
	KUNIT_EXPECT_EQ(test, atomic_read(&s->fake->vmapped), 0);

	/* Nor is it kept when it could be */
	s->ops.pin = NULL;
	s->ops.unpin = NULL;
	s->fake->vaddr = s->vaddr;
	KUNIT_EXPECT_EQ(test, f_op->splice_read(mem, &to, pipe, SZ_4K, 0), SZ_4K);
	KUNIT_EXPECT_EQ(test, atomic_read(&s->fake->vmapped), 0);
	KUNIT_EXPECT_EQ(test, f_op->splice_write(pipe, mem, &to, SZ_4K, 0), SZ_4K);
	KUNIT_EXPECT_EQ(test, atomic_read(&s->fake->vmapped), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&s->accesses), 0);
}

static void splice_pipe_refuse(struct kunit *test)
{
	struct splice_test *s = splice_test_memory(test);
	struct pipe_inode_info *pipe = splice_new_pipe(test);
	const struct file_operations *f_op = s->fake->dmabuf->file->f_op;
	struct file *mem = s->fake->dmabuf->file;
	struct splice_fence *f;
	loff_t pos = 0;

	s->busy = true;
	KUNIT_EXPECT_EQ(test, f_op->splice_read(mem, &pos, pipe, SZ_4K, 0), SZ_4K);

	pos = 0;
	f = splice_add_fence(s, DMA_RESV_USAGE_WRITE);
	KUNIT_EXPECT_EQ(test, f_op->splice_read(mem, &pos, pipe, SZ_4K,
						SPLICE_F_NONBLOCK), -EAGAIN);
	KUNIT_EXPECT_EQ(test, f_op->splice_write(pipe, mem, &pos, SZ_4K,
						 SPLICE_F_NONBLOCK), -EAGAIN);
	dma_fence_signal(f->fence);

	s->begin_error = -EIO;
	KUNIT_EXPECT_EQ(test, f_op->splice_read(mem, &pos, pipe, SZ_4K, 0), -EIO);
	KUNIT_EXPECT_EQ(test, f_op->splice_write(pipe, mem, &pos, SZ_4K, 0),
			-EIO);
	s->begin_error = 0;

	s->ops.vmap = NULL;
	KUNIT_EXPECT_EQ(test, f_op->splice_read(mem, &pos, pipe, SZ_4K, 0),
			-EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, f_op->splice_write(pipe, mem, &pos, SZ_4K, 0),
			-EOPNOTSUPP);
	s->ops.vmap = splice_vmap;

	/* Nothing was taken from the pipe */
	KUNIT_EXPECT_EQ(test, pos, 0);
	KUNIT_EXPECT_EQ(test, f_op->splice_write(pipe, mem, &pos, SZ_1M, 0),
			SZ_4K);
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, READ), SZ_4K);
	KUNIT_EXPECT_EQ(test, splice_copied_bytes(s, WRITE), SZ_4K);
}

static void splice_fdinfo(struct kunit *test)
{
	struct splice_test *s = splice_test_memory(test);

	splice_expect_fdinfo(s, "dio_read_bytes", "0");
	splice_expect_fdinfo(s, "copy_reason", "none");

	i_size_write(file_inode(s->file), 4711);
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4M, 0), 4711);
	splice_expect_fdinfo(s, "dio_read_bytes", "4711");
	splice_expect_fdinfo(s, "dio_write_bytes", "0");
	splice_expect_fdinfo(s, "copy_read_bytes", "0");

	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, 815, 0), 815);
	splice_expect_fdinfo(s, "dio_read_bytes", "4711");
	splice_expect_fdinfo(s, "dio_write_bytes", "815");

	splice_set_flags(s->file, 0);
	splice_fill(s, 0, 0);
	KUNIT_EXPECT_EQ(test, splice_from(s, 0, 0, 42, 0), 42);
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, 23, 0), 23);
	splice_expect_fdinfo(s, "dio_read_bytes", "4711");
	splice_expect_fdinfo(s, "copy_read_bytes", "23");
	splice_expect_fdinfo(s, "copy_write_bytes", "42");
	splice_expect_fdinfo(s, "copy_reason", "buffered");
}

static struct kunit_case dma_buf_dio_splice_cases[] = {
	KUNIT_CASE(splice_chunks),
	KUNIT_CASE(splice_large),
	KUNIT_CASE(splice_write),
	KUNIT_CASE(splice_read_only),
	KUNIT_CASE(splice_arguments),
	KUNIT_CASE(splice_limit),
	KUNIT_CASE_PARAM(splice_end, splice_end_gen_params),
	KUNIT_CASE_PARAM(splice_at_end, splice_at_end_gen_params),
	KUNIT_CASE(splice_loop),
	KUNIT_CASE_PARAM(splice_ask, splice_ask_gen_params),
	KUNIT_CASE(splice_ask_anew),
	KUNIT_CASE_PARAM(splice_map_error, splice_map_error_gen_params),
	KUNIT_CASE(splice_revoke),
	KUNIT_CASE(splice_revoke_in_chunk),
	KUNIT_CASE(splice_revoke_short),
	KUNIT_CASE(splice_revoke_always),
	KUNIT_CASE_PARAM(splice_unmapped, splice_unmapped_gen_params),
	KUNIT_CASE(splice_unmapped_less),
	KUNIT_CASE(splice_unmapped_always),
	KUNIT_CASE_PARAM(splice_device_error, splice_device_error_gen_params),
	KUNIT_CASE_PARAM(splice_disks, splice_disks_gen_params),
	KUNIT_CASE_PARAM(splice_cannot, splice_cannot_gen_params),
	KUNIT_CASE(splice_cannot_and_revoked),
	KUNIT_CASE(splice_path_gone),
	KUNIT_CASE_PARAM(splice_align, splice_align_gen_params),
	KUNIT_CASE_PARAM(splice_stop, splice_stop_gen_params),
	KUNIT_CASE_PARAM(splice_stop_copy, splice_stop_copy_gen_params),
	KUNIT_CASE_PARAM(splice_refuse, splice_refuse_gen_params),
	KUNIT_CASE_PARAM(splice_no_splice, splice_no_splice_gen_params),
	KUNIT_CASE_PARAM(splice_mix, splice_mix_gen_params),
	KUNIT_CASE_PARAM(splice_copy_error, splice_copy_error_gen_params),
	KUNIT_CASE(splice_no_vmap),
	KUNIT_CASE(splice_vmap_kept),
	KUNIT_CASE(splice_write_back),
	KUNIT_CASE_PARAM(splice_fence, splice_fence_gen_params),
	KUNIT_CASE(splice_move),
	KUNIT_CASE(splice_no_fence),
	KUNIT_CASE_PARAM(splice_nonblock, splice_nonblock_gen_params),
	KUNIT_CASE(splice_stream),
	KUNIT_CASE_PARAM(splice_stream_before, splice_stream_before_gen_params),
	KUNIT_CASE_PARAM(splice_stream_after, splice_stream_after_gen_params),
	KUNIT_CASE(splice_stream_kill),
	KUNIT_CASE(splice_turns),
	KUNIT_CASE(splice_pipe),
	KUNIT_CASE(splice_pipe_refuse),
	KUNIT_CASE(splice_fdinfo),
	{}
};

static struct kunit_suite dma_buf_dio_splice_suite = {
	.name = "dma_buf_dio_splice",
	.test_cases = dma_buf_dio_splice_cases,
};

kunit_test_suite(dma_buf_dio_splice_suite);
