// SPDX-License-Identifier: GPL-2.0
/*
 * Pattern, poison and comparison.
 *
 * A word is a bijection of (seed, position), so that a wrong word can be turned
 * back into the place it belongs to: "holds the file's bytes of offset X" says
 * more about a misplaced block than two hexadecimal numbers.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <linux/dma-buf.h>

#include "dio.h"

#define WORD		sizeof(__u64)
#define MIX		0x9e3779b97f4a7c15ULL
#define SEED_SHIFT	48
#define POISON_SEED	0xdeadULL

/* Guards are smaller than this, so a repeating poison still tells places apart. */
#define POISON_PERIOD	DIO_MIB

static char reason[256];

const char *dio_reason(void)
{
	return reason;
}

int dio_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	return DIO_SKIP;
}

static char first_missing[sizeof(reason)];

bool dio_is_missing(int ret)
{
	if (ret == DIO_SKIP && !*first_missing)
		strcpy(first_missing, reason);
	return ret == DIO_SKIP;
}

const char *dio_missing(void)
{
	return first_missing;
}

/* stderr: the harness ends its children without flushing stdout. */
void dio_log(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(stderr, "#   %s\n", line);
}

__u64 dio_random(void)
{
	__u64 value;

	if (getrandom(&value, sizeof(value), 0) != sizeof(value))
		abort();
	return value;
}

static __u64 mix(__u64 x)
{
	x ^= x >> 32;
	x *= MIX;
	return x ^ (x >> 32);
}

static __u64 unmix(__u64 x)
{
	__u64 inverse = MIX;
	int i;

	/* Newton: each step doubles the number of right low bits, from 3. */
	for (i = 0; i < 5; i++)
		inverse *= 2 - MIX * inverse;

	x ^= x >> 32;
	x *= inverse;
	return x ^ (x >> 32);
}

static __u64 word_at(__u64 seed, __u64 pos)
{
	return mix((seed << SEED_SHIFT) | (pos / WORD));
}

/* @off is a multiple of the word size, @len need not be. */
void dio_pattern(void *mem, __u64 seed, loff_t off, size_t len)
{
	__u64 *word = mem;
	__u64 last;
	size_t i;

	for (i = 0; i < len / WORD; i++)
		word[i] = word_at(seed, off + i * WORD);

	last = word_at(seed, off + i * WORD);
	memcpy(word + i, &last, len % WORD);
}

static unsigned char poison_image[POISON_PERIOD];

static void __attribute__((constructor)) poison_init(void)
{
	dio_pattern(poison_image, POISON_SEED, 0, POISON_PERIOD);
}

/* Bytes of @off .. @off + @len that lie in one period of the poison. */
static size_t poison_run(size_t off, size_t len)
{
	size_t run = POISON_PERIOD - off % POISON_PERIOD;

	return run < len ? run : len;
}

void dio_poison(struct dio_buf *buf, size_t off, size_t len)
{
	size_t run;

	if (dio_sync_start(buf, DMA_BUF_SYNC_WRITE))
		abort();
	for (; len; off += run, len -= run) {
		run = poison_run(off, len);
		memcpy(buf->map + off, poison_image + off % POISON_PERIOD, run);
	}
	if (dio_sync_end(buf, DMA_BUF_SYNC_WRITE))
		abort();
}

void dio_fill(struct dio_buf *buf, size_t off, const void *data, size_t len)
{
	if (dio_sync_start(buf, DMA_BUF_SYNC_WRITE))
		abort();
	memcpy(buf->map + off, data, len);
	if (dio_sync_end(buf, DMA_BUF_SYNC_WRITE))
		abort();
}

/* What a wrong word is. */
enum kind { ZEROS, POISON, OURS, OLD, OTHERS, UNKNOWN, KINDS };

static const char * const kinds[KINDS] = {
	[ZEROS]		= "zeros",
	[POISON]	= "the poison of the buffer",
	[OURS]		= "the file's bytes",
	[OLD]		= "the file's bytes before the last write",
	[OTHERS]	= "another file's bytes",
	[UNKNOWN]	= "what no test has written",
};

