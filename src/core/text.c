/* Texts: new ones from parts, formatted twice, once to measure and once into the room made for it;
 * and texts of unknown origin, such as names in files, made fit to be shown or to be UTF-8 (RFC
 * 3629). tests/core/text.c has tables of both. */
#include "cf/core.h"

#include <stdarg.h>
#include <string.h>

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

/* Bytes of the character at `text` in well-formed UTF-8; 0 if there is none. A NUL ends the text,
 * and is no continuation, so nothing is read beyond it. */
static size_t character_bytes(const unsigned char *text)
{
    const unsigned char lead = text[0];
    const size_t bytes = lead < 0x80                   ? 1
                         : lead >= 0xc2 && lead < 0xe0 ? 2
                         : lead >= 0xe0 && lead < 0xf0 ? 3
                         : lead >= 0xf0 && lead < 0xf5 ? 4
                                                       : 0;

    for (size_t k = 1; k < bytes; k++)
        if ((text[k] & 0xc0) != 0x80) return 0;
    /* too long for its number, a surrogate, beyond U+10FFFF */
    if ((lead == 0xe0 && text[1] < 0xa0) || (lead == 0xed && text[1] >= 0xa0) ||
        (lead == 0xf0 && text[1] < 0x90) || (lead == 0xf4 && text[1] >= 0x90))
        return 0;
    return bytes;
}

/* Control characters: those of ASCII, and U+0080 to U+009F. */
static bool is_control(const unsigned char *text)
{
    return text[0] < 0x20 || text[0] == 0x7f || (text[0] == 0xc2 && text[1] < 0xa0);
}

/* Append "\xNN" for a byte. */
static void escape_byte(unsigned char byte, char *out)
{
    static const char digits[] = "0123456789abcdef";

    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[byte >> 4];
    out[3] = digits[byte & 15];
}

const char *cf_text_show(const char *text, char *out, size_t size)
{
    const unsigned char *from = (const unsigned char *)text;
    size_t at = 0;

    while (*from != '\0') {
        size_t bytes = character_bytes(from);
        const bool is_space = *from == '\n' || *from == '\r';
        const bool is_shown = bytes > 0 && (*from == '\t' || !is_control(from));

        if (!is_shown && bytes != 2) bytes = 1;
        const size_t room = is_shown || is_space ? bytes : 4 * bytes;
        if (at + room + 1 > size) break;
        if (is_space)
            out[at] = ' ';
        else if (is_shown)
            memcpy(out + at, from, bytes);
        else
            for (size_t k = 0; k < bytes; k++)
                escape_byte(from[k], out + at + 4 * k);
        at += room;
        from += bytes;
    }
    out[at] = '\0';
    return out;
}

cf_status cf_text_to_utf8(const char *text, char **out)
{
    const unsigned char *from = (const unsigned char *)text;
    char *copy = NULL;
    size_t at = 0;
    cf_status status;

    CF_TRY(CF_ALLOC(copy, 4 * (int64_t)strlen(text) + 1));
    while (*from != '\0') {
        const size_t bytes = character_bytes(from);

        if (bytes > 0)
            memcpy(copy + at, from, bytes);
        else
            escape_byte(*from, copy + at);
        at += bytes > 0 ? bytes : 4;
        from += bytes > 0 ? bytes : 1;
    }
    *out = copy;
done:
    return status;
}
