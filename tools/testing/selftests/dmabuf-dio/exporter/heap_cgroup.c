// SPDX-License-Identifier: GPL-2.0
/* Heap memory that is charged to a memory cgroup. */

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

	snprintf(path, sizeof(path), "%s/memory.current", c->dir);
	return dio_number(path, "");
}

/* What was charged for buffers is not any more. */
static bool cgroup_is_empty(const struct cgroup *c)
{
	return dio_wait_for(cgroup_current(c) < (long)(4 * DIO_MIB));
}

static int cgroup_make(struct cgroup *c)
{
	char line[PATH_MAX + 256], type[64], accounting = 0;
	FILE *f;

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
	return cgroup_write(c, "memory.max", line);
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

TEST_F(heap, cgroup)
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
		OP(fits ? (long)c.len : -ENOMEM, in_child(cgroup_alloc, &c), "%s", rows[i].name);
		EXPECT_TRUE(cgroup_is_empty(&c));
		c.score = "0";
		OP(fits ? (long)c.len : KILLED(SIGKILL), in_child(cgroup_alloc, &c),
		   "%s, may be killed", rows[i].name);
		EXPECT_TRUE(cgroup_is_empty(&c));
	}
	c.score = "-1000";
	OP(16, in_child(cgroup_charge, &c), "charged");
	OP(DIO_MIB / 2, in_child(cgroup_fill, &c), "room again");
	EXPECT_TRUE(cgroup_is_empty(&c));
	rmdir(c.dir);
}
