// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for moving data from a file to a dma-buf
 *
 * The file is a fake as well.  Its read_iter() does what the block layer would
 * do to the buffer, which is to map it for a device, and then says that so much
 * was read.
 */
#include <linux/anon_inodes.h>
#include <linux/delay.h>
#include <linux/dma-buf-dio.h>
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/percpu-rwsem.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>
#include "dma_buf_fake.h"

/* How much the caller of read_iter() gets at a time. */
#define CHUNK		SZ_32M
#define ALL		SSIZE_MAX

static const struct dma_buf_segment splice_seg[] = {
	{ 0x10000000, SZ_64M }, { 0x20000000, SZ_16M },
};

/**
 * struct splice_test - a file that is read to a buffer
 * @test: the test
 * @fake: the buffer
 * @ddev: the disk of the file
 * @gone: another one, that was removed
 * @file: the file
 * @cannot_map: a map has to be asked for
 * @not_yet: so many attempts at each part fail and ask for a map
 * @failed: how many of them have
 * @ret: what each read returns, %ALL for as much as it was asked for
 * @ret_last: what the others return
 * @hook: called in each read
 * @hook_at: the read to call @hook in
 * @dio: what that read is for
 * @nr: number of reads
 * @read: what each of them was asked for, and the mapping that it found
 */
struct splice_test {
	struct kunit *test;
	struct dma_buf_fake *fake;
	struct dma_buf_dio_dev *ddev, *gone;
	struct file *file;

	bool cannot_map;
	unsigned int not_yet, failed;
	ssize_t ret[8], ret_last;
	void (*hook)(struct splice_test *s);
	unsigned int hook_at;
	struct dma_buf_dio *dio;

	unsigned int nr;
	struct {
		loff_t pos;
		size_t offset, len;
		int nth_map;
	} read[8];
};

static ssize_t splice_read_iter(struct kiocb *kiocb, struct iov_iter *iter)
{
	struct splice_test *s = kiocb->ki_filp->private_data;
	struct dma_buf_dio_map *map;
	struct kunit *test = s->test;
	unsigned int i = s->nr++;
	ssize_t ret;

	KUNIT_EXPECT_TRUE(test, iov_iter_is_dmabuf(iter));
	KUNIT_EXPECT_EQ(test, iov_iter_rw(iter), READ);
	KUNIT_EXPECT_TRUE(test, is_sync_kiocb(kiocb));
	KUNIT_EXPECT_TRUE(test, kiocb->ki_flags & IOCB_DIRECT);
	/* An exporter must not have to wait for a disk */
	KUNIT_EXPECT_FALSE(test, dma_resv_is_locked(s->fake->dmabuf->resv));

	map = dma_buf_dio_find_map(iter->dmabuf, s->ddev);
	if (!map && s->cannot_map) {
		dma_buf_dio_want_map(iter->dmabuf, s->ddev);
		map = ERR_PTR(-EOPNOTSUPP);
	} else if (!map) {
		map = dma_buf_dio_get_map(iter->dmabuf, s->ddev);
	} else {
		/* This should have ended before it came here */
		KUNIT_EXPECT_FALSE(test, map->revoked);
	}

	if (i < ARRAY_SIZE(s->read)) {
		s->read[i].pos = kiocb->ki_pos;
		s->read[i].offset = iter->iov_offset;
		s->read[i].len = iov_iter_count(iter);
		s->read[i].nth_map = atomic_read(&s->fake->maps);
	}
	s->dio = iter->dmabuf;
	if (s->hook && s->hook_at == i)
		s->hook(s);
	if (s->failed < s->not_yet) {
		s->failed++;
		dma_buf_dio_want_map(iter->dmabuf, s->ddev);
		return -EOPNOTSUPP;
	}
	s->failed = 0;
	/* These are among what a bio can say, and others are not */
	if (IS_ERR(map))
		return map == ERR_PTR(-EOPNOTSUPP) ? -EOPNOTSUPP : -EIO;

	ret = i < ARRAY_SIZE(s->ret) ? s->ret[i] : s->ret_last;
	ret = min_t(ssize_t, ret, iov_iter_count(iter));
	if (ret > 0) {
		iov_iter_advance(iter, ret);
		kiocb->ki_pos += ret;
	}
	return ret;
}

static const struct file_operations splice_fops = {
	.read_iter	= splice_read_iter,
	.splice_read	= copy_splice_read,
	.fop_flags	= FOP_DMABUF,
};

/* Of a file that was not made for this. */
static const struct file_operations splice_other_fops = {
	.read_iter	= splice_read_iter,
	.splice_read	= copy_splice_read,
};

static void splice_set_flags(struct file *file, unsigned int flags)
{
	file->f_flags = flags;
	file->f_iocb_flags = iocb_flags(file);
}

static void splice_dev_end(void *data)
{
	dma_buf_dio_dev_kill(data);
	dma_buf_dio_dev_put(data);
}

static void splice_file_end(void *data)
{
	fput(data);
	flush_delayed_fput();
}

static struct splice_test *
splice_test_init(struct kunit *test, const struct dma_buf_ops *ops,
		 const struct dma_buf_segment *seg, unsigned int nr)
{
	struct splice_test *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, s);
	s->test = test;
	for (i = 0; i < ARRAY_SIZE(s->ret); i++)
		s->ret[i] = ALL;
	s->ret_last = ALL;

	s->fake = dma_buf_fake_export(test, ops, seg, nr);
	s->ddev = dma_buf_dio_dev_alloc(dma_buf_fake_device(test, "disk",
							    DMA_BIT_MASK(64)));
	KUNIT_ASSERT_NOT_NULL(test, s->ddev);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, splice_dev_end,
							   s->ddev));

	s->file = anon_inode_create_getfile("[dma_buf_dio_kunit]", &splice_fops,
					    s, O_RDONLY, NULL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, s->file);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, splice_file_end,
							   s->file));
	file_inode(s->file)->i_mode |= S_IFREG;
	i_size_write(file_inode(s->file), LLONG_MAX / 2);
	splice_set_flags(s->file, O_RDONLY | O_DIRECT);
	return s;
}

