/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Registers and descriptors as the Intel 82574 GbE Controller Family Datasheet (317694,
 * revision 2.7) has them, so far as the driver uses them. Numbers are those of its
 * sections. All is little-endian in memory.
 */
#ifndef E1000E_SPEC_H
#define E1000E_SPEC_H

#include <assert.h>
#include <stdint.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "descriptors are filled in as structs");

#define E1000E_PCI_VENDOR 0x8086
#define E1000E_PCI_82574L 0x10d3
/* Config space: device status of its PCI Express capability, which is at 0xe0 */
#define E1000E_DEVSTA 0xea
#define E1000E_DEVSTA_PENDING (1U << 5)
#define E1000E_BAR 0
#define E1000E_BAR_LEN (128 << 10)

/* 10.2.2: general registers */
#define E1000E_CTRL 0x00000	   /* 10.2.2.1 */
#define E1000E_STATUS 0x00008	   /* 10.2.2.2 */
#define E1000E_CTRL_EXT 0x00018	   /* extended device control */
#define E1000E_MDIC 0x00020	   /* 10.2.2.7: a way to the PHY's registers */
#define E1000E_EXTCNF_CTRL 0x00f00 /* 4.5.2: who may go there */

#define E1000E_CTRL_MASTER_DISABLE (1U << 2) /* 3.1.3.10 */
#define E1000E_CTRL_ASDE (1U << 5)	     /* "must be set to 0b" */
#define E1000E_CTRL_SLU (1U << 6)	     /* the MAC listens to the PHY */
#define E1000E_CTRL_FRCSPD (1U << 11)	     /* speed and duplex by hand */
#define E1000E_CTRL_FRCDPLX (1U << 12)
#define E1000E_CTRL_RST (1U << 26)  /* clears itself */
#define E1000E_CTRL_RFCE (1U << 27) /* flow control */
#define E1000E_CTRL_TFCE (1U << 28)
#define E1000E_CTRL_VME (1U << 30) /* VLAN tags are taken out of packets */

#define E1000E_STATUS_FD (1U << 0)
#define E1000E_STATUS_LU (1U << 1)
#define E1000E_STATUS_SPEED(status) ((status) >> 6 & 3) /* 10, 100, 1000, 1000 Mb/s */
#define E1000E_STATUS_MASTER (1U << 19)			/* 3.1.3.10: requests may be under way */

#define E1000E_CTRL_EXT_EIAME (1U << 24) /* masking by messages and by reads of ICR */
#define E1000E_CTRL_EXT_IAME (1U << 27)
#define E1000E_CTRL_EXT_DRV_LOAD (1U << 28) /* tells firmware of a driver */

#define E1000E_MDIC_DATA(mdic) ((uint16_t)((mdic)&0xffff))
#define E1000E_MDIC_REG(reg) ((uint32_t)(reg) << 16)
#define E1000E_MDIC_PHY (1U << 21)
#define E1000E_MDIC_WRITE (1U << 26)
#define E1000E_MDIC_READ (2U << 26)
#define E1000E_MDIC_READY (1U << 28)
#define E1000E_MDIC_ERROR (1U << 30)

#define E1000E_EXTCNF_SW_OWNER (1U << 5)

/* The PHY's control register: IEEE 802.3, 22.2.4.1 */
#define E1000E_PHY_CONTROL 0
#define E1000E_PHY_LOOPBACK (1U << 14)
#define E1000E_PHY_AUTONEG (1U << 12)
#define E1000E_PHY_POWER_DOWN (1U << 11)
#define E1000E_PHY_ISOLATE (1U << 10)
#define E1000E_PHY_RESTART (1U << 9)

/* 10.2.4: interrupts */
#define E1000E_ICR 0x000c0		   /* 10.2.4.1: causes, cleared by writing ones */
#define E1000E_EITR(n) (0x000e8 + 4 * (n)) /* 10.2.4.3: throttling of vector n */
#define E1000E_IMS 0x000d0		   /* 10.2.4.5: causes that interrupt, to add */
#define E1000E_IMC 0x000d8		   /* 10.2.4.6: to take away */
#define E1000E_EIAC 0x000dc		   /* 10.2.4.7: cleared by their message */
#define E1000E_IAM 0x000e0		   /* 10.2.4.8 */
#define E1000E_IVAR 0x000e4		   /* 10.2.4.9: vectors of causes */

#define E1000E_CAUSE_RXQ(n) (1U << (20 + (n)))
#define E1000E_EITR_NS 256
#define E1000E_IVAR_VALID 8U
#define E1000E_IVAR_RXQ(n, vector) ((E1000E_IVAR_VALID | (vector)) << 4 * (n))

