/* Unions of intervals in RecBole's notation, "(0,1];[3,inf)": a bracket includes the bound, a
 * parenthesis excludes it. Spaces around bounds and intervals are allowed. */
#include "split.h"

#include <math.h>
#include <string.h>

/* A number, inf, +inf or -inf; false if it is none. */
static bool parse_bound(const char *text, int64_t length, double *out)
{
    while (length > 0 && *text == ' ')
        text++, length--;
    while (length > 0 && text[length - 1] == ' ')
        length--;
    if ((length == 3 && memcmp(text, "inf", 3) == 0) ||
        (length == 4 && memcmp(text, "+inf", 4) == 0))
        *out = INFINITY;
    else if (length == 4 && memcmp(text, "-inf", 4) == 0)
        *out = -INFINITY;
    else
        return ingest_parse_number(text, length, out);
    return true;
}

/* Append one interval. Returns the text behind it; NULL if it is malformed. */
static const char *parse_interval(const char *text, cf_ingest_intervals *out)
{
    const char *comma, *end;
    double low, high;

    text += strspn(text, " ");
    if (*text != '[' && *text != '(') return NULL;
    comma = strchr(text, ',');
    end = comma != NULL ? strpbrk(comma, "])") : NULL;
    if (end == NULL || !parse_bound(text + 1, comma - text - 1, &low) ||
        !parse_bound(comma + 1, end - comma - 1, &high) || low > high)
        return NULL;
    out->part[out->count].low = low;
    out->part[out->count].high = high;
    out->part[out->count].low_open = *text == '(';
    out->part[out->count].high_open = *end == ')';
    out->count++;
    end++;
    return end + strspn(end, " ");
}

/* Intervals are separated by ';'. Anything else behind one, or too many of them, is malformed. */
cf_status ingest_parse_intervals(const char *setting, const char *text, cf_ingest_intervals *out)
{
    cf_ingest_intervals intervals = {.text = text};

    for (const char *at = text; intervals.count < CF_INGEST_MAX_INTERVALS;) {
        at = parse_interval(at, &intervals);
        if (at == NULL || (*at != 0 && *at != ';')) break;
        if (*at == 0) {
            *out = intervals;
            return CF_OK;
        }
        at++;
    }
    return CF_FAIL(CF_ERR_USAGE,
                   "%s: \"%s\" is not an interval, expected such as [3,inf) or (0,1];[2,3]",
                   setting, ingest_excerpt(text, (int64_t)strlen(text)));
}

/* Intervals may overlap: the first that holds the value decides. */
bool ingest_is_in_intervals(const cf_ingest_intervals *intervals, double value)
{
    for (int k = 0; k < intervals->count; k++) {
        bool above = intervals->part[k].low_open ? value > intervals->part[k].low
                                                 : value >= intervals->part[k].low;
        bool below = intervals->part[k].high_open ? value < intervals->part[k].high
                                                  : value <= intervals->part[k].high;

        if (above && below) return true;
    }
    return false;
}
