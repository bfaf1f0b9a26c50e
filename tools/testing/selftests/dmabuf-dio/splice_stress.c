// SPDX-License-Identifier: GPL-2.0
/*
 * Random transfers between files and dma-bufs in several threads, while the
 * files are written, mapped, cut and punched by others; and an exact model.
 *
 *	splice_stress [transfers] [seed] [faults]
 *
 * A phase ends after so many transfers, and when all that goes on beside them
 * has been done in proportion, whatever the time that takes.
 *
 * A file is divided into regions. Each of the first ones belongs to a thread
 * that moves data between it and a part of a buffer, and knows each byte of
 * both. The next ones belong to threads that write them buffered, and through
 * mappings; they know their bytes, too, and transfers read them now and then.
 * In the last one anything happens at any time; there each word has to be one
 * that somebody wrote there, or zero.
 *
 * With faults, memory runs out and bios fail while data is moved, and only then:
 * the kernel can do all else that it is asked for. Each byte that a failed call
 * was to move is what it was, or what it was to be; and no other one changes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/falloc.h>

#include "lib/dio.h"

#define TRANSFERS	500	/* of a phase, at least */
#define MOVERS		4
#define REGION		(192 * DIO_KIB)
#define STRIDE		(2 * DIO_MIB)	/* no two of them in one folio */
#define PART		(256 * DIO_KIB)	/* of a buffer, one mover's */

/* Regions of a file: movers, then these. */
#define BUFFERED	(MOVERS + 0)
#define MAPPED		(MOVERS + 1)
#define WILD		(MOVERS + 2)	/* last, as it is cut off */
#define REGIONS		(MOVERS + 3)

static const struct dio_place *const places[] = {
	&dio_on_ext4, &dio_on_xfs, &dio_on_f2fs, &dio_on_tmpfs,
};

static const struct dio_exporter *const exporters[] = { &dio_heap, &dio_udmabuf };

struct file {
	const char *name;
	int plain, direct, sync[MOVERS];
	unsigned char *map;
	unsigned char *model;		/* of all regions but the wild one */
};

static struct file files[ARRAY_SIZE(places)];
static int nr_files;
static struct dio_buf bufs[ARRAY_SIZE(exporters)];
static unsigned char *held[ARRAY_SIZE(exporters)];

static atomic_bool stop;
static atomic_int bad;
static atomic_long moves, bytes, wilds, shorts, failures;
static atomic_long written, cuts, signals, closes;
static bool faults;
static unsigned long long seed;

/* What may go on beside the movers in a phase. */
enum {
	WRITERS	= 1,
	CUTTERS	= 2,
	SIGNALS	= 4,
	CLOSERS	= 8,
};

static unsigned int going_on;

struct actor {
	pthread_t thread;
	bool runs;
	int id;
	__u64 state;
};

/* xorshift*: the same numbers for the same seed. */
static __u64 draw(struct actor *a)
{
	a->state ^= a->state >> 12;
	a->state ^= a->state << 25;
	a->state ^= a->state >> 27;
	return a->state * 0x2545f4914f6cdd1dULL;
}

static size_t below(struct actor *a, size_t n)
{
	return (draw(a) >> 16) % n;
}

static __printf(1, 2) void fail(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (atomic_fetch_add(&bad, 1) < 10)
		dio_log("%s", line);
	atomic_store(&stop, true);
}

/* Nobody makes this one fail. */
static bool sync_start(struct dio_buf *buf, __u64 flags)
{
	int ret = dio_sync_start(buf, flags);

	if (ret)
		fail("access to a buffer: %s", strerror(-ret));
	return !ret;
}

/* Complain about the first byte that differs. */
static bool same(const char *what, const struct file *f, loff_t base,
		 const unsigned char *got, const unsigned char *want, size_t len)
{
	size_t i;

	if (!memcmp(got, want, len))
		return true;
	for (i = 0; got[i] == want[i]; i++)
		;
	fail("%s (%s): at %#llx %02x, not %02x, of %zu bytes from %#llx",
	     what, f ? f->name : "buffer", (unsigned long long)base + i,
	     got[i], want[i], len, (unsigned long long)base);
	return false;
}

/* ---- faults ---- */

