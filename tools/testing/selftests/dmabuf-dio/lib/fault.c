// SPDX-License-Identifier: GPL-2.0
/* Allocations that fail, one after the other, by fail-nth. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dio.h"

#define FAULTS "/sys/kernel/debug/"

int dio_fault_open(int *nth)
{
	static const char * const knobs[] = {
		FAULTS "failslab/ignore-gfp-wait",
		FAULTS "fail_page_alloc/ignore-gfp-wait",
		FAULTS "fail_page_alloc/ignore-gfp-highmem",
		FAULTS "fail_page_alloc/min-order",
	};
	glob_t found;
	size_t i;

	*nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (*nth < 0)
		return dio_skip("no fault injection in this kernel");
	for (i = 0; i < ARRAY_SIZE(knobs); i++)
		if (dio_write_file(knobs[i], "0"))
			return dio_skip("no %s", knobs[i]);
	/* Not a stack trace for each of them: real ones would drown. */
	if (!glob(FAULTS "fail*/verbose", 0, NULL, &found)) {
		for (i = 0; i < found.gl_pathc; i++)
			dio_write_file(found.gl_pathv[i], "0");
		globfree(&found);
	}
	return 0;
}

int dio_fault_arm(int nth, int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	return pwrite(nth, text, len, 0) == len ? 0 : -errno;
}

int dio_fault_disarm(int nth)
{
	char text[16] = "";

	if (pread(nth, text, sizeof(text) - 1, 0) <= 0 ||
	    pwrite(nth, "0", 1, 0) != 1)
		return -errno;
	return atoi(text);
}
