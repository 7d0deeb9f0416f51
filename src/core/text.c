/* A new text from parts: formatted twice, once to measure it and once into the room made for it. */
#include "cf/core.h"

#include <stdarg.h>

/* vsnprintf() counts in int, so it refuses a text of INT_MAX bytes or more. */
cf_status cf_text_format(char **out, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    int length;
    cf_status status;

    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CF_REQUIRE(length >= 0, CF_ERR_MEMORY, "out of memory: a text of 2 GiB or more");
    CF_TRY(CF_ALLOC(text, (int64_t)length + 1));

    va_start(arguments, format);
    (void)vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    *out = text;
done:
    return status;
}