static struct splice_test *splice_test_default(struct kunit *test)
{
	return splice_test_init(test, &dma_buf_fake_sgt_ops,
				splice_seg, ARRAY_SIZE(splice_seg));
}

static ssize_t splice_to(struct splice_test *s, loff_t mem_pos, loff_t pos,
			 size_t len, unsigned int flags)
{
	struct file *mem = s->fake->dmabuf->file;

	s->nr = 0;
	return mem->f_op->splice_memory(mem, mem_pos, s->file, pos, len, READ,
					flags);
}

static void splice_expect_read(struct splice_test *s, unsigned int i,
			       loff_t pos, size_t offset, size_t len)
{
	struct kunit *test = s->test;

	KUNIT_ASSERT_GT(test, s->nr, i);
	KUNIT_EXPECT_EQ_MSG(test, s->read[i].pos, pos, "read %u", i);
	KUNIT_EXPECT_EQ_MSG(test, s->read[i].offset, offset, "read %u", i);
	KUNIT_EXPECT_EQ_MSG(test, s->read[i].len, len, "read %u", i);
}

static u64 splice_counter(struct splice_test *s)
{
	return atomic64_read(&s->fake->dmabuf->dio.direct[READ]);
}

static void splice_chunks(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);

	/* One, exactly one, and the first byte of the second */
	KUNIT_EXPECT_EQ(test, splice_to(s, SZ_8K, SZ_1M, SZ_4K, 0), SZ_4K);
	KUNIT_EXPECT_EQ(test, s->nr, 1);
	splice_expect_read(s, 0, SZ_1M, SZ_8K, SZ_4K);

	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, CHUNK, 0), CHUNK);
	KUNIT_EXPECT_EQ(test, s->nr, 1);
	splice_expect_read(s, 0, 0, 0, CHUNK);

	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, CHUNK + 1, 0), CHUNK + 1);
	KUNIT_EXPECT_EQ(test, s->nr, 2);
	splice_expect_read(s, 0, 0, 0, CHUNK);
	splice_expect_read(s, 1, CHUNK, CHUNK, 1);

	/* As much as fits in the rest of the buffer */
	KUNIT_EXPECT_EQ(test, splice_to(s, SZ_4K, SZ_2G, SZ_1G, 0),
			SZ_64M + SZ_16M - SZ_4K);
	KUNIT_EXPECT_EQ(test, s->nr, 3);
	splice_expect_read(s, 0, SZ_2G, SZ_4K, CHUNK);
	splice_expect_read(s, 1, SZ_2G + CHUNK, SZ_4K + CHUNK, CHUNK);
	splice_expect_read(s, 2, SZ_2G + SZ_64M, SZ_4K + SZ_64M, SZ_16M - SZ_4K);

	/* One mapping for each call, whatever the number of chunks */
	dma_buf_fake_expect(s->fake, 0, 4);
	KUNIT_EXPECT_EQ(test, s->fake->dir, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_EQ(test, splice_counter(s), SZ_4K + CHUNK + CHUNK + 1 +
			SZ_64M + SZ_16M - SZ_4K);
}

static void splice_large(struct kunit *test)
{
	static const struct dma_buf_segment seg[] = {
		{ 0x10000000, 6ULL * SZ_1G & SIZE_MAX },
	};
	struct splice_test *s = splice_test_init(test, &dma_buf_fake_seg_ops,
						 seg, ARRAY_SIZE(seg));
	loff_t pos = 10LL * SZ_1G, mem_pos = 5LL * SZ_1G;

	if (sizeof(size_t) < sizeof(u64))
		kunit_skip(test, "no buffer is that large");

	KUNIT_EXPECT_EQ(test, splice_to(s, mem_pos, pos, CHUNK + SZ_4K, 0),
			CHUNK + SZ_4K);
	splice_expect_read(s, 0, pos, mem_pos, CHUNK);
	splice_expect_read(s, 1, pos + CHUNK, mem_pos + CHUNK, SZ_4K);
	KUNIT_EXPECT_EQ(test, splice_to(s, 6LL * SZ_1G - SZ_4K, pos, SZ_1M, 0),
			SZ_4K);
	KUNIT_EXPECT_EQ(test, splice_to(s, 6LL * SZ_1G, pos, SZ_1M, 0), -ENOSPC);
}

static ssize_t splice_write_iter(struct kiocb *kiocb, struct iov_iter *iter)
{
	struct splice_test *s = kiocb->ki_filp->private_data;
	struct super_block *sb = file_inode(kiocb->ki_filp)->i_sb;
	struct kunit *test = s->test;
	unsigned int i = s->nr++;
	ssize_t ret = min_t(ssize_t, s->ret[i], iov_iter_count(iter));

	KUNIT_EXPECT_TRUE(test, iov_iter_is_dmabuf(iter));
	KUNIT_EXPECT_EQ(test, iov_iter_rw(iter), WRITE);
	KUNIT_EXPECT_TRUE(test, is_sync_kiocb(kiocb));
	KUNIT_EXPECT_TRUE(test, kiocb->ki_flags & IOCB_DIRECT);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dma_buf_dio_get_map(iter->dmabuf, s->ddev));
	/* Nobody freezes the file system now */
	KUNIT_EXPECT_TRUE(test, percpu_is_read_locked(&sb->s_writers.rw_sem[SB_FREEZE_WRITE - 1]));

	s->read[i].pos = kiocb->ki_pos;
	s->read[i].offset = iter->iov_offset;
	s->read[i].len = iov_iter_count(iter);
	if (ret > 0) {
		iov_iter_advance(iter, ret);
		kiocb->ki_pos += ret;
	}
	return ret;
}

