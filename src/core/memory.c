#include "cf/core.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_FROM ((size_t)4 << 20) /* below it, half of a page's memory could go unused */

enum { SMALL_ALIGNMENT = 64 };

/** What lies right before each block. */
typedef struct header {
    void *base; /* what malloc gave */
    int64_t bytes;
} header;

static header *header_of(void *block)
{
    return (header *)block - 1;
}

static _Atomic int64_t live_blocks, held_bytes, peak_bytes, fail_countdown;

static bool must_fail(void)
{
    return atomic_load(&fail_countdown) > 0 && atomic_fetch_sub(&fail_countdown, 1) == 1;
}

static void count_block(int64_t bytes)
{
    int64_t held = atomic_fetch_add(&held_bytes, bytes) + bytes;
    int64_t peak = atomic_load(&peak_bytes);

    while (held > peak && !atomic_compare_exchange_weak(&peak_bytes, &peak, held))
        continue;
    atomic_fetch_add(&live_blocks, 1);
}

/** Zeroed and aligned memory with a header before it, or NULL. */
static void *take_block(size_t bytes)
{
    size_t alignment = bytes >= HUGE_FROM ? HUGE_PAGE : SMALL_ALIGNMENT, whole;
    void *base = NULL;

    if (must_fail() || __builtin_add_overflow(bytes, alignment, &whole)) return NULL;
    if (posix_memalign(&base, alignment, whole) != 0) return NULL;
    char *block = (char *)base + alignment;
    if (alignment == HUGE_PAGE) { /* only advice; no huge page for the header alone */
        (void)madvise(base, HUGE_PAGE, MADV_NOHUGEPAGE);
        (void)madvise(block, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    }
    header_of(block)->base = base;
    header_of(block)->bytes = (int64_t)bytes;
    memset(block, 0, bytes);
    count_block((int64_t)bytes);
    return block;
}

cf_status cf_alloc(void *pointer, int64_t count, size_t size)
{
    size_t bytes = 0;
    void *block = NULL;

    CF_ASSERT(count >= 0);
    if (!__builtin_mul_overflow((size_t)count, size, &bytes)) block = take_block(bytes);
    if (!block)
        return CF_FAIL(CF_ERR_MEMORY, "out of memory: %.0f bytes", (double)count * (double)size);
    memcpy(pointer, &block, sizeof block); /* the pointer's own type is not known here */
    return CF_OK;
}

cf_status cf_grow(void *pointer, int64_t *capacity, int64_t count, size_t size)
{
    void *old = NULL, *new = NULL;
    int64_t wanted = count;

    if (count <= *capacity) return CF_OK;
    if (*capacity <= INT64_MAX / 2 && wanted < 2 * *capacity) wanted = 2 * *capacity;
    cf_status status = cf_alloc(&new, wanted, size);
    if (status != CF_OK) return status;
    memcpy(&old, pointer, sizeof old);
    if (old) memcpy(new, old, (size_t)*capacity * size);
    cf_free(&old);
    memcpy(pointer, &new, sizeof new);
    *capacity = wanted;
    return CF_OK;
}

void cf_free(void *pointer)
{
    void *block = NULL;

    memcpy(&block, pointer, sizeof block);
    if (!block) return;
    atomic_fetch_sub(&held_bytes, header_of(block)->bytes);
    atomic_fetch_sub(&live_blocks, 1);
    free(header_of(block)->base);
    block = NULL;
    memcpy(pointer, &block, sizeof block);
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
