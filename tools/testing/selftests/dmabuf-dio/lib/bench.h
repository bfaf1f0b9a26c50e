/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A call, a file and a buffer: what the tests of calls are done with. All of
 * them start with a file full of pattern, and a buffer full of poison.
 */
#ifndef BENCH_H
#define BENCH_H

#include "dio.h"

#define SIZE		(256 * DIO_KIB)	/* of file and buffer */
#define LEN		(64 * DIO_KIB)

enum { READ, WRITE };

struct bench {
	const struct dio_call *call;
	const struct dio_place *place;
	struct dio_buf buf;
	int plain, direct;
	unsigned char *image;		/* what the file holds */
	unsigned char *mem;		/* for comparison */
};

/* 0, -errno or DIO_SKIP; .call is to be set by whoever wants to move. */
int bench_open(struct bench *b, const struct dio_place *place);
void bench_close(struct bench *b);

/* A new buffer, full of poison, with its position at @pos. */
int bench_buffer_at(struct bench *b, loff_t pos);

/* The call, with offsets; what has none gets the position there instead. */
ssize_t bench_move(struct bench *b, int rw, int fd, loff_t pos, loff_t off,
		   size_t len, unsigned int flags);

bool bench_buffer_is(struct bench *b, size_t off, const void *data, size_t len);
void bench_buffer_get(struct bench *b, size_t off, void *data, size_t len);
bool bench_file_is(struct bench *b, loff_t pos, const void *data, size_t len);

/* The file holds at @pos what the buffer holds at @off. */
bool bench_file_is_buffer(struct bench *b, loff_t pos, size_t off, size_t len);

#endif /* BENCH_H */