static const struct file_operations splice_write_fops = {
	.write_iter	= splice_write_iter,
	.splice_write	= iter_file_splice_write,
	.fop_flags	= FOP_DMABUF,
};

static void splice_write(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);
	struct file *mem = s->fake->dmabuf->file;

	s->file->f_op = &splice_write_fops;
	KUNIT_EXPECT_EQ(test, mem->f_op->splice_memory(mem, SZ_4K, s->file,
						       SZ_8K, SZ_64M, WRITE, 0),
			SZ_64M);
	KUNIT_EXPECT_EQ(test, s->nr, 2);
	splice_expect_read(s, 0, SZ_8K, SZ_4K, CHUNK);
	splice_expect_read(s, 1, SZ_8K + CHUNK, SZ_4K + CHUNK, CHUNK);
	KUNIT_EXPECT_EQ(test, s->fake->dir, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, atomic64_read(&s->fake->dmabuf->dio.direct[WRITE]),
			SZ_64M);
	KUNIT_EXPECT_EQ(test, splice_counter(s), 0);

	/* To ask again at a limit of the file may send a signal */
	s->nr = 0;
	s->ret[0] = SZ_4K;
	KUNIT_EXPECT_EQ(test, mem->f_op->splice_memory(mem, 0, s->file, 0,
						       SZ_64M, WRITE, 0),
			SZ_4K);
	KUNIT_EXPECT_EQ(test, s->nr, 1);

	/* The end of the buffer is one to be read */
	KUNIT_EXPECT_EQ(test, mem->f_op->splice_memory(mem, SZ_64M + SZ_16M,
						       s->file, 0, SZ_4K, WRITE,
						       0), 0);
	dma_buf_fake_expect(s->fake, 0, 2);
}

static const struct splice_end_param {
	const char *desc;
	ssize_t ret[3];		/* of each read of 80 MiB */
	unsigned int nr;	/* reads expected */
	ssize_t result;
} splice_end_params[] = {
	{ "short", { SZ_4K, 0, ALL }, 2, SZ_4K },
	{ "short later", { ALL, SZ_8K, 0 }, 3, CHUNK + SZ_8K },
	{ "short and on", { SZ_4K, SZ_8K, 0 }, 3, SZ_4K + SZ_8K },
	{ "almost a chunk", { ALL, CHUNK - 1, -EILSEQ }, 3, 2 * CHUNK - 1 },
	{ "end of file", { 0, ALL }, 1, 0 },
	{ "end of file at a chunk", { ALL, 0, 0 }, 3, CHUNK },
	{ "error", { -EILSEQ, ALL }, 1, -EILSEQ },
	{ "error later", { ALL, -EILSEQ, -EILSEQ }, 3, CHUNK },
};

KUNIT_ARRAY_PARAM_DESC(splice_end, splice_end_params, desc);

static void splice_end(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);
	const struct splice_end_param *p = test->param_value;

	memcpy(s->ret, p->ret, sizeof(p->ret));
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M + SZ_16M, 0), p->result);
	KUNIT_EXPECT_EQ(test, s->nr, p->nr);
	KUNIT_EXPECT_EQ(test, splice_counter(s), max_t(ssize_t, p->result, 0));
	dma_buf_fake_expect(s->fake, 0, 1);
}

static void splice_fail_map(struct splice_test *s)
{
	s->fake->map_error = -ENXIO;
}

static void splice_invalidate(struct splice_test *s)
{
	dma_resv_lock(s->fake->dmabuf->resv, NULL);
	dma_buf_invalidate_mappings(s->fake->dmabuf);
	dma_resv_unlock(s->fake->dmabuf->resv);
}

static void splice_revoke_and_fail_map(struct splice_test *s)
{
	splice_invalidate(s);
	splice_fail_map(s);
}

static void splice_kill(struct splice_test *s)
{
	dma_buf_dio_dev_kill(s->ddev);
}

static void splice_buffered(struct splice_test *s)
{
	splice_set_flags(s->file, O_RDONLY);
}

static void splice_signal(struct splice_test *s)
{
	send_sig(SIGUSR1, current, 1);
}

/* The errno of the exporter, and not what became of it on the way. */
static void splice_map_error(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);

	splice_fail_map(s);
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, 0), -ENXIO);
	KUNIT_EXPECT_EQ(test, s->nr, 1);

	/* If it does not want to, there is nothing wrong with the range */
	s->fake->map_error = -EINVAL;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, SPLICE_F_NOCOPY),
			-EOPNOTSUPP);
	s->fake->map_error = -EBUSY;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, SPLICE_F_NOCOPY),
			-EOPNOTSUPP);
	s->fake->map_error = -EREMOTEIO;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, SPLICE_F_NOCOPY),
			-EOPNOTSUPP);
	s->fake->map_error = 0;

	/* And not of an earlier call */
	s->ret[0] = -EILSEQ;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, 0), -EILSEQ);
	KUNIT_EXPECT_EQ(test, splice_counter(s), 0);
}

