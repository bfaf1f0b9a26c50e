// SPDX-License-Identifier: GPL-2.0
/*
 * What the calls that move data between files and dma-bufs refuse, and what they
 * do not, as a table: file, buffer, range, flags -> result. What is refused has
 * changed nothing.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../kselftest_harness.h"
#include "lib/bench.h"

/* No descriptor has this value; -1 is EPERM. */
#define SKIPPED		(-4096)

static int direct(struct bench *b)
{
	return dio_reopen(b->plain, O_RDWR | O_DIRECT);
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

static int on_tmpfs(struct bench *b)
{
	int fd, ret;

	(void)b;
	ret = dio_place_ready(&dio_on_tmpfs);
	if (ret)
		return ret == DIO_SKIP ? SKIPPED : ret;
	fd = dio_place_open(&dio_on_tmpfs);
	if (fd < 0)
		return fd;
	ret = ftruncate(fd, SIZE) ? -errno : dio_reopen(fd, O_RDWR | O_DIRECT);
	close(fd);
	return ret;
}

static int loop_device(struct bench *b)
{
	int ret = dio_place_ready(&dio_on_loop);

	(void)b;
	if (ret)
		return ret == DIO_SKIP ? SKIPPED : ret;
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
	int fd[2], rw;

	if (pipe(fd))
		return -errno;
	if (write(fd[1], b->image, 100) != 100)
		return -errno;
	rw = dio_reopen(fd[0], O_RDWR);
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
	int (*file)(struct bench *b);	/* gives a descriptor of it, */
	const char *path;		/* or this is opened; default: the bench's */
	int how;		/* it is opened; default: O_RDWR | O_DIRECT */
	int (*buffer)(struct bench *b);	/* default: the poisoned one */
	loff_t pos, off;
	bool pos_null;		/* at the file's position, which is 0 */
	size_t len;		/* default: LEN */
	bool no_len;
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
ENTRY(good_read)		{ READ, .want = LEN };
ENTRY(good_write)		{ WRITE, .want = LEN };
ENTRY(good_read_nocopy)		{ READ, .want = LEN, NOCOPY };
ENTRY(good_write_nocopy)	{ WRITE, .want = LEN, NOCOPY };

/* Ranges. */
ENTRY(nothing_read)		{ READ, .no_len = true, .want = 0 };
ENTRY(nothing_written)		{ WRITE, .no_len = true, .want = 0 };
ENTRY(read_negative)		{ READ, .pos = -DIO_ALIGNED, .want = -EINVAL };
ENTRY(write_negative)		{ WRITE, .pos = -DIO_ALIGNED, .want = -EINVAL,
				  .no_sendfile = true };
ENTRY(read_wraps)		{ READ, .pos = FILE_ENDS, .want = -EINVAL };
ENTRY(write_wraps)		{ WRITE, .pos = FILE_ENDS, .want = -EINVAL, .no_sendfile = true };
ENTRY(read_to_negative)		{ READ, .off = -DIO_ALIGNED, .want = -EINVAL, .no_sendfile = true };
ENTRY(write_from_negative)	{ WRITE, .off = -DIO_ALIGNED, .want = -EINVAL };
ENTRY(read_to_wrap)		{ READ, .off = FILE_ENDS, .want = -EINVAL, .no_sendfile = true };
ENTRY(write_from_wrap)		{ WRITE, .off = FILE_ENDS, .want = -EINVAL };
ENTRY(read_file_ended)		{ READ, .pos = SIZE, .want = 0 };
ENTRY(read_file_ended_before)	{ READ, .pos = 2 * SIZE, .want = 0 };
ENTRY(read_file_ended_odd)	{ READ, .pos = SIZE + 1, .want = 0 };
ENTRY(read_buffer_full)		{ READ, .off = SIZE, .want = -ENOSPC };
ENTRY(read_behind_buffer)	{ READ, .off = 1LL << 40, .want = -ENOSPC, .no_sendfile = true };
ENTRY(write_buffer_ended)	{ WRITE, .off = SIZE, .want = 0 };
ENTRY(write_behind_buffer)	{ WRITE, .off = 1LL << 40, .want = 0 };
ENTRY(read_all)			{ READ, .len = 0xfffff000, .want = SIZE };
ENTRY(write_all)		{ WRITE, .len = 0xfffff000, .want = SIZE };

/* Flags. */
ENTRY(read_unknown_flag)	{ READ, .flags = 0x20, .want = -EINVAL, .no_sendfile = true };
ENTRY(write_unknown_flag)	{ WRITE, .flags = 0x20, .want = -EINVAL, .no_sendfile = true };
ENTRY(read_far_flag)		{ READ, .flags = 1U << 30, .want = -EINVAL, .no_sendfile = true };
ENTRY(read_hints)		{ READ, .flags = SPLICE_F_MOVE | SPLICE_F_MORE, .want = LEN,
				  .want_cfr = -EINVAL, .no_sendfile = true };
ENTRY(write_hints)		{ WRITE, .flags = SPLICE_F_MOVE | SPLICE_F_MORE, .want = LEN,
				  .want_cfr = -EINVAL, .no_sendfile = true };
ENTRY(read_nonblock)		{ READ, .flags = SPLICE_F_NONBLOCK, .want = LEN,
				  .want_cfr = -EINVAL, .no_sendfile = true };

/* Access. */
ENTRY(read_not_open)		{ READ, .file = not_open, .want = -EBADF };
ENTRY(write_not_open)		{ WRITE, .file = not_open, .want = -EBADF, .no_sendfile = true };
ENTRY(read_write_only)		{ READ, .how = O_WRONLY | O_DIRECT, .want = -EBADF };
ENTRY(write_read_only)		{ WRITE, .how = O_RDONLY | O_DIRECT, .want = -EBADF };
ENTRY(read_path_only)		{ READ, .how = O_PATH, .want = -EBADF };
ENTRY(write_path_only)		{ WRITE, .how = O_PATH, .want = -EBADF, .no_sendfile = true };
ENTRY(read_to_read_only)	{ READ, .buffer = read_only_dmabuf, .want = -EBADF };
ENTRY(write_from_write_only)	{ WRITE, .buffer = write_only_dmabuf, .want = -EBADF };
ENTRY(read_to_path)		{ READ, .buffer = path_dmabuf, .want = -EBADF };
ENTRY(write_from_path)		{ WRITE, .buffer = path_dmabuf, .want = -EBADF };
ENTRY(read_from_write_only)	{ WRITE, .how = O_WRONLY | O_DIRECT, .want = LEN };
ENTRY(read_to_write_only)	{ READ, .buffer = write_only_dmabuf, .want = LEN };
ENTRY(write_appending)		{ WRITE, .how = O_RDWR | O_APPEND | O_DIRECT, .want = -EINVAL,
				  .want_cfr = -EBADF };
ENTRY(read_appending)		{ READ, .how = O_RDWR | O_APPEND | O_DIRECT, .want = LEN };

/* What it is at the other end. */
ENTRY(read_dmabuf)		{ READ, .file = other_dmabuf, .want = -EINVAL };
ENTRY(write_dmabuf)		{ WRITE, .file = other_dmabuf, .want = -EINVAL,
				  .no_sendfile = true };
ENTRY(read_itself)		{ READ, .file = same_dmabuf, .want = -EINVAL };
ENTRY(read_directory)		{ READ, .path = ".", .how = O_DIRECTORY, .want = -EINVAL,
				  .want_cfr = -EISDIR };
ENTRY(write_directory)		{ WRITE, .path = ".", .how = O_DIRECTORY, .want = -EBADF,
				  .want_cfr = -EISDIR };
ENTRY(read_proc_without_iter)	{ READ, .path = "/proc/self/status", .want = -EINVAL };
ENTRY(read_socket_with_offset)	{ READ, .file = socket_end, .want = -ESPIPE, .want_cfr = -EINVAL };
ENTRY(write_socket_with_offset)	{ WRITE, .file = socket_end, .want = -ESPIPE, .want_cfr = -EINVAL,
				  .no_sendfile = true };
ENTRY(read_char_device)		{ READ, .path = "/dev/zero", .how = O_RDWR, .want = LEN,
				  .want_cfr = -EINVAL };
ENTRY(file_to_file)		{ READ, .buffer = direct, .off = 2 * LEN, .want = -EINVAL,
				  .want_cfr = LEN, .no_sendfile = true };
ENTRY(file_to_file_nocopy)	{ READ, .buffer = direct, .want = -EINVAL, NOCOPY };
ENTRY(pipe_nocopy)		{ READ, .file = pipe_end, .pos_null = true, .want = -EINVAL,
				  NOCOPY };
ENTRY(to_pipe_nocopy)		{ WRITE, .file = pipe_end, .pos_null = true, .want = -EINVAL,
				  NOCOPY };
ENTRY(pipe_with_offset)		{ READ, .file = pipe_end, .want = -ESPIPE, .want_cfr = -EINVAL };

/* Rather fail than copy. */
ENTRY(nocopy_read_buffered)	{ READ, .how = O_RDWR, .want = -EOPNOTSUPP, NOCOPY };
ENTRY(nocopy_write_buffered)	{ WRITE, .how = O_RDWR, .want = -EOPNOTSUPP, NOCOPY };
ENTRY(nocopy_buffered_odd)	{ READ, .how = O_RDWR, .pos = 1, .want = -EOPNOTSUPP, NOCOPY };
ENTRY(nocopy_read_head)		{ READ, .pos = 100, .want = -EINVAL, NOCOPY };
ENTRY(nocopy_write_head)	{ WRITE, .pos = 100, .want = -EINVAL, NOCOPY };
ENTRY(nocopy_read_tail)		{ READ, .len = LEN + 100, .want = LEN, NOCOPY };
ENTRY(nocopy_write_tail)	{ WRITE, .len = LEN + 100, .want = LEN, NOCOPY };
ENTRY(nocopy_read_little)	{ READ, .len = 100, .want = -EINVAL, NOCOPY };
ENTRY(nocopy_write_little)	{ WRITE, .len = 100, .want = -EINVAL, NOCOPY };
ENTRY(nocopy_read_odd_buffer)	{ READ, .off = 1, .want = -EINVAL, NOCOPY };
ENTRY(nocopy_write_odd_buffer)	{ WRITE, .off = 2, .want = -EINVAL, NOCOPY };
ENTRY(nocopy_read_end)		{ READ, .pos = SIZE, .want = 0, NOCOPY };
ENTRY(nocopy_read_end_odd)	{ READ, .pos = SIZE + 1, .want = 0, NOCOPY };
ENTRY(nocopy_read_hole)		{ READ, .file = hole, .want = -EOPNOTSUPP, NOCOPY };
ENTRY(nocopy_read_hole_behind)	{ READ, .file = hole_behind, .want = LEN / 2, NOCOPY };
ENTRY(nocopy_write_hole)	{ WRITE, .file = hole, .want = LEN, NOCOPY };
ENTRY(nocopy_read_tmpfs)	{ READ, .file = on_tmpfs, .want = -EOPNOTSUPP, NOCOPY };
ENTRY(nocopy_write_tmpfs)	{ WRITE, .file = on_tmpfs, .want = -EOPNOTSUPP, NOCOPY };
ENTRY(nocopy_read_loop)		{ READ, .file = loop_device, .want = -EOPNOTSUPP, NOCOPY };
ENTRY(nocopy_write_loop)	{ WRITE, .file = loop_device, .want = -EOPNOTSUPP, NOCOPY };
ENTRY(nocopy_read_device)	{ READ, .path = "/dev/zero", .how = O_RDWR, .want = -EOPNOTSUPP,
				  .want_cfr = -EINVAL, NOCOPY };
ENTRY(nocopy_write_device)	{ WRITE, .path = "/dev/zero", .how = O_RDWR, .want = -EOPNOTSUPP,
				  .want_cfr = -EINVAL, NOCOPY };

static bool is_ours(FIXTURE_VARIANT(refusal) const *v)
{
	return !v->path && (!v->file || v->file == hole || v->file == hole_behind);
}

static int open_file(FIXTURE_VARIANT(refusal) const *v, struct bench *b)
{
	if (v->file)
		return v->file(b);
	if (v->path)
		return open_path(v->path, v->how);
	return dio_reopen(b->plain, v->how ?: O_RDWR | O_DIRECT);
}

static void attempt(struct __test_metadata *_metadata, struct bench *b,
		    FIXTURE_VARIANT(refusal) const *v, int fd, int buf)
{
	struct dio_counters before = {}, after = {};
	loff_t pos = v->pos, off = v->off, fd_pos, step;
	bool at_out = b->call->out_position;
	loff_t *ppos = v->pos_null || (at_out && v->rw == WRITE) ? NULL : &pos;
	loff_t *poff = at_out && v->rw == READ ? NULL : &off;
	size_t len = v->no_len ? 0 : v->len ?: LEN;
	ssize_t want = v->want, ret;

	if (v->want_cfr && b->call == &dio_call_copy_file_range)
		want = v->want_cfr;
	if (v->pos_null && b->call == &dio_call_copy_file_range)
		want = -EINVAL;
	/* New blocks before the end could be seen if they were refused. */
	if (v->rw == WRITE && v->file == hole && b->place == &dio_on_f2fs &&
	    (v->flags & SPLICE_F_NOCOPY))
		want = -EOPNOTSUPP;
	dio_count(b->buf.fd, &before);
	if (!ppos && !v->pos_null)
		lseek(fd, pos, SEEK_SET);
	fd_pos = lseek(fd, 0, SEEK_CUR);

	if (v->rw == READ)
		ret = b->call->move(fd, ppos, buf, poff, len, v->flags);
	else
		ret = b->call->move(buf, poff, fd, ppos, len, v->flags);
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
	if (ret > 0 && is_ours(v) && v->buffer != direct)
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
	EXPECT_TRUE(bench_file_is(b, 0, b->image, SIZE));
}

TEST_F(refusal, every_call)
{
	const struct dio_place *places[] = {
		&dio_on_ext4, &dio_on_xfs, &dio_on_f2fs,
	};
	int i, c, fd, buf, ret;
	struct bench b;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		for (c = 0; dio_calls[c]; c++) {
			b = (struct bench){ .call = dio_calls[c] };
			if (variant->no_sendfile && !b.call->takes_flags)
				continue;
			ret = bench_open(&b, places[i]);
			if (!ret && b.call->out_position && variant->rw == READ)
				ret = bench_buffer_at(&b, variant->off);
			if (dio_is_missing(ret))
				break;
			ASSERT_EQ(0, ret);
			fd = open_file(variant, &b);
			if (fd == SKIPPED) {
				dio_is_missing(DIO_SKIP);
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
		}
	}
	dio_tell_missing(_metadata);
}

int main(int argc, char **argv)
{
	dio_places_make();
	return test_harness_run(argc, argv);
}
