// SPDX-License-Identifier: GPL-2.0
/*
 * Kinds of files: those that never go direct, those that share their blocks,
 * and those on file systems that end; and what else a transfer does: use up a
 * quota, change times, notify others. For ranges and calls see splice_matrix.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include <linux/capability.h>
#include <linux/dma-buf.h>
#include <linux/dqblk_xfs.h>
#include <linux/f2fs.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/quota.h>

#include "../kselftest_harness.h"
#include "lib/bench.h"

#define SECTOR		512

/* ---- what is never direct ---- */

FIXTURE(copied)
{
	struct bench b;
};

FIXTURE_VARIANT(copied)
{
	struct dio_place *place;
	const char *reason;
};

#define ON(p, why)	.place = &dio_on_##p, .reason = why

FIXTURE_VARIANT_ADD(copied, ext4_crypt) { ON(ext4_crypt, "file") };
FIXTURE_VARIANT_ADD(copied, f2fs_crypt) { ON(f2fs_crypt, "file") };
FIXTURE_VARIANT_ADD(copied, f2fs_compr) { ON(f2fs_compr, "file") };
FIXTURE_VARIANT_ADD(copied, dax) { ON(dax, "file") };
FIXTURE_VARIANT_ADD(copied, fuse) { ON(fuse, "file") };
FIXTURE_VARIANT_ADD(copied, 9p) { ON(9p, "file") };
FIXTURE_VARIANT_ADD(copied, ram) { ON(ram, "disk") };
FIXTURE_VARIANT_ADD(copied, zram) { ON(zram, "disk") };
FIXTURE_VARIANT_ADD(copied, dm_crypt) { ON(dm_crypt, "disk") };

FIXTURE_SETUP(copied)
{
	self->b.call = &dio_call_splice;
	dio_ready(_metadata, bench_open(&self->b, variant->place));
}

FIXTURE_TEARDOWN(copied)
{
	bench_close(&self->b);
}

/* What the buffer got, or the file, since @before. */
static void expect_counted(struct __test_metadata *_metadata, struct bench *b,
			   const struct dio_counters *before, int rw,
			   ssize_t direct, ssize_t copied, const char *reason)
{
	struct dio_counters now;

	ASSERT_EQ(0, dio_count(b->buf.fd, &now));
	EXPECT_EQ(rw == READ ? direct : 0, now.dio_read - before->dio_read);
	EXPECT_EQ(rw == WRITE ? direct : 0, now.dio_write - before->dio_write);
	EXPECT_EQ(rw == READ ? copied : 0, now.copy_read - before->copy_read);
	EXPECT_EQ(rw == WRITE ? copied : 0,
		  now.copy_write - before->copy_write);
	EXPECT_STREQ(reason, now.reason);
}

/* Nothing happens if it must not be copied; what is copied is right. */
TEST_F(copied, or_refused)
{
	struct bench *b = &self->b;
	struct dio_counters before;

	ASSERT_EQ(0, dio_count(b->buf.fd, &before));
	EXPECT_EQ(-EOPNOTSUPP, bench_move(b, READ, b->direct, LEN, LEN, LEN,
					  SPLICE_F_NOCOPY));
	EXPECT_TRUE(dio_is_poison(&b->buf, 0, SIZE));
	EXPECT_EQ(-EOPNOTSUPP, bench_move(b, WRITE, b->direct, LEN, LEN, LEN,
					  SPLICE_F_NOCOPY));
	EXPECT_TRUE(bench_file_is(b, 0, b->image, SIZE));
	expect_counted(_metadata, b, &before, READ, 0, 0, "none");

	EXPECT_EQ(LEN, bench_move(b, READ, b->direct, LEN, 2 * LEN, LEN, 0));
	expect_counted(_metadata, b, &before, READ, 0, LEN, variant->reason);
	EXPECT_TRUE(bench_buffer_is(b, 2 * LEN, b->image + LEN, LEN));
	EXPECT_TRUE(dio_is_poison(&b->buf, 0, 2 * LEN));
	EXPECT_TRUE(dio_is_poison(&b->buf, 3 * LEN, LEN));

	dio_poison(&b->buf, 0, SIZE);
	ASSERT_EQ(0, dio_count(b->buf.fd, &before));
	EXPECT_EQ(LEN, bench_move(b, WRITE, b->direct, 2 * LEN, LEN, LEN, 0));
	expect_counted(_metadata, b, &before, WRITE, 0, LEN, variant->reason);
	EXPECT_TRUE(bench_file_is_buffer(b, 2 * LEN, LEN, LEN));
	EXPECT_TRUE(bench_file_is(b, 0, b->image, 2 * LEN));
	EXPECT_TRUE(bench_file_is(b, 3 * LEN, b->image + 3 * LEN, LEN));
	EXPECT_TRUE(dio_is_poison(&b->buf, 0, SIZE));
}

