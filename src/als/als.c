/* Half a sweep of alternating least squares: all rows of one side, given the other.
 *
 *     C = alpha0 H'H                    over all rows of the other side, by tiles (products.c)
 *     (sum c hh' + C + l I) x = sum c h + l p,
 *     l = reg_weight (sum c + alpha0 rows of the other)^nu
 *
 * All of it is done in the basis of C's eigenvectors (basis.c), where C is diagonal: rows of few
 * neighbours are then solved by a matrix of these (short.c), the others by one of the dimensions
 * (rows.c).
 *
 * A rank needs whole rows: those of its own block and those of its rows' neighbours, in a field of
 * full width. On a grid of one column the halo exchange brings them. With more columns each rank
 * first joins the slices of its block, and each column exchanges whole rows; the ranks of a grid
 * row solve a part of the block's rows each and send each other the solutions. A row is solved by
 * one thread, from neighbours in ascending order (rows.c). tests/als/sweep.c solves in double. */
#include "internal.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* Rows that als_turn_rows() takes; and rows that a thread sorts by kind. */
enum { TURNED = 4, CHUNK_ROWS = 512 };

/* ---- Creation ---- */

/* The weights of the pairs of a side; NULL: all are 1. */
static const float *weights_of(const cf_als_place *place, cf_side side)
{
    return place->pairs[side] != NULL ? place->pairs[side]->weight : NULL;
}

/* 1 over the mean weight of all pairs. The ranks of a grid row have the same pairs. Collective. */
static void find_unit(cf_als *als)
{
    const cf_grid *grid = als->place.grid;
    const float *weights = weights_of(&als->place, CF_USERS);
    int64_t n = cf_graph_edges(als->place.graph, CF_USERS), before, all;
    cf_exact sum = {{0}, 0};

    als->unit = 1;
    als->is_weighted = cf_par_any(&grid->world, weights != NULL && n > 0);
    if (!als->is_weighted) return;
    for (int64_t e = 0; e < n; e++)
        cf_exact_add(&sum, (double)weights[e]);
    cf_par_sum_exact(&grid->column, &sum, 1);
    cf_par_exscan(&grid->column, n, &before, &all);
    als->unit = (double)all / cf_exact_value(&sum);
}

static int64_t most_rows(const cf_als_place *place)
{
    return cf_max(place->table[CF_USERS]->local_rows, place->table[CF_ITEMS]->local_rows);
}

/* Local. Errors: MEMORY. */
static cf_status create_arrays(cf_als *als)
{
    const cf_als_place *place = &als->place;
    const int64_t dim = place->table[CF_ITEMS]->dim, full = place->table[CF_ITEMS]->full_width;
    cf_status status;

    if (place->grid->world.size > 1)
        CF_TRY(CF_ALLOC(als->whole, full * cf_max(als->tiles[CF_USERS]->capacity,
                                                  als->tiles[CF_ITEMS]->capacity)));
    CF_TRY(als_create_products(dim, dim, &als->products));
    CF_TRY(CF_ALLOC(als->gram, dim * dim));
    CF_TRY(als_create_basis(dim, &als->basis));
    als->n_threads = omp_get_max_threads();
    CF_TRY(CF_ALLOC(als->solver, als->n_threads));
    for (int t = 0; t < als->n_threads; t++)
        CF_TRY(als_create_solver(dim, &als->solver[t]));
    if (place->cold != NULL) {
        CF_TRY(CF_ALLOC(als->counts, als->tiles[CF_ITEMS]->count));
        for (int64_t k = 0; k < als->tiles[CF_ITEMS]->count; k++)
            als->counts[k] = !cf_is_cold(place->cold, als->tiles[CF_ITEMS]->first_row + k);
    }
    if (place->grid->n_columns == 1) goto done;
    CF_TRY(CF_ALLOC(als->numbers, most_rows(place)));
    for (int64_t k = 0; k < most_rows(place); k++)
        als->numbers[k] = k;
done:
    return status;
}