static enum kind kind_of_word(const unsigned char *at, const struct dio_src *src,
			      __u64 *pos)
{
	__u64 word, plain, seed;

	memcpy(&word, at, WORD);
	plain = unmix(word);
	seed = plain >> SEED_SHIFT;
	*pos = (plain & ((1ULL << SEED_SHIFT) - 1)) * WORD;

	if (!word)
		return ZEROS;
	if (seed == POISON_SEED && *pos < POISON_PERIOD)
		return POISON;
	if (src && seed == src->seed)
		return OURS;
	if (src && src->old_seed && seed == src->old_seed)
		return OLD;
	/* No file is that large by accident. */
	return *pos < 64 * DIO_GIB ? OTHERS : UNKNOWN;
}

/*
 * Of the byte at @i: words begin where offsets in the file do, or where those in
 * the buffer do, which is @skew bytes before.
 */
static enum kind kind_of(const unsigned char *got, size_t len, size_t i, size_t skew,
			 const struct dio_src *src, __u64 *pos)
{
	const size_t starts[] = { i - i % WORD, i - (i + skew) % WORD };
	enum kind kind = UNKNOWN;
	size_t n;

	for (n = 0; n < ARRAY_SIZE(starts) && kind == UNKNOWN; n++)
		if (starts[n] <= i && starts[n] + WORD <= len)
			kind = kind_of_word(got + starts[n], src, pos);
	return kind;
}

/*
 * How much is wrong, from where to where, and what is there instead: most of a
 * diagnosis. @at is what the offset is called that @got begins at.
 */
static void explain(const char *what, const unsigned char *got,
		    const unsigned char *want, size_t len, __u64 at, size_t skew,
		    const struct dio_src *src)
{
	size_t i, bad = 0, first = len, last = 0, words[KINDS] = { };
	enum kind kind;
	__u64 pos = 0;

	for (i = 0; i < len; i++) {
		if (got[i] == want[i])
			continue;
		if (!bad++)
			first = i;
		if (bad == 1 || i / WORD != last / WORD)
			words[kind_of(got, len, i, skew, src, &pos)]++;
		last = i;
	}
	dio_log("%s: %zu of %zu bytes from %#llx on are wrong", what, bad, len,
		(unsigned long long)at);
	if (!bad)
		return;
	kind = kind_of(got, len, first, skew, src, &pos);
	dio_log("  the first at %#llx: %s, of %#llx", (unsigned long long)at + first,
		kinds[kind], (unsigned long long)pos);
	kind = kind_of(got, len, last, skew, src, &pos);
	dio_log("  the last at %#llx: %s, of %#llx", (unsigned long long)at + last,
		kinds[kind], (unsigned long long)pos);
	for (kind = 0; kind < KINDS; kind++)
		if (words[kind])
			dio_log("  words: %zu are %s", words[kind], kinds[kind]);
}

static bool is_same(const char *what, const unsigned char *got,
		    const unsigned char *want, size_t len, __u64 at, size_t skew,
		    const struct dio_src *src)
{
	if (!memcmp(got, want, len))
		return true;
	explain(what, got, want, len, at, skew, src);
	return false;
}

bool dio_is_poison(struct dio_buf *buf, size_t off, size_t len)
{
	bool same = true;
	size_t run;

	if (dio_sync_start(buf, DMA_BUF_SYNC_READ))
		return false;
	for (; len && same; off += run, len -= run) {
		run = poison_run(off, len);
		same = is_same("what had to stay in the buffer", buf->map + off,
			       poison_image + off % POISON_PERIOD, run, off,
			       off % WORD, NULL);
	}
	return !dio_sync_end(buf, DMA_BUF_SYNC_READ) && same;
}

static bool holds(struct dio_buf *buf, size_t off, const struct dio_src *src,
		  const unsigned char *want, loff_t file_off, size_t len)
{
	char what[64];
	bool same;

	snprintf(what, sizeof(what), "what is %#llx in the file, in the buffer",
		 (unsigned long long)file_off);
	if (dio_sync_start(buf, DMA_BUF_SYNC_READ))
		return false;
	same = is_same(what, buf->map + off, want + (file_off - src->base), len,
		       off, off % WORD, src);
	return !dio_sync_end(buf, DMA_BUF_SYNC_READ) && same;
}

