/* Bindings on nodes that this one is not: folders as /sys has them. */
#include "par/binding.h"
#include "par/machine.h"

#include "cf_test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Sets of CPUs ---- */

static void lists_of_cpus_come_back(void **state)
{
    static const char *const lists[] = {"", "0", "0-3", "0-3,8", "1,3,5-7,64-127,8191"};
    binding_set set;
    char text[64];

    (void)state;
    for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
        assert_true(binding_parse(lists[k], &set));
        assert_string_equal(binding_print(&set, text, sizeof text), lists[k]);
    }
    assert_true(binding_parse("4,2\n", &set));
    assert_string_equal(binding_print(&set, text, sizeof text), "2,4");
    assert_int_equal(binding_count(&set), 2);
    assert_true(binding_parse("8190-9000", &set)); /* beyond all CPUs */
    assert_int_equal(binding_count(&set), 2);
    assert_false(binding_parse("0-", &set));
    assert_false(binding_parse("x", &set));
    assert_false(binding_parse("0;3", &set));
}

static void a_list_without_room_is_cut(void **state)
{
    binding_set set;
    char text[10];

    (void)state;
    assert_true(binding_parse("0,2,4,6,8,10", &set));
    assert_string_equal(binding_print(&set, text, sizeof text), "0,2,4...");
}

/* ---- A node ---- */

static char root[1024];

