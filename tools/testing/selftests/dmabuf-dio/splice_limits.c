// SPDX-License-Identifier: GPL-2.0
/*
 * Where the calls that move data between files and dma-bufs stop: at limits of the
 * process, the file and its file system, and at the ends of both.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>

#include <linux/dma-buf.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include "../kselftest_harness.h"
#include "lib/bench.h"

FIXTURE(contract)
{
	struct bench b;
};

FIXTURE_VARIANT(contract)
{
	const struct dio_call *call;
	struct dio_place *place;
};

#define BY(c, p)	.call = &dio_call_##c, .place = &dio_on_##p

FIXTURE_VARIANT_ADD(contract, splice_ext4) { BY(splice, ext4) };
FIXTURE_VARIANT_ADD(contract, splice_xfs) { BY(splice, xfs) };
FIXTURE_VARIANT_ADD(contract, splice_f2fs) { BY(splice, f2fs) };
FIXTURE_VARIANT_ADD(contract, splice_tmpfs) { BY(splice, tmpfs) };
FIXTURE_VARIANT_ADD(contract, copy_file_range_ext4) { BY(copy_file_range, ext4) };
FIXTURE_VARIANT_ADD(contract, copy_file_range_xfs) { BY(copy_file_range, xfs) };
FIXTURE_VARIANT_ADD(contract, sendfile_ext4) { BY(sendfile, ext4) };
FIXTURE_VARIANT_ADD(contract, sendfile_xfs) { BY(sendfile, xfs) };
FIXTURE_VARIANT_ADD(contract, io_uring_ext4) { BY(io_uring, ext4) };
FIXTURE_VARIANT_ADD(contract, io_uring_xfs) { BY(io_uring, xfs) };

FIXTURE_SETUP(contract)
{
	self->b.call = variant->call;
	dio_ready(_metadata, bench_open(&self->b, variant->place));
}

FIXTURE_TEARDOWN(contract)
{
	bench_close(&self->b);
}

static atomic_int exceeded;

static void on_sigxfsz(int sig)
{
	exceeded += sig == SIGXFSZ;
}

/* As write(2): short up to the limit, and only there a signal and EFBIG. */
TEST_F(contract, file_size_limit)
{
	static const struct {
		rlim_t limit;
		loff_t pos;
		bool direct;
	} tries[] = {
		{ 48 * DIO_KIB, 16 * DIO_KIB, true },
		{ 48 * DIO_KIB, 16 * DIO_KIB, false },
		{ 48 * DIO_KIB + 100, 16 * DIO_KIB, true },
		{ 48 * DIO_KIB + 100, 16 * DIO_KIB + 100, false },
		{ 48 * DIO_KIB + 700, 16 * DIO_KIB + 100, true },
		{ 80 * DIO_KIB, 16 * DIO_KIB, true },
	};
	bool in_task = variant->call != &dio_call_io_uring;
	struct bench *b = &self->b;
	struct rlimit limit;
	ssize_t want;
	int i, fd;

	signal(SIGXFSZ, on_sigxfsz);
	ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &limit));
	for (i = 0; i < ARRAY_SIZE(tries); i++) {
		fd = tries[i].direct ? b->direct : b->plain;
		limit.rlim_cur = tries[i].limit;
		want = tries[i].limit - tries[i].pos;
		ASSERT_EQ(0, ftruncate(b->plain, 16 * DIO_KIB));
		ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));

		exceeded = 0;
		EXPECT_EQ(want, bench_move(b, WRITE, fd, tries[i].pos, 1024, 2 * LEN, 0))
			TH_LOG("try %d", i);
		EXPECT_EQ(0, exceeded) TH_LOG("try %d", i);
		EXPECT_TRUE(bench_file_is_buffer(b, tries[i].pos, 1024, want));
		EXPECT_EQ(tries[i].limit, lseek(b->plain, 0, SEEK_END));

		EXPECT_EQ(-EFBIG, bench_move(b, WRITE, fd, tries[i].limit, 0, LEN, 0))
			TH_LOG("try %d", i);
		if (in_task)
			EXPECT_LT(0, exceeded);
		EXPECT_EQ(tries[i].limit, lseek(b->plain, 0, SEEK_END));

		/* Not a matter of reading. */
		EXPECT_EQ(want, bench_move(b, READ, fd, tries[i].pos, 0, want, 0));
		limit.rlim_cur = limit.rlim_max;
		ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	}
}

