// SPDX-License-Identifier: GPL-2.0
/*
 * What the calls that move data between files and dma-bufs refuse, where they
 * stop, and what they leave alone. Which bytes they move is the business of
 * splice_matrix.
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
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/uio.h>

#include <linux/dma-buf.h>
#include <linux/fs.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define TIMEOUT		120
#define SIZE		(256 * DIO_KIB)	/* of file and buffer */
#define LEN		(64 * DIO_KIB)

enum { READ, WRITE };

/* A call, a file and a buffer. */
struct bench {
	const struct dio_call *call;
	const struct dio_place *place;
	struct dio_buf buf;
	int plain, direct;
	size_t block;
	unsigned char *image;		/* what the file holds */
	unsigned char *mem;		/* for comparison */
};

static int bench_open(struct bench *b, const struct dio_place *place)
{
	struct statx stx;
	int ret;

	b->place = place;
	b->buf.fd = -1;
	b->buf.memfd = -1;
	b->buf.hugepages = -1;
	b->plain = -1;
	b->direct = -1;
	ret = dio_place_ready(place);
	if (ret)
		return ret;
	b->image = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->image == MAP_FAILED)
		return -ENOMEM;
	b->mem = b->image + SIZE;
	dio_pattern(b->image, 1 + dio_random() % 0x7fff, 0, SIZE);

	b->plain = dio_place_open(place);
	if (b->plain < 0)
		return b->plain;
	if (pwrite(b->plain, b->image, SIZE, 0) != SIZE)
		return -errno;
	b->direct = dio_reopen(b->plain, O_RDWR | O_DIRECT);
	if (b->direct < 0)
		return b->direct;
	if (statx(b->direct, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx))
		return -errno;
	b->block = stx.stx_dio_offset_align ?: DIO_ALIGNED;
	ret = dio_buf_alloc(&b->buf, &dio_heap, SIZE);
	if (!ret)
		dio_poison(&b->buf, 0, SIZE);
	return ret;
}

static void bench_close(struct bench *b)
{
	dio_buf_free(&b->buf);
	if (b->direct >= 0)
		close(b->direct);
	if (b->plain >= 0)
		close(b->plain);
	if (b->image)
		munmap(b->image, 2 * SIZE);
}

/* A new buffer, full of poison, with its position at @pos. */
static int buffer_at(struct bench *b, loff_t pos)
{
	int ret = 0;

	if (dio_pos(b->buf.fd) == pos)
		return 0;
	dio_buf_free(&b->buf);
	ret = dio_buf_alloc(&b->buf, &dio_heap, SIZE) ?:
	      dio_advance(b->buf.fd, pos);
	dio_poison(&b->buf, 0, SIZE);
	return ret;
}

/* The call, with offsets; what has none gets the position there instead. */
static ssize_t move(struct bench *b, int rw, int fd, loff_t pos, loff_t off,
		    size_t len, unsigned int flags)
{
	loff_t *ppos = &pos, *poff = &off, pos_was = pos, off_was = off, step;
	ssize_t ret;

	if (b->call->out_position && rw == READ) {
		ret = buffer_at(b, off);
		if (ret)
			return ret;
		poff = NULL;
	} else if (b->call->out_position) {
		if (lseek(fd, pos, SEEK_SET) != pos)
			return -errno;
		ppos = NULL;
	}

	if (rw == READ)
		ret = b->call->move(fd, ppos, b->buf.fd, poff, len, flags);
	else
		ret = b->call->move(b->buf.fd, poff, fd, ppos, len, flags);

	step = ret > 0 ? ret : 0;
	if (!poff)
		off = dio_pos(b->buf.fd);
	if (!ppos)
		pos = lseek(fd, 0, SEEK_CUR);
	if (pos != pos_was + step || off != off_was + step) {
		dio_log("%s returned %zd, but went %lld and %lld on",
			b->call->name, ret, (long long)(pos - pos_was),
			(long long)(off - off_was));
		return -EBADE;
	}
	return ret;
}

static bool buffer_is(struct bench *b, size_t off, const void *data, size_t len)
{
	bool same;

	if (dio_sync_start(&b->buf, DMA_BUF_SYNC_READ))
		return false;
	same = !memcmp(b->buf.map + off, data, len);
	return !dio_sync_end(&b->buf, DMA_BUF_SYNC_READ) && same;
}

static void buffer_get(struct bench *b, size_t off, void *data, size_t len)
{
	if (dio_sync_start(&b->buf, DMA_BUF_SYNC_READ))
		abort();
	memcpy(data, b->buf.map + off, len);
	dio_sync_end(&b->buf, DMA_BUF_SYNC_READ);
}

static bool file_is(struct bench *b, loff_t pos, const void *data, size_t len)
{
	return pread(b->plain, b->mem, len, pos) == (ssize_t)len &&
	       !memcmp(b->mem, data, len);
}

/* The file holds at @pos what the buffer holds at @off. */
static bool file_is_buffer(struct bench *b, loff_t pos, size_t off, size_t len)
{
	return pread(b->plain, b->mem, len, pos) == (ssize_t)len &&
	       buffer_is(b, off, b->mem, len);
}

/* ---- a table of refusals, and of what is not refused ---- */

/* No descriptor has this value; -1 is EPERM. */
#define SKIPPED		(-4096)

static int direct(struct bench *b)
{
	return dio_reopen(b->plain, O_RDWR | O_DIRECT);
}

static int buffered(struct bench *b)
{
	return dio_reopen(b->plain, O_RDWR);
}

static int read_only(struct bench *b)
{
	return dio_reopen(b->plain, O_RDONLY | O_DIRECT);
}

static int write_only(struct bench *b)
{
	return dio_reopen(b->plain, O_WRONLY | O_DIRECT);
}

static int path_only(struct bench *b)
{
	return dio_reopen(b->plain, O_PATH);
}

static int appending(struct bench *b)
{
	return dio_reopen(b->plain, O_RDWR | O_APPEND | O_DIRECT);
}

static int not_open(struct bench *b)
{
	(void)b;
	return 1000;
}

static int open_path(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int directory(struct bench *b)
{
	(void)b;
	return open_path(".", O_RDONLY | O_DIRECTORY);
}

static int proc_file(struct bench *b)
{
	(void)b;
	return open_path("/proc/self/status", O_RDONLY);
}

static int char_device(struct bench *b)
{
	(void)b;
	return open_path("/dev/zero", O_RDWR);
}

static int on_tmpfs(struct bench *b)
{
	int fd, ret;

	(void)b;
	if (dio_place_ready(&dio_on_tmpfs))
		return SKIPPED;
	fd = dio_place_open(&dio_on_tmpfs);
	if (fd < 0)
		return fd;
	ret = ftruncate(fd, SIZE) ? -errno : dio_reopen(fd, O_RDWR | O_DIRECT);
	close(fd);
	return ret;
}

static int loop_device(struct bench *b)
{
	(void)b;
	if (dio_place_ready(&dio_on_loop))
		return SKIPPED;
	return open_path(dio_on_loop.path, O_RDWR | O_DIRECT);
}

static int hole(struct bench *b)
{
	if (ftruncate(b->plain, 0) || ftruncate(b->plain, SIZE))
		return -errno;
	memset(b->image, 0, SIZE);
	return direct(b);
}

static int hole_behind(struct bench *b)
{
	if (ftruncate(b->plain, LEN / 2) || ftruncate(b->plain, SIZE))
		return -errno;
	memset(b->image + LEN / 2, 0, SIZE - LEN / 2);
	return direct(b);
}

static int socket_end(struct bench *b)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
		return -errno;
	if (write(fd[1], b->image, 100) != 100)
		return -errno;
	close(fd[1]);
	return fd[0];
}

