/* The nearest name, for "did you mean".
 *
 * Distance is Levenshtein's, case ignored: the least number of insertions, deletions and
 * substitutions (Wagner, Fischer 1974). */
#include "internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { MAX_NAME_LENGTH = 63 };

/* The table d[i][j] = distance of a[0..i) and b[0..j) is filled row by row, and only one row is
 * kept: before step j, row[j + 1] is d[i][j + 1], row[j] is d[i + 1][j], and diagonal is d[i][j].
 */
static int distance(const char *a, const char *b)
{
    int row[MAX_NAME_LENGTH + 1];
    int n = (int)strlen(b);

    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 0; a[i] != '\0'; i++) {
        int diagonal = row[0];

        row[0] = i + 1;
        for (int j = 0; j < n; j++) {
            int same = tolower((unsigned char)a[i]) == tolower((unsigned char)b[j]);
            int best = diagonal + !same;

            diagonal = row[j + 1];
            if (diagonal + 1 < best) best = diagonal + 1;
            if (row[j] + 1 < best) best = row[j] + 1;
            row[j + 1] = best;
        }
    }
    return row[n];
}

/* The first of the names at least distance. A bound keeps the hint plausible: beyond it a name is
 * another word, not a slip. */
int cf_config_nearest(const char *name, const char *const *names, int n)
{
    size_t length = strlen(name);
    int nearest = -1;
    int least = length < 3 ? 1 : length < 9 ? 2 : 3; /* a longer name has room for more slips */

    if (length == 0 || length > MAX_NAME_LENGTH) return -1;
    for (int k = 0; k < n; k++) {
        int d = strlen(names[k]) > MAX_NAME_LENGTH ? MAX_NAME_LENGTH : distance(name, names[k]);

        if (d >= (int)strlen(names[k])) continue; /* no letter in common: not a slip */
        if (d < least || (d == least && nearest < 0)) {
            least = d;
            nearest = k;
        }
    }
    return nearest;
}

const char *config_hint(const char *name, const char *const *names, int n, char *out)
{
    int k = cf_config_nearest(name, names, n);

    out[0] = '\0';
    if (k >= 0) snprintf(out, 120, " (did you mean \"%s\"?)", names[k]);
    return out;
}