/* What the disk holds of a file, past its file system; no more than an extent. */
static ssize_t read_disk(int fd, loff_t pos, void *mem, size_t len)
{
	char name[64], node[DIO_NAME + sizeof(name)];
	struct fiemap_extent extent;
	size_t room;
	ssize_t ret;

	ret = dio_disk(fd, name, sizeof(name)) ?:
	      dio_extent(fd, pos, len, 0, &extent);
	if (ret)
		return ret;
	snprintf(node, sizeof(node), "/dev/%s", name);
	fd = open(node, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	room = extent.fe_logical + extent.fe_length - pos;
	ret = pread(fd, mem, len < room ? len : room,
		    extent.fe_physical + (pos - extent.fe_logical));
	if (ret < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* ---- what is stored in another form, on a disk that takes dma-bufs ---- */

FIXTURE(stored)
{
	struct bench b;
};

FIXTURE_VARIANT(stored)
{
	struct dio_place *place;
	bool compressed;	/* else encrypted */
};

FIXTURE_VARIANT_ADD(stored, ext4_crypt) { .place = &dio_on_ext4_crypt };
FIXTURE_VARIANT_ADD(stored, f2fs_crypt) { .place = &dio_on_f2fs_crypt };
FIXTURE_VARIANT_ADD(stored, f2fs_compr) {
	.place = &dio_on_f2fs_compr,
	.compressed = true,
};

FIXTURE_SETUP(stored)
{
	self->b.call = &dio_call_splice;
	dio_ready(_metadata, bench_open(&self->b, variant->place));
}

FIXTURE_TEARDOWN(stored)
{
	bench_close(&self->b);
}

static void expect_saved(struct __test_metadata *_metadata, struct bench *b)
{
	__u64 blocks = 0;

	EXPECT_EQ(0, ioctl(b->plain, F2FS_IOC_GET_COMPRESS_BLOCKS, &blocks));
	EXPECT_LT(0, blocks);
}

static void expect_cipher(struct __test_metadata *_metadata, struct bench *b)
{
	ssize_t i, n = read_disk(b->plain, 0, b->mem, SIZE);

	ASSERT_LE((ssize_t)LEN, n);
	for (i = 0; i < n && memcmp(b->image + i, b->mem + i, SECTOR); i += SECTOR)
		;
	EXPECT_EQ(n, i)
		TH_LOG("plain text at %zd", i);
}

/* It is not on the disk as it was in the buffer, and the same when it is back. */
TEST_F(stored, in_its_form)
{
	struct bench *b = &self->b;
	size_t i;

	/* This can be compressed. */
	for (i = 0; i < SIZE; i++)
		b->image[i] = i / DIO_ALIGNED + 1;
	ASSERT_EQ(0, dio_sync_start(&b->buf, DMA_BUF_SYNC_WRITE));
	memcpy(b->buf.map, b->image, SIZE);
	ASSERT_EQ(0, dio_sync_end(&b->buf, DMA_BUF_SYNC_WRITE));

	ASSERT_EQ(SIZE, bench_move(b, WRITE, b->direct, 0, 0, SIZE, 0));
	ASSERT_EQ(0, fsync(b->plain));
	if (variant->compressed)
		expect_saved(_metadata, b);
	else
		expect_cipher(_metadata, b);

	dio_poison(&b->buf, 0, SIZE);
	ASSERT_EQ(0, posix_fadvise(b->plain, 0, 0, POSIX_FADV_DONTNEED));
	EXPECT_EQ(2 * LEN, bench_move(b, READ, b->direct, LEN, LEN, 2 * LEN, 0));
	EXPECT_TRUE(bench_buffer_is(b, LEN, b->image + LEN, 2 * LEN));
	EXPECT_TRUE(dio_is_poison(&b->buf, 0, LEN));
	EXPECT_TRUE(dio_is_poison(&b->buf, 3 * LEN, LEN));
}

/* It is the file: one next to it goes direct. */
TEST_F(stored, next_to_it)
{
	struct bench *b = &self->b;
	struct dio_counters before;
	char path[2 * DIO_NAME];

	close(b->plain);
	close(b->direct);
	b->direct = -1;
	snprintf(path, sizeof(path), "%s/..", variant->place->path);
	b->plain = open(path, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	ASSERT_LE(0, b->plain);
	ASSERT_EQ(SIZE, pwrite(b->plain, b->image, SIZE, 0));
	ASSERT_EQ(0, fsync(b->plain));
	b->direct = dio_reopen(b->plain, O_RDWR | O_DIRECT);
	ASSERT_LE(0, b->direct);

	ASSERT_EQ(0, dio_count(b->buf.fd, &before));
	EXPECT_EQ(LEN, bench_move(b, READ, b->direct, LEN, LEN, LEN,
				  SPLICE_F_NOCOPY));
	expect_counted(_metadata, b, &before, READ, LEN, 0, "none");
	EXPECT_TRUE(bench_buffer_is(b, LEN, b->image + LEN, LEN));
	ASSERT_EQ(0, dio_count(b->buf.fd, &before));
	EXPECT_EQ(LEN, bench_move(b, WRITE, b->direct, 2 * LEN, 0, LEN,
				  SPLICE_F_NOCOPY));
	expect_counted(_metadata, b, &before, WRITE, LEN, 0, "none");
	EXPECT_TRUE(bench_file_is_buffer(b, 2 * LEN, 0, LEN));
}

/*
 * What is refused after its blocks were allocated does not show what they held:
 * on these disks, something.
 */
TEST_F(stored, nothing_if_refused)
{
	const struct dio_before *before;
	struct bench *b = &self->b;

	for (before = dio_befores; before->name; before++) {
		ASSERT_EQ(0, dio_make_before(b->plain, before, SIZE));
		/* On F2FS, they have no place yet. */
		if (before->allocated && variant->place == &dio_on_ext4_crypt) {
			ASSERT_LE((ssize_t)DIO_ALIGNED,
				  read_disk(b->plain, 0, b->mem, SIZE));
			EXPECT_TRUE(*b->mem || memcmp(b->mem, b->mem + 1, DIO_ALIGNED - 1))
				TH_LOG("the disk was empty");
		}
		EXPECT_EQ(-EOPNOTSUPP, bench_move(b, WRITE, b->direct, 0, 0, SIZE,
						  SPLICE_F_NOCOPY))
			TH_LOG("%s", before->name);
		EXPECT_EQ(before->halves * 2 * LEN, lseek(b->plain, 0, SEEK_END));

		/* What is past the end is seen when the file grows. */
		ASSERT_EQ(0, ftruncate(b->plain, SIZE));
		ASSERT_EQ(0, fsync(b->plain));
		ASSERT_EQ(0, posix_fadvise(b->plain, 0, 0, POSIX_FADV_DONTNEED));
		memset(b->image, 0, SIZE);
		EXPECT_TRUE(bench_file_is(b, 0, b->image, SIZE))
			TH_LOG("%s", before->name);
	}
}

/* ---- shared blocks ---- */

FIXTURE(clone)
{
	struct bench b;
	int plain, direct;	/* of the clone */
};

FIXTURE_SETUP(clone)
{
	struct bench *b = &self->b;

	self->plain = -1;
	self->direct = -1;
	b->call = &dio_call_splice;
	if (!dio_ready(_metadata, bench_open(b, &dio_on_xfs)))
		return;
	ASSERT_EQ(0, fsync(b->plain));
	self->plain = dio_place_open(&dio_on_xfs);
	ASSERT_LE(0, self->plain);
	if (ioctl(self->plain, FICLONE, b->plain))
		SKIP(return, "no clones on this file system");
	self->direct = dio_reopen(self->plain, O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->direct);
}

FIXTURE_TEARDOWN(clone)
{
	bench_close(&self->b);
	close(self->plain);
	close(self->direct);
}

static bool shared(int fd, loff_t pos)
{
	struct fiemap_extent extent;

	return !dio_extent(fd, pos, 1, FIEMAP_FLAG_SYNC, &extent) &&
	       extent.fe_flags & FIEMAP_EXTENT_SHARED;
}

TEST_F(clone, is_read)
{
	struct bench *b = &self->b;
	struct dio_counters before;

	EXPECT_TRUE(shared(self->plain, LEN));
	ASSERT_EQ(0, dio_count(b->buf.fd, &before));
	EXPECT_EQ(2 * LEN, bench_move(b, READ, self->direct, LEN, LEN, 2 * LEN,
				      SPLICE_F_NOCOPY));
	expect_counted(_metadata, b, &before, READ, 2 * LEN, 0, "none");
	EXPECT_TRUE(bench_buffer_is(b, LEN, b->image + LEN, 2 * LEN));
	EXPECT_TRUE(dio_is_poison(&b->buf, 0, LEN));
	EXPECT_TRUE(dio_is_poison(&b->buf, 3 * LEN, LEN));
}

/* The range is that of the buffer, everything else as it was. */
static void expect_written(struct __test_metadata *_metadata, struct bench *b,
			   int fd, loff_t pos, size_t off, size_t len)
{
	ASSERT_EQ(SIZE, pread(fd, b->mem, SIZE, 0));
	EXPECT_EQ(0, memcmp(b->mem, b->image, pos));
	EXPECT_TRUE(bench_buffer_is(b, off, b->mem + pos, len));
	EXPECT_EQ(0, memcmp(b->mem + pos + len, b->image + pos + len,
			    SIZE - pos - len));
}

static void write_one(struct __test_metadata *_metadata, struct bench *b,
		      int direct, int other, loff_t pos, size_t off, size_t len)
{
	struct dio_counters before;
	unsigned int block, mem_align;
	size_t head, body;

	ASSERT_EQ(0, dio_alignment(direct, &block, &mem_align));
	ASSERT_LT(0, block);
	head = (block - pos % block) % block;
	body = (len - head) / block * block;

	dio_poison(&b->buf, 0, SIZE);
	ASSERT_EQ(0, dio_count(b->buf.fd, &before));
	EXPECT_TRUE(shared(direct, pos));
	EXPECT_EQ(len, bench_move(b, WRITE, direct, pos, off, len, 0));
	expect_counted(_metadata, b, &before, WRITE, body, len - body,
		       len == body ? before.reason : "alignment");

	/* What was direct is on the disk without more ado. */
	ASSERT_LE((ssize_t)DIO_ALIGNED,
		  read_disk(direct, pos + head, b->mem, body));
	EXPECT_TRUE(bench_buffer_is(b, off + head, b->mem, DIO_ALIGNED));

	expect_written(_metadata, b, direct, pos, off, len);
	EXPECT_FALSE(shared(direct, pos));
	EXPECT_TRUE(shared(direct, SIZE - 1));
	EXPECT_TRUE(dio_is_poison(&b->buf, 0, SIZE));

	/* The other one knows nothing of it, in memory and on the disk. */
	ASSERT_EQ(SIZE, pread(other, b->mem, SIZE, 0));
	EXPECT_EQ(0, memcmp(b->mem, b->image, SIZE));
	ASSERT_EQ(0, fsync(other));
	ASSERT_EQ(0, posix_fadvise(other, 0, 0, POSIX_FADV_DONTNEED));
	ASSERT_EQ(SIZE, pread(other, b->mem, SIZE, 0));
	EXPECT_EQ(0, memcmp(b->mem, b->image, SIZE));
}

TEST_F(clone, is_written)
{
	write_one(_metadata, &self->b, self->direct, self->b.direct, LEN,
		  2 * LEN, LEN);
}

TEST_F(clone, is_written_unaligned)
{
	write_one(_metadata, &self->b, self->direct, self->b.direct, LEN + 100,
		  2 * LEN + 100, LEN + 300);
}

TEST_F(clone, of_what_is_written)
{
	write_one(_metadata, &self->b, self->b.direct, self->direct, 0, LEN,
		  LEN);
}

/* A file that shares with itself what is moved to it. */
TEST_F(clone, of_itself)
{
	struct file_clone_range range = {
		.src_fd = self->plain,
		.src_length = LEN,
		.dest_offset = 2 * LEN,
	};
	struct bench *b = &self->b;

	ASSERT_EQ(0, ioctl(self->plain, FICLONERANGE, &range));
	memcpy(b->image + 2 * LEN, b->image, LEN);
	EXPECT_EQ(SIZE, bench_move(b, READ, self->direct, 0, 0, SIZE,
				   SPLICE_F_NOCOPY));
	EXPECT_TRUE(bench_buffer_is(b, 0, b->image, SIZE));
	EXPECT_EQ(LEN, bench_move(b, WRITE, self->direct, 0, LEN, LEN,
				  SPLICE_F_NOCOPY));
	expect_written(_metadata, b, self->direct, 0, LEN, LEN);
	ASSERT_EQ(0, fsync(self->plain));
	ASSERT_EQ(0, posix_fadvise(self->plain, 0, 0, POSIX_FADV_DONTNEED));
	expect_written(_metadata, b, self->plain, 0, LEN, LEN);
}

/* ---- quotas ---- */

FIXTURE(quota)
{
	struct bench b;
	uid_t owner;
};

FIXTURE_VARIANT(quota)
{
	const struct dio_call *call;
	struct dio_place *place;
};

#define BY(c, p)	.call = &dio_call_##c, .place = &dio_on_##p

FIXTURE_VARIANT_ADD(quota, splice_xfs) { BY(splice, xfs_quota) };
FIXTURE_VARIANT_ADD(quota, copy_file_range_xfs) { BY(copy_file_range, xfs_quota) };
FIXTURE_VARIANT_ADD(quota, sendfile_xfs) { BY(sendfile, xfs_quota) };
FIXTURE_VARIANT_ADD(quota, io_uring_xfs) { BY(io_uring, xfs_quota) };
FIXTURE_VARIANT_ADD(quota, splice_ext4) { BY(splice, ext4_quota) };
FIXTURE_VARIANT_ADD(quota, io_uring_ext4) { BY(io_uring, ext4_quota) };

/* Who has it may exceed quotas of ext4. */
static int drop_sys_resource(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(__NR_capget, &header, data))
		return -errno;
	data[0].effective &= ~(1U << CAP_SYS_RESOURCE);
	return syscall(__NR_capset, &header, data) ? -errno : 0;
}

FIXTURE_SETUP(quota)
{
	self->b.call = variant->call;
	/* The blocks of the last test's file may still be counted. */
	self->owner = 1000 + getpid();
	if (!dio_ready(_metadata, bench_open(&self->b, variant->place)))
		return;
	ASSERT_EQ(0, fchown(self->b.plain, self->owner, -1));
	ASSERT_EQ(0, drop_sys_resource());
}

FIXTURE_TEARDOWN(quota)
{
	bench_close(&self->b);
}

static int allow(int fd, uid_t owner, size_t bytes)
{
	struct fs_disk_quota limit = {
		.d_version = FS_DQUOT_VERSION,
		.d_flags = FS_USER_QUOTA,
		.d_fieldmask = FS_DQ_BHARD,
		.d_id = owner,
		.d_blk_hardlimit = bytes / SECTOR,
	};

	return syscall(__NR_quotactl_fd, fd, QCMD(Q_XSETQLIM, USRQUOTA), owner,
		       &limit) ? -errno : 0;
}

/* As much as write(2), and then EDQUOT. */
TEST_F(quota, is_used_up)
{
	struct bench *b = &self->b;
	ssize_t want, end;
	int d, fd;

	for (d = 0; d < 2; d++) {
		fd = d ? b->direct : b->plain;
		ASSERT_EQ(0, allow(fd, self->owner, SIZE + LEN));
		ASSERT_EQ(0, ftruncate(fd, SIZE));
		want = pwrite(fd, b->image, SIZE, SIZE) < 0 ? -errno :
		       lseek(fd, 0, SEEK_END) - SIZE;
		ASSERT_NE(SIZE, want);
		ASSERT_EQ(0, ftruncate(fd, SIZE));

		EXPECT_EQ(want, bench_move(b, WRITE, fd, SIZE, 0, SIZE, 0));
		end = SIZE + (want > 0 ? want : 0);
		EXPECT_EQ(end, lseek(fd, 0, SEEK_END));
		EXPECT_EQ(-EDQUOT, bench_move(b, WRITE, fd, end, 0, SIZE, 0));
		EXPECT_EQ(end, lseek(fd, 0, SEEK_END));
		EXPECT_TRUE(bench_file_is_buffer(b, SIZE, 0, end - SIZE));

		/* What is there may be overwritten, and read. */
		EXPECT_EQ(LEN, bench_move(b, WRITE, fd, 0, LEN, LEN, 0));
		EXPECT_TRUE(bench_file_is_buffer(b, 0, LEN, LEN));
		ASSERT_EQ(LEN, pwrite(b->plain, b->image, LEN, 0));
		EXPECT_EQ(LEN, bench_move(b, READ, fd, 0, 0, LEN, 0));
		EXPECT_TRUE(bench_buffer_is(b, 0, b->image, LEN));
		dio_poison(&b->buf, 0, SIZE);

		ASSERT_EQ(0, allow(fd, self->owner, 4 * SIZE));
		EXPECT_EQ(SIZE, bench_move(b, WRITE, fd, end, 0, SIZE, 0));
		EXPECT_TRUE(bench_file_is_buffer(b, end, 0, SIZE));
		EXPECT_TRUE(bench_file_is(b, 0, b->image, SIZE));
	}
}

/* ---- what others notice ---- */

FIXTURE(noticed)
{
	struct bench b;
};

FIXTURE_VARIANT(noticed)
{
	const struct dio_call *call;
	struct dio_place *place;
};

FIXTURE_VARIANT_ADD(noticed, splice_ext4) { BY(splice, ext4) };
FIXTURE_VARIANT_ADD(noticed, splice_xfs) { BY(splice, xfs) };
FIXTURE_VARIANT_ADD(noticed, splice_f2fs) { BY(splice, f2fs) };
FIXTURE_VARIANT_ADD(noticed, splice_tmpfs) { BY(splice, tmpfs) };
FIXTURE_VARIANT_ADD(noticed, splice_ext4_crypt) { BY(splice, ext4_crypt) };
FIXTURE_VARIANT_ADD(noticed, copy_file_range_ext4) { BY(copy_file_range, ext4) };
FIXTURE_VARIANT_ADD(noticed, copy_file_range_xfs) { BY(copy_file_range, xfs) };
FIXTURE_VARIANT_ADD(noticed, copy_file_range_f2fs) { BY(copy_file_range, f2fs) };
FIXTURE_VARIANT_ADD(noticed, sendfile_ext4) { BY(sendfile, ext4) };
FIXTURE_VARIANT_ADD(noticed, sendfile_xfs) { BY(sendfile, xfs) };
FIXTURE_VARIANT_ADD(noticed, sendfile_f2fs) { BY(sendfile, f2fs) };
FIXTURE_VARIANT_ADD(noticed, io_uring_ext4) { BY(io_uring, ext4) };
FIXTURE_VARIANT_ADD(noticed, io_uring_xfs) { BY(io_uring, xfs) };
FIXTURE_VARIANT_ADD(noticed, io_uring_f2fs) { BY(io_uring, f2fs) };

FIXTURE_SETUP(noticed)
{
	self->b.call = variant->call;
	dio_ready(_metadata, bench_open(&self->b, variant->place));
}

FIXTURE_TEARDOWN(noticed)
{
	bench_close(&self->b);
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* The clock that files are told the time by has gone on since. */
static bool is_past(struct timespec t)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now.tv_sec > t.tv_sec ||
	       (now.tv_sec == t.tv_sec && now.tv_nsec > t.tv_nsec);
}

/* Times of long ago, and which of them are others after something happened. */
static int make_old(int fd, struct stat *st)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };

	if (futimens(fd, old) || fstat(fd, st))
		return -errno;
	return dio_wait_for(is_past(st->st_ctim)) ? 0 : -ETIME;
}

enum { NEW_ATIME = 1, NEW_MTIME = 2, NEW_CTIME = 4 };

static int new_times(int fd, const struct stat *was)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	return (same_time(st.st_atim, was->st_atim) ? 0 : NEW_ATIME) |
	       (same_time(st.st_mtim, was->st_mtim) ? 0 : NEW_MTIME) |
	       (same_time(st.st_ctim, was->st_ctim) ? 0 : NEW_CTIME);
}