static int pipe_end(struct bench *b)
{
	char path[64];
	int fd[2], rw;

	if (pipe(fd))
		return -errno;
	if (write(fd[1], b->image, 100) != 100)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd[0]);
	rw = open_path(path, O_RDWR);
	close(fd[0]);
	close(fd[1]);
	return rw;
}

static int other_dmabuf(struct bench *b)
{
	(void)b;
	return dio_heap_alloc(SIZE, O_RDWR);
}

static int same_dmabuf(struct bench *b)
{
	return dup(b->buf.fd);
}

static int file_dmabuf(struct bench *b)
{
	return direct(b);
}

/* These take the place of the one that was poisoned. */
static int replace_buffer(struct bench *b, int flags, int prot)
{
	dio_buf_free(&b->buf);
	b->buf.size = SIZE;
	b->buf.fd = dio_heap_alloc(SIZE, flags);
	if (b->buf.fd < 0)
		return b->buf.fd;
	if (prot) {
		b->buf.map = mmap(NULL, SIZE, prot, MAP_SHARED, b->buf.fd, 0);
		if (b->buf.map == MAP_FAILED)
			return -errno;
	}
	return dup(b->buf.fd);
}

static int read_only_dmabuf(struct bench *b)
{
	return replace_buffer(b, O_RDONLY, PROT_READ);
}

static int write_only_dmabuf(struct bench *b)
{
	return replace_buffer(b, O_WRONLY, 0);
}

static int path_dmabuf(struct bench *b)
{
	return dio_reopen(b->buf.fd, O_PATH);
}

FIXTURE(refusal)
{
};

FIXTURE_VARIANT(refusal)
{
	int rw;
	int (*file)(struct bench *b);		/* default: direct */
	int (*buffer)(struct bench *b);		/* default: the poisoned one */
	loff_t pos, off;
	bool pos_null;		/* at the file's position, which is 0 */
	size_t len;
	unsigned int flags;
	ssize_t want;
	ssize_t want_cfr;	/* of copy_file_range, if it is another */
	bool no_sendfile;	/* cannot be said with it */
};

FIXTURE_SETUP(refusal)
{
}

FIXTURE_TEARDOWN(refusal)
{
}

#define ENTRY(name)	FIXTURE_VARIANT_ADD(refusal, name)
#define FILE_ENDS	(LLONG_MAX - DIO_ALIGNED + 1)
#define NOCOPY		.flags = SPLICE_F_NOCOPY, .no_sendfile = true

/* Control: the same bench does what it should. */
ENTRY(good_read)		{ READ, .len = LEN, .want = LEN };
ENTRY(good_write)		{ WRITE, .len = LEN, .want = LEN };
ENTRY(good_read_nocopy)		{ READ, .len = LEN, .want = LEN, NOCOPY };
ENTRY(good_write_nocopy)	{ WRITE, .len = LEN, .want = LEN, NOCOPY };

/* Ranges. */
ENTRY(nothing_read)		{ READ, .len = 0, .want = 0 };
ENTRY(nothing_written)		{ WRITE, .len = 0, .want = 0 };
ENTRY(read_negative)		{ READ, .pos = -DIO_ALIGNED, .len = LEN, .want = -EINVAL };
ENTRY(write_negative)		{ WRITE, .pos = -DIO_ALIGNED, .len = LEN, .want = -EINVAL,
				  .no_sendfile = true };
ENTRY(read_wraps)		{ READ, .pos = FILE_ENDS, .len = LEN, .want = -EINVAL };
ENTRY(write_wraps)		{ WRITE, .pos = FILE_ENDS, .len = LEN, .want = -EINVAL,
				  .no_sendfile = true };
ENTRY(read_to_negative)		{ READ, .off = -DIO_ALIGNED, .len = LEN, .want = -EINVAL,
				  .no_sendfile = true };
ENTRY(write_from_negative)	{ WRITE, .off = -DIO_ALIGNED, .len = LEN, .want = -EINVAL };
ENTRY(read_to_wrap)		{ READ, .off = FILE_ENDS, .len = LEN, .want = -EINVAL,
				  .no_sendfile = true };
ENTRY(write_from_wrap)		{ WRITE, .off = FILE_ENDS, .len = LEN, .want = -EINVAL };
ENTRY(read_file_ended)		{ READ, .pos = SIZE, .len = LEN, .want = 0 };
ENTRY(read_file_ended_before)	{ READ, .pos = 2 * SIZE, .len = LEN, .want = 0 };
ENTRY(read_file_ended_odd)	{ READ, .pos = SIZE + 1, .len = LEN, .want = 0 };
ENTRY(read_buffer_full)		{ READ, .off = SIZE, .len = LEN, .want = -ENOSPC };
ENTRY(read_behind_buffer)	{ READ, .off = 1LL << 40, .len = LEN, .want = -ENOSPC,
				  .no_sendfile = true };
ENTRY(write_buffer_ended)	{ WRITE, .off = SIZE, .len = LEN, .want = 0 };
ENTRY(write_behind_buffer)	{ WRITE, .off = 1LL << 40, .len = LEN, .want = 0 };
ENTRY(read_all)			{ READ, .len = 0xfffff000, .want = SIZE };
ENTRY(write_all)		{ WRITE, .len = 0xfffff000, .want = SIZE };

/* Flags. */
ENTRY(read_unknown_flag)	{ READ, .len = LEN, .flags = 0x20, .want = -EINVAL,
				  .no_sendfile = true };
ENTRY(write_unknown_flag)	{ WRITE, .len = LEN, .flags = 0x20, .want = -EINVAL,
				  .no_sendfile = true };
ENTRY(read_far_flag)		{ READ, .len = LEN, .flags = 1U << 30, .want = -EINVAL,
				  .no_sendfile = true };
ENTRY(read_hints)		{ READ, .len = LEN, .flags = SPLICE_F_MOVE | SPLICE_F_MORE,
				  .want = LEN, .want_cfr = -EINVAL, .no_sendfile = true };
ENTRY(write_hints)		{ WRITE, .len = LEN, .flags = SPLICE_F_MOVE | SPLICE_F_MORE,
				  .want = LEN, .want_cfr = -EINVAL, .no_sendfile = true };
