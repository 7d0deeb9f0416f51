/* The settings of `prepare`, and the options read from them once, before any file is opened.
 * RecBole's names of fields and filters are kept. */
#include "split.h"

#include <string.h>

/* How files are read: rows of both tables. */
#define READING_SETTINGS                                                                           \
    {.name = "field_separator",                                                                    \
     .kind = CF_SETTING_TEXT,                                                                      \
     .initial = "\"\\t\"",                                                                         \
     .help = "what is between columns of the input files, such as \",\" or \"::\""},               \
        {.name = "seq_separator",                                                                  \
         .kind = CF_SETTING_TEXT,                                                                  \
         .initial = "\" \"",                                                                       \
         .help = "the character between the numbers of a float_seq column"},                       \
        {.name = "headerless",                                                                     \
         .kind = CF_SETTING_CHOICE,                                                                \
         .initial = "auto",                                                                        \
         .choices = "auto|ratings|lists",                                                          \
         .help =                                                                                   \
             "lines without a header: ratings (user item [rating [time]]), lists (user item item " \
             "...), or what they tell"},                                                           \
        {.name = "user_field",                                                                     \
         .kind = CF_SETTING_TEXT,                                                                  \
         .initial = "user_id",                                                                     \
         .help = "column of user ids (RecBole's USER_ID_FIELD)"},                                  \
        {.name = "item_field",                                                                     \
         .kind = CF_SETTING_TEXT,                                                                  \
         .initial = "item_id",                                                                     \
         .help = "column of item ids (RecBole's ITEM_ID_FIELD)"},                                  \
        {.name = "time_field",                                                                     \
         .kind = CF_SETTING_TEXT,                                                                  \
         .initial = "timestamp",                                                                   \
         .help =                                                                                   \
             "column of times (RecBole's TIME_FIELD): numbers or dates; read if order: time or "   \
             "split: TS needs it"},                                                                \
        {.name = "rating_field",                                                                   \
         .kind = CF_SETTING_TEXT,                                                                  \
         .initial = "rating",                                                                      \
         .help = "column of ratings (RecBole's RATING_FIELD); read if val_interval names it"},     \
        {.name = "label_field",                                                                    \
         .kind = CF_SETTING_TEXT,                                                                  \
         .initial = "label",                                                                       \
         .help = "column of labels (RecBole's LABEL_FIELD): a warning tells how many are 0, "      \
                 "since they "                                                                     \
                 "are interactions too"},                                                          \
        {.name = "title_field",                                                                    \
         .kind = CF_SETTING_TEXT,                                                                  \
         .initial = "",                                                                            \
         .help =                                                                                   \
             "column of titles in the item file; none: no titles; empty: title, or a usual name"}, \
    {                                                                                              \
        .name = "embedding_field", .kind = CF_SETTING_TEXT, .initial = "",                         \
        .help =                                                                                    \
            "column of vectors in the item file, a float_seq or lists in brackets, instead of "    \
            "--embedding"                                                                          \
    }

const cf_setting cf_ingest_append_settings[] = {
    READING_SETTINGS,
    {.name = "filter_inter_by_user_or_item",
     .kind = CF_SETTING_BOOL,
     .initial = "true",
     .help = "drop interactions of items that neither the dataset nor --item has; false: refuse "
             "them"},
    {0}};

