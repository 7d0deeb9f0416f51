/* Decimal numbers in text, and excerpts of text for messages.
 *
 * Most numbers have at most 15 digits and no exponent. Such a number is an integer below 2^53 over
 * an exact power of ten; one division rounds it correctly (Clinger 1990, "How to read floating
 * point numbers accurately", the fast path). All others go to strtod(). */
#include "fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *ingest_excerpt(const char *text, int64_t length)
{
    static char out[44];
    const int64_t n = cf_min(length, 40);

    for (int64_t k = 0; k < n; k++)
        out[k] = (unsigned char)text[k] < 32 ? '?' : text[k];
    strcpy(out + n, length > n ? "..." : "");
    return out;
}

/* Parse by strtod(), which also takes spaces, "inf", "nan" and hexadecimal numbers: these are
 * excluded by their characters. Numbers of over 63 characters are refused. */
static bool parse_by_strtod(const char *text, int64_t length, double *out)
{
    char copy[64], *end;

    if (length >= (int64_t)sizeof copy) return false;
    memcpy(copy, text, (size_t)length);
    copy[length] = 0;
    if (strspn(copy, "0123456789+-.eE") < (size_t)length) return false;
    *out = strtod(copy, &end);
    return length > 0 && end == copy + length && isfinite(*out);
}

/* A mantissa of digits with the point left out, over the power of ten that puts it back. */
bool ingest_parse_number(const char *text, int64_t length, double *out)
{
    static const double power[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const int64_t sign = length > 0 && text[0] == '-';
    int64_t mantissa = 0, point = -1, digits = 0;

    for (int64_t k = sign; k < length; k++) {
        unsigned digit = (unsigned)(text[k] - '0');

        /* 15 digits are below 2^53: the mantissa is exact as a double. */
        if (digit < 10 && digits < 15) {
            mantissa = mantissa * 10 + digit;
            digits++;
        } else if (text[k] == '.' && point < 0)
            point = digits;
        else
            return parse_by_strtod(text, length, out);
    }
    if (digits == 0) return false;
    *out = (double)mantissa / power[point < 0 ? 0 : digits - point];
    if (sign) *out = -*out;
    return true;
}
