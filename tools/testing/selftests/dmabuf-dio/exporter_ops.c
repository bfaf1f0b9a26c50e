// SPDX-License-Identifier: GPL-2.0
/*
 * What user space sees of the system heap and of udmabuf, whoever wrote them.
 *
 * Both have twins in another language. Each operation here, bad ones above all,
 * prints its outcome in one line that is the same on every machine,
 *
 *	# op <exporter> <test> <operation>: <number, errno, signal or text>
 *
 * so that the lines of two kernels can be compared with diff. What has to hold
 * for any driver is expected as well; what is a matter of taste is only printed.
 */
#define _GNU_SOURCE
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

#include "../kselftest_harness.h"
#include "lib/dio.h"

#define TIMEOUT		120
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
#define NR_HUGEPAGES	"/proc/sys/vm/nr_hugepages"

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

#define OP(want, got, ...)	report(_metadata, want, got, __VA_ARGS__)
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

/* One readable and writable page followed by nothing. */
static unsigned char *last_page(void)
{
	unsigned char *map;

	if (map_fd(&map, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
		return NULL;
	munmap(map + PAGE, PAGE);
	return map;
}

/* Page @i of whatever it is has its number at both ends. */
static void label(unsigned char *map, size_t pages)
{
	__u64 word;
	size_t i;

	for (i = 0; i < pages; i++) {
		word = 0xdb00000000000000ULL + i;
		memcpy(map + i * PAGE, &word, sizeof(word));
		memcpy(map + (i + 1) * PAGE - sizeof(word), &word, sizeof(word));
	}
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

/* ---- any dma-buf ---- */

FIXTURE(buffer)
{
	struct dio_buf buf;
	size_t pages;
	int fd;
};

FIXTURE_VARIANT(buffer)
{
	const struct dio_exporter *exporter;
	const char *name;
	long end_first;		/* DMA_BUF_SYNC_END without a START before */
};

FIXTURE_VARIANT_ADD(buffer, heap)
{
	.exporter = &dio_heap,
	.name = "heap ",
};

FIXTURE_VARIANT_ADD(buffer, udmabuf)
{
	.exporter = &dio_udmabuf,
	.name = "udmabuf ",
	.end_first = -EINVAL,
};

FIXTURE_VARIANT_ADD(buffer, hugetlb)
{
	.exporter = &dio_udmabuf_huge,
	.name = "hugetlb ",
	.end_first = -EINVAL,
};

/* Not a power of two; of the heap, chunks of all its sizes. */
#define BUF_SIZE	(DIO_MIB + 64 * DIO_KIB + 8 * DIO_KIB)

FIXTURE_SETUP(buffer)
{
	exporter = variant->name;
	only_standard_fds();
	if (!dio_ready(_metadata, dio_buf_alloc(&self->buf, variant->exporter,
						BUF_SIZE)))
		return;
	self->fd = self->buf.fd;
	self->pages = self->buf.size / PAGE;
	label(self->buf.map, self->pages);
}

FIXTURE_TEARDOWN(buffer)
{
	dio_buf_free(&self->buf);
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

static const char *link_of(int fd)
{
	static char text[PATH_MAX];
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, text, sizeof(text) - 1);
	text[n < 0 ? 0 : n] = 0;
	return text;
}

TEST_F(buffer, identity)
{
	static const struct {
		const char *name;
		off_t off;
		int whence;
		long want;		/* 1 for the size */
	} seeks[] = {
		{ "SEEK_END 0",		0, SEEK_END, 1 },
		{ "SEEK_SET 0",		0, SEEK_SET, 0 },
		{ "SEEK_CUR 0",		0, SEEK_CUR, -EINVAL },
		{ "SEEK_END 1",		1, SEEK_END, -EINVAL },
		{ "SEEK_END -1",	-1, SEEK_END, -EINVAL },
		{ "SEEK_END min",	LONG_MIN, SEEK_END, -EINVAL },
		{ "SEEK_SET 1",		1, SEEK_SET, -EINVAL },
		{ "SEEK_SET 4096",	4096, SEEK_SET, -EINVAL },
		{ "SEEK_SET -1",	-1, SEEK_SET, -EINVAL },
		{ "SEEK_SET max",	LONG_MAX, SEEK_SET, -EINVAL },
		{ "SEEK_DATA 0",	0, SEEK_DATA, -EINVAL },
		{ "SEEK_HOLE 0",	0, SEEK_HOLE, -EINVAL },
		{ "whence 9",		0, 9, -EINVAL },
	};
	struct stat st;
	int copy, i;

	for (i = 0; i < ARRAY_SIZE(seeks); i++)
		OP(seeks[i].want == 1 ? (long)self->buf.size : seeks[i].want,
		   sys(lseek(self->fd, seeks[i].off, seeks[i].whence)),
		   "lseek %s", seeks[i].name);

	OP(0, sys(fstat(self->fd, &st)), "fstat");
	OP(self->buf.size, st.st_size, "st_size");
	OP(self->buf.size / 512, st.st_blocks, "st_blocks");
	OP(ANY, st.st_mode, "st_mode");
	OP(ANY, st.st_blksize, "st_blksize");
	OP(ANY, st.st_nlink, "st_nlink");
	OP(O_RDWR, sys(fcntl(self->fd, F_GETFL)) & O_ACCMODE, "F_GETFL access");
	OP(ANY, sys(fcntl(self->fd, F_GETFL)), "F_GETFL");
	OP(FD_CLOEXEC, sys(fcntl(self->fd, F_GETFD)), "F_GETFD");
	SAY("/dmabuf:", link_of(self->fd), "link");

	print_fdinfo(_metadata, self->fd, "mapped");
	munmap(self->buf.map, self->buf.size);
	self->buf.map = NULL;
	print_fdinfo(_metadata, self->fd, "unmapped");
	copy = dup(self->fd);
	print_fdinfo(_metadata, self->fd, "dup");
	close(copy);
	print_fdinfo(_metadata, self->fd, "dup closed");
}

TEST_F(buffer, calls)
{
	char path[64], bytes[16] = "";
	struct iovec iov = { bytes, sizeof(bytes) };
	int fd = self->fd, other, pipes[2];
	struct flock lock = { .l_type = F_WRLCK };
	loff_t off = 0, to;

	other = memfd_create("other", MFD_CLOEXEC);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, ftruncate(other, PAGE));
	ASSERT_EQ(0, pipe(pipes));

	OP(-EINVAL, sys(read(fd, bytes, 16)), "read");
	OP(-EINVAL, sys(read(fd, bytes, 0)), "read nothing");
	OP(-EINVAL, sys(write(fd, bytes, 16)), "write");
	OP(-EINVAL, sys(write(fd, bytes, 0)), "write nothing");
	OP(ANY, sys(pread(fd, bytes, 16, 0)), "pread");
	OP(ANY, sys(pwrite(fd, bytes, 16, 0)), "pwrite");
	OP(ANY, sys(preadv(fd, &iov, 1, 0)), "preadv");
	OP(ANY, sys(pwritev(fd, &iov, 1, 0)), "pwritev");
	OP(-EINVAL, sys(readv(fd, &iov, 1)), "readv");
	/* To another file and back, so that nothing changes */
	OP(16, sys(sendfile(other, fd, &off, 16)), "sendfile from");
	off = 0;
	OP(16, sys(sendfile(fd, other, &off, 16)), "sendfile to");
	off = 0;
	to = 0;
	OP(16, sys(copy_file_range(fd, &off, other, &to, 16, 0)),
	   "copy_file_range from");
	off = 0;
	to = 0;
	OP(16, sys(copy_file_range(other, &off, fd, &to, 16, 0)),
	   "copy_file_range to");
	off = 0;
	OP(16, sys(splice(fd, &off, pipes[1], NULL, 16, 0)), "splice to pipe");
	off = 0;
	OP(16, sys(splice(pipes[0], NULL, fd, &off, 16, 0)),
	   "splice from pipe");
	OP(ANY, sys(ftruncate(fd, 0)), "ftruncate 0");
	OP(ANY, sys(ftruncate(fd, 2 * self->buf.size)), "ftruncate more");
	OP(ANY, sys(fallocate(fd, 0, 0, PAGE)), "fallocate");
	OP(ANY, sys(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      0, PAGE)), "fallocate hole");
	OP(ANY, sys(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)), "fadvise");
	OP(ANY, sys(readahead(fd, 0, PAGE)), "readahead");
	OP(ANY, sys(sync_file_range(fd, 0, PAGE, 0)), "sync_file_range");
	OP(-EINVAL, sys(fsync(fd)), "fsync");
	OP(-EINVAL, sys(fdatasync(fd)), "fdatasync");
	OP(ANY, sys(syncfs(fd)), "syncfs");
	OP(ANY, sys(fchmod(fd, 0600)), "fchmod");
	OP(ANY, sys(flock(fd, LOCK_EX | LOCK_NB)), "flock");
	OP(ANY, sys(fcntl(fd, F_SETLK, &lock)), "F_SETLK");
	OP(-EINVAL, sys(fcntl(fd, F_GET_SEALS)), "F_GET_SEALS");
	OP(-EINVAL, sys(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)), "F_ADD_SEALS");
	OP(0, sys(fcntl(fd, F_SETFL, O_NONBLOCK)), "F_SETFL O_NONBLOCK");
	OP(-EINVAL, sys(fcntl(fd, F_SETFL, O_DIRECT)), "F_SETFL O_DIRECT");
	OP(ANY, sys(fcntl(fd, F_SETFL, O_APPEND)), "F_SETFL O_APPEND");
	OP(ANY, sys(fcntl(fd, F_SETFL, O_ASYNC)), "F_SETFL O_ASYNC");
	OP(0, sys(fcntl(fd, F_SETFL, 0)), "F_SETFL 0");
	OP(ANY, sys(fcntl(fd, F_SETLEASE, F_RDLCK)), "F_SETLEASE");
	OP(-ENOTDIR, sys(fchdir(fd)), "fchdir");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OP(-ENXIO, sys(open(path, O_RDONLY)), "open the link");
	OP(-ENXIO, sys(open(path, O_RDWR)), "open the link O_RDWR");
	other = open(path, O_PATH);
	OP(-EBADF, sys(ioctl(other, DMA_BUF_SET_NAME_A, "x")), "O_PATH ioctl");
	OP(0, wrong(self->buf.map, 0, self->pages), "data");
}

TEST_F(buffer, names)
{
	static const struct {
		const char *name;
		const char *what;
		long want;
	} names[] = {
		{ "a name", "plain", 0 },
		{ "another name", "again", 0 },
		{ "", "empty", 0 },
		{ "1234567890123456789012345678901", "31", 0 },
		{ "12345678901234567890123456789012", "32", -EINVAL },
		{ "123456789012345678901234567890123", "33", -EINVAL },
		{ "with\nlines\t", "control", 0 },
		{ "last", "last", 0 },
	};
	static const unsigned int numbers[] = {
		DMA_BUF_SET_NAME_A, DMA_BUF_SET_NAME_B,
	};
	unsigned char *page = last_page();
	int i, n;

	for (n = 0; n < 2; n++) {
		for (i = 0; i < ARRAY_SIZE(names); i++)
			OP(names[i].want,
			   sys(ioctl(self->fd, numbers[n], names[i].name)),
			   "%c %s", 'A' + n, names[i].what);
		SAY("/dmabuf:last", link_of(self->fd), "%c link", 'A' + n);
		OP(-EFAULT, sys(ioctl(self->fd, numbers[n], NULL)), "%c NULL",
		   'A' + n);
		OP(-EFAULT, sys(ioctl(self->fd, numbers[n], KERNEL_ADDRESS)),
		   "%c kernel address", 'A' + n);
		memset(page, 'x', PAGE);
		OP(-EFAULT, sys(ioctl(self->fd, numbers[n], page + PAGE - 8)),
		   "%c without end", 'A' + n);
		OP(-EINVAL, sys(ioctl(self->fd, numbers[n], page)), "%c long",
		   'A' + n);
	}
	OP(-ENOTTY, sys(ioctl(self->fd, _IOW(DMA_BUF_BASE, 1, __u16), "x")),
	   "size 2");
	OP(-ENOTTY, sys(ioctl(self->fd, _IO(DMA_BUF_BASE, 1), "x")), "size 0");
	print_fdinfo(_metadata, self->fd, "named");
}

static long sync_flags(int fd, __u64 flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	return sys(ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync));
}

TEST_F(buffer, sync)
{
	static const __u64 bad[] = {
		1ULL << 3, 1ULL << 4, 1ULL << 31, 1ULL << 32, 1ULL << 63, ~0ULL,
		1ULL << 3 | DMA_BUF_SYNC_RW,
		1ULL << 32 | DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ,
	};
	unsigned char *page = last_page();
	int i, again;
	__u64 flags;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		OP(-EINVAL, sync_flags(self->fd, bad[i]), "flags %#llx",
		   (unsigned long long)bad[i]);
	OP(-EINVAL, sync_flags(self->fd, DMA_BUF_SYNC_START), "START nothing");
	OP(-EINVAL, sync_flags(self->fd, DMA_BUF_SYNC_END), "END nothing");

	/* Never begun: one of the twins may care, the buffer may not. */
	for (flags = 1; flags < 4; flags++)
		OP(variant->end_first,
		   sync_flags(self->fd, DMA_BUF_SYNC_END | flags),
		   "END %llu before any START", (unsigned long long)flags);

	for (flags = 1; flags < 4; flags++) {
		for (again = 0; again < 2; again++)
			OP(0, sync_flags(self->fd, DMA_BUF_SYNC_START | flags),
			   "START %llu #%d", (unsigned long long)flags, again);
		for (again = 0; again < 3; again++)
			OP(0, sync_flags(self->fd, DMA_BUF_SYNC_END | flags),
			   "END %llu #%d", (unsigned long long)flags, again);
	}
	OP(0, sync_flags(self->fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ),
	   "START for reading");
	OP(0, sync_flags(self->fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE),
	   "END for writing");

	OP(-EFAULT, sys(ioctl(self->fd, DMA_BUF_IOCTL_SYNC, NULL)), "NULL");
	OP(-EFAULT, sys(ioctl(self->fd, DMA_BUF_IOCTL_SYNC, page + PAGE)),
	   "unmapped");
	OP(-EFAULT, sys(ioctl(self->fd, DMA_BUF_IOCTL_SYNC, page + PAGE - 4)),
	   "half mapped");
	OP(-EFAULT, sys(ioctl(self->fd, DMA_BUF_IOCTL_SYNC, KERNEL_ADDRESS)),
	   "kernel address");
	page[3] = DMA_BUF_SYNC_RW;
	OP(0, sys(ioctl(self->fd, DMA_BUF_IOCTL_SYNC, page + 3)), "unaligned");
	memset(self->buf.map, 0, sizeof(struct dma_buf_sync));
	self->buf.map[0] = DMA_BUF_SYNC_RW;
	OP(0, sys(ioctl(self->fd, DMA_BUF_IOCTL_SYNC, self->buf.map)),
	   "flags in the buffer");
	label(self->buf.map, 1);
	OP(0, wrong(self->buf.map, 0, self->pages), "data");
}

TEST_F(buffer, ioctls)
{
	static const struct {
		const char *name;
		unsigned int number;
	} unknown[] = {
		{ "0", 0 },
		{ "~0", ~0U },
		{ "b 0 without size", _IO(DMA_BUF_BASE, 0) },
		{ "b 0 of 4", _IOW(DMA_BUF_BASE, 0, __u32) },
		{ "b 0 of 16", _IOW(DMA_BUF_BASE, 0, __u64[2]) },
		{ "b 0 read", _IOR(DMA_BUF_BASE, 0, struct dma_buf_sync) },
		{ "b 0 both", _IOWR(DMA_BUF_BASE, 0, struct dma_buf_sync) },
		{ "b 4", _IOW(DMA_BUF_BASE, 4, __u64) },
		{ "b 255", _IOW(DMA_BUF_BASE, 255, __u64) },
		{ "heap's", DMA_HEAP_IOCTL_ALLOC },
		{ "udmabuf's", UDMABUF_CREATE },
		{ "udmabuf's list", UDMABUF_CREATE_LIST },
		{ "FIONREAD", FIONREAD },
	};
	static const struct {
		__u32 flags;
		long want;
	} files[] = {
		{ 0, -EINVAL }, { 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, -EINVAL },
		{ 7, -EINVAL }, { ~0U, -EINVAL },
	};
	struct dma_buf_export_sync_file out;
	struct dma_buf_import_sync_file in;
	__u64 bytes[8] = { 0 };
	int i, fds;
	long ret;

	for (i = 0; i < ARRAY_SIZE(unknown); i++)
		OP(-ENOTTY, sys(ioctl(self->fd, unknown[i].number, bytes)),
		   "%s", unknown[i].name);

	/* Fill the holes that making the buffer has left. */
	do {
		fds = dup(STDOUT_FILENO);
	} while (fds < self->fd);
	close(fds);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		out.flags = files[i].flags;
		out.fd = -1;
		ret = sys(ioctl(self->fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &out));
		OP(files[i].want, ret, "export sync file %u", out.flags);
		in.flags = files[i].flags;
		in.fd = out.fd;
		OP(files[i].want,
		   sys(ioctl(self->fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &in)),
		   "import sync file %u", in.flags);
		OP(!ret, close_from(fds), "descriptors");
	}
	in.flags = DMA_BUF_SYNC_RW;
	in.fd = self->fd;
	OP(-EINVAL, sys(ioctl(self->fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &in)),
	   "import no sync file");
	OP(-EFAULT, sys(ioctl(self->fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, 8)),
	   "export to nowhere");
	OP(-EFAULT, sys(ioctl(self->fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, 8)),
	   "import from nowhere");
	OP(0, close_from(fds), "descriptors");
}