cf_status cf_als_create(const cf_als_options *options, const cf_als_place *place, cf_als **out)
{
    const cf_row_kind kind = {place->table[CF_ITEMS]->full_width, CF_FLOAT32};
    cf_als *als = NULL;
    cf_status status = cf_par_agree(&place->grid->world, CF_ALLOC(als, 1));

    CF_TRY(status);
    CF_ASSERT(place->table[CF_ITEMS]->dim <= CF_ALS_MAX_DIM);
    als->options = *options;
    als->place = *place;
    for (int side = 0; side < 2; side++)
        CF_TRY(cf_table_create_tiles(place->table[side], CF_TILE_ROWS, &als->tiles[side]));
    CF_TRY(cf_graph_create_field(place->graph, kind, &als->field));
    CF_TRY(cf_graph_create_sides(place->graph, &als->sides));
    CF_TRY(cf_par_agree(&place->grid->world, create_arrays(als)));
    find_unit(als);
    *out = als;
    als = NULL;
done:
    cf_als_destroy(&als);
    return status;
}

void cf_als_destroy(cf_als **als)
{
    cf_als *a = *als;

    if (a == NULL) return;
    for (int t = 0; a->solver != NULL && t < a->n_threads; t++)
        als_destroy_solver(&a->solver[t]);
    cf_free(&a->solver);
    cf_free(&a->numbers);
    als_destroy_basis(&a->basis);
    cf_free(&a->gram);
    als_destroy_products(&a->products);
    als_destroy_prior(&a->prior);
    cf_free(&a->whole);
    cf_free(&a->counts);
    cf_graph_destroy_sides(&a->sides);
    cf_graph_destroy_field(&a->field);
    for (int side = 0; side < 2; side++)
        cf_table_destroy_tiles(&a->tiles[side]);
    cf_free(als);
}

/* ---- What the rows have in common ---- */

const float *als_take_tiles(cf_als *als, cf_side side)
{
    const cf_table *table = als->place.table[side];

    if (als->whole == NULL) return table->data;
    cf_table_to_tiles(als->tiles[side], table->data, als->whole);
    return als->whole;
}

/* The basis of alpha0 times the sum of xx' over the rows x of a side that count. Collective. */
static cf_status find_basis(cf_als *als, cf_side side)
{
    const cf_table *table = als->place.table[side];
    const int64_t dim = table->dim;
    const als_columns all = {als_take_tiles(als, side), table->full_width, 0, dim, NULL},
                      counted = {all.rows, all.stride, 0, dim,
                                 side == CF_ITEMS ? als->counts : NULL};

    als_sum_products(&als->products, &table->grid->world, &counted, &all, als->tiles[side]->count,
                     als->gram);
    return als_find_basis(&table->grid->world, als->gram, als->options.alpha0, &als->basis);
}

/* ---- Rows ---- */

/* Whole rows of my block of a side, into the field. Collective. */
static cf_status join_rows(cf_als *als, cf_side side)
{
    const cf_table *table = als->place.table[side];

    if (als->numbers != NULL)
        return cf_table_gather_own(table, als->numbers, table->local_rows, als->field.rows[side]);
    memcpy(als->field.rows[side], table->data,
           (size_t)(table->local_rows * table->width) * sizeof *table->data);
    return CF_OK;
}

/* The rows of my block of a side, in the field, get into the basis. Local. */
static void turn_field(cf_als *als, cf_side side)
{
    const int64_t width = als->basis.width, rows = als->place.table[side]->local_rows;

#pragma omp parallel for num_threads(als->n_threads) schedule(static)
    for (int64_t first = 0; first < rows; first += TURNED) {
        float *turned = als->solver[omp_get_thread_num()].turned;
        float *values = als->field.rows[side] + first * width;
        const int64_t count = cf_min(TURNED, rows - first);
        als_turn turn;

        for (int64_t k = 0; k < TURNED; k++) {
            turn.in[k] = values + cf_min(k, count - 1) * width;
            turn.out[k] = turned + k * width;
        }
        als_turn_rows(als->basis.vectors, width, &turn);
        memcpy(values, turned, (size_t)(count * width) * sizeof *values);
    }
}

