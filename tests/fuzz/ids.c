/* Id files and item files. An input is the kind ('m': an item file of tab-separated columns
 * item_id, title and e, a vector; else an id file; 1 byte), the separator of a vector's numbers (1
 * byte), and the file. Required:
 *
 *   ids      found by number and by name; their order over the ranks ascends, numerically if all
 *            are decimal numbers
 *   files    if accepted, each line has an id of its own, found by name
 *   vectors  finite numbers */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "ingest/vectors.h"

/* ---- Ids ------------------------------------------------------------------------------------- */

/* The ids of a file, each once: whole lines, or up to a tab; none from the first error on. */
static void collect_ids(const ingest_file *file, bool of_items, ingest_id_table *table)
{
    ingest_text text;
    ingest_field id;
    int64_t number;
    cf_status status;

    CF_TRY(ingest_open_text(file, &text));
    for (;;) {
        CF_TRY(ingest_next_line(&text, &id.text, &id.length));
        if (id.text == NULL) break;
        if (of_items) id.length = (int64_t)strcspn(id.text, "\t");
        if (id.length == 0) continue;
        CF_TRY(ingest_add_id(table, ingest_hash(id.text, id.length), &id, &number));
        FUZZ_REQUIRE(ingest_find_id(table, id.text, id.length) == number);
        FUZZ_REQUIRE(table->start[number + 1] - table->start[number] == id.length + 1);
        FUZZ_REQUIRE(memcmp(table->bytes + table->start[number], id.text, (size_t)id.length) == 0);
        number = ingest_find_small_id(table, &id);
        FUZZ_REQUIRE(number < 0 || number == ingest_find_id(table, id.text, id.length));
    }
done:
    if (status != CF_OK) fuzz_check_error(status);
    ingest_close_text(&text);
}

static const char *id_of(const cf_strings *ids, int64_t k)
{
    return ids->bytes + ids->start[k];
}

static bool is_decimal(const char *id)
{
    return id[strspn(id, "0123456789")] == 0 && (id[0] != '0' || id[1] == 0);
}

static bool is_less(const char *a, const char *b, bool as_numbers)
{
    const size_t n = strlen(a), m = strlen(b);

    return as_numbers && n != m ? n < m : strcmp(a, b) < 0;
}

/* Every rank contributes all ids. */
static void check_partition(const ingest_id_table *table, ingest_id_partition *out)
{
    const cf_strings ids = ingest_id_strings(table);
    int64_t *n_uses = malloc((size_t)ids.count * sizeof *n_uses);
    uint32_t *number = malloc((size_t)ids.count * sizeof *number);
    bool numbers = true;
    int64_t first;

    FUZZ_REQUIRE(n_uses != NULL && number != NULL);
    for (int64_t k = 0; k < ids.count; k++) {
        n_uses[k] = 1;
        numbers = numbers && is_decimal(id_of(&ids, k));
    }
    FUZZ_REQUIRE(ingest_create_id_partition(&fuzz_world, &ids, n_uses, number, out) == CF_OK);
    FUZZ_REQUIRE(out->as_numbers == numbers);
    FUZZ_REQUIRE(out->blocks.start[out->blocks.count] == ids.count);
    first = out->blocks.start[fuzz_world.rank];
    FUZZ_REQUIRE(first + out->ids.count == out->blocks.start[fuzz_world.rank + 1]);
    for (int64_t k = 1; k < out->ids.count; k++)
        FUZZ_REQUIRE(is_less(id_of(&out->ids, k - 1), id_of(&out->ids, k), numbers));
    for (int64_t k = 0; k < ids.count; k++) {
        const int64_t local = (int64_t)number[k] - first;

        FUZZ_REQUIRE(number[k] < ids.count);
        if (local >= 0 && local < out->ids.count)
            FUZZ_REQUIRE(strcmp(id_of(&out->ids, local), id_of(&ids, k)) == 0);
    }
    free(n_uses);
    free(number);
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* Each item of my block that has a vector has finite numbers, or the vector is refused. */
static void check_vectors(const cf_ingest_options *options, const ingest_items *items,
                          const ingest_id_partition *partition)
{
    ingest_vectors in = {.item_ids = &partition->ids, .matrix = {.fd = -1}};
    cf_status status = ingest_open_vectors(&fuzz_world, options, NULL, items, &in);

    if (status == CF_OK) status = ingest_find_rows(&fuzz_world, options, items, &in);

    if (status == CF_OK) {
        float *row = malloc((size_t)in.matrix.dim * sizeof *row);
        uint8_t present;

        FUZZ_REQUIRE(row != NULL);
        for (int64_t k = 0; k < partition->ids.count; k++) {
            status = ingest_read_vectors(&in, k, 1, row, &present);
            if (status != CF_OK) fuzz_check_error(status);
            for (int64_t d = 0; d < in.matrix.dim && status == CF_OK; d++)
                FUZZ_REQUIRE(isfinite(row[d]) && (present || row[d] == 0));
        }
        free(row);
    } else {
        fuzz_check_error(status);
    }
    ingest_close_vectors(&in);
}

static void check_items(const cf_ingest_options *options, const ingest_file *file, bool of_items,
                        const ingest_id_partition *partition)
{
    const int64_t n_ids = partition->blocks.start[partition->blocks.count];
    ingest_items items = {0};
    const cf_status status = of_items
                                 ? ingest_read_items(&fuzz_world, options, file, partition, &items)
                                 : ingest_read_id_file(&fuzz_world, file, partition, &items);

    if (status != CF_OK) {
        fuzz_check_error(status);
    } else {
        FUZZ_REQUIRE(of_items || items.n_rows == n_ids);
        FUZZ_REQUIRE(!items.has_titles || items.titles.count == items.ids.count);
        for (int64_t k = 0; k < items.ids.count; k++) {
            const cf_strings ids = ingest_id_strings(&items.ids);

            FUZZ_REQUIRE(
                ingest_find_id(&items.ids, id_of(&ids, k), (int64_t)strlen(id_of(&ids, k))) == k);
            FUZZ_REQUIRE(items.row[k] >= 0 && items.row[k] < items.n_rows);
        }
        if (of_items) check_vectors(options, &items, partition);
    }
    ingest_destroy_items(&items);
}

void fuzz_input(const uint8_t *data, size_t size)
{
    const cf_ingest_options options = {.field_separator = "\t",
                                       .seq_separator = size > 1 ? (char)data[1] : 0,
                                       .item_field = "item_id",
                                       .title_field = "",
                                       .embedding_field = "e"};
    const bool of_items = size > 0 && data[0] == 'm';
    ingest_id_table table = {0};
    ingest_id_partition partition = {0};
    ingest_file file = {0};

    if (size < 2 || memchr("\n\r:\"", data[1], 5) != NULL) return;
    file.name = file.path = fuzz_file(0, data + 2, size - 2);
    collect_ids(&file, of_items, &table);
    if (table.count > 0) {
        check_partition(&table, &partition);
        check_items(&options, &file, of_items, &partition);
    }
    ingest_destroy_id_partition(&partition);
    ingest_destroy_id_table(&table);
}