static bool file_is_buffer(struct bench *b, loff_t pos, size_t len)
{
	size_t at, n;

	for (at = 0; at < len; at += n) {
		n = len - at < SIZE ? len - at : SIZE;
		if (!bench_file_is_buffer(b, pos + at, at, n))
			return false;
	}
	return true;
}

/* The same where two pieces of a transfer meet: the second is not tried. */
TEST_F(contract, file_size_limit_between_pieces)
{
	static const struct {
		rlim_t limit;
		loff_t pos;
		size_t len;
		bool direct;
	} tries[] = {
		/* Two copies, and two direct chunks. */
		{ DIO_MIB, 0, 3 * DIO_MIB, false },
		{ DIO_CHUNK, 0, DIO_CHUNK + DIO_CHUNK / 2, true },
		/* A head, or a tail, and what is aligned. */
		{ DIO_ALIGNED, 100, LEN, true },
		{ DIO_MIB, 0, DIO_MIB + 100, true },
	};
	bool in_task = variant->call != &dio_call_io_uring;
	struct dio_counters before, after;
	struct bench *b = &self->b;
	unsigned int block, mem_align;
	ssize_t want, by_dma;
	struct rlimit limit;
	int i, fd;

	signal(SIGXFSZ, on_sigxfsz);
	ASSERT_EQ(0, dio_alignment(b->direct, &block, &mem_align));
	dio_buf_free(&b->buf);
	ASSERT_EQ(0, dio_buf_alloc(&b->buf, &dio_heap,
				   DIO_CHUNK + DIO_CHUNK / 2));
	dio_poison(&b->buf, 0, b->buf.size);
	ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &limit));
	for (i = 0; i < ARRAY_SIZE(tries); i++) {
		fd = tries[i].direct ? b->direct : b->plain;
		limit.rlim_cur = tries[i].limit;
		want = tries[i].limit - tries[i].pos;
		ASSERT_EQ(0, ftruncate(b->plain, 0));
		ASSERT_EQ(0, dio_count(b->buf.fd, &before));
		ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));

		exceeded = 0;
		EXPECT_EQ(want, bench_move(b, WRITE, fd, tries[i].pos, 0, tries[i].len, 0))
			TH_LOG("try %d", i);
		EXPECT_EQ(0, exceeded) TH_LOG("try %d", i);
		EXPECT_EQ(tries[i].limit, lseek(b->plain, 0, SEEK_END));
		EXPECT_TRUE(file_is_buffer(b, tries[i].pos, want))
			TH_LOG("try %d", i);
		ASSERT_EQ(0, dio_count(b->buf.fd, &after));
		by_dma = 0;
		if (variant->place->direct && tries[i].direct)
			by_dma = want / block * block;
		EXPECT_EQ(by_dma, after.dio_write - before.dio_write)
			TH_LOG("try %d", i);

		EXPECT_EQ(-EFBIG, bench_move(b, WRITE, fd, tries[i].limit, 0, LEN, 0))
			TH_LOG("try %d", i);
		if (in_task)
			EXPECT_LT(0, exceeded) TH_LOG("try %d", i);
		EXPECT_EQ(tries[i].limit, lseek(b->plain, 0, SEEK_END));

		limit.rlim_cur = limit.rlim_max;
		ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	}
	EXPECT_TRUE(dio_is_poison(&b->buf, 0, b->buf.size));
}

/* The farthest position that a file takes, or @pos. */
static loff_t farthest(int fd, loff_t pos)
{
	loff_t low = 0, mid;

	while (low < pos) {
		mid = low + (pos - low + 1) / 2;
		if (lseek(fd, mid, SEEK_SET) == mid)
			low = mid;
		else
			pos = mid - 1;
	}
	return low;
}

/* Where most file systems can store nothing any more: as write(2). */
TEST_F(contract, too_far)
{
	loff_t pos = LLONG_MAX / 4096 * 4096 - 2 * LEN, end;
	struct bench *b = &self->b;
	ssize_t want;
	int d, fd;

	signal(SIGXFSZ, SIG_IGN);
	if (variant->call->out_position)
		pos = farthest(b->plain, pos);
	for (d = 0; d < 2; d++) {
		fd = d ? b->direct : b->plain;
		want = pwrite(b->plain, b->image, LEN, pos) < 0 ? -errno : LEN;
		end = want > 0 ? pos + LEN : SIZE;
		EXPECT_EQ(want, bench_move(b, WRITE, fd, pos, 0, LEN, 0));
		EXPECT_EQ(end, lseek(b->plain, 0, SEEK_END));
		if (want > 0)
			EXPECT_TRUE(bench_file_is_buffer(b, pos, 0, LEN));
		EXPECT_TRUE(bench_file_is(b, 0, b->image, SIZE));
	}
}

