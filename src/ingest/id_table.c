/* A hash table from ids to numbers, in order of first appearance.
 *
 * Open addressing with linear probing over slots of 16 bytes, at most half of them taken; the hash
 * is XXH3. A slot holds the whole id if it is short, so that most look-ups touch one cache line;
 * longer ids are compared with their bytes in the arena. Ids that are decimal numbers of at most 7
 * digits are also found in an array indexed by their value: a load instead of a hash and a probe.
 */
#include "ids.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { SHORT_BYTES = 11 }; /* the longest id that fits into a slot, with a NUL */

/* `number`: the id's number + 1; 0: the slot is free. `key`: a short id, padded with NULs; or the
 * hash of a longer one, the low bits of its length, and a last byte that no short id has. */
typedef struct ingest_slot {
    uint32_t key[3], number;
} slot;

uint64_t ingest_hash(const char *bytes, int64_t length)
{
    return XXH3_64bits(bytes, (size_t)length);
}

/* The slot that an id would have, without its number. */
static slot make_key(uint64_t hash, const char *id, int64_t length)
{
    slot made = {{(uint32_t)hash, (uint32_t)(hash >> 32), (uint32_t)length | 0xff000000U}, 0};

    if (length <= SHORT_BYTES) {
        made = (slot){0};
        memcpy(made.key, id, (size_t)length);
    }
    return made;
}

/* True if the slot's id, a long one, has these bytes. */
static bool is_id(const ingest_id_table *table, const slot *at, const char *id, int64_t length)
{
    const int64_t start = table->start[at->number - 1];

    return table->start[at->number] - start - 1 == length &&
           memcmp(table->bytes + start, id, (size_t)length) == 0;
}

/* The slot that holds the id, or the free slot where it is to be inserted. */
static slot *find_slot(const ingest_id_table *table, uint64_t hash, const char *id, int64_t length)
{
    const uint64_t mask = (uint64_t)table->n_slots - 1;
    const slot want = make_key(hash, id, length);

    /* Ends, for at least half of the slots are free. */
    for (uint64_t k = hash & mask;; k = (k + 1) & mask) {
        slot *at = &table->slots[k];

        if (at->number == 0) return at;
        if (at->key[0] == want.key[0] && at->key[1] == want.key[1] && at->key[2] == want.key[2] &&
            (length <= SHORT_BYTES || is_id(table, at, id, length)))
            return at;
    }
}

/* The hash of the id in a slot: kept there for a long one, computed again for a short one. */
static uint64_t slot_hash(const slot *at)
{
    const char *id = (const char *)at->key;

    if (at->key[2] >> 24) return at->key[0] | (uint64_t)at->key[1] << 32;
    return ingest_hash(id, (int64_t)strlen(id));
}

/* Double the number of slots and insert all again. */
static cf_status grow_slots(ingest_id_table *table)
{
    const int64_t n = table->n_slots > 0 ? 2 * table->n_slots : 4096;
    slot *slots = NULL;
    cf_status status = CF_ALLOC(slots, n);

    if (status != CF_OK) return status;
    for (int64_t k = 0; k < table->n_slots; k++) {
        uint64_t at;

        if (table->slots[k].number == 0) continue;
        at = slot_hash(&table->slots[k]) & (uint64_t)(n - 1);
        while (slots[at].number > 0)
            at = (at + 1) & (uint64_t)(n - 1);
        slots[at] = table->slots[k];
    }
    cf_free(&table->slots);
    table->slots = slots;
    table->n_slots = n;
    return CF_OK;
}

/* Give an id the next number, and copy its bytes into the arena. */
static cf_status append_id(ingest_id_table *table, const char *id, int64_t length)
{
    int64_t end = table->count > 0 ? table->start[table->count] : 0;
    cf_status status;

    if (table->count >= UINT32_MAX - 1)
        return CF_FAIL(CF_ERR_FORMAT, "more than %u different ids", UINT32_MAX - 1);
    CF_TRY(CF_GROW(table->start, table->start_capacity, table->count + 2));
    CF_TRY(CF_GROW(table->bytes, table->byte_capacity, end + length + 1));
    memcpy(table->bytes + end, id, (size_t)length);
    table->bytes[end + length] = 0;
    table->start[++table->count] = end + length + 1;
done:
    return status;
}

