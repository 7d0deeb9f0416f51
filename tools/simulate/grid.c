/* Print the grid that `grid: auto` takes on nodes which have all the memory that it needs:
 *     simulate_grid DATA.h5 RANKS NODES [NAME=VALUE]...
 * OMP_NUM_THREADS are the threads of a rank. */
#include "train/internal.h"

#include <math.h>
#include <stdlib.h>

static cf_status run(const cf_par *world, char **arguments, int count)
{
    const grid_machine machine = {atoi(arguments[1]), atoi(arguments[2]), INFINITY};
    cf_config *config = NULL;
    cf_dataset *dataset = NULL;
    run_options options;
    int n_rows, n_columns;
    cf_status status;

    CF_REQUIRE(machine.n_nodes > 0 && machine.n_ranks >= machine.n_nodes, CF_ERR_USAGE,
               "%s ranks on %s nodes: expected a rank or more on each", arguments[1], arguments[2]);
    CF_TRY(cf_config_create(cf_train_tables, cf_train_n_tables, &config));
    for (int k = 3; k < count; k++)
        CF_TRY(cf_config_set(config, arguments[k]));
    CF_TRY(run_read_options(config, &options));
    CF_TRY(cf_dataset_open(world, arguments[0], &dataset));
    grid_choose(dataset, &options, &machine, &n_rows, &n_columns);
    printf("%dx%d\n", n_rows, n_columns);
done:
    cf_dataset_close(&dataset);
    cf_config_destroy(&config);
    return status;
}

int main(int argc, char **argv)
{
    cf_status status = CF_ERR_USAGE;
    cf_par world;

    cf_par_init(&argc, &argv, &world);
    if (argc >= 4 && world.size == 1)
        status = run(&world, argv + 1, argc - 1);
    else
        CF_FAIL(status, "usage: simulate_grid DATA.h5 RANKS NODES [NAME=VALUE]..., on one rank");
    if (status != CF_OK) fprintf(stderr, "llminit: error: %s\n", cf_error_message());
    cf_par_finalize();
    return (int)status;
}
