/* Meters of energy that this machine does not have: a folder as /sys has them. */
#include "par/energy.h"

#include "cf_test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[1024];

/* A file of a domain, changed in place: the meters stay open. */
static void put(const char *domain, const char *name, const char *text)
{
    char path[1400];
    FILE *file;

    snprintf(path, sizeof path, "%s", root);
    (void)mkdir(path, 0777);
    strcat(path, "/class");
    (void)mkdir(path, 0777);
    strcat(path, "/powercap");
    (void)mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/class/powercap/%s", root, domain);
    (void)mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/class/powercap/%s/%s", root, domain, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%s\n", text);
    fclose(file);
}

static void put_domain(const char *domain, const char *name, const char *microjoules)
{
    put(domain, "name", name);
    put(domain, "max_energy_range_uj", "1000000000");
    put(domain, "energy_uj", microjoules);
}

/* Of each rank its own; two packages, one with memory, and what has one of them in it. */
static void make_meters(void)
{
    snprintf(root, sizeof root, "%s.%d", cf_test_scratch("sys"), world.rank);
    put_domain("intel-rapl:0", "package-0", "5000000");
    put_domain("intel-rapl:1", "package-1", "999000000");
    put_domain("intel-rapl:0:0", "core", "1000000");
    put_domain("intel-rapl:0:1", "dram", "7000000");
    put_domain("intel-rapl:2", "psys", "8000000");
    put_domain("intel-rapl-mmio:0", "package-0", "5000000");
}

static void packages_and_memory_are_added_up(void **state)
{
    energy_meters meters;

    (void)state;
    make_meters();
    assert_true(energy_open(root, &meters));
    assert_int_equal(meters.count, 3);
    assert_close(energy_advance(&meters), 0, 0);
    put("intel-rapl:0", "energy_uj", "6500000");
    put("intel-rapl:0:0", "energy_uj", "2000000");
    put("intel-rapl:0:1", "energy_uj", "7250000");
    put("intel-rapl:2", "energy_uj", "9000000");
    assert_close(energy_advance(&meters), 1.75, 1e-12);
    assert_close(energy_advance(&meters), 0, 0);
    energy_close(&meters);
}

static void a_counter_may_begin_anew(void **state)
{
    energy_meters meters;

    (void)state;
    make_meters();
    assert_true(energy_open(root, &meters));
    put("intel-rapl:1", "energy_uj", "500000");
    assert_close(energy_advance(&meters), 1.5, 1e-12);
    energy_close(&meters);
}

static void without_meters_there_is_nothing(void **state)
{
    energy_meters meters;

    (void)state;
    assert_false(energy_open("/nonexistent", &meters));
    assert_close(energy_advance(&meters), 0, 0);
    energy_close(&meters);
}

/* One rank a node measures, and phases have what was used in them. */
static void phases_have_their_energy(void **state)
{
    cf_phase before;
    cf_profile profile;
    double joules[3];

    (void)state;
    make_meters();
    cf_par_pretend_nodes(2);
    cf_par_pretend_system(root);
    cf_par_start_energy(&world);
    assert_int_equal(cf_par_has_energy(), world.rank % 2 == 0);
    cf_par_start_profile();
    put("intel-rapl:0", "energy_uj", "6000000");
    before = cf_par_set_phase(CF_PHASE_HALO);
    put("intel-rapl:0", "energy_uj", "8000000");
    cf_par_restore_phase(before);
    before = cf_par_set_phase(CF_PHASE_OUTPUT);
    put("intel-rapl:0", "energy_uj", "12000000");
    cf_par_restore_phase(before);
    put("intel-rapl:0", "energy_uj", "20000000");
    profile = cf_par_read_profile();
    joules[0] = profile.phase[CF_PHASE_OTHER].joules;
    joules[1] = profile.phase[CF_PHASE_OUTPUT].joules;
    joules[2] = profile.phase[CF_PHASE_HALO].joules;
    assert_close(joules[0], world.rank % 2 == 0 ? 11 : 0, 1e-9);
    assert_close(joules[1], world.rank % 2 == 0 ? 4 : 0, 1e-9);
    assert_close(joules[2], 0, 0);
    cf_par_pretend_nodes(0);
    cf_par_pretend_system("/nonexistent");
    cf_par_start_energy(&world);
    cf_par_pretend_system(NULL);
    assert_false(cf_par_has_energy());
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(packages_and_memory_are_added_up),
    cmocka_unit_test(a_counter_may_begin_anew),
    cmocka_unit_test(without_meters_there_is_nothing),
    cmocka_unit_test(phases_have_their_energy),
};
CF_TEST_MAIN(tests)
