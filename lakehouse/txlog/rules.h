/* SPDX-License-Identifier: Apache-2.0 */
/* rules.h -- the conflict rules, each of which can be switched off in a special build (-DVDE_MUTATE=n): tests/mutation
 * shows that a test misses it. In every other build the conditions are constants and vanish. */
#ifndef LH_TXLOG_RULES_H
#define LH_TXLOG_RULES_H

#ifndef VDE_MUTATE
#define VDE_MUTATE 0
#endif

/* Numbers behind those of the engine (vde/base/mutate.h). Each says what the rule does. */
enum lh_rule {
    LH_RULE_PROTOCOL_BOTH = 101,      /* two changes of the protocol conflict */
    LH_RULE_PROTOCOL_DROPS = 102,     /* a winner that drops a feature conflicts */
    LH_RULE_PROTOCOL_ADDS = 103,      /* a winner that adds a feature which binds writers at once conflicts */
    LH_RULE_PROTOCOL_SOFT = 104,      /* ... any other feature does not */
    LH_RULE_METADATA_BOTH = 105,      /* two changes of metaData conflict */
    LH_RULE_METADATA_BINDS = 106,     /* a change of metaData that binds writers conflicts */
    LH_RULE_METADATA_SOFT = 107,      /* ... any other does not */
    LH_RULE_DOMAIN = 108,             /* the same domain in both conflicts */
    LH_RULE_DOMAIN_ROW_TRACKING = 109,/* ... but delta.rowTracking */
    LH_RULE_APP_WRITTEN = 110,        /* an application id that both write conflicts */
    LH_RULE_APP_READ = 111,           /* an application id that was read and then written conflicts */
    LH_RULE_APPEND = 112,             /* an added file that should have been read conflicts */
    LH_RULE_APPEND_PARTITION = 113,   /* ... but not one of another partition */
    LH_RULE_APPEND_BLIND = 114,       /* ... nor under WriteSerializable that of a blind append */
    LH_RULE_APPEND_METADATA = 115,    /* ... unless the loser changes metaData */
    LH_RULE_APPEND_SNAPSHOT = 116,    /* ... nor for a loser that changes no data */
    LH_RULE_APPEND_BACKFILL = 117,    /* ... nor what row tracking's backfill adds again */
    LH_RULE_DELETE_READ_FILE = 118,   /* a removed file that was read conflicts */
    LH_RULE_DELETE_READ_ALL = 119,    /* any removed file conflicts with a reader of everything */
    LH_RULE_DELETE_READ_PARTITION = 120, /* ... one of a partition that was read with its reader */
    LH_RULE_DELETE_READ_NEW = 121,    /* ... but not a file that came after the reading */
    LH_RULE_DELETE_READ_KEPT = 122,   /* a removed file that is added again without a change of data conflicts */
    LH_RULE_DELETE_DELETE = 123,      /* a file removed by both conflicts */
    LH_RULE_EXPECTED_VERSION = 124,   /* another next version than the expected one conflicts */
};

#define LH_RULE_HOLDS(rule) (VDE_MUTATE != (int)(rule))

#endif
