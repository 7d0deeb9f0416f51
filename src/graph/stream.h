/**
 * Private to graph: stores past the caches, for fields larger than these.
 *
 * A line that is stored in the usual way is first read, and then takes the place of another in the
 * caches, though it is evicted before a sum reads it. A streaming store does neither. It may be
 * seen by other threads later than stores after it: stream_end() orders it before them.
 */
#pragma once

#include "cf/math.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

/** Store `bytes` (a multiple of 32) from `values` to `out`, both aligned to 32 bytes. */
static inline void stream_store(void *out, const void *values, const size_t bytes)
{
#ifdef __AVX__
    for (size_t b = 0; b < bytes; b += sizeof(__m256i))
        _mm256_stream_si256((__m256i *)(void *)((char *)out + b),
                            *(const __m256i *)(const void *)((const char *)values + b));
#else
    __builtin_memcpy(out, values, bytes);
#endif
}

/** The calling thread's streaming stores come before what it does next. */
static inline void stream_end(void)
{
#ifdef __SSE2__
    _mm_sfence();
#endif
}