static const char *const fault_kinds[] = {
	"failslab", "fail_page_alloc", "fail_make_request",
};

static int faults_set(const char *kind, const char *what, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", kind, what);
	return dio_knob(path, "%s", value);
}

static void faults_off(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fault_kinds); i++)
		faults_set(fault_kinds[i], "probability", "0");
}

/* Of threads that ask for it only; bios to the disk of @fd only. */
static int faults_on(int fd)
{
	static const char *const probability[] = { "1", "2", "4" };
	char path[128];
	struct stat st;
	size_t i;
	int ret, nth;

	ret = dio_fault_open(&nth);
	if (ret)
		return ret;
	close(nth);
	atexit(faults_off);
	for (i = 0; !ret && i < ARRAY_SIZE(fault_kinds); i++) {
		ret = faults_set(fault_kinds[i], "task-filter", "Y");
		if (!ret)
			ret = faults_set(fault_kinds[i], "times", "-1");
		if (!ret)
			ret = faults_set(fault_kinds[i], "probability",
					 probability[i]);
	}
	if (ret || fstat(fd, &st))
		return ret ?: -errno;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/make-it-fail",
		 major(st.st_dev), minor(st.st_dev));
	return dio_knob(path, "1");
}

/* From here on this thread, and the workers it starts, may fail; or not. */
static void fault(bool on)
{
	static __thread int fd = -1;

	if (!faults)
		return;
	if (fd < 0)
		fd = open("/proc/thread-self/make-it-fail", O_RDWR | O_CLOEXEC);
	if (pwrite(fd, on ? "1" : "0", 1, 0) != 1)
		fail("make-it-fail: %s", strerror(errno));
}

/*
 * A bio, an allocation, a page of the caller's that was shared with a child, and
 * for io_uring a worker.
 */
static bool injected(ssize_t ret)
{
	if (!faults || (ret != -EIO && ret != -ENOMEM && ret != -EFAULT &&
			ret != -ECANCELED))
		return false;
	atomic_fetch_add(&failures, 1);
	return true;
}

static ssize_t move(const struct dio_call *call, int in, loff_t *off_in, int out,
		    loff_t *off_out, size_t len)
{
	ssize_t ret;

	fault(true);
	ret = call->move(in, off_in, out, off_out, len, 0);
	fault(false);
	return ret;
}

/* After a failed call @model is told what there is, if it may be there. */
static void settle(const char *what, const struct file *f, loff_t base,
		   const unsigned char *got, unsigned char *model,
		   const unsigned char *other, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (got[i] != model[i] && got[i] != other[i]) {
			fail("%s (%s): at %#llx %02x, neither %02x nor %02x, of %zu bytes",
			     what, f ? f->name : "buffer",
			     (unsigned long long)base + i, got[i], model[i],
			     other[i], len);
			return;
		}
		model[i] = got[i];
	}
}

/* ---- movers ---- */

/* A position and length within @room: often aligned, often nearly so. */
static void shape(struct actor *a, size_t room, size_t *pos, size_t *off,
		  size_t *len)
{
	static const size_t grains[] = { 4096, 4096, 512, 4, 1 };
	size_t grain = grains[below(a, ARRAY_SIZE(grains))];
	size_t most = below(a, 8) ? 48 * DIO_KIB : room;

	*len = (1 + below(a, most)) / grain * grain ?: grain;
	*pos = below(a, room - *len + 1) / grain * grain;
	grain = grains[below(a, ARRAY_SIZE(grains))];
	*off = below(a, PART - *len + 1) / grain * grain;
}

/* All of it, as signals may come between. */
static ssize_t move_all(struct actor *a, int rw, int fd, loff_t pos, int buf,
			loff_t off, size_t len, bool *unsure)
{
	const struct dio_call *call;
	size_t done = 0;
	ssize_t ret;

	while (done < len) {
		do {
			call = dio_calls[below(a, 4)];
		} while (call->out_position);
		if (rw)
			ret = move(call, buf, &off, fd, &pos, len - done);
		else
			ret = move(call, fd, &pos, buf, &off, len - done);
		if (ret == -EINTR || ret == -ERESTART || ret == -EAGAIN)
			continue;
		if (injected(ret))
			return ret;
		if (ret <= 0) {
			fail("%s: %zd after %zu of %zu bytes (%s)", call->name,
			     ret, done, len, rw ? "write" : "read");
			return ret;
		}
		done += ret;
		if (done < len) {
			atomic_fetch_add(&shorts, 1);
			*unsure = true;
		}
	}
	return done;
}

