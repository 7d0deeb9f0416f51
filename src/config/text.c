/* Text that grows, and text made fit for YAML and for messages.
 *
 * YAML is written in ASCII alone: a text from the command line may hold any bytes, and must be read
 * back the same from settings.yaml and from a checkpoint. */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Formats twice: once to measure, once into the room made for it. */
cf_status config_append(config_buffer *buffer, const char *format, ...)
{
    cf_status status = CF_OK;
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CF_ASSERT(length >= 0);
    CF_TRY(CF_GROW(buffer->text, buffer->capacity, buffer->length + length + 1));

    va_start(arguments, format);
    vsnprintf(buffer->text + buffer->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buffer->length += length;
done:
    return status;
}

/* Decode one UTF-8 code point (RFC 3629) and advance *text past it. The lead byte tells how many
 * continuation bytes (10xxxxxx) follow; 0xC0 and 0xC1 would be overlong, 0xF5 and above beyond
 * U+10FFFF. A byte that is not UTF-8 is returned as -1 - byte, so that the caller can keep it. */
static int32_t next_code_point(const unsigned char **text)
{
    const unsigned char *t = *text;
    int n_more = t[0] < 0x80   ? 0
                 : t[0] < 0xC2 ? -1
                 : t[0] < 0xE0 ? 1
                 : t[0] < 0xF0 ? 2
                 : t[0] < 0xF5 ? 3
                               : -1;
    int32_t point = n_more <= 0 ? t[0] : t[0] & (0x3F >> n_more);

    for (int k = 1; k <= n_more; k++) {
        if ((t[k] & 0xC0) != 0x80) {
            n_more = -1;
            break;
        }
        point = point << 6 | (t[k] & 0x3F);
    }
    *text = t + 1 + (n_more > 0 ? n_more : 0);
    return n_more >= 0 ? point : -1 - (int32_t)t[0];
}

/* Everything that is not printable ASCII becomes \UXXXXXXXX, which needs no knowledge of what YAML
 * counts as printable. */
cf_status config_append_quoted(config_buffer *buffer, const char *text)
{
    const unsigned char *t = (const unsigned char *)text;
    cf_status status = CF_OK;

    CF_TRY(config_append(buffer, "\""));
    while (*t) {
        int32_t point = next_code_point(&t);

        if (point < 0) /* kept as it is: libyaml reports it with its line */
            CF_TRY(config_append(buffer, "%c", -1 - point));
        else if (point == '"' || point == '\\')
            CF_TRY(config_append(buffer, "\\%c", (int)point));
        else if (point >= 0x20 && point < 0x7F)
            CF_TRY(config_append(buffer, "%c", (int)point));
        else if (point == '\t' || point == '\n')
            CF_TRY(config_append(buffer, point == '\t' ? "\\t" : "\\n"));
        else
            CF_TRY(config_append(buffer, "\\U%08X", (unsigned)point));
    }
    CF_TRY(config_append(buffer, "\""));
done:
    return status;
}

cf_status config_copy_text(const char *text, char **out)
{
    size_t size = strlen(text) + 1;
    char *copy = NULL;
    cf_status status = CF_OK;

    CF_TRY(CF_ALLOC(copy, (int64_t)size));
    memcpy(copy, text, size);
    *out = copy;
done:
    return status;
}

cf_status config_append_name(config_buffer *list, const char *name)
{
    return config_append(list, "%s%s", list->length > 0 ? ", " : "", name);
}

/* Control characters would break the one line of an error, or the terminal. */
const char *config_excerpt(const char *text, char out[80])
{
    size_t length = strlen(text);
    size_t kept = length > 60 ? 60 : length;

    for (size_t k = 0; k < kept; k++)
        out[k] = (unsigned char)text[k] < 0x20 || text[k] == 0x7F ? '?' : text[k];
    strcpy(out + kept, length > kept ? "..." : "");
    return out;
}