TEST_F(buffer, polling)
{
	static const struct {
		const char *name;
		short events;
		long want;
	} polls[] = {
		{ "nothing", 0, 0 },
		{ "IN", POLLIN, POLLIN },
		{ "OUT", POLLOUT, POLLOUT },
		{ "IN OUT", POLLIN | POLLOUT, POLLIN | POLLOUT },
		{ "PRI", POLLPRI, 0 },
		{ "RDNORM", POLLRDNORM, 0 },
		{ "all", 0x7fff, POLLIN | POLLOUT },
	};
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT };
	struct pollfd p = { .fd = self->fd };
	int i, epoll;

	for (i = 0; i < ARRAY_SIZE(polls); i++) {
		p.events = polls[i].events;
		ASSERT_LE(0, poll(&p, 1, 0));
		OP(polls[i].want, p.revents, "poll %s", polls[i].name);
	}
	epoll = epoll_create1(EPOLL_CLOEXEC);
	OP(0, sys(epoll_ctl(epoll, EPOLL_CTL_ADD, self->fd, &event)), "add");
	OP(1, sys(epoll_wait(epoll, &event, 1, 0)), "wait");
	OP(EPOLLIN | EPOLLOUT, event.events, "events");
	OP(0, sys(epoll_ctl(epoll, EPOLL_CTL_DEL, self->fd, NULL)), "delete");
	close(epoll);
}

TEST_F(buffer, maps)
{
	/* Whole pages from the end of the buffer, plus bytes. */
	static const struct {
		const char *name;
		int prot, flags;
		bool whole;		/* @len is on top of the size */
		off_t len;
		bool end;		/* @off is relative to the end */
		off_t off;
		long want;
	} rows[] = {
		{ "shared", RW, MAP_SHARED, true },
		{ "shared read", PROT_READ, MAP_SHARED, true },
		{ "shared write", PROT_WRITE, MAP_SHARED, true },
		{ "shared none", PROT_NONE, MAP_SHARED, true,
			.want = KILLED(SIGSEGV) },
		{ "shared execute", RW | PROT_EXEC, MAP_SHARED, true,
			.want = -EPERM },
		{ "validate", RW, MAP_SHARED_VALIDATE, true },
		{ "sync", RW, MAP_SHARED_VALIDATE | MAP_SYNC, true,
			.want = -EOPNOTSUPP },
		{ "private", RW, MAP_PRIVATE, true, .want = -EINVAL },
		{ "private read", PROT_READ, MAP_PRIVATE, true,
			.want = -EINVAL },
		{ "private none", PROT_NONE, MAP_PRIVATE, true,
			.want = -EINVAL },
		{ "neither", RW, 0, true, .want = -EINVAL },
		{ "populate", RW, MAP_SHARED | MAP_POPULATE, true },
		{ "populate read", PROT_READ, MAP_SHARED | MAP_POPULATE, true },
		{ "locked", RW, MAP_SHARED | MAP_LOCKED, true },
		{ "no reserve", RW, MAP_SHARED | MAP_NORESERVE, true },
		{ "huge", RW, MAP_SHARED | MAP_HUGETLB, true, .want = -EINVAL },
		{ "grows down", RW, MAP_SHARED | MAP_GROWSDOWN, true,
			.want = -EINVAL },
		{ "length 0", RW, MAP_SHARED, .want = -EINVAL },
		{ "length 1", RW, MAP_SHARED, .len = 1 },
		{ "one page", RW, MAP_SHARED, .len = PAGE },
		{ "17 pages", RW, MAP_SHARED, .len = 17 * PAGE },
		{ "17 pages read", PROT_READ, MAP_SHARED, .len = 17 * PAGE },
		{ "size - page", RW, MAP_SHARED, true, -PAGE },
		{ "size - 1", RW, MAP_SHARED, true, -1 },
		{ "size + 1", RW, MAP_SHARED, true, 1, .want = -EINVAL },
		{ "size + page", RW, MAP_SHARED, true, PAGE, .want = -EINVAL },
		{ "size + 1 GiB", RW, MAP_SHARED, true, DIO_GIB,
			.want = -EINVAL },
		{ "length max", RW, MAP_SHARED, .len = LONG_MAX,
			.want = -ENOMEM },
		{ "length -1", RW, MAP_SHARED, .len = -1, .want = -ENOMEM },
		{ "from page 1", RW, MAP_SHARED, true, -PAGE, false, PAGE },
		{ "from page 1, size", RW, MAP_SHARED, true, 0, false, PAGE,
			-EINVAL },
		{ "from page 3, 5 pages", RW, MAP_SHARED, false, 5 * PAGE,
			false, 3 * PAGE },
		{ "over 64 KiB", RW, MAP_SHARED, false, 7 * PAGE, false,
			13 * PAGE },
		{ "over 1 MiB", RW, MAP_SHARED, false, 7 * PAGE, false,
			253 * PAGE },
		{ "over 1 MiB read", PROT_READ, MAP_SHARED, false, 7 * PAGE,
			false, 253 * PAGE },
		{ "last page", RW, MAP_SHARED, false, PAGE, true, -PAGE },
		{ "last byte", RW, MAP_SHARED, false, 1, true, -PAGE },
		{ "last 3 pages", RW, MAP_SHARED, false, 3 * PAGE, true,
			-3 * PAGE },
		{ "last 3 pages, 4", RW, MAP_SHARED, false, 4 * PAGE, true,
			-3 * PAGE, -EINVAL },
		{ "last page private", RW, MAP_PRIVATE, false, PAGE, true,
			-PAGE, ANY },
		{ "at the end", RW, MAP_SHARED, false, PAGE, true, 0, -EINVAL },
		{ "at the end, 1 byte", RW, MAP_SHARED, false, 1, true, 0,
			-EINVAL },
		{ "behind the end", RW, MAP_SHARED, false, PAGE, true, PAGE,
			-EINVAL },
		{ "offset 1", RW, MAP_SHARED, false, PAGE, false, 1, -EINVAL },
		{ "offset 2048", RW, MAP_SHARED, false, PAGE, false, 2048,
			-EINVAL },
		{ "offset 1 TiB", RW, MAP_SHARED, false, PAGE, false,
			1L << 40, -EINVAL },
		{ "offset max", RW, MAP_SHARED, false, PAGE, false,
			LONG_MAX - PAGE + 1, ANY },
		{ "offset -page", RW, MAP_SHARED, false, PAGE, false, -PAGE,
			ANY },
		{ "offset -page, 2 pages", RW, MAP_SHARED, false, 2 * PAGE,
			false, -PAGE, -EOVERFLOW },
	};
	unsigned char *map;
	size_t len, pages;
	off_t off;
	long ret;
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		len = rows[i].len + (rows[i].whole ? self->buf.size : 0);
		off = rows[i].off + (rows[i].end ? self->buf.size : 0);
		ret = map_fd(&map, len, rows[i].prot, rows[i].flags, self->fd,
			     off);
		if (!ret) {
			pages = (len + PAGE - 1) / PAGE;
			ret = touch(map + len - 1, -1);
			if (ret >= 0)
				ret = wrong(map, off / PAGE, pages);
			if (!ret && rows[i].prot == PROT_READ)
				OP(KILLED(SIGSEGV), touch(map, 1),
				   "%s, write", rows[i].name);
			munmap(map, len);
		}
		OP(rows[i].want, ret, "%s", rows[i].name);
	}
}

TEST_F_TIMEOUT(buffer, pieces, TIMEOUT)
{
	size_t n = self->pages, i, size = self->buf.size;
	unsigned char *map;
	long bad = 0;

	/* Each page alone, backwards. */
	ASSERT_EQ(0, map_fd(&map, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0));
	for (i = 0; i < n; i++)
		bad += mmap(map + (n - 1 - i) * PAGE, PAGE, RW,
			    MAP_SHARED | MAP_FIXED, self->fd, i * PAGE) ==
		       MAP_FAILED;
	OP(0, bad, "pages refused");
	for (i = 0; i < n; i++)
		bad += !is_page(map + (n - 1 - i) * PAGE, i);
	OP(0, bad, "pages wrong");
	munmap(map, size);

	/* The same pages over and over. */
	ASSERT_EQ(0, map_fd(&map, 15 * PAGE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (i = 0; i < 5; i++)
		bad += mmap(map + i * 3 * PAGE, 3 * PAGE, RW,
			    MAP_SHARED | MAP_FIXED, self->fd, 254 * PAGE) ==
		       MAP_FAILED;
	OP(0, bad, "repetitions refused");
	for (i = 0; i < 5; i++)
		bad += wrong(map + i * 3 * PAGE, 254, 3);
	OP(0, bad, "repetitions wrong");
	OP(77, touch(map + 4 * 3 * PAGE + 99, 77), "write to one");
	OP(77, touch(map + 99, -1), "read from another");
	OP(77, touch(self->buf.map + 254 * PAGE + 99, -1), "read from whole");
	munmap(map, 15 * PAGE);

	/* Never touched before the middle goes. */
	ASSERT_EQ(0, map_fd(&map, size, RW, MAP_SHARED, self->fd, 0));
	OP(0, sys(munmap(map + 10 * PAGE, 10 * PAGE)), "unmap 10 pages");
	OP(KILLED(SIGSEGV), touch(map + 10 * PAGE, -1), "first of them");
	OP(KILLED(SIGSEGV), touch(map + 20 * PAGE - 1, 1), "last of them");
	OP(0, wrong(map + 20 * PAGE, 20, n - 20), "behind");
	OP(0, wrong(map, 0, 10), "before");
	munmap(map, size);

	/* Touched, then cut thrice. */
	ASSERT_EQ(0, map_fd(&map, size, RW, MAP_SHARED, self->fd, 0));
	OP(0, wrong(map, 0, n), "whole");
	OP(0, sys(munmap(map, PAGE)), "unmap the first page");
	OP(0, sys(munmap(map + size - PAGE, PAGE)), "unmap the last page");
	OP(0, sys(munmap(map + 255 * PAGE, 2 * PAGE)), "unmap two pages");
	OP(KILLED(SIGSEGV), touch(map, -1), "first page");
	OP(KILLED(SIGSEGV), touch(map + size - 1, -1), "last page");
	OP(KILLED(SIGSEGV), touch(map + 256 * PAGE, -1), "second page");
	OP(0, wrong(map + PAGE, 1, 254), "left");
	OP(0, wrong(map + 257 * PAGE, 257, n - 258), "right");
	OP(0, sys(munmap(map, size)), "unmap all");
	OP(0, wrong(self->buf.map, 0, n), "other map");
}

TEST_F(buffer, protection)
{
	unsigned char *map, *at;
	size_t n = self->pages;

	ASSERT_EQ(0, map_fd(&map, self->buf.size, RW, MAP_SHARED, self->fd, 0));
	at = map + 20 * PAGE + 100;
	OP(0, sys(mprotect(map + 16 * PAGE, 8 * PAGE, PROT_NONE)), "none");
	OP(KILLED(SIGSEGV), touch(at, -1), "none, read");
	OP(0, wrong(map, 0, 16), "left");
	OP(0, wrong(map + 24 * PAGE, 24, n - 24), "right");
	OP(0, sys(mprotect(map + 16 * PAGE, 8 * PAGE, PROT_READ)), "read");
	OP(0, touch(at, -1), "read, read");
	OP(KILLED(SIGSEGV), touch(at, 1), "read, write");
	OP(0, sys(mprotect(map + 16 * PAGE, 8 * PAGE, RW)), "write");
	OP(5, touch(at, 5), "write, write");
	OP(5, touch(self->buf.map + 20 * PAGE + 100, -1), "other map");
	OP(-EACCES, sys(mprotect(map, self->buf.size, RW | PROT_EXEC)),
	   "execute");
	OP(0, wrong(map, 0, n), "data");
	munmap(map, self->buf.size);

	/* Pages that come only after the first fault. */
	ASSERT_EQ(0, map_fd(&map, self->buf.size, PROT_NONE, MAP_SHARED,
			    self->fd, 0));
	at = map + 20 * PAGE + 100;
	OP(KILLED(SIGSEGV), touch(at, -1), "from none, none");
	OP(0, sys(mprotect(map, self->buf.size, PROT_READ)), "from none, read");
	OP(5, touch(at, -1), "from none, read, read");
	OP(KILLED(SIGSEGV), touch(at, 1), "from none, read, write");
	OP(0, sys(mprotect(map, self->buf.size, RW)), "from none, write");
	OP(6, touch(at, 6), "from none, write, write");
	OP(0, wrong(map, 0, n), "from none, data");
	munmap(map, self->buf.size);
}

TEST_F(buffer, remap)
{
	size_t n = self->pages, size = self->buf.size;
	unsigned char *map, *to, *at;

	/* There is room for it to grow. */
	ASSERT_EQ(0, map_fd(&map, size + HUGE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	munmap(map, size + HUGE);
	ASSERT_NE(MAP_FAILED, mmap(map, size, RW, MAP_SHARED | MAP_FIXED,
				   self->fd, 0));
#define REMAP(old, new, ...) ({					\
	at = mremap(map, old, new, __VA_ARGS__);			\
	at == MAP_FAILED ? -errno : at == map ? 0 : 1; })
	OP(-EFAULT, REMAP(size, size + PAGE, 0), "grow");
	OP(-EFAULT, REMAP(size, size + PAGE, MREMAP_MAYMOVE), "grow, move");
	OP(-EFAULT, REMAP(size, 2 * size, MREMAP_MAYMOVE), "double");
	OP(-EINVAL, REMAP(size, 0, 0), "to nothing");
	OP(0, REMAP(size, size, 0), "same");
	OP(0, wrong(map, 0, n), "data");
	OP(0, REMAP(size, size - 3 * PAGE, 0), "shrink");
	OP(KILLED(SIGSEGV), touch(map + size - 3 * PAGE, -1), "cut off");
	OP(0, wrong(map, 0, n - 3), "left");
	OP(-EFAULT, REMAP(size - 3 * PAGE, size, 0), "grow again");
	OP(ANY, REMAP(0, size - 3 * PAGE, 0), "from nothing");
	OP(ANY, REMAP(0, size - 3 * PAGE, MREMAP_MAYMOVE), "second map");
	if (at != MAP_FAILED)
		OP(0, wrong(at, 0, n - 3), "second map's data");
	OP(ANY, REMAP(size - 3 * PAGE, size - 3 * PAGE,
		      MREMAP_MAYMOVE | MREMAP_DONTUNMAP), "keep both");
	if (at != MAP_FAILED)
		OP(0, wrong(at, 0, n - 3), "keep both, data");
	munmap(map, size);

	ASSERT_EQ(0, map_fd(&to, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0));
	ASSERT_EQ(0, map_fd(&map, size, RW, MAP_SHARED, self->fd, 0));
	OP(1, REMAP(size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to), "move");
	OP(KILLED(SIGSEGV), touch(map, -1), "old place");
	OP(0, wrong(to, 0, n), "new place");
	ASSERT_EQ(0, map_fd(&at, 7 * PAGE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	map = to + 253 * PAGE;
	to = at;
	OP(1, REMAP(7 * PAGE, 7 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to),
	   "move 7 pages");
	OP(0, wrong(to, 253, 7), "7 pages");
	OP(KILLED(SIGSEGV), touch(map, -1), "hole");
	OP(0, touch(map + 7 * PAGE + 8, -1), "behind the hole");

	/* Moved before anybody touched it. */
	ASSERT_EQ(0, map_fd(&to, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0));
	ASSERT_EQ(0, map_fd(&map, size, RW, MAP_SHARED, self->fd, 0));
	OP(1, REMAP(size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to),
	   "move untouched");
	OP(0, wrong(to, 0, n), "untouched");
	OP(0, wrong(self->buf.map, 0, n), "other map");
#undef REMAP
}

TEST_F_TIMEOUT(buffer, advice, TIMEOUT)
{
	static const struct {
		const char *name;
		int advice;
		long want;
	} rows[] = {
		{ "NORMAL", MADV_NORMAL, 0 },
		{ "RANDOM", MADV_RANDOM, 0 },
		{ "SEQUENTIAL", MADV_SEQUENTIAL, 0 },
		{ "WILLNEED", MADV_WILLNEED, ANY },
		{ "DONTNEED", MADV_DONTNEED, -EINVAL },
		{ "DONTNEED_LOCKED", MADV_DONTNEED_LOCKED, -EINVAL },
		{ "FREE", MADV_FREE, -EINVAL },
		{ "REMOVE", MADV_REMOVE, ANY },
		{ "DONTFORK", MADV_DONTFORK, 0 },
		{ "DOFORK", MADV_DOFORK, ANY },
		{ "MERGEABLE", MADV_MERGEABLE, ANY },
		{ "UNMERGEABLE", MADV_UNMERGEABLE, ANY },
		{ "HUGEPAGE", MADV_HUGEPAGE, ANY },
		{ "NOHUGEPAGE", MADV_NOHUGEPAGE, ANY },
		{ "COLLAPSE", MADV_COLLAPSE, -EINVAL },
		{ "DONTDUMP", MADV_DONTDUMP, 0 },
		{ "DODUMP", MADV_DODUMP, -EINVAL },
		{ "WIPEONFORK", MADV_WIPEONFORK, -EINVAL },
		{ "KEEPONFORK", MADV_KEEPONFORK, ANY },
		{ "COLD", MADV_COLD, -EINVAL },
		{ "PAGEOUT", MADV_PAGEOUT, -EINVAL },
		{ "POPULATE_READ", MADV_POPULATE_READ, ANY },
		{ "POPULATE_WRITE", MADV_POPULATE_WRITE, ANY },
		{ "GUARD_INSTALL", 102, -EINVAL },
		{ "GUARD_REMOVE", 103, ANY },
		{ "99", 99, -EINVAL },
	};
	size_t n = self->pages;
	unsigned char *map;
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		ASSERT_EQ(0, map_fd(&map, self->buf.size, RW, MAP_SHARED,
				    self->fd, 0));
		OP(rows[i].want,
		   sys(madvise(map + 3 * PAGE, 10 * PAGE, rows[i].advice)),
		   "%s", rows[i].name);
		OP(0, wrong(map, 0, n), "%s, data", rows[i].name);
		OP(rows[i].want,
		   sys(madvise(map, self->buf.size, rows[i].advice)),
		   "%s touched", rows[i].name);
		OP(0, wrong(map, 0, n), "%s touched, data", rows[i].name);
		munmap(map, self->buf.size);
	}
}

/* One line of smaps, or the line of maps, for the area at @at. */
static const char *area(unsigned char *at, const char *key)
{
	static char text[512];
	unsigned long start, end;
	bool inside = false;
	char line[512];
	FILE *f;
	int n;

	snprintf(text, sizeof(text), "missing");
	f = fopen("/proc/self/smaps", "r");
	if (!f)
		return text;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%lx-%lx %n", &start, &end, &n) == 2) {
			inside = start <= (unsigned long)at &&
				 (unsigned long)at < end;
			if (inside && !strcmp(key, "perms")) {
				/* And the offset. */
				snprintf(text, 14, "%s", line + n);
				break;
			}
		} else if (inside && !strncmp(line, key, strlen(key))) {
			n = strlen(key);
			n += strspn(line + n, ": ");
			snprintf(text, sizeof(text), "%s", line + n);
			break;
		}
	}
	fclose(f);
	return text;
}

TEST_F(buffer, memory)
{
	static const char *const keys[] = {
		"perms", "Rss", "Pss", "Shared_Clean", "Private_Dirty", "Referenced",
		"Anonymous", "Locked", "THPeligible", "VmFlags",
	};
	unsigned char *map = self->buf.map, *fresh, vec[4];
	size_t n = self->pages, size = self->buf.size;
	struct iovec local, remote;
	char bytes[64];
	int mem, pipes[2], i;

	ASSERT_EQ(0, map_fd(&fresh, size, RW, MAP_SHARED, self->fd, 0));
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		SAY(NULL, area(map, keys[i]), "smaps %s touched", keys[i]);
		SAY(NULL, area(fresh, keys[i]), "smaps %s fresh", keys[i]);
	}
	OP(ANY, sys(mincore(fresh, 4 * PAGE, vec)), "mincore fresh");
	OP(ANY, vec[3], "mincore fresh says");
	OP(ANY, sys(mincore(map, 4 * PAGE, vec)), "mincore touched");
	OP(ANY, vec[3], "mincore touched says");
	OP(ANY, sys(mlock(map, size)), "mlock touched");
	OP(ANY, sys(mlock(fresh, 5 * PAGE)), "mlock fresh");
	OP(ANY, sys(mlock2(fresh, 5 * PAGE, MLOCK_ONFAULT)), "mlock on fault");
	OP(ANY, sys(munlock(map, size)), "munlock touched");
	OP(ANY, sys(munlock(fresh, 5 * PAGE)), "munlock fresh");
	OP(ANY, sys(msync(map, size, MS_ASYNC)), "msync async");
	OP(ANY, sys(msync(map, size, MS_SYNC)), "msync sync");
	OP(ANY, sys(msync(map, size, MS_SYNC | MS_INVALIDATE)),
	   "msync invalidate");
	OP(ANY, sys(syscall(SYS_remap_file_pages, map, PAGE, 0, 5, 0)),
	   "remap_file_pages");
	munmap(fresh, size);
	OP(0, sys(munmap(map, size)), "munmap");
	ASSERT_EQ(0, map_fd(&map, size, RW, MAP_SHARED, self->fd, 0));
	self->buf.map = map;

	/* Whoever wants the pages does not get them; copies are fine. */
	mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	OP(ANY, sys(pread(mem, bytes, 64, (off_t)map)), "read by /proc");
	OP(ANY, sys(pwrite(mem, bytes, 64, (off_t)map + 8)), "write by /proc");
	close(mem);
	local = (struct iovec){ bytes, sizeof(bytes) };
	remote = (struct iovec){ map, sizeof(bytes) };
	OP(ANY, sys(process_vm_readv(getpid(), &local, 1, &remote, 1, 0)),
	   "process_vm_readv");
	ASSERT_EQ(0, pipe(pipes));
	OP(-EFAULT, sys(vmsplice(pipes[1], &remote, 1, 0)), "vmsplice");
	OP(ANY, sys(syscall(SYS_futex, map, FUTEX_WAKE, 1, NULL, NULL, 0)),
	   "futex");
	OP(64, sys(write(pipes[1], map + PAGE - 32, 64)), "write from map");
	OP(64, sys(read(pipes[0], map + 2 * PAGE - 32, 64)), "read to map");
	OP(1, !memcmp(map + PAGE - 32, map + 2 * PAGE - 32, 64), "copied");
	label(map, 3);
	ASSERT_EQ(0, map_fd(&fresh, size, RW, MAP_SHARED, self->fd, 0));
	munmap(fresh + PAGE, PAGE);
	OP(-EFAULT, sys(write(pipes[1], fresh + PAGE - 32, 64)),
	   "write from beyond the map");
	munmap(fresh, size);
	OP(0, wrong(map, 0, n), "data");
}

