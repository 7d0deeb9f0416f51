/* Times: numbers as they are, or dates of ISO 8601 in seconds since 1970-01-01 UTC.
 *
 *   YYYY-MM-DD, then perhaps "T" or a space and HH:MM, :SS, .fraction, then perhaps "Z" or +HH:MM
 *
 * Without a zone it is UTC. The calendar is the Gregorian one, as in ISO 8601; a day has 86400
 * seconds (a leap second, :60, is the next second). */
#include "fields.h"

/* A text that is read from its beginning. */
typedef struct cursor {
    const char *at, *end;
} cursor;

static bool take(cursor *c, char expected)
{
    if (c->at == c->end || *c->at != expected) return false;
    c->at++;
    return true;
}

/* A number of exactly `digits` digits, low to high. */
static bool take_number(cursor *c, int digits, int low, int high, int *out)
{
    *out = 0;
    if (c->end - c->at < digits) return false;
    for (int k = 0; k < digits; k++, c->at++) {
        if (*c->at < '0' || *c->at > '9') return false;
        *out = *out * 10 + (*c->at - '0');
    }
    return *out >= low && *out <= high;
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 1970-01-01 to a date; false if the text has none. */
static bool take_date(cursor *c, int64_t *days)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int year, month, day, in_month;

    if (!take_number(c, 4, 1, 9999, &year) || !take(c, '-') || !take_number(c, 2, 1, 12, &month) ||
        !take(c, '-') || !take_number(c, 2, 1, 31, &day))
        return false;
    in_month = before[month] - before[month - 1] + (month == 2 && is_leap(year));
    /* years before this one: every fourth is a leap year, but for three of four centuries */
    *days = (year - 1970) * INT64_C(365) + ((year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400) -
            (1969 / 4 - 1969 / 100 + 1969 / 400) + before[month - 1] +
            (month > 2 && is_leap(year)) + day - 1;
    return day <= in_month;
}

/* Digits behind a point. */
static bool take_fraction(cursor *c, double *out)
{
    const char *begin = c->at;
    double scale = 1;

    for (*out = 0; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        scale /= 10;
        *out += scale * (*c->at - '0');
    }
    return c->at > begin;
}

/* Seconds since midnight: HH:MM, :SS and its fraction may lack. */
static bool take_clock(cursor *c, double *out)
{
    int hour, minute, second = 0;
    double fraction = 0;

    if (!take_number(c, 2, 0, 24, &hour) || !take(c, ':') || !take_number(c, 2, 0, 59, &minute))
        return false;
    if (take(c, ':')) {
        if (!take_number(c, 2, 0, 60, &second)) return false;
        if (take(c, '.') && !take_fraction(c, &fraction)) return false;
    }
    *out = hour * 3600 + minute * 60 + second + fraction;
    return hour < 24 || *out == 86400;
}

/* Seconds by which local time is ahead of UTC: Z, +HH:MM, +HHMM, +HH, or nothing. */
static bool take_zone(cursor *c, double *out)
{
    const bool west = take(c, '-');
    int hour = 0, minute = 0;

    *out = 0;
    if (c->at == c->end) return !west;
    if (!west && take(c, 'Z')) return true;
    if (!west && !take(c, '+')) return false;
    if (!take_number(c, 2, 0, 23, &hour)) return false;
    if ((take(c, ':') || c->at < c->end) && !take_number(c, 2, 0, 59, &minute)) return false;
    *out = (west ? -1 : 1) * (hour * 3600 + minute * 60);
    return true;
}

bool ingest_parse_time(const char *text, int64_t length, double *out)
{
    cursor c = {text, text + length};
    double clock = 0, zone = 0;
    int64_t days;

    if (ingest_parse_number(text, length, out)) return true;
    if (!take_date(&c, &days)) return false;
    if ((take(&c, 'T') || take(&c, ' ')) && (!take_clock(&c, &clock) || !take_zone(&c, &zone)))
        return false;
    if (c.at != c.end) return false;
    *out = (double)days * 86400 + clock - zone;
    return true;
}
