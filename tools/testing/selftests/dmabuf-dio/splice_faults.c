// SPDX-License-Identifier: GPL-2.0
/*
 * splice(2) into a dma-buf while something goes wrong or gets in the way: a bad
 * sector, a failing command, signals, other transfers, a writer, a truncate,
 * descriptors that are closed. Whatever is returned has to be in the buffer,
 * and whatever is in the buffer has to be the file's or the old poison.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <sys/time.h>

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define LEN		(6 * DIO_MIB)
#define OFF		DIO_MIB
#define BUF_SIZE	(8 * DIO_MIB)
#define THREADS		4

FIXTURE(splice_faults)
{
	struct dio_src src;
	struct dio_buf buf;
};

FIXTURE_VARIANT(splice_faults)
{
	const struct dio_backing *backing;
	const struct dio_exporter *exporter;
};

FIXTURE_VARIANT_ADD(splice_faults, ext4_to_heap) { DIO_PAIR(ext4, heap) };
FIXTURE_VARIANT_ADD(splice_faults, xfs_to_udmabuf) { DIO_PAIR(xfs, udmabuf) };
FIXTURE_VARIANT_ADD(splice_faults, raw_to_heap) { DIO_PAIR(raw, heap) };
FIXTURE_VARIANT_ADD(splice_faults, raw_prp_to_udmabuf) { DIO_PAIR(raw_prp, udmabuf) };

FIXTURE_SETUP(splice_faults)
{
	dio_ready(_metadata,
		  dio_src_open(&self->src, variant->backing, 0, LEN) ?:
		  dio_buf_alloc(&self->buf, variant->exporter, BUF_SIZE));
}

FIXTURE_TEARDOWN(splice_faults)
{
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
}

/* What a transfer that broke off may look like. */
static void check_broken(struct __test_metadata *_metadata,
			 const struct dio_src *src, struct dio_buf *buf,
			 ssize_t ret)
{
	if (ret > 0)
		EXPECT_TRUE(dio_is_data(buf, OFF, src, 0, ret));
	EXPECT_TRUE(dio_is_data_or(buf, OFF, src, 0, LEN, DIO_MAY_POISON));
	EXPECT_TRUE(dio_is_poison(buf, 0, OFF));
	EXPECT_TRUE(dio_is_poison(buf, OFF + LEN, buf->size - OFF - LEN));
}

/* ---- broken disks ---- */

static int set_fault(const char *dir, const char *knob, int value)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, knob);
	return dio_write_file(path, "%d", value);
}

/* One command after the other comes back with an error from the device. */
TEST_F(splice_faults, failing_command)
{
	int nth, failed = 0, number, namespace;
	char disk[DIO_NAME], pattern[128], *dir;
	ssize_t ret = 0;
	glob_t found;

	ASSERT_EQ(0, dio_src_disk(&self->src, disk, sizeof(disk)));
	if (sscanf(disk, "nvme%dn%d", &number, &namespace) != 2)
		SKIP(return, "%s is no NVMe disk", disk);
	/* With multipath the path below the disk has it. */
	snprintf(pattern, sizeof(pattern),
		 "/sys/kernel/debug/nvme%d{,c*}n%d/fault_inject", number,
		 namespace);
	if (glob(pattern, GLOB_BRACE, NULL, &found))
		SKIP(return, "no NVMe fault injection for %s", disk);
	dir = found.gl_pathv[0];

	/* Reads only, an internal error, not to be tried again. */
	ASSERT_EQ(0, set_fault(dir, "verbose", 0) ?: set_fault(dir, "opcode", 2) ?:
		     set_fault(dir, "status", 6) ?: set_fault(dir, "dont_retry", 1));

	for (nth = 1; nth < 64 && ret < (ssize_t)LEN; nth++) {
		dio_poison(&self->buf, 0, self->buf.size);
		/* One failure, and none before the nth command. */
		ASSERT_EQ(0, set_fault(dir, "times", 1) ?:
			     set_fault(dir, "space", nth) ?:
			     set_fault(dir, "probability", 100));
		ret = dio_splice(self->src.fd, 0, self->buf.fd, OFF, LEN);
		ASSERT_EQ(0, set_fault(dir, "probability", 0));

		/* What is moved in one go arrives, or does not. */
		EXPECT_TRUE(ret == (ssize_t)LEN || ret == -EIO)
			TH_LOG("command %d: %zd", nth, ret);
		failed += ret < (ssize_t)LEN;
		check_broken(_metadata, &self->src, &self->buf, ret);
	}
	globfree(&found);
	EXPECT_LT(0, failed);
	EXPECT_EQ(LEN, ret);
	EXPECT_TRUE(dio_transfer(&self->src, 0, &self->buf, OFF, LEN));
}

