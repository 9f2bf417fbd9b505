/*
 * charset - the character sets that names in mail are written in.
 *
 * iconv(3) loads what it needs of a charset when it is first asked for it and
 * keeps it; that only opens and maps files, which the service may do. A
 * descriptor has a state of its own and is no good for several threads, so each
 * text gets its own.
 */
#include "common/charset.h"

#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "common/util.h"

#define NAME_MAX_BYTES 24  /* no name in the table is as long */
#define CHUNK          512 /* bytes that are converted at a time */

/* By name. */
static const struct charset charsets[] = {
    {"646", CHARSET_ASCII, {"UTF-8"}},
    {"8859", CHARSET_ASCII, {"CP1252", "ISO-8859-1"}},
    {"ansix341968", CHARSET_ASCII, {"UTF-8"}},
    {"arabic", CHARSET_ASCII, {"ISO-8859-6"}},
    {"ascii", CHARSET_ASCII, {"UTF-8"}},
    {"big5", CHARSET_TRAILING, {"BIG5", "CP950", "BIG5-HKSCS"}},
    {"big5hkscs", CHARSET_TRAILING, {"BIG5-HKSCS"}},
    {"big5tw", CHARSET_TRAILING, {"BIG5", "CP950", "BIG5-HKSCS"}},
    {"cnbig5", CHARSET_TRAILING, {"BIG5", "CP950", "BIG5-HKSCS"}},
    {"cp1250", CHARSET_ASCII, {"CP1250"}},
    {"cp1251", CHARSET_ASCII, {"CP1251"}},
    {"cp1252", CHARSET_ASCII, {"CP1252"}},
    {"cp1253", CHARSET_ASCII, {"CP1253"}},
    {"cp1254", CHARSET_ASCII, {"CP1254"}},
    {"cp1255", CHARSET_ASCII, {"CP1255"}},
    {"cp1256", CHARSET_ASCII, {"CP1256"}},
    {"cp1257", CHARSET_ASCII, {"CP1257"}},
    {"cp1258", CHARSET_ASCII, {"CP1258"}},
    {"cp437", CHARSET_ASCII, {"CP437"}},
    {"cp51932", CHARSET_ASCII, {"EUC-JP", "EUC-JP-MS"}},
    {"cp65001", CHARSET_ASCII, {"UTF-8"}},
    {"cp775", CHARSET_ASCII, {"CP775"}},
    {"cp819", CHARSET_ASCII, {"CP1252", "ISO-8859-1"}},
    {"cp850", CHARSET_ASCII, {"CP850"}},
    {"cp852", CHARSET_ASCII, {"CP852"}},
    {"cp855", CHARSET_ASCII, {"CP855"}},
    {"cp857", CHARSET_ASCII, {"CP857"}},
    {"cp858", CHARSET_ASCII, {"IBM858"}},
    {"cp860", CHARSET_ASCII, {"CP860"}},
    {"cp861", CHARSET_ASCII, {"CP861"}},
    {"cp862", CHARSET_ASCII, {"CP862"}},
    {"cp863", CHARSET_ASCII, {"CP863"}},
    {"cp865", CHARSET_ASCII, {"CP865"}},
    {"cp866", CHARSET_ASCII, {"CP866"}},
    {"cp869", CHARSET_ASCII, {"CP869"}},
    {"cp874", CHARSET_ASCII, {"CP874", "TIS-620"}},
    {"cp932", CHARSET_TRAILING, {"CP932"}},
    {"cp936", CHARSET_TRAILING, {"GBK", "GB18030"}},
    {"cp949", CHARSET_TRAILING, {"UHC"}},
    {"cp950", CHARSET_TRAILING, {"CP950", "BIG5-HKSCS"}},
    {"csbig5", CHARSET_TRAILING, {"BIG5", "CP950", "BIG5-HKSCS"}},
    {"csgb2312", CHARSET_TRAILING, {"EUC-CN", "GBK", "GB18030"}},
    {"csiso2022jp", CHARSET_ISO_2022_JP, {"ISO-2022-JP", "ISO-2022-JP-3"}},
    {"cskoi8r", CHARSET_ASCII, {"KOI8-R"}},
    {"csshiftjis", CHARSET_TRAILING, {"SJIS", "CP932"}},
    {"cyrillic", CHARSET_ASCII, {"ISO-8859-5"}},
    {"euccn", CHARSET_TRAILING, {"EUC-CN", "GBK", "GB18030"}},
    {"eucjp", CHARSET_ASCII, {"EUC-JP", "EUC-JP-MS"}},
    {"eucjpms", CHARSET_ASCII, {"EUC-JP", "EUC-JP-MS"}},
    {"euckr", CHARSET_ASCII, {"EUC-KR", "UHC"}},
    {"euctw", CHARSET_ASCII, {"EUC-TW"}},
    {"gb18030", CHARSET_TRAILING, {"GB18030"}},
    {"gb2312", CHARSET_TRAILING, {"EUC-CN", "GBK", "GB18030"}},
    {"gb231280", CHARSET_TRAILING, {"EUC-CN", "GBK", "GB18030"}},
    {"gbk", CHARSET_TRAILING, {"GBK", "GB18030"}},
    {"greek", CHARSET_ASCII, {"ISO-8859-7"}},
    {"hebrew", CHARSET_ASCII, {"ISO-8859-8", "CP1255"}},
    {"ibm437", CHARSET_ASCII, {"CP437"}},
    {"ibm775", CHARSET_ASCII, {"CP775"}},
    {"ibm819", CHARSET_ASCII, {"CP1252", "ISO-8859-1"}},
    {"ibm850", CHARSET_ASCII, {"CP850"}},
    {"ibm852", CHARSET_ASCII, {"CP852"}},
    {"ibm855", CHARSET_ASCII, {"CP855"}},
    {"ibm857", CHARSET_ASCII, {"CP857"}},
    {"ibm858", CHARSET_ASCII, {"IBM858"}},
    {"ibm860", CHARSET_ASCII, {"CP860"}},
    {"ibm861", CHARSET_ASCII, {"CP861"}},
    {"ibm862", CHARSET_ASCII, {"CP862"}},
    {"ibm863", CHARSET_ASCII, {"CP863"}},
    {"ibm865", CHARSET_ASCII, {"CP865"}},
    {"ibm866", CHARSET_ASCII, {"CP866"}},
    {"ibm869", CHARSET_ASCII, {"CP869"}},
    {"iso2022cn", CHARSET_OPAQUE, {"ISO-2022-CN"}},
    {"iso2022cnext", CHARSET_OPAQUE, {"ISO-2022-CN-EXT"}},
    {"iso2022jp", CHARSET_ISO_2022_JP, {"ISO-2022-JP", "ISO-2022-JP-3"}},
    {"iso2022jp1", CHARSET_OPAQUE, {"ISO-2022-JP-2"}},
    {"iso2022jp2", CHARSET_OPAQUE, {"ISO-2022-JP-2"}},
    {"iso2022jp2004", CHARSET_OPAQUE, {"ISO-2022-JP-3"}},
    {"iso2022jp3", CHARSET_OPAQUE, {"ISO-2022-JP-3"}},
    {"iso2022kr", CHARSET_OPAQUE, {"ISO-2022-KR"}},
    {"iso646us", CHARSET_ASCII, {"UTF-8"}},
    {"iso88591", CHARSET_ASCII, {"CP1252", "ISO-8859-1"}},
    {"iso885910", CHARSET_ASCII, {"ISO-8859-10"}},
    {"iso885911", CHARSET_ASCII, {"CP874", "TIS-620"}},
    {"iso885913", CHARSET_ASCII, {"ISO-8859-13"}},
    {"iso885914", CHARSET_ASCII, {"ISO-8859-14"}},
    {"iso885915", CHARSET_ASCII, {"ISO-8859-15"}},
    {"iso885916", CHARSET_ASCII, {"ISO-8859-16"}},
    {"iso88592", CHARSET_ASCII, {"ISO-8859-2"}},
    {"iso88593", CHARSET_ASCII, {"ISO-8859-3"}},
    {"iso88594", CHARSET_ASCII, {"ISO-8859-4"}},
    {"iso88595", CHARSET_ASCII, {"ISO-8859-5"}},
    {"iso88596", CHARSET_ASCII, {"ISO-8859-6"}},
    {"iso88596e", CHARSET_ASCII, {"ISO-8859-6"}},
    {"iso88596i", CHARSET_ASCII, {"ISO-8859-6"}},
    {"iso88597", CHARSET_ASCII, {"ISO-8859-7"}},
    {"iso88598", CHARSET_ASCII, {"ISO-8859-8", "CP1255"}},
    {"iso88598e", CHARSET_ASCII, {"ISO-8859-8", "CP1255"}},
    {"iso88598i", CHARSET_ASCII, {"ISO-8859-8", "CP1255"}},
    {"iso88599", CHARSET_ASCII, {"CP1254", "ISO-8859-9"}},
    {"isoir149", CHARSET_ASCII, {"EUC-KR", "UHC"}},
    {"johab", CHARSET_OPAQUE, {"JOHAB"}},
    {"koi8r", CHARSET_ASCII, {"KOI8-R"}},
    {"koi8ru", CHARSET_ASCII, {"KOI8-RU"}},
    {"koi8t", CHARSET_ASCII, {"KOI8-T"}},
    {"koi8u", CHARSET_ASCII, {"KOI8-U"}},
    {"ksc5601", CHARSET_ASCII, {"EUC-KR", "UHC"}},
    {"ksc56011987", CHARSET_TRAILING, {"UHC"}},
    {"ksc56011989", CHARSET_TRAILING, {"UHC"}},
    {"l1", CHARSET_ASCII, {"CP1252", "ISO-8859-1"}},
    {"latin1", CHARSET_ASCII, {"CP1252", "ISO-8859-1"}},
    {"latin10", CHARSET_ASCII, {"ISO-8859-16"}},
    {"latin2", CHARSET_ASCII, {"ISO-8859-2"}},
    {"latin3", CHARSET_ASCII, {"ISO-8859-3"}},
    {"latin4", CHARSET_ASCII, {"ISO-8859-4"}},
    {"latin5", CHARSET_ASCII, {"CP1254", "ISO-8859-9"}},
    {"latin6", CHARSET_ASCII, {"ISO-8859-10"}},
    {"latin7", CHARSET_ASCII, {"ISO-8859-13"}},
    {"latin8", CHARSET_ASCII, {"ISO-8859-14"}},
    {"latin9", CHARSET_ASCII, {"ISO-8859-15"}},
    {"mac", CHARSET_ASCII, {"MACINTOSH"}},
    {"macintosh", CHARSET_ASCII, {"MACINTOSH"}},
    {"macroman", CHARSET_ASCII, {"MACINTOSH"}},
    {"ms932", CHARSET_TRAILING, {"CP932"}},
    {"ms936", CHARSET_TRAILING, {"GBK", "GB18030"}},
    {"mskanji", CHARSET_TRAILING, {"SJIS", "CP932"}},
    {"shiftjis", CHARSET_TRAILING, {"SJIS", "CP932"}},
    {"sjis", CHARSET_TRAILING, {"SJIS", "CP932"}},
    {"tis620", CHARSET_ASCII, {"CP874", "TIS-620"}},
    {"u8", CHARSET_ASCII, {"UTF-8"}},
    {"uhc", CHARSET_TRAILING, {"UHC"}},
    {"ujis", CHARSET_ASCII, {"EUC-JP", "EUC-JP-MS"}},
    {"unicode11utf7", CHARSET_OPAQUE, {"UTF-7"}},
    {"unicode11utf8", CHARSET_ASCII, {"UTF-8"}},
    {"unknown8bit", CHARSET_ASCII, {"UTF-8", "CP1252", "ISO-8859-1"}},
    {"usascii", CHARSET_ASCII, {"UTF-8"}},
    {"utf16", CHARSET_OPAQUE, {"UTF-16"}},
    {"utf16be", CHARSET_OPAQUE, {"UTF-16BE"}},
    {"utf16le", CHARSET_OPAQUE, {"UTF-16LE"}},
    {"utf32", CHARSET_OPAQUE, {"UTF-32"}},
    {"utf32be", CHARSET_OPAQUE, {"UTF-32BE"}},
    {"utf32le", CHARSET_OPAQUE, {"UTF-32LE"}},
    {"utf7", CHARSET_OPAQUE, {"UTF-7"}},
    {"utf8", CHARSET_ASCII, {"UTF-8"}},
    {"utf8sig", CHARSET_ASCII, {"UTF-8"}},
    {"windows1250", CHARSET_ASCII, {"CP1250"}},
    {"windows1251", CHARSET_ASCII, {"CP1251"}},
    {"windows1252", CHARSET_ASCII, {"CP1252"}},
    {"windows1253", CHARSET_ASCII, {"CP1253"}},
    {"windows1254", CHARSET_ASCII, {"CP1254"}},
    {"windows1255", CHARSET_ASCII, {"CP1255"}},
    {"windows1256", CHARSET_ASCII, {"CP1256"}},
    {"windows1257", CHARSET_ASCII, {"CP1257"}},
    {"windows1258", CHARSET_ASCII, {"CP1258"}},
    {"windows31j", CHARSET_TRAILING, {"CP932"}},
    {"windows874", CHARSET_ASCII, {"CP874", "TIS-620"}},
    {"windows932", CHARSET_TRAILING, {"CP932"}},
    {"windows936", CHARSET_TRAILING, {"GBK", "GB18030"}},
    {"windows949", CHARSET_TRAILING, {"UHC"}},
    {"windows950", CHARSET_TRAILING, {"CP950", "BIG5-HKSCS"}},
    {"xcp1250", CHARSET_ASCII, {"CP1250"}},
    {"xcp1251", CHARSET_ASCII, {"CP1251"}},
    {"xcp1252", CHARSET_ASCII, {"CP1252"}},
    {"xcp1253", CHARSET_ASCII, {"CP1253"}},
    {"xcp1254", CHARSET_ASCII, {"CP1254"}},
    {"xcp1255", CHARSET_ASCII, {"CP1255"}},
    {"xcp1256", CHARSET_ASCII, {"CP1256"}},
    {"xcp1257", CHARSET_ASCII, {"CP1257"}},
    {"xcp1258", CHARSET_ASCII, {"CP1258"}},
    {"xeuccn", CHARSET_TRAILING, {"EUC-CN", "GBK", "GB18030"}},
    {"xeucjp", CHARSET_ASCII, {"EUC-JP", "EUC-JP-MS"}},
    {"xeuckr", CHARSET_ASCII, {"EUC-KR", "UHC"}},
    {"xgbk", CHARSET_TRAILING, {"GBK", "GB18030"}},
    {"xmaccyrillic", CHARSET_ASCII, {"MAC-CYRILLIC"}},
    {"xmacroman", CHARSET_ASCII, {"MACINTOSH"}},
    {"xsjis", CHARSET_TRAILING, {"SJIS", "CP932"}},
    {"xunknown", CHARSET_ASCII, {"UTF-8", "CP1252", "ISO-8859-1"}},
    {"xxbig5", CHARSET_TRAILING, {"BIG5", "CP950", "BIG5-HKSCS"}},
};

