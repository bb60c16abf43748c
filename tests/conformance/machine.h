/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine as the suite found it: module parameters, the device node's
 * owner, the module itself, and what others hold in the ledger.
 */
#ifndef MACHINE_H
#define MACHINE_H

void machine_save(void);
/* Puts things as they were; regions that are in the ledger and were not. */
unsigned int machine_restore(void);
void machine_kill_children(void);

#endif