struct family {
	unsigned char *map, *fresh, *absent;
	size_t pages, size;
	int fd;
};

static long child_reads(void *arg)
{
	struct family *f = arg;

	return wrong(f->map, 0, f->pages) + wrong(f->fresh, 0, f->pages);
}

static long child_reads_absent(void *arg)
{
	struct family *f = arg;

	return touch(f->absent, -1);
}

static long child_writes(void *arg)
{
	struct family *f = arg;

	f->map[1000] = 11;
	f->fresh[PAGE + 1000] = 22;
	return touch(f->fresh + 1000, -1);
}

static long child_lets_go(void *arg)
{
	struct family *f = arg;
	long ret;

	ret = sys(munmap(f->map, f->size)) ?: sys(munmap(f->fresh, f->size));
	return ret ?: sys(close(f->fd));
}

static long child_maps(void *arg)
{
	struct family *f = arg;
	unsigned char *map;

	return map_fd(&map, f->size, RW, MAP_SHARED, f->fd, 0) ?:
	       wrong(map, 0, f->pages);
}

static long grandchild_reads(void *arg)
{
	return in_child(child_reads, arg);
}

TEST_F(buffer, forks)
{
	struct family f = {
		.map = self->buf.map,
		.pages = self->pages,
		.size = self->buf.size,
		.fd = self->fd,
	};
	long long count;

	ASSERT_EQ(0, map_fd(&f.fresh, f.size, RW, MAP_SHARED, f.fd, 0));
	ASSERT_EQ(0, map_fd(&f.absent, f.size, RW, MAP_SHARED, f.fd, 0));
	ASSERT_EQ(0, madvise(f.absent, f.size, MADV_DONTFORK));

	OP(0, in_child(child_reads, &f), "child reads");
	OP(0, in_child(grandchild_reads, &f), "grandchild reads");
	OP(KILLED(SIGSEGV), in_child(child_reads_absent, &f),
	   "child reads DONTFORK");
	OP(11, in_child(child_writes, &f), "child writes");
	OP(11, f.fresh[1000], "parent reads");
	OP(22, f.map[PAGE + 1000], "parent reads other");
	OP(22, f.absent[PAGE + 1000], "parent reads DONTFORK");
	OP(0, in_child(child_maps, &f), "child maps");
	OP(0, in_child(child_lets_go, &f), "child lets go");
	OP(0, wrong(f.map, 0, f.pages), "data");
	ASSERT_EQ(0, dio_fdinfo(f.fd, "count", &count));
	OP(4, count, "count");
	munmap(f.fresh, f.size);
	munmap(f.absent, f.size);
	ASSERT_EQ(0, dio_fdinfo(f.fd, "count", &count));
	OP(2, count, "count after munmap");
}

TEST_F(buffer, lifetime)
{
	size_t n = self->pages, size = self->buf.size;
	unsigned char *map, *other;
	int copy, high;

	/* Descriptors come and go. */
	copy = dup(self->fd);
	high = fcntl(self->fd, F_DUPFD_CLOEXEC, 200);
	OP(200, high, "F_DUPFD_CLOEXEC");
	OP(0, sys(close(self->fd)), "close");
	self->buf.fd = copy;
	OP(-EBADF, sync_flags(self->fd, DMA_BUF_SYNC_RW), "closed, sync");
	OP(-EBADF, map_fd(&map, size, RW, MAP_SHARED, self->fd, 0),
	   "closed, mmap");
	OP(0, map_fd(&map, size, RW, MAP_SHARED, copy, 0), "copy, mmap");
	OP(0, wrong(map, 0, n), "copy, data");
	OP(0, sync_flags(high, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW),
	   "START by one");
	OP(0, sync_flags(copy, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW),
	   "END by the other");
	OP(0, map_fd(&other, size, PROT_READ, MAP_SHARED, high, 0),
	   "second copy, mmap");
	close(high);

	/* Maps outlive them all, touched before or not. */
	OP(0, sys(close(copy)), "close last");
	self->buf.fd = -1;
	OP(0, wrong(map, 0, n), "touched map");
	OP(0, wrong(other, 0, n), "untouched map");
	munmap(map, size);
	munmap(self->buf.map, size);
	self->buf.map = NULL;
	OP(0, wrong(other, 0, n), "last map");
	OP(KILLED(SIGSEGV), touch(other, 1), "last map, write");
	OP(0, sys(munmap(other, size)), "munmap last");
}

static int send_fd(int socket, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {
		.header = {
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof(int)),
		},
	};
	struct iovec iov = { "x", 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return sys(sendmsg(socket, &msg, 0));
}

static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -errno;
	if (!CMSG_FIRSTHDR(&msg))
		return -ENOMSG;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

struct receiver {
	int socket;
	size_t size;
};

static long child_receives(void *arg)
{
	struct receiver *r = arg;
	unsigned char *map;
	int fd;

	fd = receive_fd(r->socket);
	if (fd < 0)
		return fd;
	if (map_fd(&map, r->size, RW, MAP_SHARED, fd, 0))
		return -errno;
	if (wrong(map, 0, r->size / PAGE))
		return -EBADMSG;
	map[500] = 44;
	return 0;
}

TEST_F(buffer, sockets)
{
	size_t n = self->pages, size = self->buf.size;
	struct receiver r = { .size = size };
	int sockets[2], fd;
	unsigned char *map;
	long long count;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	r.socket = sockets[1];

	OP(1, send_fd(sockets[0], self->fd), "send to child");
	ASSERT_EQ(0, dio_fdinfo(self->fd, "count", &count));
	OP(3, count, "count in flight");
	OP(0, in_child(child_receives, &r), "child receives");
	OP(44, self->buf.map[500], "child wrote");
	ASSERT_EQ(0, dio_fdinfo(self->fd, "count", &count));
	OP(2, count, "count received");

	/* For a while only the socket has it. */
	OP(1, send_fd(sockets[0], self->fd), "send to self");
	munmap(self->buf.map, size);
	close(self->fd);
	self->buf.map = NULL;
	self->buf.fd = -1;
	fd = receive_fd(sockets[1]);
	OP(1, fd >= 0, "receive");
	OP(FD_CLOEXEC, sys(fcntl(fd, F_GETFD)), "F_GETFD");
	print_fdinfo(_metadata, fd, "received");
	OP(0, map_fd(&map, size, RW, MAP_SHARED, fd, 0), "mmap");
	OP(0, wrong(map, 0, n), "data");
	munmap(map, size);

	/* In flight, and never received. */
	OP(1, send_fd(sockets[0], fd), "send to nobody");
	OP(0, sys(close(fd)), "close");
	close(sockets[0]);
	close(sockets[1]);
}

/* Each byte, through a second map and back. */
TEST_F(buffer, bytes)
{
	size_t size = self->buf.size;
	unsigned char *map, *pattern;

	pattern = malloc(size);
	ASSERT_NE(NULL, pattern);
	ASSERT_EQ(0, map_fd(&map, size, RW, MAP_SHARED, self->fd, 0));
	dio_pattern(pattern, 1, 0, size);
	memcpy(self->buf.map, pattern, size);
	OP(0, !!memcmp(map, pattern, size), "first to second");
	dio_pattern(pattern, 2, 0, size);
	memcpy(map, pattern, size);
	OP(0, !!memcmp(self->buf.map, pattern, size), "second to first");
	munmap(map, size);
	free(pattern);
}

TEST_F_TIMEOUT(buffer, device, TIMEOUT)
{
	static const struct {
		size_t file_off, off, len;	/* in blocks */
	} rows[] = {
		{ 0, 0, 1 }, { 0, 0, 8 }, { 1, 3, 5 }, { 0, 7, 2 },
		{ 8, 0, 128 }, { 5, 127, 2 }, { 0, 2047, 2 }, { 3, 2040, 33 },
		{ 1, 0, 2048 }, { 0, 1, 2047 }, { 0, 2048, 143 },
	};
	struct dio_src src;
	size_t block, i;

	if (!dio_ready(_metadata, dio_src_open(&src, &dio_raw, 0,
					       self->buf.size)))
		return;
	block = 512;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		OP(1, dio_transfer(&src, rows[i].file_off * block, &self->buf,
				   rows[i].off * block, rows[i].len * block),
		   "blocks %zu+%zu from %zu", rows[i].off, rows[i].len,
		   rows[i].file_off);
	OP(1, dio_transfer(&src, 0, &self->buf, 0, self->buf.size), "whole");
	OP(0, sync_flags(self->fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW),
	   "START");
	OP(self->buf.size, dio_splice(src.fd, 0, self->fd, 0, self->buf.size),
	   "whole between START and END");
	OP(0, sync_flags(self->fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW), "END");
	OP(1, dio_is_data(&self->buf, 0, &src, 0, self->buf.size), "data");
	OP(-ENOSPC, dio_splice(src.fd, 0, self->fd, self->buf.size, block),
	   "at the end");
	OP(block, dio_splice(src.fd, 0, self->fd, self->buf.size - block,
			     2 * block), "over the end");
	print_fdinfo(_metadata, self->fd, "used");
	dio_src_close(&src);
}