/* As by read(2) and write(2), and only if something was moved. */
TEST_F(noticed, times)
{
	struct bench *b = &self->b;
	int d, fd, want;
	struct stat was;

	for (d = 0; d < 2; d++) {
		fd = d ? b->direct : b->plain;

		ASSERT_EQ(0, make_old(fd, &was));
		ASSERT_EQ(LEN, pwrite(fd, b->image, LEN, 0));
		EXPECT_EQ(NEW_MTIME | NEW_CTIME, new_times(fd, &was));
		ASSERT_EQ(0, make_old(fd, &was));
		EXPECT_EQ(LEN, bench_move(b, WRITE, fd, 0, 0, LEN, 0));
		EXPECT_EQ(NEW_MTIME | NEW_CTIME, new_times(fd, &was)) TH_LOG("%d", d);

		ASSERT_EQ(0, make_old(fd, &was));
		ASSERT_EQ(LEN, pread(fd, b->mem, LEN, 0));
		want = new_times(fd, &was);
		ASSERT_EQ(0, want & ~NEW_ATIME);
		ASSERT_EQ(0, make_old(fd, &was));
		EXPECT_EQ(LEN, bench_move(b, READ, fd, 0, 0, LEN, 0));
		EXPECT_EQ(want, new_times(fd, &was)) TH_LOG("%d", d);

		fd = dio_reopen(b->plain, O_RDWR | O_NOATIME |
					  (d ? O_DIRECT : 0));
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, make_old(fd, &was));
		EXPECT_EQ(LEN, bench_move(b, READ, fd, 0, 0, LEN, 0));
		EXPECT_EQ(0, new_times(fd, &was));
		close(fd);
	}

	if (!b->call->takes_flags)
		return;
	ASSERT_EQ(0, make_old(b->plain, &was));
	EXPECT_EQ(-EOPNOTSUPP, bench_move(b, READ, b->plain, 0, 0, LEN,
					  SPLICE_F_NOCOPY));
	EXPECT_EQ(-EOPNOTSUPP, bench_move(b, WRITE, b->plain, 0, 0, LEN,
					  SPLICE_F_NOCOPY));
	EXPECT_EQ(0, new_times(b->plain, &was));
}