/* ---- signals ---- */

/* The buffer outlives the process that was loading it. */
TEST_F(splice_faults, killed)
{
	struct dio_counters was, now;
	int round, status;
	pid_t pid;

	ASSERT_TRUE(dio_transfer(&self->src, 0, &self->buf, OFF, LEN));
	for (round = 0; round < 12; round++) {
		dio_poison(&self->buf, 0, self->buf.size);
		ASSERT_EQ(0, dio_count(self->buf.fd, &was));
		pid = fork();
		ASSERT_LE(0, pid);
		while (!pid)
			dio_splice(self->src.fd, 0, self->buf.fd, OFF, LEN);
		/* Once it is at it, it does nothing else. */
		ASSERT_TRUE(dio_wait_for(dio_count(self->buf.fd, &now) ||
					 now.dio_read > was.dio_read));
		usleep(dio_random() % 5000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		check_broken(_metadata, &self->src, &self->buf, 0);
	}
	EXPECT_TRUE(dio_transfer(&self->src, 0, &self->buf, OFF, LEN));
}

/* ---- others at work ---- */

/* One buffer, one part for each thread, nothing between the parts changes. */
TEST_F(splice_faults, parts_in_parallel)
{
	size_t part = self->buf.size / THREADS, len = part - DIO_GUARD;
	struct dio_worker worker[THREADS];
	int i;

	dio_poison(&self->buf, 0, self->buf.size);
	for (i = 0; i < THREADS; i++) {
		worker[i] = (struct dio_worker){
			.src = &self->src,
			.buf = &self->buf,
			.file_off = i * DIO_MIB,
			.off = i * part,
			.len = len,
			.rounds = 8,
		};
		ASSERT_EQ(0, dio_worker_start(&worker[i]));
	}
	for (i = 0; i < THREADS; i++) {
		dio_worker_join(&worker[i]);
		EXPECT_EQ(8, worker[i].done);
		EXPECT_TRUE(worker[i].good);
		EXPECT_TRUE(dio_is_poison(&self->buf, i * part + len,
					  DIO_GUARD));
	}
}

struct rival {
	struct dio_src *src;
	atomic_bool stop;
	atomic_int rounds;
	atomic_int error;
};

/* It has done something since we looked last. */
static bool rival_goes_on(struct rival *r)
{
	int was = r->rounds;

	return dio_wait_for(r->rounds != was || r->error);
}

/* Writes the file's range again and again, now one version, now the other. */
static void *write_both(void *arg)
{
	struct rival *r = arg;
	size_t step = 96 * DIO_KIB, at = 0;
	bool other = true;

	while (!r->stop && !r->error) {
		if (pwrite(r->src->wr, (other ? r->src->rival : r->src->oracle)
			   + at, step, at) != (ssize_t)step)
			r->error = errno;
		r->rounds++;
		at += step;
		if (at + step > DIO_MIB) {
			fdatasync(r->src->wr);
			at = 0;
			other = !other;
		}
	}
	return NULL;
}

/* Old or new, word by word; but neither a third thing nor stale poison. */
TEST_F(splice_faults, buffered_writer)
{
	struct rival rival = { .src = &self->src };
	pthread_t thread;
	ssize_t ret;
	int round;

	self->src.rival = malloc(DIO_MIB);
	ASSERT_NE(NULL, self->src.rival);
	dio_pattern(self->src.rival, self->src.seed ^ 0x4000, 0, DIO_MIB);
	ASSERT_EQ(0, pthread_create(&thread, NULL, write_both, &rival));
	for (round = 0; round < 20; round++) {
		EXPECT_TRUE(rival_goes_on(&rival));
		dio_poison(&self->buf, 0, 3 * DIO_MIB);
		ret = dio_splice(self->src.fd, 0, self->buf.fd, OFF, DIO_MIB);
		EXPECT_EQ(DIO_MIB, ret);
		EXPECT_TRUE(dio_is_data_or(&self->buf, OFF, &self->src, 0,
					   DIO_MIB, 0));
		EXPECT_TRUE(dio_is_poison(&self->buf, 0, OFF));
		EXPECT_TRUE(dio_is_poison(&self->buf, OFF + DIO_MIB, DIO_MIB));
		if (ret != DIO_MIB)
			break;
	}
	rival.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, rival.error);
	free(self->src.rival);
	self->src.rival = NULL;

	/* With the writer gone there is one truth again. */
	ASSERT_EQ(0, dio_src_write(&self->src, 0, DIO_MIB));
	EXPECT_TRUE(dio_transfer(&self->src, 0, &self->buf, OFF, DIO_MIB));
}