static void splice_revoke(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);

	/* Others read on, with a new map: the exporter waits for one chunk */
	s->hook = splice_invalidate;
	s->hook_at = 0;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M + SZ_16M, 0),
			SZ_64M + SZ_16M);
	KUNIT_ASSERT_EQ(test, s->nr, 3);
	KUNIT_EXPECT_EQ(test, s->read[0].nth_map, 1);
	KUNIT_EXPECT_EQ(test, s->read[1].nth_map, 2);
	KUNIT_EXPECT_EQ(test, s->read[2].nth_map, 2);
	dma_buf_fake_expect(s->fake, 0, 2);

	/* There is no use for a new map after the last */
	s->hook_at = 2;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M + SZ_16M, 0),
			SZ_64M + SZ_16M);
	dma_buf_fake_expect(s->fake, 0, 3);
}

/* A bio noticed that in the middle of a chunk, so it is read again. */
static void splice_revoke_in_chunk(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);

	s->hook = splice_invalidate;
	s->hook_at = 1;
	s->ret[1] = -EOPNOTSUPP;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, 0), SZ_64M);
	KUNIT_EXPECT_EQ(test, s->nr, 3);
	splice_expect_read(s, 1, CHUNK, CHUNK, CHUNK);
	splice_expect_read(s, 2, CHUNK, CHUNK, CHUNK);
	KUNIT_EXPECT_EQ(test, s->read[1].nth_map, 1);
	KUNIT_EXPECT_EQ(test, s->read[2].nth_map, 2);
	dma_buf_fake_expect(s->fake, 0, 2);
	KUNIT_EXPECT_EQ(test, splice_counter(s), SZ_64M);
}

/* Where bios are submitted from a place that no map can be made at. */
static void splice_want(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);

	s->cannot_map = true;
	KUNIT_EXPECT_EQ(test, splice_to(s, SZ_4K, SZ_8K, SZ_64M, 0), SZ_64M);
	KUNIT_EXPECT_EQ(test, s->nr, 3);
	splice_expect_read(s, 0, SZ_8K, SZ_4K, CHUNK);
	splice_expect_read(s, 1, SZ_8K, SZ_4K, CHUNK);
	splice_expect_read(s, 2, SZ_8K + CHUNK, SZ_4K + CHUNK, CHUNK);
	dma_buf_fake_expect(s->fake, 0, 1);

	/* And again there, with a map that has to end */
	s->hook = splice_invalidate;
	s->hook_at = 1;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, 0), SZ_64M);
	KUNIT_EXPECT_EQ(test, s->nr, 4);
	splice_expect_read(s, 2, CHUNK, CHUNK, CHUNK);
	splice_expect_read(s, 3, CHUNK, CHUNK, CHUNK);
	dma_buf_fake_expect(s->fake, 0, 3);

	s->hook = NULL;
	splice_fail_map(s);
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, 0), -ENXIO);
	KUNIT_EXPECT_EQ(test, s->nr, 1);
}

static void splice_want_gone(struct splice_test *s)
{
	dma_buf_dio_want_map(s->dio, s->gone);
}

/* One path to the disk was removed while the other one takes the data. */
static void splice_path_gone(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);

	s->gone = dma_buf_dio_dev_alloc(dma_buf_fake_device(test, "gone",
							    DMA_BIT_MASK(64)));
	KUNIT_ASSERT_NOT_NULL(test, s->gone);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, splice_dev_end,
							   s->gone));
	dma_buf_dio_dev_kill(s->gone);

	s->hook = splice_want_gone;
	s->hook_at = 1;
	s->ret[1] = -EOPNOTSUPP;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, SPLICE_F_NOCOPY),
			SZ_64M);
	KUNIT_EXPECT_EQ(test, s->nr, 3);
	splice_expect_read(s, 1, CHUNK, CHUNK, CHUNK);
	splice_expect_read(s, 2, CHUNK, CHUNK, CHUNK);
	dma_buf_fake_expect(s->fake, 0, 1);
	KUNIT_EXPECT_EQ(test, splice_counter(s), SZ_64M);

	/* What an exporter says of the disk itself is no matter of paths */
	s->hook = NULL;
	s->ret[1] = ALL;
	s->cannot_map = true;
	s->fake->map_error = -ENODEV;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, 0), -ENODEV);
	KUNIT_EXPECT_EQ(test, s->nr, 1);
}

static void splice_want_again(struct splice_test *s)
{
	dma_buf_dio_want_map(s->dio, s->ddev);
	s->hook_at++;
}

/* A device that is never ready is not asked for ever. */
static void splice_again(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);
	unsigned int i;

	s->hook = splice_want_again;
	for (i = 0; i < ARRAY_SIZE(s->ret); i++)
		s->ret[i] = -EOPNOTSUPP;
	s->ret_last = -EOPNOTSUPP;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, SPLICE_F_NOCOPY),
			-EOPNOTSUPP);
	KUNIT_EXPECT_GT(test, s->nr, 1);

	s->hook_at = 0;
	s->ret[0] = ALL;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, SPLICE_F_NOCOPY), CHUNK);
	KUNIT_EXPECT_EQ(test, splice_counter(s), CHUNK);
}

/* One that is ready in the end gets its time, and each part gets that anew. */
static void splice_not_yet(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);

	s->not_yet = 10;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M + SZ_16M, SPLICE_F_NOCOPY),
			SZ_64M + SZ_16M);
	KUNIT_EXPECT_EQ(test, s->nr, 3 * (s->not_yet + 1));
	dma_buf_fake_expect(s->fake, 0, 1);
}

static void splice_other_refused(struct splice_test *s)
{
	s->fake->map_error = -EREMOTEIO;
	KUNIT_EXPECT_EQ(s->test, PTR_ERR_OR_ZERO(dma_buf_dio_get_map(s->dio, s->gone)),
			-EOPNOTSUPP);
	s->fake->map_error = 0;
	splice_invalidate(s);
}

