// SPDX-License-Identifier: GPL-2.0
/*
 * splice(2) into a dma-buf, and out of it, while something goes wrong or gets in
 * the way: a bad sector, a failing command, signals, other transfers, a writer, a
 * truncate, descriptors that are closed. Whatever is returned has to be there,
 * and whatever is there has to be the other side's or what was there before;
 * beside the range nothing changes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
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
			.reads = true,
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

/* ---- in both directions ---- */

/* In the file, so that there is something on both sides of it. */
#define POS		DIO_GUARD

FIXTURE(one_way)
{
	struct dio_src src;
	struct dio_buf buf;
	struct dio_move move;
};

FIXTURE_VARIANT(one_way)
{
	const struct dio_backing *backing;
	const struct dio_exporter *exporter;
	int rw;
};

FIXTURE_VARIANT_ADD(one_way, ext4_to_heap) { DIO_PAIR(ext4, heap) };
FIXTURE_VARIANT_ADD(one_way, xfs_to_udmabuf) { DIO_PAIR(xfs, udmabuf) };
FIXTURE_VARIANT_ADD(one_way, raw_to_heap) { DIO_PAIR(raw, heap) };
FIXTURE_VARIANT_ADD(one_way, raw_prp_to_udmabuf) { DIO_PAIR(raw_prp, udmabuf) };
FIXTURE_VARIANT_ADD(one_way, heap_to_ext4) { DIO_PAIR(ext4, heap), .rw = DIO_WRITE };
FIXTURE_VARIANT_ADD(one_way, udmabuf_to_xfs) { DIO_PAIR(xfs, udmabuf), .rw = DIO_WRITE };
FIXTURE_VARIANT_ADD(one_way, heap_to_raw) { DIO_PAIR(raw, heap), .rw = DIO_WRITE };
FIXTURE_VARIANT_ADD(one_way, udmabuf_to_raw_prp) { DIO_PAIR(raw_prp, udmabuf), .rw = DIO_WRITE };

FIXTURE_SETUP(one_way)
{
	dio_ready(_metadata,
		  dio_src_open(&self->src, variant->backing, 0, LEN + 2 * POS) ?:
		  dio_buf_alloc(&self->buf, variant->exporter, BUF_SIZE) ?:
		  dio_move_open(&self->move, variant->rw, &self->src, &self->buf,
				POS, OFF, LEN));
}

FIXTURE_TEARDOWN(one_way)
{
	dio_move_close(&self->move);
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
}

/* As if nothing had been. */
static void expect_all(struct __test_metadata *_metadata, struct dio_move *m)
{
	dio_move_prepare(m);
	EXPECT_EQ(m->len, dio_move(m));
	EXPECT_TRUE(dio_move_check(m, m->len, m->len));
}

struct call {
	struct dio_move move;
	struct dio_src src;
	struct dio_buf buf;
	atomic_long ret;	/* 0 while it is under way */
};

