/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registers, queues and requests as the Virtual I/O Device (VIRTIO) specification,
 * version 1.2, has them, so far as the driver uses them. Numbers are those of its
 * sections. All is little-endian in memory.
 */
#ifndef VIRTIO_CRYPTO_SPEC_H
#define VIRTIO_CRYPTO_SPEC_H

#include <assert.h>
#include <stdint.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	      "descriptors and requests are filled in as structs");

/* 4.1.2: PCI vendor id, and device id of a device that is not transitional (5.9.1: 20) */
#define VIRTIO_PCI_VENDOR 0x1af4
#define VIRTIO_PCI_CRYPTO (0x1040 + 20)

/* 4.1.4: struct virtio_pci_cap, a vendor specific capability; offsets in there */
#define VIRTIO_CAP_LEN 2
#define VIRTIO_CAP_TYPE 3 /* VIRTIO_CFG_* */
#define VIRTIO_CAP_BAR 4
#define VIRTIO_CAP_OFFSET 8
#define VIRTIO_CAP_LENGTH 12
#define VIRTIO_CAP_MULTIPLIER 16 /* 4.1.4.4: of VIRTIO_CFG_NOTIFY */

#define VIRTIO_CFG_COMMON 1 /* 4.1.4.3 */
#define VIRTIO_CFG_NOTIFY 2 /* 4.1.4.4 */
#define VIRTIO_CFG_DEVICE 4 /* 4.1.4.6 */

/* 4.1.4.3: common configuration, struct virtio_pci_common_cfg */
#define VIRTIO_DEVICE_FEATURE_SELECT 0x00 /* 32 bits, as those below */
#define VIRTIO_DEVICE_FEATURE 0x04
#define VIRTIO_DRIVER_FEATURE_SELECT 0x08
#define VIRTIO_DRIVER_FEATURE 0x0c
#define VIRTIO_CONFIG_VECTOR 0x10 /* 16 bits, as the next */
#define VIRTIO_NUM_QUEUES 0x12
#define VIRTIO_DEVICE_STATUS 0x14     /* 8 bits, as the next */
#define VIRTIO_CONFIG_GENERATION 0x15 /* changes when what the device tells of itself does */
#define VIRTIO_QUEUE_SELECT 0x16      /* 16 bits, as those below */
#define VIRTIO_QUEUE_SIZE 0x18
#define VIRTIO_QUEUE_VECTOR 0x1a
#define VIRTIO_QUEUE_ENABLE 0x1c
#define VIRTIO_QUEUE_NOTIFY_OFF 0x1e
#define VIRTIO_QUEUE_DESC 0x20 /* 64 bits, in two halves (4.1.3.1), as those below */
#define VIRTIO_QUEUE_DRIVER 0x28
#define VIRTIO_QUEUE_DEVICE 0x30
#define VIRTIO_COMMON_LEN 0x38

#define VIRTIO_NO_VECTOR 0xffff /* 4.1.5.1.2 */

/* 2.1: device status */
#define VIRTIO_STATUS_ACKNOWLEDGE 1
#define VIRTIO_STATUS_DRIVER 2
#define VIRTIO_STATUS_DRIVER_OK 4
#define VIRTIO_STATUS_FEATURES_OK 8
#define VIRTIO_STATUS_NEEDS_RESET 64
#define VIRTIO_STATUS_FAILED 128

/* 6: features of all devices */
#define VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIRTIO_F_VERSION_1 (UINT64_C(1) << 32)
#define VIRTIO_F_ACCESS_PLATFORM (UINT64_C(1) << 33) /* its DMA goes through the IOMMU */
#define VIRTIO_F_ORDER_PLATFORM (UINT64_C(1) << 36)

/**
 * struct virtq_desc - 2.7.5: a piece of memory, or a table of such
 * @addr: device address
 * @len: bytes
 * @flags: VIRTQ_DESC_*
 * @next: with VIRTQ_DESC_NEXT: the next one of the chain
 */
struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};
static_assert(sizeof(struct virtq_desc) == 16, "2.7.5");

#define VIRTQ_DESC_NEXT 1
#define VIRTQ_DESC_WRITE 2    /* the device writes it, else it reads */
#define VIRTQ_DESC_INDIRECT 4 /* 2.7.5.3 */

/**
 * struct virtq_avail - 2.7.6: what is the device's to work on
 * @flags: VIRTQ_AVAIL_NO_INTERRUPT
 * @idx: entries that were put here, modulo 2^16
 * @ring: first descriptors of chains, as many as the queue has entries
 */
struct virtq_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[];
};

#define VIRTQ_AVAIL_NO_INTERRUPT 1

/**
 * struct virtq_used_elem - 2.7.8: a chain that the device is done with
 * @id: its first descriptor
 * @len: bytes that were written
 */
struct virtq_used_elem {
	uint32_t id;
	uint32_t len;
};

/**
 * struct virtq_used - 2.7.8: what the device is done with, in any order
 * @flags: VIRTQ_USED_NO_NOTIFY
 * @idx: entries that were put here, modulo 2^16
 * @ring: as many as the queue has entries
 */
struct virtq_used {
	uint16_t flags;
	uint16_t idx;
	struct virtq_used_elem ring[];
};