/* What a device does not reach is not tried again because of another map. */
static void splice_refused_and_revoked(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);

	s->gone = dma_buf_dio_dev_alloc(dma_buf_fake_device(test, "other",
							    DMA_BIT_MASK(64)));
	KUNIT_ASSERT_NOT_NULL(test, s->gone);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, splice_dev_end,
							   s->gone));
	s->hook = splice_other_refused;
	s->ret[0] = -EOPNOTSUPP;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, SPLICE_F_NOCOPY),
			-EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, s->nr, 1);
}

static const struct splice_stop_param {
	const char *desc;
	void (*hook)(struct splice_test *s);
	unsigned int nr;	/* attempts after it was called in the first one */
} splice_stop_params[] = {
	{ "buffer revoked for good", splice_revoke_and_fail_map, 2 },
	{ "disk gone", splice_kill, 2 },
	{ "not direct any more", splice_buffered, 0 },
	{ "signal", splice_signal, 0 },
};

KUNIT_ARRAY_PARAM_DESC(splice_stop, splice_stop_params, desc);

/* What comes between two chunks leaves the bytes of the first. */
static void splice_stop(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);
	const struct splice_stop_param *p = test->param_value;

	allow_signal(SIGUSR1);
	s->hook = p->hook;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M + SZ_16M, 0), CHUNK);
	KUNIT_EXPECT_EQ(test, s->nr, 1 + p->nr);
	KUNIT_EXPECT_EQ(test, splice_counter(s), CHUNK);
	KUNIT_EXPECT_EQ(test, atomic_read(&s->fake->maps), 1);
	flush_signals(current);
	disallow_signal(SIGUSR1);
}

static const struct splice_refuse_param {
	const char *desc;
	umode_t mode;
	const struct file_operations *fops;
	unsigned int flags, inode_flags;
	int rw;
	loff_t mem_pos;
	ssize_t result;
} splice_refuse_params[] = {
	{ "file", S_IFREG, &splice_fops, O_DIRECT, 0, READ, SZ_4K, SZ_8K },
	{ "block device", S_IFBLK, &splice_fops, O_DIRECT, 0, READ, 0, SZ_8K },
	{ "writing", S_IFREG, &splice_fops, O_DIRECT, 0, WRITE, 0, -EINVAL },
	{ "directory", S_IFDIR, &splice_fops, O_DIRECT, 0, READ, 0, -EOPNOTSUPP },
	{ "character device", S_IFCHR, &splice_fops, O_DIRECT, 0, READ, 0, -EOPNOTSUPP },
	{ "no type", 0, &splice_fops, O_DIRECT, 0, READ, 0, -EOPNOTSUPP },
	{ "file system", S_IFREG, &splice_other_fops, O_DIRECT, 0, READ, 0, -EOPNOTSUPP },
	{ "buffered", S_IFREG, &splice_fops, 0, 0, READ, 0, -EOPNOTSUPP },
	{ "DAX", S_IFREG, &splice_fops, O_DIRECT, S_DAX, READ, 0,
	  S_DAX ? -EOPNOTSUPP : SZ_8K },
	{ "last byte", S_IFREG, &splice_fops, O_DIRECT, 0, READ,
	  SZ_64M + SZ_16M - 1, 1 },
	{ "end of buffer", S_IFREG, &splice_fops, O_DIRECT, 0, READ,
	  SZ_64M + SZ_16M, -ENOSPC },
	{ "after end of buffer", S_IFREG, &splice_fops, O_DIRECT, 0, READ,
	  LLONG_MAX - SZ_8K, -ENOSPC },
};

KUNIT_ARRAY_PARAM_DESC(splice_refuse, splice_refuse_params, desc);

static void splice_refuse(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);
	const struct splice_refuse_param *p = test->param_value;
	struct file *mem = s->fake->dmabuf->file;
	struct inode *inode = file_inode(s->file);
	umode_t mode = inode->i_mode;

	inode->i_mode = (mode & ~S_IFMT) | p->mode;
	inode->i_flags |= p->inode_flags;
	s->file->f_op = p->fops;
	splice_set_flags(s->file, O_RDONLY | p->flags);

	KUNIT_EXPECT_EQ(test, mem->f_op->splice_memory(mem, p->mem_pos, s->file,
						       0, SZ_8K, p->rw,
						       SPLICE_F_NOCOPY),
			p->result);
	KUNIT_EXPECT_EQ(test, s->nr, p->result > 0);
	KUNIT_EXPECT_EQ(test, splice_counter(s), max_t(ssize_t, p->result, 0));
	dma_buf_fake_expect(s->fake, 0, p->result > 0);

	inode->i_mode = mode;
	inode->i_flags &= ~p->inode_flags;
}

/*
 * A file of SPLICE_MIX_SIZE bytes, of which direct I/O may read what is aligned
 * to SPLICE_MIX_ALIGN and not in the hole.  What it says to have put into the
 * buffer directly is not there, and all other bytes are their offset.
 */
#define SPLICE_MIX_ALIGN	SZ_4K
#define SPLICE_MIX_HOLE		SZ_64K
#define SPLICE_MIX_HOLE_END	(SZ_64K + SZ_8K)
#define SPLICE_MIX_SIZE		(SZ_4M + SZ_4K + 123)

struct splice_mix {
	struct splice_test *s;
	u8 *vaddr;
	char did[64];		/* D: direct, C: copied, -: refused */
	enum dma_buf_dio_reason refuse;
	bool read_align;	/* differs from that of writes */
	loff_t inval;		/* -EINVAL from here on, for no reason */
	bool coherent;		/* the mapping is that of a device */
};