static int set_flags(int fd, int flags)
{
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) ? -errno : 0;
}

/* A descriptor that was opened before: as write(2), or refused. */
TEST_F(contract, immutable)
{
	struct bench *b = &self->b;
	ssize_t want;
	int flags;

	if (ioctl(b->plain, FS_IOC_GETFLAGS, &flags) ||
	    set_flags(b->plain, flags | FS_IMMUTABLE_FL))
		SKIP(return, "no immutable files in this kernel");
	want = pwrite(b->plain, b->image, LEN, 0) < 0 ? -EPERM : LEN;
	if (variant->call == &dio_call_copy_file_range)
		want = -EPERM;
	EXPECT_EQ(want, bench_move(b, WRITE, b->plain, 0, 0, LEN, 0));
	EXPECT_EQ(want, bench_move(b, WRITE, b->direct, 0, 0, LEN, 0));
	EXPECT_EQ(LEN, bench_move(b, READ, b->direct, 0, 0, LEN, 0));
	set_flags(b->plain, flags);
}

TEST_F(contract, dsync)
{
	static const int how[] = { O_DSYNC, O_SYNC };
	struct bench *b = &self->b;
	int i, fd;

	for (i = 0; i < 4; i++) {
		fd = dio_reopen(b->plain, O_RDWR | how[i / 2] |
					  (i % 2 ? O_DIRECT : 0));
		ASSERT_LE(0, fd);
		/* Within, and beyond the end; with a head and a tail. */
		EXPECT_EQ(LEN, bench_move(b, WRITE, fd, i * LEN, 0, LEN, 0));
		EXPECT_TRUE(bench_file_is_buffer(b, i * LEN, 0, LEN));
		EXPECT_EQ(LEN, bench_move(b, WRITE, fd, SIZE + i * LEN + 33, 33, LEN, 0));
		EXPECT_TRUE(bench_file_is_buffer(b, SIZE + i * LEN + 33, 33, LEN));
		close(fd);
	}
}

TEST_F(contract, lease)
{
	struct bench *b = &self->b;
	int fd;

	fd = dio_reopen(b->plain, O_RDWR | O_DIRECT);
	ASSERT_LE(0, fd);
	close(b->plain);
	close(b->direct);
	b->plain = -1;
	b->direct = -1;
	if (fcntl(fd, F_SETLEASE, F_WRLCK))
		SKIP(return, "no leases in this kernel");
	EXPECT_EQ(LEN, bench_move(b, READ, fd, 0, 0, LEN, 0));
	EXPECT_EQ(LEN, bench_move(b, WRITE, fd, LEN, 0, LEN, 0));
	EXPECT_EQ(F_WRLCK, fcntl(fd, F_GETLEASE));
	close(fd);
}

/* A file that has a hole of more than 4 GiB. */
TEST_F(contract, past_4g)
{
	static const loff_t at[] = {
		2 * DIO_GIB - LEN / 2, 4 * DIO_GIB - LEN / 2,
		4 * DIO_GIB + DIO_MIB + 100, 5 * DIO_GIB - 512,
	};
	struct bench *b = &self->b;
	int i, d, fd;

	for (d = 0; d < 2; d++) {
		fd = d ? b->direct : b->plain;
		for (i = 0; i < ARRAY_SIZE(at); i++) {
			dio_poison(&b->buf, 0, SIZE);
			ASSERT_EQ(LEN, bench_move(b, WRITE, fd, at[i], LEN + d * LEN, LEN, 0));
			EXPECT_TRUE(bench_file_is_buffer(b, at[i], LEN + d * LEN, LEN));
			ASSERT_EQ(LEN, pwrite(b->plain, b->image, LEN, at[i]));
			ASSERT_EQ(LEN, bench_move(b, READ, fd, at[i], LEN, LEN, 0));
			EXPECT_TRUE(bench_buffer_is(b, LEN, b->image, LEN));
			EXPECT_TRUE(dio_is_poison(&b->buf, 0, LEN));
			EXPECT_TRUE(dio_is_poison(&b->buf, 2 * LEN, LEN));
		}
	}
	/* What 32 bits would have made of it. */
	EXPECT_TRUE(bench_file_is(b, 0, b->image, SIZE));
}

