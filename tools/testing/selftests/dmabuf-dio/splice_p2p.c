// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a PCI device, by vfio-pci, which has no mapping for the CPU to copy
 * through, and takes its dma-bufs back: when the driver of the device, which is
 * this program, turns the memory off, resets the device or closes it. What a
 * transfer says then is true, and whoever takes the memory back does not wait
 * longer than for what the disk was given.
 *
 * DIO_P2P names a device that the disks can reach.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/dma-buf.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define TOGGLES		12
#define SLOW		4		/* commands per second */
#define PATIENCE	10		/* seconds */
#define NAME		"dio p2p"

enum { READ, WRITE };

struct p2p {
	struct dio_vfio dev;
	struct dio_buf buf;	/* all of the memory, unless said otherwise */
	struct dio_src src;	/* a file as large, whose .image is kept up */
	int direct;		/* open for both directions */
	char disk[32];
	struct dio_cgroup cg;
	size_t len;
};

FIXTURE(p2p)
{
	struct p2p p;
};

FIXTURE_VARIANT(p2p)
{
	const struct dio_backing *backing;
};

FIXTURE_VARIANT_ADD(p2p, ext4) { .backing = &dio_ext4 };
FIXTURE_VARIANT_ADD(p2p, raw) { .backing = &dio_raw };

/* A new dma-buf, with its position at 0. */
static int new_buf(struct p2p *p)
{
	struct dio_range all = { 0, p->len };

	dio_buf_free(&p->buf);
	return dio_vfio_buf(&p->dev, &all, 1, &p->buf);
}

static int open_device(struct p2p *p)
{
	int ret = dio_vfio_open(&p->dev);

	p->len = p->dev.size;
	return ret ?: new_buf(p);
}

FIXTURE_SETUP(p2p)
{
	struct p2p *p = &self->p;

	p->direct = -1;
	p->dev.fd = -1;
	p->dev.iommufd = -1;
	p->buf.fd = -1;
	p->buf.memfd = -1;
	p->buf.hugepages = -1;
	p->src.fd = -1;
	p->src.wr = -1;
	if (!dio_ready(_metadata, open_device(p) ?:
				  dio_src_open(&p->src, variant->backing, 0,
					       p->len) ?:
				  dio_src_disk(&p->src, p->disk,
					       sizeof(p->disk))))
		return;
	/* udev reads disks that were written to, but not while one is locked. */
	ASSERT_EQ(0, flock(p->src.wr, LOCK_EX));
	p->direct = dio_src_reopen(&p->src, O_RDWR | O_DIRECT);
	ASSERT_LE(0, p->direct);
}

FIXTURE_TEARDOWN(p2p)
{
	struct p2p *p = &self->p;

	dio_cgroup_free(&p->cg);
	dio_buf_free(&p->buf);
	dio_vfio_close(&p->dev);
	if (p->direct >= 0)
		close(p->direct);
	dio_src_close(&p->src);
}

/* ---- one transfer, and every byte ---- */

static ssize_t move(struct p2p *p, const struct dio_call *call, int rw,
		    loff_t pos, loff_t off, size_t len)
{
	unsigned int flags = call->takes_flags ? SPLICE_F_NOCOPY : 0;

	if (rw == READ)
		return call->move(p->direct, &pos, p->buf.fd,
				  dio_out(call, &off), len, flags);
	if (call->out_position && lseek(p->direct, pos, SEEK_SET) != pos)
		return -errno;
	return call->move(p->buf.fd, &off, p->direct, dio_out(call, &pos), len,
			  flags);
}

static void fill(struct p2p *p)
{
	if (dio_sync_start(&p->buf, DMA_BUF_SYNC_WRITE))
		abort();
	dio_pattern(p->buf.map, 1 + dio_random() % 0x7fff, 0, p->buf.size);
	if (dio_sync_end(&p->buf, DMA_BUF_SYNC_WRITE))
		abort();
}

static int read_file(struct p2p *p)
{
	return pread(p->src.fd, p->src.oracle, p->len, 0) == p->len ? 0 : -EIO;
}

/* The file is as it was, but for what came from the buffer. */
static bool file_is(struct p2p *p, loff_t pos, size_t off, size_t len)
{
	memcpy(p->src.image + pos, p->buf.map + off, len);
	return !read_file(p) && !memcmp(p->src.oracle, p->src.image, p->len);
}

