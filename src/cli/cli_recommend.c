/*
 * recommend: the best new items of users, as text. Ranks answer for users of their own block, in
 * rounds of bounded size; rank 0 puts the answers of a round at their users' places in a file of
 * fixed-size records, and in the end reads that in order and writes the text. So the text does not
 * depend on the ranks, and no rank holds more than a round and, on rank 0, the items' names.
 */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MIN_ROUND = CF_EVAL_USERS, ROUND_BYTES = 64 << 20, NAMES_PER_PASS = 65536 };

typedef struct request {
    const cf_par *world;
    const cf_trained *trained;
    const char *users_path; /* NULL: all users */
    int64_t k;
    cf_strings ids;         /* of users_path; every rank has all */
    int64_t *numbers;       /* of the ids */
    int64_t count;          /* users asked for: ids.count, or all */
    int64_t *users, *place; /* mine: local number, and place in the text */
    int64_t n_mine;
    const char *path; /* of the text */
    int spool;        /* rank 0: count records of k items (int64) and k scores (float) */
} request;

/* Answers of a round; on rank 0 also room for those of all ranks. */
typedef struct round_buffers {
    int64_t capacity; /* users of a rank */
    int64_t *place, *items;
    float *scores;
    int64_t *all_place, *all_items;
    float *all_scores;
    int *counts, *starts, *item_counts, *item_starts; /* by rank */
} round_buffers;

/* ---- Who is asked for ----------------------------------------------------------------------- */

static cf_status find_users(request *r)
{
    cf_status status = CF_OK;

    r->count = r->trained->dataset->n_users;
    if (!r->users_path) return CF_OK;
    CF_TRY(cf_par_agree(r->world, cli_read_ids(r->users_path, &r->ids)));
    r->count = r->ids.count;
    CF_TRY(cf_par_agree(r->world, CF_ALLOC(r->numbers, r->count)));
    CF_TRY(cf_dataset_find(r->trained->dataset, CF_USER_IDS, &r->ids, r->users_path, r->numbers));
    CF_TRY(cf_par_agree(r->world, cli_check_distinct(r->users_path, &r->ids, r->numbers)));
done:
    return status;
}

/* Local number of the user at place `k`; -1 if it is not of my block. */
static int64_t local_user(const request *r, int64_t k)
{
    const cf_shard *shard = r->trained->shard;
    int64_t local = (r->numbers ? r->numbers[k] : k) - shard->first_user;

    return local >= 0 && local < shard->n_users ? local : -1;
}

/* The users of my block, evenly shared among the ranks of the grid row as runs of consecutive ones.
 */
static cf_status take_mine(request *r)
{
    const cf_grid *grid = r->trained->grid;
    int64_t in_block = 0, begin, end, seen = 0;
    cf_status status = CF_OK;

    for (int64_t k = 0; k < r->count; k++)
        in_block += local_user(r, k) >= 0;
    begin = cf_par_even_start(in_block, grid->n_columns, grid->my_column);
    end = cf_par_even_start(in_block, grid->n_columns, grid->my_column + 1);
    CF_TRY(CF_ALLOC(r->users, end - begin));
    CF_TRY(CF_ALLOC(r->place, end - begin));
    for (int64_t k = 0; k < r->count && seen < end; k++)
        if (local_user(r, k) >= 0 && seen++ >= begin) {
            r->users[r->n_mine] = local_user(r, k);
            r->place[r->n_mine++] = k;
        }
done:
    return status;
}

/* ---- Rounds --------------------------------------------------------------------------------- */

static cf_status create_buffers(const request *r, round_buffers *b)
{
    const int size = r->world->size;
    const int64_t record = r->k * (int64_t)(sizeof(int64_t) + sizeof(float));
    const int64_t all = r->world->rank == 0 ? size : 0;
    cf_status status = CF_OK;

    b->capacity = ROUND_BYTES / record / size;
    if (b->capacity < MIN_ROUND) b->capacity = MIN_ROUND;
    if (b->capacity > r->count) b->capacity = r->count;
    CF_TRY(CF_ALLOC(b->place, b->capacity));
    CF_TRY(CF_ALLOC(b->items, b->capacity * r->k));
    CF_TRY(CF_ALLOC(b->scores, b->capacity * r->k));
    CF_TRY(CF_ALLOC(b->all_place, all * b->capacity));
    CF_TRY(CF_ALLOC(b->all_items, all * b->capacity * r->k));
    CF_TRY(CF_ALLOC(b->all_scores, all * b->capacity * r->k));
    CF_TRY(CF_ALLOC(b->counts, size));
    CF_TRY(CF_ALLOC(b->starts, size));
    CF_TRY(CF_ALLOC(b->item_counts, size));
    CF_TRY(CF_ALLOC(b->item_starts, size));
done:
    return status;
}

static void destroy_buffers(round_buffers *b)
{
    cf_free(&b->place);
    cf_free(&b->items);
    cf_free(&b->scores);
    cf_free(&b->all_place);
    cf_free(&b->all_items);
    cf_free(&b->all_scores);
    cf_free(&b->counts);
    cf_free(&b->starts);
    cf_free(&b->item_counts);
    cf_free(&b->item_starts);
}