/* Absurd lengths are lengths, and end where the data does. */
TEST_F(contract, lengths)
{
	static const size_t lens[] = {
		0x7ffff000, 0x7ffff001, 0x80000000, 0xfffff000, 0x100000000,
		0x10000000000, LONG_MAX,
	};
	struct bench *b = &self->b;
	int i;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		if (lens[i] > 0xffffffff && b->call == &dio_call_io_uring)
			break;
		/* It never took a range that ends beyond all positions. */
		if (lens[i] == LONG_MAX && b->call == &dio_call_sendfile)
			break;
		dio_poison(&b->buf, 0, SIZE);
		EXPECT_EQ(SIZE - LEN, bench_move(b, READ, b->direct, 0, LEN, lens[i], 0))
			TH_LOG("%#zx", lens[i]);
		EXPECT_EQ(LEN, bench_move(b, READ, b->direct, SIZE - LEN, 0, lens[i], 0))
			TH_LOG("%#zx", lens[i]);
		EXPECT_EQ(LEN, bench_move(b, WRITE, b->direct, 0, SIZE - LEN, lens[i], 0))
			TH_LOG("%#zx", lens[i]);
		ASSERT_EQ(SIZE, pwrite(b->plain, b->image, SIZE, 0));
	}
}

/* Positions on both sides, until both ends. */
TEST_F(contract, positions)
{
	size_t step = 48 * DIO_KIB + 100, done, n;
	struct bench *b = &self->b;
	int fd;

	for (done = 0; done < SIZE; done += n) {
		n = step < SIZE - done ? step : SIZE - done;
		ASSERT_EQ(n, b->call->move(b->direct, NULL, b->buf.fd, NULL, step, 0));
		ASSERT_EQ(done + n, dio_pos(b->buf.fd));
		ASSERT_EQ(done + n, lseek(b->direct, 0, SEEK_CUR));
	}
	EXPECT_EQ(-ENOSPC, b->call->move(b->plain, NULL, b->buf.fd, NULL, 1, 0));
	EXPECT_TRUE(bench_buffer_is(b, 0, b->image, SIZE));

	/* Back again, into an empty file. */
	ASSERT_EQ(0, bench_buffer_at(b, 0));
	fd = b->direct;
	lseek(fd, 0, SEEK_SET);
	ASSERT_EQ(0, ftruncate(fd, 0));
	for (done = 0; done < SIZE; done += n) {
		n = step < SIZE - done ? step : SIZE - done;
		ASSERT_EQ(n, b->call->move(b->buf.fd, NULL, fd, NULL, step, 0));
		ASSERT_EQ(done + n, dio_pos(b->buf.fd));
		ASSERT_EQ(done + n, lseek(fd, 0, SEEK_CUR));
	}
	EXPECT_EQ(0, b->call->move(b->buf.fd, NULL, fd, NULL, step, 0));
	EXPECT_EQ(SIZE, lseek(fd, 0, SEEK_END));
	EXPECT_TRUE(bench_file_is_buffer(b, 0, 0, SIZE));
}

/*
 * Who writes to the file by other ways sees what came from the buffer, and the
 * other way round: a descriptor without O_DIRECT, and a mapping.
 */