/*
 * The wild region: what is read is a word of this place (a tag, and where it
 * is), or zero. Others' bytes never are. A piece of a word may be zero where a
 * cut went through it, and a page may be gone altogether.
 */
static __u64 wild_word(size_t at, unsigned int version)
{
	return 0x7aULL << 56 | (__u64)version << 32 | at;
}

static void check_wild(const unsigned char *got, size_t at, size_t len)
{
	__u64 word, wild;
	size_t i, k;

	for (i = 0; i + 8 <= len; i += 8) {
		memcpy(&word, got + i, 8);
		/* Who did it does not matter; bytes come one by one. */
		wild = word ^ wild_word(at + i, word >> 32 & 0xff);
		for (k = 0; k < 64; k += 8)
			if ((word >> k & 0xff) && (wild >> k & 0xff))
				break;
		if (k == 64)
			continue;
		fail("foreign word %#llx in the wild region at %#zx",
		     (unsigned long long)word, at + i);
		return;
	}
}

static void read_wild(struct actor *a, struct file *f, int b, size_t part)
{
	loff_t pos = below(a, REGION / 4096) * 4096, off = part;
	size_t len = (1 + below(a, 8)) * 4096;
	struct dio_buf *buf = &bufs[b];
	loff_t at = pos;
	ssize_t ret;

	if (pos + len > REGION)
		len = REGION - pos;
	pos += WILD * STRIDE;
	/* Zeros: a transfer that ends in a hole may leave them, or not. */
	if (!sync_start(buf, DMA_BUF_SYNC_WRITE))
		return;
	memset(buf->map + off, 0, len);
	memset(held[b] + off, 0, len);
	dio_sync_end(buf, DMA_BUF_SYNC_WRITE);
	ret = move(dio_calls[below(a, 2)], below(a, 3) ? f->direct : f->plain,
		   &pos, buf->fd, &off, len);
	if (ret < 0 && ret != -EINTR && ret != -EAGAIN && !injected(ret))
		fail("wild read: %s", strerror(-ret));
	if (!sync_start(buf, DMA_BUF_SYNC_READ))
		return;
	check_wild(buf->map + part, at, len);
	memcpy(held[b] + part, buf->map + part, len);
	dio_sync_end(buf, DMA_BUF_SYNC_READ);
	atomic_fetch_add(&wilds, 1);
}

/* Words of the wild region, from a buffer that holds no others. */
static void write_wild(struct actor *a, struct file *f, int b, size_t part)
{
	size_t at = below(a, REGION / 4096) * 4096, i;
	size_t len = (1 + below(a, 8)) * 4096;
	struct dio_buf *buf = &bufs[b];
	loff_t pos, off = part;
	__u64 word;
	ssize_t ret;

	if (at + len > REGION)
		len = REGION - at;
	if (!sync_start(buf, DMA_BUF_SYNC_WRITE))
		return;
	for (i = 0; i < len; i += 8) {
		word = wild_word(at + i, a->id);
		memcpy(held[b] + part + i, &word, 8);
	}
	memcpy(buf->map + part, held[b] + part, len);
	dio_sync_end(buf, DMA_BUF_SYNC_WRITE);
	pos = WILD * STRIDE + at;
	ret = move(dio_calls[below(a, 2)], buf->fd, &off,
		   below(a, 3) ? f->direct : f->plain, &pos, len);
	if (ret < 0 && ret != -EINTR && ret != -EAGAIN && !injected(ret))
		fail("wild write: %s", strerror(-ret));
	atomic_fetch_add(&wilds, 1);
}

/*
 * What was copied must not be lost by a later call that has to flush it, and
 * fails. What was lost by the same call is not to be seen in the page cache; and
 * as for any file, it is fdatasync() that says so. It tells each open file once.
 */
static bool lost(struct file *f, int id)
{
	bool failed = fdatasync(f->sync[id]);

	if (failed && errno != EIO)
		fail("fdatasync: %s", strerror(errno));
	madvise(f->map + id * STRIDE, REGION, MADV_DONTNEED);
	posix_fadvise(f->plain, id * STRIDE, REGION, POSIX_FADV_DONTNEED);
	return failed;
}