/* 10.2.5: receive; queue 1's registers of a ring lie 0x100 behind those of queue 0 */
#define E1000E_RCTL 0x00100			/* 10.2.5.1 */
#define E1000E_RDBAL(n) (0x02800 + 0x100 * (n)) /* 10.2.5.5 to 10.2.5.9 */
#define E1000E_RDBAH(n) (0x02804 + 0x100 * (n))
#define E1000E_RDLEN(n) (0x02808 + 0x100 * (n))
#define E1000E_RDH(n) (0x02810 + 0x100 * (n))
#define E1000E_RDT(n) (0x02818 + 0x100 * (n))
#define E1000E_RDTR 0x02820 /* 10.2.5.10: delays of interrupts */
#define E1000E_RXDCTL(n) (0x02828 + 0x100 * (n))
#define E1000E_RADV 0x0282c
#define E1000E_RXCSUM 0x05000		  /* 7.1.10: checksums */
#define E1000E_RFCTL 0x05008		  /* 7.1.4: format of descriptors */
#define E1000E_MTA(n) (0x05200 + 4 * (n)) /* 10.2.5.21: multicast addresses, as a hash */
#define E1000E_MTA_COUNT 128
#define E1000E_RAL(n) (0x05400 + 8 * (n)) /* 10.2.5.22, 10.2.5.23: addresses, exactly */
#define E1000E_RAH(n) (0x05404 + 8 * (n))
#define E1000E_RA_COUNT 16
#define E1000E_MRQC 0x05818		   /* 7.1.11: receive side scaling */
#define E1000E_RETA(n) (0x05c00 + 4 * (n)) /* queue of a hash, four in a register */
#define E1000E_RETA_COUNT 32
#define E1000E_RSSRK(n) (0x05c80 + 4 * (n)) /* key of the hash */
#define E1000E_RSSRK_COUNT 10

#define E1000E_RCTL_EN (1U << 1)
#define E1000E_RCTL_UPE (1U << 3) /* all unicast */
#define E1000E_RCTL_MPE (1U << 4) /* all multicast */
#define E1000E_RCTL_LPE (1U << 5) /* frames beyond 1522 bytes */
#define E1000E_RCTL_BAM (1U << 15)
#define E1000E_RCTL_BSIZE_2048 (0U << 16)
#define E1000E_RCTL_SECRC (1U << 26) /* without the CRC */
#define E1000E_RX_BUF_LEN 2048

#define E1000E_RXCSUM_IP (1U << 8)
#define E1000E_RXCSUM_L4 (1U << 9)
#define E1000E_RXCSUM_PCSD (1U << 13) /* 7.1.4: descriptors tell the hash, not a sum */
#define E1000E_RFCTL_EXTEN (1U << 15) /* extended descriptors */
#define E1000E_RAH_AV (1U << 31)
#define E1000E_MRQC_RSS 1U
#define E1000E_MRQC_TCP_IPV4 (1U << 16)
#define E1000E_MRQC_IPV4 (1U << 17)
#define E1000E_RETA_QUEUE1 0x80U

/* 10.2.6: transmit */
#define E1000E_TCTL 0x00400			/* 10.2.6.1 */
#define E1000E_TIPG 0x00410			/* 10.2.6.2 */
#define E1000E_TDBAL(n) (0x03800 + 0x100 * (n)) /* 10.2.6.4 to 10.2.6.8 */
#define E1000E_TDBAH(n) (0x03804 + 0x100 * (n))
#define E1000E_TDLEN(n) (0x03808 + 0x100 * (n))
#define E1000E_TDH(n) (0x03810 + 0x100 * (n))
#define E1000E_TDT(n) (0x03818 + 0x100 * (n))
#define E1000E_TIDV 0x03820			 /* delays of interrupts */
#define E1000E_TXDCTL(n) (0x03828 + 0x100 * (n)) /* 10.2.6.10 */
#define E1000E_TADV 0x0382c
#define E1000E_TARC(n) (0x03840 + 0x100 * (n)) /* which queue is next */

#define E1000E_TCTL_EN (1U << 1)
#define E1000E_TCTL_PSP (1U << 3)			/* pads short packets */
#define E1000E_TCTL_CT (0x0fU << 4)			/* 4.6.6 */
#define E1000E_TCTL_COLD (0x3fU << 12)			/* 4.6.6, full duplex */
#define E1000E_TIPG_DEFAULT (8U | 2U << 10 | 10U << 20) /* 4.6.6 */
#define E1000E_DCTL_WTHRESH(n) ((uint32_t)(n) << 16)	/* 10.2.6.10: write back after n */
#define E1000E_DCTL_ONE (1U << 22)			/* TXDCTL: reserved, 1b */
#define E1000E_DCTL_GRAN (1U << 24)			/* in descriptors */
#define E1000E_TARC_ENABLE (1U << 10)