const cf_setting cf_ingest_settings[] = {
    READING_SETTINGS,
    {.name = "split",
     .kind = CF_SETTING_CHOICE,
     .initial = "LS",
     .choices = "LS|RS|TS",
     .help =
         "LS leaves one out for valid and test, RS uses ratios within each user, TS cuts at two "
         "times"},
    {.name = "split_ratios",
     .kind = CF_SETTING_REAL_LIST,
     .initial = "[0.8, 0.1, 0.1]",
     .min = 0,
     .max = 1e9,
     .help = "RS: ratios of train, valid and test, of any sum"},
    {.name = "split_times",
     .kind = CF_SETTING_TEXT_LIST,
     .initial = "",
     .help =
         "TS: when valid and test begin, for all users: [t1, t2], numbers or dates of ISO 8601"},
    {.name = "cold_share",
     .kind = CF_SETTING_REAL,
     .initial = "0",
     .min = 0,
     .max = 0.9,
     .help =
         "LS, RS: share of the items, drawn with the seed, that train lacks: cold items, half of "
         "them in valid, half in test"},
    {.name = "max_train_items",
     .kind = CF_SETTING_INT,
     .initial = "0",
     .min = 0,
     .max = 9007199254740992.0,
     .help =
         "keep only so many of each user's train items, the first in the order of the split (0: "
         "all)"},
    {.name = "order",
     .kind = CF_SETTING_CHOICE,
     .initial = "random",
     .choices = "random|time",
     .help = "order of a user's interactions before the split"},
    {.name = "rm_dup_inter",
     .kind = CF_SETTING_CHOICE,
     .initial = "first",
     .choices = "first|last",
     .help = "which of interactions with the same user and item is kept, by time, then by line"},
    {.name = "weight_field",
     .kind = CF_SETTING_TEXT,
     .initial = "",
     .help = "column of weights of interactions, numbers above 0, which iALS trains with as "
             "confidence; empty: there are none"},
    {.name = "val_interval",
     .kind = CF_SETTING_MAP,
     .initial = "",
     .help = "keep interactions whose column is in an interval: {rating: \"[3,inf)\"}"},
    {.name = "user_inter_num_interval",
     .kind = CF_SETTING_TEXT,
     .initial = "\"[0,inf)\"",
     .help = "keep users whose number of interactions is in this interval (repeated until stable)"},
    {.name = "item_inter_num_interval",
     .kind = CF_SETTING_TEXT,
     .initial = "\"[0,inf)\"",
     .help = "keep items whose number of interactions is in this interval (repeated until stable)"},
    {.name = "filter_inter_by_user_or_item",
     .kind = CF_SETTING_BOOL,
     .initial = "true",
     .help = "drop interactions of items that the item file lacks, if there is one"},
    {.name = "keep_items",
     .kind = CF_SETTING_CHOICE,
     .initial = "interacted",
     .choices = "interacted|all",
     .help = "all: keep items of the item file, or with a vector, that no interaction has"},
    {.name = "missing_embedding",
     .kind = CF_SETTING_CHOICE,
     .initial = "error",
     .choices = "error|zero|mean|random|drop",
     .help = "items without a vector: an error, kept and marked, or dropped"},
    {.name = "embedding_model",
     .kind = CF_SETTING_TEXT,
     .initial = "",
     .help = "name of the language model, kept in the file"},
    {.name = "reorder",
     .kind = CF_SETTING_CHOICE,
     .initial = "none",
     .choices = "none|bisect",
     .help =
         "numbers of users and items: none: in the order of ids; bisect: those that interact near "
         "each other, so that blocks of a grid need few rows of others"},
    {.name = "reorder_memory",
     .kind = CF_SETTING_REAL,
     .initial = "16",
     .min = 0,
     .max = 1e6,
     .help =
         "bisect: GiB that METIS may use on a rank; it takes 90 bytes a train interaction and 200 "
         "a user or item. For more, all ranks work together"},
    {.name = "seed",
     .kind = CF_SETTING_INT,
     .initial = "2020",
     .min = 0,
     .max = 9007199254740992.0,
     .help = "seed of the random order"},
    {0}};

/* A text of at most `most` bytes between fields. A tab may also be written as a backslash and a t,
 * as shells pass it. Line ends and quotes have another meaning. */
static cf_status read_separator(const cf_config *config, const char *name, size_t most,
                                const char **out)
{
    const char *text = cf_config_text(config, name);

    if (strcmp(text, "\\t") == 0) text = "\t";
    *out = text;
    if (text[0] != 0 && strlen(text) <= most && strpbrk(text, "\n\r\"") == NULL) return CF_OK;
    return CF_FAIL(CF_ERR_USAGE,
                   "%s: \"%s\" is not a separator, expected %s without quotes and line ends", name,
                   ingest_excerpt(text, (int64_t)strlen(text)),
                   most == 1 ? "one character" : "1 to 8 characters");
}

/* True if a name other than the default one was given: a file must then have the column. "none"
 * names none. */
static bool names_column(const cf_config *config, const char *setting, const char *usual)
{
    const char *name = cf_config_text(config, setting);

    return strcmp(name, usual) != 0 && strcmp(name, "none") != 0;
}

/* Ratios of sum 1. Every user needs interactions to train with, so the first must not be 0. */
static cf_status read_ratios(const cf_config *config, cf_ingest_options *out)
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