static unsigned int take_events(int watch)
{
	union {
		struct inotify_event event;
		char space[4096];
	} u;
	unsigned int found = 0;
	ssize_t i, n;

	while ((n = read(watch, &u, sizeof(u))) > 0)
		for (i = 0; i < n; i += sizeof(u.event))
			found |= ((struct inotify_event *)(u.space + i))->mask;
	return found;
}

/* The same call, but to or from a pipe or, if it takes none, another file. */
static ssize_t move_without_buffer(struct bench *b, int rw, int fd, loff_t pos)
{
	bool pipes = b->call == &dio_call_splice ||
		     b->call == &dio_call_io_uring;
	loff_t *ppos = &pos;
	int ends[2];
	ssize_t ret;

	if (pipes) {
		if (pipe(ends))
			return -errno;
		if (rw == WRITE && write(ends[1], b->image, DIO_ALIGNED) !=
				   DIO_ALIGNED)
			return -EIO;
	} else {
		ends[0] = dio_place_open(b->place);
		ends[1] = dup(ends[0]);
		if (ends[1] < 0)
			return -errno;
		if (rw == WRITE && pwrite(ends[0], b->image, DIO_ALIGNED, 0) !=
				   DIO_ALIGNED)
			return -EIO;
	}
	if (rw == WRITE && b->call->out_position) {
		if (lseek(fd, pos, SEEK_SET) != pos)
			return -errno;
		ppos = NULL;
	}
	if (rw == READ)
		ret = b->call->move(fd, ppos, ends[1], NULL, DIO_ALIGNED, 0);
	else
		ret = b->call->move(ends[0], NULL, fd, ppos, DIO_ALIGNED, 0);
	close(ends[0]);
	close(ends[1]);
	return ret;
}