struct call {
	int fd_in, fd_out;
	atomic_long ret;	/* 0 while it is under way */
};

static void *one_call(void *arg)
{
	struct call *c = arg;

	c->ret = dio_splice(c->fd_in, 0, c->fd_out, 0, LEN);
	return NULL;
}

/* References to the file of a buffer: more than there are descriptors, in a call. */
static long long references(int fd)
{
	long long count;

	return dio_fdinfo(fd, "count", &count) ?: count;
}

/*
 * Both descriptors go away under a running call, which finishes all the same.
 * Rounds count in which the call had them, and had not ended when they were gone.
 */
TEST_F(splice_faults, closed_in_flight)
{
	int round, in_flight[2] = {}, alone;
	struct dio_buf buf, keep;
	pthread_t thread;
	struct call call;
	long long idle;

	for (round = 0; round < DIO_LOOKS; round++) {
		/* Whether nothing but the call holds the buffer. */
		alone = in_flight[0] >= 8;
		if (in_flight[alone] >= 8)
			break;
		ASSERT_EQ(0, dio_buf_alloc(&buf, variant->exporter, LEN));
		keep = buf;
		keep.fd = dup(buf.fd);
		dio_poison(&buf, 0, LEN);
		call.fd_in = dup(self->src.fd);
		call.fd_out = buf.fd;
		call.ret = 0;
		idle = references(keep.fd);
		ASSERT_EQ(0, pthread_create(&thread, NULL, one_call, &call));
		while (references(keep.fd) == idle && !call.ret)
			;
		close(call.fd_in);
		if (alone) {
			close(keep.fd);
			dio_buf_free(&buf);
		} else {
			close(buf.fd);
		}
		in_flight[alone] += !call.ret;
		pthread_join(thread, NULL);
		EXPECT_EQ(LEN, call.ret);
		if (alone)
			continue;
		EXPECT_TRUE(dio_is_data(&keep, 0, &self->src, 0, LEN));
		dio_buf_free(&keep);
	}
	EXPECT_EQ(8, in_flight[0]);
	EXPECT_EQ(8, in_flight[1]);
	EXPECT_TRUE(dio_transfer(&self->src, 0, &self->buf, OFF, LEN));
}

/* As many buffers as there are, all with their maps at the same time. */
TEST_F(splice_faults, many_buffers)
{
	struct dio_buf buf[48];
	size_t len = 128 * DIO_KIB;
	int i, round;

	for (i = 0; i < ARRAY_SIZE(buf); i++)
		ASSERT_EQ(0, dio_buf_alloc(&buf[i], variant->exporter, len));
	for (round = 0; round < 2; round++) {
		for (i = 0; i < ARRAY_SIZE(buf); i++) {
			dio_poison(&buf[i], 0, len);
			EXPECT_EQ(len, dio_splice(self->src.fd, (i + round) * 4096,
						  buf[i].fd, 0, len));
		}
		for (i = 0; i < ARRAY_SIZE(buf); i++)
			EXPECT_TRUE(dio_is_data(&buf[i], 0, &self->src,
						(i + round) * 4096, len));
	}
	for (i = 0; i < ARRAY_SIZE(buf); i++)
		dio_buf_free(&buf[i]);
}

/* ---- what only files have ---- */

FIXTURE(file_faults)
{
	struct dio_src src;
	struct dio_buf buf;
};

FIXTURE_VARIANT(file_faults)
{
	const struct dio_backing *backing;
	const struct dio_exporter *exporter;
};

FIXTURE_VARIANT_ADD(file_faults, ext4_to_heap) { DIO_PAIR(ext4, heap) };
FIXTURE_VARIANT_ADD(file_faults, xfs_to_udmabuf) { DIO_PAIR(xfs, udmabuf) };

FIXTURE_SETUP(file_faults)
{
	dio_ready(_metadata,
		  dio_src_open(&self->src, variant->backing, 0, 2 * DIO_MIB) ?:
		  dio_buf_alloc(&self->buf, variant->exporter, 4 * DIO_MIB));
}

FIXTURE_TEARDOWN(file_faults)
{
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
}