/* 10.2.7: statistics, cleared by reading; pairs are 64 bits, the lower half first */
#define E1000E_CRCERRS 0x04000
#define E1000E_RXERRC 0x0400c
#define E1000E_MPC 0x04010  /* missed: no room in the device */
#define E1000E_RNBC 0x040a0 /* no buffers in memory */
#define E1000E_ROC 0x040ac  /* too long */
#define E1000E_TORL 0x040c0
#define E1000E_TORH 0x040c4
#define E1000E_TOTL 0x040c8
#define E1000E_TOTH 0x040cc
#define E1000E_TPR 0x040d0
#define E1000E_TPT 0x040d4

/**
 * union e1000e_rx_desc - 7.1.4: extended receive descriptor
 * @addr: as the driver writes it: where a packet, or more of it, may go
 * @zero: as the driver writes it: 0
 * @mrq: as the device writes it: kind of @hash, and queue
 * @hash: of receive side scaling
 * @status: E1000E_RXD_*
 * @len: bytes in the buffer
 * @vlan: VLAN tag that was taken out
 */
union e1000e_rx_desc {
	struct {
		uint64_t addr;
		uint64_t zero;
	};
	struct {
		uint32_t mrq;
		uint32_t hash;
		uint32_t status;
		uint16_t len;
		uint16_t vlan;
	};
};
static_assert(sizeof(union e1000e_rx_desc) == 16, "7.1.4");

#define E1000E_RXD_DD (1U << 0)	  /* done */
#define E1000E_RXD_EOP (1U << 1)  /* the packet's last; what follows is valid there */
#define E1000E_RXD_L4CS (1U << 5) /* TCP's or UDP's checksum was looked at */
#define E1000E_RXD_IPCS (1U << 6) /* IPv4's */
#define E1000E_RXD_CE (1U << 24)  /* CRC or alignment */
#define E1000E_RXD_SE (1U << 25)  /* symbol */
#define E1000E_RXD_SEQ (1U << 26) /* sequence */
#define E1000E_RXD_L4E (1U << 29) /* wrong checksum of TCP or UDP */
#define E1000E_RXD_IPE (1U << 30) /* wrong checksum of IPv4 */
#define E1000E_RXD_RXE (1U << 31) /* data error */
#define E1000E_RXD_BAD (E1000E_RXD_CE | E1000E_RXD_SE | E1000E_RXD_SEQ | E1000E_RXD_RXE)

/**
 * union e1000e_tx_desc - 7.2.10: transmit descriptors
 * @addr: a piece of a packet
 * @cmd: its length in bits 15:0 or 19:0, E1000E_TXD_*
 * @status: E1000E_TXD_DD once the device is done
 * @popts: checksums to put in, E1000E_TXD_IXSM and _TXSM, in a data descriptor
 * @vlan: VLAN tag
 * @ipcss: context: first byte that IPv4's checksum covers; all are offsets in the packet
 * @ipcso: where it goes
 * @ipcse: last byte that it covers
 * @tucss: the same of TCP's or UDP's
 * @tucso: where it goes
 * @tucse: 0 for the packet's end
 *
 * A legacy descriptor (7.2.10.1) has no DEXT, a data descriptor has DEXT and DATA.
 */
union e1000e_tx_desc {
	struct {
		uint64_t addr;
		uint32_t cmd;
		uint8_t status;
		uint8_t popts;
		uint16_t vlan;
	};
	struct {
		uint8_t ipcss;
		uint8_t ipcso;
		uint16_t ipcse;
		uint8_t tucss;
		uint8_t tucso;
		uint16_t tucse;
		uint64_t context_cmd;
	};
};
static_assert(sizeof(union e1000e_tx_desc) == 16, "7.2.10");

#define E1000E_TXD_DATA (1U << 20) /* with DEXT; without it, a context */
#define E1000E_TXD_EOP (1U << 24)  /* the packet's last */
#define E1000E_TXD_IFCS (1U << 25) /* the device appends the CRC */
#define E1000E_TXD_RS (1U << 27)   /* it tells when it is done */
#define E1000E_TXD_DEXT (1U << 29)
#define E1000E_TXD_TCP (1U << 24) /* context: TCP, not UDP; IPv4 */
#define E1000E_TXD_IP (1U << 25)
#define E1000E_TXD_DD (1U << 0)
#define E1000E_TXD_IXSM (1U << 0)
#define E1000E_TXD_TXSM (1U << 1)

#endif