ENTRY(read_nonblock)		{ READ, .len = LEN, .flags = SPLICE_F_NONBLOCK, .want = LEN,
				  .want_cfr = -EINVAL, .no_sendfile = true };

/* Access. */
ENTRY(read_not_open)		{ READ, .file = not_open, .len = LEN, .want = -EBADF };
ENTRY(write_not_open)		{ WRITE, .file = not_open, .len = LEN, .want = -EBADF,
				  .no_sendfile = true };
ENTRY(read_write_only)		{ READ, .file = write_only, .len = LEN, .want = -EBADF };
ENTRY(write_read_only)		{ WRITE, .file = read_only, .len = LEN, .want = -EBADF };
ENTRY(read_path_only)		{ READ, .file = path_only, .len = LEN, .want = -EBADF };
ENTRY(write_path_only)		{ WRITE, .file = path_only, .len = LEN, .want = -EBADF,
				  .no_sendfile = true };
ENTRY(read_to_read_only)	{ READ, .buffer = read_only_dmabuf, .len = LEN, .want = -EBADF };
ENTRY(write_from_write_only)	{ WRITE, .buffer = write_only_dmabuf, .len = LEN,
				  .want = -EBADF };
ENTRY(read_to_path)		{ READ, .buffer = path_dmabuf, .len = LEN, .want = -EBADF };
ENTRY(write_from_path)		{ WRITE, .buffer = path_dmabuf, .len = LEN, .want = -EBADF };
ENTRY(read_from_write_only)	{ WRITE, .file = write_only, .len = LEN, .want = LEN };
ENTRY(read_to_write_only)	{ READ, .buffer = write_only_dmabuf, .len = LEN, .want = LEN };
ENTRY(write_appending)		{ WRITE, .file = appending, .len = LEN, .want = -EINVAL,
				  .want_cfr = -EBADF };
ENTRY(read_appending)		{ READ, .file = appending, .len = LEN, .want = LEN };

/* What it is at the other end. */
ENTRY(read_dmabuf)		{ READ, .file = other_dmabuf, .len = LEN, .want = -EINVAL };
ENTRY(write_dmabuf)		{ WRITE, .file = other_dmabuf, .len = LEN, .want = -EINVAL,
				  .no_sendfile = true };
ENTRY(read_itself)		{ READ, .file = same_dmabuf, .len = LEN, .want = -EINVAL };
ENTRY(read_directory)		{ READ, .file = directory, .len = LEN, .want = -EINVAL,
				  .want_cfr = -EISDIR };
ENTRY(write_directory)		{ WRITE, .file = directory, .len = LEN, .want = -EBADF,
				  .want_cfr = -EISDIR };
ENTRY(read_proc_without_iter)	{ READ, .file = proc_file, .len = LEN, .want = -EINVAL };
ENTRY(read_socket_with_offset)	{ READ, .file = socket_end, .len = LEN, .want = -ESPIPE,
				  .want_cfr = -EINVAL };
ENTRY(write_socket_with_offset)	{ WRITE, .file = socket_end, .len = LEN, .want = -ESPIPE,
				  .want_cfr = -EINVAL, .no_sendfile = true };
ENTRY(read_char_device)		{ READ, .file = char_device, .len = LEN, .want = LEN,
				  .want_cfr = -EINVAL };
ENTRY(file_to_file)		{ READ, .buffer = file_dmabuf, .off = 2 * LEN, .len = LEN,
				  .want = -EINVAL, .want_cfr = LEN, .no_sendfile = true };
ENTRY(file_to_file_nocopy)	{ READ, .buffer = file_dmabuf, .len = LEN, .want = -EINVAL,
				  NOCOPY };
ENTRY(pipe_nocopy)		{ READ, .file = pipe_end, .pos_null = true, .len = LEN,
				  .want = -EINVAL, NOCOPY };
ENTRY(to_pipe_nocopy)		{ WRITE, .file = pipe_end, .pos_null = true, .len = LEN,
				  .want = -EINVAL, NOCOPY };
ENTRY(pipe_with_offset)		{ READ, .file = pipe_end, .len = LEN, .want = -ESPIPE,
				  .want_cfr = -EINVAL };

/* Rather fail than copy. */
ENTRY(nocopy_read_buffered)	{ READ, .file = buffered, .len = LEN, .want = -EOPNOTSUPP,
				  NOCOPY };
ENTRY(nocopy_write_buffered)	{ WRITE, .file = buffered, .len = LEN, .want = -EOPNOTSUPP,
				  NOCOPY };
ENTRY(nocopy_buffered_odd)	{ READ, .file = buffered, .pos = 1, .len = LEN,
				  .want = -EOPNOTSUPP, NOCOPY };
ENTRY(nocopy_read_head)		{ READ, .pos = 100, .len = LEN, .want = -EINVAL, NOCOPY };
ENTRY(nocopy_write_head)	{ WRITE, .pos = 100, .len = LEN, .want = -EINVAL, NOCOPY };
ENTRY(nocopy_read_tail)		{ READ, .len = LEN + 100, .want = LEN, NOCOPY };
ENTRY(nocopy_write_tail)	{ WRITE, .len = LEN + 100, .want = LEN, NOCOPY };
ENTRY(nocopy_read_little)	{ READ, .len = 100, .want = -EINVAL, NOCOPY };
ENTRY(nocopy_write_little)	{ WRITE, .len = 100, .want = -EINVAL, NOCOPY };
ENTRY(nocopy_read_odd_buffer)	{ READ, .off = 1, .len = LEN, .want = -EINVAL, NOCOPY };
ENTRY(nocopy_write_odd_buffer)	{ WRITE, .off = 2, .len = LEN, .want = -EINVAL, NOCOPY };
ENTRY(nocopy_read_end)		{ READ, .pos = SIZE, .len = LEN, .want = 0, NOCOPY };
ENTRY(nocopy_read_end_odd)	{ READ, .pos = SIZE + 1, .len = LEN, .want = 0, NOCOPY };
ENTRY(nocopy_read_hole)		{ READ, .file = hole, .len = LEN, .want = -EOPNOTSUPP, NOCOPY };
ENTRY(nocopy_read_hole_behind)	{ READ, .file = hole_behind, .len = LEN, .want = LEN / 2,
				  NOCOPY };
ENTRY(nocopy_write_hole)	{ WRITE, .file = hole, .len = LEN, .want = LEN, NOCOPY };
ENTRY(nocopy_read_tmpfs)	{ READ, .file = on_tmpfs, .len = LEN, .want = -EOPNOTSUPP,
				  NOCOPY };
ENTRY(nocopy_write_tmpfs)	{ WRITE, .file = on_tmpfs, .len = LEN, .want = -EOPNOTSUPP,
				  NOCOPY };