/* One random transfer, and a look at what it should have changed. */
static void move_once(struct actor *a)
{
	static __thread unsigned char got[REGION];
	int b = below(a, ARRAY_SIZE(exporters)), rw = below(a, 2);
	struct file *f = &files[below(a, nr_files)];
	size_t part = a->id * PART, pos, off, len;
	unsigned char *model = f->model + a->id * REGION;
	int fd = below(a, 4) ? f->direct : f->plain;
	bool reopened = false, unsure = false;
	ssize_t ret;

	if (going_on & CUTTERS && !below(a, 4)) {
		if (below(a, 2))
			read_wild(a, f, b, part);
		else
			write_wild(a, f, b, part);
		return;
	}
	if (going_on & CLOSERS && !below(a, 4)) {
		fd = dio_reopen(f->plain, O_RDWR | (below(a, 4) ? O_DIRECT : 0));
		reopened = true;
		if (fd < 0) {
			fail("open: %s", strerror(-fd));
			return;
		}
	}
	shape(a, REGION, &pos, &off, &len);
	off += part;
	ret = move_all(a, rw, fd, a->id * STRIDE + pos, bufs[b].fd, off, len,
		       &unsure);
	if (ret < 0 && !faults)
		return;
	if (faults && rw && lost(f, a->id))
		unsure = true;
	atomic_fetch_add(&moves, 1);
	atomic_fetch_add(&bytes, ret < 0 ? 0 : len);
	if (rw && faults && (ret < 0 || unsure)) {
		if (pread(f->plain, got, REGION, a->id * STRIDE) == REGION)
			settle("file after a failed write", f, a->id * STRIDE + pos,
			       got + pos, model + pos, held[b] + off, len);
	} else if (ret < 0) {
		if (sync_start(&bufs[b], DMA_BUF_SYNC_READ))
			settle("buffer after a failed read", NULL, off,
			       bufs[b].map + off, held[b] + off, model + pos, len);
		dio_sync_end(&bufs[b], DMA_BUF_SYNC_READ);
	} else if (rw) {
		memcpy(model + pos, held[b] + off, len);
	} else {
		memcpy(held[b] + off, model + pos, len);
	}

	if (!sync_start(&bufs[b], DMA_BUF_SYNC_READ))
		return;
	same(rw ? "buffer after a write" : "buffer after a read", NULL, part,
	     bufs[b].map + part, held[b] + part, PART);
	dio_sync_end(&bufs[b], DMA_BUF_SYNC_READ);
	if (rw) {
		if (pread(f->plain, got, REGION, a->id * STRIDE) != REGION)
			fail("read back: %s", strerror(errno));
		else
			same("file after a write", f, a->id * STRIDE, got, model,
			     REGION);
	}
	if (reopened)
		close(fd);

	/* Something new to write. */
	if (!below(a, 4) && sync_start(&bufs[b], DMA_BUF_SYNC_WRITE)) {
		dio_pattern(held[b] + part, 1 + below(a, 0x7ffe), 0, PART);
		memcpy(bufs[b].map + part, held[b] + part, PART);
		dio_sync_end(&bufs[b], DMA_BUF_SYNC_WRITE);
	}
}

static void *mover(void *arg)
{
	struct actor *a = arg;

	while (!atomic_load(&stop))
		move_once(a);
	return NULL;
}

/* ---- what goes on beside them ---- */