TEST_F(noticed, events)
{
	struct bench *b = &self->b;
	int d, fd, watch;
	unsigned int want;
	char path[64];

	watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch < 0)
		SKIP(return, "no inotify in this kernel");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", b->plain);
	ASSERT_LE(0, inotify_add_watch(watch, path, IN_ALL_EVENTS));

	for (d = 0; d < 2; d++) {
		fd = d ? b->direct : b->plain;
		EXPECT_EQ(DIO_ALIGNED, move_without_buffer(b, READ, fd, LEN));
		want = take_events(watch);
		EXPECT_EQ(IN_ACCESS, want);
		EXPECT_EQ(LEN, bench_move(b, READ, fd, LEN, 0, LEN, 0));
		EXPECT_EQ(want, take_events(watch)) TH_LOG("%d", d);

		EXPECT_EQ(DIO_ALIGNED, move_without_buffer(b, WRITE, fd, LEN));
		want = take_events(watch);
		EXPECT_EQ(IN_MODIFY, want);
		EXPECT_EQ(LEN, bench_move(b, WRITE, fd, LEN, 0, LEN, 0));
		EXPECT_EQ(want, take_events(watch)) TH_LOG("%d", d);

		/* At the end there is nothing to be told of, nor if refused. */
		EXPECT_EQ(0, move_without_buffer(b, READ, fd, SIZE));
		want = take_events(watch);
		EXPECT_EQ(0, bench_move(b, READ, fd, SIZE, 0, LEN, 0));
		EXPECT_EQ(want, take_events(watch)) TH_LOG("%d", d);
	}
	if (b->call->takes_flags) {
		EXPECT_EQ(-EOPNOTSUPP, bench_move(b, READ, b->plain, 0, 0, LEN,
						  SPLICE_F_NOCOPY));
		EXPECT_EQ(-EOPNOTSUPP, bench_move(b, WRITE, b->plain, 0, 0, LEN,
						  SPLICE_F_NOCOPY));
		EXPECT_EQ(0, take_events(watch));
	}
	close(watch);
}