/* The rows of my block that this rank solves. */
typedef struct share {
    int64_t first, end;
} share;

static share share_of(const cf_als *als, cf_side side, int column)
{
    const int64_t rows = als->place.table[side]->local_rows;
    const int n_columns = als->place.grid->n_columns;

    return (share){cf_par_even_start(rows, n_columns, column),
                   cf_par_even_start(rows, n_columns, column + 1)};
}

/* My slice of the rows of my block, once each rank of the grid row has sent those it solved.
 * Collective over the grid row. */
static void part_rows(cf_als *als, cf_side side)
{
    const cf_par *row = &als->place.grid->row;
    const cf_table *table = als->place.table[side];
    const int64_t full = table->full_width;
    float *rows = als->field.rows[side];

    for (int c = 0; row->size > 1 && c < row->size; c++) {
        const share solved = share_of(als, side, c);

        MPI_Bcast(rows + solved.first * full, cf_par_count(solved.end - solved.first),
                  als->field.row_type, c, row->comm);
    }
    for (int64_t r = 0; r < table->local_rows; r++)
        memcpy(table->data + r * table->width, rows + r * full + table->first_dim,
               (size_t)table->width * sizeof *rows);
}

/* ---- Solving ---- */

/* What the rows that were solved give. */
typedef struct outcome {
    cf_exact pairs, shrunk;
    int64_t unsolved; /* local number of the first row that was not solved; INT64_MAX: none */
} outcome;

static void merge(outcome *to, const outcome *from)
{
    cf_exact_merge(&to->pairs, &from->pairs);
    cf_exact_merge(&to->shrunk, &from->shrunk);
    to->unsolved = cf_min(to->unsolved, from->unsolved);
}

float als_weight(const cf_als *als, cf_side side, double total)
{
    const cf_als_options *o = &als->options;

    return (float)(o->reg_weight *
                   pow(total + o->alpha0 * (double)als->place.n_counted[1 - side], o->nu));
}

static bool is_solved(const cf_als *als, cf_side side, int64_t row)
{
    return side == CF_USERS ||
           !cf_is_cold(als->place.cold, als->place.table[side]->first_row + row);
}

/* What row `number` of my block is made of. */
static als_row describe_row(const cf_als *als, cf_side side, int64_t number)
{
    const cf_graph *graph = als->place.graph;
    als_row row = {.neighbours = cf_graph_neighbours(graph, side, number),
                   .count = cf_graph_degree(graph, side, number),
                   .unit = als->unit,
                   .values = als->field.rows[side] + number * als->field.stride};

    row.total = (double)row.count;
    if (als->is_weighted && row.count > 0) {
        const cf_lists *pairs = als->place.pairs[side];

        row.weights = pairs->weight + pairs->start[number];
        row.total = 0;
        for (int64_t n = 0; n < row.count; n++)
            row.total += (double)row.weights[n];
        row.total *= als->unit;
    }
    row.weight = als_weight(als, side, row.total);
    return row;
}

/* Up to 16 rows of the same kind. */
typedef struct group {
    als_row row[CF_LANES];
    int64_t number[CF_LANES];
    int count;
} group;

/* `count` rows get into the basis, or out of it. */
static void turn_group(const float *matrix, int64_t width, float *const in[CF_LANES],
                       float *const out[CF_LANES], int count)
{
    for (int first = 0; first < count; first += TURNED) {
        als_turn turn;

        for (int k = 0; k < TURNED; k++) {
            turn.in[k] = in[cf_min(first + k, count - 1)];
            turn.out[k] = out[first + k];
        }
        als_turn_rows(matrix, width, &turn);
    }
}