/* Owns two regions of each file: of write(2), and of a mapping. */
static void *writer(void *arg)
{
	static unsigned char data[16 * DIO_KIB], got[REGION];
	struct actor *a = arg;
	unsigned char *model;
	size_t pos, len;
	struct file *f;

	while (!atomic_load(&stop)) {
		f = &files[below(a, nr_files)];
		len = 1 + below(a, sizeof(data));
		pos = below(a, REGION - len + 1);
		dio_pattern(data, 1 + below(a, 0x7ffe), 0, len);
		if (below(a, 2)) {
			model = f->model + BUFFERED * REGION;
			if (pwrite(f->plain, data, len, BUFFERED * STRIDE + pos) !=
			    (ssize_t)len)
				fail("write: %s", strerror(errno));
			memcpy(model + pos, data, len);
			if (pread(f->plain, got, REGION, BUFFERED * STRIDE) != REGION)
				fail("read of what was written: %s", strerror(errno));
			else
				same("written", f, BUFFERED * STRIDE, got, model,
				     REGION);
		} else {
			model = f->model + MAPPED * REGION;
			memcpy(f->map + MAPPED * STRIDE + pos, data, len);
			memcpy(model + pos, data, len);
			same("mapped", f, MAPPED * STRIDE,
			     f->map + MAPPED * STRIDE, model, REGION);
		}
		if (!below(a, 32))
			fdatasync(f->plain);
		if (!below(a, 16))
			posix_fadvise(f->plain, 0, 0, POSIX_FADV_DONTNEED);
		written++;
		usleep(below(a, 3000));
	}
	return NULL;
}

static void *cutter(void *arg)
{
	static unsigned char data[32 * DIO_KIB];
	loff_t begin = WILD * STRIDE, at;
	struct actor *a = arg;
	struct file *f;
	size_t len, i;
	__u64 word;

	while (!atomic_load(&stop)) {
		f = &files[below(a, nr_files)];
		at = below(a, REGION / 512) * 512;
		len = (1 + below(a, sizeof(data) / 512)) * 512;
		if (at + len > REGION)
			len = REGION - at;
		switch (below(a, 6)) {
		case 0:
			if (ftruncate(f->plain, begin + at))
				fail("truncate: %s", strerror(errno));
			break;
		case 1:
			if (ftruncate(f->plain, begin + REGION))
				fail("truncate: %s", strerror(errno));
			break;
		case 2:
			fallocate(f->plain, FALLOC_FL_PUNCH_HOLE |
				  FALLOC_FL_KEEP_SIZE, begin + at, len);
			break;
		case 3:
			fallocate(f->plain, 0, begin + at, len);
			break;
		case 4:
			fallocate(f->plain, FALLOC_FL_ZERO_RANGE, begin + at, len);
			break;
		default:
			for (i = 0; i < len; i += 8) {
				word = wild_word(at + i, 100);
				memcpy(data + i, &word, 8);
			}
			if (pwrite(f->plain, data, len, begin + at) < 0)
				fail("wild write(2): %s", strerror(errno));
		}
		cuts++;
		usleep(below(a, 2000));
	}
	return NULL;
}

static struct actor movers[MOVERS];

static void *signaller(void *arg)
{
	struct actor *a = arg;

	while (!atomic_load(&stop)) {
		pthread_kill(movers[below(a, MOVERS)].thread, SIGUSR1);
		signals++;
		usleep(below(a, 2000));
	}
	return NULL;
}

