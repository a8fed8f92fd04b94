/* SPDX-License-Identifier: Apache-2.0 */
#include "conflict_oracle.h"

const struct file *files_find(const struct files *files, uint32_t number)
{
    for (unsigned i = 0; i < files->count; i++)
        if (files->items[i].number == number)
            return &files->items[i];
    return 0;
}

void files_remove(struct files *files, uint32_t number)
{
    for (unsigned i = 0; i < files->count; i++)
        if (files->items[i].number == number) {
            files->items[i] = files->items[--files->count];
            return;
        }
}

static bool lists(const struct file *files, unsigned count, uint32_t number)
{
    for (unsigned i = 0; i < count; i++)
        if (files[i].number == number)
            return true;
    return false;
}

bool part_is_empty(const struct part *p)
{
    return !p->add_count && !p->remove_count && p->remove_day < 0 && p->app < 0 && p->domain < 0 && !p->metadata && !p->protocol;
}

/* Only adds of files, with nothing read. */
static bool is_blind(const struct part *p)
{
    return p->add_count && !p->remove_count && p->remove_day < 0 && !p->reads_all && !p->read_days && !p->read_file_count &&
           p->domain < 0 && !p->metadata && !p->protocol;
}

/* Nothing but file actions, none of which changes data. */
static bool is_rearrangement(const struct part *p)
{
    return (p->add_count || p->remove_count) && !p->data && p->remove_day < 0 && p->app < 0 && p->domain < 0 &&
           !p->metadata && !p->protocol;
}

static bool sees_day(const struct part *p, uint8_t day) { return p->reads_all || (p->read_days >> day & 1); }

/* Spark's readFiles: what was active at the read version and matched, what was named, what is added again. */
static bool has_read(const struct part *p, const struct file *file)
{
    const struct file *seen = files_find(&p->seen, file->number);
    bool again = !p->data && seen && lists(p->adds, p->add_count, file->number);
    return p->reads_all || again || lists(p->read_files, p->read_file_count, file->number) ||
           ((seen || file->rearranged) && sees_day(p, file->day));
}

static bool added_what_was_to_be_read(const struct part *loser, bool write_serializable, const struct part *winner)
{
    if (is_rearrangement(loser) || (write_serializable && is_blind(winner) && !loser->metadata))
        return false;
    for (unsigned i = 0; i < winner->add_count; i++)
        if (sees_day(loser, winner->adds[i].day))
            return true;
    return false;
}

static bool removed_what_was_read(const struct part *loser, const struct part *winner)
{
    for (unsigned i = 0; i < winner->remove_count; i++)
        if (has_read(loser, &winner->removes[i]))
            return true;
    for (unsigned i = 0; i < winner->taken.count; i++)
        if (has_read(loser, &winner->taken.items[i]))
            return true;
    return false;
}

static bool removed_the_same(const struct part *loser, const struct part *winner)
{
    for (unsigned i = 0; i < loser->remove_count; i++)
        if (lists(winner->removes, winner->remove_count, loser->removes[i].number) ||
            files_find(&winner->taken, loser->removes[i].number))
            return true;
    return false;
}

enum verdict judge(const struct part *loser, bool write_serializable, const struct part *winner)
{
    if (winner->protocol == PROTOCOL_BINDS || (winner->protocol && loser->protocol))
        return VERDICT_PROTOCOL;
    if (winner->metadata && (winner->metadata != METADATA_SOFT || loser->metadata))
        return VERDICT_METADATA;
    if (winner->domain >= 0 && winner->domain == loser->domain)
        return VERDICT_DOMAIN;
    if (winner->app >= 0 && (winner->app == loser->app || winner->app == loser->read_app))
        return VERDICT_APP;
    if (added_what_was_to_be_read(loser, write_serializable, winner))
        return VERDICT_APPEND;
    if (removed_what_was_read(loser, winner))
        return VERDICT_DELETE_READ;
    return removed_the_same(loser, winner) ? VERDICT_DELETE_DELETE : VERDICT_NONE;
}

void apply(struct table_state *state, struct part *p)
{
    p->taken.count = 0;
    for (unsigned i = 0; i < state->active.count && p->remove_day >= 0; i++)
        if (state->active.items[i].day == p->remove_day)
            p->taken.items[p->taken.count++] = state->active.items[i];
    for (unsigned i = 0; i < p->taken.count; i++)
        files_remove(&state->active, p->taken.items[i].number);
    for (unsigned i = 0; i < p->remove_count; i++)
        files_remove(&state->active, p->removes[i].number);
    for (unsigned i = 0; i < p->add_count; i++) {
        files_remove(&state->active, p->adds[i].number);
        state->active.items[state->active.count++] = p->adds[i];
    }
    if (p->app >= 0)
        state->apps[p->app] = p->app_version;
    if (p->protocol)
        state->features = p->features;
    if (p->metadata == METADATA_SCHEMA)
        state->columns++;
}