/* Solve a group, whose matrices have n_blocks blocks (0: long rows), and empty it. What rows are
 * shrunk towards gets into the basis, and solutions out of it. */
static void solve_group(cf_als *als, int64_t n_blocks, group *g, outcome *out)
{
    als_solver *solver = &als->solver[omp_get_thread_num()];
    const als_basis *basis = &als->basis;
    float *values[CF_LANES], *turned[CF_LANES];

    for (int k = 0; k < CF_LANES; k++) {
        values[k] = k < g->count ? g->row[k].values : NULL;
        turned[k] = solver->turned + k * basis->width;
    }
    turn_group(basis->vectors, basis->width, values, turned, g->count);
    for (int k = 0; k < g->count; k++)
        g->row[k].values = turned[k];
    if (n_blocks > 0)
        als_solve_short(solver, &als->field, basis->values, g->row, g->count, n_blocks);
    else
        als_solve_rows(solver, &als->field, basis->common, g->row, g->count);
    for (int k = g->count; k < CF_LANES; k++)
        values[k] = solver->right + (k - g->count) * basis->width; /* of rows that are not there */
    turn_group(basis->transposed, basis->width, turned, values, g->count);
    for (int k = 0; k < g->count; k++) {
        cf_exact_add(&out->pairs, g->row[k].least);
        cf_exact_add(&out->shrunk, g->row[k].shrunk);
        if (!g->row[k].solved) out->unsolved = cf_min(out->unsolved, g->number[k]);
    }
    g->count = 0;
}

/* Rows side by side are of the same kind: those of each kind are taken in turn. */
static void solve_chunk(cf_als *als, cf_side side, share rows, outcome *out)
{
    const als_solver *solver = &als->solver[omp_get_thread_num()];

    for (int64_t n_blocks = 0; n_blocks <= solver->most_short; n_blocks++) {
        group g = {.count = 0};

        for (int64_t number = rows.first; number < rows.end; number++) {
            if (!is_solved(als, side, number)) continue;
            if (als_short_blocks(solver, cf_graph_degree(als->place.graph, side, number)) !=
                n_blocks)
                continue;
            g.number[g.count] = number;
            g.row[g.count++] = describe_row(als, side, number);
            if (g.count == CF_LANES) solve_group(als, n_blocks, &g, out);
        }
        if (g.count > 0) solve_group(als, n_blocks, &g, out);
    }
}

static outcome solve_share(cf_als *als, cf_side side)
{
    const share rows = share_of(als, side, als->place.grid->my_column);
    outcome all = {.unsolved = INT64_MAX};

#pragma omp parallel num_threads(als->n_threads)
    {
        outcome mine = {.unsolved = INT64_MAX};

#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t first = rows.first; first < rows.end; first += CHUNK_ROWS)
            solve_chunk(als, side, (share){first, cf_min(first + CHUNK_ROWS, rows.end)}, &mine);
#pragma omp critical(als_outcome)
        merge(&all, &mine);
    }
    return all;
}

/* All ranks come to the same end. Collective. */
static cf_status conclude(const cf_als *als, cf_side side, const outcome *found, cf_als_loss *out)
{
    const cf_table *table = als->place.table[side];
    const cf_par *world = &table->grid->world;
    cf_exact sums[] = {found->pairs, found->shrunk};
    int64_t first = found->unsolved < INT64_MAX ? table->first_row + found->unsolved : INT64_MAX;

    MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT64_T, MPI_MIN, world->comm);
    if (first < INT64_MAX)
        return CF_FAIL(CF_ERR_NUMERIC,
                       "the normal equations of %s number %lld are not positive definite: a "
                       "larger reg_weight helps",
                       side == CF_USERS ? "user" : "item", (long long)first);
    cf_par_sum_exact(world, sums, 2);
    *out = (cf_als_loss){cf_exact_value(&sums[0]), cf_exact_value(&sums[1])};
    return CF_OK;
}

