/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * USDT probes of the provider libvdma: a nop in the code, and a note in the
 * library that says where it is and where its arguments are. <vdma/stats.h>
 * lists them for those who listen; the test package.probes holds the list.
 */
#ifndef VDMA_INTERNAL_PROBE_H
#define VDMA_INTERNAL_PROBE_H

#ifdef VDMA_PROBES
#define SDT_USE_VARIADIC
#include <sys/sdt.h>
#define VDMA_PROBE(name, ...) STAP_PROBEV(libvdma, name, __VA_ARGS__)
#else
/* Never called: what is only told by a probe would else be unused. */
int vdma_no_probe(const void *first, ...);
#define VDMA_PROBE(name, ...) ((void)sizeof(vdma_no_probe(__VA_ARGS__)))
#endif

#endif