static u8 splice_mix_byte(loff_t pos)
{
	return pos ^ pos >> 8 ^ pos >> 16;
}

static ssize_t splice_mix_read_iter(struct kiocb *kiocb, struct iov_iter *iter)
{
	struct splice_mix *mix = kiocb->ki_filp->private_data;
	struct kunit *test = mix->s->test;
	bool direct = iov_iter_is_dmabuf(iter);
	loff_t pos = kiocb->ki_pos;
	size_t n = iov_iter_count(iter), i;
	char *did = mix->did + strlen(mix->did);

	KUNIT_EXPECT_EQ(test, !!(kiocb->ki_flags & IOCB_DIRECT), direct);
	/* Not while the file is waited for, if it does not see the mapping */
	KUNIT_EXPECT_EQ(test, atomic_read(&mix->s->fake->cpu_access),
			!direct && !mix->coherent);

	if (pos >= SPLICE_MIX_SIZE)
		return 0;
	n = min_t(u64, n, SPLICE_MIX_SIZE - pos);
	if (did < mix->did + sizeof(mix->did) - 1)
		*did = direct ? 'D' : 'C';
	if (direct) {
		KUNIT_EXPECT_TRUE(test, IS_ALIGNED(pos | iov_iter_count(iter),
						   SPLICE_MIX_ALIGN));
		if (mix->refuse) {
			*did = '-';
			return dma_buf_dio_refuse(iter->dmabuf, mix->refuse);
		}
		if (pos >= SPLICE_MIX_HOLE && pos < SPLICE_MIX_HOLE_END) {
			*did = '-';
			return dma_buf_dio_refuse(iter->dmabuf, DMA_BUF_DIO_HOLE);
		}
		if (mix->inval && pos >= mix->inval) {
			*did = '-';
			return -EINVAL;
		}
		if (pos < SPLICE_MIX_HOLE)
			n = min_t(u64, n, SPLICE_MIX_HOLE - pos);
		if (mix->inval)
			n = min_t(u64, n, mix->inval - pos);
		/* All that was asked for may be overwritten, so it is */
		memset(mix->vaddr + iter->iov_offset, 'D', iov_iter_count(iter));
		iov_iter_advance(iter, n);
		return n;
	}
	/* The file must not be let at memory that may have no pages */
	if (mix->coherent) {
		size_t where = iter->kvec->iov_base - mix->s->fake->vaddr;

		KUNIT_EXPECT_GE(test, where, SZ_8M);
	}
	for (i = 0; i < n; i++) {
		u8 byte = splice_mix_byte(pos + i);

		if (!copy_to_iter(&byte, 1, iter))
			break;
	}
	return i;
}

static int splice_mix_getattr(struct mnt_idmap *idmap, const struct path *path,
			      struct kstat *stat, u32 request_mask,
			      unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct splice_mix *mix = inode->i_private;

	stat->result_mask |= STATX_DIOALIGN;
	stat->dio_mem_align = 4;
	stat->dio_offset_align = SPLICE_MIX_ALIGN;
	if (mix->read_align) {
		stat->result_mask |= STATX_DIO_READ_ALIGN;
		stat->dio_offset_align = SZ_64K;
		stat->dio_read_offset_align = SPLICE_MIX_ALIGN;
	}
	return 0;
}

static const struct inode_operations splice_mix_iops = {
	.getattr	= splice_mix_getattr,
};

static const struct file_operations splice_mix_fops = {
	.read_iter	= splice_mix_read_iter,
	.splice_read	= copy_splice_read,
	.fop_flags	= FOP_DMABUF,
};

