// SPDX-License-Identifier: GPL-2.0
/*
 * dma-bufs and what has no disk below it, or no positions: memory, sockets,
 * devices, proc, pipes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <linux/dma-buf.h>

#include "../kselftest_harness.h"
#include "lib/bench.h"

FIXTURE(memory)
{
	struct bench b;
};

FIXTURE_SETUP(memory)
{
	dio_ready(_metadata, bench_open(&self->b, &dio_on_memfd));
}

FIXTURE_TEARDOWN(memory)
{
	bench_close(&self->b);
}

/* Of the last copy. */
static void expect_reason(struct __test_metadata *_metadata, struct bench *b,
			  const char *reason)
{
	struct dio_counters c = {};

	EXPECT_EQ(0, dio_count(b->buf.fd, &c));
	EXPECT_STREQ(reason, c.reason);
}

static const struct dio_call *const stream_calls[] = {
	&dio_call_splice, &dio_call_sendfile, &dio_call_io_uring, NULL
};

TEST_F(memory, from_streams)
{
	struct bench *b = &self->b;
	int c, s[2], zero;
	loff_t off;

	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, zero);
	for (c = 0; stream_calls[c]; c++) {
		b->call = stream_calls[c];
		ASSERT_EQ(0, bench_buffer_at(b, 0));
		dio_poison(&b->buf, 0, SIZE);
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));

		/* Twice: a stream goes on where it was. */
		ASSERT_EQ(1000, write(s[1], b->image, 1000));
		off = 0;
		EXPECT_EQ(300,
			  b->call->move(s[0], NULL, b->buf.fd, dio_out(b->call, &off), 300, 0));
		off = 300;
		EXPECT_EQ(700, b->call->move(s[0], NULL, b->buf.fd, dio_out(b->call, &off), LEN, 0))
			TH_LOG("%s", b->call->name);
		EXPECT_TRUE(bench_buffer_is(b, 0, b->image, 1000));
		EXPECT_TRUE(dio_is_poison(&b->buf, 1000, SIZE - 1000));
		expect_reason(_metadata, b, "file");

		/* None left, and none to come. */
		close(s[1]);
		EXPECT_EQ(0, b->call->move(s[0], NULL, b->buf.fd, NULL, LEN, 0));
		close(s[0]);

		off = LEN;
		ASSERT_EQ(0, bench_buffer_at(b, b->call->out_position ? LEN : 0));
		dio_poison(&b->buf, 0, SIZE);
		EXPECT_EQ(LEN,
			  b->call->move(zero, NULL, b->buf.fd, dio_out(b->call, &off), LEN, 0));
		expect_reason(_metadata, b, "file");
		memset(b->mem, 0, LEN);
		EXPECT_TRUE(dio_is_poison(&b->buf, 0, LEN));
		EXPECT_TRUE(bench_buffer_is(b, LEN, b->mem, LEN));
		EXPECT_TRUE(dio_is_poison(&b->buf, 2 * LEN, SIZE - 2 * LEN));
	}
	close(zero);
}

TEST_F(memory, to_streams)
{
	struct bench *b = &self->b;
	loff_t off;
	int c, s[2], sink;

	sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, sink);
	for (c = 0; stream_calls[c]; c++) {
		b->call = stream_calls[c];
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
		off = 100;
		EXPECT_EQ(3000, b->call->move(b->buf.fd, &off, s[0], NULL, 3000, 0));
		EXPECT_EQ(3100, off);
		expect_reason(_metadata, b, "file");
		EXPECT_EQ(5000, b->call->move(b->buf.fd, &off, s[0], NULL, 5000, 0))
			TH_LOG("%s", b->call->name);
		EXPECT_EQ(8100, off);
		if (off == 8100) {
			EXPECT_EQ(8000, recv(s[1], b->mem, LEN, MSG_WAITALL | MSG_DONTWAIT));
			EXPECT_TRUE(bench_buffer_is(b, 100, b->mem, 8000));
		}
		signal(SIGPIPE, SIG_IGN);
		close(s[1]);
		off = 0;
		EXPECT_EQ(-EPIPE, b->call->move(b->buf.fd, &off, s[0], NULL, 100, 0));
		close(s[0]);

		EXPECT_EQ(LEN, b->call->move(b->buf.fd, &off, sink, NULL, LEN, 0));
		expect_reason(_metadata, b, "file");
	}
	close(sink);
}

