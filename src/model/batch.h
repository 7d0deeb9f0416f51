/**
 * Private to model: the rows that a batch of a pairwise loss needs, and their ways between the
 * ranks of a grid column.
 *
 * Users lie in blocks and a sample is with its user's owner, so user rows are local. Item rows may
 * be those of other ranks:
 *   batch_index     sorts my samples and lists the distinct users and items
 *   item_requests   requests the items from their owners, who reply with their final rows
 *   occurrences     sends each sample's part in an item's gradient to the item's owner
 * so that gradients are summed where the row lives, in batch order: the same bits on any grid.
 *
 * Below, B is the largest batch, counted over all ranks, and a *local occurrence* 2 n or 2 n + 1 is
 * the positive or negative item of my n-th sample.
 */
#pragma once

#include "cf/model.h"

/* ---- Sorting rows ---- */

/** Room to sort keys in. A key is a row's number above, a position in some list below. */
typedef struct row_sort {
    uint64_t *keys;    /* 2 B */
    uint64_t *scratch; /* 2 B */
    int64_t *start;    /* 2 B + 1: for row_sort_number() */
} row_sort;

enum { POSITION_BITS = 26 };
#define POSITION_MASK (((uint64_t)1 << POSITION_BITS) - 1)

static inline uint64_t row_key(int64_t row, int64_t position)
{
    return (uint64_t)row << POSITION_BITS | (uint64_t)position;
}
static inline int64_t key_row(uint64_t key)
{
    return (int64_t)(key >> POSITION_BITS);
}
static inline int32_t key_position(uint64_t key)
{
    return (int32_t)(key & POSITION_MASK);
}

/** Room for 2 x max_batch keys of rows 0 .. n_rows - 1. Local. Errors: MEMORY; USAGE (the batch or
 * the rows do not fit in a key). Free with row_sort_destroy(), which takes all zero bytes too. */
cf_status row_sort_create(int64_t n_rows, int64_t max_batch, row_sort *out);
void row_sort_destroy(row_sort *sort);
double row_sort_bytes(double max_batch);
/**
 * Sort the first `n` keys and number their distinct rows in ascending order: index[p] becomes the
 * number of the row at position p, and the keys of row k are start[k] .. start[k + 1] - 1. Returns
 * how many distinct rows there are. Local.
 */
int64_t row_sort_number(row_sort *sort, int64_t n, int32_t *index, int64_t *start);

/* ---- My samples ---- */

/** The distinct rows of my samples, and which samples need them. */
typedef struct batch_index {
    row_sort *sort;      /* borrowed */
    int64_t n_users;     /* distinct users */
    int32_t *users;      /* B: their local rows, ascending */
    int32_t *user_index; /* B: per sample, its user's index in `users` */
    int32_t *by_user;    /* B: samples, grouped by user, ascending within each group */
    int64_t *user_start; /* B + 1: per user, where its group begins in by_user */
    int64_t n_items;     /* distinct items, positive or negative */
    int64_t *items;      /* 2 B: their global numbers, ascending, and so grouped by owner */
    int32_t *item_index; /* 2 B: per local occurrence, its item's index in `items` */
    int32_t *by_item;    /* 2 B: local occurrences, grouped by item, ascending within each group */
} batch_index;

/** Local. Errors: MEMORY. Free with batch_index_destroy(), which takes all zero bytes too. */
cf_status batch_index_create(row_sort *sort, int64_t max_batch, batch_index *out);
void batch_index_destroy(batch_index *index);
double batch_index_bytes(double max_batch);
/** Fill the index. Local. */
void batch_index_find(batch_index *index, const cf_batch *batch);

/* ---- Requests for item rows ---- */

/** The item rows that my samples need, requested from their owners, and those that other ranks
 * request from me. On a column of one rank nothing is copied. */