/* Cuts the second half of the first 2 MiB off and writes it anew. */
static void *truncate_and_write(void *arg)
{
	struct rival *r = arg;

	while (!r->stop && !r->error) {
		if (ftruncate(r->src->wr, DIO_MIB) ||
		    pwrite(r->src->wr, r->src->oracle + DIO_MIB, DIO_MIB,
			   DIO_MIB) != (ssize_t)DIO_MIB ||
		    fdatasync(r->src->wr))
			r->error = errno;
		r->rounds++;
	}
	return NULL;
}

/* Blocks that were freed may hold anything; none of it may show up. */
TEST_F(file_faults, truncated)
{
	size_t half = DIO_MIB, len = 2 * DIO_MIB;
	struct rival rival = { .src = &self->src };
	pthread_t thread;
	ssize_t ret;
	int round;

	ASSERT_EQ(0, pthread_create(&thread, NULL, truncate_and_write, &rival));
	for (round = 0; round < 30; round++) {
		EXPECT_TRUE(rival_goes_on(&rival));
		dio_poison(&self->buf, 0, len + 2 * OFF);
		ret = dio_splice(self->src.fd, 0, self->buf.fd, OFF, len);
		ASSERT_LE((ssize_t)half, ret) TH_LOG("%s", strerror(-ret));
		EXPECT_TRUE(dio_is_data(&self->buf, OFF, &self->src, 0, half));
		EXPECT_TRUE(dio_is_data_or(&self->buf, OFF, &self->src, 0, ret,
					   DIO_MAY_ZERO));
		EXPECT_TRUE(dio_is_data_or(&self->buf, OFF, &self->src, 0, len,
					   DIO_MAY_ZERO | DIO_MAY_POISON));
		EXPECT_TRUE(dio_is_poison(&self->buf, OFF + len, OFF));

		ret = dio_splice(self->src.fd, half, self->buf.fd, OFF, half);
		if (ret < 0)
			EXPECT_EQ(-EOPNOTSUPP, ret);
	}
	rival.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, rival.error);
}

/* ---- transfers of several chunks ---- */

FIXTURE(long_faults)
{
	struct dio_src src;
	struct dio_buf buf;
};

FIXTURE_VARIANT(long_faults)
{
	const struct dio_backing *backing;
	const struct dio_exporter *exporter;
};

FIXTURE_VARIANT_ADD(long_faults, ext4_to_heap) { DIO_PAIR(ext4, heap) };
FIXTURE_VARIANT_ADD(long_faults, xfs_to_udmabuf) { DIO_PAIR(xfs, udmabuf) };
FIXTURE_VARIANT_ADD(long_faults, raw_to_heap) { DIO_PAIR(raw, heap) };

#define LONG	(DIO_CHUNK + 2 * DIO_MIB)

FIXTURE_SETUP(long_faults)
{
	dio_ready(_metadata,
		  dio_src_open(&self->src, variant->backing, 0, LONG) ?:
		  dio_buf_alloc(&self->buf, variant->exporter,
				LONG + 2 * DIO_GUARD));
}

FIXTURE_TEARDOWN(long_faults)
{
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
}

static ssize_t load_all(struct dio_src *src, struct dio_buf *buf)
{
	return dio_splice(src->fd, 0, buf->fd, DIO_GUARD, LONG);
}

/*
 * Of a transfer that broke off: @ret bytes, and what was tried of the chunk that
 * follows. None was tried after that.
 */
static void check_part(struct __test_metadata *_metadata, struct dio_src *src,
		       struct dio_buf *buf, ssize_t ret)
{
	size_t done = ret > 0 ? ret : 0, end = done + DIO_CHUNK;

	if (end > LONG)
		end = LONG;
	EXPECT_TRUE(dio_is_data(buf, DIO_GUARD, src, 0, done));
	EXPECT_TRUE(dio_is_data_or(buf, DIO_GUARD + done, src, done, end - done,
				   DIO_MAY_POISON));
	EXPECT_TRUE(dio_is_poison(buf, 0, DIO_GUARD));
	EXPECT_TRUE(dio_is_poison(buf, DIO_GUARD + end,
				  buf->size - DIO_GUARD - end));
}

/*
 * The block layer refuses to read one sector. A chunk fails as a whole; those
 * before it have arrived, and are all that is told of.
 */