/* A device fills one half while the CPU has its brackets round the other. */
TEST_F_TIMEOUT(buffer, device_and_cpu, TIMEOUT)
{
	size_t half = self->pages / 2 * PAGE, n = self->pages / 2;
	struct dio_worker worker;
	struct dio_src src;
	long bad = 0;
	int rounds = 0;

	if (!dio_ready(_metadata, dio_src_open(&src, &dio_raw, 0, half)))
		return;
	worker = (struct dio_worker){
		.src = &src,
		.buf = &self->buf,
		.off = half,
		.len = half,
		.rounds = 10,
	};
	ASSERT_EQ(0, dio_worker_start(&worker));
	do {
		bad += !!sync_flags(self->fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW);
		label(self->buf.map, n);
		bad += !!sync_flags(self->fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW);
		bad += wrong(self->buf.map, 0, n);
	} while (++rounds < 1000 && worker.done < worker.rounds && worker.good);
	dio_worker_join(&worker);
	OP(0, bad, "CPU");
	OP(10, worker.done, "transfers");
	OP(1, worker.good, "device");
	dio_src_close(&src);
}

/* ---- the nodes ---- */

struct node_op {
	const char *name;
	int flags;
	long want;
};

/* What a descriptor of a device does that has nothing but ioctls. */
static void node_calls(struct __test_metadata *_metadata, const char *path,
		       long seek)
{
	static const struct node_op opens[] = {
		{ "O_RDONLY", O_RDONLY },
		{ "O_WRONLY", O_WRONLY },
		{ "O_RDWR", O_RDWR },
		{ "O_ACCMODE", O_ACCMODE },
		{ "O_RDWR O_NONBLOCK", O_RDWR | O_NONBLOCK },
		{ "O_RDWR O_APPEND", O_RDWR | O_APPEND },
		{ "O_RDWR O_TRUNC", O_RDWR | O_TRUNC },
		{ "O_RDWR O_SYNC", O_RDWR | O_SYNC },
		{ "O_RDWR O_DIRECT", O_RDWR | O_DIRECT, -EINVAL },
		{ "O_DIRECTORY", O_RDONLY | O_DIRECTORY, -ENOTDIR },
		{ "O_CREAT O_EXCL", O_RDWR | O_CREAT | O_EXCL, -EEXIST },
		{ "O_PATH", O_PATH },
	};
	struct pollfd p = { .events = POLLIN | POLLOUT };
	unsigned char *map;
	char byte = 0;
	struct stat st;
	int i, fd;

	ASSERT_EQ(0, stat(path, &st));
	OP(ANY, st.st_mode, "st_mode");
	for (i = 0; i < ARRAY_SIZE(opens); i++) {
		fd = open(path, opens[i].flags | O_CLOEXEC, 0600);
		OP(opens[i].want, fd < 0 ? -errno : 0, "open %s",
		   opens[i].name);
		if (fd >= 0)
			close(fd);
	}

	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	OP(-EINVAL, sys(read(fd, &byte, 1)), "read");
	OP(-EINVAL, sys(write(fd, &byte, 1)), "write");
	OP(ANY, sys(pread(fd, &byte, 1, 0)), "pread");
	OP(ANY, sys(pwrite(fd, &byte, 1, 0)), "pwrite");
	OP(seek, sys(lseek(fd, 0, SEEK_END)), "lseek");
	OP(seek, sys(lseek(fd, 0, SEEK_SET)), "lseek to start");
	OP(-ENODEV, map_fd(&map, PAGE, RW, MAP_SHARED, fd, 0), "mmap");
	OP(-ENODEV, map_fd(&map, PAGE, RW, MAP_PRIVATE, fd, 0),
	   "mmap private");
	OP(-EINVAL, sys(fsync(fd)), "fsync");
	OP(-EINVAL, sys(ftruncate(fd, 0)), "ftruncate");
	OP(ANY, sys(fallocate(fd, 0, 0, PAGE)), "fallocate");
	p.fd = fd;
	OP(1, sys(poll(&p, 1, 0)), "poll");
	OP(POLLIN | POLLOUT, p.revents, "poll says");
	OP(ANY, sys(fcntl(fd, F_SETFL, O_ASYNC)), "F_SETFL O_ASYNC");
	OP(ANY, sys(fcntl(fd, F_SETFL, O_DIRECT)), "F_SETFL O_DIRECT");
	print_fdinfo(_metadata, fd, "node");
	close(fd);
}

/* ---- system heap ---- */

FIXTURE(heap)
{
	int fd;
	int next;		/* first descriptor that is free */
};

FIXTURE_SETUP(heap)
{
	exporter = "heap ";
	only_standard_fds();
	self->fd = open(HEAP, O_RDONLY | O_CLOEXEC);
	if (self->fd < 0 && errno == ENOENT)
		SKIP(return, "no " HEAP);
	ASSERT_LE(0, self->fd);
	self->next = next_fd();
}

/* Whatever a test has tried, nothing is left behind. */
FIXTURE_TEARDOWN(heap)
{
	EXPECT_EQ(self->next, next_fd());
	close(self->fd);
}

/* A descriptor, or -errno. */
static int heap_alloc(int heap, size_t len, unsigned int fd_flags)
{
	struct dma_heap_allocation_data data = {
		.len = len,
		.fd_flags = fd_flags,
	};

	return ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data) ? -errno : (int)data.fd;
}

TEST_F(heap, node)
{
	struct dirent **names;
	int i, n;

	n = scandir("/dev/dma_heap", &names, NULL, alphasort);
	for (i = 0; i < n; i++)
		if (names[i]->d_name[0] != '.')
			SAY(NULL, names[i]->d_name, "a heap");
	node_calls(_metadata, HEAP, -ESPIPE);
}

TEST_F(heap, open_modes)
{
	static const struct node_op modes[] = {
		{ "O_RDONLY", O_RDONLY, PAGE },
		{ "O_WRONLY", O_WRONLY, PAGE },
		{ "O_RDWR", O_RDWR, PAGE },
		{ "O_ACCMODE", O_ACCMODE, PAGE },
		{ "O_NONBLOCK", O_RDONLY | O_NONBLOCK, PAGE },
		{ "O_PATH", O_PATH, -EBADF },
	};
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		fd = open(HEAP, modes[i].flags | O_CLOEXEC);
		OP(modes[i].want, made(heap_alloc(fd, 1, O_RDWR)), "%s",
		   modes[i].name);
		close(fd);
	}
}

#define BOTH	(_IOC_READ | _IOC_WRITE)

TEST_F(heap, numbers)
{
	static const struct {
		const char *name;
		unsigned int number;
		long want;
		long fds;		/* descriptors afterwards */
	} rows[] = {
		{ "right", DMA_HEAP_IOCTL_ALLOC, 0, 1 },
		{ "size 0", _IOC(BOTH, 'H', 0, 0), -EINVAL },
		{ "size 1", _IOC(BOTH, 'H', 0, 1), ANY, ANY },
		{ "size 8", _IOC(BOTH, 'H', 0, 8), ANY, ANY },
		{ "size 12", _IOC(BOTH, 'H', 0, 12), 0, 1 },
		{ "size 16", _IOC(BOTH, 'H', 0, 16), 0, 1 },
		{ "size 23", _IOC(BOTH, 'H', 0, 23), 0, 1 },
		{ "size 32", _IOC(BOTH, 'H', 0, 32), 0, 1 },
		{ "size 128", _IOC(BOTH, 'H', 0, 128), 0, 1 },
		{ "size 129", _IOC(BOTH, 'H', 0, 129), 0, 1 },
		{ "size 16383", _IOC(BOTH, 'H', 0, 16383), 0, 1 },
		{ "read only", _IOC(_IOC_READ, 'H', 0, 24), -EINVAL },
		{ "write only", _IOC(_IOC_WRITE, 'H', 0, 24), ANY, ANY },
		{ "neither", _IOC(_IOC_NONE, 'H', 0, 24), -EINVAL },
		{ "number 1", _IOC(BOTH, 'H', 1, 24), -EINVAL },
		{ "number 2", _IOC(BOTH, 'H', 2, 24), -EINVAL },
		{ "number 255", _IOC(BOTH, 'H', 255, 24), -EINVAL },
		{ "other type", _IOC(BOTH, 'X', 0, 24), ANY, ANY },
		{ "type 0", _IOC(BOTH, 0, 0, 24), ANY, ANY },
		{ "0", 0, -EINVAL },
		{ "~0", ~0U, -EINVAL },
		{ "udmabuf's", UDMABUF_CREATE, -EINVAL },
		{ "FIONREAD", FIONREAD, -EINVAL },
	};
	static union {
		struct dma_heap_allocation_data data;
		unsigned char bytes[16384];
	} arg;
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(&arg, 0, sizeof(arg));
		arg.data.len = PAGE;
		OP(rows[i].want, sys(ioctl(self->fd, rows[i].number, &arg)),
		   "%s", rows[i].name);
		OP(ANY, arg.data.fd ? (int)arg.data.fd - self->next : ANY,
		   "%s, fd", rows[i].name);
		OP(PAGE, arg.data.len, "%s, len", rows[i].name);
		OP(rows[i].fds, close_from(self->next), "%s, descriptors",
		   rows[i].name);
	}
}

TEST_F(heap, fields)
{
	static const struct {
		const char *name;
		struct dma_heap_allocation_data data;
		long want;
	} rows[] = {
		{ "plain", { PAGE, 0, 0, 0 }, 0 },
		{ "fd 1", { PAGE, 1, 0, 0 }, -EINVAL },
		{ "fd 1000", { PAGE, 1000, 0, 0 }, -EINVAL },
		{ "fd -1", { PAGE, -1, 0, 0 }, -EINVAL },
		{ "RDONLY", { PAGE, 0, O_RDONLY, 0 }, 0 },
		{ "WRONLY", { PAGE, 0, O_WRONLY, 0 }, 0 },
		{ "RDWR", { PAGE, 0, O_RDWR, 0 }, 0 },
		{ "ACCMODE", { PAGE, 0, O_ACCMODE, 0 }, 0 },
		{ "CLOEXEC", { PAGE, 0, O_CLOEXEC, 0 }, 0 },
		{ "RDWR CLOEXEC", { PAGE, 0, O_RDWR | O_CLOEXEC, 0 }, 0 },
		{ "ACCMODE CLOEXEC", { PAGE, 0, O_ACCMODE | O_CLOEXEC, 0 }, 0 },
		{ "CREAT", { PAGE, 0, O_RDWR | O_CREAT, 0 }, -EINVAL },
		{ "NONBLOCK", { PAGE, 0, O_RDWR | O_NONBLOCK, 0 }, -EINVAL },
		{ "APPEND", { PAGE, 0, O_RDWR | O_APPEND, 0 }, -EINVAL },
		{ "DIRECT", { PAGE, 0, O_RDWR | O_DIRECT, 0 }, -EINVAL },
		{ "PATH", { PAGE, 0, O_RDWR | O_PATH, 0 }, -EINVAL },
		{ "SYNC", { PAGE, 0, O_RDWR | O_SYNC, 0 }, -EINVAL },
		{ "4", { PAGE, 0, 4, 0 }, -EINVAL },
		{ "bit 31", { PAGE, 0, 1U << 31, 0 }, -EINVAL },
		{ "all", { PAGE, 0, -1, 0 }, -EINVAL },
		{ "heap flag 1", { PAGE, 0, O_RDWR, 1 }, -EINVAL },
		{ "heap flag 32", { PAGE, 0, O_RDWR, 1ULL << 32 }, -EINVAL },
		{ "heap flag 63", { PAGE, 0, O_RDWR, 1ULL << 63 }, -EINVAL },
		{ "heap flags", { PAGE, 0, O_RDWR, ~0ULL }, -EINVAL },
		{ "fd, length 0", { 0, 1, 0, 0 }, -EINVAL },
		{ "all bad", { -1, -1, -1, -1 }, -EINVAL },
	};
	struct dma_heap_allocation_data data;
	long ret;
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		data = rows[i].data;
		ret = sys(ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, &data));
		OP(rows[i].want, ret, "%s", rows[i].name);
		if (ret) {
			OP(0, memcmp(&data, &rows[i].data, sizeof(data)),
			   "%s, changed", rows[i].name);
		} else {
			OP(0, (int)data.fd - self->next, "%s, fd",
			   rows[i].name);
			OP(rows[i].data.fd_flags & O_CLOEXEC ? FD_CLOEXEC : 0,
			   sys(fcntl(data.fd, F_GETFD)), "%s, F_GETFD",
			   rows[i].name);
			OP(rows[i].data.fd_flags & O_ACCMODE,
			   sys(fcntl(data.fd, F_GETFL)) & O_ACCMODE,
			   "%s, F_GETFL", rows[i].name);
			OP(0, data.heap_flags, "%s, heap_flags", rows[i].name);
		}
		OP(!ret, close_from(self->next), "%s, descriptors",
		   rows[i].name);
	}
}

TEST_F(heap, pointers)
{
	struct dma_heap_allocation_data data = { .len = PAGE };
	unsigned char *page = last_page();

	OP(-EFAULT, sys(ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, NULL)), "NULL");
	OP(-EFAULT, sys(ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, -1L)), "-1");
	OP(-EFAULT, sys(ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, KERNEL_ADDRESS)),
	   "kernel address");
	OP(-EFAULT, sys(ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, page + PAGE)),
	   "unmapped");
	memcpy(page + PAGE - 23, &data, 23);
	OP(-EFAULT, sys(ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, page + PAGE - 23)),
	   "but a byte");
	OP(0, close_from(self->next), "descriptors");
	memcpy(page + PAGE - 24, &data, 24);
	OP(0, sys(ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, page + PAGE - 24)),
	   "at the end");
	OP(1, close_from(self->next), "descriptors of one");
	memcpy(page + 5, &data, sizeof(data));
	OP(0, sys(ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, page + 5)),
	   "unaligned");
	OP(1, close_from(self->next), "descriptors of unaligned");

	/* Allocated, but not to be told: it has to be undone. */
	memcpy(page, &data, sizeof(data));
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ));
	OP(-EFAULT, sys(ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, page)),
	   "read only");
	OP(0, close_from(self->next), "descriptors of read only");
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_NONE));
	OP(-EFAULT, sys(ioctl(self->fd, DMA_HEAP_IOCTL_ALLOC, page)),
	   "no access");
}

TEST_F_TIMEOUT(heap, lengths, TIMEOUT)
{
	static const struct {
		const char *name;
		size_t len;
		long want;
	} rows[] = {
		{ "0", 0, -EINVAL },
		{ "1", 1, PAGE },
		{ "777", 777, PAGE },
		{ "4095", 4095, PAGE },
		{ "4096", 4096, PAGE },
		{ "4097", 4097, 2 * PAGE },
		{ "12345", 12345, 4 * PAGE },
		{ "64K-1", 64 * DIO_KIB - 1, 64 * DIO_KIB },
		{ "64K", 64 * DIO_KIB, 64 * DIO_KIB },
		{ "64K+1", 64 * DIO_KIB + 1, 68 * DIO_KIB },
		{ "64K+4K", 68 * DIO_KIB, 68 * DIO_KIB },
		{ "128K-4K", 124 * DIO_KIB, 124 * DIO_KIB },
		{ "1M-4K", DIO_MIB - PAGE, DIO_MIB - PAGE },
		{ "1M", DIO_MIB, DIO_MIB },
		{ "1M+1", DIO_MIB + 1, DIO_MIB + PAGE },
		{ "1M+4K", DIO_MIB + PAGE, DIO_MIB + PAGE },
		{ "2M", 2 * DIO_MIB, 2 * DIO_MIB },
		{ "2M+64K+4K", 2 * DIO_MIB + 68 * DIO_KIB,
			2 * DIO_MIB + 68 * DIO_KIB },
		{ "4M-1", 4 * DIO_MIB - 1, 4 * DIO_MIB },
		{ "32M", 32 * DIO_MIB, 32 * DIO_MIB },
		/* Rounded up, these are nothing. */
		{ "max", ULONG_MAX, -EINVAL },
		{ "max - 1", ULONG_MAX - 1, -EINVAL },
		{ "max - 4094", ULONG_MAX - 4094, -EINVAL },
	};
	unsigned char *map, *more;
	long ret;
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		fd = heap_alloc(self->fd, rows[i].len, O_RDWR);
		ret = fd < 0 ? fd : sys(lseek(fd, 0, SEEK_END));
		OP(rows[i].want, ret, "%s", rows[i].name);
		if (ret <= 0)
			continue;
		OP(0, map_fd(&map, ret, RW, MAP_SHARED, fd, 0), "%s, mmap",
		   rows[i].name);
		OP(1, is_filled(map, 0, ret), "%s, zeroed", rows[i].name);
		label(map, ret / PAGE);
		OP(0, wrong(map, 0, ret / PAGE), "%s, data", rows[i].name);
		OP(-EINVAL, map_fd(&more, ret + 1, RW, MAP_SHARED, fd, 0),
		   "%s, mmap more", rows[i].name);
		munmap(map, ret);
		OP(1, close_from(self->next), "%s, descriptors", rows[i].name);
	}
}