typedef struct item_requests {
    const cf_blocks *blocks; /* borrowed: of the items */
    batch_index *index;      /* borrowed: its items are what is requested, in its order */
    int64_t width;
    cf_plan plan;           /* sends index->items to their owners; replies are rows */
    int64_t *requested;     /* 2 B: items requested from me: grouped by requester, ascending within
                               each group */
    int32_t *requested_row; /* 2 B: per request, its row's index in `rows` */
    int64_t n_rows;         /* distinct rows requested from me */
    int32_t *rows;          /* 2 B: their local numbers, ascending */
    float *send_rows;       /* 2 B x width: replies, in order of `requested` */
    float *recv_rows;       /* 2 B x width: replies to me, in order of index->items */
    const float *item_rows; /* index->n_items x width: final row of each of my items: recv_rows, or
                               the owned rows themselves */
    MPI_Datatype row_type;  /* `width` floats */
} item_requests;

/** What the three structs need to know of the grid. */
typedef struct batch_layout {
    const cf_par *column;         /* of the grid */
    const cf_blocks *item_blocks; /* one block a rank of the column */
    int64_t width;                /* floats in a local row */
    int64_t max_batch;
} batch_layout;

/** Local. Errors: MEMORY. Free with item_requests_destroy(), which takes all zero bytes too. */
cf_status item_requests_create(const batch_layout *layout, batch_index *index, item_requests *out);
void item_requests_destroy(item_requests *requests);
double item_requests_bytes(double max_batch, double width, bool alone);
/** Request the items of the index: fills n_rows and rows. Collective over the grid column: sends 4
 * bytes to each rank and 8 bytes an item to its owner. */
void item_requests_send(item_requests *requests);
/** Reply with my final rows (n_rows x width) to those who requested them: fills item_rows, which is
 * valid until the next call. Collective over the grid column. */
void item_requests_reply(item_requests *requests, const float *final);

/* ---- Occurrences ---- */

/** A sample's part in the gradient of an item's row: coefficient x the user's final row. */
typedef struct occurrence {
    int64_t item;  /* global number */
    int32_t order; /* 2 x position in the batch + (1 if negative): sums are taken in this order */
    float coefficient; /* of the user's final row */
    int32_t user;      /* index of that row in user_rows, or, on its way, in the sender's message */
} occurrence;

/** The occurrences of my items, from all ranks, with the user rows that they need. A rank sends a
 * user's row only once to the same owner. */
typedef struct occurrences {
    const batch_index *index;      /* borrowed */
    const item_requests *requests; /* borrowed: its rows are the items that I own */
    cf_plan plan;                  /* of the occurrences */
    cf_plan user_plan;             /* of the user rows */
    occurrence *send;              /* 2 B: grouped by owner, by item within each group */
    occurrence *recv;              /* 2 B: grouped by sender */
    int32_t *by_order;             /* 2 B: per order, the index of its occurrence in `recv` */
    int32_t *by_item;              /* 2 B: indices in `recv`, grouped by item, by order within each
                                      group */
    int64_t
        *item_start; /* 2 B + 1: per item of requests->rows, where its group begins in by_item */
    int32_t *packed_for;    /* B: per user, the last rank that its row was packed for; -1: none */
    int32_t *packed_index;  /* B: per user, the index of its row in the message to that rank */
    float *send_users;      /* 2 B x width: user rows, grouped by receiver; the memory of
                               requests->send_rows, whose replies have been sent by then */
    float *recv_users;      /* 2 B x width: user rows, grouped by sender */
    const float *user_rows; /* what occurrence.user counts in: recv_users, or my final user rows */
    MPI_Datatype record_type; /* an occurrence */
} occurrences;

/** Local. Errors: MEMORY. Free with occurrences_destroy(), which takes all zero bytes too. */
cf_status occurrences_create(const batch_layout *layout, const item_requests *requests,
                             occurrences *out);
void occurrences_destroy(occurrences *occurrences);
double occurrences_bytes(double max_batch, double width, bool alone);
/**
 * Send each local occurrence to the owner of its item: coefficient[n] for sample n's positive, its
 * negation for the negative. `final`: the final rows of index->users, kept until the next call.
 * Collective over the grid column.
 */
void occurrences_send(occurrences *occurrences, const cf_batch *batch, const float *final,
                      const float *coefficient);