cf_status cf_als_solve(cf_als *als, cf_side side, cf_als_loss *out)
{
    const cf_side other = side == CF_USERS ? CF_ITEMS : CF_USERS;
    const cf_phase before = cf_par_set_phase(CF_PHASE_EQUATIONS);
    outcome found;
    cf_status status;

    CF_TRY(join_rows(als, side));
    CF_TRY(join_rows(als, other));
    CF_TRY(find_basis(als, other));
    turn_field(als, other);
    cf_graph_begin_rows(als->place.graph, &als->sides, other, als->field);
    found = solve_share(als, side);
    cf_graph_end_rows(als->place.graph);
    part_rows(als, side);
    CF_TRY(conclude(als, side, &found, out));
done:
    cf_par_restore_phase(before);
    return status;
}

/* ---- Costs ---- */

/* Tiles lie on few ranks where there are few rows. */
static double tiles_memory(const cf_als_size *size, double row_bytes)
{
    double capacity = 0, counts = 0;

    if (size->ranks == 1) return 0;
    for (int side = 0; side < 2; side++) {
        capacity = fmax(capacity, ceil(size->all[side] / CF_TILE_ROWS) * CF_TILE_ROWS);
        counts += size->all[side];
    }
    return (capacity + counts) * row_bytes / size->ranks;
}

double cf_als_predict_memory(const cf_als_size *size)
{
    const double full = CF_LANES * (double)cf_table_segments(size->dim),
                 rows = size->rows[CF_USERS] + size->rows[CF_ITEMS], dim = (double)size->dim;
    double bytes = 4 * full * (rows + 2 * size->halo) + 4 * size->halo; /* field and sides */

    bytes += tiles_memory(size, 4 * full) + als_prior_bytes(size);
    bytes += als_products_bytes(dim, dim) + 8 * dim * dim;
    bytes += als_basis_bytes(size->dim, size->ranks);
    bytes += omp_get_max_threads() * als_solver_bytes(size->dim);
    if (size->n_columns > 1)
        bytes += 8 * fmax(size->rows[CF_USERS], size->rows[CF_ITEMS]) +
                 4 * full * (1 - 1.0 / size->n_columns) * CF_ROWS_PER_CALL * omp_get_max_threads();
    return bytes;
}

/* Of an Allreduce of n bytes, as cf_phase_use counts them. */
static double reduced(double n, int ranks)
{
    return 2 * n * (ranks - 1) / ranks;
}

/* Rows of both sides are joined before each half, and parted after it. */
void cf_als_predict_bytes(const cf_als *als, double bytes[CF_N_PHASES])
{
    const cf_grid *grid = als->place.grid;
    const double others = grid->n_columns - 1, row_bytes = 4.0 * (double)als->field.stride;
    double *sent = &bytes[CF_PHASE_EQUATIONS];
    int64_t n_requested;

    cf_graph_requested(als->place.graph, &n_requested);
    bytes[CF_PHASE_HALO] += (double)n_requested * row_bytes;
    for (int side = 0; side < 2; side++) {
        const cf_table *table = als->place.table[side];
        const share mine = share_of(als, (cf_side)side, grid->my_column);

        *sent += cf_par_plan_bytes(&als->tiles[side]->plan, sizeof(float), false);
        *sent += reduced((double)sizeof(cf_exact) * (double)(table->dim * table->dim + 2),
                         grid->world.size);
        if (side == CF_ITEMS) *sent += als_prior_sent(als);
        if (grid->world.rank == 0)
            *sent += (grid->world.size - 1) * (4.0 * (double)(als->basis.width * als->basis.width) +
                                               8.0 * (double)table->dim);
        *sent += others * (2 * (double)table->local_rows * (8 + 4 * (double)table->width) +
                           (double)(mine.end - mine.first) * row_bytes);
    }
}