bool dio_is_data(struct dio_buf *buf, size_t off, const struct dio_src *src,
		 loff_t file_off, size_t len)
{
	return holds(buf, off, src, src->oracle, file_off, len);
}

bool dio_is_image(struct dio_buf *buf, size_t off, const struct dio_src *src,
		  loff_t file_off, size_t len)
{
	return holds(buf, off, src, src->image, file_off, len);
}

bool dio_is_data_or(struct dio_buf *buf, size_t off, const struct dio_src *src,
		    loff_t file_off, size_t len, unsigned int may)
{
	const unsigned char *want = src->oracle + (file_off - src->base);
	static const unsigned char zero[WORD];
	const unsigned char *got, *poison;
	bool good = true;
	size_t i, n;

	if (dio_sync_start(buf, DMA_BUF_SYNC_READ))
		return false;
	for (i = 0; i < len && good; i += n) {
		got = buf->map + off + i;
		poison = poison_image + (off + i) % POISON_PERIOD;
		/* Most of it is one of both. */
		n = poison_run(off + i, len - i < DIO_ALIGNED ? len - i : DIO_ALIGNED);
		if (!memcmp(got, want + i, n) ||
		    (may & DIO_MAY_POISON && !memcmp(got, poison, n)))
			continue;
		n = len - i < WORD ? len - i : WORD;
		good = !memcmp(got, want + i, n) ||
		       (src->rival && !memcmp(got, want - src->oracle +
					      src->rival + i, n)) ||
		       (may & DIO_MAY_POISON && !memcmp(got, poison, n)) ||
		       (may & DIO_MAY_ZERO && !memcmp(got, zero, n));
		if (!good) {
			dio_log("neither the file's bytes of %#llx nor anything else allowed",
				(unsigned long long)file_off + i);
			explain("buffer", got, want + i, len - i, off + i,
				(off + i) % WORD, src);
		}
	}
	return !dio_sync_end(buf, DMA_BUF_SYNC_READ) && good;
}

void dio_renew(struct dio_src *src, loff_t file_off, struct dio_buf *buf,
	       size_t off, size_t len)
{
	unsigned char *image = src->image + (file_off - src->base);

	src->old_seed = src->seed;
	src->seed = 1 + src->seed % 0x7fff;
	dio_pattern(image, src->seed, file_off, len);
	dio_fill(buf, off, image, len);
}

bool dio_is_new_or_old(const struct dio_src *src, const unsigned char *got,
		       loff_t file_off, size_t done, size_t len)
{
	size_t at = file_off - src->base, i;

	if (!is_same("what was said to be written, in the file", got,
		     src->image + at, done, file_off, 0, src))
		return false;
	for (i = done; i < len; i += src->block)
		if (memcmp(got + i, src->image + at + i, src->block) &&
		    memcmp(got + i, src->oracle + at + i, src->block)) {
			explain("neither old nor new, in the file, if it had to be new",
				got + i, src->image + at + i, len - i, file_off + i,
				0, src);
			return false;
		}
	return true;
}

bool dio_is_written(struct dio_src *src, loff_t file_off, size_t done, size_t len)
{
	size_t at = file_off - src->base, end = at + len;
	unsigned char *got = NULL;
	bool good = false;
	int ret;

	if (posix_memalign((void **)&got, DIO_ALIGNED, src->memory))
		abort();
	ret = dio_src_read(src, got);
	if (ret)
		dio_log("%s cannot be read: %s", src->where, strerror(-ret));
	else
		good = is_same("before what was written, in the file", got,
			       src->oracle, at, src->base, 0, src) &
		       dio_is_new_or_old(src, got + at, file_off, done, len) &
		       is_same("after what was written, in the file", got + end,
			       src->oracle + end, src->size - end,
			       src->base + end, 0, src);
	if (!ret) {
		memcpy(src->oracle, got, src->size);
		memcpy(src->image, got, src->size);
	}
	free(got);
	return good;
}