/* The buffer is as it was, but for what came from the file. */
static bool buffer_is(struct p2p *p, loff_t pos, size_t off, size_t len)
{
	return dio_is_poison(&p->buf, 0, off) &&
	       dio_is_data(&p->buf, off, &p->src, pos, len) &&
	       dio_is_poison(&p->buf, off + len, p->buf.size - off - len);
}

/* By DMA, says the buffer, and the disk, which nothing else uses if it is raw. */
static bool by_dma(struct p2p *p, int rw, const struct dio_counters *before,
		   long long disk_before, size_t len)
{
	long long disk = dio_disk_bytes(p->disk, rw) - disk_before;
	long long read, written;
	struct dio_counters now;

	if (dio_count(p->buf.fd, &now))
		return false;
	read = now.dio_read - before->dio_read;
	written = now.dio_write - before->dio_write;
	if (read == (rw == READ ? len : 0) &&
	    written == (rw == WRITE ? len : 0) &&
	    now.copy_read == before->copy_read &&
	    now.copy_write == before->copy_write &&
	    (p->src.backing->is_fs ? disk >= len : disk == len))
		return true;
	dio_log("%zu bytes: %lld and %lld by DMA, the disk moved %lld", len,
		read, written, disk);
	return false;
}

static bool moves(struct p2p *p, const struct dio_call *call, int rw,
		  loff_t pos, size_t off, size_t len)
{
	struct dio_counters before;
	long long disk;
	ssize_t ret;

	if (rw == READ)
		dio_poison(&p->buf, 0, p->buf.size);
	else
		fill(p);
	disk = dio_disk_bytes(p->disk, rw);
	if (disk < 0 || dio_count(p->buf.fd, &before))
		return false;
	ret = move(p, call, rw, pos, off, len);
	if (ret != (ssize_t)len) {
		dio_log("%s moved %zd of %zu bytes", call->name, ret, len);
		return false;
	}
	return by_dma(p, rw, &before, disk, len) &&
	       (rw == READ ? buffer_is(p, pos, off, len) :
			     file_is(p, pos, off, len));
}

/* ---- data ---- */

static void all_parts(struct __test_metadata *_metadata, struct p2p *p, int rw)
{
	size_t b = p->src.block;
	const struct {
		loff_t pos;
		size_t off, len;
	} parts[] = {
		{ 0, 0, p->len },
		{ 12 * b, DIO_MIB - b, b },
		{ b, 2 * DIO_MIB + b, 3 * DIO_MIB - 2 * b },
		{ p->len - DIO_MIB, 3 * DIO_MIB, DIO_MIB },
		{ DIO_MIB, p->len - DIO_MIB, DIO_MIB },
	};
	const struct dio_call *const *call;
	size_t off;
	int i;

	for (call = dio_calls; *call; call++) {
		for (i = 0; i < ARRAY_SIZE(parts); i++) {
			ASSERT_EQ(0, new_buf(p));
			off = parts[i].off;
			/* It cannot be advanced: that is to copy. */
			if (rw == READ && (*call)->out_position)
				off = 0;
			EXPECT_TRUE(moves(p, *call, rw, parts[i].pos, off,
					  parts[i].len))
				TH_LOG("%s, part %d", (*call)->name, i);
		}
	}
}

TEST_F(p2p, from_file)
{
	all_parts(_metadata, &self->p, READ);
}

TEST_F(p2p, to_file)
{
	all_parts(_metadata, &self->p, WRITE);
}

/* Parts of the memory, in an order of their own, are one buffer. */
TEST_F(p2p, ranges)
{
	struct p2p *p = &self->p;
	const struct dio_range ranges[] = {
		{ p->len / 2, p->len / 4 },
		{ DIO_ALIGNED, 3 * DIO_ALIGNED },
		{ p->len / 4, p->len / 8 },
		{ 8 * DIO_ALIGNED, DIO_ALIGNED },
	};

	dio_buf_free(&p->buf);
	if (!dio_ready(_metadata, dio_vfio_buf(&p->dev, ranges,
					       ARRAY_SIZE(ranges), &p->buf)))
		return;
	EXPECT_TRUE(moves(p, &dio_call_splice, READ, 0, 0, p->buf.size));
	EXPECT_TRUE(moves(p, &dio_call_splice, READ, DIO_ALIGNED,
			  p->len / 4 - p->src.block, 5 * DIO_ALIGNED));
	EXPECT_TRUE(moves(p, &dio_call_splice, WRITE, 0, 0, p->buf.size));
	EXPECT_TRUE(moves(p, &dio_call_splice, WRITE, DIO_ALIGNED,
			  p->len / 4 - p->src.block, 5 * DIO_ALIGNED));
}