static const struct splice_mix_param {
	const char *desc;
	loff_t pos;
	size_t len;
	ssize_t result;
	const char *did;
	size_t direct;		/* bytes */
	const char *reason;
	enum dma_buf_dio_reason refuse;
	unsigned int file_flags, flags;
	bool read_align;
	loff_t inval;
	int end_cpu_error;
	bool coherent;
} splice_mix_params[] = {
	{ "aligned", SZ_4K, SZ_8K, SZ_8K, "D", SZ_8K, "none" },
	{ "head", SZ_4K - 1, SZ_4K + 1, SZ_4K + 1, "CD", SZ_4K, "alignment" },
	{ "tail", SZ_4K, SZ_4K + 1, SZ_4K + 1, "DC", SZ_4K, "alignment" },
	{ "head and tail", 1, SZ_8K + 1, SZ_8K + 1, "CDC", SZ_4K, "alignment" },
	{ "less than a block", 1, SZ_4K - 2, SZ_4K - 2, "C", 0, "alignment" },
	{ "across, with no whole block", SZ_4K - 1, 2, 2, "CC", 0, "alignment" },
	{ "to the hole", SZ_32K, SZ_32K, SZ_32K, "D", SZ_32K, "none" },
	{ "into the hole", SZ_32K, SZ_32K + SZ_4K, SZ_32K + SZ_4K, "D-C", SZ_32K, "hole" },
	{ "over the hole", SZ_32K, SZ_2M, SZ_2M, "D-CD", SZ_1M, "hole" },
	{ "end of file", SZ_4M, SZ_8K, SZ_4K + 123, "D", SZ_4K + 123, "none" },
	{ "just what the file has", SZ_4M, SZ_4K + 123, SZ_4K + 123, "DC", SZ_4K, "alignment" },
	{ "after the end", SZ_4M + SZ_8K, SZ_4K, 0, "", 0, "none" },
	{ "file refuses", SZ_4K, SZ_2M, SZ_2M, "-CC", 0, "file", DMA_BUF_DIO_FILE },
	{ "disk refuses", 1, SZ_2M, SZ_2M, "C-CC", 0, "disk", DMA_BUF_DIO_DISK },
	{ "buffered", 1, SZ_2M, SZ_2M, "CC", 0, "buffered", .file_flags = ~0U },
	{ "reads of smaller blocks", SZ_4K, SZ_8K, SZ_8K, "D", SZ_8K, "none",
	  .read_align = true },
	{ "smaller blocks, head", 1, SZ_8K, SZ_8K, "CDC", SZ_4K, "alignment",
	  .read_align = true },
	{ "hole, then not aligned", SZ_64K, SZ_4M - SZ_64K, SZ_4M - SZ_64K,
	  "-CD-CC", SZ_1M, "alignment", .inval = SZ_64K + SZ_1M + SZ_1M },
	{ "end of access fails", 1, SZ_4K - 1, -EREMOTEIO, "C", 0, "none",
	  .end_cpu_error = -EREMOTEIO },
	{ "memory of a device", 1, SZ_4K - 2, SZ_4K - 2, "C", 0, "alignment",
	  .coherent = true },
	{ "no copy", 0, SZ_4K + 1, SZ_4K, "D", SZ_4K, "none", .flags = SPLICE_F_NOCOPY },
	{ "no copy, head", 1, SZ_8K, -EINVAL, "", 0, "none", .flags = SPLICE_F_NOCOPY },
	{ "no copy, hole", SZ_64K, SZ_4K, -EOPNOTSUPP, "-", 0, "none",
	  .flags = SPLICE_F_NOCOPY },
	{ "no copy, end of file", SZ_4M, SZ_8K, SZ_4K + 123, "D", SZ_4K + 123,
	  "none", .flags = SPLICE_F_NOCOPY },
	{ "no copy, after the end", SZ_4M + SZ_8K, SZ_4K, 0, "", 0, "none",
	  .flags = SPLICE_F_NOCOPY },
};

KUNIT_ARRAY_PARAM_DESC(splice_mix, splice_mix_params, desc);

/* The same memory once more, as dma_alloc_coherent() would map it. */
static void *splice_mix_map_coherent(struct kunit *test, void *vaddr)
{
	unsigned int nr = SZ_8M >> PAGE_SHIFT, i;
	struct page **pages = kunit_kcalloc(test, nr, sizeof(*pages), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pages);
	for (i = 0; i < nr; i++)
		pages[i] = vmalloc_to_page(vaddr + i * PAGE_SIZE);
	vaddr = vmap(pages, nr, VM_DMA_COHERENT, PAGE_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vaddr);
	return vaddr;
}

/* What goes direct, what is copied and why, and what is left alone. */
static void splice_mix(struct kunit *test)
{
	static const struct dma_buf_segment seg[] = { { 0x10000000, SZ_8M } };
	const struct splice_mix_param *p = test->param_value;
	struct splice_mix mix = {
		.refuse		= p->refuse,
		.read_align	= p->read_align,
		.inval		= p->inval,
		.coherent	= p->coherent,
	};
	const size_t offset = SZ_4K + 8;
	struct splice_test *s;
	struct inode *inode;
	char reason[64];
	struct seq_file m = { .size = SZ_1K };
	size_t i, copied;

	s = splice_test_init(test, &dma_buf_fake_sgt_ops, seg, ARRAY_SIZE(seg));
	mix.s = s;
	mix.vaddr = vmalloc(SZ_8M);
	KUNIT_ASSERT_NOT_NULL(test, mix.vaddr);
	memset(mix.vaddr, 'P', s->fake->dmabuf->size);
	s->fake->vaddr = p->coherent ? splice_mix_map_coherent(test, mix.vaddr) :
				       mix.vaddr;
	s->fake->end_cpu_error = p->end_cpu_error;
	inode = file_inode(s->file);
	inode->i_private = &mix;
	inode->i_op = &splice_mix_iops;
	i_size_write(inode, SPLICE_MIX_SIZE);
	s->file->f_op = &splice_mix_fops;
	s->file->private_data = &mix;
	if (p->file_flags)
		splice_set_flags(s->file, O_RDONLY);

	KUNIT_EXPECT_EQ(test, splice_to(s, offset, p->pos, p->len, p->flags),
			p->result);
	KUNIT_EXPECT_STREQ(test, mix.did, p->did);
	KUNIT_EXPECT_EQ(test, splice_counter(s), p->direct);

	/* Nothing outside of what was asked for, and the right bytes in it */
	for (i = 0; i < SZ_8M; i++) {
		bool inside = i >= offset && i < offset + p->len;

		if (!inside && mix.vaddr[i] != 'P')
			break;
		if (inside && i < offset + max_t(ssize_t, p->result, 0) &&
		    mix.vaddr[i] != 'D' &&
		    mix.vaddr[i] != splice_mix_byte(p->pos + i - offset))
			break;
	}
	KUNIT_EXPECT_EQ(test, i, SZ_8M);
	copied = max_t(ssize_t, p->result, 0) - p->direct;
	KUNIT_EXPECT_EQ(test, atomic64_read(&s->fake->dmabuf->dio.copied[READ]),
			copied);

	m.buf = kunit_kzalloc(test, m.size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m.buf);
	s->fake->dmabuf->file->f_op->show_fdinfo(&m, s->fake->dmabuf->file);
	snprintf(reason, sizeof(reason), "\ncopy_reason:\t%s\n", p->reason);
	KUNIT_EXPECT_NOT_NULL(test, strstr(m.buf, reason));
	if (p->coherent)
		vunmap(s->fake->vaddr);
	vfree(mix.vaddr);
	s->fake->vaddr = NULL;
}

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
	struct dma_resv *resv = s->fake->dmabuf->resv;

	dma_resv_lock(resv, NULL);
	if (!dma_resv_reserve_fences(resv, 1))
		dma_resv_add_fence(resv, f->fence, usage);
	dma_resv_unlock(resv);
	return f;
}

