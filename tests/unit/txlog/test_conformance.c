/* SPDX-License-Identifier: Apache-2.0 */
/* Every pair of operations at every isolation level: the outcome, the conflict's name, whether it says to retry. The
 * winner commits first, the loser was built at the version before it. The rules are those of Spark's ConflictChecker
 * (checkConflicts and what it calls); where ours is kinder or stricter the line says so. */
#include "unit/lakehouse/support.h"

/* --- operations ------------------------------------------------------------------------------------------------- */
#define STATS "\"stats\":\"{\\\"numRecords\\\":1}\""
#define ADD_AS(path, day, change, more)                                                                                \
    "{\"add\":{\"path\":\"" path "\",\"partitionValues\":{\"day\":\"" day "\"},\"size\":1,\"modificationTime\":1,"       \
    "\"dataChange\":" change "," STATS more "}}"
#define ADD(day) ADD_AS("%s", day, "true", "")
#define REMOVE_AS(path, day, change)                                                                                   \
    "{\"remove\":{\"path\":\"" path "\",\"deletionTimestamp\":1,\"dataChange\":" change ",\"extendedFileMetadata\":true,"  \
    "\"partitionValues\":{\"day\":\"" day "\"},\"size\":1}}"
#define VECTOR ",\"deletionVector\":{\"storageType\":\"u\",\"pathOrInlineDv\":\"ab^-aqEH.-t@S}K{vb[*k^\",\"offset\":4,"   \
               "\"sizeInBytes\":40,\"cardinality\":1}"
#define PROTOCOL(readers, writers)                                                                                     \
    "{\"protocol\":{\"minReaderVersion\":3,\"minWriterVersion\":7,\"readerFeatures\":[\"deletionVectors\"" readers       \
    "],\"writerFeatures\":[\"deletionVectors\",\"domainMetadata\",\"appendOnly\",\"invariants\"" writers "]}}"

/* `rest` stands beside "table", `actions` in "actions"; %s is a path of its own for winner and loser, %d a number that
 * grows. The letter names the operation in the matrix. */
static const struct operation {
    char letter;
    const char *rest;
    const char *actions;
} operations[] = {
    {'a', "", ADD("1")},                                                          /* blind append to day 1 */
    {'b', "", ADD("2")},                                                          /* blind append to day 2 */
    {'r', ",\"reads\":\"all\"", ADD("1")},                                        /* append after reading all */
    {'p', ",\"reads\":{\"day\":\"1\"}", ADD("1")},                                /* ... after reading its partition */
    {'q', ",\"reads\":{\"day\":\"2\"}", ADD("2")},                                /* ... another partition */
    {'f', ",\"reads\":[\"f1\"]", ADD("1")},                                       /* ... one file */
    {'v', ",\"reads\":\"all\"", ""},                                              /* only validated */
    {'d', "", REMOVE_AS("f1", "1", "true")},                                      /* delete one file */
    {'e', ",\"reads\":{\"day\":\"1\"}", REMOVE_AS("f1", "1", "true")},            /* delete where day = 1 and ... */
    {'x', "", "{\"removePartition\":{\"partitionValues\":{\"day\":\"1\"}}}"},     /* delete a partition, as it is then */
    {'o', ",\"reads\":\"all\"", REMOVE_AS("f1", "1", "true") "," REMOVE_AS("f2", "1", "true") ","
                                REMOVE_AS("g1", "2", "true") "," ADD("1")},       /* overwrite */
    {'u', ",\"reads\":[\"f1\"]", REMOVE_AS("f1", "1", "true") "," ADD_AS("f1", "1", "true", VECTOR)}, /* update with DV */
    {'z', ",\"reads\":{\"day\":\"1\"}", REMOVE_AS("f1", "1", "false") "," REMOVE_AS("f2", "1", "false") ","
                                        ADD_AS("%s", "1", "false", "")},          /* optimize */
    {'k', "", ADD_AS("f1", "1", "false", "")},                                    /* the same file, other statistics */
    {'n', ",\"properties\":{\"owner\":\"%d\"}", ""},                              /* a property of no writer's concern */
    {'h', ",\"properties\":{\"delta.dataSkippingNumIndexedCols\":\"%d\"}", ""},   /* one that binds writers */
    {'c', ",\"schema\":\"id BIGINT, day STRING, c%d INT\"", ADD("1")},            /* another schema */
    {'w', ",\"schema\":\"id BIGINT, day STRING, c%d INT\",\"reads\":\"all\"", ADD("1")}, /* ... after reading all */
    {'P', "", PROTOCOL("", ",\"checkConstraints\"")},                             /* a feature that binds at once */
    {'Q', "", PROTOCOL(",\"vacuumProtocolCheck\"", ",\"vacuumProtocolCheck\"")},  /* one that does not */
    {'t', "", "{\"txn\":{\"appId\":\"app\",\"version\":%d}}," ADD("1")},          /* exactly-once append */
    {'T', ",\"readApps\":[\"app\"]", ADD("1")},                                   /* an append that read its progress */
    {'m', "", "{\"domainMetadata\":{\"domain\":\"user.d\",\"configuration\":\"%d\",\"removed\":false}}"},
};
#define OPERATIONS (sizeof operations / sizeof operations[0])

