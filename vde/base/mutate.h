/* SPDX-License-Identifier: Apache-2.0 */
/* mutate.h -- rules that can be switched off, one at a time, in special builds (-DVDE_MUTATE=n): tests/mutation shows that
 * each of them is missed by some test. In every other build the conditions are constants and vanish. */
#ifndef VDE_BASE_MUTATE_H
#define VDE_BASE_MUTATE_H

#ifndef VDE_MUTATE
#define VDE_MUTATE 0
#endif

enum mutation {
    MUTATE_RECOVERY_EPOCH = 1,    /* recovery keeps the epoch of the crashed run */
    MUTATE_PUT_IF_ABSENT = 2,     /* a stream number that exists is accepted */
    MUTATE_FILE_CHECKSUM = 3,     /* file chunks are not verified */
    MUTATE_NODE_CHECKSUM = 4,     /* tree nodes are not verified against the parent's checksum */
    MUTATE_ACKNOWLEDGED_TAIL = 5, /* the log is cut at a damaged acknowledged record */
    MUTATE_TAIL_PAYLOAD = 6,      /* payloads of the unacknowledged tail are not verified */
    MUTATE_SUPERBLOCK_FLUSH = 7,  /* the superblock is written without a flush before it */
    MUTATE_EARLY_REUSE = 8,       /* dropped blocks are reused before the next checkpoint is durable */
    MUTATE_DATA_FLUSH = 9,        /* DSYNC alone after data writes */
    MUTATE_CUT_WAIT = 10,         /* the checkpoint does not wait until its cut is durable */
    MUTATE_SNAPSHOT_DEAD = 11,    /* blocks that a snapshot sees are freed */
    MUTATE_FLUSH_RETRY = 12,      /* a failed flush does not poison */
    MUTATE_SNAPSHOT_STAGE = 13,   /* a snapshot shows one record too many */
    MUTATE_CLONE_ORIGIN = 14,     /* a clone frees what it shares with its origin */
    MUTATE_EXPECTED_BLOCKS = 15,  /* a read-modify-write does not see that its blocks changed */
    MUTATE_PARTIAL_FRAME = 16,    /* part of a compressed frame is overwritten without the rest */
    MUTATE_IMAGE_SNAPSHOT = 17,   /* blocks that only an image snapshot sees are freed */
    MUTATE_ZOMBIE_BLOCKED = 18,   /* what an image snapshot or clone still needs is freed as soon as it is dropped */
    MUTATE_VOLUME_FLUSH = 19,     /* flushing a volume does not wait for its records */
    MUTATE_BLOCK_CHECKSUM = 20,   /* blocks of volumes are not verified */
    MUTATE_BESIDE_ERASE = 21,     /* a record stays in the log though its data, written beside it, failed */
    MUTATE_BESIDE_FLUSH = 22,     /* a record written beside its data counts as durable without a flush */
};

#define MUTATED(which) (VDE_MUTATE == (which))

#endif