TEST_F(contract, coherence)
{
	struct bench *b = &self->b;
	unsigned char *map;
	size_t at, odd;
	int i;

	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, b->plain, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, memcmp(map, b->image, SIZE));
	for (i = 0; i < 8; i++) {
		odd = i % 2 ? 77 : 0;
		at = i / 2 * DIO_ALIGNED + odd;

		/* Dirty by write(2), and by the mapping. */
		dio_pattern(b->image, 100 + i, 0, SIZE);
		ASSERT_EQ(LEN, pwrite(b->plain, b->image, LEN, 0));
		memcpy(map + LEN, b->image + LEN, LEN);
		dio_poison(&b->buf, 0, SIZE);
		ASSERT_EQ(2 * LEN - at, bench_move(b, READ, b->direct, at, at, 2 * LEN - at, 0));
		EXPECT_TRUE(bench_buffer_is(b, at, b->image + at, 2 * LEN - at))
			TH_LOG("round %d", i);
		EXPECT_TRUE(dio_is_poison(&b->buf, 0, at));

		/* Written past both. */
		dio_poison(&b->buf, 0, SIZE);
		ASSERT_EQ(2 * LEN, bench_move(b, WRITE, b->direct, at, LEN, 2 * LEN, 0));
		EXPECT_TRUE(bench_file_is_buffer(b, at, LEN, 2 * LEN))
			TH_LOG("round %d", i);
		EXPECT_TRUE(bench_buffer_is(b, LEN, map + at, 2 * LEN))
			TH_LOG("round %d", i);
		EXPECT_EQ(0, memcmp(map, b->image, at));
	}
	munmap(map, SIZE);
}

/* A gap does not make copies of all that follows it. */
TEST_F(contract, gap_is_copied_alone)
{
	size_t size = 6 * DIO_MIB, gap = DIO_MIB;
	struct dio_counters before, after;
	struct bench *b = &self->b;
	loff_t pos = 0, off = 0;
	ssize_t done = 0, ret;

	dio_buf_free(&b->buf);
	ASSERT_EQ(0, dio_buf_alloc(&b->buf, &dio_udmabuf, size));
	ASSERT_EQ(0, ftruncate(b->plain, size));
	for (pos = 0; pos < size; pos += SIZE)
		ASSERT_EQ(SIZE, pwrite(b->plain, b->image, SIZE, pos));
	ASSERT_EQ(0, fallocate(b->plain, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, gap, LEN));
	ASSERT_EQ(0, dio_count(b->buf.fd, &before));
	for (pos = 0; done < size; done += ret) {
		off = done;
		ret = b->call->move(b->direct, NULL, b->buf.fd,
				    dio_out(b->call, &off), size - done, 0);
		ASSERT_LT(0, ret);
	}
	ASSERT_EQ(0, dio_count(b->buf.fd, &after));
	EXPECT_EQ(size, after.dio_read + after.copy_read);
	if (variant->place->direct) {
		EXPECT_EQ(DIO_COPY_CHUNK, after.copy_read);
		EXPECT_STREQ("hole", after.reason);
	} else {
		EXPECT_EQ(size, after.copy_read);
		EXPECT_STREQ("file", after.reason);
	}
	memset(b->mem, 0, LEN);
	EXPECT_TRUE(bench_buffer_is(b, gap, b->mem, LEN));
	for (pos = 0; pos < size; pos += SIZE) {
		off = pos == gap ? LEN : 0;
		EXPECT_TRUE(bench_buffer_is(b, pos + off, b->image + off, SIZE - off));
	}
}

/* ---- files in use as swap space, which can be on disks only ---- */

FIXTURE(swap)
{
	struct bench b;
};

FIXTURE_VARIANT(swap)
{
	const struct dio_call *call;
	struct dio_place *place;
};

FIXTURE_VARIANT_ADD(swap, splice_ext4) { BY(splice, ext4) };
FIXTURE_VARIANT_ADD(swap, splice_xfs) { BY(splice, xfs) };
FIXTURE_VARIANT_ADD(swap, splice_f2fs) { BY(splice, f2fs) };
FIXTURE_VARIANT_ADD(swap, copy_file_range_ext4) { BY(copy_file_range, ext4) };
FIXTURE_VARIANT_ADD(swap, copy_file_range_xfs) { BY(copy_file_range, xfs) };
FIXTURE_VARIANT_ADD(swap, sendfile_ext4) { BY(sendfile, ext4) };
FIXTURE_VARIANT_ADD(swap, sendfile_xfs) { BY(sendfile, xfs) };
FIXTURE_VARIANT_ADD(swap, io_uring_ext4) { BY(io_uring, ext4) };
FIXTURE_VARIANT_ADD(swap, io_uring_xfs) { BY(io_uring, xfs) };

FIXTURE_SETUP(swap)
{
	self->b.call = variant->call;
	dio_ready(_metadata, bench_open(&self->b, variant->place));
}

FIXTURE_TEARDOWN(swap)
{
	bench_close(&self->b);
}

