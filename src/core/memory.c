/* Memory: zeroed, aligned blocks with a header before each, which holds what malloc returned and
 * the size. Blocks from 4 MiB on are whole huge pages of 2 MiB, and advised to lie in such: tables
 * are read row by row at random, and would miss the TLB at each row otherwise. The counters of live
 * blocks and bytes serve the tests of leaks and of predicted memory. tests/core/memory.c.
 */
#include "cf/core.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SMALL_ALIGNMENT = 64 };

/* What lies right before each block. */
typedef struct header {
    void *base; /* what posix_memalign returned */
    int64_t bytes;
} header;

/* The header of a block: the alignment leaves room for it. */
static header *header_of(void *block)
{
    return (header *)block - 1;
}

static _Atomic int64_t live_blocks, held_bytes, peak_bytes, fail_countdown;
static _Atomic bool asks_huge;

/* True at the allocation that cf_alloc_fail_at() chose. */
static bool must_fail(void)
{
    return atomic_load(&fail_countdown) > 0 && atomic_fetch_sub(&fail_countdown, 1) == 1;
}

/* Count a new block; the peak is raised in a loop, for another thread may raise it as well. */
static void count_block(int64_t bytes)
{
    int64_t held = atomic_fetch_add(&held_bytes, bytes) + bytes;
    int64_t peak = atomic_load(&peak_bytes);

    while (held > peak && !atomic_compare_exchange_weak(&peak_bytes, &peak, held))
        continue;
    atomic_fetch_add(&live_blocks, 1);
}

/* Zeroed and aligned memory with a header before it, or NULL. */
static void *create_block(size_t bytes)
{
    const size_t alignment = bytes >= CF_HUGE_FROM ? CF_HUGE_PAGE : SMALL_ALIGNMENT;
    size_t whole;
    void *base = NULL;

    if (must_fail() || __builtin_add_overflow(bytes, 2 * alignment - 1, &whole)) return NULL;
    whole = whole / alignment * alignment; /* the header's, and what holds all bytes */
    if (posix_memalign(&base, alignment, whole) != 0) return NULL;
    char *block = (char *)base + alignment;
    if (alignment == CF_HUGE_PAGE) { /* advice alone; the header needs no huge page */
        (void)madvise(base, CF_HUGE_PAGE, MADV_NOHUGEPAGE);
        (void)madvise(block, whole - CF_HUGE_PAGE, MADV_HUGEPAGE);
        atomic_store(&asks_huge, true);
    }
    header_of(block)->base = base;
    header_of(block)->bytes = (int64_t)bytes;
    memset(block, 0, bytes);
    count_block((int64_t)bytes);
    return block;
}

/* The product may overflow for counts from a damaged file: that is out of memory, too. */
cf_status cf_alloc(void *pointer, int64_t count, size_t size)
{
    size_t bytes = 0;
    void *block = NULL;

    CF_ASSERT(count >= 0);
    if (!__builtin_mul_overflow((size_t)count, size, &bytes)) block = create_block(bytes);
    if (block == NULL)
        return CF_FAIL(CF_ERR_MEMORY, "out of memory: %.0f bytes", (double)count * (double)size);
    memcpy(pointer, &block, sizeof block); /* its type is unknown, so it is copied by bytes */
    return CF_OK;
}

/* A new block and a copy, not realloc: alignment, zeros and counters stay those of cf_alloc(). */
cf_status cf_grow(void *pointer, int64_t *capacity, int64_t count, size_t size)
{
    void *old = NULL, *new = NULL;
    int64_t new_capacity = count;

    if (count <= *capacity) return CF_OK;
    if (*capacity <= INT64_MAX / 2 && new_capacity < 2 * *capacity) new_capacity = 2 * *capacity;
    cf_status status = cf_alloc(&new, new_capacity, size);
    if (status != CF_OK) return status;
    memcpy(&old, pointer, sizeof old);
    if (old != NULL) memcpy(new, old, (size_t)*capacity * size);
    cf_free(&old);
    memcpy(pointer, &new, sizeof new);
    *capacity = new_capacity;
    return CF_OK;
}

void cf_free(void *pointer)
{
    void *block = NULL;

    memcpy(&block, pointer, sizeof block);
    if (block == NULL) return;
    atomic_fetch_sub(&held_bytes, header_of(block)->bytes);
    atomic_fetch_sub(&live_blocks, 1);
    free(header_of(block)->base);
    block = NULL;
    memcpy(pointer, &block, sizeof block);
}

cf_status cf_alloc_count(int64_t bytes)
{
    if (must_fail()) return CF_FAIL(CF_ERR_MEMORY, "out of memory: %lld bytes", (long long)bytes);
    count_block(bytes);
    return CF_OK;
}

void cf_alloc_uncount(int64_t bytes)
{
    atomic_fetch_sub(&held_bytes, bytes);
    atomic_fetch_sub(&live_blocks, 1);
}

bool cf_alloc_asks_huge(void)
{
    return atomic_load(&asks_huge);
}

void cf_alloc_fail_at(int64_t n)
{
    atomic_store(&fail_countdown, n);
}

int64_t cf_alloc_live(void)
{
    return atomic_load(&live_blocks);
}

int64_t cf_alloc_held(void)
{
    return atomic_load(&held_bytes);
}

int64_t cf_alloc_peak(void)
{
    return atomic_load(&peak_bytes);
}

void cf_alloc_reset_peak(void)
{
    atomic_store(&peak_bytes, cf_alloc_held());
}
