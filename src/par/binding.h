/**
 * par, private: sets of CPUs, and what is wrong with how ranks and threads are bound. Pure
 * functions of what was read, so that tests can ask about nodes that they do not run on. All Local.
 */
#pragma once

#include "cf/par.h"

enum { BINDING_WORDS = 128 };

/** CPUs, as Linux numbers them: those from 8192 on are left out. */
typedef struct binding_set {
    uint64_t bits[BINDING_WORDS];
} binding_set;

/** "0-3,8\n" as the files of /sys have it; false if the text is none. */
bool binding_parse(const char *text, binding_set *out);
/** "0-3,8"; what does not fit becomes "...". Returns `out`. */
const char *binding_print(const binding_set *set, char *out, size_t size);
void binding_add(binding_set *set, int cpu);
int binding_count(const binding_set *set);
bool binding_meets(const binding_set *a, const binding_set *b);

/** A rank of a node. */
typedef struct binding_rank {
    int rank;          /* in the world */
    int n_threads;     /* of OpenMP */
    int is_bound;      /* to some of the node's CPUs, not to all */
    binding_set cpus;  /* on which its threads may run */
    binding_set cores; /* of these: of each core the first CPU */
} binding_rank;

/** Read what `root` ("/sys") says of the CPUs of a rank: fills is_bound and cores. */
void binding_read(const char *root, binding_rank *rank, cf_binding *out);
/** What is wrong with rank `me` of the `n` of a node, as a line; "" if nothing is: it has more
 * threads than CPUs, or it shares cores with others and they have too few for all their threads. */
void binding_find_fault(const binding_rank *ranks, int n, int me, char *line, size_t size);
/** One line for people on the bindings of all `n` ranks. */
void binding_describe(const cf_binding *all, int n, char *line, size_t size);