static void put(const char *folder, const char *name, const char *text)
{
    char path[1400];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", root, folder);
    for (char *slash = strchr(path + strlen(root), '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0777);
        *slash = '/';
    }
    (void)mkdir(path, 0777);
    strcat(path, "/");
    strcat(path, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Of each rank its own: 4 cores with two CPUs each, k and k + 4, and two NUMA nodes. */
static void make_node(void)
{
    char folder[64], text[32];

    snprintf(root, sizeof root, "%s.%d", cf_test_scratch("sys"), world.rank);
    put("devices/system/cpu", "online", "0-7\n");
    for (int cpu = 0; cpu < 8; cpu++) {
        snprintf(folder, sizeof folder, "devices/system/cpu/cpu%d/topology", cpu);
        snprintf(text, sizeof text, "%d,%d\n", cpu % 4, cpu % 4 + 4);
        put(folder, "thread_siblings_list", text);
    }
    put("devices/system/node/node0", "cpulist", "0-1,4-5\n");
    put("devices/system/node/node1", "cpulist", "2-3,6-7\n");
}

static binding_rank bound(int rank, int n_threads, const char *cpus)
{
    binding_rank out = {.rank = rank, .n_threads = n_threads};
    cf_binding about = {0};

    assert_true(binding_parse(cpus, &out.cpus));
    binding_read(root, &out, &about);
    assert_string_equal(about.cpus, cpus);
    return out;
}

static void cores_and_numa_nodes_are_read(void **state)
{
    binding_rank rank = {0};
    cf_binding about = {0};
    char text[64];

    (void)state;
    make_node();
    assert_true(binding_parse("1,5-6", &rank.cpus));
    binding_read(root, &rank, &about);
    assert_string_equal(about.cpus, "1,5-6");
    assert_string_equal(about.numa, "0-1");
    assert_int_equal(about.n_cpus, 3);
    assert_int_equal(about.n_node_cpus, 8);
    assert_true(rank.is_bound);
    assert_string_equal(binding_print(&rank.cores, text, sizeof text), "1-2");
    assert_true(binding_parse("0-7", &rank.cpus));
    binding_read(root, &rank, &about);
    assert_false(rank.is_bound);
    binding_read("/nonexistent", &rank, &about); /* all that it knows are its own CPUs */
    assert_false(rank.is_bound);
    assert_string_equal(about.numa, "");
    assert_string_equal(binding_print(&rank.cores, text, sizeof text), "0-7");
}

/* ---- Faults ---- */

static const char *fault_of(const binding_rank *ranks, int n, int me)
{
    static char line[256];

    binding_find_fault(ranks, n, me, line, sizeof line);
    return line;
}

static void more_threads_than_cpus_are_a_fault(void **state)
{
    const binding_rank ranks[] = {bound(6, 4, "0,4"), bound(7, 2, "1,5")};

    (void)state;
    assert_non_null(
        strstr(fault_of(ranks, 2, 0), "rank 6 has 4 threads, but is bound to 2 CPUs (0,4)"));
    assert_string_equal(fault_of(ranks, 2, 1), "");
}

static void two_ranks_of_one_core_are_a_fault(void **state)
{
    const binding_rank same[] = {bound(0, 1, "2"), bound(1, 1, "3"), bound(2, 1, "2")},
                       siblings[] = {bound(0, 1, "2"), bound(1, 1, "6")};

    (void)state;
    assert_non_null(strstr(fault_of(same, 3, 0), "ranks 0 and 2 are bound to the same core"));
    assert_string_equal(fault_of(same, 3, 1), "");
    assert_non_null(strstr(fault_of(same, 3, 2), "ranks 2 and 0 are bound to the same core"));
    assert_non_null(strstr(fault_of(siblings, 2, 1), "ranks 1 and 0"));
}

/* Bound to a socket together, with a core for each thread; or not bound at all. */
static void ranks_with_cores_enough_are_no_fault(void **state)
{
    const binding_rank socket[] = {bound(0, 1, "0-1,4-5"), bound(1, 1, "0-1,4-5")},
                       crowded[] = {bound(0, 1, "0-1,4-5"), bound(1, 2, "0-1,4-5")},
                       free_ranks[] = {bound(0, 8, "0-7"), bound(1, 9, "0-7")};

    (void)state;
    assert_string_equal(fault_of(socket, 2, 0), "");
    assert_non_null(strstr(fault_of(crowded, 2, 0), "3 threads share 2 cores"));
    assert_string_equal(fault_of(free_ranks, 2, 0), "");
    assert_string_equal(fault_of(free_ranks, 2, 1), "");
}

/* ---- Words ---- */

static void a_line_says_where_ranks_run(void **state)
{
    cf_binding all[2] = {{.node = "n1",
                          .cpus = "0-3",
                          .numa = "0",
                          .n_cpus = 4,
                          .n_node_cpus = 8,
                          .n_threads = 4,
                          .n_thread_cpus = 1},
                         {.node = "n1", .cpus = "4-7", .n_cpus = 4, .n_node_cpus = 8}};
    char line[512];

    (void)state;
    all[1].n_thread_cpus = 4;
    binding_describe(all, 2, line, sizeof line);
    assert_string_equal(line, "2 of 2 ranks are bound to 4 CPUs each: rank 0 to 0-3 of n1, NUMA "
                              "node 0; threads are bound");
    all[0].n_cpus = all[1].n_cpus = all[0].n_thread_cpus = all[1].n_thread_cpus = 8;
    binding_describe(all, 2, line, sizeof line);
    assert_string_equal(line, "ranks are not bound: rank 0 runs on all 8 CPUs of n1");
}

/* ---- This node ---- */

static void every_rank_of_this_job_has_a_binding(void **state)
{
    cf_binding *all = NULL;
    cf_binding_fault fault;

    (void)state;
    assert_ok(cf_par_find_bindings(&world, &all, &fault));
    if (world.rank == 0)
        for (int k = 0; k < world.size; k++) {
            assert_true(all[k].n_cpus >= 1 && all[k].n_cpus <= all[k].n_node_cpus);
            assert_int_equal(all[k].n_threads, 1);
            assert_true(all[k].cpus[0] != '\0' && all[k].node[0] != '\0');
        }
    else
        assert_null(all);
    cf_free(&all);
}

static cf_status find(void *context)
{
    cf_binding_fault fault;

    return cf_par_find_bindings(&world, context, &fault);
}

static void drop(void *context)
{
    cf_free(context);
}

static void no_memory_on_one_rank_stops_every_rank(void **state)
{
    const cf_test_trial trial = {.attempt = find, .clean_up = drop, .least = {2, 1}};
    cf_binding *all = NULL;

    (void)state;
    assert_true(cf_test_every_allocation(&trial, &all) > 0);
}

/* ---- Huge pages ---- */

static void huge_pages_are_off_where_the_system_says_never(void **state)
{
    (void)state;
    make_node();
    put("kernel/mm/transparent_hugepage", "enabled", "always madvise [never]\n");
    assert_true(machine_pages_are_off(root));
    put("kernel/mm/transparent_hugepage", "enabled", "always [madvise] never\n");
    assert_false(machine_pages_are_off(root));
    assert_false(machine_pages_are_off("/nonexistent"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(lists_of_cpus_come_back),
    cmocka_unit_test(a_list_without_room_is_cut),
    cmocka_unit_test(cores_and_numa_nodes_are_read),
    cmocka_unit_test(more_threads_than_cpus_are_a_fault),
    cmocka_unit_test(two_ranks_of_one_core_are_a_fault),
    cmocka_unit_test(ranks_with_cores_enough_are_no_fault),
    cmocka_unit_test(a_line_says_where_ranks_run),
    cmocka_unit_test(every_rank_of_this_job_has_a_binding),
    cmocka_unit_test(no_memory_on_one_rank_stops_every_rank),
    cmocka_unit_test(huge_pages_are_off_where_the_system_says_never),
};
CF_TEST_MAIN(tests)
