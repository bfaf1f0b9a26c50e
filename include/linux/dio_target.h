/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the direct I/O of a file ends
 */
#ifndef _LINUX_DIO_TARGET_H
#define _LINUX_DIO_TARGET_H

#include <linux/errno.h>
#include <linux/types.h>

struct dma_buf_dio_dev;

/**
 * enum dio_reason - why data does not go direct
 * @DIO_DIRECT: it does
 * @DIO_BUFFERED: the file is not open with O_DIRECT
 * @DIO_FILE: the file, or its file system, or the state that it is in
 * @DIO_ALIGNMENT: of the offset, the length, or the device address
 * @DIO_HOLE: no data, or data with no block of its own, on the disk
 * @DIO_DISK: the disk or its driver does not take part
 * @DIO_MAPPING: the memory is not mapped for the disk, or the disk does not see
 *	it as the CPU does
 */
enum dio_reason {
	DIO_DIRECT,
	DIO_BUFFERED,
	DIO_FILE,
	DIO_ALIGNMENT,
	DIO_HOLE,
	DIO_DISK,
	DIO_MAPPING,
};

/**
 * struct dio_target - a question to a file: where would your direct I/O end?
 *
 * It is asked by &file_operations.dio_target before anything has a side effect.
 * Who answers may forward it, as a file system does to its block devices, and
 * these to those below.
 */
struct dio_target {
	/** @rw: %READ or %WRITE, of the file. */
	int rw;

	/**
	 * @align: what the offset in the file and the length must be aligned
	 * to, in bytes and a power of 2; the largest of all answers.
	 */
	unsigned int align;

	/** @mem_align: the same for the offset in memory. */
	unsigned int mem_align;

	/** @reason: why not, if it was refused. */
	enum dio_reason reason;

	/** @error: what the memory could not be mapped for a device with. */
	int error;

	/** @priv: of whoever asks. */
	void *priv;

	/**
	 * @add: called for each device that does DMA, with what its addresses
	 * must be aligned to, minus 1.  Returns 0 or -EOPNOTSUPP.
	 *
	 * Context: any.
	 */
	int (*add)(struct dio_target *target, struct dma_buf_dio_dev *ddev,
		   unsigned int align_mask);
};

/**
 * dio_target_refuse - answer that direct I/O is not possible
 * @target: the question
 * @reason: the reason
 *
 * Returns: -EOPNOTSUPP
 */
static inline int dio_target_refuse(struct dio_target *target,
				    enum dio_reason reason)
{
	target->reason = reason;
	return -EOPNOTSUPP;
}

#endif /* _LINUX_DIO_TARGET_H */
