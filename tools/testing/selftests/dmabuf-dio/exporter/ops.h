/* SPDX-License-Identifier: GPL-2.0 */
/* How an operation is tried, and the line that tells of it. */
#ifndef OPS_H
#define OPS_H

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <linux/udmabuf.h>

#include "../../kselftest_harness.h"
#include "../lib/dio.h"

#define PAGE		4096UL
#define HUGE		(2 * DIO_MIB)
#define RW		(PROT_READ | PROT_WRITE)

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC	0x0020
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	0x0008U
#define MFD_EXEC	0x0010U
#endif

/* An address that no process has. */
#define KERNEL_ADDRESS	0xffff800000000000UL

/* Outcomes are numbers, -errno, or signals; with ANY nothing is expected. */
#define KILLED(signal)	(-10000L - (signal))
#define ANY		LONG_MIN

#define HEAP		"/dev/dma_heap/system"
#define UDMABUF		"/dev/udmabuf"
#define PARAMETERS	"/sys/module/udmabuf/parameters/"

/* ---- lines ---- */

static const char *exporter = "";

__printf(4, 5)
static void say(struct __test_metadata *_metadata, const char *want,
		const char *got, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	printf("# op %s%s %s: %s\n", exporter, _metadata->name, what, got);
	if (want)
		EXPECT_STREQ(want, got) TH_LOG("%s", what);
}

__printf(4, 5)
static void report(struct __test_metadata *_metadata, long want, long got,
		   const char *fmt, ...)
{
	const char *name = NULL;
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);

	if (got < KILLED(0))
		name = sigabbrev_np(KILLED(0) - got);
	else if (got < 0)
		name = strerrorname_np(-got);
	printf("# op %s%s %s: ", exporter, _metadata->name, what);
	if (name)
		printf("%s%s\n", got < KILLED(0) ? "SIG" : "", name);
	else
		printf("%ld\n", got);
	if (want != ANY)
		EXPECT_EQ(want, got) TH_LOG("%s", what);
}

/* An outcome, that of a system call, a text: what it has to be, is, and of what. */
#define OP(want, got, ...)	report(_metadata, want, got, __VA_ARGS__)
#define CALL(want, call, ...)	OP(want, sys(call), __VA_ARGS__)
#define SAY(want, got, ...)	say(_metadata, want, got, __VA_ARGS__)

/* ---- outcomes ---- */

static long sys(long ret)
{
	return ret < 0 ? -errno : ret;
}

/* Size of a dma-buf that was just made, which is closed. */
static long made(int fd)
{
	long size;

	if (fd < 0)
		return fd;
	size = sys(lseek(fd, 0, SEEK_END));
	close(fd);
	return size;
}

/* What was inherited would be in the way of counting. */
static void only_standard_fds(void)
{
	syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
}

/* No number is lower than that of the first descriptor that is free. */
static int next_fd(void)
{
	int fd = dup(STDOUT_FILENO);

	close(fd);
	return fd;
}

/* Close what has been opened since; how many there were. */
static long close_from(int fd)
{
	long count = 0;
	int end = fd + 64;

	for (; fd < end; fd++)
		count += !close(fd);
	return count;
}

static sigjmp_buf signal_env;

static void on_signal(int sig)
{
	siglongjmp(signal_env, sig);
}

/* Write a byte, or read it if it is negative. */
static long touch(unsigned char *at, int byte)
{
	struct sigaction act = { .sa_handler = on_signal };
	struct sigaction segv, bus;
	int sig;

	sigaction(SIGSEGV, &act, &segv);
	sigaction(SIGBUS, &act, &bus);
	sig = sigsetjmp(signal_env, 1);
	if (!sig && byte < 0)
		byte = __atomic_load_n(at, __ATOMIC_SEQ_CST);
	else if (!sig)
		__atomic_store_n(at, byte, __ATOMIC_SEQ_CST);
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return sig ? KILLED(sig) : byte;
}

static long wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFSIGNALED(status) ? KILLED(WTERMSIG(status)) :
				     -WEXITSTATUS(status);
}