/* What would have to be copied is refused, and what comes before it is moved. */
TEST_F(p2p, is_not_copied)
{
	size_t b = self->p.src.block, len = 8 * b;
	struct p2p *p = &self->p;
	bool on_disk = !p->src.backing->is_fs;
	loff_t pos = 0, off = 0;

	dio_poison(&p->buf, 0, p->len);
	EXPECT_EQ(len, splice(p->direct, &pos, p->buf.fd, &off, len + 100, 0));
	EXPECT_EQ(-1, splice(p->direct, &pos, p->buf.fd, &off, 100, 0));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(-1, splice(p->src.wr, &pos, p->buf.fd, &off, b, 0));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_TRUE(buffer_is(p, 0, 0, len));

	fill(p);
	pos = 0;
	off = 0;
	/* A disk is written in whole blocks. */
	EXPECT_EQ(len, splice(p->buf.fd, &off, p->direct, &pos,
			      on_disk ? len : len + 100, 0));
	EXPECT_EQ(-1, splice(p->buf.fd, &off, p->direct, &pos, 100, 0));
	EXPECT_EQ(on_disk ? EINVAL : EOPNOTSUPP, errno);
	EXPECT_EQ(-1, splice(p->buf.fd, &off, p->src.wr, &pos, b, 0));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(len, pos);
	EXPECT_EQ(len, off);
	EXPECT_TRUE(file_is(p, 0, 0, len));
}

/* ---- taken back when nothing goes on ---- */

static void refused(struct __test_metadata *_metadata, struct p2p *p, int rw)
{
	const struct dio_call *const *call;
	struct dio_counters before, after;

	ASSERT_EQ(0, dio_count(p->buf.fd, &before));
	for (call = dio_calls; *call; call++)
		EXPECT_EQ(-ENODEV, move(p, *call, rw, 0, 0, p->len))
			TH_LOG("%s", (*call)->name);
	ASSERT_EQ(0, dio_count(p->buf.fd, &after));
	EXPECT_EQ(before.dio_read, after.dio_read);
	EXPECT_EQ(before.dio_write, after.dio_write);
}

TEST_F(p2p, off)
{
	struct p2p *p = &self->p;

	dio_poison(&p->buf, 0, p->len);
	ASSERT_EQ(0, dio_vfio_enable(&p->dev, false));
	refused(_metadata, p, READ);
	refused(_metadata, p, WRITE);
	ASSERT_EQ(0, dio_vfio_enable(&p->dev, true));
	EXPECT_TRUE(dio_is_poison(&p->buf, 0, p->len));
	EXPECT_TRUE(file_is(p, 0, 0, 0));

	EXPECT_TRUE(moves(p, &dio_call_splice, READ, 0, 0, p->len));
	EXPECT_TRUE(moves(p, &dio_call_splice, WRITE, 0, 0, p->len));
}

/* Between two transfers, of which none needs to know. */
TEST_F(p2p, off_and_on)
{
	struct p2p *p = &self->p;
	int i, rw;

	for (i = 0; i < TOGGLES; i++) {
		rw = i / 2 % 2;
		EXPECT_TRUE(moves(p, &dio_call_splice, rw, i * DIO_MIB, 0,
				  DIO_MIB));
		if (i % 2)
			ASSERT_EQ(0, dio_vfio_enable(&p->dev, false));
		ASSERT_EQ(0, dio_vfio_enable(&p->dev, true));
	}
}