/* --- what must come of them ------------------------------------------------------------------------------------- */
/* One letter per winner in the order of `winners`: . commits, A ConcurrentAppend, R ConcurrentDeleteRead,
 * D ConcurrentDeleteDelete, M MetadataChanged, P ProtocolChanged, T ConcurrentTransaction of an application (fatal, all
 * others are retryable), t ConcurrentTransaction of a domain. */
static const char winners[] = "abrpqfvdexouzknhcwPQtTm";
static const struct row {
    char loser;
    const char *serializable, *write_serializable;
} rows[] = {
    /* Blind: neither added nor removed files count (getFirstFileMatchingPartitionPredicates; nothing is in readFiles);
     * metaData counts unless it is of no writer's concern (attemptToResolveMetadataConflicts; a user's own property is
     * ours, Spark's allow-list lacks it), a protocol when the feature binds at once (checkProtocolCompatibility). */
    {'a', "...............MMMP....", "...............MMMP...."},
    {'b', "...............MMMP....", "...............MMMP...."},
    /* The whole table was read: every add counts, under WriteSerializable those of blind appends do not
     * (checkForAddedFilesThatShouldHaveBeenReadByCurrentTxn); every remove (checkForDeletedFilesAgainstCurrentTxnReadFiles:
     * readWholeTable). Adds are judged before removes. */
    {'r', "AAAAAA.RRRAAAA.MMMP.AA.", "..AAAA.RRRAAA..MMMP...."},
    /* One partition was read: the same for files in it; those of the other one pass (overwriting removes it too). */
    {'p', "A.AA.A.RRRAAAA.MMMP.AA.", "..AA.A.RRRAAA..MMMP...."},
    {'q', ".A..A.....R....MMMP....", "....A.....R....MMMP...."},
    /* One file was read: only its removal counts, a deletion vector's too, since it is the path that counts. */
    {'f', ".......RRRRRR..MMMP....", ".......RRRRRR..MMMP...."},
    /* A table that is only read is judged like any other. */
    {'v', "AAAAAA.RRRAAAA.MMMP.AA.", "..AAAA.RRRAAA..MMMP...."},
    /* Removed by both (checkForDeletedFilesAgainstCurrentTxnDeletedFiles). */
    {'d', ".......DDDDDD..MMMP....", ".......DDDDDD..MMMP...."},
    /* Read before removed: the read counts first. */
    {'e', "A.AA.A.RRRAAAA.MMMP.AA.", "..AA.A.RRRAAA..MMMP...."},
    /* Ours: what the partition holds is looked up under the lock, so nothing that came before can spoil it. */
    {'x', "...............MMMP....", "...............MMMP...."},
    {'o', "AAAAAA.RRRAAAA.MMMP.AA.", "..AAAA.RRRAAA..MMMP...."},
    {'u', ".......RRRRRR..MMMP....", ".......RRRRRR..MMMP...."},
    /* Without a change of data no add counts at either level (canDowngradeToSnapshotIsolation), removes do. */
    {'z', ".......RRRRRR..MMMP....", ".......RRRRRR..MMMP...."},
    /* Ours: a file added again as it was counts as read, even if the commit does not say so; else it would come back. */
    {'k', ".......RRRRRR..MMMP....", ".......RRRRRR..MMMP...."},
    /* Two changes of metaData, of whatever kind (attemptToResolveMetadataConflicts: metadataChanged). */
    {'n', "..............MMMMP....", "..............MMMMP...."},
    {'h', "..............MMMMP....", "..............MMMMP...."},
    {'c', "..............MMMMP....", "..............MMMMP...."},
    /* Under WriteSerializable blind appends count for who changes metaData. */
    {'w', "AAAAAA.RRRAAAAMMMMP.AA.", "AAAAAA.RRRAAAAMMMMP.AA."},
    /* Two changes of the protocol, of whatever kind (checkProtocolCompatibility). */
    {'P', "...............MMMPP...", "...............MMMPP..."},
    {'Q', "...............MMMPP...", "...............MMMPP..."},
    /* The same application (checkForUpdatedApplicationTransactionIdsThatCurrentTxnDependsOn), written or only read. */
    {'t', "...............MMMP.T..", "...............MMMP.T.."},
    {'T', "...............MMMP.T..", "...............MMMP.T.."},
    /* The same domain (checkIfDomainMetadataConflict). */
    {'m', "...............MMMP...t", "...............MMMP...t"},
};