/* Buffers and files that go while they are in use. */
static void *closer(void *arg)
{
	struct actor *a = arg;

	while (!atomic_load(&stop)) {
		const struct dio_place *p = places[below(a, ARRAY_SIZE(places))];
		loff_t pos = below(a, 2) * 100, off = below(a, 2) * 100;
		char name[128];
		struct dio_buf buf;
		int fd, out;
		pid_t pid;

		if (dio_place_ready(p) ||
		    dio_buf_alloc(&buf, exporters[below(a, 2)], PART))
			continue;
		snprintf(name, sizeof(name), "%s/stress.%d", p->path, getpid());
		fd = open(name, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
		if (fd < 0) {
			dio_buf_free(&buf);
			continue;
		}
		out = dup(buf.fd);
		/* A child ends, or is killed, in the middle of it. */
		pid = fork();
		if (!pid) {
			/* Should nobody be left to kill it. */
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				if (splice(out, &off, fd, &pos, PART, 0) <= 0)
					off = 0;
		}
		unlink(name);
		dio_buf_free(&buf);
		close(fd);
		close(out);
		usleep(below(a, 5000));
		if (pid > 0) {
			kill(pid, SIGKILL);
			while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
				;
			closes++;
		}
		usleep(below(a, 10000));
	}
	return NULL;
}

/* ---- phases ---- */

static int set_up(void)
{
	size_t size = REGIONS * REGION, i, j;
	struct file *f;
	__u64 word;
	int ret;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		ret = dio_place_ready(places[i]);
		if (ret < 0)
			return ret;
		/* Told when all is set up. */
		if (ret)
			continue;
		f = &files[nr_files++];
		f->name = places[i]->name;
		f->plain = dio_place_open(places[i]);
		if (f->plain < 0)
			return f->plain;
		f->direct = dio_reopen(f->plain, O_RDWR | O_DIRECT);
		if (f->direct < 0)
			return f->direct;
		for (j = 0; j < MOVERS; j++) {
			f->sync[j] = dio_reopen(f->plain, O_RDWR);
			if (f->sync[j] < 0)
				return f->sync[j];
		}
		f->model = malloc(size);
		if (!f->model)
			return -ENOMEM;
		dio_pattern(f->model, 1 + i, 0, size);
		for (j = 0; j < REGION; j += 8) {
			word = wild_word(j, 99);
			memcpy(f->model + WILD * REGION + j, &word, 8);
		}
		for (j = 0; j < REGIONS; j++)
			if (pwrite(f->plain, f->model + j * REGION, REGION,
				   j * STRIDE) != REGION)
				return -errno;
		f->map = mmap(NULL, REGIONS * STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED,
			      f->plain, 0);
		if (f->map == MAP_FAILED)
			return -errno;
	}
	for (i = 0; i < ARRAY_SIZE(exporters); i++) {
		ret = dio_buf_alloc(&bufs[i], exporters[i], MOVERS * PART);
		if (ret)
			return ret;
		held[i] = malloc(MOVERS * PART);
		if (!held[i] || dio_sync_start(&bufs[i], DMA_BUF_SYNC_WRITE))
			return -ENOMEM;
		dio_pattern(held[i], 100 + i, 0, MOVERS * PART);
		memcpy(bufs[i].map, held[i], MOVERS * PART);
		dio_sync_end(&bufs[i], DMA_BUF_SYNC_WRITE);
	}
	return nr_files ? 0 : DIO_SKIP;
}

static void compare_file(struct file *f, unsigned char *got)
{
	unsigned char *model = f->model;
	int i;

	for (i = 0; i < WILD; i++, model += REGION) {
		same("mapped, at the end", f, i * STRIDE, f->map + i * STRIDE,
		     model, REGION);
		if (pread(f->plain, got, REGION, i * STRIDE) != REGION)
			fail("last read: %s", strerror(errno));
		same("at the end", f, i * STRIDE, got, model, REGION);
	}
	fsync(f->plain);
	posix_fadvise(f->plain, 0, 0, POSIX_FADV_DONTNEED);
	for (i = 0, model = f->model; i < WILD; i++, model += REGION) {
		if (pread(f->direct, got, REGION, i * STRIDE) != REGION)
			fail("last direct read: %s", strerror(errno));
		same("on the disk, at the end", f, i * STRIDE, got, model, REGION);
	}
}

/* All of what has an owner, in all ways to look at it. */
static void compare_all(void)
{
	unsigned char *got = aligned_alloc(DIO_ALIGNED, REGION);
	int i;

	if (!got)
		fail("no memory to compare files with");
	for (i = 0; got && i < nr_files; i++)
		compare_file(&files[i], got);
	free(got);
	for (i = 0; i < ARRAY_SIZE(exporters); i++) {
		if (!sync_start(&bufs[i], DMA_BUF_SYNC_READ))
			continue;
		same("at the end", NULL, 0, bufs[i].map, held[i], MOVERS * PART);
		dio_sync_end(&bufs[i], DMA_BUF_SYNC_READ);
	}
}

static void ignore(int sig)
{
	(void)sig;
}

static void start(struct actor *a, void *(*act)(void *arg))
{
	int ret = pthread_create(&a->thread, NULL, act, a);

	a->runs = !ret;
	if (ret)
		fail("pthread_create: %s", strerror(ret));
}

static void finish(struct actor *a)
{
	if (a->runs)
		pthread_join(a->thread, NULL);
}

/* As much was done as was asked for, of everything that goes on. */
static bool is_done(unsigned int what, long transfers)
{
	return moves >= transfers &&
	       (!(what & WRITERS) || written >= transfers / 16) &&
	       (!(what & CUTTERS) || (cuts >= transfers / 16 &&
				      wilds >= transfers / 16)) &&
	       (!(what & SIGNALS) || signals >= transfers / 16) &&
	       (!(what & CLOSERS) || closes >= transfers / 64) &&
	       (!faults || failures);
}