/* Access mode of the descriptor against that of the map. */
TEST_F(heap, access_modes)
{
	static const char *const names[] = { "RDONLY", "WRONLY", "RDWR", "3" };
	static const struct {
		const char *name;
		int prot;
		long want[4];		/* per mode of the descriptor */
	} maps[] = {
		{ "none", PROT_NONE, { 0, -EACCES, 0, ANY } },
		{ "read", PROT_READ, { 0, -EACCES, 0, ANY } },
		{ "write", PROT_WRITE, { -EACCES, -EACCES, 0, ANY } },
		{ "both", RW, { -EACCES, -EACCES, 0, ANY } },
	};
	static const int upgrades[] = { PROT_READ, PROT_WRITE, PROT_EXEC };
	unsigned char *map;
	int fd, mode, i, n;
	__u64 flags;
	long ret;

	for (mode = 0; mode < 4; mode++) {
		fd = heap_alloc(self->fd, 2 * PAGE, mode | O_CLOEXEC);
		OP(0, fd - self->next, "%s", names[mode]);
		for (i = 0; i < ARRAY_SIZE(maps); i++) {
			ret = map_fd(&map, 2 * PAGE, maps[i].prot, MAP_SHARED,
				     fd, 0);
			OP(maps[i].want[mode], ret, "%s, %s", names[mode],
			   maps[i].name);
			if (ret)
				continue;
			for (n = 0; n < ARRAY_SIZE(upgrades); n++)
				OP(upgrades[n] == PROT_READ ||
				   (upgrades[n] == PROT_WRITE && mode == O_RDWR) ?
				   0 : -EACCES,
				   sys(mprotect(map, PAGE, upgrades[n])),
				   "%s, %s, mprotect %d", names[mode],
				   maps[i].name, upgrades[n]);
			munmap(map, 2 * PAGE);
		}
		for (i = 0; i < ARRAY_SIZE(maps); i++) {
			ret = map_fd(&map, PAGE, maps[i].prot, MAP_PRIVATE, fd,
				     0);
			OP(mode == O_WRONLY ? -EACCES : ANY, ret,
			   "%s, private %s", names[mode], maps[i].name);
			if (!ret)
				munmap(map, PAGE);
		}
		for (flags = 1; flags < 8; flags++)
			OP(flags == 4 ? -EINVAL : 0, sync_flags(fd, flags),
			   "%s, sync %d", names[mode], (int)flags);
		OP(2 * PAGE, sys(lseek(fd, 0, SEEK_END)), "%s, lseek",
		   names[mode]);
		OP(mode == O_RDONLY || mode == O_RDWR ? -EINVAL : -EBADF,
		   sys(read(fd, &flags, 8)), "%s, read", names[mode]);
		OP(mode == O_WRONLY || mode == O_RDWR ? -EINVAL : -EBADF,
		   sys(write(fd, &flags, 8)), "%s, write", names[mode]);
		print_fdinfo(_metadata, fd, names[mode]);
		close(fd);
	}
}

/* No descriptor is left: what was allocated has to go. */
static long without_fds(int next, long (*fn)(void *arg), void *arg)
{
	struct rlimit old, none;
	long ret;

	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = next;
	setrlimit(RLIMIT_NOFILE, &none);
	ret = fn(arg);
	setrlimit(RLIMIT_NOFILE, &old);
	return ret;
}

static long heap_alloc_any(void *arg)
{
	return made(heap_alloc(*(int *)arg, 4 * DIO_MIB, O_RDWR));
}

TEST_F(heap, no_descriptors)
{
	int i;

	for (i = 0; i < 3; i++)
		OP(-EMFILE, without_fds(self->next, heap_alloc_any, &self->fd),
		   "none left");
	OP(4 * DIO_MIB, heap_alloc_any(&self->fd), "some left");
}

/* A private map of a page: one's own copy once it is written to. */
TEST_F(heap, private)
{
	static const size_t sizes[] = { 1, 2, 16, 17, 256, 257, 512 };
	unsigned char *shared, *map;
	int i, fd;
	long ret;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		fd = heap_alloc(self->fd, sizes[i] * PAGE, O_RDWR);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, map_fd(&shared, sizes[i] * PAGE, RW, MAP_SHARED,
				    fd, 0));
		label(shared, sizes[i]);
		ret = map_fd(&map, sizes[i] * PAGE, RW, MAP_PRIVATE, fd, 0);
		/* More pages may not follow each other in memory. */
		OP(sizes[i] == 1 ? 0 : ANY, ret, "%zu pages", sizes[i]);
		if (!ret) {
			OP(0, wrong(map, 0, sizes[i]), "%zu pages, read",
			   sizes[i]);
			OP(9, touch(map + 100, 9), "%zu pages, write", sizes[i]);
			OP(0, touch(shared + 100, -1), "%zu pages, shared",
			   sizes[i]);
			OP(8, touch(shared + 100, 8), "%zu pages, write shared",
			   sizes[i]);
			OP(9, touch(map + 100, -1), "%zu pages, still",
			   sizes[i]);
			OP(0, wrong(map, 0, sizes[i]), "%zu pages, data",
			   sizes[i]);
			munmap(map, sizes[i] * PAGE);
		}
		munmap(shared, sizes[i] * PAGE);
		close(fd);
	}
}

/* Memory that was somebody's secret comes back as zeros. */
TEST_F_TIMEOUT(heap, zeroed, TIMEOUT)
{
	static const size_t sizes[] = {
		PAGE, 2 * PAGE, 64 * DIO_KIB, 68 * DIO_KIB, DIO_MIB,
		DIO_MIB + PAGE, 16 * DIO_MIB,
	};
	int fds[ARRAY_SIZE(sizes)];
	unsigned char *map;
	int i, round;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			fds[i] = heap_alloc(self->fd, sizes[i], O_RDWR);
			ASSERT_LE(0, fds[i]);
			ASSERT_EQ(0, map_fd(&map, sizes[i], RW, MAP_SHARED,
					    fds[i], 0));
			OP(1, is_filled(map, 0, sizes[i]), "round %d, %zu",
			   round, sizes[i]);
			memset(map, 0xa5 + round, sizes[i]);
			munmap(map, sizes[i]);
		}
		for (i = 0; i < ARRAY_SIZE(sizes); i++)
			close(fds[i]);
	}
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* Only a signal that kills may stop it. */
TEST_F(heap, interrupted)
{
	struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { 0 };
	struct sigaction act = { .sa_handler = on_alarm };
	int i;

	ASSERT_EQ(0, sigaction(SIGALRM, &act, NULL));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &often, NULL));
		OP(16 * DIO_MIB,
		   made(heap_alloc(self->fd, 16 * DIO_MIB, O_RDWR)),
		   "alarms, round %d", i);
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &never, NULL));
	}
}

static long mem_free(void)
{
	char line[128];
	long kib = -1;
	FILE *f;

	f = fopen("/proc/meminfo", "r");
	while (f && kib < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "MemFree: %ld", &kib);
	if (f)
		fclose(f);
	return kib * DIO_KIB;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

TEST_F_TIMEOUT(heap, killed, TIMEOUT)
{
	static const struct {
		const char *name;
		size_t len;
	} rows[] = {
		{ "1T", 1UL << 40 },
		{ "1T+4K", (1UL << 40) + PAGE },
		{ "2^62", 1UL << 62 },
		{ "max - 4095", ULONG_MAX - 4095 },
	};
	long before, lost;
	siginfo_t info;
	double start;
	int i, tries;
	pid_t pid;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		before = mem_free();
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			/* Should memory end before the parent looks. */
			dio_write_file("/proc/self/oom_score_adj", "1000");
			_exit(-heap_alloc(self->fd, rows[i].len, O_RDWR));
		}
		/* Well on its way, unless it has given up. */
		info.si_pid = 0;
		for (tries = 0; tries < 5000; tries++) {
			if (before - mem_free() > (long)(32 * DIO_MIB))
				break;
			if (!waitid(P_PID, pid, &info,
				    WEXITED | WNOHANG | WNOWAIT) && info.si_pid)
				break;
			usleep(1000);
		}
		start = now();
		kill(pid, SIGKILL);
		OP(KILLED(SIGKILL), wait_for(pid), "%s", rows[i].name);
		EXPECT_GT(3, now() - start);

		for (tries = 0; tries < 300; tries++) {
			lost = before - mem_free();
			if (lost < (long)(16 * DIO_MIB))
				break;
			usleep(10000);
		}
		EXPECT_GT((long)(16 * DIO_MIB), lost)
			TH_LOG("%ld bytes did not come back", lost);
	}
}

/* ---- memory cgroup ---- */

struct cgroup {
	char root[PATH_MAX];
	char dir[PATH_MAX + 32];
	int heap;
	size_t len;
	const char *score;
};

#define CGROUP_MAX	(32 * DIO_MIB)

static int cgroup_write(const struct cgroup *c, const char *file,
			const char *text)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", c->dir, file);
	return dio_write_file(path, "%s", text);
}

static long cgroup_current(const struct cgroup *c)
{
	char path[PATH_MAX + 64];
	long bytes = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/memory.current", c->dir);
	f = fopen(path, "r");
	if (f && fscanf(f, "%ld", &bytes) != 1)
		bytes = -1;
	if (f)
		fclose(f);
	return bytes;
}

static int cgroup_make(struct cgroup *c)
{
	char line[PATH_MAX + 256], type[64], accounting = 0;
	FILE *f;
	int ret;

	f = fopen("/sys/module/dma_heap/parameters/mem_accounting", "r");
	if (f) {
		accounting = fgetc(f);
		fclose(f);
	}
	if (accounting != 'Y')
		return dio_skip("not booted with dma_heap.mem_accounting=1");

	*c->root = 0;
	f = fopen("/proc/mounts", "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %4095s %63s", c->root, type) == 2 &&
		    !strcmp(type, "cgroup2"))
			break;
		*c->root = 0;
	}
	if (f)
		fclose(f);
	if (!*c->root)
		return dio_skip("no cgroup2");

	snprintf(c->dir, sizeof(c->dir), "%s", c->root);
	if (cgroup_write(c, "cgroup.subtree_control", "+memory"))
		return dio_skip("no memory controller in %s", c->root);
	snprintf(c->dir, sizeof(c->dir), "%s/dmabuf-dio-ops", c->root);
	if (mkdir(c->dir, 0700) && errno != EEXIST)
		return -errno;
	snprintf(line, sizeof(line), "%lu", CGROUP_MAX);
	ret = cgroup_write(c, "memory.max", line);
	return ret;
}

static long cgroup_join(const struct cgroup *c)
{
	return dio_write_file("/proc/self/oom_score_adj", "%s", c->score) ?:
	       cgroup_write(c, "cgroup.procs", "0");
}

static long cgroup_alloc(void *arg)
{
	struct cgroup *c = arg;

	return cgroup_join(c) ?: made(heap_alloc(c->heap, c->len, O_RDWR));
}

/* How much is charged while a buffer of 16 MiB exists, in MiB. */
static long cgroup_charge(void *arg)
{
	struct cgroup *c = arg;
	long ret = cgroup_join(c), before = cgroup_current(c);

	if (!ret && heap_alloc(c->heap, 16 * DIO_MIB, O_RDWR) < 0)
		ret = -ENOMEM;
	return ret ?: (cgroup_current(c) - before + DIO_MIB / 2) / DIO_MIB;
}

/* Until it is refused, then one less than that. */
static long cgroup_fill(void *arg)
{
	struct cgroup *c = arg;
	long ret = cgroup_join(c);
	int fd, last = -1;
	size_t sum = 0;

	while (!ret && sum <= 2 * CGROUP_MAX) {
		fd = heap_alloc(c->heap, DIO_MIB, O_RDWR);
		if (fd < 0) {
			ret = fd;
			break;
		}
		sum += DIO_MIB;
		last = fd;
	}
	if (ret != -ENOMEM || sum < CGROUP_MAX / 2 || sum > CGROUP_MAX)
		return ret ?: -ERANGE;
	close(last);
	return made(heap_alloc(c->heap, DIO_MIB / 2, O_RDWR));
}

TEST_F_TIMEOUT(heap, cgroup, TIMEOUT)
{
	static const struct {
		const char *name;
		size_t len;
	} rows[] = {
		{ "16M", 16 * DIO_MIB },
		{ "33M", 33 * DIO_MIB },
		{ "64M+4K", 64 * DIO_MIB + PAGE },
		{ "1T", 1UL << 40 },
		{ "max - 4095", ULONG_MAX - 4095 },
	};
	struct cgroup c = { .heap = self->fd };
	bool fits;
	int i;

	if (!dio_ready(_metadata, cgroup_make(&c)))
		return;

	/* Who must not be killed is refused; anybody else is killed. */
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		c.len = rows[i].len;
		fits = c.len < CGROUP_MAX;
		c.score = "-1000";
		OP(fits ? (long)c.len : -ENOMEM, in_child(cgroup_alloc, &c),
		   "%s", rows[i].name);
		EXPECT_GT(4 * DIO_MIB, cgroup_current(&c));
		c.score = "0";
		OP(fits ? (long)c.len : KILLED(SIGKILL),
		   in_child(cgroup_alloc, &c), "%s, may be killed",
		   rows[i].name);
		EXPECT_GT(4 * DIO_MIB, cgroup_current(&c));
	}
	c.score = "-1000";
	OP(16, in_child(cgroup_charge, &c), "charged");
	OP(DIO_MIB / 2, in_child(cgroup_fill, &c), "room again");
	EXPECT_GT(4 * DIO_MIB, cgroup_current(&c));
	rmdir(c.dir);
}

/* ---- udmabuf ---- */

#define MEMFD_PAGES	16UL
#define MEMFD_SIZE	(MEMFD_PAGES * PAGE)

FIXTURE(udmabuf)
{
	int dev;
	int memfd;		/* of MEMFD_SIZE, sealed as it has to be */
	int next;
	long list_limit, size_limit;
	long hugepages;
};

static long read_number(const char *path)
{
	long value = -1;
	FILE *f;

	f = fopen(path, "r");
	if (f && fscanf(f, "%ld", &value) != 1)
		value = -1;
	if (f)
		fclose(f);
	return value;
}

static int new_memfd(size_t size, unsigned int flags, int seals)
{
	int fd = memfd_create("exporter_ops",
			      MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

	if (fd < 0 || ftruncate(fd, size) ||
	    (seals && fcntl(fd, F_ADD_SEALS, seals)))
		return -errno;
	return fd;
}

/* Page i says so. */
static int label_memfd(int memfd, size_t pages)
{
	unsigned char *map;

	if (map_fd(&map, pages * PAGE, RW, MAP_SHARED, memfd, 0))
		return -errno;
	label(map, pages);
	return sys(munmap(map, pages * PAGE));
}

FIXTURE_SETUP(udmabuf)
{
	exporter = "udmabuf ";
	only_standard_fds();
	self->dev = open(UDMABUF, O_RDWR | O_CLOEXEC);
	if (self->dev < 0 && errno == ENOENT)
		SKIP(return, "no " UDMABUF);
	ASSERT_LE(0, self->dev);
	self->memfd = new_memfd(MEMFD_SIZE, 0, F_SEAL_SHRINK);
	ASSERT_LE(0, self->memfd);
	ASSERT_EQ(0, label_memfd(self->memfd, MEMFD_PAGES));
	self->list_limit = read_number(PARAMETERS "list_limit");
	self->size_limit = read_number(PARAMETERS "size_limit_mb");
	self->hugepages = -1;
	self->next = next_fd();
}

/* Nobody may write to a memfd that is still pinned. */
FIXTURE_TEARDOWN(udmabuf)
{
	dio_write_file(PARAMETERS "list_limit", "%ld", self->list_limit);
	dio_write_file(PARAMETERS "size_limit_mb", "%ld", self->size_limit);
	if (self->hugepages >= 0)
		dio_write_file(NR_HUGEPAGES, "%ld", self->hugepages);
	EXPECT_EQ(self->next, next_fd());
	if (self->memfd >= 0)
		EXPECT_EQ(0, sys(fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE)))
			TH_LOG("pages of the memfd are still pinned");
	close(self->memfd);
	close(self->dev);
}

