/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registers, commands and data structures as the NVM Express Base Specification,
 * revision 1.4, has them, so far as the driver uses them. Numbers are those of its
 * sections. All is little-endian in memory.
 */
#ifndef NVME_SPEC_H
#define NVME_SPEC_H

#include <assert.h>
#include <stdint.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	      "entries of queues are filled in as structs");

/* PCI class code: mass storage, NVM, NVM Express (2.1.5) */
#define NVME_PCI_CLASS 0x010802
#define NVME_BAR 0 /* 2.1.10 */

/* 3.1: controller registers */
#define NVME_CAP 0x00	/* 3.1.1, 64 bits */
#define NVME_VS 0x08	/* 3.1.2 */
#define NVME_CC 0x14	/* 3.1.5 */
#define NVME_CSTS 0x1c	/* 3.1.6 */
#define NVME_AQA 0x24	/* 3.1.8 */
#define NVME_ASQ 0x28	/* 3.1.9, 64 bits */
#define NVME_ACQ 0x30	/* 3.1.10, 64 bits */
#define NVME_DBS 0x1000 /* 3.1.24, 3.1.25: a pair of doorbells for each queue */

#define NVME_CAP_MQES(cap) ((uint32_t)((cap)&0xffff))	     /* entries of a queue, less 1 */
#define NVME_CAP_TO(cap) ((uint32_t)((cap) >> 24 & 0xff))    /* until ready, in 500 ms */
#define NVME_CAP_DSTRD(cap) ((uint32_t)((cap) >> 32 & 0xf))  /* log2 of a doorbell's words */
#define NVME_CAP_CSS_NVM(cap) ((uint32_t)((cap) >> 37 & 1))  /* has the NVM command set */
#define NVME_CAP_MPSMIN(cap) ((uint32_t)((cap) >> 48 & 0xf)) /* log2 of 4 KiB pages */

#define NVME_CC_EN (1U << 0)
#define NVME_CC_MPS(log2) ((uint32_t)(log2) << 7)
#define NVME_CC_SHN_MASK (3U << 14)
#define NVME_CC_SHN_NORMAL (1U << 14)
#define NVME_CC_IOSQES(log2) ((uint32_t)(log2) << 16)
#define NVME_CC_IOCQES(log2) ((uint32_t)(log2) << 20)

#define NVME_CSTS_RDY (1U << 0)
#define NVME_CSTS_CFS (1U << 1) /* fatal */
#define NVME_CSTS_SHST_MASK (3U << 2)
#define NVME_CSTS_SHST_DONE (2U << 2)

/**
 * struct nvme_sgl_desc - 4.4: where a piece of data, or of the list, lies
 * @addr: of any alignment, but see NVME_SGLS_DWORD
 * @len: bytes
 * @rsvd: 0
 * @type: NVME_SGL_*
 */
struct nvme_sgl_desc {
	uint64_t addr;
	uint32_t len;
	uint8_t rsvd[3];
	uint8_t type;
};
static_assert(sizeof(struct nvme_sgl_desc) == 16, "4.4");

#define NVME_SGL_DATA 0x00	   /* data */
#define NVME_SGL_LAST_SEGMENT 0x30 /* descriptors, and no segment after it */

/**
 * union nvme_dptr - 4.2: data pointer of a command
 * @prp: entries 1 and 2 (4.3)
 * @sgl: descriptor 1 (4.4)
 */
union nvme_dptr {
	uint64_t prp[2];
	struct nvme_sgl_desc sgl;
};

/**
 * struct nvme_sqe - 4.2: a command
 * @opcode: what is to be done
 * @flags: fused operation; PRP or SGL
 * @cid: tells commands of a queue apart
 * @nsid: namespace
 * @rsvd: 0
 * @mptr: metadata
 * @dptr: data
 * @cdw10: the command's own, as those below
 */