static void *one_call(void *arg)
{
	struct call *c = arg;

	c->ret = dio_move(&c->move);
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
TEST_F(one_way, closed_in_flight)
{
	struct dio_move *m = &self->move;
	int round, in_flight[2] = {}, alone;
	pthread_t thread;
	struct call call;
	long long idle;

	for (round = 0; round < DIO_LOOKS; round++) {
		/* Whether nothing but the call holds the buffer. */
		alone = in_flight[0] >= 8;
		if (in_flight[alone] >= 8)
			break;
		dio_buf_free(&self->buf);
		ASSERT_EQ(0, dio_buf_alloc(&self->buf, variant->exporter, BUF_SIZE));
		dio_move_prepare(m);
		call = (struct call){ .move = *m, .src = self->src, .buf = self->buf };
		call.move.src = &call.src;
		call.move.buf = &call.buf;
		call.src.fd = dup(self->src.fd);
		call.buf.fd = dup(self->buf.fd);
		if (variant->rw == DIO_WRITE)
			call.move.out = dup(m->out);
		idle = references(self->buf.fd);
		ASSERT_EQ(0, pthread_create(&thread, NULL, one_call, &call));
		while (references(self->buf.fd) == idle && !call.ret)
			;
		close(call.src.fd);
		if (variant->rw == DIO_WRITE)
			close(call.move.out);
		close(call.buf.fd);
		if (alone)
			dio_buf_free(&self->buf);
		in_flight[alone] += !call.ret;
		pthread_join(thread, NULL);
		EXPECT_EQ(LEN, call.ret);
		if (!alone)
			EXPECT_TRUE(dio_move_check(m, LEN, LEN));
		if (alone && variant->rw == DIO_WRITE)
			EXPECT_TRUE(dio_is_written(&self->src, POS, LEN, LEN));
	}
	EXPECT_EQ(8, in_flight[0]);
	EXPECT_EQ(8, in_flight[1]);
	if (self->buf.fd < 0)
		ASSERT_EQ(0, dio_buf_alloc(&self->buf, variant->exporter, BUF_SIZE));
	expect_all(_metadata, m);
}

/* ---- a disk that fails commands ---- */

FIXTURE(broken_disk)
{
	struct dio_src src;
	struct dio_buf buf;
	struct dio_move move;
};

FIXTURE_VARIANT(broken_disk)
{
	const struct dio_backing *backing;
	const struct dio_exporter *exporter;
	int rw;
};

/*
 * File systems are only read from: they, too, write to the disk, and one that
 * cannot write its journal takes no more writes.
 */
FIXTURE_VARIANT_ADD(broken_disk, ext4_to_heap) { DIO_PAIR(ext4, heap) };
FIXTURE_VARIANT_ADD(broken_disk, xfs_to_udmabuf) { DIO_PAIR(xfs, udmabuf) };
FIXTURE_VARIANT_ADD(broken_disk, raw_to_heap) { DIO_PAIR(raw, heap) };
FIXTURE_VARIANT_ADD(broken_disk, raw_prp_to_udmabuf) { DIO_PAIR(raw_prp, udmabuf) };
FIXTURE_VARIANT_ADD(broken_disk, heap_to_raw) { DIO_PAIR(raw, heap), .rw = DIO_WRITE };
FIXTURE_VARIANT_ADD(broken_disk, udmabuf_to_raw_prp) {
	DIO_PAIR(raw_prp, udmabuf), .rw = DIO_WRITE,
};

FIXTURE_SETUP(broken_disk)
{
	if (!dio_ready(_metadata,
		       dio_src_open(&self->src, variant->backing, 0, LEN + 2 * POS) ?:
		       dio_buf_alloc(&self->buf, variant->exporter, BUF_SIZE) ?:
		       dio_move_open(&self->move, variant->rw, &self->src, &self->buf,
				     POS, OFF, LEN)))
		return;
	/* udev reads disks that were written to, but not while one is locked. */
	ASSERT_EQ(0, flock(self->src.wr, LOCK_EX));
}

FIXTURE_TEARDOWN(broken_disk)
{
	EXPECT_EQ(0, dio_knobs_restore());
	dio_move_close(&self->move);
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
}

static int set_fault(const char *dir, const char *knob, int value)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, knob);
	return dio_knob(path, "%d", value);
}

static long left_of(const char *dir)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/times", dir);
	return dio_number(path, "");
}

/*
 * One command after the other comes back with an error from the device. The one
 * failure may go to somebody else, as to who reads what a file system keeps for
 * itself. So it counts only if the call has failed, and the end is where nobody
 * took it.
 */