ssize_t dio_splice(int fd_in, loff_t off_in, int fd_out, loff_t off_out,
		   size_t len)
{
	loff_t in = off_in, out = off_out;
	ssize_t moved = splice(fd_in, &in, fd_out, &out, len,
			       SPLICE_F_NOCOPY);
	ssize_t step = moved < 0 ? 0 : moved;

	if (moved < 0)
		moved = -errno;
	if (in != off_in + step || out != off_out + step) {
		dio_log("splice returned %zd, but moved the offsets by %lld and %lld",
			moved, (long long)(in - off_in),
			(long long)(out - off_out));
		return -EBADE;
	}
	return moved;
}

/* All of it came from the disk, and nothing of it through the page cache. */
static bool by_dma(const struct dio_src *src, size_t len,
		   const struct dio_below *before,
		   const struct dio_below *after)
{
	if (after->read - before->read < (long long)len) {
		dio_log("the disk moved %lld of %zu bytes",
			after->read - before->read, len);
		return false;
	}
	/* Not of a disk: others look at its partition table. */
	if (src->backing->is_fs && after->cached > before->cached) {
		dio_log("pages in the page cache: %lld, then %lld",
			before->cached, after->cached);
		return false;
	}
	return true;
}

bool dio_transfer(const struct dio_src *src, loff_t file_off,
		  struct dio_buf *buf, size_t off, size_t len)
{
	struct dio_below before, after;
	size_t lo = off < DIO_GUARD ? off : DIO_GUARD;
	size_t hi = buf->size - off - len;
	ssize_t moved;
	bool good;
	int ret;

	if (hi > DIO_GUARD)
		hi = DIO_GUARD;

	dio_poison(buf, off - lo, lo + len + hi);
	ret = dio_look_below(src->fd, file_off, len, &before);
	moved = dio_splice(src->fd, file_off, buf->fd, off, len);
	if (!ret)
		ret = dio_look_below(src->fd, file_off, len, &after);
	good = moved == (ssize_t)len;
	if (moved < 0)
		dio_log("splice: %s", strerror(-moved));
	else if (!good)
		dio_log("splice moved %zd of %zu bytes", moved, len);

	/* Whatever splice said, nothing beside the range may have changed. */
	good &= dio_is_poison(buf, off - lo, lo);
	good &= dio_is_poison(buf, off + len, hi);
	if (moved > 0)
		good &= dio_is_data(buf, off, src, file_off, moved);
	if (ret)
		dio_log("what the disk moved: %s", strerror(-ret));
	good &= !ret && (moved <= 0 || by_dma(src, moved, &before, &after));
	if (!good)
		dio_log("  in: %zu bytes, file %#llx on %s, buffer %#zx of %#zx",
			len, (unsigned long long)file_off, src->where, off,
			buf->size);
	return good;
}

bool dio_store(struct dio_src *src, loff_t file_off, struct dio_buf *buf,
	       size_t off, size_t len)
{
	ssize_t moved;
	bool good;
	int fd;

	fd = dio_src_reopen(src, O_WRONLY | O_DIRECT);
	if (fd < 0) {
		dio_log("open: %s", strerror(-fd));
		return false;
	}
	dio_renew(src, file_off, buf, off, len);
	moved = dio_splice(buf->fd, off, fd, file_off, len);
	close(fd);
	good = moved == (ssize_t)len;
	if (moved < 0)
		dio_log("splice: %s", strerror(-moved));
	else if (!good)
		dio_log("splice moved %zd of %zu bytes", moved, len);

	/* Also what is beside the range; and the buffer is as it was. */
	good &= dio_is_image(buf, off, src, file_off, len);
	good &= dio_is_written(src, file_off, len, len);
	if (!good)
		dio_log("  out: %zu bytes, buffer %#zx of %#zx, file %#llx on %s",
			len, off, buf->size, (unsigned long long)file_off,
			src->where);
	return good;
}