/* What a function returns in a child, or what killed it. */
static long in_child(long (*fn)(void *arg), void *arg)
{
	long *result, ret;
	pid_t pid;

	result = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (result == MAP_FAILED)
		return -errno;
	pid = fork();
	if (!pid) {
		*result = fn(arg);
		_exit(0);
	}
	ret = pid < 0 ? -errno : wait_for(pid);
	if (!ret)
		ret = *result;
	munmap(result, PAGE);
	return ret;
}

static long map_fd(unsigned char **map, size_t len, int prot, int flags, int fd,
		   off_t off)
{
	*map = mmap(NULL, len, prot, flags, fd, off);
	return *map == MAP_FAILED ? -errno : 0;
}

/* A buffer of @len bytes as a whole. */
static long map_all(unsigned char **map, size_t len, int fd)
{
	return map_fd(map, len, RW, MAP_SHARED, fd, 0);
}

/* Room for maps to be made in. */
static long map_nothing(unsigned char **map, size_t len)
{
	return map_fd(map, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* One readable and writable page followed by nothing. */
static unsigned char *last_page(void)
{
	unsigned char *map;

	if (map_fd(&map, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
		return NULL;
	munmap(map + PAGE, PAGE);
	return map;
}

/* An ioctl whose argument ends, after @len bytes, where memory does. */
static long ioctl_cut(int fd, unsigned int number, const void *arg, size_t len)
{
	unsigned char *page = last_page(), *at = page + PAGE - len;
	long ret;

	memcpy(at, arg, len);
	ret = sys(ioctl(fd, number, at));
	munmap(page, PAGE);
	return ret;
}

/* Page @i of whatever it is has its number, from @first on, at both ends. */
static void label_from(unsigned char *map, size_t first, size_t pages)
{
	__u64 word;
	size_t i;

	for (i = 0; i < pages; i++) {
		word = 0xdb00000000000000ULL + first + i;
		memcpy(map + i * PAGE, &word, sizeof(word));
		memcpy(map + (i + 1) * PAGE - sizeof(word), &word, sizeof(word));
	}
}

static void label(unsigned char *map, size_t pages)
{
	label_from(map, 0, pages);
}

static bool is_page(const unsigned char *at, size_t i)
{
	__u64 word = 0xdb00000000000000ULL + i;

	return !memcmp(at, &word, sizeof(word)) &&
	       !memcmp(at + PAGE - sizeof(word), &word, sizeof(word));
}

/* How many of the pages are not those from @first on. */
static long wrong(const unsigned char *map, size_t first, size_t pages)
{
	long count = 0;
	size_t i;

	for (i = 0; i < pages; i++)
		count += !is_page(map + i * PAGE, first + i);
	return count;
}

static bool is_filled(const unsigned char *map, int byte, size_t len)
{
	return !len || (*map == byte && !memcmp(map, map + 1, len - 1));
}

/* While there is no descriptor left, and with what there is again. */
static void try_without_fds(struct __test_metadata *_metadata, int next,
			    long (*fn)(void *arg), void *arg, long want)
{
	struct rlimit old, none;
	int i;

	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = next;
	for (i = 0; i < 3; i++) {
		setrlimit(RLIMIT_NOFILE, &none);
		OP(-EMFILE, fn(arg), "none left");
		setrlimit(RLIMIT_NOFILE, &old);
	}
	OP(want, fn(arg), "some left");
}

#define START_RW	(DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW)
#define END_RW		(DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW)

static long sync_flags(int fd, __u64 flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	return sys(ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync));
}

static void print_fdinfo(struct __test_metadata *_metadata, int fd,
			 const char *when)
{
	char path[64], line[256], *tab;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		tab = strchr(line, '\t');
		if (!tab)
			continue;
		*tab = 0;
		line[strcspn(line, ":")] = 0;
		/* These two count what has been made since boot. */
		if (strcmp(line, "mnt_id") && strcmp(line, "ino"))
			SAY(NULL, tab + 1, "%s fdinfo %s", when, line);
	}
	fclose(f);
}

#endif /* OPS_H */
