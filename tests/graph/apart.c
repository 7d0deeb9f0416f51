/* Ranks of one machine that cannot open each other's memory, as in containers of their own. */
#include "sums.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WIDTH = 32 };

static cf_test_graph make_graph(void)
{
    return cf_test_graph_random(60, 90, 0.1, 3);
}

/* /proc/PID/fd of a process that is not dumpable is closed to all others but those with
 * CAP_SYS_PTRACE, which root has and gives up for a while. */
static void keep_apart(bool apart)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    const uint32_t bit = 1u << CAP_SYS_PTRACE;

    assert_int_equal(prctl(PR_SET_DUMPABLE, !apart, 0, 0, 0), 0);
    assert_int_equal(syscall(SYS_capget, &header, data), 0);
    data[0].effective =
        apart ? data[0].effective & ~bit : data[0].effective | (data[0].permitted & bit);
    assert_int_equal(syscall(SYS_capset, &header, data), 0);
    MPI_Barrier(world.comm);
}

/* A grid of one column, and what rank 0 says of it. */
static const char *make_grid(cf_grid **grid)
{
    const char *said;

    cf_test_begin_stderr();
    const cf_status status = cf_par_create_grid(&world, world.size, 1, grid);
    said = cf_test_end_stderr();
    assert_ok(status);
    return said;
}

static void check_sums(setup *s)
{
    cf_field field;

    make_setup(s, make_graph, 2);
    set_width(s, WIDTH, NULL);
    field = new_field(s);
    cf_graph_sum(s->graph, field, keep, s);
    check_rows(s, NULL);
    cf_graph_destroy_field(&field);
    drop_width(s);
}

static void ranks_that_cannot_share_memory_say_so_and_send_rows(void **state)
{
    static const char line[] =
        "the ranks of a node cannot open each other's memory (/proc/PID/fd): they send rows";

    (void)state;
    for (int apart = 1; apart >= 0; apart--) {
        setup s = {0};
        const char *said;

        keep_apart(apart);
        said = make_grid(&s.grid);
        assert_int_equal(strstr(said, line) != NULL, apart && world.size > 1 && world.rank == 0);
        assert_int_equal(s.grid->node.size, apart ? 1 : world.size);
        check_sums(&s);
        assert_int_equal(cf_graph_halo(s.graph) > 0, apart && world.size > 1);
        drop_setup(&s);
        cf_par_destroy_grid(&s.grid);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(ranks_that_cannot_share_memory_say_so_and_send_rows),
};
CF_TEST_MAIN(tests)