ENTRY(nocopy_read_loop)		{ READ, .file = loop_device, .len = LEN, .want = -EOPNOTSUPP,
				  NOCOPY };
ENTRY(nocopy_write_loop)	{ WRITE, .file = loop_device, .len = LEN, .want = -EOPNOTSUPP,
				  NOCOPY };
ENTRY(nocopy_read_device)	{ READ, .file = char_device, .len = LEN, .want = -EOPNOTSUPP,
				  .want_cfr = -EINVAL, NOCOPY };
ENTRY(nocopy_write_device)	{ WRITE, .file = char_device, .len = LEN, .want = -EOPNOTSUPP,
				  .want_cfr = -EINVAL, NOCOPY };

static bool is_ours(FIXTURE_VARIANT(refusal) const *v)
{
	return !v->file || v->file == hole || v->file == hole_behind ||
	       v->file == write_only || v->file == appending;
}

static void attempt(struct __test_metadata *_metadata, struct bench *b,
		    FIXTURE_VARIANT(refusal) const *v, int fd, int buf)
{
	struct dio_counters before = {}, after = {};
	loff_t pos = v->pos, off = v->off, fd_pos, step;
	bool at_out = b->call->out_position;
	loff_t *ppos = v->pos_null || (at_out && v->rw == WRITE) ? NULL : &pos;
	loff_t *poff = at_out && v->rw == READ ? NULL : &off;
	ssize_t want = v->want, ret;

	if (v->want_cfr && b->call == &dio_call_copy_file_range)
		want = v->want_cfr;
	if (v->pos_null && b->call == &dio_call_copy_file_range)
		want = -EINVAL;
	dio_count(b->buf.fd, &before);
	if (!ppos && !v->pos_null)
		lseek(fd, pos, SEEK_SET);
	fd_pos = lseek(fd, 0, SEEK_CUR);

	if (v->rw == READ)
		ret = b->call->move(fd, ppos, buf, poff, v->len, v->flags);
	else
		ret = b->call->move(buf, poff, fd, ppos, v->len, v->flags);
	EXPECT_EQ(want, ret)
		TH_LOG("%s: %s", b->call->name,
		       ret < 0 ? strerror(-ret) : "no error");

	step = ret > 0 ? ret : 0;
	EXPECT_EQ(v->pos + (ppos ? step : 0), pos);
	EXPECT_EQ(v->off + (poff ? step : 0), off);
	if (fd_pos >= 0)
		EXPECT_EQ(fd_pos + (ppos ? 0 : step), lseek(fd, 0, SEEK_CUR));
	dio_count(b->buf.fd, &after);
	if (!v->buffer)
		EXPECT_EQ(before.pos + (poff ? 0 : step), after.pos);
	if (ret > 0 && is_ours(v) && v->buffer != file_dmabuf)
		EXPECT_EQ(step, after.dio_read - before.dio_read +
				after.dio_write - before.dio_write);
	if (ret > 0)
		return;
	EXPECT_EQ(before.dio_read, after.dio_read);
	EXPECT_EQ(before.dio_write, after.dio_write);
	EXPECT_EQ(before.copy_read, after.copy_read);
	EXPECT_EQ(before.copy_write, after.copy_write);
	if (!v->buffer)
		EXPECT_TRUE(dio_is_poison(&b->buf, 0, SIZE));
	EXPECT_TRUE(file_is(b, 0, b->image, SIZE));
}

TEST_F_TIMEOUT(refusal, every_call, TIMEOUT)
{
	const struct dio_place *places[] = {
		&dio_on_ext4, &dio_on_xfs, &dio_on_f2fs,
	};
	int i, c, fd, buf, ret, tried = 0;
	struct bench b;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		for (c = 0; dio_calls[c]; c++) {
			b = (struct bench){ .call = dio_calls[c] };
			if (variant->no_sendfile && !b.call->takes_flags)
				continue;
			ret = bench_open(&b, places[i]);
			if (!ret && b.call->out_position && variant->rw == READ)
				ret = buffer_at(&b, variant->off);
			if (ret == DIO_SKIP)
				break;
			ASSERT_EQ(0, ret);
			fd = (variant->file ?: direct)(&b);
			if (fd == SKIPPED) {
				bench_close(&b);
				continue;
			}
			buf = (variant->buffer ?: same_dmabuf)(&b);
			ASSERT_LE(0, fd) TH_LOG("file: %s", strerror(-fd));
			ASSERT_LE(0, buf) TH_LOG("buffer: %s", strerror(-buf));
			attempt(_metadata, &b, variant, fd, buf);
			if (_metadata->exit_code)
				TH_LOG("with %s on %s", b.call->name,
				       b.place->name);
			if (fd != 1000)
				close(fd);
			close(buf);
			bench_close(&b);
			tried++;
		}
	}
	if (!tried)
		SKIP(return, "%s", dio_reason());
}

