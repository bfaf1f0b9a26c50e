// SPDX-License-Identifier: GPL-2.0
/*
 * Settings of the machine that are changed for a test, and what they were; and
 * allocations that fail, one after the other, by fail-nth.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dio.h"

#define KNOBS	64

/* Also for the program, should a test end before it has restored them. */
static struct knobs {
	pid_t owner;
	int nr;
	struct {
		char path[160], was[40];
	} knob[KNOBS];
} *knobs;

static pid_t program;

int dio_read_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "r");
	int ret = 0;

	if (!f)
		return -errno;
	if (!fgets(line, size, f))
		ret = -ENODATA;
	fclose(f);
	line[ret ? 0 : strcspn(line, "\n")] = 0;
	return ret;
}

static void __attribute__((constructor)) make_knobs(void)
{
	program = getpid();
	knobs = mmap(NULL, sizeof(*knobs), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (knobs == MAP_FAILED)
		abort();
}

int dio_knobs_restore(void)
{
	int ret = 0, err;

	while (knobs->nr) {
		knobs->nr--;
		err = dio_write_file(knobs->knob[knobs->nr].path, "%s",
				     knobs->knob[knobs->nr].was);
		/* It may be one of what went away. */
		if (err && err != -ENOENT) {
			dio_log("%s: %s", knobs->knob[knobs->nr].path, strerror(-err));
			ret = err;
		}
	}
	return ret;
}

static void __attribute__((destructor)) check_knobs(void)
{
	if (getpid() == program)
		dio_knobs_restore();
}

static int remember(const char *path)
{
	int i, ret;

	if (knobs->nr && knobs->owner != getpid() &&
	    kill(knobs->owner, 0) && errno == ESRCH)
		dio_knobs_restore();
	knobs->owner = getpid();
	for (i = 0; i < knobs->nr; i++)
		if (!strcmp(knobs->knob[i].path, path))
			return 0;
	if (i == KNOBS || strlen(path) >= sizeof(knobs->knob[i].path))
		return -ENOSPC;
	ret = dio_read_line(path, knobs->knob[i].was, sizeof(knobs->knob[i].was));
	if (ret)
		return ret;
	strcpy(knobs->knob[i].path, path);
	knobs->nr++;
	return 0;
}

int dio_knob(const char *path, const char *fmt, ...)
{
	char text[40];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return remember(path) ?: dio_write_file(path, "%s", text);
}

/* ---- allocations that fail ---- */

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
		if (dio_knob(knobs[i], "0"))
			return dio_skip("no %s", knobs[i]);
	/* Not a stack trace for each of them: real ones would drown. */
	if (!glob(FAULTS "fail*/verbose", 0, NULL, &found)) {
		for (i = 0; i < found.gl_pathc; i++)
			dio_knob(found.gl_pathv[i], "0");
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
