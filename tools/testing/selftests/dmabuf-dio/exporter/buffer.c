// SPDX-License-Identifier: GPL-2.0
/* The buffers that all tests of buffers are done with. */

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