#define VIRTQ_USED_NO_NOTIFY 1

/* 2.7: alignment of the three, and most entries */
#define VIRTQ_DESC_ALIGN 16
#define VIRTQ_AVAIL_ALIGN 2
#define VIRTQ_USED_ALIGN 4
#define VIRTQ_SIZE_MAX 32768

/* 5.9.5: device configuration, struct virtio_crypto_config; 32 bits each, but for the last */
#define CRYPTO_STATUS 0x00
#define CRYPTO_MAX_DATAQUEUES 0x04
#define CRYPTO_SERVICES 0x08
#define CRYPTO_CIPHER_ALGO_L 0x0c
#define CRYPTO_MAX_CIPHER_KEY_LEN 0x24
#define CRYPTO_MAX_SIZE 0x30 /* 64 bits */
#define CRYPTO_CONFIG_LEN 0x38

#define CRYPTO_STATUS_READY 1		/* VIRTIO_CRYPTO_S_HW_READY */
#define CRYPTO_SERVICE_CIPHER (1U << 0) /* 5.9.4 */

/* 5.9.7: opcodes of the cipher service, on data queues and on the control queue */
#define CRYPTO_OP_ENCRYPT 0x00
#define CRYPTO_OP_DECRYPT 0x01
#define CRYPTO_OP_CREATE_SESSION 0x02
#define CRYPTO_OP_DESTROY_SESSION 0x03

#define CRYPTO_SESSION_ENCRYPT 1 /* 5.9.7.2.1: op of struct crypto_session_req */
#define CRYPTO_SESSION_DECRYPT 2
#define CRYPTO_SYM_CIPHER 1 /* 5.9.7.2.1: op_type: a cipher alone, without a hash */

/*
 * Requests as they are without VIRTIO_CRYPTO_F_REVISION_1, which the driver does not
 * accept, and QEMU does not offer: what belongs to an opcode has the length of the
 * longest one.
 */

/**
 * struct crypto_ctrl_header - 5.9.7.2: how a request on the control queue begins
 * @opcode: CRYPTO_OP_*
 * @algo: cipher
 * @flag: 0
 * @reserved: 0
 */
struct crypto_ctrl_header {
	uint32_t opcode;
	uint32_t algo;
	uint32_t flag;
	uint32_t reserved;
};

/**
 * struct crypto_create_req - 5.9.7.2.1: create a session; the key comes behind it
 * @header: with CRYPTO_OP_CREATE_SESSION
 * @algo: cipher
 * @key_len: bytes
 * @op: CRYPTO_SESSION_ENCRYPT or CRYPTO_SESSION_DECRYPT
 * @padding: 0
 * @op_type: CRYPTO_SYM_CIPHER
 * @padding2: 0
 */
struct crypto_create_req {
	struct crypto_ctrl_header header;
	uint32_t algo;
	uint32_t key_len;
	uint32_t op;
	uint32_t padding[9];
	uint32_t op_type;
	uint32_t padding2;
};
static_assert(sizeof(struct crypto_create_req) == 16 + 56, "5.9.7.2");

/**
 * struct crypto_create_answer - 5.9.7.2.1: written by the device
 * @session: its id, if status is CRYPTO_OK
 * @status: CRYPTO_OK...
 * @padding: 0
 */
struct crypto_create_answer {
	uint64_t session;
	uint32_t status;
	uint32_t padding;
};

/**
 * struct crypto_destroy_req - 5.9.7.2.1: destroy a session; the device answers by a byte
 * @header: with CRYPTO_OP_DESTROY_SESSION
 * @session: its id
 * @padding: 0
 */
struct crypto_destroy_req {
	struct crypto_ctrl_header header;
	uint64_t session;
	uint32_t padding[12];
};
static_assert(sizeof(struct crypto_destroy_req) == 16 + 56, "5.9.7.2");

/**
 * struct crypto_data_req - 5.9.7.3, 5.9.7.6: a request on a data queue
 * @opcode: CRYPTO_OP_ENCRYPT or CRYPTO_OP_DECRYPT
 * @algo: cipher
 * @session: id of the session
 * @flag: 0
 * @padding: 0
 * @iv_len: bytes of the IV, which comes behind this struct; then comes the source
 * @src_len: bytes
 * @dst_len: bytes that the device writes, and a byte with the status behind them
 * @padding2: 0
 * @op_type: CRYPTO_SYM_CIPHER
 * @padding3: 0
 */
struct crypto_data_req {
	uint32_t opcode;
	uint32_t algo;
	uint64_t session;
	uint32_t flag;
	uint32_t padding;
	uint32_t iv_len;
	uint32_t src_len;
	uint32_t dst_len;
	uint32_t padding2[7];
	uint32_t op_type;
	uint32_t padding3;
};
static_assert(sizeof(struct crypto_data_req) == 24 + 48, "5.9.7.3");

/* 5.9.7.1: status of an operation */
#define CRYPTO_OK 0
#define CRYPTO_ERR 1
#define CRYPTO_BADMSG 2
#define CRYPTO_NOTSUPP 3
#define CRYPTO_INVSESS 4
#define CRYPTO_NOSPC 5
#define CRYPTO_KEY_REJECTED 6

#endif