TEST_F(broken_disk, failing_command)
{
	int nth, round, failed = 0, number, namespace;
	bool write = variant->rw == DIO_WRITE;
	char disk[DIO_NAME], pattern[128], dir[128];
	struct dio_move *m = &self->move;
	ssize_t ret = 0;
	glob_t found;
	long left = 0;

	ASSERT_EQ(0, dio_src_disk(&self->src, disk, sizeof(disk)));
	if (sscanf(disk, "nvme%dn%d", &number, &namespace) != 2)
		SKIP(return, "%s is no NVMe disk", disk);
	/* With multipath the path below the disk has it. */
	snprintf(pattern, sizeof(pattern),
		 "/sys/kernel/debug/nvme%d{,c*}n%d/fault_inject", number,
		 namespace);
	if (glob(pattern, GLOB_BRACE, NULL, &found))
		SKIP(return, "no NVMe fault injection for %s", disk);
	snprintf(dir, sizeof(dir), "%s", found.gl_pathv[0]);
	globfree(&found);

	/* Only these commands, an internal error, not to be tried again. */
	ASSERT_EQ(0, set_fault(dir, "verbose", 0) ?:
		     set_fault(dir, "opcode", write ? 1 : 2) ?:
		     set_fault(dir, "status", 6) ?: set_fault(dir, "dont_retry", 1));

	for (nth = 1, round = 0; round < DIO_LOOKS; round++) {
		dio_move_prepare(m);
		/* One failure, and none before the nth command. */
		ASSERT_EQ(0, set_fault(dir, "times", 1) ?:
			     set_fault(dir, "space", nth) ?:
			     set_fault(dir, "probability", 100));
		ret = dio_move(m);
		ASSERT_EQ(0, set_fault(dir, "probability", 0));
		left = left_of(dir);

		/* What is moved in one go arrives, or does not. */
		EXPECT_TRUE(ret == (ssize_t)LEN || ret == -EIO)
			TH_LOG("command %d: %zd", nth, ret);
		EXPECT_TRUE(dio_move_check(m, ret, LEN)) TH_LOG("command %d", nth);
		if (ret != (ssize_t)LEN) {
			EXPECT_EQ(0, left);
			failed++;
			nth++;
		} else if (left && failed) {
			break;
		} else if (left) {
			nth = 1;
		}
	}
	EXPECT_LT(0, failed);
	EXPECT_EQ(1, left);
	EXPECT_EQ(LEN, ret);
	expect_all(_metadata, m);
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
	struct dio_move move;
	char disk[DIO_NAME];
	char rules[128];	/* where sectors are made bad */
};

FIXTURE_VARIANT(long_faults)
{
	const struct dio_backing *backing;
	const struct dio_exporter *exporter;
	int rw;
};

FIXTURE_VARIANT_ADD(long_faults, ext4_to_heap) { DIO_PAIR(ext4, heap) };
FIXTURE_VARIANT_ADD(long_faults, xfs_to_udmabuf) { DIO_PAIR(xfs, udmabuf) };
FIXTURE_VARIANT_ADD(long_faults, raw_to_heap) { DIO_PAIR(raw, heap) };
FIXTURE_VARIANT_ADD(long_faults, heap_to_ext4) { DIO_PAIR(ext4, heap), .rw = DIO_WRITE };
FIXTURE_VARIANT_ADD(long_faults, udmabuf_to_xfs) { DIO_PAIR(xfs, udmabuf), .rw = DIO_WRITE };
FIXTURE_VARIANT_ADD(long_faults, heap_to_raw) { DIO_PAIR(raw, heap), .rw = DIO_WRITE };

#define LONG	(DIO_CHUNK + 2 * DIO_MIB)

FIXTURE_SETUP(long_faults)
{
	if (!dio_ready(_metadata,
		       dio_src_open(&self->src, variant->backing, 0, LONG + 2 * POS) ?:
		       dio_buf_alloc(&self->buf, variant->exporter,
				     LONG + 2 * DIO_GUARD) ?:
		       dio_src_disk(&self->src, self->disk, sizeof(self->disk)) ?:
		       dio_move_open(&self->move, variant->rw, &self->src, &self->buf,
				     POS, DIO_GUARD, LONG)))
		return;
	snprintf(self->rules, sizeof(self->rules),
		 "/sys/kernel/debug/block/%s/error_injection", self->disk);
	/* udev reads disks that were written to, but not while one is locked. */
	ASSERT_EQ(0, flock(self->src.wr, LOCK_EX));
}

FIXTURE_TEARDOWN(long_faults)
{
	if (!access(self->rules, W_OK))
		EXPECT_EQ(0, dio_write_file(self->rules, "removeall"));
	dio_move_close(&self->move);
	dio_buf_free(&self->buf);
	dio_src_close(&self->src);
}

/*
 * Of a transfer that broke off: @ret bytes, and what was tried of the chunk that
 * follows. None was tried after that.
 */
static bool is_part(struct dio_move *m, ssize_t ret)
{
	size_t end = (ret > 0 ? ret : 0) + DIO_CHUNK;

	return dio_move_check(m, ret, end < LONG ? end : LONG);
}