/* ---- limits and states of the file: with each call ---- */

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
		EXPECT_EQ(want, move(b, WRITE, fd, tries[i].pos, 1024, 2 * LEN, 0))
			TH_LOG("try %d", i);
		EXPECT_EQ(0, exceeded) TH_LOG("try %d", i);
		EXPECT_TRUE(file_is_buffer(b, tries[i].pos, 1024, want));
		EXPECT_EQ(tries[i].limit, lseek(b->plain, 0, SEEK_END));

		EXPECT_EQ(-EFBIG, move(b, WRITE, fd, tries[i].limit, 0, LEN, 0))
			TH_LOG("try %d", i);
		if (in_task)
			EXPECT_LT(0, exceeded);
		EXPECT_EQ(tries[i].limit, lseek(b->plain, 0, SEEK_END));

		/* Not a matter of reading. */
		EXPECT_EQ(want, move(b, READ, fd, tries[i].pos, 0, want, 0));
		limit.rlim_cur = limit.rlim_max;
		ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
	}
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
	EXPECT_EQ(want, move(b, WRITE, b->plain, pos, 0, LEN, 0));
	EXPECT_EQ(want, move(b, WRITE, b->direct, pos, 0, LEN, 0));
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
	EXPECT_EQ(want, move(b, WRITE, b->plain, 0, 0, LEN, 0));
	EXPECT_EQ(want, move(b, WRITE, b->direct, 0, 0, LEN, 0));
	EXPECT_EQ(LEN, move(b, READ, b->direct, 0, 0, LEN, 0));
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
	EXPECT_EQ(-ETXTBSY, move(b, WRITE, fd, LEN, 0, LEN, 0));
	EXPECT_EQ(-ETXTBSY, move(b, WRITE, b->direct, LEN, 0, LEN, 0));
	EXPECT_EQ(reads, move(b, READ, fd, LEN, 0, LEN, 0));
	EXPECT_EQ(0, swapoff(path));
	EXPECT_EQ(LEN, move(b, WRITE, b->direct, LEN, 0, LEN, 0));
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
		EXPECT_EQ(LEN, move(b, WRITE, fd, i * LEN, 0, LEN, 0));
		EXPECT_TRUE(file_is_buffer(b, i * LEN, 0, LEN));
		EXPECT_EQ(LEN, move(b, WRITE, fd, SIZE + i * LEN + 33, 33, LEN, 0));
		EXPECT_TRUE(file_is_buffer(b, SIZE + i * LEN + 33, 33, LEN));
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
	EXPECT_EQ(LEN, move(b, READ, fd, 0, 0, LEN, 0));
	EXPECT_EQ(LEN, move(b, WRITE, fd, LEN, 0, LEN, 0));
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
			ASSERT_EQ(LEN, move(b, WRITE, fd, at[i], LEN + d * LEN,
					    LEN, 0));
			EXPECT_TRUE(file_is_buffer(b, at[i], LEN + d * LEN, LEN));
			ASSERT_EQ(LEN, pwrite(b->plain, b->image, LEN, at[i]));
			ASSERT_EQ(LEN, move(b, READ, fd, at[i], LEN, LEN, 0));
			EXPECT_TRUE(buffer_is(b, LEN, b->image, LEN));
			EXPECT_TRUE(dio_is_poison(&b->buf, 0, LEN));
			EXPECT_TRUE(dio_is_poison(&b->buf, 2 * LEN, LEN));
		}
	}
	/* What 32 bits would have made of it. */
	EXPECT_TRUE(file_is(b, 0, b->image, SIZE));
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
		EXPECT_EQ(SIZE - LEN, move(b, READ, b->direct, 0, LEN, lens[i], 0))
			TH_LOG("%#zx", lens[i]);
		EXPECT_EQ(LEN, move(b, READ, b->direct, SIZE - LEN, 0, lens[i], 0))
			TH_LOG("%#zx", lens[i]);
		EXPECT_EQ(LEN, move(b, WRITE, b->direct, 0, SIZE - LEN, lens[i], 0))
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
		ASSERT_EQ(n, b->call->move(b->direct, NULL, b->buf.fd, NULL,
					   step, 0));
		ASSERT_EQ(done + n, dio_pos(b->buf.fd));
		ASSERT_EQ(done + n, lseek(b->direct, 0, SEEK_CUR));
	}
	EXPECT_EQ(-ENOSPC, b->call->move(b->plain, NULL, b->buf.fd, NULL, 1, 0));
	EXPECT_TRUE(buffer_is(b, 0, b->image, SIZE));

	/* Back again, into an empty file. */
	ASSERT_EQ(0, buffer_at(b, 0));
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
	EXPECT_TRUE(file_is_buffer(b, 0, 0, SIZE));
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
		ASSERT_EQ(2 * LEN - at, move(b, READ, b->direct, at, at,
					     2 * LEN - at, 0));
		EXPECT_TRUE(buffer_is(b, at, b->image + at, 2 * LEN - at))
			TH_LOG("round %d", i);
		EXPECT_TRUE(dio_is_poison(&b->buf, 0, at));

		/* Written past both. */
		dio_poison(&b->buf, 0, SIZE);
		ASSERT_EQ(2 * LEN, move(b, WRITE, b->direct, at, LEN, 2 * LEN, 0));
		EXPECT_TRUE(file_is_buffer(b, at, LEN, 2 * LEN))
			TH_LOG("round %d", i);
		EXPECT_TRUE(buffer_is(b, LEN, map + at, 2 * LEN))
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
	ASSERT_EQ(0, fallocate(b->plain, FALLOC_FL_PUNCH_HOLE |
			       FALLOC_FL_KEEP_SIZE, gap, LEN));
	ASSERT_EQ(0, dio_count(b->buf.fd, &before));
	for (pos = 0; done < size; done += ret) {
		off = done;
		ret = b->call->move(b->direct, NULL, b->buf.fd,
				    b->call->out_position ? NULL : &off,
				    size - done, 0);
		ASSERT_LT(0, ret);
	}
	ASSERT_EQ(0, dio_count(b->buf.fd, &after));
	EXPECT_EQ(size, after.dio_read + after.copy_read);
	EXPECT_LE(LEN, after.copy_read);
	EXPECT_GE(DIO_MIB, after.copy_read);
	EXPECT_STREQ("hole", after.reason);
	memset(b->mem, 0, LEN);
	EXPECT_TRUE(buffer_is(b, gap, b->mem, LEN));
	for (pos = 0; pos < size; pos += SIZE) {
		off = pos == gap ? LEN : 0;
		EXPECT_TRUE(buffer_is(b, pos + off, b->image + off, SIZE - off));
	}
}

/* ---- streams ---- */

static const struct dio_call *const stream_calls[] = {
	&dio_call_splice, &dio_call_sendfile, &dio_call_io_uring, NULL
};

TEST(streams_to_buffer)
{
	struct bench b = {};
	int c, s[2], zero;
	loff_t off;

	if (!dio_ready(_metadata, bench_open(&b, &dio_on_memfd)))
		return;
	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, zero);
	for (c = 0; stream_calls[c]; c++) {
		b.call = stream_calls[c];
		ASSERT_EQ(0, buffer_at(&b, 0));
		dio_poison(&b.buf, 0, SIZE);
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));

		/* Twice: a stream goes on where it was. */
		ASSERT_EQ(1000, write(s[1], b.image, 1000));
		off = 0;
		EXPECT_EQ(300, b.call->move(s[0], NULL, b.buf.fd,
					    b.call->out_position ? NULL : &off,
					    300, 0));
		off = 300;
		EXPECT_EQ(700, b.call->move(s[0], NULL, b.buf.fd,
					    b.call->out_position ? NULL : &off,
					    LEN, 0))
			TH_LOG("%s", b.call->name);
		EXPECT_TRUE(buffer_is(&b, 0, b.image, 1000));
		EXPECT_TRUE(dio_is_poison(&b.buf, 1000, SIZE - 1000));

		/* None left, and none to come. */
		close(s[1]);
		EXPECT_EQ(0, b.call->move(s[0], NULL, b.buf.fd, NULL, LEN, 0));
		close(s[0]);

		off = LEN;
		ASSERT_EQ(0, buffer_at(&b, b.call->out_position ? LEN : 0));
		dio_poison(&b.buf, 0, SIZE);
		EXPECT_EQ(LEN, b.call->move(zero, NULL, b.buf.fd,
					    b.call->out_position ? NULL : &off,
					    LEN, 0));
		memset(b.mem, 0, LEN);
		EXPECT_TRUE(dio_is_poison(&b.buf, 0, LEN));
		EXPECT_TRUE(buffer_is(&b, LEN, b.mem, LEN));
		EXPECT_TRUE(dio_is_poison(&b.buf, 2 * LEN, SIZE - 2 * LEN));
	}
	close(zero);
	bench_close(&b);
}

