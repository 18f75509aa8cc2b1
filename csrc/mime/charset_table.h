/*
** charset_table.h: charsets of one octet a character whose lower half is ASCII, as tables.
**
** They are most of what is neither UTF-8 nor Latin-1, and a table is ten times as fast as iconv.
*/
#ifndef LM_MIME_CHARSET_TABLE_H
#define LM_MIME_CHARSET_TABLE_H

#include "base/lm.h"

/* The characters of octets 0x80 to 0xFF, by the name under which iconv knows the charset, in upper case; NULL
** where there is no table of it. */
const uint16_t *lm_charset_table(const char *name);

#endif
