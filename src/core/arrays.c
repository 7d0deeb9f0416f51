/* Arrays of an object from one table: the list of its arrays is written once, and allocation,
 * release and the prediction of memory all walk it, so that none can forget an array. Row k says
 * where in the object the pointer lies and that the array has counts[count] * times + more elements
 * of `size` bytes. tests/core/arrays.c compares predicted with counted bytes.
 */
#include "cf/core.h"

/* The address of the object's pointer to this array. */
static void *member(void *object, const cf_array *array)
{
    return (char *)object + array->offset;
}

/* After a failure the caller destroys what was allocated: the other pointers are still NULL. */
cf_status cf_arrays_create(void *object, const cf_array *arrays, int n, const int64_t *counts)
{
    cf_status status = CF_OK;

    for (int k = 0; k < n; k++)
        CF_TRY(cf_alloc(member(object, &arrays[k]),
                        counts[arrays[k].count] * arrays[k].times + arrays[k].more,
                        arrays[k].size));
done:
    return status;
}

void cf_arrays_destroy(void *object, const cf_array *arrays, int n)
{
    for (int k = 0; k < n; k++)
        cf_free(member(object, &arrays[k]));
}

double cf_arrays_bytes(const cf_array *arrays, int n, const double *counts)
{
    double bytes = 0;

    for (int k = 0; k < n; k++)
        bytes += (counts[arrays[k].count] * (double)arrays[k].times + (double)arrays[k].more) *
                 (double)arrays[k].size;
    return bytes;
}