/* To be refused is no error of the file system. */
TEST_F(noticed, no_errors)
{
	struct bench *b = &self->b;
	char path[64], event[256];
	ssize_t want = LEN;
	int watch;

	watch = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_NONBLOCK |
			      FAN_CLOEXEC, O_RDONLY);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", b->plain);
	if (watch < 0 || fanotify_mark(watch, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
				       FAN_FS_ERROR, AT_FDCWD, path))
		SKIP(return, "no notifications of errors in this kernel");
	if (!variant->place->direct)
		want = -EOPNOTSUPP;
	if (b->call->takes_flags) {
		EXPECT_EQ(want, bench_move(b, READ, b->direct, 0, 0, LEN,
					   SPLICE_F_NOCOPY));
		EXPECT_EQ(want, bench_move(b, WRITE, b->direct, 0, 0, LEN,
					   SPLICE_F_NOCOPY));
	}
	/* A hole is refused, and copied. */
	ASSERT_EQ(0, ftruncate(b->plain, 2 * SIZE));
	EXPECT_EQ(LEN, bench_move(b, READ, b->direct, SIZE, 0, LEN, 0));
	EXPECT_EQ(LEN, bench_move(b, WRITE, b->direct, SIZE, 0, LEN, 0));
	EXPECT_GT(0, read(watch, event, sizeof(event)));
	EXPECT_EQ(EAGAIN, errno);
	close(watch);
}