struct nvme_sqe {
	uint8_t opcode;
	uint8_t flags;
	uint16_t cid;
	uint32_t nsid;
	uint64_t rsvd;
	uint64_t mptr;
	union nvme_dptr dptr;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
static_assert(sizeof(struct nvme_sqe) == 64, "4.2");

#define NVME_SQE_SHIFT 6
#define NVME_FLAGS_SGL 0x40 /* 4.2, PSDT 01b: data by SGL, metadata by address */
#define NVME_NSID_ALL UINT32_MAX

/**
 * struct nvme_cqe - 4.6: a completion
 * @result: the command's own
 * @rsvd: 0
 * @sq_head: up to where commands were taken
 * @sq_id: queue that the command came from
 * @tail: command id in bits 15:0, phase tag in bit 16, status in bits 31:17
 */
struct nvme_cqe {
	uint32_t result;
	uint32_t rsvd;
	uint16_t sq_head;
	uint16_t sq_id;
	uint32_t tail;
};
static_assert(sizeof(struct nvme_cqe) == 16, "4.6");

#define NVME_CQE_SHIFT 4
#define NVME_CQE_CID(tail) ((uint16_t)((tail)&0xffff))
#define NVME_CQE_PHASE(tail) ((tail) >> 16 & 1)
/* 4.6.1: status code in bits 7:0, its type in 10:8 */
#define NVME_CQE_STATUS(tail) ((int)((tail) >> 17 & 0x7ff))

/* 4.6.1.2: status codes that have a meaning for the driver */
#define NVME_SC_INVALID_OPCODE 0x01
#define NVME_SC_INVALID_FIELD 0x02
#define NVME_SC_DATA_TRANSFER 0x04
#define NVME_SC_ABORT_REQUESTED 0x07
#define NVME_SC_SQ_DELETED 0x08
#define NVME_SC_INVALID_NAMESPACE 0x0b
#define NVME_SC_LBA_RANGE 0x80
#define NVME_SC_CAPACITY 0x81
#define NVME_SC_NOT_READY 0x82
#define NVME_SC_WRITE_FAULT 0x280
#define NVME_SC_READ_ERROR 0x281

/* 5: admin commands */
#define NVME_ADMIN_DELETE_SQ 0x00
#define NVME_ADMIN_CREATE_SQ 0x01
#define NVME_ADMIN_DELETE_CQ 0x04
#define NVME_ADMIN_CREATE_CQ 0x05
#define NVME_ADMIN_IDENTIFY 0x06
#define NVME_ADMIN_ABORT 0x08
#define NVME_ADMIN_SET_FEATURES 0x09

#define NVME_QUEUE_CONTIGUOUS (1U << 0) /* 5.3, 5.4: PC */
#define NVME_QUEUE_INTERRUPTS (1U << 1) /* 5.3: IEN */
#define NVME_FEATURE_QUEUES 0x07	/* 5.21.1.7 */
#define NVME_ABORT_NOT_DONE (1U << 0)	/* 5.1.1 */

/* 5.15: what Identify tells about, and bytes of what it tells */
#define NVME_CNS_NAMESPACE 0x00
#define NVME_CNS_CONTROLLER 0x01
#define NVME_CNS_ACTIVE 0x02
#define NVME_IDENTIFY_LEN 4096

#define NVME_CTRL_SN 4	   /* 20 bytes of text */
#define NVME_CTRL_MN 24	   /* 40 bytes of text */
#define NVME_CTRL_FR 64	   /* 8 bytes of text */
#define NVME_CTRL_MDTS 77  /* log2 of smallest pages; 0 is no limit */
#define NVME_CTRL_RTD3E 88 /* time of a shutdown, in microseconds */
#define NVME_CTRL_NN 516   /* namespace ids that there can be */
#define NVME_CTRL_ONCS 520 /* optional commands */
#define NVME_CTRL_VWC 525  /* volatile write cache */
#define NVME_CTRL_SGLS 536 /* SGLs */
#define NVME_ONCS_DSM (1U << 2)
#define NVME_VWC_PRESENT (1U << 0)
#define NVME_SGLS_MASK 3U
#define NVME_SGLS_ANY 1U   /* of any alignment */
#define NVME_SGLS_DWORD 2U /* addresses and lengths are multiples of 4 */

#define NVME_NS_NSZE 0	 /* blocks, 64 bits */
#define NVME_NS_FLBAS 26 /* format that is used */
#define NVME_NS_LBAF 128 /* formats, 4 bytes each: bytes of metadata, log2 of a block's */

/* 6: NVM commands */
#define NVME_CMD_FLUSH 0x00   /* 6.8 */
#define NVME_CMD_WRITE 0x01   /* 6.15 */
#define NVME_CMD_READ 0x02    /* 6.9 */
#define NVME_CMD_DATASET 0x09 /* 6.7 */
#define NVME_DATASET_DEALLOCATE (1U << 2)
#define NVME_DATASET_RANGES 256

/**
 * struct nvme_range - 6.7: blocks of a Dataset Management command
 * @attributes: hints; 0
 * @blocks: how many
 * @lba: the first
 */
struct nvme_range {
	uint32_t attributes;
	uint32_t blocks;
	uint64_t lba;
};
static_assert(sizeof(struct nvme_range) == 16, "6.7");

#endif