TEST_F(long_faults, bad_sector)
{
	size_t block = self->src.block;
	const struct {
		size_t at;
		ssize_t want;
	} tries[] = {
		{ 0, -EIO },
		{ DIO_CHUNK / 2 + block, -EIO },
		{ DIO_CHUNK - block, -EIO },
		{ DIO_CHUNK, DIO_CHUNK },
		{ LONG - block, DIO_CHUNK },
	};
	char disk[DIO_NAME], rules[128];
	loff_t phys;
	ssize_t ret;
	int i;

	ASSERT_EQ(0, dio_src_disk(&self->src, disk, sizeof(disk)));
	snprintf(rules, sizeof(rules),
		 "/sys/kernel/debug/block/%s/error_injection", disk);
	if (access(rules, W_OK))
		SKIP(return, "no %s", rules);

	for (i = 0; i < ARRAY_SIZE(tries); i++) {
		ASSERT_EQ(0, dio_src_physical(&self->src, tries[i].at, &phys));
		ASSERT_EQ(0, dio_write_file(rules,
					    "add,op=READ,start=%lld,nr_sectors=%zu,status=IOERR",
					    (long long)phys / 512, block / 512));
		dio_poison(&self->buf, 0, self->buf.size);
		ret = load_all(&self->src, &self->buf);
		dio_write_file(rules, "removeall");
		EXPECT_EQ(tries[i].want, ret) TH_LOG("bad at %#zx", tries[i].at);
		check_part(_metadata, &self->src, &self->buf, ret);
	}
	EXPECT_EQ(LONG, load_all(&self->src, &self->buf));
	check_part(_metadata, &self->src, &self->buf, LONG);
}

static atomic_int alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/*
 * A signal ends a transfer after a chunk, and no byte is lost. Sent at any time
 * in about the time that a transfer takes here, it comes into some of them.
 */
TEST_F(long_faults, interrupted)
{
	struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval never = {};
	struct itimerval once = {};
	int round, parts = 0, came;
	long window = 10000;	/* us */
	ssize_t ret;

	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	for (round = 0; parts < 4 && round < DIO_LOOKS; round++) {
		dio_poison(&self->buf, 0, self->buf.size);
		came = alarms;
		once.it_value.tv_usec = 1 + dio_random() % window;
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &once, NULL));
		ret = load_all(&self->src, &self->buf);
		came = alarms - came;
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
		window = came ? window * 5 / 4 : window * 3 / 4 + 1;
		if (window > 500000)
			window = 500000;

		/* Before it had begun, or after it had ended. */
		if (ret == -EINTR || ret == LONG) {
			check_part(_metadata, &self->src, &self->buf, ret);
			continue;
		}
		parts++;
		ASSERT_EQ(DIO_CHUNK, ret);
		EXPECT_EQ(1, came);
		EXPECT_EQ(LONG - DIO_CHUNK,
			  dio_splice(self->src.fd, DIO_CHUNK, self->buf.fd,
				     DIO_GUARD + DIO_CHUNK, LONG - DIO_CHUNK));
		check_part(_metadata, &self->src, &self->buf, LONG);
	}
	EXPECT_EQ(4, parts);
}

/* ---- several disks, one buffer, at the same time ---- */

TEST(disks_in_parallel)
{
	struct dio_worker worker[8];
	struct dio_src src[8];
	struct dio_buf buf;
	size_t part = DIO_MIB;
	int i, n = 0, ret;

	for (i = 0; dio_backings[i]; i++) {
		ret = dio_src_open(&src[n], dio_backings[i], 0, part);
		ASSERT_LE(0, ret);
		n += !ret;
	}
	if (n < 2)
		SKIP(return, "fewer than two of DIO_EXT4 ... DIO_RAW_4K are set");
	ASSERT_EQ(0, dio_buf_alloc(&buf, &dio_heap, 2 * n * part));
	dio_poison(&buf, 0, buf.size);
	for (i = 0; i < n; i++) {
		worker[i] = (struct dio_worker){
			.src = &src[i],
			.buf = &buf,
			.off = 2 * i * part,
			.len = part,
			.rounds = 10,
		};
		ASSERT_EQ(0, dio_worker_start(&worker[i]));
	}
	for (i = 0; i < n; i++) {
		dio_worker_join(&worker[i]);
		EXPECT_EQ(10, worker[i].done);
		EXPECT_TRUE(worker[i].good);
		EXPECT_TRUE(dio_is_poison(&buf, (2 * i + 1) * part, part));
		dio_src_close(&src[i]);
	}
	dio_buf_free(&buf);
}

TEST_HARNESS_MAIN