/* ---- Small decimal numbers ------------------------------------------------------------------- */

enum { MAX_DIGITS = 7 };

/* The value of an id that is a decimal number of at most MAX_DIGITS digits without leading zeros;
 * -1: another id. All digits are parsed at once, because the branch that ends a loop over a few
 * digits is mispredicted most of the time. The digits are shifted to the high end of eight bytes,
 * with '0' in the low ones; then multiplications join digits to pairs, pairs to fours, and fours to
 * the value (Lemire 2018, "Quickly parsing eight digits"). */
static int64_t small_value(const char *id, int64_t length)
{
    const uint64_t zeros = UINT64_C(0x3030303030303030), high = UINT64_C(0xf0f0f0f0f0f0f0f0);
    uint64_t word;

    if (length > MAX_DIGITS || length == 0 || (id[0] == '0' && length > 1)) return -1;
    memcpy(&word, id, 8); /* within INGEST_SLACK */
    /* length < 8, so both shifts are of less than 64 bits. */
    word = word << 8 * (8 - length) | zeros >> 8 * length;
    /* Every byte is a digit: its high half is 3, and stays 3 when 6 is added. */
    if ((word & high) != zeros || ((word + UINT64_C(0x0606060606060606)) & high) != zeros)
        return -1;
    word -= zeros;
    word = word * 10 + (word >> 8);
    word = (word & UINT64_C(0xff000000ff)) * (100 + (UINT64_C(1000000) << 32)) +
           (word >> 16 & UINT64_C(0xff000000ff)) * (1 + (UINT64_C(10000) << 32));
    return (int64_t)(word >> 32);
}

int64_t ingest_find_small_id(const ingest_id_table *table, const ingest_field *id)
{
    const int64_t value = small_value(id->text, id->length);

    return value >= 0 && value < table->n_values ? (int64_t)table->by_value[value] - 1 : -1;
}

/* Enter the newest id into by_value, if it is a small number. */
static cf_status index_value(ingest_id_table *table, const ingest_field *id)
{
    const int64_t value = small_value(id->text, id->length);
    cf_status status = CF_OK;

    if (value < 0) return CF_OK;
    CF_TRY(CF_GROW(table->by_value, table->n_values, value + 1));
    table->by_value[value] = (uint32_t)table->count;
done:
    return status;
}

/* The table grows before the look-up, so that the slot found stays valid. Slots are full at one
 * half: probing then takes 1.5 steps for a known id and 2.5 for a new one (Knuth 1963, linear
 * probing). */
cf_status ingest_add_id(ingest_id_table *table, uint64_t hash, const ingest_field *id,
                        int64_t *number)
{
    cf_status status = CF_OK;
    slot *at;

    if (2 * (table->count + 1) > table->n_slots) CF_TRY(grow_slots(table));
    at = find_slot(table, hash, id->text, id->length);
    if (at->number == 0) {
        CF_TRY(append_id(table, id->text, id->length));
        CF_TRY(index_value(table, id));
        *at = make_key(hash, id->text, id->length);
        at->number = (uint32_t)table->count;
    }
    *number = (int64_t)at->number - 1;
done:
    return status;
}

/* The probe begins at the hash's slot, and seldom leaves its cache line. */
void ingest_prefetch_id(const ingest_id_table *table, uint64_t hash)
{
    if (table->n_slots > 0)
        __builtin_prefetch(&table->slots[hash & (uint64_t)(table->n_slots - 1)]);
}

int64_t ingest_find_id(const ingest_id_table *table, const char *id, int64_t length)
{
    if (table->count == 0) return -1;
    return (int64_t)find_slot(table, ingest_hash(id, length), id, length)->number - 1;
}

void ingest_destroy_id_table(ingest_id_table *table)
{
    cf_free(&table->start);
    cf_free(&table->bytes);
    cf_free(&table->slots);
    cf_free(&table->by_value);
    *table = (ingest_id_table){0};
}
