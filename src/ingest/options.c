/* The settings of prepare, and intervals in RecBole's notation. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const cf_setting cf_ingest_settings[] = {
    {.name = "field_separator",
     .kind = CF_SETTING_TEXT,
     .initial = "\"\\t\"",
     .help = "the character between columns of the input files"},
    {.name = "seq_separator",
     .kind = CF_SETTING_TEXT,
     .initial = "\" \"",
     .help = "the character between the numbers of a float_seq column"},
    {.name = "user_field",
     .kind = CF_SETTING_TEXT,
     .initial = "user_id",
     .help = "column of user ids (RecBole's USER_ID_FIELD)"},
    {.name = "item_field",
     .kind = CF_SETTING_TEXT,
     .initial = "item_id",
     .help = "column of item ids (RecBole's ITEM_ID_FIELD)"},
    {.name = "time_field",
     .kind = CF_SETTING_TEXT,
     .initial = "timestamp",
     .help = "column of times (RecBole's TIME_FIELD), needed by order: time"},
    {.name = "rating_field",
     .kind = CF_SETTING_TEXT,
     .initial = "rating",
     .help = "column of ratings (RecBole's RATING_FIELD), checked where there is one"},
    {.name = "title_field",
     .kind = CF_SETTING_TEXT,
     .initial = "title",
     .help = "column of the item file with titles, kept where there is one"},
    {.name = "embedding_field",
     .kind = CF_SETTING_TEXT,
     .initial = "",
     .help = "float_seq column of the item file with the vectors, instead of --embedding"},
    {.name = "split",
     .kind = CF_SETTING_CHOICE,
     .initial = "LS",
     .choices = "LS|RS",
     .help = "leave one out for valid and test, or ratios; within each user"},
    {.name = "split_ratios",
     .kind = CF_SETTING_REAL_LIST,
     .initial = "[0.8, 0.1, 0.1]",
     .min = 0,
     .max = 1e9,
     .help = "train, valid and test shares of RS, of any sum"},
    {.name = "order",
     .kind = CF_SETTING_CHOICE,
     .initial = "random",
     .choices = "random|time",
     .help = "order of a user's interactions before the split"},
    {.name = "val_interval",
     .kind = CF_SETTING_MAP,
     .initial = "",
     .help = "keep interactions whose column is in an interval: {rating: \"[3,inf)\"}"},
    {.name = "user_inter_num_interval",
     .kind = CF_SETTING_TEXT,
     .initial = "\"[0,inf)\"",
     .help = "keep users with so many interactions, again until nothing changes"},
    {.name = "item_inter_num_interval",
     .kind = CF_SETTING_TEXT,
     .initial = "\"[0,inf)\"",
     .help = "keep items with so many interactions, again until nothing changes"},
    {.name = "missing_embedding",
     .kind = CF_SETTING_CHOICE,
     .initial = "error",
     .choices = "error|zero|mean|random",
     .help = "items without a vector: refuse, or keep them with a mark"},
    {.name = "embedding_model",
     .kind = CF_SETTING_TEXT,
     .initial = "",
     .help = "name of the language model, kept in the file"},
    {.name = "seed",
     .kind = CF_SETTING_INT,
     .initial = "2020",
     .min = 0,
     .max = 9007199254740992.0,
     .help = "seed of the random order"},
    {0}};

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

/* One "[low,high)" from `text`; gives back what follows it, NULL if it is none. */
static const char *parse_interval(const char *text, ingest_intervals *out)
{
    const char *comma, *end;
    double low, high;

    text += strspn(text, " ");
    if (*text != '[' && *text != '(') return NULL;
    comma = strchr(text, ',');
    end = comma ? strpbrk(comma, "])") : NULL;
    if (!end || !parse_bound(text + 1, comma - text - 1, &low) ||
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

cf_status ingest_intervals_parse(const char *setting, const char *text, ingest_intervals *out)
{
    ingest_intervals intervals = {0};

    for (const char *at = text; intervals.count < INGEST_MAX_INTERVALS;) {
        at = parse_interval(at, &intervals);
        if (!at || (*at != 0 && *at != ';')) break;
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

bool ingest_intervals_hold(const ingest_intervals *intervals, double value)
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

/* "\t" may also be written as a backslash and a t, as shells pass it. */
static cf_status read_separator(const cf_config *config, const char *name, char *out)
{
    const char *text = cf_config_text(config, name);

    if (strcmp(text, "\\t") == 0)
        *out = '\t';
    else if (strlen(text) == 1 && !strchr("\n\r:\"", text[0]))
        *out = text[0];
    else
        return CF_FAIL(CF_ERR_USAGE, "%s: \"%s\" is not a separator, expected one character", name,
                       ingest_excerpt(text, (int64_t)strlen(text)));
    return CF_OK;
}

static cf_status read_ratios(const cf_config *config, ingest_options *out)
{
    int count;
    const double *ratios = cf_config_reals(config, "split_ratios", &count);
    double sum = 0;

    if (count != 3 || ratios[0] <= 0)
        return CF_FAIL(CF_ERR_USAGE,
                       "split_ratios: expected three numbers, the first above 0, such "
                       "as [0.8, 0.1, 0.1]");
    for (int k = 0; k < 3; k++)
        sum += ratios[k];
    for (int k = 0; k < 3; k++)
        out->ratios[k] = ratios[k] / sum;
    return CF_OK;
}

static cf_status read_filters(const cf_config *config, ingest_options *out)
{
    const char *field, *text;
    cf_status status;

    for (int k = 0; cf_config_entry(config, "val_interval", k, &field, &text); k++) {
        if (k == INGEST_MAX_FILTERS)
            return CF_FAIL(CF_ERR_USAGE, "val_interval: more than %d columns", INGEST_MAX_FILTERS);
        out->filter_field[k] = field;
        CF_TRY(ingest_intervals_parse("val_interval", text, &out->filter[k]));
        out->n_filters = k + 1;
    }
    CF_TRY(ingest_intervals_parse("user_inter_num_interval",
                                  cf_config_text(config, "user_inter_num_interval"),
                                  &out->user_count));
    CF_TRY(ingest_intervals_parse("item_inter_num_interval",
                                  cf_config_text(config, "item_inter_num_interval"),
                                  &out->item_count));
done:
    return status;
}

cf_status ingest_options_read(const cf_config *config, ingest_options *out)
{
    ingest_options options = {.user_field = cf_config_text(config, "user_field"),
                              .item_field = cf_config_text(config, "item_field"),
                              .time_field = cf_config_text(config, "time_field"),
                              .rating_field = cf_config_text(config, "rating_field"),
                              .title_field = cf_config_text(config, "title_field"),
                              .embedding_field = cf_config_text(config, "embedding_field"),
                              .by_time = cf_config_is(config, "order", "time"),
                              .by_ratio = cf_config_is(config, "split", "RS"),
                              .missing_is_error =
                                  cf_config_is(config, "missing_embedding", "error"),
                              .seed = cf_config_int(config, "seed")};
    cf_status status;

    CF_TRY(read_separator(config, "field_separator", &options.separator));
    CF_TRY(read_separator(config, "seq_separator", &options.seq_separator));
    CF_TRY(read_ratios(config, &options));
    CF_TRY(read_filters(config, &options));
    *out = options;
done:
    return status;
}