TEST_F(p2p, closed)
{
	struct p2p *p = &self->p;
	int fd;

	dio_poison(&p->buf, 0, p->len);
	/* A mapping would keep the device open. */
	fd = dup(p->buf.fd);
	ASSERT_LE(0, fd);
	dio_buf_free(&p->buf);
	p->buf.fd = fd;
	p->buf.size = p->len;
	dio_vfio_close(&p->dev);
	refused(_metadata, p, READ);
	refused(_metadata, p, WRITE);
	close(fd);
	p->buf.fd = -1;

	ASSERT_EQ(0, open_device(p));
	EXPECT_TRUE(dio_is_poison(&p->buf, 0, p->len));
	EXPECT_TRUE(file_is(p, 0, 0, 0));
	EXPECT_TRUE(moves(p, &dio_call_splice, READ, 0, 0, p->len));
}

/* ---- taken back in the middle of a transfer ---- */

struct mover {
	struct p2p *p;
	pthread_t thread;
	int rw;
	bool until_on;		/* again, as long as there is no memory */
	atomic_bool done;
	atomic_int tries;
	ssize_t ret;		/* of the last call */
};

static void *move_all(void *arg)
{
	struct mover *m = arg;

	do {
		m->ret = move(m->p, &dio_call_splice, m->rw, 0, 0, m->p->len);
		m->tries++;
	} while (m->until_on && m->ret == -ENODEV);
	m->done = true;
	return NULL;
}

/* All, a part, or nothing; the part is compared when the memory is there. */
static bool may_return(const struct mover *m)
{
	return m->ret == -ENODEV || (m->ret > 0 && m->ret <= m->p->len);
}

/* New data for the destination to get, and something else that it has. */
static void prepare(struct p2p *p, int rw)
{
	if (rw == READ)
		dio_poison(&p->buf, 0, p->len);
	else
		fill(p);
}

static void start(struct __test_metadata *_metadata, struct mover *m,
		  struct p2p *p, int rw)
{
	m->p = p;
	m->rw = rw;
	ASSERT_EQ(0, pthread_create(&m->thread, NULL, move_all, m));
}

/* What was moved is there, the rest is there or is what it was. */
static bool may_have_moved(struct mover *m)
{
	size_t n = m->ret > 0 ? m->ret : 0;
	struct p2p *p = m->p;

	if (m->rw == READ)
		return dio_is_data(&p->buf, 0, &p->src, 0, n) &&
		       dio_is_data_or(&p->buf, n, &p->src, n, p->len - n,
				      DIO_MAY_POISON);

	memcpy(p->src.oracle, p->src.image, p->len);
	memcpy(p->src.image, p->buf.map, p->len);
	return dio_is_written(&p->src, 0, n, p->len);
}

static int turn_off(const struct p2p *p)
{
	return dio_vfio_enable(&p->dev, false);
}

static int turn_on(const struct p2p *p)
{
	return dio_vfio_enable(&p->dev, true);
}

static int reset(const struct p2p *p)
{
	return dio_vfio_reset(&p->dev);
}

/*
 * One command after the other, slowly, so that there is time in between. After
 * the memory was taken back, none of them moves anything.
 */
static void in_the_middle(struct __test_metadata *_metadata, struct p2p *p,
			  int rw, int (*take_back)(const struct p2p *p))
{
	struct mover m = { };
	long long begin, now;
	unsigned int rate;

	if (!dio_ready(_metadata, dio_cgroup_make(&p->cg, p->disk)))
		return;
	ASSERT_EQ(0, dio_cgroup_enter(&p->cg));
	for (rate = SLOW; rate; rate /= 2) {
		ASSERT_EQ(0, dio_cgroup_limit(&p->cg, "iops", rate));
		begin = dio_disk_bytes(p->disk, rw);
		m = (struct mover){ };
		prepare(p, rw);
		start(_metadata, &m, p, rw);
		while (!m.done && dio_disk_bytes(p->disk, rw) == begin)
			usleep(1000);
		if (!m.done)
			break;
		pthread_join(m.thread, NULL);
		ASSERT_EQ(p->len, m.ret);
		EXPECT_TRUE(may_have_moved(&m));
	}
	ASSERT_NE(0, rate)
		TH_LOG("a transfer ends before anybody can look at it");

	ASSERT_EQ(0, take_back(p));
	now = dio_disk_bytes(p->disk, rw);
	ASSERT_EQ(0, dio_cgroup_limit(&p->cg, "iops", 0));
	pthread_join(m.thread, NULL);
	EXPECT_TRUE(may_return(&m)) TH_LOG("splice: %zd", m.ret);
	EXPECT_LT(begin, now);
	if (take_back == turn_off) {
		EXPECT_GT(p->len, now - begin);
		EXPECT_GT((ssize_t)p->len, m.ret);
		/* File systems write more than they are told to. */
		if (rw == READ || !p->src.backing->is_fs)
			EXPECT_EQ(now, dio_disk_bytes(p->disk, rw));
		ASSERT_EQ(0, turn_on(p));
	}
	EXPECT_TRUE(may_have_moved(&m));
	EXPECT_TRUE(moves(p, &dio_call_splice, READ, 0, 0, p->len));
	EXPECT_TRUE(moves(p, &dio_call_splice, WRITE, 0, 0, p->len));
}