static void phase(const char *name, unsigned int what, long transfers)
{
	static const struct {
		unsigned int when;
		void *(*act)(void *arg);
	} others[] = {
		{ WRITERS, writer },
		{ CUTTERS, cutter },
		{ SIGNALS, signaller },
		{ CLOSERS, closer },
	};
	struct actor other[ARRAY_SIZE(others)] = {};
	static int nr;
	int i;

	going_on = what;
	atomic_store(&stop, false);
	moves = 0;
	bytes = 0;
	wilds = 0;
	shorts = 0;
	failures = 0;
	written = 0;
	cuts = 0;
	signals = 0;
	closes = 0;
	bad = 0;
	nr++;
	for (i = 0; i < MOVERS; i++) {
		movers[i].id = i;
		movers[i].state = (seed + i) * 0x9e3779b97f4a7c15ULL + nr;
		start(&movers[i], mover);
	}
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		if (!(what & others[i].when))
			continue;
		other[i].state = (seed + 100 + i) * 0x9e3779b97f4a7c15ULL + nr;
		start(&other[i], others[i].act);
	}
	while (!is_done(what, transfers) && !atomic_load(&stop))
		usleep(1000);
	atomic_store(&stop, true);
	/* Who sends signals to threads has to go before them. */
	for (i = 0; i < ARRAY_SIZE(others); i++)
		finish(&other[i]);
	for (i = 0; i < MOVERS; i++)
		finish(&movers[i]);
	compare_all();
	ksft_print_msg("%s: %ld transfers, %ld KiB, %ld in the wild, %ld short, %ld failed\n",
		       name, (long)moves, (long)(bytes / DIO_KIB), (long)wilds,
		       (long)shorts, (long)failures);
	ksft_print_msg("%s: %ld writes, %ld cuts, %ld signals, %ld closed\n",
		       name, (long)written, (long)cuts, (long)signals, (long)closes);
	ksft_test_result(!bad, "%s\n", name);
}

static const struct {
	const char *name;
	unsigned int what;
} phases[] = {
	{ "alone", 0 },
	{ "with writers", WRITERS },
	{ "with cutters", CUTTERS },
	{ "with signals", WRITERS | SIGNALS },
	{ "with everything", WRITERS | CUTTERS | CLOSERS | SIGNALS },
};

int main(int argc, char **argv)
{
	long transfers = argc > 1 ? strtol(argv[1], NULL, 0) : TRANSFERS;
	struct sigaction action = { .sa_handler = ignore };
	unsigned int what;
	size_t i;
	int ret;

	faults = argc > 3 && !strcmp(argv[3], "faults");
	/* A thread without rseq is not killed when it has no page for its state. */
	if (faults && !getenv("GLIBC_TUNABLES")) {
		setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
		execv("/proc/self/exe", argv);
	}
	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : dio_random() % 1000000;
	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(places) + ARRAY_SIZE(phases));
	ksft_print_msg("seed %llu\n", seed);
	sigaction(SIGUSR1, &action, NULL);
	dio_places_make();
	ret = set_up();
	dio_is_missing(ret);
	if (!ret && faults) {
		sync();
		ret = faults_on(files[0].plain);
	}
	if (ret < 0)
		ksft_exit_fail_msg("cannot set up: %s\n", strerror(-ret));
	/* A place that is missing is not tested: others do not stand for it. */
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		if (dio_place_ready(places[i]))
			ksft_test_result_skip("on %s: %s\n", places[i]->name, dio_reason());
		else
			ksft_test_result_pass("on %s\n", places[i]->name);
	}
	for (i = 0; i < ARRAY_SIZE(phases); i++) {
		what = phases[i].what;
		/* A signal needs a page of the stack, and kills when a child shares that. */
		if (faults && what & CLOSERS)
			what &= ~SIGNALS;
		if (ret)
			ksft_test_result_skip("%s: %s\n", phases[i].name, dio_missing());
		else
			phase(phases[i].name, what, transfers);
	}
	ksft_finished();
}