/*
 * The block layer refuses to read one sector, or to write it. A chunk fails as a
 * whole; those before it have arrived, and are all that is told of.
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
	struct dio_move *m = &self->move;
	loff_t phys;
	ssize_t ret;
	int i;

	if (access(self->rules, W_OK))
		SKIP(return, "no %s", self->rules);

	for (i = 0; i < ARRAY_SIZE(tries); i++) {
		ASSERT_EQ(0, dio_src_physical(&self->src, POS + tries[i].at, &phys));
		dio_move_prepare(m);
		ASSERT_EQ(0, dio_write_file(self->rules,
					    "add,op=%s,start=%lld,nr_sectors=%zu,status=IOERR",
					    variant->rw == DIO_WRITE ? "WRITE" : "READ",
					    (long long)phys / 512, block / 512));
		ret = dio_move(m);
		ASSERT_EQ(0, dio_write_file(self->rules, "removeall"));
		EXPECT_EQ(tries[i].want, ret) TH_LOG("bad at %#zx", tries[i].at);
		EXPECT_TRUE(is_part(m, ret)) TH_LOG("bad at %#zx", tries[i].at);
	}
	expect_all(_metadata, m);
}

static atomic_int alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/*
 * A signal does not end a transfer, and no byte is lost. Sent at any time in about
 * the time that a transfer takes here, it comes into some of them.
 */
TEST_F(long_faults, interrupted)
{
	struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval never = {};
	struct dio_move *m = &self->move;
	struct itimerval once = {};
	int round, whole = 0, came;
	long window = 10000;	/* us */
	ssize_t ret;

	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	for (round = 0; whole < 4 && round < DIO_LOOKS; round++) {
		dio_move_prepare(m);
		came = alarms;
		once.it_value.tv_usec = 1 + dio_random() % window;
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &once, NULL));
		ret = dio_move(m);
		came = alarms - came;
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
		window = came ? window * 5 / 4 : window * 3 / 4 + 1;
		if (window > 500000)
			window = 500000;

		/* Before it had begun. */
		if (ret == -EINTR) {
			EXPECT_TRUE(dio_move_check(m, ret, 0));
			continue;
		}
		whole += came;
		EXPECT_EQ(LONG, ret);
		EXPECT_TRUE(dio_move_check(m, LONG, LONG));
	}
	EXPECT_EQ(4, whole);
}

/*
 * The buffer outlives the process that was moving it. What was moved by then, the
 * buffer has counted, and nothing else was; it ends in the middle now and then.
 */
TEST_F(long_faults, killed)
{
	int round, status, parts = 0, rw = variant->rw;
	struct dio_move *m = &self->move;
	struct dio_counters was, now;
	long window = 10000;	/* us */
	atomic_long *ret;
	long long begin;
	ssize_t moved;
	pid_t pid;

	ret = mmap(NULL, sizeof(*ret), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, ret);
	for (round = 0; parts < 4 && round < DIO_LOOKS; round++) {
		dio_move_prepare(m);
		ASSERT_EQ(0, dio_count(self->buf.fd, &was));
		begin = dio_disk_bytes(self->disk, rw);
		*ret = 0;
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			*ret = dio_move(m);
			for (;;)
				pause();
		}
		ASSERT_TRUE(dio_wait_for(*ret || dio_disk_bytes(self->disk, rw) != begin));
		usleep(dio_random() % window);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));

		ASSERT_EQ(0, dio_count(self->buf.fd, &now));
		moved = rw == DIO_WRITE ? now.dio_write - was.dio_write :
					  now.dio_read - was.dio_read;
		EXPECT_TRUE(!moved || moved == DIO_CHUNK || moved == LONG)
			TH_LOG("%zd bytes", moved);
		EXPECT_TRUE(dio_move_check(m, moved, moved));
		parts += moved && moved < (ssize_t)LONG;
		window = moved < (ssize_t)LONG ? window * 5 / 4 : window * 3 / 4 + 1;
		if (window > 500000)
			window = 500000;
	}
	EXPECT_EQ(4, parts);
	expect_all(_metadata, m);
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
		if (!dio_is_missing(ret))
			n++;
	}
	if (n < 2)
		SKIP(return, "%s", dio_missing());
	ASSERT_EQ(0, dio_buf_alloc(&buf, &dio_heap, 2 * n * part));
	dio_poison(&buf, 0, buf.size);
	for (i = 0; i < n; i++) {
		worker[i] = (struct dio_worker){
			.src = &src[i],
			.buf = &buf,
			.reads = true,
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
	dio_tell_missing(_metadata);
}

TEST_HARNESS_MAIN