/* ---- file systems that ended ---- */

#ifndef FS_IOC_SHUTDOWN
#define FS_IOC_SHUTDOWN	_IOR('X', 125, __u32)
#endif

/* That happens while a file is open: who shuts down a file system, or it itself. */
static int shut_down(struct bench *b)
{
	__u32 how = 0;

	return ioctl(b->plain, FS_IOC_SHUTDOWN, &how) ? -errno : 0;
}

static int find_error(struct bench *b)
{
	char name[64], path[128];
	int ret = dio_disk(b->plain, name, sizeof(name));

	snprintf(path, sizeof(path), "/sys/fs/ext4/%s/trigger_fs_error", name);
	return ret ?: dio_write_file(path, "splice_kinds");
}

FIXTURE(ended)
{
	struct bench b;
};

FIXTURE_VARIANT(ended)
{
	struct dio_place *place;
	int (*by)(struct bench *b);
	int error;
};

FIXTURE_VARIANT_ADD(ended, xfs_shut_down) {
	.place = &dio_on_xfs_quota,
	.by = shut_down,
	.error = -EIO,
};

FIXTURE_VARIANT_ADD(ended, ext4_read_only) {
	.place = &dio_on_ext4_quota,
	.by = find_error,
	.error = -EROFS,
};

FIXTURE_SETUP(ended)
{
	self->b.call = &dio_call_splice;
	dio_ready(_metadata, bench_open(&self->b, variant->place));
}