TEST(buffer_to_streams)
{
	struct bench b = {};
	loff_t off;
	int c, s[2], sink;

	if (!dio_ready(_metadata, bench_open(&b, &dio_on_memfd)))
		return;
	sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, sink);
	for (c = 0; stream_calls[c]; c++) {
		b.call = stream_calls[c];
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
		off = 100;
		EXPECT_EQ(3000, b.call->move(b.buf.fd, &off, s[0], NULL, 3000, 0));
		EXPECT_EQ(3100, off);
		EXPECT_EQ(5000, b.call->move(b.buf.fd, &off, s[0], NULL, 5000, 0))
			TH_LOG("%s", b.call->name);
		EXPECT_EQ(8100, off);
		if (off == 8100) {
			EXPECT_EQ(8000, recv(s[1], b.mem, LEN, MSG_WAITALL |
					     MSG_DONTWAIT));
			EXPECT_TRUE(buffer_is(&b, 100, b.mem, 8000));
		}
		signal(SIGPIPE, SIG_IGN);
		close(s[1]);
		off = 0;
		EXPECT_EQ(-EPIPE, b.call->move(b.buf.fd, &off, s[0], NULL, 100, 0));
		close(s[0]);

		EXPECT_EQ(LEN, b.call->move(b.buf.fd, &off, sink, NULL, LEN, 0));
	}
	close(sink);
	bench_close(&b);
}