static int
compare_name(const void *name, const void *charset)
{
    return strcmp(name, ((const struct charset *)charset)->name);
}

const struct charset *
charset_find(const char *name, size_t len)
{
    char plain[NAME_MAX_BYTES];
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        char c = name[i];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9')) {
            if (strchr("-_.: ", c) == NULL || c == '\0')
                return NULL;
            continue;
        }
        if (n == sizeof(plain) - 1)
            return NULL;
        plain[n++] = c;
    }
    plain[n] = '\0';
    return bsearch(plain, charsets, ARRAY_LEN(charsets), sizeof(charsets[0]),
                   compare_name);
}

/* Append all of it, or stop at what is not valid. */
static bool
convert(iconv_t codec, const char *text, size_t len, struct buf *out)
{
    char *in = (char *)(uintptr_t)text; /* iconv() only reads it */
    bool is_end = false;

    do {
        char chunk[CHUNK];
        char *to = chunk;
        size_t room = sizeof(chunk);
        size_t rc;

        is_end = len == 0;
        /* At the end once more, for what may be held back. */
        rc = is_end ? iconv(codec, NULL, NULL, &to, &room)
                    : iconv(codec, &in, &len, &to, &room);
        if (rc == (size_t)-1 && (errno != E2BIG || room == sizeof(chunk)))
            return false;
        buf_append(out, chunk, sizeof(chunk) - room);
    } while (!is_end && !buf_failed(out));
    return true;
}

static bool
append_by_codec(const char *name, const char *text, size_t len, struct buf *out)
{
    iconv_t codec = iconv_open("UTF-8", name);
    struct buf converted;
    bool is_valid;

    if (codec == (iconv_t)-1)
        return false;
    buf_init(&converted, out->limit);
    is_valid = convert(codec, text, len, &converted) &&
               utf8_is_valid(buf_str(&converted), converted.len);
    if (is_valid)
        buf_append(out, buf_str(&converted), converted.len);
    out->failed |= buf_failed(&converted);
    buf_clear(&converted);
    (void)iconv_close(codec);
    return is_valid;
}

bool
charset_append_utf8(const struct charset *charset, const char *text, size_t len,
                    struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(charset->codecs); i++) {
        const char *name = charset->codecs[i];

        if (name == NULL)
            return false;
        if (strcmp(name, "UTF-8") != 0) {
            if (append_by_codec(name, text, len, out))
                return true;
        } else if (utf8_is_valid(text, len)) {
            buf_append(out, text, len);
            return true;
        }
    }
    return false;
}