/* Bring the answers of `count` users to rank 0; there, the number of all. Collective. */
static int64_t gather_round(const request *r, const round_buffers *b, int64_t count)
{
    const cf_par *world = r->world;
    int mine = cf_par_count(count);
    int64_t all = 0;

    MPI_Gather(&mine, 1, MPI_INT, b->counts, 1, MPI_INT, 0, world->comm);
    for (int rank = 0; rank < world->size && world->rank == 0; rank++) {
        b->starts[rank] = cf_par_count(all);
        b->item_starts[rank] = cf_par_count(all * r->k);
        b->item_counts[rank] = cf_par_count(b->counts[rank] * r->k);
        all += b->counts[rank];
    }
    MPI_Gatherv(b->place, mine, MPI_INT64_T, b->all_place, b->counts, b->starts, MPI_INT64_T, 0,
                world->comm);
    MPI_Gatherv(b->items, cf_par_count(count * r->k), MPI_INT64_T, b->all_items, b->item_counts,
                b->item_starts, MPI_INT64_T, 0, world->comm);
    MPI_Gatherv(b->scores, cf_par_count(count * r->k), MPI_FLOAT, b->all_scores, b->item_counts,
                b->item_starts, MPI_FLOAT, 0, world->comm);
    return all;
}

static bool write_at(int file, const void *bytes, int64_t size, int64_t offset)
{
    for (int64_t done = 0; done < size;) {
        ssize_t n = pwrite(file, (const char *)bytes + done, (size_t)(size - done), offset + done);

        if (n < 0 && errno != EINTR) return false;
        if (n > 0) done += n;
    }
    return true;
}

/* Local, on rank 0. */
static cf_status spool_round(const request *r, const round_buffers *b, int64_t count)
{
    const int64_t item_bytes = r->k * (int64_t)sizeof(int64_t);
    const int64_t score_bytes = r->k * (int64_t)sizeof(float);

    for (int64_t u = 0; u < count; u++) {
        int64_t offset = b->all_place[u] * (item_bytes + score_bytes);

        if (!write_at(r->spool, b->all_items + u * r->k, item_bytes, offset) ||
            !write_at(r->spool, b->all_scores + u * r->k, score_bytes, offset + item_bytes))
            return CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)", r->path, strerror(errno));
    }
    return CF_OK;
}

static cf_status answer_all(request *r)
{
    const cf_eval_tables tables = {r->trained->final[CF_USERS], r->trained->final[CF_ITEMS],
                                   r->trained->shard};
    cf_eval_request ask = {.k = r->k,
                           .mask_train = true,
                           .mask_valid = true,
                           .memory = cf_config_int(r->trained->config, "eval_memory") << 20};
    int64_t rounds, count, answered = 0;
    round_buffers b = {0};
    cf_progress bar;
    cf_status status;

    CF_TRY(cf_par_agree(r->world, create_buffers(r, &b)));
    rounds = (r->n_mine + b.capacity - 1) / b.capacity;
    MPI_Allreduce(MPI_IN_PLACE, &rounds, 1, MPI_INT64_T, MPI_MAX, r->world->comm);
    cf_progress_begin(&bar, "recommend", "users", r->count);
    for (int64_t round = 0, at = 0; round < rounds; round++) {
        ask.users = r->users + at;
        ask.count = r->n_mine - at < b.capacity ? r->n_mine - at : b.capacity;
        memcpy(b.place, r->place + at, (size_t)ask.count * sizeof *b.place);
        CF_TRY(cf_eval_topk(&tables, &ask, b.items, b.scores));
        at += ask.count;
        count = gather_round(r, &b, ask.count);
        status = r->world->rank == 0 ? spool_round(r, &b, count) : CF_OK;
        CF_TRY(cf_par_agree(r->world, status));
        answered += count;
        cf_progress_update(&bar, answered, NULL);
    }
    cf_progress_end(&bar);
done:
    destroy_buffers(&b);
    return status;
}

/* ---- The text ------------------------------------------------------------------------------- */

/* Names are written as they are, but for what would break the columns. */
static void write_name(FILE *file, const char *name)
{
    for (; *name; name++)
        putc(*name == '\t' || *name == '\n' || *name == '\r' ? ' ' : *name, file);
}

/* Rows of one user from its record. */
static void write_user(FILE *file, const char *user, const cf_strings names[2], const void *record,
                       int64_t k)
{
    const int64_t *items = record;
    const float *scores = (const float *)(const void *)(items + k);

    for (int64_t n = 0; n < k && items[n] >= 0; n++) {
        write_name(file, user);
        fprintf(file, "\t%lld\t", (long long)n + 1);
        write_name(file, names[0].bytes + names[0].start[items[n]]);
        fprintf(file, "\t%.7g\t", (double)scores[n]);
        write_name(file, names[1].bytes + names[1].start[items[n]]);
        putc('\n', file);
    }
}