TEST_F(p2p, off_while_read)
{
	in_the_middle(_metadata, &self->p, READ, turn_off);
}

TEST_F(p2p, off_while_written)
{
	in_the_middle(_metadata, &self->p, WRITE, turn_off);
}

TEST_F(p2p, reset_while_read)
{
	in_the_middle(_metadata, &self->p, READ, reset);
}

TEST_F(p2p, reset_while_written)
{
	in_the_middle(_metadata, &self->p, WRITE, reset);
}

/*
 * At full speed, wherever it happens to be, again and again: until so many have
 * begun, and not moved all. The memory is turned off in about the time that a transfer takes.
 */
static void many_times(struct __test_metadata *_metadata, struct p2p *p, int rw)
{
	long window = 10000;	/* us */
	int round, broken = 0;
	long long begin;
	struct mover m;

	for (round = 0; broken < TOGGLES && round < DIO_LOOKS; round++) {
		m = (struct mover){ };
		prepare(p, rw);
		begin = dio_disk_bytes(p->disk, rw);
		start(_metadata, &m, p, rw);
		usleep(dio_random() % window);
		ASSERT_EQ(0, turn_off(p));
		pthread_join(m.thread, NULL);
		ASSERT_EQ(0, turn_on(p));

		EXPECT_TRUE(may_return(&m)) TH_LOG("splice: %zd", m.ret);
		EXPECT_TRUE(may_have_moved(&m));
		/* Not before the disk had something of it. */
		broken += m.ret != p->len && dio_disk_bytes(p->disk, rw) != begin;
		window = m.ret != p->len ? window * 5 / 4 : window * 3 / 4 + 1;
		if (window > 500000)
			window = 500000;
	}
	EXPECT_EQ(TOGGLES, broken);
	EXPECT_TRUE(moves(p, &dio_call_splice, rw, 0, 0, p->len));
}

TEST_F(p2p, off_many_times_while_read)
{
	many_times(_metadata, &self->p, READ);
}

TEST_F(p2p, off_many_times_while_written)
{
	many_times(_metadata, &self->p, WRITE);
}

/* It is tried all the time, and works as soon as the memory is there. */
static void on_while_tried(struct __test_metadata *_metadata, struct p2p *p, int rw)
{
	struct mover m;
	int i;

	for (i = 0; i < TOGGLES; i++) {
		m = (struct mover){ .until_on = true };
		prepare(p, rw);
		ASSERT_EQ(0, turn_off(p));
		start(_metadata, &m, p, rw);
		while (m.tries < 1 + i % 4 && !m.done)
			;
		ASSERT_EQ(0, turn_on(p));
		pthread_join(m.thread, NULL);
		EXPECT_LT(1, m.tries);
		EXPECT_EQ(p->len, m.ret);
		EXPECT_TRUE(may_have_moved(&m));
	}
}

TEST_F(p2p, on_while_read)
{
	on_while_tried(_metadata, &self->p, READ);
}

TEST_F(p2p, on_while_written)
{
	on_while_tried(_metadata, &self->p, WRITE);
}

static atomic_bool is_off;

static void *turn_off_thread(void *arg)
{
	if (!turn_off(arg))
		is_off = true;
	return NULL;
}

/* The transfer has its memory mapped, and the disk was given nothing of it. */
static bool is_waiting(struct p2p *p, struct mover *m, long long begin)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/block/%s/inflight", p->disk);
	return !m->done && dio_attached(NAME) == 1 && !dio_number(path, "") &&
	       dio_disk_bytes(p->disk, READ) == begin;
}

/* As the use of the disk is limited, for minutes: not for ever, should a test hang. */
static void wait_for_limit(struct __test_metadata *_metadata, struct p2p *p,
			   struct mover *m, long long *begin)
{
	unsigned long rate;