FIXTURE_TEARDOWN(ended)
{
	bench_close(&self->b);
}

/* As read(2) and write(2). The last: these file systems are of no use then. */
TEST_F(ended, as_for_others)
{
	ssize_t want_read, want_write;
	struct bench *b = &self->b;
	int d, fd;

	ASSERT_EQ(0, fsync(b->plain));
	ASSERT_EQ(0, variant->by(b));
	for (d = 0; d < 2; d++) {
		fd = d ? b->direct : b->plain;
		want_read = pread(fd, b->mem, LEN, 0) < 0 ? -errno : LEN;
		want_write = pwrite(fd, b->image, LEN, 0) < 0 ? -errno : LEN;
		EXPECT_EQ(variant->error, want_write);
		EXPECT_EQ(want_write, bench_move(b, WRITE, fd, 0, 0, LEN, 0));

		dio_poison(&b->buf, 0, SIZE);
		EXPECT_EQ(want_read, bench_move(b, READ, fd, 0, 0, LEN, 0));
		EXPECT_TRUE(want_read < 0 ? dio_is_poison(&b->buf, 0, LEN) :
			    bench_buffer_is(b, 0, b->image, LEN));
		EXPECT_TRUE(dio_is_poison(&b->buf, LEN, SIZE - LEN));
	}
}

int main(int argc, char **argv)
{
	static struct dio_place *const more[] = {
		&dio_on_ext4_crypt, &dio_on_f2fs_crypt, &dio_on_f2fs_compr,
		&dio_on_xfs_quota, &dio_on_ext4_quota, &dio_on_fuse,
		&dio_on_9p, &dio_on_ram, &dio_on_zram, &dio_on_dm_crypt, NULL
	};

	dio_places_make();
	dio_places_make_more(more);
	return test_harness_run(argc, argv);
}
