/*
** charset_pairs.h: charsets of East Asia in which a character is ASCII, one octet or two, by tables.
**
** The tables are filled by asking iconv for the pairs of a lead octet when that octet is first met, so they say
** what iconv says, at several times its speed. What they cannot say (characters of four octets, pairs that are
** none) is left to iconv altogether.
*/
#ifndef LM_MIME_CHARSET_PAIRS_H
#define LM_MIME_CHARSET_PAIRS_H

#include "base/lm.h"

enum { LM_PAIRS = 5 };

/* Of one charset; made by lm_pairs_convert. */
struct lm_pairs;

/* Which of the charsets iconv's `name` is, from 0 on; LM_PAIRS where it is none. */
unsigned lm_pairs_find(const char *name);

/* `s` by the tables at *kept, which are made where it is NULL; `cd` converts from the charset to UTF-8 (an
** iconv_t). `out` has room for s.n * 3 + LM_ASCII_SLACK octets. False where iconv has to be asked for the
** whole text. */
bool lm_pairs_convert(struct lm_pairs **kept, void *cd, struct lm_str s, char *out, size_t *n_out);

void lm_pairs_free(struct lm_pairs *t);

#endif