static const struct splice_fence_param {
	const char *desc;
	enum dma_resv_usage usage;
	bool wait;
} splice_fence_params[] = {
	{ "kernel", DMA_RESV_USAGE_KERNEL, true },
	{ "write", DMA_RESV_USAGE_WRITE, true },
	{ "read", DMA_RESV_USAGE_READ, true },
	{ "bookkeep", DMA_RESV_USAGE_BOOKKEEP, false },
};

KUNIT_ARRAY_PARAM_DESC(splice_fence, splice_fence_params, desc);

static void splice_fence(struct kunit *test)
{
	const struct splice_fence_param *p = test->param_value;
	struct splice_test *s = splice_test_default(test);
	struct splice_fence *f = splice_add_fence(s, p->usage);

	/* Who waits for ever here shall fail, and not hang */
	schedule_delayed_work(&f->work, msecs_to_jiffies(30 * MSEC_PER_SEC));

	/* Who does not want to wait is not made to, and nothing happens */
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, SPLICE_F_NONBLOCK),
			p->wait ? -EAGAIN : SZ_4K);
	dma_buf_fake_expect(s->fake, 0, !p->wait);

	/* Nor is who is told to do something else */
	allow_signal(SIGUSR1);
	splice_signal(s);
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, 0),
			p->wait ? -ERESTARTSYS : SZ_4K);
	flush_signals(current);
	disallow_signal(SIGUSR1);
	KUNIT_EXPECT_EQ(test, s->nr, !p->wait);

	cancel_delayed_work_sync(&f->work);
	schedule_delayed_work(&f->work, msecs_to_jiffies(50));
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, 0), SZ_4K);
	KUNIT_EXPECT_EQ(test, dma_fence_is_signaled(f->fence), p->wait);

	flush_delayed_work(&f->work);
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, SPLICE_F_NONBLOCK), SZ_4K);
}

static void splice_expect_moved(struct splice_test *s)
{
	KUNIT_EXPECT_TRUE(s->test, dma_fence_is_signaled(s->fake->move));
}

/* An exporter that moves the buffer when it is pinned may not be done then. */
static void splice_move(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);
	struct splice_fence *f = splice_new_fence(test);

	s->fake->move = f->fence;
	s->hook = splice_expect_moved;
	schedule_delayed_work(&f->work, msecs_to_jiffies(50));
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4K, 0), SZ_4K);
	KUNIT_EXPECT_EQ(test, s->nr, 1);
}

/* A disk takes its time, and no fence may do that. */
static void splice_no_fence(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);
	struct dma_resv *resv = s->fake->dmabuf->resv;

	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_64M, 0), SZ_64M);
	KUNIT_EXPECT_TRUE(test, dma_resv_test_signaled(resv,
						       DMA_RESV_USAGE_BOOKKEEP));
}

static void splice_fdinfo(struct kunit *test)
{
	struct splice_test *s = splice_test_default(test);
	struct file *mem = s->fake->dmabuf->file;
	struct seq_file m = { .size = SZ_1K };

	m.buf = kunit_kzalloc(test, m.size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m.buf);
	mem->f_op->show_fdinfo(&m, mem);
	KUNIT_EXPECT_NOT_NULL(test, strstr(m.buf, "\ndio_read_bytes:\t0\n"));

	s->ret[0] = 4711;
	s->ret[1] = 0;
	KUNIT_EXPECT_EQ(test, splice_to(s, 0, 0, SZ_4M, 0), 4711);
	m.count = 0;
	memset(m.buf, 0, m.size);
	mem->f_op->show_fdinfo(&m, mem);
	KUNIT_EXPECT_NOT_NULL(test, strstr(m.buf, "\ndio_read_bytes:\t4711\n"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(m.buf, "\ndio_write_bytes:\t0\n"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(m.buf, "\ncopy_write_bytes:\t0\n"));
}

static struct kunit_case dma_buf_dio_splice_cases[] = {
	KUNIT_CASE(splice_chunks),
	KUNIT_CASE(splice_large),
	KUNIT_CASE(splice_write),
	KUNIT_CASE_PARAM(splice_end, splice_end_gen_params),
	KUNIT_CASE(splice_map_error),
	KUNIT_CASE(splice_revoke),
	KUNIT_CASE(splice_revoke_in_chunk),
	KUNIT_CASE(splice_want),
	KUNIT_CASE(splice_path_gone),
	KUNIT_CASE(splice_again),
	KUNIT_CASE(splice_not_yet),
	KUNIT_CASE(splice_refused_and_revoked),
	KUNIT_CASE_PARAM(splice_stop, splice_stop_gen_params),
	KUNIT_CASE_PARAM(splice_refuse, splice_refuse_gen_params),
	KUNIT_CASE_PARAM(splice_mix, splice_mix_gen_params),
	KUNIT_CASE_PARAM(splice_fence, splice_fence_gen_params),
	KUNIT_CASE(splice_move),
	KUNIT_CASE(splice_no_fence),
	KUNIT_CASE(splice_fdinfo),
	{}
};

static struct kunit_suite dma_buf_dio_splice_suite = {
	.name = "dma_buf_dio_splice",
	.test_cases = dma_buf_dio_splice_cases,
};

kunit_test_suite(dma_buf_dio_splice_suite);