/* A descriptor, or -errno. */
static int create(int dev, int memfd, __u64 offset, __u64 size)
{
	struct udmabuf_create arg = {
		.memfd = memfd,
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.offset = offset,
		.size = size,
	};

	return sys(ioctl(dev, UDMABUF_CREATE, &arg));
}

/* A list that needs no allocation. */
struct short_list {
	__u32 flags;
	__u32 count;
	struct udmabuf_create_item items[2];
};

static int create_list(int dev, const struct udmabuf_create_item *items,
		       unsigned int count)
{
	struct udmabuf_create_list *list;
	int fd;

	list = malloc(sizeof(*list) + count * sizeof(*items));
	if (!list)
		return -ENOMEM;
	list->flags = UDMABUF_FLAGS_CLOEXEC;
	list->count = count;
	memcpy(list->list, items, count * sizeof(*items));
	fd = sys(ioctl(dev, UDMABUF_CREATE_LIST, list));
	free(list);
	return fd;
}

TEST_F(udmabuf, node)
{
	node_calls(_metadata, UDMABUF, -ESPIPE);
}

TEST_F(udmabuf, open_modes)
{
	static const struct node_op modes[] = {
		{ "O_RDONLY", O_RDONLY, MEMFD_SIZE },
		{ "O_WRONLY", O_WRONLY, MEMFD_SIZE },
		{ "O_RDWR", O_RDWR, MEMFD_SIZE },
		{ "O_ACCMODE", O_ACCMODE, MEMFD_SIZE },
		{ "O_PATH", O_PATH, -EBADF },
	};
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		fd = open(UDMABUF, modes[i].flags | O_CLOEXEC);
		OP(modes[i].want, made(create(fd, self->memfd, 0, MEMFD_SIZE)),
		   "%s", modes[i].name);
		close(fd);
	}
}

TEST_F(udmabuf, numbers)
{
	static const struct {
		const char *name;
		unsigned int number;
	} rows[] = {
		{ "0", 0 },
		{ "~0", ~0U },
		{ "create, number", _IOW('u', 0x41, struct udmabuf_create) },
		{ "list, number", _IOW('u', 0x44, struct udmabuf_create_list) },
		{ "create, no size", _IO('u', 0x42) },
		{ "create, size 8", _IOW('u', 0x42, __u64) },
		{ "create, size 20", _IOC(_IOC_WRITE, 'u', 0x42, 20) },
		{ "create, size 23", _IOC(_IOC_WRITE, 'u', 0x42, 23) },
		{ "create, size 32", _IOC(_IOC_WRITE, 'u', 0x42, 32) },
		{ "create, read", _IOR('u', 0x42, struct udmabuf_create) },
		{ "create, both", _IOWR('u', 0x42, struct udmabuf_create) },
		{ "create, type", _IOW('v', 0x42, struct udmabuf_create) },
		{ "list, no size", _IO('u', 0x43) },
		{ "list, size 4", _IOW('u', 0x43, __u32) },
		{ "list, size 32", _IOC(_IOC_WRITE, 'u', 0x43, 32) },
		{ "list, both", _IOWR('u', 0x43, struct udmabuf_create_list) },
		{ "heap's", DMA_HEAP_IOCTL_ALLOC },
		{ "a buffer's", DMA_BUF_IOCTL_SYNC },
		{ "FIONREAD", FIONREAD },
	};
	struct udmabuf_create arg = {
		.memfd = self->memfd,
		.size = MEMFD_SIZE,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		OP(-ENOTTY, sys(ioctl(self->dev, rows[i].number, &arg)), "%s",
		   rows[i].name);
		OP(0, close_from(self->next), "%s, descriptors", rows[i].name);
	}
}

TEST_F(udmabuf, ranges)
{
	static const struct {
		const char *name;
		__u64 offset, size;
		long want;
	} rows[] = {
		{ "whole", 0, MEMFD_SIZE, MEMFD_SIZE },
		{ "first page", 0, PAGE, PAGE },
		{ "last page", MEMFD_SIZE - PAGE, PAGE, PAGE },
		{ "middle", 5 * PAGE, 3 * PAGE, 3 * PAGE },
		{ "nothing", 0, 0, -EINVAL },
		{ "nothing at the end", MEMFD_SIZE, 0, -EINVAL },
		{ "size 1", 0, 1, -EINVAL },
		{ "size 4095", 0, 4095, -EINVAL },
		{ "size 4097", 0, 4097, -EINVAL },
		{ "size odd beyond", 0, MEMFD_SIZE + 1, -EINVAL },
		{ "offset 1", 1, PAGE, -EINVAL },
		{ "offset 2048", 2048, PAGE, -EINVAL },
		{ "offset 4095", 4095, PAGE, -EINVAL },
		{ "both odd", 2048, 2048, -EINVAL },
		{ "a page beyond", 0, MEMFD_SIZE + PAGE, -EINVAL },
		{ "a page beyond, offset", PAGE, MEMFD_SIZE, -EINVAL },
		{ "last page and one", MEMFD_SIZE - PAGE, 2 * PAGE, -EINVAL },
		{ "at the end", MEMFD_SIZE, PAGE, -EINVAL },
		{ "behind the end", MEMFD_SIZE + PAGE, PAGE, -EINVAL },
		{ "offset 1T", 1ULL << 40, PAGE, -EINVAL },
		{ "offset 2^62", 1ULL << 62, PAGE, -EINVAL },
		{ "offset 2^63", 1ULL << 63, PAGE, -EINVAL },
		{ "offset max", -PAGE, PAGE, -EINVAL },
		{ "wraps to 0", -PAGE, PAGE, -EINVAL },
		{ "wraps to a page", -PAGE, 2 * PAGE, -EINVAL },
		{ "wraps to the size", -PAGE, MEMFD_SIZE + PAGE, -EINVAL },
		{ "half and half", 1ULL << 63, 1ULL << 63, -EINVAL },
		{ "signed wrap", (1ULL << 63) - PAGE, 2 * PAGE, -EINVAL },
		{ "size 256M", 0, 256 * DIO_MIB, -EINVAL },
		{ "size 2^51", 0, 1ULL << 51, -EINVAL },
		{ "size 2^63", 0, 1ULL << 63, -EINVAL },
		{ "size max", 0, -PAGE, -EINVAL },
		{ "size -1", 0, -1, -EINVAL },
		{ "everything -1", -1, -1, -EINVAL },
	};
	struct udmabuf_create_item item = { .memfd = self->memfd };
	unsigned char *map;
	int i, fd;
	long ret;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		fd = create(self->dev, self->memfd, rows[i].offset,
			    rows[i].size);
		ret = fd < 0 ? fd : sys(lseek(fd, 0, SEEK_END));
		OP(rows[i].want, ret, "%s", rows[i].name);
		if (ret > 0) {
			OP(0, map_fd(&map, ret, RW, MAP_SHARED, fd, 0),
			   "%s, mmap", rows[i].name);
			OP(0, wrong(map, rows[i].offset / PAGE, ret / PAGE),
			   "%s, data", rows[i].name);
			munmap(map, ret);
		}
		OP(ret > 0, close_from(self->next), "%s, descriptors",
		   rows[i].name);
		item.offset = rows[i].offset;
		item.size = rows[i].size;
		OP(rows[i].want, made(create_list(self->dev, &item, 1)),
		   "%s, list", rows[i].name);
	}
}

TEST_F(udmabuf, flags)
{
	static const __u32 flags[] = {
		0, 1, 2, 3, 0x80, O_CLOEXEC, 1U << 31, ~0U, ~1U,
	};
	struct short_list list = {
		.count = 1,
		.items[0] = { .memfd = self->memfd, .size = MEMFD_SIZE },
	};
	struct udmabuf_create arg = {
		.memfd = self->memfd,
		.size = MEMFD_SIZE,
	};
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		arg.flags = flags[i];
		fd = sys(ioctl(self->dev, UDMABUF_CREATE, &arg));
		OP(flags[i] < 2 ? 0 : ANY, fd < 0 ? fd : 0, "%#x", flags[i]);
		if (fd >= 0)
			OP(flags[i] & 1 ? FD_CLOEXEC : 0,
			   sys(fcntl(fd, F_GETFD)), "%#x, F_GETFD", flags[i]);
		close(fd);
		list.flags = flags[i];
		list.items[0].__pad = flags[i];
		fd = sys(ioctl(self->dev, UDMABUF_CREATE_LIST, &list));
		OP(flags[i] < 2 ? 0 : ANY, fd < 0 ? fd : 0, "%#x, list",
		   flags[i]);
		if (fd >= 0)
			OP(flags[i] & 1 ? FD_CLOEXEC : 0,
			   sys(fcntl(fd, F_GETFD)), "%#x, list, F_GETFD",
			   flags[i]);
		close(fd);
	}
}

TEST_F(udmabuf, seals)
{
	static const struct {
		const char *name;
		int seals;
		long want;
	} rows[] = {
		{ "none", 0, -EINVAL },
		{ "SHRINK", F_SEAL_SHRINK, PAGE },
		{ "GROW", F_SEAL_GROW, -EINVAL },
		{ "SHRINK GROW", F_SEAL_SHRINK | F_SEAL_GROW, PAGE },
		{ "WRITE", F_SEAL_WRITE, -EINVAL },
		{ "SHRINK WRITE", F_SEAL_SHRINK | F_SEAL_WRITE, -EINVAL },
		{ "FUTURE_WRITE", F_SEAL_FUTURE_WRITE, -EINVAL },
		{ "SHRINK FUTURE_WRITE", F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE,
			-EINVAL },
		{ "SHRINK GROW WRITE",
			F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, -EINVAL },
		{ "SEAL", F_SEAL_SEAL, -EINVAL },
		{ "SHRINK SEAL", F_SEAL_SHRINK | F_SEAL_SEAL, PAGE },
		{ "EXEC", F_SEAL_EXEC, -EINVAL },
		/* Implies all but SEAL and FUTURE_WRITE. */
		{ "SHRINK EXEC", F_SEAL_SHRINK | F_SEAL_EXEC, ANY },
	};
	static const unsigned int kinds[] = { 0, MFD_NOEXEC_SEAL, MFD_EXEC };
	int i, k, fd;

	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (i = 0; i < ARRAY_SIZE(rows); i++) {
			fd = new_memfd(PAGE, kinds[k], rows[i].seals);
			OP(kinds[k] == MFD_NOEXEC_SEAL ? ANY : rows[i].want,
			   fd < 0 ? fd : made(create(self->dev, fd, 0, PAGE)),
			   "kind %d, %s", k, rows[i].name);
			close(fd);
		}
	}
	fd = memfd_create("unsealable", MFD_CLOEXEC);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	OP(-EINVAL, made(create(self->dev, fd, 0, PAGE)), "not sealable");
	close(fd);
}

/* Each opens something that is no memfd. */
static int file_of(const char *name, int memfd)
{
	char path[64];
	int fds[2], fd;

	if (!strcmp(name, "program"))
		return open("/proc/self/exe", O_RDONLY);
	if (!strcmp(name, "directory"))
		return open("/", O_RDONLY | O_DIRECTORY);
	if (!strcmp(name, "null"))
		return open("/dev/null", O_RDWR);
	if (!strcmp(name, "zero"))
		return open("/dev/zero", O_RDWR);
	if (!strcmp(name, "proc"))
		return open("/proc/self/maps", O_RDONLY);
	if (!strcmp(name, "udmabuf"))
		return open(UDMABUF, O_RDWR);
	if (!strcmp(name, "heap"))
		return open(HEAP, O_RDWR);
	if (!strcmp(name, "epoll"))
		return epoll_create1(0);
	if (!strcmp(name, "secret"))
		return syscall(SYS_memfd_secret, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	if (!strcmp(name, "memfd O_PATH"))
		return open(path, O_PATH);
	if (!strcmp(name, "memfd O_RDONLY"))
		return open(path, O_RDONLY);
	if (!strcmp(name, "memfd O_WRONLY"))
		return open(path, O_WRONLY);
	if (!strcmp(name, "dma-buf")) {
		fd = open(UDMABUF, O_RDWR);
		memfd = create(fd, memfd, 0, PAGE);
		close(fd);
		return memfd;
	}
	if (!strcmp(name, "pipe") ? pipe(fds) :
	    socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return -1;
	close(fds[1]);
	return fds[0];
}

TEST_F(udmabuf, files)
{
	static const struct {
		const char *name;
		long want;
	} rows[] = {
		{ "program", -EBADFD }, { "directory", -EBADFD },
		{ "null", -EBADFD }, { "zero", -EBADFD },
		{ "proc", -EBADFD }, { "udmabuf", -EBADFD },
		{ "heap", -EBADFD }, { "epoll", -EBADFD },
		{ "secret", -EBADFD }, { "dma-buf", -EBADFD },
		{ "pipe", -EBADFD }, { "socket", -EBADFD },
		{ "memfd O_PATH", -EBADFD },
		/* Whether a file open for reading may be written to. */
		{ "memfd O_RDONLY", ANY },
		{ "memfd O_WRONLY", ANY },
	};
	static const int numbers[] = { -1, -100, 1000, INT_MAX, INT_MIN };
	struct udmabuf_create_item items[3] = {
		{ .memfd = self->memfd, .size = PAGE },
		{ .size = PAGE },
		{ .memfd = self->memfd, .size = PAGE },
	};
	int i, fd;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		fd = file_of(rows[i].name, self->memfd);
		if (fd < 0) {
			OP(ANY, -errno, "%s cannot be opened", rows[i].name);
			continue;
		}
		OP(rows[i].want, made(create(self->dev, fd, 0, PAGE)), "%s",
		   rows[i].name);
		items[1].memfd = fd;
		OP(rows[i].want, made(create_list(self->dev, items, 3)),
		   "%s in a list", rows[i].name);
		close(fd);
	}
	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		OP(-EBADFD, made(create(self->dev, numbers[i], 0, PAGE)),
		   "descriptor %d", numbers[i]);
		items[1].memfd = numbers[i];
		OP(-EBADFD, made(create_list(self->dev, items, 3)),
		   "descriptor %d in a list", numbers[i]);
	}
	OP(-EBADFD, made(create(self->dev, self->next, 0, PAGE)),
	   "closed descriptor");
	/* Which of two mistakes is found first. */
	OP(-EINVAL, made(create(self->dev, -1, 1, PAGE)), "-1, odd");
	OP(-EINVAL, made(create(self->dev, -1, 0, 0)), "-1, nothing");
	OP(-EBADFD, made(create(self->dev, -1, 0, 2 * MEMFD_SIZE)),
	   "-1, too much");
}

TEST_F(udmabuf, pointers)
{
	struct short_list list = {
		.count = 2,
		.items = {
			{ .memfd = self->memfd, .size = PAGE },
			{ .memfd = self->memfd, .size = PAGE },
		},
	};
	struct udmabuf_create one = { .memfd = self->memfd, .size = PAGE };
	unsigned char *page = last_page(), *end = page + PAGE;
	static const unsigned int numbers[] = {
		UDMABUF_CREATE, UDMABUF_CREATE_LIST,
	};
	int i, fd;

	for (i = 0; i < 2; i++) {
		OP(-EFAULT, sys(ioctl(self->dev, numbers[i], NULL)),
		   "%d NULL", i);
		OP(-EFAULT, sys(ioctl(self->dev, numbers[i], -1L)), "%d -1", i);
		OP(-EFAULT, sys(ioctl(self->dev, numbers[i], end)),
		   "%d unmapped", i);
		OP(-EFAULT, sys(ioctl(self->dev, numbers[i], KERNEL_ADDRESS)),
		   "%d kernel address", i);
		OP(-EFAULT, sys(ioctl(self->dev, numbers[i], end - 7)),
		   "%d 7 bytes", i);
	}
	memcpy(end - 23, &one, 23);
	OP(-EFAULT, sys(ioctl(self->dev, UDMABUF_CREATE, end - 23)),
	   "but a byte");
	memcpy(end - 24, &one, 24);
	OP(PAGE, made(sys(ioctl(self->dev, UDMABUF_CREATE, end - 24))),
	   "at the end");
	memcpy(page + 3, &one, sizeof(one));
	OP(PAGE, made(sys(ioctl(self->dev, UDMABUF_CREATE, page + 3))),
	   "unaligned");

	memcpy(end - 8, &list, 8);
	OP(-EFAULT, sys(ioctl(self->dev, UDMABUF_CREATE_LIST, end - 8)),
	   "list, head alone");
	memcpy(end - 32, &list, 32);
	OP(-EFAULT, sys(ioctl(self->dev, UDMABUF_CREATE_LIST, end - 32)),
	   "list, one of two");
	memcpy(end - 55, &list, 55);
	OP(-EFAULT, sys(ioctl(self->dev, UDMABUF_CREATE_LIST, end - 55)),
	   "list, but a byte");
	memcpy(end - 56, &list, 56);
	OP(2 * PAGE, made(sys(ioctl(self->dev, UDMABUF_CREATE_LIST, end - 56))),
	   "list, at the end");
	memcpy(page + 3, &list, sizeof(list));
	OP(2 * PAGE, made(sys(ioctl(self->dev, UDMABUF_CREATE_LIST, page + 3))),
	   "list, unaligned");
	list.count = 0;
	memcpy(end - 8, &list, 8);
	OP(-EINVAL, sys(ioctl(self->dev, UDMABUF_CREATE_LIST, end - 8)),
	   "list, count 0");
	list.count = self->list_limit + 1;
	memcpy(end - 8, &list, 8);
	OP(-EINVAL, sys(ioctl(self->dev, UDMABUF_CREATE_LIST, end - 8)),
	   "list, too many");
	list.count = ~0U;
	memcpy(end - 8, &list, 8);
	OP(-EINVAL, sys(ioctl(self->dev, UDMABUF_CREATE_LIST, end - 8)),
	   "list, count -1");

	/* Nothing is written back. */
	memcpy(page, &one, sizeof(one));
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_READ));
	fd = sys(ioctl(self->dev, UDMABUF_CREATE, page));
	OP(PAGE, made(fd), "read only");
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_NONE));
	OP(-EFAULT, sys(ioctl(self->dev, UDMABUF_CREATE, page)), "no access");
	OP(0, close_from(self->next), "descriptors");
}