	ASSERT_EQ(0, ioctl(p->buf.fd, DMA_BUF_SET_NAME, NAME));
	ASSERT_LE(0, dio_attached(NAME)) TH_LOG("no " DIO_BUFINFO);
	ASSERT_EQ(0, dio_cgroup_enter(&p->cg));
	/* A disk with several paths has to be asked before it is mapped for. */
	for (rate = 2 * p->len; rate > p->len / 64; rate /= 4) {
		ASSERT_EQ(0, dio_cgroup_limit(&p->cg, "bps", rate));
		*begin = dio_disk_bytes(p->disk, READ);
		*m = (struct mover){ };
		prepare(p, READ);
		start(_metadata, m, p, READ);
		while (!dio_attached(NAME) && !m->done)
			usleep(1000);
		ASSERT_EQ(0, dio_cgroup_limit(&p->cg, "bps", p->len / 128));
		if (is_waiting(p, m, *begin))
			return;
		ASSERT_EQ(0, dio_cgroup_limit(&p->cg, "bps", 0));
		pthread_join(m->thread, NULL);
	}
	ASSERT_LT(p->len / 64, rate)
		TH_LOG("a transfer ends before anybody can look at it");
}

static void end_limit(struct __test_metadata *_metadata, struct p2p *p,
		      struct mover *m, pthread_t thread)
{
	ASSERT_EQ(0, dio_cgroup_limit(&p->cg, "bps", 0));
	pthread_join(thread, NULL);
	pthread_join(m->thread, NULL);
	EXPECT_TRUE(is_off);
}

/* Whoever turns the memory off does not wait for the limit. */
TEST_F(p2p, off_while_limited)
{
	struct p2p *p = &self->p;
	struct mover m = { };
	pthread_t thread;
	long long begin;
	bool waits;
	int i;

	if (!dio_ready(_metadata, dio_cgroup_make(&p->cg, p->disk)))
		return;
	wait_for_limit(_metadata, p, &m, &begin);
	ASSERT_EQ(0, pthread_create(&thread, NULL, turn_off_thread, p));
	for (i = 0; i < PATIENCE * 100 && !is_off; i++)
		usleep(10000);
	waits = !is_off;
	end_limit(_metadata, p, &m, thread);
	EXPECT_FALSE(waits)
		TH_LOG("waits for a limit of the disk");
}

/*
 * Another disk, which is not limited, gets a block of the buffer as long as the
 * memory is there: so it tells when that is being turned off.
 */
static void wait_for_revocation(struct __test_metadata *_metadata, struct p2p *p)
{
	const struct dio_backing *backing = p->src.backing->is_fs ? &dio_raw : &dio_ext4;
	struct dio_src other;
	ssize_t ret;
	int fd;

	ASSERT_EQ(0, dio_src_open(&other, backing, 0, DIO_ALIGNED));
	fd = dio_src_reopen(&other, O_WRONLY | O_DIRECT);
	ASSERT_LE(0, fd);
	do {
		ret = dio_splice(p->buf.fd, 0, fd, 0, DIO_ALIGNED);
	} while (ret == DIO_ALIGNED);
	EXPECT_EQ(-ENODEV, ret);
	close(fd);
	dio_src_close(&other);
}

/* The transfer ends without having moved anything, even if the limit is lifted. */
TEST_F(p2p, off_then_unlimited)
{
	struct p2p *p = &self->p;
	struct mover m = { };
	pthread_t thread;
	long long begin;

	if (!dio_ready(_metadata, dio_cgroup_make(&p->cg, p->disk)))
		return;
	wait_for_limit(_metadata, p, &m, &begin);
	ASSERT_EQ(0, pthread_create(&thread, NULL, turn_off_thread, p));
	wait_for_revocation(_metadata, p);
	end_limit(_metadata, p, &m, thread);
	EXPECT_EQ(-ENODEV, m.ret);
	EXPECT_EQ(begin, dio_disk_bytes(p->disk, READ));
	ASSERT_EQ(0, turn_on(p));
	EXPECT_TRUE(dio_is_poison(&p->buf, 0, p->len));
	EXPECT_TRUE(moves(p, &dio_call_splice, READ, 0, 0, p->len));
}

TEST_HARNESS_MAIN