/* --- running one pair ------------------------------------------------------------------------------------------- */
static const struct operation *operation_of(char letter)
{
    for (size_t i = 0; i < OPERATIONS; i++)
        if (operations[i].letter == letter)
            return &operations[i];
    cr_assert_fail("no operation %c", letter);
    return NULL;
}

/* Replace each %s and %d of a template. */
static void fill(const char *text, const char *path, int number, char *out, size_t size)
{
    size_t used = 0;
    for (; *text && used + 32 < size; text++) {
        if (text[0] == '%' && (text[1] == 's' || text[1] == 'd')) {
            used += (size_t)(text[1] == 's' ? snprintf(out + used, size - used, "%s", path)
                                            : snprintf(out + used, size - used, "%d", number));
            text++;
        } else {
            out[used++] = *text;
        }
    }
    out[used] = '\0';
}

static vde_status run(struct fixture *f, const char *table, char letter, const char *level, bool loser)
{
    const struct operation *op = operation_of(letter);
    char rest[1024], actions[4096], doc[8192];
    fill(op->rest, loser ? "loser" : "winner", loser ? 2 : 1, rest, sizeof rest);
    fill(op->actions, loser ? "loser" : "winner", loser ? 2 : 1, actions, sizeof actions);
    snprintf(doc, sizeof doc, "{\"isolation\":\"%s\",\"tables\":[{\"table\":\"%s\",\"readVersion\":1%s,\"actions\":[%s]}]}",
             level, table, rest, actions);
    return commit_json(f, doc, NULL);
}

static void make(struct fixture *f, const char *table)
{
    char doc[4096];
    snprintf(doc, sizeof doc, "{\"tables\":[{\"table\":\"%s\",\"create\":{\"schema\":\"id BIGINT, day STRING\","
             "\"partitionBy\":[\"day\"],\"properties\":{\"delta.enableDeletionVectors\":\"true\"}},\"actions\":[" PROTOCOL("", "") "]}]}", table);
    ok(commit_json(f, doc, NULL));
    snprintf(doc, sizeof doc, "{\"tables\":[{\"table\":\"%s\",\"actions\":[" ADD_AS("f1", "1", "true", "") ","
             ADD_AS("f2", "1", "true", "") "," ADD_AS("g1", "2", "true", "") "]}]}", table);
    ok(commit_json(f, doc, NULL));
}

/* The letter of what came, and that nothing landed if it was a conflict. */
static char outcome(struct fixture *f, const char *table, char winner, char loser, const char *level)
{
    static const char letters[] = ".ARDWMPT";
    uint64_t before, after;
    make(f, table);
    ok(run(f, table, winner, level, false));
    ok(lh_latest_version(f->lakehouse, table, &before));
    vde_status status = run(f, table, loser, level, true);
    char found = '.';
    if (status != VDE_OK) {
        enum lh_conflict conflict = lh_last_conflict();
        cr_expect_eq(status, LH_CONFLICT, "%c then %c: %s", winner, loser, vde_last_error()->text);
        bool domain = strstr(vde_last_error()->text, "domain") != NULL;
        found = conflict == LH_CONFLICT_CONCURRENT_TRANSACTION && domain ? 't' : letters[conflict];
        cr_expect_eq(vde_last_error()->retryable, found != 'T', "%c then %c", winner, loser);
        cr_expect(strstr(vde_last_error()->text, lh_conflict_name(conflict)));
    }
    ok(lh_latest_version(f->lakehouse, table, &after));
    cr_expect_eq(after, before + (found == '.' && loser != 'v'), "%c then %c", winner, loser);
    return found;
}

static void run_level(const char *level, size_t offset)
{
    struct fixture f;
    unsigned number = 0;
    setup(&f, 512u << 20);
    ok(lh_namespace_create(f.lakehouse, "ns", NULL, 0));
    cr_assert_eq(strlen(winners), OPERATIONS);
    cr_assert_eq(sizeof rows / sizeof rows[0], OPERATIONS);
    for (size_t r = 0; r < OPERATIONS; r++) {
        const char *want = *(const char *const *)(const void *)((const char *)&rows[r] + offset);
        char found[OPERATIONS + 1] = "";
        for (size_t w = 0; w < OPERATIONS; w++) {
            char table[32];
            snprintf(table, sizeof table, "ns.t%u", number++);
            found[w] = outcome(&f, table, winners[w], rows[r].loser, level);
        }
        cr_expect_str_eq(found, want, "%s, loser %c:\n  %s winners\n  %s found\n  %s expected", level, rows[r].loser, winners,
                         found, want);
    }
    teardown(&f);
}

Test(conformance, serializable) { run_level("Serializable", offsetof(struct row, serializable)); }

Test(conformance, write_serializable) { run_level("WriteSerializable", offsetof(struct row, write_serializable)); }
