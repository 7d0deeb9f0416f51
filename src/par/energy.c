/* The energy that a node takes, by RAPL (Intel, and AMD since Zen): counters of microjoules in
 * /sys/class/powercap, one for each package and, where there is one, for its memory. Domains within
 * a package, and "psys", which has packages in it, are left out. Most systems let root alone read
 * them.
 *
 * A counter begins anew after some minutes under load, so that it must be read more often; who
 * reads is the watchdog's thread (watch.c) and, where a phase begins or ends, the main thread.
 * tests/par/energy.c has counters of its own. */
#include "energy.h"
#include "watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 1024 };

/* ---- Meters ---- */

/* A number that an open file has; 0 if it has none. */
static uint64_t read_number(int fd)
{
    char text[32] = "";

    if (pread(fd, text, sizeof text - 1, 0) <= 0) return 0;
    return strtoull(text, NULL, 10);
}

/* The first line of a file of a domain; false if it cannot be read. */
static bool read_line(const char *domain, const char *name, char *out, size_t size)
{
    char path[PATH_SIZE + 32];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "%s/%s", domain, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    n = read(fd, out, size - 1);
    (void)close(fd);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return n > 0;
}

static void open_domain(const char *domain, energy_meters *out)
{
    char name[32], range[32], path[PATH_SIZE + 32];
    int fd;

    if (out->count == ENERGY_DOMAINS || !read_line(domain, "name", name, sizeof name) ||
        !read_line(domain, "max_energy_range_uj", range, sizeof range))
        return;
    if (strncmp(name, "package", 7) != 0 && strcmp(name, "dram") != 0) return;
    snprintf(path, sizeof path, "%s/energy_uj", domain);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    out->fd[out->count] = fd;
    out->range[out->count] = strtoull(range, NULL, 10);
    out->last[out->count++] = read_number(fd);
}

/* "intel-rapl:0", "intel-rapl:0:1", on AMD too; "intel-rapl-mmio:0" would be the same package once
 * more. */
bool energy_open(const char *root, energy_meters *out)
{
    char folder[PATH_SIZE / 2], domain[PATH_SIZE];
    const struct dirent *entry;
    DIR *all;

    *out = (energy_meters){0};
    snprintf(folder, sizeof folder, "%s/class/powercap", root);
    all = opendir(folder);
    while (all != NULL && (entry = readdir(all)) != NULL) {
        if (strncmp(entry->d_name, "intel-rapl:", 11) != 0) continue;
        snprintf(domain, sizeof domain, "%s/%s", folder, entry->d_name);
        open_domain(domain, out);
    }
    if (all != NULL) closedir(all);
    return out->count > 0;
}

double energy_advance(energy_meters *meters)
{
    double microjoules = 0;

    for (int k = 0; k < meters->count; k++) {
        const uint64_t now = read_number(meters->fd[k]), last = meters->last[k];

        microjoules += now >= last ? (double)(now - last) : (double)(meters->range[k] - last + now);
        meters->last[k] = now;
    }
    return 1e-6 * microjoules;
}

void energy_close(energy_meters *meters)
{
    for (int k = 0; k < meters->count; k++)
        (void)close(meters->fd[k]);
    *meters = (energy_meters){0};
}

/* ---- This node's ---- */

static struct {
    pthread_mutex_t lock;
    energy_meters meters;
    double joules; /* since they were opened */
} node = {.lock = PTHREAD_MUTEX_INITIALIZER};

double energy_read(void)
{
    double joules;

    pthread_mutex_lock(&node.lock);
    node.joules += energy_advance(&node.meters);
    joules = node.joules;
    pthread_mutex_unlock(&node.lock);
    return joules;
}

void cf_par_start_energy(const cf_par *world)
{
    cf_par ranks;

    cf_par_split_node(world, &ranks);
    pthread_mutex_lock(&node.lock);
    energy_close(&node.meters);
    if (ranks.rank == 0) (void)energy_open(cf_par_system(), &node.meters);
    pthread_mutex_unlock(&node.lock);
    MPI_Comm_free(&ranks.comm);
}

bool cf_par_has_energy(void)
{
    return node.meters.count > 0;
}
