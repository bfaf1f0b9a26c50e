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

#define TIMEOUT		120

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
TEST_F_TIMEOUT(contract, file_size_limit, TIMEOUT)
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
TEST_F_TIMEOUT(contract, file_size_limit_between_pieces, TIMEOUT)
{
	static const struct {
		rlim_t limit;
		loff_t pos;
		size_t len;
		bool direct;
		long long by_dma;	/* at least, if any */
	} tries[] = {
		/* Two copies, and two direct chunks. */
		{ DIO_MIB, 0, 3 * DIO_MIB, false, 0 },
		{ 32 * DIO_MIB, 0, 48 * DIO_MIB, true, 32 * DIO_MIB },
		/* A head, or a tail, and what is aligned. */
		{ DIO_ALIGNED, 100, LEN, true, 0 },
		{ DIO_MIB, 0, DIO_MIB + 100, true, DIO_MIB },
	};
	bool in_task = variant->call != &dio_call_io_uring;
	struct dio_counters before, after;
	struct bench *b = &self->b;
	struct rlimit limit;
	ssize_t want;
	int i, fd;

	signal(SIGXFSZ, on_sigxfsz);
	dio_buf_free(&b->buf);
	ASSERT_EQ(0, dio_buf_alloc(&b->buf, &dio_heap, 48 * DIO_MIB));
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
		if (variant->place->direct)
			EXPECT_LE(tries[i].by_dma, after.dio_write - before.dio_write)
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

/* Beyond what the file system can store. */
TEST_F_TIMEOUT(contract, too_far, TIMEOUT)
{
	loff_t pos = LLONG_MAX / 4096 * 4096 - 2 * LEN;
	struct bench *b = &self->b;
	ssize_t want;

	/* tmpfs and XFS may go as far as offsets do */
	want = pwrite(b->plain, b->image, LEN, pos) < 0 ? -errno : LEN;
	if (want > 0)
		SKIP(return, "no end");
	if (variant->call->out_position && lseek(b->plain, pos, SEEK_SET) < 0)
		SKIP(return, "cannot seek there");
	signal(SIGXFSZ, SIG_IGN);
	EXPECT_EQ(want, bench_move(b, WRITE, b->plain, pos, 0, LEN, 0));
	EXPECT_EQ(want, bench_move(b, WRITE, b->direct, pos, 0, LEN, 0));
	EXPECT_EQ(SIZE, lseek(b->plain, 0, SEEK_END));
}

static int set_flags(int fd, int flags)
{
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) ? -errno : 0;
}

/* A descriptor that was opened before: as write(2), or refused. */
TEST_F_TIMEOUT(contract, immutable, TIMEOUT)
{
	struct bench *b = &self->b;
	ssize_t want;
	int flags;

	if (ioctl(b->plain, FS_IOC_GETFLAGS, &flags) ||
	    set_flags(b->plain, flags | FS_IMMUTABLE_FL))
		SKIP(return, "no immutable files");
	want = pwrite(b->plain, b->image, LEN, 0) < 0 ? -EPERM : LEN;
	if (variant->call == &dio_call_copy_file_range)
		want = -EPERM;
	EXPECT_EQ(want, bench_move(b, WRITE, b->plain, 0, 0, LEN, 0));
	EXPECT_EQ(want, bench_move(b, WRITE, b->direct, 0, 0, LEN, 0));
	EXPECT_EQ(LEN, bench_move(b, READ, b->direct, 0, 0, LEN, 0));
	set_flags(b->plain, flags);
}

TEST_F_TIMEOUT(contract, swap_file, TIMEOUT)
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
		SKIP(return, "no swap files here");
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

TEST_F_TIMEOUT(contract, dsync, TIMEOUT)
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

TEST_F_TIMEOUT(contract, lease, TIMEOUT)
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
		SKIP(return, "no leases here");
	EXPECT_EQ(LEN, bench_move(b, READ, fd, 0, 0, LEN, 0));
	EXPECT_EQ(LEN, bench_move(b, WRITE, fd, LEN, 0, LEN, 0));
	EXPECT_EQ(F_WRLCK, fcntl(fd, F_GETLEASE));
	close(fd);
}

/* A file that has a hole of more than 4 GiB. */
TEST_F_TIMEOUT(contract, past_4g, TIMEOUT)
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
TEST_F_TIMEOUT(contract, lengths, TIMEOUT)
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
TEST_F_TIMEOUT(contract, positions, TIMEOUT)
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
TEST_F_TIMEOUT(contract, coherence, TIMEOUT)
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
TEST_F_TIMEOUT(contract, gap_is_copied_alone, TIMEOUT)
{
	size_t size = 6 * DIO_MIB, gap = DIO_MIB;
	struct dio_counters before, after;
	struct bench *b = &self->b;
	loff_t pos = 0, off = 0;
	ssize_t done = 0, ret;

	if (!variant->place->direct)
		SKIP(return, "all is copied");
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
	EXPECT_LE(LEN, after.copy_read);
	EXPECT_GE(DIO_MIB, after.copy_read);
	EXPECT_STREQ("hole", after.reason);
	memset(b->mem, 0, LEN);
	EXPECT_TRUE(bench_buffer_is(b, gap, b->mem, LEN));
	for (pos = 0; pos < size; pos += SIZE) {
		off = pos == gap ? LEN : 0;
		EXPECT_TRUE(bench_buffer_is(b, pos + off, b->image + off, SIZE - off));
	}
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