TEST_F(swap, is_for_nobody)
{
	ssize_t reads = variant->call == &dio_call_copy_file_range ? -ETXTBSY : LEN;
	struct bench *b = &self->b;
	char path[256];
	int fd;

	/* swapon(2) wants a name. */
	snprintf(path, sizeof(path), "%s/dmabuf-dio-swap", variant->place->path);
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_LE(0, fd);
	ASSERT_EQ(SIZE, pwrite(fd, b->image, SIZE, 0));
	ASSERT_EQ(0, fsync(fd));
	if (dio_run("mkswap %s", path) || swapon(path, 0)) {
		unlink(path);
		SKIP(return, "no swap files in this kernel");
	}
	close(b->direct);
	b->direct = dio_reopen(fd, O_RDWR | O_DIRECT);
	EXPECT_LE(0, b->direct);
	EXPECT_EQ(-ETXTBSY, bench_move(b, WRITE, fd, LEN, 0, LEN, 0));
	EXPECT_EQ(-ETXTBSY, bench_move(b, WRITE, b->direct, LEN, 0, LEN, 0));
	EXPECT_EQ(reads, bench_move(b, READ, fd, LEN, 0, LEN, 0));
	EXPECT_EQ(0, swapoff(path));
	EXPECT_EQ(LEN, bench_move(b, WRITE, b->direct, LEN, 0, LEN, 0));
	unlink(path);
	close(fd);
}

/* ---- a disk that is full ---- */

#define DISK	(8 * DIO_MIB)

static int small_mount(char *dir, const char *type, const char *source,
		       const char *options)
{
	snprintf(dir, DIO_NAME, "/tmp/dmabuf-dio.XXXXXX");
	if (!mkdtemp(dir))
		return -errno;
	return mount(source, dir, type, 0, options) ? -errno : 0;
}

/* As far as there is room, and then ENOSPC; what is there is right. */
static void fill(struct __test_metadata *_metadata, const char *dir)
{
	struct dio_buf buf;
	ssize_t ret, at = 0;
	int c, fd, d;
	loff_t off, pos;
	unsigned char *mem = aligned_alloc(DIO_ALIGNED, DISK);

	ASSERT_NE(NULL, mem);
	ASSERT_EQ(0, dio_buf_alloc(&buf, &dio_heap, DISK));
	dio_poison(&buf, 0, DISK);
	for (d = 0; d < 2; d++) {
		for (c = 0; dio_calls[c]; c++) {
			fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC |
				  (d ? O_DIRECT : 0), 0600);
			ASSERT_LE(0, fd);
			at = 0;
			do {
				off = at;
				pos = at;
				ret = dio_calls[c]->move(buf.fd, &off, fd,
							 dio_out(dio_calls[c], &pos),
							 DISK - at, 0);
				if (ret > 0)
					at += ret;
			} while (ret > 0 && at < DISK);
			EXPECT_EQ(-ENOSPC, ret);
			EXPECT_LT(0, at);
			EXPECT_GT(DISK, at);
			EXPECT_EQ(at, lseek(fd, 0, SEEK_END));
			EXPECT_EQ(at, pread(fd, mem, DISK, 0));
			if (!dio_sync_start(&buf, DMA_BUF_SYNC_READ))
				EXPECT_EQ(0, memcmp(mem, buf.map, at));
			dio_sync_end(&buf, DMA_BUF_SYNC_READ);
			close(fd);
		}
	}
	dio_buf_free(&buf);
	free(mem);
}

TEST(full_tmpfs)
{
	char dir[DIO_NAME];

	if (!dio_ready(_metadata, small_mount(dir, "tmpfs", "none", "size=1m")))
		return;
	fill(_metadata, dir);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

TEST(full_ext4)
{
	char dir[DIO_NAME], node[DIO_NAME], image[DIO_NAME];
	int fd;

	snprintf(image, sizeof(image), "/tmp/dmabuf-dio.XXXXXX");
	fd = mkostemp(image, O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, DISK - DIO_MIB));
	if (!dio_ready(_metadata, dio_run("mkfs.ext4 -F -m 0 %s", image) ?:
				  dio_loop(fd, node) ?:
				  small_mount(dir, "ext4", node, NULL)))
		return;
	fill(_metadata, dir);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	dio_loop_free(node);
	close(fd);
	unlink(image);
}

int main(int argc, char **argv)
{
	dio_places_make();
	return test_harness_run(argc, argv);
}