/* What proc makes up is a file like any other. */
TEST_F(memory, from_proc_file)
{
	struct bench *b = &self->b;
	loff_t in = 0, off;
	ssize_t len;
	int c, fd;

	fd = open("/proc/version", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	len = pread(fd, b->mem, SIZE, 0);
	ASSERT_LT(0, len);
	for (c = 0; dio_calls[c]; c++) {
		b->call = dio_calls[c];
		ASSERT_EQ(0, bench_buffer_at(b, 0));
		dio_poison(&b->buf, 0, SIZE);
		in = 0;
		off = 0;
		EXPECT_EQ(len, b->call->move(fd, &in, b->buf.fd, dio_out(b->call, &off), LEN, 0))
			TH_LOG("%s", b->call->name);
		EXPECT_TRUE(bench_buffer_is(b, 0, b->mem, len));
		EXPECT_TRUE(dio_is_poison(&b->buf, len, SIZE - len));
		expect_reason(_metadata, b, "buffered");
	}
	close(fd);
}

/* The file is what the buffer is made of. */
TEST_F(memory, udmabuf_of_the_file)
{
	struct bench *b = &self->b;
	int c, rw, fd, in, out;
	loff_t pos;

	for (c = 0; dio_calls[c]; c++) {
		for (rw = READ; rw <= WRITE; rw++) {
			dio_buf_free(&b->buf);
			fd = dio_memfd(SIZE, 0, F_SEAL_SHRINK);
			ASSERT_LE(0, fd);
			ASSERT_EQ(SIZE, pwrite(fd, b->image, SIZE, 0));
			b->buf.fd = dio_udmabuf_create(fd, SIZE);
			if (b->buf.fd == -ENOENT)
				SKIP(return, "no /dev/udmabuf");
			ASSERT_LE(0, b->buf.fd);
			in = rw == READ ? fd : b->buf.fd;
			out = rw == READ ? b->buf.fd : fd;

			/* Into itself changes nothing; elsewhere moves it. */
			pos = 0;
			lseek(fd, 0, SEEK_SET);
			EXPECT_EQ(LEN, dio_calls[c]->move(in, &pos, out, NULL, LEN, 0));
			ASSERT_EQ(SIZE, pread(fd, b->mem, SIZE, 0));
			EXPECT_EQ(0, memcmp(b->mem, b->image, SIZE));
			pos = 2 * LEN;
			EXPECT_EQ(LEN, dio_calls[c]->move(in, &pos, out, NULL, LEN, 0));
			ASSERT_EQ(SIZE, pread(fd, b->mem, SIZE, 0));
			EXPECT_EQ(0, memcmp(b->mem, b->image, LEN));
			EXPECT_EQ(0, memcmp(b->mem + LEN, b->image + 2 * LEN, LEN));
			EXPECT_EQ(0, memcmp(b->mem + 2 * LEN, b->image + 2 * LEN, SIZE - 2 * LEN));
			close(fd);
		}
	}
}

TEST_F(memory, to_sealed_memfd)
{
	struct bench *b = &self->b;
	loff_t off = 0;
	int c, fd;

	fd = dio_memfd(SIZE, 0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(SIZE, pwrite(fd, b->image, SIZE, 0));
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	for (c = 0; dio_calls[c]; c++) {
		lseek(fd, 0, SEEK_SET);
		EXPECT_EQ(-EPERM, dio_calls[c]->move(b->buf.fd, &off, fd, NULL, LEN, 0));
	}
	ASSERT_EQ(SIZE, pread(fd, b->mem, SIZE, 0));
	EXPECT_EQ(0, memcmp(b->mem, b->image, SIZE));
	close(fd);
}

/* Lseek, and what else a dma-buf does not do. */
TEST_F(memory, buffer_is_no_file)
{
	struct bench *b = &self->b;

	EXPECT_EQ(SIZE, lseek(b->buf.fd, 0, SEEK_END));
	EXPECT_EQ(0, lseek(b->buf.fd, 0, SEEK_SET));
	EXPECT_EQ(-1, lseek(b->buf.fd, 1, SEEK_SET));
	EXPECT_EQ(-1, lseek(b->buf.fd, 0, SEEK_CUR));
	EXPECT_EQ(-1, read(b->buf.fd, b->mem, 1));
	EXPECT_EQ(-1, write(b->buf.fd, b->mem, 1));
	EXPECT_EQ(-1, ftruncate(b->buf.fd, 0));
	EXPECT_EQ(0, dio_pos(b->buf.fd));
	EXPECT_TRUE(dio_is_poison(&b->buf, 0, SIZE));
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

#define REFUSED(want, call) do {					\
	EXPECT_EQ(-1, call);						\
	EXPECT_EQ(want, errno);						\
} while (0)

TEST_F(pipes, from_buffer)
{
	struct bench *b = &self->b;
	struct dio_counters c;
	loff_t off = 100;

	ASSERT_EQ(10000, splice(b->buf.fd, &off, self->in, NULL, 10000, 0));
	EXPECT_EQ(10100, off);
	EXPECT_EQ(0, dio_pos(b->buf.fd));
	ASSERT_EQ(10000, read(self->out, b->mem, SIZE));
	EXPECT_TRUE(bench_buffer_is(b, 100, b->mem, 10000));

	/* At its position. */
	ASSERT_EQ(5000, splice(b->buf.fd, NULL, self->in, NULL, 5000, 0));
	ASSERT_EQ(5000, splice(b->buf.fd, NULL, self->in, NULL, 5000, 0));
	EXPECT_EQ(10000, dio_pos(b->buf.fd));
	ASSERT_EQ(10000, read(self->out, b->mem, SIZE));
	EXPECT_TRUE(bench_buffer_is(b, 0, b->mem, 10000));

	/* The end. */
	off = SIZE - 33;
	ASSERT_EQ(33, splice(b->buf.fd, &off, self->in, NULL, LEN, 0));
	ASSERT_EQ(33, read(self->out, b->mem, SIZE));
	EXPECT_TRUE(bench_buffer_is(b, SIZE - 33, b->mem, 33));
	EXPECT_EQ(0, splice(b->buf.fd, &off, self->in, NULL, LEN, 0));
	off = SIZE + LEN;
	EXPECT_EQ(0, splice(b->buf.fd, &off, self->in, NULL, LEN, 0));
	off = -1;
	REFUSED(EINVAL, splice(b->buf.fd, &off, self->in, NULL, LEN, 0));

	ASSERT_EQ(0, dio_count(b->buf.fd, &c));
	EXPECT_EQ(20033, c.copy_write);
	EXPECT_STREQ("file", c.reason);
	EXPECT_EQ(0, c.copy_read + c.dio_read + c.dio_write);
	EXPECT_TRUE(dio_is_poison(&b->buf, 0, SIZE));

	/* What is in the pipe is a copy. */
	off = 0;
	ASSERT_EQ(4096, splice(b->buf.fd, &off, self->in, NULL, 4096, 0));
	bench_buffer_get(b, 0, b->mem, 4096);
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
	REFUSED(EAGAIN, splice(b->buf.fd, &off, self->in, NULL, LEN, NONBLOCK));
	EXPECT_EQ(50 + size, off);
	ASSERT_EQ(4096, read(self->out, b->mem, 4096));
	ASSERT_EQ(4096, splice(b->buf.fd, &off, self->in, NULL, LEN, NONBLOCK));
	ASSERT_EQ(8192, read(self->out, b->mem + 4096, SIZE - 4096));
	EXPECT_TRUE(bench_buffer_is(b, 50, b->mem, 4096 + 8192));

	/* No room for another piece, though there is for bytes. */
	ASSERT_EQ(1, write(self->in, b->mem, 1));
	ASSERT_EQ(1, splice(b->buf.fd, &off, self->in, NULL, 1, 0));
	REFUSED(EAGAIN, splice(b->buf.fd, &off, self->in, NULL, LEN, NONBLOCK));

	signal(SIGPIPE, SIG_IGN);
	close(self->out);
	REFUSED(EPIPE, splice(b->buf.fd, &off, self->in, NULL, LEN, 0));
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
	EXPECT_TRUE(bench_buffer_is(b, 1000, b->image, 10000));
	EXPECT_TRUE(dio_is_poison(&b->buf, 11000, SIZE - 11000));
	EXPECT_EQ(0, dio_pos(b->buf.fd));

	REFUSED(EAGAIN, splice(self->out, NULL, b->buf.fd, &off, LEN, NONBLOCK));

	/* At its position, in pieces that are none of the pipe's. */
	ASSERT_EQ(10000, write(self->in, b->image, 10000));
	ASSERT_EQ(777, splice(self->out, NULL, b->buf.fd, NULL, 777, 0));
	ASSERT_EQ(9223, splice(self->out, NULL, b->buf.fd, NULL, 9223, 0));
	EXPECT_EQ(10000, dio_pos(b->buf.fd));
	EXPECT_TRUE(bench_buffer_is(b, 0, b->image, 10000));

	/* The end of the buffer leaves the rest in the pipe. */
	off = SIZE - 100;
	ASSERT_EQ(300, write(self->in, b->image, 300));
	ASSERT_EQ(100, splice(self->out, NULL, b->buf.fd, &off, LEN, 0));
	EXPECT_TRUE(bench_buffer_is(b, SIZE - 100, b->image, 100));
	REFUSED(ENOSPC, splice(self->out, NULL, b->buf.fd, &off, LEN, 0));
	off = -1;
	REFUSED(EINVAL, splice(self->out, NULL, b->buf.fd, &off, LEN, 0));
	ASSERT_EQ(200, read(self->out, b->mem, SIZE));
	EXPECT_EQ(0, memcmp(b->mem, b->image + 100, 200));

	ASSERT_EQ(0, dio_count(b->buf.fd, &c));
	EXPECT_EQ(20100, c.copy_read);
	EXPECT_STREQ("file", c.reason);
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
	EXPECT_TRUE(bench_buffer_is(b, 321, b->image + 123, 20000));
	off = 100000;
	ASSERT_EQ(20000, splice(fd[0], NULL, b->buf.fd, &off, SIZE, 0));
	EXPECT_TRUE(bench_buffer_is(b, 100000, b->image + 123, 20000));

	off = 200000;
	ASSERT_EQ(10000, vmsplice(self->in, &vec, 1, 0));
	ASSERT_EQ(10000, splice(self->out, NULL, b->buf.fd, &off, SIZE, 0));
	EXPECT_TRUE(bench_buffer_is(b, 200000, b->image, 10000));

	/* Out of the buffer into a file, and to a pipe by sendfile. */
	off = 4;
	ASSERT_EQ(10000, sendfile(self->in, b->buf.fd, &off, 10000));
	EXPECT_EQ(10004, off);
	in = 5;
	ASSERT_EQ(10000, splice(self->out, NULL, b->plain, &in, SIZE, 0));
	EXPECT_TRUE(bench_file_is_buffer(b, 5, 4, 10000));
	close(fd[0]);
	close(fd[1]);
}

/*
 * Data on its way from a socket to the pipe, in pieces of several pages: false if
 * memory is in single pages, so that the pipe would need more room for it.
 */
static bool fill_from_socket(struct __test_metadata *_metadata, int pipe,
			     const void *data, size_t len)
{
	size_t done;
	ssize_t n;
	int s[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
	ASSERT_EQ(len, write(s[1], data, len));
	ASSERT_EQ(DIO_MIB, fcntl(pipe, F_SETPIPE_SZ, DIO_MIB));
	for (done = 0; done < len; done += n) {
		n = splice(s[0], NULL, pipe, NULL, len - done, 0);
		ASSERT_LT(0, n) TH_LOG("after %zu", done);
	}
	close(s[0]);
	close(s[1]);
	return fcntl(pipe, F_SETPIPE_SZ, len / 2) >= 0;
}

/* Pieces of several pages each, which sockets have. */
TEST_F(pipes, from_socket)
{
	static const size_t most[] = { 2 * LEN, LEN / 2 - 99, 5001 };
	const size_t len = 2 * LEN, at = LEN / 2 + 13;
	struct bench *b = &self->b;
	struct dio_counters c;
	int i, tries = 0;
	size_t done;
	ssize_t n;
	loff_t off;

	for (i = 0; i < ARRAY_SIZE(most); i++) {
		while (!fill_from_socket(_metadata, self->in, b->image, len)) {
			if (++tries > 100)
				SKIP(return, "no memory that is not in single pages");
			dio_write_file("/proc/sys/vm/compact_memory", "1");
			ASSERT_EQ(len, read(self->out, b->mem, len));
		}

		dio_poison(&b->buf, 0, SIZE);
		off = at;
		for (done = 0; done < len; done += n) {
			n = len - done < most[i] ? len - done : most[i];
			ASSERT_EQ(n, splice(self->out, NULL, b->buf.fd, &off, n, 0))
				TH_LOG("after %zu", done);
		}
		EXPECT_EQ(at + len, off);
		EXPECT_TRUE(dio_is_poison(&b->buf, 0, at));
		EXPECT_TRUE(bench_buffer_is(b, at, b->image, len));
		EXPECT_TRUE(dio_is_poison(&b->buf, at + len, SIZE - at - len));
	}
	ASSERT_EQ(0, dio_count(b->buf.fd, &c));
	EXPECT_EQ(ARRAY_SIZE(most) * len, c.copy_read);
	EXPECT_STREQ("file", c.reason);
}

TEST_F(pipes, refused)
{
	struct iovec vec = { .iov_base = self->b.mem, .iov_len = 100 };
	struct bench *b = &self->b;
	loff_t off = 0;
	int fd[2], buf;

	ASSERT_EQ(0, pipe2(fd, O_CLOEXEC));
	ASSERT_EQ(100, write(self->in, b->image, 100));
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

TEST_HARNESS_MAIN