/* Two ascending times, for TS alone, which needs no draw of cold items. */
static cf_status read_times(const cf_config *config, cf_ingest_options *out)
{
    int count;
    const char *const *times = cf_config_texts(config, "split_times", &count);
    cf_status status = CF_OK;

    out->by_dates = cf_config_is(config, "split", "TS");
    CF_REQUIRE(out->by_dates || count == 0, CF_ERR_USAGE, "split_times: needs split: TS");
    CF_REQUIRE(!out->by_dates || out->cold_share == 0, CF_ERR_USAGE,
               "cold_share: goes with split: LS or RS; with split: TS the times make items cold");
    CF_REQUIRE(!out->by_dates || count == 2, CF_ERR_USAGE,
               "split_times: expected two times for split: TS, when valid and test begin, such as "
               "[2022-03-01, 2022-04-01]");
    for (int k = 0; k < count; k++) {
        out->time_texts[k] = times[k];
        CF_REQUIRE(ingest_parse_time(times[k], (int64_t)strlen(times[k]), &out->split_times[k]),
                   CF_ERR_USAGE, "split_times: \"%s\" is neither a number nor a date of ISO 8601",
                   ingest_excerpt(times[k], (int64_t)strlen(times[k])));
    }
    CF_REQUIRE(!out->by_dates || out->split_times[0] < out->split_times[1], CF_ERR_USAGE,
               "split_times: the first time, %s, must be before the second, %s", out->time_texts[0],
               out->time_texts[1]);
done:
    return status;
}

/* The intervals of values and of counts. */
static cf_status read_filters(const cf_config *config, cf_ingest_options *out)
{
    const char *const user = "user_inter_num_interval", *const item = "item_inter_num_interval";
    const char *field, *text;
    cf_status status;

    for (int k = 0; cf_config_entry(config, "val_interval", k, &field, &text); k++) {
        CF_REQUIRE(k < CF_INGEST_MAX_FILTERS, CF_ERR_USAGE, "val_interval: more than %d columns",
                   CF_INGEST_MAX_FILTERS);
        out->filter_field[k] = field;
        CF_TRY(ingest_parse_intervals("val_interval", text, &out->filter[k]));
        out->n_filters = k + 1;
    }
    CF_TRY(ingest_parse_intervals(user, cf_config_text(config, user), &out->user_count));
    CF_TRY(ingest_parse_intervals(item, cf_config_text(config, item), &out->item_count));
done:
    return status;
}

/* What both tables have. */
static cf_status read_reading(const cf_config *config, cf_ingest_options *out)
{
    cf_ingest_options options = {
        .user_field = cf_config_text(config, "user_field"),
        .item_field = cf_config_text(config, "item_field"),
        .time_field = cf_config_text(config, "time_field"),
        .rating_field = cf_config_text(config, "rating_field"),
        .label_field = cf_config_text(config, "label_field"),
        .title_field = cf_config_text(config, "title_field"),
        .embedding_field = cf_config_text(config, "embedding_field"),
        .headerless = cf_config_is(config, "headerless", "ratings") ? CF_INGEST_RATINGS
                      : cf_config_is(config, "headerless", "lists") ? CF_INGEST_LISTS
                                                                    : CF_INGEST_AUTO,
        .names_time = names_column(config, "time_field", "timestamp"),
        .names_rating = names_column(config, "rating_field", "rating"),
        .drops_unknown = cf_config_bool(config, "filter_inter_by_user_or_item")};
    const char *seq_separator;
    cf_status status;

    CF_TRY(
        read_separator(config, "field_separator", INGEST_MAX_SEPARATOR, &options.field_separator));
    CF_TRY(read_separator(config, "seq_separator", 1, &seq_separator));
    options.seq_separator = seq_separator[0];
    *out = options;
done:
    return status;
}

cf_status cf_ingest_read_append_options(const cf_config *config, cf_ingest_options *out)
{
    return read_reading(config, out);
}

cf_status cf_ingest_read_options(const cf_config *config, cf_ingest_options *out)
{
    cf_ingest_options options;
    cf_status status;

    CF_TRY(read_reading(config, &options));
    options.weight_field = cf_config_text(config, "weight_field");
    if (options.weight_field[0] == 0) options.weight_field = NULL;
    options.by_time = cf_config_is(config, "order", "time");
    options.by_ratio = cf_config_is(config, "split", "RS");
    options.cold_share = cf_config_real(config, "cold_share");
    options.max_train_items = cf_config_int(config, "max_train_items");
    options.keeps_last = cf_config_is(config, "rm_dup_inter", "last");
    options.keeps_all = cf_config_is(config, "keep_items", "all");
    options.missing_is_error = cf_config_is(config, "missing_embedding", "error");
    options.drops_missing = cf_config_is(config, "missing_embedding", "drop");
    options.bisects = cf_config_is(config, "reorder", "bisect");
    options.reorder_memory = cf_config_real(config, "reorder_memory");
    options.embedding_model = cf_config_text(config, "embedding_model");
    options.seed = cf_config_int(config, "seed");
    CF_TRY(read_ratios(config, &options));
    CF_TRY(read_times(config, &options));
    CF_TRY(read_filters(config, &options));
    *out = options;
done:
    return status;
}
