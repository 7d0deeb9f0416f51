/* The metrics of each user as text: a row for each user with a positive, in the order of the users'
 * numbers, with a column for each metric at each length of list.
 *
 * The ranks have consecutive users in the order of the ranks (cf_eval_detail). They are written in
 * passes over the numbers of users: rank 0 gathers a pass, reads the ids of its range, and writes.
 * So rank 0 holds no more than a pass. Numbers have 17 digits: a double read back is the same. */
#include "cli.h"

enum { USERS_PER_PASS = 16384 };

/* The users of a pass. */
typedef struct user_pass {
    int width;                /* numbers of a user */
    int64_t *users;           /* rank 0: USERS_PER_PASS numbers of users */
    double *values;           /* rank 0: USERS_PER_PASS x width */
    int *count, *start;       /* rank 0: ranks: users of each, and where they begin */
    int *n_values, *at_value; /* rank 0: the same in numbers */
    int64_t total;            /* rank 0: users of all ranks in the pass */
} user_pass;

enum { PASS_USERS, PASS_RANKS, N_PASS_SIZES };
static const cf_array pass_arrays[] = {
    CF_ARRAY(user_pass, users, PASS_USERS, 1),
    CF_ARRAY(user_pass, values, PASS_USERS, CF_N_METRICS *CF_MAX_TOPK),
    CF_ARRAY(user_pass, count, PASS_RANKS, 1),
    CF_ARRAY(user_pass, start, PASS_RANKS, 1),
    CF_ARRAY(user_pass, n_values, PASS_RANKS, 1),
    CF_ARRAY(user_pass, at_value, PASS_RANKS, 1),
};
enum { N_PASS_ARRAYS = sizeof pass_arrays / sizeof *pass_arrays };

/* This rank sends its users first .. end - 1 of `detail` to rank 0. Collective. */
static void gather_pass(const cf_par *world, const cf_eval_detail *detail, int64_t first,
                        int64_t end, user_pass *pass)
{
    const int n = cf_par_count(end - first), n_values = n * pass->width;

    MPI_Gather(&n, 1, MPI_INT, pass->count, 1, MPI_INT, 0, world->comm);
    if (world->rank == 0) {
        for (int r = 0; r < world->size; r++)
            pass->n_values[r] = pass->count[r] * pass->width;
        pass->total = cf_par_displacements(pass->count, pass->start, world->size);
        cf_par_displacements(pass->n_values, pass->at_value, world->size);
    }
    MPI_Gatherv(detail->users + first, n, MPI_INT64_T, pass->users, pass->count, pass->start,
                MPI_INT64_T, 0, world->comm);
    MPI_Gatherv(detail->values + first * pass->width, n_values, MPI_DOUBLE, pass->values,
                pass->n_values, pass->at_value, MPI_DOUBLE, 0, world->comm);
}

static void write_header(const cf_metrics *metrics, FILE *file)
{
    fputs("user_id", file);
    for (int m = 0; m < CF_N_METRICS; m++)
        for (int t = 0; t < metrics->n_topk; t++)
            fprintf(file, "\t%s@%lld", cf_eval_metric_names[m], (long long)metrics->topk[t]);
    putc('\n', file);
}

/* `ids`: of the users from number `first` on. */
static void write_rows(const user_pass *pass, const cf_strings *ids, int64_t first, FILE *file)
{
    for (int64_t u = 0; u < pass->total; u++) {
        cli_write_name(file, ids->bytes + ids->start[pass->users[u] - first]);
        for (int v = 0; v < pass->width; v++)
            fprintf(file, "\t%.17g", pass->values[u * pass->width + v]);
        putc('\n', file);
    }
}

cf_status cli_write_per_user(const cf_dataset *dataset, const cf_metrics *metrics,
                             const cf_eval_detail *detail, cf_output *output)
{
    const cf_par *world = dataset->world;
    const bool root = world->rank == 0;
    user_pass pass = {.width = CF_N_METRICS * metrics->n_topk};
    cf_strings ids = {0};
    int64_t first = 0, end;
    cf_status status;

    CF_TRY(cf_par_agree(
        world,
        cf_arrays_create(
            &pass, pass_arrays, N_PASS_ARRAYS,
            (int64_t[N_PASS_SIZES]){
                [PASS_USERS] = root ? USERS_PER_PASS : 0, [PASS_RANKS] = root ? world->size : 0})));
    if (root) write_header(metrics, output->file);
    for (int64_t user = 0; user < dataset->n_users; user += USERS_PER_PASS, first = end) {
        const int64_t count = cf_min(USERS_PER_PASS, dataset->n_users - user);

        end = cf_search_i64(detail->users, detail->n_users, user + count);
        gather_pass(world, detail, first, end, &pass);
        CF_TRY(cf_dataset_read_names(dataset, CF_USER_IDS, user, root ? count : 0, &ids));
        if (root) write_rows(&pass, &ids, user, output->file);
        CF_TRY(cf_par_agree(world, root ? cf_output_check(output) : CF_OK));
        cf_dataset_destroy_strings(&ids);
    }
done:
    cf_dataset_destroy_strings(&ids);
    cf_arrays_destroy(&pass, pass_arrays, N_PASS_ARRAYS);
    return status;
}
