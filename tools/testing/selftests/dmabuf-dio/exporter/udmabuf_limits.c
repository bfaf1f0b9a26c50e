// SPDX-License-Identifier: GPL-2.0
/* udmabuf's parameters: the limits of a list and of a buffer. */

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

TEST_F(udmabuf, limits)
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
			SAY(NULL, get_parameter(names[n]), "%s, value %d", names[n], i);
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
	OP(PAGE, made(create(self->dev, self->memfd, 0, PAGE)), "list_limit 0, no list");
	OP(0, set_parameter("list_limit", "1025"), "list_limit 1025");
	OP((limit + 1) * PAGE, LIST(limit + 1), "list_limit 1025, 1025");
	OP(-EINVAL, LIST(limit + 2), "list_limit 1025, 1026");
	OP(0, set_parameter("list_limit", "1024"), "list_limit back");
	OP(-EINVAL, LIST(limit + 1), "list_limit back, 1025");

	fd = dio_memfd(3 * DIO_MIB, 0, F_SEAL_SHRINK);
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
	OP(0, set_parameter("size_limit_mb", "2147483647"), "size_limit_mb back");
	OP(3 * DIO_MIB, ONE(3 * DIO_MIB), "size_limit_mb back, 3M");
#undef ONE
#undef LIST
	close(fd);
	free(items);
}
