// SPDX-License-Identifier: GPL-2.0
/*
 * Transfers in either direction that may break off; and those in the background,
 * each checked by the thread that made it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>

#include "dio.h"

int dio_move_open(struct dio_move *m, int rw, struct dio_src *src,
		  struct dio_buf *buf, loff_t pos, size_t off, size_t len)
{
	*m = (struct dio_move){
		.rw = rw,
		.src = src,
		.buf = buf,
		.out = -1,
		.pos = pos,
		.off = off,
		.len = len,
	};
	if (rw == DIO_WRITE)
		m->out = dio_src_reopen(src, O_WRONLY | O_DIRECT);
	return m->out < -1 ? m->out : 0;
}

void dio_move_close(struct dio_move *m)
{
	/* None was opened if there is no buffer. */
	if (m->buf && m->out >= 0)
		close(m->out);
	m->buf = NULL;
}

void dio_move_prepare(struct dio_move *m)
{
	dio_poison(m->buf, 0, m->buf->size);
	if (m->rw == DIO_WRITE)
		dio_renew(m->src, m->pos, m->buf, m->off, m->len);
}

ssize_t dio_move(const struct dio_move *m)
{
	if (m->rw == DIO_WRITE)
		return dio_splice(m->buf->fd, m->off, m->out, m->pos, m->len);
	return dio_splice(m->src->fd, m->pos, m->buf->fd, m->off, m->len);
}

bool dio_move_check(struct dio_move *m, ssize_t done, size_t tried)
{
	size_t end = m->off + m->len, size = m->buf->size;
	bool good;

	if (done < 0)
		done = 0;
	good = dio_is_poison(m->buf, 0, m->off) &
	       dio_is_poison(m->buf, end, size - end);
	if (m->rw == DIO_WRITE)
		return good & dio_is_image(m->buf, m->off, m->src, m->pos, m->len) &
		       dio_is_written(m->src, m->pos, done, tried);
	return good & dio_is_data(m->buf, m->off, m->src, m->pos, done) &
	       dio_is_data_or(m->buf, m->off + done, m->src, m->pos + done,
			      tried - done, DIO_MAY_POISON) &
	       dio_is_poison(m->buf, m->off + tried, m->len - tried);
}

/* ---- in the background ---- */

static bool all(struct dio_worker *w, const char *call, ssize_t ret)
{
	w->last = ret;
	if (ret == (ssize_t)w->len)
		return true;
	w->failed = call;
	return false;
}

/* What is on the disk, ordinary memory tells. */
static bool write_some(struct dio_worker *w)
{
	size_t at = w->file_off - w->src->base;
	unsigned char *oracle = w->src->oracle + at;
	ssize_t ret;

	dio_pattern(w->src->image + at, 1 + dio_random() % 0x7fff, w->file_off, w->len);
	dio_fill(w->buf, w->off, w->src->image + at, w->len);
	w->written = 0;
	ret = dio_splice(w->buf->fd, w->off, w->out, w->file_off, w->len);
	if (ret > 0)
		w->written = ret;
	w->good &= dio_is_image(w->buf, w->off, w->src, w->file_off, w->len);
	if (!all(w, "splice to the disk", ret))
		return false;
	ret = pread(w->src->fd, oracle, w->len, w->file_off);
	if (!all(w, "pread", ret < 0 ? -errno : ret))
		return false;
	w->good &= dio_is_new_or_old(w->src, oracle, w->file_off, w->len, w->len);
	return w->good;
}

static bool read_some(struct dio_worker *w)
{
	ssize_t ret;
	size_t n;

	dio_poison(w->buf, w->off, w->len);
	ret = dio_splice(w->src->fd, w->file_off, w->buf->fd, w->off, w->len);
	n = ret > 0 ? ret : 0;
	w->good &= dio_is_data(w->buf, w->off, w->src, w->file_off, n) &&
		   dio_is_data_or(w->buf, w->off + n, w->src, w->file_off + n,
				  w->len - n, DIO_MAY_POISON);
	return all(w, "splice from the disk", ret) && w->good;
}

static void *work(void *arg)
{
	struct dio_worker *w = arg;

	while (w->done < w->rounds && (!w->writes || write_some(w)) &&
	       (!w->reads || read_some(w)))
		w->done++;
	w->ended = true;
	return NULL;
}

int dio_worker_start(struct dio_worker *worker)
{
	worker->done = 0;
	worker->ended = false;
	worker->failed = NULL;
	worker->last = 0;
	worker->written = 0;
	worker->good = true;
	return -pthread_create(&worker->thread, NULL, work, worker);
}

void dio_worker_join(struct dio_worker *worker)
{
	pthread_join(worker->thread, NULL);
}

bool dio_worker_is_written(struct dio_worker *w)
{
	unsigned char *got = aligned_alloc(DIO_ALIGNED, w->len);
	bool good = false;
	ssize_t n;

	if (!got)
		abort();
	n = pread(w->src->fd, got, w->len, w->file_off);
	if (n == (ssize_t)w->len)
		good = dio_is_new_or_old(w->src, got, w->file_off, w->written, w->len);
	else
		dio_log("pread: %zd of %zu bytes", n, w->len);
	free(got);
	return good;
}
