// SPDX-License-Identifier: GPL-2.0
/* Transfers in the background, each checked by the thread that made it. */
#define _GNU_SOURCE

#include "dio.h"

static void *work(void *arg)
{
	struct dio_worker *w = arg;

	while (w->good && w->done < w->rounds) {
		dio_poison(w->buf, w->off, w->len);
		w->last = dio_splice(w->src->fd, w->file_off, w->buf->fd,
				     w->off, w->len);
		if (w->last > 0)
			w->good = dio_is_data(w->buf, w->off, w->src,
					      w->file_off, w->last);
		if (w->last != (ssize_t)w->len)
			break;
		w->done++;
	}
	if (w->last < (ssize_t)w->len)
		w->good &= dio_is_data_or(w->buf, w->off, w->src, w->file_off,
					  w->len, DIO_MAY_POISON);
	return NULL;
}

int dio_worker_start(struct dio_worker *worker)
{
	worker->done = 0;
	worker->last = 0;
	worker->good = true;
	return -pthread_create(&worker->thread, NULL, work, worker);
}

void dio_worker_join(struct dio_worker *worker)
{
	pthread_join(worker->thread, NULL);
}