/* What proc makes up is a file like any other. */
TEST(proc_file_to_buffer)
{
	struct bench b = {};
	loff_t in = 0, off;
	ssize_t len;
	int c, fd;

	if (!dio_ready(_metadata, bench_open(&b, &dio_on_memfd)))
		return;
	fd = open("/proc/version", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	len = pread(fd, b.mem, SIZE, 0);
	ASSERT_LT(0, len);
	for (c = 0; dio_calls[c]; c++) {
		b.call = dio_calls[c];
		ASSERT_EQ(0, buffer_at(&b, 0));
		dio_poison(&b.buf, 0, SIZE);
		in = 0;
		off = 0;
		EXPECT_EQ(len, b.call->move(fd, &in, b.buf.fd,
					    b.call->out_position ? NULL : &off,
					    LEN, 0))
			TH_LOG("%s", b.call->name);
		EXPECT_TRUE(buffer_is(&b, 0, b.mem, len));
		EXPECT_TRUE(dio_is_poison(&b.buf, len, SIZE - len));
	}
	close(fd);
	bench_close(&b);
}

/* ---- memory at both ends, and much of it ---- */

/* The file is what the buffer is made of. */
TEST(udmabuf_of_the_file)
{
	struct bench b = {};
	int c, rw, fd, in, out;
	loff_t pos;

	if (!dio_ready(_metadata, bench_open(&b, &dio_on_memfd)))
		return;
	for (c = 0; dio_calls[c]; c++) {
		for (rw = READ; rw <= WRITE; rw++) {
			dio_buf_free(&b.buf);
			fd = memfd_create("dmabuf-dio", MFD_ALLOW_SEALING);
			ASSERT_LE(0, fd);
			ASSERT_EQ(SIZE, pwrite(fd, b.image, SIZE, 0));
			ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
			b.buf.fd = dio_udmabuf_create(fd, SIZE);
			if (b.buf.fd == -ENOENT)
				SKIP(return, "no /dev/udmabuf");
			ASSERT_LE(0, b.buf.fd);
			in = rw == READ ? fd : b.buf.fd;
			out = rw == READ ? b.buf.fd : fd;

			/* Into itself changes nothing; elsewhere moves it. */
			pos = 0;
			lseek(fd, 0, SEEK_SET);
			EXPECT_EQ(LEN, dio_calls[c]->move(in, &pos, out, NULL,
							  LEN, 0));
			ASSERT_EQ(SIZE, pread(fd, b.mem, SIZE, 0));
			EXPECT_EQ(0, memcmp(b.mem, b.image, SIZE));
			pos = 2 * LEN;
			EXPECT_EQ(LEN, dio_calls[c]->move(in, &pos, out, NULL,
							  LEN, 0));
			ASSERT_EQ(SIZE, pread(fd, b.mem, SIZE, 0));
			EXPECT_EQ(0, memcmp(b.mem, b.image, LEN));
			EXPECT_EQ(0, memcmp(b.mem + LEN, b.image + 2 * LEN, LEN));
			EXPECT_EQ(0, memcmp(b.mem + 2 * LEN, b.image + 2 * LEN,
					    SIZE - 2 * LEN));
			close(fd);
		}
	}
	bench_close(&b);
}

TEST(sealed_memfd)
{
	struct bench b = {};
	loff_t off = 0;
	int c, fd;

	if (!dio_ready(_metadata, bench_open(&b, &dio_on_memfd)))
		return;
	fd = memfd_create("dmabuf-dio", MFD_ALLOW_SEALING);
	ASSERT_LE(0, fd);
	ASSERT_EQ(SIZE, pwrite(fd, b.image, SIZE, 0));
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	for (c = 0; dio_calls[c]; c++) {
		lseek(fd, 0, SEEK_SET);
		EXPECT_EQ(-EPERM, dio_calls[c]->move(b.buf.fd, &off, fd, NULL,
						     LEN, 0));
	}
	ASSERT_EQ(SIZE, pread(fd, b.mem, SIZE, 0));
	EXPECT_EQ(0, memcmp(b.mem, b.image, SIZE));
	close(fd);
	bench_close(&b);
}

#define MAX_CALL	0x7ffff000L	/* MAX_RW_COUNT with pages of 4 KiB */
#define MANY		(2 * DIO_GIB + 64 * DIO_KIB)

/* No call moves 2 GiB. */
TEST(more_than_a_call_moves)
{
	unsigned long long kib = 0;
	char line[128];
	int fd, buf;
	loff_t in, out;
	FILE *f;

	f = fopen("/proc/meminfo", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	if (kib * DIO_KIB < MANY + 256 * DIO_MIB)
		SKIP(return, "2.3 GiB of memory needed");
	buf = dio_heap_alloc(MANY, O_RDWR);
	if (buf < 0)
		SKIP(return, "no such heap: %s", strerror(-buf));

	/* From a file without a byte. */
	fd = memfd_create("dmabuf-dio", MFD_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 6 * DIO_GIB));
	in = 3 * DIO_GIB - 4096;
	out = 0;
	EXPECT_EQ(MAX_CALL, dio_call_copy_file_range.move(fd, &in, buf, &out,
							  MANY, 0));
	EXPECT_EQ(MAX_CALL, out);
	EXPECT_EQ(3 * DIO_GIB - 4096 + MAX_CALL, in);
	EXPECT_EQ(MANY - MAX_CALL, dio_call_splice.move(fd, &in, buf, &out,
							MANY, 0));
	close(fd);
	close(buf);
}

/* ---- pipes ---- */

FIXTURE(pipes)
{
	struct bench b;
	int in, out;		/* to be written to, and to be read from */
};

FIXTURE_VARIANT(pipes)
{
	const struct dio_exporter *exporter;
};

FIXTURE_VARIANT_ADD(pipes, heap) { .exporter = &dio_heap };
FIXTURE_VARIANT_ADD(pipes, udmabuf) { .exporter = &dio_udmabuf };

FIXTURE_SETUP(pipes)
{
	int fd[2];

	ASSERT_EQ(0, pipe2(fd, O_CLOEXEC));
	self->out = fd[0];
	self->in = fd[1];
	if (!dio_ready(_metadata, bench_open(&self->b, &dio_on_memfd)))
		return;
	dio_buf_free(&self->b.buf);
	if (dio_ready(_metadata, dio_buf_alloc(&self->b.buf, variant->exporter,
					       SIZE)))
		dio_poison(&self->b.buf, 0, SIZE);
}

FIXTURE_TEARDOWN(pipes)
{
	bench_close(&self->b);
}

#define NONBLOCK	SPLICE_F_NONBLOCK

TEST_F(pipes, from_buffer)
{
	struct bench *b = &self->b;
	struct dio_counters c;
	loff_t off = 100;

	ASSERT_EQ(10000, splice(b->buf.fd, &off, self->in, NULL, 10000, 0));
	EXPECT_EQ(10100, off);
	EXPECT_EQ(0, dio_pos(b->buf.fd));
	ASSERT_EQ(10000, read(self->out, b->mem, SIZE));
	EXPECT_TRUE(buffer_is(b, 100, b->mem, 10000));

	/* At its position. */
	ASSERT_EQ(5000, splice(b->buf.fd, NULL, self->in, NULL, 5000, 0));
	ASSERT_EQ(5000, splice(b->buf.fd, NULL, self->in, NULL, 5000, 0));
	EXPECT_EQ(10000, dio_pos(b->buf.fd));
	ASSERT_EQ(10000, read(self->out, b->mem, SIZE));
	EXPECT_TRUE(buffer_is(b, 0, b->mem, 10000));

	/* The end. */
	off = SIZE - 33;
	ASSERT_EQ(33, splice(b->buf.fd, &off, self->in, NULL, LEN, 0));
	ASSERT_EQ(33, read(self->out, b->mem, SIZE));
	EXPECT_TRUE(buffer_is(b, SIZE - 33, b->mem, 33));
	EXPECT_EQ(0, splice(b->buf.fd, &off, self->in, NULL, LEN, 0));
	off = SIZE + LEN;
	EXPECT_EQ(0, splice(b->buf.fd, &off, self->in, NULL, LEN, 0));
	off = -1;
	EXPECT_EQ(-1, splice(b->buf.fd, &off, self->in, NULL, LEN, 0));
	EXPECT_EQ(EINVAL, errno);

	ASSERT_EQ(0, dio_count(b->buf.fd, &c));
	EXPECT_EQ(20033, c.copy_write);
	EXPECT_EQ(0, c.copy_read + c.dio_read + c.dio_write);
	EXPECT_TRUE(dio_is_poison(&b->buf, 0, SIZE));

	/* What is in the pipe is a copy. */
	off = 0;
	ASSERT_EQ(4096, splice(b->buf.fd, &off, self->in, NULL, 4096, 0));
	buffer_get(b, 0, b->mem, 4096);
	if (!dio_sync_start(&b->buf, DMA_BUF_SYNC_WRITE))
		memset(b->buf.map, 0, 4096);
	dio_sync_end(&b->buf, DMA_BUF_SYNC_WRITE);
	ASSERT_EQ(4096, read(self->out, b->mem + 4096, SIZE - 4096));
	EXPECT_EQ(0, memcmp(b->mem, b->mem + 4096, 4096));
}

TEST_F(pipes, full)
{
	struct bench *b = &self->b;
	int size = fcntl(self->in, F_SETPIPE_SZ, 8192);
	loff_t off = 50;

	ASSERT_EQ(8192, size);
	ASSERT_EQ(size, splice(b->buf.fd, &off, self->in, NULL, LEN, 0));
	EXPECT_EQ(50 + size, off);
	EXPECT_EQ(-1, splice(b->buf.fd, &off, self->in, NULL, LEN, NONBLOCK));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(50 + size, off);
	ASSERT_EQ(4096, read(self->out, b->mem, 4096));
	ASSERT_EQ(4096, splice(b->buf.fd, &off, self->in, NULL, LEN, NONBLOCK));
	ASSERT_EQ(8192, read(self->out, b->mem + 4096, SIZE - 4096));
	EXPECT_TRUE(buffer_is(b, 50, b->mem, 4096 + 8192));

	/* No room for another piece, though there is for bytes. */
	ASSERT_EQ(1, write(self->in, b->mem, 1));
	ASSERT_EQ(1, splice(b->buf.fd, &off, self->in, NULL, 1, 0));
	EXPECT_EQ(-1, splice(b->buf.fd, &off, self->in, NULL, LEN, NONBLOCK));
	EXPECT_EQ(EAGAIN, errno);

	signal(SIGPIPE, SIG_IGN);
	close(self->out);
	EXPECT_EQ(-1, splice(b->buf.fd, &off, self->in, NULL, LEN, 0));
	EXPECT_EQ(EPIPE, errno);
}

TEST_F(pipes, to_buffer)
{
	struct bench *b = &self->b;
	struct dio_counters c;
	loff_t off = 1000;

	ASSERT_EQ(10000, write(self->in, b->image, 10000));
	ASSERT_EQ(3000, splice(self->out, NULL, b->buf.fd, &off, 3000, 0));
	EXPECT_EQ(4000, off);
	ASSERT_EQ(7000, splice(self->out, NULL, b->buf.fd, &off, LEN, 0));
	EXPECT_EQ(11000, off);
	EXPECT_TRUE(dio_is_poison(&b->buf, 0, 1000));
	EXPECT_TRUE(buffer_is(b, 1000, b->image, 10000));
	EXPECT_TRUE(dio_is_poison(&b->buf, 11000, SIZE - 11000));
	EXPECT_EQ(0, dio_pos(b->buf.fd));

	EXPECT_EQ(-1, splice(self->out, NULL, b->buf.fd, &off, LEN, NONBLOCK));
	EXPECT_EQ(EAGAIN, errno);

	/* At its position, in pieces that are none of the pipe's. */
	ASSERT_EQ(10000, write(self->in, b->image, 10000));
	ASSERT_EQ(777, splice(self->out, NULL, b->buf.fd, NULL, 777, 0));
	ASSERT_EQ(9223, splice(self->out, NULL, b->buf.fd, NULL, 9223, 0));
	EXPECT_EQ(10000, dio_pos(b->buf.fd));
	EXPECT_TRUE(buffer_is(b, 0, b->image, 10000));

	/* The end of the buffer leaves the rest in the pipe. */
	off = SIZE - 100;
	ASSERT_EQ(300, write(self->in, b->image, 300));
	ASSERT_EQ(100, splice(self->out, NULL, b->buf.fd, &off, LEN, 0));
	EXPECT_TRUE(buffer_is(b, SIZE - 100, b->image, 100));
	EXPECT_EQ(-1, splice(self->out, NULL, b->buf.fd, &off, LEN, 0));
	EXPECT_EQ(ENOSPC, errno);
	off = -1;
	EXPECT_EQ(-1, splice(self->out, NULL, b->buf.fd, &off, LEN, 0));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(200, read(self->out, b->mem, SIZE));
	EXPECT_EQ(0, memcmp(b->mem, b->image + 100, 200));

	ASSERT_EQ(0, dio_count(b->buf.fd, &c));
	EXPECT_EQ(20100, c.copy_read);
	EXPECT_EQ(0, c.copy_write + c.dio_read + c.dio_write);

	close(self->in);
	off = 0;
	EXPECT_EQ(0, splice(self->out, NULL, b->buf.fd, &off, LEN, 0));
}

/* Pages of others: a file's by splice, a process's by vmsplice; and tee. */
TEST_F(pipes, pages_of_others)
{
	struct iovec vec = { .iov_base = self->b.image, .iov_len = 10000 };
	struct bench *b = &self->b;
	loff_t in = 123, off = 321;
	int fd[2];

	ASSERT_EQ(0, pipe2(fd, O_CLOEXEC));
	ASSERT_EQ(20000, splice(b->plain, &in, self->in, NULL, 20000, 0));
	ASSERT_EQ(20000, tee(self->out, fd[1], SIZE, 0));
	ASSERT_EQ(20000, splice(self->out, NULL, b->buf.fd, &off, SIZE, 0));
	EXPECT_TRUE(buffer_is(b, 321, b->image + 123, 20000));
	off = 100000;
	ASSERT_EQ(20000, splice(fd[0], NULL, b->buf.fd, &off, SIZE, 0));
	EXPECT_TRUE(buffer_is(b, 100000, b->image + 123, 20000));

	off = 200000;
	ASSERT_EQ(10000, vmsplice(self->in, &vec, 1, 0));
	ASSERT_EQ(10000, splice(self->out, NULL, b->buf.fd, &off, SIZE, 0));
	EXPECT_TRUE(buffer_is(b, 200000, b->image, 10000));

	/* Out of the buffer into a file, and to a pipe by sendfile. */
	off = 4;
	ASSERT_EQ(10000, sendfile(self->in, b->buf.fd, &off, 10000));
	EXPECT_EQ(10004, off);
	in = 5;
	ASSERT_EQ(10000, splice(self->out, NULL, b->plain, &in, SIZE, 0));
	EXPECT_TRUE(file_is_buffer(b, 5, 4, 10000));
	close(fd[0]);
	close(fd[1]);
}

TEST_F(pipes, refused)
{
	struct iovec vec = { .iov_base = self->b.mem, .iov_len = 100 };
	struct bench *b = &self->b;
	loff_t off = 0;
	int fd[2], buf;

	ASSERT_EQ(0, pipe2(fd, O_CLOEXEC));
	ASSERT_EQ(100, write(self->in, b->image, 100));
#define REFUSED(want, call) do {					\
	EXPECT_EQ(-1, call);						\
	EXPECT_EQ(want, errno);						\
} while (0)
	REFUSED(EINVAL, splice(self->out, NULL, b->buf.fd, &off, 100, SPLICE_F_NOCOPY));
	REFUSED(EINVAL, splice(b->buf.fd, &off, self->in, NULL, 100, SPLICE_F_NOCOPY));
	REFUSED(EINVAL, splice(b->plain, &off, self->in, NULL, 100, SPLICE_F_NOCOPY));
	REFUSED(EINVAL, splice(self->out, NULL, b->plain, &off, 100, SPLICE_F_NOCOPY));
	REFUSED(EINVAL, splice(self->out, NULL, fd[1], NULL, 100, SPLICE_F_NOCOPY));
	REFUSED(EINVAL, tee(self->out, fd[1], 100, SPLICE_F_NOCOPY));
	REFUSED(EINVAL, vmsplice(self->in, &vec, 1, SPLICE_F_NOCOPY));
	REFUSED(EINVAL, vmsplice(self->out, &vec, 1, SPLICE_F_NOCOPY));
	REFUSED(EINVAL, copy_file_range(b->plain, &off, b->plain, NULL, 100, SPLICE_F_NOCOPY));
	REFUSED(ESPIPE, splice(self->out, &off, b->buf.fd, NULL, 100, 0));
	REFUSED(ESPIPE, splice(b->buf.fd, NULL, self->in, &off, 100, 0));
	REFUSED(EINVAL, copy_file_range(self->out, NULL, b->buf.fd, &off, 100, 0));
	REFUSED(EINVAL, copy_file_range(b->buf.fd, &off, self->in, NULL, 100, 0));
	REFUSED(EINVAL, tee(b->buf.fd, self->in, 100, 0));

	buf = dio_heap_alloc(SIZE, O_RDONLY);
	REFUSED(EBADF, splice(self->out, NULL, buf, &off, 100, 0));
	close(buf);
	buf = dio_heap_alloc(SIZE, O_WRONLY);
	REFUSED(EBADF, splice(buf, &off, self->in, NULL, 100, 0));
	close(buf);
	REFUSED(EBADF, splice(b->buf.fd, &off, self->out, NULL, 100, 0));
	REFUSED(EBADF, splice(self->in, NULL, b->buf.fd, &off, 100, 0));

	EXPECT_EQ(0, off);
	EXPECT_TRUE(dio_is_poison(&b->buf, 0, SIZE));
	ASSERT_EQ(100, read(self->out, b->mem, SIZE));
	EXPECT_EQ(0, memcmp(b->mem, b->image, 100));
	close(fd[0]);
	close(fd[1]);
}

/* Lseek, and what else a dma-buf does not do. */
TEST(buffer_is_no_file)
{
	struct bench b = {};

	if (!dio_ready(_metadata, bench_open(&b, &dio_on_memfd)))
		return;
	EXPECT_EQ(SIZE, lseek(b.buf.fd, 0, SEEK_END));
	EXPECT_EQ(0, lseek(b.buf.fd, 0, SEEK_SET));
	EXPECT_EQ(-1, lseek(b.buf.fd, 1, SEEK_SET));
	EXPECT_EQ(-1, lseek(b.buf.fd, 0, SEEK_CUR));
	EXPECT_EQ(-1, read(b.buf.fd, b.mem, 1));
	EXPECT_EQ(-1, write(b.buf.fd, b.mem, 1));
	EXPECT_EQ(-1, ftruncate(b.buf.fd, 0));
	EXPECT_EQ(0, dio_pos(b.buf.fd));
	EXPECT_TRUE(dio_is_poison(&b.buf, 0, SIZE));
	bench_close(&b);
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
							 dio_calls[c]->out_position ? NULL : &pos,
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