static long create_any(void *arg)
{
	FIXTURE_DATA(udmabuf) const *self = arg;

	return made(create(self->dev, self->memfd, 0, MEMFD_SIZE));
}

/* The fixture looks whether pages stay pinned. */
TEST_F(udmabuf, no_descriptors)
{
	int i;

	for (i = 0; i < 3; i++)
		OP(-EMFILE, without_fds(self->next, create_any, self),
		   "none left");
	OP(MEMFD_SIZE, create_any(self), "some left");
}

/* Tables that nobody would want; a kernel may say so in its log. */
TEST_F(udmabuf, too_large)
{
	int memfd;

	if (!getenv("DIO_MAY_WARN"))
		SKIP(return, "DIO_MAY_WARN is not set");
	memfd = new_memfd(1UL << 41, 0, F_SEAL_SHRINK);
	ASSERT_LE(0, memfd);
	OP(-ENOMEM, made(create(self->dev, memfd, 0, 1UL << 40)), "1T");
	OP(-ENOMEM, made(create(self->dev, memfd, 1UL << 40, 1UL << 40)),
	   "1T, second half");
	OP(-EINVAL, made(create(self->dev, memfd, 0, 1UL << 51)), "2^51");
	OP(0, sys(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE)), "seal");
	close(memfd);
}

/* ---- what a list can be made of ---- */

struct shape_item {
	int which;		/* of the two memfds */
	long page, count;
};

struct shape {
	const char *name;
	int count;
	struct shape_item items[8];
	long want;		/* pages of the buffer, or -errno */
};

/* Pages of the second memfd start at this number. */
#define SECOND	1000

static void label_from(unsigned char *map, size_t first, size_t pages)
{
	unsigned char *image = malloc((first + pages) * PAGE);

	label(image, first + pages);
	memcpy(map, image + first * PAGE, pages * PAGE);
	free(image);
}

/* Build, look at each page, write to each, and look at the memfds. */
static void try_shape(struct __test_metadata *_metadata, int dev,
		      const int *memfds, const char *name,
		      const struct udmabuf_create_item *items, int count,
		      long want)
{
	unsigned char *map, *behind;
	long size, bad = 0, at = 0, i, n;
	struct stat st;
	int fd;

	fd = create_list(dev, items, count);
	size = fd < 0 ? fd : sys(lseek(fd, 0, SEEK_END));
	OP(want < 0 ? want : want * (long)PAGE, size, "%s", name);
	if (size <= 0)
		return;

	OP(0, map_fd(&map, size, RW, MAP_SHARED, fd, 0), "%s, mmap", name);
	for (i = 0; i < count; i++)
		for (n = 0; n < items[i].size / PAGE; n++)
			bad += !is_page(map + at++ * PAGE,
					(items[i].memfd == memfds[1] ? SECOND : 0) +
					items[i].offset / PAGE + n);
	OP(0, bad, "%s, data", name);

	/* Whatever order they were in, each is where it was. */
	for (i = 0; i < at; i++)
		map[i * PAGE + 500] = 1 + i % 250;
	at = 0;
	for (i = 0; i < count; i++) {
		/* Not any part of a huge page can be mapped. */
		ASSERT_EQ(0, fstat(items[i].memfd, &st));
		ASSERT_EQ(0, map_fd(&behind, st.st_size, RW, MAP_SHARED,
				    items[i].memfd, 0));
		for (n = 0; n < items[i].size / PAGE; n++, at++)
			bad += behind[items[i].offset + n * PAGE + 500] !=
			       map[at * PAGE + 500];
		munmap(behind, st.st_size);
	}
	OP(0, bad, "%s, written", name);
	OP(-EINVAL, sync_flags(fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW),
	   "%s, END", name);
	OP(0, sync_flags(fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW),
	   "%s, START", name);
	OP(0, sync_flags(fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW),
	   "%s, END again", name);
	munmap(map, size);
	close(fd);
}

static int items_of(struct udmabuf_create_item *items, const int *memfds,
		    const struct shape *shape)
{
	int i;

	for (i = 0; i < shape->count; i++)
		items[i] = (struct udmabuf_create_item){
			.memfd = memfds[shape->items[i].which],
			.offset = shape->items[i].page * PAGE,
			.size = shape->items[i].count * PAGE,
		};
	return shape->count;
}

static void try_shapes(struct __test_metadata *_metadata, int dev,
		       const int *memfds, const struct shape *shapes, int n)
{
	struct udmabuf_create_item items[8];

	for (; n--; shapes++)
		try_shape(_metadata, dev, memfds, shapes->name, items,
			  items_of(items, memfds, shapes), shapes->want);
}

TEST_F_TIMEOUT(udmabuf, lists, TIMEOUT)
{
	static const struct shape shapes[] = {
		{ "whole", 1, { { 0, 0, 16 } }, 16 },
		{ "halves", 2, { { 0, 0, 8 }, { 0, 8, 8 } }, 16 },
		{ "halves swapped", 2, { { 0, 8, 8 }, { 0, 0, 8 } }, 16 },
		{ "overlapping", 2, { { 0, 0, 10 }, { 0, 6, 10 } }, 20 },
		{ "overlapping back", 2, { { 0, 6, 10 }, { 0, 0, 10 } }, 20 },
		{ "one in another", 3,
			{ { 0, 0, 16 }, { 0, 5, 2 }, { 0, 5, 1 } }, 19 },
		{ "a page thrice", 3,
			{ { 0, 7, 1 }, { 0, 7, 1 }, { 0, 7, 1 } }, 3 },
		{ "the whole thrice", 3,
			{ { 0, 0, 16 }, { 0, 0, 16 }, { 0, 0, 16 } }, 48 },
		{ "two memfds", 2, { { 0, 0, 16 }, { 1, 0, 16 } }, 32 },
		{ "alternating", 6,
			{ { 0, 3, 1 }, { 1, 3, 1 }, { 0, 4, 1 }, { 1, 4, 1 },
			  { 0, 3, 2 }, { 1, 0, 5 } }, 11 },
		{ "with a hole", 2, { { 0, 0, 3 }, { 0, 10, 3 } }, 6 },
		{ "nothing", 0, { { 0, 0, 0 } }, -EINVAL },
		{ "nothing in it", 1, { { 0, 0, 0 } }, -EINVAL },
		{ "nothing twice", 2, { { 0, 0, 0 }, { 1, 0, 0 } }, -EINVAL },
		{ "nothing first", 2, { { 0, 0, 0 }, { 0, 0, 1 } }, -EINVAL },
		{ "nothing last", 2, { { 0, 0, 1 }, { 0, 5, 0 } }, -EINVAL },
		{ "nothing between", 3,
			{ { 0, 0, 1 }, { 0, 5, 0 }, { 0, 2, 1 } }, -EINVAL },
		{ "beyond, first", 2, { { 0, 16, 1 }, { 0, 0, 1 } }, -EINVAL },
		{ "beyond, last", 2, { { 0, 0, 1 }, { 0, 15, 2 } }, -EINVAL },
		{ "beyond, second memfd", 2, { { 0, 0, 16 }, { 1, 15, 2 } },
			-EINVAL },
		{ "sizes that wrap", 2,
			{ { 0, 0, 1L << 51 }, { 0, 0, 1L << 51 } }, -EINVAL },
		{ "sizes that wrap, rest", 3,
			{ { 0, 0, 1L << 51 }, { 0, 0, 1L << 51 }, { 0, 0, 1 } },
			-EINVAL },
		{ "offset that wraps", 2, { { 0, 0, 1 }, { 0, -1, 2 } },
			-EINVAL },
	};
	struct udmabuf_create_item items[64];
	int memfds[2], i;
	unsigned char *map;

	memfds[0] = self->memfd;
	memfds[1] = new_memfd(MEMFD_SIZE, 0, F_SEAL_SHRINK);
	ASSERT_LE(0, memfds[1]);
	ASSERT_EQ(0, map_fd(&map, MEMFD_SIZE, RW, MAP_SHARED, memfds[1], 0));
	label_from(map, SECOND, MEMFD_PAGES);
	munmap(map, MEMFD_SIZE);

	try_shapes(_metadata, self->dev, memfds, shapes, ARRAY_SIZE(shapes));

	for (i = 0; i < 64; i++)
		items[i] = (struct udmabuf_create_item){
			.memfd = memfds[i & 1],
			.offset = (63 - i) / 4 * PAGE,
			.size = PAGE,
		};
	try_shape(_metadata, self->dev, memfds, "backwards, mixed", items, 64,
		  64);
	items[63].offset++;
	try_shape(_metadata, self->dev, memfds, "last offset odd", items, 64,
		  -EINVAL);
	items[63].offset = 0;
	items[63].size--;
	try_shape(_metadata, self->dev, memfds, "last size odd", items, 64,
		  -EINVAL);
	items[63].size = PAGE;
	items[63].memfd = -1;
	try_shape(_metadata, self->dev, memfds, "last memfd bad", items, 64,
		  -EBADFD);
	/* Refused, so nothing may still be pinned. */
	OP(0, sys(fcntl(memfds[1], F_ADD_SEALS, F_SEAL_WRITE)),
	   "seal second memfd");
	items[63].memfd = memfds[1];
	try_shape(_metadata, self->dev, memfds, "a memfd sealed", items, 64,
		  -EINVAL);
	close(memfds[1]);
}

static long set_parameter(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	return dio_write_file(path, "%s", value);
}

static const char *get_parameter(const char *name)
{
	static char text[64];
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	f = fopen(path, "r");
	if (!f || !fgets(text, sizeof(text), f))
		*text = 0;
	if (f)
		fclose(f);
	text[strcspn(text, "\n")] = 0;
	return text;
}

TEST_F_TIMEOUT(udmabuf, limits, TIMEOUT)
{
	static const char *const names[] = { "list_limit", "size_limit_mb" };
	static const char *const values[] = {
		"7", "0", " 8\n", "9\n", "0x10", "010", "+5", "-1", "-5",
		"2147483647", "2147483648", "4294967296", "x", "5x", "", "\n",
		"1 2", "1.5",
	};
	struct udmabuf_create_item *items;
	struct stat st;
	char path[128];
	long limit = 1024;
	int fd, i, n;

	if (self->list_limit < 0)
		SKIP(return, "no " PARAMETERS);
	for (n = 0; n < 2; n++) {
		snprintf(path, sizeof(path), PARAMETERS "%s", names[n]);
		ASSERT_EQ(0, stat(path, &st));
		OP(ANY, st.st_mode, "%s st_mode", names[n]);
		SAY(NULL, get_parameter(names[n]), "%s", names[n]);
	}
	for (n = 0; n < 2; n++) {
		for (i = 0; i < ARRAY_SIZE(values); i++) {
			set_parameter(names[n], "3");
			fd = set_parameter(names[n], values[i]);
			OP(ANY, fd, "%s = value %d", names[n], i);
			SAY(NULL, get_parameter(names[n]), "%s, value %d",
			    names[n], i);
		}
	}
	set_parameter(names[0], "1024");
	set_parameter(names[1], "2147483647");

	items = calloc(limit + 2, sizeof(*items));
	ASSERT_NE(NULL, items);
	for (i = 0; i < limit + 2; i++) {
		items[i].memfd = self->memfd;
		items[i].offset = i % MEMFD_PAGES * PAGE;
		items[i].size = PAGE;
	}
#define LIST(count)	made(create_list(self->dev, items, count))
	OP(limit * PAGE, LIST(limit), "limit");
	OP(-EINVAL, LIST(limit + 1), "limit + 1");

	OP(0, set_parameter("list_limit", "4"), "list_limit 4");
	OP(3 * PAGE, LIST(3), "list_limit 4, 3");
	OP(4 * PAGE, LIST(4), "list_limit 4, 4");
	OP(-EINVAL, LIST(5), "list_limit 4, 5");
	OP(-EINVAL, LIST(limit), "list_limit 4, all");
	OP(0, set_parameter("list_limit", "1"), "list_limit 1");
	OP(PAGE, LIST(1), "list_limit 1, 1");
	OP(-EINVAL, LIST(2), "list_limit 1, 2");
	OP(0, set_parameter("list_limit", "0"), "list_limit 0");
	OP(-EINVAL, LIST(0), "list_limit 0, 0");
	OP(-EINVAL, LIST(1), "list_limit 0, 1");
	OP(PAGE, made(create(self->dev, self->memfd, 0, PAGE)),
	   "list_limit 0, no list");
	OP(0, set_parameter("list_limit", "1025"), "list_limit 1025");
	OP((limit + 1) * PAGE, LIST(limit + 1), "list_limit 1025, 1025");
	OP(-EINVAL, LIST(limit + 2), "list_limit 1025, 1026");
	OP(0, set_parameter("list_limit", "1024"), "list_limit back");
	OP(-EINVAL, LIST(limit + 1), "list_limit back, 1025");

	fd = new_memfd(3 * DIO_MIB, 0, F_SEAL_SHRINK);
	ASSERT_LE(0, fd);
#define ONE(size)	made(create(self->dev, fd, 0, size))
	OP(0, set_parameter("size_limit_mb", "1"), "size_limit_mb 1");
	OP(DIO_MIB, ONE(DIO_MIB), "size_limit_mb 1, 1M");
	OP(-EINVAL, ONE(DIO_MIB + PAGE), "size_limit_mb 1, 1M+4K");
	OP(-EINVAL, ONE(1UL << 40), "size_limit_mb 1, 1T");
	OP(256 * PAGE, LIST(256), "size_limit_mb 1, list of 1M");
	OP(-EINVAL, LIST(257), "size_limit_mb 1, list of 1M+4K");
	OP(0, set_parameter("size_limit_mb", "2"), "size_limit_mb 2");
	OP(2 * DIO_MIB, ONE(2 * DIO_MIB), "size_limit_mb 2, 2M");
	OP(-EINVAL, ONE(2 * DIO_MIB + PAGE), "size_limit_mb 2, 2M+4K");
	OP(0, set_parameter("size_limit_mb", "0"), "size_limit_mb 0");
	OP(-EINVAL, ONE(PAGE), "size_limit_mb 0, 4K");
	OP(-EINVAL, LIST(1), "size_limit_mb 0, list");
	OP(0, set_parameter("size_limit_mb", "2147483647"),
	   "size_limit_mb back");
	OP(3 * DIO_MIB, ONE(3 * DIO_MIB), "size_limit_mb back, 3M");
#undef ONE
#undef LIST
	close(fd);
	free(items);
}