/* `count` users from place `first`, their ids given. Local, on rank 0. */
static cf_status write_users(const request *r, cli_output *output, const cf_strings names[2],
                             const cf_strings *ids, int64_t first)
{
    const size_t size = (size_t)r->k * (sizeof(int64_t) + sizeof(float));
    int64_t *record = NULL;
    cf_status status = CF_OK;

    CF_TRY(CF_ALLOC(record, r->k * 2));
    for (int64_t u = 0; u < ids->count; u++) {
        if (pread(r->spool, record, size, (off_t)((size_t)(first + u) * size)) != (ssize_t)size)
            CF_TRY(CF_FAIL(CF_ERR_IO, "%s: cannot read back (%s)", output->path, strerror(errno)));
        write_user(output->file, ids->bytes + ids->start[u], names, record, r->k);
    }
    CF_TRY(cli_output_check(output));
done:
    cf_free(&record);
    return status;
}

/* Collective, for the names; all else is rank 0's. */
static cf_status write_text(const request *r, cli_output *output)
{
    const cf_dataset *dataset = r->trained->dataset;
    const bool root = r->world->rank == 0;
    cf_strings names[2] = {0}, ids = {0};
    cf_status status;

    CF_TRY(cf_dataset_read_names(dataset, CF_ITEM_IDS, 0, root ? dataset->n_items : 0, &names[0]));
    CF_TRY(
        cf_dataset_read_names(dataset, CF_ITEM_TITLES, 0, root ? dataset->n_items : 0, &names[1]));
    if (root) fprintf(output->file, "user_id\trank\titem_id\tscore\ttitle\n");
    if (r->users_path) {
        status = root ? write_users(r, output, names, &r->ids, 0) : CF_OK;
        CF_TRY(cf_par_agree(r->world, status));
        goto done;
    }
    for (int64_t first = 0; first < r->count; first += NAMES_PER_PASS) {
        int64_t count = r->count - first < NAMES_PER_PASS ? r->count - first : NAMES_PER_PASS;

        CF_TRY(cf_dataset_read_names(dataset, CF_USER_IDS, first, root ? count : 0, &ids));
        status = root ? write_users(r, output, names, &ids, first) : CF_OK;
        CF_TRY(cf_par_agree(r->world, status));
        cf_dataset_destroy_strings(&ids);
    }
done:
    cf_dataset_destroy_strings(&names[0]);
    cf_dataset_destroy_strings(&names[1]);
    cf_dataset_destroy_strings(&ids);
    return status;
}

/* ---- The command ---------------------------------------------------------------------------- */

/* The file of records has no name: it is gone when the program ends, however it ends. Beside the
 * text, where there must be room. */
static cf_status open_files(request *r, cli_output *output, const char *path)
{
    char name[CLI_PATH_SIZE];
    cf_status status = CF_OK;

    r->path = path;
    if (r->world->rank != 0) goto done;
    CF_TRY(cli_output_open(output, path, NULL));
    snprintf(name, sizeof name, "%.4000s.XXXXXX", path);
    r->spool = mkstemp(name);
    if (r->spool < 0) CF_TRY(CF_FAIL(CF_ERR_IO, "%s: cannot write (%s)", path, strerror(errno)));
    unlink(name);
done:
    return cf_par_agree(r->world, status);
}

static cf_status run(const cf_par *world, const cli_arguments *arguments)
{
    request r = {.world = world, .users_path = cli_value(arguments, "users"), .k = 20, .spool = -1};
    const char *out = cli_value(arguments, "out");
    cli_output output = {0};
    cf_trained *trained = NULL;
    cf_status status;

    CF_TRY(cli_integer(arguments, "topk", 10000, &r.k));
    CF_TRY(cli_load(world, arguments, &trained));
    r.trained = trained;
    CF_TRY(find_users(&r));
    CF_TRY(cf_par_agree(world, take_mine(&r)));
    CF_TRY(open_files(&r, &output, out));
    CF_TRY(answer_all(&r));
    CF_TRY(write_text(&r, &output));
    CF_TRY(cf_par_agree(world, world->rank == 0 ? cli_output_publish(&output) : CF_OK));
    if (world->rank == 0)
        printf("%s: up to %lld items for each of %lld users\n", out, (long long)r.k,
               (long long)r.count);
done:
    if (r.spool >= 0) close(r.spool);
    cli_output_discard(&output);
    cf_dataset_destroy_strings(&r.ids);
    cf_free(&r.numbers);
    cf_free(&r.users);
    cf_free(&r.place);
    cf_train_unload(&trained);
    return status;
}

static const cli_option options[] = {
    {"data", "DATA.h5", "the dataset that the model was trained on", true},
    {"out", "FILE.tsv", "where the recommendations go", true},
    {"topk", "K", "items for each user; default 20", false},
    {"users", "FILE", "one user id a line; default: all users", false},
    {0}};

const cli_command cli_recommend = {
    .name = "recommend",
    .summary = "write the best new items of users",
    .operand = "CHECKPOINT.h5",
    .remarks = "Columns: user_id, rank from 1, item_id, score, title. Items that the user has in "
               "train or\n"
               "valid are left out.",
    .settings = CLI_SETTINGS_MACHINE,
    .options = options,
    .run = run,
};
