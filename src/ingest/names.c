/* Ids: bytes to numbers. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { SHORT = 11 };

/*
 * `number` + 1, 0 if free. `key`: a short id itself, so that looking it up touches one cache line;
 * of a longer one its hash, the low bits of its length, and a last byte that no short id has.
 */
typedef struct ingest_slot {
    uint32_t key[3], number;
} slot;

uint64_t ingest_hash(const char *bytes, int64_t length)
{
    return XXH3_64bits(bytes, (size_t)length);
}

static slot make_key(uint64_t hash, const char *id, int64_t length)
{
    slot made = {{(uint32_t)hash, (uint32_t)(hash >> 32), (uint32_t)length | 0xff000000U}, 0};

    if (length <= SHORT) {
        made = (slot){0};
        memcpy(made.key, id, (size_t)length);
    }
    return made;
}

static bool is_name(const ingest_names *names, const slot *at, const char *id, int64_t length)
{
    const int64_t start = names->start[at->number - 1];

    return names->start[at->number] - start - 1 == length &&
           memcmp(names->bytes + start, id, (size_t)length) == 0;
}

/* The slot that holds the id, or the free one where it belongs. */
static slot *find_slot(const ingest_names *names, uint64_t hash, const char *id, int64_t length)
{
    const uint64_t mask = (uint64_t)names->n_slots - 1;
    const slot want = make_key(hash, id, length);

    for (uint64_t k = hash & mask;; k = (k + 1) & mask) {
        slot *at = &names->slots[k];

        if (at->number == 0) return at;
        if (at->key[0] == want.key[0] && at->key[1] == want.key[1] && at->key[2] == want.key[2] &&
            (length <= SHORT || is_name(names, at, id, length)))
            return at;
    }
}

static uint64_t slot_hash(const slot *at)
{
    const char *id = (const char *)at->key;

    if (at->key[2] >> 24) return at->key[0] | (uint64_t)at->key[1] << 32;
    return ingest_hash(id, (int64_t)strlen(id));
}

/* Twice as many slots, at least; at most half of them are ever taken. */
static cf_status grow_slots(ingest_names *names)
{
    const int64_t n = names->n_slots > 0 ? 2 * names->n_slots : 4096;
    slot *slots = NULL;
    cf_status status = CF_ALLOC(slots, n);

    if (status != CF_OK) return status;
    for (int64_t k = 0; k < names->n_slots; k++) {
        uint64_t at;

        if (names->slots[k].number == 0) continue;
        at = slot_hash(&names->slots[k]) & (uint64_t)(n - 1);
        while (slots[at].number > 0)
            at = (at + 1) & (uint64_t)(n - 1);
        slots[at] = names->slots[k];
    }
    cf_free(&names->slots);
    names->slots = slots;
    names->n_slots = n;
    return CF_OK;
}

static cf_status append(ingest_names *names, const char *id, int64_t length)
{
    int64_t end = names->count > 0 ? names->start[names->count] : 0;
    cf_status status;

    if (names->count >= UINT32_MAX - 1)
        return CF_FAIL(CF_ERR_FORMAT, "more than %u different ids", UINT32_MAX - 1);
    CF_TRY(CF_GROW(names->start, names->start_capacity, names->count + 2));
    CF_TRY(CF_GROW(names->bytes, names->byte_capacity, end + length + 1));
    memcpy(names->bytes + end, id, (size_t)length);
    names->bytes[end + length] = 0;
    names->start[++names->count] = end + length + 1;
done:
    return status;
}

/* ---- Small whole numbers --------------------------------------------------------------------- */

enum { MOST_DIGITS = 7 };

/*
 * The value of an id that is a whole number of few digits, without leading zeros; -1: another id.
 * All digits at once, for a loop over so few is mostly wrong guesses of where it ends: eight bytes
 * with zeros before the number, the first digit lowest; then pairs, fours and all are joined by
 * multiplying (Lemire 2018, "Quickly parsing eight digits").
 */
static int64_t small_value(const char *id, int64_t length)
{
    const uint64_t zeros = UINT64_C(0x3030303030303030), high = UINT64_C(0xf0f0f0f0f0f0f0f0);
    uint64_t word;

    if (length > MOST_DIGITS || length == 0 || (id[0] == '0' && length > 1)) return -1;
    memcpy(&word, id, 8);
    word = word << 8 * (8 - length) | zeros >> 8 * length;
    if ((word & high) != zeros || ((word + UINT64_C(0x0606060606060606)) & high) != zeros)
        return -1;
    word -= zeros;
    word = word * 10 + (word >> 8);
    word = (word & UINT64_C(0xff000000ff)) * (100 + (UINT64_C(1000000) << 32)) +
           (word >> 16 & UINT64_C(0xff000000ff)) * (1 + (UINT64_C(10000) << 32));
    return (int64_t)(word >> 32);
}

int64_t ingest_names_known(const ingest_names *names, const ingest_field *id)
{
    const int64_t value = small_value(id->text, id->length);

    return value >= 0 && value < names->n_values ? (int64_t)names->by_value[value] - 1 : -1;
}

static cf_status note_value(ingest_names *names, const ingest_field *id)
{
    const int64_t value = small_value(id->text, id->length);
    cf_status status = CF_OK;

    if (value < 0) return CF_OK;
    CF_TRY(CF_GROW(names->by_value, names->n_values, value + 1));
    names->by_value[value] = (uint32_t)names->count;
done:
    return status;
}

cf_status ingest_names_add(ingest_names *names, uint64_t hash, const ingest_field *id,
                           int64_t *number)
{
    cf_status status = CF_OK;
    slot *at;

    if (2 * (names->count + 1) > names->n_slots) CF_TRY(grow_slots(names));
    at = find_slot(names, hash, id->text, id->length);
    if (at->number == 0) {
        CF_TRY(append(names, id->text, id->length));
        CF_TRY(note_value(names, id));
        *at = make_key(hash, id->text, id->length);
        at->number = (uint32_t)names->count;
    }
    *number = (int64_t)at->number - 1;
done:
    return status;
}

void ingest_names_prefetch(const ingest_names *names, uint64_t hash)
{
    if (names->n_slots > 0)
        __builtin_prefetch(&names->slots[hash & (uint64_t)(names->n_slots - 1)]);
}

int64_t ingest_names_find(const ingest_names *names, const char *id, int64_t length)
{
    if (names->count == 0) return -1;
    return (int64_t)find_slot(names, ingest_hash(id, length), id, length)->number - 1;
}

void ingest_names_free(ingest_names *names)
{
    cf_free(&names->start);
    cf_free(&names->bytes);
    cf_free(&names->slots);
    cf_free(&names->by_value);
    *names = (ingest_names){0};
}