TEST_F_TIMEOUT(udmabuf, hugetlb, TIMEOUT)
{
	static const struct shape shapes[] = {
		{ "first", 1, { { 0, 0, 512 } }, 512 },
		{ "second", 1, { { 0, 512, 512 } }, 512 },
		{ "all", 1, { { 0, 0, 1024 } }, 1024 },
		{ "one page", 1, { { 0, 0, 1 } }, 1 },
		{ "one page inside", 1, { { 0, 77, 1 } }, 1 },
		{ "last page", 1, { { 0, 1023, 1 } }, 1 },
		{ "over the join", 1, { { 0, 511, 2 } }, 2 },
		{ "odd part", 1, { { 0, 3, 400 } }, 400 },
		{ "odd part over the join", 1, { { 0, 100, 700 } }, 700 },
		{ "all but the ends", 1, { { 0, 1, 1022 } }, 1022 },
		{ "swapped", 2, { { 0, 512, 512 }, { 0, 0, 512 } }, 1024 },
		{ "several", 5,
			{ { 0, 9, 1 }, { 0, 511, 3 }, { 0, 9, 2 },
			  { 0, 1000, 24 }, { 0, 0, 7 } }, 37 },
		{ "overlapping", 2, { { 0, 10, 600 }, { 0, 200, 600 } }, 1200 },
		{ "with shmem", 4,
			{ { 0, 510, 4 }, { 1, 1, 2 }, { 0, 3, 2 }, { 1, 0, 16 } },
			24 },
		{ "beyond", 1, { { 0, 1023, 2 } }, -EINVAL },
		{ "at the end", 1, { { 0, 1024, 1 } }, -EINVAL },
		{ "nothing", 1, { { 0, 512, 0 } }, -EINVAL },
		{ "beyond after good", 2, { { 0, 0, 512 }, { 0, 1000, 25 } },
			-EINVAL },
	};
	struct udmabuf_create_item items[600];
	unsigned char *map;
	int memfds[2], i;

	self->hugepages = read_number(NR_HUGEPAGES);
	if (self->hugepages >= 0)
		dio_write_file(NR_HUGEPAGES, "%ld", self->hugepages + 2);
	memfds[0] = new_memfd(2 * HUGE, MFD_HUGETLB | MFD_HUGE_2MB,
			      F_SEAL_SHRINK);
	if (memfds[0] < 0 ||
	    map_fd(&map, 2 * HUGE, RW, MAP_SHARED, memfds[0], 0)) {
		close(memfds[0]);
		SKIP(return, "cannot get two huge pages");
	}
	label(map, 1024);
	munmap(map, 2 * HUGE);
	memfds[1] = new_memfd(MEMFD_SIZE, 0, F_SEAL_SHRINK);
	ASSERT_EQ(0, map_fd(&map, MEMFD_SIZE, RW, MAP_SHARED, memfds[1], 0));
	label_from(map, SECOND, MEMFD_PAGES);
	munmap(map, MEMFD_SIZE);

	try_shapes(_metadata, self->dev, memfds, shapes, ARRAY_SIZE(shapes));
	for (i = 0; i < 600; i++)
		items[i] = (struct udmabuf_create_item){
			.memfd = memfds[0],
			.offset = (1023 - i) * PAGE,
			.size = PAGE,
		};
	try_shape(_metadata, self->dev, memfds, "backwards", items, 600, 600);
	OP(-EINVAL, made(create(self->dev, memfds[0], 2048, PAGE)),
	   "offset 2048");
	OP(-EINVAL, made(create(self->dev, memfds[0], 0, HUGE + 1)),
	   "size 2M+1");
	OP(0, sys(fcntl(memfds[0], F_ADD_SEALS, F_SEAL_WRITE)), "seal");
	OP(-EINVAL, made(create(self->dev, memfds[0], 0, HUGE)), "sealed");
	close(memfds[0]);
	close(memfds[1]);
	OP(0, dio_write_file(NR_HUGEPAGES, "%ld", self->hugepages),
	   "pages back");
	OP(ANY, read_number(NR_HUGEPAGES) - self->hugepages, "pages kept");
}

/* ---- the memfd behind a udmabuf ---- */

TEST_F(udmabuf, behind)
{
	unsigned char *map, *memory, *page;
	int fd, hole, n = MEMFD_PAGES;

	fd = create(self->dev, self->memfd, 0, MEMFD_SIZE);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, map_fd(&map, MEMFD_SIZE, RW, MAP_SHARED, fd, 0));
	ASSERT_EQ(0, map_fd(&memory, MEMFD_SIZE, RW, MAP_SHARED, self->memfd, 0));
	page = malloc(PAGE);
	ASSERT_NE(NULL, page);

	/* Both ways, by each way to write. */
	OP(0, wrong(map, 0, n), "data");
	memset(memory, 0x11, MEMFD_SIZE);
	OP(1, is_filled(map, 0x11, MEMFD_SIZE), "map of memfd to map");
	memset(map, 0x22, MEMFD_SIZE);
	OP(1, is_filled(memory, 0x22, MEMFD_SIZE), "map to map of memfd");
	memset(page, 0x33, PAGE);
	OP(PAGE, sys(pwrite(self->memfd, page, PAGE, 5 * PAGE)), "pwrite");
	OP(1, is_filled(map + 5 * PAGE, 0x33, PAGE), "pwrite to map");
	OP(PAGE, sys(pread(self->memfd, page, PAGE, 6 * PAGE)), "pread");
	OP(1, is_filled(page, 0x22, PAGE), "map to pread");

	/* The file changes, the buffer does not. */
	OP(-EPERM, sys(ftruncate(self->memfd, PAGE)), "shrink");
	OP(-EPERM, sys(ftruncate(self->memfd, 0)), "truncate");
	OP(0, sys(ftruncate(self->memfd, 2 * MEMFD_SIZE)), "grow");
	OP(MEMFD_SIZE, sys(lseek(fd, 0, SEEK_END)), "size after growth");
	OP(2 * MEMFD_SIZE,
	   made(create(self->dev, self->memfd, 0, 2 * MEMFD_SIZE)),
	   "second buffer");
	hole = fallocate(self->memfd,
			 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 3 * PAGE, PAGE);
	OP(0, sys(hole), "punch a hole");
	OP(0x22, touch(map + 3 * PAGE, -1), "buffer's page");
	OP(0, touch(memory + 3 * PAGE, -1), "file's page");
	OP(7, touch(map + 3 * PAGE, 7), "write to it");
	OP(0, touch(memory + 3 * PAGE, -1), "file's page again");
	OP(0x22, touch(map + 4 * PAGE, -1), "next page");

	/* Seals that come later. */
	munmap(memory, MEMFD_SIZE);
	OP(-EBUSY, sys(fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE)),
	   "seal WRITE");
	OP(0, sys(fcntl(self->memfd, F_ADD_SEALS, F_SEAL_GROW)), "seal GROW");
	OP(-EPERM, sys(ftruncate(self->memfd, 3 * MEMFD_SIZE)), "grow sealed");
	OP(0, sys(fcntl(self->memfd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE)),
	   "seal FUTURE_WRITE");
	OP(-EPERM, sys(pwrite(self->memfd, page, PAGE, 0)), "pwrite sealed");
	OP(8, touch(map, 8), "write to the map");
	OP(-EINVAL, made(create(self->dev, self->memfd, 0, PAGE)),
	   "third buffer");
	munmap(map, MEMFD_SIZE);
	OP(0, map_fd(&map, MEMFD_SIZE, RW, MAP_SHARED, fd, 0), "mmap again");
	OP(7, touch(map + 3 * PAGE, -1), "buffer's page still");

	/* The memfd goes first. */
	close(self->memfd);
	self->memfd = -1;
	OP(0x22, touch(map + 2 * PAGE, -1), "without memfd");
	OP(9, touch(map + 15 * PAGE, 9), "without memfd, write");
	OP(0, sync_flags(fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW),
	   "without memfd, START");
	OP(0, sync_flags(fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW),
	   "without memfd, END");
	print_fdinfo(_metadata, fd, "without memfd");
	munmap(map, MEMFD_SIZE);
	OP(0, sys(close(fd)), "close");
	self->next = next_fd();
	free(page);
}

/* Pages nobody has touched: the buffer makes them, as zeros. */
TEST_F(udmabuf, untouched)
{
	unsigned char *map, *page;
	int fd, memfd;

	memfd = new_memfd(DIO_MIB, 0, F_SEAL_SHRINK);
	ASSERT_LE(0, memfd);
	fd = create(self->dev, memfd, 0, DIO_MIB);
	ASSERT_LE(0, fd);
	OP(0, map_fd(&map, DIO_MIB, RW, MAP_SHARED, fd, 0), "mmap");
	OP(1, is_filled(map, 0, DIO_MIB), "zeros");
	memset(map, 0x44, DIO_MIB);
	munmap(map, DIO_MIB);
	close(fd);

	/* What went in through the buffer has to survive it. */
	page = malloc(DIO_MIB);
	ASSERT_NE(NULL, page);
	OP(0, dio_write_file("/proc/sys/vm/drop_caches", "1"), "drop caches");
	OP(DIO_MIB, sys(pread(memfd, page, DIO_MIB, 0)), "pread");
	OP(1, is_filled(page, 0x44, DIO_MIB), "kept");
	OP(0, sys(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE)), "seal");
	close(memfd);
	free(page);
}

/* ---- buffers of odd shape, filled by a device ---- */

static void splice_shape(struct __test_metadata *_metadata,
			 FIXTURE_DATA(udmabuf) const *self, struct dio_src *src,
			 const char *name,
			 const struct udmabuf_create_item *items, int count)
{
	struct dio_buf buf = { .memfd = -1, .hugepages = -1 };
	unsigned char *behind;
	long bad = 0, at = 0, i;

	for (i = 0; i < count; i++)
		buf.size += items[i].size;
	buf.fd = create_list(self->dev, items, count);
	OP(1, buf.fd >= 0, "%s", name);
	ASSERT_LE(0, buf.fd);
	ASSERT_EQ(0, map_fd(&buf.map, buf.size, RW, MAP_SHARED, buf.fd, 0));

	OP(1, dio_transfer(src, 0, &buf, 0, buf.size), "%s, whole", name);
	for (i = 0; i < count; i++) {
		ASSERT_EQ(0, map_fd(&behind, items[i].size, RW, MAP_SHARED,
				    items[i].memfd, items[i].offset));
		bad += !!memcmp(behind, src->oracle + at, items[i].size);
		at += items[i].size;
		munmap(behind, items[i].size);
	}
	OP(0, bad, "%s, memfd", name);
	OP(1, dio_transfer(src, PAGE, &buf, PAGE, 3 * PAGE), "%s, 3 pages",
	   name);
	OP(1, dio_transfer(src, 512, &buf, PAGE - 512, 1024), "%s, 2 blocks",
	   name);
	OP(1, dio_transfer(src, 1024, &buf, 512, buf.size - 1024),
	   "%s, most blocks", name);
	dio_buf_free(&buf);
}

TEST_F_TIMEOUT(udmabuf, device, TIMEOUT)
{
	struct udmabuf_create_item items[128];
	size_t pages = 128, i;
	unsigned char *map;
	struct dio_src src;
	struct dio_buf buf;
	int memfd, fd;

	memfd = new_memfd(2 * pages * PAGE, 0, F_SEAL_SHRINK);
	ASSERT_LE(0, memfd);
	if (!dio_ready(_metadata, dio_src_open(&src, &dio_raw, 0,
					       2 * pages * PAGE))) {
		close(memfd);
		return;
	}

#define SHAPE(first)							\
	do {								\
		for (i = 0; i < pages; i++)				\
			items[i] = (struct udmabuf_create_item){	\
				.memfd = memfd,				\
				.offset = (first) * PAGE,		\
				.size = PAGE,				\
			};						\
	} while (0)
	SHAPE(i);
	splice_shape(_metadata, self, &src, "in order", items, pages);
	SHAPE(pages - 1 - i);
	splice_shape(_metadata, self, &src, "reversed", items, pages);
	SHAPE(2 * i);
	splice_shape(_metadata, self, &src, "every second", items, pages);
	SHAPE(i % 2 ? i : 2 * pages - 1 - i);
	splice_shape(_metadata, self, &src, "from both ends", items, pages);
	SHAPE(i * 5 % pages);
	items[3].size = 7 * PAGE;
	items[3].offset = pages * PAGE;
	splice_shape(_metadata, self, &src, "scrambled", items, pages);

	/* One page, over and over: each transfer is seen everywhere. */
	SHAPE(9);
#undef SHAPE
	fd = create_list(self->dev, items, pages);
	OP(1, fd >= 0, "repeated");
	buf = (struct dio_buf){ .fd = fd, .memfd = -1, .hugepages = -1 };
	buf.size = pages * PAGE;
	ASSERT_EQ(0, map_fd(&buf.map, buf.size, RW, MAP_SHARED, fd, 0));
	ASSERT_EQ(0, map_fd(&map, PAGE, RW, MAP_SHARED, memfd, 9 * PAGE));
	for (i = 0; i < pages; i += 31) {
		OP(PAGE, dio_splice(src.fd, i * PAGE, fd, i * PAGE, PAGE),
		   "repeated, page %zu", i);
		OP(1, dio_is_data(&buf, 0, &src, i * PAGE, PAGE),
		   "repeated, page 0 is %zu", i);
		OP(1, dio_is_data(&buf, 127 * PAGE, &src, i * PAGE, PAGE),
		   "repeated, page 127 is %zu", i);
		OP(0, !!memcmp(map, src.oracle + i * PAGE, PAGE),
		   "repeated, memfd is %zu", i);
	}
	/* All at once: whichever page was last, none is mixed or missed. */
	OP(buf.size, dio_splice(src.fd, 0, fd, 0, buf.size), "repeated, whole");
	OP(0, !!memcmp(buf.map, map, PAGE), "repeated, whole, memfd");
	munmap(map, PAGE);
	dio_buf_free(&buf);
	dio_src_close(&src);
	OP(0, sys(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE)), "seal");
	close(memfd);
}

/* ---- calls of 32-bit programs ---- */

#ifdef __x86_64__
/* The compat entry, open to any process if the kernel has it. */
static long ioctl32(int fd, unsigned int number, unsigned long arg)
{
	struct sigaction act = { .sa_handler = on_signal }, segv;
	long ret = 54;
	int sig;

	sigaction(SIGSEGV, &act, &segv);
	sig = sigsetjmp(signal_env, 1);
	if (!sig)
		asm volatile("int $0x80"
			     : "+a" (ret)
			     : "b" ((long)fd), "c" ((long)number), "d" (arg)
			     : "memory", "r8", "r9", "r10", "r11");
	sigaction(SIGSEGV, &segv, NULL);
	return sig ? KILLED(sig) : (int)ret;
}

TEST_F(udmabuf, compat)
{
	struct udmabuf_create one = { .memfd = self->memfd, .size = PAGE };
	struct dma_heap_allocation_data data = { .len = PAGE };
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_RW };
	struct short_list list = {
		.count = 1,
		.items[0] = { .memfd = self->memfd, .size = 2 * PAGE },
	};
	unsigned char *low;
	unsigned long arg;
	int heap, fd;

	ASSERT_EQ(0, map_fd(&low, PAGE, RW,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
	arg = (unsigned long)low;
	if (ioctl32(-1, 0, 0) == KILLED(SIGSEGV))
		SKIP(return, "no 32-bit calls in this kernel");

	memcpy(low, &one, sizeof(one));
	fd = ioctl32(self->dev, UDMABUF_CREATE, arg);
	OP(1, fd >= 0, "create");
	memcpy(low, &sync, sizeof(sync));
	OP(0, ioctl32(fd, DMA_BUF_IOCTL_SYNC, arg), "sync");
	memcpy(low, "name", 5);
	OP(0, ioctl32(fd, DMA_BUF_SET_NAME_A, arg), "name");
	OP(PAGE, made(fd), "size");
	memcpy(low, &list, sizeof(list));
	OP(2 * PAGE, made(ioctl32(self->dev, UDMABUF_CREATE_LIST, arg)),
	   "list");
	OP(-EFAULT, ioctl32(self->dev, UDMABUF_CREATE, 0), "create NULL");
	OP(-EFAULT, ioctl32(self->dev, UDMABUF_CREATE_LIST, 0), "list NULL");
	OP(-ENOTTY, ioctl32(self->dev, 0, arg), "unknown");

	heap = open(HEAP, O_RDONLY | O_CLOEXEC);
	if (heap < 0)
		return;
	memcpy(low, &data, sizeof(data));
	OP(0, ioctl32(heap, DMA_HEAP_IOCTL_ALLOC, arg), "heap");
	memcpy(&data, low, sizeof(data));
	OP(PAGE, made(data.fd), "heap, size");
	OP(-EFAULT, ioctl32(heap, DMA_HEAP_IOCTL_ALLOC, 0), "heap NULL");
	close(heap);
}
#endif

TEST_HARNESS_MAIN
